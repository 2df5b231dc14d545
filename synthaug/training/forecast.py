"""What a training will take, measured before it begins: warm steps of the real batch, of a throw-away copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from synthaug.data.labeled import LabeledData
from synthaug.families import Batch, BatchKind, Family
from synthaug.training.pace import Steps
from synthaug.training.state import State

_WARM_STEPS, _WARM_SECONDS = 3, 1.0
_MOST_TIMED = 1000
_OF_A_CLASS = 2  # rows, as some families take pairs


@dataclass(frozen=True)
class Forecast:
    """What a training is expected to take here, if the machine stays as busy as it is.

    Attributes:
        seconds_per_step: measured.
        steps: those of the budget, or those that its minutes buy.
        seconds: of the whole training.
    """

    seconds_per_step: float
    steps: int
    seconds: float


def seconds_per_step(
    family: Family, batch: Callable[[BatchKind, int], Batch], *, seed: int, at_least: float = 2.0
) -> float:
    """How long one training step takes: the mean over steps after the first ones, which are slower.

    The mean, as some steps of a family have more to do than others, and a machine that others use is slow at times.

    Args:
        family: as training begins; it is trained a little.
        batch: as in `run_loop`.
        seed: as in `run_loop`.
        at_least: seconds to measure for, of whole steps.
    """
    state = State(family, family.phases(), Steps([(0, _MOST_TIMED)]), seed)

    def took() -> float:
        started = time.monotonic()
        state.advance(batch)
        return time.monotonic() - started

    warm = [took()]
    while len(warm) < _WARM_STEPS and sum(warm) < _WARM_SECONDS:
        warm.append(took())
    timed = [took()]
    while sum(timed) < at_least and len(timed) < _MOST_TIMED:
        timed.append(took())
    return sum(timed) / len(timed)


def enough_for_a_batch(data: LabeledData, size: int) -> LabeledData:
    """Rows in memory that a batch of this size can be drawn from, some of each of at most so many classes."""
    present = np.unique(data.labels)[:size]
    each = max(_OF_A_CLASS, -(-size // len(present)))
    rows = np.concatenate([np.flatnonzero(data.labels == k)[:each] for k in present])
    return data.take(np.sort(rows)).detached()


def any_batch(family: Family, classes: int) -> Callable[[BatchKind, int], Batch]:
    """Batches of noise of the family's shape, for what the rows will be like once they are brought to it."""
    size = family.config.batch_size
    rows, labels = torch.rand(size, *family.shape) * 2 - 1, torch.arange(size) % classes
    return lambda kind, step: (torch.stack([rows, rows], dim=1) if kind == "pairs" else rows, labels)
