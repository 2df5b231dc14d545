"""Shares of synthetic rows that change while training goes on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np

from synthaug.errors import InvalidRequest

Unit = Literal["epochs", "steps"]

USUAL_SHARE = 0.25
"""The share of synthetic rows where nothing says another."""


@dataclass(frozen=True)
class Schedule:
    """A share as a function of the epoch or of the step (the number of the batch, over all epochs).

    Made by `constant`, `linear`, `cosine` and `off_after`.

    Attributes:
        start: the share at time 0, in [0, 1).
        end: the share from time ``over`` on, in [0, 1).
        over: epochs or steps, at least 1.
        unit: what ``over`` counts.
        curve: how the share goes from start to end.
    """

    start: float
    end: float
    over: int
    unit: Unit
    curve: Literal["linear", "cosine", "jump"]

    def at(self, epoch: int, step: int) -> float:
        """The share at this epoch and this step, both counted from 0."""
        done = min((epoch if self.unit == "epochs" else step) / self.over, 1.0)
        if self.curve == "jump":
            done = math.floor(done)
        elif self.curve == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return self.start + (self.end - self.start) * done

    @property
    def most(self) -> float:
        """The largest share that it reaches."""
        return max(self.start, self.end)


Share: TypeAlias = float | Schedule
"""A share of synthetic rows, fixed or changing."""

Ratio: TypeAlias = Share | Mapping[Any, Share]
"""The same share in every class, or one for each class by name or label; classes left out have 0."""


def constant(share: float) -> Schedule:
    """The same share all the time.

    >>> constant(0.25).at(epoch=7, step=0)
    0.25
    """
    return _schedule(share, share, 1, None, "linear")


def linear(start: float, end: float, *, epochs: int | None = None, steps: int | None = None) -> Schedule:
    """From ``start`` to ``end`` in a straight line over so many epochs or steps, then ``end``.

    >>> [linear(0.5, 0.0, epochs=2).at(epoch, step=0) for epoch in range(4)]
    [0.5, 0.25, 0.0, 0.0]

    Raises:
        InvalidRequest: a share outside [0, 1), or not exactly one of ``epochs`` and ``steps``.
    """
    return _schedule(start, end, epochs, steps, "linear")


def cosine(start: float, end: float, *, epochs: int | None = None, steps: int | None = None) -> Schedule:
    """From ``start`` to ``end`` along half a cosine over so many epochs or steps, then ``end``.

    >>> [round(cosine(0.5, 0.0, steps=4).at(0, step), 3) for step in range(5)]
    [0.5, 0.427, 0.25, 0.073, 0.0]

    Raises:
        InvalidRequest: as `linear`.
    """
    return _schedule(start, end, epochs, steps, "cosine")


def off_after(share: float, *, epochs: int | None = None, steps: int | None = None) -> Schedule:
    """``share`` for so many epochs or steps, then none: the end of training sees real rows only.

    >>> [off_after(0.25, epochs=2).at(epoch, step=0) for epoch in range(3)]
    [0.25, 0.25, 0.0]

    Raises:
        InvalidRequest: as `linear`.
    """
    return _schedule(share, 0.0, epochs, steps, "jump")


def check_share(share: Any) -> float:
    """A share as a plain number, whatever kind of number it is.

    >>> check_share(np.float32(0.25))
    0.25

    Raises:
        InvalidRequest: no number, or one outside [0, 1).
    """
    number: Any = float(share) if isinstance(share, Fraction) else share
    if getattr(share, "shape", None) == ():
        number = np.asarray(share)[()]
        # as it is written: 0.29 in 32 bits is 0.29
        number = float(str(number)) if number.dtype.kind == "f" else number.item()
    if not isinstance(number, int | float) or not 0 <= number < 1:
        asked = number if isinstance(number, int | float) else repr(share)
        raise InvalidRequest(
            f"ratio {asked} was asked for. It is synthetic / (real + synthetic), at least 0 and below 1: "
            "0.25 makes every fourth row synthetic. Shares of single classes are given as a mapping, "
            'ratio={"cat": 0.5, "dog": 0.25}; totals of rows are what expand takes, to={"cat": 100}.'
        )
    return number


def plain_ratio(ratio: Any) -> Ratio:
    """A ratio in plain numbers; schedules stay.

    Raises:
        InvalidRequest: no share, or one outside [0, 1).
    """
    if isinstance(ratio, Mapping):
        return {name: _plain(share) for name, share in ratio.items()}
    return _plain(ratio)


def _plain(share: Any) -> Share:
    if isinstance(share, Schedule):
        check_share(share.most)
        return share
    return check_share(share)


def _schedule(
    start: float,
    end: float,
    epochs: int | None,
    steps: int | None,
    curve: Literal["linear", "cosine", "jump"],
) -> Schedule:
    start, end = check_share(start), check_share(end)
    over = epochs if steps is None else steps
    if over is None or (epochs is not None and steps is not None) or over < 1:
        raise InvalidRequest(
            f"epochs={epochs} and steps={steps} were given to a schedule; it lasts one of them, at least 1"
        )
    return Schedule(float(start), float(end), over, "epochs" if steps is None else "steps", curve)
