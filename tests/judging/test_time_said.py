"""What is said beforehand of a choice and an evaluation: how much is trained, and how long that takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import synthaug
from synthaug import LabeledData, Protocol, open_data
from synthaug.data import open_unlabelled
from synthaug.judging import Learner, Outcome, Task, Work, foretell, runner
from synthaug.judging.pace import Pace
from synthaug.requests import ChooseRequest, EvaluateRequest

Rows = tuple[np.ndarray, np.ndarray]

SHORT = Protocol(folds=2, seeds=2, classifier_steps=2, judge_steps=2, steps=2)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """The classifiers that are trained."""
    found: list[Task] = []
    train = runner.train_arm

    def counted(task: Task, *how: Any) -> Outcome:
        found.append(task)
        return train(task, *how)

    monkeypatch.setattr(runner, "train_arm", counted)
    return found


@pytest.fixture
def _processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured is processor time, so that it does not matter what else the machine does."""

    class Clock:
        monotonic = staticmethod(time.process_time)

    for module in ("judging.pace", "training.forecast"):
        monkeypatch.setattr(f"synthaug.{module}.time", Clock)


def few(n: int) -> LabeledData:
    """So many of each digit."""
    rows = open_data("bundled:digits")
    kept = [np.flatnonzero(rows.labels == k)[:n] for k in range(len(rows.classes))]
    return rows.take(np.sort(np.concatenate(kept)))


def full(asked: ChooseRequest | EvaluateRequest, jobs: int = 1) -> Mapping[str, Any]:
    found: Mapping[str, Any] = asked.forecast(jobs)["takes_in_full"]
    return found


@pytest.mark.usefixtures("_processor_time")
def test_a_choice_takes_what_was_said(made: list[Task]) -> None:
    protocol, found = Protocol(folds=2, classifier_steps=24, steps=12), []
    for seed in range(3):  # a processor is slower where another shares its core
        made.clear()
        asked = ChooseRequest(few(10), ["warp"], protocol=protocol, seed=seed)
        said = full(asked)
        began = time.process_time()
        synthaug.choose(few(10), families=["warp"], protocol=protocol, seed=seed, jobs=1, progress=False)
        took, (least, most) = time.process_time() - began, said["trainings"]
        assert least / 1.5 <= len(made) <= 1.5 * most
        found.append((took, said["seconds"], len(made), said["trainings"]))
        if any(1 / 2 <= took / seconds <= 2 for seconds in said["seconds"]):
            return
    raise AssertionError(found)


def test_as_many_classifiers_are_trained_for_an_evaluation_as_were_said(
    shapes: Rows, made: list[Task]
) -> None:
    for more, within in (({"ratio": 0.25}, 1.0), ({}, 1.5)):
        asked = EvaluateRequest(open_data(shapes), ["warp"], protocol=SHORT, **more)  # type: ignore[arg-type]
        least, most = full(asked)["trainings"]
        made.clear()
        synthaug.evaluate(shapes, families=["warp"], protocol=SHORT, jobs=1, progress=False, **more)  # type: ignore[arg-type]
        assert least / within <= len(made) <= within * most


