"""Arrow tables of plain columns, none of which holds pictures: what synthaug or ``datasets`` says of them is heard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthaug.data.readers.base import Columns, Reading, Source
from synthaug.data.readers.recorded import as_recorded, form_in
from synthaug.data.readers.tables import LinesOf, read_arrow, usual_label
from synthaug.data.readers.written import Layout, found_provenance, layout_of, names_in, read_text

if TYPE_CHECKING:
    import pyarrow


def read_plain(
    table: pyarrow.Table,
    columns: Columns,
    record: Mapping[str, Any] | None,
    origin: str,
    schema: pyarrow.Schema | None = None,
    names: Any = None,
) -> Source:
    """The rows of a table.

    Args:
        table: of all columns.
        columns: where things are.
        record: of an output of synthaug; None for other tables.
        origin: what to call the source in a message.
        schema: which knows the features of the columns; that of the table when None.
        names: what to call a row.

    Raises:
        InvalidData: as `read_arrow`.
    """
    schema = table.schema if schema is None else schema
    layout, form, features = layout_of(record), form_in(record), features_of(schema)
    own: dict[str, str | None] = {name: name for name in own_columns(schema, layout)}
    own["synthetic"] = synthetic_column(schema, layout)
    label = columns.label
    if layout is not None:
        own["split"], label = layout.split, layout.label if label is None else label
        table = as_recorded(table, layout, form)
    if label is None:
        label = _class_label(schema)
    feature = features.get(str(label), {}) if layout is None else layout.feature
    said = columns.kinds or (layout is not None and label != layout.label)
    return read_arrow(
        table,
        replace(columns, label=label),
        origin,
        names=names,
        own=own,
        label_feature=feature if feature.get("_type") in ("ClassLabel", "Value") else None,
        class_names=feature.get("names") or (None if record is None else names_in(record)),
        known=None if said else form,
    )


def read_recorded_text(path: Path, columns: Columns, record: Mapping[str, Any]) -> Source:
    """The rows of a file of text that synthaug wrote, with its record."""
    read = read_plain(read_text(path), columns, record, f"table {path}", names=LinesOf(path.name))
    return replace(read, path=path, reading=Reading("a table that synthaug wrote"))


def label_in(schema: pyarrow.Schema) -> str | None:
    """The only column of classes, or the one whose name says so; None where none stands out."""
    ours = set((found_provenance(schema) or {}).values())
    return _class_label(schema) or usual_label([name for name in schema.names if name not in ours])


def _class_label(schema: pyarrow.Schema) -> str | None:
    features = features_of(schema)
    named = [name for name, feature in features.items() if feature.get("_type") == "ClassLabel"]
    return named[0] if len(named) == 1 else None


def features_of(schema: pyarrow.Schema) -> dict[str, Any]:
    """What the ``datasets`` library knows of each column.

    Raises:
        ValueError: names of classes that are none.
    """
    told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = (told.get("info") or {}).get("features") or {}
    told_of = {name: features.get(name) for name in schema.names}
    found: dict[str, Any] = {name: of if isinstance(of, dict) else {} for name, of in told_of.items()}
    for name, feature in found.items():
        names = feature.get("names") or []
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            raise ValueError(f'the column "{name}" has the names of classes {names!r:.60}')
    return found


def own_columns(schema: pyarrow.Schema, layout: Layout | None) -> set[str]:
    """The columns that synthaug has put beside those of the user."""
    if layout is not None:
        return layout.own - {layout.split}
    return set((found_provenance(schema) or {}).values())


def synthetic_column(schema: pyarrow.Schema, layout: Layout | None) -> str | None:
    """The column that says of a row whether it is synthetic."""
    names = found_provenance(schema) if layout is None else layout.provenance
    return None if names is None else names["synthetic"]
