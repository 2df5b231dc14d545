"""Tables are judged by learners of scikit-learn as well as by the built-in network."""

from __future__ import annotations

from dataclasses import replace

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import synthaug
from synthaug import Generator, Plan, Protocol, open_data
from synthaug.errors import InvalidRequest
from synthaug.judging import (
    LEARNERS,
    Ingredients,
    Learner,
    Task,
    adjusted,
    arms_for,
    can_train,
    families_for,
    no_pool,
    starting_arms,
    train_arm,
)
from synthaug.judging.words import caveat
from synthaug.modalities.image import ImageForm
from synthaug.testing import table_form

QUICK = Protocol(folds=2, classifier_steps=20, steps=20, seeds=2)


def frame(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    ill = np.arange(n) % 3 == 0
    return pd.DataFrame(
        {
            "dose": rng.normal(size=n) + 2 * ill,
            "job": np.where(rng.random(n) < 0.8, np.where(ill, "nurse", "clerk"), "judge"),
            "label": np.where(ill, "ill", "well"),
        }
    )


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_recognises_what_can_be_told_apart_and_gives_every_class_a_share(name: str) -> None:
    data = open_data(frame())
    form = data.form.fitted(data.read())
    parts = Ingredients.of(data, no_pool(data), form.encode, ratio=0.0, batch_size=16)
    arm = arms_for(form)[0]
    predict = Learner(name)(arm.batches(parts, {}, 0), 1, 0, n_classes=3)
    shares = predict(form.encode(data.read()))
    assert shares.shape == (60, 3)
    assert np.allclose(shares.sum(axis=1), 1)
    assert (shares[:, 2] == 0).all()
    assert (shares.argmax(axis=1) == data.labels).mean() > 0.9


@pytest.mark.parametrize("name", LEARNERS)
def test_weights_of_a_learner_count_as_rows_of_a_class_do(name: str) -> None:
    rng = np.random.default_rng(0)
    X, y = torch.from_numpy(rng.integers(2, size=(400, 1)).astype(np.float32)), torch.arange(400) % 10 == 0
    batches = [(X, y.long())]
    plain = Learner(name)(batches, 1, 0, n_classes=2)(X)
    weighted = Learner(name)(batches, 1, 0, n_classes=2, weights=np.array([1.0, 9.0]))(X)
    # nothing can be told apart, so frequencies decide
    assert plain[:, 1].mean() < 0.2 < weighted[:, 1].mean()


def test_what_a_training_cannot_do_is_not_asked_of_it() -> None:
    arms = {arm.name: arm for arm in arms_for(table_form())}

    def own(loader, steps, seed):
        return None

    def can(train) -> set[str]:
        return {name for name, arm in arms.items() if can_train(train, arm)}

    assert can(None) == set(arms)
    of_learner = set(arms) - can(Learner("boosting"))
    assert of_learner == {"longer", "generator's time", "mixup", "logit adjustment", "mixup, re-weighted"} | {
        name for name in arms if "soft labels" in name
    }
    assert set(arms) - can(own) == {name for name, arm in arms.items() if arm.loss or arm.adjusted}


def test_adjusted_thresholds_leave_the_training_as_it_is_and_move_the_decision() -> None:
    data = open_data(frame())
    form = data.form.fitted(data.read())
    parts = Ingredients.of(data, no_pool(data), form.encode, ratio=0.0, batch_size=16)
    arms = {arm.name: arm for arm in arms_for(form)}
    tests = {"held": (data.read(), data.labels)}
    for train in (None, Learner("linear")):
        plain, moved = (
            train_arm(Task(name, arms[name], 0, parts, {}, tests, 5), train)
            for name in ("real", "adjusted thresholds")
        )
        rare, often = 0, 1  # 20 rows are ill, 40 well
        assert moved.scores["held"].recall[rare] >= plain.scores["held"].recall[rare]
        assert moved.scores["held"].recall[often] <= plain.scores["held"].recall[often]
    even = adjusted(np.array([[2 / 3, 1 / 3], [0.5, 0.5]]), np.array([40, 20]))
    assert np.allclose(even, [[0.5, 0.5], [1 / 3, 2 / 3]])
    assert (adjusted(np.array([[0.5, 0.2, 0.3]]), np.array([5, 5, 0]))[:, 2] == 0).all()


def test_arms_of_rows_without_augmentations_are_those_that_need_none_each_once() -> None:
    arms = arms_for(table_form())
    assert all(arm.augmentation is None for arm in arms)
    names = [arm.name for arm in arms]
    assert len(set(names)) == len(names)
    assert {"real", "longer", "mixup", "SMOTE", "oversampling", "class weights", "real + synthetic"} <= set(
        names
    )
    assert not {"CutMix", "policy", "real + classical", "elastic, medium", "both"} & set(names)
    assert all("classical" not in arm.about for arm in arms)
    begun = [arm.name for arm in starting_arms(unequal=True, full=False, arms=arms)]
    assert begun[0] == "real"
    assert {"oversampling", "class weights", "logit adjustment", "adjusted thresholds"} <= set(begun)
    assert arms_for(ImageForm(8, 8, 1, "HW", "uint8")) == synthaug.judging.LADDER


@pytest.mark.parametrize("learner", ["network", "boosting"])
def test_a_table_is_chosen_for_and_its_plan_is_followed(learner: str) -> None:
    protocol = Protocol(**{**vars(QUICK), "learner": learner})
    plan = synthaug.choose(frame(), protocol=protocol, jobs=1, progress=False)
    assert plan.family == "cvae"
    assert "longer" not in plan.baseline or learner == "network"
    if learner == "boosting":
        assert plan.baseline in ("real", "oversampling", "class weights", "adjusted thresholds")


def test_an_evaluation_of_a_table_names_the_learner_and_leaves_out_what_it_cannot_do() -> None:
    protocol = Protocol(**{**vars(QUICK), "learner": "forest"})
    found = synthaug.evaluate(frame(), ratio=0.25, protocol=protocol, jobs=1, progress=False)
    assert found.setup.training == "random forest of 200 trees"
    assert found.setup.steps == 0
    assert "(random forest of 200 trees) was fitted once" in caveat(found)
    assert {"longer", "logit adjustment", "mixup"} <= set(found.setup.arms_left_out)
    assert {"class weights", "adjusted thresholds"} <= {arm.name for arm in found.arms}
    assert {"real", "SMOTE", "oversampling", "real + synthetic"} <= {arm.name for arm in found.arms}


def test_families_that_are_tried_are_those_of_the_kind() -> None:
    assert families_for("table") == ("cvae",)
    assert "warp" in families_for("image")
    with pytest.raises(InvalidRequest, match='family "warp" makes rows of the kind "image"'):
        synthaug.choose(frame(), families="warp", protocol=QUICK, progress=False)


def test_a_learner_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r'no learner "forrest".*"forest"'):
        Protocol(learner="forrest").check()


