"""The transforms of a data set: its own, and those of the data sets that it wraps or joins."""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Subset

from synthaug.data.items import ItemFields, with_field


def inner(dataset: Any) -> Any:
    """The data set that another one reads from, the first of several; None where it reads from none.

    Looked for where ``Subset`` and ``ConcatDataset`` keep it: in ``dataset`` and ``datasets``.
    """
    parts = getattr(dataset, "datasets", None)
    below = parts[0] if isinstance(parts, list | tuple) and parts else getattr(dataset, "dataset", None)
    rows = hasattr(below, "__getitem__") and hasattr(below, "__len__") and not isinstance(below, str | bytes)
    return below if rows or isinstance(below, Dataset) else None


def transforms_of(dataset: Any) -> list[tuple[Any, Any]]:
    """Each data set that has a ``transform``, with it, in the order in which they are applied."""
    found: list[tuple[Any, Any]] = []
    while dataset is not None:
        if callable(own := getattr(dataset, "transform", None)):
            found.insert(0, (dataset, own))
        dataset = inner(dataset)
    return found


def without_transforms(dataset: Any, fields: ItemFields, *, deep: bool = True) -> Any:
    """The data set without its ``transform`` and those below, where these are attributes; else as it is.

    Args:
        dataset: any map-style data set.
        fields: where the image is in its items, which have to be readable without, too.
        deep: also those below another one.
    """
    try:
        plain, own = copy.copy(dataset), callable(getattr(dataset, "transform", None))
        if own:
            plain.transform = unchanged
        below = (deep or not own) and _put_below(plain, dataset, fields, deep)
        if not own and not below:
            return dataset
        fields.image_of(plain[0])
    except Exception:  # it uses its transform in a way of its own, or will not have it set
        return dataset
    return plain


def _put_below(plain: Any, dataset: Any, fields: ItemFields, deep: bool) -> bool:
    parts, below = getattr(dataset, "datasets", None), inner(dataset)
    if below is None:
        return False
    if isinstance(parts, list | tuple):
        changed = [without_transforms(part, fields, deep=deep) for part in parts]
        if all(map(operator.is_, changed, parts)):
            return False
        plain.datasets = type(parts)(changed)
        return True
    plain.dataset = without_transforms(below, fields, deep=deep)
    return plain.dataset is not below


class Chain:
    """A transform before that of a data set, called as the latter is."""

    def __init__(self, first: Any, then: Any) -> None:
        self.first, self.then = first, then

    def __call__(self, *image: Any, **named: Any) -> Any:
        """What comes of an image that is given by position, or of inputs by name, as albumentations takes them."""
        if named:
            return self.then(**{**named, "image": self.first(named["image"])})
        if len(image) > 1:  # with a target, say
            return self.then(self.first(image[0]), *image[1:])
        return applied([self.then], self.first(image[0]))


class Augmented(Subset[Any]):
    """All rows of a data set, whose images are changed as they are handed out.

    Attributes:
        transform: applied to the image of each.
    """

    def __init__(self, dataset: Any, transform: Any, fields: ItemFields) -> None:
        super().__init__(dataset, range(len(dataset)))
        self.transform, self._fields = transform, fields

    def __getitem__(self, row: Any) -> Any:
        item = self.dataset[row]
        return with_field(item, self._fields.image, self.transform(self._fields.image_of(item)))

    def __getitems__(self, rows: list[int]) -> list[Any]:
        return [self[row] for row in rows]


def put_first(dataset: Any, first: Any, fields: ItemFields) -> tuple[Any, list[Any]]:
    """The data set with a transform before its own ones; around its items where it has none that it uses.

    Args:
        dataset: a map-style data set; it stays as it is.
        first: an image to one of the same kind.
        fields: where the image is in its items.

    Returns:
        The data set, and some images as the transform will be given them.
    """
    within = _put_within(dataset, first)
    seen = [] if within is None else _given_to_chains(within, fields)
    if seen:
        return within, seen
    parts, at = getattr(dataset, "datasets", None), [0]
    if isinstance(parts, list | tuple) and parts:
        at = np.cumsum([0, *map(len, parts[:-1])]).tolist()
    return Augmented(dataset, first, fields), [fields.image_of(dataset[row]) for row in at]


def _put_within(dataset: Any, first: Any) -> Any:
    """A copy with the transform before the innermost of its own; None where it has none."""
    parts, below = getattr(dataset, "datasets", None), inner(dataset)
    plain = copy.copy(dataset)
    if below is not None and isinstance(parts, list | tuple):
        changed = [_put_within(part, first) for part in parts]
        if any(part is None for part in changed):
            return None
        plain.datasets = type(parts)(changed)
        return plain
    deeper = None if below is None else _put_within(below, first)
    if deeper is not None:
        plain.dataset = deeper
        return plain
    if not callable(own := getattr(dataset, "transform", None)):
        return None
    plain.transform = Chain(first, own)
    return plain


def _given_to_chains(dataset: Any, fields: ItemFields) -> list[Any]:
    """The images that chains in a data set are given when an item of each part is read; none where one is not used."""
    parts = getattr(dataset, "datasets", None)
    if isinstance(parts, list | tuple) and parts:
        each = [_given_to_chains(part, fields) for part in parts]
        return [image for images in each for image in images] if all(each) else []
    seen: list[Any] = []
    for _, chain in transforms_of(dataset):
        if isinstance(chain, Chain):
            chain.first, kept = _noting(seen), chain.first
            try:
                fields.image_of(dataset[0])
            except Exception:  # it uses its transform in a way of its own
                return []
            finally:
                chain.first = kept
    return seen


def _noting(seen: list[Any]) -> Any:
    def note(image: Any) -> Any:
        seen.append(image)
        return image

    return note


def unchanged(*image: Any, **named: Any) -> Any:
    """What it is given, by position or by name."""
    return image[0] if image else named


def applied(transforms: Sequence[Any], image: Any) -> Any:
    """An image after some transforms, each called as its library asks to be."""
    for transform in transforms:
        kind: Any = type(transform)
        image = transform(image=image)["image"] if _is_called_by_name(kind) else transform(image)
    return image


@cache
def _is_called_by_name(kind: type) -> bool:
    return any(base.__module__.partition(".")[0] == "albumentations" for base in kind.__mro__)
