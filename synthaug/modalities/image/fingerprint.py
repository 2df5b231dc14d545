"""A content hash per image, equal for equal pictures in any layout or dtype."""

from __future__ import annotations

import hashlib

import numpy as np

from synthaug.modalities.image.spec import Layout


def fingerprints(images: np.ndarray, layout: Layout, like: np.ndarray | None = None) -> np.ndarray:
    """The fingerprint of each image: 8 bytes of BLAKE2b over its shape and its 16-bit values.

    A picture keeps its fingerprint when it goes from uint8 to floats in [0, 1], [-1, 1] or [0, 255] (float32
    or wider), or from channels last to channels first. Floats outside these ranges, such as standardised
    ones, are hashed as they are and match only themselves.

    Args:
        images: ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``, as `layout` says.
        layout: the layout of one image.
        like: values of any shape that show the range of the whole set, where `images` are a part of it.

    Returns:
        ``(N,)`` uint64.
    """
    planes = images[:, None] if layout == "HW" else np.moveaxis(images, 3, 1) if layout == "HWC" else images
    span = _span(images if like is None else like)
    out = np.empty(len(planes), np.uint64)
    shape = repr(planes.shape[1:]).encode()
    for row, plane in enumerate(planes):
        digest = hashlib.blake2b(shape + _canonical(plane, span).tobytes(), digest_size=8)
        out[row] = int.from_bytes(digest.digest(), "little")
    return out


def _span(values: np.ndarray) -> tuple[float, float] | None:
    """The usual range that floats keep to, or None."""
    if values.dtype.kind != "f" or not values.size:
        return None
    low, high = values.min(), values.max()
    usual = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
    return next((span for span in usual if span[0] <= low and high <= span[1]), None)


def _canonical(plane: np.ndarray, span: tuple[float, float] | None) -> np.ndarray:
    if plane.dtype == np.uint8:
        return plane.astype("<u2") * np.uint16(257)
    if plane.dtype == np.uint16:
        return plane.astype("<u2")
    if span is None:
        return plane.astype("<f4")
    low, high = span
    return np.rint((plane.astype(np.float64) - low) * (65535 / (high - low))).astype("<u2")
