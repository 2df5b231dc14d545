"""Tables that list pictures: metadata.csv, metadata.jsonl, labels.csv and the like, beside or above their files."""

from __future__ import annotations

import io
import os
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.items import LABEL_NAMES
from synthaug.data.readers.base import Columns, column_of
from synthaug.data.readers.listing import Listing, is_picture
from synthaug.data.readers.medical import is_scan
from synthaug.data.readers.written import require_likely_rows
from synthaug.data.usual_splits import usual_split
from synthaug.errors import InvalidData, UnsupportedKind
from synthaug.wording import one_line, quoted

if TYPE_CHECKING:
    import pyarrow

SUFFIXES = (".csv", ".tsv", ".jsonl")
"""Of tables that may list pictures."""

_FILE_COLUMNS = ("file_name", "filename", "file", "filepath", "file_path", "path", "image_path", "image_id", "image",
                 "img", "images", "id", "name")  # fmt: skip
_TABLES = ("metadata", "labels", "annotations")
_CALLED = re.compile(r"(.*[ _.-])?(meta_?data|labels?|annotations?|ground[ _-]?truth)", re.I)
_TEXTS = ("text", "caption", "captions", "description", "prompt", "sentence", "sentences")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.S)  # of JSON
_LAYERS = 100
_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Listed:
    """The pictures that a table lists.

    Attributes:
        paths: of the files.
        targets: the label of each; None of what has none.
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
    wanted = {f"{name}{suffix}" for name in names for suffix in (*SUFFIXES, ".parquet")}
    found = [
        path
        for path in listing.others
        if path.startswith(folder) and path[len(folder) :].casefold() in wanted
    ]
    return _one(listing, found)


def other_table(listing: Listing, folder: str, columns: Columns, called: bool = False) -> str | None:
    """The table of any name in a folder that lists pictures; None where there is none.

    Args:
        listing: all files.
        folder: "" or a path that ends with a slash.
        columns: where things stand, as far as that was said.
        called: only of those that are called as tables of labels are, such as ``set1_labels.csv``.

    Raises:
        InvalidData: there are several.
    """
    tables = [
        path
        for path in listing.others
        if path.startswith(folder) and "/" not in path[len(folder) :] and path.lower().endswith(SUFFIXES)
    ]
    if called:
        tables = [path for path in tables if _CALLED.fullmatch(PurePosixPath(path).stem)]
    return _one(listing, [path for path in tables if _lists_pictures(listing, path, columns)])


def _one(listing: Listing, found: Sequence[str]) -> str | None:
    if len(found) > 1:
        raise InvalidData(
            f"{listing.place} holds several tables that may list its pictures: {quoted(found)}. Give the path of the "
            "one that is meant"
        )
    return found[0] if found else None


def _lists_pictures(listing: Listing, table: str, columns: Columns) -> bool:
    try:
        read, text = _read(listing, table)
        folder = table.rpartition("/")[0]
        return _file_column(read, text, _Finder(listing, folder), columns, table) is not None
    except InvalidData:
        return False


def says_as_folders(listing: Listing, table: str, classes: Mapping[str, str], columns: Columns) -> bool:
    """Whether a column of a table has the classes that folders give; of a table that lists few of them, too.

    Args:
        listing: all files.
        table: the path of the table in it.
        classes: the class of each picture, by its path.
        columns: where things stand, as far as that was said.
    """
    read, text = _read(listing, table)
    find = _Finder(listing, table.rpartition("/")[0])
    file_column = _file_column(read, text, find, columns, table)
    if file_column is None:
        return True
    paths = [find(cell) for cell in text[file_column].to_pylist()]
    rows = [(row, classes[path]) for row, path in enumerate(paths) if path is not None and path in classes]
    if 2 * len(rows) < len(classes):
        return True
    cells = {name: text[name].to_pylist() for name in text.column_names if name != file_column}
    return any(all(str(column[row]) == name for row, name in rows) for column in cells.values())


def list_of_table(path: Path, columns: Sequence[str] | None = None) -> Listing:
    """The pictures that any column of a table, or one of these, names by a path that starts beside it."""
    here = path.parent
    listing = Listing(here, (), (), (), (), {}, lambda chosen: (), lambda name: (here / name).read_bytes())
    table, _ = _read(listing, path.name)
    cells = {
        cell.replace("\\", "/").removeprefix("./")
        for name in (table.column_names if columns is None else columns)
        for cell in table[name].to_pylist()
        if isinstance(cell, str)
    }
    files = sorted(cell for cell in cells if cell and "\0" not in cell and os.path.isfile(here / cell))
    scans = [name for name in files if is_scan(here / name)]
    pictures = [
        name for name in files if name not in set(scans) and is_picture(name, (here / name).__fspath__)
    ]
    if outside := next(filter(leads_out, (*pictures, *scans)), None):
        raise InvalidData(
            f"{path} names a file outside of its folder, {outside!r}; put the table above its pictures, and name them "
            "by paths from there"
        )
    return replace(
        listing,
        pictures=pictures,
        scans=scans,
        entries=lambda chosen: [os.path.join(here, name) for name in chosen],
    )


def leads_out(path: str) -> bool:
    """Whether a path in a table leads out of the folder of the table.

    >>> [leads_out(path) for path in ("a/0.png", "a/../../0.png", "/0.png")]
    [False, True, True]
    """
    return PurePath(path).anchor != "" or ".." in PurePath(path).parts


def read_list(
    listing: Listing, table: str, columns: Columns, below: str | None = None, labelled: bool = True
) -> Listed:
    """The pictures that a table lists, and what it says of them.

    Args:
        listing: all files, where pictures are looked for.
        table: the path of the table in it.
        columns: where file, label and group stand, as far as that was said.
        below: the folder of the pictures; that of the table when None.
        labelled: whether it has to have the column of the label.

    Raises:
        InvalidData: no column names pictures, or one that is named is not there, or there twice.
        InvalidRequest: a column that does not exist.
        UnsupportedKind: text or masks in place of classes.
    """
    read, text = _read(listing, table)
    folder = table.rpartition("/")[0] if below is None else below.rstrip("/")
    origin = f"{listing.place}/{table}"
    find = _Finder(listing, folder)
    known = dict.fromkeys(read.column_names)
    if first := next((name for name in known if "." in name and find(name)), None):
        raise InvalidData(
            f'{origin} has no line of names above its rows: its first line names the picture "{first}". Write one, '
            "such as file_name,label"
        )
    file_column = _file_column(read, text, find, columns, origin)
    if file_column is None:
        raise InvalidData(
            f"no column of {origin} names pictures beside it (columns: {', '.join(known)}): name the column of paths "
            "with image= of open_data, or --image"
        )
    paths = _paths(text[file_column].to_pylist(), find, origin)
    rest = {name: None for name in known if name != file_column}
    label = _label_column(rest, text, find, columns, origin) if labelled or columns.label in rest else None
    group = column_of(rest, columns.group, (), "group", origin) if isinstance(columns.group, str) else None
    split = "split" if "split" in rest and label != "split" else None
    beside = [name for name in rest if name not in (label, split)]
    return Listed(
        paths,
        [None] * len(paths) if label is None else _labels(read[label], text[label]),
        label or str(columns.label),
        None if split is None else [usual_split(str(name)) or str(name) for name in read[split].to_pylist()],
        columns.group if group is None else read[group].to_pylist(),
        read.select(beside) if beside else None,
    )


def _paths(cells: Sequence[Any], find: _Finder, origin: str) -> list[str]:
    paths = [find(cell) for cell in cells]
    if missing := [cell for cell, path in zip(cells, paths, strict=True) if path is None]:
        raise InvalidData(
            f"{origin} lists {len(missing)} pictures that are not there, {str(missing[0])!r} for one. Bring them back, "
            "or take their rows out"
        )
    found = [path for path in paths if path is not None]
    if len(set(found)) < len(found):
        twice = Counter(found).most_common(1)[0][0]
        raise InvalidData(
            f"{origin} lists {twice} several times; a picture has one class here, and boxes or parts of pictures are "
            "not supported: leave one row of each"
        )
    return found


def _label_column(
    known: Mapping[str, None], text: pyarrow.Table, find: _Finder, columns: Columns, origin: str
) -> str:
    if columns.label is not None:
        return column_of(known, columns.label, (), "label", origin)
    texts = [name for name in known if name.casefold() in _TEXTS]
    pictures = [
        name
        for name in known
        if (cells := [cell for cell in text[name].slice(0, 20).to_pylist() if cell is not None])
        and all(isinstance(cell, str) and "." in cell and find(cell) for cell in cells)
    ]
    may_be = {name: None for name in known if name not in (*texts, *pictures)}
    if not may_be and (texts or pictures):
        what = f'masks or other pictures in "{pictures[0]}"' if pictures else f'text in "{texts[0]}"'
        raise UnsupportedKind(
            f"{origin} has {what} in place of classes, which is not supported; where it is the class after all, say "
            f"label={(pictures or texts)[0]!r} of open_data, or --label "
            + shlex.quote((pictures or texts)[0])
        )
    return column_of(may_be, None, LABEL_NAMES, "label", origin)


def _labels(column: pyarrow.ChunkedArray, text: pyarrow.ChunkedArray) -> list[Any]:
    import pyarrow.types as types

    as_text = types.is_temporal(column.type) or types.is_boolean(column.type)  # as it is written
    labels: list[Any] = (text if as_text else column).to_pylist()
    return labels


def _read(listing: Listing, table: str) -> tuple[pyarrow.Table, pyarrow.Table]:
    """A table, and the same as it is written."""
    import pyarrow
    from pyarrow import json, parquet

    content = listing.content(table)
    try:
        if table.lower().endswith(".parquet"):
            require_likely_rows(parquet.ParquetFile(io.BytesIO(content)), len(content))
            found = parquet.read_table(io.BytesIO(content))
            return found, found
        if table.lower().endswith(".jsonl"):
            _require_flat(content)
            found = json.read_json(io.BytesIO(content))
            return found, found
        return _of_csv(content.decode(), table)
    except UnicodeDecodeError as error:
        raise InvalidData(
            f"{listing.place}/{table} is no text in UTF-8 (byte {error.start}): save it as UTF-8"
        ) from error
    except (pyarrow.ArrowInvalid, ValueError) as error:
        raise InvalidData(
            f"{listing.place}/{table} cannot be read as a table: {one_line(str(error))}"
        ) from error


def _require_flat(content: bytes) -> None:
    """Refuse JSON in many layers, for which the stack of the library that reads it has no room."""
    signs = np.frombuffer(_STRINGS.sub(b"", content), np.uint8)
    layers = np.isin(signs, list(b"[{")).astype(np.int64) - np.isin(signs, list(b"]}"))
    if layers.cumsum().max(initial=0) > _LAYERS:
        raise ValueError(f"its values lie in more than {_LAYERS} others")


def _of_csv(content: str, table: str) -> tuple[pyarrow.Table, pyarrow.Table]:
    """Columns of numbers where each is written as it would be again, so that 007 stays; what is empty is missing."""
    import pyarrow as pa
    from pyarrow import compute, csv

    head = content.partition("\n")[0]
    delimiter = "\t" if table.lower().endswith(".tsv") else max(_DELIMITERS, key=head.count)
    parse = csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    typed = csv.read_csv(io.BytesIO(content.encode()), parse_options=parse)
    if len(set(typed.column_names)) < len(typed.column_names):
        raise ValueError("two columns have one name; give each a name of its own")
    texts = csv.ConvertOptions(
        column_types=dict.fromkeys(typed.column_names, pa.string()),
        null_values=[""],
        strings_can_be_null=True,
    )
    text = csv.read_csv(io.BytesIO(content.encode()), parse_options=parse, convert_options=texts)
    columns = {}
    for name in typed.column_names:
        column, written = typed[name], text[name]
        if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
            again = column.cast(pa.string())
            as_is = compute.utf8_lower(written) if pa.types.is_boolean(column.type) else written
            kept = again.to_pylist() == as_is.to_pylist()
        else:
            kept = not (pa.types.is_string(column.type) or pa.types.is_null(column.type))
        columns[name] = column if kept else written
    return pa.table(columns), text


def _file_column(
    table: pyarrow.Table, text: pyarrow.Table, find: _Finder, columns: Columns, origin: str
) -> str | None:
    known = dict.fromkeys(table.column_names)
    if columns.image is not None:
        return column_of(known, columns.image, (), "image", origin)
    usual: list[str] = [name for name in _FILE_COLUMNS if name in known]
    for name in (*usual, *(str(name) for name in known if name not in usual)):
        cells = text[name].slice(0, 20).to_pylist()
        paths = name in usual or all(isinstance(cell, str) and "." in cell for cell in cells)
        if paths and any(find(cell) is not None for cell in cells):
            return name
    return None


class _Finder:
    """The picture that a cell means: by its path from the table's folder, or the only one whose path ends alike."""

    def __init__(self, listing: Listing, folder: str) -> None:
        self.folder = f"{folder}/" if folder else ""
        pictures = (*listing.pictures, *listing.scans)
        self.paths = set(pictures)
        self.names: dict[str, list[str]] = defaultdict(list)
        for path in pictures:
            if path.startswith(self.folder):
                name = PurePosixPath(path).name.casefold()
                for key in {name, name.removesuffix(".nii.gz"), PurePosixPath(name).stem}:
                    self.names[key].append(path)

    def __call__(self, cell: Any) -> str | None:
        if not isinstance(cell, str | int | np.integer) or isinstance(cell, bool):
            return None
        text = str(cell).replace("\\", "/").removeprefix("./")
        if self.folder + text in self.paths:
            return self.folder + text
        *above, name = text.casefold().split("/")
        alike = [path for path in self.names.get(name, ()) if self._ends_alike(path, above)]
        exact = [path for path in alike if PurePosixPath(path).name in (name, text.rpartition("/")[2])]
        return exact[0] if len(exact) == 1 else alike[0] if len(alike) == 1 else None

    def _ends_alike(self, path: str, above: Sequence[str]) -> bool:
        """Whether the folders around a picture are the last of those that a cell names, or the other way round."""
        folders = path.casefold()[len(self.folder) :].split("/")[:-1]
        n = min(len(folders), len(above))
        return folders[len(folders) - n :] == list(above[len(above) - n :])
