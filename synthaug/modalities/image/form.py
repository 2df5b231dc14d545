"""What one image is, as an array, as a tensor and by its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np

from synthaug.errors import InvalidData, SpecMismatch
from synthaug.modalities.base import Augment, Backbone, Container, Form

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

Layout = Literal["HW", "HWC", "CHW"]

CHANNELS = (1, 3, 4)
"""How many an image may have."""

SMALLEST = 8
"""Pixels a side."""

# The spans float images are kept in by convention; the first that holds every row is taken.
_FLOAT_SPANS = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
# How far beyond its range an image may reach, as a share of it: rounding and resizing overshoot, another
# normalisation by far more.
_SLACK = 0.05
# A range of 8-bit values that is an eighth of what they may span.
_NARROW = 32
# Pixels a side beyond which a step takes so long that it has to be asked for.
_LARGE = 128
# Pixels a side from which on coloured pictures may be photographs of what other networks have seen.
_PHOTOGRAPH = 64


@dataclass(frozen=True)
class ImageForm(Form):
    """The form of one image as a data set hands it out, and the way to a float32 tensor in [-1, 1] and back.

    Attributes:
        height, width, channels: of the image.
        layout: the order of its axes.
        dtype: of its values.
        low, high: the ends of its value range (e.g. 0 and 255, or 0.0 and 1.0); None for float and wide integer
            images until they are `fitted` to training rows.
        container: what the data set hands out.
    """

    kind: ClassVar = "image"
    noun: ClassVar = "image"
    thing: ClassVar = "picture"
    grain: ClassVar = "pixel"
    augmented: ClassVar = True
    pictured: ClassVar = True

    height: int
    width: int
    channels: int
    layout: Layout
    dtype: str
    low: float | None = None
    high: float | None = None
    container: Container = "array"

    @property
    def shape(self) -> tuple[int, ...]:
        """The array shape of one row, e.g. ``(28, 28)`` for layout HW or ``(3, 32, 32)`` for CHW."""
        h, w, c = self.height, self.width, self.channels
        return {"HW": (h, w), "HWC": (h, w, c), "CHW": (c, h, w)}[self.layout]

    @property
    def encoded(self) -> tuple[int, int, int]:
        """``(C, H, W)``: the shape of an encoded row."""
        return (self.channels, self.height, self.width)

    @property
    def ends(self) -> list[np.ndarray]:
        """A row of the lowest and one of the highest value, where these are known."""
        return [np.full(self.shape, end, self.dtype) for end in (self.low, self.high) if end is not None]

    def fitted(self, images: np.ndarray) -> ImageForm:
        """This form with the value range of training rows.

        8-bit images span [0, 255]; other unsigned integers [0, 2^k - 1] with the smallest k >= 8 that holds the
        rows (a 12-bit scan in a 16-bit file spans [0, 4095]); floats the first of [0, 1], [-1, 1], [0, 255] that
        holds them, else their own extremes.

        Args:
            images: training rows ``(N, *shape)``.

        Raises:
            InvalidData: non-finite values, or one single value in all rows.
        """
        if self.dtype == "uint8":
            return replace(self, low=0.0, high=255.0)
        low, high = float(images.min()), float(images.max())
        if not np.isfinite(low + high):
            raise InvalidData("The images contain NaN or infinite values. Remove or repair those rows first.")
        if low == high:
            raise InvalidData(f"Every pixel of every image is {low:g}: there is nothing to learn.")
        if np.issubdtype(np.dtype(self.dtype), np.unsignedinteger):
            low, high = 0.0, float(2 ** max(8, int(high).bit_length()) - 1)
        elif np.issubdtype(np.dtype(self.dtype), np.floating):
            low, high = next(((a, b) for a, b in _FLOAT_SPANS if a <= low and high <= b), (low, high))
        return replace(self, low=low, high=high)

    def encode(self, images: np.ndarray) -> torch.Tensor:
        """``(N, *shape)`` raw rows -> ``(N, C, H, W)`` float32 in [-1, 1].

        Raises:
            SpecMismatch: rows of another shape or dtype.
        """
        import torch

        if images.shape[1:] != self.shape or images.dtype != self.dtype:
            found = f"{'x'.join(map(str, images.shape[1:]))} {images.dtype}"
            raise SpecMismatch(f"Rows of the form {self} were expected, {found} were given.")
        low, high = self._range
        values = torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32))
        values = values.sub(low).mul_(2.0 / (high - low)).sub_(1.0)
        return self._to_channels_first(values).contiguous()

    def decode(self, tensors: torch.Tensor) -> np.ndarray:
        """``(N, C, H, W)`` tensors in [-1, 1] (clipped) -> ``(N, *shape)`` rows of ``dtype``."""
        low, high = self._range
        values = (
            tensors.detach().float().cpu().clamp(-1.0, 1.0).double().add(1.0).mul((high - low) / 2).add(low)
        )
        array = self._from_channels_first(values).numpy()
        dtype = np.dtype(self.dtype)
        if np.issubdtype(dtype, np.integer):
            array = np.rint(array)
        return np.ascontiguousarray(array.astype(dtype))

    def decode_on_device(self, tensors: torch.Tensor) -> torch.Tensor:
        """As `decode`, but a tensor where ``tensors`` are, counted in float32: a grey level may round otherwise."""
        import torch

        low, high = self._range
        values = tensors.detach().float().clamp(-1.0, 1.0).add(1.0).mul((high - low) / 2).add(low)
        dtype = getattr(torch, self.dtype)
        return self._from_channels_first(values if dtype.is_floating_point else values.round()).to(dtype)

    def fingerprints(self, images: np.ndarray, ends: np.ndarray | None = None) -> np.ndarray:
        """``(N,)`` uint64 content hashes of ``images`` ``(N, *shape)``; see `fingerprints`.

        Args:
            images: rows of this layout.
            ends: values that show the range of the whole set where ``images`` are a part of it; the ends of this form
                where they are known and it holds floats.
        """
        if ends is None and self.low is not None and self.high is not None and images.dtype.kind == "f":
            ends = np.array([self.low, self.high], images.dtype)
        return fingerprints(images, self.layout, ends)

    def prints_of(self, rows: np.ndarray) -> np.ndarray:
        """Of images ``(N, H, W)``, of this layout or with channels first; integers are taken for this dtype."""
        rows = rows if rows.dtype.kind == "f" else rows.astype(self.dtype)
        layout = "HW" if rows.ndim == 3 else self.layout if rows.shape[1:] == self.shape else "CHW"
        return fingerprints(rows, layout)

    def contained(self, row: np.ndarray, container: Container) -> Any:
        """An image as an array, a tensor or a PIL image."""
        from synthaug.modalities.image.cells import contained

        return contained(row, self.layout, container)

    def why_not(self, other: ImageForm) -> str | None:
        """Why rows of the other form cannot stand among rows of this one; None where they can.

        Containers may differ, and so may ranges of which one is not known yet.
        """
        ours, theirs = (replace(form, low=None, high=None, container="array") for form in (self, other))
        if ours != theirs:
            return f"{self} is not {other}"
        known = None not in (self.low, self.high, other.low, other.high)
        if known and (self.low, self.high) != (other.low, other.high):
            return f"{self} is not {other}"
        return None

    def unfit(self) -> str | None:
        """Where images are too small."""
        if min(self.height, self.width) >= SMALLEST:
            return None
        return (
            f"is {self.height}x{self.width}; images need at least {SMALLEST} pixels a side: pass "
            f"image_size={SMALLEST} or more to enlarge them"
        )

    def doubts(self, span: tuple[float, float], origin: str) -> Iterator[str]:
        """A narrow range of 8-bit values."""
        low, high = span
        if self.dtype == "uint8" and low < high < _NARROW:
            yield (
                f"the uint8 images of {origin} reach from {low:g} to {high:g}, but samples may reach to 255: bring "
                f"them to the whole range first, X * {int(255 // high)}"
            )

    @property
    def instead(self) -> str | None:
        """Of photographs, vectors of a network that has seen others."""
        if self.channels != 3 or max(self.height, self.width) < _PHOTOGRAPH:
            return None
        return (
            "If these are photographs, begin with a pretrained network: on the vectors that it makes of them, "
            "open_data(source, embed=network), few rows a class are worth more than with anything trained on pixels "
            "from scratch."
        )

    @property
    def opening(self) -> dict[str, Any]:
        """Its size."""
        return {"image_size": (self.height, self.width)}

    def admits(self, row: np.ndarray) -> bool:
        """Whether dtype, range and channels are those of this form, whatever the size and wherever the channels."""
        from synthaug.modalities.image.cells import channels_last

        wide = row.dtype.kind in "iu" and np.dtype(self.dtype).kind in "iu"
        if wide and np.array_equal(row, narrow := row.astype(self.dtype)):
            row = narrow  # as it is when it is changed
        own, _ = channels_last(row)
        return own.ndim in (2, 3) and replace(self, height=own.shape[0], width=own.shape[1]).holds(own)

    def of_cells(self, cells: Any) -> np.ndarray:
        """Of arrays as PNG files hold them, channels last or none, or of rows as they are."""
        from synthaug.modalities.image.cells import from_pixels

        return from_pixels(cells, self)

    def holds(self, pixels: np.ndarray) -> bool:
        """Whether an image ``(H, W)`` or ``(H, W, C)`` has the size, channels, dtype and range of this form.

        Floats that reach less far than the range pass.
        """
        size = (*pixels.shape, 1) if pixels.ndim == 2 else pixels.shape
        if size != (self.height, self.width, self.channels) or pixels.dtype != self.dtype:
            return False
        if pixels.dtype.kind != "f" or self.low is None or self.high is None:
            return True
        slack = _SLACK * (self.high - self.low)
        return bool(self.low - slack <= pixels.min() and pixels.max() <= self.high + slack)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ImageForm:
        """The form that `to_dict` wrote.

        Raises:
            TypeError, ValueError: a dictionary that it did not write.
        """
        form = cls(**{name: value for name, value in data.items() if name != "kind"})
        sides, ends = (form.height, form.width, form.channels), (form.low, form.high)
        named = form.layout in get_args(Layout) and form.container in get_args(Container)
        typed = isinstance(form.dtype, str) and np.dtype(form.dtype).kind in "iuf"
        sized = all(type(side) is int and side > 0 for side in sides)
        ended = ends == (None, None) or all(isinstance(end, int | float) and abs(end) < 2**64 for end in ends)
        if not (named and typed and sized and ended):
            raise ValueError(f"{dict(data)!r:.200} is no form of images")
        return form

    def backbone(self, width: int | None = None) -> Backbone:
        """Convolutions; the width is that at full resolution."""
        from synthaug.modalities.image.backbone import ImageBackbone

        return ImageBackbone(self.encoded, width)

    def augmentations(
        self, rows: torch.Tensor, labels: np.ndarray, own: Mapping[str, Any]
    ) -> Mapping[str, Augment]:
        """Those of `image_augmentations`."""
        from synthaug.modalities.image.augment import image_augmentations

        return image_augmentations(rows, labels, self, own)

    def points(self, rows: np.ndarray) -> np.ndarray:
        """Their pixels."""
        return rows.reshape(len(rows), -1).astype(np.float32)

    def between(self, first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Their pixels blended."""
        places = share.reshape(-1, *[1] * (first.ndim - 1))
        blended = first + places * (second.astype(np.float64) - first)
        if np.issubdtype(first.dtype, np.integer):
            blended = np.rint(blended)
        return np.asarray(blended, first.dtype)

    def coarse(self, rows: torch.Tensor) -> torch.Tensor:
        """Averages over cells, 7 by 7."""
        from synthaug.modalities.image.view import coarse

        return coarse(rows)

    def smaller(self) -> tuple[ImageForm, str] | None:
        """Of images above 128 pixels a side, 64 by 64 ones."""
        if max(self.height, self.width) <= _LARGE:
            return None
        side = _LARGE // 2
        asked = f"image_size={side} (or --image-size), or image_size=({self.height}, {self.width}) to keep the size"
        return replace(self, height=side, width=side), asked

    def drawn(self, rows: np.ndarray) -> np.ndarray:
        """The images, in colour."""
        from synthaug.modalities.image.view import to_rgb

        return to_rgb(rows, self)

    def as_dataset(self, rows: np.ndarray) -> Any:
        """Images in a column ``image``: as PNG files where they can be, else as arrays."""
        import datasets

        from synthaug.modalities.image.cells import fits_png, png_bytes

        if not fits_png(self):
            return super().as_dataset(rows).rename_column("row", "image")
        files = [{"bytes": png_bytes(row, self), "path": None} for row in rows]
        return datasets.Dataset.from_dict({"image": files}, datasets.Features({"image": datasets.Image()}))

    def side_by_side(self, names: Sequence[str], blocks: Mapping[str, np.ndarray]) -> Image:
        """A line of images for each name."""
        from synthaug.modalities.image.view import grid

        return grid(names, blocks, self)

    def __str__(self) -> str:
        span = "range unknown" if self.low is None else f"range [{self.low:g}, {self.high:g}]"
        return f"{self.layout} {'x'.join(map(str, self.shape))} {self.dtype}, {span}"

    @property
    def _range(self) -> tuple[float, float]:
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high

    def _to_channels_first(self, values: torch.Tensor) -> torch.Tensor:
        if self.layout == "HW":
            return values.unsqueeze(1)
        return values.permute(0, 3, 1, 2) if self.layout == "HWC" else values

    def _from_channels_first(self, values: torch.Tensor) -> torch.Tensor:
        if self.layout == "HW":
            return values.squeeze(1)
        return values.permute(0, 2, 3, 1) if self.layout == "HWC" else values


