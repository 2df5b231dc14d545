"""The public functions: what they take, what they refuse before anything begins, what they leave alone."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import synthaug
from synthaug import Generator, LabeledData, Plan, Protocol, open_data
from synthaug.data import part, training_rows
from synthaug.errors import InvalidArtifact, InvalidRequest, Leakage, SynthaugError, SynthaugWarning
from synthaug.families import FAMILIES, Family
from synthaug.generators import Selection
from synthaug.judging import Choice, JudgedGain, Preparation, Standing
from synthaug.metrics import Interval
from synthaug.modalities.image import ImageForm
from synthaug.recipes import load_recipe, run_recipe
from synthaug.requests import ExpandRequest, FitRequest, InspectRequest, PushRequest

Arrays = tuple[np.ndarray, np.ndarray]
QUICK = Protocol(folds=2, seeds=2, classifier_steps=2, steps=2)


@pytest.fixture(scope="module")
def generator(shapes: Arrays) -> Generator:
    return synthaug.fit(shapes, steps=2, progress=False)


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """No generator is trained."""

    def refuse(_: Family) -> None:
        raise AssertionError("training began")

    for name, family in list(FAMILIES.items()):
        monkeypatch.setitem(FAMILIES, name, type("Never", (family,), {"phases": refuse}))


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (n, 8, 8), np.uint8)


def hub(n: int, seed: int = 0, **columns: Any) -> datasets.Dataset:
    names = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    rows = {"image": [Image.fromarray(row) for row in images(n, seed)], "label": [0, 1] * (n // 2)}
    for name in columns:
        names[name] = datasets.Value("string")
    return datasets.Dataset.from_dict(rows | columns, features=names)


def split_set(**rows: int) -> datasets.DatasetDict:
    """A split of so many rows by each name, all of them different."""
    return datasets.DatasetDict({name: hub(n, seed) for seed, (name, n) in enumerate(rows.items())})


def folder(root: Path, n: int = 12, **splits: int) -> Path:
    for seed, (split, rows) in enumerate((splits or {".": n}).items()):
        for i, row in enumerate(images(rows, seed)):
            place = root / split / "ab"[i % 2]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(row).save(place / f"{i}.png")
    return root


def prints(maker: Generator) -> set[int]:
    return set(maker.held_out.tolist())


def a_plan(maker: Generator | None, *, accepted: bool = True, seed: int = 0) -> Plan:
    gain = Interval(0.1, 0.05, 0.15, 9)
    judged = JudgedGain(gain, gain, 0.01, 0.06, ("x", "x"), 2)
    choice = Choice("real", "x", accepted, judged, (Standing("x", True, 1, 0.5, 0.5, gain),), 1)
    prepared = Preparation("real", 2, ImageForm(8, 8, 1, "HW", "uint8", 0.0, 255.0), (6, 6))
    plan = Plan(
        accepted, "real", "x", None, "cvae", {}, 0.25, False, False, 2, "accuracy", choice, {}, 1.0, "", "real",
        prepared, seed,
    )  # fmt: skip
    return plan.with_generator(maker)


@pytest.fixture
def saved(generator: Generator, tmp_path: Path) -> dict[str, Path]:
    """A generator as a folder, and a plan with it as another one."""
    generator.save(tmp_path / "saved" / "gen")
    (tmp_path / "saved" / "plan").mkdir()
    a_plan(generator).write(tmp_path / "saved" / "plan")
    return {name: tmp_path / "saved" / name for name in ("gen", "plan")}


# --------------------------------------------------------------------------------- rows to choose by


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_what_is_to_be_tested_on_does_not_choose_the_checkpoint(name: str) -> None:
    opened = open_data(split_set(train=12, **{name: 4}), test_split=name)
    asked = FitRequest(opened, steps=2)
    assert asked.chosen_by is None
    assert asked.to_dict()["validation"] is None
    assert FitRequest(open_data(split_set(train=12, **{name: 4})), steps=2).chosen_by is not None


VALIDATION: dict[str, tuple[Any, int | None]] = {
    "arrays": ((images(6, 9), ["a", "b"] * 3), 6),
    "one split": (split_set(anything=6), 6),
    "a validation split": (split_set(train=12, validation=4, test=8), 4),
    "a named split": (open_data(split_set(first=12, second=4), train_split="second"), 4),
    "a part": (part(open_data(split_set(train=12, test=8)), "train"), 12),
    "no validation split": (split_set(train=12, test=8), None),
    "test rows": (split_set(test=8), None),
    "validation named as test": (open_data(split_set(train=12, dev=4), test_split="dev"), None),
}


@pytest.mark.parametrize("given", VALIDATION)
def test_of_a_data_set_to_choose_by_its_validation_split_is_taken_or_it_is_refused(given: str) -> None:
    source, n = VALIDATION[given]
    asked = FitRequest(open_data((images(12, 99), ["a", "b"] * 6)), validation=open_data(source))
    if n is None:
        with pytest.raises(InvalidRequest, match=r"none of which is for that.*train_split"):
            _ = asked.chosen_by
    else:
        assert asked.chosen_by is not None
        assert len(asked.chosen_by) == n


def test_the_remedy_for_validation_rows_in_splits_works() -> None:
    rows = images(12, 99), ["a", "b"] * 6
    both = split_set(train=8, test=8)
    with pytest.raises(InvalidRequest, match="splits"):
        synthaug.fit(rows, steps=2, validation=both, progress=False)
    for named in (open_data(both, train_split="train"), both["test"]):
        made = synthaug.fit(rows, steps=2, validation=named, progress=False)
        assert prints(made) == set(open_data(named).take(slice(None)).fingerprints().tolist()) or len(
            prints(made)
        ) in (8, 16)


# --------------------------------------------------------------------------------- splits and groups


def test_evaluate_says_which_rows_take_no_part() -> None:
    rows = split_set(train=16, validation=6, test=6, extra=8, unlabelled=2)
    with pytest.warns(SynthaugWarning, match=r'10 rows of .* take no part: .*"extra", "unlabelled"'):
        synthaug.evaluate(rows, ratio=0.25, protocol=QUICK, jobs=1, progress=False)


GROUPED = {
    "fit": lambda data: FitRequest(data, steps=2).describe(),
    "expand": lambda data: ExpandRequest(data, to="2x", steps=2).describe(),
    "choose": lambda data: synthaug.choose(data, protocol=QUICK, progress=False),
    "evaluate": lambda data: synthaug.evaluate(data, protocol=QUICK, progress=False),
    "evaluate a share": lambda data: synthaug.evaluate(data, ratio=0.25, protocol=QUICK, progress=False),
}


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("verb", GROUPED)
def test_a_group_on_both_sides_of_own_splits_is_refused_before_training(verb: str) -> None:
    patients = [f"p{i}" for i in range(16)]
    rows = datasets.DatasetDict(
        train=hub(16, 0, patient=patients), test=hub(6, 1, patient=["q1", "q2", "q3", "q4", "q5", "p7"])
    )
    with pytest.raises(Leakage, match='group "p7" is on both sides'):
        GROUPED[verb](open_data(rows, group="patient"))


# ------------------------------------------------------------------------------------ synthetic rows


class Pairs(Dataset[Any]):
    def __len__(self) -> int:
        return 12

    def __getitem__(self, row: int) -> Any:
        return torch.from_numpy(images(12)[row]), row % 2


@pytest.fixture(scope="module")
def expanded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A data set with synthetic rows in every form that there is."""
    root = tmp_path_factory.mktemp("expanded")
    x, y = images(12), np.array(["a", "b"] * 6)
    maker = synthaug.fit((x, y), steps=2, progress=False)
    made: dict[str, Any] = {"arrays": synthaug.expand((x, y), maker, to="2x")}
    pairs = synthaug.fit(Pairs(), steps=2, progress=False)
    made["torch"] = synthaug.expand(Pairs(), pairs, to="2x")
    rows = hub(12)
    made["hub"] = synthaug.expand(rows, synthaug.fit(rows, steps=2, progress=False), to="2x")
    for name, format in (("folder", None), ("p.parquet", None), ("n.npz", None), ("hf", "hf")):
        out = root / name
        made[name] = str(synthaug.expand((x, y), maker, to="2x", out=out, format=format, progress=False))
    made["samples"] = str(synthaug.sample(maker, 6, out=root / "samples", progress=False))
    return made


