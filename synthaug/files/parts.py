"""Parts of an output under way: each is there whole or not at all, whoever makes it, and however often."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from synthaug.outputs import atomic_write_text, sha256_file

PARTS = ".parts"
"""The folder of parts in the work of an output."""

_TOLD = "part.json"
_FILES = "files"


@dataclass(frozen=True)
class Part:
    """What a format made of some rows.

    Attributes:
        folder: where its files lie.
        rows: how many rows it holds.
        split: of the rows; None where there are none, or they lie together.
        files: the SHA-256 of each file, by its path in the folder.
    """

    folder: Path
    rows: int
    split: str | None
    files: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """Of all its files and their names, 64 hex digits."""
        return hashlib.sha256(json.dumps(sorted(self.files.items())).encode()).hexdigest()

    def path(self, name: str) -> Path:
        """Where one of its files is."""
        return self.folder / name


def part_in(place: Path) -> Part | None:
    """The part that was made at a place; None where none was, or not to its end."""
    try:
        told = json.loads((place / _TOLD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Part(place / _FILES, told["rows"], told["split"], told["files"])


def make_part(place: Path, split: str | None, write: Callable[[Path], int]) -> Part:
    """A part, unless it is there: what ``write`` writes into a folder of its own, which appears when it is done.

    Two processes may make the same part: the first to be done is taken, and both wrote the same.

    Args:
        place: where the part is to be.
        split: of its rows.
        write: writes files into a folder, and returns how many rows it wrote.

    Raises:
        OSError: it cannot be written; what was begun is removed.
    """
    if (found := part_in(place)) is not None:
        return found
    begun = place.with_name(f"{place.name}.{uuid.uuid4().hex[:8]}.begun")
    files = begun / _FILES
    try:
        files.mkdir(parents=True)
        rows = write(files)
        there = sorted(path for path in files.rglob("*") if path.is_file())
        hashes = {path.relative_to(files).as_posix(): sha256_file(path) for path in there}
        atomic_write_text(begun / _TOLD, json.dumps({"rows": rows, "split": split, "files": hashes}))
        with suppress(OSError):  # another process was faster
            os.rename(begun, place)
    finally:
        shutil.rmtree(begun, ignore_errors=True)
    made = part_in(place)
    if made is None:
        raise FileNotFoundError(2, os.strerror(2), str(place))
    return made


def clear_begun(folder: Path) -> None:
    """Removes what killed processes left of parts; nobody else may be writing there."""
    for left in folder.glob("*.begun"):
        shutil.rmtree(left, ignore_errors=True)


def move_files(parts: Iterable[Part], work: Path) -> None:
    """The files of parts where the output has them; those that are there already stay."""
    for part in parts:
        for name in part.files:
            place = work / name
            if part.path(name).exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(part.path(name), place)
