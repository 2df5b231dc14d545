from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from synthaug import fit, load
from synthaug.errors import InvalidRequest
from synthaug.families import (
    ENTRY_POINTS,
    FAMILIES,
    Batch,
    BatchKind,
    Family,
    anchor_penalty,
    build,
    discriminator_loss,
    family_names,
    find_family,
    generator_loss,
    lipschitz_penalty,
    moment_penalty,
    sameness_penalty,
    slope_penalty,
)
from synthaug.modalities import Form
from synthaug.modalities.image import diffaugment
from synthaug.testing import FAMILY_CHECKS, Planted, check_family, forms_for, image_form, untrained
from synthaug.training import run_loop

Case = tuple[str, dict[str, Any]]
"""A family's name and the settings that differ from its defaults."""

# What changes the course of a loss or a sample, beside the defaults.
OPTIONS: list[Case] = [
    ("cgan", {"loss": "hinge", "r1": 1.0, "lecam": 0.1, "augmentation": "adaptive"}),
    ("cgan", {"loss": "wasserstein", "truncation": 0.5}),
    ("cgan", {"conditioning": "classifier", "colour": True}),
    ("cvae", {"sampling": "posterior"}),
    ("cvae", {"sampling": "interpolation"}),
]


def batch(shape: tuple[int, int, int], kind: BatchKind, n: int = 6) -> Batch:
    rng = torch.Generator().manual_seed(1)
    form = (n, 2, *shape) if kind == "pairs" else (n, *shape)
    return torch.rand(form, generator=rng) * 2 - 1, torch.arange(n) % 3


@pytest.mark.parametrize("check", FAMILY_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    ("case", "form"),
    [(case, form) for case in [*((name, {}) for name in FAMILIES), *OPTIONS] for form in forms_for(case[0])],
    ids=lambda of: of.kind if isinstance(of, Form) else str(of),
)
def test_every_family_keeps_the_contract(
    case: Case, form: Form, check: Callable[[str, Mapping[str, Any], Form], None]
) -> None:
    check(*case, form)


