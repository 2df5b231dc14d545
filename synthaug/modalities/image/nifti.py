"""Slices of NIfTI volumes, which nibabel reads."""

from __future__ import annotations

import math
import os
from functools import lru_cache
from typing import Any

import numpy as np

from synthaug.errors import InvalidData, UnsupportedKind
from synthaug.modalities.claims import require_likely
from synthaug.modalities.image.images import Kind
from synthaug.modalities.image.medical import (
    Plane,
    ScanOptions,
    Values,
    missing,
    require_few,
    require_likely_picture,
    windowed,
)


def is_nifti(path: str) -> bool:
    """Whether a medical file is a NIfTI volume, by its name or its header."""
    if path.lower().endswith((".nii", ".nii.gz")):
        return True
    with open(path, "rb") as file:
        head = file.read(352)
    return head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0")


def nifti_slices(path: str, options: ScanOptions) -> list[Plane]:
    """The slices of a volume, one after another, of one time point after another."""
    shape = tuple(map(int, _volume(path).shape))
    shape += (1,) * (3 - len(shape))
    times = int(np.prod(shape[3:]))
    if max(shape[4:], default=1) > 1:
        raise UnsupportedKind(f"{path} has {len(shape)} axes; taken are volumes, and volumes over time")
    if times > 1 and options.frames is None:
        raise UnsupportedKind(
            f"{path} holds {times} volumes; to make rows of the slices of each, say "
            'frames="split": open_data(source, scans={"frames": "split"}), or --scans frames=split'
        )
    require_few(times * shape[options.axis])
    planes = []
    for time in range(times):
        for place in range(shape[options.axis]):
            at: list[int | None] = [None, None, None]
            at[options.axis] = place
            planes.append(Plane(path, (*at, *((time,) if times > 1 else ())), times * shape[options.axis]))
    return planes


def _volume(path: str) -> Any:
    """A volume of which the header is read, and which its file can hold."""
    size = _unpacked_size(path, os.stat(path).st_mtime_ns)
    volume = _nibabel(path).load(path)
    claimed = math.prod(map(int, volume.shape)) * volume.get_data_dtype().itemsize
    if claimed > size:
        raise ValueError(f"it claims a volume of {volume.shape}, which {size:,} bytes do not hold")
    return volume


@lru_cache(maxsize=4096)
def _unpacked_size(path: str, changed: int) -> int:
    """How much there is of a volume; of one that is packed known before it is read, as its header may be as large."""
    return require_likely(path)


def _values(path: str, volume: Any) -> Values:
    stored = np.dtype(volume.get_data_dtype()).newbyteorder("=")
    if stored.kind not in "iuf" or (stored.kind in "iu" and stored.itemsize > 2) or stored.itemsize > 8:
        raise InvalidData(
            f"{path} holds values of {stored}; taken are 8 and 16 bits and floats: convert it, or leave it out"
        )
    ends = (0.0, 0.0) if stored.kind == "f" else (np.iinfo(stored).min, np.iinfo(stored).max)
    return Values.of(stored, ends, float(volume.dataobj.slope), float(volume.dataobj.inter))


def nifti_kind(plane: Plane, options: ScanOptions) -> Kind:
    """What a slice is, by the header of its file."""
    volume = _volume(plane.path)
    dtype = "uint8" if _window(plane.path, options) else str(_values(plane.path, volume).dtype)
    shape = (*map(int, volume.shape), 1, 1)
    height, width = (shape[axis] for axis in range(3) if axis != options.axis)
    require_likely_picture(plane.path, height, width)
    return Kind(height, width, 1, dtype, "HW")


def _window(path: str, options: ScanOptions) -> tuple[float, float] | None:
    if isinstance(options.window, str):
        raise InvalidData(f"{path} has no window of its own: say one, e.g. window=40:400")
    return options.window


def read_nifti(plane: Plane, options: ScanOptions) -> np.ndarray:
    """A slice with the values that its file gives it: ``(H, W)``, its axes in their order."""
    volume = _volume(plane.path)
    values = _values(plane.path, volume)
    index = tuple(slice(None) if place is None else place for place in plane.at)
    missing = max(0, 3 - len(volume.shape))
    if plane.path.lower().endswith(".gz"):
        whole = _unpacked(plane.path, os.stat(plane.path).st_mtime_ns)
    else:
        whole = volume.dataobj
    if missing:
        whole = np.asanyarray(whole).reshape(*volume.shape, *(1,) * missing)
    index += (0,) * (len(whole.shape) - len(index))
    found = values.cast(np.asanyarray(whole[index]))
    window = _window(plane.path, options)
    return found if window is None else windowed(found, window)


@lru_cache(maxsize=1)
def _unpacked(path: str, changed: int) -> np.ndarray:
    """A whole volume: a compressed one would be unpacked again for every slice."""
    found: np.ndarray = np.asanyarray(_volume(path).dataobj)
    return found


def _nibabel(path: str) -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise missing("nibabel", path) from error
    return nibabel
