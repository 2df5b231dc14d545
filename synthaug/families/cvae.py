"""A conditional variational autoencoder with a calibrated decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal

import torch
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

# Numbers that say from which rows a latent comes.
_CHOICES = {"prior": 0, "posterior": 1, "interpolation": 3}


@dataclass(frozen=True)
class CVAEConfig:
    """Settings of `CVAE`.

    Attributes:
        latent: dimensions of the latent z.
        width: channels at full resolution; None chooses by image size.
        beta: weight of the KL term.
        warmup: share of the budget over which beta rises from 0.
        shrinkage: how many rows' worth of belief a class has in the covariance of all classes.
        sampling: where latents come from: the ``prior`` of the class; the ``posterior`` of one of its training
            rows; or ``interpolation`` between the posteriors of one row and of a near one. The last two keep the
            encodings of training rows.
        neighbours: among how many nearest rows of the class ``interpolation`` picks the other one.
        exemplars: training rows of each class whose encodings are kept, at most; they go into the artifact.
        temperature: scale of the noise when sampling; below 1 the samples keep nearer to what is typical.
        lr: the optimizer's learning rate.
        batch_size: rows per step.
    """

    latent: Count = 32
    width: Count | None = None
    beta: NotNegative = 1.0
    warmup: NotNegative = 0.1
    shrinkage: NotNegative = 20.0
    sampling: Literal["prior", "posterior", "interpolation"] = "prior"
    neighbours: Count = 5
    exemplars: Count = 500
    temperature: NotNegative = 0.85
    lr: Positive = 2e-3
    batch_size: Count = 64


class CVAE(Family):
    """Encodes (image, label) to a latent, decodes (latent, label) to an image.

    The evidence lower bound of Kingma and Welling 2014, "Auto-Encoding Variational Bayes" (eq. 10), conditioned
    on the label as in Sohn et al. 2015. The Gaussian decoder's variance is the batch's own mean squared error,
    its maximum-likelihood value (Rybkin et al. 2021, "Simple and Effective VAE Training with Calibrated
    Decoders", eq. 5), so reconstruction and KL need no hand-set balance.

    The prior of a class is the Gaussian that best fits the posteriors of its rows: the moment match, which
    maximises the bound over Gaussian priors (as Tomczak and Welling 2018, "VAE with a VampPrior", section 2, show
    for mixtures), followed as a moving average while training. Its covariance is shrunk towards the mean
    covariance of all classes, so that a class with few rows borrows their directions of variation.

    With few rows a Gaussian can miss where they lie, and latents drawn near encodings make better training rows
    (Chadebec et al. 2022, "Data Augmentation in High Dimensional Low Sample Size Setting Using a Geometry-Based
    Variational Autoencoder"). ``posterior`` draws from the aggregated posterior of the class, 1/n sum_i q(z | x_i).
    ``interpolation`` moves that posterior's mean and log-variance a uniform share of the way to those of one of its
    nearest neighbours in latent space: SMOTE (Chawla et al. 2002, section 4.2) in the latent space, as DeepSMOTE
    (Dablain et al. 2021) has it; the departure is that we also draw from the posterior there instead of decoding
    its mean. Encodings stand for training rows, which they nearly decode to, so these two ``keeps_rows``.
    """

    name = "cvae"
    config_type = CVAEConfig
    adjustable = ("sampling", "neighbours", "temperature")
    tried: ClassVar = {
        "cvae": {"sampling": "prior"},
        "cvae between neighbours": {"sampling": "interpolation"},
    }
    tried_with: ClassVar = {"sampling": "interpolation"}
    config: CVAEConfig
    prior_mean: Tensor
    prior_covariance: Tensor
    own_share: Tensor
    exemplars: Tensor
    kept: Tensor

    def __init__(self, form: Form, counts: Sequence[int], config: Any = None) -> None:
        super().__init__(form, counts, config)
        n_classes = self.n_classes
        self.nets = nets = form.backbone(self.config.width)
        latent, embedding = self.config.latent, 32
        self.encoder = nets.encoder()
        self.encoder_labels = nn.Embedding(n_classes, embedding)
        self.posterior = nn.Sequential(
            nn.Linear(nets.features + embedding, 256),
            nn.SiLU(),
            nn.Linear(256, 2 * latent),
        )
        self.decoder_labels = nn.Embedding(n_classes, embedding)
        self.condition = nn.Sequential(nn.Linear(latent + embedding, 128), nn.SiLU())
        self.decoder = nets.decoder(128)
        self.register_buffer("prior_mean", torch.zeros(n_classes, latent))
        self.register_buffer("prior_covariance", torch.eye(latent).repeat(n_classes, 1, 1))
        own = torch.tensor([n / (n + self.config.shrinkage) for n in counts])
        self.register_buffer("own_share", own[:, None, None], persistent=False)
        self.keeps_rows = self.config.sampling != "prior"
        if self.keeps_rows:
            most = min(self.config.exemplars, max(counts))
            self.register_buffer("exemplars", torch.zeros(n_classes, most, 2 * latent))
            self.register_buffer("kept", torch.zeros(n_classes, dtype=torch.int64))

    @property
    def noise_shape(self) -> tuple[int, ...]:  # noqa: D102
        # after the latent those that say of which rows it is; the last settle what a decoder leaves open
        return (self.config.latent + _CHOICES[self.config.sampling] + self.nets.noise,)

    def phases(self) -> list[Phase]:  # noqa: D102
        return [Phase("elbo", parameters_of(self), self._negative_elbo, lr=self.config.lr, betas=(0.9, 0.99))]

    @torch.no_grad()
    def finish(self, rows: Tensor, labels: Tensor) -> None:  # noqa: D102
        for label in range(self.n_classes):
            own = rows[labels == label][: self.exemplars.shape[1]]
            self.kept[label] = len(own)
            for start in range(0, len(own), 256):
                block = own[start : start + 256]
                encoded = torch.cat(self._encode(block, labels.new_full((len(block),), label)), dim=1)
                self.exemplars[label, start : start + len(block)] = encoded

    def sample(self, labels: Tensor, noise: Tensor) -> Tensor:  # noqa: D102
        sizes = [self.config.latent, _CHOICES[self.config.sampling], self.nets.noise]
        latent, choices, left_open = torch.split(noise, sizes, dim=1)
        if self.keeps_rows and bool(self.kept.any()):
            latent = self._near_rows(labels, self.config.temperature * latent, choices)
        else:  # before training has finished nothing is encoded; a preview shows the prior
            scale = self.config.temperature * self._scale()[labels]
            latent = self.prior_mean[labels] + (scale @ latent.unsqueeze(2)).squeeze(2)
        return self.nets.settled(self._decode(latent, labels), left_open)

    def _near_rows(self, labels: Tensor, latent: Tensor, choices: Tensor) -> Tensor:
        """Latents about the encodings of rows that the choices (N, 1 or 3), standard normal, pick."""
        shares, kept = torch.special.ndtr(choices), self.kept[labels]
        rows = self.exemplars[labels, _pick(shares[:, 0], kept)]
        if self.config.sampling == "interpolation":
            means = self.exemplars[labels, :, : self.config.latent]
            apart = (means - rows[:, None, : self.config.latent]).square().sum(2)
            missing = torch.arange(apart.shape[1], device=apart.device) >= kept[:, None]
            order = apart.masked_fill(missing, torch.inf).argsort(dim=1, stable=True)
            # the nearest is the row itself, which is also the neighbour where a class has no other
            among = (kept - 1).clamp(max=self.config.neighbours)
            rank = torch.where(among > 0, 1 + _pick(shares[:, 1], among.clamp(min=1)), 0)
            other = self.exemplars[labels, order.gather(1, rank[:, None]).squeeze(1)]
            rows = torch.lerp(rows, other, shares[:, 2:])
        mean, log_variance = rows.chunk(2, dim=1)
        return mean + (0.5 * log_variance).exp() * latent

    def _encode(self, rows: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.cat([self.encoder(rows).flatten(1), self.encoder_labels(labels)], dim=1)
        mean, log_variance = self.posterior(features).chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 5)

    def _decode(self, latent: Tensor, labels: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.condition(torch.cat([latent, self.decoder_labels(labels)], dim=1)))
        return out

    def _negative_elbo(self, batch: Batch, progress: float, rng: torch.Generator) -> Loss:
        rows, labels = batch
        mean, log_variance = self._encode(rows, labels)
        latent = mean + (0.5 * log_variance).exp() * normal(mean.shape, rng, like=mean)
        reconstruction, error = self.nets.surprise(self._decode(latent, labels), rows)
        kl = self._kl(mean, log_variance, labels).mean()
        self._follow_posteriors(mean.detach(), log_variance.detach().exp(), labels)
        beta = self.config.beta * (min(1.0, progress / self.config.warmup) if self.config.warmup else 1.0)
        loss = (reconstruction + beta * kl) / prod(self.shape)
        return loss, {"loss": loss, "mse": error, "kl": kl}

    def _kl(self, mean: Tensor, log_variance: Tensor, labels: Tensor) -> Tensor:
        """KL(q || prior of the class), (B,), between a diagonal and a full Gaussian."""
        scale = self._scale()
        identity = torch.eye(mean.shape[1], device=mean.device)
        whiten = torch.linalg.solve_triangular(scale, identity.expand_as(scale), upper=False)
        log_det = 2 * scale.diagonal(dim1=1, dim2=2).log().sum(1)
        distance = (whiten[labels] @ (mean - self.prior_mean[labels]).unsqueeze(2)).square().sum((1, 2))
        trace = (whiten.square().sum(1)[labels] * log_variance.exp()).sum(1)
        kl: Tensor = trace + distance - mean.shape[1] + log_det[labels] - log_variance.sum(1)
        return 0.5 * kl

    def _scale(self) -> Tensor:
        """(K, D, D) Cholesky factor of each class's covariance; NaN where training has diverged."""
        factor, failed = torch.linalg.cholesky_ex(self._covariance())
        out: Tensor = factor.masked_fill((failed != 0)[:, None, None], torch.nan)
        return out

    def _covariance(self) -> Tensor:
        """(K, D, D) covariance of each class's prior, shrunk towards that of all classes."""
        shared = self.prior_covariance.mean(0)
        floor = 1e-3 * torch.eye(shared.shape[0], device=shared.device)
        return (
            torch.lerp(shared.expand_as(self.prior_covariance), self.prior_covariance, self.own_share) + floor
        )

    @torch.no_grad()
    def _follow_posteriors(self, mean: Tensor, variance: Tensor, labels: Tensor) -> None:
        """Moves each class's prior towards the moments of the posteriors in this batch."""
        counts = torch.bincount(labels, minlength=self.n_classes).to(mean.dtype)
        rate = (1 - 0.997**counts)[:, None]
        zeros = torch.zeros_like(self.prior_mean)
        batch_mean = zeros.index_add(0, labels, mean) / counts.clamp(min=1)[:, None]
        self.prior_mean.lerp_(batch_mean, rate)
        centred = mean - self.prior_mean[labels]
        spread = centred[:, :, None] * centred[:, None, :] + torch.diag_embed(variance)
        batch_spread = torch.zeros_like(self.prior_covariance).index_add(0, labels, spread)
        self.prior_covariance.lerp_(batch_spread / counts.clamp(min=1)[:, None, None], rate[:, :, None])


def _pick(share: Tensor, n: Tensor) -> Tensor:
    """Integers in [0, n), each with equal probability where the share is uniform in [0, 1]."""
    return torch.minimum((share * n).long(), n - 1)
