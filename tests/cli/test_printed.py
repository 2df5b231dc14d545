"""Facts as people read them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from synthaug import fit
from synthaug.cli import main
from synthaug.cli.printed import facts_in_lines, in_lines, table

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
