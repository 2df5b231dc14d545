"""choose from data to plan, and what follows a plan: mix, expand, evaluate."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as PIL
from torch.utils.data import DataLoader

import synthaug
from synthaug.data.labeled import LabeledData, open_data
from synthaug.data.splits import cross_folds
from synthaug.errors import (
    InvalidArtifact,
    InvalidData,
    InvalidRequest,
    Leakage,
    OutputExists,
    SynthaugWarning,
)
from synthaug.judging import answers, trials
from synthaug.judging.arms import LADDER
from synthaug.judging.plan import Plan
from synthaug.judging.search import Choice, Judged, Standing, choose_option
from synthaug.judging.trainings import train_arm
from synthaug.judging.trials import Trials
from synthaug.metrics.statistics import Interval

SMALL: dict[str, Any] = {"steps": 2, "classifier_steps": 2, "folds": 2, "jobs": 1, "progress": False}

Shapes = tuple[np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def _brief_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_JUDGE_STEPS", 3)


@contextmanager
def _short_classes_told() -> Iterator[None]:
    """Judges of three steps let few rows pass, which is said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        yield


JUDGED = Judged(
    gain=Interval(0.02, 0.004, 0.036, 30), bound=0.01, error=0.008, without=(None, "a", "a"), seeds=4
)


