"""Minutes are a promise: plans follow the pace, whatever else the machine does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

from synthaug.training import Steps, TimedSteps

SECONDS = 100.0


class Machine:
    """A clock, and steps that take as long as a pace says at their time."""

    def __init__(self, pace: Callable[[float], float]) -> None:
        self.now, self.pace = 0.0, pace

    def __call__(self) -> float:
        return self.now

    def run(self, steps: TimedSteps, begin: int = 0, stop: float = np.inf) -> int:
        step = begin
        while step < steps.total(step) and self.now < stop:
            self.now += self.pace(self.now)
            step += 1
            steps.review(step)
        return step


def loaded(slow: float, begin: float, end: float, each: float = 0.05) -> Callable[[float], float]:
    return lambda now: each * (slow if begin <= now < end else 1)


@given(
    slow=st.floats(1, 4),
    begin=st.floats(-20, 120),
    length=st.floats(0, 140),
    timed=st.floats(0.25, 4),
    each=st.sampled_from([0.002, 0.05, 0.6]),
)
def test_the_time_is_kept_within_a_fifth_when_load_comes_and_goes(
    slow: float, begin: float, length: float, timed: float, each: float
) -> None:
    machine = Machine(loaded(slow, begin, begin + length, each))
    steps = TimedSteps(max(1, round(SECONDS / (each * timed))), SECONDS, clock=machine)
    machine.run(steps)
    assert 0.8 * SECONDS <= machine.now <= 1.2 * SECONDS


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 80)), max_size=5), st.integers(1, 100))
def test_progress_goes_from_0_to_1_and_never_falls(changes: list[tuple[int, int]], first: int) -> None:
    plans = [(0, first)]
    for after, more in changes:
        if plans[-1][0] + after < plans[-1][1]:
            plans.append((plans[-1][0] + after, plans[-1][0] + after + more))
    steps, last = Steps(plans), plans[-1][1]
    progress = [steps.progress(step) for step in range(last + 1)]
    assert progress[0] == 0
    assert progress[-1] == pytest.approx(1)
    assert (np.diff(progress) > 0).all()
    for share in (0.4, 0.6, 0.8, 0.9, 1.0):
        assert sum(steps.reaches(share, step) for step in range(1, last + 1)) == 1


def test_one_plan_is_the_part_of_the_steps_to_the_bit() -> None:
    steps = Steps([(0, 37)])
    assert [steps.progress(step) for step in range(38)] == [step / 37 for step in range(38)]


def test_a_training_that_was_stopped_goes_on_with_its_plans_and_what_is_left_of_the_time(
    tmp_path: Path,
) -> None:
    kept = tmp_path / "budget.json"
    machine = Machine(loaded(2, 20, 50))
    first = TimedSteps(2000, SECONDS, kept, about={"minutes": 2}, clock=machine)
    stopped = machine.run(first, stop=60)
    known = json.loads(kept.read_text())
    assert known["minutes"] == 2
    assert len(known["plans"]) > 1
    later = Machine(loaded(1, 0, 0))
    plans = [(at, total) for at, total in known["plans"]]
    again = TimedSteps(0, SECONDS, kept, plans=plans, spent=known["spent"], clock=later)
    assert again.plans == first.plans
    later.run(again, begin=stopped)
    assert 0.8 * SECONDS <= 60 + later.now <= 1.2 * SECONDS
    assert again.plans[: len(plans)] == plans
