"""A content hash per image, equal for equal pictures in any layout or dtype."""

from __future__ import annotations

import hashlib

import numpy as np

from synthaug.data.spec import Layout

Span = tuple[float, float]


def span_of(images: np.ndarray) -> Span | None:
    """The conventional value range that `images` keep to: of their dtype, or [0, 1], [-1, 1] or [0, 255].

    None for floats outside all of these and for signed integers.

    >>> span_of(np.zeros((1, 8, 8), np.uint8)), span_of(np.full((1, 8, 8), 0.5))
    ((0.0, 255.0), (0.0, 1.0))
    """
    if images.dtype == np.uint8:
        return 0.0, 255.0
    if images.dtype == np.uint16:
        return 0.0, 65535.0
    if images.dtype.kind != "f" or not images.size:
        return None
    low, high = float(images.min()), float(images.max())
    return next((s for s in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)) if s[0] <= low and high <= s[1]), None)


def fingerprints(images: np.ndarray, layout: Layout, span: Span | None = None) -> np.ndarray:
    """The fingerprint of each image: 8 bytes of BLAKE2b over its shape and its 16-bit values.

    A picture keeps its fingerprint when it goes from uint8 to floats in [0, 1], [-1, 1] or [0, 255] (float32
    or wider), or from channels last to channels first. Floats outside these ranges, such as standardised
    ones, are hashed as they are and match only themselves.

    Args:
        images: ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``, as `layout` says.
        layout: the layout of one image.
        span: the range the whole set keeps to, where `images` are only a part of it; found when None.

    Returns:
        ``(N,)`` uint64.
    """
    planes = images[:, None] if layout == "HW" else np.moveaxis(images, 3, 1) if layout == "HWC" else images
    span = span or span_of(images)
    out = np.empty(len(planes), np.uint64)
    shape = repr(planes.shape[1:]).encode()
    for row, plane in enumerate(planes):
        digest = hashlib.blake2b(shape + _canonical(plane, span).tobytes(), digest_size=8)
        out[row] = int.from_bytes(digest.digest(), "little")
    return out


def _canonical(plane: np.ndarray, span: Span | None) -> np.ndarray:
    if plane.dtype == np.uint8:
        return plane.astype("<u2") * np.uint16(257)
    if plane.dtype == np.uint16:
        return plane.astype("<u2")
    if span is None:
        return plane.astype("<f4")
    low, high = span
    return np.rint((plane.astype(np.float64) - low) * (65535 / (high - low))).astype("<u2")
