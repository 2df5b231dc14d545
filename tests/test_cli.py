from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from synthaug import Plan, open_data
from synthaug.cli import main
from synthaug.families import FAMILIES, Family
from synthaug.judging import USUAL_PROTOCOL
from synthaug.requests import FitRequest

Arrays = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def place(shapes: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data.npz and a generator trained on it from the command line."""
    folder = tmp_path_factory.mktemp("cli")
    np.savez(folder / "data.npz", X=shapes[0], y=shapes[1])
    done = run("fit", folder / "data.npz", "--steps", 2, "--out", folder / "gen")
    assert done.exit_code == 0, done.stderr
    assert "Generator(cvae, 2 classes" in done.stdout
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


def document(*arguments: object) -> dict[str, object]:
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_every_command_has_help_with_an_example() -> None:
    for command in main.commands:
        done = run(command, "--help")
        assert done.exit_code == 0
        assert f"synthaug {command}" in done.stdout.split("Example:")[1]
    assert set(main.commands) == {
        "fit",
        "sample",
        "expand",
        "choose",
        "evaluate",
        "inspect",
        "push",
        "run",
        "demo",
    }


def test_help_answers_at_once() -> None:
    seconds = []
    for _ in range(3):  # of processor time, since the machine may be busy with other tests
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "synthaug.cli", "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.5


def test_sample_writes_exactly_the_rows_asked_for(place: Path) -> None:
    out = place / "more.parquet"
    found = document("sample", place / "gen", "--counts", "standing=3,lying=1", "--out", out)
    assert found["counts"] == {"standing": 3, "lying": 1}
    assert open_data(str(out)).counts == {"lying": 1, "standing": 3}
    assert document("inspect", out)["rows"] == 4


def test_expand_plans_dry_and_writes_wet(place: Path) -> None:
    out = place / "bigger.npz"
    arguments = ("expand", place / "data.npz", "--generator", place / "gen", "--to", "1.5x", "--out", out)
    assert document(*arguments, "--dry-run")["rows_to_add"] == {"lying": 30, "standing": 30}
    assert not out.exists()
    assert document(*arguments)["rows_added"] == {"lying": 30, "standing": 30}
    assert open_data(str(out)).counts == {"lying": 90, "standing": 90}
    assert document("inspect", out)["kind"] == "expanded data set"


def test_warnings_are_one_line_on_stderr(place: Path, shapes: Arrays) -> None:
    images, labels = shapes
    np.savez(place / "few.npz", X=images[:63:2], y=np.where(np.arange(32) < 3, "rare", labels[:63:2]))
    command = [
        sys.executable,
        "-m",
        "synthaug.cli",
        "fit",
        place / "few.npz",
        "--steps",
        "1",
        "--out",
        place / "few",
    ]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    assert next(line for line in done.stderr.splitlines() if "few images" in line).startswith(
        "Warning: few images of"
    )
    assert "cli.py" not in done.stderr


def test_inspect_tells_a_generator_from_a_data_set(place: Path) -> None:
    assert document("inspect", place / "gen")["family"] == "cvae"
    assert document("inspect", place / "data.npz")["classes"] == {"lying": 60, "standing": 60}


def test_inspect_draws_what_is_inside_a_generator(place: Path) -> None:
    arguments = ("inspect", place / "gen", "--out", place / "inside", "--real", place / "data.npz")
    pictures = document(*arguments)["pictures"]
    assert set(pictures) == {"interpolation.png", "traversal.png", "nearest.png"}  # type: ignore[call-overload]
    assert all((place / "inside" / name).stat().st_size > 100 for name in pictures)  # type: ignore[attr-defined]
    assert document(*arguments)["pictures"] == pictures
    assert run("inspect", place / "gen", "--real", place / "data.npz").exit_code == 2


def test_fit_says_what_it_achieved(place: Path) -> None:
    found = document("fit", place / "data.npz", "--steps", 2, "--out", place / "gen")
    assert "Not judged: 2 steps" in found["achieved"]["text"]  # type: ignore[index]
    assert document("inspect", place / "gen")["achieved"] == found["achieved"]


def test_evaluate_says_what_to_do_and_fails_on_no_only_when_asked(place: Path) -> None:
    arguments = (
        "evaluate",
        place / "data.npz",
        "--steps",
        2,
        "--seeds",
        2,
        "--classifier-steps",
        2,
        "--ratio",
        0.25,
    )
    out = place / "report"
    found = document(*arguments, "--out", out)
    assert found["verdict"] in ("helps", "no evidence", "harms")
    assert (out / "report.html").stat().st_size > 1000
    assert run(*arguments, "--fail-on-no").exit_code == (0 if found["verdict"] == "helps" else 3)


def test_usage_errors_exit_with_2_and_failures_with_1(place: Path) -> None:
    data, out = place / "data.npz", place / "never"
    cases = [
        (("fit", data, "--family", "cgna", "--steps", 1, "--out", out), 2, 'Did you mean "cgan"'),
        (("fit", data, "--label", "z", "--steps", 1, "--out", out), 2, "z"),
        (("fit", place / "data.npy", "--steps", 1, "--out", out), 1, "data.npz"),
        (("sample", place / "gen", "--out", out), 2, "--per-class or --counts"),
        (("sample", place / "gen", "--counts", "standign=3", "--out", out), 2, 'Did you mean "standing"'),
        (("sample", place / "nowhere", "--per-class", 1, "--out", out), 1, "folder is not there"),
        (("expand", data, "--to", "0.5x", "--out", out), 2, "0.5x"),
        (("run", "dmeo"), 2, 'Did you mean "demo"'),
        (("run", "demo", "--set", "fit.stesp=3"), 2, "fit.stesp"),
        (("fti", data), 2, "No such command"),
    ]
    for arguments, code, text in cases:
        done = run(*arguments)
        assert (done.exit_code, text in done.stderr) == (code, True), (arguments, done.exit_code, done.stderr)
        assert done.stdout == ""
        assert not out.exists()


def test_what_cannot_be_done_is_refused_before_training_and_leaves_nothing(
    shapes: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: Family) -> None:
        raise AssertionError("training began")

    for name, family in list(FAMILIES.items()):
        monkeypatch.setitem(FAMILIES, name, type("Never", (family,), {"phases": never}))
    images, labels = shapes
    np.savez(tmp_path / "data.npz", X=images, y=labels)
    np.savez(tmp_path / "single.npz", X=images, y=np.zeros(len(images), np.int64))
    np.savez(tmp_path / "one.npz", X=images[:61], y=np.array(["a"] * 60 + ["b"]))
    np.savez(tmp_path / "short.npz", X=images, y=labels[:-1])
    np.savez(tmp_path / "soft.npz", X=images, y=np.full((len(images), 2), 0.5))
    for name, broken in (("nan-train", 0), ("nan-test", -1)):
        floats = images.astype(np.float32)
        floats[broken, 0, 0] = np.nan
        split = np.array(["train"] * 90 + ["test"] * 30)
        np.savez(tmp_path / f"{name}.npz", X=floats, y=labels, split=split)
    (tmp_path / "empty").mkdir()
    (tmp_path / "corrupt" / "a").mkdir(parents=True)
    (tmp_path / "corrupt" / "b").mkdir()
    for i in range(4):
        (tmp_path / "corrupt" / "ab"[i % 2] / f"{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("mine")
    sets = (
        "nothing.npz",
        "empty",
        "single.npz",
        "one.npz",
        "short.npz",
        "soft.npz",
        "nan-train.npz",
        "corrupt",
    )
    steps, out = ("--steps", 1), ("--out", tmp_path / "out")
    data = tmp_path / "data.npz"
    requests: list[tuple[object, ...]] = [("fit", tmp_path / name, *steps, *out) for name in sets]
    requests += [("evaluate", tmp_path / name, *steps, *out) for name in (*sets, "nan-test.npz")]
    requests += [("expand", tmp_path / name, "--to", "2x", *steps, *out) for name in sets]
    wrong = [
        ("--family", "cgna"),
        ("--steps", 0),
        ("--minutes", -1),
        ("--device", "cuda:9"),
        ("--train-split", "tset"),
    ]
    requests += [(c, data, *w, *out) for w in wrong for c in ("fit", "evaluate")]
    requests += [("expand", data, "--to", "2x", *w, *out) for w in wrong]
    requests += [
        ("fit", data, *steps, "--set", s, *out) for s in ("latnet=1", "latent=-1", "lr=x", "batch_size=0")
    ]
    numbers = [("--ratio", 1), ("--ratio", 0), ("--ratio", -0.1), ("--seeds", 1), ("--classifier-steps", 0)]
    requests += [("evaluate", data, *steps, *n, *out) for n in numbers]
    requests += [
        ("expand", data, "--to", to, *steps, *out) for to in ("1x", "0.5x", "zebra=9", "lying=-1", "x")
    ]
    requests += [("expand", data, "--to", "2x", "--format", "jpeg", *steps, *out)]
    requests += [("expand", data, "--to", "2x", *steps, "--out", tmp_path / "there")]
    requests += [(c, data, *steps, "--out", tmp_path / "there") for c in ("fit", "evaluate")]
    changes = (
        "mix.ratio=3",
        "sample.counts={zebra: 3}",
        "expand.to=0.5x",
        "expand.file=x.jpeg",
        "evaluate.seeds=1",
    )
    requests += [("run", "demo", "--data", data, *out, "--set", change) for change in changes]
    before = sorted(tmp_path.rglob("*"))
    for request in requests:
        done = run(*request)
        assert done.exit_code in (1, 2), request
        assert done.stderr.splitlines()[-1].startswith("Error: "), (request, done.stderr)
        assert sorted(tmp_path.rglob("*")) == before, request


def test_the_demo_recipe_runs_whole_and_a_second_time_does_nothing_twice(
    tmp_path: Path, shapes: Arrays
) -> None:
    np.savez(tmp_path / "data.npz", X=shapes[0], y=shapes[1])
    small = ("fit.minutes=null", "fit.steps=2", "evaluate.seeds=2", "evaluate.classifier_steps=2")
    arguments = ["run", "demo", "--data", tmp_path / "data.npz", "--out", tmp_path / "demo"]
    arguments += [part for setting in small for part in ("--set", setting)]
    found = document(*arguments)
    assert list(found) == ["data", "fit", "sample", "mix", "expand", "evaluate"]
    mixed = found["mix"]
    assert isinstance(mixed, dict)
    assert (mixed["real"], mixed["synthetic"]) == (
        54,
        18,
    )  # of 120 rows, a quarter tests and a fifth validates
    for name in (
        "generator/manifest.json",
        "samples.png",
        "samples.parquet",
        "expanded",
        "report/report.html",
    ):
        assert (tmp_path / "demo" / name).exists(), name
    weights = (tmp_path / "demo/generator/weights.safetensors").stat().st_mtime_ns
    assert document(*arguments)["fit"] == found["fit"]
    assert (tmp_path / "demo/generator/weights.safetensors").stat().st_mtime_ns == weights


def test_shipped_recipes_are_listed_and_valid() -> None:
    listed = document("run")
    assert {"demo", "expand-and-judge"} <= set(listed)
    for name in listed:
        assert document("run", name, "--data", "bundled:digits", "--dry-run")["version"] == 1


def test_a_recipe_has_the_defaults_of_the_command_and_of_the_library() -> None:
    recipe = document("run", "expand-and-judge", "--data", "bundled:digits", "--dry-run")
    evaluate = recipe["evaluate"]
    assert isinstance(evaluate, dict)
    command = {each.name: each.default for each in main.commands["evaluate"].params}
    for name, value in asdict(USUAL_PROTOCOL).items():
        assert evaluate[name] == command[name] == value, name
    assert (evaluate["classifier_steps"], recipe["fit"]["family"]) == (400, FitRequest.family)  # type: ignore[index]


def test_a_recipe_can_choose_and_does_what_the_plan_says(tmp_path: Path, shapes: Arrays) -> None:
    np.savez(tmp_path / "data.npz", X=shapes[0], y=shapes[1])
    small = ("choose.steps=2", "choose.folds=2", "choose.classifier_steps=2", "choose.families=[cvae]")
    arguments = ["run", "choose-and-expand", "--data", tmp_path / "data.npz", "--out", tmp_path / "out"]
    found = document(*arguments, *(part for setting in small for part in ("--set", setting)))
    assert list(found) == ["data", "choose", "sample", "expand"]
    plan = Plan.load(tmp_path / "out" / "plan")
    if plan.accepted:
        assert (tmp_path / "out" / "expanded").is_dir()
    else:
        assert found["expand"] == {"advice": plan.advice}


def test_a_recipe_without_a_generator_says_what_it_lacks(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("version: 1\nabout: nothing\nexpand: {to: 2x}\n")
    done = run("run", recipe, "--data", "bundled:digits")
    assert done.exit_code == 2
    assert 'give it a step "fit" or "choose"' in done.stderr
