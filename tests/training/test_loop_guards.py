from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from synthaug.families import Batch, BatchKind, Loss, Phase
from synthaug.generators import HISTORY
from synthaug.training import Run, Score, run_loop

STEPS = 200


class Clock(nn.Module):
    """Counts its steps in a buffer and drifts with every one; `of` reads the count of an average."""

    def __init__(self) -> None:
        super().__init__()
        self.drift = nn.Parameter(torch.zeros(3))
        self.register_buffer("count", torch.zeros(()))

    def loss(self, batch: Batch, progress: float, rng: torch.Generator) -> Loss:
        self.count += 1
        return (self.drift + torch.randn(3, generator=rng)).square().sum(), {}


def steps_of(average: nn.Module) -> int:
    return int(average.count)  # type: ignore[arg-type]


def run(folder: Path | None = None, batch: Callable[..., Batch] | None = None, **judges: Any) -> Run:
    clock = Clock()
    phases = [Phase("tick", [clock.drift], clock.loss, lr=0.01)]
    nothing = (torch.zeros(1), torch.zeros(1, dtype=torch.int64))
    return run_loop(
        clock, phases, batch or (lambda *_: nothing), steps=STEPS, seed=0, folder=folder, **judges
    )


def scores(*values: float, noise: float = 0.02) -> Score:
    """These scores at 40, 60, 80, 90 and 100 % of the budget, as a function of the average alone."""
    at = [round(share * STEPS) for share in (0.4, 0.6, 0.8, 0.9, 1.0)]
    return Score(of=lambda average: values[at.index(steps_of(average))], noise=noise)


def events(found: Run, kind: str) -> list[dict[str, Any]]:
    return [line for line in found.history if line.get("event") == kind]


@pytest.mark.parametrize(
    ("values", "chosen"),
    [
        ((0.5, 0.7, 0.8, 0.8, 0.8), 1.0),
        ((0.5, 0.7, 0.81, 0.80, 0.80), 1.0),  # the noise decides nothing
        ((0.5, 0.6, 0.9, 0.8, 0.89), 1.0),
        ((0.5, 0.6, 0.9, 0.8, 0.8), 0.8),
        ((0.9, 0.885, 0.87, 0.86, 0.85), 0.6),  # a slow fall is measured from its top
    ],
)
def test_the_latest_average_is_kept_that_no_other_clearly_beats(
    values: tuple[float, ...], chosen: float
) -> None:
    found = run(score=scores(*values))
    assert found.chosen_step == steps_of(found.average) == round(chosen * STEPS)
    assert [line["score"] for line in events(found, "scored")] == list(values)
    assert events(found, "chosen")[0]["chosen_step"] == found.chosen_step


def test_without_a_score_the_last_average_is_returned() -> None:
    assert run().chosen_step == steps_of(run().average) == STEPS


def test_a_score_that_keeps_falling_stops_the_run_and_says_so() -> None:
    found = run(score=scores(0.9, 0.8, 0.8, 0.7, 0.99))
    assert found.steps == 0.9 * STEPS
    assert found.chosen_step == 0.4 * STEPS
    assert events(found, "stopped")[0]["budget"] == STEPS


@pytest.mark.parametrize("stop_at", [85, 110, 150, 199])
def test_an_interrupted_run_chooses_the_same_bits(tmp_path: Path, stop_at: int) -> None:
    values = (0.9, 0.8, 0.9, 0.8, 0.85)
    raised: list[int] = []

    def interrupting(kind: BatchKind, step: int) -> Batch:
        if step == stop_at and not raised:
            raised.append(step)
            signal.raise_signal(signal.SIGINT)
        return torch.zeros(1), torch.zeros(1, dtype=torch.int64)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, interrupting, score=scores(*values))
    resumed, whole = run(tmp_path, score=scores(*values)), run(score=scores(*values))
    assert resumed.chosen_step == whole.chosen_step == 0.8 * STEPS
    assert torch.equal(resumed.average.drift, whole.average.drift)  # type: ignore[arg-type]
    assert [line["score"] for line in events(resumed, "scored")] == list(values)
    again = run(tmp_path, score=scores(*values))  # of a run that is over
    assert torch.equal(again.average.drift, whole.average.drift)  # type: ignore[arg-type]


def falls_once(at: int) -> Callable[[nn.Module], dict[str, float]]:
    """The spread of a part that is flat at the first look after a step, and sound when trained again."""
    fallen: list[int] = []

    def spread(average: nn.Module) -> dict[str, float]:
        falls = steps_of(average) >= at and not fallen
        fallen.extend([steps_of(average)] if falls else [])
        return {"even": 0.8, "odd": 0.02 if falls else 0.7}

    return spread


def test_a_part_that_collapses_is_answered_once_from_the_last_good_state() -> None:
    found = run(spread=falls_once(at=95))
    [event] = events(found, "recovered")
    assert event["reason"] == "collapsed"
    assert event["parts"] == ["odd"]
    assert event["learning_rate_factor"] == 0.5
    assert 90 <= event["step"] < event["failed_step"] <= 105
    assert found.steps == STEPS


def test_what_is_sound_and_what_never_rose_are_left_alone() -> None:
    for value in (0.9, 0.05, 0.2):
        found = run(spread=lambda average, value=value: {"all": value})
        assert not events(found, "recovered")
        assert found.steps == STEPS


def test_what_keeps_collapsing_ends_at_the_last_good_state(tmp_path: Path) -> None:
    def spread(average: nn.Module) -> dict[str, float]:
        return {"all": 0.8 if steps_of(average) < 120 else 0.0}

    found = run(tmp_path, spread=spread)
    assert len(events(found, "recovered")) == 5
    assert events(found, "stopped")
    assert found.steps == found.chosen_step == steps_of(found.average) == 110
    again = run(tmp_path, spread=spread)
    assert torch.equal(again.average.drift, found.average.drift)  # type: ignore[arg-type]


def test_every_line_is_reported_as_it_is_written(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = []
    found = run(tmp_path, score=scores(*[0.5] * 5), report=lines.append)
    assert lines == found.history
    assert lines == [json.loads(line) for line in (tmp_path / HISTORY).read_text().splitlines()]
