"""Closed forms, naive oracles and simulations of every number a verdict rests on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics import balanced_accuracy_score

from synthaug.errors import InvalidRequest
from synthaug.metrics import (
    Interval,
    calibration_error,
    label_agreement,
    mean_interval,
    measure_fidelity,
    nearest_rows,
    paired_interval,
    relative_diversity,
    relative_novelty,
    score,
    verdict,
)


def test_scores_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    found = score(labels, predicted, 4)
    assert found.accuracy == np.mean(labels == predicted)
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found.recall == pytest.approx([np.mean(predicted[labels == k] == k) for k in range(4)])


def test_a_class_without_rows_has_no_recall_and_does_not_count() -> None:
    found = score(np.array([0, 0, 2]), np.array([0, 1, 2]), 4)
    assert found.recall == (0.5, None, 1.0, None)
    assert found.balanced_accuracy == 0.75


def test_the_worst_class_is_one_that_has_rows() -> None:
    assert score(np.array([0, 0, 2]), np.array([0, 1, 2]), 4).worst_recall == 0.5


def _naive_calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    total = 0.0
    for low in np.arange(15) / 15:
        confidence = probabilities.max(axis=1)
        inside = (confidence >= low) & (confidence < low + 1 / 15)
        if low == 14 / 15:
            inside |= confidence == 1
        if inside.any():
            right = probabilities[inside].argmax(axis=1) == labels[inside]
            total += inside.mean() * abs(right.mean() - confidence[inside].mean())
    return total


def test_calibration_error_and_brier_score_are_those_of_their_definitions() -> None:
    rng = np.random.default_rng(10)
    probabilities, labels = rng.dirichlet([0.5] * 4, 300), rng.integers(0, 4, 300)
    found = score(labels, probabilities.argmax(axis=1), 4, probabilities)
    expected = pytest.approx(_naive_calibration_error(labels, probabilities))
    assert calibration_error(labels, probabilities) == found.calibration_error == expected
    squares = [
        (p - (k == label)) ** 2
        for row, label in zip(probabilities, labels, strict=True)
        for k, p in enumerate(row)
    ]
    assert found.brier == pytest.approx(sum(squares) / 300)


def test_calibration_error_of_a_classifier_that_knows_its_chances_vanishes_with_many_rows() -> None:
    rng = np.random.default_rng(11)
    probabilities = rng.dirichlet([1.0] * 3, 40_000)
    labels = (rng.random(40_000)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    assert calibration_error(labels, probabilities) < 0.01
    assert calibration_error(np.zeros(5, int), np.eye(2)[np.zeros(5, int)]) == 0
    assert calibration_error(np.ones(5, int), np.eye(2)[np.zeros(5, int)]) == 1


def test_the_interval_is_students() -> None:
    # t(0.975; 2) = 4.302652729911275, s = 1, n = 3
    found = mean_interval([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.high - found.mean == pytest.approx(4.302652729911275 / np.sqrt(3))
    assert found.mean - found.low == pytest.approx(found.high - found.mean)


def test_the_interval_of_normal_differences_covers_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).normal(0.3, 2.0, (3000, 5))
    intervals = [mean_interval(row) for row in draws]
    covered = np.mean([i.low <= 0.3 <= i.high for i in intervals])
    assert covered == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 3000))


def test_a_planted_gain_is_found_and_a_planted_null_is_rarely_called_help() -> None:
    noise = np.random.default_rng(2).normal(0, 0.01, (1000, 5))
    found = [verdict(mean_interval(row + 0.03)) for row in noise]
    null = [verdict(mean_interval(row)) for row in noise]
    assert found.count("helps") > 990
    assert null.count("helps") < 45  # 2.5 % are due
    assert null.count("harms") < 45


@given(
    st.lists(st.floats(-1, 1), min_size=3, max_size=8),
    st.floats(-5, 5),
    st.floats(0.1, 10),
)
def test_the_interval_moves_and_stretches_with_the_values(
    values: list[float], shift: float, factor: float
) -> None:
    plain, moved = mean_interval(values), mean_interval(np.array(values) * factor + shift)
    for end in ("low", "mean", "high"):
        assert getattr(moved, end) == pytest.approx(getattr(plain, end) * factor + shift, abs=1e-6)


def test_pairing_cancels_what_a_seed_does_to_both_sides() -> None:
    luck = np.random.default_rng(3).normal(0, 10, 6)
    found = paired_interval(luck + 0.01, luck)
    assert (found.low, found.mean, found.high) == pytest.approx((0.01, 0.01, 0.01), abs=1e-9)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.001, 0.02, "helps"),
        (-0.01, 0.02, "no evidence"),
        (0.0, 0.02, "no evidence"),
        (-0.02, 0.0, "no evidence"),
        (0.0, 0.0, "no evidence"),
        (-0.02, -0.001, "harms"),
    ],
)
def test_the_verdict_is_where_zero_lies(low: float, high: float, expected: str) -> None:
    assert verdict(Interval((low + high) / 2, low, high, 5)) == expected


def test_one_value_has_no_interval() -> None:
    with pytest.raises(InvalidRequest, match=r"1 value\(s\) was asked for: a spread needs 2"):
        mean_interval([0.5])


def test_pairs_need_two_sides_of_one_length() -> None:
    with pytest.raises(InvalidRequest, match="the same seeds on both sides; found 3 and 2 values"):
        paired_interval([1, 2, 3], [1, 2])


@pytest.mark.parametrize(("n", "m"), [(17, 11), (11, 17), (2500, 2000), (1, 2000)])
def test_nearest_rows_are_those_of_a_full_table(n: int, m: int) -> None:
    """Few rows are looked at at once, more than 4 million pairs are not."""
    rng = np.random.default_rng(4)
    samples, training = rng.normal(size=(n, 3, 4)), rng.normal(size=(m, 3, 4))
    table = cdist(samples.reshape(n, -1), training.reshape(m, -1))
    index, distance = nearest_rows(samples, training)
    np.testing.assert_array_equal(index, table.argmin(axis=1))
    np.testing.assert_allclose(distance, table.min(axis=1), rtol=1e-5)


def test_nearest_rows_are_found_among_more_rows_than_are_looked_at_at_once() -> None:
    training = np.full((4_000_001, 1), 1000, np.float32)
    training[[0, 2_000_000, -1], 0] = [1, 2, 3]
    index, distance = nearest_rows(np.array([[2.75], [0.5], [1.75]]), training)
    assert index.tolist() == [4_000_000, 0, 2_000_000]
    assert distance.tolist() == pytest.approx([0.25, 0.5, 0.25])


def test_copies_are_at_distance_zero_exactly_even_far_from_the_origin() -> None:
    training = np.random.default_rng(5).integers(0, 256, (20, 9, 9), dtype=np.uint8)
    index, distance = nearest_rows(training[7:12], training)
    assert index.tolist() == [7, 8, 9, 10, 11]
    assert not distance.any()


def test_novelty_is_zero_for_copies_and_one_for_rows_like_the_held_out_ones() -> None:
    rng = np.random.default_rng(6)
    training, held_out, fresh = rng.normal(size=(3, 300, 5))
    assert relative_novelty(training[:50], np.array_split(training, 3), held_out) == 0
    assert relative_novelty(fresh, [training], held_out) == pytest.approx(1, abs=0.15)
    assert relative_novelty(fresh, [training], training[:9]) is None


@pytest.mark.parametrize("n", [20, 2100])
def test_diversity_is_the_ratio_of_mean_pairwise_distances(n: int) -> None:
    """Of 20 rows all pairs are looked at at once, of 2100 they are not."""
    real = np.random.default_rng(7).normal(size=(2 * n, 6))
    labels = np.repeat([0, 1], n)
    shrunk = np.where(labels[:, None] == 0, 0.5 * real + 3, real[n])
    found = relative_diversity(shrunk, labels, real, labels)
    assert found[0] == pytest.approx(0.5, rel=1e-3)
    assert found[1] == pytest.approx(0, abs=1e-3)
    unit = np.stack([np.zeros(6), np.eye(6)[0]])
    (against_unit,) = relative_diversity(real[:n], labels[:n], unit, np.zeros(2, int)).values()
    assert against_unit == pytest.approx(pdist(real[:n]).mean(), rel=1e-4)


def test_classes_with_too_few_rows_have_no_diversity() -> None:
    rows = np.random.default_rng(8).normal(size=(5, 3))
    assert list(relative_diversity(rows, np.array([0, 0, 1, 2, 2]), rows, np.array([0, 0, 1, 1, 2]))) == [0]


def test_agreement_is_relative_to_the_accuracy_on_real_rows() -> None:
    assert label_agreement(np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0]), 0.75) == 1.0


class _SignClassifier:
    """Class 1 where the first column is positive; the rows are their own features."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        positive = images[:, 0] > 0
        return np.stack([~positive, positive], axis=1).astype(np.float32)

    def features(self, images: np.ndarray) -> np.ndarray:
        return images


def test_measured_fidelity_puts_the_three_together() -> None:
    rng = np.random.default_rng(9)
    rows = rng.normal(size=(3, 200, 4))
    rows[..., 0] = np.where(np.arange(200) % 2, 3, -3) + 0.1 * rows[..., 0]
    labels = np.arange(200) % 2
    training, held_out, fresh = ((part, labels) for part in rows)
    good = measure_fidelity(_SignClassifier(), synthetic=fresh, training=[training[0]], held_out=held_out)
    assert good.classifier_accuracy == good.agreement == 1
    assert good.diversity == pytest.approx(1, abs=0.1)
    assert good.novelty == pytest.approx(1, abs=0.25)
    shuffled = (fresh[0], 1 - labels)
    assert (
        measure_fidelity(
            _SignClassifier(), synthetic=shuffled, training=[training[0]], held_out=held_out
        ).agreement
        == 0
    )
    copies = measure_fidelity(
        _SignClassifier(), synthetic=training, training=[training[0]], held_out=held_out
    )
    assert copies.novelty == 0
