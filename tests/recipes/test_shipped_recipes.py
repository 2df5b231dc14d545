"""Recipes as they are shipped, each run at a small size."""

from __future__ import annotations

import os
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
from cooked import (
    GIVES,
    PIPELINES,
    TOLD,
    WORLDS,
    chosen,
    document,
    in_yaml,
    written,
)

from synthaug import Plan, open_data
from synthaug.recipes.schema import STEPS


def each_recipe(*names: str) -> Any:
    return pytest.mark.parametrize(("name", "asked"), [(name, name) for name in names], indirect=["asked"])


def test_every_shipped_recipe_is_run_here() -> None:
    assert set(WORLDS) == set(TOLD) == {path.stem for path in PIPELINES.glob("*.yaml")}


@each_recipe(*WORLDS)
@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")  # two steps make poor samples
def test_a_shipped_recipe_runs_and_a_second_time_does_nothing_again(
    name: str, asked: list[object], trained: list[str]
) -> None:
    dry = document(*asked, "--dry-run")
    assert dry["there"] == []
    assert not Path("out").exists()
    trained.clear()  # what measures the time is thrown away
    found = document(*asked)
    steps = [step for step in STEPS if step in in_yaml(name)]
    assert list(found) == ["data", *steps]
    for file in GIVES.get(name, ["plan/plan.json"]):
        assert (Path("out") / file).exists(), file
    if "mix" in found:
        mixed = found["mix"]
        assert abs(mixed["synthetic"] - (mixed["real"] + mixed["synthetic"]) / 4) < 1
    if "plan" in os.listdir("out"):
        plan = Plan.load("out/plan")
        expand = in_yaml(name).get("expand")
        assert not expand or (Path("out") / expand["file"]).exists() == plan.accepted
    for file, rows in dry["rows"].items():
        if (Path("out") / file).exists():  # a plan may be to use none
            assert len(open_data(Path("out") / file)) == rows
    before, n = written(Path("out")), len(trained)
    assert n > 0
    assert document(*asked) == found
    assert written(Path("out")) == before
    assert len(trained) == n
    there = [
        step for step in steps if step in ("fit", "choose") or (step == "evaluate" and "fit" not in steps)
    ]
    assert document(*asked, "--dry-run")["there"] == there


@each_recipe("unequal-images", "unlabelled-rows", "hugging-face", "unequal-table", "photographs")
@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")
def test_where_a_plan_asks_for_synthetic_rows_they_are_written(
    name: str, asked: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthaug.verbs.choose", chosen)
    place = Path(document(*asked)["expand"]["out"])
    assert place == Path("out") / in_yaml(name)["expand"]["file"]
    real, larger = open_data(asked[3]), open_data(place)
    for label, n in real.counts.items():  # a quarter of each class, more or less a row
        assert abs(larger.counts[label] - n / 0.75) <= 1
    if name == "hugging-face":
        rows = datasets.load_from_disk(str(place))
        assert rows.features["label"] == datasets.load_from_disk("set").features["label"]
        assert rows["note"][:24] == ["mine"] * 24
        assert sum(rows["synthetic"]) == len(rows) - 24


@each_recipe("expand-then-train")
@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")
def test_a_training_in_plain_pytorch_takes_what_was_written(
    name: str, asked: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    document(*asked)
    program = PIPELINES / "expand_then_train.py"
    assert not re.search(r"^\s*(import|from) synthaug", program.read_text(), re.M)
    monkeypatch.setattr(sys, "argv", [str(program), "out/expanded.npz", "--steps", "3", "--seeds", "2"])
    runpy.run_path(str(program), run_name="__main__")
    real, both = capsys.readouterr().out.splitlines()
    assert real.startswith("32 rows, without synthetic ones: 3 steps, balanced accuracy ")
    assert both.startswith("64 rows, with synthetic ones: 3 steps, balanced accuracy ")
    assert Path("classifier-expanded.pt").is_file()