def test_nothing_is_trained_to_the_end(shapes: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    train = runner.train_classifier

    def counted(loader: Any, n: int, *seed: int, **how: Any) -> Any:
        steps.append(n)
        return train(loader, n, *seed, **how)

    def never(*args: Any, **how: Any) -> None:
        raise AssertionError("a generator was trained")

    monkeypatch.setattr(runner, "train_classifier", counted)
    monkeypatch.setattr(sys.modules["synthaug.training.train"], "run_loop", never)
    rows, protocol = open_data(shapes), Protocol(folds=2, classifier_steps=12, steps=3000)
    for asked in (ChooseRequest(rows, protocol=protocol), EvaluateRequest(rows, protocol=protocol)):
        assert asked.forecast(1)["takes"].startswith("about ")
        assert max(steps) <= 6
    fitted: list[int] = []
    learn = Learner.__call__

    def noted(self: Learner, loader: Any, *how: Any, **more: Any) -> Any:
        fitted.append(len(loader.dataset))
        return learn(self, loader, *how, **more)

    monkeypatch.setattr(Learner, "__call__", noted)
    vectors = np.random.default_rng(0).normal(size=(200, 3)), np.arange(200) % 2
    ChooseRequest(open_data(vectors), protocol=Protocol(learner="forest", steps=9)).forecast(1)
    assert max(fitted) <= 100
    assert len(fitted) > 1


def test_what_is_made_side_by_side_is_tried_side_by_side(
    shapes: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []
    started = runner.in_processes

    def counted(tasks: Any, jobs: int) -> Any:
        tried.extend([len(tasks), jobs])
        return started(tasks, jobs)

    monkeypatch.setattr("synthaug.judging.pace.in_processes", counted)
    said = ChooseRequest(open_data(shapes), ["warp"], protocol=Protocol(minutes=1)).forecast(2)
    assert said["trains"].endswith("in 2 processes")
    assert tried == [2, 2]


@pytest.fixture
def _a_second_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier takes 1 second, one that judges rows without labels as well."""
    monkeypatch.setattr("synthaug.judging.forecast.pace_of", lambda *_, **__: Pace(1.0, 0.0, 0.0, 0.0))


@pytest.mark.usefixtures("_a_second_each")
def test_what_is_made_side_by_side_takes_no_longer_than_one(shapes: Rows) -> None:
    asked = ChooseRequest(open_data(shapes), ["warp"], protocol=Protocol(minutes=1)).question
    one, many = foretell(asked, Work("cpu", 1)), foretell(asked, Work("cpu", 1000))
    assert one.trainings == many.trainings
    assert one.generators == many.generators == (4, 4)  # of three folds, and of the plan
    assert one.seconds == tuple(n + 4 * 60 for n in one.trainings)
    assert (
        many.seconds[0] == 6 + 2 * 60
    )  # rungs: two of baselines, another seed, longer, and two of what was foretold
    assert many.seconds[1] < 12 + 2 * 60


@pytest.mark.usefixtures("_a_second_each")
def test_classifiers_that_judge_rows_without_labels_count(shapes: Rows) -> None:
    images, labels = shapes
    rows, protocol = open_data((images[:60], labels[:60])), Protocol(minutes=1)
    more = open_unlabelled(images[60:], rows)
    with_them = ChooseRequest(rows, ["warp"], protocol=protocol, unlabelled=more).question
    found, without = (
        foretell(each, Work("cpu", 1))
        for each in (with_them, ChooseRequest(rows, ["warp"], protocol=protocol).question)
    )
    # two judges in two rounds, in each of three folds and for the plan
    assert found.trainings[0] == without.trainings[0] + 4 * (3 + 1)
    assert found.generators[0] == without.generators[0]
    assert found.trainings[1] > without.trainings[1] + 4 * (3 + 1)
    assert found.seconds[0] == without.seconds[0] + 4 * (3 + 1)


def test_a_generator_that_is_given_is_not_trained(shapes: Rows) -> None:
    rows = open_data(shapes)
    maker = synthaug.fit(shapes, family="warp", steps=2, progress=False)
    said = EvaluateRequest(rows, generator=maker, protocol=SHORT).forecast(1)
    assert said["takes_in_full"]["generators"] == [0, 0]
    assert "generator" not in said["trains"]
    assert said["trains"].endswith(" classifiers, in 1 process")
    trained = EvaluateRequest(rows, ratio=0.25, protocol=SHORT).forecast(2)
    assert trained["trains"].endswith(" classifiers and 1 generator, in 2 processes")


def test_the_first_steps_of_a_training_count_once(shapes: Rows) -> None:
    def slow_at_first(loader: Any, steps: int, seed: int) -> Any:
        time.sleep(1.0)
        batches = iter(loader)
        for _ in range(steps):
            next(batches)  # the loader has as many
            time.sleep(0.02)
        return lambda X: np.zeros(len(X), np.int64)

    protocol = Protocol(steps=2, batch_size=2, classifier_steps=20)
    asked = ChooseRequest(open_data(shapes), ["warp"], train=slow_at_first, protocol=protocol)
    whole = 1.0 + 20 * 0.02
    assert (
        whole < full(asked)["seconds a training"] < 1.6 * whole
    )  # with the first second in each step it was twice
