"""Closed forms and simulations of every statistic a verdict rests on."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.stats import binom

from synthaug.errors import InvalidRequest
from synthaug.metrics import (
    BOOTSTRAP_FROM,
    SIGN_FLIPS_FROM,
    Interval,
    bootstrap_interval,
    detectable_gain,
    differences_needed,
    mean_interval,
    paired_interval,
    sign_flip_p,
    verdict,
    wilson_interval,
)


def test_the_bootstrap_interval_of_symmetric_values_is_the_percentile_one() -> None:
    # No bias and no acceleration are left to correct.
    values = np.array([-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0])
    resamples = np.random.default_rng(0).choice(values, (20_000, 8)).mean(axis=1)
    found = bootstrap_interval(values)
    expected = np.quantile(resamples, [0.025, 0.975])
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.05)
    assert found.method == "BCa bootstrap"


def test_the_bootstrap_interval_leans_to_the_side_of_the_long_tail() -> None:
    found = bootstrap_interval(np.exp(np.linspace(-3, 3, 20)))
    assert found.high - found.mean > 1.2 * (found.mean - found.low)


def test_the_bootstrap_interval_is_the_same_each_time_and_at_every_scale() -> None:
    values = np.random.default_rng(2).normal(0.01, 0.02, 10)
    first = bootstrap_interval(values)
    assert bootstrap_interval(values) == first
    tiny = bootstrap_interval(values * 1e-9)
    assert (tiny.low * 1e9, tiny.high * 1e9) == pytest.approx((first.low, first.high))


@pytest.mark.parametrize("value", [0.0, 0.01, -3.0])
def test_equal_values_have_a_bootstrap_interval_of_no_width(value: float) -> None:
    found = bootstrap_interval([value] * 9)
    assert (found.low, found.mean, found.high) == pytest.approx((value,) * 3)


def test_pairs_are_resampled_where_there_are_enough_of_them() -> None:
    values = np.random.default_rng(3).normal(size=BOOTSTRAP_FROM)
    assert paired_interval(values, 0 * values).method == "BCa bootstrap"
    assert paired_interval(values[1:], 0 * values[1:]) == mean_interval(values[1:])


@given(st.lists(st.integers(-8, 8), min_size=2, max_size=7))
@settings(max_examples=30, deadline=None)
def test_sign_flips_count_all_means_that_are_as_far_from_zero(eighths: list[int]) -> None:
    # Whole numbers: which means are equally far is exact.
    signs = np.array(list(product((-1, 1), repeat=len(eighths))))
    sums = np.abs(signs @ np.array(eighths))
    assert sign_flip_p(np.array(eighths) / 8) == pytest.approx(np.mean(sums >= sums[-1]), abs=1e-9)


@pytest.mark.parametrize(
    ("n", "least"), [(3, 0.25), (5, 0.0625), (6, 0.03125), (8, 0.0078125), (12, 2 / 4096)]
)
def test_differences_of_one_sign_reach_the_smallest_possible_p(n: int, least: float) -> None:
    assert sign_flip_p(np.linspace(0.1, 0.2, n)) == pytest.approx(least)
    assert sign_flip_p(-np.linspace(0.1, 0.2, n)) == pytest.approx(least)


def test_sign_flips_of_many_differences_are_drawn_at_random_and_always_the_same() -> None:
    values = np.random.default_rng(4).normal(0.3, 1, 40)
    assert sign_flip_p(values) == sign_flip_p(values)
    assert 0.0001 <= sign_flip_p(values) <= 1


@pytest.mark.parametrize(("count", "n"), [(0, 5), (2, 10), (15, 30), (1, 1)])
def test_wilson_holds_the_shares_whose_normal_test_does_not_refuse_it(count: int, n: int) -> None:
    found, share = wilson_interval(count, n), count / n
    assert (found.mean, found.n) == (share, n)
    assert 0 <= found.low <= share <= found.high <= 1
    for end in {found.low, found.high} - {0.0, 1.0}:
        assert abs(share - end) == pytest.approx(1.959964 * np.sqrt(end * (1 - end) / n), rel=1e-4)


def test_wilson_covers_a_true_share_about_as_often_as_it_says() -> None:
    for truth in (0.3, 0.9):
        intervals = [wilson_interval(k, 25) for k in range(26)]
        covers = np.array([i.low <= truth <= i.high for i in intervals])
        assert binom.pmf(np.arange(26), 25, truth)[covers].sum() == pytest.approx(0.95, abs=0.03)


def _verdicts(differences: np.ndarray) -> list[str]:
    return [verdict(paired_interval(row, 0 * row), sign_flip_p(row)) for row in differences]


def test_by_interval_and_sign_flips_a_planted_gain_is_found_and_a_planted_null_is_not() -> None:
    noise = np.random.default_rng(7).normal(0, 0.01, (150, 10))
    # 10 pairs have a power of about 0.8 for a gain of one standard deviation.
    assert _verdicts(noise + 0.01).count("helps") > 150 * 0.65
    null = _verdicts(noise)
    assert null.count("helps") <= 150 * 0.025 + 3 * np.sqrt(150 * 0.025)
    assert null.count("harms") <= 150 * 0.025 + 3 * np.sqrt(150 * 0.025)


def test_skewed_differences_without_a_mean_gain_are_rarely_called_help() -> None:
    skewed = np.random.default_rng(8).exponential(0.01, (100, 10)) - 0.01
    assert _verdicts(skewed).count("helps") < 100 * 0.05


def test_a_verdict_needs_the_interval_and_the_test() -> None:
    above, around, below = Interval(0.02, 0.01, 0.03, 6), Interval(0.0, -1, 1, 6), Interval(-2, -3, -1, 6)
    assert [verdict(i) for i in (above, around, below)] == ["helps", "no evidence", "harms"]
    assert [verdict(i, 0.03) for i in (above, around, below)] == ["helps", "no evidence", "harms"]
    assert {verdict(i, 0.05) for i in (above, around, below)} == {"no evidence"}


@pytest.mark.parametrize("of", [mean_interval, bootstrap_interval, sign_flip_p])
def test_one_value_has_no_spread(of: object) -> None:
    with pytest.raises(InvalidRequest, match=r"of 1 value\(s\) was asked for: a spread needs 2"):
        of([0.5])  # type: ignore[operator]


@pytest.mark.parametrize(("n", "often"), [(2, 0.8), (3, 0.8), (5, 0.8), (6, 0.63), (7, 0.77), (10, 0.8)])
def test_a_gain_that_one_run_could_have_seen_is_found_by_another_as_often_as_is_said(
    n: int, often: float
) -> None:
    rng, found = np.random.default_rng(n), []
    for seen in rng.normal(0, 1, (400, n)):
        differences = rng.normal(detectable_gain(seen), 1, n)
        p_value = sign_flip_p(differences) if n >= SIGN_FLIPS_FROM else None
        found.append(verdict(paired_interval(differences, np.zeros(n)), p_value) == "helps")
    assert np.mean(found) == pytest.approx(often, abs=0.06)


@pytest.mark.parametrize("n", [2, 5, 10])
def test_the_differences_that_are_needed_are_between_those_that_are_said(n: int) -> None:
    rng = np.random.default_rng(n)
    found = [differences_needed(seen, 0.01) for seen in rng.normal(0, 0.02, (60, n))]
    inside = [(least or 1001) <= 34 <= (most or 1001) for least, most in found]
    assert np.mean(inside) == pytest.approx(0.8, abs=0.12)
    by_so_many = rng.normal(0.01, 0.02, (400, 34))
    enough = [verdict(mean_interval(each)) == "helps" for each in by_so_many]
    assert np.mean(enough) == pytest.approx(0.8, abs=0.06)


def test_more_differences_find_smaller_gains_and_their_number_is_told() -> None:
    unit = np.resize([-1.0, 1.0], 64)
    gains = [detectable_gain(unit[:n] / unit[:n].std(ddof=1)) for n in (2, 4, 8, 64)]
    assert gains == sorted(gains, reverse=True)
    differences = [0.01, 0.03, -0.02, 0.02]
    assert detectable_gain(differences, power=0.5) < detectable_gain(differences)
    least, most = differences_needed(differences, 0.01)
    assert least is not None
    assert most is not None
    assert least < most
    assert detectable_gain([0.01, 0.01]) == 0
    assert differences_needed([0.01, 0.01], 0.01) == (2, 2)
    assert differences_needed([0.0, 0.5], 0.001) == (None, None)
    with pytest.raises(InvalidRequest, match="has to be above 0"):
        differences_needed(differences, 0.0)
