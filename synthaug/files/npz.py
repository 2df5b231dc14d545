"""An .npz file: ``X``, ``y``, the columns of provenance, and the record."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from synthaug.files.base import Columns, Format, NamedBlocks, as_json, begins_with, columns_of
from synthaug.files.cards import Card

_FILE, _RECORD = "rows.npz", "synthaug"


def _write(work: Path, blocks: NamedBlocks, card: Card, record: Mapping[str, Any]) -> str:
    columns: dict[str, list[np.ndarray]] = {}
    with zipfile.ZipFile(work / _FILE, "w") as archive:
        with _member(archive, "X") as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(card.form.dtype)),
                "fortran_order": False,
                "shape": (card.rows, *card.form.shape),
            }
            np.lib.format.write_array_header_1_0(file, header)
            for rows, _ in blocks:
                file.write(np.ascontiguousarray(rows.images, card.form.dtype).tobytes())
                parts = {"y": np.array(card.classes.values)[rows.labels], **rows.provenance}
                parts |= {k: v for k, v in (("split", rows.splits), ("group", rows.groups)) if v is not None}
                for name, column in parts.items():
                    columns.setdefault(name, []).append(np.asarray(column))
        arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
        arrays |= {"classes": np.array(list(card.classes)), _RECORD: np.array(as_json(record))}
        for name, array in arrays.items():
            with _member(archive, name) as file:
                np.lib.format.write_array(file, array.astype(str) if array.dtype == object else array)
    return _FILE


@contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator[BinaryIO]:
    # A ZipInfo of its own keeps the date at 1980, so that equal arrays give equal files.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        yield file  # type: ignore[misc]


def _record(path: Path) -> dict[str, Any] | None:
    if not zipfile.is_zipfile(path):  # such as one that was cut off
        return None
    with zipfile.ZipFile(path) as archive:
        if f"{_RECORD}.npy" not in archive.namelist():
            return None
        text = np.lib.format.read_array(io.BytesIO(archive.read(f"{_RECORD}.npy")))
    record: dict[str, Any] = json.loads(str(text))
    return record


def _open(path: Path) -> Columns:
    with np.load(path, allow_pickle=False) as archive:
        table, images = {name: archive[name] for name in columns_of(archive.files)}, archive["X"]
    return Columns(table, lambda chosen: images[chosen])


NPZ = Format(
    "npz",
    suffix=".npz",
    holds=lambda form: True,
    write=_write,
    recognises=lambda path: begins_with(path, b"PK\x03\x04"),
    record=_record,
    open=_open,
)
