"""Images as people see them, and as a coarse eye does: grids, strips, colours, and what is left without detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from synthaug.modalities.image.form import ImageForm
from synthaug.wording import one_line

_GAP = 2
_LONGEST = 60  # characters of a class name
_TARGET = 56
_SIDE = 7  # of coarse pictures


def to_rgb(images: np.ndarray, form: ImageForm) -> np.ndarray:
    """Rows as a person sees them.

    Args:
        images: ``(N, *form.shape)``.
        form: their form, with its range.

    Returns:
        ``(N, H, W, 3)`` uint8; an alpha channel is laid over white.
    """
    assert form.low is not None
    assert form.high is not None
    values = (images.astype(np.float64) - form.low) * (255.0 / (form.high - form.low))
    if form.layout == "HW":
        values = values[..., None]
    elif form.layout == "CHW":
        values = values.transpose(0, 2, 3, 1)
    if form.channels == 4:
        alpha = values[..., 3:] / 255.0
        values = values[..., :3] * alpha + 255.0 * (1 - alpha)
    values = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return np.broadcast_to(values, (*values.shape[:3], 3)) if form.channels == 1 else values


def grid(names: Sequence[str], blocks: Mapping[str, np.ndarray], form: ImageForm) -> Image.Image:
    """One line per class: its name, then the rows of each block side by side under the block's title.

    Args:
        names: class names, one per line.
        blocks: title -> ``(len(names) * n, *form.shape)`` rows, n of each class in the order of ``names``.
        form: the form of the rows.
    """
    names = [one_line(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}...") for name in names]
    scale = max(1, _TARGET // max(form.height, form.width))
    height, width = form.height * scale + _GAP, form.width * scale + _GAP
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
        for i, picture in enumerate(to_rgb(rows, form)):
            line, column = divmod(i, columns[title])
            tile = Image.fromarray(np.ascontiguousarray(picture)).resize(
                (width - _GAP, height - _GAP), Image.Resampling.NEAREST
            )
            canvas.paste(tile, (left + column * width, 18 + line * height))
        left += columns[title] * width + 10
    return canvas


def coarse(images: torch.Tensor) -> torch.Tensor:
    """``(N, C, H, W)`` -> ``(N, C * 49)``: what is left when pixel noise is averaged away, in cells of 7 by 7."""
    return F.adaptive_avg_pool2d(images, _SIDE).flatten(1)


def _text_width(text: str) -> float:
    return ImageDraw.Draw(Image.new("RGB", (1, 1))).textlength(text)
