"""What tables of results share: how figures are told, and a correction for many tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np

from synthaug.metrics import Interval, paired_interval

# With fewer replicates an interval is longer than a chart.
DRAWN_FROM = 4


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """The lines of a Markdown table; columns are set right but for those in ``left``."""
    rule = "".join("---|" if i in left else "---:|" for i in range(len(titles)))
    return [line(titles), f"|{rule}", *(line(row) for row in rows)]


def line(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def data_and_rows(cell: dict[str, Any]) -> list[str]:
    """A cell's data set and its rows a class, as tables show them."""
    data, _, rows = cell["cell"].partition("-")
    told = {"": "a quarter of all", "unequal": "150 and 5"}
    return [data.replace("_", "-"), told.get(rows, rows)]


def interval(gains: Sequence[float]) -> str:
    """The mean of shares in points, with its interval where there are several."""
    if len(gains) < 2:
        return signed(gains[0])
    of = mean_gain(gains)
    return f"{signed(of.mean)} ({signed(of.low)} to {signed(of.high)})"


def mean_gain(gains: Sequence[float]) -> Interval:
    """The mean of paired differences with its interval."""
    return paired_interval(gains, [0.0] * len(gains))


def signed(share: float) -> str:
    """A share in points, with a sign."""
    return f"{100 * share:+.1f}".replace("-", "−")


def points(points: Sequence[float]) -> str:
    """The mean of points, with its standard error."""
    error = f" ± {stdev(points) / len(points) ** 0.5:.1f}" if len(points) > 1 else ""
    return f"{fmean(points):+.1f}{error}".replace("-", "−")


def percent(share: float) -> str:
    """A share in percent, with one digit."""
    return f"{100 * share:.1f} %"


def holm(p_values: Sequence[float]) -> np.ndarray:
    """``(n,)`` float64 p-values adjusted for having made n tests; each may be compared with 0.05 as it is.

    Holm, "A simple sequentially rejective multiple test procedure", 1979: the k-th smallest of n times n - k + 1,
    made monotone. The chance of any false finding among all tests stays below the level, dependent or not.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    array = np.asarray(p_values, np.float64)
    order = np.argsort(array)
    stepped = array[order] * np.arange(len(array), 0, -1)
    adjusted = np.empty_like(array)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted
