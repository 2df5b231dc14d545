"""Which columns of a table of pictures hold what."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.items import IMAGE_NAMES, LABEL_NAMES
from synthaug.data.readers.base import Columns, column_of
from synthaug.data.readers.plain import features_of, own_columns, synthetic_column
from synthaug.data.readers.written import feature_of_column, layout_of, names_in
from synthaug.errors import InvalidData, UnsupportedKind
from synthaug.wording import quoted

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class Found:
    """Which columns of an Arrow schema hold what; ``beside`` are the further ones of the user."""

    image: str
    label: str
    split: str | None
    group: str | None
    synthetic: str | None
    beside: list[str]
    encoded: bool
    dtype: np.dtype | None
    mode: str | None
    names: Sequence[str] | None
    feature: Mapping[str, Any]

    @property
    def few(self) -> list[str]:
        """The columns that are read at once, beside the images."""
        named = (self.label, self.split, self.group, self.synthetic)
        return [name for name in dict.fromkeys(named) if name]


def find_columns(
    schema: pyarrow.Schema,
    columns: Columns,
    origin: str,
    record: Mapping[str, Any] | None,
    *,
    apart: bool = False,
) -> Found:
    """Which columns hold what.

    Args:
        schema: of all columns.
        columns: what was said.
        origin: for messages.
        record: of an output of synthaug.
        apart: the splits are sets of their own, so that no column holds them.
    """
    layout, features = layout_of(record), features_of(schema)
    own = own_columns(schema, layout)
    image, label = columns.image, columns.label
    if layout is not None:
        image = layout.image if image is None else image
        label = layout.label if label is None else label
    image = _image_column(schema, features, image, origin)
    split = "split" if "split" in schema.names and not apart else None
    if layout is not None:
        split = layout.split
    others = [name for name in schema.names if name != image and name not in own]
    if label is None:
        label = _label_column(
            [name for name in others if name != split], features, schema, columns.group, origin
        )
    label = column_of(dict.fromkeys(others), label, LABEL_NAMES, "label", origin)
    split = None if split == label else split
    group = columns.group
    if isinstance(group, str | int):
        group = column_of(dict.fromkeys([*others, *own]), group, (), "group", origin)
    feature = features[label]
    return Found(
        image,
        label,
        split=split,
        group=group if isinstance(group, str) else None,
        synthetic=synthetic_column(schema, layout),
        beside=[name for name in others if name not in (label, split)],
        encoded=_holds_pictures(schema, features, image),
        dtype=_array_dtype(schema.field(image).type),
        mode=features[image].get("mode"),
        names=feature.get("names") or (None if record is None else names_in(record)),
        feature=feature
        if feature.get("_type") in ("ClassLabel", "Value")
        else feature_of_column(schema.field(label).type),
    )


def is_plain(schema: pyarrow.Schema, columns: Columns, record: Mapping[str, Any] | None) -> bool:
    """Whether columns are those of a table, none of which holds pictures."""
    if (layout := layout_of(record)) is not None:
        return layout.image is None
    features = features_of(schema)
    pictures = (
        _holds_pictures(schema, features, name) or _array_dtype(schema.field(name).type) is not None
        for name in schema.names
    )
    return columns.image is None and not any(pictures)


def _image_column(schema: pyarrow.Schema, features: Mapping[str, Any], asked: Any, origin: str) -> str:
    pictures = dict.fromkeys(
        name
        for name in schema.names
        if _holds_pictures(schema, features, name) or _array_dtype(schema.field(name).type) is not None
    )
    if asked is None and not pictures:
        raise UnsupportedKind(f"{origin} has no image column (columns: {', '.join(schema.names)})")
    known = pictures if asked is None else dict.fromkeys(schema.names)
    found = column_of(known, asked, IMAGE_NAMES, "image", origin)
    if found not in pictures:
        raise InvalidData(f"the column {found!r} of {origin} holds no images")
    return found


def _label_column(
    others: Sequence[str], features: Mapping[str, Any], schema: pyarrow.Schema, group: Any, origin: str
) -> str | None:
    """The column called "label", or the only one that can be meant; None where none stands out.

    Raises:
        InvalidData: several columns can be meant.
    """
    grouped = {group} if isinstance(group, str) else set()
    others = [name for name in others if name not in grouped and not _holds_pictures(schema, features, name)]
    if "label" in others or len(others) == 1:
        return "label" if "label" in others else others[0]
    named = [name for name in others if features[name].get("_type") == "ClassLabel"]
    found = list(dict.fromkeys([*named, *(name for name in others if name in LABEL_NAMES)]))
    if len(found) > 1:
        raise InvalidData(
            f"no label column stands out in {origin}: it may be {quoted(found)}; name it with label= of open_data, as "
            f'label="{found[0]}", or --label {shlex.quote(found[0])}'
        )
    return found[0] if found else None


def _holds_pictures(schema: pyarrow.Schema, features: Mapping[str, Any], name: str) -> bool:
    return features[name].get("_type") == "Image" or _is_encoded(schema.field(name).type)


def _is_encoded(kind: pyarrow.DataType) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return {field.name for field in kind} == {"bytes", "path"}
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _array_dtype(kind: pyarrow.DataType) -> np.dtype | None:
    """The element dtype of a column of numbers nested two or three deep; None for any other column."""
    import pyarrow.types as types

    depth = 0
    kind = getattr(kind, "storage_type", kind)
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    if depth not in (2, 3) or not (types.is_integer(kind) or types.is_floating(kind)):
        return None
    dtype: np.dtype = np.dtype(kind.to_pandas_dtype())
    return dtype
