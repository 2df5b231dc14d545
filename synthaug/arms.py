"""The arms of an evaluation: each is one function from the training rows and a seed to a loader.

All loaders of one seed go through the real rows in the same order, so that arms can be compared pair by pair.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, WeightedRandomSampler

from synthaug.data.labeled import LabeledData
from synthaug.mixing.dataloader import mix_dataloader
from synthaug.samples import Samples
from synthaug.seeding import derive, numpy_rng, torch_rng

Encode: TypeAlias = Callable[[np.ndarray], torch.Tensor]
"""Raw rows to what classifiers take: for images ``(N, C, H, W)`` float32 in [-1, 1]."""

Augment: TypeAlias = Callable[[torch.Tensor, int], torch.Tensor]
"""``augment(batch, seed)``: an encoded batch, changed at random, as a function of the batch and the seed."""

_FLIP_TRIAL_ROWS = 1000


@dataclass(frozen=True)
class Ingredients:
    """What arms make loaders of.

    Attributes:
        rows: ``(N, ...)`` raw real training rows.
        labels: ``(N,)`` int64 class positions.
        pool: synthetic rows whose labels are class positions too.
        encode: applied to every batch.
        augment: classical augmentation of an encoded batch; None where the data has none.
        ratio: share of synthetic rows in the arms that have them.
        batch_size: rows per batch, the same in every arm.
    """

    rows: np.ndarray
    labels: np.ndarray
    pool: Samples
    encode: Encode
    augment: Augment | None
    ratio: float
    batch_size: int

    @classmethod
    def of(
        cls,
        train: LabeledData,
        pool: Samples,
        encode: Encode,
        augment: Augment | None,
        *,
        ratio: float,
        batch_size: int,
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
        return cls(train.read(), train.labels, positions, encode, augment, ratio, size)


@dataclass(frozen=True)
class Arm:
    """One way to prepare training rows.

    Attributes:
        name: its short name in results.
        loader: makes a loader of encoded batches ``(X, y)`` from the ingredients and a seed.
        synthetic: whether its batches hold synthetic rows.
        augments: whether it needs a classical augmentation.
        about: what it does, for the report.
    """

    name: str
    loader: Callable[[Ingredients, int], DataLoader[Any]]
    synthetic: bool
    augments: bool
    about: str


def real(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """The real rows as they are, shuffled."""
    return _loader(parts, seed, augment=None)


def classical(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """The real rows, shuffled and changed by classical augmentation."""
    return _loader(parts, seed, augment=parts.augment)


def oversampled(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """The real rows, drawn with replacement so that classes are equally frequent."""
    weights = 1.0 / np.bincount(parts.labels)[parts.labels]
    rng = torch_rng(seed, "arms", "oversampling")
    sampler = WeightedRandomSampler(weights.tolist(), len(weights), generator=rng)
    return _loader(parts, seed, augment=None, sampler=sampler)


def synthetic(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """The real rows, the given share of them replaced by synthetic rows of their own class."""
    return _mixed(parts, real(parts, seed), seed)


def both(parts: Ingredients, seed: int) -> DataLoader[Any]:
    """Real and synthetic rows, all changed by classical augmentation."""
    return _mixed(parts, classical(parts, seed), seed)


ARMS: tuple[Arm, ...] = (
    Arm("real", real, False, False, "Your rows as they are."),
    Arm(
        "real + classical", classical, False, True, "Your rows, shifted, turned, scaled or erased at random."
    ),
    Arm("oversampling", oversampled, False, False, "Your rows, drawn so that classes are equally frequent."),
    Arm("real + synthetic", synthetic, True, False, "A share of your rows replaced by synthetic ones."),
    Arm("both", both, True, True, "Real and synthetic rows, all shifted, turned, scaled or erased."),
)


class ClassicalAugmentation:
    """What a practitioner would apply to small images: an affine change, light erasing, flips where valid.

    A function of the batch and the seed, as `Augment` asks. Rotation up to 10 degrees, scale within 10 % and
    shift within 6 % of the side, border pixels repeated; in a tenth of the images 2 to 15 % of the
    area erased.

    Args:
        flip: whether half of the images are mirrored left to right.
    """

    @classmethod
    def fit(cls, images: torch.Tensor, labels: np.ndarray) -> ClassicalAugmentation:
        """The augmentation for these training images, with flips if `mirror_is_valid`."""
        return cls(flip=mirror_is_valid(images, labels))

    def __init__(self, flip: bool) -> None:
        self.flip = flip
        self._pipeline: Any = None

    def __call__(self, images: torch.Tensor, seed: int) -> torch.Tensor:
        """``(N, C, H, W)`` float32 images in [-1, 1], augmented; the input stays."""
        from synthaug.mixing.albumentations import seed_transform  # imports albumentations

        if self._pipeline is None:
            self._pipeline = _pipeline(self.flip)
        seed_transform(self._pipeline, seed)
        # Its float images lie in [0, 1], channels last.
        raw = np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1)) * 0.5 + 0.5
        changed = np.stack([self._pipeline(image=image)["image"] for image in raw])
        return torch.from_numpy(np.ascontiguousarray(changed.transpose(0, 3, 1, 2)) * 2 - 1)

    def __getstate__(self) -> dict[str, Any]:
        return {"flip": self.flip, "_pipeline": None}


def mirror_is_valid(images: torch.Tensor, labels: np.ndarray) -> bool:
    """Whether rows mirrored left to right still look like their own class.

    True unless the nearest other row of a mirrored row has its class clearly less often (two standard errors)
    than that of the row itself. So photographs are mirrored, digits and letters are not.

    Args:
        images: ``(N, C, H, W)`` float32 training images; at most 1000 of them are looked at.
        labels: ``(N,)`` integer labels.
    """
    chosen = numpy_rng(0, "arms", "mirror").permutation(len(images))[:_FLIP_TRIAL_ROWS]
    rows, own = images[chosen], labels[chosen]
    plain = own[_nearest_other(rows, rows)] == own
    mirrored = own[_nearest_other(rows.flip(-1), rows)] == own
    error = np.sqrt((plain.var() + mirrored.var()) / len(own))
    return bool(plain.mean() - mirrored.mean() <= 2 * error)


def _nearest_other(queries: torch.Tensor, rows: torch.Tensor) -> np.ndarray:
    """For query i the nearest of all rows but row i."""
    distances = torch.cdist(queries.flatten(1), rows.flatten(1))
    return distances.fill_diagonal_(torch.inf).argmin(dim=1).numpy()


def _pipeline(flip: bool) -> Any:
    import albumentations as A
    import cv2

    # Strong enough for digits, mild enough for clothes: 15 degrees, 12 % and 9 % cost the latter 3 points.
    affine = A.Affine(
        scale=(0.9, 1.1),
        translate_percent=(-0.06, 0.06),
        rotate=(-10, 10),
        border_mode=cv2.BORDER_REPLICATE,
        p=1.0,
    )
    erasing = A.Erasing(scale=(0.02, 0.15), p=0.1)
    return A.Compose([*([A.HorizontalFlip(p=0.5)] if flip else []), affine, erasing])


def _mixed(parts: Ingredients, loader: DataLoader[Any], seed: int) -> DataLoader[Any]:
    mix_seed = derive(seed, "arms", "mix")
    return mix_dataloader(loader, parts.pool, ratio=parts.ratio, mode="replace", seed=mix_seed)


def _loader(
    parts: Ingredients, seed: int, *, augment: Augment | None, sampler: Sampler[int] | None = None
) -> DataLoader[Any]:
    return DataLoader(
        _Rows(parts.rows, parts.labels),
        batch_size=parts.batch_size,
        shuffle=sampler is None,
        sampler=sampler,
        drop_last=True,
        generator=torch_rng(seed, "arms", "order"),
        collate_fn=_Collate(parts.encode, augment, derive(seed, "arms", "augment")),
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

    def __init__(self, encode: Encode, augment: Augment | None, seed: int) -> None:
        self._encode, self._augment, self._seed = encode, augment, seed
        self._batch = 0

    def __call__(self, pairs: Sequence[tuple[np.ndarray, int]]) -> tuple[torch.Tensor, torch.Tensor]:
        batch = self._encode(np.stack([row for row, _ in pairs]))
        if self._augment is not None:
            batch = self._augment(batch, derive(self._seed, self._batch))
        self._batch += 1
        return batch, torch.tensor([label for _, label in pairs], dtype=torch.int64)
