"""One reader per kind of data set: what the user gives -> images, targets, groups and splits."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from synthaug.data.readers.base import Columns, Reading, Source, group_array
from synthaug.data.readers.columns import read_huggingface
from synthaug.data.readers.medical import ScanRows, is_scan, scans
from synthaug.data.readers.memory import read_arrays, read_map_style
from synthaug.data.readers.names import KINDS, read_named
from synthaug.data.readers.remote import copied
from synthaug.data.readers.tables import read_arrow, read_frame, read_frame_and_labels
from synthaug.errors import UnsupportedKind
from synthaug.modalities.arrays import as_array
from synthaug.modalities.image.medical import ScanOptions
from synthaug.modalities.source import RowSource
from synthaug.wording import is_url

__all__ = ["Columns", "Reading", "ScanOptions", "ScanRows", "Source", "is_scan", "read_source", "scans"]


def read_source(source: Any, columns: Columns) -> Source:
    """Recognise the kind of `source` and read what can be known without decoding images.

    Args:
        source: any kind of data set; see `open_data`.
        columns: where things are, where that cannot be guessed.

    Raises:
        UnsupportedKind: at an object that is no labelled data set of a known kind.
        InvalidData: at a missing path, an empty or broken source, labels of another length.
        InvalidRequest: at a column that does not exist.
        MissingLibrary: at a url of an object store whose library is not installed.
    """
    if is_url(source):
        with copied(source) as copy:
            return copy.source(read_named(str(copy.path), columns))
    if isinstance(source, str | os.PathLike):
        return read_named(os.fspath(source), columns)
    if isinstance(source, tuple) and len(source) == 2:
        if isinstance(source[0], RowSource):
            columns.refuse("rows of a source of your own")
            return Source(source[0], source[1], "rows", groups=group_array(columns.group, len(source[0])))
        if hasattr(source[0], "iloc") and getattr(source[0], "ndim", 1) == 2:
            return read_frame_and_labels(*source, columns)
        columns.refuse("arrays")
        return read_arrays(*source, group=columns.group, columns=columns)
    datasets = sys.modules.get("datasets")
    if datasets is not None:
        if isinstance(source, datasets.Dataset | datasets.DatasetDict):
            return read_huggingface(source, columns)
        if isinstance(source, datasets.IterableDataset | datasets.IterableDatasetDict):
            raise UnsupportedKind(
                "a streaming Hugging Face data set was given; rows are needed by number: "
                "load it without streaming=True"
            )
    torch = sys.modules.get("torch")
    if torch is not None:
        if isinstance(source, torch.utils.data.IterableDataset):
            raise UnsupportedKind(
                "an IterableDataset was given; rows are needed by number: pass a map-style data set, or "
                "list(dataset) if it is finite"
            )
        if isinstance(source, torch.utils.data.DataLoader):
            raise UnsupportedKind("a DataLoader was given; pass its data set: loader.dataset")
    if hasattr(source, "iloc") and getattr(source, "ndim", 1) == 2:
        return read_frame(source, columns)
    arrow = sys.modules.get("pyarrow")
    if arrow is not None and isinstance(source, arrow.Table):
        return read_arrow(source, columns, "Arrow table")
    if isinstance(as_array(source), np.ndarray):
        raise UnsupportedKind("an array without labels was given; pass a tuple (X, y)")
    if (
        hasattr(source, "__len__")
        and hasattr(source, "__getitem__")
        and not isinstance(source, Mapping | bytes)
    ):
        return read_map_style(source, columns)
    raise UnsupportedKind(f"an object of type {type(source).__name__} was given; taken are {KINDS}")
