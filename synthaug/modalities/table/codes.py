"""Encoded rows: positions of numbers and one-hot blocks of levels, and the way there and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from synthaug.modalities.table.columns import Column, Fit
from synthaug.modalities.table.kinds import FLOATS

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Block:
    """A part of an encoded row that belongs together.

    Attributes:
        start, size: which of the encoded numbers it holds.
        column: the position of its column.
        onehot: whether one of its numbers is 1 and the others are -1; else it is one position in [-1, 1].
    """

    start: int
    size: int
    column: int
    onehot: bool

    @property
    def stop(self) -> int:
        """The end of its encoded numbers, exclusive."""
        return self.start + self.size


def blocks_of(columns: Sequence[Column]) -> tuple[Block, ...]:
    """The blocks of an encoded row, in order.

    A number or date has a position, unless all its values are spikes; and then, if it has spikes or missing cells, a
    one-hot block: between the spikes (if it has a position), each spike, missing (if it occurred). A category or
    boolean has a one-hot block: each level that training rows hold, missing (if it occurred).
    """
    blocks: list[Block] = []
    start = 0
    for at, column in enumerate(columns):
        fit = _fit_of(column)
        sizes = [(1, False)] if fit.knots else []
        if (size := len(_choices(column))) > len(sizes):
            sizes.append((size, True))
        for size, onehot in sizes:
            blocks.append(Block(start, size, at, onehot))
            start += size
    return tuple(blocks)


class RowCodec:
    """Encodes and decodes rows of fitted columns, with what that needs worked out once.

    Attributes:
        blocks: of an encoded row.
        size: of an encoded row.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns
        self.blocks = blocks_of(columns)
        self.size = self.blocks[-1].stop
        self._positions = [block for block in self.blocks if not block.onehot]
        self._onehots = [block for block in self.blocks if block.onehot]
        self._placed = np.array([block.column for block in self._positions], np.int64)
        self._starts = np.array([block.start for block in self._positions], np.int64)
        fits = [_fit_of(columns[at]) for at in self._placed]
        longest = max((len(fit.knots) for fit in fits), default=2)
        # Padded so that nothing is looked for in the padding: values and places beyond any.
        self._knots = np.array([[*f.knots, *[np.inf] * (longest - len(f.knots))] for f in fits])
        self._places = np.array([[*f.places, *[np.inf] * (longest - len(f.places))] for f in fits])
        self._last = np.array([[len(fit.knots) - 2] for fit in fits], np.int64)
        # vectors have thousands of columns with a spike, at 0: those that are alike are encoded together
        halves: tuple[list[Block], list[Block]] = ([], [])
        for block in self._onehots:
            halves[_choices(columns[block.column])[0] == np.inf].append(block)
        self._others, self._spiked = halves[0], list(_alike(halves[1], columns))

    def encode(self, rows: np.ndarray) -> torch.Tensor:
        """``(N, D)`` raw rows -> ``(N, E)`` float32 in [-1, 1]."""
        import torch

        out = torch.full((self.size, len(rows)), -1.0)
        cells = torch.from_numpy(np.ascontiguousarray(rows.T, np.float64))
        if self._positions:
            values = cells if len(self._placed) == len(cells) else cells[self._placed]
            knots, places, last = map(torch.from_numpy, (self._knots, self._places, self._last))
            out[self._starts] = _between(values, knots, places, last).nan_to_num_(0.0).float()
        for starts, placed, choices in self._spiked:
            _encode_spikes(cells[placed].numpy(), choices, starts, out)
        for block in self._others:
            self._encode_choice(block, cells[block.column].numpy(), out)
        return out.T.contiguous()

    def decode(self, tensors: torch.Tensor) -> torch.Tensor:
        """``(N, E)`` of any finite numbers -> ``(N, D)`` raw cells, float64 but on devices that have none."""
        import torch

        wide = torch.float32 if tensors.device.type == "mps" else torch.float64
        tensors = tensors.detach()
        cells = torch.zeros((len(tensors), len(self.columns)), dtype=wide, device=tensors.device)

        def there(values: np.ndarray) -> torch.Tensor:
            tensor = torch.from_numpy(values)
            return tensor.to(tensors.device, wide if tensor.is_floating_point() else None)

        if self._positions:
            positions = tensors[:, there(self._starts)].T.to(wide).clamp(-1.0, 1.0).contiguous()
            values = _between(positions, *map(there, (self._places, self._knots, self._last)))
            cells[:, there(self._placed)] = values.T
        for members in self._by_size():
            starts = np.array([[*range(block.start, block.stop)] for block in members])
            choice = tensors[:, there(starts)].argmax(dim=2)
            values = there(np.array([_choices(self.columns[block.column]) for block in members]))
            at = there(np.array([block.column for block in members]))
            chosen = values.expand(len(tensors), -1, -1).gather(2, choice[..., None])[..., 0]
            cells[:, at] = torch.where(torch.isposinf(chosen), cells[:, at], chosen)
        return self._legal(cells, there)

    def _encode_choice(self, block: Block, cells: np.ndarray, out: torch.Tensor) -> None:
        import torch

        choices = np.array(_choices(self.columns[block.column]))
        choice = _chosen(choices, cells, self.columns[block.column].codes is None)
        known = np.flatnonzero(choice >= 0)
        out[torch.from_numpy(block.start + choice[known]), torch.from_numpy(known)] = 1.0

    def _by_size(self) -> list[list[Block]]:
        """One-hot blocks of one size each, so that they are decoded together."""
        sizes: dict[int, list[Block]] = {}
        for block in self._onehots:
            sizes.setdefault(block.size, []).append(block)
        return list(sizes.values())

    def _legal(self, cells: torch.Tensor, there: Callable[[np.ndarray], torch.Tensor]) -> torch.Tensor:
        """Cells within the bounds, whole where they have to be, and as narrow as their column's type."""
        import torch

        def those(holds: Callable[[Column], bool]) -> torch.Tensor:
            return there(np.flatnonzero([holds(column) for column in self.columns]))

        bounds = np.array([_bounds(column) for column in self.columns])
        cells = torch.clamp(cells, there(bounds[:, 0]), there(bounds[:, 1]))
        whole = those(lambda column: column.whole)
        cells[:, whole] = cells[:, whole].round()
        for arrow in ("halffloat", "float"):
            narrow = those(lambda column, arrow=arrow: column.arrow == arrow)  # type: ignore[misc]
            if len(narrow):
                cells[:, narrow] = cells[:, narrow].to(getattr(torch, FLOATS[arrow])).to(cells.dtype)
        return cells


