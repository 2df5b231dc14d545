"""Labelled rows on disk: which format an output has, how it is written, and how its synthetic rows come back.

Every row says where it came from, in the columns of `PROVENANCE_COLUMNS`; every output carries the request it
answers and a data card. Equal rows give equal bytes.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from synthaug.data.readers.written import Layout, record_of_folder
from synthaug.errors import InvalidData, InvalidRequest
from synthaug.files.base import Columns, FileNames, Format, RowBlock, layout_for
from synthaug.files.cards import Card
from synthaug.files.csv import CSV
from synthaug.files.folder import FOLDER
from synthaug.files.npz import NPZ
from synthaug.files.parquet import PARQUET
from synthaug.files.parts import PARTS, Part, make_part
from synthaug.files.saved import HF
from synthaug.files.sharded import PARQUET_SHARDS, WEBDATASET
from synthaug.files.shards import stem_of
from synthaug.generators.samples import PROVENANCE_COLUMNS, Samples
from synthaug.modalities.base import Form
from synthaug.modalities.table.form import TableForm
from synthaug.outputs import versions
from synthaug.wording import did_you_mean, quoted, shown

FORMATS: dict[str, Format] = {
    format.name: format for format in (FOLDER, PARQUET, PARQUET_SHARDS, WEBDATASET, CSV, NPZ, HF)
}
"""Every format by its name."""

_SUFFIXES = {format.suffix: format for format in FORMATS.values() if format.suffix is not None}
CALL = "call"
"""The key of a record under which what makes the same output again is said."""

_BLOCK = 1024


def choose_format(out: str | Path, format: str | None, form: Form, classes: Iterable[str] = ()) -> Format:
    """The format of the output ``out``: the one asked for, or what its suffix says, or a folder.

    A folder is one of PNG files; of rows of tables, a saved Hugging Face data set. What is asked for as ``parquet``
    is a folder of shards where the output has no suffix.

    Raises:
        InvalidRequest: the format or suffix is unknown, the two disagree, or the format cannot hold rows of
            this form (PNG holds uint8, and uint16 in one channel) or the names of their classes.

    >>> from synthaug import ImageForm
    >>> choose_format("bigger.npz", None, ImageForm(28, 28, 1, "HW", "uint8")).name
    'npz'
    """
    out = shown(out)
    suffix = Path(out).suffix.lower()
    if format is not None and format not in FORMATS:
        raise InvalidRequest(f'There is no format "{format}".{did_you_mean(format, FORMATS)}')
    if format is not None:
        chosen = PARQUET_SHARDS if format == PARQUET.name and not suffix else FORMATS[format]
        if _SUFFIXES.get(suffix, chosen) is not chosen:
            raise InvalidRequest(
                f'"{out}" ends like {_SUFFIXES[suffix].name}, but the format "{format}" was asked for.'
            )
    elif suffix and suffix not in _SUFFIXES:
        raise InvalidRequest(
            f'The suffix of "{out}" names no format. Use {", ".join(_SUFFIXES)}, or no suffix for a folder; or say '
            f"which with format= (--format): {quoted(FORMATS)}."
        )
    else:
        chosen = _SUFFIXES.get(suffix, HF if isinstance(form, TableForm) else FOLDER)
    if not chosen.holds(form):
        raise InvalidRequest(f'Rows of {form} cannot be written as "{chosen.name}": {_why_not(chosen, form)}')
    if chosen.unicode_only and (strange := [name for name in classes if _is_no_text(name)]):
        raise InvalidRequest(
            f'The class {strange[0]!r} is no text in Unicode, and "{chosen.name}" holds no other. Write a folder or an '
            ".npz file instead, or rename the class."
        )
    return chosen


def _why_not(format: Format, form: Form) -> str:
    if isinstance(form, TableForm):
        keeps = "arrays of one type" if format is NPZ else "pictures"
        return f'it keeps {keeps}. Write a .parquet or .csv file instead, or format="hf" for a Hugging Face data set.'
    if format is CSV:
        return "text holds the cells of tables. Write a folder, a .parquet or an .npz file instead."
    return "its images are PNG files: they hold uint8 and uint16 in one channel. Write an .npz file instead."


def _is_no_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a character, as in the name of a file that is in no encoding
        return True
    return False


def write_rows(
    work: Path,
    format: Format,
    blocks: Iterable[RowBlock],
    card: Card,
    request: Mapping[str, Any],
    held_out: np.ndarray | None = None,
) -> str | None:
    """Writes rows that are at hand into the folder ``work``, in this process.

    Args:
        work: an existing folder, such as that of an `Output`; what an earlier, killed call wrote is replaced.
        format: one that `choose_format` gave.
        blocks: the rows, ``card.rows`` in all.
        card: the data card.
        request: plain JSON data to record.
        held_out: ``(M,)`` uint64 fingerprints of rows that the synthetic ones must not meet, to record as well.

    Returns:
        The name of the one file inside ``work`` that is the output, or None where the folder is.
    """
    rows = list(_apart(blocks) if format.by_split else blocks)
    layout = layout_for(format, card, rows[0])
    names, kept, parts, start = FileNames(card.classes), work / PARTS, [], 0
    shutil.rmtree(kept, ignore_errors=True)
    for number, block in enumerate(rows):
        files = names.of(block, range(start, start + len(block)))
        split = None if block.splits is None or not format.by_split else str(block.splits[0])
        stem = stem_of(split, number, len(rows))

        def write(folder: Path, block: RowBlock = block, files: list[str] = files, stem: str = stem) -> int:
            format.write(folder, stem, [(block, files)], card, layout)
            return len(block)

        parts.append(make_part(kept / f"{number:05d}", split, write))
        start += len(block)
    file = format.join(work, parts, card, record_of(card, layout, request, parts, held_out))
    shutil.rmtree(kept)
    return file


def _apart(blocks: Iterable[RowBlock]) -> Iterator[RowBlock]:
    """The same rows in blocks of one split each."""
    for rows in blocks:
        if rows.splits is None:
            yield rows
        else:
            yield from (
                rows.take(np.flatnonzero(rows.splits == split)) for split in dict.fromkeys(rows.splits)
            )


def record_of(
    card: Card,
    layout: Layout,
    request: Mapping[str, Any],
    parts: Sequence[Part],
    held_out: np.ndarray | None = None,
) -> dict[str, Any]:
    """What is recorded of an output: what was asked for, what it holds, what made it, and digests of its parts."""
    found: dict[str, Any] = {
        "request": dict(request),
        "card": card.to_dict(),
        "columns": layout.to_dict(),
        "versions": versions(),
        "parts": [{"rows": part.rows, "split": part.split, "sha256": part.sha256} for part in parts],
    }
    if held_out is not None and len(held_out):
        found["held_out"] = held_out.astype(">u8").tobytes().hex()
    return found


def read_record(path: Path) -> dict[str, Any] | None:
    """The record ``{"request", "card", ...}`` in an output of `write_rows`, or None where there is none."""
    if path.is_dir():
        return record_of_folder(path)
    found = _format_at(path)
    return None if found is None else found.record(path)


def recorded_request(path: Path) -> Mapping[str, Any] | None:
    """The request that the output at ``path`` answers, for `open_output`; None where there is none."""
    record = read_record(path)
    return None if record is None else record["request"]


@dataclass(frozen=True)
class Stored:
    """A data set that synthaug wrote, opened; rows are read when they are asked for.

    Attributes:
        path: where it is.
        card: what it says about itself.
    """

    path: Path
    card: Card
    _columns: Columns
    _recorded: np.ndarray

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Stored:
        """What `expand` or `sample` wrote at a path: a folder, a file or a saved Hugging Face set.

        Raises:
            InvalidData: nothing is there, it was not written by synthaug, or it holds no synthetic rows.
        """
        path = Path(path).expanduser()
        if not path.exists():
            raise InvalidData(
                f"there is no file or folder {path}; `synthaug sample` and `synthaug expand` write data sets with "
                "synthetic rows"
            )
        record, format = read_record(path), _format_at(path)
        if record is None or "card" not in record or format is None:
            raise InvalidData(
                f"{path} was not written by synthaug expand or sample, so it does not say which rows are "
                "synthetic: pass samples, or a generator"
            )
        try:
            columns = format.open(path)
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise InvalidData(f"{path} cannot be read as the data set it was written as: {error}") from error
        if not np.any(columns.table["synthetic"]):
            raise InvalidData(f"{path} holds no synthetic rows")
        recorded = np.frombuffer(bytes.fromhex(record.get("held_out", "")), ">u8").astype(np.uint64)
        return cls(path, Card.from_dict(record["card"]), columns, recorded)

    @cached_property
    def synthetic(self) -> np.ndarray:
        """``(n,)`` int64 numbers of its synthetic rows."""
        return np.flatnonzero(self._columns.table["synthetic"])

    @cached_property
    def class_indices(self) -> np.ndarray:
        """``(n,)`` int64 positions of the classes of its synthetic rows."""
        # Text files hold names that no encoding knows in an escaped form.
        names = [self.card.called.get(name, name) for name in self.card.classes]
        places = {name.encode(errors="backslashreplace").decode(): k for k, name in enumerate(names)}
        places |= {name: k for k, name in enumerate(names)}
        found = self._columns.table["class"][self.synthetic].tolist()
        return np.array([places[name] for name in found], np.int64)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The rows of these numbers: ``(n, *form.shape)``."""
        return self.card.form.of_cells(self._columns.read(rows))

    @property
    def held_out(self) -> np.ndarray:
        """``(M,)`` uint64 fingerprints of what its synthetic rows must not meet.

        Those that were recorded; where it has splits, those of the rows in splits without synthetic rows, too.
        """
        table, found = self._columns.table, [self._recorded]
        if "split" in table:
            other = np.flatnonzero(~np.isin(table["split"], table["split"][self.synthetic]))
            for start in range(0, len(other), _BLOCK):
                found.append(self.card.form.fingerprints(self.read(other[start : start + _BLOCK])))
        return np.unique(np.concatenate(found))

    def samples(self) -> Samples:
        """Its synthetic rows in the form they were made in; real rows stay on disk."""
        classes, places = self.card.classes, self.class_indices
        provenance = {name: self._columns.table[name][self.synthetic] for name in PROVENANCE_COLUMNS}
        return Samples(
            samples=self.read(self.synthetic),
            labels=np.array([classes.values[k] for k in places]),
            classes=classes,
            form=self.card.form,
            provenance=provenance
            | {"class": np.array([classes[k] for k in places])},  # as the data set has it
            held_out=self.held_out,
        )


def _format_at(path: Path) -> Format | None:
    candidates: Sequence[Format] = (
        HF,
        PARQUET_SHARDS,
        WEBDATASET,
        FOLDER,
        PARQUET,
        NPZ,
        CSV,
    )  # a saved set is a folder, too
    return next((format for format in candidates if format.recognises(path)), None)
