"""Columns: Hugging Face data sets and parquet files."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import ImageOps

from synthaug.data.readers.base import Columns, Reading, Source, group_array
from synthaug.data.readers.beside import LazyTable
from synthaug.data.readers.found import Found, find_columns, is_plain
from synthaug.data.readers.lists import leads_out
from synthaug.data.readers.memory import stored
from synthaug.data.readers.plain import features_of, read_plain
from synthaug.data.readers.shards import read_shards
from synthaug.data.readers.written import (
    RECORD_KEY,
    groups_in,
    record_in,
    record_of_folder,
    require_likely_rows,
    splits_in,
)
from synthaug.errors import InvalidData
from synthaug.modalities.image.images import Images
from synthaug.modalities.image.opening import BROKEN, opened_picture
from synthaug.modalities.image.pictures import Pictures
from synthaug.outputs import decode_name

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class _RowNames:
    """``row 3 of train`` for a row of several splits that lie one after another."""

    starts: tuple[int, ...]
    splits: tuple[str, ...]

    @classmethod
    def of(cls, parts: Mapping[str, Any], otherwise: str = "") -> _RowNames:
        """Of parts by the names of their splits; of one without such a name by another."""
        starts = np.cumsum([0, *(len(part) for part in parts.values())])[:-1]
        return cls(tuple(starts.tolist()), tuple(split or otherwise for split in parts))

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


@dataclass(frozen=True)
class _Beside(_Entries):
    """The images of a column of a file, of which those that are not in it lie below its folder."""

    folder: Path

    def __getitem__(self, row: int) -> Any:
        entry = super().__getitem__(row)
        if not isinstance(entry, Mapping) or entry.get("bytes") is not None or entry.get("path") is None:
            return entry
        if leads_out(entry["path"].replace("\\", "/")):
            raise InvalidData(
                f"row {row} names a file outside of the folder {self.folder}, {entry['path']!r}; put the pictures into "
                "the file, or below its folder"
            )
        return {"bytes": None, "path": str(self.folder / entry["path"])}


def read_parquet(path: Path, columns: Columns) -> Source:
    """The rows of a parquet file in the Hugging Face image layout, or with arrays of numbers as images."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            require_likely_rows(file, path.stat().st_size)
        schema = parquet.read_schema(path)
        record = record_in((schema.metadata or {}).get(RECORD_KEY, b""))
        if is_plain(schema, columns, record):
            table = parquet.read_table(path)
            read = read_plain(table, columns, record, f"file {path}", names=_FileRows(path.name))
            return replace(read, path=path, reading=Reading("a parquet file"))
        found = find_columns(schema, columns, str(path), record)
        table = parquet.read_table(path, columns=[found.image, *found.few])
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise InvalidData(f"{path} cannot be read as a parquet file: {error}") from error
    if found.encoded:
        beside_file = _Beside(table[found.image], path.parent)
        images: Images = _pictures(found, _FileRows(path.name), beside_file)
    else:
        arrays = stored([np.array(value, found.dtype) for value in table[found.image].to_pylist()])
        images = replace(arrays, names=_FileRows(path.name))
    read = _from_table(table, found, images, f"file {path}", columns.group)
    beside = None
    if found.beside:
        beside = LazyTable(_only(schema, found.beside), partial(_read_columns, path, tuple(found.beside)))
    return replace(read, path=path, reading=Reading("a parquet file"), beside=beside)


def read_written_shards(path: Path, columns: Columns, record: Mapping[str, Any]) -> Source:
    """The rows of a folder of shards that synthaug wrote."""
    import pyarrow as pa

    parts, origin = read_shards(path, record), f"folder {path}"
    table = pa.concat_tables(parts.values())
    if is_plain(table.schema, columns, record):
        read = read_plain(table, columns, record, origin)
    else:
        found = find_columns(table.schema, columns, origin, record, apart=list(parts) != [""])
        pictures = _pictures(found, _RowNames.of(parts, path.name), _Entries(table[found.image]))
        read = _from_table(table, found, pictures, origin, columns.group)
        if found.beside:
            few = partial(table.select, found.beside)
            read = replace(read, beside=LazyTable(_only(table.schema, found.beside), few))
    read = replace(read, path=path, reading=Reading("shards that synthaug wrote"))
    return (
        read
        if list(parts) == [""]
        else replace(read, splits=np.repeat(list(parts), [len(part) for part in parts.values()]))
    )


def _read_columns(path: Path, names: Sequence[str]) -> pyarrow.Table:
    from pyarrow import parquet

    return parquet.read_table(path, columns=list(names)).select(list(names))


@dataclass(frozen=True)
class _FileRows:
    file: str

    def __call__(self, row: int) -> str:
        return f"row {row} of {self.file}"


def read_saved(path: Path, columns: Columns) -> Source:
    """The rows of a Hugging Face data set, or of a dictionary of its splits, as ``save_to_disk`` writes it."""
    import datasets

    found = _read_sets(datasets.load_from_disk(str(path)), columns, record_of_folder(path), path)
    return replace(
        found, origin=f"saved data set {path}", path=path, reading=Reading("a saved Hugging Face data set")
    )


def read_huggingface(source: Any, columns: Columns) -> Source:
    """The rows of a map-style data set of the ``datasets`` library, or of all splits of several."""
    return _read_sets(source, columns, None)


