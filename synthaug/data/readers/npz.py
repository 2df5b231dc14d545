"""An .npz file of plain arrays: of one data set, or of its splits as MedMNIST and Keras write them."""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

import numpy as np

from synthaug.data.items import IMAGE_NAMES, LABEL_NAMES
from synthaug.data.readers.base import Columns, Reading, Source, column_of
from synthaug.data.readers.beside import LazyTable, column_of_array, from_array
from synthaug.data.readers.memory import read_arrays
from synthaug.data.readers.written import (
    RECORD_KEY,
    SYNTHETIC,
    Layout,
    feature_of_labels,
    found_name,
    layout_of,
    names_in,
    own_name,
    record_in,
)
from synthaug.data.usual_splits import SPLIT_NAMES, usual_split
from synthaug.errors import InvalidData, UnsupportedKind
from synthaug.modalities.claims import BROKEN_PACKING, bomb_of, likely_bytes
from synthaug.wording import one_line

if TYPE_CHECKING:
    import pyarrow

_IMAGES, _LABELS = ("X", "x", *IMAGE_NAMES, "imgs", "data"), ("y", *LABEL_NAMES, "targets")
_NAMES = "|".join(SPLIT_NAMES)
_OF_SPLIT = re.compile(rf"(?i:(?P<before>{_NAMES})_(?P<what>.+)|(?P<thing>.+)_(?P<behind>{_NAMES}))")


@dataclass(frozen=True)
class ArrayNames:
    """What arrays beside the columns are called in a file that synthaug writes.

    Attributes:
        classes: the names of the classes.
        record: the record.
        nulls: of each further column, which of its values are null.
    """

    classes: str
    record: str
    nulls: Mapping[str, str]


def array_names(layout: Layout) -> ArrayNames:
    """The names of the arrays that are no columns, in a file with these columns."""
    further = [] if layout.beside is None else layout.beside.names
    taken = {layout.image or "X", layout.label, *layout.own, *further}
    nulls = {name: own_name(f"null {name}", taken) for name in further}
    return ArrayNames(own_name("classes", taken), own_name(RECORD_KEY.decode(), taken), nulls)


def record_of_npz(path: Path | BinaryIO) -> dict[str, Any] | None:
    """The record in an .npz file, by its path or opened; None where synthaug did not write it."""
    if not zipfile.is_zipfile(path):  # such as one that was cut off
        return None
    with zipfile.ZipFile(path) as archive:
        name = found_name(RECORD_KEY.decode(), [name.removesuffix(".npy") for name in archive.namelist()])
        if name is None:
            return None
        try:
            text = np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")))
        except ValueError:  # objects
            return None
    return record_in(str(text)) if text.shape == () else None


def read_npz(path: Path, columns: Columns) -> Source:
    """The arrays ``X`` and ``y`` of a file, and ``split``, ``classes`` and further columns where they are there."""
    try:
        _require_likely(path)
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        record = record_of_npz(path)
    except BROKEN_PACKING as error:
        reason = one_line(str(error) or type(error).__name__)
        raise InvalidData(f"{path} cannot be read as an .npz file of plain arrays: {reason}") from error
    layout, splits, laid = layout_of(record), None, "arrays in a file"
    if record is not None:
        columns = _as_recorded(columns, layout)
    elif columns.image is None and columns.label is None and (joined := _joined(arrays, path)) is not None:
        arrays, splits = joined
        columns, laid = replace(columns, image="X", label="y"), "arrays of splits in a file"
    x = column_of(arrays, columns.image, _IMAGES, "image", str(path))
    rest = {name: array for name, array in arrays.items() if name != x}
    y = column_of(rest, columns.label, _LABELS, "label", str(path))
    if not arrays[y].ndim:
        raise InvalidData(f'the array "{y}" of {path} is a single value; labels are one for each image')
    group, n = columns.group, len(arrays[x])
    synthetic = (
        None if record is None else arrays["synthetic" if layout is None else layout.provenance["synthetic"]]
    )
    if isinstance(group, str | int):
        group = _groups(arrays, column_of(rest, group, (), "group", str(path)), layout, synthetic)
    found = read_arrays(arrays[x], arrays[y], group, origin=f"file {path}")
    split = "split" if layout is None else layout.split
    if splits is None and split is not None and split in rest and split != y:
        splits = _splits(arrays[split], n, path)
        rest.pop(split)
    beside, notes = _beside({name: array for name, array in rest.items() if name != y}, n, layout, record)
    # MedMNIST has its labels in columns, (N, 1)
    feature = feature_of_labels(arrays[y]) if layout is None else layout.feature
    return replace(
        found,
        names=_names(arrays, y) if record is None else names_in(record),
        splits=splits,
        path=path,
        reading=Reading(laid, notes=notes),
        beside=beside,
        image_column=None if laid.startswith("arrays of") else x,
        label_column=None if laid.startswith("arrays of") else y,
        label_feature=feature,
        synthetic=None if synthetic is None else synthetic.astype(bool),
    )


def _require_likely(path: Path) -> None:
    """Refuse a file whose arrays unpack to what is not likely, before memory is taken for them."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(each.file_size for each in archive.infolist())
            if not likely_bytes(unpacked, size := path.stat().st_size):
                raise ValueError(bomb_of(unpacked, size))
            for each in archive.infolist():
                with archive.open(each) as file:
                    require_whole(file, each.file_size)


def require_whole(file: IO[bytes], size: int) -> None:
    """Refuse an array in the format of NumPy that claims more than there is.

    Args:
        file: at its beginning.
        size: bytes that there are.

    Raises:
        ValueError: saying what it claims.
    """
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"an array of {shape} {dtype} is claimed, which {size:,} bytes do not hold")


def _as_recorded(columns: Columns, layout: Layout | None) -> Columns:
    """Where things are in what synthaug wrote, unless something else was said."""
    image, label = ("X", "y") if layout is None else (layout.image, layout.label)
    return replace(
        columns,
        image=image if columns.image is None else columns.image,
        label=label if columns.label is None else columns.label,
    )


def _names(arrays: Mapping[str, np.ndarray], y: str) -> list[str] | None:
    names = arrays.get("classes")
    if names is None or y == "classes" or set(np.unique(arrays[y]).tolist()) != set(range(len(names))):
        return None  # which label has which name would be a guess
    told: list[str] = names.tolist()
    return told


def _splits(splits: np.ndarray, n: int, path: Path) -> np.ndarray:
    if splits.shape != (n,):
        raise InvalidData(f"{path} holds {n} images and {splits.shape} split names")
    missing = (
        splits != splits if splits.dtype.kind == "f" else np.isin(splits.astype(str), ("", "nan", "None"))
    )
    if missing.any():
        raise InvalidData(
            f'row {int(np.flatnonzero(missing)[0])} of {path} has no split in the array "split"; give every row one, '
            "or rename the array"
        )
    return splits.astype(str)


def _groups(
    arrays: Mapping[str, np.ndarray], name: str, layout: Layout | None, synthetic: np.ndarray | None
) -> Any:
    groups = arrays[name]
    if layout is None or synthetic is None or layout.beside is None or name not in layout.beside.names:
        return groups
    return np.where(synthetic.astype(bool), SYNTHETIC, groups.astype(str))


def _beside(
    arrays: Mapping[str, np.ndarray], n: int, layout: Layout | None, record: Mapping[str, Any] | None
) -> tuple[Any, tuple[str, ...]]:
    """The further columns, and what is no column."""
    import pyarrow as pa

    if record is not None:
        if layout is None or layout.beside is None:
            return None, ()
        return LazyTable(layout.beside, partial(_recorded, dict(arrays), layout)), ()
    columns, others = {}, []
    for name, array in arrays.items():
        try:
            if array.ndim and len(array) == n:
                columns[name] = column_of_array(array)
            elif name != "classes":
                others.append(name)
        except UnsupportedKind:
            others.append(name)
    told = ", ".join(f'"{name}"' for name in others)
    notes = (f"arrays that are no columns of the rows were left out: {told}",) if others else ()
    return pa.table(columns) if columns else None, notes


def _recorded(arrays: Mapping[str, np.ndarray], layout: Layout) -> pyarrow.Table:
    import pyarrow as pa

    nulls = array_names(layout).nulls
    columns = [
        from_array(arrays[field.name], arrays[nulls[field.name]].astype(bool), field.type)
        for field in layout.beside or ()
    ]
    return pa.table(columns, schema=layout.beside)


def _joined(arrays: Mapping[str, np.ndarray], path: Path) -> tuple[dict[str, np.ndarray], np.ndarray] | None:
    """The arrays of all splits one after another, and the split of each row; None where arrays have no splits.

    Raises:
        InvalidData: splits that do not fit together.
    """
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        if (match := _OF_SPLIT.fullmatch(name)) is not None:
            split = str(usual_split(match["before"] or match["behind"]))
            parts.setdefault(_what(match["what"] or match["thing"]), {})[split] = array
    images, labels = parts.pop("X", None), parts.get("y", {})
    if images is None or "train" not in images or "train" not in labels:
        return None
    if len({(array.shape[1:], array.dtype) for array in images.values()}) > 1:
        shapes = ", ".join(f"{array.shape} {array.dtype} ({split})" for split, array in images.items())
        raise InvalidData(
            f"the images of the splits in {path} are not alike: {shapes}; bring them to one form"
        )
    splits = np.repeat(list(images), [len(array) for array in images.values()])
    whole = {"X": np.concatenate(list(images.values()))}
    for what, columns in parts.items():
        for split, array in columns.items():
            if what == "y" and split in images and len(array) != len(images[split]):
                raise InvalidData(
                    f"{path} holds {len(images[split])} images and {len(array)} labels of the split {split}; "
                    "every image needs one label"
                )
        if all(split in columns and len(columns[split]) == len(array) for split, array in images.items()):
            whole[what] = np.concatenate([columns[split] for split in images])
        elif what == "y":  # rows of these splits have no labels
            like = [columns.get(split) for split in images]
            told = [
                [None] * len(images[s]) if one is None else one.tolist()
                for s, one in zip(images, like, strict=True)
            ]
            whole["y"] = np.array([label for labels in told for label in labels], object)
    return whole, splits


def _what(name: str) -> str:
    return (
        "X"
        if name.lower() in map(str.lower, _IMAGES)
        else "y"
        if name.lower() in map(str.lower, _LABELS)
        else name
    )
