"""What every format of labelled rows on disk shares."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from synthaug.data.classes import Classes
from synthaug.data.readers.written import (
    PROVENANCE_FILE,
    SYNTHETIC,
    Layout,
    feature_of_classes,
    folder_names,
    label_type,
    own_name,
    provenance_names,
)
from synthaug.data.usual_splits import SPLIT_NAMES
from synthaug.errors import InvalidRequest
from synthaug.files.cards import Card
from synthaug.files.parts import Part
from synthaug.modalities.base import Form
from synthaug.modalities.image.cells import png_bytes, suffix_of
from synthaug.modalities.table.cells import table_of_rows
from synthaug.modalities.table.form import TableForm
from synthaug.outputs import RECORD, atomic_write_bytes, atomic_write_text, decode_name, encode_name
from synthaug.wording import quoted

if TYPE_CHECKING:
    import pyarrow

_ILLEGAL = re.compile(r"[\x00-\x1f\x7f<>:\"/\\|?*\ud800-\udfff]")
_QUOTED = re.compile('[",\r\n]|^$|^ | $')
_IMAGE_FILE = re.compile(r"\.(png|jpe?g|webp|bmp|gif|tiff?|p[gp]m)$", re.IGNORECASE)
# Class folders of these names would be taken for splits or would meet our own files.
_TAKEN = {*SPLIT_NAMES, PROVENANCE_FILE, RECORD, "readme.md"}


@dataclass(frozen=True)
class RowBlock:
    """A run of rows on their way to disk.

    Attributes:
        images: ``(n, *form.shape)`` of dtype ``form.dtype``: images, or rows of a table as `TableForm` has them.
        labels: ``(n,)`` int64 positions in the classes.
        names: what each image file was called, a path or a bare name; anything else is given a number.
        provenance: the columns of `PROVENANCE_COLUMNS`, each of length n.
        splits: ``(n,)`` split names, or None where the data set has none.
        groups: ``(n,)`` group names, or None where the data set has none, or has them in a further column.
        beside: the further columns of these rows, and of a table those of its cells; None where there are none, and in
            synthetic rows.
        sources: the path of each row's file below what it was read from, empty for synthetic rows; None where rows are
            no files.
        own: the file that each row is, by its path or its bytes, where that is kept in place of the image.
        linked: whether it is kept as the same file under a further name.
    """

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    provenance: Mapping[str, np.ndarray]
    splits: np.ndarray | None = None
    groups: np.ndarray | None = None
    beside: pyarrow.Table | None = None
    sources: list[str] | None = None
    own: list[Path | bytes] | None = None
    linked: bool = False

    def __len__(self) -> int:
        return len(self.images)

    def pictures(self, form: Form) -> Iterator[bytes]:
        """The file of each row: its own, or its image as PNG."""
        if self.own is None:
            return (png_bytes(image, form) for image in self.images)
        return (file if isinstance(file, bytes) else file.read_bytes() for file in self.own)

    def take(self, rows: np.ndarray) -> RowBlock:
        """Some of the rows, by their numbers."""
        chosen = rows.tolist()
        return RowBlock(
            self.images[rows],
            self.labels[rows],
            [self.names[row] for row in chosen],
            {name: column[rows] for name, column in self.provenance.items()},
            None if self.splits is None else self.splits[rows],
            None if self.groups is None else self.groups[rows],
            None if self.beside is None else self.beside.take(rows),
            None if self.sources is None else [self.sources[row] for row in chosen],
            None if self.own is None else [self.own[row] for row in chosen],
            self.linked,
        )


NamedBlocks: TypeAlias = Iterable[tuple[RowBlock, list[str]]]
"""Runs of rows, each with the path of the file of every row, ``split/class/name.png``."""


@dataclass(frozen=True)
class Columns:
    """The rows of an output as they lie on disk.

    Attributes:
        table: the columns of `PROVENANCE_COLUMNS`, and ``split`` where the output has splits, each ``(N,)``; under
            these names, whatever they are called there.
        read: gives the images of rows by their numbers, as arrays the way the format holds them.
    """

    table: Mapping[str, np.ndarray]
    read: Callable[[np.ndarray], Sequence[np.ndarray]]


@dataclass(frozen=True)
class Format:
    """One way to keep labelled rows on disk; `FORMATS` has them all.

    Attributes:
        name: what it is asked for by.
        suffix: of its files; None for a folder.
        holds: whether rows of a form can be written in it.
        write: ``write(folder, stem, blocks, card, layout)`` writes some rows into a folder, in bounded memory: a part;
            ``stem`` is what a file of its own would be called.
        join: ``join(work, parts, card, record)`` makes an output of all parts, in bounded memory; it returns the name
            of the one file that is the output, or None where the folder is. Where it is killed, it can be called again.
        recognises: whether what is at a path may be of this format.
        record: the record of an output at a path; None where synthaug did not write it.
        open: the rows of an output at a path.
        columns: what the columns of image and label are called where nobody called them otherwise.
        split_column: whether the split of a row stands in a column.
        in_columns: whether each cell of a row of a table stands in a column of its own.
        beside: suffix of a second file that belongs to the one that is written; None where there is none.
        in_files: whether an image is a file of its own, whose path stands in the image's column.
        of_pictures: whether images lie in it as files of pictures do, of any kind.
        unicode_only: whether names of classes have to be text in Unicode.
        by_split: whether rows of two splits never lie in one part.
    """

    name: str
    suffix: str | None
    holds: Callable[[Form], bool]
    write: Callable[[Path, str, NamedBlocks, Card, Layout], None]
    join: Callable[[Path, Sequence[Part], Card, Mapping[str, Any]], str | None]
    recognises: Callable[[Path], bool]
    record: Callable[[Path], dict[str, Any] | None]
    open: Callable[[Path], Columns]
    columns: tuple[str, str] = ("image", "label")
    split_column: bool = True
    in_columns: bool = False
    beside: str | None = None
    in_files: bool = False
    of_pictures: bool = True
    unicode_only: bool = False
    by_split: bool = False


class FileNames:
    """What the files of rows are called, ``split/class/name.png``: no two alike, also where capitals do not count.

    Files that were in folders below the class are in such folders again.

    Args:
        classes: the classes.
        used: paths that are taken.
    """

    def __init__(self, classes: Classes, used: Iterable[str] = ()) -> None:
        self._classes, self._used = classes, set(used)
        self._names = folder_names(classes)
        folders = [encode_name(name, self._names) for name in self._names]
        self._folders = [f"%{ord(f[0]):02X}{f[1:]}" if f.lower() in _TAKEN else f for f in folders]

    @property
    def near_synthetic(self) -> list[str]:
        """The paths that are taken and may be those of synthetic rows; these never meet each other."""
        return [path for path in sorted(self._used) if f"/{SYNTHETIC}-" in path]

    def synthetic(self, label: int, split: str | None, names: Sequence[str]) -> list[str]:
        """The files of synthetic rows of one class, which never meet each other, by names that any system can have."""
        above = "/".join([*([] if split is None else [encode_name(split)]), self._folders[label]])
        stems = (f"{above}/{name.removesuffix('.png')}" for name in names)
        return [_free(stem, number, self._used) for number, stem in enumerate(stems)]

    def of(self, rows: RowBlock, numbers: Sequence[int]) -> list[str]:
        """The file of each of some real rows.

        Args:
            rows: the rows, of which the images are not looked at.
            numbers: of the rows, from which those get a name that have none.
        """
        files = []
        for row, number in enumerate(numbers):
            label = int(rows.labels[row])
            parts = [] if rows.splits is None else [encode_name(str(rows.splits[row]))]
            above = [*parts, self._folders[label]]
            stem, suffix = PurePath(rows.names[row]).stem, ".png"
            is_file = _IMAGE_FILE.search(rows.names[row]) or (rows.sources is not None and rows.sources[row])
            if rows.own is not None:
                named = _IMAGE_FILE.search(rows.names[row])
                suffix = named[0] if named else suffix_of(rows.own[row])
            if not is_file or not _is_legal(stem):
                stem = f"real-{number:06d}"
            called = {self._classes[label], self._names[label]}
            below = [] if rows.sources is None else _below(rows.sources[row], called)
            file = _free("/".join([*above, *below, stem]), number, self._used, suffix)
            if not self._used.isdisjoint(_folders(file, len(above))):  # a file is called as the folder is
                file = _free("/".join([*above, stem]), number, self._used, suffix)
            self._used |= {_as_found(file), *(f"{folder}/" for folder in _folders(file, len(above)))}
            files.append(file)
        return files


def layout_for(format: Format, card: Card, first: RowBlock) -> Layout:
    """What the columns of an output are called: those of the user as they were, and ours beside them.

    Args:
        format: of the output.
        card: what it says about itself.
        first: its first rows, which have all columns.
    """
    beside = None if first.beside is None else first.beside.schema
    cells = isinstance(card.form, TableForm) and format.in_columns
    if isinstance(card.form, TableForm) and format.in_columns:
        beside = _with_cells(card.form, beside)
    taken = [] if beside is None else list(beside.names)

    def ours(name: str) -> str:
        own = own_name(name, taken)
        taken.append(own)
        return own

    image, label = format.columns
    label = card.label_column or ours(label)
    taken.append(label)
    if not cells:
        image = card.image_column if card.image_column and not format.in_files else ours(image)
        taken.append(image)
    provenance = provenance_names(taken)
    taken.extend(provenance.values())
    return Layout(
        None if cells else image,
        label,
        provenance,
        split=None if first.splits is None or not format.split_column else ours("split"),
        group=None if first.groups is None else ours(card.group_column or "group"),
        source=None if first.sources is None else ours("source"),
        feature=feature_of_classes(card.classes, card.label_feature),
        beside=beside,
        apart=first.splits is not None and not format.split_column,
    )


def label_column(rows: RowBlock, classes: Classes, layout: Layout) -> pyarrow.Array:
    """The labels of rows as they were."""
    import pyarrow as pa

    values = np.array(classes.values, object)[rows.labels].tolist()
    return pa.array(values, label_type(layout.feature))


def _with_cells(form: TableForm, beside: pyarrow.Schema | None) -> pyarrow.Schema:
    """The further columns of the user with those of the cells of a table, which are among them where it was a table."""
    import pyarrow as pa

    cells = table_of_rows(np.empty((0, len(form.columns))), form.columns).schema
    if beside is None:
        return cells
    if form.container == "frame" and set(cells.names) <= set(beside.names):
        return beside
    if twice := set(cells.names) & set(beside.names):
        raise InvalidRequest(
            f"The values of a vector and further columns would both be called {quoted(sorted(twice))}. Write an .npz "
            "file, or rename the columns."
        )
    return pa.schema([*cells, *beside], metadata=beside.metadata)


def columns_beside(rows: RowBlock, layout: Layout, form: Form) -> dict[str, pyarrow.ChunkedArray]:
    """The further columns of rows, all null in synthetic ones; and the cells of a table, as far as it has columns."""
    import pyarrow as pa

    if layout.beside is None:
        return {}
    known = {} if rows.beside is None else {name: rows.beside[name] for name in rows.beside.column_names}
    if layout.image is None:
        assert isinstance(form, TableForm), "no others have columns for cells"
        if any(column.name not in known for column in form.columns):
            cells = table_of_rows(rows.images, form.columns)
            known = {name: cells[name] for name in cells.column_names} | known
    return {
        field.name: known[field.name]
        if field.name in known
        else pa.chunked_array([pa.nulls(len(rows), field.type)], field.type)
        for field in layout.beside
    }


def own_columns(rows: RowBlock, layout: Layout) -> dict[str, np.ndarray | list[Any]]:
    """Our columns of rows, under the names that they have there."""
    columns: dict[str, Any] = {own: rows.provenance[name] for name, own in layout.provenance.items()}
    named = {layout.split: rows.splits, layout.group: rows.groups, layout.source: rows.sources}
    return columns | {name: column for name, column in named.items() if name is not None}


def _is_legal(name: str) -> bool:
    """Whether every system can have a file or folder of this name, and no reader takes it for one to be left out."""
    if not name or _ILLEGAL.search(name) or len(name.encode(errors="replace")) > 150:
        return False
    # What is left over besides letters and marks can be trouble only in a place of its own.
    return "%" not in encode_name(re.sub(r"[^A-Za-z0-9. _-]", "x", name)) and not name.startswith("@")


def _below(source: str, names: Collection[str]) -> list[str]:
    """The folders of a file that are below the one of its class, as far as they can be had again."""
    parts = PurePath(source).parts[:-1]
    depth = next(
        (k for k, part in enumerate(parts) if part in names or decode_name(part) in names), len(parts)
    )
    return [part for part in parts[depth + 1 :] if _is_legal(part) and part.lower() not in _TAKEN]


def _as_found(file: str) -> str:
    """A path as it is to a system that knows neither capitals nor ways to compose a letter."""
    return unicodedata.normalize("NFC", file).casefold()


def _folders(file: str, above: int) -> list[str]:
    """The folders of a file below the one of its class, as `_as_found`."""
    parts = _as_found(file).split("/")[:-1]
    return ["/".join(parts[:depth]) for depth in range(above + 1, len(parts) + 1)]


def _free(stem: str, number: int, used: Collection[str], suffix: str = ".png") -> str:
    while (found := _as_found(f"{stem}{suffix}")) in used or f"{found}/" in used:
        stem += f"-{number}"
    return f"{stem}{suffix}"


def text_line(cells: Iterable[str | None]) -> str:
    """A line of a file of text in which null is an empty cell, and an empty text is one in quotes."""
    told = (
        "" if cell is None else '"' + cell.replace('"', '""') + '"' if _QUOTED.search(cell) else cell
        for cell in cells
    )
    return ",".join(told) + "\n"


def describe(work: Path, card: Card, record: Mapping[str, Any], note: str = "") -> None:
    """Writes card and record into a folder."""
    atomic_write_bytes(work / "README.md", card.markdown(note).encode(errors="backslashreplace"))
    atomic_write_text(work / RECORD, as_json(record, indent=1) + "\n")


def begins_with(path: Path, magic: bytes) -> bool:
    """Whether a path is a file with these first bytes."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def as_json(record: Mapping[str, Any], indent: int | None = None) -> str:
    """A record as text that any system can keep."""
    return json.dumps(record, ensure_ascii=True, indent=indent)
