"""Where image and label sit in one item of a map-style data set, and how to make an item like it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthaug.data.classes import Label, plain_label
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind
from synthaug.modalities.arrays import as_array
from synthaug.modalities.cells import rows_among
from synthaug.modalities.image.cells import image_like, is_image
from synthaug.wording import did_you_mean

Key = int | str
"""The position or the name of a field of an item, or of a column."""

IMAGE_NAMES = ("image", "img", "pixel_values", "picture", "images", "x", "X")
LABEL_NAMES = ("label", "labels", "class", "target", "category", "cls", "y")

_FILE = re.compile(
    r"\.(png|jpe?g|jfif|webp|bmp|gif|tiff?|p[gp]m|avif|heic|dcm|nii(\.gz)?|npy)$", re.IGNORECASE
)


@dataclass(frozen=True)
class ItemFields:
    """The structure of one item: a tuple, list, namedtuple or dict with an image, or a vector, and a label in it.

    Attributes:
        image: position or key of the image.
        label: position or key of the label.
        others: positions or keys of the remaining fields.

    Example:
        >>> picture = np.zeros((8, 8), np.uint8)
        >>> fields = ItemFields.of({"image": picture, "label": np.int64(3), "path": "a.png"})
        >>> fields.build(picture, 5, like={"image": picture, "label": np.int64(3)}, fill={"path": ""})["label"]
        np.int64(5)
    """

    image: Key
    label: Key
    others: tuple[Key, ...] = ()

    @classmethod
    def of(
        cls, item: Any, label_value: Label | None = None, image: Key | None = None, label: Key | None = None
    ) -> ItemFields:
        """Find the image and the label of `item`.

        Args:
            item: one item of a data set.
            label_value: the label this item is known to have, to tell its field among several.
            image: position or key of the image, where it cannot be guessed.
            label: position or key of the label, where it cannot be guessed.

        Raises:
            UnsupportedKind: if the item is of another kind, as one of text or of signals is, or its label is not one
                class.
            InvalidData: if image or label are not found or several fields qualify.
            InvalidRequest: if a named field does not exist.
        """
        fields = fields_of(item)
        for key in (image, label):
            if key is not None and key not in fields:
                known = [str(k) for k in fields]
                raise InvalidRequest(f"the items have no field {key!r}.{did_you_mean(str(key), known)}")
        if image is None:
            pictures = rows_among({key: value for key, value in fields.items() if key != label})
            if not pictures:
                _refuse_other_kinds(fields, label)
            image = _only(pictures, IMAGE_NAMES, "image", fields)
        if label is None:
            rest = [key for key in fields if key != image]
            can_be = [key for key in rest if _may_be_label(fields[key])]
            if label_value is not None:
                can_be = [key for key in rest if _is_label(fields[key], label_value)] or can_be
            # where none can be, what stands in its place says why
            label = _only(
                can_be or rest[: None if isinstance(item, Mapping) else 1], LABEL_NAMES, "label", fields
            )
        plain_label(fields[label])
        return cls(image, label, tuple(key for key in fields if key not in (image, label)))

    def image_of(self, item: Any) -> Any:
        """The image as the data set hands it out: a PIL image, an array or a tensor."""
        return fields_of(item)[self.image]

    def label_of(self, item: Any) -> Label:
        """The label as a Python int, str, bool or whole float."""
        return plain_label(fields_of(item)[self.label])

    def build(self, image: Any, label: Label, like: Any, fill: Mapping[Key, Any] | None = None) -> Any:
        """An item of the type of `like` with another image and label.

        Args:
            image: what to put in: an array becomes a PIL image or a tensor where `like` has one; anything
                else (the result of a transform, say) is put in as it is.
            label: the class in the data set's own encoding; it takes the type of the label of `like`.
            like: an item of the data set; it is not changed.
            fill: values of the remaining fields.

        Raises:
            InvalidRequest: if a remaining field has no value in `fill`.
        """
        fill = fill or {}
        for key in self.others:
            if key not in fill:
                raise InvalidRequest(
                    f"the items of the data set have a field {key!r} beside image and label, and a "
                    f"synthetic row has no value for it: pass fill={{{key!r}: value}}"
                )
        old = fields_of(like)
        new = {key: fill[key] for key in self.others}
        new[self.image] = image_like(image, old[self.image])
        new[self.label] = label_like(label, old[self.label])
        if isinstance(like, Mapping):
            item: Any = copy.copy(like)
            for key, value in new.items():
                item[key] = value
            return item
        values = [new[key] for key in old]
        return type(like)(*values) if hasattr(like, "_fields") else type(like)(values)


def fields_of(item: Any) -> Mapping[Any, Any]:
    """The fields of an item, or of a batch of the same structure, by key or position.

    Raises:
        UnsupportedKind: neither tuple, list, named tuple nor dict.
    """
    if isinstance(item, Mapping):
        return item
    if isinstance(item, tuple) and hasattr(item, "_fields"):
        return dict(zip(item._fields, item, strict=True))
    if isinstance(item, tuple | list):
        return dict(enumerate(item))
    raise UnsupportedKind(
        f"an item of type {type(item).__name__} was found; taken are (image, label) tuples, lists and "
        "namedtuples, and dicts with an image and a label"
    )


def with_field(item: Any, key: Key, value: Any) -> Any:
    """An item, or a batch, like the given one with another value in one field."""
    if isinstance(item, Mapping):
        changed: Any = copy.copy(item)
        changed[key] = value
        return changed
    values = [value if name == key else old for name, old in fields_of(item).items()]
    return type(item)(*values) if hasattr(item, "_fields") else type(item)(values)


def _only(found: Sequence[Key], names: Sequence[str], what: str, fields: Mapping[Any, Any]) -> Key:
    """The one field that can be meant: the only one, that of the most usual name, or the only one of a usual name."""
    if len(found) == 1:
        return found[0]
    usual = [key for name in names for key in found if key == name]
    if usual and (len(usual) == 1 or usual[0] == names[0]):
        return usual[0]
    if not found:
        raise InvalidData(
            f"no {what} was found among the fields of an item: {_shown(fields, fields)}. Name it with {what}=, as in "
            f"open_data(dataset, {what}=...), or in a mix with items=synthaug.Items({what}=...)"
        )
    last = repr(found[-1])
    raise InvalidData(
        f"several fields of an item may be the {what}: {_shown(fields, found)}. Name it with {what}=, as in "
        f"open_data(dataset, {what}={last}), or in a mix with items=synthaug.Items({what}={last})"
    )


def _shown(fields: Mapping[Any, Any], keys: Iterable[Any]) -> str:
    return ", ".join(f"{key!r} ({type(fields[key]).__name__})" for key in keys)


def _refuse_other_kinds(fields: Mapping[Any, Any], label: Key | None) -> None:
    """Refuse items that hold something else in the place of an image.

    Raises:
        UnsupportedKind: text, rows of numbers or fields within fields.
    """
    for key, value in fields.items():
        if key == label:
            continue
        if isinstance(value, Mapping | tuple | list) and any(map(is_image, fields_of(value).values())):
            raise UnsupportedKind(
                f"the field {key!r} of an item holds several fields with an image among them; a data set has to hand "
                "out the image itself"
            )
        array = as_array(value)
        if isinstance(array, np.ndarray) and array.ndim and array.size > 1:
            raise UnsupportedKind(
                f"the field {key!r} of an item has the shape {array.shape} of {array.dtype} and is neither an image "
                "nor a vector; signals and videos are not supported yet"
            )
    others = [key for key in fields if key != label and key not in LABEL_NAMES]
    texts = [key for key in others if isinstance(fields[key], str)]
    if texts:
        raise UnsupportedKind(
            f"the field {texts[0]!r} of an item is text, {fields[texts[0]][:30]!r}, and no field is an image; text is "
            "not supported yet; where it is the path of an image, open that first"
        )


def _may_be_label(value: Any) -> bool:
    """Whether this can be one class; the path of a file is none."""
    try:
        label = plain_label(value)
    except (InvalidData, UnsupportedKind):
        return False
    return not (isinstance(label, str) and _FILE.search(label))


def _is_label(value: Any, label: Label) -> bool:
    try:
        found = plain_label(value)
    except (InvalidData, UnsupportedKind):
        return False
    return type(found) is type(label) and found == label


def label_like(label: Label, like: Any) -> Any:
    """A label in the place of another one: of its type, dtype and shape."""
    array = as_array(like)
    if array is not like:
        import torch

        assert not isinstance(label, str)
        return torch.full_like(like, label)
    if isinstance(like, np.ndarray):
        return np.full(like.shape, label, None if like.dtype.kind == "U" else like.dtype)
    if isinstance(like, list | tuple):
        return type(like)([label_like(label, one) for one in like])
    return type(like)(label)
