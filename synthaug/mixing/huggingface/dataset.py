"""A map-style Hugging Face data set with synthetic rows mixed in."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from synthaug.data.classes import Label, plain_label
from synthaug.data.items import ItemForm, Key
from synthaug.data.labeled import LabeledData, open_data
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind, did_you_mean
from synthaug.files.formats import mark_real, provenance_features
from synthaug.generators.samples import Samples
from synthaug.mixing.checks import (
    PROBES,
    Look,
    class_positions,
    mismatch,
    refuse_held_out,
    refuse_schedule,
    shares_by_class,
    spread,
)
from synthaug.mixing.plan import MixingPlan, Mode
from synthaug.mixing.schedule import Ratio

if TYPE_CHECKING:
    import datasets


def is_huggingface(source: Any) -> bool:
    """Whether ``source`` is a data set of the ``datasets`` library, of any kind."""
    library = sys.modules.get("datasets")
    if library is None:
        return False
    return isinstance(
        source,
        library.Dataset | library.IterableDataset | library.DatasetDict | library.IterableDatasetDict,
    )


def mix_dataset(
    dataset: datasets.Dataset,
    samples: Samples,
    *,
    ratio: Ratio,
    mode: Mode = "replace",
    seed: int = 0,
    label: str | None = None,
    image: str | None = None,
    fill: Mapping[Key, Any] | None = None,
) -> datasets.Dataset:
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
        samples: the pool, at least one row of each class, in the form of the stored images.
        ratio: synthetic / (real + synthetic), in [0, 1); or one for each class by name or label, where classes
            left out have 0.
        mode: "replace" or "append".
        seed: the only source of randomness.
        label: the label's column, where it cannot be guessed.
        image: the image's column, where it cannot be guessed.
        fill: values of other columns in synthetic rows; null where there is none.

    Raises:
        UnsupportedKind: a streaming data set, or one of several splits.
        InvalidRequest: a ratio outside [0, 1), a schedule, a class that the samples lack, a column that does not
            exist or that stands where the provenance goes.
        InvalidData: a column that does not hold the labels.
        SpecMismatch: real and synthetic images differ in shape, dtype or value range. Up to 64 of each are
            compared; the ranges of uint8 images are not.
        Leakage: rows of the data set are held out from the generator. All are compared up to 20,000, else 512
            spread over them.

    Example:
        >>> import datasets
        >>> from synthaug.modalities.image.spec import ImageSpec
        >>> kinds = {"x": datasets.Array2D((8, 8), "uint8"), "y": datasets.Value("int64")}
        >>> rows = {"x": np.zeros((4, 8, 8)), "y": [0, 1, 0, 1]}
        >>> real = datasets.Dataset.from_dict(rows, datasets.Features(kinds))
        >>> from synthaug.files.formats import real_provenance
        >>> about = real_provenance(2) | {"synthetic": np.ones(2, bool), "class": np.array(["0", "1"])}
        >>> spec = ImageSpec(8, 8, 1, "HW", "uint8", 0, 255)
        >>> pool = Samples(np.ones((2, 8, 8), np.uint8), np.arange(2), ("0", "1"), (0, 1), spec, about)
        >>> mixed = mix_dataset(real, pool, ratio=0.5)
        >>> sum(mixed["synthetic"]), mixed["y"][:]
        (2, [0, 1, 0, 1])
    """
    _refuse_unfit(dataset)
    refuse_schedule(
        ratio,
        "a data set is mixed once and is the same in every epoch: mix the DataLoader over it, "
        "synthaug.mix(loader, ...), which knows epochs and steps",
    )
    data = open_data(dataset, label=label, image=image)
    form = _columns(dataset, data, label, image)
    for name in fill or ():
        if name not in form.others:
            raise InvalidRequest(f'fill= names "{name}".{did_you_mean(str(name), map(str, form.others))}')

    labels = [data.values[k] for k in data.labels]
    values = [plain_label(value) for value in samples.values]
    positions, names = class_positions(labels, values, samples.classes)
    pool = samples.class_indices
    shares = shares_by_class(ratio, names, values)
    plan = MixingPlan(positions, pool, ratio=shares, mode=mode, seed=seed, classes=names)
    if not plan.idle:
        _refuse_other_form(data, samples)
        refuse_held_out(
            np.arange(len(data)), lambda rows: data.take(rows).fingerprints(), samples, "the data set"
        )
    order = plan.once()
    used = np.unique(order[order >= len(data)])
    order[order >= len(data)] = len(data) + np.searchsorted(used, order[order >= len(data)])
    return _selected(dataset, _synthetic(dataset, form, samples[used - len(data)], values, fill), order, form)


