"""Each arm is what it says, and all go through the real rows in the same order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from planted import distinct_digits, encode, per_class, pool_of

from synthaug import LabeledData
from synthaug.judging import ARMS, LADDER, Ingredients
from synthaug.modalities.image import image_augmentations
from synthaug.training import ClassifierLoss, cross_entropy

ARM = {arm.name: arm for arm in LADDER}
BLENDED = {"mixup", "CutMix", "mixup, re-weighted", "both, soft labels"}
SAME_ORDER = [
    n
    for n, arm in ARM.items()
    if n not in BLENDED and not n.startswith("oversampling") and n != "both, oversampled"
]
AUGMENTATIONS = image_augmentations(encode(distinct_digits().read()), distinct_digits().labels)


@pytest.fixture(scope="module")
def digits() -> LabeledData:
    return distinct_digits()


@pytest.fixture
def ingredients(digits: LabeledData) -> Ingredients:
    few = per_class(digits, 0, 5)
    few = few.take(np.flatnonzero(few.labels != 9)[:40])
    pool = pool_of(per_class(digits, 75, 130))
    return Ingredients.of(few, pool, encode, ratio=0.25, batch_size=16, judge=_by_brightness)


def _by_brightness(rows: torch.Tensor) -> np.ndarray:
    """A judge that gives the first class the mean brightness of a row and the last class the rest."""
    found = np.zeros((len(rows), 10), np.float32)
    found[:, 0] = rows.flatten(1).mean(1) / 2 + 0.5
    found[:, -1] = 1 - found[:, 0]
    return found


def _epochs(
    arm: str, parts: Ingredients, seed: int, n: int = 2
) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
    loader = ARM[arm].batches(parts, AUGMENTATIONS, seed)
    for _ in range(n):
        yield list(loader)


@pytest.mark.parametrize("arm", list(ARM))
def test_an_arm_is_a_function_of_the_seed(arm: str, ingredients: Ingredients) -> None:
    one, same, other = (
        [torch.cat([X for X, _ in epoch]) for epoch in _epochs(arm, ingredients, seed)] for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one[0], other[0])
    assert not torch.equal(one[0], one[1])  # two epochs differ


@pytest.mark.parametrize("arm", list(ARM))
def test_batches_of_every_arm_have_the_same_form(arm: str, ingredients: Ingredients) -> None:
    for X, y in next(_epochs(arm, ingredients, 0)):
        assert X.shape == (16, 1, 8, 8)
        assert X.dtype == torch.float32
        assert -1 <= X.min() <= X.max() <= 1
        if ARM[arm].loss is None or ARM[arm].loader is ARM["real"].loader:
            assert y.dtype == torch.int64
            assert y.shape == (16,)
        else:
            assert y.dtype == torch.float32
            assert y.shape == (16, 10)
            torch.testing.assert_close(y.sum(1), torch.ones(16))


def test_arms_of_one_seed_see_the_same_labels_in_the_same_order(ingredients: Ingredients) -> None:
    orders = [[y.tolist() for epoch in _epochs(arm, ingredients, 3) for _, y in epoch] for arm in SAME_ORDER]
    assert all(order == orders[0] for order in orders)


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


def test_synthetic_rows_alone_are_labelled_by_the_judge_as_they_are_augmented(
    ingredients: Ingredients,
) -> None:
    for hard, soft in zip(
        next(_epochs("both", ingredients, 0)), next(_epochs("both, soft labels", ingredients, 0)), strict=True
    ):
        assert torch.equal(hard[0], soft[0])
        whole = torch.nn.functional.one_hot(hard[1], 10).float()
        judged = (soft[1] != whole).any(1)
        assert judged.sum() == 4
        np.testing.assert_array_equal(soft[1][judged].numpy(), _by_brightness(hard[0][judged]))


def test_oversampling_draws_all_classes_equally_often(digits: LabeledData) -> None:
    few = digits.take(np.concatenate([np.flatnonzero(digits.labels == k)[: 4 ** (k + 1)] for k in range(4)]))
    parts = Ingredients.of(few, pool_of(digits), encode, ratio=0.25, batch_size=32)
    labels = torch.cat([y for epoch in _epochs("oversampling", parts, 0, n=20) for _, y in epoch])
    share = torch.bincount(labels, minlength=4) / len(labels)
    assert share.tolist() == pytest.approx([0.25] * 4, abs=0.03)


def test_what_is_compared_by_default_is_part_of_the_ladder() -> None:
    assert set(ARMS) < set(LADDER)
    assert len({arm.name for arm in LADDER}) == len(LADDER)
    assert sum(not arm.synthetic and not arm.unequal for arm in ARMS) == 5


def _only(parts: Ingredients, arm: str, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """An epoch of an arm with its augmentation switched off."""
    return list(ARM[arm].batches(parts, dict.fromkeys(AUGMENTATIONS, lambda X, seed: X), seed))


def test_duplicates_stand_where_synthetic_rows_would_and_are_real_rows(ingredients: Ingredients) -> None:
    known = encode(ingredients.rows).flatten(1)
    of_class = torch.from_numpy(ingredients.labels)
    for plain, copied in zip(*(_only(ingredients, arm) for arm in ("real", "duplicates")), strict=True):
        changed = (copied[0] != plain[0]).flatten(1).any(1)
        assert 1 <= changed.sum() <= 4  # a copy may be of the row itself
        for row, label in zip(copied[0].flatten(1), copied[1], strict=True):
            assert label in of_class[(known == row).all(1)]


def test_points_between_neighbours_lie_between_two_rows_of_their_class(ingredients: Ingredients) -> None:
    pool = {
        label: ingredients.rows[ingredients.labels == label].astype(float) for label in ingredients.labels
    }
    strangers = 0
    for (X, _), (Y, labels) in zip(_only(ingredients, "real"), _only(ingredients, "SMOTE"), strict=True):
        for row, label in zip(Y[(X != Y).flatten(1).any(1)], labels[(X != Y).flatten(1).any(1)], strict=True):
            raw, own = ((row[0] + 1) * 127.5).round().double().numpy(), pool[int(label)]
            strangers += not any((own == raw).all((1, 2)))
            gaps = [
                np.abs(
                    a + np.clip(((raw - a) * (b - a)).sum() / ((b - a) ** 2).sum(), 0, 1) * (b - a) - raw
                ).max()
                for i, a in enumerate(own)
                for b in own[:i]
            ]
            assert min(gaps) < 1.5  # rounding, and the share found from rounded values
    assert strangers > 0


def test_a_lone_row_of_a_class_is_its_own_neighbour(digits: LabeledData) -> None:
    few = digits.take(np.sort(np.concatenate([np.flatnonzero(digits.labels == 0)[:1], np.arange(30, 60)])))
    parts = Ingredients.of(few, pool_of(per_class(digits, 75, 90)), encode, ratio=0.5, batch_size=16)
    assert all(torch.isfinite(X).all() for X, _ in ARM["SMOTE"].loader(parts, 0))


def test_mixup_takes_rows_and_labels_in_the_same_share(ingredients: Ingredients) -> None:
    blended = 0
    for (X, y), (Z, soft) in zip(_only(ingredients, "real"), _only(ingredients, "mixup"), strict=True):
        hard = torch.nn.functional.one_hot(y, 10).float()
        shift, moved = (Z - X).flatten(1), (soft - hard).norm(dim=1) > 1e-6
        blended += int(moved.sum())
        assert (shift[moved].norm(dim=1) > 0).all()
        for i in torch.where(moved)[0]:
            share = 1 - soft[i, y[i]]
            partner = X.flatten(1)[i] + shift[i] / share
            assert (X.flatten(1) - partner).abs().max(1).values.min() < 2e-2 / share
    assert blended > 0


def test_cutmix_shares_labels_as_the_boxes_share_pixels(ingredients: Ingredients) -> None:
    parts, pasted = ingredients, 0
    for seed in range(4):
        for (X, y), (Z, soft) in zip(_only(parts, "real", seed), _only(parts, "CutMix", seed), strict=True):
            changed = (Z != X)[:, 0].any(0)
            if not changed.any():
                continue
            rows, columns = torch.where(changed.any(1))[0], torch.where(changed.any(0))[0]
            share = (1 - soft.max(1).values).max()  # of a row whose partner has another class
            if 0 < share < 0.5:
                pasted += 1
                box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1) / 64
                assert share >= box - 1e-6  # pixels of equal value do not show
                assert (soft[torch.arange(16), y] >= 1 - share - 1e-6).all()
    assert pasted > 0


def _unequal(digits: LabeledData) -> Ingredients:
    rows = np.concatenate([np.flatnonzero(digits.labels == k)[: 4 ** (k + 1)] for k in range(3)])
    return Ingredients.of(digits.take(np.sort(rows)), pool_of(digits), encode, ratio=0.25, batch_size=32)


def _loss(arm: str, parts: Ingredients) -> ClassifierLoss:
    make = ARM[arm].loss
    assert make is not None
    return make(parts)


def test_class_weights_make_classes_count_alike_and_leave_the_mean_at_one(digits: LabeledData) -> None:
    parts = _unequal(digits)
    labels = torch.from_numpy(parts.labels)
    logits = torch.zeros(len(labels), 10)
    plain, weighted = cross_entropy(logits, labels, 0.0), _loss("class weights", parts)(logits, labels, 0.0)
    share = torch.bincount(labels, weighted.double() / plain.double())[:3]
    torch.testing.assert_close(share, torch.full((3,), len(labels) / 3, dtype=torch.float64))
    soft = torch.nn.functional.one_hot(labels, 10).float()
    torch.testing.assert_close(_loss("class weights", parts)(logits, soft, 0.0), weighted)


def test_deferred_weights_start_at_four_fifths_of_the_steps(digits: LabeledData) -> None:
    parts = _unequal(digits)
    labels = torch.from_numpy(parts.labels)
    logits = torch.randn(len(labels), 10, generator=torch.Generator().manual_seed(0))
    loss = _loss("mixup, re-weighted", parts)
    assert torch.equal(loss(logits, labels, 0.79), cross_entropy(logits, labels, 0.79))
    assert torch.equal(loss(logits, labels, 0.8), _loss("class weights", parts)(logits, labels, 0.8))


def test_adjusted_logits_of_nothing_known_are_the_class_frequencies(digits: LabeledData) -> None:
    parts = _unequal(digits)
    labels = torch.from_numpy(parts.labels)
    prior = torch.bincount(labels, minlength=10).clamp(min=1).float()
    logits = torch.zeros(len(labels), 10)
    expected = cross_entropy(logits + (prior / prior.sum()).log(), labels, 0.0)
    torch.testing.assert_close(_loss("logit adjustment", parts)(logits, labels, 0.0), expected)
