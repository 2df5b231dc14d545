"""Tables: data frames, Arrow tables, files of text, and arrays of vectors."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.items import LABEL_NAMES
from synthaug.data.readers.base import Columns, Reading, Source, column_of, group_array
from synthaug.data.readers.recorded import rows_in
from synthaug.data.readers.written import (
    feature_of_column,
    feature_of_labels,
    found_provenance,
    groups_in,
    read_text,
    splits_in,
)
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind
from synthaug.modalities.arrays import as_array
from synthaug.modalities.base import Container
from synthaug.modalities.table.cells import rows_of_table
from synthaug.modalities.table.columns import Column
from synthaug.modalities.table.form import TableForm
from synthaug.modalities.table.inference import columns_of_array, infer_columns
from synthaug.modalities.table.kinds import BESIDE
from synthaug.modalities.table.records import Records
from synthaug.modalities.table.relations import in_one_unit, relations_among, require_relations
from synthaug.wording import did_you_mean

if TYPE_CHECKING:
    import pyarrow

_CODE = r"^[+-]?0[0-9]"  # digits that are no number, as it would lose some of them


def read_frame(frame: Any, columns: Columns) -> Source:
    """The rows of a data frame, one of whose columns holds the labels.

    Raises:
        InvalidData: no label column stands out, or a column that cannot be used.
    """
    found = read_arrow(arrow_of(frame), columns, "data frame")
    return replace(found, reading=Reading("a data frame"))


def read_frame_and_labels(frame: Any, y: Any, columns: Columns) -> Source:
    """The rows of a data frame of features, and labels beside it.

    Raises:
        InvalidData: as many rows as labels are needed.
    """
    columns.refuse("a frame with labels beside it", names=("image", "label"))
    if len(frame) != len(y):
        raise InvalidData(f"{len(frame)} rows and {len(y)} labels were given; every row needs one label")
    table = arrow_of(frame)
    group = columns.group
    if isinstance(group, str | int):
        name = column_of(dict.fromkeys(table.column_names), str(group), (), "group", "the frame")
        group, table = table[name].to_pylist(), table.drop_columns([name])
    records, beside = _records(table, columns.kinds)
    return Source(
        records, y, "data frame", groups=group_array(group, len(frame)), beside=beside,
        label_feature=feature_of_labels(y), reading=Reading("a data frame"),
    )  # fmt: skip


def read_vectors(x: Any, y: Any, columns: Columns, origin: str) -> Source:
    """The rows of an array ``(N, D)`` of numbers, and their labels.

    Raises:
        InvalidData: as many rows as labels are needed; or what may be pictures that lie flat.
    """
    array = as_array(x)
    if len(array) != len(y):
        raise InvalidData(f"{len(array)} rows and {len(y)} labels were given; every row needs one label")
    if columns.kinds:
        raise InvalidRequest("kinds= was given, and the columns of an array have no kinds: give a data frame")
    refuse_flat_pictures(array)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    records = Records(array, columns_of_array(array), "array" if array is x else "tensor")
    groups = group_array(columns.group, len(array))
    return Source(
        records, y, origin, groups=groups, label_feature=feature_of_labels(y), reading=Reading("vectors")
    )


def refuse_flat_pictures(array: np.ndarray) -> None:
    """Refuse 8-bit rows of a square number of values, which may be pictures as well as vectors.

    Raises:
        UnsupportedKind: saying how to tell which of them.
    """
    side = math.isqrt(array.shape[1])
    if array.dtype == np.uint8 and side >= 8 and side**2 == array.shape[1]:
        raise UnsupportedKind(
            f"X of shape {array.shape} uint8 may hold pictures of {side}x{side} pixels, or vectors: for pictures give "
            f'them their height and width, X.reshape(-1, {side}, {side}), for vectors X.astype("float32")'
        )


def read_text_table(path: Path, columns: Columns) -> Source:
    """The rows of a file of text: comma, semicolon or tab between cells, the names of the columns in the first line.

    Labels and texts are as they are written, so that "NA" is a text, and "01067", which is no number, one too; a cell
    of numbers or dates that says so, as "NA" does, is missing, as is an empty one.

    Raises:
        InvalidData: a file that is no such table, or as `read_arrow`.
    """
    import pyarrow as pa

    try:
        with open(path, encoding="utf-8-sig", errors="strict") as file:
            head = file.readline()
        texts = read_text(path, max((",", ";", "\t"), key=head.count))
        table = pa.table([_told_by(column) for column in texts.columns], texts.column_names)
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise InvalidData(f"{path} cannot be read as a table: {error}") from error
    found = read_arrow(table, columns, f"table {path}", names=LinesOf(path.name))
    assert found.label_column is not None, "a column of labels has a name"
    label = texts[found.label_column]
    return replace(
        found,
        targets=label.to_pylist(),
        label_feature=feature_of_column(label.type),
        path=path,
        reading=Reading("a table"),
    )


def _told_by(texts: pyarrow.ChunkedArray) -> pyarrow.ChunkedArray:
    """Texts as the numbers, truths or dates that all of them are; as they are where they are none."""
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv

    if pc.any(pc.match_substring_regex(texts, _CODE)).as_py():
        return texts
    lines = io.BytesIO()
    csv.write_csv(pa.table({"x": texts}), lines, csv.WriteOptions(quoting_style="needed"))
    lines.seek(0)
    found = csv.read_csv(
        lines,
        csv.ReadOptions(block_size=max(lines.getbuffer().nbytes, 1) + 1),
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
    )["x"]
    return texts if pa.types.is_string(found.type) or pa.types.is_null(found.type) else found


class LinesOf:
    """``line 5 of patients.csv`` for row 3."""

    def __init__(self, file: str) -> None:
        self.file = file

    def __call__(self, row: int) -> str:  # noqa: D102
        return f"line {row + 2} of {self.file}"


def read_arrow(
    table: pyarrow.Table,
    columns: Columns,
    origin: str,
    *,
    names: Callable[[int], str] | None = None,
    own: Mapping[str, str | None] | None = None,
    label_feature: Any = None,
    class_names: Any = None,
    known: TableForm | None = None,
) -> Source:
    """The rows of an Arrow table.

    Args:
        table: with a column of labels.
        columns: where things are.
        origin: what to call the source in a message.
        names: what to call a row.
        own: columns that synthaug has put there, which are no features: what each is -> its name; ``split``, ``group``
            and ``synthetic`` are known. Columns of provenance that are found when None.
        label_feature: of the label's column, where it is known.
        class_names: what label i is called.
        known: the form of the rows, where it is recorded.

    Raises:
        InvalidData: no label column stands out, or a column that cannot be used.
    """
    table = _without_views(table)
    own = (found_provenance(table.schema) or {}) if own is None else own
    ours = {name for name in own.values() if name is not None}
    others = [name for name in table.column_names if name not in ours]
    group = columns.group
    if isinstance(group, str | int):
        group = column_of(dict.fromkeys([*others, *ours]), str(group), (), "group", origin)
    asked = None if columns.label is None else str(columns.label)
    found = [name for name in others if name != group]
    label = asked or usual_label(found)
    label = column_of(dict.fromkeys(others), label, LABEL_NAMES, "label", origin)
    split = own.get("split") or ("split" if "split" in others and label != "split" else None)
    features = [name for name in others if name not in (label, group, split)]
    left = [name for name in others if name not in (label, split)]
    if known is None or group in [column.name for column in known.columns]:
        records, beside = _records(table.select(features), {**_said(known, group), **columns.kinds})
    else:
        records, beside = _known_records(table, known), None
        if known.container != "frame":  # the cells of a vector are no columns of a table
            left = [name for name in left if name not in {column.name for column in known.columns}]
    whole = table.select(left)
    row = replace(records, names=names).name
    made = own.get("synthetic")
    synthetic = None if made is None else table[made].to_numpy(zero_copy_only=False).astype(bool)
    groups = (
        groups_in(table[group].to_pylist(), group, synthetic, origin, row)
        if isinstance(group, str)
        else group
    )
    return Source(
        replace(records, names=names),
        table[label].to_pylist(),
        origin,
        names=class_names,
        splits=None if split is None else splits_in(table[split].to_pylist(), split, origin, row),
        groups=group_array(groups, table.num_rows),
        beside=whole if whole.num_columns else beside,
        label_column=label,
        label_feature=label_feature or feature_of_column(table.schema.field(label).type),
        synthetic=synthetic,
    )


def arrow_of(frame: Any) -> pyarrow.Table:
    """A data frame as an Arrow table, without its index.

    Raises:
        InvalidData: columns of one name, or of values of several types.
    """
    import pyarrow as pa

    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise InvalidData(f'Several columns are called "{twice[0]}". Rename or leave out all but one.')
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        told = str(error.args[-1] if error.args else error)
        raise InvalidData(f"A column of the frame holds values of several types: {told}") from error


def _without_views(table: pyarrow.Table) -> pyarrow.Table:
    """A table whose texts Arrow can choose rows of, which of views of texts it cannot."""
    import pyarrow as pa

    kinds = [pa.large_string() if pa.types.is_string_view(kind) else kind for kind in table.schema.types]
    if kinds == table.schema.types:
        return table
    return table.cast(pa.schema(zip(table.column_names, kinds, strict=True), metadata=table.schema.metadata))


def usual_label(names: list[str]) -> str | None:
    """The column called "label", or the only one with a usual name; None where none stands out."""
    if "label" in names:
        return "label"
    usual = [name for name in names if name in LABEL_NAMES]
    return usual[0] if len(usual) == 1 else None


def _records(table: pyarrow.Table, kinds: Mapping[str, str]) -> tuple[Records, pyarrow.Table | None]:
    """Feature columns as rows, and the columns that are no features."""
    kinds, relations = relations_among(kinds)
    aside = [name for name, kind in kinds.items() if kind == BESIDE]
    for name in aside:
        if name not in table.column_names:
            raise InvalidRequest(
                f'A kind is given for column "{name}", which is no feature of the table.'
                f"{did_you_mean(name, table.column_names)}"
            )
    features = table.drop_columns(aside) if aside else table
    learned = {name: kind for name, kind in kinds.items() if kind != BESIDE}
    columns: tuple[Column, ...] = infer_columns(features, kinds=learned)
    require_relations(relations, columns)
    columns = in_one_unit(relations, columns)
    rows = rows_of_table(features, columns)
    for relation in relations:
        relation.check(rows, columns)
    return Records(rows, columns, "frame", relations=relations), table if table.num_columns else None


def _said(known: TableForm | None, group: Any) -> dict[str, str]:
    """What a record says of the columns of a table, of which one has become that of the groups."""
    if known is None:
        return {}
    kinds = {column.name: column.kind for column in known.columns if column.name != group}
    between = {", ".join(of.names): of.kind for of in known.relations if group not in of.names}
    return {**kinds, **between}


def _known_records(table: pyarrow.Table, known: TableForm) -> Records:
    """Rows of a form that was recorded, which is to be fitted anew."""
    columns = tuple(replace(column, fit=None) for column in known.columns)
    relations = tuple(replace(relation, seen=()) for relation in known.relations)
    container: Container = "frame" if known.container == "frame" else "array"
    return Records(rows_in(table, known), columns, container, relations=relations)
