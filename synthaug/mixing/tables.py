"""Data frames and Arrow tables with rows behind their own, which stay as they are to the bit."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.data.readers.beside import as_dictionary
from synthaug.data.readers.tables import arrow_of
from synthaug.data.readers.written import label_type, labels_of, own_name, provenance_names
from synthaug.data.splits import training_split
from synthaug.errors import SpecMismatch
from synthaug.files.expansion import Expansion
from synthaug.modalities.base import Form
from synthaug.modalities.table import TableForm, table_of_rows

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class MadeRows:
    """Synthetic rows of a table, of which only some columns have cells.

    Attributes:
        cells: the columns of their features.
        values: the other columns that they have, such as the one of the labels.
    """

    cells: pyarrow.Table
    values: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, samples: np.ndarray, form: Form, values: Mapping[str, Sequence[Any]]) -> MadeRows:
        """Rows ``(N, D)`` of a form, and the other columns that they have."""
        assert isinstance(form, TableForm), "asked of tables alone"
        return cls(table_of_rows(samples, form.columns), values)

    def __len__(self) -> int:
        rows: int = self.cells.num_rows
        return rows

    def column(self, name: str, kind: pyarrow.DataType) -> pyarrow.ChunkedArray:
        """The column of this name in a table that has it as this type; null where nothing is known of it.

        Raises:
            SpecMismatch: cells that the type cannot hold.
        """
        import pyarrow as pa

        if name not in self.values and name not in self.cells.column_names:
            return pa.chunked_array([pa.nulls(len(self), kind)], kind)
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        try:
            given = self.values.get(name)
            values = self.cells[name] if given is None else pa.chunked_array([pa.array(given)])
            if values.type == kind:
                return values
            values = values.cast(plain)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SpecMismatch(
                f'The column "{name}" of {kind} cannot hold the synthetic cells: {error}. Convert it to the type that '
                "the generator was trained on."
            ) from error
        return values if plain is kind else pa.chunked_array([as_dictionary(values.combine_chunks(), kind)])


def expand_table(source: Any, expansion: Expansion) -> Any:
    """A data frame or an Arrow table with all synthetic rows of an expansion and the columns of provenance.

    Columns that are neither features, label nor split are missing in synthetic rows. The index of a frame is counted
    anew, and a column of NumPy integers or truths of which cells are missing becomes one of pandas that can miss them.

    Args:
        source: what was opened.
        expansion: of it.
    """
    data, samples = expansion.data, expansion.samples()
    assert data.found.label_column is not None, "a table has one"
    values: dict[str, Sequence[Any]] = {data.found.label_column: expansion.labels()}
    if data.splits is not None:
        values["split"] = [training_split(data)] * len(samples)
    made = MadeRows.of(samples.samples, data.form, values)
    about = expansion.provenance(samples, len(source))
    if hasattr(source, "iloc"):
        larger = extended_frame(source, made)
        for name, own in provenance_names(list(map(str, source.columns))).items():
            larger[own] = about[name]
        return larger
    larger = extended_table(source, made)
    for name, own in provenance_names(source.column_names).items():
        larger = larger.append_column(own, [about[name]])
    return larger


def table_of(data: LabeledData) -> tuple[pyarrow.Table, str]:
    """The rows of a table in all their columns, behind which stands that of the label; and what that is called."""
    import pyarrow as pa

    feature, beside = data.found.label_feature, data.beside
    assert beside is not None, "the cells of a table are there"
    name = own_name(data.found.label_column or "label", beside.column_names)
    values = labels_of(data.classes, feature)[data.labels]
    kind = label_type(feature) if feature else None
    return beside.append_column(name, [pa.array(values.tolist(), kind)]), name


def extended_table(table: pyarrow.Table, made: MadeRows) -> pyarrow.Table:
    """An Arrow table with rows behind its own; nothing is copied."""
    import pyarrow as pa

    columns = []
    for field in table.schema:
        chunks = [*table[field.name].chunks, *made.column(field.name, field.type).chunks]
        columns.append(pa.chunked_array(chunks, field.type))
    kinds = [field.with_nullable(True) for field in table.schema]
    return pa.table(columns, schema=pa.schema(kinds, metadata=table.schema.metadata))


def extended_frame(frame: Any, made: MadeRows) -> Any:
    """A data frame with rows behind its own, of its columns and their dtypes."""
    pd = _pandas()
    schema = arrow_of(frame).schema
    columns = [
        _joined(frame.iloc[:, at], name, schema.field(name).type, made)
        for at, name in enumerate(schema.names)
    ]
    larger = pd.concat(columns, axis=1)
    larger.columns = frame.columns
    return larger


def _joined(real: Any, name: str, kind: pyarrow.DataType, made: MadeRows) -> Any:
    pd = _pandas()
    if name in made.values:
        behind = pd.Series(list(made.values[name]), dtype=real.dtype)
    else:
        column = made.column(name, kind)
        if column.null_count and isinstance(real.dtype, np.dtype) and real.dtype.kind in "biu":
            real = real.astype(_nullable(real.dtype))
        behind = _series_of(column, real.dtype)
    return pd.concat([real, behind], ignore_index=True)


def _series_of(column: pyarrow.ChunkedArray, dtype: Any) -> Any:
    pd = _pandas()
    kind = getattr(dtype, "kind", "O")
    if column.null_count == len(column) or kind in "biu" or dtype == np.dtype(object):
        return pd.Series(column.to_pylist(), dtype=dtype)
    if isinstance(dtype, pd.ArrowDtype):
        return pd.Series(pd.array(column, dtype=dtype))
    return column.to_pandas().astype(dtype)


def _pandas() -> Any:
    """The library of whoever has a data frame."""
    return sys.modules["pandas"]


def _nullable(dtype: np.dtype[Any]) -> str:
    kinds = {"b": "boolean", "i": f"Int{8 * dtype.itemsize}", "u": f"UInt{8 * dtype.itemsize}"}
    return kinds[dtype.kind]
