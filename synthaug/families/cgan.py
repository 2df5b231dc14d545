"""A conditional generative adversarial network for few images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from synthaug.families.backbones import Decoder, Encoder, Pyramid, default_base
from synthaug.families.base import Count, Family, Positive, parameters_of
from synthaug.families.diffaug import augment
from synthaug.loop import Batch, Loss, Phase


@dataclass(frozen=True)
class CGANConfig:
    """Settings of `CGAN`.

    Attributes:
        latent: dimensions of the latent z.
        width: channels at full resolution; None chooses by image size.
        generator_lr: Adam's learning rate for the generator.
        discriminator_lr: Adam's learning rate for the discriminator.
        colour: whether the discriminator's inputs also change in brightness and contrast.
        batch_size: rows per step.
    """

    latent: Count = 128
    width: Count | None = None
    generator_lr: Positive = 5e-4
    discriminator_lr: Positive = 2e-3
    colour: bool = False
    batch_size: Count = 64


class CGAN(Family):
    """A generator against a projection discriminator.

    Hinge loss and spectral normalisation (Miyato et al. 2018, "Spectral Normalization for Generative Adversarial
    Networks", eq. 8 and 16-17), the label entering the discriminator as an inner product (Miyato and Koyama 2018,
    "cGANs with Projection Discriminator", eq. 4), differentiable augmentation of its inputs (`diffaug`). Departure:
    group instead of batch normalisation in the generator, so that a sample does not depend on its batch.
    """

    name = "cgan"
    config_type = CGANConfig
    config: CGANConfig

    def __init__(self, shape: tuple[int, int, int], counts: Sequence[int], config: Any = None) -> None:
        super().__init__(shape, counts, config)
        n_classes = self.n_classes
        channels, height, width = shape
        base = self.config.width or default_base(height, width)
        pyramid = Pyramid.of(height, width, base, cap=4 * base)
        self.labels = nn.Embedding(n_classes, 32)
        self.condition = nn.Sequential(nn.Linear(self.config.latent + 32, 128), nn.SiLU())
        self.generator = Decoder(shape, 128, pyramid)
        self.features = Encoder(channels, pyramid)
        self.realness = nn.Linear(self.features.channels, 1)
        self.projection = nn.Embedding(n_classes, self.features.channels)
        nn.init.normal_(self.projection.weight, std=0.1)
        for module in [*self.features.modules(), self.realness, self.projection]:
            if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
                spectral_norm(module)

    @property
    def noise_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.config.latent,)

    def phases(self) -> list[Phase]:  # noqa: D102
        c = self.config
        judge = parameters_of(self.features, self.realness, self.projection)
        maker = parameters_of(self.labels, self.condition, self.generator)
        return [
            Phase("discriminator", judge, self._discriminator_loss, lr=c.discriminator_lr, betas=(0.0, 0.99)),
            Phase("generator", maker, self._generator_loss, lr=c.generator_lr, betas=(0.0, 0.99)),
        ]

    def sample(self, labels: Tensor, noise: Tensor) -> Tensor:  # noqa: D102
        out: Tensor = self.generator(self.condition(torch.cat([noise, self.labels(labels)], dim=1)))
        return out

    def _score(self, images: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        features = self.features(augment(images, rng, colour=self.config.colour)).sum(dim=(2, 3))
        out: Tensor = self.realness(features).squeeze(1) + (features * self.projection(labels)).sum(1)
        return out

    def _make(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(len(labels), self.config.latent, generator=rng)
        return self.sample(labels, noise.to(labels.device))

    def _discriminator_loss(self, batch: Batch, progress: float, rng: torch.Generator) -> Loss:
        images, labels = batch
        with torch.no_grad():
            made = self._make(labels, rng)
        # one forward pass over both, so that both meet the same estimate of the spectral norm
        scores = self._score(torch.cat([images, made]), torch.cat([labels, labels]), rng)
        real, fake = scores.chunk(2)
        loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        return loss, {"d_loss": loss, "d_real": real.mean(), "d_fake": fake.mean()}

    def _generator_loss(self, batch: Batch, progress: float, rng: torch.Generator) -> Loss:
        labels = batch[1]
        loss = -self._score(self._make(labels, rng), labels, rng).mean()
        return loss, {"g_loss": loss}
