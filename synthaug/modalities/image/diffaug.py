"""Differentiable augmentation of the discriminator's inputs.

Zhao et al. 2020, "Differentiable Augmentation for Data-Efficient GAN Training": the same random transformations
are applied to real and to generated images, so the discriminator cannot memorise few real images and the
generator still receives gradients. Here each row is transformed with its own random strength.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def diffaugment(
    images: Tensor, rng: torch.Generator, *, colour: bool, probability: Tensor | None = None
) -> Tensor:
    """Random shift, zoom and rotation, cut-out, and brightness and contrast where ``colour``.

    Args:
        images: ``(B, C, H, W)`` in [-1, 1].
        rng: CPU generator of all randomness.
        colour: whether to change brightness and contrast.
        probability: scalar in [0, 1], with which each of the three happens to a row; always when None.

    Returns:
        ``(B, C, H, W)``; gradients flow to ``images``.
    """
    happens = torch.ones(3, len(images), 1, device=images.device)
    if probability is not None:
        happens = (torch.rand(3, len(images), 1, generator=rng).to(images) < probability).to(images.dtype)
    if colour:
        images = _brightness_and_contrast(images, happens[0], rng)
    return _cutout(_affine(images, happens[1], rng), happens[2], rng)


def _uniform(rows: int, columns: int, rng: torch.Generator, like: Tensor) -> Tensor:
    """(rows, columns) numbers in [-1, 1)."""
    return (torch.rand(rows, columns, generator=rng) * 2 - 1).to(like)


def _brightness_and_contrast(images: Tensor, happens: Tensor, rng: torch.Generator) -> Tensor:
    draw = (happens * _uniform(len(images), 2, rng, images))[..., None, None, None]
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (images - mean) * (1 + 0.5 * draw[:, 0]) + mean + 0.5 * draw[:, 1]


def _affine(images: Tensor, happens: Tensor, rng: torch.Generator) -> Tensor:
    """Shift up to 1/8, zoom up to 1/8, rotation up to 8 degrees; the border is repeated."""
    draw = happens * _uniform(len(images), 4, rng, images)
    zoom, angle = 1 + draw[:, 0] / 8, draw[:, 1] * 0.14
    height, width = images.shape[2:]
    cosine, sine = angle.cos() * zoom, angle.sin() * zoom
    rows = torch.stack(
        [
            torch.stack([cosine, -sine * height / width, draw[:, 2] / 4], dim=1),
            torch.stack([sine * width / height, cosine, draw[:, 3] / 4], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _cutout(images: Tensor, happens: Tensor, rng: torch.Generator) -> Tensor:
    """Sets a rectangle of half the height and width, placed at random, to the middle of the range."""
    centre = _uniform(len(images), 2, rng, images)
    height, width = images.shape[2:]
    y = torch.linspace(-1, 1, height, device=images.device).view(1, height, 1)
    x = torch.linspace(-1, 1, width, device=images.device).view(1, 1, width)
    inside = ((y - centre[:, 0, None, None]).abs() < 0.5) & ((x - centre[:, 1, None, None]).abs() < 0.5)
    return images * (1 - happens[:, :, None] * inside.to(images.dtype)).unsqueeze(1)
