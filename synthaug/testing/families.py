"""What every family has to keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from synthaug.families import Batch, BatchKind, Family, build, find_family
from synthaug.modalities import Form
from synthaug.modalities.image import ImageForm
from synthaug.modalities.table import Column, TableForm
from synthaug.seeding import numpy_rng

COUNTS = (9, 4, 30)
"""Training rows of each class that a family is built for here."""

_SHAPE = (1, 12, 10)


def image_form(shape: tuple[int, int, int] = _SHAPE) -> ImageForm:
    """The form of float images ``(C, H, W)`` in [-1, 1]."""
    channels, height, width = shape
    return ImageForm(height, width, channels, "CHW", "float32", -1.0, 1.0)


def table_form(n: int = 40) -> TableForm:
    """The form of a table of numbers, some of which are missing or often 0, an integer, categories and a boolean."""
    rng = numpy_rng(0, "testing", "table")
    income = np.where(rng.random(n) < 0.3, 0.0, rng.lognormal(size=n))
    columns = (
        Column("age", "integer", "int64"),
        Column("income", "number", "double"),
        Column("dose", "number", "double"),
        Column("job", "category", "string", ("clerk", "judge", "nurse")),
        Column("member", "boolean", "bool"),
    )
    dose = np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))
    rows = np.stack([rng.integers(18, 80, n), income, dose, rng.integers(0, 3, n), rng.integers(0, 2, n)], 1)
    return TableForm(columns).fitted(rows.astype(np.float64))


def forms_for(name: str) -> list[Form]:
    """A form of each kind of rows that a family can make."""
    kinds = find_family(name).kinds
    return [form for form in (image_form(), table_form()) if kinds is None or form.kind in kinds]


def check_family(name: str, options: Mapping[str, Any] | None = None) -> None:
    """Checks a family of this package or of another one, which names it among its entry points.

    Args:
        name: of the family.
        options: settings that differ from its defaults.

    Raises:
        AssertionError: naming what it does not keep.
    """
    for form in forms_for(name):
        for check in FAMILY_CHECKS:
            check(name, options or {}, form)


def untrained(name: str, options: Mapping[str, Any], form: Form | None = None) -> Family:
    """The family with first weights, the same each time, and with rows to keep where it keeps some."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        family = build(name, image_form() if form is None else form, COUNTS, options)
        if family.keeps_rows:
            labels = torch.arange(len(COUNTS)).repeat_interleave(torch.tensor(COUNTS))
            rows = torch.rand(len(labels), *family.shape) * 2 - 1
            family.remember(rows, labels)
            family.finish(rows, labels)
        return family


def samples_have_the_shape_and_range_of_encoded_rows(
    name: str, options: Mapping[str, Any], form: Form
) -> None:
    """``(N, *encoded)`` float32 in [-1, 1]; of images for small and large, grey and coloured, square and others."""
    sizes = ((1, 8, 8), (3, 9, 17), (4, 28, 28), (1, 60, 30))
    forms = list(map(image_form, sizes)) if form.kind == ImageForm.kind else [form]
    for each in forms:
        family, shape = untrained(name, options, each).eval(), each.encoded
        made = family.sample(torch.tensor([0, 2]), torch.randn(2, *family.noise_shape))
        assert made.shape == (2, *shape), f"rows of {shape} were asked for, {tuple(made.shape)} came"
        assert made.dtype == torch.float32, f"samples are {made.dtype}, not float32"
        assert made.min() >= -1, "a sample is below -1"
        assert made.max() <= 1, "a sample is above 1"


def sampling_is_pure(name: str, options: Mapping[str, Any], form: Form) -> None:
    """Equal labels and noise give equal rows, whatever the global stream, and leave the state as it was."""
    family = untrained(name, options, form).eval()
    before = {k: v.clone() for k, v in family.state_dict().items()}
    noise, labels = torch.randn(4, *family.noise_shape), torch.tensor([0, 1, 2, 0])
    first = family.sample(labels, noise)
    torch.manual_seed(99)
    assert torch.equal(first, family.sample(labels, noise)), "equal noise gave other rows"
    changed = [k for k, v in family.state_dict().items() if not torch.equal(before[k], v)]
    assert not changed, f"sampling changed {changed}"


