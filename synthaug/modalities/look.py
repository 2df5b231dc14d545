"""What can be seen of some rows without judging them, so that real and synthetic ones can be held side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from synthaug.errors import SpecMismatch
from synthaug.modalities.arrays import as_array

_FAR = 0.35  # of the wider value range: [0, 1] is far from [-1, 1], a paler picture is not
# A column of vectors that varies so many times as widely is of another scale: standardised, or in another unit.
_APART = 5.0
_ENOUGH = 16  # vectors to say how widely they vary


@dataclass(frozen=True)
class Look:
    """What some images look like.

    Attributes:
        kinds: container and dtype.
        shapes: array shapes.
        span: least and largest value.
        declared: the span that their makers declare; ``span`` where they do not.
        columns: of vectors, how widely each column varies; None of other rows.
    """

    kinds: frozenset[str]
    shapes: frozenset[tuple[int, ...]]
    span: tuple[float, float]
    declared: tuple[float, float]
    columns: tuple[float, ...] | None = None

    @classmethod
    def of(cls, images: Sequence[Any], ends: Sequence[Any] = ()) -> Look:
        """The look of arrays, tensors or PIL images; ``ends`` are images of the declared ends."""
        arrays = [_pixels(image) for image in images]
        kinds = {f"{_container(i)} of {a.dtype}" for i, a in zip(images, arrays, strict=True)}
        span = _span(arrays)
        told = [_pixels(image) for image in ends]
        declared, shapes = _span(told) if told else span, frozenset(array.shape for array in arrays)
        vectors = len(shapes) == 1 and len(next(iter(shapes))) == 1
        columns = _columns(arrays) if vectors else None
        return cls(frozenset(kinds), shapes, span, declared, columns)

    def fits(self, real: Look) -> bool:
        """Whether images that look like this can stand among real ones."""
        if self.kinds != real.kinds:
            return False
        if self.shapes != real.shapes:
            # Random crops differ from row to row.
            ranks = {len(shape) for shape in real.shapes}
            if len(real.shapes) == 1 or ranks != {len(shape) for shape in self.shapes}:
                return False
        if self.columns is not None and real.columns is not None:
            return _of_one_scale(self.columns, real.columns)
        # uint8 says its range. Elsewhere a young generator may use little of its range, and a few rows of
        # data with heavy tails little of theirs: one of the two has to be near.
        in_bytes = all(kind.endswith("of uint8") for kind in self.kinds)
        if in_bytes:  # but 0 and 1 in bytes are not what 0 and 255 are
            return (real.span[1] == 1) == (self.span[1] == 1) or self.span[1] == 0 or real.span[1] == 0
        return _near(self.span, real.span) or _near(self.declared, real.span)

    def require_fit(self, real: Look, remedy: str) -> None:
        """Refuse images that look like this where real ones look like that.

        Raises:
            SpecMismatch: with both looks and the remedy.
        """
        if not self.fits(real):
            raise mismatch(real, str(self), remedy)

    def __str__(self) -> str:
        shapes = " or ".join("x".join(map(str, shape)) for shape in sorted(self.shapes)[:3])
        return f"{' or '.join(sorted(self.kinds))}, {shapes}, values {self.span[0]:.4g} to {self.span[1]:.4g}"


def mismatch(real: Any, synthetic: str, remedy: str) -> SpecMismatch:
    """The error that prints both sides."""
    return SpecMismatch(f"real and synthetic rows differ. Real: {real}. Synthetic: {synthetic}. {remedy}")


def _pixels(image: Any) -> np.ndarray:
    return np.asarray(as_array(image))


def _container(image: Any) -> str:
    return (
        "PIL image" if isinstance(image, Image.Image) else "array" if image is as_array(image) else "tensor"
    )


def _span(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    known = [_known(array) for array in arrays]
    return min(float(a.min()) for a in known), max(float(a.max()) for a in known)


def _known(array: np.ndarray) -> np.ndarray:
    """The values that are not missing; a zero where all are."""
    if array.dtype.kind != "f" or not np.isnan(array).any():
        return array
    known = array[~np.isnan(array)]
    return known if known.size else np.zeros(1)


def _columns(vectors: Sequence[np.ndarray]) -> tuple[float, ...]:
    """The standard deviation of each column, which two classes move less than a median does; 0 of too few rows."""
    if len(vectors) < _ENOUGH:
        return (0.0,) * len(vectors[0])
    known = [_known(column.astype(np.float64)) for column in np.stack(vectors).T]
    return tuple(float(column.std()) for column in known)


def _of_one_scale(made: tuple[float, ...], real: tuple[float, ...]) -> bool:
    """Whether at least half of the columns that vary in both vary as widely, within a factor."""
    ours, theirs = np.array(made), np.array(real)
    varied = (ours > 0) & (theirs > 0)
    ratio = theirs[varied] / ours[varied]
    return bool(not varied.any() or ((ratio < _APART) & (ratio > 1 / _APART)).mean() >= 0.5)


def _near(a: tuple[float, float], b: tuple[float, float]) -> bool:
    most = _FAR * max(a[1] - a[0], b[1] - b[0])
    return abs(a[0] - b[0]) <= most and abs(a[1] - b[1]) <= most
