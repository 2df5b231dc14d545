"""An .npz file of plain arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from synthaug.data.items import IMAGE_NAMES, LABEL_NAMES
from synthaug.data.readers.base import Columns, Source, column_of
from synthaug.data.readers.memory import read_arrays
from synthaug.errors import InvalidData


def read_npz(path: Path, columns: Columns) -> Source:
    """The arrays ``X`` and ``y`` of a file, and ``split`` and ``classes`` where they are there."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InvalidData(f"{path} cannot be read as an .npz file of plain arrays: {error}") from error
    x = column_of(arrays, columns.image, ("X", "x", *IMAGE_NAMES), "image", str(path))
    y = column_of(arrays, columns.label, ("y", *LABEL_NAMES), "label", str(path))
    group = columns.group
    if isinstance(group, str):
        group = arrays[column_of(arrays, group, (), "group", str(path))]
    found = read_arrays(arrays[x], arrays[y], group, origin=f"file {path}")
    splits = arrays.get("split")
    if splits is not None and splits.shape != (len(found.images),):
        raise InvalidData(f"{path} holds {len(found.images)} images and {splits.shape} split names")
    names = arrays.get("classes")
    if names is not None and set(np.unique(arrays[y]).tolist()) != set(range(len(names))):
        names = None  # which label has which name would be a guess
    return replace(
        found,
        names=None if names is None else names.tolist(),
        splits=None if splits is None else splits.astype(str),
    )
