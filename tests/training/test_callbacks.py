"""Who watches a training may end it; what is ended goes on and ends the same way after a kill."""

from __future__ import annotations

import logging
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_loop import Regression, batch, weights

import synthaug
from synthaug import open_data
from synthaug.errors import InvalidRequest, OutputExists
from synthaug.families import Batch, BatchKind
from synthaug.training import PATIENCE, Look, Run, Score, run_loop

Arrays = tuple[np.ndarray, np.ndarray]


def ends_below(look: Look, error: float) -> bool:
    return bool(look.history[-1]["error"] < error)


def fit(folder: Path | None = None, batches: Any = batch, **how: Any) -> Run:
    model = Regression()
    return run_loop(model, model.phases(), batches, steps=400, seed=0, folder=folder, **how)


def same(one: Run, other: Run) -> bool:
    pairs = zip(weights(one).values(), weights(other).values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_a_callback_sees_each_line_of_figures_but_the_last() -> None:
    seen: list[Look] = []
    run = fit(callbacks=[seen.append])
    assert same(run, fit())
    assert [look.step for look in seen] == [line["step"] for line in run.history[:-1]]
    assert all(look.steps == 400 and look.history[-1]["step"] == look.step for look in seen)
    assert all(tuple(run.history[: len(look.history)]) == tuple(look.history) for look in seen)


def test_a_callback_that_answers_true_ends_the_training_and_its_steps_are_recorded() -> None:
    seen: list[Look] = []
    run = fit(callbacks=[partial(ends_below, error=0.5), seen.append])
    assert 0 < run.steps < 400
    assert seen[-1].step == run.steps == run.chosen_step
    assert run.history[-1] | {"seconds": 0} == {
        "step": run.steps,
        "seconds": 0,
        "event": "stopped",
        "budget": 400,
    }
    assert same(run, fit(callbacks=[lambda look: look.step == run.steps]))


@pytest.mark.parametrize("at", [3, 37, 60])
def test_a_training_that_a_callback_ends_ends_there_after_an_interruption_too(
    tmp_path: Path, at: int
) -> None:
    watch = [partial(ends_below, error=0.02)]
    whole, raised = fit(callbacks=watch), []

    def interrupting(kind: BatchKind, step: int) -> Batch:
        if step == at and not raised:
            raised.append(step)
            signal.raise_signal(signal.SIGINT)
        return batch(kind, step)

    assert whole.steps > 61
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path, interrupting, callbacks=watch)
    resumed = fit(tmp_path, callbacks=watch)
    assert resumed.steps == whole.steps
    assert same(resumed, whole)
    told = [line["error"] for line in whole.history if "error" in line]
    assert [line["error"] for line in resumed.history if "error" in line] == told
    # what was ended stays ended, whoever watches the next time
    assert fit(tmp_path).steps == whole.steps


def test_the_end_is_scored_like_any_other() -> None:
    score = Score(of=lambda average: float(average.steps_seen), noise=0.0)
    run = fit(score=score, callbacks=[lambda look: look.step == 200])
    assert [line["step"] for line in run.history if line.get("event") == "scored"] == [160, 200]
    assert run.chosen_step == run.steps == 200


@pytest.mark.parametrize(("patience", "steps"), [(1, 240), (2, 320), (PATIENCE, 360), (9, 400)])
def test_patience_says_how_many_worse_scores_end_a_training(patience: int, steps: int) -> None:
    score = Score(of=lambda average: -float(average.steps_seen), noise=0.0, patience=patience)
    assert fit(score=score).steps == steps


def test_fit_takes_callbacks_and_its_record_tells_them(shapes: Arrays, tmp_path: Path) -> None:
    looks: list[Look] = []

    def stop(look: Look) -> bool:
        return look.step == 4

    made = synthaug.fit(shapes, steps=9, callbacks=[stop, looks.append], progress=False)
    assert made.steps == 4
    assert isinstance(looks[-1].average, synthaug.families.Family)
    out = tmp_path / "gen"
    for _ in range(2):  # the second time it is there
        assert synthaug.fit(shapes, steps=9, callbacks=[stop], out=out, progress=False).steps == 4
    with pytest.raises(OutputExists, match="callbacks"):
        synthaug.fit(shapes, steps=9, out=out, progress=False)


def test_what_cannot_watch_is_refused(shapes: Arrays, tmp_path: Path) -> None:
    for callbacks in ([3], "x", 3):
        with pytest.raises(InvalidRequest, match="was given as a callback"):
            synthaug.fit(shapes, steps=2, callbacks=callbacks, out=tmp_path / "x")  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match="patience=2 has no use here"):
        synthaug.fit(shapes, steps=2, patience=2, out=tmp_path / "x")
    held_out = open_data((shapes[0][:20] // 2, shapes[1][:20]))
    with pytest.raises(InvalidRequest, match="1 or more"):
        synthaug.fit(shapes, steps=2, patience=0, validation=held_out, out=tmp_path / "x")
    assert synthaug.fit(shapes, steps=2, patience=2, validation=held_out, progress=False).steps == 2


def test_what_happens_is_logged_for_who_asks(shapes: Arrays, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "synthaug"):
        synthaug.fit(shapes, steps=3, progress=False, callbacks=[lambda look: look.step == 2])
    assert not caplog.records
    with caplog.at_level(logging.DEBUG, "synthaug"):
        synthaug.fit(shapes, steps=3, progress=False, callbacks=[lambda look: look.step == 2])
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert ("INFO", "step 2: stopped budget 3") in told
    assert any(level == "DEBUG" and text.startswith("step 1: ") for level, text in told)
