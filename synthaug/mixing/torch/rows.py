"""The rows of a mixed loader: real ones, and synthetic ones behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch.utils.data import ConcatDataset, TensorDataset

from synthaug.mixing.marks import MarkedItem
from synthaug.mixing.plan import MixingPlan
from synthaug.mixing.pool import Pool, Window


class MixedRows(ConcatDataset[Any]):
    """``[real | synthetic]``; rows of a batch are fetched together where the real data set can.

    Attributes:
        n_real: real rows.
        plan, window: as in `MixedBatches`.
        batch_size: real rows in a batch, where that is known.
    """

    def __init__(
        self,
        real: Any,
        pool: Pool | None,
        plan: MixingPlan,
        window: Window | None,
        *,
        batch_size: int | None,
        marked: bool,
    ) -> None:
        super().__init__([real] if pool is None else [real, pool])
        self.n_real, self.plan, self.window, self.batch_size = len(real), plan, window, batch_size
        self._marked = marked

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "window": None}  # of the main process

    def __getitem__(self, row: int) -> Any:
        row = row + len(self) if row < 0 else row
        synthetic = row >= self.n_real
        item = self.datasets[1][row - self.n_real] if synthetic else self.datasets[0][row]
        return MarkedItem(item, synthetic) if self._marked else item

    def __getitems__(self, rows: Sequence[int]) -> list[Any]:
        n_real = self.n_real
        read = iter(_together(self.datasets[0], [row for row in rows if row < n_real]))
        made = iter(_together(self.datasets[-1], [row - n_real for row in rows if row >= n_real]))
        items = [next(read) if row < n_real else next(made) for row in rows]
        if not self._marked:
            return items
        return [MarkedItem(item, row >= n_real) for item, row in zip(items, rows, strict=True)]


def _together(dataset: Any, rows: list[int]) -> Iterable[Any]:
    """Items in the quickest way that gives what reading them one by one gives."""
    if not rows:
        return ()
    if hasattr(dataset, "__getitems__"):
        items: Iterable[Any] = dataset.__getitems__(rows)
        return items
    if type(dataset) is TensorDataset:
        return zip(*(map(tensor.__getitem__, rows) for tensor in dataset.tensors), strict=True)
    return map(dataset.__getitem__, rows)
