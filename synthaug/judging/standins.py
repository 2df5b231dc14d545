"""What stands in for synthetic rows, so that these have something to be better than: copies, and rows in between."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from synthaug.generators.samples import Samples
from synthaug.seeding import numpy_rng

_NEIGHBOURS = 5
_NEIGHBOUR_ROWS = 2000


def copies(pool: Samples, rows: np.ndarray, labels: np.ndarray) -> Samples:
    """Real rows with these class positions as a pool, in the form of another one."""
    names = np.array(list(pool.classes))[labels]
    return replace(pool, samples=rows, labels=labels, provenance={"class": names})


def between_neighbours(pool: Samples, rows: np.ndarray, labels: np.ndarray, seed: int) -> Samples:
    """As many rows of each class as a pool has, each between a real row and one of its 5 nearest of the class.

    Chawla et al., "SMOTE: synthetic minority over-sampling technique", 2002, in every class; of a category the nearer
    row's level.
    """
    rng = numpy_rng(seed, "arms", "smote")
    made, of = [], []
    for label in np.unique(labels):
        # All pairs of rows are measured: of larger classes a part must do.
        found = np.flatnonzero(labels == label)
        own = rows[rng.permutation(found)[:_NEIGHBOUR_ROWS]]
        count = int(np.sum(pool.labels == label))
        first = rng.integers(len(own), size=count)
        second = _neighbours(pool.form.points(own))[first, rng.integers(_NEIGHBOURS, size=count)]
        made.append(pool.form.between(own[first], own[second], rng.random(count)))
        of.append(np.full(count, label))
    return copies(pool, np.concatenate(made), np.concatenate(of))


def _neighbours(rows: np.ndarray) -> np.ndarray:
    """``(n, 5)`` positions of the nearest others of ``(n, d)`` points, repeated if fewer; a lone one is its own."""
    flat = torch.from_numpy(rows)
    nearest = torch.cdist(flat, flat).fill_diagonal_(torch.inf).argsort(dim=1).numpy()
    return nearest[:, np.arange(_NEIGHBOURS) % max(1, len(rows) - 1)]
