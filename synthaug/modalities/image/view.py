"""Pictures of rows: grids for the eye, written as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from synthaug.modalities.image.spec import ImageSpec

_GAP = 2
_TARGET = 56


def to_rgb(images: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """Rows as a person sees them.

    Args:
        images: ``(N, *spec.shape)``.
        spec: their form, with its range.

    Returns:
        ``(N, H, W, 3)`` uint8; an alpha channel is laid over white.
    """
    assert spec.low is not None
    assert spec.high is not None
    values = (images.astype(np.float64) - spec.low) * (255.0 / (spec.high - spec.low))
    if spec.layout == "HW":
        values = values[..., None]
    elif spec.layout == "CHW":
        values = values.transpose(0, 2, 3, 1)
    if spec.channels == 4:
        alpha = values[..., 3:] / 255.0
        values = values[..., :3] * alpha + 255.0 * (1 - alpha)
    values = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.broadcast_to(values, (*values.shape[:3], 3)) if spec.channels == 1 else values


def grid(names: Sequence[str], blocks: Mapping[str, np.ndarray], spec: ImageSpec) -> Image.Image:
    """One line per class: its name, then the rows of each block side by side under the block's title.

    Args:
        names: class names, one per line.
        blocks: title -> ``(len(names) * n, *spec.shape)`` rows, n of each class in the order of ``names``.
        spec: the form of the rows.
    """
    scale = max(1, _TARGET // max(spec.height, spec.width))
    height, width = spec.height * scale + _GAP, spec.width * scale + _GAP
    label = 8 + max((int(_text_width(n)) for n in names), default=0)
    columns = {title: len(rows) // len(names) for title, rows in blocks.items()}
    canvas = Image.new(
        "RGB", (label + sum(c * width + 10 for c in columns.values()), 18 + len(names) * height), "white"
    )
    draw = ImageDraw.Draw(canvas)
    for line, name in enumerate(names):
        draw.text((4, 18 + line * height + height // 2 - 6), name, fill="black")
    left = label
    for title, rows in blocks.items():
        draw.text((left, 3), title, fill="black")
        for i, picture in enumerate(to_rgb(rows, spec)):
            line, column = divmod(i, columns[title])
            tile = Image.fromarray(np.ascontiguousarray(picture)).resize(
                (width - _GAP, height - _GAP), Image.Resampling.NEAREST
            )
            canvas.paste(tile, (left + column * width, 18 + line * height))
        left += columns[title] * width + 10
    return canvas


def save_grid(path: Path, names: Sequence[str], blocks: Mapping[str, np.ndarray], spec: ImageSpec) -> None:
    """Writes `grid` as a PNG file."""
    grid(names, blocks, spec).save(path, optimize=True)


def _text_width(text: str) -> float:
    return ImageDraw.Draw(Image.new("RGB", (1, 1))).textlength(text)
