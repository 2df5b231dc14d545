from __future__ import annotations

import json
import os
import pickle
import re
import resource
import shlex
import shutil
import subprocess
import sys
from dataclasses import fields
from hashlib import sha256
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from synthaug import open_data
from synthaug.cli import main
from synthaug.families import FAMILIES, Family, table as families_table

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


def error_line(stderr: str) -> str:
    """The one line that says what is wrong, beside warnings and the usage that click repeats."""
    lines = stderr.splitlines()
    told = [line for line in lines if line and not line.startswith(("Usage: ", "Try '", "Warning: "))]
    assert told == lines[-1:], stderr
    assert lines[-1].startswith("Error: "), stderr
    return lines[-1]


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
        "families",
    }


def test_families_are_listed_with_all_that_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = run("families").output
    assert all(re.search(f"^{name} +[A-Z]", listed, re.M) for name in FAMILIES)
    for name, family in FAMILIES.items():
        told = run("families", name).output
        found = json.loads(run("families", name, "--json").stdout)["settings"]
        assert list(found) == [field.name for field in fields(family.config_type)]
        assert all(of["about"] for of in found.values()), name  # each is explained
        assert all(f"\n  {setting} " in told for setting in found)
        assert max(map(len, told.splitlines())) <= 100
    assert json.loads(run("families", "cgan", "--json").stdout)["settings"]["loss"]["usual"] == {
        "table": "wasserstein"
    }
    assert 'no family "cgn". Did you mean "cgan"?' in run("families", "cgn").stderr
    broken = EntryPoint("broken", "no_such_package:Family", "synthaug.families")
    monkeypatch.setattr(families_table, "entry_points", lambda **of: [broken])
    assert re.search("^broken +.*cannot be imported: No module", run("families").output, re.M)


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


