"""Can the choice be believed? Generators whose worth is known are planted, and it has to tell which to use.

`good` hands out real rows that nothing else has seen, `weak` the same with three quarters of them replaced by noise.
Broken are uniform noise, one row a class over and over (`collapsed`), unseen rows under shuffled labels, copies of the
training rows, and pictures of another data set (digits among clothes). Each is offered to `choose_option` alone, in
every share it tries, falling shares and curation included, over the same rows, folds and baselines. What the choice
takes is then trained on all rows and scored on test rows, as is the best it found and did not dare to take.

To be affordable pictures are 12x12, trainings have 200 steps of 32 rows, and augmentation is a shift by up to one
pixel; the baselines are no augmentation, the shift, and mixup and CutMix on top of it. Everything is bundled.
Replicates (rows drawn anew) are kept one by one, so that a run goes on where it was stopped.

    python benchmarks/planting.py
    python benchmarks/render.py
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from classifiers import draw
from primary import JUDGED
from recording import write_results

from synthaug.data.labeled import LabeledData, open_data
from synthaug.data.splits import cross_folds, part
from synthaug.errors import SynthaugWarning
from synthaug.generators.samples import Samples
from synthaug.judging.arms import Augment, Ingredients
from synthaug.judging.evaluation import pool_size
from synthaug.judging.search import Choice, Run, choose_option
from synthaug.judging.trainings import train_arm
from synthaug.judging.trials import Source, Treatment, Trials, draw_pool, fit_judges, ratio_of
from synthaug.modalities.image.codec import ImageCodec
from synthaug.seeding import derive, numpy_rng

RESULTS = Path(__file__).parent / "results" / "planting.json"
SIDE = 12
BATCH = 32
SIZES = (20, 40)
KINDS = ("good", "weak", "noise", "collapsed", "shuffled labels", "copies", "other data")
BROKEN = KINDS[2:]
# Of the samples of `weak`.
NOISE = 0.75
FOLDS = 3
TEST_SEEDS = 4
REPLICATES = 20


@dataclass(frozen=True)
class Planted:
    """A generator that hands out the rows of a bank, each class's in an order that the seed gives."""

    rows: np.ndarray
    labels: np.ndarray
    data: LabeledData
    codec: ImageCodec
    trained_on: np.ndarray
    seconds: float = 0.0

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.data.classes

    def adjusted(self, options: Mapping[str, Any]) -> Planted:
        """There is nothing to adjust."""
        return self

    def sample(self, counts: int, *, seed: int = 0) -> Samples:
        """So many rows of every class."""
        return self._made({name: np.arange(counts) for name in self.data.classes}, seed)

    def sample_rows(self, name: str, start: int, stop: int, *, seed: int = 0) -> Samples:
        """Rows of the sequence that a seed gives to a class; it begins again where the bank ends."""
        return self._made({name: np.arange(start, stop)}, seed)

    def _made(self, wanted: Mapping[str, np.ndarray], seed: int) -> Samples:
        rows, names, numbers = [], [], []
        for name, index in wanted.items():
            own = np.flatnonzero(self.labels == self.data.classes.index(name))
            order = numpy_rng(seed, "planted", name).permutation(own)
            rows.append(self.rows[order[index % len(order)]])
            names += [name] * len(index)
            numbers.append(index)
        positions = np.array([self.data.classes.index(name) for name in names])
        return Samples(
            samples=np.concatenate(rows),
            labels=np.array(self.data.values)[positions],
            classes=self.data.classes,
            values=self.data.values,
            spec=self.data.spec,
            provenance={
                "synthetic": np.ones(len(names), bool),
                "generator": np.full(len(names), "0" * 64),
                "seed": np.full(len(names), seed),
                "class": np.array(names),
                "index": np.concatenate(numbers),
            },
        )


def plant(kind: str, unseen: LabeledData, other: LabeledData, seed: int, train: LabeledData) -> Planted:
    """A generator of the kind, where it is trained on these rows."""
    rng = numpy_rng(seed, "planted", kind)
    source = train if kind == "copies" else unseen
    rows, labels = source.read(), source.labels
    noise = rng.integers(0, 256, rows.shape).astype(rows.dtype)
    if kind == "weak":
        rows = np.where((rng.random(len(rows)) < NOISE)[:, None, None], noise, rows)
    elif kind == "noise":
        rows = noise
    elif kind == "collapsed":
        first = np.unique(labels, return_index=True)[1]
        rows, labels = rows[first], labels[first]
    elif kind == "shuffled labels":
        labels = rng.permutation(labels)
    elif kind == "other data":
        rows, labels = other.read(), other.labels
    return Planted(rows, labels, train, ImageCodec.fit(train.read(), train.spec), train.fingerprints())


def shifted(batch: torch.Tensor, seed: int) -> torch.Tensor:
    """Every image moved by up to one pixel each way, its border repeated."""
    moves = numpy_rng(seed, "planting", "shift").integers(-1, 2, (2, len(batch)))
    height, width = (
        torch.from_numpy((np.arange(size) + move[:, None]).clip(0, size - 1))
        for size, move in zip(batch.shape[2:], moves, strict=True)
    )
    image = torch.arange(len(batch))[:, None, None]
    # Two index arrays with the channels between them: they come last, and go back.
    return batch[image, :, height[:, :, None], width[:, None, :]].permute(0, 3, 1, 2)


