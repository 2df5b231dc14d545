"""The structure of a batch: how many rows it has, where its labels are, and where images are, views included."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from synthaug.data.items import IMAGE_NAMES, LABEL_NAMES, ItemFields, Key, fields_of
from synthaug.errors import InvalidData, UnsupportedKind
from synthaug.modalities.cells import rows_among
from synthaug.modalities.image.cells import is_image

IN_THE_STEP = (
    "mix its batches in the training step, batch = mixer(batch) "
    "with mixer = synthaug.BatchMixer(samples, ratio=0.25"
)
"""What can be done where a loader cannot be mixed; further arguments and a bracket follow."""


def length_of(batch: Any) -> int:
    """The number of rows: of the tensor with the most axes, as images have them.

    Raises:
        UnsupportedKind: no tuple, list or dict, or one without a tensor that has rows.
    """
    if not isinstance(batch, Mapping | tuple | list):
        raise UnsupportedKind(
            f"a batch of type {type(batch).__name__} was given; taken are tuples, lists, named tuples and dicts with "
            "images and labels"
        )
    tensors = [value for value in _tensors(batch) if value.ndim]
    if not tensors:
        raise UnsupportedKind("a batch without a tensor was given; images are needed, (B, ...)")
    return len(max(tensors, key=lambda value: value.ndim))


def device_of(batch: Any) -> torch.device:
    """Where the batch is."""
    return next(_tensors(batch)).device


def fields_of_batch(
    batch: Any, rows: int, image: Key | Sequence[Key] | None, label: Key | None
) -> tuple[ItemFields, tuple[Key, ...]]:
    """Where image and label are, as in an item: the first row of each field that has rows; and all views of the image.

    Raises:
        InvalidData: several fields can be the image, and none was named.
        UnsupportedKind: images and labels lie together within one field.
    """
    every = fields_of(batch)
    first = {key: _first_of(value, rows) for key, value in every.items()}
    first = {key: value for key, value in first.items() if value is not None}
    for key, value in every.items():
        if label is None and isinstance(value, Mapping) and _has_labels(value, rows):
            raise UnsupportedKind(
                f"the field {key!r} of the batch holds images and labels itself: mix that field, "
                f"mixer(batch[{key!r}]), or name the labels beside it with label="
            )
    views = tuple(image) if isinstance(image, list | tuple) else () if image is None else (image,)
    found = rows_among({key: value for key, value in first.items() if key != label})
    if not views and len(found) > 1 and not set(found) & set(IMAGE_NAMES):
        raise InvalidData(
            f"several fields of the batch may be the image: {', '.join(map(repr, found))}. Name it, "
            f"synthaug.BatchMixer(..., image={found[0]!r}); or all that are views of one image, image={tuple(found)!r}"
        )
    as_it_is = len(first) == len(every) and not isinstance(batch, Mapping) and not hasattr(batch, "_fields")
    item: Any = tuple(first.values()) if as_it_is else first
    if as_it_is or not views or views[0] in first:
        fields = ItemFields.of(item, image=views[0] if views else None, label=label)
    else:
        raise InvalidData(f"the field {views[0]!r} of the batch has no row for each of the {rows} labels")
    return fields, views or (fields.image,)


def each_view(value: Any, rows: int, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """A field with its images changed: it is a tensor of them, or holds some, as views of the same image."""
    if torch.is_tensor(value):
        return change(value) if _are_images(value, rows) or _are_vectors(value, rows) else value
    if isinstance(value, Mapping):
        changed: Any = copy.copy(value)
        for key, part in value.items():
            changed[key] = part if _is_flat(part) else each_view(part, rows, change)
        return changed
    if isinstance(value, tuple | list):
        parts = [part if _is_flat(part) else each_view(part, rows, change) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


def views_in(value: Any, rows: int) -> list[torch.Tensor]:
    """The images of a field; the vectors where it is a tensor of such."""
    if torch.is_tensor(value) and _are_vectors(value, rows):
        return [value]
    return [tensor for tensor in _tensors((value,)) if _are_images(tensor, rows)]


def views_of_item(item: Any) -> int:
    """How many images an item has, in its fields and within these."""
    if is_image(item):
        return 1
    if isinstance(item, Mapping):
        return sum(map(views_of_item, item.values()))
    return sum(map(views_of_item, item)) if isinstance(item, tuple | list) else 0


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if torch.is_tensor(value):
        yield value
    elif isinstance(value, Mapping | tuple | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(part)


def _are_images(value: torch.Tensor, rows: int) -> bool:
    return value.ndim in (3, 4) and len(value) == rows


def _are_vectors(value: torch.Tensor, rows: int) -> bool:
    return value.ndim == 2 and len(value) == rows and value.shape[1] > 1


def _is_flat(value: Any) -> bool:
    """Whether a part of a field is a tensor without the axes of images; beside images it is none of them."""
    return torch.is_tensor(value) and value.ndim < 3


def _first_of(value: Any, rows: int) -> Any:
    """The first row of a field; None where it has no rows."""
    if isinstance(value, Mapping | tuple | list) and (found := views_in(value, rows)):
        return found[0][0]
    if isinstance(value, Mapping | str) or not hasattr(value, "__getitem__"):
        return None
    try:
        return value[0] if len(value) == rows else None
    except TypeError:  # a tensor or an array without axes
        return None


def _has_labels(field: Mapping[Any, Any], rows: int) -> bool:
    if not views_in(field, rows):
        return False
    return any(torch.is_tensor(field.get(name)) and field[name].ndim == 1 for name in LABEL_NAMES)
