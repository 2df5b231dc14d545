"""Trainings of arms: many side by side in processes of one thread each, each of them made once."""

from __future__ import annotations

import json
import os
import pickle
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from operator import call
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from synthaug.errors import InvalidRequest, SynthaugWarning
from synthaug.generators.generator import resolve_device
from synthaug.judging.arms import Arm
from synthaug.judging.learners import Learner, bound
from synthaug.judging.loaders import Augment, Encode, Ingredients
from synthaug.judging.losses import class_weights, sharp_loss, weighted_loss
from synthaug.judging.predict import Adjusted, Predictions, Train, takes_loss, takes_steps, train_and_predict
from synthaug.metrics.scores import Scores
from synthaug.outputs import atomic_write_text, encode_name
from synthaug.progress import bar
from synthaug.training.classifier import train_classifier
from synthaug.training.threads import one_thread

OUTCOMES, CLASSIFIERS = "outcomes", "classifiers"
"""Folders of what is kept for a call that goes on where this one was stopped."""

_SCORING_BATCH = 256

T = TypeVar("T")


@dataclass(frozen=True)
class Work:
    """Where and how the work of judging is done.

    Attributes:
        device: of generators.
        jobs: worker processes, of one thread each. Results are the same whatever their number.
        folder: an existing folder that keeps what was trained, for a call that goes on where this one was stopped; None
            for nowhere.
        progress: show progress and the time left on stderr.
    """

    device: str = "auto"
    jobs: int = 1
    folder: Path | None = None
    progress: bool = False

    @classmethod
    def of(cls, device: str, jobs: int | None, folder: Path | None = None, progress: bool = False) -> Work:
        """The same, with a process a core where no number is given."""
        from joblib import cpu_count

        return cls(device, cpu_count() if jobs is None else jobs, folder, progress)

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InvalidRequest(f"jobs={self.jobs} was asked for; at least 1 process is needed.")

    @property
    def fitting_jobs(self) -> int:
        """Processes that train generators: one where they share a device."""
        return self.jobs if resolve_device(self.device).type == "cpu" else 1

    def kept(self, name: str) -> Path | None:
        """Where classifiers of this name are kept."""
        return None if self.folder is None else self.folder / CLASSIFIERS / name


