"""An .npz file: ``X``, ``y``, the columns of provenance, and the record."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
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
from synthaug.files.parts import Part
from synthaug.modalities.table.form import TableForm

_FILE = "rows.npz"


def _write(folder: Path, stem: str, blocks: NamedBlocks, card: Card, layout: Layout) -> None:
    assert layout.image is not None, "rows are one array"
    columns: dict[str, list[np.ndarray]] = {}
    for rows, _ in blocks:
        arrays = {layout.image: np.ascontiguousarray(rows.images, card.form.dtype)}
        for name, column in (arrays | _arrays(rows, card, layout)).items():
            columns.setdefault(name, []).append(column)
    with zipfile.ZipFile(folder / _FILE, "w") as archive:
        for name, parts in columns.items():
            array = np.concatenate(parts)
            with _member(archive, name) as file:
                np.lib.format.write_array(file, array.astype(str) if array.dtype == object else array)


def _join(work: Path, parts: Sequence[Part], card: Card, record: Mapping[str, Any]) -> str:
    layout = layout_of(record)
    assert layout is not None, "it is recorded before it is written"
    names, rows = array_names(layout), sum(part.rows for part in parts)
    with zipfile.ZipFile(work / _FILE, "w") as archive:
        for name, (dtype, shape) in _headers(parts).items():
            with _member(archive, name) as file:
                kind = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, {**kind, "shape": (rows, *shape)})
                for part in parts:
                    with np.load(part.path(_FILE), allow_pickle=False) as made:
                        file.write(made[name].astype(dtype).tobytes())
        told = {names.classes: np.array(list(card.classes)), names.record: np.array(as_json(record))}
        for name, array in told.items():
            with _member(archive, name) as file:
                np.lib.format.write_array(file, array)
    return _FILE


def _headers(parts: Sequence[Part]) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """The type that holds a column of all parts, and the shape of one of its rows; no values are read."""
    found: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
    for part in parts:
        with zipfile.ZipFile(part.path(_FILE)) as archive:
            for member in archive.namelist():
                with archive.open(member) as file:
                    np.lib.format.read_magic(file)
                    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
                name = member.removesuffix(".npy")
                known = found[name][0] if name in found else dtype
                found[name] = (np.result_type(known, dtype), shape[1:])
    return found


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
    join=_join,
    recognises=lambda path: begins_with(path, b"PK\x03\x04"),
    record=record_of_npz,
    open=_open,
    columns=("X", "y"),
    of_pictures=False,
)
