"""Shares that differ by class, by time or hold in expectation only, checked by counting integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

import synthaug
from synthaug.errors import InvalidRequest
from synthaug.mixing import MixingPlan, MixingRun, constant, cosine, linear, off_after


def synthetic(batch, n_real):
    return [row - n_real for row in batch if row >= n_real]


def shuffled(n, size, seed=0):
    return np.random.default_rng(seed).permutation(n).reshape(-1, size).tolist()


def used(plan, batches, n_real, **where):
    return [len(synthetic(batch, n_real)) for batch in plan.batches(batches, **where)]


# --------------------------------------------------------------------------------------------- by class


@given(st.integers(0, 5), st.sampled_from([1, 7, 32]), st.sampled_from(["replace", "append"]))
def test_each_class_gets_its_own_share(seed, size, mode):
    shares = {0: 0.5, 1: 0.25, 2: 1 / 3}  # class 3 is left out
    real = np.random.default_rng(seed).integers(0, 4, 32 * 7 * 2)
    batches = [b.tolist() for b in np.split(np.arange(len(real)), len(real) // size)]
    plan = MixingPlan(real, np.arange(8) % 4, ratio=shares, mode=mode, seed=seed)
    found = np.zeros(4, int)
    for before, after in zip(batches, plan.batches(batches, epoch=0), strict=True):
        rates = np.array([(s / (1 - s) if mode == "append" else s) for s in (0.5, 0.25, 1 / 3, 0)])
        made = synthetic(after, len(real))
        due = rates[real[before]].sum()
        assert due - 1 < len(made) < due + 1
        found += np.bincount(np.array(made, int) % 4, minlength=4)
    assert np.abs(found - rates * np.bincount(real, minlength=4)).max() <= 4
    assert found[3] == 0


def test_a_class_without_a_share_may_be_missing_from_the_pool():
    assert list(MixingPlan([0, 1], [0], ratio={0: 0.5}).batches([[0, 1]], epoch=0))
    with pytest.raises(InvalidRequest, match=r"ratio 0.5 was asked for, but the samples hold no row of 1"):
        MixingPlan([0, 1], [0], ratio={0: 0.5, 1: 0.5})


@pytest.mark.parametrize("ratio", [{0: 1.0}, {0: -0.1}])
def test_a_share_of_a_class_outside_zero_to_one_is_refused(ratio):
    with pytest.raises(InvalidRequest, match="at least 0 and below 1"):
        MixingPlan([0], [0], ratio=ratio)


# ---------------------------------------------------------------------------------------------- by time


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_schedule_over_steps_sets_the_share_of_every_batch(mode):
    plan = MixingPlan([0] * 640, [0], ratio=linear(0.5, 0.0, steps=8), mode=mode)
    shares = [linear(0.5, 0.0, steps=8).at(0, step) for step in range(10)]
    due = [64 * (s / (1 - s) if mode == "append" else s) for s in shares]
    found = used(plan, shuffled(640, 64), 640, epoch=0)
    assert all(abs(n - d) < 1 for n, d in zip(found, due, strict=True))
    assert found[8:] == [0, 0]
    assert used(plan, shuffled(640, 64), 640, epoch=1, step=10) == [0] * 10


def test_a_schedule_over_epochs_keeps_one_share_for_an_epoch():
    plan = MixingPlan([0] * 64, [0], ratio=cosine(0.5, 0.25, epochs=2))
    found = [used(plan, shuffled(64, 16), 64, epoch=epoch) for epoch in range(4)]
    assert found == [[8] * 4, [6] * 4, [4] * 4, [4] * 4]


def test_a_schedule_that_is_off_leaves_no_debt_behind():
    plan = MixingPlan([0, 1] * 30, [0, 1], ratio=off_after(0.45, steps=3))
    found = used(plan, shuffled(60, 3), 60, epoch=0)
    assert sum(found[:3]) in (3, 4, 5)
    assert found[3:] == [0] * 17


def test_a_constant_schedule_is_the_plain_share():
    batches = shuffled(640, 64)
    for ratio in (constant(0.25), {0: constant(0.25)}):
        assert used(MixingPlan([0] * 640, [0], ratio=ratio), batches, 640, epoch=3) == [16] * 10


def test_classes_may_have_schedules_of_their_own():
    plan = MixingPlan([0, 1] * 32, [0, 1], ratio={0: linear(0.5, 0, epochs=1), 1: 0.25})
    for epoch, per_class in ((0, [16, 8]), (1, [0, 8])):
        (batch,) = plan.batches([list(range(64))], epoch=epoch)
        assert np.bincount(synthetic(batch, 64), minlength=2).tolist() == per_class


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: linear(0.5, 0), "epochs=None and steps=None were given to a schedule"),
        (lambda: linear(0.5, 0, epochs=1, steps=1), "it lasts one of them, at least 1"),
        (lambda: off_after(0.5, epochs=0), "it lasts one of them, at least 1"),
        (lambda: cosine(0.5, 1.0, steps=3), "ratio 1.0 was asked for"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(make, message):
    with pytest.raises(InvalidRequest, match=message):
        make()


# --------------------------------------------------------------------------------------- in expectation


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize("ratio", [0.25, 0.75])
def test_in_expectation_the_share_holds_over_many_rows_and_varies_between_batches(mode, ratio):
    plan = MixingPlan(np.arange(6400) % 4, np.arange(40) % 4, ratio=ratio, mode=mode, exact=False)
    found = np.array(used(plan, shuffled(6400, 64), 6400, epoch=0))
    rate = ratio / (1 - ratio) if mode == "append" else ratio
    spread = (rate % 1) * (1 - rate % 1) * 64
    assert abs(found.mean() - 64 * rate) < 4 * np.sqrt(spread / 100) + 1e-9
    assert found.std() > 0 or spread == 0
    assert used(plan, shuffled(6400, 64), 6400, epoch=1) != found.tolist() or spread == 0


def test_in_expectation_what_is_replaced_does_not_depend_on_batches_or_ranks():
    plan = MixingPlan(np.arange(64) % 2, np.arange(40) % 2, ratio=0.3, exact=False)

    def replaced(batches, **rank):
        mixed = plan.batches(batches, epoch=2, **rank)
        return {
            a for b, m in zip(batches, mixed, strict=True) for a, now in zip(b, m, strict=True) if now >= 64
        }

    whole = replaced([list(range(64))])
    assert replaced(shuffled(64, 8)) == whole
    ranks = [replaced(np.arange(rank, 64, 2).reshape(-1, 8).tolist(), rank=rank, ranks=2) for rank in (0, 1)]
    assert ranks[0] | ranks[1] == whole
    assert ranks[0]
    assert ranks[1]


def test_in_expectation_a_row_drawn_again_and_again_is_replaced_at_its_share():
    plan = MixingPlan([0, 0], [0], ratio=0.3, exact=False)
    found = [row for batch in plan.batches([[0, 0, 0, 1]] * 250, epoch=0) for row in batch]
    assert abs(sum(row == 2 for row in found) - 300) <= 5


# ------------------------------------------------------------------------------------- ranks and resume


def test_ranks_share_the_pool_out_so_that_no_row_is_used_by_two():
    real = np.arange(320) % 4
    plan = MixingPlan(real, np.arange(48) % 4, ratio=0.5)
    taken = []
    for epoch in (0, 1):
        parts = []
        for rank in (0, 1, 2):
            batches = np.arange(rank, 318, 3).reshape(-1, 2).tolist()
            mixed = plan.batches(batches, epoch=epoch, rank=rank, ranks=3)
            parts.append({s for batch in mixed for s in synthetic(batch, 320)})
        assert not parts[0] & parts[1]
        assert not parts[0] & parts[2]
        assert not parts[1] & parts[2]
        assert len(set.union(*parts)) == 48
        taken.append(parts)
    assert taken[0] != taken[1]


def test_a_class_smaller_than_the_ranks_is_used_by_all():
    mixed = MixingPlan([0] * 8, [0], ratio=0.5).batches([[0, 1], [2, 3]], epoch=0, rank=1, ranks=2)
    assert sum(row == 8 for batch in mixed for row in batch) == 2


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("ratio", [0.3, linear(0.6, 0.1, steps=9)])
def test_a_run_goes_on_from_its_state(exact, ratio):
    real = np.arange(640) % 4
    plan = MixingPlan(real, np.arange(40) % 4, ratio=ratio, exact=exact)
    batches = shuffled(640, 64) + shuffled(640, 64, seed=1)
    through = MixingRun(plan, epoch=3, rank=1)
    for batch in batches[:11]:
        through.mix(batch)
    resumed = MixingRun(plan, epoch=3, rank=1)
    resumed.load_state_dict(through.state_dict())
    assert [resumed.mix(batch) for batch in batches[11:]] == [through.mix(batch) for batch in batches[11:]]


@pytest.mark.parametrize(
    "share",
    [np.float32(0.29), np.float16(0.29), np.float64(0.29), np.array(0.29), torch.tensor(0.29), Fraction(29, 100)],
    ids=lambda share: type(share).__name__,
)  # fmt: skip
def test_a_share_of_any_kind_of_number_is_what_it_says(share):
    plan = MixingPlan(np.zeros(100, int), [0], ratio=share)
    (batch,) = plan.batches([range(100)], epoch=0)
    assert sum(row >= 100 for row in batch) == 29


@pytest.mark.parametrize(
    "share", ["0.25", "balance", [0.25], 100, 1.0, -0.1, True, float("nan"), np.float32(2)]
)
def test_what_is_no_share_is_refused_with_the_two_things_that_may_be_meant(share):
    for ratio in (share, {0: share}):
        with pytest.raises(InvalidRequest, match=r'was asked for.* ratio=\{"cat": .* to=\{"cat": 100\}'):
            MixingPlan([0, 0], [0], ratio=ratio)
        with pytest.raises(InvalidRequest, match="was asked for"):
            synthaug.BatchMixer(lambda labels, rng: None, ratio=ratio)
