"""What synthaug wrote, recognised on reading: its record, and what its columns are called beside those of the user."""

from __future__ import annotations

import base64
import csv
import json
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.classes import Classes
from synthaug.data.readers.base import Reading, Source, column_of, group_array
from synthaug.data.readers.beside import from_text
from synthaug.errors import InvalidData, SynthaugWarning
from synthaug.modalities.arrays import as_array
from synthaug.modalities.claims import bomb_of, likely_bytes
from synthaug.modalities.image.pictures import Pictures
from synthaug.outputs import RECORD, decode_name

if TYPE_CHECKING:
    import pyarrow

PROVENANCE_COLUMNS = ("synthetic", "generator", "seed", "class", "index")
"""What says of a row whether it is synthetic, and how it can be made again."""

PROVENANCE_TYPES = ("bool", "string", "int64", "string", "int64")
"""The types of these columns."""

PROVENANCE_FILE = "provenance.csv"
"""The columns of a folder, one line a row."""

RECORD_KEY = b"synthaug"
"""The place of the record in the schema of a parquet file; in an .npz file, the name of an array."""

SYNTHETIC = "synthetic"
"""The group of synthetic rows."""

_PREFIX = "synthaug_"
_BLOCK = 2**30  # bytes of text that are read at once
_ALIASES = {"double": "float64", "float": "float32", "halffloat": "float16"}


def own_name(name: str, taken: Collection[str]) -> str:
    """What a column of ours is called beside others: with a prefix where its name is taken.

    >>> own_name("seed", ["image", "label"]), own_name("seed", ["seed"])
    ('seed', 'synthaug_seed')
    """
    found = found_name(name, taken)
    return name if found is None else _PREFIX + found


def found_name(name: str, columns: Iterable[str]) -> str | None:
    """What `own_name` called the column of ours among these; None where it is not there.

    >>> found_name("seed", ["seed", "synthaug_seed"])
    'synthaug_seed'
    """
    like = re.compile(f"(?:{_PREFIX})*{re.escape(name)}")
    return max((column for column in columns if like.fullmatch(column)), key=len, default=None)


def provenance_names(taken: Collection[str]) -> dict[str, str]:
    """What the columns of provenance are called beside others."""
    return {name: own_name(name, taken) for name in PROVENANCE_COLUMNS}


def found_provenance(schema: pyarrow.Schema) -> dict[str, str] | None:
    """What the columns of provenance are called in a table; None where they are not all there, of their types."""
    found = {name: found_name(name, schema.names) for name in PROVENANCE_COLUMNS}
    names = {
        name: own
        for (name, own), kind in zip(found.items(), PROVENANCE_TYPES, strict=True)
        if own is not None and str(schema.field(own).type).removeprefix("large_") == kind
    }
    return names if len(names) == len(found) else None


