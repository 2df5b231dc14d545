from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthaug.errors import InvalidRequest
from synthaug.training.trackers import figures_of, follow
from synthaug.verbs import fit

Arrays = tuple[np.ndarray, np.ndarray]


class Kept:
    """A tracker of one's own."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.pictures: list[tuple[int, ...]] = []
        self.closed = 0

    def log(self, step: int, figures: Any) -> None:
        assert figures
        self.steps.append(step)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        assert picture.dtype == np.uint8
        self.pictures.append(picture.shape)

    def close(self) -> None:
        self.closed += 1


def test_an_object_of_ones_own_gets_every_figure_and_picture_and_is_closed(shapes: Arrays) -> None:
    tracker = Kept()
    fit(shapes, steps=12, tracker=tracker, progress=False)
    assert tracker.steps == list(range(1, 13))
    assert {shape[2] for shape in tracker.pictures} == {3}
    assert tracker.closed == 1
    with pytest.raises(InvalidRequest):
        fit(shapes, steps=0, tracker=tracker, progress=False)
    assert tracker.closed == 2


def test_tensorboard_reads_what_was_written(shapes: Arrays, tmp_path: Path) -> None:
    fit(shapes, steps=4, out=tmp_path / "gen", tracker="tensorboard", progress=False)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(tmp_path / "gen" / "tensorboard"))
    read.Reload()
    assert [event.step for event in read.Scalars("loss")] == [1, 2, 3, 4]
    assert read.Images("samples")
    assert (tmp_path / "gen" / "history.jsonl").exists()


def test_wandb_is_given_the_same(shapes: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    logged: list[tuple[int, dict[str, Any]]] = []

    class Run:
        def log(self, figures: dict[str, Any], step: int) -> None:
            logged.append((step, figures))

        def finish(self) -> None:
            asked["finished"] = True

    stand_in = types.ModuleType("wandb")
    stand_in.init = lambda **given: asked.update(given) or Run()  # type: ignore[attr-defined]
    stand_in.Image = lambda picture: picture.shape  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    fit(shapes, steps=3, options={"latent": 4}, out=tmp_path / "gen", tracker="wandb", progress=False)
    assert asked["config"] == {"family": "cvae", "seed": 0, "latent": 4}
    assert asked["dir"].startswith(str(tmp_path))
    assert asked["finished"]
    assert [step for step, figures in logged if "loss" in figures] == [1, 2, 3]
    assert any("samples" in figures for _, figures in logged)


def test_what_cannot_be_followed_is_refused_before_training(
    shapes: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr("synthaug.training.loop.train", never)
    with pytest.raises(InvalidRequest, match=r'no tracker "tensorbord".*Did you mean "tensorboard"'):
        fit(shapes, steps=1, out=tmp_path / "a", tracker="tensorbord", progress=False)
    with pytest.raises(InvalidRequest, match="give out="):
        fit(shapes, steps=1, tracker="wandb", progress=False)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InvalidRequest, match=r'pip install "synthaug\[wandb\]"'):
        fit(shapes, steps=1, out=tmp_path / "b", tracker="wandb", progress=False)


def test_events_lend_their_figures_only() -> None:
    line = {"step": 3, "seconds": 0.5, "event": "recovered", "parts": ["a"], "learning_rate_factor": 0.5}
    assert figures_of(line) == {"seconds": 0.5, "learning_rate_factor": 0.5}
    with follow(None, None, {}) as nothing:
        assert nothing is None
