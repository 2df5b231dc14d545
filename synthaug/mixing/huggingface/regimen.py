"""Hugging Face data sets that follow a regimen: augmented as they are read, classes repeated evenly, synthetic rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.items import ItemFields
from synthaug.data.opening import open_data
from synthaug.errors import InvalidRequest, UnsupportedKind
from synthaug.mixing.huggingface.dataset import fields_of, mix_dataset, refuse_splits
from synthaug.mixing.huggingface.stream import mix_stream
from synthaug.mixing.options import MixOptions
from synthaug.mixing.regimen import Regimen
from synthaug.mixing.supply import Supply
from synthaug.seeding import numpy_rng

if TYPE_CHECKING:
    import datasets

_BLENDED = (
    "rows of a batch are to be blended, which a data set cannot do: apply the plan to the DataLoader over it"
)


def follow_dataset(
    dataset: datasets.Dataset, regimen: Regimen, supply: Supply, options: MixOptions
) -> datasets.Dataset:
    """A data set like the given one that follows a regimen; the given one is left as it is.

    Rows of rare classes are repeated, until each class has as many as the largest; synthetic rows are mixed in as
    `mix_dataset` does; and images are augmented whenever they are read, before the transform that was set.

    Raises:
        UnsupportedKind: one of several splits, or of a format that turns rows into arrays.
        SpecMismatch: images that are not like those that the regimen was chosen for.
        InvalidRequest: rows of a batch are to be blended.
    """
    refuse_splits(dataset)
    if regimen.blend is not None:
        raise InvalidRequest(_BLENDED)
    changed = _repeated(dataset, regimen.seed, options) if regimen.balanced else dataset
    mixed = changed if supply.source is None else mix_dataset(changed, supply, options)
    return mixed if regimen.augment is None else augment_dataset(mixed, regimen, options)


def follow_stream(
    stream: datasets.IterableDataset, regimen: Regimen, supply: Supply, options: MixOptions
) -> datasets.IterableDataset:
    """A stream like the given one with synthetic rows as of `mix_stream`, and its images augmented as they pass.

    Raises:
        InvalidRequest: classes are to be drawn evenly, or rows of a batch blended.
        SpecMismatch: images that are not like those that the regimen was chosen for.
    """
    if regimen.blend is not None:
        raise InvalidRequest(_BLENDED)
    if regimen.balanced:
        raise InvalidRequest(
            "classes are to be drawn evenly, and rows of a stream come as they come: let it repeat rows of rare "
            "classes, or load the data set without streaming=True"
        )
    mixed = stream if supply.source is None else mix_stream(stream, supply, options)
    if regimen.augment is None:
        return mixed
    first = next(iter(mixed))
    fields = ItemFields.of(first, image=options.items.image, label=options.items.label)
    regimen.require_fit(as_image(fields.image_of(first), regimen.form.dtype), "the stream")
    changed: datasets.IterableDataset = mixed.map(
        _Batch(regimen.augment, fields.image, None, regimen.form.dtype),
        batched=True,
        batch_size=64,
        features=mixed.features,
    )
    return changed


def augment_dataset(dataset: Any, regimen: Regimen, options: MixOptions) -> Any:
    """The data set, its images augmented whenever they are read, before the transform that was set."""
    kind, told = dataset.format["type"], dataset.format["format_kwargs"]
    if kind not in (None, "custom"):
        raise UnsupportedKind(
            f'the data set has the format "{kind}", which turns rows into arrays before anything can be done to them: '
            "apply the plan to dataset.with_format(None), or let a transform make the arrays, dataset.with_transform"
        )
    plain = dataset.with_format(None)
    items = options.items
    fields = fields_of(plain, open_data(plain, label=items.label, image=items.image))
    assert regimen.augment is not None
    regimen.require_fit(as_image(fields.image_of(plain[0]), regimen.form.dtype), "the data set")
    then = told["transform"] if kind == "custom" else None
    columns = dataset.format["columns"] if dataset.format["columns"] != dataset.column_names else None
    return dataset.with_transform(
        _Batch(regimen.augment, fields.image, then, regimen.form.dtype),
        columns=columns,
        output_all_columns=dataset.format["output_all_columns"],
    )


class _Batch:
    """A transform of a batch of rows, as the library calls it."""

    def __init__(
        self, augment: Callable[[Any], Any], column: Any, then: Callable[[Any], Any] | None, dtype: str
    ) -> None:
        self._augment, self._column, self._then, self._dtype = augment, column, then, dtype

    def __call__(self, batch: Mapping[str, Any]) -> Any:
        changed = dict(batch)
        if self._column in changed:
            changed[self._column] = [
                self._augment(as_image(image, self._dtype)) for image in changed[self._column]
            ]
        return changed if self._then is None else self._then(changed)


def as_image(value: Any, dtype: str) -> Any:
    """What a column gives for an image: rows of numbers are an array."""
    return np.asarray(value, dtype) if isinstance(value, list) else value


def _repeated(dataset: Any, seed: int, options: MixOptions) -> Any:
    """All rows, and those of smaller classes again, until each has as many as the largest."""
    data = open_data(dataset.with_format(None), label=options.items.label, image=options.items.image)
    rng, most = numpy_rng(seed, "repeated"), int(np.bincount(data.labels).max())
    rows = [np.arange(len(data))]
    for k in np.unique(data.labels):
        own = np.flatnonzero(data.labels == k)
        turns = [rng.permutation(own) for _ in range(-(-(most - len(own)) // len(own)))]
        rows += [np.concatenate(turns)[: most - len(own)]] if turns else []
    return dataset.select(rng.permutation(np.concatenate(rows)), keep_in_memory=True)
