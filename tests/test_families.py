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
