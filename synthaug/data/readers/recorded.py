"""Tables that synthaug wrote: their cells in the types, and with the levels, that they had."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.readers.beside import as_dictionary, from_text
from synthaug.data.readers.written import PROVENANCE_TYPES, Layout, label_type, record_in
from synthaug.modalities.table.cells import rows_of_table, table_of_rows
from synthaug.modalities.table.columns import Column
from synthaug.modalities.table.form import TableForm
from synthaug.outputs import sha256_file

if TYPE_CHECKING:
    import pyarrow

RECORD_BESIDE = ".synthaug.json"
"""What the file of the record is called behind the name of a file that cannot hold it."""


def record_beside(path: Path) -> dict[str, Any] | None:
    """The record in a file beside a file of text; None where there is none, or one of another content."""
    try:
        record = record_in(path.with_name(path.name + RECORD_BESIDE).read_text(encoding="utf-8"))
        return record if record is not None and record.get("sha256") == sha256_file(path) else None
    except (OSError, UnicodeDecodeError):
        return None


def form_in(record: Mapping[str, Any] | None) -> TableForm | None:
    """The form of the rows of an output whose rows are those of a table; None elsewhere."""
    form = {} if record is None else record.get("card", {}).get("form", {})
    return TableForm.from_dict(form) if form.get("kind") == TableForm.kind else None


def as_recorded(table: pyarrow.Table, layout: Layout, form: TableForm | None) -> pyarrow.Table:
    """The columns of a table as they were before they were written.

    Args:
        table: some of the columns of an output, of any types that hold their values.
        layout: of the output.
        form: of its rows, which knows the levels.
    """
    import pyarrow as pa

    kinds = {field.name: field.type for field in layout.beside or ()}
    kinds[layout.label] = label_type(layout.feature)
    kinds |= {
        own: pa.type_for_alias(kind)
        for own, kind in zip(layout.provenance.values(), PROVENANCE_TYPES, strict=True)
    }
    columns = {} if form is None else {column.name: column for column in form.columns}
    names = [name for name in kinds if name in table.column_names]
    names += [name for name in table.column_names if name not in kinds]
    restored = {
        name: _restored(table[name], kinds.get(name, pa.string()), columns.get(name)) for name in names
    }
    return pa.table(restored).replace_schema_metadata(
        None if layout.beside is None else layout.beside.metadata
    )


def rows_in(table: pyarrow.Table, form: TableForm) -> np.ndarray:
    """``(N, D)`` rows of a form whose cells are the columns of a table."""
    if form.container == "frame":
        return rows_of_table(table, form.columns).astype(form.dtype)
    cells = [table[column.name].to_numpy(zero_copy_only=False) for column in form.columns]
    return np.stack(cells, axis=1).astype(form.dtype)  # to the bit: zeros of a vector have signs


def _restored(values: pyarrow.ChunkedArray, kind: pyarrow.DataType, column: Column | None) -> Any:
    import pyarrow as pa
    import pyarrow.types as types

    if values.type != kind:
        plain = kind.value_type if types.is_dictionary(kind) else kind
        if values.type == pa.string() and plain != values.type:
            values = pa.chunked_array([_of_text(values, plain)])
        elif not types.is_dictionary(values.type):
            values = values.cast(plain)
        if types.is_dictionary(kind) and values.type != kind:
            flat = values.cast(plain) if values.type != plain else values
            values = pa.chunked_array([as_dictionary(flat.combine_chunks(), kind)])
    if column is not None and column.kind == "category" and types.is_dictionary(kind):
        few = pa.table({column.name: values})
        values = table_of_rows(rows_of_table(few, [column]), [column])[column.name]
    return values


def _of_text(values: pyarrow.ChunkedArray, kind: pyarrow.DataType) -> pyarrow.Array:
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_large_string(kind):
        return values.combine_chunks().cast(kind)
    found: pa.Array = from_text(values.to_pylist(), kind)
    return found