def _alike(
    blocks: Sequence[Block], columns: Sequence[Column]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Blocks behind a position by their size and whether cells are missing: starts, columns and choices ``(M, K)``."""
    groups: dict[tuple[int, bool], list[Block]] = {}
    for block in blocks:
        groups.setdefault((block.size, bool(_fit_of(columns[block.column]).missing)), []).append(block)
    for members in groups.values():
        starts, placed = (np.array([getattr(of, name) for of in members]) for name in ("start", "column"))
        yield starts, placed, np.array([_choices(columns[at]) for at in placed])


def _encode_spikes(cells: np.ndarray, choices: np.ndarray, starts: np.ndarray, out: torch.Tensor) -> None:
    """The blocks of columns that have a position and equally many choices, and their positions where there is none.

    Args:
        cells: ``(M, N)``.
        choices: ``(M, K)``, the first of which is the position.
        starts: ``(M,)`` of the blocks.
        out: ``(E, N)``, filled with positions and -1.
    """
    import torch

    missing = np.isnan(cells)
    placed = ~missing
    for at in range(1, choices.shape[1]):
        own = choices[:, at : at + 1]
        chosen = missing if np.isnan(own[0, 0]) else cells == own
        out[starts + at] = torch.from_numpy(np.where(chosen, np.float32(1), np.float32(-1)))
        placed &= ~chosen
    out[starts] = torch.from_numpy(np.where(placed, np.float32(1), np.float32(-1)))
    out[starts - 1] *= torch.from_numpy(placed)


def _between(values: torch.Tensor, xs: torch.Tensor, ys: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    """``(C, N)`` values from the scale of ``xs`` to that of ``ys``, both ``(C, K)``: lines between knots, ends held."""
    import torch

    if xs.shape[1] == 2:
        x0, x1, y0, y1 = (ends[:, at : at + 1] for ends in (xs, ys) for at in (0, 1))
    else:
        at = (torch.searchsorted(xs, values, right=True) - 1).clamp(min=0).minimum(last)
        x0, x1, y0, y1 = (ends.gather(1, index) for ends in (xs, ys) for index in (at, at + 1))
    share: torch.Tensor = ((values - x0) / (x1 - x0)).clamp_(0.0, 1.0)
    return share.mul_(y1 - y0).add_(y0)


def _fit_of(column: Column) -> Fit:
    assert column.fit is not None, "columns are fitted before rows are encoded"
    return column.fit


def _choices(column: Column) -> list[float]:
    """The cell that each number of a one-hot block stands for: infinity leaves it to the position, NaN is missing."""
    fit = _fit_of(column)
    missing = [np.nan] if fit.missing else []
    if column.codes is not None:
        return [*[float(code) for code, count in enumerate(fit.counts) if count], *missing]
    return [*([np.inf] if fit.knots else []), *fit.spikes, *missing]


def _chosen(choices: np.ndarray, cells: np.ndarray, ordered: bool) -> np.ndarray:
    """``(N,)`` positions of cells among the choices of a column without a position, -1 where they are none.

    Of ordered cells the nearest spike is chosen.
    """
    finite, chosen = choices[np.isfinite(choices)], np.full(len(cells), -1)
    if len(finite):
        if ordered:
            at = np.searchsorted((finite[1:] + finite[:-1]) / 2, cells)
            hit = np.ones(len(cells), bool)
        else:
            at = np.searchsorted(finite, cells).clip(max=len(finite) - 1)
            hit = finite[at] == cells
        chosen[hit] = at[hit]
    chosen[np.isnan(cells)] = len(choices) - 1 if np.isnan(choices[-1]) else -1
    return chosen


def _bounds(column: Column) -> tuple[float, float]:
    fit = _fit_of(column)
    return (0.0, float(column.codes - 1)) if column.codes is not None else (fit.low, fit.high)
