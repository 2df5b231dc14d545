"""The protocol: planted pools are judged rightly, leaks are refused, what is asked for is compared."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from planted import distinct_digits, encode, per_class, pool_of

import synthaug
from synthaug import Evaluation, LabeledData, Protocol, Samples, judging, open_data
from synthaug.errors import InvalidArtifact, InvalidRequest, Leakage, SpecMismatch, SynthaugWarning
from synthaug.judging import (
    ARMS,
    FORMAT,
    LADDER,
    Proposal,
    Replicate,
    Runner,
    Train,
    Work,
    compare,
    compare_with_real,
)
from synthaug.metrics import paired_interval
from synthaug.modalities.image import classical
from synthaug.requests import EvaluateRequest

NOTHING = np.empty(0, np.uint64)


ARM = {arm.name: arm for arm in LADDER}
THREE_ARMS = (ARM["real"], replace(ARM["oversampling"], unequal=False), ARM["real + synthetic"])


@pytest.fixture(scope="module")
def parts() -> dict[str, LabeledData]:
    """Five training rows a class, and plenty to judge by and to plant pools of."""
    cuts = {"train": (0, 5), "validation": (5, 25), "test": (25, 75), "spare": (75, 130)}
    return {name: per_class(distinct_digits(), *cut) for name, cut in cuts.items()}


def run(
    parts: dict[str, LabeledData],
    *pools: Samples,
    train: Train | None = None,
    jobs: int = 1,
    steps: int = 60,
    seeds: int = 3,
    **asked: Any,
) -> Evaluation:
    """An evaluation with one replicate for each pool, to which ``trained_on`` and the like belong."""
    own: dict[str, Any] = {"trained_on": NOTHING}
    own |= {k: asked.pop(k) for k in ("trained_on", "augmentations", "seconds", "judge") if k in asked}
    of_proposal: dict[str, Any] = {"ratio": 0.5}
    of_proposal |= {k: asked.pop(k) for k in ("arms", "ratio") if k in asked}
    replicates = [Replicate(parts["train"], pool, encode, **own) for pool in pools]
    tests = {name: parts[name] for name in ("validation", "test")}
    protocol = Protocol(classifier_steps=steps, seeds=seeds, **asked)
    return compare(Proposal(replicates, **of_proposal), tests, protocol, Runner(train, Work(jobs=jobs)))


# ----------------------------------------------------------------------------------------- planted generators


@pytest.fixture(scope="module")
def good(parts: dict[str, LabeledData]) -> Evaluation:
    arms = [ARM[name] for name in ("real", "real + classical", "real + synthetic", "both")]
    return run(parts, pool_of(parts["spare"]), arms=arms, augmentations={"classical": classical(flip=False)})


def test_more_real_rows_are_found_to_help_where_there_are_few(good: Evaluation) -> None:
    assert good.verdict == "helps"
    assert good.headline.difference.low > 0.01


def test_noise_is_not_called_help(parts: dict[str, LabeledData]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (len(parts["spare"]), 8, 8), dtype=np.uint8)
    assert run(parts, pool_of(parts["spare"], noise), ratio=0.25).verdict != "helps"


def test_shuffled_labels_are_found_to_harm(parts: dict[str, LabeledData]) -> None:
    shuffled = np.random.default_rng(0).permutation(parts["spare"].read())
    assert run(parts, pool_of(parts["spare"], shuffled)).verdict == "harms"


def test_every_arm_is_kept_with_every_seed(good: Evaluation) -> None:
    names = {arm.name for arm in good.arms}
    assert len(names) == 4
    assert len(set(good.seeds)) == 3
    assert all(len(arm.test) == len(arm.validation) == len(arm.seconds) == 3 for arm in good.arms)
    assert {c.arm for c in good.comparisons} == names - {good.baseline}


def test_an_evaluation_survives_json(good: Evaluation) -> None:
    assert Evaluation.from_dict(json.loads(json.dumps(good.to_dict(), allow_nan=False))) == good
    with pytest.raises(
        InvalidArtifact, match=rf"the format 1; this version of synthaug reads {FORMAT}\. Evaluate again"
    ):
        Evaluation.from_dict(good.to_dict() | {"format_version": 1})


def test_scores_are_the_same_whatever_the_number_of_processes(
    parts: dict[str, LabeledData],
) -> None:
    alone, spread = (
        run(
            parts,
            pool_of(parts["spare"]),
            augmentations={"classical": classical(flip=False)},
            steps=10,
            seeds=2,
            jobs=jobs,
        )
        for jobs in (1, 2)
    )
    for one, two in zip(alone.arms, spread.arms, strict=True):
        assert one.validation == two.validation
        assert one.test == two.test


def test_copies_are_found_among_all_training_rows_however_few_samples_are_looked_at() -> None:
    # 2,000 of them are: if they were compared with as many training rows, most would pass for new.
    images = np.random.default_rng(0).integers(0, 256, (6200, 8, 8), dtype=np.uint8)
    data = open_data((images, np.arange(len(images)) % 2))
    train, held_out = data.take(slice(0, 6000)), data.take(slice(6000, None))
    copies = pool_of(train.take(np.arange(6000)[::-1]))
    assert compare_with_real(train, held_out, copies, encode, steps=1).novelty == 0


def test_fidelity_tells_real_rows_from_noise(parts: dict[str, LabeledData]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (len(parts["spare"]), 8, 8), dtype=np.uint8)
    real, fake = (
        compare_with_real(parts["train"], parts["test"], pool, encode, steps=80)
        for pool in (pool_of(parts["spare"]), pool_of(parts["spare"], noise))
    )
    assert real.agreement == pytest.approx(1, abs=0.1)
    assert real.diversity == pytest.approx(1, abs=0.1)
    assert real.novelty == pytest.approx(1, abs=0.1)
    assert fake.agreement < 0.5
    assert (
        compare_with_real(parts["train"], parts["test"], pool_of(parts["train"]), encode, steps=1).novelty
        == 0
    )


# ------------------------------------------------------------------------------ the protocol without training


@pytest.fixture(scope="module")
def coded() -> dict[str, LabeledData]:
    """Rows whose first pixel is their label and whose second says which set they are of."""

    def rows(code: int, n: int) -> LabeledData:
        images = np.random.default_rng(code).integers(0, 256, (2 * n, 8, 8), dtype=np.uint8)
        labels = np.arange(2 * n) % 2
        images[:, 0, 0], images[:, 0, 1] = labels, code
        return open_data((images, np.array(["no", "yes"])[labels]))

    return {name: rows(code, 20) for code, name in enumerate(["train", "validation", "test", "spare"])}


def _planted(right: dict[tuple[str, int], float]) -> Any:
    """Training whose predictor is right on so many of an arm's rows of a set: by (arm, set's code)."""

    def train(loader: Any, steps: int, seed: int) -> Any:
        codes = {round(float(v)) for X, _ in loader for v in (X[:, 0, 0, 1] + 1) * 127.5}
        weighted = isinstance(loader.sampler, torch.utils.data.WeightedRandomSampler)
        arm = "real + synthetic" if 3 in codes else "oversampling" if weighted else "real"

        def predict(X: torch.Tensor) -> torch.Tensor:
            first = ((X[:, 0, 0, :2] + 1) * 127.5).round().long()
            n_right = round(right[arm, int(first[0, 1])] * len(X)) + seed % 2
            wrong = torch.arange(len(X)) >= n_right
            return torch.where(wrong, 1 - first[:, 0], first[:, 0])

        return predict

    return train


def test_arms_are_picked_on_validation_rows_and_compared_on_test_rows(coded: dict[str, LabeledData]) -> None:
    right = {
        ("real", 1): 0.5,
        ("real", 2): 0.9,
        ("oversampling", 1): 0.8,
        ("oversampling", 2): 0.6,
        ("real + synthetic", 1): 0.1,
        ("real + synthetic", 2): 0.7,
    }
    found = run(coded, pool_of(coded["spare"]), train=_planted(right), arms=THREE_ARMS)
    assert found.baseline == "oversampling"
    assert found.candidate == "real + synthetic"
    assert found.headline.difference.mean == pytest.approx(0.1)
    assert found.verdict == "helps"
    assert found.setup.training.endswith("train")


def _names(found: Evaluation) -> list[str]:
    return [arm.name for arm in found.arms]


def test_arms_that_need_what_is_not_there_are_left_out_and_named(coded: dict[str, LabeledData]) -> None:
    right = {(arm, code): 0.5 for arm in ("real", "real + synthetic") for code in (1, 2)}
    found = run(coded, pool_of(coded["spare"]), train=_planted(right))
    assert _names(found) == ["real", "real + synthetic"]
    assert found.baseline == "real"
    assert found.verdict == "no evidence"
    assert list(found.setup.arms_left_out) == [arm.name for arm in ARMS if arm.name not in _names(found)]


def test_the_first_and_simplest_of_equals_is_the_baseline(coded: dict[str, LabeledData]) -> None:
    right = {(arm, code): 0.5 for arm in ("real", "oversampling", "real + synthetic") for code in (1, 2)}
    found = run(coded, pool_of(coded["spare"]), train=_planted(right), arms=THREE_ARMS)
    assert found.baseline == "real"


def _wrong(loader: Any, steps: int, seed: int) -> Any:
    return lambda X: torch.zeros(len(X), dtype=torch.long)


def test_arms_with_a_loss_of_their_own_ask_for_training_that_takes_one(
    coded: dict[str, LabeledData],
) -> None:
    losses, labels = [], []

    def train(loader: Any, steps: int, seed: int, loss: Any = None) -> Any:
        _, y = next(iter(loader))
        labels.append(y.ndim)
        if loss is not None:
            losses.append(loss(torch.zeros(len(y), 2), y, 0.0))
        return _wrong(loader, steps, seed)

    arms = [ARM[name] for name in ("real", "mixup", "real + synthetic")]
    asked: dict[str, Any] = {"arms": arms, "augmentations": {"classical": lambda X, seed: X}, "seeds": 2}
    plain, able = (run(coded, pool_of(coded["spare"]), train=t, **asked) for t in (_wrong, train))
    assert _names(plain) == ["real", "real + synthetic"]
    assert _names(able) == ["real", "mixup", "real + synthetic"]
    assert labels == [1, 2, 1] * 2
    assert [len(of_rows) for of_rows in losses] == [40, 40]


def test_an_arm_may_take_more_steps_and_says_so(coded: dict[str, LabeledData]) -> None:
    taken = []

    def train(loader: Any, steps: int, seed: int) -> Any:
        taken.append(steps)
        return _wrong(loader, steps, seed)

    arms = [ARM["real"], replace(ARM["real"], name="longer", steps=1.5), ARM["real + synthetic"]]
    found = run(coded, pool_of(coded["spare"]), train=train, arms=arms, seeds=2)
    assert taken == [60, 90, 60] * 2
    assert [arm.steps for arm in found.arms] == [60, 90, 60]


def test_a_comparison_without_two_sides_is_refused(coded: dict[str, LabeledData]) -> None:
    with pytest.raises(InvalidRequest, match='Of the arms "real", "both" there are left "real"'):
        run(coded, pool_of(coded["spare"]), arms=[ARM["real"], ARM["both"]])


def _by_seed(right: dict[str, list[float]], seeds: list[int]) -> Any:
    """Training right on so many rows of every set: by arm and position of the seed."""

    def train(loader: Any, steps: int, seed: int) -> Any:
        codes = {round(float(v)) for X, _ in loader for v in (X[:, 0, 0, 1] + 1) * 127.5}
        at = seeds.index(seed)
        share = right["real" if codes == {0} else "real + synthetic"][at]

        def predict(X: torch.Tensor) -> torch.Tensor:
            label = ((X[:, 0, 0, 0] + 1) * 127.5).round().long()
            return torch.where(torch.arange(len(X)) < round(share * len(X)), label, 1 - label)

        return predict

    return train


@pytest.fixture(scope="module")
def six(coded: dict[str, LabeledData]) -> list[int]:
    return list(run(coded, pool_of(coded["spare"]), train=_wrong, seeds=6).seeds)


def test_what_seeds_of_one_generator_share_does_not_pass_for_evidence(
    coded: dict[str, LabeledData], six: list[int]
) -> None:
    # One generator is lucky in all of its seeds, the other is not: that is two pairs, not six.
    right = {"real": [0.5] * 6, "real + synthetic": [0.8, 0.5] * 3}
    pool = pool_of(coded["spare"])
    one = run(coded, pool, train=_by_seed(right, six), seeds=6)
    two = run(coded, pool, pool, train=_by_seed(right, six), seeds=6)
    assert two.headline.difference.mean == pytest.approx(one.headline.difference.mean) == pytest.approx(0.15)
    assert (one.headline.difference.n, two.headline.difference.n) == (6, 2)
    assert two.headline.difference.low < 0
    assert two.headline.p_value is None
    assert two.paired([0.1, 0.3] * 3, [0, 0] * 3) == paired_interval([0.1, 0.3], [0, 0]).within(-1, 1)


def test_with_six_pairs_the_sign_flip_test_has_a_say(coded: dict[str, LabeledData], six: list[int]) -> None:
    pool = pool_of(coded["spare"])
    gains = {"real": [0.5] * 6, "real + synthetic": [0.6, 0.65, 0.6, 0.7, 0.6, 0.55]}
    found = run(coded, pool, train=_by_seed(gains, six), seeds=6)
    assert found.headline.p_value == pytest.approx(2 / 64)
    assert found.verdict == "helps"
    few = run(
        coded, pool, train=_planted({(a, c): 0.5 for a in ("real", "real + synthetic") for c in (1, 2)})
    )
    assert few.headline.p_value is None


def test_replicates_may_have_training_rows_of_their_own(coded: dict[str, LabeledData]) -> None:
    seen = []

    def train(loader: Any, steps: int, seed: int) -> Any:
        seen.append(len(loader.dataset))
        return _wrong(loader, steps, seed)

    train_rows, pool = coded["train"], pool_of(coded["spare"])
    replicates = [
        Replicate(rows, pool, encode, rows.fingerprints())
        for rows in (train_rows.take(np.arange(20)), train_rows.take(np.arange(30)))
    ]
    proposal = Proposal(replicates, [ARM["real"], ARM["real + synthetic"]])
    tests = {name: coded[name] for name in ("validation", "test")}
    found = compare(proposal, tests, Protocol(seeds=4), Runner(train, Work()))
    assert seen[0::2] == [20, 30, 20, 30]
    assert found.replicates == 2


def test_the_time_of_the_generator_is_turned_into_steps_up_to_a_limit(
    coded: dict[str, LabeledData],
) -> None:
    arms = [ARM["real"], replace(ARM["generator's time"], augmentation=None), ARM["real + synthetic"]]
    asked: dict[str, Any] = {"arms": arms, "train": _slow, "seeds": 2}
    pool = pool_of(coded["spare"])
    untimed, little, much = (run(coded, pool, seconds=s, **asked) for s in (0.0, 0.1, 60.0))
    assert _names(untimed) == ["real", "real + synthetic"]
    assert 1.2 < little.arm("generator's time").steps / 60 < 3.2
    assert "times the steps." in little.arm("generator's time").about
    assert much.arm("generator's time").steps == 5 * 60
    assert "where that time would pay for" in much.arm("generator's time").about
    assert _names(much) == [arm.name for arm in arms]


def _slow(loader: Any, steps: int, seed: int) -> Any:
    time.sleep(0.05)
    return _wrong(loader, steps, seed)


def test_training_that_cannot_be_sent_to_a_process_runs_in_this_one(coded: dict[str, LabeledData]) -> None:
    lock, seen = threading.Lock(), []

    def train(loader: Any, steps: int, seed: int) -> Any:
        with lock:
            seen.append((steps, seed))
        return lambda X: torch.zeros(len(X), dtype=torch.long)

    found = run(coded, pool_of(coded["spare"]), train=train, jobs=2, seeds=2)
    assert len(seen) == 4
    assert {steps for steps, _ in seen} == {60}
    assert {seed for _, seed in seen} == set(found.seeds)


def test_classes_of_unequal_size_are_judged_by_balanced_accuracy(coded: dict[str, LabeledData]) -> None:
    right = {(arm, code): 0.5 for arm in ("real", "oversampling", "real + synthetic") for code in (1, 2)}
    train = coded["train"]
    few = train.take(
        np.concatenate([np.flatnonzero(train.labels == 0), np.flatnonzero(train.labels == 1)[:10]])
    )
    for rows, metric in ((train, "accuracy"), (few, "balanced_accuracy")):
        found = run({**coded, "train": rows}, pool_of(coded["spare"]), train=_planted(right))
        assert found.metric == metric
        assert found.headline.difference.mean == 0


# --------------------------------------------------------------------------------------------------- refusals


def test_a_generator_that_saw_test_rows_is_refused(parts: dict[str, LabeledData]) -> None:
    with pytest.raises(
        Leakage, match=r"trained on 3 of the 500 test rows.*Give none, and one is trained on the right rows"
    ):
        run(parts, pool_of(parts["spare"]), trained_on=parts["test"].fingerprints()[:3])


def test_a_generator_that_saw_rows_the_baselines_lack_is_refused(parts: dict[str, LabeledData]) -> None:
    both = np.concatenate([parts["train"].fingerprints(), parts["spare"].fingerprints()[:7]])
    with pytest.raises(Leakage, match="trained on 7 rows that are no training rows of the classifiers"):
        run(parts, pool_of(parts["spare"]), trained_on=both)


def test_every_generator_is_asked_what_it_saw(parts: dict[str, LabeledData]) -> None:
    clean, leaky = (
        Replicate(parts["train"], pool_of(parts["spare"]), encode, seen)
        for seen in (NOTHING, parts["validation"].fingerprints()[:2])
    )
    tests = {name: parts[name] for name in ("validation", "test")}
    with pytest.raises(Leakage, match="trained on 2 of the 200 validation rows"):
        compare(Proposal([clean, leaky]), tests, Protocol(seeds=2), Runner(None, Work()))


@pytest.mark.parametrize("name", ["validation", "test"])
def test_samples_that_are_copies_of_judging_rows_are_refused(
    parts: dict[str, LabeledData], name: str
) -> None:
    samples = parts["spare"].read().copy()
    samples[:4] = parts[name].read()[:4]
    with pytest.raises(Leakage, match=f"4 of the 550 samples are copies of {name} rows"):
        run(parts, pool_of(parts["spare"], samples))


@pytest.mark.parametrize("name", ["validation", "test"])
def test_training_rows_among_the_judging_ones_are_refused(parts: dict[str, LabeledData], name: str) -> None:
    with pytest.raises(Leakage, match=f"training and {name} rows overlap"):
        run({**parts, name: parts["train"]}, pool_of(parts["spare"]))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"steps": 0}, "classifier_steps=0 was asked for; it has to be at least 1"),
        ({"seeds": 1}, "seeds=1 .* at least 2: the spread of one seed is unknown"),
        ({"seeds": 0}, "seeds=0 .* at least 2"),
        ({"generators": 0}, "generators=0 .* at least 1"),
        ({"folds": 1}, "folds=1 .* at least 2"),
        ({"batch_size": 1}, "batch_size=1 .* at least 2"),
        ({"ratio": 0.0}, r"ratio=0.0 .* the share of synthetic rows in a batch, above 0"),
        ({"ratio": 1.0}, r"ratio=1.0"),
    ],
)
def test_numbers_out_of_range_are_refused(
    parts: dict[str, LabeledData], asked: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        run(parts, pool_of(parts["spare"]), **asked)


def test_a_number_of_processes_below_one_is_refused(parts: dict[str, LabeledData]) -> None:
    with pytest.raises(InvalidRequest, match="jobs=0"):
        run(parts, pool_of(parts["spare"]), jobs=0)


def test_every_generator_needs_as_many_seeds(parts: dict[str, LabeledData]) -> None:
    pool = pool_of(parts["spare"])
    with pytest.raises(InvalidRequest, match=r"5 classifier seeds .* with 2 generators.*ask for seeds=6"):
        run(parts, pool, pool, seeds=5)


def test_an_evaluation_without_a_replicate_is_refused(parts: dict[str, LabeledData]) -> None:
    with pytest.raises(InvalidRequest, match="needs training rows and a generator; it was given none"):
        run(parts)


def test_arms_that_nothing_has_picked_need_validation_rows(parts: dict[str, LabeledData]) -> None:
    proposal = Proposal([Replicate(parts["train"], pool_of(parts["spare"]), encode, NOTHING)])
    with pytest.raises(InvalidRequest, match="Validation rows are needed to pick arms by"):
        compare(proposal, {"test": parts["test"]}, Protocol(), Runner(None, Work()))


def test_a_class_missing_from_the_pool_is_refused(parts: dict[str, LabeledData]) -> None:
    pool = pool_of(parts["spare"])
    with pytest.raises(InvalidRequest, match='no row of "3", which the training rows have'):
        run(parts, pool[pool.class_indices != 3])


def test_samples_of_another_form_or_other_classes_are_refused(
    parts: dict[str, LabeledData], coded: dict[str, LabeledData]
) -> None:
    pool = pool_of(parts["spare"])
    with pytest.raises(SpecMismatch, match='of the classes "no", "yes"; the training rows are'):
        run(parts, pool_of(coded["spare"]))
    with pytest.raises(SpecMismatch, match=r"float32.*Use a generator trained on these rows"):
        run(parts, replace(pool, form=replace(pool.form, dtype="float32")))
    with pytest.raises(SpecMismatch, match="The test rows have the classes"):
        run({**parts, "test": coded["test"]}, pool)


# ----------------------------------------------------------------------------------------------- soft labels


def test_labels_by_a_judge_are_tried_where_there_is_one(parts: dict[str, LabeledData]) -> None:
    arms = [ARM["real"], ARM["both"], replace(ARM["both, soft labels"], augmentation=None)]
    pool, asked = pool_of(parts["spare"]), {"steps": 2, "seeds": 2}
    assert "both, soft labels" not in _names(
        run(parts, pool, arms=arms, augmentations={"classical": classical(flip=False)}, **asked)
    )
    found = run(
        parts,
        pool,
        arms=arms,
        augmentations={"classical": classical(flip=False)},
        judge=_says_nothing,
        **asked,
    )
    assert "both, soft labels" in _names(found)


def test_a_full_evaluation_of_a_share_fits_judges_for_soft_labels(
    shapes: tuple[np.ndarray, np.ndarray],
) -> None:
    rows = tuple(part[:60] for part in shapes)
    few = Protocol(steps=2, classifier_steps=2, seeds=2, full=True)
    found = synthaug.evaluate(rows, ratio=0.25, protocol=few, jobs=1, progress=False)
    assert set(_names(found)) >= {
        "both, soft labels",
        "mixup",
        "CutMix",
        "SMOTE",
        "duplicates",
        "generator's time",
    }


def _says_nothing(rows: torch.Tensor) -> np.ndarray:
    return np.full((len(rows), 10), 0.1, np.float32)


# -------------------------------------------------------------------------------------------- several generators


def test_as_many_generators_as_asked_for_are_trained_apart_and_kept(
    shapes: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    rows = tuple(part[:60] for part in shapes)
    two = Protocol(generators=2, seeds=2, steps=2, classifier_steps=2)
    asked: dict[str, Any] = {"ratio": 0.25, "protocol": two}
    again = partial(synthaug.evaluate, rows, out=tmp_path / "report", jobs=1, progress=False, **asked)
    found = again()
    assert found.replicates == found.setup.generators == 2
    makers = [synthaug.load(tmp_path / "report" / name) for name in ("generator", "generator-2")]
    assert makers[0].fingerprint != makers[1].fingerprint
    np.testing.assert_array_equal(makers[0].trained_on, makers[1].trained_on)
    assert again() == found
    planned = EvaluateRequest(open_data(rows), protocol=Protocol(generators=2, seeds=2, full=True))
    assert planned.describe()["generators"] == 2
    given = EvaluateRequest(open_data(rows), generator=makers[0], protocol=Protocol(generators=2, seeds=2))
    with pytest.raises(InvalidRequest, match="given a generator and asked for 2: leave the generator out"):
        given.describe()


def test_a_split_that_lacks_a_class_is_said_and_no_bound_is_beyond_what_can_be(
    shapes: tuple[np.ndarray, np.ndarray],
) -> None:
    images, labels = shapes
    rows = np.concatenate([np.arange(100), 100 + np.flatnonzero(labels[100:] == "lying")])
    splits = np.array(["train"] * 80 + ["validation"] * 20 + ["test"] * (len(rows) - 100))
    few = datasets.Dataset.from_dict(
        {
            "image": [Image.fromarray(image) for image in images[rows]],
            "label": labels[rows].tolist(),
            "split": splits,
        },
        features=datasets.Features(
            {"image": datasets.Image(), "label": datasets.Value("string"), "split": datasets.Value("string")}
        ),
    )
    with pytest.warns(SynthaugWarning, match='test rows of .* have no row of "standing"'):
        judging.TestedRows.of(open_data(few), 0)
    assert paired_interval([0.9, 0.1], [0.1, 0.9]).within(-1, 1).high == 1


def test_what_was_taken_for_what_adds_up_to_what_was_not_recognised(good: Evaluation) -> None:
    for arm in good.arms:
        for label, name in enumerate(good.classes):
            there = good.rows["test"][name]
            missed = sum(round(there * (1 - scores.recall[label])) for scores in arm.test)  # type: ignore[operator]
            assert sum(arm.mistaken.get(name, {}).values()) == missed
            assert name not in arm.mistaken.get(name, {})
