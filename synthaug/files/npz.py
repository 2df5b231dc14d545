"""An .npz file: ``X``, ``y``, the columns of provenance, and the record."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from synthaug.data.readers.beside import as_array_and_nulls
from synthaug.data.readers.npz import array_names, record_of_npz
from synthaug.data.readers.written import PROVENANCE_COLUMNS, Layout, labels_of, layout_of
from synthaug.files.base import (
    Columns,
    Format,
    NamedBlocks,
    RowBlock,
    as_json,
    begins_with,
    columns_beside,
    own_columns,
)
from synthaug.files.cards import Card
from synthaug.modalities.table.form import TableForm

_FILE = "rows.npz"


def _write(work: Path, blocks: NamedBlocks, card: Card, record: Mapping[str, Any]) -> str:
    layout = layout_of(record)
    assert layout is not None, "it is recorded before it is written"
    assert layout.image is not None, "rows are one array"
    columns: dict[str, list[np.ndarray]] = {}
    with zipfile.ZipFile(work / _FILE, "w") as archive:
        with _member(archive, layout.image) as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(card.form.dtype)),
                "fortran_order": False,
                "shape": (card.rows, *card.form.shape),
            }
            np.lib.format.write_array_header_1_0(file, header)
            for rows, _ in blocks:
                file.write(np.ascontiguousarray(rows.images, card.form.dtype).tobytes())
                for name, column in _arrays(rows, card, layout).items():
                    columns.setdefault(name, []).append(column)
        arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
        names = array_names(layout)
        arrays |= {
            names.classes: np.array(list(card.classes)),
            names.record: np.array(as_json(record)),
        }
        for name, array in arrays.items():
            with _member(archive, name) as file:
                np.lib.format.write_array(file, array.astype(str) if array.dtype == object else array)
    return _FILE


def _arrays(rows: RowBlock, card: Card, layout: Layout) -> dict[str, np.ndarray]:
    """All columns of a block but the images; beside each further one, which of its values are null."""
    columns = {layout.label: labels_of(card.classes, layout.feature)[rows.labels]}
    columns |= {name: np.asarray(column) for name, column in own_columns(rows, layout).items()}
    for name, column in columns_beside(rows, layout, card.form).items():
        columns[name], columns[array_names(layout).nulls[name]] = as_array_and_nulls(column, name)
    return columns


@contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator[BinaryIO]:
    # A ZipInfo of its own keeps the date at 1980, so that equal arrays give equal files.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        yield file  # type: ignore[misc]


def _open(path: Path) -> Columns:
    layout = layout_of(record_of_npz(path))
    names = dict(zip(PROVENANCE_COLUMNS, PROVENANCE_COLUMNS, strict=True))
    image, split = "X", "split"
    if layout is not None:
        names, image, split = dict(layout.provenance), layout.image or image, layout.split or ""
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        if split in archive.files:
            names["split"] = split
        table, images = {name: archive[own] for name, own in names.items()}, archive[image]
    return Columns(table, lambda chosen: images[chosen])


NPZ = Format(
    "npz",
    suffix=".npz",
    holds=lambda form: not isinstance(form, TableForm) or form.container != "frame",
    write=_write,
    recognises=lambda path: begins_with(path, b"PK\x03\x04"),
    record=record_of_npz,
    open=_open,
    columns=("X", "y"),
)
