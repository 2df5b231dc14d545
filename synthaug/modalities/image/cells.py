"""How an image lies in an item, in a column and in a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from synthaug.modalities.arrays import as_array
from synthaug.modalities.base import Container, Form
from synthaug.modalities.image.form import CHANNELS, ImageForm, Layout
from synthaug.modalities.image.opening import opened_picture
from synthaug.modalities.image.pictures import Pictures

_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}


def is_image(value: Any) -> bool:
    """Whether a value can be an image: a PIL image, or an array or tensor of numbers with two or three axes."""
    if isinstance(value, Image.Image):
        return True
    array = as_array(value)
    return isinstance(array, np.ndarray) and array.ndim in (2, 3) and array.dtype.kind in "buif"


def image_like(image: Any, like: Any) -> Any:
    """An array as a PIL image or a tensor where ``like`` is one, of its dtype where that has more bits than pictures.

    What is no array is given back as it is.
    """
    if not isinstance(image, np.ndarray):
        return image
    beside = as_array(like)
    if isinstance(beside, np.ndarray) and beside.dtype.kind in "iu" and beside.dtype.itemsize > 2:
        image = image.astype(beside.dtype) if np.can_cast(image.dtype, beside.dtype) else image
    if isinstance(like, Image.Image):
        return Image.fromarray(image)
    if as_array(like) is not like:  # a tensor
        import torch

        return torch.from_numpy(np.array(image, order="C"))
    return image.copy()  # a transform that works in place must not reach the pool


def channels_last(pixels: np.ndarray) -> tuple[np.ndarray, bool]:
    """A view of one image with its channels last, and whether they came first; in doubt they are last.

    >>> channels_last(np.zeros((3, 8, 9)))[0].shape, channels_last(np.zeros((8, 9, 3)))[0].shape
    ((8, 9, 3), (8, 9, 3))
    """
    first = pixels.ndim == 3 and pixels.shape[-1] not in CHANNELS and pixels.shape[0] in CHANNELS
    return (np.moveaxis(pixels, 0, -1) if first else pixels), first


def container_of(image: Any) -> Container:
    """What an image is held in."""
    if isinstance(image, Image.Image):
        return "pil"
    return "array" if as_array(image) is image else "tensor"


def contained(image: np.ndarray, layout: Layout, container: Container) -> Any:
    """An array of this layout in a container of the kind that is asked for."""
    if container == "tensor":
        import torch

        return torch.from_numpy(image)
    if container == "pil":
        planes = np.moveaxis(image, 0, 2) if layout == "CHW" else image
        return Image.fromarray(np.ascontiguousarray(planes[..., 0] if planes.shape[2:] == (1,) else planes))
    return image


def fits_png(form: Form) -> bool:
    """Whether rows of this form can be PNG files: uint8, or uint16 in one channel."""
    if not isinstance(form, ImageForm):
        return False
    return form.dtype == "uint8" or (form.dtype == "uint16" and form.channels == 1)


def png_bytes(image: np.ndarray, form: Form) -> bytes:
    """One row as a PNG file: ``image`` of shape ``form.shape``, see `fits_png`."""
    assert isinstance(form, ImageForm), "see fits_png"
    pixels = np.moveaxis(image, 0, -1) if form.layout == "CHW" else image
    if form.channels == 1:
        pixels = pixels.reshape(form.height, form.width)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def from_file(file: Path | bytes) -> np.ndarray:
    """The pixels of the file of a picture, by its path or its bytes: ``(H, W)`` or ``(H, W, C)``.

    Raises:
        InvalidData: it cannot be read.
    """
    return Pictures(entries=[file]).alone(0)


def suffix_of(file: Path | bytes) -> str:
    """What the file of a picture is called at its end, by what is in it."""
    with opened_picture(file) as image:
        format = image.format or "PNG"
    return _SUFFIXES.get(format, f".{format.lower()}")


def from_pixels(images: Any, form: ImageForm) -> np.ndarray:
    """``(n, *form.shape)`` of arrays as PNG files hold them, channels last or none, or of rows as they are."""
    stacked = np.stack(images)
    if form.layout == "CHW" and stacked.ndim == 4 and stacked.shape[1:] != form.shape:
        stacked = np.moveaxis(stacked, 3, 1)
    return np.ascontiguousarray(stacked.reshape(len(stacked), *form.shape), form.dtype)
