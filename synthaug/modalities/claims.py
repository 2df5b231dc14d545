"""What a file may claim to hold: nothing that is unpacked or decoded is larger than its size makes likely."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import struct
import zlib
from collections.abc import Callable
from tarfile import TarError
from typing import Any
from zipfile import BadZipFile

BROKEN_PACKING = (
    *(
        OSError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        RuntimeError,
        ArithmeticError,
        MemoryError,
    ),
    *(struct.error, zlib.error, lzma.LZMAError, BadZipFile, TarError),
)
"""What the libraries that unpack raise at files that are broken."""

_BYTES, _PIXELS = (
    128,
    256,
)  # that a byte of a file may stand for; of a PNG file of one colour they are 1032 and 344
_FEW_BYTES, _FEW_PIXELS = 2**25, 2**23  # for which no file is too short
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
_CHUNK = 2**20


def likely_bytes(unpacked: int, size: int) -> bool:
    """Whether a file of ``size`` bytes may unpack to so many; no file of real rows is packed better.

    >>> likely_bytes(10**6, 1000), likely_bytes(10**9, 10**8), likely_bytes(10**9, 10**6)
    (True, True, False)
    """
    return unpacked <= max(_FEW_BYTES, _BYTES * size)


def likely_pixels(pixels: int, size: int) -> bool:
    """Whether a file of ``size`` bytes may hold a picture of so many pixels."""
    return pixels <= max(_FEW_PIXELS, _PIXELS * size)


def bomb_of(unpacked: int, size: int) -> str:
    """What is wrong with a file that unpacks to what is not likely."""
    return f"its {size:,} bytes claim to unpack to {unpacked:,} or more, as no file of real rows does"


def require_likely(path: str | os.PathLike[str]) -> int:
    """The bytes that a file of gzip, bzip2 or xz unpacks to, or those of another file; nothing of it is kept.

    Raises:
        ValueError: a file that unpacks to what is not likely.
        OSError, EOFError, zlib.error, lzma.LZMAError: a file that cannot be unpacked.
    """
    size, unpacked = os.stat(path).st_size, 0
    with open(path, "rb") as file:
        head = file.read(6)
    opener = next((opener for begin, opener in _OPENERS.items() if head.startswith(begin)), None)
    if opener is None:
        return size
    with opener(path, "rb") as packed:
        while chunk := packed.read(_CHUNK):
            unpacked += len(chunk)
            if not likely_bytes(unpacked, size):
                raise ValueError(bomb_of(unpacked, size))
    return unpacked
