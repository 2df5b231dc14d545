"""Trainings of arms, many side by side: in processes of one thread each, the same in any number of them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import torch

from synthaug.judging.arms import Arm, Augment, Encode, Ingredients
from synthaug.training.classifier import Predictions, Train, train_and_predict, train_classifier

_SCORING_BATCH = 256

T = TypeVar("T")


def train_arm(
    arm: Arm,
    seed: int,
    parts: Ingredients,
    augmentations: Mapping[str, Augment],
    tests: Mapping[str, tuple[np.ndarray, np.ndarray]],
    training: Train | None,
    steps: int,
) -> dict[str, Predictions]:
    """What one training of one arm says of every set of raw rows and class positions."""
    n_classes = parts.n_classes
    train: Train = partial(train_classifier, n_classes=n_classes) if training is None else training
    if arm.loss is not None:
        train = partial(train, loss=arm.loss(parts))
    loader = arm.batches(parts, augmentations, seed)
    batches = {name: EncodedBatches(rows, labels, parts.encode) for name, (rows, labels) in tests.items()}
    with one_thread() if training is None else nullcontext():
        return train_and_predict(loader, batches, train=train, steps=steps, seed=seed, n_classes=n_classes)


@dataclass(frozen=True)
class EncodedBatches:
    """Encoded batches ``(X, y)`` in the order of the rows."""

    rows: np.ndarray
    labels: np.ndarray
    encode: Encode

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, len(self.rows), _SCORING_BATCH):
            part = slice(start, start + _SCORING_BATCH)
            yield self.encode(np.array(self.rows[part])), torch.from_numpy(np.array(self.labels[part]))


def in_processes(tasks: Sequence[Callable[[], T]], jobs: int) -> Iterator[T]:
    """Results in the order of the tasks, from so many worker processes of one thread each."""
    if jobs == 1:
        yield from (task() for task in tasks)
        return
    # Not multiprocessing: its fork hangs on threads of the parent, its spawn runs the user's script again.
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        # batch_size=1: tasks take seconds, and progress should show each.
        here = os.getcwd()
        yield from Parallel(return_as="generator", batch_size=1)(delayed(_run)(here, task) for task in tasks)


def _run(folder: str, task: Callable[[], T]) -> T:
    """The task, where its relative paths mean what they mean to the caller: workers outlive a change of folder."""
    os.chdir(folder)
    return task()


def travels(training: Train | None) -> bool:
    """Whether another process can be sent the training function."""
    try:
        pickle.dumps(training)
    except (pickle.PicklingError, TypeError, AttributeError):
        return False
    return True


def shown(outcomes: Iterator[T], total: int, progress: bool, what: str) -> Iterator[T]:
    """The outcomes, with progress and the time left on stderr."""
    from tqdm.auto import tqdm

    return iter(tqdm(outcomes, total=total, desc=what, unit="run", disable=not progress or not total))


@contextmanager
def one_thread() -> Iterator[None]:
    """One torch thread, so that sums do not depend on the machine; processes are what is parallel here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
