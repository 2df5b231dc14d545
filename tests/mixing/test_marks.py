"""Weights and flags: in the batch when asked for, nowhere when not."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from numbered import Items, is_synthetic, number, pictures, pool, tensors
from torch.utils.data import DataLoader

from synthaug import mix
from synthaug.errors import InvalidRequest, UnsupportedKind
from synthaug.mixing import Marks

Pair = namedtuple("Pair", "image label")


def named(batch):
    return Pair(torch.stack([x for x, _ in batch]), torch.tensor([y for _, y in batch]))


def nested(batch):
    return {"inputs": {"pixels": torch.stack([x for x, _ in batch])}, "label": [y for _, y in batch]}


def rows():
    return Items([(torch.from_numpy(x), i % 3) for i, x in enumerate(pictures(12))])


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("collate", "images", "weight", "flag"),
    [
        (None, lambda b: b[0], lambda b: b[2], lambda b: b[3]),
        (named, lambda b: b.image, lambda b: b.weight, lambda b: b.synthetic),
        (nested, lambda b: b["inputs"]["pixels"], lambda b: b["weight"], lambda b: b["synthetic"]),
    ],
    ids=["tuple", "namedtuple", "nested dict"],
)
def test_weight_and_flag_are_those_of_the_rows_beside_them(collate, images, weight, flag, workers):
    plain = DataLoader(rows(), 4, collate_fn=collate, num_workers=workers)
    mixed = mix(plain, pool(), ratio=0.5, weight=0.25, flag=True)
    for batch in mixed:
        truth = torch.tensor([is_synthetic(x) for x in images(batch)])
        assert truth.sum() == 2
        assert torch.equal(flag(batch), truth)
        assert torch.equal(weight(batch), torch.where(truth, 0.25, 1.0))
        assert weight(batch).dtype == torch.float32


def test_only_what_is_asked_for_is_there():
    assert [len(batch) for batch in DataLoader(tensors(12), 6)] == [2, 2]
    for asked, n in (({}, 2), ({"flag": True}, 3), ({"weight": 0.5}, 3), ({"flag": True, "weight": 1.0}, 4)):
        mixed = mix(DataLoader(tensors(12), 6), pool(), ratio=0.5, **asked)
        assert [len(batch) for batch in mixed] == [n, n]
    (_, _, synthetic), *_ = mix(DataLoader(tensors(12), 6), pool(), ratio=0.5, flag=True)
    assert synthetic.dtype == torch.bool


def test_dict_items_get_keys_and_appended_rows_are_marked():
    data = Items([{"image": torch.from_numpy(x), "label": i % 3} for i, x in enumerate(pictures(12))])
    mixed = mix(DataLoader(data, 6), pool(), ratio=0.5, mode="append", flag=True)
    for batch in mixed:
        assert list(batch) == ["image", "label", "synthetic"]
        assert batch["synthetic"].tolist() == [False] * 6 + [True] * 6
        assert [number(x) >= 10_000 for x in batch["image"]] == batch["synthetic"].tolist()


def test_a_batch_without_any_synthetic_row_is_marked_as_well():
    """The same training runs with ratio 0."""
    mixed = mix(DataLoader(tensors(12), 6), pool(), ratio=0, weight=0.5, flag=True)
    for _, _, weight, synthetic in mixed:
        assert weight.tolist() == [1.0] * 6
        assert not synthetic.any()


def test_rows_fetched_together_are_marked_too():
    class Batched(Items):
        def __getitems__(self, rows):
            return [self[row] for row in rows]

    data = Batched([(torch.from_numpy(x), i % 3) for i, x in enumerate(pictures(12))])
    for x, _, synthetic in mix(DataLoader(data, 6), pool(), ratio=0.5, flag=True):
        assert [is_synthetic(image) for image in x] == synthetic.tolist()


@pytest.mark.parametrize(
    ("collate", "error", "message"),
    [
        (lambda batch: len(batch), UnsupportedKind, "batches that are dicts or tuples.* of type int"),
        (lambda batch: {"weight": 1}, InvalidRequest, 'the batches have a field "weight".*rename it'),
    ],
)
def test_batches_without_room_are_refused_before_training(collate, error, message):
    plain = DataLoader(tensors(12), 6, collate_fn=collate)
    with pytest.raises(error, match=message):
        mix(plain, pool(), ratio=0.5, weight=0.5)
    assert list(mix(plain, pool(), ratio=0.5))


@pytest.mark.parametrize("weight", [-1.0, float("inf"), float("nan")])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(InvalidRequest, match="the loss weight of a synthetic row"):
        Marks(weight)