@dataclass(frozen=True)
class Task:
    """One training of one arm, and what it is judged on.

    Attributes:
        name: unique among the trainings of a folder; the same name is the same training.
        arm: how the rows are prepared.
        seed: of the classifier and of the loader.
        parts: what the loader is made of.
        augmentations: by the names that arms know.
        tests: raw rows and class positions to judge by, by name.
        steps: optimizer steps.
    """

    name: str
    arm: Arm
    seed: int
    parts: Ingredients
    augmentations: Mapping[str, Augment]
    tests: Mapping[str, tuple[np.ndarray, np.ndarray]]
    steps: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a training came to.

    Attributes:
        correct: for each set of rows, ``(N,)`` bool: which labels were recognised.
        sure: for each set of rows, ``(N,)`` float64: how sure the classifier is of the true labels.
        scores: how well each set of rows was recognised.
        seconds: that it took, in the process that did it.
        mistakes: for each set of rows, ``(M, 3)`` what was taken for what, and how often.
    """

    correct: Mapping[str, np.ndarray]
    sure: Mapping[str, np.ndarray]
    scores: Mapping[str, Scores]
    seconds: float
    mistakes: Mapping[str, np.ndarray] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        from pydantic import TypeAdapter

        return {
            "seconds": self.seconds,
            "correct": {
                name: "".join("1" if row else "0" for row in rows) for name, rows in self.correct.items()
            },
            "sure": {name: rows.tolist() for name, rows in self.sure.items()},
            "scores": TypeAdapter(dict[str, Scores]).dump_python(dict(self.scores), mode="json"),
            "mistakes": {name: found.tolist() for name, found in self.mistakes.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outcome:
        """The outcome that `to_dict` wrote."""
        from pydantic import TypeAdapter

        scores = TypeAdapter(dict[str, Scores]).validate_python(data["scores"])
        correct = {name: np.array([row == "1" for row in rows]) for name, rows in data["correct"].items()}
        sure = {name: np.array(rows, np.float64) for name, rows in data["sure"].items()}
        wrong = {name: np.array(found, np.int64).reshape(-1, 3) for name, found in data["mistakes"].items()}
        return cls(correct, sure, scores, data["seconds"], wrong)


class Runner:
    """Trains what it is asked for; what is known already, from this call or from one that was stopped, is not.

    Trainings are told apart by their names alone: a runner, and a folder, serve one request.

    Args:
        train: the user's ``fn(loader, steps, seed)``; the built-in classifier on one thread when None. A function
            that cannot be sent to another process runs in this one.
        work: processes, and the folder that keeps outcomes.
    """

    def __init__(self, train: Train | None, work: Work) -> None:
        self.train = train
        self.jobs = work.jobs if travels(train) else 1
        self._progress = work.progress
        self._folder = None if work.folder is None else work.folder / OUTCOMES
        self._known: dict[str, Outcome] = {}
        self._bar: Any = None

    def run(self, wanted: Mapping[str, T], tasks: Callable[[Sequence[T]], Sequence[Task]]) -> list[Outcome]:
        """The outcomes of some trainings, in their order.

        Args:
            wanted: what is to be trained, by the names of the trainings.
            tasks: makes the trainings of such as are not known yet, in their order.
        """
        known = {name: self._kept(name) for name in wanted}
        due = tasks([what for name, what in wanted.items() if known[name] is None])
        made = in_processes([partial(train_arm, task, self.train) for task in due], self.jobs)
        with nullcontext() if self._bar is not None else self.showing("classifiers", len(wanted)):
            self._bar.total = max(self._bar.total, self._bar.n + len(wanted))
            self._bar.update(len(wanted) - len(due))
            for task, outcome in zip(due, made, strict=True):
                known[task.name] = self._keep(task.name, outcome)
                self._bar.update()
        return [outcome for outcome in known.values() if outcome is not None]

    @contextmanager
    def showing(self, what: str, expected: int) -> Iterator[None]:
        """One bar for all trainings in a block, with the time left as if so many of them were to come."""
        self._bar = bar(expected, shown=self._progress, of=what, smoothing=0.1)
        try:
            yield
        finally:
            self._bar.total = self._bar.n
            self._bar.close()
            self._bar = None

    def _kept(self, name: str) -> Outcome | None:
        if name not in self._known and self._folder is not None and self._file(name).exists():
            kept = json.loads(self._file(name).read_text(encoding="utf-8"))
            if "mistakes" in kept:  # an earlier version did not keep them
                self._known[name] = Outcome.from_dict(kept)
        return self._known.get(name)

    def _keep(self, name: str, outcome: Outcome) -> Outcome:
        self._known[name] = outcome
        if self._folder is not None:
            self._folder.mkdir(exist_ok=True)
            atomic_write_text(self._file(name), json.dumps(outcome.to_dict()))
        return outcome

    def _file(self, name: str) -> Path:
        assert self._folder is not None, "no folder has no files"
        return self._folder / encode_name(f"{name}.json")


def can_train(train: Train | None, arm: Arm) -> bool:
    """Whether a training can do what an arm asks for: its loss, its length, and probabilities where it adjusts them.

    Args:
        train: as `train_arm` takes it. Learners of scikit-learn know weights of classes and no other loss; of a
            training of the user's own it is not known whether it gives probabilities.
        arm: the arm.
    """
    learner = isinstance(train, Learner)
    adjusts = train is None or learner or not arm.adjusted
    own_loss = train is None or takes_loss(train) or (learner and arm.loss is weighted_loss)
    return adjusts and (arm.loss is None or own_loss) and (arm.steps == 1 or takes_steps(train))


def train_arm(task: Task, train: Train | None = None) -> Outcome:
    """One training, judged on every set of rows: a task that shares nothing with others.

    Args:
        task: what is trained.
        train: the user's training; the built-in classifier on one thread when None.
    """
    start, n_classes = time.perf_counter(), task.parts.n_classes
    training: Train = (
        partial(train_classifier, n_classes=n_classes) if train is None else bound(train, n_classes)
    )
    counts = np.bincount(task.parts.labels, minlength=n_classes)
    if task.arm.loss is not None and isinstance(train, Learner):
        training = partial(training, weights=class_weights(counts))
    elif task.arm.loss is not None:
        training = partial(training, loss=task.arm.loss(task.parts))
    if task.arm.adjusted:
        if train is None and task.arm.loss is None:
            training = partial(training, loss=sharp_loss(task.parts))
        training = Adjusted(training, counts)
    loader = task.arm.batches(task.parts, task.augmentations, task.seed)
    batches = {
        name: EncodedBatches(rows, labels, task.parts.encode) for name, (rows, labels) in task.tests.items()
    }
    with one_thread() if train is None else nullcontext():
        found: dict[str, Predictions] = train_and_predict(
            loader, batches, train=training, steps=task.steps, seed=task.seed, n_classes=n_classes
        )
    return Outcome(
        {name: of.correct for name, of in found.items()},
        {name: of.sure for name, of in found.items()},
        {name: of.scores(n_classes) for name, of in found.items()},
        time.perf_counter() - start,
        {name: of.mistakes for name, of in found.items()},
    )


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
    return map(call, tasks) if jobs == 1 else _in_workers(tasks, jobs)


def _in_workers(tasks: Sequence[Callable[[], T]], jobs: int) -> Iterator[T]:
    # Not multiprocessing: its fork hangs on threads of the parent, its spawn runs the user's script again.
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        # batch_size=1: tasks take seconds, and progress should show each.
        here = os.getcwd()
        done = Parallel(return_as="generator", batch_size=1)(delayed(_run)(here, task) for task in tasks)
        for found, told in done:
            for message in told:
                warnings.warn(message, SynthaugWarning, stacklevel=3)
            yield found


def _run(folder: str, task: Callable[[], T]) -> tuple[T, list[str]]:
    """The task, where its relative paths mean what they mean to the caller: workers outlive a change of folder.

    Returns:
        What came of it, and what it warned of, which is said where the user is.
    """
    from joblib.externals.loky import process_executor

    # A worker that has grown by 300 MB, as by importing libraries, would end itself, and tasks that were sent then be
    # waited for without end.
    process_executor._USE_PSUTIL = False
    os.chdir(folder)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        found = task()
    for other in warned:
        if not issubclass(other.category, SynthaugWarning):
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
    ours = (str(each.message) for each in warned if issubclass(each.category, SynthaugWarning))
    return found, list(dict.fromkeys(ours))


def travels(train: Train | None) -> bool:
    """Whether another process can be sent the training function."""
    try:
        pickle.dumps(train)
    except (pickle.PicklingError, TypeError, AttributeError):
        return False
    return True


def shown(outcomes: Iterator[T], total: int, progress: bool, what: str) -> Iterator[T]:
    """The outcomes, with progress and the time left on stderr."""
    with bar(total, shown=progress and total > 0, of=what) as seen:
        for outcome in outcomes:
            yield outcome
            seen.update()
