"""What every family must keep; run over the table, so a new family is tested without writing a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from synthaug.families import build
from synthaug.families.base import Family
from synthaug.training.loop import Batch, BatchKind

COUNTS = (9, 4, 30)

Case = tuple[str, dict[str, Any]]
"""A family's name and the settings that differ from its defaults."""


def make(case: Case, shape: tuple[int, int, int] = (1, 12, 10)) -> Family:
    name, options = case
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        family = build(name, shape, COUNTS, options)
        if family.keeps_rows:
            labels = torch.arange(len(COUNTS)).repeat_interleave(torch.tensor(COUNTS))
            images = torch.rand(len(labels), *shape) * 2 - 1
            family.remember(images, labels)
            family.finish(images, labels)
        return family


def batch(shape: tuple[int, int, int], kind: BatchKind, n: int = 6) -> Batch:
    rng = torch.Generator().manual_seed(1)
    form = (n, 2, *shape) if kind == "pairs" else (n, *shape)
    return torch.rand(form, generator=rng) * 2 - 1, torch.arange(n) % len(COUNTS)


def samples_have_the_shape_and_range_of_the_codec(case: Case) -> None:
    for shape in ((1, 8, 8), (3, 9, 17), (4, 28, 28), (1, 60, 30)):
        family = make(case, shape).eval()
        noise = torch.randn(2, *family.noise_shape)
        made = family.sample(torch.tensor([0, 2]), noise)
        assert made.shape == (2, *shape)
        assert made.dtype == torch.float32
        assert made.min() >= -1
        assert made.max() <= 1


def sampling_is_pure(case: Case) -> None:
    family = make(case).eval()
    before = {k: v.clone() for k, v in family.state_dict().items()}
    noise, labels = torch.randn(4, *family.noise_shape), torch.tensor([0, 1, 2, 0])
    first = family.sample(labels, noise)
    torch.manual_seed(99)
    assert torch.equal(first, family.sample(labels, noise))
    assert all(torch.equal(before[k], v) for k, v in family.state_dict().items())


def labels_and_noise_both_matter(case: Case) -> None:
    family = make(case).eval()
    noise, labels = torch.randn(2, *family.noise_shape), torch.tensor([0, 1])
    made = family.sample(labels, noise)
    assert not torch.equal(made, family.sample(labels.flip(0), noise))
    assert not torch.equal(made, family.sample(labels, noise.flip(0)))


def every_phase_moves_all_its_parameters_and_no_others(case: Case) -> None:
    family = make(case)
    phases = family.phases()
    moved = [id(p) for phase in phases for p in phase.parameters]
    assert len(moved) == len(set(moved))
    assert set(moved) == {id(p) for p in family.parameters()}
    for phase in phases:
        family.zero_grad()
        loss, figures = phase.loss(batch(family.shape, phase.batch), 0.5, torch.Generator().manual_seed(0))
        loss.backward()
        assert loss.ndim == 0
        assert figures
        assert all(p.grad is not None and p.grad.isfinite().all() for p in phase.parameters)


def a_loss_is_a_function_of_batch_progress_and_stream(case: Case) -> None:
    values = []
    for global_seed in (0, 1):
        family = make(case)
        torch.manual_seed(global_seed)
        rng = torch.Generator().manual_seed(5)
        values.append(
            [
                float(phase.loss(batch(family.shape, phase.batch), 0.5, rng)[0].detach())
                for phase in family.phases()
            ]
        )
    assert values[0] == values[1]


def the_state_dict_carries_everything(case: Case) -> None:
    family, other = make(case).eval(), build(case[0], (1, 12, 10), COUNTS, case[1]).eval()
    other.load_state_dict(family.state_dict())
    noise, labels = torch.randn(2, *family.noise_shape), torch.tensor([0, 1])
    assert torch.equal(family.sample(labels, noise), other.sample(labels, noise))


FAMILY_CONTRACT: tuple[Callable[[Case], None], ...] = (
    samples_have_the_shape_and_range_of_the_codec,
    sampling_is_pure,
    labels_and_noise_both_matter,
    every_phase_moves_all_its_parameters_and_no_others,
    a_loss_is_a_function_of_batch_progress_and_stream,
    the_state_dict_carries_everything,
)
