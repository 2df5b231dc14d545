"""Bits of a channel: kept from the file, or refused; never cut without a word."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from synthaug.data import open_data
from synthaug.errors import UnsupportedKind
from synthaug.modalities.image.depth import stored_bits

WIDE = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def png_of_16_bits(channels: int) -> bytes:
    """A PNG that Pillow cannot write: 16 bits for each of several channels."""
    kind = {2: 4, 3: 2, 4: 6}[channels]
    pixels = np.repeat(WIDE[..., None], channels, axis=-1).astype(">u2")
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    head = (8).to_bytes(4, "big") * 2 + bytes([16, kind, 0, 0, 0])
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff_of_16_bits() -> bytes:
    """A TIFF of 16 bits for red, green and blue, not compressed."""
    pixels = np.repeat(WIDE[..., None], 3, axis=-1).astype("<u2").tobytes()
    sizes = 8 + len(pixels)
    tags = [
        (256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 3, sizes), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 8),
        (277, 3, 1, 3), (278, 3, 1, 8), (279, 4, 1, len(pixels)),
    ]  # fmt: skip
    entries = b"".join(
        tag.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + n.to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, kind, n, value in tags
    )
    bits = (16).to_bytes(2, "little") * 3
    directory = len(tags).to_bytes(2, "little") + entries + b"\0\0\0\0"
    return b"II*\0" + (sizes + 6).to_bytes(4, "little") + pixels + bits + directory


def ppm_of_16_bits() -> bytes:
    return b"P6 8 8 65535\n" + np.repeat(WIDE[..., None], 3, axis=-1).astype(">u2").tobytes()


COLOURED = {
    "rgb.png": png_of_16_bits(3),
    "rgba.png": png_of_16_bits(4),
    "rgb.tif": tiff_of_16_bits(),
    "rgb.ppm": ppm_of_16_bits(),
}


@pytest.mark.parametrize("name", COLOURED)
def test_bits_that_pillow_would_cut_are_refused_until_a_mode_says_so(name: str, tmp_path: Path) -> None:
    for k in ("a", "b"):
        (tmp_path / k).mkdir()
        (tmp_path / k / name).write_bytes(COLOURED[name])
    with pytest.raises(UnsupportedKind, match="16 bits a channel, of which 8 would be read"):
        open_data(tmp_path).read()
    mode = "RGBA" if name.startswith("rgba") else "RGB"
    read = open_data(tmp_path, mode=mode).read()
    assert read.dtype == np.uint8
    assert (read[0, ..., 0] == WIDE // 256).all() or abs(read[0, ..., 0].astype(int) - WIDE / 257).max() < 1


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jp2"])
def test_grey_pictures_of_16_bits_are_read_as_they_are(suffix: str, tmp_path: Path) -> None:
    if suffix == ".jp2" and not features.check("jpg_2000"):
        pytest.skip("this Pillow has no JPEG 2000")
    for k in ("a", "b"):
        (tmp_path / k).mkdir()
        Image.fromarray(WIDE).save(tmp_path / k / f"0{suffix}")
    data = open_data(tmp_path)
    read = data.read()
    assert read.dtype == np.uint16
    assert (read[0] == WIDE).all()
    with pytest.raises(UnsupportedKind, match="do not fit into the 8 bits of RGB"):
        open_data(tmp_path, mode="RGB").read()


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "PPM", "WEBP", "BMP", "AVIF", "JPEG2000"])
def test_pictures_of_8_bits_have_8_bits(format: str) -> None:
    buffer = io.BytesIO()
    try:
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(buffer, format)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {format}")
    with Image.open(buffer) as image:
        assert stored_bits(image) == 8
