"""How arms prepare training rows: each way is one function from the rows and a seed to a loader.

All loaders of one seed go through the real rows in the same order, those that balance classes aside, so that arms
can be compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Sampler, WeightedRandomSampler

from synthaug.data.classes import Classes
from synthaug.data.labeled import LabeledData
from synthaug.generators.samples import Samples
from synthaug.judging import standins
from synthaug.judging.protocol import BATCH_SIZE
from synthaug.mixing.marks import MarkingCollate, Marks
from synthaug.mixing.options import MixOptions
from synthaug.mixing.regimen import Blend
from synthaug.mixing.schedule import Ratio
from synthaug.mixing.supply import Supply
from synthaug.mixing.torch.loader import mix_loader
from synthaug.modalities.base import Augment as Augment
from synthaug.modalities.image.augment import cutmix as pasted
from synthaug.seeding import derive, numpy_rng, torch_rng

Encode: TypeAlias = Callable[[np.ndarray], torch.Tensor]
"""Raw rows to what classifiers take: for images ``(N, C, H, W)`` float32 in [-1, 1]."""

Judge: TypeAlias = Callable[[torch.Tensor], np.ndarray]
"""An encoded batch to what it is taken for: probabilities ``(B, n_classes)``."""

MakeLoader: TypeAlias = "Callable[[Ingredients, int], DataLoader[Any]]"
"""The ingredients and a seed to a loader of encoded batches."""

_Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor]

_MIXUP_ALPHA = 0.2


@dataclass(frozen=True)
class Ingredients:
    """What arms make loaders of.

    Attributes:
        rows: ``(N, ...)`` raw real training rows.
        labels: ``(N,)`` int64 class positions.
        pool: synthetic rows whose labels are class positions too.
        encode: applied to every batch.
        augment: augmentation of an encoded batch; None for none.
        ratio: share of synthetic rows in the arms that have them, fixed, by class position, or a schedule over steps.
        batch_size: rows per batch, the same in every arm.
        judge: encoded rows to probabilities ``(B, n_classes)``, for arms that take labels from it; None for none.
        units: ``(N,)`` numbers of what real rows belong to, where those of one, such as frames, are not to be compared.
    """

    rows: np.ndarray
    labels: np.ndarray
    pool: Samples
    encode: Encode
    augment: Augment | None
    ratio: Ratio
    batch_size: int
    judge: Judge | None = None
    units: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        train: LabeledData,
        pool: Samples,
        encode: Encode,
        *,
        ratio: Ratio,
        batch_size: int = BATCH_SIZE,
        judge: Judge | None = None,
    ) -> Ingredients:
        """The training rows, read once, beside a pool of the same classes."""
        # A lone row in a batch has no statistics to normalise by; a set below the batch size is one batch.
        size = min(batch_size, len(train))
        return cls(train.read(), train.labels, _by_position(pool), encode, None, ratio, size, judge)

    def with_pool(self, pool: Samples) -> Ingredients:
        """The same rows beside another pool."""
        return replace(self, pool=_by_position(pool))

    @property
    def n_classes(self) -> int:
        """The number of classes, of which some may have no row."""
        return len(self.pool.classes)


def _by_position(pool: Samples) -> Samples:
    """A pool with class positions for labels, as classifiers are given them."""
    return replace(
        pool,
        labels=pool.class_indices,
        classes=Classes(pool.classes.names, tuple(range(len(pool.classes)))),
        held_out=np.empty(0, np.uint64),  # that the pool is no leak has been checked against its generator
    )


def shuffled(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """The real rows, shuffled."""
    return _loader(parts, seed)


def balanced(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """The real rows, drawn with replacement so that classes are equally frequent."""
    weights = 1.0 / np.bincount(parts.labels)[parts.labels]
    rng = torch_rng(seed, "arms", "oversampling")
    sampler = WeightedRandomSampler(weights.tolist(), len(weights), generator=rng)
    return _loader(parts, seed, sampler=sampler)


def mixed(parts: Ingredients, seed: int, *, into: MakeLoader = shuffled) -> DataLoader[Any]:
    """The rows of another loader, the given share of each class replaced by synthetic rows of that class.

    The share is the same in every class: in rare ones alone, it would give them away.
    """
    return _with_pool(parts, into(parts, seed), parts.pool, seed)


def relabelled(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """As `mixed`, but a synthetic row's label is what the judge sees in it, as it is augmented: a distribution.

    Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015, at temperature 1, for the synthetic
    rows alone.
    """
    assert parts.judge is not None, "an arm that needs a judge is given one"
    loader = _with_pool(parts, shuffled(parts, seed), parts.pool, seed, flag=True)
    # A fresh one: that of the loader has counted the batch that marks are tried on.
    flagged = MarkingCollate(_Collate(parts, None, seed), Marks(flag=True))
    loader.collate_fn = _Relabelled(flagged, parts.judge, parts.n_classes)
    return loader


def duplicated(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """As `mixed`, with copies of real rows for synthetic ones: what a share of anything else than new rows does."""
    pool = standins.copies(parts.pool, parts.rows, parts.labels)
    return _with_pool(parts, shuffled(parts, seed), pool, seed)


def interpolated(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """As `mixed`, with points between raw rows and their neighbours (SMOTE) for synthetic rows."""
    pool = standins.between_neighbours(parts.pool, parts.rows, parts.labels, seed)
    return _with_pool(parts, shuffled(parts, seed), pool, seed)


def mixup(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """The real rows, each batch blended with a shuffle of itself; labels are distributions.

    Zhang et al., "mixup: beyond empirical risk minimization", 2018, with alpha = 0.2.
    """
    return _loader(parts, seed, blend=_blended)


def cutmix(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """The real images, in half of the batches with a box of another image pasted in; labels are distributions."""
    return _loader(parts, seed, blend=pasted)


def _with_pool(
    parts: Ingredients, loader: DataLoader[Any], pool: Samples, seed: int, *, flag: bool = False
) -> DataLoader[Any]:
    options = MixOptions(ratio=parts.ratio, seed=derive(seed, "arms", "mix"), flag=flag)
    return mix_loader(loader, Supply(pool), options)


def _loader(
    parts: Ingredients, seed: int, *, sampler: Sampler[int] | None = None, blend: Blend | None = None
) -> DataLoader[Any]:
    return DataLoader(
        _Rows(parts),
        batch_size=parts.batch_size,
        shuffle=sampler is None,
        sampler=sampler,
        drop_last=True,
        generator=torch_rng(seed, "arms", "order"),
        collate_fn=_Collate(parts, blend, seed),
    )


class _Rows(Dataset[tuple[np.ndarray, int]]):
    """Raw rows with class positions."""

    def __init__(self, parts: Ingredients) -> None:
        self.rows, self.targets = parts.rows, parts.labels
        self.classes = parts.pool.classes.names

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[np.ndarray, int]:
        return self.rows[row], int(self.targets[row])


class _Collate:
    """Raw pairs to an encoded batch: once per batch, real and synthetic rows alike.

    Batch number n is augmented with stream n: all arms of one seed draw the same changes.
    """

    def __init__(self, parts: Ingredients, blend: Blend | None, seed: int) -> None:
        self._encode, self._augment, self._n_classes = parts.encode, parts.augment, parts.n_classes
        self._blend, self._seed = blend, seed
        self._batch = 0

    def __call__(self, pairs: Sequence[tuple[np.ndarray, int]]) -> _Batch:
        batch = self._encode(np.stack([row for row, _ in pairs]))
        labels = torch.tensor([label for _, label in pairs], dtype=torch.int64)
        number, self._batch = self._batch, self._batch + 1
        if self._augment is not None:
            batch = self._augment(batch, derive(self._seed, "arms", "augment", number))
        if self._blend is None:
            return batch, labels
        soft = F.one_hot(labels, self._n_classes).float()
        return self._blend(batch, soft, numpy_rng(self._seed, "arms", "blend", number))


class _Relabelled:
    """A marked batch to one whose labels are distributions, those of its synthetic rows by the judge."""

    def __init__(self, collate: Callable[[Any], Any], judge: Judge, n_classes: int) -> None:
        self._collate, self._judge, self._n_classes = collate, judge, n_classes

    def __call__(self, items: Any) -> _Batch:
        batch, labels, synthetic = self._collate(items)
        soft = F.one_hot(labels, self._n_classes).float()
        if synthetic.any():
            soft[synthetic] = torch.from_numpy(self._judge(batch[synthetic])).float()
        return batch, soft


def _blended(X: torch.Tensor, soft: torch.Tensor, rng: np.random.Generator) -> _Batch:
    share, partner = rng.beta(_MIXUP_ALPHA, _MIXUP_ALPHA), rng.permutation(len(X))
    return X.lerp(X[partner], share), soft.lerp(soft[partner], share)


BLENDS: dict[str, tuple[MakeLoader, Blend]] = {"mixup": (mixup, _blended), "CutMix": (cutmix, pasted)}
"""Ways to blend the rows of a batch, by name: what an arm makes a loader with, and the blend."""
