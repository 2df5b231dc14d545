"""What medical files of all kinds share: how they are read, what their numbers become, what is said of broken ones."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from synthaug.errors import InvalidData, InvalidRequest, SynthaugError, UnsupportedKind
from synthaug.modalities.claims import likely_pixels
from synthaug.modalities.image.opening import MOST_PIXELS
from synthaug.wording import did_you_mean

# What the two packages raise at files that are broken or of a kind that they do not know.
_BROKEN = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError),
    *(MemoryError, struct.error, zlib.error),
)


@dataclass(frozen=True)
class ScanOptions:
    """How medical files are read.

    Attributes:
        frames: ``"split"`` makes a row of each frame of a DICOM file, and of each slice of each time point of a NIfTI
            file; files of several are refused without.
        axis: the axis of a NIfTI volume along which its slices lie, 0, 1 or 2.
        window: (centre, width) in the units of the file, or ``"file"`` for the first window that each file has: what is
            in it becomes 0 to 255. Without it, values stay as they are.
    """

    frames: str | None = None
    axis: int = 2
    window: tuple[float, float] | str | None = None

    @classmethod
    def of(cls, said: str | Mapping[str, Any] | None) -> ScanOptions:
        """The options of a mapping, or of text such as ``frames=split,window=40:400``.

        Raises:
            InvalidRequest: what is none of them.
        """
        if isinstance(said, str):
            said = dict(each.strip().partition("=")[::2] for each in said.split(","))
        known = [each.name for each in fields(cls)]
        for name in said or {}:
            if name not in known:
                raise InvalidRequest(f"scans= says {name!r}.{did_you_mean(name, known)}")
        found = dict(said or {})
        try:
            axis = int(found.get("axis", 2))
            window = found.get("window")
            if isinstance(window, str) and window != "file":
                window = window.split(":")
            if window is not None and window != "file":
                centre, width = map(float, window)
                window = (centre, width)
        except (TypeError, ValueError):
            axis, window = -1, None
        frames = found.get("frames")
        too_narrow = isinstance(window, tuple) and not window[1] > 1
        if axis not in (0, 1, 2) or frames not in (None, "split") or too_narrow:
            raise InvalidRequest(
                f"scans={said!r} was given; taken are frames=split, axis=0, 1 or 2, and window=CENTRE:WIDTH, "
                "with a width above 1, or window=file"
            )
        return cls(frames, axis, window)


_MOST = 2**18  # pictures in a file


def require_few(pictures: int) -> None:
    """Refuse a file that claims to hold more pictures than any does, before they are listed.

    Raises:
        ValueError: saying how many.
    """
    if pictures > _MOST:
        raise ValueError(f"it claims to hold {pictures:,} pictures, and {_MOST:,} are the most that are read")


def require_likely_picture(path: str, height: int, width: int) -> None:
    """Refuse a picture of more pixels than are decoded, or than its file can hold.

    Raises:
        ValueError: saying how many it claims.
    """
    size = os.stat(path).st_size
    if height * width > MOST_PIXELS or not likely_pixels(height * width, size):
        raise ValueError(f"its {size:,} bytes claim a picture of {height}x{width} pixels")


AS_STORED = ScanOptions()
"""Values as they are, and nothing split."""


@dataclass(frozen=True)
class Plane:
    """One picture of a medical file.

    Attributes:
        path: of the file.
        at: its index in a NIfTI volume, one number for each axis that is left out; the frame of a DICOM file.
        of: how many of its kind the file holds.
    """

    path: str
    at: tuple[int | None, ...] = (0,)
    of: int = 1


@dataclass(frozen=True)
class Values:
    """What stored numbers become.

    Attributes:
        dtype: of the result.
        low, high: the ends that its range could have.
        slope, intercept: what stored numbers are multiplied by, and what is added.
    """

    dtype: np.dtype
    low: float
    high: float
    slope: float
    intercept: float

    @classmethod
    def of(
        cls, stored: np.dtype, ends: tuple[float, float], slope: float = 1.0, intercept: float = 0.0
    ) -> Values:
        """Integers stay integers where they can: as they are stored, or in 16 bits; else they become float32."""
        low, high = sorted(end * slope + intercept for end in ends)
        if stored.kind == "f" or not (slope.is_integer() and intercept.is_integer()):
            dtype = stored if stored.kind == "f" and (slope, intercept) == (1, 0) else np.dtype("float32")
        elif (slope, intercept) == (1, 0):
            dtype = np.dtype("int16") if stored == np.int8 else stored
        else:
            dtype = np.dtype("uint16" if low >= 0 and high <= 65535 else "int16")
        return cls(dtype, low, high, slope, intercept)

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """The values of stored numbers."""
        if (self.slope, self.intercept) == (1, 0):
            return self.cast(stored)
        return self.cast(stored * np.float64(self.slope) + self.intercept)

    def cast(self, values: np.ndarray) -> np.ndarray:
        """Values in the dtype, which must hold them.

        Raises:
            ValueError: it does not.
        """
        if self.dtype.kind == "f":
            return values.astype(self.dtype)
        ends = np.iinfo(self.dtype)
        if values.size and not (ends.min <= values.min() and values.max() <= ends.max):
            raise ValueError(
                f"its values reach from {values.min():g} to {values.max():g}, beyond {self.dtype}"
            )
        whole: np.ndarray = np.rint(values).astype(self.dtype)
        return whole


def windowed(values: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """DICOM part 3, C.11.2.1.2.1, from 0 to 255."""
    centre, width = window
    shares = (values.astype(np.float64) - (centre - 0.5)) / (width - 1) + 0.5
    return np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8)


@contextmanager
def named(path: str) -> Iterator[None]:
    """What goes wrong with a file, by its name; what pydicom warns of is not for the user."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except SynthaugError:
        raise
    except _BROKEN as error:
        raise _unreadable(path, error) from error
    except Exception as error:
        # the two packages have errors of their own, which are here only where they are
        if type(error).__module__.split(".")[0] not in ("pydicom", "nibabel"):
            raise
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> InvalidData:
    reason = " ".join((str(error).partition(" Use force")[0] or type(error).__name__).split()).rstrip(".")
    if "missing dependencies" in reason:
        codec = reason.partition("'")[2].partition("'")[0]
        return InvalidData(
            f"{path} is compressed as {codec}, for which pydicom has no decoder here: pip install pylibjpeg "
            "pylibjpeg-libjpeg pylibjpeg-openjpeg, or leave it out"
        )
    return InvalidData(f"{path} cannot be read as a medical image: {reason[:200]}. Remove or replace it")


def missing(package: str, path: str) -> UnsupportedKind:
    """That a package is not here which reads a file."""
    return UnsupportedKind(
        f'{path} is a medical image, and {package}, which reads it, is not here: pip install "synthaug[medical]"'
    )
