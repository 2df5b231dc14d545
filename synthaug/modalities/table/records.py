"""Rows of a table or of an array of vectors, in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthaug.errors import InvalidData
from synthaug.modalities.base import Container
from synthaug.modalities.source import RowSource
from synthaug.modalities.table.columns import Column
from synthaug.modalities.table.form import TableForm
from synthaug.modalities.table.relations import Relation


@dataclass(frozen=True)
class Records(RowSource):
    """Raw rows by number, as `TableForm` has them.

    Attributes:
        rows: ``(N, D)``.
        columns: of a row, not fitted.
        container: what the source hands out: arrays, tensors or a frame.
        names: what to call a row in a message; ``row 17`` when None.
        relations: what holds between columns, not fitted.
    """

    rows: np.ndarray
    columns: tuple[Column, ...]
    container: Container = "array"
    names: Callable[[int], str] | None = None
    relations: tuple[Relation, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def form(self) -> TableForm:
        """The columns, not fitted."""
        return TableForm(self.columns, self.rows.dtype.name, self.container, self.relations)

    def read(self, rows: np.ndarray, form: TableForm) -> np.ndarray:
        """The raw rows of these numbers."""
        chosen: np.ndarray = self.rows[rows]
        return chosen

    def in_memory(self, form: TableForm) -> bool:
        """They are."""
        return True

    def replaced(self, rows: np.ndarray, names: Callable[[int], str], form: TableForm) -> Records:
        """Other rows of the same columns."""
        return replace(self, rows=rows, names=names)

    def chosen(self, rows: np.ndarray) -> Records:
        """Some of the rows."""
        names = [self.name(row) for row in rows.tolist()]
        return replace(self, rows=self.rows[rows], names=names.__getitem__)

    def as_asked(self, options: Mapping[str, Any], origin: str) -> RowSource:
        """The rows as they are: what their columns are has been heard already."""
        return super().as_asked({name: value for name, value in options.items() if name != "kinds"}, origin)

    def require_alike(self, rows: np.ndarray) -> None:
        """Rows of one table are."""

    def require_finite(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Refuse infinite numbers; missing cells are none.

        Raises:
            InvalidData: naming the row and the column of the first.
        """
        if values.dtype.kind == "f" and np.isinf(values).any():
            row, column = np.argwhere(np.isinf(values))[0].tolist()
            raise InvalidData(
                f'{self.name(int(rows[row]))} holds an infinite value in the column "{self.columns[column].name}"; '
                "remove the row or replace the value"
            )
