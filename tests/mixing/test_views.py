"""Batches of any structure: fields without rows, fields within fields, several views of one image."""

from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from numbered import is_synthetic, pictures, pool
from torch.utils.data import DataLoader

import synthaug
from synthaug.errors import InvalidData, SynthaugError, UnsupportedKind

X, Y = torch.from_numpy(pictures(12)), torch.arange(12) % 3
Pair = namedtuple("Pair", "x y meta")


def mixed(batch, **options):
    return synthaug.BatchMixer(pool(), ratio=0.5, **options)(batch)


def made(images) -> list[int]:
    return [row for row, image in enumerate(images) if is_synthetic(image)]


BATCHES = {
    "nothing first": ((None, X, Y), lambda b: b[1]),
    "a number behind": ((X, Y, torch.tensor(3.0)), lambda b: b[0]),
    "a number first": ((torch.tensor(3.0), X, Y), lambda b: b[1]),
    "weights of classes first": ((torch.ones(3), X, Y), lambda b: b[1]),
    "an empty text": ({"name": "", "image": X, "label": Y}, lambda b: b["image"]),
    "texts": ({"name": ["a"] * 12, "image": X, "label": Y}, lambda b: b["image"]),
    "an empty list": ([X, Y, []], lambda b: b[0]),
    "a dict of facts": ({"meta": {"fps": 3}, "image": X, "label": Y}, lambda b: b["image"]),
    "a named tuple": (Pair(X, Y, None), lambda b: b.x),
    "labels of whole floats": ((X, Y.float()), lambda b: b[0]),
    "a dict in a tuple": (({"image": X}, Y), lambda b: b[0]["image"]),
    "two views in a tuple": (((X, X.clone()), Y), lambda b: b[0][1]),
    "two views in a list": (([X, X.clone()], Y), lambda b: b[0][0]),
    "a mask of another kind beside": (({"image": X, "size": torch.ones(12, 2)}, Y), lambda b: b[0]["image"]),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_a_batch_of_any_structure_is_mixed_and_keeps_it(kind):
    batch, images = BATCHES[kind]
    found = mixed(batch)
    assert len(made(images(found))) == 6
    assert type(found) is type(batch)
    assert len(found) == len(batch)
    assert not made(images(batch))
    flagged = synthaug.BatchMixer(pool(), ratio=0.5, flag=True)(batch)
    flags = flagged["synthetic"] if isinstance(flagged, dict) else flagged[-1]
    assert torch.nonzero(flags).flatten().tolist() == made(images(found))


def test_all_views_of_an_image_give_way_to_the_same_row():
    first, second, labels = mixed((X, X.clone(), Y), image=(0, 1))
    assert torch.equal(first, second)
    assert len(made(first)) == 6
    assert torch.equal(labels, Y)
    one, other, _ = mixed((X, X.clone(), Y), image=0)
    assert made(one)
    assert not made(other)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ((X, X, Y), InvalidData, r"may be the image: 0, 1\. .*image=0\); .* image=\(0, 1\)"),
        (({"image": X, "label": Y}, Y), UnsupportedKind, r"field 0 .*mixer\(batch\[0\]\)"),
        ({"image": "x", "label": "y"}, UnsupportedKind, "without a tensor"),
        ((X.numpy(), Y), SynthaugError, "let collate_fn stack them"),
    ],
)
def test_a_batch_that_can_mean_two_things_is_refused_with_what_decides(batch, error, message):
    with pytest.raises(error, match=message):
        mixed(batch)


def items_of(kind):
    nest = {
        "a dict": lambda x: ({"image": x},), "a pair": lambda x: ((x, x),), "two fields": lambda x: (x, x),
    }[kind]  # fmt: skip
    return [(*nest(x), int(y)) for x, y in zip(X, Y, strict=True)]


@pytest.mark.parametrize("kind", ["a dict", "a pair", "two fields"])
def test_a_loader_of_several_images_names_what_works_there(kind):
    with pytest.raises(SynthaugError) as error:
        synthaug.mix(DataLoader(items_of(kind), 6), pool(), ratio=0.5)
    remedy = str(error.value).partition("with mixer = ")[2]
    mixer = eval(remedy, {"synthaug": synthaug, "samples": pool()})
    for batch in DataLoader(items_of(kind), 4):
        views = batch[0] if kind == "a pair" else [batch[0]["image"]] if kind == "a dict" else batch[:2]
        after = mixer(batch)
        views = after[0] if kind == "a pair" else [after[0]["image"]] if kind == "a dict" else after[:2]
        assert {len(made(view)) for view in views} == {1}
