"""Pictures in files of anybody: of which kinds they may be, and how many pixels their headers may claim."""

from __future__ import annotations

import io
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from synthaug.modalities.claims import likely_pixels

MOST_PIXELS = 2**28 // 3
"""Of one picture: 256 MiB as RGB, above which Pillow warns."""

BROKEN = (
    *(
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        RuntimeError,
    ),
    *(ArithmeticError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
    Warning,  # where warnings are errors
)
"""What Pillow raises at pictures that are broken."""

# Of these Pillow knows the header only, or has another program draw them, or it decodes them as it opens them.
_NOT_DECODED = {"MPEG", "HDF5", "GRIB", "BUFR", "WMF", "EPS", "FITS", "IPTC", "PCD", "ICO", "ICNS"}
_TILE_WIDTH, _TILE_HEIGHT = 322, 323  # tags of TIFF


def decoded_formats() -> list[str]:
    """The formats of Pillow whose pixels it decodes itself."""
    Image.init()
    return [name for name in Image.ID if name not in _NOT_DECODED]


@contextmanager
def opened_picture(file: str | os.PathLike[str] | bytes) -> Iterator[Image.Image]:
    """A picture that is not decoded yet, and can be.

    Args:
        file: its path, or what is in it. What it is called says nothing: a file of PostScript is refused as any.

    Raises:
        OSError: no file, or no picture of `decoded_formats`.
        ValueError: a header that claims more pixels than are decoded, or than its file can hold.
    """
    if isinstance(file, bytes):
        size = len(file)
    else:
        status = os.stat(file)
        size = status.st_size
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for somebody to write
            raise OSError("it is no file")
    with Image.open(
        io.BytesIO(file) if isinstance(file, bytes) else file, formats=decoded_formats()
    ) as image:
        tags = getattr(image, "tag_v2", {})  # a tile of TIFF is decoded as a whole, however small the picture
        for width, height in (image.size, (tags.get(_TILE_WIDTH, 1), tags.get(_TILE_HEIGHT, 1))):
            claimed = f"it claims to have {width}x{height} pixels"
            if width * height > MOST_PIXELS:
                raise ValueError(f"{claimed}, and {MOST_PIXELS:,} are the most that are read")
            if not likely_pixels(width * height, size):
                raise ValueError(f"{claimed} in {size:,} bytes, which no picture of anything has")
        yield image
