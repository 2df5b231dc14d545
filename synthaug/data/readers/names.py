"""Data sets by path or name: which reader a path is for, data sets of the hub, and those that come with synthaug."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from synthaug.data.readers.base import NO_TABLES, TABLE_SUFFIXES, Columns, Source
from synthaug.data.readers.columns import read_huggingface, read_parquet
from synthaug.data.readers.folder import read_folder
from synthaug.data.readers.memory import read_arrays
from synthaug.data.readers.npz import read_npz
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind
from synthaug.wording import did_you_mean

KINDS = (
    "a tuple (X, y) of arrays, a map-style torch data set, a Hugging Face data set, the path of a folder of "
    "class folders, of a .parquet or .npz file or of a saved Hugging Face data set, or a hub name"
)
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_BUNDLED = Path(__file__).parents[1] / "bundled"


def read_named(source: str, columns: Columns) -> Source:
    """The data set at a path, on the hub, or bundled."""
    if source.startswith("bundled:"):
        return _bundled(source.removeprefix("bundled:"), columns)
    path = Path(source).expanduser()
    if path.is_dir():
        if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            import datasets

            found = read_huggingface(datasets.load_from_disk(str(path)), columns)
            return replace(found, origin=f"saved data set {path}")
        columns.refuse(f"the folder {path}")
        return read_folder(path, columns.group)
    suffix = path.suffix.lower()
    if path.exists():
        if suffix == ".parquet":
            return read_parquet(path, columns)
        if suffix == ".npz":
            return read_npz(path, columns)
        if suffix in TABLE_SUFFIXES:
            raise UnsupportedKind(f"{path} is a table; {NO_TABLES}")
        raise UnsupportedKind(f"{path} is a file of an unknown kind; taken are {KINDS}")
    siblings = _siblings(path)
    close = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.75)
    like_hub = _HUB_NAME.fullmatch(source) and suffix not in (".parquet", ".npz", *TABLE_SUFFIXES)
    if not like_hub or close or ("/" in source and path.parent.is_dir()):
        hint = did_you_mean(path.name, close or siblings)
        raise InvalidData(f"there is no file or folder {path}.{hint}")
    return _hub(source, columns)


def _siblings(path: Path) -> list[str]:
    try:
        return sorted(os.listdir(path.parent))
    except OSError:
        return []


def _hub(name: str, columns: Columns) -> Source:
    import datasets

    try:
        found = datasets.load_dataset(name)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidData(
            f"{name} is neither a local file or folder nor a hub data set that can be loaded: {reason}"
        ) from error
    return replace(read_huggingface(found, columns), origin=f"hub data set {name}")


def _bundled(name: str, columns: Columns) -> Source:
    if name == "fashion-mnist":
        found = read_parquet(_BUNDLED / "fashion_mnist.parquet", columns)
        return replace(found, origin="bundled Fashion-MNIST")
    if name == "digits":
        from sklearn.datasets import load_digits

        columns.refuse("the bundled digits")
        digits = load_digits()
        pixels = np.rint(digits.images / 16 * 255).astype(np.uint8)
        return read_arrays(pixels, digits.target, columns.group, origin="bundled digits")
    raise InvalidRequest(
        f'there is no bundled data set "{name}".{did_you_mean(name, ["fashion-mnist", "digits"])}'
    )
