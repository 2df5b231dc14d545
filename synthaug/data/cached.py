"""Vectors that an embedder made, kept in a file, so that each picture is embedded once and not every day."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from synthaug.data.vectors import Embed, checked_vectors, embedder_name
from synthaug.errors import InvalidData

# How far a vector may be from the one that is kept of the same picture, over the length of that: batches of other sizes
# are summed in another order.
_APART = 1e-2
# By which a database is known as one of ours: "saug".
_OURS = 0x73617567


class CachedEmbedder:
    """An embedder that keeps its vectors in a file, and makes those alone that are not there yet.

    It is used in the place of the embedder, ``open_data("photos/", embed=CachedEmbedder(embedder, "vectors.db"))``.
    Pictures are known by what is in them, so that photographs may come, go and move. The first picture stays in the
    file beside its vector and is embedded again each time, to see whether the file is this embedder's. What was made is
    there if the run is stopped, and several processes may share a file.

    Args:
        embed: ``embed(images)``: n arrays ``(H, W)`` or ``(H, W, C)`` -> ``(n, D)`` numbers.
        path: of the file, an SQLite database; it is made where it is not there.

    Raises:
        InvalidRequest: ``embed`` cannot be called, or gives something else than vectors.
        InvalidData: the file is none of ours, cannot be written, or holds the vectors of another embedder.
    """

    def __init__(self, embed: Embed, path: str | Path) -> None:
        self.func, self.path = embed, Path(path)
        self._name, self._tried = embedder_name(embed), False

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """``(n, D)`` float32 vectors of the pictures; such as are not finite are not kept."""
        by_key = {_key(image): image for image in images}
        with self._file() as file:
            if not self._tried:
                self._try(file)
            known = {key: vector for key in by_key if (vector := _find(file, key)) is not None}
            if due := [key for key in by_key if key not in known]:
                made = self._made([by_key[key] for key in due])
                known.update(zip(due, made, strict=True))
                rows = [(key, known[key].tobytes()) for key in due if np.isfinite(known[key]).all()]
                file.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)
                if rows and not self._tried:
                    first = _packed(by_key[rows[0][0]]), rows[0][1]
                    written = file.execute("INSERT OR IGNORE INTO first VALUES (0, ?, ?)", first)
                    self._tried = written.rowcount == 1
                file.commit()
        return checked_vectors([known[_key(image)] for image in images], len(images), self._name)

    def _made(self, images: list[np.ndarray]) -> np.ndarray:
        return checked_vectors(self.func(images), len(images), self._name)

    def _try(self, file: sqlite3.Connection) -> None:
        """Embed the first picture of the file again, and compare."""
        first = file.execute("SELECT picture, vector FROM first").fetchone()
        if first is not None:
            made = self._made([np.load(io.BytesIO(first[0]), allow_pickle=False)])[0]
            kept = np.frombuffer(first[1], np.float32)
            if made.shape != kept.shape or not np.linalg.norm(made - kept) <= _APART * np.linalg.norm(kept):
                raise InvalidData(
                    f"{self.path} holds other vectors than {self._name} makes: of another embedder, or of one that "
                    "does not give the same twice, as with dropout (call its eval()). Name another file, or delete "
                    "this one."
                )
            self._tried = True

    @contextmanager
    def _file(self) -> Iterator[sqlite3.Connection]:
        remedy = "Name a file that is not there yet, in a folder that can be written."
        try:
            with closing(sqlite3.connect(self.path, timeout=60)) as file:
                (ours,) = file.execute("PRAGMA application_id").fetchone()
                if ours != _OURS:
                    if file.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
                        raise InvalidData(f"{self.path} is a database of something else. {remedy}")
                    file.execute(f"PRAGMA application_id = {_OURS}")
                file.execute("CREATE TABLE IF NOT EXISTS vectors (picture BLOB PRIMARY KEY, vector BLOB)")
                file.execute(
                    "CREATE TABLE IF NOT EXISTS first (one INTEGER PRIMARY KEY, picture BLOB, vector BLOB)"
                )
                yield file
        except sqlite3.Error as error:
            raise InvalidData(f"Vectors cannot be kept in {self.path} ({error}). {remedy}") from error


def _key(image: np.ndarray) -> bytes:
    content = hashlib.blake2b(f"{image.dtype} {image.shape}".encode(), digest_size=16)
    content.update(np.ascontiguousarray(image).data)
    return content.digest()


def _find(file: sqlite3.Connection, key: bytes) -> np.ndarray | None:
    found = file.execute("SELECT vector FROM vectors WHERE picture = ?", (key,)).fetchone()
    return None if found is None else np.frombuffer(found[0], np.float32)


def _packed(image: np.ndarray) -> bytes:
    packed = io.BytesIO()
    np.save(packed, image, allow_pickle=False)
    return packed.getvalue()
