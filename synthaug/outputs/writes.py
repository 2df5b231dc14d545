"""Single files: written whole, hashed, and errors of files in our words."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synthaug.errors import SynthaugError
from synthaug.wording import reason_of


@contextmanager
def one_error(kind: type[SynthaugError], what: str, remedy: str) -> Iterator[None]:
    """Files that cannot be read become an error of ours: what, why, and what to do.

    >>> from synthaug.errors import InvalidData
    >>> with one_error(InvalidData, "The list cannot be read", "Check the path."):
    ...     open("/nowhere/list.txt")
    Traceback (most recent call last):
    synthaug.errors.InvalidData: The list cannot be read (No such file or directory: /nowhere/list.txt). Check the path.
    """
    try:
        yield
    except SynthaugError:
        raise
    except OSError as error:
        raise kind(f"{what} ({reason_of(error)}). {remedy}") from error


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Writes ``path`` so that whoever looks sees the old content or the whole new one.

    The temporary name is always the same, so that a killed write leaves nothing the next one does not take.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def atomic_write_text(path: Path, text: str) -> None:
    """Writes ``path`` as UTF-8, whole or not at all; what UTF-8 cannot hold is escaped as JSON does it."""
    atomic_write_bytes(path, text.encode(errors="backslashreplace"))


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
