"""Pictures in files, as images by row number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from synthaug.errors import InvalidData, SynthaugError, UnsupportedKind
from synthaug.modalities.image.depth import stored_bits
from synthaug.modalities.image.form import Layout
from synthaug.modalities.image.images import Images, Kind
from synthaug.modalities.image.opening import BROKEN, opened_picture
from synthaug.wording import one_line

_FRAMED = (b"GIF8", b"II*\0", b"MM\0*")  # how files begin that may have further pages or frames
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 are quarter turns

# What a Pillow mode is read as: bilevel and palette images have no arithmetic of their own.
READ_AS = {
    **dict.fromkeys(("1", "L"), "L"),
    **dict.fromkeys(("P", "RGB", "CMYK", "YCbCr", "HSV", "LAB"), "RGB"),
    **dict.fromkeys(("LA", "PA", "La", "RGBA", "RGBa"), "RGBA"),
    **dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), "I;16"),
    "F": "F",
}
_DTYPES = {"L": "uint8", "RGB": "uint8", "RGBA": "uint8", "I;16": "uint16", "F": "float32"}


class Entries(Protocol):
    """Encoded or decoded pictures by row number."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Any: ...


@dataclass(frozen=True)
class Pictures(Images):
    """N images that Pillow decodes: paths, encoded bytes, ``{"bytes": ..., "path": ...}`` or PIL images."""

    converts = True
    entries: Entries = ()

    def __len__(self) -> int:
        return len(self.entries)

    def _kind(self, row: int) -> Kind:
        with self._opened(row) as image:
            width, height = image.size
            if _orientation(image) >= 5:
                width, height = height, width
            mode = self._mode(image, row)
            channels = {"RGB": 3, "RGBA": 4}.get(mode, 1)
            return Kind(height, width, channels, _DTYPES[mode], "HW" if channels == 1 else "HWC")

    def _array(self, row: int) -> tuple[np.ndarray, Layout]:
        with self._opened(row) as image:
            pixels = self._pixels(image, row)
        return pixels, "HW" if pixels.ndim == 2 else "HWC"

    def file(self, row: int) -> Path | bytes | None:
        """The file that a row is; None where it is read in another size or mode, or lies decoded in memory."""
        entry = _encoded(self.entries[row]) if (self.size, self.mode) == (None, None) else None
        if not isinstance(entry, str | PathLike | bytes):
            return None
        with self._opened(row) as image:
            if image.mode != self._mode(image, row) and not image.mode.startswith("I;16"):
                return None  # others would read a palette, or four inks
        return entry if isinstance(entry, bytes) else Path(entry)

    def several_frames(self) -> int:
        """Rows of which only the first of several pages or frames is read; only those that may have some are opened."""
        return sum(map(self._has_frames, range(len(self.entries))))

    def _has_frames(self, row: int) -> bool:
        """Whether a picture has further frames; of one that cannot be opened, others tell that."""
        try:
            if not _may_have_frames(self.entries[row]):
                return False
            with self._opened(row) as image:
                return bool(getattr(image, "is_animated", False))
        except (InvalidData, OSError):
            return False

    def _pixels(self, image: Image.Image, row: int) -> np.ndarray:
        mode = self._mode(image, row)
        if _orientation(image) > 1:
            image = ImageOps.exif_transpose(image)
        if image.mode != mode and mode != "I;16":
            if image.mode == "P" and "transparency" in image.info:
                image = image.convert("RGBA")  # Pillow warns when a palette's alpha is dropped in one step
            image = image.convert(mode)
        return np.asarray(image).astype(_DTYPES[mode], copy=False)

    def _mode(self, image: Image.Image, row: int) -> str:
        if self.mode is not None:
            if image.mode.startswith(("I", "F")):
                raise UnsupportedKind(
                    f"{self.name(row)} has the Pillow mode {image.mode!r}, whose values do not fit into the 8 bits of "
                    f'{self.mode}; bring it to 8 bits first, or leave out mode="{self.mode}" (--mode)'
                )
            return self.mode
        if image.mode not in READ_AS:
            raise UnsupportedKind(
                f"{self.name(row)} has the Pillow mode {image.mode!r}; taken are 8-bit, 16-bit and float "
                "images: convert it first"
            )
        if (bits := stored_bits(image)) > 8:
            raise UnsupportedKind(
                f"{self.name(row)} has {bits} bits a channel, of which 8 would be read; keep them as 16-bit grey or "
                f'float pictures, or read 8 of them with mode="{READ_AS[image.mode]}" of open_data (--mode)'
            )
        return READ_AS[image.mode]

    @contextmanager
    def _opened(self, row: int) -> Iterator[Image.Image]:
        entry = _encoded(self.entries[row])
        if entry is None:
            raise InvalidData(f"{self.name(row)} holds no image; remove the row")
        try:
            if isinstance(entry, Image.Image):
                yield entry
            else:
                with opened_picture(entry) as image:
                    yield image
        except SynthaugError:
            raise
        except BROKEN as error:
            known = not isinstance(error, UnidentifiedImageError)
            reason = (str(error).rstrip(".") or type(error).__name__) if known else "it is not an image"
            raise InvalidData(
                f"{self.name(row)} cannot be read as an image: {one_line(reason)}. Remove or replace it"
            ) from error


def _encoded(entry: Any) -> Any:
    """A path, bytes or a PIL image, of what may be a row of a Hugging Face set."""
    if isinstance(entry, Mapping):
        return entry["bytes"] if entry.get("bytes") is not None else entry.get("path")
    return entry


def _may_have_frames(entry: Any) -> bool:
    """Whether a picture may have further frames, by how its file begins."""
    entry = _encoded(entry)
    if entry is None or isinstance(entry, Image.Image):
        return False
    if isinstance(entry, bytes):
        head = entry[:256]
    else:
        with open(entry, "rb") as file:
            head = file.read(256)
    return head.startswith(_FRAMED) or head[8:12] == b"WEBP" or head[4:8] == b"ftyp" or b"acTL" in head


def _orientation(image: Image.Image) -> int:
    # Asking a PNG without EXIF for its EXIF would decode the pixels.
    return int(image.getexif().get(_ORIENTATION, 1)) if "exif" in image.info else 1
