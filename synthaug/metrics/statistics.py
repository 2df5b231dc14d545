"""Paired differences over seeds: their mean, its interval, and what may be concluded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synthaug.errors import InvalidRequest

Verdict = Literal["helps", "no evidence", "harms"]


@dataclass(frozen=True)
class Interval:
    """A mean and the interval around it that covers the true mean with the stated confidence."""

    mean: float
    low: float
    high: float
    n: int
    confidence: float = 0.95


def mean_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Interval:
    """The mean of independent values with its Student-t interval, ``mean ± t(n - 1) · s / sqrt(n)``.

    Exact for normal values; ``s`` is the standard deviation with ``n - 1`` in the denominator.

    Raises:
        InvalidRequest: fewer than two values, whose spread is unknown.

    >>> round(mean_interval([1.0, 2.0, 3.0]).low, 4)  # 2 - 4.3027 / sqrt(3)
    -0.4841
    """
    from scipy.stats import t

    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise InvalidRequest(
            f"An interval of {array.size} value(s) was asked for: a spread needs 2 of them, better 5."
        )
    mean = float(array.mean())
    reach = float(t.ppf((1 + confidence) / 2, len(array) - 1) * array.std(ddof=1) / np.sqrt(len(array)))
    return Interval(mean, mean - reach, mean + reach, len(array), confidence)


def paired_interval(
    treated: Sequence[float] | np.ndarray, baseline: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> Interval:
    """The mean of ``treated - baseline`` with its interval; entry i of both came from the same seed.

    Pairing removes what a seed does to both sides alike (row order, first weights), so that smaller
    differences can be told from chance.

    Raises:
        InvalidRequest: sides of unequal length, or fewer than two pairs.
    """
    if len(treated) != len(baseline):
        raise InvalidRequest(
            f"Pairs need the same seeds on both sides; found {len(treated)} and {len(baseline)} values."
        )
    return mean_interval(np.asarray(treated, np.float64) - np.asarray(baseline, np.float64), confidence)


def verdict(difference: Interval) -> Verdict:
    """What an interval of differences allows one to say.

    >>> verdict(Interval(mean=0.01, low=-0.01, high=0.03, n=5))
    'no evidence'
    """
    if difference.low > 0:
        return "helps"
    return "harms" if difference.high < 0 else "no evidence"
