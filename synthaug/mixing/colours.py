"""Whether real and synthetic pictures have red and blue the same way round: OpenCV reads BGR, everything else RGB."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthaug.errors import SynthaugWarning
from synthaug.mixing.probes import spread
from synthaug.modalities.arrays import as_array

MADE = 256
"""Synthetic rows that are looked at, at most."""

# Of photographs (CIFAR-10, clothes), 64 real rows beside 256 of the other order are told in 9 of 10 draws, and beside
# 256 of the same order, also pale or dark ones, in none of 200.
_BETTER = 4.0  # times, that swapped tints have to fit
_SURE = 2.0  # standard deviations of what squared tints are beside their errors where there are none
_VISIBLE = 0.02  # of the range of values


@dataclass(frozen=True)
class Tints:
    """How much redder than blue the pictures of each class are on average.

    Attributes:
        of: the tint of each class.
        error: mean of their squared standard errors.
        span: the range of all values.
    """

    of: Mapping[Hashable, float]
    error: float
    span: float

    @classmethod
    def seen(cls, images: Sequence[Any], labels: Sequence[Hashable]) -> Tints | None:
        """The tints of arrays, tensors or PIL images; None where they do not have three channels, or say too little."""
        arrays = [np.asarray(as_array(image)) for image in images]
        if not arrays or any(
            array.ndim != 3 or 3 not in (array.shape[0], array.shape[2]) for array in arrays
        ):
            return None
        span = float(max(array.max() for array in arrays)) - float(min(array.min() for array in arrays))
        in_bytes = all(array.dtype == np.uint8 for array in arrays)
        return cls.of_single(list(map(tint, arrays)), labels, 255.0 if in_bytes else span)

    @classmethod
    def of_single(cls, tints: Sequence[float], labels: Sequence[Hashable], span: float) -> Tints | None:
        """The same of the tints of single pictures, ``span`` their range of values."""
        classes: dict[Hashable, list[float]] = {}
        for one, label in zip(tints, labels, strict=True):
            classes.setdefault(label, []).append(one)
        free = len(tints) - len(classes)
        if free < 1:
            return None
        within = sum(float(np.var(own)) * len(own) for own in classes.values()) / free
        error = within * float(np.mean([1 / len(own) for own in classes.values()]))
        return cls({label: float(np.mean(own)) for label, own in classes.items()}, error, span)

    @property
    def says(self) -> bool:
        """Whether the pictures have a tint at all."""
        square = float(np.mean(np.square(list(self.of.values()))))
        by_chance = (1 + _SURE * (2 / len(self.of)) ** 0.5) * self.error
        return square > by_chance and square > (_VISIBLE * self.span) ** 2

    def reversed_in(self, other: Tints) -> bool:
        """Whether the other ones have the same tints with red and blue in each other's place."""
        both = [label for label in self.of if label in other.of]
        if not both or not self.says or not other.says:
            return False
        here, there = (np.array([tints.of[label] for label in both]) for tints in (self, other))
        return bool(np.square(here - there).mean() > _BETTER * np.square(here + there).mean())


def tints_of(rows: np.ndarray, labels: Sequence[Hashable], most: int) -> Tints | None:
    """The tints of some of these rows, ``(N, ...)``, evenly spread."""
    few = spread(np.arange(len(rows)), most).tolist()
    return Tints.seen([rows[row] for row in few], [labels[row] for row in few])


def tint(image: np.ndarray) -> float:
    """How much redder than blue one picture of three channels is on average, channels first or last."""
    ends = image[..., 0], image[..., 2]
    if image.shape[2] != 3:
        ends = image[0], image[2]
    red, blue = (float(end.mean(dtype=np.float64)) for end in ends)
    return red - blue


def warn_of_colours(real: Tints | None, made: Callable[[], Tints | None], stacklevel: int) -> None:
    """Warn where synthetic rows would be like real ones of their classes if red and blue changed places."""
    if real is None or not real.says:
        return
    synthetic = made()
    if synthetic is not None and real.reversed_in(synthetic):
        warnings.warn(
            "synthetic rows would be like the real rows of their classes if red and blue changed places: one of the "
            "two is BGR, as OpenCV reads pictures. Convert the real ones on reading, e.g. image[..., ::-1], or the "
            "synthetic ones with transform=",
            SynthaugWarning,
            stacklevel=stacklevel + 1,
        )
