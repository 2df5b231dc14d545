"""Data sets in memory: arrays, lists of pictures, and torch data sets that are read row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from synthaug.data.classes import names_of
from synthaug.data.items import ItemFields
from synthaug.data.readers.base import NO_TABLES, Columns, Source, group_array
from synthaug.errors import InvalidData, UnsupportedKind
from synthaug.modalities.arrays import as_array
from synthaug.modalities.image.form import Container
from synthaug.modalities.image.pictures import Images, Pictures, Stack


def read_arrays(x: Any, y: Any, group: Any = None, origin: str = "arrays") -> Source:
    """The rows of ``X`` and the labels of ``y``."""
    if isinstance(x, list | tuple):
        images = stored(list(x))
    else:
        array = as_array(x)
        if not isinstance(array, np.ndarray):
            raise UnsupportedKind(
                f"X of type {type(x).__name__} was given; taken are NumPy arrays and torch tensors"
            )
        if array.dtype == object:
            images = stored(list(array))
        elif array.ndim not in (3, 4):
            raise UnsupportedKind(
                f"X of shape {array.shape} was given; images are (N, H, W), (N, H, W, C) or (N, C, H, W), "
                f"and {NO_TABLES}"
            )
        else:
            images = Stack("array" if array is x else "tensor", arrays=_native(array))
    n = len(y) if hasattr(y, "__len__") else None
    if n != len(images):
        raise InvalidData(f"{len(images)} images and {n} labels were given; every image needs one label")
    return Source(images, y, origin, groups=group_array(group, len(images)))


def stored(pictures: list[Any]) -> Images:
    """Images in a list: arrays, tensors or PIL images."""
    if pictures and all(isinstance(picture, Image.Image) for picture in pictures):
        return Pictures(container="pil", entries=pictures)
    arrays = [as_array(picture) for picture in pictures]
    for row, array in enumerate(arrays):
        if not isinstance(array, np.ndarray):
            raise InvalidData(
                f"row {row} holds an image of type {type(array).__name__}; all must be arrays, "
                "or all PIL images"
            )
    container: Container = "tensor" if arrays and arrays[0] is not pictures[0] else "array"
    if len({(array.shape, array.dtype) for array in arrays}) == 1:
        return Stack(container, arrays=_native(np.stack(arrays)))
    return Stack(container, arrays=[_native(array.copy()) for array in arrays])


def _native(array: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def read_map_style(source: Any, columns: Columns) -> Source:
    """The items of a data set that is read row by row, once."""
    group = columns.group
    n = len(source)
    if n == 0:
        raise InvalidData("the data set holds no rows")
    first, again = source[0], source[0]
    fields = ItemFields.of(first, image=columns.image, label=columns.label)
    if not np.array_equal(_pixels(fields.image_of(first)), _pixels(fields.image_of(again))) or (
        fields.label_of(first) != fields.label_of(again)
    ):
        raise InvalidData(
            "row 0 of the data set was read twice and differed: pass the set without its random transform"
        )
    pictures, targets, groups = [], [], []
    by_key = isinstance(group, str | int)
    for row in range(n):
        item = first if row == 0 else source[row]
        picture = fields.image_of(item)
        if isinstance(picture, Image.Image):
            try:
                picture.load()
            except OSError as error:
                raise InvalidData(
                    f"row {row} cannot be read as an image: {error}. Remove or replace it"
                ) from error
        pictures.append(picture)
        try:
            targets.append(fields.label_of(item))
        except (InvalidData, UnsupportedKind) as error:
            raise type(error)(f"row {row}: {error}") from None
        if by_key:
            groups.append(ItemFields.of(item, image=fields.image, label=group).label_of(item))
    return Source(
        stored(pictures),
        targets,
        f"data set {type(source).__name__}",
        names=_class_names(source, fields, targets),
        groups=group_array(groups if by_key else group, n),
    )


def _pixels(picture: Any) -> np.ndarray:
    return np.asarray(as_array(picture))


def _class_names(source: Any, fields: ItemFields, targets: Sequence[Any]) -> Sequence[str] | None:
    """What the set itself calls its labels, if these are positions in the names."""
    names = names_of(source, fields.label)
    fits = names is not None and all(type(target) is int and 0 <= target < len(names) for target in targets)
    return names if fits else None