def prefer(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Makes the choice fall on the first option with this in its name, and accept it."""

    def choose(*given: Any, **numbers: Any) -> Choice:
        found = choose_option(*given, **numbers)
        name = next(of.name for of in found.standings if part in of.name)
        return replace(found, candidate=name, judged=JUDGED, accepted=True)

    monkeypatch.setattr(answers, "choose_option", choose)


@pytest.fixture(scope="module")
def plan(shapes: Shapes) -> Plan:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "_JUDGE_STEPS", 3)
        return synthaug.choose(shapes, **SMALL)


def test_a_plan_tells_what_was_tried_and_what_it_cost(plan: Plan) -> None:
    names = {of.name for of in plan.choice.standings}
    assert {"real + classical", "elastic, medium", "policy"} < names
    assert {of.name.split(" + ")[-1] for of in plan.choice.standings if of.synthetic} >= {
        "25% cvae", "25% cvae between neighbours", "25% warp, mild", "25% warp, shape",
    }  # fmt: skip
    assert plan.cost > plan.choice.trainings
    assert plan.share == (plan.candidate_share if plan.accepted else 0)
    assert plan.advice.startswith("Use ")
    tried = {of.name: of.gain for of in plan.choice.standings}
    assert tried[plan.baseline] is None
    # Every share of the candidate's samples stands beside it, and is of options that were tried.
    assert set(plan.shares.values()) >= {0.25}
    assert all(
        tried[name] is not None and f"{share:.0%}" in name
        for name, share in plan.shares.items()
        if name in tried
    )


def test_the_advice_tells_what_is_known_and_no_more(plan: Plan) -> None:
    """Four ends of a choice: taken, refused by the judges, hardly better, and not better at all."""
    name = "policy + 25% warp, mild"
    own = Standing(name, True, 6, 0.9, Interval(0.01, -0.03, 0.05, 30))
    choice = Choice("policy", name, False, JUDGED, (own,), 9)
    plan = replace(plan, baseline="policy", base="policy", candidate=name, family="warp")
    plan = replace(plan, candidate_share=0.25, curated=False, annealed=False)

    def told(accepted: bool, **parts: Any) -> str:
        return replace(plan, accepted=accepted, choice=replace(choice, **parts)).advice

    taken = told(True)
    assert taken.startswith("Use synthetic rows: 25 % of each batch as samples of warp, with “policy”.")
    assert "+2.0 points [+0.4, +3.6] of accuracy on folds that had not chosen" in taken
    assert taken.endswith("that it gains is 90 % sure (more than +1.0).")
    refused = told(False)
    assert refused.startswith("Use no synthetic rows: train with “policy”. The best with them was")
    assert refused.endswith("[+0.4, +3.6] of accuracy on folds that had not chosen, which may be chance.")
    hardly = told(False, judged=None)
    assert hardly.endswith(
        "with +1.0 points [-3.0, +5.0] of accuracy on the very rows that chose it, which may be chance."
    )
    assert told(False, judged=None, candidate=None).endswith("no share of any family did better.")
    lost = told(False, judged=replace(JUDGED, gain=Interval(-0.012, -0.03, 0.006, 30)))
    assert lost.endswith("gained nothing: -1.2 points [-3.0, +0.6] of accuracy on folds that had not chosen.")


def test_a_plan_that_is_kept_is_read_as_it_was_and_the_same_call_makes_no_other(
    shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefer(monkeypatch, "25% warp, mild")
    first = synthaug.choose(shapes, out=tmp_path / "plan", **SMALL)
    assert {path.name for path in (tmp_path / "plan").iterdir()} >= {"plan.json", "generator"}
    assert not list((tmp_path / "plan").glob("fold-*"))
    monkeypatch.setattr(answers, "choose_option", None)
    again = synthaug.choose(shapes, out=tmp_path / "plan", **SMALL)
    assert again == first == Plan.load(tmp_path / "plan")
    assert again.generator is not None
    assert again.to_dict() == first.to_dict()


def test_a_plan_made_without_groups_is_not_read_for_a_call_with_them(shapes: Shapes, tmp_path: Path) -> None:
    synthaug.choose(shapes, out=tmp_path / "plan", **SMALL)
    patients = np.arange(len(shapes[0])) // 2
    with pytest.raises(OutputExists, match="groups"):
        synthaug.choose(shapes, group=patients, out=tmp_path / "plan", **SMALL)


def test_mix_and_expand_follow_a_plan(shapes: Shapes, monkeypatch: pytest.MonkeyPatch) -> None:
    prefer(monkeypatch, "25% warp, mild")
    plan = synthaug.choose(shapes, **SMALL)
    X, y = shapes
    loader: Any = DataLoader(list(zip(X, y.tolist(), strict=True)), batch_size=40)
    mixed = synthaug.mix(loader, plan, flag=True, pool=20)
    assert [int(synthetic.sum()) for *_, synthetic in mixed] == [10, 10, 10]
    bigger = synthaug.expand(shapes, plan, progress=False)
    assert len(bigger[0]) == 160
    assert set(bigger.provenance["generator"][120:]) == {plan.generator.fingerprint}  # type: ignore[union-attr]


def test_curated_samples_are_those_that_passed_and_no_others(
    shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefer(monkeypatch, "curated")
    monkeypatch.setattr(answers, "pool_size", lambda *given: 30)
    with _short_classes_told():
        plan = synthaug.choose(shapes, out=tmp_path / "plan", **SMALL)
    assert plan.kept is not None
    assert plan.generator is not None
    samples = plan.generator.sample(10, seed=plan.seed)
    for name in samples.classes:
        index = samples.provenance["index"][samples.provenance["class"] == name]
        assert index.tolist() == list(plan.kept[name][:10])
    with pytest.raises(InvalidRequest, match="were curated"):
        plan.generator.sample(10_000, seed=plan.seed)
    with pytest.raises(InvalidRequest, match="were curated"):
        plan.generator.sample(1, seed=plan.seed + 1)
    # Fewer were kept than mix draws of another generator; all of them are in its pool.
    loader: Any = DataLoader(list(zip(*shapes, strict=True)), batch_size=40)
    assert len(list(synthaug.mix(loader, plan, pool=10_000))) == len(loader)
    with pytest.raises(InvalidRequest, match="no more than were kept"):
        synthaug.mix(loader, plan, refresh=1)


def test_a_plan_for_none_leaves_a_loader_alone_and_expands_nothing(plan: Plan, shapes: Shapes) -> None:
    none = replace(plan, accepted=False, generator=None)
    loader: Any = DataLoader(list(zip(*shapes, strict=True)))
    assert synthaug.mix(loader, none) is loader
    with pytest.raises(InvalidRequest, match="add nothing"):
        synthaug.expand(shapes, none)
    assert none.advice.startswith("Use no synthetic rows")


def test_a_share_that_falls_to_0_is_half_of_it_in_a_fixed_data_set(plan: Plan, shapes: Shapes) -> None:
    falling = replace(
        plan, accepted=True, candidate_share=0.5, annealed=True, choice=replace(plan.choice, judged=JUDGED)
    )
    assert (falling.ratio.at(0, 0), falling.ratio.at(0, plan.classifier_steps)) == (0.5, 0.0)  # type: ignore[union-attr]
    assert falling.totals({"a": 30}) == {"a": 40}
    assert f"falling to 0 over {plan.classifier_steps} steps" in falling.advice
    features = Features(image=Image(), label=ClassLabel(names=["lying", "standing"]))
    pictures = [PIL.fromarray(image) for image in shapes[0]]
    rows = Dataset.from_dict({"image": pictures, "label": shapes[1].tolist()}, features=features)
    maker = synthaug.fit(rows, "warp", steps=1, progress=False)
    mixed = synthaug.mix(rows, replace(falling, generator=maker))
    assert sum(mixed["synthetic"]) == len(rows) / 4


def test_a_plan_whose_generator_is_missing_is_not_taken_for_one_that_says_no(
    plan: Plan, shapes: Shapes
) -> None:
    lost = replace(plan, accepted=True, generator=None, choice=replace(plan.choice, judged=JUDGED))
    loader: Any = DataLoader(list(zip(*shapes, strict=True)))
    for use in (lambda: synthaug.mix(loader, lost), lambda: synthaug.expand(shapes, lost)):
        with pytest.raises(InvalidRequest, match="came without its generator"):
            use()


def test_a_plan_of_another_format_is_refused_by_name(
    plan: Plan, shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = plan.to_dict()
    del old["format_version"]
    with pytest.raises(InvalidArtifact, match=r"format 1; this version of synthaug reads 2. Choose again"):
        Plan.from_dict(old)
    monkeypatch.setattr(answers, "FORMAT", 1)
    synthaug.choose(shapes, out=tmp_path / "plan", **SMALL)
    monkeypatch.undo()
    with pytest.raises(OutputExists, match="plan_format"):
        synthaug.choose(shapes, out=tmp_path / "plan", **SMALL)


def test_a_choice_that_was_killed_trains_no_classifier_again(
    shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = synthaug.choose(shapes, out=tmp_path / "whole", **SMALL)
    made, at_most = 0, 20

    def counted(*given: Any) -> Any:
        nonlocal made
        made += 1
        if made > at_most:
            raise KeyboardInterrupt
        return train_arm(*given)

    monkeypatch.setattr(trials, "train_arm", counted)
    with pytest.raises(KeyboardInterrupt):
        synthaug.choose(shapes, out=tmp_path / "plan", **SMALL)
    assert not (tmp_path / "plan").exists()
    made, at_most = 0, 1000
    again = synthaug.choose(shapes, out=tmp_path / "plan", **SMALL)
    assert again.choice == whole.choice
    assert made == whole.choice.trainings - 20
    assert not list((tmp_path / "plan").glob("trials*"))


def test_expand_without_totals_is_refused(shapes: Shapes) -> None:
    with pytest.raises(InvalidRequest, match="no totals"):
        synthaug.expand(shapes)


def test_evaluate_chooses_and_tests_once_on_rows_that_had_no_part_in_it(
    shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[LabeledData] = []

    def watch(data: LabeledData, *given: Any, **named: Any) -> Trials:
        seen.append(data)
        return Trials(data, *given, **named)

    monkeypatch.setattr(answers, "Trials", watch)
    with _short_classes_told():
        found = synthaug.evaluate(shapes, seeds=2, out=tmp_path / "report", **SMALL)
    assert found.plan is not None
    assert (found.baseline, found.candidate) == (found.plan["baseline"], found.plan["candidate"])
    assert found.rows["training"] == seen[0].counts
    assert sum(found.rows["training"].values()) + sum(found.rows["test"].values()) == len(shapes[0])
    assert "validation" not in found.rows
    # What is trained for longer is what the candidate is put on top of.
    names = [arm.name for arm in found.arms]
    assert f"{found.plan['base']}, longer" in names
    assert "longer" not in names
    assert found.plan["accepted"] or found.verdict != "helps"
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "How much, and of what" in text
    assert "share of synthetic rows in a batch" in text
    assert "What judges would leave out" in text
    assert sum(sum(of["dropped"].values()) for of in found.curation["filters"]) <= found.curation["judged"]
    assert synthaug.evaluate(shapes, seeds=2, out=tmp_path / "report", **SMALL) == found


def test_what_makes_folds_with_its_validation_rows_can_be_evaluated(shapes: Shapes) -> None:
    # Four rows a class to train on are too few for three folds; with those to validate by they are enough.
    few = np.sort(np.concatenate([np.flatnonzero(shapes[1] == k)[:7] for k in np.unique(shapes[1])]))
    planned = answers.plan_evaluation((shapes[0][few], shapes[1][few]), folds=3, steps=2)
    assert sum(planned["generator"]["folds"]) > sum(planned["rows"]["train"].values())


def test_a_generator_that_saw_held_out_rows_is_refused(shapes: Shapes) -> None:
    data = open_data(shapes)
    whole = synthaug.fit(shapes, "warp", steps=1, progress=False)
    with pytest.raises(Leakage, match="held-out"):
        Trials(
            data, cross_folds(data, 2, 0), lambda rows, family, name: whole, lambda X, y: {}, families=["warp"],
            progress=False,
        )  # fmt: skip


def test_baselines_balance_classes_only_where_they_are_unequal(shapes: Shapes) -> None:
    data = open_data(shapes)

    def names(**asked: Any) -> set[str]:
        made = Trials(
            data, cross_folds(data, 2, 0), _fit_once, lambda X, y: dict.fromkeys(_AUGMENTATIONS, lambda X, seed: X),
            families=["warp"], progress=False, **asked,
        )  # fmt: skip
        return {option.name for option in made.baselines}

    assert names() == {"real + classical", "elastic, medium", "policy"}
    assert names(unequal=True) - names() == {"oversampling + classical", "oversampling + policy"}
    assert names(full=True) > names() | {"mixup", "CutMix", "real"}
    # A training that takes no loss cannot stand in for arms with one of their own.
    assert "mixup" not in names(full=True, training=_no_training)


_AUGMENTATIONS = {arm.augmentation for arm in LADDER if arm.augmentation}


def _fit_once(rows: LabeledData, family: str, name: str) -> Any:
    return synthaug.fit((rows.read(), np.array(rows.values)[rows.labels]), family, steps=1, progress=False)


def _no_training(loader: Any, steps: int, seed: int) -> Any:
    return lambda X: torch.zeros(len(X), dtype=torch.int64)


def test_folds_hold_out_every_row_once_but_the_last_of_a_class() -> None:
    labels = [0] * 9 + [1] * 4 + [2]
    data = open_data((np.random.default_rng(0).integers(0, 255, (14, 8, 8), np.uint8), labels))
    folds = cross_folds(data, 3, 0)
    assert sorted(np.concatenate(folds).tolist()) == list(range(13))
    for fold in folds:
        kept = np.delete(data.labels, fold)
        assert set(kept.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("per_class", [(9, 9, 2), (9, 9, 3), (2, 2, 9), (3, 4, 5)])
@pytest.mark.parametrize("n", [2, 3])
def test_every_fold_keeps_two_rows_of_every_class(per_class: tuple[int, ...], n: int) -> None:
    labels = np.repeat(np.arange(3), per_class)
    data = open_data((np.random.default_rng(0).integers(0, 255, (len(labels), 8, 8), np.uint8), labels))
    for seed in range(5):
        for fold in cross_folds(data, n, seed):
            assert np.bincount(np.delete(data.labels, fold), minlength=3).min() >= 2


def test_rows_that_are_not_held_out_keep_their_group_with_them() -> None:
    # One patient has all rows of class 2, and some of class 0.
    labels = np.array([0] * 12 + [1] * 12 + [2] * 6)
    patients = np.concatenate([np.arange(24), np.full(6, 3)])
    pictures = np.random.default_rng(0).integers(0, 255, (30, 8, 8), np.uint8)
    data = open_data((pictures, labels), group=patients)
    for seed in range(5):
        for fold in cross_folds(data, 3, seed):
            kept = np.setdiff1d(np.arange(30), fold)
            assert not set(patients[fold]) & set(patients[kept])
            assert {0, 1, 2} == set(labels[kept])


def test_a_class_that_lies_in_one_group_with_others_can_be_chosen_for(shapes: Shapes) -> None:
    _, y = shapes
    rare = np.flatnonzero(y == y[-1])
    patients = np.arange(len(y))
    patients[rare] = np.flatnonzero(y != y[-1])[0]
    plan = synthaug.choose(shapes, group=patients, families="warp", **SMALL)
    assert plan.choice.trainings > 0


def test_too_few_rows_for_the_folds_are_refused() -> None:
    data = (np.random.default_rng(0).integers(0, 255, (4, 8, 8), np.uint8), [0, 1, 2, 3])
    with pytest.raises(InvalidData, match="too few for 3 folds"):
        synthaug.choose(data, progress=False)


@pytest.mark.parametrize(
    ("asked", "match"),
    [({"families": "wrap"}, "Did you mean"), ({"families": []}, "No family"), ({"folds": 1}, "at least 2")],
)
def test_a_choice_that_cannot_be_made_is_refused(shapes: Shapes, asked: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidRequest, match=match):
        synthaug.choose(shapes, progress=False, **asked)
