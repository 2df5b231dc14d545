"""albumentations, imported without asking the network, and its pipelines with random streams of their own.

Importing this module imports albumentations.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

os.environ.setdefault(
    "NO_ALBUMENTATIONS_UPDATE", "1"
)  # else importing it asks the network for newer versions

import albumentations as A

from synthaug.seeding import derive, numpy_rng

__all__ = ["A", "FromUnit", "Streamed", "ToUnit", "seed_transform"]


class Streamed(A.Compose):  # type: ignore[misc]
    """An `A.Compose` that draws anew in every worker, epoch and rank of a loader, without a ``worker_init_fn``.

    A plain `A.Compose` repeats in all workers the stream that it had in the main process. Here the streams follow from
    ``stream`` and from torch's seed, which a loader sets apart in each worker and pass: equal seeds and as many workers
    give equal images. It goes through `A.to_dict`, `A.from_dict`, `A.save`, `A.load` (after
    ``import synthaug.mixing.albumentations``) and pickle.

    Args:
        transforms: as of `A.Compose`.
        stream: keeps pipelines apart that are seeded alike.
        more: as of `A.Compose`.
    """

    def __init__(self, transforms: Any, stream: int = 0, **more: Any) -> None:
        super().__init__(transforms, **more)
        self.stream = stream
        self._seeded: tuple[int, str] | None = None
        self._rank = ""  # of the process that workers come from, which do not know it themselves

    def __call__(self, *args: Any, force_apply: bool = False, **data: Any) -> dict[str, Any]:
        """The inputs by name, changed."""
        due = torch.initial_seed(), _rank() or self._rank
        if due != self._seeded:
            seed_transform(self, derive(self.stream, "stream", *due))
            self._seeded = due
        if isinstance(image := data.get("image"), np.ndarray):
            data["image"] = image.copy()  # some transforms work in place, and it is a row of the user's
        changed: dict[str, Any] = super().__call__(*args, force_apply=force_apply, **data)
        return changed

    def __getstate__(self) -> dict[str, Any]:
        """With the rank of the process that a worker is started from."""
        return {**vars(self), "_rank": _rank() or self._rank}

    def to_dict_private(self) -> dict[str, Any]:
        """Plain data, as `A.to_dict` asks for it."""
        return {**super().to_dict_private(), "stream": self.stream}


def _rank() -> str:
    """The rank of this process among those that train together; empty where it is not known here, or not yet."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return str(torch.distributed.get_rank())
    return os.environ.get("RANK", "")


class ToUnit(A.ImageOnlyTransform):  # type: ignore[misc]
    """An image whose values span ``low`` to ``high`` as float32 in [0, 1], as other transforms take it.

    Args:
        low, high: the ends of the range.
        p: probability.

    Targets:
        image: of any numbers.
    """

    class InitSchema(A.BasicTransform.InitSchema):  # type: ignore[misc]  # noqa: D106
        low: float
        high: float

    def __init__(self, low: float, high: float, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.low, self.high = low, high

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        """The image in [0, 1]."""
        unit = (img.astype(np.float32) - self.low) / (self.high - self.low)
        return np.ascontiguousarray(unit.clip(0.0, 1.0), np.float32)


class FromUnit(A.ImageOnlyTransform):  # type: ignore[misc]
    """The way back from `ToUnit`.

    Args:
        low, high: the ends of the range.
        dtype: of the values; whole ones are rounded.
        p: probability.

    Targets:
        image: float32.
    """

    class InitSchema(A.BasicTransform.InitSchema):  # type: ignore[misc]  # noqa: D106
        low: float
        high: float
        dtype: str

    def __init__(self, low: float, high: float, dtype: str, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.low, self.high, self.dtype = low, high, dtype

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        """The image in the range that it came from."""
        values = img.astype(np.float64).clip(0.0, 1.0) * (self.high - self.low) + self.low
        return np.ascontiguousarray(
            np.rint(values) if np.dtype(self.dtype).kind in "iu" else values, self.dtype
        )


def seed_transform(transform: Any, seed: int) -> Any:
    """The same pipeline, each of its transforms with a random stream of its own; it is changed in place.

    `A.Compose(..., seed=seed)` of albumentations 2.0.8 gives all transforms the same stream, so that a
    horizontal and a vertical flip with probability 0.5 happen always together.

    Args:
        transform: an `A.Compose` or another container, nested or not, or a single transform.
        seed: equal pipelines with equal seeds change equal images alike.

    Example:
        >>> flips = seed_transform(A.Compose([A.HorizontalFlip(), A.VerticalFlip()]), seed=0)
        >>> import numpy as np
        >>> corners = np.arange(4, dtype=np.uint8).reshape(2, 2)
        >>> sorted({int(flips(image=corners)["image"][0, 0]) for _ in range(50)})
        [0, 1, 2, 3]
    """
    for kind, numbered in (("leaf", _leaves(transform)), ("container", _containers(transform))):
        # The streams of leaves go by their number alone, those of containers apart from them.
        path = ("augment",) if kind == "leaf" else ("augment", kind)
        for number, part in enumerate(numbered):
            # A container's own setter would hand its stream to all that it contains.
            part.random_generator = numpy_rng(seed, *path, number)
            part.py_random = random.Random(derive(seed, *path, number, "python"))
    return transform


def _leaves(transform: Any) -> Iterator[Any]:
    if not isinstance(transform, A.BaseCompose):
        yield transform
        return
    for part in transform:
        yield from _leaves(part)


def _containers(transform: Any) -> Iterator[Any]:
    if isinstance(transform, A.BaseCompose):
        yield transform
        for part in transform:
            yield from _containers(part)
