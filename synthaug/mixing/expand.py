"""A larger data set in memory, of the same kind: the real rows as they were, then synthetic rows class by class."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from synthaug.data.items import ItemFields, label_like
from synthaug.data.readers.written import labels_of
from synthaug.errors import InvalidRequest, UnsupportedKind
from synthaug.files.expansion import Expansion
from synthaug.mixing.huggingface.dataset import expand_dataset, is_huggingface
from synthaug.mixing.tables import MadeRows, expand_table, extended_frame, table_of
from synthaug.modalities.image.cells import image_like

if TYPE_CHECKING:
    import pyarrow


class ExpandedArrays(tuple[Any, Any]):
    """The pair ``(X, y)`` of a larger data set, real rows first.

    Attributes:
        provenance: the columns of `PROVENANCE_COLUMNS` by name, one entry a row; in real rows ``synthetic``
            is False and the others are empty or -1.
        beside: a table of the further columns of what was read from a file, null in synthetic rows; None where there
            are none.
    """

    provenance: Mapping[str, np.ndarray]
    beside: pyarrow.Table | None

    def __new__(  # noqa: D102
        cls, X: Any, y: Any, provenance: Mapping[str, np.ndarray], beside: pyarrow.Table | None = None
    ) -> ExpandedArrays:
        pair = super().__new__(cls, (X, y))
        pair.provenance, pair.beside = provenance, beside
        return pair

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (*self, self.provenance, self.beside)


class ExpandedDataset(Dataset[Any]):
    """A torch data set: the items of another one untouched, then synthetic items of the same structure.

    Attributes:
        real: the data set that was expanded.
        provenance: as in `ExpandedArrays`.
    """

    def __init__(
        self,
        real: Any,
        fields: ItemFields,
        images: np.ndarray,
        labels: Sequence[Any],
        provenance: Mapping[str, np.ndarray],
    ) -> None:
        self.real = real
        self.provenance = provenance
        self._fields, self._like = fields, real[0]
        self._images, self._labels = images, labels
        if fields.others:
            raise InvalidRequest(
                f"the items of the data set have the fields {', '.join(map(repr, fields.others))} beside image and "
                "label, for which a synthetic row has no value: expand a data set whose items are (image, label), or "
                "mix the loader over this one, synthaug.mix(loader, generator, items=synthaug.Items(fill={...}))"
            )
        self[len(real)]  # an item that cannot be built is refused here, not in the middle of training

    def __len__(self) -> int:
        return len(self.real) + len(self._images)

    def __getitem__(self, row: int) -> Any:
        row = range(len(self))[row]
        made = row - len(self.real)
        if made < 0:
            return self.real[row]
        return self._fields.build(self._images[made], self._labels[made], like=self._like)


def expand_in_memory(expansion: Expansion) -> Any:
    """What was opened, of its own kind, with the synthetic rows of an expansion behind.

    Returns:
        For arrays `ExpandedArrays` of the arrays' own type, dtype, layout and label encoding; also for rows read from
        disk and for a part of a data set, then without the splits that are not expanded. For a torch data set
        `ExpandedDataset`. For a Hugging Face set, a data frame or an Arrow table one with its own columns and those of
        provenance, see `expand_table`; for rows of a table that were read from disk and for a part of one an Arrow
        table.

    Raises:
        InvalidRequest: rows that were brought to another size, which the source does not have.
        UnsupportedKind: arrays of objects.
    """
    data, source = expansion.data, expansion.data.source
    if data.form.container == "frame" and not isinstance(source, tuple) and not is_huggingface(source):
        return _expanded_table(source, expansion)
    if source is None or isinstance(source, str | os.PathLike):
        train = expansion.train
        X, y = train.read(), labels_of(data.classes, data.found.label_feature)[train.labels]
        return _expanded_arrays(X, y, expansion)
    if data.resized:
        raise InvalidRequest("With image_size= the rows change their form: write them with out= (--out).")
    if is_huggingface(source):
        return expand_dataset(source, expansion)
    if isinstance(source, tuple):
        X, y = source
        return _expanded_arrays(X, y, expansion)
    fields = ItemFields.of(source[0], image=data.columns.image, label=data.columns.label)
    samples = expansion.samples()
    about = expansion.provenance(samples, len(data))
    return ExpandedDataset(source, fields, samples.samples, expansion.labels(), about)


def _expanded_table(source: Any, expansion: Expansion) -> Any:
    if source is not None and not isinstance(source, str | os.PathLike):
        return expand_table(source, expansion)
    table, label = table_of(expansion.train)
    train = replace(expansion.train, found=replace(expansion.train.found, label_column=label), splits=None)
    return expand_table(table, replace(expansion, data=train, train=train))


def _expanded_arrays(X: Any, y: Any, expansion: Expansion) -> ExpandedArrays:
    samples = expansion.samples()
    about = expansion.provenance(samples, len(y))
    first = y.iloc[0] if hasattr(y, "iloc") else y[0]
    labels = (
        [label_like(label, first) for label in expansion.labels()] if np.ndim(first) else expansion.labels()
    )
    if getattr(X, "ndim", 0) == 2 and hasattr(X, "iloc"):
        larger = extended_frame(X, MadeRows.of(samples.samples, expansion.data.form, {}))
        return ExpandedArrays(larger, _extended(y, labels), about)
    return ExpandedArrays(_extended(X, samples.samples), _extended(y, labels), about, _beside(expansion))


def _beside(expansion: Expansion) -> pyarrow.Table | None:
    """The further columns of the real rows, and nulls behind them."""
    import pyarrow as pa

    table = expansion.train.beside
    if table is None:
        return None
    n = sum(expansion.added.values())
    nulls = [pa.chunked_array([pa.nulls(n, kind)], kind) for kind in table.schema.types]
    return pa.concat_tables([table, pa.table(nulls, schema=table.schema)])


def _extended(real: Any, new: Any) -> Any:
    """``real`` with ``new`` rows behind, of the type and dtype of ``real``."""
    if isinstance(real, torch.Tensor):
        return torch.cat([real, torch.as_tensor(np.asarray(new)).to(real)])
    if isinstance(real, np.ndarray) and real.dtype == object and isinstance(new, np.ndarray):
        raise UnsupportedKind("X of dtype object was given. Give one array of all rows: np.stack(X).")
    if isinstance(real, np.ndarray):
        # The labels come from the data set itself, so that no string is cut.
        return np.concatenate([real, np.asarray(new).astype(real.dtype)])
    if hasattr(real, "iloc"):
        return type(real)([*real, *new], dtype=real.dtype, name=real.name)
    if isinstance(new, np.ndarray):
        new = [image_like(row, real[0]) for row in new]
    return type(real)([*real, *new])
