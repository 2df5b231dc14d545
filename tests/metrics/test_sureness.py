"""How sure classifiers are of the right label, once they are as sure as they should be."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.metrics import sureness


def drawn(n: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities that are right about how sure they are where the sharpness is 1."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, 4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(4, p=row) for row in shares])
    powers = shares**sharpness
    return labels, powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_how_sure_a_classifier_is_does_not_depend_on_how_sure_it_says_it_is(sharpness: float) -> None:
    labels, shares = drawn(4000, 1.0)
    told = drawn(4000, sharpness)[1]
    plain = shares[np.arange(4000), labels]
    np.testing.assert_allclose(sureness(labels, told), sureness(labels, shares), atol=0.001)
    np.testing.assert_allclose(sureness(labels, told), plain, atol=0.05)
    assert sureness(labels, told).mean() == pytest.approx(plain.mean(), abs=0.02)


def test_a_few_sure_errors_do_not_make_all_others_doubtful() -> None:
    _, shares = drawn(1000, 4.0)
    right = shares.argmax(axis=1)
    wrong = right.copy()
    wrong[:30] = (right[:30] + 1) % 4
    mild, wild = shares.copy(), shares.copy()
    wild[:30] = np.eye(4)[right[:30]]
    assert sureness(wrong, wild).mean() > sureness(wrong, mild).mean() - 0.03


def test_a_better_classifier_is_surer_and_a_guessing_one_as_sure_as_chance() -> None:
    labels, shares = drawn(2000, 1.0)
    blurred = (shares + 0.25) / 2
    blurred[::3] = 0.25
    assert sureness(labels, shares).mean() > sureness(labels, blurred).mean() + 0.02
    rng = np.random.default_rng(1)
    guessed = sureness(rng.permutation(labels), shares)
    assert guessed.mean() == pytest.approx(0.25, abs=0.02)


def test_certainty_about_few_rows_stays_finite() -> None:
    assert (sureness(np.array([0, 1]), np.eye(2)) > 0.99).all()
    wrong = sureness(np.array([1, 0]), np.eye(2))
    assert np.isfinite(wrong).all()
    assert (wrong <= 0.5).all()
