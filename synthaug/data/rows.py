"""The rows of one source, each read, checked and hashed once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from synthaug.modalities.base import Form
from synthaug.modalities.source import RowSource

_BLOCK = 1024


class Rows:
    """Rows by number, shared by all views of a data set.

    Where all of them fit into ``memory`` they are kept as they are read, so that each is decoded once; larger sets are
    read in blocks, each time they are asked for. What was found out of a row, that it can be used and what its content
    hash is, is kept in any case.

    Args:
        images: where they are read from.
        form: what each is read into.
        memory: bytes that all rows may take to be kept.
    """

    def __init__(self, images: RowSource, form: Form, memory: int) -> None:
        self.images, self.form, self.memory = images, form, memory
        n = len(images)
        row_bytes = int(np.prod(form.shape)) * np.dtype(form.dtype).itemsize
        in_memory = images.in_memory(form)
        self._kept = None if in_memory or n * row_bytes > memory else np.empty((n, *form.shape), form.dtype)
        self._is_kept, self._is_sound, self._is_hashed = (np.zeros(n, bool) for _ in range(3))
        self._hashes = np.empty(n, np.uint64)
        self._tells: np.ndarray | None = None
        self._ends = np.zeros((2, n), np.float64)  # lowest and highest value of each row that is sound

    def __len__(self) -> int:
        return len(self.images)

    def __getstate__(self) -> dict[str, object]:
        # what was read can be read again: a process is not sent all rows for the sake of a few
        return {**vars(self), "_kept": None}

    def read(self, index: np.ndarray) -> np.ndarray:
        """The rows of these numbers: ``(n, *form.shape)``, a copy.

        Raises:
            InvalidData: if one cannot be decoded or has another form than the first of the set.
        """
        if self._kept is None:
            return self.images.read(index, self.form)
        missing = np.unique(index[~self._is_kept[index]])
        for block in _blocks(missing):
            self._kept[block] = self.images.read(block, self.form)
            self._is_kept[block] = True
        rows: np.ndarray = self._kept[index]
        return rows

    def check(self, index: np.ndarray) -> None:
        """Reads every row of these numbers that was not looked at before.

        Raises:
            InvalidData: mixed sizes or kinds, and corrupt, truncated or non-finite rows, by name.
        """
        due = index[~self._is_sound[index]]
        self.images.require_alike(due)
        for block in _blocks(due):
            rows = self.read(block)
            self.images.require_finite(block, rows)
            pixels = rows.reshape(len(rows), -1)
            self._ends[:, block] = pixels.min(axis=1), pixels.max(axis=1)
            self._is_sound[block] = True
            if self._kept is None and not self._holds_floats:  # to read them again takes time
                self._hash(block, rows)

    def span(self, index: np.ndarray) -> tuple[float, float]:
        """The lowest and the highest value in the rows of these numbers, which have been checked."""
        low, high = self._ends[:, index]
        return float(low.min()), float(high.max())

    def fingerprints(self, index: np.ndarray) -> np.ndarray:
        """``(n,)`` uint64 content hashes; a row has one hash in every view."""
        for block in _blocks(np.unique(index[~self._is_hashed[index]])):
            self._hash(block, self.read(block))
        hashes: np.ndarray = self._hashes[index]
        return hashes

    def telling(self, index: np.ndarray) -> np.ndarray:
        """``(n,)`` bool: which rows are known by their content; what tells is asked of the whole source."""
        if not self.form.coincides:
            return np.ones(len(index), bool)
        if self._tells is None:
            self._tells = self.form.telling(self.read(np.arange(len(self))))
        told: np.ndarray = self._tells[index]
        return told

    def detached(self, index: np.ndarray) -> Rows:
        """The rows of these numbers in memory of their own, which can be sent to another process."""
        names = [self.images.name(int(row)) for row in index]
        kept = self.images.replaced(self.read(index), names.__getitem__, self.form)
        own = Rows(kept, self.form, self.memory)
        own._is_sound[:], own._is_hashed[:] = self._is_sound[index], True
        own._ends[:] = self._ends[:, index]
        own._hashes[:] = self.fingerprints(index)
        own._tells = self.telling(index) if self.form.coincides else None
        return own

    def _hash(self, block: np.ndarray, rows: np.ndarray) -> None:
        self._hashes[block] = self.form.fingerprints(rows, self._span_of_floats)
        self._is_hashed[block] = True

    @property
    def _holds_floats(self) -> bool:
        return np.dtype(self.form.dtype).kind == "f"

    @cached_property
    def _span_of_floats(self) -> np.ndarray | None:
        """Lowest and highest float of the whole source, which decide what its values are hashed as."""
        if not self._holds_floats:
            return None
        blocks = (self.read(block) for block in _blocks(np.arange(len(self))))
        return np.array([end for rows in blocks for end in (rows.min(), rows.max())])


def _blocks(index: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(index), _BLOCK):
        yield index[start : start + _BLOCK]
