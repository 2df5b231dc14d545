"""The command on the page: pasted, it gives the same report; where none can be said, lines of Python do."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import synthaug
from synthaug.cli import main
from synthaug.options import command_of, python_of
from synthaug.requests import EvaluateRequest

SMALL = synthaug.Protocol(seeds=2, classifier_steps=4, judge_steps=2, steps=2)


def without_times(told: Any) -> Any:
    """A report without how long anything took."""
    if isinstance(told, dict):
        return {k: without_times(v) for k, v in told.items() if k not in ("seconds", "cost", "processes")}
    return [without_times(each) for each in told] if isinstance(told, list) else told


FIRST = """
import synthaug
small = synthaug.Protocol(seeds=2, classifier_steps=4, judge_steps=2, steps=2)
rows = synthaug.open_data("my shapes.npz", label="finding")
how = dict(ratio=0.5, protocol=small, seed=3, device="cpu", jobs=1, progress=False)
synthaug.evaluate(rows, families="warp", out="one", **how)
"""


def test_the_command_of_a_report_gives_the_same_report(
    shapes: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own, through the shell, from the folder that the first one was called in."""
    monkeypatch.chdir(tmp_path)
    images, labels = shapes
    np.savez("my shapes.npz", X=images, finding=labels, y=labels[::-1])
    own = os.environ | {"OMP_NUM_THREADS": "1"}  # sums of several threads differ in their last bits
    subprocess.run([sys.executable, "-W", "ignore", "-c", FIRST], check=True, capture_output=True, env=own)
    told = json.loads(Path("one/report.json").read_text())
    command = told["setup"]["again"]
    assert command.startswith("synthaug evaluate 'my shapes.npz' --label finding ")
    pasted = command.replace("synthaug", f"{shlex.quote(sys.executable)} -m synthaug.cli", 1)
    subprocess.run(f"{pasted} --quiet", shell=True, check=True, capture_output=True, env=own)
    again = json.loads(Path("again/report.json").read_text())
    assert without_times(again) == without_times(told)
    assert shlex.quote("my shapes.npz") in Path("one/report.html").read_text().replace("&#39;", "'")


def test_a_command_is_read_as_what_it_was_made_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option that a command says comes back, by the command line's own reading."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.savez(
        "x.npz", X=rng.integers(0, 255, (60, 12, 12), dtype=np.uint8), y=np.repeat(["a b", "b", "c"], 20)
    )
    rows = synthaug.open_data("x.npz", image_size=(9, 8), leave_out=["b"], resize="pad")
    protocol = synthaug.Protocol(seeds=4, generators=2, minutes=0.25, full=True, prior="a b=1,c=2")
    asked = EvaluateRequest(rows, ("warp", "cvae"), protocol=protocol, seed=-5, device="cpu")
    command = command_of("evaluate", asked, "again")
    assert command is not None
    words = shlex.split(command)[1:]
    context = main.commands["evaluate"].make_context("evaluate", words[1:])
    found: dict[str, Any] = context.params
    assert (found["data"], found["image_size"], found["leave_out"]) == ("x.npz", (9, 8), ("b",))
    assert (found["resize"], found["families"], found["seed"]) == ("pad", ("warp", "cvae"), -5)
    assert all(found[name] == value for name, value in vars(protocol).items())


def test_what_no_command_can_say_is_said_in_python(shapes: tuple[np.ndarray, np.ndarray]) -> None:
    asked = EvaluateRequest(synthaug.open_data(shapes), ("warp",), protocol=replace(SMALL, full=True), seed=7)
    assert command_of("evaluate", asked, "again") is None
    assert python_of("evaluate", asked, "again").splitlines() == [
        "import synthaug",
        "data = synthaug.open_data(SOURCE)",
        "synthaug.evaluate(data, families=('warp',), seed=7, protocol=synthaug.Protocol("
        "seeds=2, classifier_steps=4, judge_steps=2, steps=2, full=True), out='again')",
    ]
    own = replace(asked, train=lambda loader, steps, seed: None)
    assert "train=TRAIN" in python_of("evaluate", own, "again")


@pytest.mark.parametrize("said", [{"label": 1}, {"group": ["a"] * 60}, {"leave_out": [3]}], ids=str)
def test_what_a_command_would_take_for_something_else_is_not_said_by_one(
    said: dict[str, Any], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", X=rng.integers(0, 255, (60, 12, 12), dtype=np.uint8), y=np.arange(60) % 4)
    rows = replace(synthaug.open_data(tmp_path / "x.npz"), said=said)
    assert command_of("evaluate", EvaluateRequest(rows), "again") is None
    (name, value), lines = *said.items(), python_of("evaluate", EvaluateRequest(rows), "again")
    # names of patients are not copied into a report
    assert f"{name}={'GROUP' if name == 'group' else repr(value)}" in lines


def test_rows_without_a_source_and_arrays_beside_them_are_capitals(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (60, 12, 12), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", X=images, y=np.arange(60) % 3)
    rows = synthaug.open_data(tmp_path / "x.npz", group=np.arange(60) // 2)
    assert "open_data(SOURCE" in python_of("evaluate", EvaluateRequest(rows.take(np.arange(50))), "again")
    asked = EvaluateRequest(rows, unlabelled=replace(rows, said={"group": np.arange(60)}))
    assert command_of("evaluate", asked, "again") is None


def test_unlabelled_rows_and_whole_minutes_are_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("x.npz", "more.npz"):
        np.savez(tmp_path / name, X=rng.integers(0, 255, (60, 12, 12), dtype=np.uint8), y=np.arange(60) % 3)
    rows = synthaug.open_data(tmp_path / "x.npz", image_size=10)
    more = synthaug.open_data(tmp_path / "more.npz", image_size=10)
    asked = EvaluateRequest(rows, unlabelled=more, protocol=synthaug.Protocol(minutes=2))
    command = command_of("evaluate", asked, "again")
    assert command == (
        f"synthaug evaluate {tmp_path / 'x.npz'} --image-size 10 --minutes 2 "
        f"--unlabelled {tmp_path / 'more.npz'} --out again"
    )
