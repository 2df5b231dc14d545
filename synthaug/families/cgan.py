"""A conditional generative adversarial network for few rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from synthaug.errors import InvalidRequest
from synthaug.families.base import Batch, Count, Family, Loss, NotNegative, Phase, Positive, parameters_of
from synthaug.families.losses import (
    AdversarialLoss,
    anchor_penalty,
    discriminator_loss,
    generator_loss,
    lipschitz_penalty,
    moment_penalty,
    sameness_penalty,
    slope_penalty,
)
from synthaug.modalities.base import Form

_LIPSCHITZ_WEIGHT = 10.0  # Gulrajani et al.
_R1_EVERY = 16
_ANCHOR_RATE = 0.01  # Tseng et al.
# Karras et al. aim at the first; the second is about 2 % of their budget in ours
_OVERFIT = 0.6
_ROWS_TO_FULL_AUGMENTATION = 16_000


@dataclass(frozen=True)
class CGANConfig:
    """Settings of `CGAN`.

    Attributes:
        latent: dimensions of the latent z.
        width: channels at full resolution; None chooses by image size.
        loss: the game: ``hinge``, ``logistic`` (cross-entropy, non-saturating) or ``wasserstein`` (with gradient
            penalty in place of spectral normalisation).
        conditioning: how the discriminator uses the label: ``projection``, or ``classifier``, which asks it to
            name the class.
        augmentation: of the discriminator's inputs: ``full`` strength, or ``adaptive`` to how far it overfits; None
            adapts where the loss allows it.
        colour: whether that also changes brightness and contrast.
        r1: weight of the penalty on the discriminator's slope at real rows, seen every 16 steps on average.
        lecam: weight of the penalty on scores far from what the other side's have been.
        diversity: weight of the generator's penalty for samples of a class that differ less than its real rows.
        moments: weight of the generator's penalty for classes whose values have other means and mean squares than
            those of real rows.
        truncation: factor on the noise when sampling; below 1 samples keep nearer to what is typical.
        generator_lr: Adam's learning rate for the generator.
        discriminator_lr: Adam's learning rate for the discriminator.
        batch_size: rows per step.
    """

    latent: Count = 128
    width: Count | None = None
    loss: AdversarialLoss = "logistic"
    conditioning: Literal["projection", "classifier"] = "projection"
    augmentation: Literal["full", "adaptive"] | None = None
    colour: bool = False
    r1: NotNegative = 0.0
    lecam: NotNegative = 0.0
    diversity: NotNegative = 1.0
    moments: NotNegative = 0.0
    truncation: Annotated[float, Field(gt=0, le=1)] = 1.0
    generator_lr: Positive = 5e-4
    discriminator_lr: Positive = 2e-3
    batch_size: Count = 64


class CGAN(Family):
    """A generator against a discriminator that sees the label.

    Spectral normalisation (Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", eq. 8)
    and one of three games (`losses`). The label enters the discriminator as an inner product (Miyato and Koyama
    2018, "cGANs with Projection Discriminator", eq. 4); or the same features, by the same embeddings, name the
    class (Odena et al. 2017, "Conditional Image Synthesis with Auxiliary Classifier GANs", eq. 2-3; the discriminator
    learns it from real rows alone, since generated ones may be of another class at first).

    Its inputs are augmented (`diffaug`). ``adaptive`` moves the probability of that by r = E[sign D(real)]: up while
    r is above 0.6, down below (Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data",
    eq. 1), from 0 to 1 in 16 000 rows at the fastest.

    The generator pays for samples of a class that are too alike (`losses.sameness_penalty`): without it, it comes to
    ignore its noise on digits, where few rows fill a class. On tables it pays instead for classes whose columns have
    other moments (`losses.moment_penalty`): without it, some levels stay far too frequent.

    Departures: group instead of batch normalisation in the generator, so that a sample does not depend on its batch;
    truncation scales the noise instead of drawing it again (Brock et al. 2019 cut off its tails), so that a sample
    stays a function of its noise; penalties are taken at the augmented inputs, where the discriminator works; R1
    falls on steps at random, one in 16, instead of each sixteenth, so that no step has to be counted.
    """

    name = "cgan"
    config_type = CGANConfig
    adjustable = ("truncation",)
    # Categories are steps: a critic that is smooth leads over them, and how frequent they are in a class is learned
    # sooner where it is said. Samples teach less than those of cvae nevertheless (benchmarks/results/tabular), so that
    # a choice does not try it for tables.
    usual: ClassVar = {
        "table": {
            "loss": "wasserstein",
            "generator_lr": 2e-4,
            "discriminator_lr": 2e-4,
            "diversity": 0.0,
            "moments": 3.0,
            "batch_size": 256,
        }
    }
    config: CGANConfig
    augmented: Tensor
    anchors: Tensor

    def __init__(self, form: Form, counts: Sequence[int], config: Any = None) -> None:
        super().__init__(form, counts, config)
        n_classes = self.n_classes
        self.nets = nets = form.backbone(self.config.width)
        self.labels = nn.Embedding(n_classes, 32)
        self.condition = nn.Sequential(nn.Linear(self.config.latent + 32, 128), nn.SiLU())
        self.generator = nets.decoder(128)
        self.features = nets.encoder()
        self.realness = nn.Linear(nets.channels, 1)
        self.projection = nn.Embedding(n_classes, nets.channels)
        nn.init.normal_(self.projection.weight, std=0.1)
        if self.config.loss != "wasserstein":
            for module in [*self.features.modules(), self.realness, self.projection]:
                if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
                    spectral_norm(module)
        elif self.config.augmentation == "adaptive":
            raise InvalidRequest(
                'augmentation="adaptive" was asked for with loss="wasserstein", whose scores have no zero to tell '
                'overfitting by. Use augmentation="full", or another loss.'
            )
        self.register_buffer("augmented", torch.zeros(()))  # the probability of augmentation where it adapts
        self.register_buffer("anchors", torch.zeros(2))  # mean scores of real and generated rows, for LeCam

    @property
    def noise_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (self.config.latent + self.nets.noise,)  # the last settle what a decoder leaves open

    @property
    def _adapts(self) -> bool:
        """Whether augmentation follows overfitting, which takes scores that have a zero."""
        return self.config.augmentation != "full" and self.config.loss != "wasserstein"

    def phases(self) -> list[Phase]:  # noqa: D102
        c = self.config
        judge = parameters_of(self.features, self.realness, self.projection)
        maker = parameters_of(self.labels, self.condition, self.generator)
        return [
            Phase("discriminator", judge, self._discriminator_loss, lr=c.discriminator_lr, betas=(0.0, 0.99)),
            Phase("generator", maker, self._generator_loss, lr=c.generator_lr, betas=(0.0, 0.99)),
        ]

    def sample(self, labels: Tensor, noise: Tensor) -> Tensor:  # noqa: D102
        latent, left_open = torch.split(noise, [self.config.latent, self.nets.noise], dim=1)
        return self.nets.settled(self._generate(labels, self.config.truncation * latent), left_open)

    def _generate(self, labels: Tensor, latent: Tensor) -> Tensor:
        out: Tensor = self.generator(self.condition(torch.cat([latent, self.labels(labels)], dim=1)))
        return out

    def _make(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        noise = torch.randn(len(labels), *self.noise_shape, generator=rng).to(labels.device)
        latent, left_open = torch.split(noise, [self.config.latent, self.nets.noise], dim=1)
        return self.nets.relaxed(self._generate(labels, latent), left_open)

    def _augment(self, rows: Tensor, rng: torch.Generator) -> Tensor:
        chance = self.augmented if self._adapts else None
        return self.nets.disturb(rows, rng, strong=self.config.colour, probability=chance)

    def _judge(self, rows: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) scores, and (B,) cross-entropies of the class where the discriminator has to name it."""
        features = self.features(rows)
        features = features.flatten(2).sum(2) if features.ndim > 2 else features  # over places
        score: Tensor = self.realness(features).squeeze(1)
        if self.config.conditioning == "projection":
            return score + (features * self.projection(labels)).sum(1), torch.zeros_like(score)
        return score, F.cross_entropy(features @ self.projection.weight.T, labels, reduction="none")

    def _score(self, labels: Tensor, rows: Tensor) -> Tensor:
        return self._judge(rows, labels)[0]

    def _discriminator_loss(self, batch: Batch, progress: float, rng: torch.Generator) -> Loss:
        c, (rows, labels) = self.config, batch
        with torch.no_grad():
            made = self._make(labels, rng)
        # one forward pass over both, so that both meet the same estimate of the spectral norm
        inputs = self._augment(torch.cat([rows, made]), rng)
        scores, mistakes = self._judge(inputs, torch.cat([labels, labels]))
        real, fake = scores.chunk(2)
        loss = discriminator_loss(c.loss, real, fake) + mistakes[: len(labels)].mean()
        figures = {"d_real": real.mean(), "d_fake": fake.mean()}
        score, (real_inputs, fake_inputs) = partial(self._score, labels), inputs.chunk(2)
        if c.loss == "wasserstein":
            loss = loss + _LIPSCHITZ_WEIGHT * lipschitz_penalty(score, real_inputs, fake_inputs, rng)
        if c.r1 and int(torch.randint(_R1_EVERY, (), generator=rng)) == 0:
            loss = loss + _R1_EVERY * c.r1 * slope_penalty(score, real_inputs)
        if c.lecam:
            loss = loss + c.lecam * anchor_penalty(real, fake, self.anchors.clone())
            self.anchors.lerp_(torch.stack([real.mean(), fake.mean()]).detach(), _ANCHOR_RATE)
        if self._adapts:
            figures["augmented"] = self.augmented.clone()
            too_sure = torch.sign(real.detach().sign().mean() - _OVERFIT)
            self.augmented.add_(too_sure * len(labels) / _ROWS_TO_FULL_AUGMENTATION).clamp_(0, 1)
        return loss, {"d_loss": loss, **figures}

    def _generator_loss(self, batch: Batch, progress: float, rng: torch.Generator) -> Loss:
        c, (rows, labels) = self.config, batch
        made = self._make(labels, rng)
        fake, mistakes = self._judge(self._augment(made, rng), labels)
        sameness = sameness_penalty(made, rows, labels)
        loss = generator_loss(c.loss, fake) + mistakes.mean() + c.diversity * sameness
        if c.moments:
            loss = loss + c.moments * moment_penalty(made, rows, labels)
        return loss, {"g_loss": loss, "sameness": sameness}
