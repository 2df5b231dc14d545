"""albumentations, imported without asking the network, and its pipelines with random streams of their own.

Importing this module imports albumentations.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

os.environ.setdefault(
    "NO_ALBUMENTATIONS_UPDATE", "1"
)  # else importing it asks the network for newer versions

import albumentations as A

from synthaug.seeding import derive, numpy_rng

__all__ = ["A", "seed_transform"]


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