def using(plan: Plan, maker: Generator) -> Plan:
    """The plan, taking a quarter of synthetic rows and nothing else."""
    plain = replace(plan.preparation, weighting=None, blend=None, balanced=False)
    return replace(plan, accepted=True, candidate_share=0.25, generator=maker, preparation=plain)


def test_a_plan_of_vectors_is_applied_to_a_loader_and_to_a_data_set() -> None:
    found = frame()
    X = torch.from_numpy(np.stack([found["dose"], np.arange(60) % 7], axis=1).astype(np.float32))
    y = torch.from_numpy((found["label"] == "ill").to_numpy().astype(np.int64))
    plan = synthaug.choose((X, y), protocol=QUICK, jobs=1, progress=False)
    forced = using(plan, synthaug.fit((X, y), steps=20, progress=False))
    real = {tuple(row) for row in X.tolist()}
    batch, labels = next(iter(forced.apply(DataLoader(TensorDataset(X, y), batch_size=20, shuffle=True))))
    assert sum(tuple(row) not in real for row in batch.tolist()) == 5
    assert forced.loss()(torch.zeros(20, 2), labels).ndim == 0
    rows = datasets.Dataset.from_pandas(found)
    of_frame = synthaug.choose(found, protocol=QUICK, jobs=1, progress=False)
    maker = synthaug.fit(found, steps=20, progress=False)
    mixed = using(of_frame, maker).apply(rows)
    assert mixed.column_names[:3] == rows.column_names
    assert 0 < sum(mixed["synthetic"]) <= len(mixed) // 4 + 1


@pytest.mark.parametrize("rare", [0.03, 0.08])
def test_adjusted_thresholds_of_the_network_find_both_classes_however_rare_one_is(rare: float) -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(1500) < rare).astype(int)
    X = (rng.normal(size=(1500, 4)) + 1.5 * y[:, None]).astype(np.float32)
    data = open_data((X, y))
    form = data.form.fitted(X[:1000])
    parts = Ingredients.of(data.take(np.arange(1000)), no_pool(data), form.encode, ratio=0.0)
    arm = {arm.name: arm for arm in arms_for(form)}["adjusted thresholds"]
    task = Task("adjusted", arm, 0, parts, {}, {"held": (X[1000:], y[1000:])}, 300)
    assert min(train_arm(task).scores["held"].recall) > 0.7  # smoothed labels say rare of every row
