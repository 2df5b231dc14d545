"""A folder of class folders of PNG files, perhaps below split folders, with ``provenance.csv`` beside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.classes import Classes
from synthaug.data.readers.beside import as_text
from synthaug.data.readers.written import (
    PROVENANCE_COLUMNS,
    PROVENANCE_FILE,
    Layout,
    files_within,
    folder_names,
    layout_of,
    read_provenance,
    record_of_folder,
)
from synthaug.errors import InvalidRequest
from synthaug.files.base import (
    Columns,
    Format,
    NamedBlocks,
    RowBlock,
    columns_beside,
    describe,
    own_columns,
    text_line,
)
from synthaug.files.cards import Card
from synthaug.files.parts import Part, move_files
from synthaug.modalities.image.cells import fits_png, from_file
from synthaug.outputs import decode_name

_HEAD, _LINES = ".head.csv", ".lines.csv"  # of a part; no class folder is called so


def _write(folder: Path, stem: str, blocks: NamedBlocks, card: Card, layout: Layout) -> None:
    with open(folder / _LINES, "w", encoding="utf-8", errors="backslashreplace", newline="") as lines:
        for rows, files in blocks:
            columns = _columns(rows, files, card, layout)
            head = text_line(columns).encode(errors="backslashreplace")
            (folder / _HEAD).write_bytes(head)
            lines.writelines(text_line(row) for row in zip(*columns.values(), strict=True))
            for name in {str(Path(name).parent) for name in files}:
                (folder / name).mkdir(parents=True, exist_ok=True)
            if rows.linked:
                _link(folder, rows, files)
                continue
            for name, picture in zip(files, rows.pictures(card.form), strict=True):
                (folder / name).write_bytes(picture)


def _link(folder: Path, rows: RowBlock, files: Sequence[str]) -> None:
    """The files that rows are under further names, which stay where the first ones go."""
    assert rows.own is not None, "what is linked is a file"
    for name, file in zip(files, rows.own, strict=True):
        assert isinstance(file, Path), "what is in an archive was refused"
        try:
            os.link(file.resolve(), folder / name)
        except OSError as error:
            raise InvalidRequest(
                f"{file} cannot be linked into an output: {error.strerror or error}. Copy it: --real copied."
            ) from error


def _join(work: Path, parts: Sequence[Part], card: Card, record: Mapping[str, Any]) -> None:
    with open(work / PROVENANCE_FILE, "wb") as file:
        for path in (parts[0].path(_HEAD), *(part.path(_LINES) for part in parts)):
            with open(path, "rb") as told:
                shutil.copyfileobj(told, file)
    of_parts = (_HEAD, _LINES)
    for part in parts:
        pictures = {name: sha for name, sha in part.files.items() if name not in of_parts}
        move_files([replace(part, files=pictures)], work)
    describe(work, card, record, numbered_otherwise(card.classes))


def _columns(rows: RowBlock, files: list[str], card: Card, layout: Layout) -> dict[str, list[str | None]]:
    """The columns of a block as text."""
    assert layout.image is not None, "no rows of tables are in files"
    columns: dict[str, list[str | None]] = {layout.image: list(files)}
    columns |= {
        name: [str(value) or None for value in column] for name, column in own_columns(rows, layout).items()
    }
    if card.label_column is not None or list(card.classes.values) != list(card.classes):
        columns[layout.label] = [str(card.classes.values[label]) for label in rows.labels.tolist()]
    return columns | {
        name: as_text(column, name) for name, column in columns_beside(rows, layout, card.form).items()
    }


def numbered_otherwise(classes: Classes) -> str:
    """What to know of class folders whose order is not that of their labels; empty where there is nothing to know."""
    folders, values = folder_names(classes), classes.values
    if any(isinstance(value, str) for value in values):
        return ""
    order = sorted(range(len(folders)), key=folders.__getitem__)
    if [values[k] for k in order] == list(range(len(values))):
        return ""
    told = ", ".join(f'"{folders[k]}" is the label {values[k]}' for k in order)
    return (
        "Programs that number class folders by their names give them other labels than the data set has: of the "
        f"folders, {told}. {PROVENANCE_FILE} has the label of each row."
    )


def _open(path: Path) -> Columns:
    told, layout = read_provenance(path), layout_of(record_of_folder(path))  # an older one has none
    names = (
        dict(zip(PROVENANCE_COLUMNS, PROVENANCE_COLUMNS, strict=True))
        if layout is None
        else layout.provenance
    )
    table = {name: np.array([text or "" for text in told[own]]) for name, own in names.items()}
    table["synthetic"] = table["synthetic"] == "True"
    table |= {name: table[name].astype(np.int64) for name in ("seed", "index")}
    files = files_within(path, told["file" if layout is None else layout.image or ""])
    if files and all(file.count("/") == 2 for file in files) if layout is None else layout.apart:
        table["split"] = np.array([decode_name(file.partition("/")[0]) for file in files])
    return Columns(table, lambda chosen: [from_file(path / files[row]) for row in chosen.tolist()])


FOLDER = Format(
    "folder",
    suffix=None,
    holds=fits_png,
    write=_write,
    join=_join,
    recognises=lambda path: path.is_dir() and (path / PROVENANCE_FILE).is_file(),
    record=record_of_folder,
    open=_open,
    columns=("file", "label"),
    split_column=False,
    in_files=True,
)
