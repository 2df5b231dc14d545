"""Images by row number, read on demand into one form, and such in memory."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import numpy as np
from PIL import Image

from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind
from synthaug.modalities.base import Container
from synthaug.modalities.image.form import CHANNELS, SMALLEST, ImageForm, Layout
from synthaug.modalities.source import RowSource
from synthaug.wording import did_you_mean, quoted

Resize = Literal["stretch", "crop", "pad"]
MODES = ("L", "RGB", "RGBA")
"""Pillow modes that pictures can be converted to."""


class Kind(NamedTuple):
    """What one image is, known without decoding it."""

    height: int
    width: int
    channels: int
    dtype: str
    layout: Layout

    def __str__(self) -> str:
        kind = f"{self.channels} channel" + ("s" if self.channels > 1 else "")
        return f"{self.height}x{self.width}, {kind} {self.dtype} {self.layout}"


def layout_of(shape: tuple[int, ...], *, channels_first: bool) -> Layout:
    """The layout of one image of this shape; `channels_first` decides where both readings are possible.

    >>> layout_of((3, 32, 32), channels_first=False), layout_of((3, 32, 3), channels_first=False)
    ('CHW', 'HWC')

    Raises:
        InvalidData: if the shape is not (H, W), (H, W, C) or (C, H, W) with 1, 3 or 4 channels.
    """
    if len(shape) == 2:
        return "HW"
    if len(shape) == 3:
        first, last = shape[0] in CHANNELS, shape[2] in CHANNELS
        if first and (channels_first or not last):
            return "CHW"
        if last:
            return "HWC"
    raise InvalidData(
        f"an image of shape {shape} was found; taken are (H, W), (H, W, C) and (C, H, W) with 1, 3 or 4 "
        "channels"
    )


def _channels_first(image: np.ndarray, layout: Layout) -> np.ndarray:
    return image if layout == "CHW" else image[None] if layout == "HW" else np.moveaxis(image, 2, 0)


@dataclass(frozen=True)
class Images(RowSource):
    """Images by row number.

    Attributes:
        container: what the source itself hands out: arrays, tensors or PIL images.
        names: what to call a row in a message; ``row 17`` when None.
        size: (height, width) to which every row is brought on reading, or None.
        resize: how: all of it stretched, its middle cut out, or all of it with black around it.
        mode: the Pillow mode that pictures in files are converted to; as they are when None.
        converts: whether pictures are read from files, and so can be.
    """

    converts: ClassVar[bool] = False

    container: Container = "array"
    names: Callable[[int], str] | None = None
    size: tuple[int, int] | None = None
    resize: Resize = "stretch"
    mode: str | None = None

    @abstractmethod
    def _kind(self, row: int) -> Kind:
        """What a row is as it is stored."""

    @abstractmethod
    def _array(self, row: int) -> tuple[np.ndarray, Layout]:
        """The stored row and its layout."""

    def kind(self, row: int) -> Kind:
        """What a row is as `read` hands it out."""
        kind = self._kind(row)
        return kind if self.size is None else kind._replace(height=self.size[0], width=self.size[1])

    def form(self) -> ImageForm:
        """The form of the first row that is not broken; the range is known for uint8 only."""
        first = self.kind(self._sound())
        low, high = (0.0, 255.0) if first.dtype == "uint8" else (None, None)
        return ImageForm(
            first.height, first.width, first.channels, first.layout, first.dtype, low, high, self.container
        )

    def _sound(self) -> int:
        """The first row of which it is known what it is."""
        for row in range(len(self)):
            try:
                self.kind(row)
            except InvalidData:
                continue
            return row
        return 0

    def read(self, rows: np.ndarray, form: ImageForm) -> np.ndarray:
        """The images of `rows`: ``(n, *form.shape)`` of dtype ``form.dtype``.

        Raises:
            InvalidData: if a row cannot be decoded or differs in form from the first row of the set.
        """
        out = np.empty((len(rows), *form.shape), form.dtype)
        for k, row in enumerate(rows.tolist()):
            image = self._sized(*self._array(row))
            if image.shape != form.shape or image.dtype != form.dtype:
                first = self._sound()
                raise self._mixed({self.kind(first): first, self.kind(row): row})
            out[k] = image
        return out

    def alone(self, row: int) -> np.ndarray:
        """One image ``(H, W)`` or ``(H, W, C)``, in its own size unless one was asked for."""
        stored, layout = self._array(row)
        image = self._sized(stored, layout)
        return np.ascontiguousarray(np.moveaxis(image, 0, 2)) if layout == "CHW" else image

    def broken(self) -> dict[int, str]:
        """Rows that cannot be decoded, and why; each row is decoded."""
        found = {}
        for row in range(len(self)):
            try:
                self._array(row)
            except InvalidData as error:
                found[row] = str(error)
        return found

    def sizes(self) -> dict[str, int]:
        """Heights and widths as files and arrays have them, from their heads alone; broken ones have none."""
        found: Counter[str] = Counter()
        for row in range(len(self)):
            with suppress(InvalidData, UnsupportedKind):
                kind = self._kind(row)
                found[f"{kind.height}x{kind.width}"] += 1
        return dict(found.most_common())

    @property
    def opening(self) -> dict[str, Any]:
        """The size, how images are brought to it, and their mode, where these were asked for."""
        said = {"image_size": self.size, "mode": self.mode}
        return {"resize": self.resize} | {name: value for name, value in said.items() if value is not None}

    def as_asked(self, options: Mapping[str, Any], origin: str) -> Images:
        """The images, read in another size and mode."""
        if "kinds" in options:
            raise InvalidRequest(
                f"kinds={options['kinds']!r} was given, but {origin} holds images, which have no columns; leave it out"
            )
        size, mode, resize = (options.get(name) for name in ("image_size", "mode", "resize"))
        if mode is not None and mode not in MODES:
            raise InvalidRequest(f"mode={mode!r} was given; it is {quoted(MODES)}")
        if mode is not None and not self.converts:
            raise InvalidRequest(
                f"mode={mode!r} was given, but {origin} holds no picture files; convert the arrays first"
            )
        if resize is not None and resize not in get_args(Resize):
            raise InvalidRequest(f"resize={resize!r} was given.{did_you_mean(str(resize), get_args(Resize))}")
        return replace(self, size=_size(size), mode=mode, resize=resize or "stretch")

    @property
    def resized(self) -> bool:
        """Whether images are brought to a size that was asked for."""
        return self.size is not None

    def in_memory(self, form: ImageForm) -> bool:
        """Whether arrays of this form lie in memory."""
        return False

    def replaced(self, rows: np.ndarray, names: Callable[[int], str], form: ImageForm) -> Stack:
        """Arrays in memory."""
        return Stack(form.container, names, self.size, arrays=rows)

    def chosen(self, rows: np.ndarray) -> Chosen:
        """Some of the images."""
        return Chosen(self.container, None, self.size, self.resize, self.mode, self, rows)

    def require_alike(self, rows: np.ndarray) -> None:
        """Refuse rows that cannot be read into one form, without decoding them.

        Raises:
            InvalidData: at mixed forms, naming a row of each.
        """
        kinds = self._kinds(rows)
        if len(kinds) > 1:
            raise self._mixed(kinds)

    def require_finite(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Refuse what no arithmetic can be done with.

        Args:
            rows: numbers of rows.
            values: what they were read as.

        Raises:
            InvalidData: naming the first row with a value that is not finite.
        """
        if values.dtype.kind != "f":
            return
        with np.errstate(over="ignore"):  # what is learned has 32 bits
            finite = np.isfinite(values.astype(np.float32)).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            name = self.name(int(rows[int(np.argmin(finite))]))
            raise InvalidData(
                f"{name} holds NaN or infinite values, or some beyond 32 bits; remove the row or replace the values"
            )

    def _kinds(self, rows: np.ndarray) -> dict[Kind, int]:
        """Each kind and the first of `rows` that has it."""
        kinds: dict[Kind, int] = {}
        for row in rows.tolist():
            kinds.setdefault(self.kind(row), row)
        return kinds

    def _mixed(self, kinds: Mapping[Kind, int]) -> InvalidData:
        found = "; ".join(f"{kind} ({self.name(row)})" for kind, row in list(kinds.items())[:4])
        if len({kind[2:] for kind in kinds}) > 1:
            return InvalidData(
                f"the images are of mixed kinds: {found}. Bring picture files to one mode with mode= of open_data "
                '(--mode), e.g. "RGB", and arrays to one dtype'
            )
        return InvalidData(
            f"the images have {len(kinds)} different sizes: {found}. "
            "Pass image_size=N or image_size=(height, width) to resize every image on reading"
        )

    def _sized(self, image: np.ndarray, layout: Layout) -> np.ndarray:
        if self.size is None:
            return image
        planes = _channels_first(image, layout)
        if planes.shape[1:] == self.size:
            return image
        if self.resize == "crop":
            planes = _middle(planes, self.size)
        inside = self.size if self.resize != "pad" else _fitting(planes.shape[1:], self.size)
        # Bilinear weights are convex, so the value range cannot grow; Pillow widens them when it shrinks.
        box = (inside[1], inside[0])
        mode = np.uint8 if image.dtype == np.uint8 else np.float32
        resized = np.stack(
            [
                np.asarray(Image.fromarray(plane.astype(mode)).resize(box, Image.Resampling.BILINEAR))
                for plane in planes
            ]
        )
        if image.dtype.kind in "iu":
            resized = np.rint(resized)
        if inside != self.size:
            top, left = ((whole - part) // 2 for whole, part in zip(self.size, inside, strict=True))
            ends = ((top, self.size[0] - inside[0] - top), (left, self.size[1] - inside[1] - left))
            resized = np.pad(resized, ((0, 0), *ends))
        resized = resized.astype(image.dtype)
        return resized if layout == "CHW" else resized[0] if layout == "HW" else np.moveaxis(resized, 0, 2)


def _size(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if image_size is None:
        return None
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2 or not all(isinstance(side, int) and side >= SMALLEST for side in size):
        raise InvalidRequest(
            f"image_size={image_size} was given; it is a number of pixels, {SMALLEST} or more, or "
            "(height, width)"
        )
    return size


def _middle(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The largest part of a picture, from its middle, that has the shape of a size."""
    height, width = planes.shape[1:]
    scale = min(height / size[0], width / size[1])
    tall, wide = (max(1, min(n, round(side * scale))) for n, side in zip((height, width), size, strict=True))
    top, left = (height - tall) // 2, (width - wide) // 2
    return planes[:, top : top + tall, left : left + wide]


def _fitting(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """The largest size of a picture's own shape that fits into a size."""
    scale = min(size[0] / shape[0], size[1] / shape[1])
    height, width = (max(1, min(whole, round(n * scale))) for n, whole in zip(shape, size, strict=True))
    return height, width


@dataclass(frozen=True)
class Chosen(Images):
    """Some rows of others.

    Attributes:
        of: the others.
        rows: ``(n,)`` int64 numbers of these rows.
    """

    of: Images = None  # type: ignore[assignment]
    rows: np.ndarray = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, row: int) -> str:
        """What to call a row in a message."""
        return self.of.name(int(self.rows[row]))

    def file(self, row: int) -> Path | bytes | None:
        """The file that a row is, where the others are read as these are."""
        alike = (self.size, self.mode) == (self.of.size, self.of.mode)
        return self.of.file(int(self.rows[row])) if alike else None

    def _kind(self, row: int) -> Kind:
        return self.of._kind(int(self.rows[row]))

    def _array(self, row: int) -> tuple[np.ndarray, Layout]:
        return self.of._array(int(self.rows[row]))


@dataclass(frozen=True)
class Stack(Images):
    """Arrays in memory: ``(N, *shape)``, or N arrays of shapes of their own.

    In doubtful shapes, channels come first where the source holds torch tensors.
    """

    arrays: np.ndarray | Sequence[np.ndarray] = ()

    def __len__(self) -> int:
        return len(self.arrays)

    def _kind(self, row: int) -> Kind:
        array, layout = self._array(row)
        kind, bits = array.dtype.kind, 8 * array.dtype.itemsize
        if not (kind == "f" or (kind in "iu" and bits == 16) or (kind == "u" and bits == 8)):
            remedy = 'X.astype("uint8") * 255' if kind == "b" else 'X.astype("float32")'
            raise UnsupportedKind(
                f"images of dtype {array.dtype} were found; taken are uint8, 16-bit integers and floats: "
                f"convert with {remedy}"
            )
        planes = _channels_first(array, layout)
        return Kind(planes.shape[1], planes.shape[2], planes.shape[0], str(array.dtype), layout)

    def _array(self, row: int) -> tuple[np.ndarray, Layout]:
        array = self.arrays[row]
        return array, layout_of(array.shape, channels_first=self.container == "tensor")

    def in_memory(self, form: ImageForm) -> bool:
        """Whether the arrays are rows of this form already."""
        return isinstance(self.arrays, np.ndarray) and self.arrays.shape[1:] == form.shape

    def read(self, rows: np.ndarray, form: ImageForm) -> np.ndarray:
        """The images of `rows`, by one indexing in the usual case of equal forms."""
        if isinstance(self.arrays, np.ndarray) and self.in_memory(form):
            chosen: np.ndarray = self.arrays[rows]
            return chosen
        return super().read(rows, form)

    def _kinds(self, rows: np.ndarray) -> dict[Kind, int]:
        if isinstance(self.arrays, np.ndarray):
            return {self.kind(0): 0}
        return super()._kinds(rows)
