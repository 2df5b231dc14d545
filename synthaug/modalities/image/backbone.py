"""The networks of images, behind the face that families know."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from synthaug.modalities.base import Backbone
from synthaug.modalities.image.diffaug import diffaugment
from synthaug.modalities.image.nets import Decoder, Encoder, Pyramid, default_base

# Half an 8-bit grey level, squared: below it an error tells nothing.
_FLOOR = 4e-6


class ImageBackbone(Backbone):
    """Convolutions over ``(B, C, H, W)``; a decoder leaves nothing open.

    Args:
        shape: ``(C, H, W)``.
        width: channels at full resolution; None chooses by the size.
    """

    def __init__(self, shape: tuple[int, int, int], width: int | None = None) -> None:
        self.shape = shape
        _, height, wide = shape
        base = width or default_base(height, wide)
        self._pyramid = Pyramid.of(height, wide, base, cap=4 * base)
        self.channels = self._pyramid.widths[-1]
        self.features = self.channels * prod(self._pyramid.sizes[-1])

    def encoder(self, rows: int = 1) -> Encoder:
        """``(B, rows x C, H, W)`` -> ``(B, channels, h, w)``."""
        return Encoder(rows * self.shape[0], self._pyramid)

    def decoder(self, condition: int) -> Decoder:
        """``(B, condition)`` -> ``(B, C, H, W)`` in [-1, 1]."""
        return Decoder(self.shape, condition, self._pyramid)

    def surprise(self, opened: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Under a Gaussian about each pixel whose variance is the mean squared error itself; and that error.

        -log N(x; m, s^2) with s^2 = MSE is D/2 log MSE up to a constant (Rybkin et al. 2021, "Simple and Effective VAE
        Training with Calibrated Decoders").
        """
        error = (opened - rows).square().mean()
        return 0.5 * prod(self.shape) * (error + _FLOOR).log(), error

    def disturb(
        self, rows: Tensor, rng: torch.Generator, *, strong: bool, probability: Tensor | None
    ) -> Tensor:
        """Shifted, zoomed, turned and cut out, see `diffaugment`; brightness and contrast as well where ``strong``."""
        return diffaugment(rows, rng, colour=strong, probability=probability)
