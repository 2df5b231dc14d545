"""The protocol: planted pools are judged rightly, leaks are refused, arms are what they say."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from synthaug.arms import ARMS, ClassicalAugmentation, Ingredients, mirror_is_valid
from synthaug.data.codec import ImageCodec
from synthaug.data.labeled import LabeledData, open_data
from synthaug.errors import InvalidRequest, Leakage, SpecMismatch
from synthaug.evaluation import Evaluation, compare_with_real, evaluate_arms
from synthaug.samples import Samples

NOTHING = np.empty(0, np.uint64)


def pool_of(data: LabeledData, samples: np.ndarray | None = None) -> Samples:
    """Rows of a data set, or other pictures in their place, as if a generator had made them."""
    rows = data.read() if samples is None else samples
    names = np.array(data.classes)[data.labels]
    provenance = {
        "synthetic": np.ones(len(rows), bool),
        "generator": np.full(len(rows), "0" * 64),
        "seed": np.zeros(len(rows), np.int64),
        "class": names,
        "index": np.arange(len(rows)),
    }
    spec = ImageCodec.fit(rows, data.spec).spec
    return Samples(rows, np.array(data.values)[data.labels], data.classes, data.values, spec, provenance)


def encode(rows: np.ndarray) -> torch.Tensor:
    """Grey uint8 ``(N, H, W)`` -> ``(N, 1, H, W)`` in [-1, 1]."""
    return torch.from_numpy(rows[:, None].astype(np.float32) / 127.5 - 1)


def per_class(data: LabeledData, start: int, stop: int) -> LabeledData:
    rows = [np.flatnonzero(data.labels == label)[start:stop] for label in range(len(data.classes))]
    return data.take(np.sort(np.concatenate(rows)))


@pytest.fixture(scope="module")
def digits() -> LabeledData:
    data = open_data("bundled:digits")
    _, first = np.unique(data.fingerprints(), return_index=True)
    return data.take(np.sort(first))


@pytest.fixture(scope="module")
def parts(digits: LabeledData) -> dict[str, LabeledData]:
    """Five training rows a class, and plenty to judge by and to plant pools of."""
    cuts = {"train": (0, 5), "validation": (5, 25), "test": (25, 75), "spare": (75, 130)}
    return {name: per_class(digits, *cut) for name, cut in cuts.items()}


def run(parts: dict[str, LabeledData], pool: Samples, **asked: Any) -> Evaluation:
    settings: dict[str, Any] = {
        "trained_on": NOTHING,
        "steps": 60,
        "seeds": 3,
        "ratio": 0.5,
        "progress": False,
    }
    return evaluate_arms(
        parts["train"], parts["validation"], parts["test"], pool, encode, **{**settings, **asked}
    )


# ----------------------------------------------------------------------------------------- planted generators


@pytest.fixture(scope="module")
def good(parts: dict[str, LabeledData]) -> Evaluation:
    return run(parts, pool_of(parts["spare"]), augment=ClassicalAugmentation(flip=False))


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
    assert [arm.name for arm in good.arms] == [arm.name for arm in ARMS]
    assert len(set(good.seeds)) == 3
    assert all(len(arm.test) == len(arm.validation) == len(arm.seconds) == 3 for arm in good.arms)
    assert {c.arm for c in good.comparisons} == {arm.name for arm in ARMS} - {good.baseline}


def test_an_evaluation_survives_json(good: Evaluation) -> None:
    assert Evaluation.from_dict(json.loads(json.dumps(good.to_dict(), allow_nan=False))) == good


def test_scores_are_the_same_whatever_the_number_of_processes(
    parts: dict[str, LabeledData],
) -> None:
    alone, spread = (
        run(
            parts,
            pool_of(parts["spare"]),
            augment=ClassicalAugmentation(flip=False),
            steps=10,
            seeds=2,
            jobs=jobs,
        )
        for jobs in (1, 2)
    )
    for one, two in zip(alone.arms, spread.arms, strict=True):
        assert one.validation == two.validation
        assert one.test == two.test


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
    found = run(coded, pool_of(coded["spare"]), training=_planted(right))
    assert found.baseline == "oversampling"
    assert found.candidate == "real + synthetic"
    assert found.headline.difference.mean == pytest.approx(0.1)
    assert found.verdict == "helps"
    assert found.config["training"].endswith("train")


def test_arms_that_need_an_augmentation_are_left_out_without_one(coded: dict[str, LabeledData]) -> None:
    right = {(arm, code): 0.5 for arm in ("real", "oversampling", "real + synthetic") for code in (1, 2)}
    found = run(coded, pool_of(coded["spare"]), training=_planted(right))
    assert [arm.name for arm in found.arms] == ["real", "oversampling", "real + synthetic"]
    assert found.baseline == "real"  # the simplest of equals
    assert found.verdict == "no evidence"


def test_training_that_cannot_be_sent_to_a_process_runs_in_this_one(coded: dict[str, LabeledData]) -> None:
    lock, seen = threading.Lock(), []

    def train(loader: Any, steps: int, seed: int) -> Any:
        with lock:
            seen.append((steps, seed))
        return lambda X: torch.zeros(len(X), dtype=torch.long)

    found = run(coded, pool_of(coded["spare"]), training=train, jobs=2, seeds=2)
    assert len(seen) == 6
    assert {steps for steps, _ in seen} == {60}
    assert {seed for _, seed in seen} == set(found.seeds)


def test_classes_of_unequal_size_are_judged_by_balanced_accuracy(coded: dict[str, LabeledData]) -> None:
    right = {(arm, code): 0.5 for arm in ("real", "oversampling", "real + synthetic") for code in (1, 2)}
    train = coded["train"]
    few = train.take(
        np.concatenate([np.flatnonzero(train.labels == 0), np.flatnonzero(train.labels == 1)[:10]])
    )
    for rows, metric in ((train, "accuracy"), (few, "balanced_accuracy")):
        found = run({**coded, "train": rows}, pool_of(coded["spare"]), training=_planted(right))
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


@pytest.mark.parametrize("name", ["validation", "test"])
def test_training_rows_among_the_judging_ones_are_refused(parts: dict[str, LabeledData], name: str) -> None:
    with pytest.raises(Leakage, match=f"training and {name} rows overlap"):
        run({**parts, name: parts["train"]}, pool_of(parts["spare"]))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"steps": 0}, "steps=0; it needs at least 1"),
        ({"seeds": 1}, "seeds=1; it needs at least 2: the spread of one seed is unknown"),
        ({"batch_size": 1}, "batch_size=1; it needs at least 2"),
        ({"jobs": 0}, "jobs=0"),
        ({"ratio": 0.0}, r"ratio=0.0; it is the share of synthetic rows in a batch, above 0"),
        ({"ratio": 1.0}, r"ratio=1.0"),
    ],
)
def test_numbers_out_of_range_are_refused(
    parts: dict[str, LabeledData], asked: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        run(parts, pool_of(parts["spare"]), **asked)


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
        run(parts, replace(pool, spec=replace(pool.spec, dtype="float32")))
    with pytest.raises(SpecMismatch, match="The test rows have the classes"):
        run({**parts, "test": coded["test"]}, pool)


# ------------------------------------------------------------------------------------------------------- arms


@pytest.fixture
def ingredients(parts: dict[str, LabeledData]) -> Ingredients:
    augment = ClassicalAugmentation(flip=False)
    few = parts["train"].take(np.flatnonzero(parts["train"].labels != 9)[:40])
    return Ingredients.of(few, pool_of(parts["spare"]), encode, augment, ratio=0.25, batch_size=16)


def _epochs(
    arm: str, parts: Ingredients, seed: int, n: int = 2
) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
    loader = next(a for a in ARMS if a.name == arm).loader(parts, seed)
    for _ in range(n):
        yield list(loader)


@pytest.mark.parametrize("arm", [arm.name for arm in ARMS])
def test_an_arm_is_a_function_of_the_seed(arm: str, ingredients: Ingredients) -> None:
    one, same, other = (
        [torch.cat([X for X, _ in epoch]) for epoch in _epochs(arm, ingredients, seed)] for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[0], other[0])
    assert not torch.equal(one[0], one[1])  # two epochs differ


@pytest.mark.parametrize("arm", [arm.name for arm in ARMS])
def test_batches_of_every_arm_have_the_same_form(arm: str, ingredients: Ingredients) -> None:
    for X, y in next(_epochs(arm, ingredients, 0)):
        assert X.shape == (16, 1, 8, 8)
        assert X.dtype == torch.float32
        assert -1 <= X.min() <= X.max() <= 1
        assert y.dtype == torch.int64


def test_arms_of_one_seed_see_the_same_labels_in_the_same_order(ingredients: Ingredients) -> None:
    orders = [
        [y.tolist() for epoch in _epochs(arm, ingredients, 3) for _, y in epoch]
        for arm in ("real", "real + classical", "real + synthetic", "both")
    ]
    assert orders[0] == orders[1] == orders[2] == orders[3]


def test_a_quarter_of_each_batch_is_synthetic_and_the_rest_as_in_the_real_arm(
    ingredients: Ingredients,
) -> None:
    for real, mixed in zip(
        next(_epochs("real", ingredients, 0)), next(_epochs("real + synthetic", ingredients, 0)), strict=True
    ):
        changed = (real[0] != mixed[0]).flatten(1).any(1)
        assert changed.sum() == 4
        pool = encode(ingredients.pool.samples).flatten(1)
        for row, label in zip(mixed[0][changed], mixed[1][changed], strict=True):
            (found,) = torch.where((pool == row.flatten()).all(1))
            assert label in ingredients.pool.labels[found.numpy()]


def test_in_the_arm_with_both_synthetic_rows_are_augmented_too(ingredients: Ingredients) -> None:
    X = next(_epochs("both", ingredients, 0))[0][0]
    known = torch.cat([encode(ingredients.rows), encode(ingredients.pool.samples)]).flatten(1)
    assert not any((known == row).all(1).any() for row in X.flatten(1))


def test_oversampling_draws_all_classes_equally_often(digits: LabeledData) -> None:
    few = digits.take(np.concatenate([np.flatnonzero(digits.labels == k)[: 4 ** (k + 1)] for k in range(4)]))
    parts = Ingredients.of(few, pool_of(digits), encode, None, ratio=0.25, batch_size=32)
    labels = torch.cat([y for epoch in _epochs("oversampling", parts, 0, n=20) for _, y in epoch])
    share = torch.bincount(labels, minlength=4) / len(labels)
    assert share.tolist() == pytest.approx([0.25] * 4, abs=0.03)


# ----------------------------------------------------------------------------------------------- augmentation


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 31), (4, 16, 16)])
def test_augmentation_is_a_function_of_batch_and_seed(shape: tuple[int, ...]) -> None:
    images = torch.rand(6, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    before = images.clone()
    augment = ClassicalAugmentation(flip=True)
    first = augment(images, 5)
    assert torch.equal(images, before)
    assert first.shape == images.shape
    assert torch.equal(first, ClassicalAugmentation(flip=True)(images, 5))
    assert not torch.equal(first, augment(images, 6))


def test_flips_are_not_tied_to_turns() -> None:
    # A bright bar in the upper left: a flip moves it to the right, a turn tilts it.
    images = torch.full((200, 1, 33, 33), -1.0)
    images[:, :, 15:18, :14] = 1
    changed = ClassicalAugmentation(flip=True)(images, 0)[:, 0] + 1
    columns = torch.arange(33.0)
    left, right = changed[:, :, :16].sum((1, 2)), changed[:, :, 17:].sum((1, 2))
    flipped = (right > left).numpy()
    height = (changed * columns[:, None]).sum(1) / changed.sum(1).clamp(min=1e-6)
    bar = changed.sum(1) > 0.5
    slope = np.array([np.polyfit(columns[b], h[b], 1)[0] for b, h in zip(bar, height, strict=True)])
    assert 0.35 < flipped.mean() < 0.65
    downhill = slope > 0
    assert 0.3 < downhill[flipped].mean() < 0.7
    assert 0.3 < downhill[~flipped].mean() < 0.7


def test_digits_are_not_mirrored_and_what_has_no_direction_is(digits: LabeledData) -> None:
    images = encode(digits.read())
    assert not mirror_is_valid(images, digits.labels)
    symmetric = (images + images.flip(-1)) / 2
    assert mirror_is_valid(symmetric, digits.labels)
    assert ClassicalAugmentation.fit(symmetric, digits.labels).flip
