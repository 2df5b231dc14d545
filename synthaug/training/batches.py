"""Rows of a training step as a pure function of their kind and the step."""

from __future__ import annotations

import numpy as np
import torch

from synthaug.data.labeled import LabeledData
from synthaug.families import Batch, BatchKind
from synthaug.modalities.base import Form
from synthaug.seeding import numpy_rng


class Batches:
    """Batches of training rows, each a function of (seed, kind, step).

    Args:
        data: the training rows, in memory.
        form: fitted to them; turns rows into tensors.
        size: rows of a batch.
        seed: decides which rows.

    Attributes:
        present: ``(K,)`` int64, the classes that have rows.
        rows: the row numbers of each of them.
    """

    def __init__(self, data: LabeledData, form: Form, size: int, seed: int) -> None:
        self.data, self.form, self.size, self.seed = data, form, size, seed
        self.present = np.unique(data.labels)
        self.rows = {int(k): np.flatnonzero(data.labels == k) for k in self.present}

    def __call__(self, kind: BatchKind, step: int) -> Batch:
        """The batch of a step."""
        rng = numpy_rng(self.seed, "batch", step, 0)
        order = np.tile(rng.permutation(self.present), -(-self.size // len(self.present)))[: self.size]
        first = [rng.integers(len(self.rows[int(k)])) for k in order]
        rows = np.array([self.rows[int(k)][i] for k, i in zip(order, first, strict=True)])
        encoded, labels = self.form.encode(self.data.read(rows)), torch.from_numpy(self.data.labels[rows])
        if kind == "pairs":
            sizes = [len(self.rows[int(k)]) for k in order]
            second = [(i + rng.integers(1, n)) % n for i, n in zip(first, sizes, strict=True)]
            others = np.array([self.rows[int(k)][i] for k, i in zip(order, second, strict=True)])
            encoded = torch.stack([encoded, self.form.encode(self.data.read(others))], dim=1)
        return encoded, labels
