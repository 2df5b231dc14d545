"""The ways into loaders and data sets: each keeps the same promises, and says what it is not for."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch
from numbered import CLASSES, Items, OwnLoader, lists, pictures, pool, tensors
from PIL import Image
from torch.utils.data import DataLoader, IterableDataset

import synthaug
from synthaug import ImageForm, mix
from synthaug.errors import InvalidRequest, UnsupportedKind
from synthaug.mixing import ADAPTERS, EVERY_OPTION, adapter_for
from synthaug.testing import check_adapter, planted_generator

STREAM, DATASET, LOADER = ADAPTERS


class Stream(IterableDataset):
    """Items in turn, with names for the labels."""

    classes = CLASSES

    def __init__(self, images, labels):
        self.items = list(zip(images, labels, strict=True))

    def __iter__(self):
        return iter(self.items)


def table(images, labels, label=None) -> datasets.Dataset:
    label = datasets.ClassLabel(names=list(CLASSES)) if label is None else label
    features = datasets.Features({"image": datasets.Image(), "label": label})
    columns = {"image": [Image.fromarray(image) for image in images], "label": list(labels)}
    return datasets.Dataset.from_dict(columns, features=features)


def streaming(images, labels) -> datasets.IterableDataset:
    return table(images, labels).to_iterable_dataset(num_shards=2)


def numbered_labels(n=12):
    return [row % 3 for row in range(n)]


def generator():
    return planted_generator(CLASSES, (0, 1, 2), ImageForm(8, 8, 1, "HW", "uint8", 0.0, 255.0))


# ------------------------------------------------------------------------------------------ every adapter


def batched(loader):
    return [(np.asarray(x), int(y)) for images, labels in loader for x, y in zip(images, labels, strict=True)]


def columns(dataset):
    return [(np.asarray(row["image"]), row["label"]) for row in dataset]


LOADERS = {
    "arrays": lambda images, labels: DataLoader(Items(list(zip(images, labels, strict=True))), 10),
    "tensors and workers": lambda images, labels: DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(images), torch.tensor(labels)), 7, num_workers=1
    ),
    "pictures in a loader of one's own": lambda images, labels: OwnLoader(
        Items([(Image.fromarray(x), y) for x, y in zip(images, labels, strict=True)]), 10, collate_fn=lists
    ),
    "shuffled": lambda images, labels: DataLoader(
        Items(list(zip(images, labels, strict=True))),
        10,
        sampler=np.random.default_rng(0).permutation(len(images)).tolist(),
    ),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_a_torch_loader_keeps_what_every_adapter_has_to_keep(kind):
    check_adapter(LOADER, LOADERS[kind], batched)


def test_a_torch_loader_over_a_stream_keeps_what_every_adapter_has_to_keep():
    check_adapter(LOADER, lambda images, labels: DataLoader(Stream(images, labels), 10), batched)


@pytest.mark.parametrize("label", ["ClassLabel", "int64"])
def test_a_hugging_face_data_set_keeps_what_every_adapter_has_to_keep(label):
    kind = None if label == "ClassLabel" else datasets.Value(label)
    check_adapter(DATASET, lambda images, labels: table(images, labels, kind), columns)


@pytest.mark.parametrize("shards", [1, 3])
def test_a_streaming_hugging_face_data_set_keeps_what_every_adapter_has_to_keep(shards):
    check_adapter(
        STREAM, lambda images, labels: table(images, labels).to_iterable_dataset(num_shards=shards), columns
    )


# ------------------------------------------------------------------------------------------- the right one


def test_each_kind_has_its_adapter():
    images, labels = pictures(12), numbered_labels()
    made = [
        streaming(images, labels),
        table(images, labels),
        DataLoader(tensors(12), 4),
        OwnLoader(tensors(12), 4),
    ]
    assert [adapter_for(loader) for loader in made] == [STREAM, DATASET, LOADER, LOADER]
    assert [adapter.kind for adapter in ADAPTERS] == [
        "a streaming Hugging Face data set",
        "a Hugging Face data set",
        "a torch DataLoader",
    ]


@pytest.mark.parametrize(
    "loader", [[1, 2], None, "folder", tensors(6), np.zeros(3)], ids=lambda x: type(x).__name__
)
def test_an_unknown_object_is_refused_with_what_is_taken(loader):
    message = (
        f"an object of type {type(loader).__name__} was given to mix; taken are a streaming Hugging Face data "
        "set, a Hugging Face data set, a torch DataLoader"
    )
    for refused in (lambda: adapter_for(loader), lambda: mix(loader, pool(), ratio=0.5)):
        with pytest.raises(UnsupportedKind) as error:
            refused()
        assert str(error.value).startswith(message)
        assert "synthaug.BatchMixer" in str(error.value)


# -------------------------------------------------------------------------------------- options by the kind

GIVEN = {
    "mode": "append",
    "exact": False,
    "weight": 0.5,
    "flag": True,
    "refresh": 0.5,
    "transform": np.invert,
    "labels": numbered_labels(),
}
MAKE = {
    "a streaming Hugging Face data set": lambda: streaming(pictures(12), numbered_labels()),
    "a Hugging Face data set": lambda: table(pictures(12), numbered_labels()),
}


def given(names):
    options = {name: GIVEN[name] for name in names if name != "labels"}
    return options | ({"items": synthaug.Items(labels=GIVEN["labels"])} if "labels" in names else {})


@pytest.mark.parametrize("adapter", [STREAM, DATASET], ids=lambda adapter: adapter.kind)
@pytest.mark.parametrize("name", GIVEN)
def test_an_option_that_has_no_meaning_for_a_kind_is_refused_by_name(adapter, name):
    if name in adapter.takes:
        assert mix(MAKE[adapter.kind](), generator(), **given([name])) is not None
        return
    message = f"{name}= as given has no meaning for {adapter.kind}: leave it out, or mix a DataLoader."
    with pytest.raises(InvalidRequest) as error:
        mix(MAKE[adapter.kind](), generator(), **given([name]))
    assert str(error.value) == message


@pytest.mark.parametrize("adapter", [STREAM, DATASET], ids=lambda adapter: adapter.kind)
def test_all_options_without_a_meaning_are_named_together(adapter):
    with pytest.raises(InvalidRequest) as error:
        mix(MAKE[adapter.kind](), generator(), **given(GIVEN))
    refused = ", ".join(f"{name}=" for name in GIVEN if name not in adapter.takes)
    assert str(error.value).startswith(f"{refused} as given has no meaning for {adapter.kind}")


@pytest.mark.parametrize("adapter", [STREAM, DATASET], ids=lambda adapter: adapter.kind)
def test_options_as_they_are_anyway_are_not_refused(adapter):
    usual = {"exact": True, "weight": None, "flag": False, "refresh": None, "transform": None, "seed": 0}
    assert mix(MAKE[adapter.kind](), generator(), **usual, items=synthaug.Items()) is not None


def test_a_torch_loader_takes_every_option():
    assert LOADER.takes == EVERY_OPTION == {"ratio", "seed", "pool", *GIVEN}
    mixed = mix(DataLoader(tensors(12), 6), generator(), ratio=0.5, **given(GIVEN))
    assert [[len(part) for part in batch] for batch in mixed] == [[len(batch[0])] * 4 for batch in mixed]