def _read_sets(
    source: Any, columns: Columns, record: Mapping[str, Any] | None, path: Path | None = None
) -> Source:
    import datasets

    parts = dict(source) if isinstance(source, datasets.DatasetDict) else None
    rows = source if parts is None else datasets.concatenate_datasets(_alike(parts, path))
    if is_plain(rows.features.arrow_schema, columns, record):
        table = _arrow_table(rows.with_format(None))
        read = read_plain(table, columns, record, "Hugging Face data set", rows.features.arrow_schema)
        return read if parts is None else _in_parts(read, parts, record)
    found = find_columns(rows.features.arrow_schema, columns, "the data set", record, apart=parts is not None)
    rows = rows.with_format(None)
    table = rows.select_columns(found.few).with_format("arrow")[:]
    names = None
    if parts is not None:
        names = _RowNames.of(parts)
    if found.encoded:
        undecoded = rows.select_columns([found.image]).cast_column(found.image, datasets.Image(decode=False))
        images: Images = replace(_pictures(found, names, _Entries(undecoded[found.image])), container="pil")
    else:
        arrays = rows.with_format("numpy", columns=[found.image], dtype=found.dtype)[:][found.image]
        images = replace(stored(list(arrays)), names=names)
    read = _from_table(table, found, images, "Hugging Face data set", columns.group)
    if found.beside:
        schema = _only(rows.features.arrow_schema, found.beside)
        read = replace(
            read, beside=LazyTable(schema, partial(_arrow_table, rows.select_columns(found.beside)))
        )
    if parts is None:
        return read
    return _in_parts(read, parts, record)


def _in_parts(read: Source, parts: Mapping[str, Any], record: Mapping[str, Any] | None) -> Source:
    """What was read of several splits, with the split of each row."""
    told = list(parts) if record is None else [decode_name(name) for name in parts]
    return replace(read, splits=np.repeat(told, [len(part) for part in parts.values()]))


def _arrow_table(rows: Any) -> pyarrow.Table:
    return rows.with_format("arrow")[:].select(rows.column_names)


def _alike(parts: Mapping[str, Any], path: Path | None) -> list[Any]:
    """The splits of a data set with the columns of all of them; what a split lacks is null in it.

    Raises:
        InvalidData: columns of one name that are not the same in all splits.
    """
    import datasets

    if not parts:
        raise InvalidData("the dictionary of data sets is empty; give it a data set")
    features: dict[str, Any] = {}
    for split, part in parts.items():
        for name, feature in part.features.items():
            if features.setdefault(name, feature) != feature:
                raise InvalidData(
                    f'the column "{name}" is not the same in all splits of the data set: {feature} in {split}, and '
                    f"{features[name]} in another; make them the same with cast_column, or open one split alone, as "
                    + (f'data["{next(iter(parts))}"]' if path is None else str(path / next(iter(parts))))
                )
    whole = datasets.Features(features)
    return [_with_columns(part.with_format(None), whole) for part in parts.values()]


def _with_columns(part: Any, features: Any) -> Any:
    import datasets

    missing = {name: feature for name, feature in features.items() if name not in part.features}
    if missing:
        nulls = datasets.Dataset.from_dict(
            {name: [None] * len(part) for name in missing}, features=datasets.Features(missing)
        )
        part = datasets.concatenate_datasets([part, nulls], axis=1)
    return part.select_columns(list(features))


def _pictures(found: Found, names: Any, entries: _Entries) -> Pictures:
    if found.mode is None:
        return Pictures(names=names, entries=entries)
    return Pictures(names=names, entries=_InMode(entries, found.mode))


@dataclass(frozen=True)
class _InMode:
    """Images in the mode that the feature of their column asks for, as the ``datasets`` library hands them out."""

    of: _Entries
    mode: str

    def __len__(self) -> int:
        return len(self.of)

    def __getitem__(self, row: int) -> Any:
        entry = self.of[row]
        data, path = entry["bytes"], entry.get("path")
        if data is None and path is None:
            return None
        try:
            with opened_picture(path if data is None else data) as image:
                return ImageOps.exif_transpose(image).convert(self.mode)
        except BROKEN:
            return entry  # whoever reads it says why


def _from_table(table: pyarrow.Table, found: Found, images: Images, origin: str, group: Any) -> Source:
    splits, synthetic = None, None
    if found.split is not None:
        splits = splits_in(table[found.split].to_pylist(), found.split, origin, images.name)
    if found.synthetic is not None:
        synthetic = table[found.synthetic].to_numpy(zero_copy_only=False).astype(bool)
    if found.group is not None:
        group = groups_in(table[found.group].to_pylist(), found.group, synthetic, origin, images.name)
    return Source(
        images,
        table[found.label].to_pylist(),
        origin,
        names=found.names,
        splits=splits,
        groups=group_array(group, len(images)),
        image_column=found.image,
        label_column=found.label,
        label_feature=found.feature,
        synthetic=synthetic,
    )


def _only(schema: pyarrow.Schema, names: Sequence[str]) -> pyarrow.Schema:
    """The schema of some columns, with what the ``datasets`` library knows of them."""
    import pyarrow as pa

    features = {name: feature for name, feature in features_of(schema).items() if name in names and feature}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})} if features else None
    return pa.schema([schema.field(name) for name in names], metadata=metadata)
