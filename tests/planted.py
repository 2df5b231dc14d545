"""Rows and pools with known properties, for tests of arms and of the protocol."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from synthaug import LabeledData, Samples, open_data
from synthaug.generators import synthetic_provenance


@cache
def distinct_digits() -> LabeledData:
    """The bundled digits without repeated rows."""
    data = open_data("bundled:digits")
    _, first = np.unique(data.fingerprints(), return_index=True)
    return data.take(np.sort(first))


def pool_of(data: LabeledData, samples: np.ndarray | None = None) -> Samples:
    """Rows of a data set, or other pictures in their place, as if a generator had made them."""
    rows = data.read() if samples is None else samples
    provenance = synthetic_provenance("0" * 64, 0, "", np.arange(len(rows)))
    provenance["class"] = np.array(data.classes.names)[data.labels]
    labels = np.array(data.classes.values)[data.labels]
    return Samples(rows, labels, data.classes, data.form.fitted(rows), provenance)


def encode(rows: np.ndarray) -> torch.Tensor:
    """Grey uint8 ``(N, H, W)`` -> ``(N, 1, H, W)`` in [-1, 1]."""
    return torch.from_numpy(rows[:, None].astype(np.float32) / 127.5 - 1)


def per_class(data: LabeledData, start: int, stop: int) -> LabeledData:
    rows = [np.flatnonzero(data.labels == label)[start:stop] for label in range(len(data.classes))]
    return data.take(np.sort(np.concatenate(rows)))
