"""The rows of an output in runs: real ones as they are read, synthetic ones as they are made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from synthaug.data.classes import Classes
from synthaug.data.labeled import LabeledData
from synthaug.data.readers.written import SYNTHETIC
from synthaug.errors import InvalidRequest
from synthaug.files.base import FileNames, NamedBlocks, RowBlock
from synthaug.files.shards import Piece
from synthaug.files.writing import LINKED, PIXELS
from synthaug.generators.generator import Generator
from synthaug.generators.samples import real_provenance, synthetic_provenance
from synthaug.outputs import sha256_file

_BLOCK = 512  # rows in memory


@dataclass(frozen=True)
class RealRows:
    """The rows of a data set.

    Attributes:
        data: the data set.
        apart: whether each split is numbered on its own.
        named: whether each row has the name of a file.
        kept: how pictures are kept, see `Writing`.
    """

    data: LabeledData
    apart: bool
    named: bool
    kept: str = PIXELS

    @property
    def counts(self) -> dict[str | None, int]:
        """Rows of each run of numbers, by its split."""
        return {split: len(rows) for split, rows in self._numbers.items()}

    @property
    def taken(self) -> list[str]:
        """The names of files that synthetic rows may want, too."""
        return self._files[1]

    @cached_property
    def _files(self) -> tuple[list[str], list[str]]:
        """The file of each row, of all at once as two may want one name; and those that synthetic rows may want."""
        names, found = FileNames(self.data.classes), []
        for start in range(0, len(self.data), _BLOCK):
            block = self.data.take(slice(start, start + _BLOCK))
            found += names.of(_block(block, block.labels, self.kept), range(start, start + len(block)))
        return found, names.near_synthetic

    def first(self) -> RowBlock:
        """One row, for the columns that all have."""
        return _block(self.data.take(slice(0, 1)))

    def of(self, pieces: Sequence[Piece], split: str | None) -> NamedBlocks:
        """The rows of some pieces, each with its file."""
        for piece in pieces:
            numbers = self._numbers[split][piece.first : piece.first + piece.count]
            for start in range(0, len(numbers), _BLOCK):
                rows = numbers[start : start + _BLOCK]
                files = [self._files[0][row] for row in rows] if self.named else []
                block = self.data.take(rows)
                yield _block(block, None if self.kept == PIXELS else block.labels, self.kept), files

    @cached_property
    def _numbers(self) -> dict[str | None, np.ndarray]:
        splits = self.data.splits
        if splits is None or not self.apart:
            return {None: np.arange(len(self.data))}
        return {split: np.flatnonzero(splits == split) for split in dict.fromkeys(splits.tolist())}


def _block(rows: LabeledData, images: np.ndarray | None = None, kept: str = PIXELS) -> RowBlock:
    """Rows of a data set on their way to disk.

    Args:
        rows: the rows.
        images: what stands for their images, where nobody looks at these.
        kept: how pictures are kept, see `Writing`.

    Raises:
        InvalidRequest: a row that is to be kept as a file, and is none.
    """
    names = [rows.name(row) for row in range(len(rows))]
    return RowBlock(
        rows.read() if images is None else images,
        rows.labels,
        names,
        real_provenance(len(rows)),
        rows.splits,
        own_groups(rows),
        rows.beside,
        _sources(rows, names),
        None if kept == PIXELS else [_file(rows, row) for row in range(len(rows))],
        kept == LINKED,
    )


def _file(rows: LabeledData, row: int) -> Path | bytes:
    """The file that a row is."""
    found = rows.file(row)
    if found is None:
        raise InvalidRequest(
            f"Real rows were to be kept as the files that they are, and {rows.name(row)} is none that is read as it "
            "is: a picture in its own size, grey, RGB or RGBA. Keep the pixels: --real pixels."
        )
    return found


def require_files(data: LabeledData, kept: str) -> None:
    """Refuse to keep rows as files where one is none, or cannot be linked.

    Raises:
        InvalidRequest: naming the row.
    """
    for row in range(len(data)):
        if isinstance(_file(data, row), bytes) and kept == LINKED:
            raise InvalidRequest(
                f"{data.name(row)} cannot be linked: it lies in an archive or a table. Copy it: --real copied."
            )


def digest_of_files(data: LabeledData) -> str:
    """A hex digest (64 characters) of the files that rows are."""
    digest = hashlib.sha256()
    for row in range(len(data)):
        file = _file(data, row)
        digest.update(
            bytes.fromhex(sha256_file(file)) if isinstance(file, Path) else hashlib.sha256(file).digest()
        )
    return digest.hexdigest()


def own_groups(data: LabeledData) -> np.ndarray | None:
    """The groups of rows, where no column of theirs has them."""
    group, beside = data.columns.group, data.found.beside
    known = isinstance(group, str) and beside is not None and group in beside.schema.names
    return None if known else data.groups


def _sources(data: LabeledData, names: Sequence[str]) -> list[str] | None:
    """The files of rows below the folder or archive that they were read from; None where rows are no files."""
    for root in filter(None, (data.found.url, data.path)):
        if all(name.startswith(f"{root}/") for name in names):
            return [name.removeprefix(f"{root}/") for name in names]
    return None


@dataclass(frozen=True)
class MadeRows:
    """Synthetic rows, which any process can make.

    Attributes:
        generator: makes them.
        classes: of the output.
        called: what the generator calls a class, where it has another name for it.
        seed: of the rows.
        beside: a real row that they stand behind, of which they have the columns; None where they stand alone.
        split: the one they are in, where there are any.
        used: names of files that real rows have, as far as they may want them too; None where rows have no files.
    """

    generator: Generator
    classes: Classes
    called: Mapping[str, str]
    seed: int
    beside: RowBlock | None
    split: str | None
    used: Sequence[str] | None

    def of(self, pieces: Sequence[Piece]) -> Iterator[tuple[RowBlock, list[str]]]:
        """The rows of some pieces, each with its file."""
        names = None if self.used is None else FileNames(self.classes, self.used)
        for piece in pieces:
            assert piece.name is not None, "synthetic rows are of a class"
            end = piece.first + piece.count
            for start in range(piece.first, end, _BLOCK):
                stop = min(end, start + _BLOCK)
                rows, label = self.block(piece.name, start, stop), self.classes.index(piece.name)
                yield rows, [] if names is None else names.synthetic(label, self.split, rows.names)

    def block(self, name: str, start: int, stop: int) -> RowBlock:
        """Rows ``start`` to ``stop`` (exclusive) of a class."""
        n, own, like = stop - start, self.called.get(name, name), self.beside
        return RowBlock(
            self.generator.sample_rows(own, start, stop, seed=self.seed).samples,
            np.full(n, self.classes.index(name), np.int64),
            [f"{SYNTHETIC}-{self.seed}-{row}.png" for row in range(start, stop)],
            synthetic_provenance(
                self.generator.fingerprint, self.seed, own, self.generator.numbers(own, start, stop)
            ),
            None if self.split is None else np.full(n, self.split),
            None if like is None or like.groups is None else np.full(n, SYNTHETIC),
            None,
            None if like is None or like.sources is None else [""] * n,
        )
