"""What training rows say of a column: its bounds, the values that stand out, and where the others lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from synthaug.errors import InvalidData
from synthaug.modalities.table.columns import Column, Fit

# Knots of a column of numbers, and how many such columns are so wide a vector that each is scaled by a line instead. Of
# vectors that are no data frames columns are of one unit, unless they spread by very different amounts: none is
# stretched further than the median one. By its own deviation alone a column of an embedding that hardly varies in 20
# rows becomes as loud as any, and a linear learner then recognises 10 points less (frozen EfficientNet-Lite0, 2 clothes
# a class, three draws).
_KNOTS = 64
_WIDE = 64
# How many times as far as a column that varies little one that varies much spreads, at most, if both are of one unit;
# of that embedding 7 to 25 times.
_ALIKE = 100.0
# A column is all spikes with at most so many values, each of which is held by so many rows on average.
_FEW = 10
_ROWS_EACH = 5
# Otherwise a value is a spike that this share of the rows holds, and so many rows.
_SHARE = 0.05
_ROWS = 5
# Standard deviations from the mean at the ends of a line: a third of them is the position, unless values reach further.
_REACH = 3.0
_ROUNDING = 1e-9
_FURTHEST = 5.0


def fitted_columns(
    columns: Sequence[Column], cells: np.ndarray, *, one_unit: bool = False
) -> tuple[Column, ...]:
    """The columns with what training rows say of them.

    Args:
        columns: of the rows.
        cells: ``(D, N)`` float64, a column a row, NaN where missing.
        one_unit: whether all columns of a wide vector may be of one unit, as those of an embedding are.

    Raises:
        InvalidData: no rows, or a code that a column has no level for.
    """
    if not cells.shape[1]:
        raise InvalidData("There are no training rows to learn the columns from.")
    wide = len(columns) > _WIDE and all(column.kind in ("number", "integer") for column in columns)
    if not wide:
        return tuple(replace(c, fit=_fit_of(c, row)) for c, row in zip(columns, cells, strict=True))
    least = _median_deviation(cells) if one_unit else 0.0
    return tuple(replace(c, fit=_fit_of(c, row, least)) for c, row in zip(columns, cells, strict=True))


def _fit_of(column: Column, cells: np.ndarray, least: float | None = None) -> Fit:
    """What cells say of a column; of a wide vector's with the least deviation by which it is scaled."""
    known = cells[~np.isnan(cells)]
    missing = len(cells) - len(known)
    if column.codes is not None:
        if ((known < 0) | (known >= column.codes) | (known != np.rint(known))).any():
            raise InvalidData(
                f'Column "{column.name}" has {column.codes} levels; the rows hold codes beyond them. Make the '
                "rows with these columns."
            )
        counts = np.bincount(known.astype(np.int64), minlength=column.codes)
        return Fit(counts=tuple(counts.tolist()), missing=missing)
    if not len(known):
        return Fit(missing=missing)
    values, counts = np.unique(known + 0.0, return_counts=True)
    fractions = bool(least) and bool((values != np.rint(values)).any())
    spiked = _spiked_inside(counts) if fractions else _spiked(counts)
    rest = np.repeat(values[~spiked], counts[~spiked])
    at, places = _quantiles(rest, _KNOTS) if least is None else _line(rest, least)
    return Fit(
        counts=tuple(counts[spiked].tolist()),
        missing=missing,
        low=float(values[0]),
        high=float(values[-1]),
        spikes=tuple(values[spiked].tolist()),
        knots=tuple(at.tolist()),
        places=tuple(places.tolist()),
    )


def _spiked(counts: np.ndarray) -> np.ndarray:
    """Which of the values with these counts are levels of their own: all but at least two others, or all."""
    rows = counts.sum()
    if len(counts) == 1 or (len(counts) <= _FEW and len(counts) * _ROWS_EACH <= rows):
        return np.ones(len(counts), bool)
    spiked: np.ndarray = counts >= max(_ROWS, _SHARE * rows)
    return spiked if (~spiked).sum() > 1 else np.ones(len(counts), bool)


def _spiked_inside(counts: np.ndarray) -> np.ndarray:
    """The same of a column of a vector of one unit, of fractions: samples come to its ends, such as 0, by themselves.

    A number that is drawn beyond what training rows have is brought back to it; so an end needs no level of its own,
    which a learner would have to hear beside the number.
    """
    if len(counts) == 1 or (len(counts) <= _FEW and counts.min() >= _ROWS_EACH):
        return np.ones(len(counts), bool)
    spiked: np.ndarray = counts >= max(_ROWS, _SHARE * counts.sum())
    spiked[[0, -1]] = False
    return spiked


def _median_deviation(cells: np.ndarray) -> float:
    """The median standard deviation of the columns that vary; 0 where none does, or they are of several units."""
    known = np.isfinite(cells)
    n = known.sum(axis=1).clip(1)
    means = np.where(known, cells, 0.0).sum(axis=1) / n
    deviations = np.sqrt((np.where(known, cells - means[:, None], 0.0) ** 2).sum(axis=1) / n)
    varying = deviations[deviations > _ROUNDING * np.abs(means)]
    if not len(varying):
        return 0.0
    little, middle, much = np.quantile(varying, (0.05, 0.5, 0.95))
    return float(middle) if much <= _ALIKE * little else 0.0


def _quantiles(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Knots at evenly spaced normal quantiles of ascending values, the ends at their extremes, and their places.

    Knots of one value become one, in the middle of their places.
    """
    from scipy.special import ndtr

    if not len(values):
        return values, values
    scores = np.linspace(-3.0, 3.0, min(most, len(values)))
    shares = ndtr(scores)
    shares[0], shares[-1] = 0.0, 1.0
    knots = np.interp(shares * (len(values) - 1), np.arange(len(values)), values)
    knots, group, sizes = np.unique(np.maximum.accumulate(knots), return_inverse=True, return_counts=True)
    return knots, np.bincount(group, weights=scores / 3.0) / sizes


def _line(values: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Two knots about the mean, three standard deviations away or as far as values reach, but at most five.

    A deviation below ``least`` is taken for that.
    """
    if not len(values):
        return values, values
    mean, deviation = values.mean(), max(values.std(), least)
    furthest = np.abs(values - mean).max()
    reach = np.clip(furthest, _REACH * deviation, max(_FURTHEST, _REACH) * deviation)
    knots = np.array([mean - reach, mean + reach])
    if not (
        knots[0] < knots[1] and reach > 0
    ):  # so near to each other that the deviation is rounded to nothing
        knots = values[[0, -1]]
    return knots, np.array([-1.0, 1.0])
