"""Rows and pools with known properties, for tests of arms and of the protocol."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from synthaug.data.labeled import LabeledData, open_data
from synthaug.generators.samples import Samples
from synthaug.modalities.image.codec import ImageCodec


@cache
def distinct_digits() -> LabeledData:
    """The bundled digits without repeated rows."""
    data = open_data("bundled:digits")
    _, first = np.unique(data.fingerprints(), return_index=True)
    return data.take(np.sort(first))


def pool_of(data: LabeledData, samples: np.ndarray | None = None) -> Samples:
    """Rows of a data set, or other pictures in their place, as if a generator had made them."""
    rows = data.read() if samples is None else samples
    names = np.array(data.classes)[data.labels]
    provenance = {
        "synthetic": np.ones(len(rows), bool),
        "generator": np.full(len(rows), "0" * 64),
        "seed": np.zeros(len(rows), np.int64),
        "class": names,
        "index": np.arange(len(rows)),
    }
    spec = ImageCodec.fit(rows, data.spec).spec
    return Samples(rows, np.array(data.values)[data.labels], data.classes, data.values, spec, provenance)


def encode(rows: np.ndarray) -> torch.Tensor:
    """Grey uint8 ``(N, H, W)`` -> ``(N, 1, H, W)`` in [-1, 1]."""
    return torch.from_numpy(rows[:, None].astype(np.float32) / 127.5 - 1)


def per_class(data: LabeledData, start: int, stop: int) -> LabeledData:
    rows = [np.flatnonzero(data.labels == label)[start:stop] for label in range(len(data.classes))]
    return data.take(np.sort(np.concatenate(rows)))