SYNTHETIC = ("arrays", "torch", "hub", "folder", "p.parquet", "n.npz", "hf", "samples")
VERBS: dict[str, Callable[[LabeledData], Any]] = {
    "fit": lambda data: synthaug.fit(data, steps=2, progress=False),
    "fit by": lambda data: synthaug.fit((images(8, 5), [0, 1] * 4), steps=2, validation=data, progress=False),
    "expand": lambda data: synthaug.expand(data, to="3x", steps=2, progress=False),
    "choose": lambda data: synthaug.choose(data, protocol=QUICK, progress=False),
    "evaluate": lambda data: synthaug.evaluate(data, protocol=QUICK, progress=False),
}


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("form", SYNTHETIC)
def test_synthetic_rows_never_pass_for_real_ones(expanded: dict[str, Any], form: str, verb: str) -> None:
    whole = open_data(expanded[form])
    assert whole.synthetic is not None
    for rows in (whole, whole.take(np.flatnonzero(whole.synthetic)[:6]), whole.take(np.arange(len(whole)))):
        with pytest.raises(InvalidRequest, match=r"already holds synthetic rows.*Use the original"):
            VERBS[verb](rows)


def test_the_real_rows_of_an_expanded_set_are_the_original(expanded: dict[str, Any]) -> None:
    for form in ("arrays", "p.parquet", "folder"):
        whole = open_data(expanded[form])
        assert whole.synthetic is not None
        real = whole.take(np.flatnonzero(~whole.synthetic))
        assert synthaug.fit(real, steps=2, progress=False).training_counts == {"a": 6, "b": 6}


