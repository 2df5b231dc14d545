"""Paired differences over seeds: their mean, its interval, what chance alone would do, and what may be concluded."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from synthaug.errors import InvalidRequest
from synthaug.seeding import numpy_rng

Verdict = Literal["helps", "no evidence", "harms"]
Method = Literal["Student's t", "BCa bootstrap", "Wilson"]

_Values: TypeAlias = Sequence[float] | np.ndarray

# With fewer pairs, resamples of so few values say too little about their spread.
BOOTSTRAP_FROM = 8
# With fewer pairs not even differences of one sign reach 5 %: 2 / 2**5 = 0.0625.
SIGN_FLIPS_FROM = 6
_RESAMPLES = 9999
_MOST = 1000  # differences that somebody might make


@dataclass(frozen=True)
class Interval:
    """A mean and the interval around it that covers the true mean with the stated confidence."""

    mean: float
    low: float
    high: float
    n: int
    confidence: float = 0.95
    method: Method = "Student's t"

    def within(self, least: float, most: float) -> Interval:
        """The same interval of a value that cannot be beyond these ends, as a difference of shares is from -1 to 1."""
        return replace(self, low=max(least, self.low), high=min(most, self.high))


def mean_interval(values: _Values, confidence: float = 0.95) -> Interval:
    """The mean of independent values with its Student-t interval, ``mean ± t(n - 1) · s / sqrt(n)``.

    Exact for normal values; ``s`` is the standard deviation with ``n - 1`` in the denominator.

    Raises:
        InvalidRequest: fewer than two values, whose spread is unknown.

    >>> round(mean_interval([1.0, 2.0, 3.0]).low, 4)  # 2 - 4.3027 / sqrt(3)
    -0.4841
    """
    array = _at_least_two(values)
    reach = _t(confidence, len(array)) * float(array.std(ddof=1) / np.sqrt(len(array)))
    mean = float(array.mean())
    return Interval(mean, mean - reach, mean + reach, len(array), confidence)


def bootstrap_interval(values: _Values, confidence: float = 0.95) -> Interval:
    """The mean of independent values with its bootstrap interval, corrected for bias and acceleration.

    Efron, "Better bootstrap confidence intervals", 1987; 9999 resamples, always the same for the same values.
    It asks for no normal distribution, but is narrow for few values: by simulation an interval of 95 % covers
    the mean of 5 normal values in 84 of 100 cases, of 10 in 90, of 20 in 92 to 94. Values that are all equal have
    an interval of no width.

    Raises:
        InvalidRequest: fewer than two values.
    """
    from scipy.stats import bootstrap

    array = _at_least_two(values)
    mean = float(array.mean())
    if np.ptp(array) <= 1e-12 * np.abs(array).max():  # nothing to resample; BCa would divide by zero
        return Interval(mean, mean, mean, len(array), confidence, "BCa bootstrap")
    rng = numpy_rng(0, "statistics", "bootstrap")
    # At unit scale, as the differences of accuracies are tiny numbers.
    scale = np.abs(array).max()
    found = bootstrap(
        (array / scale,),
        np.mean,
        confidence_level=confidence,
        n_resamples=_RESAMPLES,
        method="BCa",
        rng=rng,
    ).confidence_interval
    return Interval(
        mean, float(found.low * scale), float(found.high * scale), len(array), confidence, "BCa bootstrap"
    )


def paired_interval(treated: _Values, baseline: _Values, confidence: float = 0.95) -> Interval:
    """The mean of ``treated - baseline`` with its interval; entry i of both came from the same seed.

    Pairing removes what a seed does to both sides alike (row order, first weights), so that smaller
    differences can be told from chance. From 8 pairs on by `bootstrap_interval`, below by `mean_interval`.

    Raises:
        InvalidRequest: sides of unequal length, or fewer than two pairs.
    """
    if len(treated) != len(baseline):
        raise InvalidRequest(
            f"Pairs need the same seeds on both sides; found {len(treated)} and {len(baseline)} values."
        )
    differences = np.asarray(treated, np.float64) - np.asarray(baseline, np.float64)
    interval = bootstrap_interval if len(differences) >= BOOTSTRAP_FROM else mean_interval
    return interval(differences, confidence)


def sign_flip_p(differences: _Values) -> float:
    """How often a mean as far from zero would come about if each difference might as well have the other sign.

    Two-sided. All 2^n signs are tried up to 13 differences, 9999 random ones beyond. Exact where the differences
    are symmetric about zero when nothing is gained; n differences cannot reach less than 2 / 2^n.

    Raises:
        InvalidRequest: fewer than two differences.

    >>> sign_flip_p([0.01, 0.02, 0.01, 0.03, 0.02, 0.01])  # 2 of 64
    0.03125
    """
    from scipy.stats import permutation_test

    array = _at_least_two(differences)
    rng = numpy_rng(0, "statistics", "sign flips")
    found = permutation_test(
        (array,), np.mean, permutation_type="samples", vectorized=True, n_resamples=_RESAMPLES, rng=rng
    )
    return float(found.pvalue)


def detectable_gain(differences: _Values, power: float = 0.8) -> float:
    """The smallest true mean that is found to be above 0 with this probability, by differences that vary like these.

    By Student's t, one side of the 95 % interval. How far so few differences vary is itself uncertain: the probability
    is that over all that may have been seen in place of it. From `SIGN_FLIPS_FROM` on a verdict also takes the test of
    signs, which finds as many but for 6 differences, where it finds 63 of 100 in place of 80.

    Args:
        differences: two at least; how far they vary is what counts.
        power: the probability.

    Raises:
        InvalidRequest: fewer than two differences.

    >>> round(detectable_gain([0.01, 0.03, 0.02, 0.02, 0.02]), 3)
    0.015
    """
    from scipy.optimize import brentq

    array = _at_least_two(differences)
    n = len(array)
    seen = _spreads(n)

    def short(gain: float) -> float:
        return float(_found(gain * seen, n).mean()) - power

    return float(array.std(ddof=1)) * float(brentq(short, 0, 1e4))


def differences_needed(
    differences: _Values, gain: float, power: float = 0.8
) -> tuple[int | None, int | None]:
    """How many differences find a true mean of this size with this probability: from so many to so many.

    The less and the more of the two are for the ends of the 80 % interval of how far differences vary, of which these
    are examples. None stands for more than 1,000.

    Raises:
        InvalidRequest: fewer than two differences, or a gain that is none.

    >>> differences_needed([0.01, 0.03, 0.02, 0.02, 0.02], 0.01)
    (5, 17)
    """
    if gain <= 0:
        raise InvalidRequest(f"A gain of {gain} was asked for; it has to be above 0.")
    array = _at_least_two(differences)
    spread, seen = float(array.std(ddof=1)), np.quantile(_spreads(len(array)), [0.9, 0.1])

    def needed(of: float) -> int | None:
        if not of:
            return 2
        enough = bisect_left(range(2, _MOST + 1), True, key=lambda n: bool(_found(gain / of, n) >= power))
        return None if enough > _MOST - 2 else 2 + enough

    return needed(spread / seen[0]), needed(spread / seen[1])


def _spreads(n: int) -> np.ndarray:
    """``(400,)`` equally likely standard deviations of n normal values, over their true one."""
    from scipy.stats import chi2

    return np.sqrt(np.asarray(chi2.ppf((np.arange(400) + 0.5) / 400, n - 1)) / (n - 1))


def _found(gain: float | np.ndarray, n: int) -> np.ndarray:
    """How often Student's t of n values finds true means of these sizes, in true standard deviations."""
    from scipy.stats import norm

    sizes = np.asarray(gain)
    above = np.multiply.outer(_t(0.95, n) * _spreads(n), np.ones(sizes.shape))
    found: np.ndarray = norm.cdf(sizes * n**0.5 - above).mean(axis=0)
    return found


