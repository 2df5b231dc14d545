"""The arms of an evaluation: each is one function from the training rows and a seed to a loader.

All loaders of one seed go through the real rows in the same order, those that balance classes aside, so that arms
can be compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Sampler, WeightedRandomSampler

from synthaug.data.labeled import LabeledData
from synthaug.generators.samples import Samples
from synthaug.mixing.marks import MarkingCollate, Marks
from synthaug.mixing.schedule import Schedule
from synthaug.mixing.torch.loader import mix_dataloader
from synthaug.seeding import derive, numpy_rng, torch_rng
from synthaug.training.classifier import Loss, cross_entropy

Encode: TypeAlias = Callable[[np.ndarray], torch.Tensor]
"""Raw rows to what classifiers take: for images ``(N, C, H, W)`` float32 in [-1, 1]."""

Augment: TypeAlias = Callable[[torch.Tensor, int], torch.Tensor]
"""``augment(batch, seed)``: an encoded batch, changed at random, as a function of the batch and the seed."""

Judge: TypeAlias = Callable[[torch.Tensor], np.ndarray]
"""An encoded batch to what it is taken for: probabilities ``(B, n_classes)``."""

MakeLoader: TypeAlias = "Callable[[Ingredients, int], DataLoader[Any]]"
"""The ingredients and a seed to a loader of encoded batches."""

_Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor]
_Blend: TypeAlias = Callable[[torch.Tensor, torch.Tensor, np.random.Generator], _Batch]

_MIXUP_ALPHA = 0.2
_CUTMIX_CHANCE = 0.5
_NEIGHBOURS = 5
_NEIGHBOUR_ROWS = 2000
# Re-weighting starts at 80 % of the steps, as in Cao et al. (2019): epoch 160 of 200.
_DEFERRED = 0.8


@dataclass(frozen=True)
class Ingredients:
    """What arms make loaders of.

    Attributes:
        rows: ``(N, ...)`` raw real training rows.
        labels: ``(N,)`` int64 class positions.
        pool: synthetic rows whose labels are class positions too.
        encode: applied to every batch.
        augment: augmentation of an encoded batch; None for none.
        ratio: share of synthetic rows in the arms that have them, fixed or a schedule over steps.
        batch_size: rows per batch, the same in every arm.
        judge: encoded rows to probabilities ``(B, n_classes)``, for arms that take labels from it; None for none.
    """

    rows: np.ndarray
    labels: np.ndarray
    pool: Samples
    encode: Encode
    augment: Augment | None
    ratio: float | Schedule
    batch_size: int
    judge: Judge | None = None

    @classmethod
    def of(
        cls,
        train: LabeledData,
        pool: Samples,
        encode: Encode,
        *,
        ratio: float | Schedule,
        batch_size: int,
        judge: Judge | None = None,
    ) -> Ingredients:
        """The training rows, read once, beside a pool of the same classes."""
        # Classifiers are given positions; that the pool is no leak has been checked against its generator.
        positions = replace(
            pool,
            labels=pool.class_indices,
            values=tuple(range(len(pool.classes))),
            held_out=np.empty(0, np.uint64),
        )
        # A lone row in a batch has no statistics to normalise by; a set below the batch size is one batch.
        size = min(batch_size, len(train))
        return cls(train.read(), train.labels, positions, encode, None, ratio, size, judge)

    @property
    def n_classes(self) -> int:
        """The number of classes, of which some may have no row."""
        return len(self.pool.classes)


@dataclass(frozen=True)
class Arm:
    """One way to prepare training rows.

    Attributes:
        name: its short name in results.
        loader: makes a loader of encoded batches from the ingredients and a seed: ``X``, and ``y`` ``(B,)`` int64 or,
            for an arm with a loss, ``(B, K)`` float32 distributions over the classes.
        about: what it does, for the report.
        synthetic: whether its batches hold synthetic rows.
        augmentation: the name of the augmentation it needs; None for none.
        loss: makes the loss it needs; None where any classifier's own loss will do.
        steps: its optimizer steps over those of the other arms; None for as many as fit into the time that was spent
            on the generator.
        unequal: whether it makes sense only where classes are unequally frequent.
        judged: whether it needs the judge of the ingredients.
    """

    name: str
    loader: MakeLoader
    about: str
    synthetic: bool = False
    augmentation: str | None = None
    loss: Callable[[Ingredients], Loss] | None = None
    steps: float | None = 1.0
    unequal: bool = False
    judged: bool = False

    def batches(self, parts: Ingredients, augmentations: Mapping[str, Augment], seed: int) -> DataLoader[Any]:
        """The loader, with the augmentation that the arm needs."""
        augment = None if self.augmentation is None else augmentations[self.augmentation]
        return self.loader(replace(parts, augment=augment), seed)


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


def with_synthetic(arm: Arm, name: str, about: str) -> Arm:
    """The arm with synthetic rows in its batches, the rest as it is."""
    return replace(arm, name=name, about=about, loader=partial(mixed, into=arm.loader), synthetic=True)


def longer(arm: Arm) -> Arm:
    """The arm, trained 1.5 times as long: what the time for a generator would buy without one."""
    return replace(
        arm, name=f"{arm.name}, longer", steps=1.5, about=f"As “{arm.name}”, trained 1.5 times as long."
    )


def relabelled(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """As `mixed`, but a synthetic row's label is what the judge sees in it, as it is augmented: a distribution.

    Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", 2015, at temperature 1, for the synthetic
    rows alone.
    """
    assert parts.judge is not None, "an arm that needs a judge is given one"
    own = derive(seed, "arms", "mix")
    loader = mix_dataloader(shuffled(parts, seed), parts.pool, ratio=parts.ratio, seed=own, flag=True)
    # A fresh one: that of the loader has counted the batch that marks are tried on.
    flagged = MarkingCollate(_Collate(parts, None, seed), Marks(flag=True))
    loader.collate_fn = _Relabelled(flagged, parts.judge, parts.n_classes)
    return loader


def duplicated(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """As `mixed`, with copies of real rows for synthetic ones: what a share of anything else than new rows does."""
    return _with_pool(parts, shuffled(parts, seed), _pool_of(parts, parts.rows, parts.labels), seed)


def interpolated(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """As `mixed`, with points between raw rows and one of their nearest neighbours for synthetic rows.

    Chawla et al., "SMOTE: synthetic minority over-sampling technique", 2002, with 5 neighbours and in every class;
    as many rows of a class as the pool has.
    """
    return _with_pool(parts, shuffled(parts, seed), _neighbour_pool(parts, seed), seed)


def mixup(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """The real rows, each batch blended with a shuffle of itself; labels are distributions.

    Zhang et al., "mixup: beyond empirical risk minimization", 2018, with alpha = 0.2.
    """
    return _loader(parts, seed, blend=_blended)


def cutmix(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """The real images, in half of the batches with a box of another image pasted in; labels are distributions.

    Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features", 2019.
    """
    return _loader(parts, seed, blend=_pasted)


def plain_loss(parts: Ingredients) -> Loss:
    """The usual loss, for arms whose labels are distributions."""
    return cross_entropy


def weighted_loss(parts: Ingredients) -> Loss:
    """Rows weighted by the inverse frequency of their class; weights have mean 1 over the training rows."""
    return partial(_weighted, _class_weights(parts), 0.0)


def deferred_loss(parts: Ingredients) -> Loss:
    """As `weighted_loss`, over the last fifth of the steps only.

    Cao et al., "Learning imbalanced datasets with label-distribution-aware margin loss", 2019, with plain inverse
    frequencies, which their effective numbers come to for less than some thousand rows a class.
    """
    return partial(_weighted, _class_weights(parts), _DEFERRED)


def adjusted_loss(parts: Ingredients) -> Loss:
    """Logits shifted by the logarithm of the class frequencies while training, so that predictions are not.

    Menon et al., "Long-tail learning via logit adjustment", 2021, equation 10 with tau = 1.
    """
    counts = np.maximum(np.bincount(parts.labels, minlength=parts.n_classes), 1)
    return partial(_adjusted, torch.from_numpy(np.log(counts / counts.sum())).float())


def _elastic(strength: str) -> Arm:
    about = f"As “real + classical”, then bent smoothly at random, {strength}."
    return Arm(f"elastic, {strength}", shuffled, about, augmentation=f"elastic {strength}")


_REAL = Arm("real", shuffled, "Your rows as they are.")
_CLASSICAL = Arm(
    "real + classical",
    shuffled,
    "Your rows, shifted, turned, scaled or erased at random.",
    augmentation="classical",
)
LONGER = replace(longer(_CLASSICAL), name="longer")
"""Longer training, where no choice has said of what."""

_OVERSAMPLING = Arm(
    "oversampling", balanced, "Your rows, drawn so that classes are equally frequent.", unequal=True
)
_BALANCED = replace(
    _OVERSAMPLING,
    name="oversampling + classical",
    about="As “oversampling”, shifted, turned, scaled or erased.",
    augmentation="classical",
)
_POLICY = Arm("policy", shuffled, "Your rows, each changed by two operations of ten.", augmentation="policy")
_BALANCED_POLICY = replace(
    _BALANCED,
    name="oversampling + policy",
    about="As “oversampling”, each row changed by two operations of ten.",
    augmentation="policy",
)
_SYNTHETIC = with_synthetic(_REAL, "real + synthetic", "A share of your rows replaced by synthetic ones.")
_BOTH = with_synthetic(_CLASSICAL, "both", "Real and synthetic rows, all shifted, turned, scaled or erased.")
_BOTH_POLICY = with_synthetic(
    _POLICY, "both, policy", "Real and synthetic rows, all changed by two operations of ten."
)
_BALANCED_BOTH = with_synthetic(
    _BALANCED, "both, oversampled", "As “both”, drawn so that classes are equally frequent."
)

ARMS: tuple[Arm, ...] = (
    _REAL,
    _CLASSICAL,
    _elastic("medium"),
    _POLICY,
    LONGER,
    _OVERSAMPLING,
    _BALANCED,
    _BALANCED_POLICY,
    _SYNTHETIC,
    _BOTH,
    _BOTH_POLICY,
    _BALANCED_BOTH,
)
"""What an evaluation compares unless asked for more; the simplest first, as the first of equals is picked."""

LADDER: tuple[Arm, ...] = (
    _REAL,
    _CLASSICAL,
    _elastic("weak"),
    _elastic("medium"),
    _elastic("strong"),
    _POLICY,
    replace(
        _CLASSICAL,
        name="mixup",
        loader=mixup,
        loss=plain_loss,
        about="As “real + classical”, rows blended in pairs, and their labels with them.",
    ),
    replace(
        _CLASSICAL,
        name="CutMix",
        loader=cutmix,
        loss=plain_loss,
        about="As “real + classical”, boxes of one row pasted into another, labels in proportion.",
    ),
    LONGER,
    replace(
        _CLASSICAL,
        name="generator's time",
        steps=None,
        about="As “real + classical”, trained for the time that the generator took as well.",
    ),
    replace(
        _CLASSICAL,
        name="duplicates",
        loader=duplicated,
        about="As “both”, with copies of your rows in place of synthetic ones.",
    ),
    replace(
        _CLASSICAL,
        name="SMOTE",
        loader=interpolated,
        about="As “both”, with points between neighbouring rows in place of synthetic ones.",
    ),
    _OVERSAMPLING,
    _BALANCED,
    _BALANCED_POLICY,
    replace(
        _CLASSICAL,
        name="class weights",
        loss=weighted_loss,
        about="As “real + classical”, rows of rare classes counting more.",
        unequal=True,
    ),
    replace(
        _CLASSICAL,
        name="logit adjustment",
        loss=adjusted_loss,
        about="As “real + classical”, with a loss that allows for how frequent classes are.",
        unequal=True,
    ),
    replace(
        _CLASSICAL,
        name="mixup, re-weighted",
        loader=mixup,
        loss=deferred_loss,
        about="As “mixup”, rows of rare classes counting more over the last fifth of the steps.",
        unequal=True,
    ),
    _SYNTHETIC,
    _BOTH,
    replace(
        _BOTH,
        name="both, elastic",
        about="As “both”, then bent smoothly at random, medium.",
        augmentation="elastic medium",
    ),
    _BOTH_POLICY,
    replace(
        _BOTH,
        name="both, soft labels",
        loader=relabelled,
        loss=plain_loss,
        judged=True,
        about="As “both”, synthetic rows labelled by classifiers that were trained on your rows, in shares.",
    ),
    _BALANCED_BOTH,
)
"""Every arm: what a claim has to stand against."""


# ---------------------------------------------------------------------------------------------------- loaders


def _with_pool(parts: Ingredients, loader: DataLoader[Any], pool: Samples, seed: int) -> DataLoader[Any]:
    mix_seed = derive(seed, "arms", "mix")
    return mix_dataloader(loader, pool, ratio=parts.ratio, mode="replace", seed=mix_seed)


def _loader(
    parts: Ingredients, seed: int, *, sampler: Sampler[int] | None = None, blend: _Blend | None = None
) -> DataLoader[Any]:
    return DataLoader(
        _Rows(parts.rows, parts.labels),
        batch_size=parts.batch_size,
        shuffle=sampler is None,
        sampler=sampler,
        drop_last=True,
        generator=torch_rng(seed, "arms", "order"),
        collate_fn=_Collate(parts, blend, seed),
    )


class _Rows(Dataset[tuple[np.ndarray, int]]):
    """Raw rows with class positions."""

    def __init__(self, rows: np.ndarray, labels: np.ndarray) -> None:
        self.rows = rows
        self.targets = labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[np.ndarray, int]:
        return self.rows[row], int(self.targets[row])


class _Collate:
    """Raw pairs to an encoded batch: once per batch, real and synthetic rows alike.

    Batch number n is augmented with stream n: all arms of one seed draw the same changes.
    """

    def __init__(self, parts: Ingredients, blend: _Blend | None, seed: int) -> None:
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


def _pasted(X: torch.Tensor, soft: torch.Tensor, rng: np.random.Generator) -> _Batch:
    if rng.random() >= _CUTMIX_CHANCE:
        return X, soft
    partner, side = rng.permutation(len(X)), np.sqrt(rng.random())
    low, high = [], []
    for size in X.shape[2:]:
        centre, reach = rng.integers(size), round(side * size) // 2
        low.append(max(0, centre - reach))
        high.append(min(size, centre + reach))
    (top, left), (bottom, right) = low, high
    X = X.clone()
    X[:, :, top:bottom, left:right] = X[partner, :, top:bottom, left:right]
    share = (bottom - top) * (right - left) / (X.shape[2] * X.shape[3])
    return X, soft.lerp(soft[partner], share)


# ------------------------------------------------------------------------------- what stands in for the pool


def _pool_of(parts: Ingredients, rows: np.ndarray, labels: np.ndarray) -> Samples:
    names = np.array(parts.pool.classes)[labels]
    return replace(parts.pool, samples=rows, labels=labels, provenance={"class": names})


def _neighbour_pool(parts: Ingredients, seed: int) -> Samples:
    rng = numpy_rng(seed, "arms", "smote")
    rows, labels = [], []
    for label in np.unique(parts.labels):
        # All pairs of rows are measured: of larger classes a part must do.
        found = np.flatnonzero(parts.labels == label)
        own = parts.rows[rng.permutation(found)[:_NEIGHBOUR_ROWS]]
        count = int(np.sum(parts.pool.labels == label))
        first = rng.integers(len(own), size=count)
        second = _neighbours(own)[first, rng.integers(_NEIGHBOURS, size=count)]
        share = rng.random((count, *[1] * (own.ndim - 1)))
        between = own[first] + share * (own[second].astype(np.float64) - own[first])
        whole = np.issubdtype(own.dtype, np.integer)
        rows.append((np.rint(between) if whole else between).astype(own.dtype))
        labels.append(np.full(count, label))
    return _pool_of(parts, np.concatenate(rows), np.concatenate(labels))


def _neighbours(rows: np.ndarray) -> np.ndarray:
    """``(n, 5)`` positions of the nearest other rows, repeated where there are fewer; a lone row is its own."""
    flat = torch.from_numpy(rows.reshape(len(rows), -1).astype(np.float32))
    nearest = torch.cdist(flat, flat).fill_diagonal_(torch.inf).argsort(dim=1).numpy()
    return nearest[:, np.arange(_NEIGHBOURS) % max(1, len(rows) - 1)]


# ----------------------------------------------------------------------------------------------------- losses


def _class_weights(parts: Ingredients) -> torch.Tensor:
    counts = np.maximum(np.bincount(parts.labels, minlength=parts.n_classes), 1)
    return torch.from_numpy(len(parts.labels) / len(np.unique(parts.labels)) / counts).float()


def _weighted(
    weights: torch.Tensor, start: float, logits: torch.Tensor, labels: torch.Tensor, progress: float
) -> torch.Tensor:
    losses = cross_entropy(logits, labels, progress)
    if progress < start:
        return losses
    of_class = weights.to(logits.device)
    return losses * (of_class[labels] if labels.ndim == 1 else labels @ of_class)


def _adjusted(
    log_prior: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, progress: float
) -> torch.Tensor:
    return cross_entropy(logits + log_prior.to(logits.device), labels, progress)