# -------------------------------------------------------------------------------------- places


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


INTO: dict[str, Callable[[Any, Path], Any]] = {
    "fit": lambda data, out: synthaug.fit(data, steps=2, out=out, overwrite=True, progress=False),
    "expand": lambda data, out: synthaug.expand(
        data, to="2x", steps=2, out=out, overwrite=True, progress=False
    ),
    "choose": lambda data, out: synthaug.choose(
        data, protocol=QUICK, out=out, overwrite=True, progress=False
    ),
    "evaluate": lambda data, out: synthaug.evaluate(
        data, protocol=QUICK, out=out, overwrite=True, progress=False
    ),
}


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("verb", INTO)
@pytest.mark.parametrize("opened", [False, True, "part"])
def test_no_output_lies_in_its_data_set_nor_around_it(tmp_path: Path, verb: str, opened: Any) -> None:
    root = folder(tmp_path / "work" / "photos")
    (tmp_path / "link").symlink_to(root)
    data: Any = str(root)
    if opened:
        data = open_data(data)
        data = data.take(np.arange(len(data))) if opened == "part" else data
    before = tree(tmp_path)
    for out in (root / "gen", root, root / "a" / "deep", tmp_path / "link" / "x", tmp_path / "work"):
        with pytest.raises(InvalidRequest, match=r'lies in the (data set|output) ".*elsewhere'):
            INTO[verb](data, out)
        assert tree(tmp_path) == before


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_a_file_is_never_replaced_by_what_is_made_of_it(tmp_path: Path, suffix: str, shapes: Arrays) -> None:
    file = tmp_path / f"data.{suffix}"
    if suffix == "npz":
        np.savez(file, X=shapes[0], y=shapes[1])
    else:
        hub(12).to_parquet(file)
    before = tree(tmp_path)
    with pytest.raises(InvalidRequest, match="lies in"):
        synthaug.expand(file, to="2x", steps=2, out=file, overwrite=True)
    assert tree(tmp_path) == before


@pytest.mark.usefixtures("never")
def test_neither_is_a_generator_a_plan_nor_what_is_compared(
    saved: dict[str, Path], shapes: Arrays, tmp_path: Path
) -> None:
    real = folder(tmp_path / "real")
    cases: list[Callable[[Path], Any]] = []
    for path in saved.values():
        cases += [
            lambda out, it=path: synthaug.sample(it, 2, out=it / out, overwrite=True),
            lambda out, it=path: synthaug.expand(shapes, it, to="2x", out=it / out, overwrite=True),
            lambda out, it=path: synthaug.evaluate(shapes, generator=it, out=it / out, overwrite=True),
            lambda out, it=path: synthaug.inspect(it, out=it / out, overwrite=True),
            lambda out, it=path: synthaug.inspect(it, real=str(real), out=real / out, overwrite=True),
        ]
    before = tree(tmp_path)
    for case in cases:
        for out in (Path("more"), Path()):
            with pytest.raises(InvalidRequest, match="lies in"):
                case(out)
    assert tree(tmp_path) == before


