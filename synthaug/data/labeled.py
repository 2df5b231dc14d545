"""One indexed view over every kind of labelled data set."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthaug.data.spec import ImageSpec


class LabeledData:
    """Labelled rows, read on demand.

    Attributes:
        classes: class names (str), in the data set's order.
        values: each class's label in the data set's own encoding (int, str or bool), beside ``classes``.
        labels: ``(N,)`` int64 positions in ``classes``.
        spec: the form of a row; its range is None where only training rows may tell it.
        origin: what to call the source in a message, e.g. ``folder flowers/`` or ``arrays``.
        groups: ``(N,)`` group names, rows of one group never lie on both sides of a split; or None.
        splits: ``(N,)`` split names ("train", "test", ...), or None where the source has none.
    """

    classes: tuple[str, ...]
    values: tuple[Any, ...]
    labels: np.ndarray
    spec: ImageSpec
    origin: str
    groups: np.ndarray | None
    splits: np.ndarray | None

    def __len__(self) -> int: ...

    def read(self, rows: np.ndarray | None = None) -> np.ndarray:
        """The images of ``rows`` (all when None): ``(n, *spec.shape)`` of dtype ``spec.dtype``."""

    def take(self, rows: np.ndarray) -> LabeledData:
        """A view of these rows; classes, values and spec stay."""

    def name(self, row: int) -> str:
        """What to call a row in a message: its file, or ``row 17``."""

    @property
    def counts(self) -> dict[str, int]:
        """Rows per class name."""

    def fingerprints(self) -> np.ndarray:
        """``(N,)`` uint64 content hash of each row; equal pictures are equal in any layout or dtype."""

    def fingerprint(self) -> str:
        """A hex digest of rows, labels and class names."""
