"""Tables that list pictures: metadata.csv, metadata.jsonl, labels.csv and the like, beside or above their files."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.items import LABEL_NAMES
from synthaug.data.readers.base import Columns, column_of
from synthaug.data.readers.listing import Listing
from synthaug.data.usual_splits import usual_split
from synthaug.errors import InvalidData
from synthaug.wording import quoted

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".csv", ".tsv", ".jsonl")
"""Of tables that may list pictures."""

_FILE_COLUMNS = ("file_name", "filename", "file", "filepath", "file_path", "path", "image_path", "image_id", "image",
                 "img", "images", "id", "name")  # fmt: skip
_TABLES = ("metadata", "labels", "annotations")


@dataclass(frozen=True)
class Listed:
    """The pictures that a table lists.

    Attributes:
        paths: of the files.
        targets: the label of each.
        label_column: what the column of labels is called.
        splits: the split of each, where the table says.
        groups: the group of each, where one was asked for.
        beside: the further columns.
    """

    paths: Sequence[str]
    targets: Sequence[Any]
    label_column: str
    splits: Sequence[str] | None
    groups: Any
    beside: pyarrow.Table | None


def table_of(listing: Listing, folder: str, names: Sequence[str] = _TABLES) -> str | None:
    """The table beside the pictures of a folder; None where there is none.

    Args:
        listing: all files.
        folder: "" or a path that ends with a slash.
        names: what it may be called, without the suffix.

    Raises:
        InvalidData: there are several.
    """
    wanted = {f"{name}{suffix}" for name in names for suffix in SUFFIXES}
    found = [
        path
        for path in listing.others
        if path.startswith(folder) and path[len(folder) :].casefold() in wanted
    ]
    if len(found) > 1:
        raise InvalidData(
            f"{listing.place} holds several tables that may list its pictures: {quoted(found)}. Give the path of the "
            "one that is meant"
        )
    return found[0] if found else None


def list_of_table(path: Path) -> Listing:
    """The pictures beside a table that any of its columns names by a path."""
    here = path.parent
    listing = Listing(here, (), (), (), (), {}, lambda chosen: (), lambda name: (here / name).read_bytes())
    table = _read(listing, path.name)
    cells = {
        cell.replace("\\", "/").removeprefix("./")
        for name in table.column_names
        for cell in table[name].to_pylist()
        if isinstance(cell, str)
    }
    found = sorted(cell for cell in cells if cell and "\0" not in cell and os.path.isfile(here / cell))
    return replace(
        listing, pictures=found, entries=lambda chosen: [os.path.join(here, name) for name in chosen]
    )


def read_list(listing: Listing, table: str, columns: Columns, below: str | None = None) -> Listed:
    """The pictures that a table lists, and what it says of them.

    Args:
        listing: all files, where pictures are looked for.
        table: the path of the table in it.
        columns: where file, label and group stand, as far as that was said.
        below: the folder of the pictures; that of the table when None.

    Raises:
        InvalidData: no column names pictures, or one that is named is not there.
        InvalidRequest: a column that does not exist.
    """
    read = _read(listing, table)
    folder = table.rpartition("/")[0] if below is None else below.rstrip("/")
    origin = f"{listing.place}/{table}"
    known = dict.fromkeys(read.column_names)
    file_column = _file_column(read, listing, folder, columns, origin)
    if file_column is None:
        raise InvalidData(
            f"no column of {origin} names pictures beside it (columns: {', '.join(known)}): name the column of paths "
            "with image= of open_data, or --image"
        )
    find = _Finder(listing, folder)
    cells = read[file_column].to_pylist()
    paths = [find(cell) for cell in cells]
    if missing := [cell for cell, path in zip(cells, paths, strict=True) if path is None]:
        raise InvalidData(
            f"{origin} lists {len(missing)} pictures that are not there, {str(missing[0])!r} for one. Bring them back, "
            "or take their rows out"
        )
    rest = {name: None for name in known if name != file_column}
    label = column_of(rest, columns.label, LABEL_NAMES, "label", origin)
    group = column_of(rest, columns.group, (), "group", origin) if isinstance(columns.group, str) else None
    split = "split" if "split" in rest and label != "split" else None
    beside = [name for name in rest if name not in (label, split)]
    return Listed(
        [path for path in paths if path is not None],
        read[label].to_pylist(),
        label,
        None if split is None else [usual_split(str(name)) or str(name) for name in read[split].to_pylist()],
        columns.group if group is None else read[group].to_pylist(),
        read.select(beside) if beside else None,
    )


def _read(listing: Listing, table: str) -> Any:
    import pyarrow
    from pyarrow import csv, json

    content = io.BytesIO(listing.content(table))
    try:
        if table.lower().endswith(".jsonl"):
            return json.read_json(content)
        delimiter = "\t" if table.lower().endswith(".tsv") else ","
        found = csv.read_csv(
            content, parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
        )
    except (pyarrow.ArrowInvalid, ValueError) as error:
        raise InvalidData(f"{listing.place}/{table} cannot be read as a table: {error}") from error
    if len(set(found.column_names)) < len(found.column_names):
        raise InvalidData(f"{listing.place}/{table} has two columns of one name; give each a name of its own")
    return found


def _file_column(table: Any, listing: Listing, folder: str, columns: Columns, origin: str) -> str | None:
    known = dict.fromkeys(table.column_names)
    if columns.image is not None:
        return column_of(known, columns.image, (), "image", origin)
    find = _Finder(listing, folder)
    usual: list[str] = [name for name in _FILE_COLUMNS if name in known]
    for name in (*usual, *(str(name) for name in known if name not in usual)):
        cells = table[name].slice(0, 20).to_pylist()
        paths = name in usual or all(isinstance(cell, str) and "." in cell for cell in cells)
        if paths and any(find(cell) is not None for cell in cells):
            return name
    return None


class _Finder:
    """The picture that a cell means: by its path from the table's folder, or by its name where one picture has it."""

    def __init__(self, listing: Listing, folder: str) -> None:
        self.folder = f"{folder}/" if folder else ""
        pictures = (*listing.pictures, *listing.scans)
        self.paths = set(pictures)
        self.names: dict[str, str | None] = {}
        for path in pictures:
            if path.startswith(self.folder):
                name = PurePosixPath(path).name
                for key in {name, PurePosixPath(name).stem}:
                    self.names[key] = None if key in self.names else path

    def __call__(self, cell: Any) -> str | None:
        if not isinstance(cell, str | int | np.integer) or isinstance(cell, bool):
            return None
        text = str(cell).replace("\\", "/").removeprefix("./")
        if self.folder + text in self.paths:
            return self.folder + text
        return self.names.get(PurePosixPath(text).name)
