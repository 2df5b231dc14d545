"""What training rows say of a column: its bounds, the values that stand out, and where the others lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from synthaug.errors import InvalidData
from synthaug.modalities.table.columns import Column, Fit

# Knots of a column of numbers, and how many such columns are so wide a vector that each is scaled by a line instead.
_KNOTS = 64
_WIDE = 64
# A column is all spikes with at most so many values, each of which is held by so many rows on average.
_FEW = 10
_ROWS_EACH = 5
# Otherwise a value is a spike that this share of the rows holds, and so many rows.
_SHARE = 0.05
_ROWS = 5
# Standard deviations from the mean at the ends of a line: a third of them is the position, unless values reach further.
_REACH = 3.0
_FURTHEST = 5.0


def fitted_columns(columns: Sequence[Column], cells: np.ndarray) -> tuple[Column, ...]:
    """The columns with what training rows say of them.

    Args:
        columns: of the rows.
        cells: ``(D, N)`` float64, a column a row, NaN where missing.

    Raises:
        InvalidData: no rows, or a code that a column has no level for.
    """
    if not cells.shape[1]:
        raise InvalidData("There are no training rows to learn the columns from.")
    wide = len(columns) > _WIDE and all(column.kind in ("number", "integer") for column in columns)
    knots = 2 if wide else _KNOTS
    return tuple(replace(c, fit=_fit_of(c, row, knots)) for c, row in zip(columns, cells, strict=True))


def _fit_of(column: Column, cells: np.ndarray, knots: int) -> Fit:
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
    spiked = _spiked(counts)
    rest = np.repeat(values[~spiked], counts[~spiked])
    at, places = _line(rest) if knots == 2 else _quantiles(rest, knots)
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


def _line(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two knots about the mean, three standard deviations away or as far as values reach, but at most five."""
    if not len(values):
        return values, values
    mean, deviation = values.mean(), values.std()
    furthest = np.abs(values - mean).max()
    reach = np.clip(furthest, _REACH * deviation, max(_FURTHEST, _REACH) * deviation)
    knots = np.array([mean - reach, mean + reach])
    if not (
        knots[0] < knots[1] and reach > 0
    ):  # so near to each other that the deviation is rounded to nothing
        knots = values[[0, -1]]
    return knots, np.array([-1.0, 1.0])
