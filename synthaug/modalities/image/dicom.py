"""DICOM files, which pydicom reads."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from synthaug.errors import InvalidData, UnsupportedKind
from synthaug.modalities.claims import bomb_of, likely_bytes
from synthaug.modalities.image.images import Kind
from synthaug.modalities.image.medical import (
    Plane,
    ScanOptions,
    Values,
    missing,
    named,
    require_likely_picture,
    windowed,
)

_DEFLATED, _META, _CHUNK = b"1.2.840.10008.1.2.1.99", 4096, 2**20
_GREY, _COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def dicom_header(path: str) -> Any:
    """The elements of a DICOM file but its pixels.

    Raises:
        InvalidData: it cannot be read.
        UnsupportedKind: pydicom is not here.
    """
    with named(path):
        _require_likely_deflated(path)
        return _pydicom(path).dcmread(path, stop_before_pixels=True)


def dicom_frames(header: Any) -> int:
    """How many pictures a file holds, by its header."""
    return int(header.get("NumberOfFrames") or 1)


def _require_likely_deflated(path: str) -> None:
    """Refuse a file that is deflated behind its first elements, and unpacks to what its size does not make likely."""
    with open(path, "rb") as file:
        head = file.read(_META)
        if _DEFLATED not in head:
            return
        file.seek(
            144 + struct.unpack_from("<I", head, 140)[0]
        )  # behind the group whose length stands first in it
        unpacking, unpacked, size = zlib.decompressobj(-zlib.MAX_WBITS), 0, os.stat(path).st_size
        while chunk := unpacking.decompress(unpacking.unconsumed_tail or file.read(_CHUNK), _CHUNK):
            unpacked += len(chunk)
            if not likely_bytes(unpacked, size):
                raise ValueError(bomb_of(unpacked, size))


@dataclass(frozen=True)
class _Dicom:
    """How the pixels of one frame are to be read."""

    header: Any
    values: Values
    window: tuple[float, float] | None

    @classmethod
    def of(cls, plane: Plane, options: ScanOptions, header: Any) -> _Dicom:
        path = plane.path
        if "Rows" not in header or "Columns" not in header:
            raise InvalidData(f"{path} is a DICOM file without a picture; leave it out")
        require_likely_picture(path, int(header.Rows), int(header.Columns))
        if (frames := dicom_frames(header)) > 1 and options.frames is None:
            raise UnsupportedKind(
                f'{path} holds {frames} frames; to make a row of each, say frames="split": '
                'open_data(source, scans={"frames": "split"}), or --scans frames=split'
            )
        if header.BitsAllocated not in (8, 16):
            what = (
                "a mask of one bit" if header.BitsAllocated == 1 else f"{header.BitsAllocated} bits a pixel"
            )
            raise InvalidData(
                f"{path} holds {what}; taken are pictures of 8 and 16 bits: leave it out, or convert it"
            )
        photometric = str(header.PhotometricInterpretation)
        if photometric not in (*_GREY, *_COLOUR, "PALETTE COLOR"):
            raise InvalidData(f"{path} has the photometric interpretation {photometric}; convert it to RGB")
        window = None if photometric not in _GREY else _window(header, options, path)
        return cls(header, _values(header, plane.at[0] or 0), window)

    @property
    def kind(self) -> Kind:
        grey = self.header.PhotometricInterpretation in _GREY
        dtype = "uint8" if self.window else str(self.values.dtype)
        shape = int(self.header.Rows), int(self.header.Columns), 1 if grey else 3
        return Kind(*shape, dtype, "HW" if grey else "HWC")


def _values(header: Any, frame: int) -> Values:
    bits, signed = int(header.BitsStored), bool(header.PixelRepresentation)
    stored = np.dtype(f"{'int' if signed else 'uint'}{header.BitsAllocated}")
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if header.PhotometricInterpretation == "PALETTE COLOR":
        depth = int(header.RedPaletteColorLookupTableDescriptor[2])
        return Values.of(np.dtype("uint8" if depth <= 8 else "uint16"), (0, 2**depth - 1))
    if header.PhotometricInterpretation not in _GREY:
        return Values.of(stored, ends)
    if header.get("ModalityLUTSequence"):
        depth = int(header.ModalityLUTSequence[0].LUTDescriptor[2])
        return Values.of(np.dtype("uint8" if depth <= 8 else "uint16"), (0, 2**depth - 1))
    places = [header]
    for name, number in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        if len(header.get(name) or ()) > number:
            places += header[name][number].get("PixelValueTransformationSequence") or []
    found = next((place for place in places if place.get("RescaleSlope") is not None), None)
    if found is None:
        return Values.of(stored, ends)
    return Values.of(stored, ends, float(found.RescaleSlope), float(found.get("RescaleIntercept") or 0))


def _window(header: Any, options: ScanOptions, path: str) -> tuple[float, float] | None:
    if not isinstance(options.window, str):
        return options.window
    centre, width = header.get("WindowCenter"), header.get("WindowWidth")
    if centre is None or width is None:
        raise InvalidData(f"{path} has no window of its own: say one, e.g. window=40:400")
    first = [float(each if isinstance(each, int | float) else each[0]) for each in (centre, width)]
    return first[0], first[1]


def dicom_kind(plane: Plane, options: ScanOptions) -> Kind:
    """What a picture is, by the header of its file."""
    return _Dicom.of(plane, options, dicom_header(plane.path)).kind


def read_dicom(plane: Plane, options: ScanOptions) -> np.ndarray:
    """A picture with the values that its file gives it: ``(H, W)`` or ``(H, W, 3)``."""
    pixels = _pydicom(plane.path).pixels
    whole = _dataset(plane.path, os.stat(plane.path).st_mtime_ns)
    how = _Dicom.of(plane, options, whole)
    stored = pixels.pixel_array(whole, index=plane.at[0])
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    photometric = how.header.PhotometricInterpretation
    if photometric == "PALETTE COLOR":
        return how.values.cast(pixels.apply_color_lut(stored, how.header)[..., :3])
    if photometric not in _GREY:
        return how.values.cast(stored)
    if how.header.get("ModalityLUTSequence"):
        values = how.values.cast(pixels.apply_modality_lut(stored, how.header))
    else:
        values = how.values.apply(stored)
    if how.window is not None:
        shown = windowed(values, how.window)
        return 255 - shown if photometric == "MONOCHROME1" else shown
    if photometric == "MONOCHROME1":  # low is white
        values = how.values.cast(how.values.low + how.values.high - values.astype(np.float64))
    return values


@lru_cache(maxsize=1)
def _dataset(path: str, changed: int) -> Any:
    """A whole file, whose frames are asked for one after another."""
    _require_likely_deflated(path)
    return _pydicom(path).dcmread(path)


def _pydicom(path: str) -> Any:
    try:
        import pydicom
        import pydicom.pixels
    except ImportError as error:
        raise missing("pydicom", path) from error
    return pydicom
