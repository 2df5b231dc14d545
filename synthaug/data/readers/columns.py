"""Columns: Hugging Face data sets and parquet files."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.items import IMAGE_NAMES, LABEL_NAMES
from synthaug.data.readers.base import NO_TABLES, Columns, Source, column_of, group_array
from synthaug.data.readers.memory import stored
from synthaug.errors import InvalidData, UnsupportedKind
from synthaug.modalities.image.pictures import Images, Pictures

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class _Found:
    """Which columns of an Arrow schema hold what."""

    image: str
    label: str
    split: str | None
    group: str | None
    encoded: bool
    dtype: np.dtype | None
    names: Sequence[str] | None

    @property
    def all(self) -> list[str]:
        return [name for name in dict.fromkeys((self.image, self.label, self.split, self.group)) if name]


@dataclass(frozen=True)
class _RowNames:
    """``row 3 of train`` for a row of several splits that lie one after another."""

    starts: tuple[int, ...]
    splits: tuple[str, ...]

    def __call__(self, row: int) -> str:
        which = bisect_right(self.starts, row) - 1
        return f"row {row - self.starts[which]} of {self.splits[which]}"


@dataclass(frozen=True)
class _Entries:
    """The encoded images of a Hugging Face column or an Arrow column, fetched row by row."""

    column: Any

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: int) -> Any:
        entry = self.column[row]
        return entry.as_py() if hasattr(entry, "as_py") else entry


def read_parquet(path: Path, columns: Columns) -> Source:
    """The rows of a parquet file in the Hugging Face image layout, or with arrays of numbers as images."""
    import pyarrow
    from pyarrow import parquet

    try:
        found = _find_columns(parquet.read_schema(path), columns, str(path))
        table = parquet.read_table(path, columns=found.all)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise InvalidData(f"{path} cannot be read as a parquet file: {error}") from error
    if found.encoded:
        images: Images = Pictures(names=_FileRows(path.name), entries=_Entries(table[found.image]))
    else:
        images = stored([np.array(value, found.dtype) for value in table[found.image].to_pylist()])
    return _from_table(table, found, images, f"file {path}", columns.group)


@dataclass(frozen=True)
class _FileRows:
    file: str

    def __call__(self, row: int) -> str:
        return f"row {row} of {self.file}"


def read_huggingface(source: Any, columns: Columns) -> Source:
    """The rows of a map-style data set of the ``datasets`` library, or of all splits of several."""
    import datasets

    parts = source if isinstance(source, datasets.DatasetDict) else None
    if parts is None:
        rows = source
    else:
        schemas = {name: part.features for name, part in parts.items()}
        if not parts or any(features != next(iter(schemas.values())) for features in schemas.values()):
            raise InvalidData(
                "the splits of the data set have different columns; give them the same features"
            )
        rows = datasets.concatenate_datasets([part.with_format(None) for part in parts.values()])
    found = _find_columns(rows.features.arrow_schema, columns, "the data set")
    rows = rows.with_format(None).select_columns(found.all)
    table = rows.select_columns([c for c in found.all if c != found.image]).with_format("arrow")[:]
    names = None
    if parts is not None:
        starts = np.cumsum([0, *(len(part) for part in parts.values())])[:-1]
        names = _RowNames(tuple(starts.tolist()), tuple(parts))
    if found.encoded:
        undecoded = rows.cast_column(found.image, datasets.Image(decode=False))
        images: Images = Pictures("pil", names, entries=_Entries(undecoded[found.image]))
    else:
        arrays = rows.with_format("numpy", columns=[found.image], dtype=found.dtype)[:][found.image]
        images = replace(stored(list(arrays)), names=names)
    read = _from_table(table, found, images, "Hugging Face data set", columns.group)
    if parts is None:
        return read
    return replace(read, splits=np.repeat(list(parts), [len(part) for part in parts.values()]))


def _from_table(table: pyarrow.Table, found: _Found, images: Images, origin: str, group: Any) -> Source:
    return Source(
        images,
        table[found.label].to_pylist(),
        origin,
        names=found.names,
        splits=None if found.split is None else np.array(table[found.split].to_pylist(), dtype=str),
        groups=group_array(table[found.group].to_pylist() if found.group else group, len(images)),
    )


def _find_columns(schema: pyarrow.Schema, columns: Columns, origin: str) -> _Found:
    image, label, group = columns.image, columns.label, columns.group
    info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    features = {name: info.get(name, {}) for name in schema.names}
    dtypes = {name: _array_dtype(schema.field(name).type) for name in schema.names}
    encoded = {
        name: features[name].get("_type") == "Image" or _is_encoded(schema.field(name).type)
        for name in schema.names
    }
    pictures = {name: None for name in schema.names if encoded[name] or dtypes[name] is not None}
    if image is None and not pictures:
        raise UnsupportedKind(
            f"{origin} has no image column (columns: {', '.join(schema.names)}); {NO_TABLES}"
        )
    image_column = column_of(
        dict.fromkeys(schema.names) if image else pictures, image, IMAGE_NAMES, "image", origin
    )
    if image_column not in pictures:
        raise InvalidData(f"the column {image_column!r} of {origin} holds no images")
    others = dict.fromkeys(name for name in schema.names if name != image_column)
    named = {name: None for name in others if features[name].get("_type") == "ClassLabel"}
    usual = named if len(named) == 1 else {name: None for name in (named or others) if name in LABEL_NAMES}
    label_column = column_of(others if label or not usual else usual, label, LABEL_NAMES, "label", origin)
    return _Found(
        image_column,
        label_column,
        split="split" if "split" in others and label_column != "split" else None,
        group=column_of(others, group, (), "group", origin) if isinstance(group, str) else None,
        encoded=encoded[image_column],
        dtype=dtypes[image_column],
        names=features[label_column].get("names"),
    )


def _is_encoded(kind: pyarrow.DataType) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return {field.name for field in kind} == {"bytes", "path"}
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _array_dtype(kind: pyarrow.DataType) -> np.dtype | None:
    """The element dtype of a column of numbers nested two or three deep; None for any other column."""
    import pyarrow.types as types

    depth = 0
    kind = getattr(kind, "storage_type", kind)
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    if depth not in (2, 3) or not (types.is_integer(kind) or types.is_floating(kind)):
        return None
    dtype: np.dtype = np.dtype(kind.to_pandas_dtype())
    return dtype
