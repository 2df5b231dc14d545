"""Augmentations are functions of batch and seed, as strong as they say, and mirror only what may be mirrored."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from planted import distinct_digits, encode

from synthaug.modalities.image import (
    ELASTIC,
    ImageAugmentation,
    classical,
    elastic,
    image_augmentations,
    mirror_is_valid,
    policy,
)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 31), (4, 16, 16)])
@pytest.mark.parametrize(
    "make", [classical, partial(elastic, share=0.05), policy], ids=["classical", "elastic", "policy"]
)
def test_augmentation_is_a_function_of_batch_and_seed(
    make: Callable[[bool], ImageAugmentation], shape: tuple[int, ...]
) -> None:
    images = torch.rand(6, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    before = images.clone()
    augment = make(True)
    first = augment(images, 5)
    assert torch.equal(images, before)
    assert first.shape == images.shape
    assert -1 - 1e-6 <= first.min() <= first.max() <= 1 + 1e-6
    assert torch.equal(first, pickle.loads(pickle.dumps(augment))(images, 5))
    assert not torch.equal(first, augment(images, 6))


@pytest.mark.parametrize(
    "make", [classical, partial(elastic, share=0.05), policy], ids=["classical", "elastic", "policy"]
)
def test_what_an_image_becomes_does_not_depend_on_its_neighbours(
    make: Callable[[bool], ImageAugmentation],
) -> None:
    # So that arms which differ in some rows of a batch are compared under the same changes of the others.
    images = torch.rand(64, 1, 12, 12, generator=torch.Generator().manual_seed(0)) * 2 - 1
    others = images.clone()
    others[::4] = -images[::4]
    for seed in range(5):
        kept, changed = make(True)(images, seed), make(True)(others, seed)
        same = torch.arange(64) % 4 != 0
        assert torch.equal(kept[same], changed[same])
        assert not torch.equal(kept, changed)


def test_policy_changes_equal_images_in_many_ways() -> None:
    image = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    changed = policy(flip=True)(image.expand(64, -1, -1, -1), 0)
    assert len({each.numpy().tobytes() for each in changed}) > 48


def test_flips_are_not_tied_to_turns() -> None:
    # A bright bar in the upper left: a flip moves it to the right, a turn tilts it.
    images = torch.full((1600, 1, 33, 33), -1.0)
    images[:, :, 15:18, :14] = 1
    changed = classical(flip=True)(images, 0)[:, 0] + 1
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


def test_digits_are_not_mirrored_and_what_has_no_direction_is() -> None:
    digits = distinct_digits()
    images = encode(digits.read())
    assert not mirror_is_valid(images, digits.labels)
    symmetric = (images + images.flip(-1)) / 2
    assert mirror_is_valid(symmetric, digits.labels)
    marked = torch.zeros(8, 1, 8, 8)
    marked[..., :2] = 1
    flipped = image_augmentations(symmetric, digits.labels)["policy"](marked, 0)
    plain = image_augmentations(images, digits.labels)["policy"](marked, 0)
    assert not torch.equal(flipped, plain)


def test_elastic_displaces_pixels_by_the_share_of_the_side_it_names() -> None:
    # In a ramp the value of a pixel tells where it came from.
    side = 48
    ramp = torch.linspace(-1, 1, side).expand(320, 1, side, side).contiguous()
    without = classical(flip=False)(ramp, 0)
    inner = slice(side // 4, -side // 4)
    found = []
    for share in ELASTIC.values():
        shift = (elastic(False, share)(ramp, 0) - without)[:, 0, inner, inner] * (side - 1) / 2
        # Not the mean over images: the few erased boxes have edges, which seem to move far.
        found.append(shift.square().mean((1, 2)).median().sqrt().item() / side)
    np.testing.assert_allclose(found, list(ELASTIC.values()), rtol=0.2)


def test_elastic_is_what_the_library_did_when_it_was_measured() -> None:
    import albumentations as A

    from synthaug.modalities.image.pipelines import Elastic, seed_transform

    if not A.__version__.startswith("2.0."):
        pytest.skip("the successor has another transform of that name")
    theirs = A.ElasticTransform(alpha=30, sigma=4, noise_distribution="uniform", border_mode=1, p=1.0)
    rng = np.random.default_rng(0)
    for data in (
        {"images": rng.random((2, 28, 21, 3), np.float32)},  # as arms change them
        {"image": rng.integers(0, 255, (9, 12, 3), dtype=np.uint8)},  # and plans
        {"image": rng.integers(0, 255, (9, 12), dtype=np.uint8)},
    ):
        first, second = (seed_transform(each, 0)(**data) for each in (Elastic(30, 4), theirs))
        for name in data:
            assert np.array_equal(first[name], second[name])
