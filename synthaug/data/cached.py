"""Vectors that an embedder made, kept in a file, so that each picture is embedded once and not every day."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from synthaug.data.vectors import Embed, checked_vectors, embedder_name
from synthaug.errors import InvalidData, InvalidRequest

# How far the vector of a picture may be from the one that is kept, over the length of that: batches of other sizes are
# summed in another order.
_APART = 1e-2


class CachedEmbedder:
    """An embedder that keeps its vectors in a file, and makes those alone that are not there yet.

    It is used in the place of the embedder, ``open_data("photos/", embed=CachedEmbedder(embedder, "vectors.db"))``.
    Pictures are known by what is in them, so that photographs may come, go and move. The first picture that is known is
    embedded all the same, to see whether the file is this embedder's. What was made is there if the run is stopped, and
    several processes may share a file.

    Args:
        embed: ``embed(images)``: n arrays ``(H, W)`` or ``(H, W, C)`` -> ``(n, D)`` numbers.
        path: of the file, an SQLite database; it is made where it is not there.

    Raises:
        InvalidRequest: ``embed`` cannot be called, or gives something else than vectors of one width.
        InvalidData: the file is none of ours, cannot be written, or holds the vectors of another embedder.
    """

    def __init__(self, embed: Embed, path: str | Path) -> None:
        self.func, self.path = embed, Path(path)
        self._name, self._tried = embedder_name(embed), False

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """``(n, D)`` float32 vectors of the pictures."""
        keys = [_key(image) for image in images]
        by_key = dict(zip(keys, images, strict=True))
        with self._file() as file:
            known = {key: vector for key in by_key if (vector := _find(file, key)) is not None}
            self._try(known, by_key)
            if due := [key for key in by_key if key not in known]:
                made = self._made([by_key[key] for key in due])
                self._require_width(known, made)
                rows = [(key, vector.tobytes()) for key, vector in zip(due, made, strict=True)]
                file.executemany("INSERT OR IGNORE INTO vectors VALUES (?, ?)", rows)
                file.commit()
                known.update(zip(due, made, strict=True))
        return np.stack([known[key] for key in keys])

    def _made(self, images: list[np.ndarray]) -> np.ndarray:
        return checked_vectors(self.func(images), len(images), self._name)

    def _try(self, known: dict[bytes, np.ndarray], images: dict[bytes, np.ndarray]) -> None:
        """Embed one picture that is known, once, and compare."""
        if self._tried or not known:
            return
        key, kept = next(iter(known.items()))
        made = self._made([images[key]])[0]
        if made.shape != kept.shape or np.linalg.norm(made - kept) > _APART * np.linalg.norm(kept):
            raise InvalidData(
                f"{self.path} holds other vectors than {self._name} makes: of another embedder, or of one that does "
                "not give the same twice, as with dropout (call its eval()). Name another file, or delete this one."
            )
        self._tried = True

    def _require_width(self, known: dict[bytes, np.ndarray], made: np.ndarray) -> None:
        width = next((len(vector) for vector in known.values()), made.shape[1])
        if made.shape[1] != width:
            raise InvalidRequest(
                f"{self._name} gave vectors of {made.shape[1]} numbers, and of {width} before: an embedder gives as "
                "many for a picture of any size: pool over places, or resize."
            )

    @contextmanager
    def _file(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=60)) as file:
                file.execute("CREATE TABLE IF NOT EXISTS vectors (picture BLOB PRIMARY KEY, vector BLOB)")
                yield file
        except sqlite3.Error as error:
            raise InvalidData(
                f"Vectors cannot be kept in {self.path} ({error}). Name a file that is not there yet, in a folder that "
                "can be written."
            ) from error


def _key(image: np.ndarray) -> bytes:
    content = hashlib.blake2b(f"{image.dtype} {image.shape}".encode(), digest_size=16)
    content.update(np.ascontiguousarray(image).data)
    return content.digest()


def _find(file: sqlite3.Connection, key: bytes) -> np.ndarray | None:
    found = file.execute("SELECT vector FROM vectors WHERE picture = ?", (key,)).fetchone()
    return None if found is None else np.frombuffer(found[0], np.float32)
