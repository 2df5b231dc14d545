from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from contracts import FAMILY_CONTRACT

from synthaug.errors import InvalidRequest
from synthaug.families import FAMILIES, build
from synthaug.families.diffaug import augment


@pytest.mark.parametrize("clause", FAMILY_CONTRACT, ids=lambda clause: clause.__name__)
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_keeps_the_contract(name: str, clause: Callable[[str], None]) -> None:
    clause(name)


def test_unknown_families_and_options_are_refused_with_the_closest_name() -> None:
    with pytest.raises(InvalidRequest, match=r'no family "cvea".*Did you mean "cvae"'):
        build("cvea", (1, 8, 8), (5, 5))
    with pytest.raises(InvalidRequest, match=r'no option "latnet".*Did you mean "latent"'):
        build("cvae", (1, 8, 8), (5, 5), {"latnet": 3})


def test_differentiable_augmentation_lets_gradients_through_and_depends_on_its_stream_alone() -> None:
    images = torch.rand(5, 3, 11, 8, requires_grad=True)
    first = augment(images, torch.Generator().manual_seed(0), colour=True)
    first.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert torch.equal(first, augment(images, torch.Generator().manual_seed(0), colour=True))
    assert not torch.equal(first, augment(images, torch.Generator().manual_seed(1), colour=True))


def test_warp_bends_rows_of_the_class_it_was_asked_for_and_copies_them_at_no_strength() -> None:
    rows = torch.rand(6, 1, 12, 10) * 2 - 1
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        family = build("warp", (1, 12, 10), (3, 3), {"strength": 0.0})
    family.remember(rows, labels)
    made = family.sample(torch.tensor([1] * 50), torch.randn(50, *family.noise_shape))
    nearest = torch.cdist(made.flatten(1), rows.flatten(1)).min(dim=1)
    assert (nearest.values < 0.01).all()
    assert set(nearest.indices.tolist()) == {3, 4, 5}