def fingerprints(images: np.ndarray, layout: Layout, like: np.ndarray | None = None) -> np.ndarray:
    """The fingerprint of each image: 8 bytes of BLAKE2b over its shape and its 16-bit values.

    A picture keeps its fingerprint when it goes from uint8 to floats in [0, 1], [-1, 1] or [0, 255] (float32
    or wider), or from channels last to channels first. Floats outside these ranges, such as standardised
    ones, are hashed as they are and match only themselves.

    Args:
        images: ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``, as `layout` says.
        layout: the layout of one image.
        like: values of any shape that show the range of the whole set, where `images` are a part of it.

    Returns:
        ``(N,)`` uint64.
    """
    planes = images[:, None] if layout == "HW" else np.moveaxis(images, 3, 1) if layout == "HWC" else images
    span = _span(images if like is None else like)
    out = np.empty(len(planes), np.uint64)
    shape = repr(planes.shape[1:]).encode()
    for row, plane in enumerate(planes):
        digest = hashlib.blake2b(shape + _canonical(plane, span).tobytes(), digest_size=8)
        out[row] = int.from_bytes(digest.digest(), "little")
    return out


def _span(values: np.ndarray) -> tuple[float, float] | None:
    """The usual range that floats keep to, or None."""
    if values.dtype.kind != "f" or not values.size:
        return None
    low, high = values.min(), values.max()
    return next((span for span in _FLOAT_SPANS if span[0] <= low and high <= span[1]), None)


def _canonical(plane: np.ndarray, span: tuple[float, float] | None) -> np.ndarray:
    if plane.dtype == np.uint8:
        return plane.astype("<u2") * np.uint16(257)
    if plane.dtype == np.uint16:
        return plane.astype("<u2")
    if span is None:
        return plane.astype("<f4")
    low, high = span
    return np.rint((plane.astype(np.float64) - low) * (65535 / (high - low))).astype("<u2")
