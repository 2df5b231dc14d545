"""How many bits a channel of a picture has in its file, where Pillow decodes fewer."""

from __future__ import annotations

import re
from typing import Any

from PIL import Image

_WIDE = re.compile(r"[A-Za-z]+;16[BLN]|L;16")  # "RGB;16" is a pixel of 16 bits, not a channel
_SIZES = b"\xff\x51"  # the marker before the sizes of a JPEG 2000 picture
_HEAD = 8192  # bytes; what a file says of itself stands before its pixels


def stored_bits(image: Image.Image) -> int:
    """Bits a channel in the file of a picture that Pillow gives in 8; 8 where it cannot be told.

    Args:
        image: opened, not decoded yet.

    >>> stored_bits(Image.new("RGB", (2, 2)))
    8
    """
    tiles = getattr(image, "tile", None)
    if image.mode.startswith(("I", "F")) or not tiles:
        return 8
    if image.format == "JPEG2000":
        return _of_jpeg2000(_head(image))
    if image.format == "AVIF":
        return _of_avif(_head(image))
    codec, _, _, told = tiles[0]
    raw, *more = told if isinstance(told, tuple) else (told,)
    if codec.startswith("ppm"):
        highest = next((value for value in more if isinstance(value, int)), 255)
        return 16 if highest > 255 else 8
    return 16 if codec == "SGI16" or (isinstance(raw, str) and _WIDE.fullmatch(raw)) else 8


def _head(image: Image.Image) -> bytes:
    file: Any = getattr(image, "fp", None)
    if file is None:
        return b""
    place = file.tell()
    file.seek(0)
    head: bytes = file.read(_HEAD)
    file.seek(place)
    return head


def _of_jpeg2000(head: bytes) -> int:
    at = head.find(_SIZES)
    depth = head[at + 40 : at + 41] if at >= 0 else b""  # of the first channel, after eight sizes and a count
    return (depth[0] & 0x7F) + 1 if depth else 8


def _of_avif(head: bytes) -> int:
    at = head.find(b"pixi")
    depths = head[at + 9 : at + 9 + head[at + 8]] if 0 <= at < len(head) - 9 else b""
    return max(depths, default=8)
