"""One training on several devices: each process takes its rows of every batch, and all take the same steps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from synthaug.errors import InvalidRequest

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """The processes of a training, and which of them this is.

    Attributes:
        rank: the number of this process.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes, and decides where only one can."""
        return self.rank == 0

    def own_rows(self, rows: Tensor) -> Tensor:
        """The rows of a batch that are this process's; every process has nearly as many."""
        return rows[self.rank :: self.world]

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """The mean over all processes in the place of each gradient."""
        if self.world == 1:
            return
        found = [each.grad if each.grad is not None else torch.zeros_like(each) for each in parameters]
        flat = torch.cat([gradient.reshape(-1) for gradient in found])
        torch.distributed.all_reduce(flat)
        pieces = torch.split(flat / self.world, [gradient.numel() for gradient in found])
        for parameter, piece in zip(parameters, pieces, strict=True):
            parameter.grad = torch.empty_like(parameter).copy_(piece.view_as(parameter))  # lies as it does

    def follow_buffers(self, module: nn.Module) -> None:
        """The buffers of the first process in all."""
        if self.world > 1:
            for buffer in module.buffers():
                torch.distributed.broadcast(buffer, 0)

    def mean(self, figures: Mapping[str, float]) -> dict[str, float]:
        """The means of some figures over all processes."""
        if self.world == 1 or not figures:
            return dict(figures)
        names = sorted(figures)
        values = torch.tensor([figures[name] for name in names], dtype=torch.float64)
        found = self._everywhere(values) / self.world
        return dict(zip(names, found.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        return flag if self.world == 1 else bool(self._everywhere(torch.tensor([float(flag)])).item())

    def told(self, value: T) -> T:
        """What the first process says."""
        if self.world == 1:
            return value
        box: list[Any] = [value]
        torch.distributed.broadcast_object_list(box, 0)
        found: T = box[0]
        return found

    def _everywhere(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        on_gpu = torch.distributed.get_backend() == "nccl"
        summed = values.cuda() if on_gpu else values
        torch.distributed.all_reduce(summed)
        return summed.cpu()


_ALONE = Ranks()
_NOW: ContextVar[Ranks] = ContextVar("ranks", default=_ALONE)


def ranks() -> Ranks:
    """The processes that train together; this one alone outside of `together`."""
    return _NOW.get()


@contextmanager
def together() -> Iterator[Ranks]:
    """Has all processes that ``torchrun`` or ``accelerate launch`` began train one generator together.

    Each of them has to call the same within; without such a launch, nothing changes. Gradients are averaged, so that a
    step is one over the whole batch, as with one process; noise is drawn anew in each.

    Raises:
        InvalidRequest: ``torch.distributed`` is not there.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1 or "RANK" not in os.environ:
        yield ranks()
        return
    if not torch.distributed.is_available():
        raise InvalidRequest("This torch is without torch.distributed: start one process alone.")
    begun = not torch.distributed.is_initialized()
    if begun:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    before = _NOW.set(Ranks(torch.distributed.get_rank(), torch.distributed.get_world_size()))
    try:
        yield ranks()
    finally:
        _NOW.reset(before)
        if begun:
            torch.distributed.destroy_process_group()
