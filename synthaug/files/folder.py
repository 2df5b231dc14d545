"""A folder of class folders of PNG files, perhaps below split folders, with ``provenance.csv`` beside them."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.files.base import PROVENANCE_FILE, Columns, Format, NamedBlocks, describe, folder_record
from synthaug.files.cards import Card
from synthaug.generators.samples import PROVENANCE_COLUMNS
from synthaug.modalities.image.cells import fits_png, from_png, png_bytes


def _write(work: Path, blocks: NamedBlocks, card: Card, record: Mapping[str, Any]) -> None:
    with open(work / PROVENANCE_FILE, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        for number, (rows, files) in enumerate(blocks):
            columns: dict[str, Any] = {
                "file": files,
                **{name: rows.provenance[name] for name in PROVENANCE_COLUMNS},
            }
            if rows.groups is not None:
                columns["group"] = rows.groups
            if number == 0:
                table.writerow(columns)
            table.writerows(zip(*columns.values(), strict=True))
            for folder in {str(Path(name).parent) for name in files}:
                (work / folder).mkdir(parents=True, exist_ok=True)
            for name, image in zip(files, rows.images, strict=True):
                (work / name).write_bytes(png_bytes(image, card.form))
    describe(work, card, record)


def _open(path: Path) -> Columns:
    with open(path / PROVENANCE_FILE, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = {name: np.array([row[name] for row in rows]) for name in PROVENANCE_COLUMNS}
    table["synthetic"] = table["synthetic"] == "True"
    table |= {name: table[name].astype(np.int64) for name in ("seed", "index")}
    files = [row["file"] for row in rows]
    # A split is a folder above the class's: split/class/name.png
    if files and all(file.count("/") == 2 for file in files):
        table["split"] = np.array([file.partition("/")[0] for file in files])
    return Columns(table, lambda chosen: [from_png(path / files[row]) for row in chosen.tolist()])


FOLDER = Format(
    "folder",
    suffix=None,
    holds=fits_png,
    write=_write,
    recognises=lambda path: path.is_dir() and (path / PROVENANCE_FILE).is_file(),
    record=folder_record,
    open=_open,
)
