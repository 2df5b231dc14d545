"""What experiments share: cells of data, one replicate of a cell with its rows, and classifiers trained on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from synthaug import Generator, ImageForm, LabeledData, Samples, open_data
from synthaug.data import part, with_three_splits
from synthaug.judging import (
    LADDER,
    Arm,
    Augment,
    Ingredients,
    Judge,
    Task,
    no_pool,
    pool_size,
    steps_of,
    train_arm,
)
from synthaug.metrics import Scores
from synthaug.mixing import Ratio
from synthaug.modalities.image import image_augmentations
from synthaug.seeding import numpy_rng
from synthaug.training import Training, train

ARMS = {arm.name: arm for arm in LADDER}
STEPS = 400
"""Optimizer steps of a classifier, unless an experiment is about them."""

GENERATOR_STEPS = 400
"""Steps of a generator, about half a minute."""

LONG_TAIL = (150, 5)

Counts = Callable[[LabeledData], list[int]]


@dataclass(frozen=True)
class Cell:
    """A data set, and how many training rows of each class; or whatever else an experiment varies.

    Attributes:
        name: of its file of results.
        data: a bundled set, or a parquet file of the folder of real data, by its name.
        counts: rows of each class to draw for training, of the rows that are there; all when None.
        unequal: whether these are so unequal that classes are drawn equally often.
        image_size: pixels a side that images are resized to; None for as they are.
        own_splits: whether rows are split as the source says, so that none of its training rows are spared for
            validation.
        settings: what else tells the cell from others, as plain JSON data; it counts as part of the budget.
    """

    name: str
    data: str
    counts: Counts | None = None
    unequal: bool = False
    image_size: int | None = None
    own_splits: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


def equal(n: int) -> Counts:
    """So many rows of every class."""
    return lambda rest: [n] * len(rest.classes)


def _long_tail(rest: LabeledData) -> list[int]:
    """Every other class is rare, so that classes which are taken for each other are on both sides."""
    return [LONG_TAIL[k % 2] for k in range(len(rest.classes))]


def _quarter(rest: LabeledData) -> list[int]:
    return [n // 4 for n in rest.counts.values()]


def short(data: str) -> str:
    """The name of a data set in names of cells."""
    return data.removeprefix("bundled:")


def _sizes(data: str, *sizes: int) -> list[Cell]:
    return [Cell(f"{short(data)}-{n}", data, equal(n)) for n in sizes]


PRIMARY = [
    *_sizes("bundled:digits", 5, 10, 20),
    *_sizes("mnist", 5, 10, 20),
    Cell("mnist-unequal", "mnist", _long_tail, unequal=True),
    *_sizes("fashion_mnist", 5, 10, 20),
    Cell("fashion_mnist-unequal", "fashion_mnist", _long_tail, unequal=True),
    Cell("pneumonia", "pneumonia", _quarter, unequal=True),
    Cell("clothing64", "clothing64", _quarter, unequal=True),
]
"""Digits, MNIST and Fashion-MNIST at 5, 10 and 20 rows a class; MNIST and Fashion-MNIST with five classes at 150 and
five at 5; clothing and pneumonia in their natural proportions, a quarter of the training rows."""

FURTHER = [
    *_sizes("bundled:digits", 50),
    *_sizes("mnist", 50),
    *_sizes("fashion_mnist", 50),
    *_sizes("cifar10", 10, 50, 200),
    *_sizes("omniglot", 5),
]
"""Cells outside the budget: 50 rows a class, CIFAR-10 at 10, 50 and 200, and Omniglot's 242 characters at 5 a class,
with drawers of their own in the test rows."""


def primary(*names: str) -> list[Cell]:
    """Some of the primary cells, in this order."""
    by_name = {cell.name: cell for cell in PRIMARY}
    return [by_name[name] for name in names]


def open_set(name: str, folder: Path | None, image_size: int | None = None) -> LabeledData:
    """A bundled set by its name, or a parquet file of the folder of real data."""
    if name.startswith("bundled:"):
        return open_data(name, image_size=image_size)
    if folder is None:
        raise click.UsageError(f"{name} needs --folder, or SYNTHAUG_DATA, with {name}.parquet in it.")
    return open_data(folder / f"{name}.parquet", image_size=image_size)


def as_samples(data: LabeledData) -> Samples:
    """Real rows in the form of samples."""
    names, values = (np.array(of)[data.labels] for of in (data.classes.names, data.classes.values))
    return Samples(data.read(), values, data.classes, data.form, {"class": names})


@dataclass(frozen=True)
class Run:
    """One replicate of a cell under way; all of it shares the rows, and the seed of what is drawn and trained.

    Attributes:
        cell: the cell.
        seed: of all of it.
        folder: of real data.
        jobs: processes of a choice.
        done: the replicates of the cell that came before this one.
    """

    cell: Cell
    seed: int
    folder: Path | None = None
    jobs: int = 1
    done: Sequence[Mapping[str, Any]] = ()

    @cached_property
    def data(self) -> LabeledData:
        """The whole data set, in splits for training, validation and testing."""
        data = open_set(self.cell.data, self.folder, self.cell.image_size)
        return data if self.cell.own_splits else with_three_splits(data, 0)

    @property
    def rest(self) -> LabeledData:
        """The rows that training rows are drawn from."""
        return part(self.data, "train")

    @cached_property
    def train(self) -> LabeledData:
        """The training rows."""
        return self.rest if self.cell.counts is None else self.drawn(self.cell.counts(self.rest))

    @cached_property
    def validation(self) -> LabeledData:
        """As many rows as there are for training, where there are as many, and none of these."""
        if self.cell.counts is None:
            return part(self.data, "validation")
        counts = self.cell.counts(self.rest)
        return self.drawn(counts, skip=counts)

    @cached_property
    def test(self) -> LabeledData:
        """The test rows, the same in every replicate."""
        return part(self.data, "test")

    def drawn(self, counts: Sequence[int], skip: Sequence[int] | None = None) -> LabeledData:
        """So many rows of each class, after skipping those that another draw took."""
        rng, rest = numpy_rng(self.seed, "benchmark", "draw"), self.rest
        found = []
        for label, n in enumerate(counts):
            before = 0 if skip is None else skip[label]
            found.append(rng.permutation(np.flatnonzero(rest.labels == label))[before : before + n])
        return rest.take(np.sort(np.concatenate(found)))

    @cached_property
    def form(self) -> ImageForm:
        """The form of the training rows, fitted to them."""
        return self.train.form.fitted(self.train.read())

    @cached_property
    def encoded(self) -> torch.Tensor:
        """The training rows as classifiers take them."""
        return self.form.encode(self.train.read())

    @cached_property
    def augmentations(self) -> Mapping[str, Augment]:
        """By the names that arms know."""
        return image_augmentations(self.encoded, self.train.labels)

    @property
    def policy(self) -> Arm:
        """The strongest baseline that is always there; classes are drawn equally often where they are unequal."""
        return ARMS["oversampling + policy" if self.cell.unequal else "policy"]

    def fit(
        self, family: str, options: Mapping[str, Any] | None = None, steps: int = GENERATOR_STEPS
    ) -> Generator:
        """A generator of a family, trained on the training rows."""
        return train(self.train, Training(family, options or {}, steps=steps, seed=self.seed))

    def pool(self, maker: Generator, share: float, steps: int = STEPS) -> Samples:
        """Samples of each class for no classifier to meet one twice, at most 1000."""
        return maker.sample(pool_size(share, steps, len(self.train.classes)), seed=self.seed)

    def score(
        self,
        arm: Arm,
        pool: Samples | None = None,
        share: Ratio = 0.25,
        *,
        steps: int = STEPS,
        judge: Judge | None = None,
        rows: tuple[np.ndarray, np.ndarray] | None = None,
        tests: Sequence[str] = ("test",),
    ) -> dict[str, Scores]:
        """The built-in classifier trained with one arm, scored on each of the named parts.

        Args:
            arm: how it is trained.
            pool: its synthetic rows; none when None.
            share: of them in each batch.
            steps: optimizer steps, of an arm that takes as many as others.
            judge: of the arms that need one.
            rows: raw rows and class positions to train on instead of the training rows.
            tests: names of parts, "test" or "validation".
        """
        synthetic = no_pool(self.train) if pool is None else pool
        parts = Ingredients.of(self.train, synthetic, self.form.encode, ratio=share, judge=judge)
        if rows is not None:
            parts = replace(parts, rows=rows[0], labels=rows[1])
        sets = {name: getattr(self, name) for name in tests}
        raw = {name: (data.read(), data.labels) for name, data in sets.items()}
        task = Task(arm.name, arm, self.seed, parts, self.augmentations, raw, steps_of(arm, steps))
        return dict(train_arm(task).scores)
