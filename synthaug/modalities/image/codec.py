"""Raw image <-> model tensor: one range and one layout where real and synthetic rows meet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from synthaug.errors import InvalidData, SpecMismatch
from synthaug.modalities.image.spec import ImageSpec

# The spans float images are kept in by convention; the first that holds every training row is taken.
_FLOAT_SPANS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))


@dataclass(frozen=True)
class ImageCodec:
    """Maps images of one form to float32 tensors in [-1, 1] and back.

    Attributes:
        spec: the form of a raw row, its range included.
    """

    spec: ImageSpec

    @classmethod
    def fit(cls, images: np.ndarray, spec: ImageSpec) -> ImageCodec:
        """The codec whose value range is learnt from training rows.

        8-bit images span [0, 255]; other unsigned integers [0, 2^k - 1] with the smallest k >= 8 that holds the
        rows (a 12-bit scan in a 16-bit file spans [0, 4095]); floats the first of [0, 1], [-1, 1], [0, 255] that
        holds them, else their own extremes.

        Args:
            images: training rows ``(N, *spec.shape)``.
            spec: their form; its range is replaced.

        Raises:
            InvalidData: non-finite values, or one single value in all rows.
        """
        if spec.dtype == "uint8":
            return cls(replace(spec, low=0.0, high=255.0))
        low, high = float(images.min()), float(images.max())
        if not np.isfinite(low + high):
            raise InvalidData("The images contain NaN or infinite values. Remove or repair those rows first.")
        if low == high:
            raise InvalidData(f"Every pixel of every image is {low:g}: there is nothing to learn.")
        if np.issubdtype(np.dtype(spec.dtype), np.unsignedinteger):
            low, high = 0.0, float(2 ** max(8, int(high).bit_length()) - 1)
        elif np.issubdtype(np.dtype(spec.dtype), np.floating):
            low, high = next(((a, b) for a, b in _FLOAT_SPANS if a <= low and high <= b), (low, high))
        return cls(replace(spec, low=low, high=high))

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of an encoded row."""
        return (self.spec.channels, self.spec.height, self.spec.width)

    def encode(self, images: np.ndarray) -> torch.Tensor:
        """``(N, *spec.shape)`` raw rows -> ``(N, C, H, W)`` float32 in [-1, 1].

        Raises:
            SpecMismatch: rows of another shape or dtype.
        """
        if images.shape[1:] != self.spec.shape or images.dtype != self.spec.dtype:
            found = f"{'x'.join(map(str, images.shape[1:]))} {images.dtype}"
            raise SpecMismatch(f"Rows of the form {self.spec} were expected, {found} were given.")
        low, high = self._range
        values = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))
        values = values.sub(low).mul_(2.0 / (high - low)).sub_(1.0)
        return self._to_channels_first(values).contiguous()

    def decode(self, tensors: torch.Tensor) -> np.ndarray:
        """``(N, C, H, W)`` tensors in [-1, 1] (clipped) -> ``(N, *spec.shape)`` rows of ``spec.dtype``."""
        low, high = self._range
        values = (
            tensors.detach().float().cpu().clamp(-1.0, 1.0).double().add(1.0).mul((high - low) / 2).add(low)
        )
        array = self._from_channels_first(values).numpy()
        dtype = np.dtype(self.spec.dtype)
        if np.issubdtype(dtype, np.integer):
            array = np.rint(array)
        return np.ascontiguousarray(array.astype(dtype))

    def decode_on_device(self, tensors: torch.Tensor) -> torch.Tensor:
        """As `decode`, but a tensor where ``tensors`` are, counted in float32: a grey level may round otherwise."""
        low, high = self._range
        values = tensors.detach().float().clamp(-1.0, 1.0).add(1.0).mul((high - low) / 2).add(low)
        dtype = getattr(torch, self.spec.dtype)
        return self._from_channels_first(values if dtype.is_floating_point else values.round()).to(dtype)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        return {"kind": "image", "spec": self.spec.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ImageCodec:
        """The codec that `to_dict` wrote."""
        return cls(ImageSpec.from_dict(data["spec"]))

    @property
    def _range(self) -> tuple[float, float]:
        assert self.spec.low is not None
        assert self.spec.high is not None
        return self.spec.low, self.spec.high

    def _to_channels_first(self, values: torch.Tensor) -> torch.Tensor:
        if self.spec.layout == "HW":
            return values.unsqueeze(1)
        return values.permute(0, 3, 1, 2) if self.spec.layout == "HWC" else values

    def _from_channels_first(self, values: torch.Tensor) -> torch.Tensor:
        if self.spec.layout == "HW":
            return values.squeeze(1)
        return values.permute(0, 2, 3, 1) if self.spec.layout == "HWC" else values
