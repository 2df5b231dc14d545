"""Rows in the Hugging Face image layout, as Arrow tables: what parquet files, saved sets and the hub hold."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from synthaug.errors import InvalidRequest
from synthaug.files.base import Columns, RowBlock, columns_of
from synthaug.files.cards import Card
from synthaug.generators.samples import PROVENANCE_COLUMNS, real_provenance
from synthaug.modalities.image.cells import from_png, png_bytes

_TEXT = ("generator", "class", "split")


def as_table(rows: RowBlock, files: list[str], card: Card, *, with_split: bool = True) -> Any:
    """The rows as a pyarrow table whose schema says what its columns are."""
    import datasets
    import pyarrow as pa

    columns: dict[str, Any] = {
        "image": [
            {"bytes": png_bytes(image, card.form), "path": file}
            for image, file in zip(rows.images, files, strict=True)
        ],
        "label": rows.labels,
        **{name: rows.provenance[name].tolist() for name in PROVENANCE_COLUMNS},
    }
    types: dict[str, Any] = {
        "image": datasets.Image(),
        "label": datasets.ClassLabel(names=list(card.classes)),
        **provenance_features(),
    }
    named = {"split": rows.splits if with_split else None, "group": rows.groups}
    for name, column in named.items():
        if column is not None:
            columns[name], types[name] = [str(value) for value in column], datasets.Value("string")
    return pa.table(columns, schema=datasets.Features(types).arrow_schema)


def from_table(table: Any) -> Columns:
    """The rows of a table that `as_table` made."""
    names = columns_of(table.column_names)
    found = {name: table[name].to_numpy(zero_copy_only=False) for name in names}
    images = table["image"].combine_chunks()

    def read(chosen: np.ndarray) -> list[np.ndarray]:
        return [from_png(io.BytesIO(images[row]["bytes"].as_py())) for row in chosen.tolist()]

    return Columns({name: c.astype(str) if name in _TEXT else c for name, c in found.items()}, read)


def provenance_features() -> dict[str, Any]:
    """The Hugging Face feature of each provenance column."""
    import datasets

    kinds = ("bool", "string", "int64", "string", "int64")
    return {name: datasets.Value(kind) for name, kind in zip(PROVENANCE_COLUMNS, kinds, strict=True)}


def room_for_provenance(columns: Any, label: Any, remedy: str) -> dict[str, Any]:
    """The features of provenance that are to stand beside columns of a Hugging Face data set.

    A label column of the name "class" says already what ours would.

    Args:
        columns: names of the columns that are there.
        label: the name of the label's.
        remedy: what to do where there is no room, e.g. ``"expand the original"``.

    Raises:
        InvalidRequest: a column stands where provenance goes.
    """
    kinds = {name: kind for name, kind in provenance_features().items() if name != label}
    clash = sorted(set(kinds) & set(columns))
    if clash:
        raise InvalidRequest(
            f'the data set has a column "{clash[0]}", where the provenance of a row goes: if it comes from synthaug, '
            f'{remedy}; if not, rename_column("{clash[0]}", ...) first'
        )
    return kinds


def mark_real(dataset: Any, kinds: Mapping[str, Any]) -> Any:
    """The rows of a map-style Hugging Face set in their order, beside columns that say they are real.

    Args:
        dataset: its format or transform is taken off.
        kinds: the columns of `provenance_features` to add.

    Returns:
        A set over the same storage, in memory or mapped from disk. Nothing is copied or written.
    """
    import datasets

    # Columns can only be put beside a table as it is stored: were the set a selection of its rows, the library
    # would write the selected rows to its cache first. So the selection is made again, and last.
    stored = datasets.Dataset(dataset.data, info=dataset.info.copy(), split=dataset.split)
    columns = real_provenance(len(stored))
    beside = datasets.Dataset.from_dict(
        {name: columns[name].tolist() for name in kinds}, features=datasets.Features(dict(kinds))
    )
    marked = datasets.concatenate_datasets([stored, beside], axis=1)
    if dataset._indices is None:
        return marked
    return marked.select(dataset._indices.column("indices").to_pylist(), keep_in_memory=True)


def formatted_like(dataset: Any, whole: Any) -> Any:
    """A Hugging Face set in the format of another one, over the columns that it had there."""
    form = dataset.format
    if form["type"] is None:
        return whole
    return whole.with_format(
        form["type"],
        columns=None if form["columns"] == dataset.column_names else form["columns"],
        output_all_columns=form["output_all_columns"],
        **form["format_kwargs"],
    )