@pytest.mark.usefixtures("never")
def test_a_recipe_writes_nothing_into_its_data_set(tmp_path: Path) -> None:
    root = folder(tmp_path / "photos")
    before = tree(tmp_path)
    for name in ("demo", "expand-and-judge", "choose-and-expand"):
        for out in (root, root / "result"):
            with pytest.raises(InvalidRequest, match="lies in the data set"):
                run_recipe(load_recipe(name, data=str(root), out=out), say=lambda _: None)
    assert tree(tmp_path) == before


# ---------------------------------------------------------------------------- generators by their paths


def test_a_saved_generator_is_taken_by_its_path_in_every_verb(
    saved: dict[str, Path], generator: Generator, shapes: Arrays, tmp_path: Path
) -> None:
    loader = DataLoader(list(zip(*shapes, strict=True)), batch_size=8)
    for name, path in saved.items():
        for given in (path, str(path)):
            larger = synthaug.expand(shapes, given, to={"lying": 62})
            assert set(larger.provenance["generator"]) == {"", generator.fingerprint}
            mixed = synthaug.mix(loader, given, flag=True)
            assert sum(int(batch[-1].sum()) for batch in mixed) == 30
        assert synthaug.load(path).fingerprint == generator.fingerprint
        out = synthaug.sample(path, 2, out=tmp_path / f"{name}.npz", progress=False)
        assert open_data(out).counts == {"lying": 2, "standing": 2}
        assert synthaug.inspect(path)["kind"] == {"gen": "generator", "plan": "plan"}[name]
        assert set(synthaug.inspect(path, out=tmp_path / f"pictures of {name}")["pictures"]) == {
            "interpolation.png",
            "traversal.png",
        }
        data = with_own_test(shapes)
        maker = synthaug.fit(data, steps=2, out=tmp_path / "fair", progress=False)
        found = synthaug.evaluate(data, generator=tmp_path / "fair", protocol=QUICK, jobs=1, progress=False)
        assert found.generator is not None
        assert found.generator.fingerprint == maker.fingerprint
    assert len(synthaug.expand(shapes, saved["plan"])[0]) == 160  # a quarter of all rows, as the plan says


def with_own_test(shapes: Arrays) -> LabeledData:
    x, y = shapes
    opened = open_data(shapes)
    splits = np.array(["train"] * 60 + ["validation"] * 30 + ["test"] * 30)
    assert len(x) == len(y) == len(splits)
    return replace(opened, splits=splits)


def test_a_plan_is_evaluated_at_its_own_share(shapes: Arrays, tmp_path: Path) -> None:
    data = with_own_test(shapes)
    plan = replace(a_plan(synthaug.fit(data, steps=2, progress=False)), candidate_share=0.4)
    (tmp_path / "plan").mkdir()
    plan.write(tmp_path / "plan")
    for given in (plan, tmp_path / "plan"):
        found = synthaug.evaluate(data, generator=given, protocol=QUICK, jobs=1, progress=False)
        assert found.setup.ratio == 0.4


@pytest.mark.usefixtures("never")
def test_a_plan_that_is_to_add_nothing_says_so_wherever_it_is_given(shapes: Arrays, tmp_path: Path) -> None:
    plan = a_plan(None, accepted=False)
    (tmp_path / "plan").mkdir()
    plan.write(tmp_path / "plan")
    for given in (plan, tmp_path / "plan"):
        for verb in (
            lambda it: synthaug.sample(it, 2, out=tmp_path / "x"),
            lambda it: synthaug.expand(shapes, it),
            lambda it: synthaug.evaluate(shapes, generator=it),
        ):
            with pytest.raises(InvalidRequest, match="The plan is to add nothing"):
                verb(given)
    with pytest.raises(InvalidArtifact, match="a plan that came without a generator"):
        synthaug.load(tmp_path / "plan")
    assert synthaug.inspect(tmp_path / "plan")["accepted"] is False
    loader = DataLoader(list(zip(*shapes, strict=True)), batch_size=8)
    assert synthaug.mix(loader, tmp_path / "plan") is loader


