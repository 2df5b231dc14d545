"""What every format of labelled rows on disk shares."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from synthaug.files.cards import Card
from synthaug.generators.samples import PROVENANCE_COLUMNS
from synthaug.modalities.image.form import ImageForm
from synthaug.outputs import RECORD, atomic_write_bytes, atomic_write_text, encode_name

PROVENANCE_FILE = "provenance.csv"
"""The columns of provenance of a folder, one line a row."""

_IMAGE_FILE = re.compile(r"\.(png|jpe?g|webp|bmp|gif|tiff?|p[gp]m)$", re.IGNORECASE)
# Class folders of these names would be taken for splits or would meet our own files.
_TAKEN = {"train", "training", "test", "testing", "eval", "evaluation", "val", "valid", "validation", "dev",
          PROVENANCE_FILE, RECORD, "readme.md"}  # fmt: skip


@dataclass(frozen=True)
class RowBlock:
    """A run of rows on their way to disk.

    Attributes:
        images: ``(n, *form.shape)`` of dtype ``form.dtype``.
        labels: ``(n,)`` int64 positions in the classes.
        names: what each image file was called, a path or a bare name; anything else is given a number.
        provenance: the columns of `PROVENANCE_COLUMNS`, each of length n.
        splits: ``(n,)`` split names, or None where the data set has none.
        groups: ``(n,)`` group names, or None where the data set has none.
    """

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    provenance: Mapping[str, np.ndarray]
    splits: np.ndarray | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


NamedBlocks: TypeAlias = Iterable[tuple[RowBlock, list[str]]]
"""Runs of rows, each with the path of the file of every row, ``split/class/name.png``."""


@dataclass(frozen=True)
class Columns:
    """The rows of an output as they lie on disk.

    Attributes:
        table: the columns of `PROVENANCE_COLUMNS`, and ``split`` where the output has splits, each ``(N,)``.
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
        write: ``write(work, blocks, card, record)`` writes all rows into a folder, in bounded memory; it returns the
            name of the one file that is the output, or None where the folder is.
        recognises: whether what is at a path may be of this format.
        record: the record of an output at a path; None where synthaug did not write it.
        open: the rows of an output at a path.
    """

    name: str
    suffix: str | None
    holds: Callable[[ImageForm], bool]
    write: Callable[[Path, NamedBlocks, Card, Mapping[str, Any]], str | None]
    recognises: Callable[[Path], bool]
    record: Callable[[Path], dict[str, Any] | None]
    open: Callable[[Path], Columns]


def named(blocks: Iterable[RowBlock], classes: Sequence[str]) -> Iterator[tuple[RowBlock, list[str]]]:
    """Each block with the file of each row, ``split/class/name.png``; no two rows have the same one."""
    folders = [encode_name(name, classes) for name in classes]
    folders = [f"%{ord(f[0]):02X}{f[1:]}" if f.lower() in _TAKEN else f for f in folders]
    used: set[str] = set()
    start = 0
    for rows in blocks:
        files = []
        for row in range(len(rows)):
            stem = Path(rows.names[row]).stem
            if not _IMAGE_FILE.search(rows.names[row]) or len(stem) > 100 or encode_name(stem) != stem:
                stem = f"real-{start + row:06d}"
            parts = [] if rows.splits is None else [encode_name(str(rows.splits[row]))]
            folder = "/".join([*parts, folders[rows.labels[row]]])
            file = f"{folder}/{stem}.png"
            while file.lower() in used:
                stem += f"-{start + row}"
                file = f"{folder}/{stem}.png"
            used.add(file.lower())
            files.append(file)
        yield rows, files
        start += len(rows)


def describe(work: Path, card: Card, record: Mapping[str, Any]) -> None:
    """Writes card and record into a folder."""
    atomic_write_bytes(work / "README.md", card.markdown().encode(errors="backslashreplace"))
    atomic_write_text(work / RECORD, as_json(record, indent=1) + "\n")


def folder_record(path: Path) -> dict[str, Any] | None:
    """The record of a folder; None where there is none."""
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("request"), dict) else None


def begins_with(path: Path, magic: bytes) -> bool:
    """Whether a path is a file with these first bytes."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(len(magic)) == magic


def as_json(record: Mapping[str, Any], indent: int | None = None) -> str:
    """A record as text that any system can keep."""
    return json.dumps(record, ensure_ascii=True, indent=indent)


def columns_of(names: Iterable[str]) -> list[str]:
    """Of these columns the ones that say where rows come from."""
    return [*PROVENANCE_COLUMNS, *({"split"} & set(names))]