def labels_and_noise_both_matter(name: str, options: Mapping[str, Any], form: Form) -> None:
    """Another label gives another row, and so does other noise."""
    family = untrained(name, options, form).eval()
    noise, labels = torch.randn(2, *family.noise_shape), torch.tensor([0, 1])
    made = family.sample(labels, noise)
    assert not torch.equal(made, family.sample(labels.flip(0), noise)), "labels do not matter"
    assert not torch.equal(made, family.sample(labels, noise.flip(0))), "noise does not matter"


def every_phase_moves_all_its_parameters_and_no_others(
    name: str, options: Mapping[str, Any], form: Form
) -> None:
    """Each parameter belongs to one phase, whose loss reaches it."""
    family = untrained(name, options, form)
    moved = [id(p) for phase in family.phases() for p in phase.parameters]
    assert len(moved) == len(set(moved)), "a parameter belongs to two phases"
    assert set(moved) == {id(p) for p in family.parameters()}, "a parameter belongs to no phase"
    for phase in family.phases():
        family.zero_grad()
        loss, figures = phase.loss(_batch(family.shape, phase.batch), 0.5, torch.Generator().manual_seed(0))
        assert loss.ndim == 0, f'the loss of "{phase.name}" is no scalar'
        assert figures, f'"{phase.name}" has no figures for the history'
        loss.backward()  # type: ignore[no-untyped-call]
        reached = [p.grad is not None and bool(p.grad.isfinite().all()) for p in phase.parameters]
        assert all(reached), f'the loss of "{phase.name}" does not reach all its parameters'


def a_loss_is_a_function_of_batch_progress_and_stream(
    name: str, options: Mapping[str, Any], form: Form
) -> None:
    """Equal batches, progress and streams give equal losses, whatever the global stream."""
    values = []
    for seed in (0, 1):
        family, rng = untrained(name, options, form), torch.Generator().manual_seed(5)
        torch.manual_seed(seed)
        batches = [(phase, _batch(family.shape, phase.batch)) for phase in family.phases()]
        values.append([float(phase.loss(batch, 0.5, rng)[0].detach()) for phase, batch in batches])
    assert values[0] == values[1], "a loss draws from another stream than the one that it is given"


def its_settings_are_plain_values_with_a_batch_size(
    name: str, options: Mapping[str, Any], form: Form
) -> None:
    """Settings are written into the manifest of a generator as JSON, and built from it again."""
    config = asdict(untrained(name, options, form).config)
    assert json.loads(json.dumps(config)) == config, "a setting is no plain value"
    assert config["batch_size"] >= 1, "the settings have no batch_size"


def the_state_dict_carries_everything(name: str, options: Mapping[str, Any], form: Form) -> None:
    """A family with the weights of another one makes the same rows."""
    family, other = untrained(name, options, form).eval(), build(name, form, COUNTS, options).eval()
    other.load_state_dict(family.state_dict())
    noise, labels = torch.randn(2, *family.noise_shape), torch.tensor([0, 1])
    assert torch.equal(family.sample(labels, noise), other.sample(labels, noise)), "a state is lost"


def what_a_choice_tries_can_be_had_without_another_training(
    name: str, options: Mapping[str, Any], form: Form
) -> None:
    """Settings that are tried are adjustable, and what it was trained with for a choice serves all of them."""
    kind = find_family(name)
    state: dict[str, Tensor] = untrained(name, {**options, **kind.tried_with}, form).state_dict()
    for called, settings in kind.tried.items():
        assert set(settings) <= set(kind.adjustable), (
            f'"{called}" is tried with a setting that is not adjustable'
        )
        wanted = untrained(name, {**options, **kind.tried_with, **settings}, form).state_dict()
        assert set(wanted) <= set(state), f'"{called}" needs a state that a choice does not train'


def _batch(shape: tuple[int, ...], kind: BatchKind, n: int = 6) -> Batch:
    rng = torch.Generator().manual_seed(1)
    form = (n, 2, *shape) if kind == "pairs" else (n, *shape)
    return torch.rand(form, generator=rng) * 2 - 1, torch.arange(n) % len(COUNTS)


FAMILY_CHECKS: tuple[Callable[[str, Mapping[str, Any], Form], None], ...] = (
    samples_have_the_shape_and_range_of_encoded_rows,
    sampling_is_pure,
    labels_and_noise_both_matter,
    every_phase_moves_all_its_parameters_and_no_others,
    a_loss_is_a_function_of_batch_progress_and_stream,
    its_settings_are_plain_values_with_a_batch_size,
    the_state_dict_carries_everything,
    what_a_choice_tries_can_be_had_without_another_training,
)
"""The checks, each for the name of a family, settings that differ from its defaults, and a form of rows."""
