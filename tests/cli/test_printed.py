"""Facts as people read them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from synthaug import fit
from synthaug.cli import main
from synthaug.cli.printed import facts_in_lines, in_lines, plan_in_lines, table

Arrays = tuple[np.ndarray, np.ndarray]


def inspected(path: Path | str) -> str:
    done = CliRunner().invoke(main, ["inspect", str(path)], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_a_generator_is_told_in_lines_and_a_table(shapes: Arrays, tmp_path: Path) -> None:
    fit(shapes, steps=2, out=tmp_path / "gen", progress=False)
    told = inspected(tmp_path / "gen")
    assert re.search(r"^family +cvae$", told, re.M)
    assert re.search(r"^trained +2 steps in .*, seed 0$", told, re.M)
    assert re.search(r"^class +rows\nlying +60\nstanding +60$", told, re.M)
    assert not re.search(r"null|None|True|False|[{}]", told)
    assert max(map(len, told.splitlines())) <= 100


def test_a_data_set_is_told_in_lines_and_a_table() -> None:
    told = inspected("bundled:digits")
    assert re.search(r"^rows +1797$", told, re.M)
    assert re.search(r"^class +rows\n0 +178$", told, re.M)
    assert "broken" not in told  # nothing is


def test_of_a_thousand_classes_the_first_are_shown() -> None:
    counts = {f"class {number}": number for number in range(1000)}
    told = facts_in_lines({"kind": "data set", "rows": 5, "classes": counts})
    assert len(told.splitlines()) < 30
    assert "and 980 more: all of it with --json" in told
    assert "and 980 more" in in_lines({"counts": counts})


def test_numbers_stand_below_one_another() -> None:
    lines = table(
        ["class", "rows", "diversity"], [["a", "5", "0.25"], ["longer", "1,000", "1.00"]]
    ).splitlines()
    assert lines == ["class    rows  diversity", "a           5       0.25", "longer  1,000       1.00"]


def test_what_is_not_there_is_not_told_and_truth_is_yes_or_no() -> None:
    facts = {
        "none": None,
        "empty": {},
        "no_rows": [],
        "held": False,
        "kept": True,
        "share": 0.25,
        "of": {"a": {"b": 1}},
    }
    assert in_lines(facts).splitlines() == ["held   no", "kept   yes", "share  0.25", "of a   b 1"]


SHORT = ("--folds", 2, "--classifier-steps", 2, "--steps", 2, "--dry-run")


@pytest.fixture
def data(shapes: Arrays, tmp_path: Path) -> Path:
    np.savez(tmp_path / "data.npz", X=shapes[0], y=shapes[1])
    return tmp_path / "data.npz"


def said(*arguments: object) -> str:
    done = CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("verb", ["choose", "evaluate"])
def test_a_dry_run_says_how_long_it_takes_and_what_is_trained(data: Path, verb: str) -> None:
    told = said(verb, data, *SHORT, "--jobs", 2)
    assert re.search(r"^takes +about [\d.]+( \w+)? to [\d.]+ \w+$", told, re.M), told
    assert re.search(r"^trains +\d+ to \d+ classifiers and 3 to 5 generators, in 2 processes$", told, re.M), (
        told
    )
    assert re.search(r"^ *each cvae +2 steps, [\d,]+ parameters, latent", told, re.M), told
    assert not re.search(r"in full|null|None|True|False|[{}]| config", told)
    assert max(map(len, told.splitlines())) <= 100
    found = json.loads(said(verb, data, *SHORT, "--jobs", 2, "--json"))
    assert found["takes"].startswith("about ")
    full = found["takes_in_full"]
    for name in ("seconds", "trainings", "generators"):
        least, most = full[name]
        assert 0 < least < most
    assert found["trains"].startswith("{} to {} classifiers and ".format(*full["trainings"]))
    assert full["generators"] == [3, 5]
    assert full["processes"] == 2


def test_a_dry_run_of_what_is_there_says_no_time(data: Path, tmp_path: Path) -> None:
    said("choose", data, *SHORT[:-1], "--family", "warp", "--jobs", 1, "--quiet", "--out", tmp_path / "plan")
    told = said("choose", data, *SHORT, "--family", "warp", "--out", tmp_path / "plan")
    assert re.search(r"^there +already$", told, re.M)
    assert "takes" not in told


def test_a_dry_run_says_the_time_once(data: Path) -> None:
    told = said("fit", data, "--steps", 2, "--dry-run")
    assert re.findall("takes.*", told) == re.findall(r"takes +about [\d.]+ \w+", told)
    assert len(re.findall("takes", told)) == 1
    whole = json.loads(said("fit", data, "--steps", 2, "--dry-run", "--json"))
    assert {"takes", "takes_in_full"} <= whole.keys()
    nested = said("expand", data, "--to", "2x", "--steps", 2, "--dry-run")
    assert re.findall("takes.*", nested) == re.findall(r"takes about [\d.]+ \w+", nested)


def test_what_is_within_a_fact_stands_below_it() -> None:
    plan = {"rows": {"train": {"cat": 2}, "test": {"cat": 1}}, "data_set": {"of": {"some": [1, 2]}}, "n": 3}
    assert plan_in_lines(plan).splitlines() == [
        "rows",
        "  train   cat 2",
        "  test    cat 1",
        "data set",
        "  of",
        "    some  1, 2",
        "n         3",
    ]
