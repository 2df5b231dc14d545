"""What must hold before real and synthetic rows are mixed, whatever holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from synthaug.data.classes import Label, as_array
from synthaug.errors import InvalidRequest, Leakage, SpecMismatch, did_you_mean
from synthaug.generators.samples import Samples
from synthaug.mixing.schedule import Ratio, Schedule, Share

PROBES = 64
"""Rows that are looked at to compare real and synthetic ones."""

_READ_WHOLE = 20_000  # rows that are all compared with the held-out ones
_SPREAD = 512  # of more rows than that
_FAR = 0.35  # of the wider value range: [0, 1] is far from [-1, 1], a paler picture is not


def spread(rows: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` of ``rows``, evenly spread.

    >>> spread(np.arange(10), 3)
    array([0, 4, 9])
    """
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def class_positions(
    labels: Sequence[Label], values: Sequence[Label | None], classes: Sequence[str]
) -> tuple[np.ndarray, list[str]]:
    """``(N,)`` int64, the class of each label by its position in ``values``, and the names of the classes.

    ``classes`` are the names beside ``values``. Labels that are no value (1 is not True) get positions and
    names after these.

    >>> class_positions(["dog", "cow"], ["cat", "dog"], ["cat", "dog"])
    (array([1, 2]), ['cat', 'dog', 'cow'])
    """
    names = list(classes)
    known = {(type(value), value): k for k, value in enumerate(values) if value is not None}
    positions = np.empty(len(labels), np.int64)
    for row, label in enumerate(labels):
        place = known.setdefault((type(label), label), len(names))
        if place == len(names):
            names.append(str(label))
        positions[row] = place
    return positions, names


def shares_by_class(
    ratio: Ratio, names: Sequence[str], values: Sequence[Label | None]
) -> Share | dict[int, Share]:
    """Shares of classes by their numbers, where they are given by name or by label.

    Raises:
        InvalidRequest: a class that is none.

    >>> shares_by_class({"dog": 0.5}, ["cat", "dog"], [7, 8])
    {1: 0.5}
    """
    if not isinstance(ratio, Mapping):
        return ratio
    shares: dict[int, Share] = {}
    for key, share in ratio.items():
        label = key.item() if isinstance(key, np.generic) else key
        known = [k for k, value in enumerate(values) if type(value) is type(label) and value == label]
        known = [k for k, name in enumerate(names) if name == label] or known
        if not known:
            raise InvalidRequest(f"ratio= names the class {key!r}.{did_you_mean(str(key), names)}")
        shares[known[0]] = share
    return shares


def refuse_schedule(ratio: Ratio, why: str) -> None:
    """Refuse shares that change while training goes on.

    Raises:
        InvalidRequest: one does; ``why`` says what stands against it and what to do.
    """
    for share in ratio.values() if isinstance(ratio, Mapping) else [ratio]:
        if isinstance(share, Schedule) and share.start != share.end:
            raise InvalidRequest(
                f"a share that goes from {share.start:g} to {share.end:g} was asked for, but {why}"
            )


def refuse_held_out(
    rows: np.ndarray, fingerprints: Callable[[np.ndarray], np.ndarray], samples: Samples, where: str
) -> None:
    """Refuse rows that were kept from the generator for testing.

    Args:
        rows: row numbers; all are looked at up to 20,000, else 512 spread over them.
        fingerprints: gives the uint64 fingerprints of some of them.
        samples: know the fingerprints of the held-out rows.
        where: what to call the rows' data set in the message.

    Raises:
        Leakage: if there is one among them.
    """
    if not len(samples.held_out):
        return
    seen = rows if len(rows) <= _READ_WHOLE else spread(rows, _SPREAD)
    leaked = seen[np.isin(fingerprints(seen), samples.held_out)]
    if len(leaked):
        raise Leakage(
            f"{len(leaked)} of the {len(seen)} rows looked at in {where} are held out from the generator for "
            f"testing (the first is row {leaked[0]}): mix training rows only"
        )


@dataclass(frozen=True)
class Look:
    """What can be seen of some images without judging them.

    Attributes:
        kinds: container and dtype.
        shapes: array shapes.
        span: least and largest value.
        declared: the span that their makers declare; ``span`` where they do not.
    """

    kinds: frozenset[str]
    shapes: frozenset[tuple[int, ...]]
    span: tuple[float, float]
    declared: tuple[float, float]

    @classmethod
    def of(cls, images: Sequence[Any], ends: Sequence[Any] = ()) -> Look:
        """The look of arrays, tensors or PIL images; ``ends`` are images of the declared ends."""
        arrays = [_pixels(image) for image in images]
        kinds = {f"{_container(i)} of {a.dtype}" for i, a in zip(images, arrays, strict=True)}
        span = _span(arrays)
        declared = _span([_pixels(image) for image in ends]) if ends else span
        return cls(frozenset(kinds), frozenset(array.shape for array in arrays), span, declared)

    def fits(self, real: Look) -> bool:
        """Whether images that look like this can stand among real ones."""
        if self.kinds != real.kinds:
            return False
        if self.shapes != real.shapes:
            # Random crops differ from row to row.
            ranks = {len(shape) for shape in real.shapes}
            if len(real.shapes) == 1 or ranks != {len(shape) for shape in self.shapes}:
                return False
        # uint8 says its range. Elsewhere a young generator may use little of its range, and a few rows of
        # data with heavy tails little of theirs: one of the two has to be near.
        in_bytes = all(kind.endswith("of uint8") for kind in self.kinds)
        return in_bytes or _near(self.span, real.span) or _near(self.declared, real.span)

    def __str__(self) -> str:
        shapes = " or ".join("x".join(map(str, shape)) for shape in sorted(self.shapes)[:3])
        return f"{' or '.join(sorted(self.kinds))}, {shapes}, values {self.span[0]:.4g} to {self.span[1]:.4g}"


def mismatch(real: Look, synthetic: str, remedy: str) -> SpecMismatch:
    """The error that prints both looks."""
    return SpecMismatch(f"real and synthetic images differ. Real: {real}. Synthetic: {synthetic}. {remedy}")


def _pixels(image: Any) -> np.ndarray:
    return np.asarray(as_array(image))


def _container(image: Any) -> str:
    return (
        "PIL image" if isinstance(image, Image.Image) else "array" if image is as_array(image) else "tensor"
    )


def _span(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    return min(float(a.min()) for a in arrays), max(float(a.max()) for a in arrays)


def _near(a: tuple[float, float], b: tuple[float, float]) -> bool:
    most = _FAR * max(a[1] - a[0], b[1] - b[0])
    return abs(a[0] - b[0]) <= most and abs(a[1] - b[1]) <= most
