from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthaug import fit
from synthaug.errors import InvalidRequest
from synthaug.families import FAMILIES, Phase
from synthaug.testing import Planted
from synthaug.training import figures_of, follow

Arrays = tuple[np.ndarray, np.ndarray]


class Figures:
    """A tracker of one's own that is shown no pictures."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.closed = 0

    def log(self, values: dict[str, float], step: int) -> None:
        assert values
        assert all(isinstance(value, float) for value in values.values())
        self.steps.append(step)

    def finish(self) -> None:
        self.closed += 1


class Kept(Figures):
    """A tracker of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[tuple[int, ...]] = []

    def log_images(self, values: dict[str, np.ndarray], step: int) -> None:
        for pictures in values.values():
            assert pictures.dtype == np.uint8
            self.pictures.append(pictures.shape)


class NeverTrained(Planted):
    """A family that must not come as far as its training."""

    name = "never"

    def phases(self) -> list[Phase]:
        raise AssertionError("training began")


def test_an_object_of_ones_own_gets_every_figure_and_picture_and_is_closed(shapes: Arrays) -> None:
    tracker = Kept()
    fit(shapes, steps=12, tracker=tracker, progress=False)
    assert tracker.steps == list(range(1, 13))
    assert {(len(shape), shape[0], shape[3]) for shape in tracker.pictures} == {(4, 1, 3)}
    assert tracker.closed == 1
    with pytest.raises(InvalidRequest):
        fit(shapes, steps=0, tracker=tracker, progress=False)
    assert tracker.closed == 2


def test_an_object_that_takes_no_pictures_is_shown_none(shapes: Arrays) -> None:
    tracker = Figures()
    fit(shapes, steps=3, tracker=tracker, progress=False)
    assert tracker.steps == [1, 2, 3]
    assert tracker.closed == 1


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

    stand_in: Any = types.ModuleType("wandb")
    stand_in.__spec__ = ModuleSpec("wandb", None)
    stand_in.init = lambda **given: asked.update(given) or Run()
    stand_in.config = types.SimpleNamespace(update=lambda given, **how: asked.update(config=given))
    stand_in.Image = lambda picture: picture.shape
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    fit(shapes, steps=3, options={"latent": 4}, out=tmp_path / "gen", tracker="wandb", progress=False)
    assert asked["config"] == {"family": "cvae", "seed": 0, "latent": 4}
    assert asked["project"] == "synthaug"
    assert asked["finished"]
    assert [step for step, figures in logged if "loss" in figures] == [1, 2, 3]
    shown = [figures["samples"] for _, figures in logged if "samples" in figures]
    assert shown
    assert all(picture[2] == 3 for [picture] in shown)


def test_what_cannot_be_followed_is_refused_before_training(
    shapes: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "never", NeverTrained)
    with pytest.raises(AssertionError, match="training began"):
        fit(shapes, "never", steps=1, progress=False)
    with pytest.raises(InvalidRequest, match=r'no tracker "tensorbord".*Did you mean "tensorboard"'):
        fit(shapes, "never", steps=1, out=tmp_path / "a", tracker="tensorbord", progress=False)
    with pytest.raises(InvalidRequest, match="give out="):
        fit(shapes, "never", steps=1, tracker="tensorboard", progress=False)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InvalidRequest, match=r'pip install "synthaug\[trackers\]" wandb'):
        fit(shapes, "never", steps=1, out=tmp_path / "b", tracker="wandb", progress=False)
    assert list(tmp_path.iterdir()) == []


def test_without_accelerate_a_tracker_by_name_is_refused_and_one_of_ones_own_is_not(
    shapes: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "accelerate.tracking", None)
    with pytest.raises(InvalidRequest, match=r'pip install "synthaug\[trackers\]" tensorboard'):
        fit(shapes, steps=1, tracker="tensorboard", progress=False)
    tracker = Figures()
    fit(shapes, steps=1, tracker=tracker, progress=False)
    assert tracker.steps == [1]


def test_events_lend_their_figures_only() -> None:
    line = {"step": 3, "seconds": 0.5, "event": "recovered", "parts": ["a"], "learning_rate_factor": 0.5}
    assert figures_of(line) == {"seconds": 0.5, "learning_rate_factor": 0.5}
    with follow(None, None, {}) as nothing:
        assert nothing is None
