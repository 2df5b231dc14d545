"""What the columns of a Hugging Face data set hold: pictures or the cells of a table, and the labels beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from synthaug.data.items import ItemFields, Key
from synthaug.data.labeled import LabeledData
from synthaug.data.opening import open_data
from synthaug.data.readers.plain import label_in
from synthaug.errors import InvalidData, InvalidRequest, SpecMismatch
from synthaug.generators.samples import Samples
from synthaug.mixing.tables import MadeRows
from synthaug.modalities.arrays import as_array
from synthaug.modalities.base import Form
from synthaug.modalities.table import Column, TableForm, rows_of_table
from synthaug.modalities.table.kinds import BESIDE, kinds_of

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class TableFields:
    """The columns of a data set whose rows are those of a table.

    Attributes:
        label: of the label.
        others: neither of the label nor of a feature.
    """

    label: str
    others: tuple[str, ...]

    @classmethod
    def of(cls, dataset: Any, data: LabeledData) -> TableFields:
        """Those of a data set that was opened as this."""
        assert isinstance(data.form, TableForm), "asked of tables alone"
        assert data.found.label_column is not None, "a table has one"
        known = {data.found.label_column, *(column.name for column in data.form.columns)}
        others = tuple(name for name in dataset.column_names if name not in known)
        return cls(data.found.label_column, others)


def open_table(dataset: Any, label: Key | None, form: TableForm) -> LabeledData:
    """A data set whose columns of features are those of a form, and whatever else it has.

    Raises:
        SpecMismatch: columns that differ from those of the form.
    """
    schema = dataset.features.arrow_schema
    named = label_in(schema) if label is None else str(label)
    kinds = {name: BESIDE for name in schema.names if name not in (named, "split")}
    for column in form.columns:
        if column.name in kinds:
            del kinds[column.name]
            if column.kind in kinds_of(str(schema.field(column.name).type)):
                kinds[column.name] = column.kind
    data = open_data(dataset, label=named, kinds=kinds)
    assert isinstance(data.form, TableForm), "it was opened as one"
    _require_outline(data.form, form)
    return data


def require_columns(schema: pyarrow.Schema, label: Key | None, form: TableForm) -> TableFields:
    """The columns of a stream, of which nothing but its features is known; as `open_table`, without looking at rows.

    Raises:
        InvalidRequest: no column of labels stands out, or the one that is named is not there.
        SpecMismatch: columns that differ from those of the form.
    """
    named = label_in(schema) if label is None else str(label)
    if named is None or named not in schema.names:
        raise InvalidRequest(
            f"The stream has no column of labels{'' if named is None else f' called {named!r}'} (columns: "
            f"{', '.join(schema.names)}); name it with items=synthaug.Items(label=...)."
        )
    there = []
    for column in form.columns:
        if column.name in schema.names and column.name != named:
            possible = kinds_of(str(schema.field(column.name).type)) or (column.kind,)
            there.append(replace(column, kind=column.kind if column.kind in possible else possible[0]))
    _require_outline(TableForm(tuple(there)), form)
    known = {named, *(column.name for column in form.columns)}
    return TableFields(named, tuple(name for name in schema.names if name not in known))


def _require_outline(found: TableForm, form: TableForm) -> None:
    if why := in_outline(found).why_not(in_outline(form)):
        raise SpecMismatch(
            f"The rows of the data set do not have the columns of the synthetic ones: {why}. Train the generator on "
            "this data set, or give it the columns of the other."
        )


def in_outline(form: TableForm) -> TableForm:
    """Names and kinds of columns alone: which levels, units and types they have a few rows may not tell."""
    outlines = tuple(replace(column, arrow="", levels=(), unit=None, fit=None) for column in form.columns)
    return TableForm(outlines)


@dataclass(frozen=True)
class StreamedImages:
    """Rows of a stream that hold pictures.

    Attributes:
        fields: where image and label are.
        kind: the feature of the column of images.
        form: of the samples.
    """

    fields: ItemFields
    kind: Any
    form: Form

    def cells(self, samples: Samples) -> list[dict[str, Any]]:
        """The columns of features of rows that are made."""
        stored = (
            map(Image.fromarray, samples.samples)
            if hasattr(self.kind, "decode")
            else samples.samples.tolist()
        )
        return [{str(self.fields.image): image} for image in stored]

    def print_of(self, row: Mapping[str, Any]) -> int | None:
        """The fingerprint of a real row."""
        image = as_array(self.fields.image_of(row))
        # Columns of arrays come as lists.
        pixels = np.asarray(image, self.form.dtype if isinstance(image, list) else None)
        return int(self.form.fingerprints(pixels[None])[0])


@dataclass(frozen=True)
class StreamedTable:
    """Rows of a stream that are those of a table.

    Attributes:
        fields: where the label is.
        form: of the samples.
        schema: of the stream.
    """

    fields: TableFields
    form: TableForm
    schema: pyarrow.Schema

    def cells(self, samples: Samples) -> list[dict[str, Any]]:
        """The columns of features of rows that are made."""
        import pyarrow as pa

        made = MadeRows.of(samples.samples, self.form, {})
        columns = {name: made.column(name, self.schema.field(name).type) for name in made.cells.column_names}
        found: list[dict[str, Any]] = pa.table(columns).to_pylist()
        return found

    def print_of(self, row: Mapping[str, Any]) -> int | None:
        """The fingerprint of a real row, whatever levels it holds; None of one that no table can hold."""
        import pyarrow as pa

        columns = [_as_wide(column, row[column.name]) for column in self.form.columns]
        schema = pa.schema([self.schema.field(column.name) for column in columns])
        try:
            table = pa.Table.from_pylist([{name: row[name] for name in schema.names}], schema=schema)
            rows = rows_of_table(table, columns)
        except InvalidData:
            return None
        return int(replace(self.form, columns=tuple(columns), relations=()).fingerprints(rows)[0])


def _as_wide(column: Column, cell: Any) -> Column:
    """A column that can hold this cell as well; fingerprints stay as they are."""
    if column.kind == "category" and cell is not None and cell not in column.levels:
        return replace(column, levels=(*column.levels, cell), fit=None)
    return replace(column, unit="us", fit=None) if column.kind == "date" else column


StreamedRows: TypeAlias = StreamedImages | StreamedTable
"""Rows of a stream of either kind."""
