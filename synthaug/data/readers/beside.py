"""Further columns of rows: read when they are asked for, and kept as text or as arrays where there are no tables."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.errors import InvalidRequest, UnsupportedKind

if TYPE_CHECKING:
    import pyarrow


class LazyTable:
    """A table that is read when its rows are asked for the first time.

    Args:
        schema: of the table.
        read: gives the table.
    """

    def __init__(self, schema: pyarrow.Schema, read: Callable[[], pyarrow.Table]) -> None:
        self.schema, self._read = schema, read

    @cached_property
    def _table(self) -> pyarrow.Table:
        return self._read().replace_schema_metadata(self.schema.metadata)

    def __getstate__(self) -> dict[str, Any]:
        return {"schema": self.schema, "_read": self._read}

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        names: list[str] = self.schema.names
        return names

    def take(self, rows: np.ndarray) -> pyarrow.Table:
        """The rows of these numbers."""
        return self._table.take(rows)


def as_text(column: pyarrow.ChunkedArray, name: str) -> list[str | None]:
    """The values of a column as text, null as None; `from_text` reads them back.

    Numbers, truths and times as they are usually written, bytes in base 64, and lists and structures as JSON.

    Raises:
        InvalidRequest: values that text cannot hold, naming the column.
    """
    import pyarrow.types as types

    kind = column.type
    if types.is_dictionary(kind):
        return as_text(column.cast(kind.value_type), name)
    if types.is_string(kind) or types.is_large_string(kind):
        texts: list[str | None] = column.to_pylist()
        return texts
    if _is_plain(kind):
        texts = column.cast("string").to_pylist()
    elif (width := _integers_like(kind)) is not None:
        texts = column.cast(width).cast("string").to_pylist()
    else:
        texts = [None if value is None else _as_json(value) for value in _stored(column).to_pylist()]
    back = from_text(texts, kind)
    if repr(_stored(back).to_pylist()) != repr(_stored(column).to_pylist()):  # where NaN is NaN
        raise InvalidRequest(_cannot(name, kind))
    return texts


def from_text(texts: Sequence[str | None], kind: pyarrow.DataType) -> pyarrow.Array:
    """The values that `as_text` made text of."""
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return as_dictionary(from_text(texts, kind.value_type), kind)
    if types.is_string(kind) or types.is_large_string(kind):
        return pa.array(texts, kind)
    if _is_plain(kind):
        return pa.array(texts, "string").cast(kind)
    if (width := _integers_like(kind)) is not None:
        return pa.array(texts, "string").cast(width).cast(kind)
    storage = getattr(kind, "storage_type", kind)
    values = [None if text is None else _of_json(json.loads(text), storage) for text in texts]
    array = pa.array(values, storage)
    return array if storage is kind else pa.ExtensionArray.from_storage(kind, array)


def as_dictionary(values: pyarrow.Array, kind: pyarrow.DataType) -> pyarrow.Array:
    """Values as a dictionary of this type, whose entries are in the order in which they come first."""
    import pyarrow as pa

    coded = values.dictionary_encode()
    indices = coded.indices.cast(kind.index_type)
    return pa.DictionaryArray.from_arrays(indices, coded.dictionary, ordered=kind.ordered)


def as_array_and_nulls(column: pyarrow.ChunkedArray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The values of a column as an array of numbers, truths, times or text, and which of them are null.

    Raises:
        InvalidRequest: values that no plain array can hold, naming the column.
    """
    import pyarrow.compute as pc
    import pyarrow.types as types

    kind = column.type
    nulls = pc.is_null(column).to_numpy()
    if types.is_null(kind):
        return np.zeros(len(column), np.uint8), nulls
    if types.is_dictionary(kind):
        return as_array_and_nulls(column.cast(kind.value_type), name)
    if (shape := _shape_of(kind)) is not None and not nulls.any():
        flat = column.combine_chunks()
        for _ in shape:
            flat = flat.flatten()
        if not flat.null_count:
            return flat.to_numpy(zero_copy_only=False).reshape(len(column), *shape), nulls
    if types.is_boolean(kind) or types.is_integer(kind):
        return pc.fill_null(column, False if types.is_boolean(kind) else 0).to_numpy(), nulls
    if types.is_floating(kind):
        return column.cast(kind).to_numpy(), nulls
    if types.is_timestamp(kind) or types.is_duration(kind):
        unit = f"{'M' if types.is_timestamp(kind) else 'm'}8[{kind.unit}]"
        return pc.fill_null(column.cast("int64"), 0).to_numpy().view(unit), nulls
    texts = as_text(column, name)
    array = np.array(["" if text is None else text for text in texts], dtype=str)
    if array.tolist() != ["" if text is None else text for text in texts]:
        raise InvalidRequest(_cannot(name, kind))  # NumPy cuts null characters off
    return array, nulls


