"""How far the walks are: how often a picture is decoded, a source opened, and how deep a call goes."""

from __future__ import annotations

import os
import sys
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import synthaug
from synthaug import Protocol
from synthaug.families import FAMILIES
from synthaug.testing import Planted, planted_generator

ROOT = str(Path(synthaug.__file__).parent)
QUICK = Protocol(folds=2, seeds=2, classifier_steps=2, judge_steps=2, steps=2)


@pytest.fixture
def folder(tmp_path: Path, shapes: tuple[np.ndarray, np.ndarray]) -> Path:
    """120 pictures below two class folders."""
    for row, (image, label) in enumerate(zip(*shapes, strict=True)):
        place = tmp_path / "pictures" / label
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{row:03}.png")
    return tmp_path / "pictures"


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each folder has been listed with all that is below it."""
    counts: Counter[str] = Counter()
    scandir = os.scandir

    def counting(*args: Any) -> Any:
        if args and Path(str(args[0])).parent.name == "pictures":
            counts[Path(args[0]).name] += 1
        return scandir(*args)

    monkeypatch.setattr(os, "scandir", counting)
    return counts


@pytest.mark.parametrize(
    "verb", ["fit", "expand", "expand with a generator", "choose", "evaluate", "inspect"]
)
def test_a_folder_is_opened_once_and_each_picture_decoded_once(
    verb: str, folder: Path, tmp_path: Path, decodes: Counter[Any], openings: Counter[str]
) -> None:
    out = tmp_path / "out"
    if verb == "fit":
        synthaug.fit(str(folder), steps=2, out=out, progress=False)
    elif verb == "expand":
        synthaug.expand(str(folder), to="2x", steps=2, out=out, progress=False)
    elif verb == "expand with a generator":
        form = synthaug.open_data(folder).form.fitted(np.zeros((1, 12, 10), np.uint8))
        openings.clear()
        generator = planted_generator(("lying", "standing"), form=form)
        synthaug.expand(str(folder), generator, to="2x", out=out, progress=False)
    elif verb == "choose":
        synthaug.choose(str(folder), protocol=QUICK, families="cvae", jobs=1, out=out, progress=False)
    elif verb == "evaluate":
        synthaug.evaluate(str(folder), protocol=QUICK, families="cvae", jobs=1, out=out, progress=False)
    else:
        synthaug.inspect(folder)
    assert {name: n for name, n in openings.items() if name in ("lying", "standing")} == {
        "lying": 1,
        "standing": 1,
    }
    mine = {path: n for path, n in decodes.items() if str(path).startswith(str(folder))}
    assert max(mine.values(), default=0) <= 1
    assert len(mine) == 120


def ours(stack: traceback.StackSummary) -> list[str]:
    """The functions of synthaug in a stack, from the outside in."""
    return [frame.name for frame in stack if frame.filename.startswith(ROOT)]


def test_from_fit_to_the_loss_are_at_most_four_calls(
    shapes: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    class Probe(Planted):
        def _away_from_the_mean(self, batch: Any, progress: float, rng: Any) -> Any:
            seen.append(ours(traceback.extract_stack()))
            return super()._away_from_the_mean(batch, progress, rng)

    monkeypatch.setitem(FAMILIES, "planted", Probe)
    synthaug.fit(shapes, "planted", steps=1, progress=False)
    assert seen[0][:2] == ["fit", "train"]
    assert len(seen[0]) <= 4


def test_a_mixed_batch_is_at_most_three_calls_deep() -> None:
    images = torch.zeros(60, 8, 9, dtype=torch.uint8)
    images[:, 0, 0] = 255
    loader = DataLoader(TensorDataset(images, torch.arange(60) % 3), batch_size=10, shuffle=True)
    mixed = synthaug.mix(loader, planted_generator(values=(0, 1, 2)), ratio=0.5, flag=True)
    batches = iter(mixed)
    next(batches)
    deepest = 0

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal deepest
        if event == "call" and frame.f_code.co_filename.startswith(ROOT):
            names = [
                each.f_code.co_name
                for each, _ in traceback.walk_stack(frame)
                if each.f_code.co_filename.startswith(ROOT)
                and not each.f_code.co_name.startswith("<")  # parts of the function that they are written in
            ]
            deepest = max(deepest, len(names) - 1)

    sys.setprofile(profile)
    try:
        next(batches)
    finally:
        sys.setprofile(None)
    assert 0 < deepest <= 3


def test_from_evaluate_to_the_classifier_are_at_most_eight_calls(
    shapes: tuple[np.ndarray, np.ndarray],
) -> None:
    seen: list[list[str]] = []

    def train(loader: Any, steps: int, seed: int) -> Any:
        seen.append(ours(traceback.extract_stack()))
        return lambda batch: np.zeros(len(batch), np.int64)

    synthaug.evaluate(shapes, train=train, families="cvae", protocol=QUICK, jobs=1, progress=False)
    assert all(calls[0] == "evaluate" for calls in seen)
    assert max(map(len, seen)) <= 8
