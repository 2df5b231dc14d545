"""Points between neighbours are those of imbalanced-learn, which is the reference."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import ks_2samp

from synthaug import open_data
from synthaug.judging import no_pool
from synthaug.judging.standins import between_neighbours

MADE = 400


def between(own: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    return own + share[:, None] * (other - own)


PLAIN = SimpleNamespace(points=lambda rows: rows, between=between)
"""A form that measures rows as they are."""


def vectors(n: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], n)
    return rng.normal(size=(2 * n, 4)) + 3 * y[:, None], y


def places(made: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each point the row and neighbour it lies between, as one number, and how far along; none lies elsewhere."""
    apart = np.linalg.norm(own[:, None] - own[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    starts = np.repeat(np.arange(len(own)), 5)
    ends = np.argsort(apart, axis=1)[:, :5].ravel()
    lines = own[ends] - own[starts]
    along = np.einsum("nsd,sd->ns", made[:, None] - own[starts], lines) / (lines**2).sum(axis=1)
    off = np.linalg.norm(own[starts] + along[:, :, None].clip(0, 1) * lines - made[:, None], axis=2)
    assert off.min(axis=1).max() < 1e-6
    found = off.argmin(axis=1)
    pairs = np.minimum(starts, ends)[found] * len(own) + np.maximum(starts, ends)[found]
    share = along[np.arange(len(made)), found]
    return pairs, np.minimum(share, 1 - share)


def test_points_between_neighbours_are_drawn_as_imbalanced_learn_draws_them() -> None:
    over_sampling = pytest.importorskip("imblearn.over_sampling")
    X, y = vectors()
    totals = {k: 30 + MADE for k in (0, 1)}
    theirs, labels = over_sampling.SMOTE(sampling_strategy=totals, random_state=0).fit_resample(X, y)
    asked = replace(no_pool(open_data((X, y))), form=PLAIN, labels=np.repeat([0, 1], MADE))
    made = between_neighbours(asked, X, y, seed=0)
    for k in (0, 1):
        mine, those = (
            places(made.samples[made.labels == k], X[y == k]),
            places(theirs[60:][labels[60:] == k], X[y == k]),
        )
        assert len(made.samples[made.labels == k]) == MADE
        for ours, reference in zip(mine, those, strict=True):
            assert ks_2samp(ours, reference).pvalue > 0.01