def from_array(array: np.ndarray, nulls: np.ndarray | None, kind: pyarrow.DataType) -> pyarrow.Array:
    """The values that `as_array_and_nulls` made an array of."""
    import pyarrow as pa
    import pyarrow.types as types

    if types.is_null(kind):
        return pa.nulls(len(array))
    if types.is_dictionary(kind):
        return from_array(array, nulls, kind.value_type).cast(kind)
    if array.dtype.kind == "U" and not (types.is_string(kind) or types.is_large_string(kind)):
        texts = array.tolist()
        missing = np.zeros(len(array), bool) if nulls is None else nulls
        return from_text([None if gone else text for text, gone in zip(texts, missing, strict=True)], kind)
    if array.ndim > 1:
        return column_of_array(array).cast(kind)
    if array.dtype.kind in "Mm":
        return pa.array(array.view(np.int64), mask=nulls).cast(kind)
    return pa.array(array, mask=nulls).cast(kind)


def column_of_array(array: np.ndarray) -> pyarrow.Array:
    """An array ``(N, ...)`` of numbers, truths, times, bytes or text as a column.

    Raises:
        UnsupportedKind: an array that columns cannot hold, such as one of complex numbers.
    """
    import pyarrow as pa

    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    try:
        column = pa.array(array.reshape(-1))
    except (pa.ArrowException, NotImplementedError) as error:
        raise UnsupportedKind(f"no column holds an array of {array.dtype}") from error
    for side in reversed(array.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, side)
    return column


def _is_plain(kind: pyarrow.DataType) -> bool:
    """Whether a cast to text and back gives the values."""
    import pyarrow.types as types

    return any(
        test(kind)
        for test in (types.is_boolean, types.is_integer, types.is_floating, types.is_timestamp, types.is_date32,
                     types.is_date64, types.is_decimal)
    )  # fmt: skip


def _integers_like(kind: pyarrow.DataType) -> str | None:
    """The integers that times and durations are, which text has no cast for."""
    import pyarrow.types as types

    if types.is_duration(kind) or types.is_time64(kind):
        return "int64"
    return "int32" if types.is_time32(kind) else None


def _shape_of(kind: pyarrow.DataType) -> tuple[int, ...] | None:
    """The shape of a value of a column of arrays of numbers; None for other columns."""
    import pyarrow.types as types

    shape: list[int] = []
    while types.is_fixed_size_list(kind):
        shape.append(kind.list_size)
        kind = kind.value_type
    numbers = types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)
    return tuple(shape) if shape and numbers else None


def _stored(column: Any) -> Any:
    """A column without what an extension makes of its values."""
    import pyarrow as pa

    if not isinstance(column.type, pa.BaseExtensionType):
        return column
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    return column.storage


def _as_json(value: Any) -> str:
    def told(other: Any) -> str:
        return base64.b64encode(other).decode() if isinstance(other, bytes) else str(other)

    return json.dumps(value, default=told)


def _of_json(value: Any, kind: pyarrow.DataType) -> Any:
    import pyarrow.types as types

    if value is None:
        return None
    if types.is_struct(kind):
        return {field.name: _of_json(value.get(field.name), field.type) for field in kind}
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return [_of_json(one, kind.value_type) for one in value]
    if types.is_map(kind):
        return [(_of_json(key, kind.key_type), _of_json(one, kind.item_type)) for key, one in value]
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return base64.b64decode(value)
    if isinstance(value, str) and (_is_plain(kind) or _integers_like(kind) is not None):
        return from_text([value], kind)[0].as_py()
    return value


def _cannot(name: str, kind: pyarrow.DataType) -> str:
    return (
        f'the column "{name}" of {kind} has values that cannot be kept there as they are; write a .parquet file, '
        "which keeps every column"
    )
