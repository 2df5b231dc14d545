"""Help, and what is looked at before a command begins."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

import synthaug
from synthaug.cli import main
from synthaug.cli.group import Option

Arrays = tuple[np.ndarray, np.ndarray]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)


@pytest.fixture
def data(shapes: Arrays, tmp_path: Path) -> Path:
    np.savez(tmp_path / "data.npz", X=shapes[0], y=shapes[1])
    return tmp_path / "data.npz"


def test_the_list_of_commands_is_whole_and_each_has_one_line() -> None:
    listed = run("--help").stdout
    assert "..." not in listed.split("Commands:")[1].split("Example:")[0]
    for name, command in main.commands.items():
        assert f"  {name:8}  {command.get_short_help_str()}\n" in listed
    assert "_SYNTHAUG_COMPLETE=bash_source" in listed


def test_completion_names_commands_and_options() -> None:
    for words, found in (("synthaug ev", "evaluate"), ("synthaug fit --pat", "--patience")):
        told = {
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
            "_SYNTHAUG_COMPLETE": "bash_complete",
        }
        done = CliRunner().invoke(main, prog_name="synthaug", env=told)
        assert found in done.output


def test_help_says_options_in_parts_and_no_number_of_64_bits() -> None:
    for name, command in main.commands.items():
        told = run(name, "--help").stdout
        assert "9223372036854775807" not in told
        assert "RANGE" not in told
        parts = re.findall(r"^(\w+):$", told, re.M)
        assert parts == [
            each for each in ("Options", "Budget", "Data", "Output", "Everywhere") if each in parts
        ]
        given = [each for each in command.params if isinstance(each, click.Option)]
        assert all(isinstance(each, Option) for each in given), name
        assert sum(
            f"  {opt}" in told or f", {opt}" in told for each in given for opt in each.opts[-1:]
        ) == len(given)


def test_commands_show_what_means_something_for_them() -> None:
    for name in ("fit", "sample", "expand", "choose", "evaluate", "inspect", "push"):
        verb = inspect.signature(getattr(synthaug, name)).parameters
        shown = {each.name for each in main.commands[name].params}
        everywhere = {"seed", "device", "overwrite"}
        assert everywhere & shown == everywhere & set(verb), name


@pytest.mark.parametrize("command", ["fit {data} --steps 1", "choose {data} --steps 1", "evaluate {data} --steps 1",
                                     "expand {data} --to 2x --steps 1", "inspect {data}"])  # fmt: skip
def test_a_device_is_looked_at_first(data: Path, command: str) -> None:
    data.with_name("mine").mkdir()
    (data.with_name("mine") / "x.txt").write_text("mine")
    for source in (data, data.with_name("nowhere")):
        asked = command.format(data=source).split()
        done = run(*asked, "--device", "cuda:9", "--out", data.with_name("mine"))
        assert done.exit_code == 2
        assert "cuda:9" in done.stderr


def test_a_tracker_and_a_device_are_looked_at_before_the_output(data: Path, shapes: Arrays) -> None:
    taken = data.with_name("mine")
    taken.mkdir()
    (taken / "x.txt").write_text("mine")
    for option, value in (("tracker", "nobody"), ("device", "cuda:9")):
        for source in (data, data.with_name("nowhere")):
            done = run("fit", source, "--steps", 1, f"--{option}", value, "--out", taken)
            assert (done.exit_code, value in done.stderr) == (2, True), done.stderr
        with pytest.raises(synthaug.SynthaugError, match=value):
            synthaug.fit(shapes, steps=1, out=taken, **{option: value})  # type: ignore[arg-type]
    assert "nobody" in run("fit", data, "--tracker", "nobody", "--dry-run").stderr


def test_a_dry_run_needs_no_output_and_all_else_does(data: Path) -> None:
    assert run("fit", data, "--steps", 2, "--out", data.with_name("gen")).exit_code == 0
    commands: list[tuple[Any, ...]] = [
        ("fit", data, "--steps", 2),
        ("sample", data.with_name("gen"), "--per-class", 1),
        ("expand", data, "--to", "2x", "--steps", 2),
        ("expand", data, "--to", "2x", "--generator", data.with_name("gen")),
    ]
    before = sorted(os.walk(data.parent))
    for command in commands:
        assert run(*command, "--dry-run").exit_code == 0
        told = run(*command)
        assert told.exit_code == 2
        assert "Missing option '--out'" in told.stderr
    found = json.loads(run(*commands[0], "--dry-run", "--json").stdout)
    assert found["out"] is None
    assert found["takes_in_full"]["steps"] == 2
    untrained, trained = (json.loads(run(*each, "--dry-run", "--json").stdout) for each in commands[2:])
    assert "takes" in untrained["training"]
    assert "training" not in trained
    assert untrained["rows"] == trained["rows"]
    assert sorted(os.walk(data.parent)) == before


def test_only_what_could_be_data_is_suggested(data: Path) -> None:
    for name in ("apt.log", "notes.txt", ".hidden.csv"):
        (data.parent / name).write_text("x")
    for folder in ("empty", "logs", "photos/cat"):
        (data.parent / folder).mkdir(parents=True)
    (data.parent / "logs" / "x.log").write_text("x")
    done = run("inspect", data.parent / "zzz.npz")
    assert done.exit_code == 1
    assert 'Known: "data.npz", "photos".' in done.stderr


OFFLINE = """
import sys, time, datasets
import synthaug
began = time.monotonic()
try:
    synthaug.open_data("someone/cats")
except synthaug.SynthaugError as error:
    print(time.monotonic() - began, error)
print(datasets.config.HF_HUB_OFFLINE)
"""


def test_a_hub_that_cannot_be_reached_is_said_at_once_in_one_line(tmp_path: Path) -> None:
    own = {name: value for name, value in os.environ.items() if "OFFLINE" not in name}
    nobody = own | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", OFFLINE],
        env=nobody,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    told, after = done.stdout.splitlines()
    seconds, _, error = told.partition(" ")
    assert float(seconds) < 10  # with its retries it was 23; alone on a machine it is less than one
    assert "the hub cannot be reached" in error
    assert after == "False"


def test_messages_show_no_python(data: Path) -> None:
    for to in ("lying=1", "lying=60,standing=60"):
        told = run("expand", data, "--to", to, "--steps", 1, "--dry-run").stderr
        assert not re.search(r"[{}]|None|True|False", told), told
        assert to.split(",")[0] in told


def test_a_second_fit_says_that_nothing_was_trained(tmp_path: Path) -> None:
    out = tmp_path / "gen"
    asked = ["fit", "bundled:digits", "--steps", "1", "--out", str(out)]
    first, second = (CliRunner().invoke(main, asked, catch_exceptions=False) for _ in range(2))
    assert f"saved in {out}" in first.stdout
    assert f"nothing was trained: it is there already, in {out}" in second.stdout
