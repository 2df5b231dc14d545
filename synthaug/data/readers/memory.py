"""Data sets in memory: arrays, lists of pictures, and torch data sets that are read row by row."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from synthaug.data.classes import names_of
from synthaug.data.items import ItemFields, Key
from synthaug.data.readers.base import Columns, Source, group_array
from synthaug.data.readers.tables import read_vectors
from synthaug.data.readers.written import feature_of_labels
from synthaug.errors import InvalidData, SynthaugWarning, UnsupportedKind
from synthaug.modalities.arrays import are_equal, as_array
from synthaug.modalities.base import Container
from synthaug.modalities.image.images import Images, Stack
from synthaug.modalities.image.kinds import is_signal, narrowed
from synthaug.modalities.image.pictures import Pictures


def read_arrays(
    x: Any, y: Any, group: Any = None, origin: str = "arrays", columns: Columns | None = None
) -> Source:
    """The rows of ``X`` and the labels of ``y``."""
    if hasattr(x, "iloc"):
        x = x.to_list()
    if (vectors := _vectors(x)) is not None:
        told = Columns() if columns is None else columns
        return read_vectors(vectors, y, replace(told, group=group), origin)
    images = stored(list(x)) if isinstance(x, list | tuple) else _of_array(x)
    one = isinstance(y, np.ndarray) and not y.ndim
    n = len(y) if hasattr(y, "__len__") and not one else None
    if n != len(images):
        raise InvalidData(f"{len(images)} images and {n} labels were given; every image needs one label")
    groups = group_array(group, len(images))
    return Source(images, y, origin, groups=groups, label_feature=feature_of_labels(y))


def _vectors(x: Any) -> Any:
    """``x`` where it is an array of one vector a row, or a list of vectors of one length; None elsewhere."""
    if isinstance(x, list | tuple):
        arrays = [as_array(row) for row in x]
        alike = {(a.shape, a.dtype) if isinstance(a, np.ndarray) else None for a in arrays}
        if len(alike) != 1 or None in alike or arrays[0].ndim != 1 or arrays[0].size < 2:
            return None
        stacked = np.stack(arrays)
        return stacked if arrays[0] is x[0] else sys.modules["torch"].from_numpy(stacked)
    array = as_array(x)
    return x if isinstance(array, np.ndarray) and array.ndim == 2 and array.dtype.kind in "biuf" else None


def _of_array(x: Any) -> Images:
    array = as_array(x)
    if not isinstance(array, np.ndarray):
        raise UnsupportedKind(
            f"X of type {type(x).__name__} was given; taken are NumPy arrays and torch tensors"
        )
    if array.dtype == object or array.dtype.kind in "US":
        return stored(list(array))
    if array.ndim not in (3, 4):
        raise UnsupportedKind(
            f"X of shape {array.shape} was given; images are (N, H, W), (N, H, W, C) or (N, C, H, W), vectors (N, D), "
            "and signals are not supported yet"
        )
    if array.ndim == 3 and len(array) and is_signal(array):
        _refuse_signals(f"X of shape {array.shape} {array.dtype}", array.shape[1:])
    return Stack("array" if array is x else "tensor", arrays=narrowed(_native(array)))


def stored(pictures: list[Any]) -> Images:
    """Images in a list: arrays, tensors or PIL images."""
    if pictures and all(isinstance(picture, Image.Image) for picture in pictures):
        return Pictures(container="pil", entries=pictures)
    arrays = [as_array(picture) for picture in pictures]
    for row, array in enumerate(arrays):
        if isinstance(array, str | os.PathLike):
            raise UnsupportedKind(
                f"row {row} of X is text, {str(array)[:30]!r}; text is not supported yet; where these are paths of "
                "images, open them first: [PIL.Image.open(path) for path in X]"
            )
        if not isinstance(array, np.ndarray):
            raise InvalidData(
                f"row {row} holds an image of type {type(array).__name__}; all must be arrays, "
                "or all PIL images"
            )
        if array.ndim < 2 and array.size != 1:
            raise UnsupportedKind(
                f"row {row} has the shape {array.shape}, and others have another; images have a height and a width, "
                "and vectors are all of one length"
            )
        if array.ndim == 2 and is_signal(array[None]):
            _refuse_signals(f"row {row} of shape {array.shape} {array.dtype}", array.shape)
    container: Container = "tensor" if arrays and arrays[0] is not pictures[0] else "array"
    if len({(array.shape, array.dtype) for array in arrays}) == 1:
        return Stack(container, arrays=narrowed(_native(np.stack(arrays))))
    native = [_native(array.copy()) for array in arrays]
    if len({array.dtype for array in native}) == 1 and all(array.size for array in native):
        # of as few bits as the values of all of them need
        ends = np.array([end for array in native for end in (array.min(), array.max())])
        native = [array.astype(narrowed(ends).dtype, copy=False) for array in native]
    return Stack(container, arrays=native)


def _refuse_signals(what: str, shape: tuple[int, ...]) -> NoReturn:
    raise UnsupportedKind(
        f"{what} was found: by their proportions these are signals of {min(shape)} channels and {max(shape)} steps, "
        f"which are not supported yet; if they are pictures of {shape[0]}x{shape[1]} pixels, say so by an axis for the "
        "channel: X[..., None]"
    )


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
    if not are_equal(fields.image_of(first), fields.image_of(again)) or (
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
    named = group_array(groups if by_key else group, n)
    found = read_arrays(pictures, targets, None, f"data set {type(source).__name__}")
    return replace(found, names=_class_names(source, fields, targets), groups=named, label_feature=None)


def _class_names(source: Any, fields: ItemFields, targets: Sequence[Any]) -> Sequence[str] | None:
    """What the set itself calls its labels, if these are positions in the names."""
    names = names_of(source, fields.label)
    if names is None:
        if _disagree(source, fields.label):
            warnings.warn(
                f"the parts of the data set {type(source).__name__} call their labels differently, so the classes are "
                "called by their labels; if one label means one class in all parts, all is well",
                SynthaugWarning,
                stacklevel=2,
            )
        return None
    fits = all(type(target) in (int, float) and 0 <= target < len(names) for target in targets)
    return names if fits else None


def _disagree(source: Any, label: Key) -> bool:
    """Whether parts of a data set that are joined, as by ``ConcatDataset``, have names that differ."""
    while source is not None:
        parts = getattr(source, "datasets", None)
        if isinstance(parts, list | tuple):
            return len({tuple(names_of(part, label) or ()) for part in parts}) > 1 or any(
                _disagree(part, label) for part in parts
            )
        source = getattr(source, "dataset", None)
    return False


def rows_of(source: Any, rows: np.ndarray) -> Any:
    """The rows of these numbers of what was opened, of its own kind; a path stands for itself."""
    if isinstance(source, str | os.PathLike):
        return source
    if isinstance(source, tuple) and len(source) == 2:
        return tuple(_few(part, rows) for part in source)
    if isinstance(source, Mapping):  # of splits, one after another
        starts = np.cumsum([0, *map(len, source.values())])
        parts = {
            name: part.select(rows[(rows >= start) & (rows < start + len(part))] - start)
            for (name, part), start in zip(source.items(), starts, strict=False)
        }
        made: Any = type(source)
        return made(parts)
    if hasattr(source, "iloc"):
        return source.iloc[rows]
    if hasattr(source, "combine_chunks"):  # an Arrow table
        return source.take(rows)
    if hasattr(source, "select"):
        return source.select(rows)
    if isinstance(source, list):
        return _few(source, rows)
    from torch.utils.data import Subset

    return Subset(source, rows.tolist())


def _few(part: Any, rows: np.ndarray) -> Any:
    if isinstance(part, list | tuple):
        return type(part)([part[row] for row in rows.tolist()])
    return part.iloc[rows] if hasattr(part, "iloc") else part[rows]