def wilson_interval(count: int, n: int, confidence: float = 0.95) -> Interval:
    """The share of ``count`` in ``n`` rows with Wilson's interval, e.g. a recall; it has width at 0 and 1.

    Args:
        count: rows that have what is asked for, such as those that were recognised.
        n: rows it was looked for in, at least 1.
        confidence: how often the interval should cover the true share.

    >>> found = wilson_interval(10, 10)
    >>> round(found.low, 3), found.high
    (0.722, 1.0)
    """
    from scipy.stats import binomtest

    found = binomtest(count, n).proportion_ci(confidence, method="wilson")
    return Interval(count / n, float(found.low), float(found.high), n, confidence, "Wilson")


def verdict(difference: Interval, p_value: float | None = None) -> Verdict:
    """What differences allow one to say: more than chance where the interval and the test, if any, both say so.

    Args:
        difference: their mean with its interval.
        p_value: of `sign_flip_p`; None where there are too few differences for it to be below 5 %.

    >>> verdict(Interval(mean=0.01, low=-0.01, high=0.03, n=5))
    'no evidence'
    """
    if p_value is not None and p_value + difference.confidence >= 1:
        return "no evidence"
    if difference.low > 0:
        return "helps"
    return "harms" if difference.high < 0 else "no evidence"


def _at_least_two(values: _Values) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise InvalidRequest(
            f"An interval of {array.size} value(s) was asked for: a spread needs 2 of them, better 5."
        )
    return array


def _t(confidence: float, n: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + confidence) / 2, n - 1))
