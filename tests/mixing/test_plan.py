"""The mixing plan against its promises, checked by counting, and against a slow second implementation."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from synthaug.errors import InvalidRequest
from synthaug.mixing import MixingPlan
from synthaug.seeding import numpy_rng

RATIOS = (0.01, 0.1, 0.25, 0.29, 1 / 3, 0.5, 0.75, 0.9)


@st.composite
def epochs(draw):
    """Classes of the real rows, classes of the pool, and the batches of an epoch in any order and size."""
    n_classes = draw(st.integers(1, 8))
    real = draw(st.lists(st.integers(0, n_classes - 1), min_size=1, max_size=120))
    pool = [k for k in range(n_classes) for _ in range(draw(st.integers(1, 5)))]
    order = draw(st.sampled_from(["as it is", "shuffled", "sorted", "with replacement"]))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    rows = {
        "as it is": np.arange(len(real)),
        "shuffled": rng.permutation(len(real)),
        "sorted": np.argsort(real, kind="stable"),
        "with replacement": rng.integers(0, len(real), 2 * len(real)),
    }[order].tolist()
    sizes = draw(st.lists(st.integers(0, 17), min_size=1, max_size=5).filter(any))
    batches, i = [], 0
    while rows:
        batches.append(rows[: sizes[i % len(sizes)]])
        rows = rows[sizes[i % len(sizes)] :]
        i += 1
    return np.array(real), np.array(pool), batches


def rate_of(ratio: float, mode: str) -> Fraction:
    share = Fraction(ratio).limit_denominator(1000)
    return share if mode == "replace" else share / (1 - share)


def synthetic(batch, n_real):
    return [row - n_real for row in batch if row >= n_real]


def plain(seed: int, n: int, size: int):
    return np.random.default_rng(seed).permutation(n).reshape(-1, size).tolist()


@given(epochs(), st.sampled_from(RATIOS), st.integers(0, 3))
def test_replacing_keeps_the_label_of_every_position(epoch, ratio, seed):
    real, pool, batches = epoch
    label = np.concatenate([real, pool])
    mixed = list(MixingPlan(real, pool, ratio=ratio, seed=seed).batches(batches, epoch=0))
    assert [label[m].tolist() for m in mixed] == [real[b].tolist() for b in batches]
    for before, after in zip(batches, mixed, strict=True):
        assert all(a == b for a, b in zip(after, before, strict=True) if a < len(real))


@given(epochs(), st.sampled_from(RATIOS), st.integers(0, 3))
def test_appending_keeps_every_real_row_in_place_and_adds_classes_of_the_batch(epoch, ratio, seed):
    real, pool, batches = epoch
    mixed = list(MixingPlan(real, pool, ratio=ratio, mode="append", seed=seed).batches(batches, epoch=0))
    for before, after in zip(batches, mixed, strict=True):
        assert after[: len(before)] == before
        assert set(pool[synthetic(after[len(before) :], len(real))]) <= set(real[before])
        assert len(synthetic(after, len(real))) == len(after) - len(before)


@given(epochs(), st.sampled_from(RATIOS), st.sampled_from(["replace", "append"]), st.integers(0, 3))
def test_a_batch_gets_the_floor_or_ceiling_of_its_due_and_a_prefix_is_within_one_row(
    epoch, ratio, mode, seed
):
    real, pool, batches = epoch
    rate = rate_of(ratio, mode)
    seen = used = 0
    plan = MixingPlan(real, pool, ratio=ratio, mode=mode, seed=seed)
    for before, after in zip(batches, plan.batches(batches, epoch=0), strict=True):
        n = len(synthetic(after, len(real)))
        assert n in (math.floor(rate * len(before)), math.ceil(rate * len(before)))
        seen, used = seen + len(before), used + n
        assert abs(used - rate * seen) <= 1


@given(epochs(), st.sampled_from(RATIOS), st.sampled_from(["replace", "append"]), st.integers(0, 3))
def test_the_share_of_each_class_stays_within_the_stated_bound(epoch, ratio, mode, seed):
    real, pool, batches = epoch
    rate, n_classes = rate_of(ratio, mode), 1 + max(pool)
    seen, used = np.zeros(n_classes, int), np.zeros(n_classes, int)
    plan = MixingPlan(real, pool, ratio=ratio, mode=mode, seed=seed)
    for before, after in zip(batches, plan.batches(batches, epoch=0), strict=True):
        seen += np.bincount(real[before], minlength=n_classes)
        used += np.bincount(pool[synthetic(after, len(real))], minlength=n_classes)
        assert np.abs(used - float(rate) * seen).max() <= 2 + math.log2(n_classes)


@pytest.mark.parametrize("ratio", RATIOS)
def test_in_shuffled_batches_of_32_every_class_is_within_one_and_a_half_rows_of_its_due(ratio):
    real = np.random.default_rng(0).choice(10, 3200, p=np.arange(1, 11) / 55)
    batches = plain(1, 3200, 32)
    mixed = list(MixingPlan(real, range(10), ratio=ratio).batches(batches, epoch=0))
    used = np.bincount([s for m in mixed for s in synthetic(m, 3200)], minlength=10)
    assert np.abs(used - ratio * np.bincount(real)).max() <= 1.5


def test_batches_of_one_in_alternating_classes_do_not_fall_on_one_class():
    real = np.arange(400) % 2
    mixed = MixingPlan(real, [0, 1], ratio=0.5).batches([[i] for i in range(400)], epoch=0)
    used = np.bincount([s for m in mixed for s in synthetic(m, 400)], minlength=2)
    assert abs(used - 100).max() <= 1


@given(epochs(), st.sampled_from(RATIOS), st.sampled_from(["replace", "append"]))
def test_pool_rows_of_a_class_are_used_equally_often_give_or_take_one(epoch, ratio, mode):
    real, pool, batches = epoch
    mixed = MixingPlan(real, pool, ratio=ratio, mode=mode).batches(batches, epoch=0)
    used = np.bincount([s for m in mixed for s in synthetic(m, len(real))], minlength=len(pool))
    for k in set(pool):
        assert np.ptp(used[pool == k]) <= 1


@settings(max_examples=60)
@given(epochs(), st.sampled_from(RATIOS), st.sampled_from(["replace", "append"]))
def test_a_batch_spends_its_rows_on_the_classes_furthest_behind(epoch, ratio, mode):
    """A naive greedy over single rows, fed with the plan's own phases, must reach the same classes' debts."""
    real, pool, batches = epoch
    rate, n_classes = rate_of(ratio, mode), 1 + int(max(pool))
    plan = MixingPlan(real, pool, ratio=ratio, mode=mode, seed=5)
    phases = numpy_rng(5, "mixing", 2, 1).integers(0, rate.denominator, n_classes)
    owed = [Fraction(int(phase), rate.denominator) for phase in phases]
    for before, after in zip(batches, plan.batches(batches, epoch=2, rank=1), strict=True):
        room = [0] * n_classes
        for row in before:
            owed[real[row]] += rate
            room[real[row]] += math.ceil(rate)
        given_to = np.bincount(pool[synthetic(after, len(real))], minlength=n_classes).tolist()
        expected = list(owed)
        for _ in range(sum(given_to)):
            k = max((k for k in range(n_classes) if room[k]), key=lambda k: expected[k])
            room[k] -= 1
            expected[k] -= 1
        owed = [debt - n for debt, n in zip(owed, given_to, strict=True)]
        # Classes equally far behind may swap places: the debts agree as a multiset.
        assert sorted(owed) == sorted(expected)


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_the_plan_is_a_function_of_seed_epoch_rank_and_order(mode):
    real = np.arange(640) % 4
    batches = plain(0, 640, 64)

    def mixed(seed=0, epoch=0, rank=0):
        plan = MixingPlan(real, np.arange(40) % 4, ratio=0.3, mode=mode, seed=seed)
        return list(plan.batches(batches, epoch=epoch, rank=rank))

    assert mixed() == mixed()
    others = [mixed(seed=1), mixed(epoch=1), mixed(rank=1)]
    assert all(other != mixed() for other in others)
    assert all(a != b for i, a in enumerate(others) for b in others[:i])


def test_a_prefix_of_the_order_gives_a_prefix_of_the_plan():
    plan = MixingPlan(np.arange(640) % 4, np.arange(40) % 4, ratio=0.3)
    batches = plain(0, 640, 64)
    assert list(plan.batches(batches[:4], epoch=0)) == list(plan.batches(batches, epoch=0))[:4]


def test_an_endless_stream_of_batches_is_read_one_at_a_time():
    plan = MixingPlan([0, 1], [0, 1], ratio=0.5)

    def endless():
        while True:
            yield [0, 1]

    stream = plan.batches(endless(), epoch=0)
    assert all(len(next(stream)) == 2 for _ in range(5))


def test_over_many_epochs_every_real_row_is_replaced_equally_often_even_unshuffled():
    plan = MixingPlan(np.zeros(40, int), [0], ratio=0.25)
    batches = np.arange(40).reshape(-1, 4).tolist()
    replaced = np.zeros(40)
    for epoch in range(400):
        for before, after in zip(batches, plan.batches(batches, epoch=epoch), strict=True):
            replaced[before] += np.array(after) >= 40
    assert np.all(np.abs(replaced - 100) < 5 * math.sqrt(400 * 0.25 * 0.75))


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_ratio_zero_is_the_plain_order_even_with_an_empty_pool(mode):
    batches = plain(0, 12, 4)
    assert list(MixingPlan([0, 1] * 6, [], ratio=0, mode=mode).batches(batches, epoch=0)) == batches


def test_a_ratio_means_the_decimal_number_that_was_written():
    # In binary floating point 0.29 * 100 is 28.999999999999996.
    mixed = MixingPlan([0] * 100, [0], ratio=0.29).batches([list(range(100))], epoch=0)
    assert len(synthetic(next(mixed), 100)) == 29


@pytest.mark.parametrize("ratio", [-0.1, 1, 1.5, math.nan, math.inf])
def test_a_ratio_outside_zero_to_one_is_refused(ratio):
    with pytest.raises(InvalidRequest, match=r"synthetic / \(real \+ synthetic\).*below 1"):
        MixingPlan([0], [0], ratio=ratio)


def test_an_unknown_mode_is_refused():
    with pytest.raises(InvalidRequest, match='\'add\' was asked for; mixing knows "replace" and "append"'):
        MixingPlan([0], [0], ratio=0.5, mode="add")


def test_a_class_missing_from_the_pool_is_refused_by_name_with_the_remedy():
    with pytest.raises(
        InvalidRequest, match=r'no row of "dog", "cow"\. Sample at least one row of each class'
    ):
        MixingPlan([0, 1, 2], [0], ratio=0.5, classes=["cat", "dog", "cow"])


def test_a_class_without_real_rows_may_be_missing_from_the_pool_or_in_it():
    assert list(MixingPlan([0, 2], [0, 1, 2], ratio=0.5).batches([[0, 1]], epoch=0))
    assert list(MixingPlan([0, 2], [0, 2], ratio=0.5).batches([[0, 1]], epoch=0))


@pytest.mark.parametrize("batch", [[4], [-1], [(0, 224)]])
def test_a_batch_that_is_not_of_real_row_numbers_is_refused(batch):
    with pytest.raises(InvalidRequest, match="row numbers from 0 to 3"):
        list(MixingPlan([0] * 4, [0], ratio=0.5).batches([batch], epoch=0))
