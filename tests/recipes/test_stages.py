"""What of a recipe is done again after a change, and what is not."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cooked import FIT, JUDGED, Arrays, chosen, few, pictures, run, written
from PIL import Image

from synthaug import Protocol, judging
from synthaug.errors import OutputExists
from synthaug.recipes import load_recipe, run_recipe


@pytest.fixture
def photos(shapes: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return few(tmp_path, shapes)


DEMO = FIT | JUDGED


def done(photos: Path, name: str = "demo", overwrite: bool = False, **changes: Any) -> dict[str, Any]:
    settings = DEMO | {key.replace("__", "."): value for key, value in changes.items()}
    recipe = load_recipe(name, data=str(photos), out="out", settings=settings)
    return run_recipe(recipe, overwrite=overwrite, progress=False, say=lambda _: None)


def changed(before: dict[str, int]) -> set[str]:
    """The outputs of which something was written since."""
    after = written(Path("out"))
    return {name.split("/")[0] for name in {*before, *after} if before.get(name) != after.get(name)}


@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")
def test_only_what_depends_on_a_change_is_done_again(photos: Path, trained: list[str]) -> None:
    done(photos)
    assert trained == ["cvae"]
    before = written(Path("out"))
    with pytest.raises(OutputExists, match="expanded exists and came from another request"):
        done(photos, expand__to="3x")
    assert changed(before) == set()
    done(photos, expand__to="3x", overwrite=True)
    assert (changed(before), trained) == ({"expanded"}, ["cvae"])
    before = written(Path("out"))
    done(photos, expand__to="3x", sample__counts=3, overwrite=True)
    assert (changed(before), trained) == ({"samples.parquet"}, ["cvae"])
    before = written(Path("out"))
    done(photos, expand__to="3x", sample__counts=3, evaluate__seeds=3, overwrite=True)
    assert (changed(before), trained) == ({"report"}, ["cvae"])
    before = written(Path("out"))
    with pytest.raises(OutputExists, match=r"generator exists .*\(steps: 2 there, 3 asked\)"):
        done(photos, fit__steps=3)
    assert changed(before) == set()
    done(photos, fit__steps=3, overwrite=True)
    assert changed(before) == {"generator", "samples.parquet", "samples.png", "expanded", "report"}
    assert trained == ["cvae", "cvae"]


@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")
def test_rows_that_change_change_all_that_is_made_of_them(photos: Path, trained: list[str]) -> None:
    quick = {"evaluate": None, "mix": None}
    done(photos, **quick)
    Image.fromarray(np.full((12, 10), 7, np.uint8)).save(photos / "lying" / "another.png")
    with pytest.raises(OutputExists, match="fit: "):
        done(photos, **quick)
    before = written(Path("out"))
    done(photos, **quick, overwrite=True)
    assert changed(before) == {"generator", "samples.parquet", "samples.png", "expanded"}
    assert trained == ["cvae", "cvae"]


@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")
def test_what_is_in_the_way_of_a_late_step_is_told_before_an_early_one_is_trained(
    photos: Path, trained: list[str]
) -> None:
    Path("out/report").mkdir(parents=True)
    Path("out/report/mine.txt").write_text("mine")
    Path("mine.yaml").write_text("version: 1\nabout: mine\nchoose: {}\nevaluate: {}\n")
    for more in ([], ["--dry-run"]):
        told = run("run", "mine.yaml", "--data", photos, "--out", "out", *more)
        assert (told.exit_code, trained) == (1, [])
        assert "report exists and synthaug did not write it" in told.stderr


@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")
def test_a_picture_that_is_somebody_elses_is_not_replaced_unasked(photos: Path) -> None:
    Path("out").mkdir()
    Image.new("L", (3, 3)).save("out/samples.png")
    quick = {"evaluate": None, "mix": None, "expand": None}
    with pytest.raises(OutputExists, match=r"samples.png exists and synthaug did not write it"):
        done(photos, **quick)
    done(photos, **quick, overwrite=True)
    with Image.open("out/samples.png") as picture:
        assert picture.width > 3


@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")
def test_a_generator_learns_from_unlabelled_rows_that_a_recipe_names(
    photos: Path, shapes: Arrays, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = partial(judging.judge_unlabelled, protocol=Protocol(classifier_steps=2, judge_steps=2))
    monkeypatch.setattr(judging, "judge_unlabelled", quick)
    pictures(photos.parent / "more", shapes[0][30:60], np.array(["any"] * 30))
    asked = {"fit.unlabelled": "more", "evaluate": None, "mix": None, "sample": None}
    done(photos, **asked)
    assert "unlabelled" in json.loads(Path("out/generator/synthaug.json").read_text())["request"]
    done(photos, **asked)
    assert trained == ["cvae"]
    Path("more/any/0.png").unlink()
    with pytest.raises(OutputExists, match="unlabelled: "):
        done(photos, **asked)


@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")
def test_rows_of_an_earlier_plan_are_told_of(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = [True, False]
    monkeypatch.setattr(
        "synthaug.verbs.choose", lambda *asked, **how: chosen(*asked, generator=plans.pop(0), **how)
    )
    recipe, told = load_recipe("few-images", data=str(photos), out="out"), list[str]()
    assert "out" in run_recipe(recipe, progress=False, say=told.append)["expand"]
    assert not any("an earlier plan" in line for line in told)
    shutil.rmtree("out/plan")  # it says of no request that it is its answer
    assert list(run_recipe(recipe, progress=False, say=told.append)["expand"]) == ["advice"]
    assert any("there is no expanded; out/expanded is of an earlier plan" in line for line in told)


@pytest.mark.filterwarnings("ignore::synthaug.SynthaugWarning")
def test_what_a_recipe_wrote_is_made_again_from_its_record(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("synthaug.verbs.choose", chosen)
    done(photos, evaluate=None, mix=None)
    run_recipe(load_recipe("few-images", data=str(photos), out="few"), progress=False, say=lambda _: None)
    for made in ("out/expanded", "out/samples.parquet", "few/expanded", "few/samples.parquet"):
        again = Path("again") / made
        assert run("run", made, "--out", again, "-q").exit_code == 0
        assert contents(Path(made)) == contents(again), made


def contents(place: Path) -> dict[str, bytes]:
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in files}


def test_unlabelled_rows_stay_apart_from_what_is_written(photos: Path, shapes: Arrays) -> None:
    more = pictures(photos.parent / "more", shapes[0][30:40], np.array(["any"] * 10))
    asked = ["run", "unlabelled-rows", "--data", photos, "--set", f"choose.unlabelled={more}"]
    told = run(*asked, "--out", more)
    assert told.exit_code == 2
    assert f'lies in the unlabelled rows of choose "{more}"' in told.stderr
