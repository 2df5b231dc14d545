"""Rows in the Hugging Face image layout, as Arrow tables: what parquet files, saved sets and the hub hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from synthaug.data.readers.recorded import as_recorded, form_in, rows_in
from synthaug.data.readers.written import (
    PROVENANCE_COLUMNS,
    PROVENANCE_TYPES,
    Layout,
    found_provenance,
    layout_of,
    provenance_names,
)
from synthaug.errors import InvalidRequest
from synthaug.files.base import Columns, RowBlock, columns_beside, label_column, own_columns
from synthaug.files.cards import Card
from synthaug.generators.samples import real_provenance
from synthaug.modalities.base import Form
from synthaug.modalities.image.cells import fits_png, from_file
from synthaug.modalities.table.form import TableForm

_TEXT = ("generator", "class", "split")


def fits_columns(form: Form) -> bool:
    """Whether rows of this form can be columns of Arrow: tables, vectors, and pictures as PNG files."""
    return isinstance(form, TableForm) or fits_png(form)


def as_table(rows: RowBlock, files: list[str], card: Card, layout: Layout) -> Any:
    """The rows as a pyarrow table whose schema says what its columns are."""
    import datasets
    import pyarrow as pa
    from datasets.table import embed_table_storage

    label = {layout.label: label_column(rows, card.classes, layout)}
    beside = columns_beside(rows, layout, card.form)
    known = (
        {} if layout.beside is None else datasets.Features.from_arrow_schema(_without_levels(layout.beside))
    )
    features: dict[str, Any]
    if layout.image is None:
        columns: dict[str, Any] = beside | label
        features = {**known, layout.label: _feature(layout.feature)}
    else:
        images = [
            {"bytes": picture, "path": file}
            for picture, file in zip(rows.pictures(card.form), files, strict=True)
        ]
        encoded = pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
        columns = {layout.image: encoded} | label | beside
        features = {layout.image: datasets.Image(), layout.label: _feature(layout.feature), **known}
    kinds = provenance_features(layout.provenance)
    for name, column in own_columns(rows, layout).items():
        features[name] = kinds.get(name, datasets.Value("string"))
        text = features[name].dtype == "string"
        values = np.asarray(column).tolist()
        if text:
            values = [value if isinstance(value, str) else str(value) for value in values]
        columns[name] = pa.array(values, features[name].pa_type)
    table = pa.table(columns)
    if layout.beside is not None:  # pictures that are files elsewhere go along
        known = datasets.Features({name: features[name] for name in layout.beside.names})
        within = [name for name in known if hasattr(known[name], "embed_storage")]
        if within:
            few = table.select(within).cast(datasets.Features({n: known[n] for n in within}).arrow_schema)
            for name, column in zip(within, embed_table_storage(few).columns, strict=True):
                table = table.set_column(table.column_names.index(name), name, column)
    metadata = datasets.Features(features).arrow_schema.metadata
    if layout.image is None and layout.beside is not None:  # what pandas knows of its columns
        metadata |= {key: text for key, text in (layout.beside.metadata or {}).items() if key == b"pandas"}
    return table.replace_schema_metadata(metadata)


def _without_levels(schema: Any) -> Any:
    """The columns of a schema, of which none is a dictionary, such as ``datasets`` does not have."""
    import pyarrow as pa

    kinds = (
        getattr(field.type, "value_type", field.type) if pa.types.is_dictionary(field.type) else field.type
        for field in schema
    )
    return pa.schema(zip(schema.names, kinds, strict=True), metadata=schema.metadata)


def from_table(table: Any, record: Mapping[str, Any] | None, splits: str | None = "split") -> Columns:
    """The rows of a table that `as_table` made.

    Args:
        table: with their columns.
        record: of the output, which knows what these are called.
        splits: the column of the splits, where no layout says so.
    """
    names, layout = {name: name for name in PROVENANCE_COLUMNS}, layout_of(record)
    image: str | None = "image"
    if layout is not None:
        names, image, splits = dict(layout.provenance), layout.image, layout.split
    if splits is not None and splits in table.column_names:
        names["split"] = splits
    found = {name: table[own].to_numpy(zero_copy_only=False) for name, own in names.items()}
    about = {name: column.astype(str) if name in _TEXT else column for name, column in found.items()}
    if layout is not None and image is None:
        return Columns(about, _cells(table, layout, form_in(record)))
    images = table[image].combine_chunks()

    def read(chosen: np.ndarray) -> list[np.ndarray]:
        return [from_file(images[row]["bytes"].as_py()) for row in chosen.tolist()]

    return Columns(about, read)


def _cells(table: Any, layout: Layout, form: TableForm | None) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Gives rows of the form of a table that was written."""
    assert form is not None, "the form is in the record of every table"
    cells = as_recorded(table.select([column.name for column in form.columns]), layout, form)
    return lambda chosen: list(rows_in(cells.take(chosen), form))


def with_splits(columns: Columns, rows: Mapping[str, int]) -> Columns:
    """Rows of several splits that lie one after another, with the split of each; of one without a name as they are."""
    if list(rows) == [""]:
        return columns
    return Columns({**columns.table, "split": np.repeat(list(rows), list(rows.values()))}, columns.read)


def provenance_features(names: Mapping[str, str]) -> dict[str, Any]:
    """The Hugging Face feature of each provenance column, under the names that these have."""
    import datasets

    kinds = zip(PROVENANCE_COLUMNS, PROVENANCE_TYPES, strict=True)
    return {names[name]: datasets.Value(kind) for name, kind in kinds}


def room_for_provenance(features: Any, remedy: str) -> dict[str, str]:
    """What the columns of provenance are to be called beside columns of a Hugging Face data set.

    Args:
        features: of the columns that are there.
        remedy: what to do where these rows have a provenance, e.g. ``"expand the original"``.

    Raises:
        InvalidRequest: the columns of provenance are there.
    """
    if found_provenance(features.arrow_schema) is not None:
        raise InvalidRequest(
            'the data set has a column "class" beside the others of provenance that synthaug gives its rows: it '
            f"comes from synthaug, {remedy}"
        )
    return provenance_names(features)


def mark_real(dataset: Any, names: Mapping[str, str]) -> Any:
    """The rows of a map-style Hugging Face set in their order, beside columns that say they are real.

    Args:
        dataset: its format or transform is taken off.
        names: what the columns of provenance are to be called.

    Returns:
        A set over the same storage, in memory or mapped from disk. Nothing is copied or written.
    """
    import datasets

    # Columns can only be put beside a table as it is stored: were the set a selection of its rows, the library
    # would write the selected rows to its cache first. So the selection is made again, and last.
    stored = datasets.Dataset(dataset.data, info=dataset.info.copy(), split=dataset.split)
    columns = real_provenance(len(stored))
    beside = datasets.Dataset.from_dict(
        {own: columns[name].tolist() for name, own in names.items()},
        features=datasets.Features(provenance_features(names)),
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


def _feature(feature: Mapping[str, Any]) -> Any:
    import datasets

    return datasets.Features.from_dict({"label": dict(feature)})["label"]
