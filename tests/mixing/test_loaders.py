"""Mixed loaders in real workers, ranks, and loaders that resume: nothing dropped, repeated or changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from numbered import (
    Items,
    OwnLoader,
    is_synthetic,
    lists,
    number,
    pictures,
    pool,
    seen,
    tensors,
)
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import synthaug
from synthaug import mix
from synthaug.errors import InvalidData, InvalidRequest, SpecMismatch, UnsupportedKind
from synthaug.mixing import Refresh, linear, off_after

BATCH_KINDS = {
    "custom": lists,
    "nested": lambda batch: {"in": {"x": [x for x, _ in batch]}, "out": ([y for _, y in batch],)},
}


def numbers(loader):
    return [[x for x, _ in batch] for batch in seen(loader)]


# ------------------------------------------------------------------------------------------- real workers


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_schedule_share_and_weights_reach_workers_that_live_on_however_they_are_started(method):
    plain = DataLoader(tensors(24), 8, num_workers=1, persistent_workers=True, multiprocessing_context=method)
    mixed = mix(plain, pool(), ratio=off_after(0.5, epochs=2), weight=0.5, flag=True)
    for expected in (4, 4, 0):
        for x, _, weight, synthetic in mixed:
            assert [is_synthetic(image) for image in x] == synthetic.tolist() == (weight == 0.5).tolist()
            assert synthetic.sum() == expected


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize(("size", "drop_last", "batches"), [(1, False, 60), (8, False, 8), (8, True, 7)])
def test_batches_of_one_a_short_last_batch_and_a_dropped_one_have_the_share(
    workers, size, drop_last, batches
):
    plain = DataLoader(tensors(), size, shuffle=True, num_workers=workers, drop_last=drop_last)
    mixed = mix(plain, pool(), ratio=0.25)
    found = numbers(mixed)
    assert len(found) == len(mixed) == len(plain) == batches
    rows = [x for batch in found for x in batch]
    assert len(rows) == (56 if drop_last else 60)
    real = [x for x in rows if x < 10_000]
    assert len(set(real)) == len(real) == len(rows) * 3 // 4
    for n in range(1, batches + 1):
        before = [x for batch in found[:n] for x in batch]
        assert abs(sum(x >= 10_000 for x in before) - len(before) / 4) <= 1


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_schedule_over_steps_is_the_same_for_any_number_of_workers(workers):
    def run(workers):
        data = TensorDataset(torch.from_numpy(pictures(60)), torch.zeros(60, dtype=torch.int64))
        keep = workers > 0
        plain = DataLoader(data, 10, num_workers=workers, persistent_workers=keep, drop_last=True)
        mixed = mix(plain, pool(values=(0,)), ratio=linear(0.5, 0.0, steps=10))
        return [numbers(mixed) for _ in range(2)]

    found = run(workers)
    assert found == run(0)
    counts = [sum(x >= 10_000 for x in batch) for epoch in found for batch in epoch]
    due = [10 * 0.5 * max(0, 1 - step / 10) for step in range(12)]
    assert all(abs(n - d) < 1 for n, d in zip(counts, due, strict=True))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("exact", [True, False])
def test_appending_shows_each_real_row_once_an_epoch(workers, exact):
    order = RandomSampler(range(60), generator=torch.Generator().manual_seed(0))
    plain = DataLoader(tensors(), 7, sampler=order, num_workers=workers)
    mixed = mix(plain, pool(), ratio={"cat": 0.5, 1: 0.25}, mode="append", exact=exact)
    for _ in range(2):
        rows = [pair for batch in seen(mixed) for pair in batch]
        assert sorted(x for x, _ in rows if x < 10_000) == list(range(60))
        made = Counter(y for x, y in rows if x >= 10_000)
        assert made[2] == 0
        if exact:
            assert abs(made[0] - 20) <= 3
            assert abs(made[1] - 20 / 3) <= 3


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("kind", BATCH_KINDS)
def test_batches_of_any_structure_from_a_subclassed_loader_with_a_batch_sampler(workers, kind):
    def images(batch):
        return batch[0] if kind == "custom" else batch["in"]["x"]

    batches = BatchSampler(WeightedRandomSampler([1.0, 5, 1] * 20, 35), 8, drop_last=False)
    plain = OwnLoader(tensors(), batch_sampler=batches, num_workers=workers, collate_fn=BATCH_KINDS[kind])
    mixed = mix(plain, pool(), ratio=0.25)
    assert type(mixed) is OwnLoader
    found = [[number(x) for x in images(batch)] for batch in mixed]
    assert [len(batch) for batch in found] == [8, 8, 8, 8, 3]
    made = [sum(x >= 10_000 for x in batch) for batch in found]
    assert made[:4] == [2, 2, 2, 2]
    assert made[4] in (0, 1)


@pytest.mark.filterwarnings("ignore:'pin_memory' argument is set")
@pytest.mark.parametrize("workers", [0, 1])
def test_pinned_memory_keeps_every_kind_of_marked_batch(workers):
    plain = DataLoader(tensors(12), 6, pin_memory=True, num_workers=workers)
    mixed = mix(plain, pool(), ratio=0.5, flag=True)
    assert mixed.pin_memory
    assert [synthetic.sum().item() for _, _, synthetic in mixed] == [3, 3]


def test_nested_fields_beside_image_and_label_are_filled_in():
    items = [(torch.from_numpy(x), i % 3, {"id": i, "box": (i, i)}) for i, x in enumerate(pictures(12))]
    fill = {2: {"id": -1, "box": (-1, -1)}}
    for x, _, about in mix(
        DataLoader(Items(items), 6, num_workers=1), pool(), ratio=0.5, items=synthaug.Items(fill=fill)
    ):
        assert [is_synthetic(image) for image in x] == (about["id"] == -1).tolist()
        assert torch.equal(about["box"][1], about["id"])


def test_fields_that_cannot_be_guessed_are_named():
    rows = [{"a": x, "b": 255 - x, "coarse": i % 2, "fine": i % 3} for i, x in enumerate(pictures(12))]
    plain = DataLoader(Items(rows), 4, collate_fn=list)
    with pytest.raises(InvalidData, match="several fields of an item may be the image"):
        mix(plain, pool(), ratio=0.5)
    named = synthaug.Items(image="a", label="fine", fill={"b": None, "coarse": -1})
    items = [item for batch in mix(plain, pool(), ratio=0.5, items=named) for item in batch]
    made = [item for item in items if item["coarse"] == -1]
    assert len(made) == 6
    assert all(is_synthetic(item["a"]) and (number(item["a"]) - 10_000) % 3 == item["fine"] for item in made)
    pairs = [(x, i % 2, i % 3) for i, x in enumerate(pictures(12))]
    second = synthaug.Items(label=2, fill={1: -1})
    mixed = mix(DataLoader(Items(pairs), 12), pool(), ratio=0.5, items=second)
    assert next(iter(mixed))[2].tolist() == [i % 3 for i in range(12)]


def test_rows_on_another_device_are_refused_with_the_remedy():
    items = [(torch.empty(8, 8, device="meta"), 0)] * 4
    with pytest.raises(UnsupportedKind, match=r"are on the device meta.*or mix batches .* with BatchMixer"):
        mix(DataLoader(Items(items), 2, num_workers=1), pool(), ratio=0.5)


def test_a_share_of_an_unknown_class_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidRequest, match=r"names the class 'catt'\. Did you mean \"cat\""):
        mix(DataLoader(tensors(), 4), pool(), ratio={"catt": 0.5})


# -------------------------------------------------------------------------------------------------- ranks


def on_rank(rank, *, ranks=2, workers=0, **options):
    data = tensors(120)
    sampler = DistributedSampler(data, num_replicas=ranks, rank=rank, shuffle=True, seed=5)
    plain = DataLoader(data, 10, sampler=sampler, num_workers=workers)
    mixed = mix(plain, pool(per_class=20), ratio=0.25, **options)
    epochs = []
    for epoch in range(2):
        mixed.batch_sampler.set_epoch(epoch)
        rows = [row for batch in BatchSampler(sampler, 10, False) for row in batch]
        found = [x for batch in numbers(mixed) for x in batch]
        epochs.append({row: x for row, x in zip(rows, found, strict=True) if x >= 10_000})
        assert all(row == x for row, x in zip(rows, found, strict=True) if x < 10_000)
    return epochs


@pytest.mark.parametrize("exact", [True, False])
def test_two_ranks_replace_other_rows_by_other_samples_and_together_have_the_share_of_one(exact):
    first, second, alone = (
        on_rank(0, exact=exact),
        on_rank(1, exact=exact),
        on_rank(0, ranks=1, exact=exact),
    )
    for a, b, whole in zip(first, second, alone, strict=True):
        assert not set(a) & set(b)
        assert not set(a.values()) & set(b.values())
        if exact:
            assert abs(len(a) + len(b) - 30) <= 2
            assert abs(len(whole) - 30) <= 1
        else:
            assert set(a) | set(b) == set(whole)
    assert first[0] != first[1]
    assert on_rank(1, exact=exact, workers=1) == second


# ---------------------------------------------------------------------------------------- a pool in motion


class Numbered:
    """Behind the face of a generator: rows numbered 10,000 + 3 * index + class, of which all calls are kept."""

    classes, form, held_out = pool().classes, pool().form, pool().held_out

    def __init__(self, *, rows=lambda rows: rows):
        self.rows, self.drawn, self.given = rows, [], []

    def sample(self, counts, *, seed):
        assert seed == 0
        self.given.append(pool(per_class=counts))
        return self.given[-1]

    def sample_rows(self, name, start, stop, *, seed):
        assert seed == 0
        self.drawn.append((start, stop))
        k = self.classes.index(name)
        rows = pool(per_class=1)[np.full(stop - start, k)]
        return self.rows(replace(rows, samples=pictures(stop - start, first=10_000 + 3 * start + k, step=3)))


def window(epoch, move, n=4):
    return {10_000 + 3 * i + k for k in range(3) for i in range(epoch * move, epoch * move + n)}


def refreshed(fraction, **options):
    plain = DataLoader(tensors(), 12, **options)
    return mix(plain, Numbered(), ratio=0.5, pool=4, refresh=fraction)


@pytest.mark.parametrize("options", [
    {}, {"num_workers": 1}, {"num_workers": 2, "persistent_workers": True},
    {"num_workers": 1, "persistent_workers": True, "multiprocessing_context": "spawn"},
])  # fmt: skip
@pytest.mark.parametrize(("fraction", "move"), [(0.25, 1), (1.0, 4)])
def test_each_epoch_shows_the_window_of_rows_that_is_its_own_in_workers_that_live_on(options, fraction, move):
    mixed = refreshed(fraction, **options)
    epochs = [numbers(mixed) for _ in range(3)]
    for epoch, found in enumerate(epochs):
        assert {x for batch in found for x in batch if x >= 10_000} == window(epoch, move)
    mixed.batch_sampler.set_epoch(1)
    assert numbers(mixed) == epochs[1]


def test_a_jump_draws_only_what_is_missing_and_the_given_samples_stay():
    source = Numbered()
    mixed = mix(DataLoader(tensors(), 12), source, ratio=0.5, pool=4, refresh=0.5)
    (samples,) = source.given
    assert (samples.samples == pool(per_class=4).samples).all()
    for epoch, expected in ((0, []), (1, [(4, 6)] * 3), (50, [(100, 104)] * 3), (49, [(98, 100)] * 3)):
        source.drawn.clear()
        mixed.batch_sampler.set_epoch(epoch)
        assert {x for batch in numbers(mixed) for x in batch if x >= 10_000} == window(epoch, 2)
        assert source.drawn == expected
    assert (samples.samples == pool(per_class=4).samples).all()


@pytest.mark.parametrize("fraction", [0, -0.5, 1.5])
def test_a_refresh_that_cannot_be_is_refused(fraction):
    with pytest.raises(InvalidRequest, match="above 0 and at most 1"):
        Refresh(Numbered().sample_rows, fraction)
    with pytest.raises(InvalidRequest, match="above 0 and at most 1"):
        mix(DataLoader(tensors(), 12), Numbered(), ratio=0.5, refresh=fraction)


def test_a_refresh_that_gives_other_rows_than_asked_for_is_refused():
    none = Numbered(rows=lambda rows: rows[:0])
    mixed = mix(DataLoader(tensors(), 12), none, ratio=0.5, pool=4, refresh=1.0)
    numbers(mixed)
    with pytest.raises(SpecMismatch, match=r'rows 4 to 8 of class "cat" were asked for .* 0 of HW 8x8'):
        numbers(mixed)


# ------------------------------------------------------------------------------------------------- resume


torchdata = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")


@pytest.fixture
def stateful():
    return pytest.importorskip("torchdata.stateful_dataloader", reason="torchdata is not installed")


@torchdata
@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("options", [{}, {"exact": False}, {"refresh": 0.5}])
def test_a_stateful_loader_goes_on_in_the_middle_of_an_epoch(stateful, workers, shuffle, options):
    def loader():
        order = torch.Generator().manual_seed(2)
        plain = stateful.StatefulDataLoader(
            tensors(), 6, shuffle=shuffle, generator=order, num_workers=workers
        )
        return mix(plain, Numbered(), pool=4, ratio=linear(0.6, 0.3, steps=15), **options)

    through = loader()
    numbers(through)
    second = iter(through)
    for _ in range(3):
        next(second)
    state = through.state_dict()
    rest = seen(second)
    assert len(rest) == 7
    assert any(x >= 10_000 for batch in rest for x, _ in batch)
    resumed = loader()
    resumed.load_state_dict(state)
    assert seen(resumed) == rest
    if not shuffle:  # the plain loader's own order differs in the epoch after a resume
        assert seen(resumed) == seen(through)


@torchdata
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_stateful_loader_over_a_stream_goes_on_too(stateful, workers):
    from test_iterable import Stream

    def loader():
        plain = stateful.StatefulDataLoader(Stream(), 6, num_workers=workers)
        return mix(plain, pool(), ratio=0.5)

    through = loader()
    seen(through)
    second = iter(through)
    for _ in range(3):
        next(second)
    state = through.state_dict()
    rest = seen(second)
    resumed = loader()
    resumed.load_state_dict(state)
    assert seen(resumed) == rest
