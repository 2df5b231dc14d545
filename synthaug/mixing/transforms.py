"""The transforms of a data set: its own, and those of the data sets that it wraps or joins."""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence
from functools import cache
from typing import Any

from torch.utils.data import Dataset

from synthaug.data.items import ItemFields


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
