"""What one training of a classifier takes here, measured on a little of it that is thrown away."""

from __future__ import annotations

import time
from dataclasses import astuple, dataclass, field, replace
from functools import partial

import numpy as np
import torch

from synthaug.judging.learners import Learner
from synthaug.judging.loaders import Encode
from synthaug.judging.predict import Train
from synthaug.judging.runner import Task, in_processes, train_arm

_SECONDS = 1.0
_LEAST_STEPS, _COLD_STEPS = 4, 2
_LEAST_ROWS = 64  # that a learner is tried with
_SCORED = 256
_SIDE_BY_SIDE = 4  # at most: each process takes a second or two to start


@dataclass(frozen=True)
class Pace:
    """What trainings of one kind take, in seconds.

    Attributes:
        once: whatever is asked for.
        step: of an optimizer step.
        fitted: of each row that is trained on, of what is fitted once.
        scored: of each row that is judged.
    """

    once: float
    step: float
    fitted: float
    scored: float

    def seconds(self, steps: float, rows: int, scored: int) -> float:
        """Of a training of so many steps and rows, and of what it says of others."""
        return self.once + self.step * steps + self.fitted * rows + self.scored * scored


def pace_of(task: Task, train: Train | None, jobs: int) -> Pace:
    """What trainings like a task take: steps are tried until they take a second, learners with more and more rows.

    At most half the steps and rows of the task are. Where trainings are made side by side a few are tried side by side:
    each is slower than alone.

    Args:
        task: what is tried; it is judged on a few of its own rows.
        train: as `train_arm` takes it.
        jobs: processes that trainings are made in.
    """
    trial = partial(_of_rows if isinstance(train, Learner) else _of_steps, task, train)
    side_by_side = min(jobs, _SIDE_BY_SIDE)
    found = list(in_processes([trial] * side_by_side, side_by_side))
    return Pace(*np.mean([astuple(each) for each in found], axis=0).tolist())


def some_of(labels: np.ndarray, n: int) -> np.ndarray:
    """``(n,)`` row numbers, ascending, or fewer where there are fewer; each class has about its share."""
    order = np.argsort(labels, kind="stable")
    at = np.unique(np.linspace(0, len(order) - 1, min(n, len(order))).astype(np.int64))
    return np.sort(order[at])


@dataclass
class _Clock:
    """Encodes as another does, and keeps when: batches are encoded one by one, those to be judged last."""

    encode: Encode
    at: list[float] = field(default_factory=list)

    def __call__(self, rows: np.ndarray) -> torch.Tensor:
        self.at.append(time.monotonic())
        return self.encode(rows)


@dataclass(frozen=True)
class _Tried:
    """When a trial began, had each of its batches, was judged, and ended."""

    began: float
    batches: list[float]
    judged: float
    ended: float
    scored: int


def _tried(task: Task, train: Train | None) -> _Tried:
    clock = _Clock(task.parts.encode)
    few = some_of(task.parts.labels, _SCORED)  # one batch
    tests = {"held-out": (task.parts.rows[few], task.parts.labels[few])}
    began = time.monotonic()
    train_arm(replace(task, parts=replace(task.parts, encode=clock), tests=tests), train)
    return _Tried(began, clock.at[:-1], clock.at[-1], time.monotonic(), len(few))


def _of_steps(task: Task, train: Train | None) -> Pace:
    """The first steps are slower, and are counted once."""
    most, steps = max(1, task.steps // 2), min(_LEAST_STEPS, max(1, task.steps // 2))
    while True:
        found = _tried(replace(task, steps=steps), train)
        began, warm = found.began, steps
        if len(found.batches) == steps > _COLD_STEPS:
            began, warm = found.batches[_COLD_STEPS], steps - _COLD_STEPS
        took = found.judged - began
        if took > _SECONDS or steps * 2 > most:
            break
        steps *= 2
    each = took / warm
    once = max(0.0, found.judged - found.began - each * steps)
    return Pace(once, each, 0.0, (found.ended - found.judged) / found.scored)


def _of_rows(task: Task, train: Train | None) -> Pace:
    """Learners are fitted once: what more rows take is what a larger part takes more than a smaller one."""
    n, known = len(task.parts.labels), list[tuple[int, float]]()
    size = max(2, min(_LEAST_ROWS, n // 4))
    while True:
        some = some_of(task.parts.labels, size)
        parts = replace(task.parts, rows=task.parts.rows[some], labels=task.parts.labels[some])
        found = _tried(
            replace(task, parts=replace(parts, batch_size=min(parts.batch_size, len(some)))), train
        )
        known.append((len(some), found.judged - found.began))
        if len(known) > 1 and (known[-1][1] > _SECONDS or size * 2 > n // 2):
            break
        size *= 2
    (fewer, less), (rows, took) = known[-2:]
    each = min(max(0.0, took - less) / (rows - fewer), took / rows)
    return Pace(took - each * rows, 0.0, each, (found.ended - found.judged) / found.scored)