def test_a_curated_generator_with_too_few_rows_is_refused_before_an_evaluation(shapes: Arrays) -> None:
    data = with_own_test(shapes)
    few = {name: np.arange(2) for name in data.classes}
    maker = synthaug.fit(data, steps=2, progress=False).keeping(Selection(0, few))
    with pytest.raises(
        InvalidRequest,
        match=r"\"lying\": 2 of 400; \"standing\": 2 of 400.*only some rows of seed 0 were curated",
    ):
        synthaug.evaluate(data, generator=maker, protocol=replace(QUICK, classifier_steps=50))


def test_a_loaded_generator_and_its_folder_are_told_by_the_same_facts(
    generator: Generator, saved: dict[str, Path]
) -> None:
    told = [synthaug.inspect(given) for given in (generator, synthaug.load(saved["gen"]), saved["gen"])]
    assert told[0] == told[1] == told[2]
    assert told[0]["fingerprint"] == generator.fingerprint
    json.dumps(told[0])
    plan = a_plan(generator)
    assert list(synthaug.inspect(plan)) == list(synthaug.inspect(saved["plan"]))


# ------------------------------------------------------------------------------------ what is asked for


UNUSED = [
    ({"format": "npz"}, "format"),
    ({"generator": True, "steps": 3}, "steps"),
    ({"generator": True, "minutes": 3.0}, "minutes"),
    ({"generator": True, "family": "cgan"}, "family"),
]


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize(("options", "name"), UNUSED)
def test_expand_refuses_what_it_would_ignore(
    generator: Generator, shapes: Arrays, options: dict[str, Any], name: str
) -> None:
    given = generator if options.pop("generator", False) else None
    with pytest.raises(InvalidRequest, match=f"{name}=.* has no use here.*Leave it out"):
        synthaug.expand(shapes, given, to="2x", **options)
    options["generator"] = given is not None  # as it was


DRY: dict[str, tuple[dict[str, Any], str]] = {
    "a family": ({"family": "cgna"}, 'Did you mean "cgan"'),
    "steps": ({"steps": 0}, "0 steps"),
    "two budgets": ({"steps": 1, "minutes": 1.0}, "Give one budget"),
    "a device": ({"device": "cuda:9"}, "cannot be used here"),
    "totals": ({"to": "1x"}, "Nothing to add"),
    "a format": ({"out": Path("x.jpeg")}, "names no format"),
}


@pytest.mark.usefixtures("never")
@pytest.mark.parametrize("case", DRY)
def test_a_dry_expansion_refuses_what_the_run_refuses(shapes: Arrays, case: str) -> None:
    options, text = DRY[case]
    given = {"to": "2x"} | options
    with pytest.raises(InvalidRequest) as dry:
        ExpandRequest(open_data(shapes), **given).describe()
    with pytest.raises(InvalidRequest) as run:
        synthaug.expand(shapes, **given)
    assert str(dry.value) == str(run.value)
    assert text in str(dry.value)


@pytest.mark.usefixtures("never")
def test_a_dry_expansion_refuses_a_generator_of_other_rows(generator: Generator) -> None:
    for rows in ((images(12), ["lying", "standing"] * 6), (np.zeros((12, 12, 10), np.uint8), ["a", "b"] * 6)):
        with pytest.raises(SynthaugError) as dry:
            ExpandRequest(open_data(rows), generator, "2x").describe()
        with pytest.raises(SynthaugError) as run:
            synthaug.expand(rows, generator, to="2x")
        assert str(dry.value) == str(run.value)


def test_a_warning_of_an_expansion_is_given_once(generator: Generator, shapes: Arrays) -> None:
    fewer = shapes[0][1:], shapes[1][1:]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        synthaug.expand(fewer, generator, to="balance")
    assert [str(each.message)[:10] for each in found] == ["Filling up"]


def test_a_dry_push_refuses_what_the_run_refuses_and_says_what_would_leave(
    saved: dict[str, Path], generator: Generator, tmp_path: Path, shapes: Arrays
) -> None:
    whole = synthaug.expand(shapes, generator, to="2x", out=tmp_path / "whole", progress=False)
    cases = [
        (saved["gen"], "nobody"),
        (tmp_path / "nothing", "me/x"),
        (whole, "me/x"),
        (saved["plan"], "me/x"),
    ]
    for source, name in cases[:-1]:
        with pytest.raises(SynthaugError) as dry:
            PushRequest(source, name).describe()
        with pytest.raises(SynthaugError) as run:
            synthaug.push(source, name)
        assert str(dry.value) == str(run.value)
    told = PushRequest(saved["gen"], "me/x").describe()
    assert told["kind"] == "model"
    files = ["README.md", "fingerprints.safetensors", "history.jsonl", "manifest.json", "weights.safetensors"]
    assert told["files"] == files
    assert "provenance.csv" in PushRequest(whole, "me/x", include_rows=True).describe()["files"]


