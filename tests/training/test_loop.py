from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from synthaug.errors import Diverged, InvalidRequest
from synthaug.families import Batch, BatchKind, Loss, Phase
from synthaug.generators import HISTORY
from synthaug.seeding import torch_rng
from synthaug.training import Run, run_loop


class Regression(nn.Module):
    """y = 3x - 1, fitted by two phases on the same loss; enough to exercise every part of the loop."""

    def __init__(self, lr: float = 0.05, broken_at: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.slope, self.offset = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
        self.register_buffer("steps_seen", torch.zeros(()))
        self.lr, self.broken_at = lr, list(broken_at)

    def loss(self, batch: Batch, progress: float, rng: torch.Generator) -> Loss:
        x, _ = batch
        noise = 0.01 * torch.randn(len(x), generator=rng)
        error = (self.slope * x + self.offset - (3 * x - 1) + noise).square().mean()
        self.steps_seen += 1
        if self.broken_at and int(self.steps_seen) == self.broken_at[0]:
            self.broken_at.pop(0)
            error = error * float("nan")
        return error, {"error": error}

    def phases(self) -> list[Phase]:
        return [
            Phase("slope", [self.slope], self.loss, lr=self.lr),
            Phase("offset", [self.offset], self.loss, lr=self.lr),
        ]


def batch(kind: BatchKind, step: int) -> Batch:
    return torch.rand(16, generator=torch_rng(0, "x", step)), torch.zeros(16, dtype=torch.int64)


def fit(model: Regression, folder: Path | None = None, steps: int = 400, seed: int = 0) -> Run:
    return run_loop(model, model.phases(), batch, steps=steps, seed=seed, folder=folder)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return run.average.state_dict()


def test_training_finds_the_minimum_and_reports_it() -> None:
    run = fit(Regression())
    assert float(run.average.slope) == pytest.approx(3, abs=0.05)
    assert float(run.average.offset) == pytest.approx(-1, abs=0.05)
    assert run.history[-1]["step"] == 400
    assert run.history[-1]["error"] < 0.01 * run.history[0]["error"]


def test_a_seed_decides_every_bit() -> None:
    first, again, other = fit(Regression()), fit(Regression()), fit(Regression(), seed=1)
    assert all(
        torch.equal(a, b) for a, b in zip(weights(first).values(), weights(again).values(), strict=True)
    )
    assert not torch.equal(first.average.slope, other.average.slope)


@pytest.mark.parametrize("stop_at", [1, 37, 200, 399])
def test_a_run_that_is_interrupted_ends_with_the_same_bits(tmp_path: Path, stop_at: int) -> None:
    model, raised = Regression(), []

    def interrupting(kind: BatchKind, step: int) -> Batch:
        if step == stop_at and not raised:
            raised.append(step)
            signal.raise_signal(signal.SIGINT)
        return batch(kind, step)

    with pytest.raises(KeyboardInterrupt):
        run_loop(model, model.phases(), interrupting, steps=400, seed=0, folder=tmp_path)
    resumed = fit(Regression(), tmp_path)
    whole = fit(Regression())
    assert all(
        torch.equal(a, b) for a, b in zip(weights(resumed).values(), weights(whole).values(), strict=True)
    )
    [event] = [line for line in resumed.history if "event" in line]
    assert event["event"] == "resumed"
    assert event["step"] == stop_at + 1
    assert event["lost_steps"] == 0


def test_a_killed_process_goes_on_from_a_checkpoint_at_most_a_twentieth_old(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        from test_loop import Regression, batch
        from synthaug.training import run_loop
        def slow(*key):
            time.sleep(0.002)
            return batch(*key)
        model = Regression()
        run_loop(model, model.phases(), slow, steps=400, seed=0, folder=Path(sys.argv[2]))
    """)
    process = subprocess.Popen([sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)])
    deadline = time.monotonic() + 60
    history = tmp_path / HISTORY
    while time.monotonic() < deadline and (not history.exists() or history.read_bytes().count(b"\n") < 60):
        time.sleep(0.01)
    assert process.poll() is None, "finished before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed, whole = fit(Regression(), tmp_path), fit(Regression())
    assert all(
        torch.equal(a, b) for a, b in zip(weights(resumed).values(), weights(whole).values(), strict=True)
    )
    [event] = [line for line in resumed.history if line.get("event") == "resumed"]
    assert 100 <= event["step"] < 400
    assert 0 <= event["lost_steps"] <= 400 / 20
    steps = [line["step"] for line in resumed.history if "error" in line]
    assert steps == sorted(set(steps))
    assert [json.loads(line) for line in (tmp_path / HISTORY).read_text().splitlines()] == resumed.history


def test_a_history_without_a_checkpoint_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / HISTORY).write_text('{"step": 2, "seconds": 0.1, "error": 1.0}\n')
    run = fit(Regression(), tmp_path)
    steps = [line["step"] for line in run.history]
    assert steps == sorted(set(steps))
    assert (tmp_path / HISTORY).read_text().count("\n") == len(run.history)


def test_weights_that_are_not_finite_behind_a_finite_loss_are_noticed() -> None:
    class Poisoned(Regression):
        poison = True

        def loss(self, batch: Batch, progress: float, rng: torch.Generator) -> Loss:
            loss, shown = super().loss(batch, progress, rng)
            if int(self.steps_seen) == 301 and self.poison:  # of the phase of the slope
                self.poison = False
                loss = loss + (self.slope * 0).sqrt().sum() * 0  # zero, with an infinite gradient
            return loss, shown

    run = fit(Poisoned())
    assert [line["event"] for line in run.history if "event" in line] == ["recovered"]
    assert run.average.slope.isfinite().all()


def test_a_non_finite_loss_goes_back_and_halves_the_learning_rate() -> None:
    run = fit(Regression(broken_at=(300,)))
    [event] = [line for line in run.history if "event" in line]
    assert event["event"] == "recovered"
    assert event["learning_rate_factor"] == 0.5
    assert event["step"] < event["failed_step"]
    assert float(run.average.slope) == pytest.approx(3, abs=0.1)


def test_a_loss_that_stays_non_finite_is_an_error_in_words() -> None:
    with pytest.raises(Diverged, match=r"not finite at step .* halved 4 times"):
        fit(Regression(lr=1e25))


def test_a_folder_of_another_budget_is_refused(tmp_path: Path) -> None:
    fit(Regression(), tmp_path, steps=40)
    with pytest.raises(InvalidRequest, match="budget of 40 steps, 50 were asked for"):
        fit(Regression(), tmp_path, steps=50)
    with pytest.raises(InvalidRequest, match="at least 1"):
        fit(Regression(), steps=0)
