"""A file of text for a table, which any program reads; the record lies in a file of its own beside it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.readers.beside import as_text
from synthaug.data.readers.recorded import RECORD_BESIDE, as_recorded, record_beside
from synthaug.data.readers.written import Layout, layout_of, read_text
from synthaug.files.arrow import from_table
from synthaug.files.base import (
    Columns,
    Format,
    NamedBlocks,
    as_json,
    columns_beside,
    label_column,
    own_columns,
    text_line,
)
from synthaug.files.cards import Card
from synthaug.files.parts import Part
from synthaug.modalities.table.form import TableForm
from synthaug.outputs import atomic_write_text, sha256_file

_FILE = "rows.csv"
_HEAD = "head.csv"
_TEXTS = ("generator", "class")
_REAL = "real"
"""The generator of real rows, and what that calls their class: whole blocks of empty cells are read as numbers."""


def _write(folder: Path, stem: str, blocks: NamedBlocks, card: Card, layout: Layout) -> None:
    with open(folder / _FILE, "w", encoding="utf-8", newline="") as file:
        for rows, _ in blocks:
            table = columns_beside(rows, layout, card.form)
            table[layout.label] = label_column(rows, card.classes, layout)
            columns = {name: as_text(column, name) for name, column in table.items()}
            for name, own in own_columns(rows, layout).items():
                columns[name] = [str(value) for value in np.asarray(own).tolist()]
            made = rows.provenance["synthetic"]  # a class of theirs may be called nothing
            for name in _never_empty(layout):
                columns[name] = [
                    text if synthetic else _REAL for text, synthetic in zip(columns[name], made, strict=True)
                ]
            (folder / _HEAD).write_text(text_line(columns), encoding="utf-8", newline="")
            file.writelines(text_line(row) for row in zip(*columns.values(), strict=True))


def _join(work: Path, parts: Sequence[Part], card: Card, record: Mapping[str, Any]) -> str:
    with open(work / _FILE, "wb") as file:
        for path in (parts[0].path(_HEAD), *(part.path(_FILE) for part in parts)):
            with open(path, "rb") as told:
                shutil.copyfileobj(told, file)
    # The record is of this very content: a file that was changed has none.
    written = {**record, "sha256": sha256_file(work / _FILE)}
    atomic_write_text(work / (_FILE + RECORD_BESIDE), as_json(written, indent=1) + "\n")
    return _FILE


def _open(path: Path) -> Columns:
    record = record_beside(path)
    layout = layout_of(record)
    assert layout is not None, "a file without a record is no output"
    told = read_text(path)
    few = [name for name in told.column_names if name in layout.own]
    about = as_recorded(told.select(few), layout, None)
    for name in few:
        told = told.set_column(told.column_names.index(name), name, about[name])
    found = from_table(told, record)
    real = ~np.asarray(found.table["synthetic"], bool)
    table = {
        name: np.where(real, "", column) if name in _TEXTS else column for name, column in found.table.items()
    }
    return Columns(table, found.read)


def _never_empty(layout: Layout) -> list[str]:
    """The columns of texts that real rows have none of, as they are called there."""
    return [own for name, own in layout.provenance.items() if name in _TEXTS]


CSV = Format(
    "csv",
    suffix=".csv",
    holds=lambda form: isinstance(form, TableForm),
    write=_write,
    join=_join,
    recognises=lambda path: path.is_file() and record_beside(path) is not None,
    record=record_beside,
    open=_open,
    in_columns=True,
    beside=RECORD_BESIDE,
    unicode_only=True,
    of_pictures=False,
)
