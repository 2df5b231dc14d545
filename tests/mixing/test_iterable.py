"""Streams: what passes is replaced in the workers, batch by batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from numbered import is_synthetic, number, pictures, pool, seen, tensors
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from synthaug import mix
from synthaug.errors import InvalidRequest, Leakage, SpecMismatch, UnsupportedKind
from synthaug.mixing import linear
from synthaug.modalities.image import fingerprints


class Stream(IterableDataset):
    """Rows in turn, sharded over the workers in the usual way."""

    def __init__(self, n=60, *, length=True):
        self.images, self.start, self.stop = pictures(n), 0, n
        self.epoch = None
        if length:
            self.__class__ = Measured

    def __iter__(self):
        info = get_worker_info()
        first, step = (0, 1) if info is None or self.epoch == "own" else (info.id, info.num_workers)
        for row in range(self.start + first, self.stop, step):
            yield torch.from_numpy(self.images[row]), row % 3


class Measured(Stream):
    def __len__(self):
        return self.stop - self.start


def shard(worker):
    """The other usual way: a function for the workers sets attributes of their copy."""
    info = get_worker_info()
    info.dataset.epoch = "own"
    info.dataset.start, info.dataset.stop = 30 * worker, 30 * worker + 30


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_each_batch_has_its_share_and_every_label_and_other_row_stays(workers, persistent):
    keep = persistent and workers > 0
    plain = DataLoader(Stream(), 9, num_workers=workers, persistent_workers=keep)
    mixed = mix(plain, pool(), ratio=1 / 3)
    assert type(mixed) is DataLoader
    assert len(mixed) == len(plain) == 7
    expected = seen(plain)
    epochs = [seen(mixed) for _ in range(3)]
    for found in epochs:
        assert [[y for _, y in batch] for batch in found] == [[y for _, y in batch] for batch in expected]
        for before, after in zip(expected, found, strict=True):
            assert all(a == b or (a[0] - 10_000) % 3 == a[1] for a, b in zip(after, before, strict=True))
            made = sum(x >= 10_000 for x, _ in after)
            assert made in (len(after) // 3, -(-len(after) // 3))
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    again = mix(plain, pool(), ratio=1 / 3)
    assert [seen(again) for _ in range(3)] == epochs
    again.batch_sampler.set_epoch(1)
    assert seen(again) == epochs[1]


def test_two_workers_do_not_repeat_each_other():
    class Twice(Stream):
        def __iter__(self):
            for row in range(self.stop):
                yield torch.from_numpy(self.images[row]), 0

    plain = DataLoader(Twice(40, length=False), 10, num_workers=2)
    found = seen(mix(plain, pool(values=(0,), per_class=40), ratio=0.5))
    first, second = found[0::2], found[1::2]
    assert len(first) == len(second) == 4
    assert [[x >= 10_000 for x, _ in b] for b in first] != [[x >= 10_000 for x, _ in b] for b in second]
    # Workers read the same rows here: hardly one may give way to the same sample in both.
    pairs = [pair for x, y in zip(first, second, strict=True) for pair in zip(x, y, strict=True)]
    assert sum(a == b for a, b in pairs if a[0] >= 10_000) <= 3


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_stream_reaches_workers_however_they_are_started(method):
    plain = DataLoader(Stream(24), 6, num_workers=1, multiprocessing_context=method)
    assert seen(mix(plain, pool(), ratio=0.5)) == seen(mix(DataLoader(Stream(24), 6), pool(), ratio=0.5))


def test_a_worker_init_fn_still_shards_the_stream_through_its_attributes():
    plain = DataLoader(Stream(), 10, num_workers=2, worker_init_fn=shard)
    expected = seen(plain)
    found = seen(mix(plain, pool(), ratio=0.5))
    assert sorted(x for batch in expected for x, _ in batch) == list(range(60))
    for before, after in zip(expected, found, strict=True):
        assert all(a == b or a[0] >= 10_000 for a, b in zip(after, before, strict=True))
        assert sum(a[0] >= 10_000 for a in after) == 5


def test_drop_last_flag_weight_and_a_schedule_over_steps_work_on_a_stream_with_live_workers():
    plain = DataLoader(Stream(), 16, num_workers=2, drop_last=True, persistent_workers=True)
    batches = len(list(plain))
    mixed = mix(plain, pool(), ratio=linear(0.75, 0.0, steps=len(plain)), flag=True, weight=0.5)
    first = [(x, weight, flag) for x, _, weight, flag in mixed]
    assert len(first) == batches == 2
    for step, (x, weight, flag) in enumerate(first):
        assert [is_synthetic(image) for image in x] == flag.tolist() == (weight == 0.5).tolist()
        assert abs(flag.sum() - 16 * 0.75 * (1 - step / len(plain))) < 1
    assert not any(flag.any() for *_, flag in mixed)


def test_a_stream_without_length_keeps_having_none():
    mixed = mix(DataLoader(Stream(length=False), 8), pool(), ratio=0.5)
    with pytest.raises(TypeError):
        len(mixed)
    assert len(seen(mixed)) == 8
    with pytest.raises(InvalidRequest, match="the loader has no length: give the schedule in epochs"):
        mix(DataLoader(Stream(length=False), 8), pool(), ratio=linear(0.5, 0, steps=9))


def test_set_epoch_on_the_data_set_reaches_the_stream_and_the_plan():
    class Told(Stream):
        def set_epoch(self, epoch):
            self.told = epoch

    def mixed():
        return mix(DataLoader(Told(length=False), 10), pool(), ratio=0.5)

    through = mixed()
    epochs = [seen(through) for _ in range(3)]
    resumed = mixed()
    resumed.dataset.set_epoch(2)
    assert resumed.dataset.told == 2
    assert seen(resumed) == epochs[2]


class Once(IterableDataset):
    def __iter__(self):
        return self

    def __next__(self):
        raise StopIteration


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: mix(DataLoader(Once(), 4), pool(), ratio=0.5), UnsupportedKind, "read only once"),
        (
            lambda: mix(DataLoader(Stream(), 4), pool(), ratio=0.5, mode="append"),
            InvalidRequest,
            'whose batches cannot grow: use mode "replace"',
        ),
        (
            lambda: mix(DataLoader(Stream(), 4), pool(), ratio=0.5, transform=lambda x: x[:4]),
            SpecMismatch,
            r"8x8.*4x8",
        ),
        (
            lambda: mix(
                DataLoader(Stream(), 4), replace(pool(), held_out=fingerprints(pictures(9), "HW")), ratio=0.5
            ),
            Leakage,
            "9 of the 60 rows looked at in a batch of the loader's stream",
        ),
        (
            lambda: seen(mix(DataLoader(Stream(), 4), pool(values=(0, 1)), ratio=0.5)),
            InvalidRequest,
            "has the label 2, of which the samples hold no row; they hold 0, 1",
        ),
        (
            lambda: mix(mix(DataLoader(Stream(), 4), pool(), ratio=0.5), pool(), ratio=0.5),
            InvalidRequest,
            "mixed already",
        ),
        (
            lambda: mix(DataLoader(Stream(), None), pool(), ratio=0.5),
            UnsupportedKind,
            "batch_size",
        ),
    ],
)
def test_a_stream_that_cannot_be_mixed_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("batch_size", [1, 16])
def test_a_held_out_row_far_down_a_stream_is_refused_when_it_comes(batch_size):
    stream = Stream(90)
    hidden = replace(pool(), held_out=fingerprints(stream.images[80:81], "HW"))
    batches = iter(mix(DataLoader(stream, batch_size), hidden, ratio=0.5))
    for _ in range(80 // batch_size):
        next(batches)
    with pytest.raises(Leakage, match="held out from the generator"):
        next(batches)


def test_a_map_style_loader_is_not_taken_for_a_stream():
    assert number(next(iter(mix(DataLoader(tensors(), 4), pool(), ratio=0)))[0][0]) == 0
