"""Learned variation: how real rows of a class bend and fade into one another, applied to real exemplars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from synthaug.families.base import (
    Batch,
    Count,
    Family,
    Loss,
    NotNegative,
    Phase,
    Positive,
    normal,
    parameters_of,
)
from synthaug.modalities.base import Form

_LABEL_FEATURES = 16
_EXEMPLAR_FEATURES = 64


@dataclass(frozen=True)
class WarpConfig:
    """Settings of `Warp`.

    Attributes:
        latent: dimensions of the latent z.
        width: channels of the encoders at full resolution; None chooses by image size.
        grid: control points of the deformation along each side.
        reach: the farthest a point can move, in half image sides.
        tone_grid: control points of the change of tone along each side.
        strength: factor on the displacements when sampling; 1 is what was seen between training rows.
        tone: the same for the change of tone.
        exemplars: training rows of each class to keep, at most; they go into the artifact.
        lr: the optimizer's learning rate.
        batch_size: pairs per step.
    """

    latent: Count = 16
    width: Count | None = None
    grid: Annotated[int, Field(ge=2)] = 6
    reach: Positive = 0.5
    tone_grid: Annotated[int, Field(ge=2)] = 4
    strength: NotNegative = 0.25
    tone: NotNegative = 1.0
    exemplars: Count = 200
    lr: Positive = 2e-3
    batch_size: Count = 64


class Warp(Family):
    """A conditional VAE over pairs of rows of one class; its latent decodes to a smooth change of the first.

    After Hauberg et al. 2016, "Dreaming More Data: Class-dependent Distributions over Diffeomorphisms", and the
    within-class transfer of Antoniou et al. 2017, "Data Augmentation Generative Adversarial Networks". Departures:
    the deformation is a bicubic displacement field on few control points instead of an integrated velocity field;
    its distribution is learned across all classes by one network that sees exemplar and label, so that classes with
    few rows borrow the variation of the others; latents are drawn from the Gaussian that fits the posteriors. Beside
    the deformation, a smooth field per channel changes the tone: rows of a class differ in shape where they are digits,
    in brightness where they are clothes, and the network learns from the pairs which of the two it is.

    A sample is a training row, bent and re-toned. The exemplars are part of the trained state (``keeps_rows``).
    """

    name = "warp"
    config_type = WarpConfig
    config: WarpConfig
    adjustable = ("strength", "tone")
    tried: ClassVar = {
        "warp, mild": {"strength": 0.25, "tone": 1.0},
        "warp, shape": {"strength": 0.7, "tone": 0.5},
    }
    keeps_rows = True
    kinds = ("image",)
    exemplars: Tensor
    kept: Tensor
    prior_mean: Tensor
    prior_covariance: Tensor

    def __init__(self, form: Form, counts: Sequence[int], config: Any = None) -> None:
        super().__init__(form, counts, config)
        c, channels = self.config, self.shape[0]
        nets = form.backbone(c.width)
        self.pair = nets.encoder(rows=2)
        features = nets.features
        self.posterior = nn.Sequential(nn.Linear(features, 128), nn.SiLU(), nn.Linear(128, 2 * c.latent))
        self.look = nets.encoder()
        self.summary = nn.Linear(features, _EXEMPLAR_FEATURES)
        self.labels = nn.Embedding(self.n_classes, _LABEL_FEATURES)
        points = nn.Linear(128, 2 * c.grid**2 + channels * c.tone_grid**2)
        nn.init.normal_(points.weight, std=0.01)  # nearly no change at first
        nn.init.zeros_(points.bias)
        seen = c.latent + _EXEMPLAR_FEATURES + _LABEL_FEATURES
        self.field = nn.Sequential(nn.Linear(seen, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), points)
        most = min(c.exemplars, max(counts))
        self.register_buffer("exemplars", torch.zeros(self.n_classes, most, prod(self.shape)))
        self.register_buffer("kept", torch.tensor([min(n, most) for n in counts]), persistent=False)
        self.register_buffer("prior_mean", torch.zeros(c.latent))
        self.register_buffer("prior_covariance", torch.eye(c.latent))

    @property
    def noise_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.config.latent + 1,)

    def phases(self) -> list[Phase]:  # noqa: D102
        trained = parameters_of(self)
        return [
            Phase("pairs", trained, self._negative_elbo, lr=self.config.lr, weight_decay=1e-2, batch="pairs")
        ]

    def remember(self, rows: Tensor, labels: Tensor) -> None:  # noqa: D102
        for label in range(self.n_classes):
            own = rows[labels == label][: int(self.kept[label])]
            self.exemplars[label, : len(own)] = own.flatten(1)

    def sample(self, labels: Tensor, noise: Tensor) -> Tensor:  # noqa: D102
        # the last noise number picks the exemplar, each of a class with equal probability
        share = torch.special.ndtr(noise[:, -1])
        which = torch.minimum((share * self.kept[labels]).long(), self.kept[labels] - 1)
        rows = self.exemplars[labels, which].view(-1, *self.shape)
        floor = 1e-4 * torch.eye(self.config.latent, device=noise.device)
        scale, _ = torch.linalg.cholesky_ex(self.prior_covariance + floor)
        latent = self.prior_mean + noise[:, :-1] @ scale.T
        return self._vary(rows, latent, labels, self.config.strength, self.config.tone)

    def _vary(
        self, rows: Tensor, latent: Tensor, labels: Tensor, strength: float = 1.0, tone: float = 1.0
    ) -> Tensor:
        """``rows`` (B, C, H, W) changed by the two fields that the latents stand for."""
        c, size = self.config, list(rows.shape[2:])
        seen = self.summary(self.look(rows).flatten(1))
        points = self.field(torch.cat([latent, seen, self.labels(labels)], dim=1)).tanh()
        shape, light = points.split([2 * c.grid**2, len(rows[0]) * c.tone_grid**2], dim=1)
        return _bent(
            _toned(rows, tone * _smooth(light.view(len(rows), -1, c.tone_grid, c.tone_grid), size)),
            strength * c.reach * _smooth(shape.view(len(rows), 2, c.grid, c.grid), size),
        )

    def _negative_elbo(self, batch: Batch, progress: float, rng: torch.Generator) -> Loss:
        pairs, labels = batch
        exemplar, target = pairs.unbind(1)
        features = self.pair(torch.cat([exemplar, target], dim=1)).flatten(1)
        mean, log_variance = self.posterior(features).chunk(2, dim=1)
        log_variance = log_variance.clamp(-8, 4)
        latent = mean + (0.5 * log_variance).exp() * normal(mean.shape, rng, like=mean)
        error = (self._vary(exemplar, latent, labels) - target).square().mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        self._follow_posteriors(mean.detach(), log_variance.detach().exp())
        # the calibrated Gaussian likelihood of `cvae`
        reconstruction = 0.5 * prod(self.shape) * (error + 4e-6).log()
        loss = (reconstruction + min(1.0, 10 * progress) * kl) / prod(self.shape)
        return loss, {"loss": loss, "mse": error, "kl": kl}

    @torch.no_grad()
    def _follow_posteriors(self, mean: Tensor, variance: Tensor) -> None:
        centred = mean - self.prior_mean
        self.prior_mean.lerp_(mean.mean(0), 0.02)
        self.prior_covariance.lerp_(centred.T @ centred / len(mean) + torch.diag(variance.mean(0)), 0.02)


def _smooth(points: Tensor, size: list[int]) -> Tensor:
    """Control points (B, C, h, w) to a smooth field (B, C, H, W)."""
    return F.interpolate(points, size=size, mode="bicubic", align_corners=True)


def _bent(rows: Tensor, field: Tensor) -> Tensor:
    """Rows (B, C, H, W) looked up at places moved by a field (B, 2, H, W), in half image sides."""
    still = torch.eye(2, 3, device=rows.device).expand(len(rows), 2, 3)
    where = F.affine_grid(still, list(rows.shape), align_corners=False) + field.permute(0, 2, 3, 1)
    return F.grid_sample(rows, where, padding_mode="border", align_corners=False)


def _toned(rows: Tensor, field: Tensor) -> Tensor:
    """Rows (B, C, H, W) whose odds, u : (1 - u) with u the value in [0, 1], are multiplied by exp(4 field).

    Black stays black; white, whose odds are infinite, is taken for 0.98 there, so that it can darken.
    """
    value = rows * 0.5 + 0.5
    odds = (4 * field).exp()
    return (value * odds / (1 + (odds - 1) * 0.98 * value)).clamp(max=1) * 2 - 1
