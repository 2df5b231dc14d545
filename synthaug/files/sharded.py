"""Folders of shards, ``data/train-00000-of-00012``: parquet files as on the Hub, or tar files as in WebDataset."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.readers.beside import as_text
from synthaug.data.readers.shards import SHARDS, read_shards, shards_in, told_beside
from synthaug.data.readers.written import Layout, record_of_folder
from synthaug.files.arrow import fits_columns, from_table, with_splits
from synthaug.files.base import Columns, Format, NamedBlocks, RowBlock, columns_beside, describe, own_columns
from synthaug.files.cards import Card
from synthaug.files.parquet import write_table
from synthaug.files.parts import Part, move_files
from synthaug.modalities.image.cells import fits_png


def _write_parquet(folder: Path, stem: str, blocks: NamedBlocks, card: Card, layout: Layout) -> None:
    (folder / SHARDS).mkdir()
    write_table(folder / SHARDS / f"{stem}.parquet", blocks, card, layout)


def _write_tar(folder: Path, stem: str, blocks: NamedBlocks, card: Card, layout: Layout) -> None:
    (folder / SHARDS).mkdir()
    number = stem.split("-")[-3]
    with tarfile.open(folder / SHARDS / f"{stem}.tar", "w") as archive:
        row = 0
        for rows, files in blocks:
            told = _told(rows, files, card, layout)
            for picture, label, of in zip(rows.pictures(card.form), rows.labels.tolist(), told, strict=True):
                key, text = f"{number}-{row:06d}", json.dumps(of)
                _add(archive, f"{key}.png", picture)
                _add(archive, f"{key}.cls", str(label).encode())
                _add(archive, f"{key}.json", text.encode())
                row += 1


def _told(rows: RowBlock, files: list[str], card: Card, layout: Layout) -> list[dict[str, Any]]:
    """What is told of each row beside its picture: values of one type each, so that any reader takes them."""
    named, missing = told_beside(layout)
    columns: dict[str, Sequence[Any]] = {named: files}
    columns[layout.label] = [card.classes.values[label] for label in rows.labels.tolist()]
    columns |= {name: np.asarray(column).tolist() for name, column in own_columns(rows, layout).items()}
    beside = {name: as_text(column, name) for name, column in columns_beside(rows, layout, card.form).items()}
    columns |= {name: ["" if text is None else text for text in texts] for name, texts in beside.items()}
    if beside:
        nulls = [[name for name, texts in beside.items() if texts[row] is None] for row in range(len(rows))]
        columns[missing] = [json.dumps(names) for names in nulls]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)  # of 1970, so that equal rows give equal bytes
    about.size = len(content)
    archive.addfile(about, io.BytesIO(content))


def _join(work: Path, parts: Sequence[Part], card: Card, record: Mapping[str, Any]) -> None:
    move_files(parts, work)
    describe(work, card, record)


def _open(path: Path) -> Columns:
    import pyarrow as pa

    record = record_of_folder(path)
    assert record is not None, "it recognised its own"
    tables = read_shards(path, record)
    columns = from_table(pa.concat_tables(tables.values()), record, splits=None)
    return with_splits(columns, {split: len(table) for split, table in tables.items()})


def _recognises(path: Path, suffix: str) -> bool:
    return path.is_dir() and bool(shards_in(path, suffix)) and record_of_folder(path) is not None


PARQUET_SHARDS = Format(
    "shards",
    suffix=None,
    holds=fits_columns,
    write=_write_parquet,
    join=_join,
    recognises=partial(_recognises, suffix=".parquet"),
    record=record_of_folder,
    open=_open,
    unicode_only=True,
    in_columns=True,
    split_column=False,
    by_split=True,
)

WEBDATASET = Format(
    "webdataset",
    suffix=None,
    holds=fits_png,
    write=_write_tar,
    join=_join,
    recognises=partial(_recognises, suffix=".tar"),
    record=record_of_folder,
    open=_open,
    of_pictures=False,  # its readers want files of one kind
    unicode_only=True,
    split_column=False,
    by_split=True,
)