@dataclass(frozen=True)
class Layout:
    """What the columns of an output are called and hold.

    Attributes:
        image: the column of the image; None where a row is the cells of a table, each in a column of its own.
        label: the column of the label.
        provenance: the columns of `PROVENANCE_COLUMNS`.
        split, group, source: our own columns of the split, the group and the file of a row; None where there are none.
        feature: of the label, as ``datasets`` writes it as JSON.
        beside: the further columns of the user, and those of the cells of a table.
        apart: whether the rows of each split lie in a folder or a set of their own.
    """

    image: str | None
    label: str
    provenance: Mapping[str, str]
    split: str | None
    group: str | None
    source: str | None
    feature: Mapping[str, Any]
    beside: pyarrow.Schema | None
    apart: bool = False

    @property
    def own(self) -> set[str]:
        """The names of our own columns."""
        return {*self.provenance.values(), *filter(None, (self.split, self.group, self.source))}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `layout_of` reads it back."""
        schema = None if self.beside is None else base64.b64encode(self.beside.serialize()).decode()
        return {**vars(self), "provenance": dict(self.provenance), "beside": schema}


def layout_of(record: Mapping[str, Any] | None) -> Layout | None:
    """The layout that is recorded; None where there is none."""
    if record is None or "columns" not in record:
        return None
    import pyarrow as pa

    columns = record["columns"]
    text = columns["beside"]
    schema = None if text is None else pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
    return Layout(**{**columns, "beside": schema})


def feature_of_labels(labels: Any) -> dict[str, Any] | None:
    """The feature of labels in an array, a tensor or a list, as ``datasets`` writes it as JSON; None of odd ones."""
    array = as_array(labels)
    dtype = getattr(array, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "biuf":
        return _value(dtype.name)
    if isinstance(dtype, np.dtype) and dtype.kind == "U":
        return _value("string")
    kinds = {type(label) for label in labels} if isinstance(labels, list | tuple) else set()
    names = {bool: "bool", int: "int64", float: "float64", str: "string"}
    return _value(names[kinds.pop()]) if len(kinds) == 1 and kinds <= names.keys() else None


def feature_of_column(kind: pyarrow.DataType) -> dict[str, Any]:
    """The feature of a column of labels of which only the type is known."""
    import pyarrow.types as types

    while types.is_dictionary(kind) or types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
    return _value(_ALIASES.get(str(kind), str(kind)))


def feature_of_classes(classes: Classes, known: Mapping[str, Any] | None) -> dict[str, Any]:
    """The feature that a column of the labels of these classes has: the known one, or what the labels are.

    Labels that count names from 0 on are those of a ``ClassLabel``.
    """
    if known is not None and known.get("_type") == "ClassLabel":
        return dict(known)
    values = classes.values
    if (
        classes.named
        and all(type(value) is int for value in values)
        and list(values) == list(range(len(values)))
    ):
        return {"_type": "ClassLabel", "names": list(classes.names)}
    return dict(known or feature_of_labels(list(values)) or _value("string"))


def labels_of(classes: Classes, feature: Mapping[str, Any] | None) -> np.ndarray:
    """The label of each class as an array, of the dtype that its feature says."""
    values = np.array(classes.values)
    dtype = (feature or {}).get("dtype", "")
    return values.astype(dtype) if values.dtype.kind != "U" and dtype in np.sctypeDict else values


def label_type(feature: Mapping[str, Any]) -> pyarrow.DataType:
    """The type of a column of labels with this feature."""
    import pyarrow as pa

    return pa.int64() if feature["_type"] == "ClassLabel" else pa.type_for_alias(feature["dtype"])


def record_in(text: str | bytes) -> dict[str, Any] | None:
    """The record of an output from its text; None where this is none."""
    try:
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("request"), dict) else None


def record_of_folder(path: Path) -> dict[str, Any] | None:
    """The record of a folder that synthaug wrote; None where there is none."""
    try:
        return record_in((path / RECORD).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None


def names_in(record: Mapping[str, Any]) -> list[str] | None:
    """What label i is called, in a data set with this record; None where labels have no other names."""
    feature = record.get("columns", {}).get("feature", {})
    if feature.get("_type") == "ClassLabel":
        names: list[str] = feature["names"]
        return names
    card = record.get("card", {})
    return _names(Classes(tuple(card.get("classes", ())), tuple(card.get("values", ()))))


def read_provenance(path: Path) -> dict[str, list[str | None]]:
    """The columns of the file `PROVENANCE_FILE` in a folder, as text; what is empty without quotes is None."""
    table = read_text(path / PROVENANCE_FILE)
    return {name: table[name].to_pylist() for name in table.column_names}


def require_likely_rows(file: pyarrow.parquet.ParquetFile, size: int) -> None:
    """Refuse a parquet file of so many rows of numbers, or such values, as its size does not make likely.

    Args:
        file: opened, of which nothing is read yet.
        size: of it, in bytes.

    Raises:
        ValueError: saying what it claims.
    """
    told = file.metadata
    widths = [getattr(kind, "bit_width", 32) for kind in file.schema_arrow.types if _has_width(kind)]
    groups = [told.row_group(k).total_byte_size for k in range(told.num_row_groups)]
    claimed = max(told.num_rows * sum(widths) // 8, sum(groups))
    if not likely_bytes(claimed, size):
        raise ValueError(bomb_of(claimed, size))


def _has_width(kind: pyarrow.DataType) -> bool:
    import pyarrow.types as types

    return bool(types.is_primitive(kind) or types.is_null(kind))


def read_text(path: Path, delimiter: str = ",") -> pyarrow.Table:
    """All columns of a file of text, as they are written; what is empty without quotes is null."""
    from pyarrow import csv as arrow

    with open(path, encoding="utf-8-sig", newline="") as lines:
        header = next(csv.reader(lines, delimiter=delimiter), [])
    return arrow.read_csv(
        path,
        arrow.ReadOptions(block_size=min(path.stat().st_size + 1, _BLOCK)),  # a row may be long
        arrow.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        arrow.ConvertOptions(
            column_types=dict.fromkeys(header, "string"),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def groups_in(
    found: list[Any], column: str, synthetic: np.ndarray | None, origin: str, name: Callable[[int], str]
) -> list[Any]:
    """The groups in a column; synthetic rows of none are of one of their own.

    Args:
        found: its values.
        column: what it is called.
        synthetic: ``(N,)`` bool, of which rows null says nothing; None where none is.
        origin: what to call the source.
        name: what to call a row.

    Raises:
        InvalidData: naming a row without a group.
    """
    if synthetic is not None:
        found = [
            SYNTHETIC if made and one is None else one for made, one in zip(synthetic, found, strict=True)
        ]
    if None in found:
        raise InvalidData(
            f'{name(found.index(None))} has no group in the column "{column}" of {origin}; give every row one: rows '
            "that belong to no other have a group of their own"
        )
    return found


def splits_in(found: list[Any], column: str, origin: str, name: Callable[[int], str]) -> np.ndarray:
    """``(N,)`` the splits in a column, as text.

    Raises:
        InvalidData: naming a row without a split.
    """
    if None in found:
        raise InvalidData(
            f'{name(found.index(None))} has no split in the column "{column}" of {origin}; give every row one, or '
            "rename the column"
        )
    return np.array(found, dtype=str)


def files_within(path: Path, files: Iterable[str | None]) -> list[str]:
    """The files that the table of a folder names.

    Raises:
        InvalidData: one of them lies outside of the folder.
    """
    named = [file or "" for file in files]
    for file in named:
        if file.startswith(("/", "\\")) or ".." in PurePosixPath(file).parts:
            raise InvalidData(
                f"{path / PROVENANCE_FILE} names a file outside of its folder, {file!r}; expand again"
            )
    return named


def read_written_folder(path: Path, group: Any = None) -> Source | None:
    """The rows of a folder that synthaug wrote, with the labels, splits and further columns that they had.

    Args:
        path: the folder.
        group: the column of the group, or N group names.

    Warns:
        SynthaugWarning: at pictures that came or went since then.

    Returns:
        None where it is another folder.

    Raises:
        InvalidRequest: a column that does not exist.
    """
    record = record_of_folder(path)
    if record is None or "card" not in record or not (path / PROVENANCE_FILE).is_file():
        return None
    layout, told = layout_of(record), read_provenance(path)
    listed = files_within(path, told.pop("file" if layout is None else layout.image or ""))
    rows = [row for row, file in enumerate(listed) if (path / file).is_file()]
    files, left_out = [listed[row] for row in rows], _left_out(path, listed, len(rows))
    told = {name: [column[row] for row in rows] for name, column in told.items()}
    apart = all(file.count("/") == 2 for file in files) if layout is None else layout.apart
    classes = Classes(tuple(record["card"]["classes"]), tuple(record["card"]["values"]))
    values = dict(zip(classes.names, classes.values, strict=True))
    values |= dict(zip(folder_names(classes), classes.values, strict=True))
    if isinstance(group, str | int):
        group = [text or SYNTHETIC for text in told[column_of(told, group, (), "group", f"folder {path}")]]
    paths = [str(path / file) for file in files]
    made = told["synthetic" if layout is None else layout.provenance["synthetic"]]
    source = Source(
        Pictures(names=paths.__getitem__, entries=paths),
        [values[decode_name(file.split("/")[1 if apart else 0])] for file in files],
        f"folder {path}",
        names=names_in(record),
        splits=np.array([decode_name(file.partition("/")[0]) for file in files]) if apart else None,
        groups=group_array(group, len(files)),
        path=path,
        reading=Reading("class folders that synthaug wrote", left_out),
        synthetic=np.array([text == "True" for text in made], bool),
    )
    if layout is None:
        return source
    about = {
        "image_column": record["card"].get("image_column"),
        "label_column": record["card"].get("label_column"),
    }
    return replace(source, beside=_beside(told, layout), label_feature=layout.feature, **about)


def _left_out(path: Path, listed: Collection[str], found: int) -> dict[str, int]:
    """How many files of a folder that synthaug wrote are not in its table, or only there; a warning says so."""
    known = {*listed, PROVENANCE_FILE, RECORD, "README.md"}
    new = [
        file for file in path.rglob("*") if file.is_file() and file.relative_to(path).as_posix() not in known
    ]
    left_out = {
        f"files that are not in {PROVENANCE_FILE}": len(new),
        "files that are gone": len(listed) - found,
    }
    left_out = {reason: n for reason, n in left_out.items() if n}
    if left_out:
        told = " and ".join(f"{n} {reason}" for reason, n in left_out.items())
        warnings.warn(
            f"{path} is not as synthaug wrote it: {told}. They are left out; to read all pictures there as rows of "
            f"your own, remove {RECORD} and {PROVENANCE_FILE}",
            SynthaugWarning,
            stacklevel=2,
        )
    return left_out


def _beside(told: Mapping[str, list[str | None]], layout: Layout) -> pyarrow.Table | None:
    if layout.beside is None:
        return None
    import pyarrow as pa

    columns = [from_text(told[field.name], field.type) for field in layout.beside]
    return pa.table(columns, schema=layout.beside)


def folder_names(classes: Classes) -> list[str]:
    """What the classes are called as folders: numbers from 0 on of equal width, so that their order is that of text.

    >>> folder_names(Classes.of_labels(range(12)))[:3], folder_names(Classes.of_labels([0, 12]))
    (['00', '01', '02'], ['0', '12'])
    """
    names = list(classes.names)
    counted = [str(k) for k in range(len(names))]
    plain = all(type(value) is int for value in classes.values) and names == counted
    return [name.zfill(len(counted[-1])) for name in names] if plain else names


def _names(classes: Classes) -> list[str] | None:
    """What label i is called, where the classes have names beside their labels."""
    if not classes.named or any(isinstance(value, str) or value < 0 for value in classes.values):
        return None
    names = {int(value): name for name, value in zip(classes.names, classes.values, strict=True)}
    return [names.get(k, str(k)) for k in range(max(names) + 1)]


def _value(dtype: str) -> dict[str, Any]:
    return {"_type": "Value", "dtype": dtype}
