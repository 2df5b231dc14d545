"""Rows without labels: read beside labelled ones, judged, mixed in, and never rows to test on."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from planted import distinct_digits, encode, plan_for
from torch.utils.data import DataLoader

import synthaug
from synthaug import Plan, Protocol, open_data
from synthaug.cli import main
from synthaug.data import LabeledData, apart_from, open_unlabelled
from synthaug.errors import InvalidData, InvalidRequest, Leakage, SpecMismatch, SynthaugWarning
from synthaug.judging import Ingredients, families_for, families_on_both, no_pool
from synthaug.judging.protocol import JUDGED, ON_BOTH
from synthaug.judging.unlabelled import judge_rows, judge_unlabelled, with_judged
from synthaug.modalities.image import image_augmentations

QUICK = Protocol(steps=6, classifier_steps=12, folds=2, judge_steps=10, seeds=2)


def rows(per_class: int, skip: int = 0, classes: int = 3) -> LabeledData:
    """So many digits of some classes, other ones for another skip."""
    data = distinct_digits()
    found = [np.flatnonzero(data.labels == k)[skip : skip + per_class] for k in range(classes)]
    part = data.take(np.concatenate(found))
    return open_data((part.read(), np.array(["zero", "one", "two"])[part.labels]))


KNOWN, MORE = rows(12), rows(40, skip=12)


# ------------------------------------------------------------------------------------------------------- reading


def test_labels_of_unlabelled_rows_are_not_looked_at(tmp_path: Path) -> None:
    images = MORE.read()
    for i, image in enumerate(images[:6]):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    (tmp_path / "sub").mkdir()
    Image.fromarray(images[6]).save(tmp_path / "sub" / "6.png")
    np.savez(tmp_path.parent / "more.npz", X=images, y=["?"] * len(images))
    sources: list[tuple[Any, int]] = [
        (images, 120), (torch.from_numpy(images), 120), ((images, np.arange(120)), 120), (MORE, 120),
        (tmp_path, 7), (tmp_path.parent / "more.npz", 120), (list(images[:5]), 5),
    ]  # fmt: skip
    for source, n in sources:
        found = open_unlabelled(source, KNOWN)
        assert len(found) == n
        assert found.classes == KNOWN.classes
        assert set(found.fingerprints()) <= set(MORE.fingerprints())
    with pytest.raises(SpecMismatch, match="do not have the form of the labelled ones"):
        open_unlabelled(np.zeros((5, 9, 9), np.uint8), KNOWN)
    with pytest.raises(InvalidData, match="there is no file or folder"):
        open_unlabelled("nowhere/", KNOWN)


def test_labelled_rows_are_taken_out_and_rows_to_test_on_refused() -> None:
    both = open_unlabelled(np.concatenate([KNOWN.read(), MORE.read(), MORE.read()]), KNOWN)
    found = apart_from(both, KNOWN, None)
    assert sorted(found.fingerprints()) == sorted(MORE.fingerprints())
    with pytest.raises(Leakage, match="of the unlabelled rows are rows to validate or test on"):
        apart_from(both, rows(12, 60), MORE.take(np.arange(3)))
    with pytest.raises(InvalidData, match="nothing is left"):
        apart_from(open_unlabelled(KNOWN, KNOWN), KNOWN, None)
    assert (
        len(apart_from(both, rows(12, 60), MORE.take(np.arange(3)), drawn=True)) == len(MORE) + len(KNOWN) - 3
    )


# ------------------------------------------------------------------------------------------------------- judging


def parts() -> tuple[Ingredients, Any]:
    augment = image_augmentations(encode(KNOWN.read()), KNOWN.labels)["policy"]
    form = KNOWN.form.fitted(KNOWN.read())
    return Ingredients.of(KNOWN, no_pool(KNOWN), form.encode, ratio=0.5, batch_size=32), augment


def test_judges_are_mostly_right_and_say_what_they_left_out() -> None:
    known, augment = parts()
    found = judge_rows(known, MORE.read(), augment, steps=60, seed=0)
    assert (MORE.labels[found.rows] == found.labels).mean() > 0.9
    assert len(found) + sum(found.dropped.values()) == len(MORE)
    assert len(found) > 60
    assert (found.sure > 0.5).all()
    assert (np.diff(found.rows) > 0).all()
    again = judge_rows(known, MORE.read(), augment, steps=60, seed=0)
    assert (found.rows == again.rows).all()
    assert (found.sure == again.sure).all()


def test_rows_of_another_kind_are_not_judged() -> None:
    known, augment = parts()
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (60, *MORE.form.shape)).astype(np.uint8)
    strange = np.concatenate([MORE.read(), noise, 255 - MORE.read()[:60]])
    found = judge_rows(known, strange, augment, steps=60, seed=0)
    assert found.dropped["unlike any labelled row"] >= 110
    assert (found.rows < len(MORE)).mean() > 0.9
    assert (found.rows < len(MORE)).sum() > 60
    none = judge_rows(known, noise, augment, steps=60, seed=0)
    assert (len(none), none.dropped["unlike any labelled row"]) == (0, 60)


def test_rows_of_one_unit_do_not_make_all_others_strange() -> None:
    """Frames of one film are near each other: how far rows may be is told by those of other units."""
    rng = np.random.default_rng(0)
    frames = np.repeat(KNOWN.read(), 2, axis=0).astype(int) + rng.integers(-2, 3, (72, *KNOWN.form.shape))
    labels, films = np.repeat(KNOWN.labels, 2), np.repeat(np.arange(36), 2)
    data = open_data((frames.clip(0, 255).astype(np.uint8), labels), group=films)
    form = data.form.fitted(data.read())
    known = Ingredients.of(data, no_pool(data), form.encode, ratio=0.5, batch_size=32)
    augment = image_augmentations(encode(data.read()), data.labels)["policy"]
    how: Any = {"steps": 60, "seed": 0, "rounds": (0.9,)}
    strange = [
        judge_rows(replace(known, units=units), MORE.read(), augment, **how).dropped[
            "unlike any labelled row"
        ]
        for units in (films, None)
    ]
    assert strange[0] < 50 < 80 < strange[1]


@pytest.mark.parametrize(("prior", "most"), [("even", 12), ("labelled", 12)])
def test_no_class_has_more_rows_than_are_due_to_it(prior: Any, most: int) -> None:
    known, augment = parts()
    unequal = MORE.take(np.flatnonzero((MORE.labels == 0) | (np.arange(len(MORE)) % 10 == 0))[:40])
    found = judge_rows(known, unequal.read(), augment, steps=40, seed=0, prior=prior, rounds=(0.9,))
    assert Counter(found.labels.tolist())[0] <= most


def judged(unlabelled: LabeledData, held_out: np.ndarray | None = None) -> synthaug.Generator:
    protocol = replace(QUICK, classifier_steps=40, batch_size=32)
    return judge_unlabelled(KNOWN, "a", unlabelled=unlabelled, seed=1, protocol=protocol, held_out=held_out)


def test_judged_rows_are_a_generator_of_rows_that_are_there() -> None:
    form = KNOWN.form.fitted(KNOWN.read())
    held_out = np.array([7], np.uint64)
    made = judged(MORE, held_out)
    larger = with_judged(KNOWN, MORE, made)
    images, labels = larger.read()[len(KNOWN) :], larger.labels[len(KNOWN) :]
    assert len(images) == sum(made.training_counts.values())
    samples = made.sample(20, seed=3)
    assert set(samples.fingerprints()) <= set(form.fingerprints(images)) <= set(MORE.fingerprints())
    of = dict(zip(form.fingerprints(images).tolist(), labels.tolist(), strict=True))
    assert [of[print_] for print_ in samples.fingerprints().tolist()] == samples.class_indices.tolist()
    assert (made.sample(20, seed=3).samples == samples.samples).all()
    assert made.family.keeps_rows
    assert made.held_out.tolist() == [7]
    assert "unlabelled rows were labelled by 2 classifiers in 2 rounds" in made.achieved.text
    assert larger.classes == KNOWN.classes


@pytest.mark.parametrize(
    "convert", [lambda x: (x.astype(np.float32) - 93) / 41, lambda x: x.astype(np.uint16) * 30]
)
def test_rows_of_any_range_are_learned_from_as_they_are(convert: Any) -> None:
    known = open_data((convert(KNOWN.read()), KNOWN.labels.tolist()))
    more = open_unlabelled(convert(np.minimum(MORE.read().astype(np.float64) * 1.5, 255)), known)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        plan = synthaug.choose(
            known, families="warp", unlabelled=more, protocol=QUICK, jobs=1, progress=False
        )
    assert any(ON_BOTH in of.name for of in plan.choice.standings)


def test_a_class_that_judges_are_not_sure_of_keeps_its_labelled_rows() -> None:
    only = MORE.take(np.flatnonzero(MORE.labels == 0))
    made = judged(only)
    assert all(made.training_counts.values())
    assert made.sample(3).counts == dict.fromkeys(KNOWN.classes, 3)


# -------------------------------------------------------------------------------------------------------- choosing


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    out = tmp_path_factory.mktemp("unlabelled") / "plan"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        plan = synthaug.choose(
            KNOWN, families="warp", unlabelled=MORE.read(), protocol=QUICK, jobs=1, out=out, progress=False
        )
    return plan, out


def test_judged_rows_and_families_of_both_are_tried(chosen: tuple[Plan, Path]) -> None:
    names = [of.name for of in chosen[0].choice.standings]
    assert any(JUDGED in name for name in names)
    assert any(ON_BOTH in name for name in names)
    assert any("warp, mild" in name for name in names)


def test_other_unlabelled_rows_are_another_request(chosen: tuple[Plan, Path]) -> None:
    plan, out = chosen
    asked: dict[str, Any] = {"families": "warp", "protocol": QUICK, "jobs": 1, "out": out, "progress": False}
    assert synthaug.choose(KNOWN, unlabelled=MORE, **asked) == plan
    with pytest.raises(synthaug.SynthaugError, match="another request"):
        synthaug.choose(KNOWN, unlabelled=MORE.take(np.arange(50)), **asked)
    with pytest.raises(synthaug.SynthaugError, match="another request"):
        synthaug.choose(KNOWN, **asked)


def test_a_plan_of_judged_rows_is_kept_and_applied(tmp_path: Path) -> None:
    form = KNOWN.form.fitted(KNOWN.read())
    made = judged(MORE)
    replace(plan_for(KNOWN, "real", made, share=0.5), family=JUDGED).write(tmp_path)
    again = Plan.load(tmp_path)
    assert again.generator is not None
    assert again.generator.fingerprint == made.fingerprint
    names = [KNOWN.classes[k] for k in KNOWN.labels]
    loader: Any = DataLoader(list(zip(KNOWN.read(), names, strict=True)), batch_size=12)  # type: ignore[arg-type]
    mixed = synthaug.mix(loader, again, flag=True)
    images = [x for batch, _, flags in mixed for x in batch[flags].numpy()]
    assert len(images) == len(KNOWN) // 2
    assert set(form.fingerprints(np.stack(images))) <= set(MORE.fingerprints())
    assert "unlabelled rows with the labels of judges" in again.advice


def test_an_evaluation_tells_what_unlabelled_rows_bring(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        found = synthaug.evaluate(
            rows(24), families="warp", unlabelled=rows(20, skip=40), protocol=QUICK, jobs=1, progress=False,
            out=tmp_path / "report",
        )  # fmt: skip
    text = (tmp_path / "report" / "report.md").read_text()
    assert "unlabelled rows as judged" in text
    assert "unlabelled rows and a generator of both" in text
    assert found.plan is not None
    with pytest.raises(InvalidRequest, match="leave one of them out"):
        synthaug.evaluate(rows(24), ratio=0.25, unlabelled=rows(20, skip=40), protocol=QUICK, progress=False)


def test_the_command_takes_a_folder_of_pictures(tmp_path: Path) -> None:
    for name, data, labelled in (("known", KNOWN, True), ("more", MORE, False)):
        for i, image in enumerate(data.read()):
            place = tmp_path / name / (data.classes[data.labels[i]] if labelled else "")
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(place / f"{i}.png")
    asked = [
        "choose",
        str(tmp_path / "known"),
        "--unlabelled",
        str(tmp_path / "more"),
        "--steps",
        "3",
        "--dry-run",
    ]
    done = CliRunner().invoke(main, [*asked, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["unlabelled"] == len(MORE)


def test_a_prior_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r'prior="evn" was asked for.*Did you mean "even"'):
        synthaug.choose(KNOWN, unlabelled=MORE, protocol=replace(QUICK, prior="evn"), progress=False)


def test_a_family_is_fitted_to_labelled_and_judged_rows(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"steps": 4, "out": tmp_path / "gen", "progress": False}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        made = synthaug.fit(KNOWN, "warp", unlabelled=MORE.read(), **asked)
        again = synthaug.fit(KNOWN, "warp", unlabelled=MORE.read(), **asked)
    assert again.fingerprint == made.fingerprint
    assert sum(made.training_counts.values()) > len(KNOWN) + 30
    assert set(KNOWN.fingerprints()) <= set(made.trained_on)
    with pytest.raises(synthaug.SynthaugError, match="another request"):
        synthaug.fit(KNOWN, "warp", **asked)


def test_rows_of_the_groups_of_labelled_rows_are_left_out_and_said() -> None:
    known = open_data((KNOWN.read(), KNOWN.labels.tolist()), group=[f"p{i % 6}" for i in range(len(KNOWN))])
    more = open_data((MORE.read(), MORE.labels.tolist()), group=[f"p{i % 8}" for i in range(len(MORE))])
    with pytest.warns(SynthaugWarning, match="90 of the unlabelled rows"):
        found = apart_from(open_unlabelled(more, known), known, None)
    assert len(found) == 30
    assert found.groups is not None
    assert set(found.groups) == {"p6", "p7"}


def test_synthetic_rows_are_no_unlabelled_ones_and_other_files_are_counted(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        out = synthaug.expand(KNOWN, to="2x", steps=1, out=tmp_path / "more", progress=False)
    with pytest.raises(InvalidRequest, match=r"unlabelled rows.* already holds synthetic rows"):
        open_unlabelled(out, KNOWN)
    place = tmp_path / "pictures"
    place.mkdir()
    Image.fromarray(MORE.read()[0]).save(place / "0.png")
    (place / "notes.txt").write_text("x")
    found = open_unlabelled(place, KNOWN)
    assert found.path == place
    assert found.reading.left_out == {"other files": 1}


def test_groups_of_drawn_test_rows_are_left_out_as_the_rows_are() -> None:
    held_out = open_data((MORE.read()[:20], MORE.labels[:20].tolist()), group=["a"] * 20)
    more = open_data((MORE.read(), MORE.labels.tolist()), group=["a"] * 30 + ["b"] * 90)
    unlabelled = open_unlabelled(more, KNOWN)
    assert len(apart_from(unlabelled, KNOWN, held_out, drawn=True)) == 90
    with pytest.raises(Leakage):
        apart_from(unlabelled, KNOWN, held_out)


def test_columns_without_labels_or_with_such_as_say_nothing_are_taken(tmp_path: Path) -> None:
    image = {"image": datasets.Image()}
    pictures = [Image.fromarray(each) for each in MORE.read()[:9]]
    bare = datasets.Dataset.from_dict({"image": pictures}, features=datasets.Features(image))
    label = datasets.ClassLabel(names=["zero", "one"])
    none = bare.add_column("label", [-1] * 9).cast_column("label", label)
    bare.to_parquet(tmp_path / "bare.parquet")
    none.save_to_disk(tmp_path / "saved")
    np.savez(tmp_path / "bare.npz", images=MORE.read()[:9])
    both = datasets.DatasetDict(train=bare, test=bare.select(range(4)))
    paths = [tmp_path / name for name in ("bare.parquet", "saved", "bare.npz")]
    for source in (bare, none, both, *paths, *map(str, paths)):
        found = open_unlabelled(source, KNOWN)
        assert set(found.fingerprints()) == set(MORE.fingerprints()[:9])
        assert len(found) == (13 if source is both else 9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        out = synthaug.expand(KNOWN, to="2x", steps=1, out=tmp_path / "more.parquet", progress=False)
    with pytest.raises(InvalidRequest, match="synthetic rows"):
        open_unlabelled(out, KNOWN)


def test_vectors_that_nothing_augments_are_near_those_they_are_like() -> None:
    """Judges have seen labelled ones so often that all others look far away to them."""
    rng = np.random.default_rng(0)
    labels = np.arange(230) % 10
    middles = 0.5 * rng.normal(size=(10, 300))
    vectors = np.maximum(middles[labels] + rng.normal(size=(230, 300)), 0).astype(np.float32)
    known = open_data((vectors[:30], labels[:30]))
    form = known.form.fitted(known.read())
    given = Ingredients.of(known, replace(no_pool(known), form=form), form.encode, ratio=0.5)
    found = judge_rows(given, vectors[30:], None, steps=200, seed=0, rounds=(0.9,))
    assert found.dropped["unlike any labelled row"] < 30
    assert (labels[30:][found.rows] == found.labels).mean() > 0.9


def test_a_choice_trains_on_both_what_gained_there_and_whatever_it_was_asked_for() -> None:
    usual = families_for("image")
    assert families_on_both("image", usual) == ("warp",)
    assert families_on_both("image", ["cvae"]) == ("cvae",)
    assert families_on_both("table", families_for("table")) == families_for("table")


def test_a_prior_in_proportions_is_due_and_refused_where_it_cannot_be() -> None:
    known, augment = parts()
    found = judge_rows(
        known, MORE.read(), augment, steps=40, seed=0, prior="zero=4,one=1,two=0", rounds=(0.9,)
    )
    counts = dict(zip(KNOWN.classes, np.bincount(found.labels, minlength=3).tolist(), strict=True))
    assert counts["two"] == 0
    assert 0 < counts["one"] <= round(0.9 * 120 * 0.2)
    assert counts["one"] < counts["zero"] <= round(0.9 * 120 * 0.8)
    for prior, words in (
        ("zero=1,one=1", r"without \"two\": say a proportion of every class"),
        ("zero=1,one=1,twoo=1", r"twoo"),
        ("zero=1,one=-1,two=1", r"not below 0"),
        ("zero=0,one=0,two=0", r"one of them is above"),
        ("zero=many", r"NAME=NUMBER"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            synthaug.choose(KNOWN, unlabelled=MORE, protocol=replace(QUICK, prior=prior), progress=False)
