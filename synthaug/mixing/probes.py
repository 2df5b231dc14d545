"""A look at some rows, in place of all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synthaug.modalities.look import Look

PROBES = 64
"""Rows that are looked at to compare real and synthetic ones."""


def spread(rows: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` of ``rows``, evenly spread.

    >>> spread(np.arange(10), 3)
    array([0, 4, 9])
    """
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).astype(int)]


def look_of(rows: np.ndarray, ends: Sequence[np.ndarray] = ()) -> Look:
    """What some rows of an array look like.

    Args:
        rows: ``(N, ...)``, of which 64 are looked at.
        ends: rows of the lowest and the highest value, where these are known.
    """
    return Look.of(list(rows[spread(np.arange(len(rows)), PROBES)]), ends)