def augmentations(images: torch.Tensor, labels: np.ndarray) -> dict[str, Augment]:
    return {"classical": shifted}


class Bench:
    """One draw of rows, over which every kind is offered; baselines are trained once."""

    def __init__(self, train: LabeledData, test: LabeledData, steps: int, seed: int) -> None:
        self._train, self._test, self._steps, self._seed = train, test, steps, seed
        self._folds = cross_folds(train, FOLDS, seed)
        self._known: dict[Run, np.ndarray] = {}

    def offer(self, fit: Callable[[LabeledData], Planted]) -> dict[str, Any]:
        """What the choice makes of the generator, and what it is worth on test rows."""
        trials = Trials(
            self._train,
            self._folds,
            lambda rows, family, name: fit(rows),
            augmentations,
            families=["planted"],
            sources={"planted": (Source("planted", "planted"),)},
            full=True,
            steps=self._steps,
            batch_size=BATCH,
            seed=self._seed,
            progress=False,
        )
        choice = choose_option(
            trials.baselines,
            trials.menu,
            trials.variants,
            partial(self._score, trials),
            self._folds,
            np.ones(len(self._train)),
        )
        return {
            "accepted": choice.accepted,
            "baseline": choice.baseline,
            "candidate": choice.candidate,
            "trainings": choice.trainings,
            "judged": None if choice.judged is None else choice.judged.gain.mean,
            "test_gain": self._test_gain(choice, trials.treatments, fit(self._train)),
        }

    def _score(self, trials: Trials, runs: Sequence[Run]) -> Iterator[np.ndarray]:
        plain = [run for run in runs if trials.treatments[run.option].source is None]
        due = [run for run in runs if run not in plain or run not in self._known]
        found = dict(zip(due, trials.score(due), strict=True))
        self._known |= {run: found[run] for run in due if run in plain}
        for run in runs:
            yield found[run] if run in found else self._known[run]

    def _test_gain(self, choice: Choice, treatments: Mapping[str, Treatment], maker: Planted) -> float | None:
        """The candidate's accuracy over the baseline's, both trained on all rows; None without a candidate."""
        if choice.candidate is None:
            return None
        of, base = treatments[choice.candidate], treatments[choice.baseline]
        per_class = pool_size(of.share, self._steps, len(self._train.classes))
        judges = fit_judges(self._train, maker.codec.encode, self._seed) if of.curated else None
        with warnings.catch_warnings():
            # Curation that keeps next to nothing of a broken generator says so every time.
            warnings.simplefilter("ignore", SynthaugWarning)
            pool = draw_pool(maker, judges, maker.codec.encode, per_class, seed=self._seed)
        accuracy = [self._accuracy(each, pool) for each in (of, base)]
        return float(accuracy[0] - accuracy[1])

    def _accuracy(self, of: Treatment, pool: Samples) -> float:
        codec = ImageCodec.fit(self._train.read(), self._train.spec)
        parts = Ingredients.of(
            self._train, pool, codec.encode, ratio=ratio_of(of, self._steps), batch_size=BATCH
        )
        tests = {"test": (self._test.read(), self._test.labels)}
        steps = round((of.arm.steps or 1) * self._steps)
        known = {"classical": shifted}
        seeds = [derive(self._seed, "planting", "test", i) % 2**31 for i in range(TEST_SEEDS)]
        found = [train_arm(of.arm, s, parts, known, tests, None, steps)["test"].correct.mean() for s in seeds]
        return float(np.mean(found))


@click.command()
@click.option("--replicates", default=REPLICATES, show_default=True)
@click.option("--steps", default=200, show_default=True, help="Optimizer steps of each classifier.")
@click.option("--kind", "kinds", multiple=True, default=KINDS, type=click.Choice(KINDS))
def main(replicates: int, steps: int, kinds: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    clothes = open_data("bundled:fashion-mnist", image_size=SIDE)
    digits = open_data("bundled:digits", image_size=SIDE)
    rest, test = part(clothes, "train"), part(clothes, "test")
    budget: dict[str, Any] = {"side": SIDE, "batch": BATCH, "steps": steps, "folds": FOLDS, "noise": NOISE}
    budget["judged"] = JUDGED
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    cells = known["cells"] if known.get("budget") == budget else []
    done = {(cell["per_class"], cell["seed"], cell["kind"]) for cell in cells}
    for seed in range(replicates):
        for n in SIZES:
            bench = Bench(draw(rest, n, seed), test, steps, seed)
            unseen = draw(rest, len(rest), seed, skip=n)
            for kind in kinds:
                if (n, seed, kind) in done:
                    continue
                cell = bench.offer(partial(plant, kind, unseen, digits, seed))
                cells.append({"per_class": n, "seed": seed, "kind": kind} | cell)
                write_results(RESULTS, {"budget": budget, "cells": cells})
                click.echo(cells[-1])


if __name__ == "__main__":
    main()
