"""What arrays of numbers are: pictures or signals, and of how many bits."""

from __future__ import annotations

import numpy as np

_LONG, _DOUBTFUL = 8, 4  # times as long as wide
_NARROW = (np.dtype("uint8"), np.dtype("uint16"), np.dtype("int16"))


def is_signal(arrays: np.ndarray) -> bool:
    """Whether arrays ``(N, C, T)`` without an axis for the channel of a picture are rather signals.

    8-bit integers are pictures. Others are signals where they are more than eight times as long as wide, as no usual
    picture is; from four times on where they reach below -1, as no usual range of pictures does.

    >>> is_signal(np.zeros((1, 12, 100))), is_signal(np.zeros((1, 12, 100), np.uint8)), is_signal(np.zeros((1, 8, 64)))
    (True, False, False)
    """
    short, long = sorted(arrays.shape[1:])
    if arrays.dtype in (np.uint8, np.bool_) or not short:
        return False
    return long > _LONG * short or (long >= _DOUBTFUL * short and bool(arrays.min() < -1))


def narrowed(images: np.ndarray) -> np.ndarray:
    """Integers of other widths in 8 or 16 bits, where all of them fit; other images as they are.

    Libraries that know one kind of integer hand out pictures as int64.

    >>> narrowed(np.array([[0, 255]])).dtype, narrowed(np.array([[0, 70000]])).dtype
    (dtype('uint8'), dtype('int64'))
    """
    if images.dtype.kind not in "iu" or images.dtype in _NARROW or not images.size:
        return images
    low, high = int(images.min()), int(images.max())
    for dtype in _NARROW:
        ends = np.iinfo(dtype)
        if ends.min <= low and high <= ends.max:
            return images.astype(dtype)
    return images