class Careless(Planted):
    """A family that draws noise of its own."""

    name = "careless"

    def sample(self, labels: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        return super().sample(labels, torch.randn_like(noise))


def test_a_family_that_breaks_the_contract_is_told_what_it_does_not_keep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(FAMILIES, "planted", Planted)
    check_family("planted")
    monkeypatch.setitem(FAMILIES, "careless", Careless)
    with pytest.raises(AssertionError, match="equal noise gave other rows"):
        check_family("careless")


def test_a_family_of_another_package_is_found_by_its_entry_point(
    shapes: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "other-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[{ENTRY_POINTS}]\nplanted = synthaug.testing:Planted\nmistaken = pathlib:Path\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert family_names() == (*FAMILIES, "mistaken", "planted")
    assert find_family("planted") is Planted
    assert isinstance(build("planted", image_form((1, 8, 8)), (5, 5)), Planted)
    check_family("planted")
    made = fit(shapes, "planted", steps=3, out=tmp_path / "gen", progress=False)
    assert (
        load(tmp_path / "gen").fingerprint == pickle.loads(pickle.dumps(made)).fingerprint == made.fingerprint
    )
    with pytest.raises(InvalidRequest, match=r'"mistaken" of synthaug\.families leads to pathlib:Path'):
        find_family("mistaken")


def test_unknown_families_and_options_are_refused_with_the_closest_name() -> None:
    with pytest.raises(InvalidRequest, match=r'no family "cvea".*Did you mean "cvae"'):
        build("cvea", image_form((1, 8, 8)), (5, 5))
    with pytest.raises(InvalidRequest, match=r'no option "latnet".*Did you mean "latent"'):
        build("cvae", image_form((1, 8, 8)), (5, 5), {"latnet": 3})


def test_differentiable_augmentation_lets_gradients_through_and_depends_on_its_stream_alone() -> None:
    images = torch.rand(5, 3, 11, 8, requires_grad=True)
    first = diffaugment(images, torch.Generator().manual_seed(0), colour=True)
    first.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert torch.equal(first, diffaugment(images, torch.Generator().manual_seed(0), colour=True))
    assert not torch.equal(first, diffaugment(images, torch.Generator().manual_seed(1), colour=True))


def test_warp_bends_rows_of_the_class_it_was_asked_for_and_copies_them_at_no_strength() -> None:
    rows = torch.rand(6, 1, 12, 10) * 2 - 1
    labels = torch.tensor([0, 0, 0, 1, 1, 1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        family = build("warp", image_form((1, 12, 10)), (3, 3), {"strength": 0.0, "tone": 0.0})
    family.remember(rows, labels)
    made = family.sample(torch.tensor([1] * 50), torch.randn(50, *family.noise_shape))
    nearest = torch.cdist(made.flatten(1), rows.flatten(1)).min(dim=1)
    assert (nearest.values < 0.01).all()
    assert set(nearest.indices.tolist()) == {3, 4, 5}


def test_warp_changes_the_tone_of_rows_and_keeps_black_and_the_range() -> None:
    rows = torch.rand(2, 1, 12, 10) * 2 - 1
    rows[:, :, :4] = -1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        family = build("warp", image_form((1, 12, 10)), (2,), {"strength": 0.0, "tone": 1000.0})
    family.remember(rows, torch.tensor([0, 0]))
    made = family.sample(torch.zeros(50, dtype=torch.int64), torch.randn(50, *family.noise_shape))
    assert torch.allclose(made[:, :, :3], torch.tensor(-1.0))
    assert made.max() <= 1
    assert (made[:, :, 5:] - rows[0, :, 5:]).abs().mean() > 0.05


def test_augmentation_leaves_rows_alone_as_often_as_it_is_told() -> None:
    images = torch.rand(400, 1, 8, 8) * 2 - 1

    def changed(probability: float) -> float:
        rng = torch.Generator().manual_seed(0)
        out = diffaugment(images, rng, colour=True, probability=torch.tensor(probability))
        return float(((out - images).abs().amax(dim=(1, 2, 3)) > 1e-4).float().mean())

    assert changed(0.0) == 0
    assert changed(1.0) == 1
    assert abs(changed(0.5) - (1 - 0.5**3)) < 0.05  # each of the three with that probability


@pytest.mark.parametrize("kind", ["hinge", "logistic", "wasserstein"])
def test_each_game_rewards_the_discriminator_for_telling_and_the_generator_for_passing(kind: Any) -> None:
    high, low = torch.full((4,), 0.5), torch.full((4,), -0.5)
    assert discriminator_loss(kind, real=high, fake=low) < discriminator_loss(kind, real=low, fake=high)
    assert generator_loss(kind, high) < generator_loss(kind, low)


def test_slope_penalties_of_a_linear_score_are_the_closed_forms() -> None:
    weights, rng = torch.randn(1, 4, 3, requires_grad=True), torch.Generator().manual_seed(0)
    real, fake = torch.randn(5, 1, 4, 3), torch.randn(5, 1, 4, 3)

    def score(images: torch.Tensor) -> torch.Tensor:
        return (images * weights).sum(dim=(1, 2, 3))

    assert torch.allclose(slope_penalty(score, real), weights.square().sum() / 2)
    assert torch.allclose(lipschitz_penalty(score, real, fake, rng), (weights.norm() - 1).square())
    slope_penalty(score, real).backward()
    assert weights.grad is not None
    assert torch.allclose(weights.grad, weights)


def test_lecam_holds_each_side_to_the_scores_of_the_other() -> None:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([-2.0, 0.0])
    assert float(anchor_penalty(real, fake, torch.tensor([0.0, 1.0]))) == (0 + 4) / 2 + (4 + 0) / 2


def test_adaptive_augmentation_rises_while_real_rows_are_told_for_sure_and_falls_after() -> None:
    family = untrained("cgan", {"augmentation": "adaptive"})
    loss = family.phases()[0].loss
    with torch.no_grad():
        family.realness.weight.zero_()
        family.projection.weight.zero_()
    seen = []
    for score in (1.0, 1.0, -1.0):  # of every row
        torch.nn.init.constant_(family.realness.bias, score)
        loss(batch(family.shape, "balanced"), 0.5, torch.Generator().manual_seed(0))
        seen.append(float(family.augmented))
    assert 0 < seen[0] < seen[1]
    assert seen[2] == pytest.approx(seen[0])


def test_wasserstein_scores_cannot_steer_the_augmentation() -> None:
    with pytest.raises(InvalidRequest, match=r"have no zero.*Use augmentation=\"full\", or another loss"):
        build("cgan", image_form((1, 8, 8)), (5, 5), {"loss": "wasserstein", "augmentation": "adaptive"})


def test_truncation_scales_the_noise() -> None:
    labels, noise = torch.tensor([0, 2]), torch.randn(2, 128)
    whole, truncated = untrained("cgan", {}).eval(), untrained("cgan", {"truncation": 0.5}).eval()
    assert torch.equal(truncated.sample(labels, noise), whole.sample(labels, 0.5 * noise))


class Corner(nn.Module):
    """Reads the first pixel of an image, which is its number here."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :1, :1, :1]


class Known(nn.Module):
    """Encodings by the number of a row."""

    def __init__(self, means: list[list[float]]) -> None:
        super().__init__()
        self.encodings = torch.tensor([[*mean, 0.0, 0.0] for mean in means])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.encodings[features[:, 0].long()]


def transparent(means: list[list[float]], labels: list[int], **options: Any) -> Family:
    """A trained cvae with these encodings and no noise about them, that shows latents in place of images."""
    counts = [labels.count(k) for k in sorted(set(labels))]
    with torch.random.fork_rng(devices=[]):
        family = build("cvae", image_form((1, 8, 8)), counts, {"latent": 2, "temperature": 0.0, **options})
    family.encoder, family.posterior = Corner(), Known(means)
    family.condition = family.decoder = nn.Identity()
    rows = torch.arange(len(means)).float().view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    family.finish(rows, torch.tensor(labels))
    return family


@torch.no_grad()
def draw(family: Family, label: int, n: int = 300) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(n, *family.noise_shape, generator=rng)
    return family.sample(torch.full((n,), label), noise)[:, :2]


def test_posterior_sampling_visits_each_row_of_the_class_equally_often_and_no_other() -> None:
    means = [[0.0, 0.0], [5.0, 5.0], [1.0, 0.0], [0.0, 2.0]]
    family = transparent(means, [0, 1, 0, 0], sampling="posterior")
    found = draw(family, 0)
    assert (found - found.round()).abs().max() < 1e-3
    points, times = found.round().unique(dim=0, return_counts=True)
    assert points.tolist() == [[0, 0], [0, 2], [1, 0]]
    assert times.min() > 70
    assert (draw(family, 1) - 5).abs().max() < 1e-3


def test_posterior_sampling_spreads_about_a_row_as_its_encoding_does() -> None:
    family = transparent([[3.0, -1.0]], [0], sampling="posterior", temperature=0.5)
    found = draw(family, 0, n=2000)
    assert torch.allclose(found.mean(dim=0), torch.tensor([3.0, -1.0]), atol=0.05)
    assert torch.allclose(found.std(dim=0), torch.tensor(0.5), atol=0.05)


def test_interpolation_stays_on_the_lines_between_nearest_neighbours_of_the_class() -> None:
    # two groups of a class far apart, and one row of another class between them
    means = [[0.0, 0.0], [1.0, 0.0], [10.0, 0.0], [10.0, 1.0], [5.0, 0.0]]
    family = transparent(means, [0, 0, 0, 0, 1], sampling="interpolation", neighbours=1)
    found = draw(family, 0)
    left = (found[:, 1].abs() < 1e-3) & (found[:, 0] > -1e-3) & (found[:, 0] < 1.001)
    right = ((found[:, 0] - 10).abs() < 1e-3) & (found[:, 1] > -1e-3) & (found[:, 1] < 1.001)
    assert (left | right).all()
    assert 100 < left.sum() < 200
    assert found[left, 0].std() > 0.2  # the whole line, not its ends
    assert torch.allclose(draw(family, 1), torch.tensor([5.0, 0.0]))  # a row with no neighbour


def test_latents_are_drawn_from_the_prior_until_the_encodings_are_known() -> None:
    labels, noise, counts = torch.tensor([0, 1]), torch.randn(2, 33), (9, 4, 30)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unfinished = build("cvae", image_form((1, 12, 10)), counts, {"sampling": "posterior"}).eval()
        prior = build("cvae", image_form((1, 12, 10)), counts).eval()
    prior.load_state_dict(unfinished.state_dict(), strict=False)
    assert torch.equal(unfinished.sample(labels, noise), prior.sample(labels, noise[:, :32]))


@pytest.mark.parametrize("sampling", ["posterior", "interpolation"])
def test_what_a_sample_is_drawn_from_does_not_change_the_training(sampling: str) -> None:
    def loss(options: dict[str, Any]) -> torch.Tensor:
        family = untrained("cvae", options)
        rows, rng = batch(family.shape, "balanced"), torch.Generator().manual_seed(0)
        return family.phases()[0].loss(rows, 0.5, rng)[0]

    assert torch.equal(loss({"sampling": sampling}), loss({}))


def test_a_killed_run_of_every_option_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    options = {"lecam": 0.1, "augmentation": "adaptive", "r1": 1.0}

    def run(folder: Path, stop_at: int | None) -> dict[str, torch.Tensor]:
        family = untrained("cgan", options, image_form((1, 8, 8)))
        family.augmented.fill_(0.5)

        def rows(kind: BatchKind, step: int) -> Batch:
            if step == stop_at:
                raise KeyboardInterrupt
            return batch(family.shape, kind)

        folder.mkdir(exist_ok=True)
        return run_loop(family, family.phases(), rows, steps=6, seed=0, folder=folder).average.state_dict()

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "killed", stop_at=4)
    whole, resumed = run(tmp_path / "whole", None), run(tmp_path / "killed", None)
    assert float(whole["augmented"]) != 0.5
    assert (whole["anchors"] != 0).all()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_samples_of_a_class_that_are_all_alike_are_penalised_and_varied_ones_are_not() -> None:
    labels = torch.arange(12) % 3
    real = torch.rand(12, 1, 8, 8) * 2 - 1
    alike = real[:3][labels].requires_grad_()
    assert sameness_penalty(alike, real, labels).item() == pytest.approx(0.7, abs=1e-3)
    assert sameness_penalty(0.8 * real, real, labels) == 0
    assert sameness_penalty(real.mean() + 0.5 * real, real, labels).item() == pytest.approx(0.2, abs=1e-3)
    # rows without a companion say nothing, and must not turn gradients into NaN
    lone = sameness_penalty(alike[:3], real[:3], labels[:3])
    lone.backward()
    assert lone == 0
    assert alike.grad is not None
    assert alike.grad.isfinite().all()


def test_classes_with_other_moments_than_their_real_rows_are_penalised() -> None:
    labels = torch.tensor([0, 0, 0, 2])
    real = torch.tensor([[0.0, 0.5], [1.0, 0.5], [0.5, 0.5], [-1.0, 0.0]])
    assert (
        moment_penalty(real[[2, 0, 1, 3]], real, labels) == 0
    )  # which row is which does not matter, its class does
    assert moment_penalty(real[[3, 0, 1, 2]], real, labels) > 0.5
    # a mean that is 0.3 off in three of four rows, and a mean square that follows from it
    moved = real + torch.tensor([[0.0, 0.3]] * 3 + [[0.0, 0.0]])
    assert moment_penalty(moved, real, labels).item() == pytest.approx(
        0.75 * (0.3**2 + (0.8**2 - 0.5**2) ** 2)
    )
    # the same mean, but no spread
    alike = torch.tensor([[0.5, 0.5]] * 3 + [[-1.0, 0.0]], requires_grad=True)
    penalty = moment_penalty(alike, real, labels)
    assert penalty.item() == pytest.approx(0.75 * (1.25 / 3 - 0.25) ** 2)
    penalty.backward()
    assert alike.grad is not None
    assert alike.grad.isfinite().all()


@pytest.mark.parametrize("name", FAMILIES)
def test_training_in_bfloat16_leaves_losses_gradients_and_samples_in_float32(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Always(torch.autocast):
        """As where bfloat16 is fast."""

        def __init__(self, device_type: str, dtype: torch.dtype, enabled: bool) -> None:
            super().__init__(device_type, dtype, enabled=True)

    family = untrained(name, {}).train()
    (phase, *_), images = family.phases(), (1, 12, 10)
    with monkeypatch.context() as fast:
        fast.setattr(torch, "autocast", Always)
        loss, _ = phase.loss(batch(images, phase.batch), 0.5, torch.Generator().manual_seed(0))
        loss.backward()
        made = family.eval().sample(torch.tensor([0]), torch.zeros(1, *family.noise_shape))
    exact, _ = (
        family.train().phases()[0].loss(batch(images, phase.batch), 0.5, torch.Generator().manual_seed(0))
    )
    assert loss.dtype == made.dtype == torch.float32
    assert loss != exact
    assert loss.item() == pytest.approx(exact.item(), rel=0.1, abs=0.05)
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in family.parameters())
