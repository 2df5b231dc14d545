"""Rows by number, in memory or in files, read on demand into one form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.errors import InvalidRequest
from synthaug.modalities.base import Container, Form


class RowSource(ABC):
    """Rows of one source by their numbers.

    Attributes:
        container: what the source itself hands out.
        names: what to call a row in a message; ``row 17`` when None.
    """

    container: Container
    names: Callable[[int], str] | None

    @abstractmethod
    def __len__(self) -> int: ...

    def name(self, row: int) -> str:
        """What to call a row in a message."""
        return self.names(row) if self.names else f"row {row}"

    @abstractmethod
    def form(self) -> Form:
        """The form of its rows, as far as it is known before any are trained on."""

    @abstractmethod
    def read(self, rows: np.ndarray, form: Any) -> np.ndarray:
        """The raw rows of these numbers: ``(n, *form.shape)`` of dtype ``form.dtype``.

        Raises:
            InvalidData: if a row cannot be decoded or differs in form from the first row of the set.
        """

    def alone(self, row: int) -> np.ndarray:
        """One raw row as it is stored, where others may have another form; in the size that was asked for, if any was.

        Raises:
            InvalidData: if it cannot be decoded.
        """
        read: np.ndarray = self.read(np.array([row]), self.form())[0]
        return read

    def file(self, row: int) -> Path | bytes | None:
        """The file that a row is, by its path or its bytes, of which it is read as it is; None where there is none."""
        return None

    @abstractmethod
    def in_memory(self, form: Any) -> bool:
        """Whether reading rows of this form is a mere indexing."""

    @abstractmethod
    def replaced(self, rows: np.ndarray, names: Callable[[int], str], form: Any) -> RowSource:
        """A source of the same kind whose rows ``(n, *form.shape)`` lie in memory."""

    @abstractmethod
    def chosen(self, rows: np.ndarray) -> RowSource:
        """Some of the rows, by their numbers."""

    def broken(self) -> dict[int, str]:
        """Rows that cannot be decoded, and why; each row is decoded."""
        return {}

    def several_frames(self) -> int:
        """Rows of which only the first of several pages or frames is read."""
        return 0

    def sizes(self) -> dict[str, int]:
        """How many rows have each size as they are stored, as far as it is known; none where rows have no size."""
        return {}

    @property
    def resized(self) -> bool:
        """Whether rows are brought to a size that was asked for."""
        return False

    @property
    def opening(self) -> dict[str, Any]:
        """Options of `open_data` that read other rows as these are read."""
        return {}

    def as_asked(self, options: Mapping[str, Any], origin: str) -> RowSource:
        """The rows, read as options of `open_data` say that are right for some kinds of rows only.

        Args:
            options: those that were given.
            origin: what to call the source in a message.

        Raises:
            InvalidRequest: options that make no sense for these rows, or values that they cannot have.
        """
        if options:
            name, value = next(iter(options.items()))
            raise InvalidRequest(f"{name}={value!r} was given, but {origin} holds no images; leave it out")
        return self

    @abstractmethod
    def require_alike(self, rows: np.ndarray) -> None:
        """Refuse rows that cannot be read into one form, without decoding them.

        Raises:
            InvalidData: at mixed forms, naming a row of each.
        """

    @abstractmethod
    def require_finite(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Refuse what no arithmetic can be done with.

        Args:
            rows: numbers of rows.
            values: what they were read as.

        Raises:
            InvalidData: naming the first row with such a value.
        """
