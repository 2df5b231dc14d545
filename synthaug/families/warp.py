"""Learned deformation: how real rows of a class bend into one another, applied to real exemplars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from synthaug.families.backbones import Encoder, Pyramid, default_base
from synthaug.families.base import Count, Family, NotNegative, Positive, normal, parameters_of
from synthaug.loop import Batch, Loss, Phase

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
        strength: factor on the displacements when sampling; 1 is what was seen between training rows.
        exemplars: training rows of each class to keep, at most; they go into the artifact.
        lr: the optimizer's learning rate.
        batch_size: pairs per step.
    """

    latent: Count = 16
    width: Count | None = None
    grid: Annotated[int, Field(ge=2)] = 6
    reach: Positive = 0.5
    strength: NotNegative = 0.7
    exemplars: Count = 200
    lr: Positive = 2e-3
    batch_size: Count = 64


class Warp(Family):
    """A conditional VAE over pairs of rows of one class; its latent decodes to a smooth deformation of the first.

    After Hauberg et al. 2016, "Dreaming More Data: Class-dependent Distributions over Diffeomorphisms", and the
    within-class transfer of Antoniou et al. 2017, "Data Augmentation Generative Adversarial Networks". Departures:
    the deformation is a bicubic displacement field on few control points instead of an integrated velocity field;
    its distribution is learned across all classes by one network that sees exemplar and label, so that classes with
    few rows borrow the variation of the others; latents are drawn from the Gaussian that fits the posteriors.

    A sample is a training row, bent. The exemplars are part of the trained state (``keeps_rows``).
    """

    name = "warp"
    config_type = WarpConfig
    config: WarpConfig
    keeps_rows = True
    exemplars: Tensor
    kept: Tensor
    prior_mean: Tensor
    prior_covariance: Tensor

    def __init__(self, shape: tuple[int, int, int], counts: Sequence[int], config: Any = None) -> None:
        super().__init__(shape, counts, config)
        (channels, height, width), c = shape, self.config
        base = c.width or default_base(height, width)
        pyramid = Pyramid.of(height, width, base, cap=4 * base)
        self.pair = Encoder(2 * channels, pyramid)
        features = self.pair.channels * self.pair.area
        self.posterior = nn.Sequential(nn.Linear(features, 128), nn.SiLU(), nn.Linear(128, 2 * c.latent))
        self.look = Encoder(channels, pyramid)
        self.summary = nn.Linear(features, _EXEMPLAR_FEATURES)
        self.labels = nn.Embedding(self.n_classes, _LABEL_FEATURES)
        points = nn.Linear(128, 2 * c.grid**2)
        nn.init.normal_(points.weight, std=0.01)  # nearly no deformation at first
        nn.init.zeros_(points.bias)
        seen = c.latent + _EXEMPLAR_FEATURES + _LABEL_FEATURES
        self.field = nn.Sequential(nn.Linear(seen, 128), nn.SiLU(), nn.Linear(128, 128), nn.SiLU(), points)
        most = min(c.exemplars, max(counts))
        self.register_buffer("exemplars", torch.zeros(self.n_classes, most, prod(shape)))
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

    def remember(self, images: Tensor, labels: Tensor) -> None:  # noqa: D102
        for label in range(self.n_classes):
            rows = images[labels == label][: int(self.kept[label])]
            self.exemplars[label, : len(rows)] = rows.flatten(1)

    def sample(self, labels: Tensor, noise: Tensor) -> Tensor:  # noqa: D102
        # the last noise number picks the exemplar, each of a class with equal probability
        share = torch.special.ndtr(noise[:, -1])
        which = torch.minimum((share * self.kept[labels]).long(), self.kept[labels] - 1)
        rows = self.exemplars[labels, which].view(-1, *self.shape)
        floor = 1e-4 * torch.eye(self.config.latent, device=noise.device)
        scale, _ = torch.linalg.cholesky_ex(self.prior_covariance + floor)
        return self._bend(rows, self.prior_mean + noise[:, :-1] @ scale.T, labels, self.config.strength)

    def _bend(self, rows: Tensor, latent: Tensor, labels: Tensor, strength: float = 1.0) -> Tensor:
        """``rows`` (B, C, H, W) moved by the displacement field that the latents stand for."""
        seen = self.summary(self.look(rows).flatten(1))
        points = self.field(torch.cat([latent, seen, self.labels(labels)], dim=1))
        points = points.view(-1, 2, self.config.grid, self.config.grid).tanh()
        field = F.interpolate(points, size=rows.shape[2:], mode="bicubic", align_corners=True)
        still = torch.eye(2, 3, device=rows.device).expand(len(rows), 2, 3)
        where = F.affine_grid(still, list(rows.shape), align_corners=False)
        where = where + strength * self.config.reach * field.permute(0, 2, 3, 1)
        return F.grid_sample(rows, where, padding_mode="border", align_corners=False)

    def _negative_elbo(self, batch: Batch, progress: float, rng: torch.Generator) -> Loss:
        pairs, labels = batch
        exemplar, target = pairs.unbind(1)
        features = self.pair(torch.cat([exemplar, target], dim=1)).flatten(1)
        mean, log_variance = self.posterior(features).chunk(2, dim=1)
        log_variance = log_variance.clamp(-8, 4)
        latent = mean + (0.5 * log_variance).exp() * normal(mean.shape, rng, like=mean)
        error = (self._bend(exemplar, latent, labels) - target).square().mean()
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