def test_a_dry_inspection_refuses_what_the_run_refuses(
    generator: Generator, shapes: Arrays, tmp_path: Path
) -> None:
    rows, report = training_rows(open_data(shapes)), tmp_path / "report"
    report.mkdir()
    told = dict.fromkeys(("advice", "verdict", "rows", "setup", "generator"))
    (report / "report.json").write_text(json.dumps(told))
    cases = (
        (generator, rows, None),
        (report, None, tmp_path / "x"),
        (shapes, rows, tmp_path / "x"),
        (str(folder(tmp_path / "photos")), None, tmp_path / "photos" / "page"),
    )
    for source, real, out in cases:
        with pytest.raises(InvalidRequest) as dry:
            InspectRequest(source, real, out).describe()
        with pytest.raises(InvalidRequest) as run:
            synthaug.inspect(source, real=real, out=out)
        assert str(dry.value) == str(run.value)


def test_numbers_of_numpy_are_taken_with_an_output(shapes: Arrays, tmp_path: Path) -> None:
    made = [
        synthaug.fit(shapes, steps=steps, seed=seed, out=tmp_path / "gen", progress=False)
        for steps, seed in ((np.int64(2), np.int64(1)), (2, 1))
    ]
    assert made[0].fingerprint == made[1].fingerprint
    with pytest.raises(InvalidRequest, match=r"seed=0\.5"):
        made[0].sample(1, seed=0.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequest, match=r"seed=0\.5"):
        synthaug.sample(made[0], 1, seed=0.5, out=tmp_path / "x")  # type: ignore[arg-type]
    synthaug.sample(made[0], np.int64(2), seed=np.int64(3), out=tmp_path / "s.npz", progress=False)  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------- recipes


def recipe(folder: Path, data: Path, text: str) -> Any:
    path = folder / "mine.yaml"
    path.write_text(f"version: 1\nabout: mine\n{text}")
    return load_recipe(path, data=str(data), out=folder / "out")


