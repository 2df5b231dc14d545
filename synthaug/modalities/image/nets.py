"""Convolutional parts that the image families share, for any height and width from 8 up.

Tensors are kept in channels-last memory: on a CPU, convolutions run up to 2 times and nearest-neighbour
upsampling 6 times faster that way.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Pyramid:
    """The resolutions and widths of a network for one image shape.

    Attributes:
        sizes: (height, width) from the image's own down to the coarsest.
        widths: channels at each of these resolutions.
    """

    sizes: tuple[tuple[int, int], ...]
    widths: tuple[int, ...]

    @classmethod
    def of(cls, height: int, width: int, base: int, cap: int) -> Pyramid:
        """Halve until the shorter side is at most 7; channels double from ``base`` up to ``cap``.

        >>> Pyramid.of(28, 28, 32, 128)
        Pyramid(sizes=((28, 28), (14, 14), (7, 7)), widths=(32, 64, 128))
        """
        sizes = [(height, width)]
        while min(sizes[-1]) > 7:
            sizes.append((ceil(sizes[-1][0] / 2), ceil(sizes[-1][1] / 2)))
        return cls(tuple(sizes), tuple(min(cap, base * 2**i) for i in range(len(sizes))))


def default_base(height: int, width: int) -> int:
    """Channels at full resolution, so that a step costs about the same work at any image size."""
    area = height * width
    return 32 if area <= 12**2 else 16 if area <= 36**2 else 8


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbour resize to twice the size, less one row or column where the target is odd."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")[..., : size[0], : size[1]]


class ConditionalNorm(nn.Module):
    """Group normalisation whose scale and shift come from a condition vector (FiLM).

    Perez et al. 2018, "FiLM: Visual Reasoning with a General Conditioning Layer"; groups instead of batch
    statistics, so that a row does not depend on its batch.
    """

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_groups(channels), channels, affine=False)
        self.film = nn.Linear(condition, 2 * channels)
        nn.init.normal_(self.film.weight, std=0.02)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """``x`` (B, C, H, W), ``condition`` (B, D) -> (B, C, H, W)."""
        scale, shift = self.film(condition)[..., None, None].chunk(2, dim=1)
        out: Tensor = self.norm(x) * (1 + scale) + shift
        return out


class UpBlock(nn.Module):
    """A residual block that doubles the resolution under a condition."""

    def __init__(self, inputs: int, outputs: int, condition: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.norm1 = ConditionalNorm(inputs, condition)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = ConditionalNorm(outputs, condition)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, *size)."""
        hidden = F.leaky_relu(self.norm1(x, condition), 0.2)
        hidden = resize(self.conv1(hidden), self.size)
        hidden = self.conv2(F.leaky_relu(self.norm2(hidden, condition), 0.2))
        out: Tensor = hidden + resize(self.skip(x), self.size)
        return out


class Decoder(nn.Module):
    """Condition vector -> image in [-1, 1]."""

    def __init__(self, shape: tuple[int, int, int], condition: int, pyramid: Pyramid) -> None:
        super().__init__()
        sizes, widths = pyramid.sizes[::-1], pyramid.widths[::-1]
        self.base = (widths[0], *sizes[0])
        self.project = nn.Linear(condition, widths[0] * sizes[0][0] * sizes[0][1])
        self.blocks = nn.ModuleList(
            UpBlock(widths[i], widths[i + 1], condition, sizes[i + 1]) for i in range(len(sizes) - 1)
        )
        self.norm = nn.GroupNorm(_groups(widths[-1]), widths[-1])
        self.out = nn.Conv2d(widths[-1], shape[0], 3, padding=1)

    def forward(self, condition: Tensor) -> Tensor:
        """(B, D) -> (B, C, H, W)."""
        with _precision(condition, self.training):
            x = self.project(condition).view(-1, *self.base)
            x = x.contiguous(memory_format=torch.channels_last)
            for block in self.blocks:
                x = block(x, condition)
            out: Tensor = self.out(F.leaky_relu(self.norm(x), 0.2))
        return out.float().tanh()


class DownBlock(nn.Module):
    """A residual block that halves the resolution, without normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, inputs, 3, padding=1)
        self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.skip = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, ceil(h/2), ceil(w/2))."""
        hidden = _halve(F.leaky_relu(self.conv1(F.leaky_relu(x, 0.2)), 0.2))
        out: Tensor = self.conv2(hidden) + self.skip(_halve(x))
        return out


class Encoder(nn.Module):
    """Image -> features at the coarsest resolution; the stem halves the image at once, where pixels are many."""

    def __init__(self, channels: int, pyramid: Pyramid) -> None:
        super().__init__()
        widths = pyramid.widths
        self.stem = nn.Conv2d(channels, widths[1], 5, stride=2, padding=2)
        self.blocks = nn.ModuleList(DownBlock(a, b) for a, b in pairwise(widths[1:]))
        self.last = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.channels = widths[-1]
        self.area = pyramid.sizes[-1][0] * pyramid.sizes[-1][1]

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, channels, h, w)."""
        with _precision(images, self.training):
            x = self.stem(images.contiguous(memory_format=torch.channels_last))
            for block in self.blocks:
                x = block(x)
            out: Tensor = F.leaky_relu(self.last(F.leaky_relu(x, 0.2)), 0.2)
        return out.float()


def _precision(x: Tensor, training: bool) -> torch.autocast:
    """bfloat16 where it is fast and harmless: convolutions on CUDA while training. Losses and samples are float32."""
    return torch.autocast(x.device.type, torch.bfloat16, enabled=training and _has_fast_bfloat16(x.device))


def _has_fast_bfloat16(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def _groups(channels: int) -> int:
    """Groups of eight channels, or of as few more as divide them."""
    return next(groups for groups in range(max(1, channels // 8), 0, -1) if channels % groups == 0)


def _halve(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
