"""Rows of a table as people see them: columns of real rows beside those of synthetic ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from synthaug.wording import one_line

if TYPE_CHECKING:
    from synthaug.modalities.table.columns import Column
    from synthaug.modalities.table.form import TableForm

_WIDTH, _HEIGHT, _LABEL, _GAP = 168, 72, 14, 10
_ACROSS, _PANELS = 4, 24
_BARS = 12
_COLOURS = ("#3b6fb6", "#d9822b", "#5a9e54", "#8a63a8")
_CELL = 6
_NAMED = 5  # levels or values in words
_SEEN = 1000  # rows in a plane, of each block


def in_words(column: Column) -> str:
    """What a column is, e.g. ``number from 0.5 to 9.65, often 0, 12 missing``."""
    fit, told = column.fit, [str(column.kind)]
    if column.levels:
        named = ", ".join(one_line(str(level)) for level in column.levels[:_NAMED])
        more = f" and {len(column.levels) - _NAMED} more" if len(column.levels) > _NAMED else ""
        told = [f"category of {len(column.levels)}: {named}{more}"]
    elif fit is not None and (fit.spikes or fit.knots) and column.kind != "boolean":
        told = [f"{column.kind} from {_value(column, fit.low)} to {_value(column, fit.high)}"]
        if fit.spikes and fit.knots:
            told.append("often " + " or ".join(_value(column, spike) for spike in fit.spikes[:_NAMED]))
    if fit is not None and fit.missing:
        told.append(f"{fit.missing} missing")
    return ", ".join(told)


def _value(column: Column, value: float) -> str:
    if column.unit is not None:
        return str(np.array(int(value)).astype(f"datetime64[{column.unit}]"))
    return f"{int(value)}" if column.whole else f"{value:.4g}"


def column_bars(form: TableForm, blocks: Mapping[str, np.ndarray]) -> Image.Image:
    """For each of the first 24 columns how often values are found, the blocks side by side.

    Args:
        form: fitted, of the rows.
        blocks: title -> ``(n, D)`` rows.
    """
    columns = form.columns[:_PANELS]
    lines = -(-len(columns) // _ACROSS)
    size = (_ACROSS * (_WIDTH + _GAP) + _GAP, lines * (_HEIGHT + _LABEL + _GAP) + 2 * _GAP + _LABEL)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for number, title in enumerate(blocks):
        left = _GAP + number * (_WIDTH + _GAP)
        draw.rectangle((left, 6, left + 8, 14), fill=_COLOURS[number % len(_COLOURS)])
        draw.text((left + 12, 4), one_line(title)[:28], fill="black")
    for number, column in enumerate(columns):
        line, across = divmod(number, _ACROSS)
        corner = (_GAP + across * (_WIDTH + _GAP), 2 * _GAP + _LABEL + line * (_HEIGHT + _LABEL + _GAP))
        draw.text(corner, one_line(column.name)[:28], fill="black")
        cells = [rows[:, number] for rows in blocks.values()]
        _bars(draw, (corner[0], corner[1] + _LABEL), shares_of(column, cells))
    return picture


def overview(form: TableForm, blocks: Mapping[str, np.ndarray]) -> Image.Image:
    """`column_bars`, and below them how columns go together: their correlations, or of many all rows in a plane."""
    bars = column_bars(form, blocks)
    points = {title: form.points(rows) for title, rows in blocks.items()}
    below = _plane(points) if len(form.columns) > _PANELS else _correlations(form, points)
    canvas = Image.new("RGB", (max(bars.width, below.width), bars.height + below.height), "white")
    canvas.paste(bars, (0, 0))
    canvas.paste(below, (0, bars.height))
    return canvas


def correlations(form: TableForm, points: np.ndarray) -> np.ndarray:
    """``(D, D)`` in [0, 1]: how well each column of encoded rows ``(N, E)`` goes with each other one.

    The largest absolute correlation of a number or level of the one with one of the other; 0 where nothing varies.
    """
    spread = points.std(axis=0)
    safe = np.where(spread > 0, spread, 1)
    standard = (points - points.mean(axis=0)) / safe * (spread > 0)
    between = np.abs(standard.T @ standard) / max(1, len(points))
    column_of = np.concatenate([np.full(block.size, block.column) for block in form.blocks])
    starts = np.searchsorted(column_of, np.arange(len(form.columns)))
    found: np.ndarray = np.maximum.reduceat(np.maximum.reduceat(between, starts, axis=0), starts, axis=1)
    return found.clip(0, 1)


def _correlations(form: TableForm, points: Mapping[str, np.ndarray]) -> Image.Image:
    side = min(14, (_ACROSS * _WIDTH // 2 - _GAP) // len(form.columns))
    width = side * len(form.columns)
    panel = max(width, _WIDTH) + 2 * _GAP
    picture = Image.new("RGB", (len(points) * panel, width + 2 * _GAP + _LABEL), "white")
    draw = ImageDraw.Draw(picture)
    for number, (title, of) in enumerate(points.items()):
        left = _GAP + number * panel
        draw.text((left, 2), f"correlations, {one_line(title)[:20]}", fill="black")
        grey = np.rint(255 * (1 - correlations(form, of))).astype(np.uint8)
        tile = Image.fromarray(grey).resize((width, width), Image.Resampling.NEAREST)
        picture.paste(tile.convert("RGB"), (left, _LABEL + _GAP // 2))
    return picture


def _plane(points: Mapping[str, np.ndarray]) -> Image.Image:
    """Rows of all blocks along the two directions in which the first block varies most."""
    first = next(iter(points.values()))
    centre = first.mean(axis=0)
    _, _, directions = np.linalg.svd(first[:_SEEN] - centre, full_matrices=False)
    places = {title: (of[:_SEEN] - centre) @ directions[:2].T for title, of in points.items()}
    low, high = (getattr(np.concatenate(list(places.values())), end)(axis=0) for end in ("min", "max"))
    side = 2 * _WIDTH
    picture = Image.new("RGB", (len(points) * (side + _GAP) + _GAP, side + 2 * _GAP + _LABEL), "white")
    draw = ImageDraw.Draw(picture)
    for number, (title, of) in enumerate(places.items()):
        left = _GAP + number * (side + _GAP)
        draw.text((left, 2), f"all rows in a plane, {one_line(title)[:20]}", fill="black")
        draw.rectangle((left, _LABEL + 4, left + side, _LABEL + 4 + side), outline="#999999")
        for x, y in (of - low) / np.where(high > low, high - low, 1) * (side - 8):
            at = left + 4 + float(x), _LABEL + 8 + side - 8 - float(y)
            draw.ellipse((at[0] - 1, at[1] - 1, at[0] + 1, at[1] + 1), fill=_COLOURS[number % len(_COLOURS)])
    return picture


def shares_of(column: Column, cells: Sequence[np.ndarray]) -> np.ndarray:
    """``(blocks, bars)``: shares of the cells with each value, or in each range of values; the last are missing ones.

    Ranges hold equally many of the first block's values each, so that heavy tails do not hide the rest.
    """
    if column.codes is not None:
        ends = np.arange(column.codes + 1) - 0.5
    else:
        known = cells[0][~np.isnan(cells[0].astype(np.float64))]
        ends = np.unique(np.quantile(known, np.linspace(0, 1, _BARS + 1))) if len(known) else np.zeros(1)
        ends = np.append(ends[:-1], np.inf) if len(ends) > 1 else np.array([-np.inf, np.inf])
        ends[0] = -np.inf
    found = []
    for block in cells:
        values = block.astype(np.float64)
        missing = np.isnan(values)
        counts = np.histogram(values[~missing], ends)[0]
        found.append(np.append(counts, missing.sum()) / max(1, len(values)))
    return np.array(found)


def row_strips(encoded: np.ndarray) -> np.ndarray:
    """``(N, 6, 6 E, 3)`` uint8: each number of encoded rows ``(N, E)`` in [-1, 1] as a cell, dark where it is low."""
    grey = np.rint((encoded.clip(-1, 1) + 1) * 127.5).astype(np.uint8)
    cells = np.repeat(np.repeat(grey[:, None, :], _CELL, axis=1), _CELL, axis=2)
    return np.repeat(cells[..., None], 3, axis=3)


def _bars(draw: ImageDraw.ImageDraw, corner: tuple[int, int], shares: np.ndarray) -> None:
    left, top = corner
    draw.line((left, top + _HEIGHT, left + _WIDTH, top + _HEIGHT), fill="#999999")
    blocks, bars = shares.shape
    most = max(float(shares.max()), 1e-9)
    each = _WIDTH / (bars * (blocks + 0.5))
    for bar in range(bars):
        for block in range(blocks):
            start = left + (bar * (blocks + 0.5) + block) * each
            height = (_HEIGHT - 4) * shares[block, bar] / most
            if height >= 1:
                box = (start, top + _HEIGHT - height, max(start, start + each - 1), top + _HEIGHT - 1)
                draw.rectangle(box, fill=_COLOURS[block % len(_COLOURS)])