def test_a_recipe_mixes_where_splits_share_a_picture(tmp_path: Path) -> None:
    root = folder(tmp_path / "photos", train=16, test=6)
    shutil.copy(root / "train" / "a" / "0.png", root / "test" / "a" / "copy.png")
    steps = recipe(tmp_path, root, "fit: {steps: 2}\nmix: {batch_size: 4}\nsample: {counts: 2}\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        found = run_recipe(steps, say=lambda _: None, progress=False)
    assert found["mix"]["real"] + found["mix"]["synthetic"] == 15


@pytest.mark.usefixtures("never")
def test_a_recipe_with_a_generator_cannot_test_several(tmp_path: Path) -> None:
    root = folder(tmp_path / "photos", n=40)
    steps = recipe(tmp_path, root, "fit: {steps: 2}\nevaluate: {generators: 5, seeds: 5, steps: 2}\n")
    with pytest.raises(InvalidRequest, match=r'"evaluate.generators".*take out "fit"'):
        run_recipe(steps, say=lambda _: None)


def test_a_recipe_with_a_generator_needs_no_rows_for_a_choice(tmp_path: Path) -> None:
    root = folder(tmp_path / "photos", n=16)
    steps = recipe(
        tmp_path,
        root,
        "fit: {steps: 2}\nevaluate: {seeds: 2, classifier_steps: 2, steps: 2, folds: 9}\n",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        found = run_recipe(steps, say=lambda _: None, progress=False)
    assert found["evaluate"]["plan"] is None


@pytest.mark.parametrize(
    "text",
    [
        "- a\n- b\n",
        "just text",
        "3",
        "{a: [",
        "a: !!python/object/apply:os.system ['touch gone']",
        "\x00",
        "a: &a [*a]",
    ],
)
def test_what_is_no_recipe_is_refused_in_one_line(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InvalidRequest) as error:
        load_recipe("mine.yaml", data="bundled:digits")
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "gone").exists()


# ------------------------------------------------------------------------------------ names of classes

NAMES = (
    *("cat\n", "\r\n", "tab\there", "\x1b[31mred", "\x00nul", "\u2028", "", " ", ".", "..", "../x", "/", "a/b", "\\"),
    *(":", '"q"', "'", "100%", "%41", "a,b=3", "-rf", "CON", "train", "test", "README.md", "nan", "None"),
    *("<script>alert(1)</script>", "|a|", "`", "*", "_^{", "é", "e\u0301", "日本", "🦊", "\u202eabc"),
    *("{{x}}", "$x$", "\ud800", "x" * 200),
)  # fmt: skip


@pytest.fixture(scope="module")
def named() -> LabeledData:
    """Four rows of a class of each awkward name."""
    return open_data((images(4 * len(NAMES)), np.repeat(np.array(NAMES, object), 4).tolist()))


@pytest.fixture(scope="module")
def of_names(named: LabeledData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator of them, as `fit` leaves it, with pictures."""
    out = tmp_path_factory.mktemp("names") / "gen"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        synthaug.fit(named, steps=2, out=out, progress=False)
    return out


def test_a_generator_keeps_any_name(of_names: Path, named: LabeledData) -> None:
    made = synthaug.load(of_names)
    assert made.classes == named.classes
    assert set(made.sample(1).labels.tolist()) == set(NAMES)
    assert set(synthaug.inspect(of_names)["classes"]) == set(NAMES)
    assert list((of_names / "grids").iterdir())
    (of_names / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("place", "format"), [("f", None), ("f.parquet", None), ("f.npz", None), ("f", "hf")]
)
def test_a_larger_data_set_keeps_any_name(
    of_names: Path, named: LabeledData, tmp_path: Path, place: str, format: str | None
) -> None:
    # Arrow keeps UTF-8 alone
    known = [name for name in NAMES if name != "\ud800" or (place in ("f.npz", "f") and format is None)]
    real = named.take([named.classes[label] in known for label in named.labels])
    out = synthaug.expand(real, of_names, to="1.5x", out=tmp_path / place, format=format, progress=False)
    found = open_data(out)
    assert {name: found.counts.get(name) for name in known} == dict.fromkeys(known, 6)
    rows = synthaug.sample(
        of_names, dict.fromkeys(known, 2), out=tmp_path / f"s{place}", format=format, progress=False
    )
    counts = open_data(rows).counts
    assert {name: counts[name] for name in known} == dict.fromkeys(known, 2)
    mixed = synthaug.mixing.Supply.of(out)
    assert set(mixed.classes) == set(NAMES)
    PushRequest(out, "me/x", include_rows=True).describe() if place != "f.npz" else None


def test_a_report_tells_any_name(named: LabeledData, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        found = synthaug.evaluate(
            named, ratio=0.25, protocol=QUICK, jobs=1, out=tmp_path / "report", progress=False
        )
        again = synthaug.evaluate(
            named, ratio=0.25, protocol=QUICK, jobs=1, out=tmp_path / "report", progress=False
        )
    assert set(found.classes) == set(again.classes) == set(NAMES)
    page, text = (
        (tmp_path / "report" / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "md")
    )
    assert "<script>alert(1)</script>" not in page
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)
    assert "\x1b" not in text


def test_a_choice_and_pictures_take_any_name(named: LabeledData, of_names: Path, tmp_path: Path) -> None:
    protocol = replace(QUICK, judge_steps=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        options: dict[str, Any] = {"families": "cvae", "protocol": protocol, "jobs": 1, "progress": False}
        plan = synthaug.choose(named, out=tmp_path / "plan", **options)
        assert synthaug.choose(named, out=tmp_path / "plan", **options) == plan
    pictures = synthaug.inspect(of_names, real=named, out=tmp_path / "pictures")["pictures"]
    assert "nearest.png" in pictures


def test_a_recipe_takes_any_name(named: LabeledData, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", X=named.read(), y=named.labels, classes=np.array(list(named.classes)))
    text = "fit: {steps: 2}\nsample: {counts: {'cat\\n': 2, '%41': 1}}\nmix: {}\nexpand: {to: 2x}\n"
    steps = recipe(tmp_path, tmp_path / "data.npz", text.replace("'cat\\n'", '"cat\\n"'))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        run_recipe(steps, say=lambda _: None, progress=False)
    assert open_data(tmp_path / "out" / "samples.parquet").counts["cat\n"] == 2
