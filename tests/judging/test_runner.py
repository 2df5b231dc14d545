"""Trainings of arms: each is made once, in processes of their own where there are several."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from planted import distinct_digits, encode, per_class, pool_of

from synthaug.errors import SynthaugWarning
from synthaug.judging import Ingredients, Runner, Task, Work, find_arm, in_processes
from synthaug.training import cross_entropy, train_classifier


def test_paths_of_a_task_mean_what_they_mean_to_the_caller_though_workers_live_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "name.txt").write_text(name)
        monkeypatch.chdir(folder)
        tasks = [partial(Path.read_text, Path("name.txt"))] * 4
        assert list(in_processes(tasks, 2)) == [name] * 4


# ------------------------------------------------------------------------------------ each training is made once


class Trainings:
    """A user's training that keeps the seeds it was asked for, and recognises nothing but the class of its seed."""

    def __init__(self) -> None:
        self.seeds: list[int] = []

    def __call__(self, loader: Any, steps: int, seed: int) -> Any:
        self.seeds.append(seed)
        return lambda X: torch.full((len(X),), seed)


class Making:
    """What makes the tasks of numbers: digits recognised by a training with the number for its seed."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        rows = per_class(distinct_digits(), 0, 2)
        self._parts = Ingredients.of(rows, pool_of(rows), encode, ratio=0.5, batch_size=8)
        self._tests = {"test": (rows.read(), rows.labels)}

    def __call__(self, numbers: Sequence[int]) -> list[Task]:
        self.asked.append(list(numbers))
        return [Task(f"no. {n}", find_arm("real"), n, self._parts, {}, self._tests, 3) for n in numbers]


def _wanted(*numbers: int) -> dict[str, int]:
    return {f"no. {n}": n for n in numbers}


def _recognised(outcomes: Sequence[Any]) -> list[int]:
    """The one class that each training recognises."""
    labels = per_class(distinct_digits(), 0, 2).labels
    return [int(np.unique(labels[of.correct["test"]]).item()) for of in outcomes]


def test_a_training_of_a_name_is_made_once_by_a_runner() -> None:
    train, make = Trainings(), Making()
    runner = Runner(train, Work())
    first = runner.run(_wanted(3, 1), make)
    again = runner.run(_wanted(1, 3), make)
    more = runner.run(_wanted(1, 7, 3), make)
    assert train.seeds == [3, 1, 7]
    assert make.asked == [[3, 1], [], [7]]
    assert (_recognised(first), _recognised(again), _recognised(more)) == ([3, 1], [1, 3], [1, 7, 3])
    assert [of.seconds for of in (*again, more[0], more[2])] == [first[i].seconds for i in (1, 0, 1, 0)]


def test_a_training_of_a_name_is_made_once_for_a_folder(tmp_path: Path) -> None:
    work, make = Work(folder=tmp_path), Making()
    trainings = [Trainings() for _ in range(3)]
    first = Runner(trainings[0], work).run(_wanted(3, 1), make)
    again = Runner(trainings[1], work).run(_wanted(3, 1), make)
    more = Runner(trainings[2], work).run(_wanted(5, 1, 3), make)
    assert [each.seeds for each in trainings] == [[3, 1], [], [5]]
    assert make.asked == [[3, 1], [], [5]]
    for one, other in zip([*first, first[1], first[0]], [*again, *more[1:]], strict=True):
        np.testing.assert_array_equal(one.correct["test"], other.correct["test"])
        assert (one.scores, one.seconds) == (other.scores, other.seconds)
    alone = Trainings()
    Runner(alone, Work()).run(_wanted(3, 1), make)
    assert alone.seeds == [3, 1]


def test_what_a_call_that_died_had_trained_is_not_trained_again(tmp_path: Path) -> None:
    def dies(loader: Any, steps: int, seed: int) -> Any:
        if seed == 1:
            raise ZeroDivisionError
        return Trainings()(loader, steps, seed)

    work, make, train = Work(folder=tmp_path), Making(), Trainings()
    with pytest.raises(ZeroDivisionError):
        Runner(dies, work).run(_wanted(3, 1, 2), make)
    assert _recognised(Runner(train, work).run(_wanted(3, 1, 2), make)) == [3, 1, 2]
    assert train.seeds == [1, 2]


def test_outcomes_come_in_the_order_of_what_was_wanted(tmp_path: Path) -> None:
    for work in (Work(), Work(folder=tmp_path)):
        runner, make = Runner(Trainings(), work), Making()
        assert _recognised(runner.run(_wanted(5, 2, 8), make)) == [5, 2, 8]
        assert _recognised(runner.run(_wanted(8, 4, 5, 0, 2), make)) == [8, 4, 5, 0, 2]
    assert _recognised(Runner(Trainings(), Work(folder=tmp_path)).run(_wanted(0, 9, 8), make)) == [0, 9, 8]


def test_outcomes_are_in_order_and_kept_whatever_the_number_of_processes(tmp_path: Path) -> None:
    make, train = Making(), Trainings()
    spread = Runner(_says_the_seed, Work(jobs=2, folder=tmp_path))
    assert _recognised(spread.run(_wanted(6, 0, 4), make)) == [6, 0, 4]
    assert _recognised(Runner(train, Work(folder=tmp_path)).run(_wanted(4, 6), make)) == [4, 6]
    assert train.seeds == []


def _says_the_seed(loader: Any, steps: int, seed: int) -> Any:
    return lambda X: torch.full((len(X),), seed)


def test_a_classifier_that_was_kept_is_not_trained_again_and_says_the_same(
    shapes: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    images, names = shapes
    X, y = torch.from_numpy(images).float()[:, None] / 127.5 - 1, torch.from_numpy((names == "lying") * 1)
    steps: list[float] = []

    def loss(logits: torch.Tensor, labels: torch.Tensor, progress: float) -> torch.Tensor:
        steps.append(progress)
        return cross_entropy(logits, labels, progress)

    kept = tmp_path / "new" / "classifier.safetensors"
    train = partial(train_classifier, [(X, y)], 3, 0, n_classes=2)
    plain, first = train()(X), train(loss=loss, kept=kept)(X)
    before = torch.random.get_rng_state()
    again = train(loss=loss, kept=kept)(X)
    assert torch.equal(before, torch.random.get_rng_state())
    assert len(steps) == 3
    np.testing.assert_array_equal(first, plain)
    np.testing.assert_array_equal(again, plain)


def _grow(megabytes: int) -> int:
    """A task that makes its worker larger, and takes longer than the time between two looks at that."""
    _KEPT.append(np.ones(megabytes << 17))
    time.sleep(1.1)
    return os.getpid()


_KEPT: list[np.ndarray] = []


def test_workers_that_grow_go_on() -> None:
    tasks = [*[partial(_grow, 1)] * 2, *[partial(_grow, 200)] * 4, *[partial(_grow, 1)] * 4]
    assert len(set(in_processes(tasks, 2))) == 2


def _warned() -> int:
    warnings.warn("few rows", SynthaugWarning, stacklevel=1)
    warnings.warn("few rows", SynthaugWarning, stacklevel=1)
    return 1


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_worker_warns_of_is_said_where_the_user_is(
    jobs: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.warns(SynthaugWarning, match="few rows"):
        assert list(in_processes([_warned, _warned], jobs)) == [1, 1]
    assert "few rows" not in capfd.readouterr().err
