"""Adversarial losses and the penalties that keep a discriminator from running away.

Scores are the discriminator's outputs, ``(B,)`` float32, high for what it takes for real.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

# Beyond this the penalty would ask for variety before the samples are of their class: on clothes, asking for all of
# it cost 0.15 of label agreement.
_VARIED = 0.7

AdversarialLoss = Literal["hinge", "logistic", "wasserstein"]


def discriminator_loss(kind: AdversarialLoss, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator minimises, a scalar.

    ``hinge``: Miyato et al. 2018, "Spectral Normalization for Generative Adversarial Networks", eq. 16.
    ``logistic``: cross-entropy, Goodfellow et al. 2014, "Generative Adversarial Nets", eq. 1.
    ``wasserstein``: the critic of Arjovsky et al. 2017, "Wasserstein GAN", eq. 2; it needs `lipschitz_penalty`.
    """
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    if kind == "logistic":
        return F.softplus(-real).mean() + F.softplus(fake).mean()
    return fake.mean() - real.mean()


def generator_loss(kind: AdversarialLoss, fake: Tensor) -> Tensor:
    """What the generator minimises, a scalar; ``logistic`` does not saturate (Goodfellow et al., section 3)."""
    return F.softplus(-fake).mean() if kind == "logistic" else -fake.mean()


def sameness_penalty(made: Tensor, real: Tensor, labels: Tensor) -> Tensor:
    """How far samples of a class differ less than 0.7 of what its real rows do, as a share of those: 0 to 0.7.

    After Mao et al. 2019, "Mode Seeking Generative Adversarial Networks for Diverse Image Synthesis", eq. 5.
    Departures: samples are compared with their class's mean in the batch, and real rows set how far is far enough,
    so that nothing is gained by overshooting.

    Args:
        made: ``(B, ...)`` samples, encoded.
        real: ``(B, ...)`` real rows of the same labels.
        labels: ``(B,)`` int64; a class with one row does not count.
    """
    wanted = _spread(real, labels)
    return F.relu(_VARIED - _spread(made, labels) / (wanted + 1e-6)) * (wanted > 1e-5)


def moment_penalty(made: Tensor, real: Tensor, labels: Tensor) -> Tensor:
    """How far the columns of a class have another mean, and another mean square, than those of its real rows.

    The squared differences, summed over columns; classes count by their rows. After the information loss of Park et al.
    2018, "Data Synthesis based on Generative Adversarial Networks", eq. 4. Departures: of encoded rows, where they
    compare features of the discriminator; class by class; within the batch, without moving averages.

    Args:
        made: ``(B, ...)`` samples, encoded.
        real: ``(B, ...)`` real rows of the same labels.
        labels: ``(B,)`` int64.
    """
    own = F.one_hot(labels).to(made.dtype)
    rows = own.sum(0)
    apart = made.new_zeros(len(rows))
    for power in (1, 2):
        ours, theirs = (own.T @ each.flatten(1).pow(power) for each in (made, real))
        apart = apart + ((ours - theirs) / rows.clamp(min=1)[:, None]).square().sum(1)
    return (rows / len(labels) * apart).sum()


def lipschitz_penalty(
    score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, rng: torch.Generator
) -> Tensor:
    """The mean squared distance from 1 of the slope between real and generated rows.

    Gulrajani et al. 2017, "Improved Training of Wasserstein GANs", eq. 3.

    Args:
        score: the discriminator, ``(B, ...)`` -> ``(B,)``, differentiable twice.
        real: ``(B, ...)``.
        fake: the same shape.
        rng: CPU generator that places each point on its line.
    """
    share = torch.rand(len(real), *[1] * (real.ndim - 1), generator=rng).to(real)
    slope = (
        _squared_slope(score, torch.lerp(real, fake, share)) + 1e-12
    ).sqrt()  # the root has no slope at 0
    return (slope - 1).square().mean()


def slope_penalty(score: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Half the mean squared slope at real rows: R1 of Mescheder et al. 2018, eq. 9, without its weight.

    "Which Training Methods for GANs do actually Converge?"
    """
    return 0.5 * _squared_slope(score, real).mean()


def anchor_penalty(real: Tensor, fake: Tensor, anchors: Tensor) -> Tensor:
    """How far the scores are from those that the other side had of late, squared.

    LeCam: Tseng et al. 2021, "Regularizing Generative Adversarial Networks under Limited Data", eq. 3.

    Args:
        real: scores of real rows.
        fake: scores of generated rows.
        anchors: ``(2,)`` moving averages of the scores of real and of generated rows.
    """
    return (real - anchors[1]).square().mean() + (fake - anchors[0]).square().mean()


def _squared_slope(score: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """(B,) squared norms of the gradient of each row's score by its values, differentiable."""
    rows = rows.detach().requires_grad_()
    (slope,) = torch.autograd.grad(score(rows).sum(), rows, create_graph=True)
    return slope.square().flatten(1).sum(dim=1)


def _spread(rows: Tensor, labels: Tensor) -> Tensor:
    """Root mean square distance of rows from the mean of their class."""
    rows = rows.flatten(1)
    own = F.one_hot(labels).to(rows.dtype)
    means = own.T @ rows / own.sum(0).clamp(min=1)[:, None]
    # the root has no slope at 0
    return ((rows - means[labels]).square().mean() + 1e-12).sqrt()