def _refuse_unfit(dataset: Any) -> None:
    import datasets

    if isinstance(dataset, datasets.DatasetDict | datasets.IterableDatasetDict):
        raise UnsupportedKind(
            f"a data set of the splits {', '.join(map(str, dataset))} was given; mix the one to train on: "
            'dataset["train"] = mix(dataset["train"], ...)'
        )
    if not isinstance(dataset, datasets.Dataset):
        raise UnsupportedKind(
            "a streaming Hugging Face data set was given; rows are needed by number: load it without "
            "streaming=True, or write a larger one with synthaug.expand"
        )


def _columns(dataset: Any, data: LabeledData, label: str | None, image: str | None) -> ItemForm:
    """Where image and label are, and that the provenance has room beside them."""
    first = dataset.with_format("numpy")[0]
    form = ItemForm.of(first, data.values[data.labels[0]], image, label)
    if list(dataset.with_format(None)[form.label]) != [data.values[k] for k in data.labels]:
        raise InvalidData(
            f'the column "{form.label}" does not hold the labels; name the one that does with label='
        )
    clash = sorted(set(_provenance_of(form)) & set(dataset.column_names))
    if clash:
        raise InvalidRequest(
            f'the data set has a column "{clash[0]}", where the provenance of a row goes: mix the data set '
            f'as it was before it was expanded or mixed, or rename_column("{clash[0]}", ...) first'
        )
    return form


def _provenance_of(form: ItemForm) -> dict[str, Any]:
    """The features of provenance; a label column of the name "class" says already what ours would."""
    return {name: kind for name, kind in provenance_features().items() if name != form.label}


def _refuse_other_form(data: LabeledData, samples: Samples) -> None:
    spec = samples.spec
    ends = [np.full_like(samples.samples[0], end) for end in (spec.low, spec.high) if end is not None]
    real = Look.of(list(data.read(spread(np.arange(len(data)), PROBES))))
    synthetic = Look.of(list(samples.samples[spread(np.arange(len(samples)), PROBES)]), ends)
    if not synthetic.fits(real):
        remedy = "Train the generator on this data set, or bring its images to the form of the samples"
        raise mismatch(real, str(synthetic), remedy)


def _synthetic(
    dataset: Any, form: ItemForm, samples: Samples, values: list[Label], fill: Mapping[Key, Any] | None
) -> Any:
    import datasets

    images = list(samples.samples)
    if isinstance(dataset.features[form.image], datasets.Image):
        images = [Image.fromarray(image) for image in images]
    columns = {name: [(fill or {}).get(name)] * len(samples) for name in form.others}
    columns |= {form.image: images, form.label: [values[k] for k in samples.class_indices]}
    provenance = _provenance_of(form)
    columns |= {name: samples.provenance[name].tolist() for name in provenance}
    return datasets.Dataset.from_dict(columns, features=datasets.Features({**dataset.features, **provenance}))


def _selected(dataset: Any, synthetic: Any, order: np.ndarray, form: ItemForm) -> Any:
    """Rows of [real | synthetic] in this order, with provenance, in the format of ``dataset``."""
    import datasets

    real = mark_real(dataset, _provenance_of(form))
    mixed = datasets.concatenate_datasets([real, synthetic]).select(order, keep_in_memory=True)
    shape = dataset.format
    if shape["type"] is None:
        return mixed
    return mixed.with_format(
        shape["type"],
        columns=shape["columns"],
        output_all_columns=shape["output_all_columns"],
        **shape["format_kwargs"],
    )
