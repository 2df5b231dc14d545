"""What an evaluation repeats: training rows with a generator trained on them, and what must hold of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.data.splits import require_disjoint
from synthaug.errors import InvalidRequest, Leakage, SpecMismatch
from synthaug.generators.samples import Samples
from synthaug.judging.arms import Augment, Encode, Judge
from synthaug.modalities.image.codec import ImageCodec
from synthaug.modalities.image.fingerprint import fingerprints


class Maker(Protocol):
    """What draws need of a generator."""

    @property
    def codec(self) -> ImageCodec:
        """Raw rows to tensors, fitted on training rows."""

    @property
    def trained_on(self) -> np.ndarray:
        """``(M,)`` uint64 fingerprints of the rows it saw."""

    @property
    def seconds(self) -> float:
        """How long its training took."""

    def sample(self, counts: int, *, seed: int = 0) -> Samples:
        """So many rows of every class."""


@dataclass(frozen=True)
class Draw:
    """Training rows, and samples of a generator trained on them.

    Attributes:
        train: rows for the classifiers.
        pool: synthetic rows of at least every class in ``train``.
        encode: raw rows to what classifiers take, fitted on training rows only.
        trained_on: ``(M,)`` uint64 fingerprints of the rows the generator saw.
        augmentations: of an encoded batch, by the names that arms know.
        seconds: how long the generator was trained.
        about: JSON data on the generator, kept in the result.
        judge: encoded rows to probabilities, fitted on ``train``; None where no arm is to take labels from it.
    """

    train: LabeledData
    pool: Samples
    encode: Encode
    trained_on: np.ndarray
    augmentations: Mapping[str, Augment] = field(default_factory=dict)
    seconds: float = 0.0
    about: Mapping[str, Any] = field(default_factory=dict)
    judge: Judge | None = None

    @classmethod
    def of(
        cls,
        train: LabeledData,
        maker: Maker,
        per_class: int,
        *,
        seed: int = 0,
        augmentations: Mapping[str, Augment] | None = None,
        about: Mapping[str, Any] | None = None,
        judge: Judge | None = None,
    ) -> Draw:
        """So many samples of each class of a generator, beside the rows it was trained on.

        Args:
            train: the rows it was trained on.
            maker: the generator.
            per_class: rows in the pool, see `synthaug.judging.evaluation.pool_size`.
            seed: of the samples.
            augmentations: for images those of `synthaug.modalities.image.augment.image_augmentations`.
            about: JSON data on the generator.
            judge: fitted on the same rows; for arms that take labels from it.
        """
        pool = maker.sample(per_class, seed=seed)
        return cls(
            train,
            pool,
            maker.codec.encode,
            maker.trained_on,
            dict(augmentations or {}),
            maker.seconds,
            dict(about or {}),
            judge,
        )


def require_alike(draws: Sequence[Draw], others: Mapping[str, LabeledData]) -> None:
    """Refuse sets of rows whose classes or forms differ, and a pool that lacks a class of the real rows."""
    if not draws:
        raise InvalidRequest(
            "evaluate was given no training rows and no generator; it needs at least one draw."
        )
    first = draws[0].train
    form = (first.spec.shape, first.spec.dtype)
    for name, data in [*(("training", draw.train) for draw in draws), *others.items()]:
        if not len(data):
            raise InvalidRequest(f"evaluate needs {name} rows, but {data.origin} gave none.")
        if data.classes != first.classes:
            raise SpecMismatch(
                f"The {name} rows have the classes {listed(data.classes)}; the training rows have "
                f"{listed(first.classes)}. Open them as one data set and split it."
            )
        if (data.spec.shape, data.spec.dtype) != form:
            raise SpecMismatch(f"The {name} rows are {data.spec}; the training rows are {first.spec}.")
    for draw in draws:
        train, pool = draw.train, draw.pool
        if pool.classes != train.classes or (pool.spec.shape, pool.spec.dtype) != form:
            raise SpecMismatch(
                f"The samples are {pool.spec} of the classes {listed(pool.classes)}; the training rows are "
                f"{train.spec} of the classes {listed(train.classes)}. Use a generator trained on these rows."
            )
        missing = [name for name, n in train.counts.items() if n and not pool.counts[name]]
        if missing:
            raise InvalidRequest(
                f"The samples have no row of {listed(missing)}, which the training rows have. Sample it too."
            )


def require_unseen(train: LabeledData, others: Mapping[str, LabeledData], trained_on: np.ndarray) -> None:
    """Refuse overlap among the sets of rows, and a generator that saw more than the training rows."""
    named = {"training": train, **others}
    for (a, left), (b, right) in combinations(named.items(), 2):
        require_disjoint(left, right, f"{a} and {b} rows")
    for name, data in others.items():
        seen = int(np.isin(data.fingerprints(), trained_on).sum())
        if seen:
            raise Leakage(
                f"The generator was trained on {seen} of the {len(data)} {name} rows, so its samples would "
                "tell classifiers about them. Give none, and one is trained on the right rows; or give the data set "
                "a validation split, which no generator is trained on."
            )
    extra = int((~np.isin(trained_on, train.fingerprints())).sum())
    if extra:
        raise Leakage(
            f"The generator was trained on {extra} rows that are no training rows of the classifiers: a gain "
            "would come from those. Train the generator and the classifiers on the same rows."
        )


def require_no_copies(pool: Samples, others: Mapping[str, LabeledData]) -> None:
    """Refuse samples that are rows to choose or to test by, whoever made them."""
    ends = None if pool.spec.low is None else np.array([pool.spec.low, pool.spec.high])
    prints = fingerprints(pool.samples, pool.spec.layout, ends)
    for name, data in others.items():
        copies = int(np.isin(prints, data.fingerprints()).sum())
        if copies:
            raise Leakage(
                f"{copies} of the {len(pool)} samples are copies of {name} rows: what made them has seen these rows. "
                "Train a generator on the training rows alone."
            )


def listed(names: Iterable[str]) -> str:
    """At most ten names in quotes, and how many more there are."""
    known = [f'"{name}"' for name in names]
    return ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")
