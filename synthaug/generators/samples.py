"""Synthetic rows with their labels and where they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from synthaug.modalities.image.spec import ImageSpec

PROVENANCE_COLUMNS = ("synthetic", "generator", "seed", "class", "index")


@dataclass(frozen=True)
class Samples:
    """Synthetic rows in the layout, dtype, range and label encoding of the data set they imitate.

    Attributes:
        samples: ``(N, *spec.shape)`` of dtype ``spec.dtype``, values in ``[spec.low, spec.high]``.
        labels: ``(N,)`` in the data set's own encoding (int64, str or bool).
        classes: the class names, in the data set's order.
        values: the label of each class in the data set's own encoding, beside ``classes``.
        spec: the form of one row.
        provenance: columns of length N: ``synthetic`` (bool, all True), ``generator`` (str, the weights'
            SHA-256), ``seed`` (int64), ``class`` (str) and ``index`` (int64): row ``index`` of class ``class``
            of that generator and seed can be made again from these alone.
        held_out: ``(M,)`` uint64 fingerprints of rows that were kept from the generator for testing;
            mixing refuses loaders that contain them.
    """

    samples: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    values: tuple[Any, ...]
    spec: ImageSpec
    provenance: Mapping[str, np.ndarray]
    held_out: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, rows: slice | np.ndarray) -> Samples:
        """The rows chosen by a slice, an index array or a boolean mask, as Samples."""
        return replace(
            self,
            samples=self.samples[rows],
            labels=self.labels[rows],
            provenance={name: column[rows] for name, column in self.provenance.items()},
        )

    @property
    def class_indices(self) -> np.ndarray:
        """``(N,)`` int64 position of each row's class in ``classes``."""
        position = {name: i for i, name in enumerate(self.classes)}
        return np.array([position[str(name)] for name in self.provenance["class"]], dtype=np.int64)

    @property
    def counts(self) -> dict[str, int]:
        """Rows per class name, in the order of ``classes``; absent classes have 0."""
        found = np.bincount(self.class_indices, minlength=len(self.classes))
        return dict(zip(self.classes, found.tolist(), strict=True))
