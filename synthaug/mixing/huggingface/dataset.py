"""A map-style Hugging Face data set with synthetic rows in it: mixed in place of real ones, or behind them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from synthaug.data.classes import Label
from synthaug.data.items import ItemFields, Key
from synthaug.data.labeled import LabeledData
from synthaug.data.opening import open_data
from synthaug.data.splits import training_split
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind
from synthaug.files.arrow import formatted_like, mark_real, provenance_features, room_for_provenance
from synthaug.files.expansion import Expansion
from synthaug.generators.samples import Samples
from synthaug.mixing.colours import MADE, tints_of, warn_of_colours
from synthaug.mixing.huggingface.columns import TableFields, open_table
from synthaug.mixing.options import MixOptions
from synthaug.mixing.prepare import RealRows, prepare, refuse_schedule
from synthaug.mixing.probes import PROBES, look_of, spread
from synthaug.mixing.supply import Supply
from synthaug.mixing.tables import MadeRows
from synthaug.modalities.table import TableForm
from synthaug.wording import did_you_mean

if TYPE_CHECKING:
    import datasets

_REMEDY = "mix or expand the data set as it was before"


def is_huggingface(source: Any) -> bool:
    """Whether ``source`` is a data set of the ``datasets`` library, of any kind."""
    library = sys.modules.get("datasets")
    if library is None:
        return False
    return isinstance(
        source,
        library.Dataset | library.IterableDataset | library.DatasetDict | library.IterableDatasetDict,
    )


def mix_dataset(dataset: datasets.Dataset, supply: Supply, options: MixOptions) -> datasets.Dataset:
    """A data set with the features and the format of ``dataset`` and synthetic rows in it.

    In "replace", real rows give way to synthetic rows of their own class: length, order and labels stay. In
    "append", the synthetic rows follow the real ones. Each class gets the floor or the ceiling of its due,
    and all together are within 1 row of theirs. Unlike in a loader, the choice is made once, not every epoch.

    The columns of provenance are added as in an expanded data set: ``synthetic`` is False in real rows, the
    others are empty or -1. A format or transform is put on again, over the columns that it had.

    Real rows stay where they are, in memory or mapped from disk. Synthetic images (encoded losslessly) and
    the order of the rows are held in memory. Nothing is written.

    Args:
        dataset: map-style, of one split.
        supply: the synthetic rows, at least one of each class, in the form of the stored images.
        options: what is asked for; other columns than those that are filled are null in synthetic rows.

    Raises:
        UnsupportedKind: one of several splits.
        InvalidRequest: a ratio outside [0, 1), a schedule, a class that the samples lack, a column that does not
            exist, or columns of provenance.
        InvalidData: a column that does not hold the labels.
        SpecMismatch: real and synthetic rows of tables differ in their columns, or images in shape, dtype or value
            range. Up to 64 images of each are compared; the ranges of uint8 images are not.
        Leakage: rows of the data set are held out from the generator. All are compared up to 20,000, else 512
            spread over them.
    """
    refuse_splits(dataset)
    ratio = supply.ratio(options, fixed=True)
    refuse_schedule(
        ratio,
        "a data set is mixed once and is the same in every epoch: mix the DataLoader over it, "
        "synthaug.mix(loader, ...), which knows epochs and steps",
    )
    items = options.items
    if isinstance(supply.form, TableForm):
        data = open_table(dataset, items.label, supply.form)
        fields: ItemFields | TableFields = TableFields.of(dataset, data)
    else:
        data = open_data(dataset, label=items.label, image=items.image)
        fields = fields_of(dataset, data)
    names = room_for_provenance(dataset.features, _REMEDY)
    for name in items.fill:
        if name not in fields.others:
            raise InvalidRequest(
                f'items=synthaug.Items(fill=...) names "{name}".{did_you_mean(str(name), map(str, fields.others))}'
            )
    samples = supply.pool(options)
    real = RealRows(
        [data.classes.values[k] for k in data.labels],
        data.classes,
        "the data set",
        lambda rows: data.take(rows).fingerprints(),
        np.arange(len(data)),
    )
    prepared = prepare(real, samples.class_indices, supply, ratio, options)
    if not prepared.plan.idle and isinstance(fields, ItemFields):
        remedy = "Train the generator on this data set, or bring its images to the form of the samples"
        look = look_of(samples.samples, samples.form.ends)
        few = spread(np.arange(len(data)), PROBES)
        rows, classes = data.read(few), prepared.aligned.positions
        look.require_fit(look_of(rows), remedy)
        made_of = samples.class_indices.tolist()
        warn_of_colours(
            tints_of(rows, classes[few].tolist(), PROBES), lambda: tints_of(samples.samples, made_of, MADE), 4
        )
    order = prepared.plan.once()
    used = np.unique(order[order >= len(data)])
    order[order >= len(data)] = len(data) + np.searchsorted(used, order[order >= len(data)])
    taken = samples[used - len(data)]
    labels = [prepared.aligned.labels[k] for k in taken.class_indices]
    made = _rows_of(dataset, fields, taken, labels, items.fill, names)
    whole = _concatenated([mark_real(dataset, names), made]).select(order, keep_in_memory=True)
    return formatted_like(dataset, whole)


def expand_dataset(dataset: Any, expansion: Expansion) -> Any:
    """A data set, or a dictionary of its splits, with all synthetic rows of an expansion behind the real ones.

    Columns beside image and label are null in synthetic rows. Other splits than the training one get the columns of
    provenance and no rows.

    Raises:
        InvalidRequest: the columns of provenance are there already.
        InvalidData: the column of the labels does not hold them.
    """
    import datasets

    single, split = isinstance(dataset, datasets.Dataset), training_split(expansion.data)
    parts = {split: dataset} if single else dict(dataset)
    real, data = parts[split], expansion.data if single else expansion.train
    fields: ItemFields | TableFields = (
        TableFields.of(real, data) if isinstance(data.form, TableForm) else fields_of(real, data)
    )
    fill: dict[Key, Any] = {"split": split} if single and data.splits is not None else {}
    samples, larger = expansion.samples(), {}
    features = datasets.Features(
        {name: kind for rows in parts.values() for name, kind in rows.features.items()}
    )
    names = room_for_provenance(features, _REMEDY)
    for name, rows in parts.items():
        whole = mark_real(rows, names)
        if name == split:
            made = _rows_of(real, fields, samples, expansion.labels(), fill, names)
            whole = _concatenated([whole, made])
        larger[name] = formatted_like(rows, whole)
    return larger[split] if single else datasets.DatasetDict(larger)


def refuse_splits(dataset: Any) -> None:
    """Refuse a dictionary of splits.

    Raises:
        UnsupportedKind: naming the one to give.
    """
    import datasets

    if isinstance(dataset, datasets.DatasetDict | datasets.IterableDatasetDict):
        raise UnsupportedKind(
            f"a data set of the splits {', '.join(map(str, dataset))} was given; mix the one to train on: "
            'dataset["train"] = mix(dataset["train"], ...)'
        )


def fields_of(dataset: Any, data: LabeledData) -> ItemFields:
    """Where image and label are in the rows of a data set that was opened as this."""
    first, own = dataset.with_format("numpy")[0], [data.classes.values[k] for k in data.labels]
    fields = ItemFields.of(first, own[0], data.columns.image, data.columns.label)
    if list(dataset.with_format(None)[fields.label]) != own:
        raise InvalidData(
            f'the column "{fields.label}" does not hold the labels; name the one that does: open_data(dataset, '
            "label=...), or in a mix items=synthaug.Items(label=...)"
        )
    return fields


def _rows_of(
    dataset: Any,
    fields: ItemFields | TableFields,
    samples: Samples,
    labels: Sequence[Label | None],
    fill: Mapping[Key, Any],
    names: Mapping[str, str],
) -> Any:
    """Synthetic rows with the features of a data set and columns of provenance of these names."""
    import datasets

    if isinstance(fields, TableFields):
        return _rows_of_table(dataset, fields, samples, labels, fill, names)
    images = list(samples.samples)
    if isinstance(dataset.features[fields.image], datasets.Image):
        images = [Image.fromarray(image) for image in images]
    columns: dict[Key, Any] = {name: [fill.get(name)] * len(samples) for name in fields.others}
    columns |= {fields.image: images, fields.label: list(labels)}
    columns |= {own: samples.provenance[name].tolist() for name, own in names.items()}
    features = datasets.Features({**dataset.features, **provenance_features(names)})
    return datasets.Dataset.from_dict(columns, features=features)


def _rows_of_table(
    dataset: Any,
    fields: TableFields,
    samples: Samples,
    labels: Sequence[Label | None],
    fill: Mapping[Key, Any],
    names: Mapping[str, str],
) -> Any:
    import datasets
    import pyarrow as pa

    values: dict[str, Sequence[Any]] = {str(name): [value] * len(samples) for name, value in fill.items()}
    values[fields.label] = list(labels)
    values |= {own: samples.provenance[name].tolist() for name, own in names.items()}
    made = MadeRows.of(samples.samples, samples.form, values)
    features = datasets.Features({**dataset.features, **provenance_features(names)})
    schema = features.arrow_schema
    columns = [made.column(field.name, field.type) for field in schema]
    return datasets.Dataset(datasets.table.InMemoryTable(pa.table(columns, schema=schema)))


def _concatenated(parts: list[Any]) -> Any:
    import datasets

    return datasets.concatenate_datasets(parts)