def test_a_warning_is_said_once(place: Path) -> None:
    with np.load(place / "data.npz") as arrays:
        rows = np.argsort(arrays["y"], kind="stable")[:90]
        np.savez(place / "unequal.npz", X=arrays["X"][rows], y=arrays["y"][rows])
    told = ("expand", place / "unequal.npz", "--generator", place / "gen", "--to", "balance", "-q")
    words = [sys.executable, "-m", "synthaug.cli", *map(str, told), "--out", str(place / "balanced.npz")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stderr.startswith("Warning: ")
    assert len(set(done.stderr.splitlines())) == len(done.stderr.splitlines())


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


class Bomb:
    """What would make a file, were it ever unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return open, (str(self.place), "w")


@pytest.fixture(scope="module")
def bad(shapes: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of good and bad data sets, generators, recipes and places."""
    root = tmp_path_factory.mktemp("bad")
    images, labels = shapes
    np.savez(root / "data.npz", X=images, y=labels)
    _write_bad_data(root, images, labels)
    _write_bad_generators(root)
    recipes = {
        "list": "- version: 1\n",
        "text": "demo",
        "broken": "version: [1\nabout: x",
        "tags": f"version: 1\nabout: !!python/object/apply:os.system ['touch {root}/executed']\n",
        "nodata": "version: 1\nabout: x\n",
        "version": "version: 2\nabout: x\n",
        "unknown": "version: 1\nabout: x\ntrain: {}\n",
        "type": "version: 1\nabout: x\nfit: {steps: many}\n",
        "step": "version: 1\nabout: x\nfit: [1]\n",
        "nothing": "version: 1\nabout: x\nexpand: {to: 2x}\n",
        "itself": "version: 1\nabout: x\nfit: &a {options: *a}\n",
    }
    for name, text in recipes.items():
        (root / f"{name}.yaml").write_text(text)
    (root / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    (root / "folder.yaml").mkdir()
    (root / "there").mkdir()
    (root / "there" / "mine.txt").write_text("mine")
    return root


def _write_bad_data(root: Path, images: np.ndarray, labels: np.ndarray) -> None:
    np.savez(root / "single.npz", X=images, y=np.zeros(len(images), np.int64))
    np.savez(root / "one.npz", X=images[:61], y=np.array(["a"] * 60 + ["b"]))
    np.savez(root / "short.npz", X=images, y=labels[:-1])
    np.savez(root / "soft.npz", X=images, y=np.full((len(images), 2), 0.5))
    np.savez(root / "none.npz", X=images[:0], y=labels[:0])
    np.savez(root / "words.npz", X=np.array(["a"] * 120), y=labels)
    np.savez(root / "pickled.npz", X=np.array([Bomb(root / "executed")] * 4, object), y=np.array([0, 1] * 2))
    for name, broken in (("nan-train", 0), ("nan-test", -1)):
        floats = images.astype(np.float32)
        floats[broken, 0, 0] = np.nan
        split = np.array(["train"] * 90 + ["test"] * 30)
        np.savez(root / f"{name}.npz", X=floats, y=labels, split=split)
    whole = (root / "data.npz").read_bytes()
    (root / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (root / "text.npz").write_text("no archive")
    (root / "text.parquet").write_text("no table")
    (root / "empty.parquet").write_bytes(b"")
    (root / "folder.npz").mkdir()
    (root / "unknown.xyz").write_bytes(b"\x00")
    (root / "pickle.pkl").write_bytes(pickle.dumps(Bomb(root / "executed")))
    (root / "empty").mkdir()
    for i in range(4):
        place = root / "corrupt" / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (root / "dangling").symlink_to(root / "nowhere")
    (root / "loop").symlink_to(root / "loop")


def _write_bad_generators(root: Path) -> None:
    done = run("fit", root / "data.npz", "--steps", 2, "--out", root / "gen")
    assert done.exit_code == 0, done.stderr
    manifest = json.loads((root / "gen" / "manifest.json").read_text())
    pickled = pickle.dumps(Bomb(root / "executed"))
    (root / "secret").write_text("secret")

    def sums(**files: bytes) -> dict[str, Any]:
        return {"files": manifest["files"] | {k: sha256(content).hexdigest() for k, content in files.items()}}

    changed: dict[str, Any] = {
        "g-list": [],
        "g-newer": manifest | {"format_version": 99},
        "g-family": manifest | {"family": "os.system"},
        "g-config": manifest | {"config": {"latent": "x"}},
        "g-form": manifest | {"form": {"height": 8}},
        "g-outside": manifest | {"files": manifest["files"] | {"../secret": "0" * 64}},
        "g-absolute": manifest | {"files": {str(root / "secret"): "0" * 64}},
        "g-classes": manifest | {"classes": ["one"], "values": ["one"], "data": {"counts": {"one": 3}}},
        "g-pickle": manifest | sums(**{"weights.safetensors": pickled}),
        "g-history": manifest | sums(**{"history.jsonl": b"{"}),
        "g-changed": manifest,
        "g-missing": manifest,
    }
    for name, content in changed.items():
        shutil.copytree(root / "gen", root / name)
        (root / name / "manifest.json").write_text(json.dumps(content))
    (root / "g-pickle" / "weights.safetensors").write_bytes(pickled)
    (root / "g-history" / "history.jsonl").write_bytes(b"{")
    (root / "g-changed" / "weights.safetensors").write_bytes(pickled)
    (root / "g-missing" / "weights.safetensors").unlink()
    for name, text in (("g-text", "{"), ("g-deep", "[" * 100_000), ("g-binary", "\udcff")):
        shutil.copytree(root / "gen", root / name)
        (root / name / "manifest.json").write_text(text, errors="surrogateescape")
    for name in ("g-folder", "p-empty", "p-text", "p-old", "r-text"):
        (root / name).mkdir()
    (root / "g-folder" / "manifest.json").mkdir()
    (root / "p-empty" / "plan.json").write_text("{}")
    (root / "p-text" / "plan.json").write_text("{")
    (root / "p-old" / "plan.json").write_text('{"format_version": 1}')
    (root / "r-text" / "report.json").write_text("[]")


SETS = (
    *("nothing.npz", "empty", "single.npz", "one.npz", "short.npz", "soft.npz", "nan-train.npz", "corrupt"),
    *(
        "none.npz",
        "words.npz",
        "pickled.npz",
        "cut.npz",
        "text.npz",
        "text.parquet",
        "empty.parquet",
    ),
    *(
        "folder.npz",
        "unknown.xyz",
        "pickle.pkl",
        "dangling",
        "loop",
        "no/such/folder",
        "/dev/null",
        "/dev/full",
    ),
)
GENERATORS = {
    "nowhere": "the folder is not there",
    "there": "no manifest.json in it",
    "g-list": "is not a manifest",
    "g-newer": "Upgrade synthaug",
    "g-family": "which this synthaug does not have",
    "g-config": "do not fit its manifest",
    "g-form": "do not fit its manifest",
    "g-outside": "lists the files",
    "g-absolute": "lists the files",
    "g-classes": "do not fit its manifest",
    "g-pickle": "do not fit its manifest",
    "g-history": "do not fit its manifest",
    "g-changed": "is not the file that was saved",
    "g-missing": "is missing",
    "g-text": "is not a manifest",
    "g-deep": "is not a manifest",
    "g-binary": "is not a manifest",
    "g-folder": "no manifest.json in it",
    "p-empty": "has the format 1",
    "p-text": "is no plan",
    "p-old": "Choose again",
    "data.npz": "no manifest.json in it",
}
RECIPES = {
    "list": "is a list",
    "text": "is a str",
    "broken": "cannot be read as a recipe",
    "binary": "cannot be read as a recipe",
    "tags": "cannot be read as a recipe",
    "nodata": "has no data set of its own",
    "version": 'key "version"',
    "unknown": 'key "train"',
    "type": "fit.steps",
    "step": 'key "fit',
    "nothing": 'give it a step "fit" or "choose"',
    "itself": "cannot be read as a recipe",
    "folder": "There is no recipe file",
    "nowhere": "There is no recipe file",
}
PLACES = {
    "{root}/there": "synthaug did not write it",
    "{root}/secret/gen": "A file is in the way",
    "{root}/there/mine.txt/a/b": "A file is in the way",
    "{root}/data.npz": "lies in the data set",
    "{root}/" + "x" * 300: "File name too long",
    "/dev/null/gen": "A file is in the way",
    "/proc/nowhere/gen": "cannot be written",
    ".": "a name of its own",
    "/": "lies in the output",
}
OPTIONS = {
    "fit {data} --steps 1 --family cgna": 'Did you mean "cgan"',
    "fit {data} --steps 0": "give at least 1",
    "fit {data} --minutes -1": "give a positive number",
    "fit {data} --minutes nan": "give a positive number",
    "fit {data} --steps 1 --minutes 1": "Give one budget",
    "fit {data} --steps 1 --device cuda:9": "cannot be used here",
    "fit {data} --steps 1 --device tpu": "cannot be used here",
    "fit {data} --steps 1 --train-split tset": "tset",
    "fit {data} --steps 1 --label z": "z",
    "fit {data} --steps 1 --image-size 2": "8 or more",
    "fit {data} --steps 1 --image-size 0x0": "8 or more",
    "fit {data} --steps 1 --image-size x": "neither a number of pixels nor HxW",
    "fit {data} --steps 1 --set latnet=1": "latent",
    "fit {data} --steps 1 --set latent=-1": "latent",
    "fit {data} --steps 1 --set lr=x": "lr",
    "fit {data} --steps 1 --set batch_size=0": "batch_size",
    "fit {data} --steps 1 --set latent": "NAME=VALUE",
    "fit {data} --steps 1 --set 'latent=[1'": "as YAML",
    "fit {data} --steps 1 --set 'latent=!!python/object/apply:os.system [touch {root}/executed]'": "as YAML",
    "fit {data} --steps 1 --seed 9223372036854775808": "--seed",
    "fit {data} --steps 1 --tracker nobody": "nobody",
    "fit {data} --steps 1 --validation {root}/nothing.npz": "nothing.npz",
    "expand {data} --steps 1 --to 1x": "Nothing to add",
    "expand {data} --steps 1 --to 0.5x": "0.5x",
    "expand {data} --steps 1 --to zebra=9": "zebra",
    "expand {data} --steps 1 --to lying=-1": "lying",
    "expand {data} --steps 1 --to x": "Cannot expand",
    "expand {data} --steps 1": "Give --to, or --plan",
    "expand {data} --steps 1 --to 2x --format jpeg": "no format",
    "expand {data} --steps 1 --to 2x --generator {root}/gen": "has no use here",
    "expand {data} --family cgan --to 2x --generator {root}/gen": "has no use here",
    "expand {data} --to 2x --generator {root}/gen --plan {root}/p-old": "either --generator or --plan",
    "choose {data} --steps 1 --folds 1": "folds=1",
    "choose {data} --steps 1 --family cgna": 'Did you mean "cgan"',
    "choose {data} --steps 1 --folds 500": "too few for 500 folds",
    "evaluate {data} --steps 1 --ratio 1": "ratio=1",
    "evaluate {data} --steps 1 --ratio 0": "ratio=0",
    "evaluate {data} --steps 1 --ratio nan": "ratio=nan",
    "evaluate {data} --steps 1 --seeds 1": "seeds=1",
    "evaluate {data} --steps 1 --classifier-steps 0": "classifier_steps=0",
    "evaluate {data} --steps 1 --generators 2 --seeds 3": "seeds=4",
    "evaluate {data} --steps 1 --test-split lying": "lying",
    "evaluate {data} --generator {root}/gen": "was trained on",
    "evaluate {root}/nan-test.npz --steps 1": "finite",
    "sample {root}/gen": "--per-class or --counts",
    "sample {root}/gen --per-class 1 --counts lying=1": "--per-class or --counts",
    "sample {root}/gen --per-class 0": "0 rows in total",
    "sample {root}/gen --per-class -1": "0 or more",
    "sample {root}/gen --counts standign=3": 'Did you mean "standing"',
    "sample {root}/gen --counts lying=1,lying=2": "twice",
    "sample {root}/gen --counts lying=1.5": "NAME=NUMBER",
    "sample {root}/gen --per-class 1 --format parkay": 'Known: "folder", "parquet"',
    "inspect {data} --real {data}": "Real rows are for the pictures of a generator",
    "inspect {root}/r-text": "no report",
    "fti {data}": "No such command",
}
DRY = {
    "push {root}/gen nobody": "owner/name",
    "push {root}/nothing me/x": "no file or folder",
    "push {root}/there me/x": "neither a saved generator nor",
    "push {root}/g-changed me/x": "is not the file that was saved",
    "run demo --data /nowhere": "no file or folder",
    "run demo --data {root}/single.npz": "single class",
    "run demo --data {data} --set mix.ratio=3": "3",
    "run demo --data {data} --set 'sample.counts={{zebra: 3}}'": "zebra",
    "run demo --data {data} --set expand.to=0.5x": "0.5x",
    "run demo --data {data} --set expand.file=x.jpeg": "names no format",
    "run demo --data {data} --set evaluate.seeds=1": "seeds=1",
    "run demo --data {data} --set evaluate.generators=5": "evaluate.generators",
    "run demo --data {data} --set fit.stesp=3": "fit.stesp",
    "run demo --set fit.steps.a=3": "fit.steps",
    "run dmeo": 'Did you mean "demo"',
}


def bad_commands() -> list[tuple[str, str]]:
    """Every command line that cannot be met, and what is said of it."""
    found = [(f"{verb} {{root}}/{name} --steps 1", "") for name in SETS for verb in ("fit", "evaluate")]
    found += [(f"expand {{root}}/{name} --to 2x --steps 1", "") for name in SETS]
    found += [(f"sample {{root}}/{name} --per-class 1", text) for name, text in GENERATORS.items()]
    found += [
        (f"run {{root}}/{name}.yaml --data {{data}}", text)
        for name, text in RECIPES.items()
        if name != "nodata"
    ]
    found += [("run {root}/nodata.yaml", RECIPES["nodata"])]
    for place, text in PLACES.items():
        found += [
            (f"{verb} {{data}} --steps 1 --out '{place}'", text) for verb in ("fit", "evaluate", "choose")
        ]
        if not place.startswith("/proc"):  # where only writing tells
            found += [(f"fit {{data}} --steps 1 --out '{place}' --dry-run", text)]
    found += [
        *OPTIONS.items(),
        *DRY.items(),
        *((f"{command} --dry-run", text) for command, text in DRY.items()),
    ]
    return found


@pytest.fixture
def _no_training(bad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No generator is trained, from here on: the folder has one."""

    def never(_: Family) -> None:
        raise AssertionError("training began")

    assert (bad / "gen").is_dir()
    for name, family in list(FAMILIES.items()):
        monkeypatch.setitem(FAMILIES, name, type("Never", (family,), {"phases": never}))


@pytest.mark.usefixtures("_no_training")
@pytest.mark.parametrize(("command", "text"), bad_commands(), ids=lambda it: it if " " in it else "")
def test_what_cannot_be_done_is_refused_in_one_line_before_training_and_leaves_nothing(
    bad: Path, command: str, text: str
) -> None:
    before = sorted(os.walk(bad))
    arguments = shlex.split(command.format(root=bad, data=bad / "data.npz"))
    if "--out" not in arguments and arguments[0] != "push":
        arguments += ["--out", str(bad / "out")]
    done = run(*arguments)
    assert (done.exit_code in (1, 2), done.stdout) == (True, ""), done.stderr
    assert text in error_line(done.stderr)
    assert sorted(os.walk(bad)) == before
    assert not (bad / "executed").exists()


LOCKED = """
import json, os, sys
from click.testing import CliRunner
from synthaug.cli import main
import synthaug.recipes.stages, synthaug.report

os.chdir(sys.argv[1])
for command in ("inspect data.npz", "inspect gen", *(f"{v} data.npz --steps 1 --out x --dry-run" for v in
                ("fit", "choose", "evaluate"))):
    assert CliRunner().invoke(main, command.split()).exit_code == 0  # imports what another user may not
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
os.environ["HOME"] = sys.argv[1]
told = []
for command in json.loads(sys.stdin.read()):
    done = CliRunner().invoke(main, command)
    told.append([done.exit_code, done.stdout, done.stderr, repr(done.exception)])
print(json.dumps(told))
"""


def test_what_may_not_be_read_or_written_is_said_in_one_line(
    bad: Path, shapes: Arrays, tmp_path: Path
) -> None:
    free, locked = tmp_path / "free", tmp_path / "locked"
    for folder in (free, locked):
        folder.mkdir()
    for parent in (tmp_path, *tmp_path.parents[:2], free):
        parent.chmod(0o777)
    shutil.copytree(bad / "gen", locked / "gen")
    shutil.copy(bad / "data.npz", free / "data.npz")
    for name in ("data.npz", "x.parquet", "x.yaml", "x.csv"):
        (locked / name).write_bytes(b"PAR1" if name == "x.parquet" else (bad / "data.npz").read_bytes())
    for name in ("plan.json", "report.json"):
        (locked / name.partition(".")[0]).mkdir()
        (locked / name.partition(".")[0] / name).write_text("{}")
    (locked / "photos" / "cat").mkdir(parents=True)
    (locked / "hidden").mkdir()
    shutil.copytree(bad / "gen", locked / "hidden" / "gen")
    gen, data, steps, out = locked / "gen", free / "data.npz", ("--steps", 1), ("--out", free / "out")
    shutil.copytree(gen, free / "gen")
    commands: list[tuple[Any, ...]] = [
        *(("inspect", locked / name) for name in ("data.npz", "x.parquet", "photos", "gen", "hidden/gen")),
        *(("inspect", locked / name) for name in ("plan", "report")),
        *(("fit", locked / name, *steps, *out) for name in ("data.npz", "x.parquet", "photos", "hidden/gen")),
        *(("sample", at, "--per-class", 1, *out) for at in (gen, locked / "hidden" / "gen")),
        ("expand", data, "--to", "2x", "--generator", gen, *out),
        ("expand", data, "--to", "2x", "--plan", locked / "plan", *out),
        ("evaluate", data, "--generator", gen, *out),
        ("push", gen, "me/x", "--dry-run"),
        ("push", locked / "x.parquet", "me/x", "--dry-run"),
        ("run", locked / "x.yaml", "--data", data, *out),
        *((verb, data, *steps, "--out", locked / "new" / "out") for verb in ("fit", "choose", "evaluate")),
        ("fit", data, *steps, "--out", locked / "out", "--dry-run"),
        ("expand", data, "--to", "2x", *steps, "--out", locked / "out"),
        ("sample", free / "gen", "--per-class", 1, "--out", locked / "out.parquet"),
        ("inspect", free / "gen", "--out", locked / "out"),
    ]  # fmt: skip
    for path in (*locked.rglob("*"), locked):
        path.chmod(0o555 if path.is_dir() else 0)
    (locked / "photos" / "cat").chmod(0)
    (locked / "hidden").chmod(0)
    before = sorted(map(str, free.rglob("*")))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOCKED, str(free)],
        input=json.dumps([list(map(str, command)) for command in commands]),
        capture_output=True,
        text=True,
    )
    (locked / "hidden").chmod(0o755)
    if "ermission denied" in done.stderr:  # a Python that is its owner's alone
        pytest.skip(f"no other user can run this: {done.stderr[-200:]}")
    assert done.returncode == 0, done.stderr
    assert sorted(map(str, free.rglob("*"))) == before
    for command, (code, stdout, stderr, error) in zip(commands, json.loads(done.stdout), strict=True):
        assert (code in (1, 2), stdout) == (True, ""), (command, stdout, stderr, error)
        assert stderr, (command, error)
        assert "ermission denied" in error_line(stderr) or "is not readable" in stderr, (command, stderr)


FULL = """
import json, resource, sys
from click.testing import CliRunner
from synthaug.cli import main
bytes_, *command = json.loads(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))  # no file grows beyond, as on a disk that is full
main(command)
"""
WRITING = (
    ("fit", "{data}", "--steps", 2, "--out", "{out}"),
    ("sample", "{gen}", "--per-class", 300, "--out", "{out}.parquet"),
    ("sample", "{gen}", "--per-class", 300, "--out", "{out}.npz"),
    ("sample", "{gen}", "--per-class", 300, "--out", "{out}", "--format", "hf"),
    (
        "evaluate",
        "{data}",
        "--steps",
        2,
        "--classifier-steps",
        2,
        "--ratio",
        0.25,
        "--jobs",
        1,
        "--out",
        "{out}",
    ),
)


@pytest.mark.parametrize("command", WRITING, ids=lambda it: f"{it[0]} {it[-1]}")
def test_where_no_room_is_left_nothing_appears_and_the_same_call_goes_on(
    bad: Path, tmp_path: Path, command: tuple[Any, ...]
) -> None:
    names = {"data": bad / "data.npz", "gen": bad / "gen", "out": tmp_path / "out"}
    arguments = [str(part).format(**names) for part in command]
    for size in (100, 20_000):
        told = json.dumps([size, *arguments])
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FULL, told], capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert "cannot be written" in error_line(done.stderr)
        assert "Make room there" in done.stderr
        assert {path.suffix for path in tmp_path.iterdir()} <= {".partial"}
        assert size > 100 or not os.listdir(tmp_path)
    assert run(*arguments).exit_code == 0
    assert len(os.listdir(tmp_path)) == 1
