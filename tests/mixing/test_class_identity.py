"""A class stays the same class from data set to generator to batch, however each of them writes its label.

A cat is bright on the left, a dog on the right, so that a picture says by itself which of the two it is.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

import synthaug
from synthaug import Generator, mix
from synthaug.errors import InvalidRequest

NAMES = ("cat", "dog")
N = 24


def picture(name: str, rng: np.random.Generator) -> np.ndarray:
    image = rng.integers(0, 60, (8, 8), dtype=np.uint8)
    bright = slice(0, 4) if name == "cat" else slice(4, 8)
    image[:, bright] = rng.integers(190, 256, (8, 4))
    return image


def class_of(image) -> str:
    image = np.asarray(image, float).reshape(8, 8)
    left, right = image[:, :4].mean(), image[:, 4:].mean()
    assert abs(left - right) > 30, "a picture from which its class cannot be told"
    return "cat" if left > right else "dog"


def named(n: int = N, seed: int = 0) -> list[tuple[np.ndarray, str]]:
    """Pictures and names, with unequal classes so that numbers cannot be swapped unseen."""
    rng = np.random.default_rng(seed)
    names = ["dog" if row % 3 == 0 else "cat" for row in range(n)]
    return [(picture(name, rng), name) for name in names]


def folder(place: Path, rows: list[tuple[np.ndarray, str]]) -> Path:
    for row, (image, name) in enumerate(rows):
        (place / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / name / f"{row}.png")
    return place


def to_array(image) -> np.ndarray:
    return np.array(image)


class ImageFolder(Dataset):
    """In the habit of torchvision: PIL images, integer labels, and names for these in ``classes``."""

    def __init__(self, rows, classes, transform=None):
        self.classes, self.class_to_idx = list(classes), {name: k for k, name in enumerate(classes)}
        self.samples = [(Image.fromarray(image), self.class_to_idx[name]) for image, name in rows]
        self.targets = [label for _, label in self.samples]
        self.transform = transform

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, row):
        image, label = self.samples[row]
        return (image if self.transform is None else self.transform(image)), label


class Strings(Dataset):
    """Items whose labels are the names themselves."""

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        return self.rows[row]


class Stream(IterableDataset):
    """The same items in turn; with names for integer labels, or with names as labels."""

    def __init__(self, rows, classes=None):
        self.rows = rows
        if classes is not None:
            self.classes = list(classes)

    def __iter__(self):
        names = getattr(self, "classes", None)
        return iter([(image, name if names is None else names.index(name)) for image, name in self.rows])


def table(rows, names=None) -> datasets.Dataset:
    """A ``ClassLabel`` column of these names, or one of strings."""
    label = datasets.Value("string") if names is None else datasets.ClassLabel(names=list(names))
    columns = {
        "image": [Image.fromarray(image) for image, _ in rows],
        "label": [name if names is None else names.index(name) for _, name in rows],
    }
    features = datasets.Features({"image": datasets.Image(), "label": label})
    return datasets.Dataset.from_dict(columns, features=features)


# ------------------------------------------------------------------------------------------------- sources


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("class identity")


@pytest.fixture(scope="module")
def source_of(place):
    """What synthetic rows are taken from, by what it was trained on, made once."""

    def fitted(dataset) -> Generator:
        return synthaug.fit(dataset, steps=2, progress=False, device="cpu")

    @cache
    def make(kind: str):
        if kind == "a folder":
            return fitted(folder(place / "folder", named()))
        if kind == "labels with names":
            return fitted(ImageFolder(named(), NAMES))
        if kind == "labels with names in another order":
            return fitted(ImageFolder(named(), ("ant", "dog", "cat")))
        if kind == "strings":
            return fitted(Strings(named()))
        if kind == "a ClassLabel":
            return fitted(table(named(), ("dog", "cat")))
        if kind == "a column of strings":
            return fitted(table(named()))
        if kind == "samples":
            return make("a folder").sample(12)
        if kind == "samples of labels":
            return make("labels with names in another order").sample(12)
        maker = make("a folder")
        if kind == "an expanded folder":
            return synthaug.expand(place / "folder", maker, to="2x", out=place / "expanded", progress=False)
        if kind == "an expanded data set of labels":
            dataset = ImageFolder(named(), ("ant", "dog", "cat"))
            return synthaug.expand(dataset, maker, to="2x", out=place / "expanded labels", progress=False)
        if kind == "an expanded folder of a generator of labels":
            maker = make("labels with names in another order")
            make("a folder")
            return synthaug.expand(place / "folder", maker, to="2x", out=place / "of labels", progress=False)
        assert kind == "sampled rows in a file"
        return synthaug.sample(maker, 12, out=place / "sampled.npz", progress=False)

    return make


GENERATORS = (
    "a folder",
    "labels with names",
    "labels with names in another order",
    "strings",
    "a ClassLabel",
    "a column of strings",
)
ON_DISK = (
    "an expanded folder",
    "an expanded data set of labels",
    "an expanded folder of a generator of labels",
    "sampled rows in a file",
)
SOURCES = (*GENERATORS, "samples", "samples of labels", *ON_DISK)


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_pictures_of_a_generator_say_which_class_they_are(source_of, kind):
    generator = source_of(kind)
    for name in NAMES:
        samples = generator.sample({name: 50})
        assert {class_of(image) for image in samples.samples} == {name}


# ------------------------------------------------------------------------------------------------- loaders

ROWS = named(30, seed=1)


def over(dataset, **options) -> DataLoader:
    return DataLoader(dataset, 6, **options)


def image_and_label(batch):
    return [row["image"] for row in batch], [row["label"] for row in batch]


LOADERS = {
    "names in order": (lambda: over(ImageFolder(ROWS, NAMES, to_array)), NAMES),
    "names the other way round": (lambda: over(ImageFolder(ROWS, ("dog", "cat"), to_array)), ("dog", "cat")),
    "a name without rows": (
        lambda: over(ImageFolder(ROWS, ("cat", "bee", "dog"), to_array)),
        ("cat", "bee", "dog"),
    ),
    "a part of a part": (
        lambda: over(Subset(Subset(ImageFolder(ROWS, ("dog", "cat"), to_array), range(29)), range(28))),
        ("dog", "cat"),
    ),
    "workers": (
        lambda: over(ImageFolder(ROWS, ("dog", "cat"), to_array), num_workers=1),
        ("dog", "cat"),
    ),
    "strings": (lambda: over(Strings(ROWS)), None),
    "a stream with names": (lambda: over(Stream(ROWS, ("dog", "cat"))), ("dog", "cat")),
    "a stream of strings": (lambda: over(Stream(ROWS)), None),
    "a ClassLabel": (
        lambda: over(table(ROWS, ("dog", "cat")), collate_fn=image_and_label),
        ("dog", "cat"),
    ),
    "a column of strings": (lambda: over(table(ROWS), collate_fn=image_and_label), None),
}


def rows_of(loader, names) -> list[tuple[str, str]]:
    """The class that each picture shows beside the class that its label says, in order."""
    found = []
    for images, labels, *_ in loader:
        for image, label in zip(images, labels, strict=True):
            assert isinstance(label, str) == (names is None)
            found.append((class_of(image), label if names is None else names[int(label)]))
    return found


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", LOADERS)
def test_batches_have_the_loaders_own_labels_and_synthetic_pictures_of_the_right_class(
    source_of, source, kind
):
    make, names = LOADERS[kind]
    plain, mixed = rows_of(make(), names), mix(make(), source_of(source), ratio=0.5, flag=True, pool=20)
    assert len(plain) >= 28
    flags = [bool(flag) for *_, synthetic in mixed for flag in synthetic]
    found = rows_of(mixed, names)
    assert [label for _, label in found] == [label for _, label in plain]
    assert all(shown == label for shown, label in found)
    assert sum(flags) == len(plain) // 2
    assert {label for (_, label), flag in zip(rows_of(make(), names), flags, strict=True) if flag} == set(
        NAMES
    )


# --------------------------------------------------------------------------------- Hugging Face data sets

COLUMNS = {"names in order": NAMES, "names the other way round": ("dog", "cat"), "strings": None}


def in_columns(dataset, names) -> list[tuple[str, str, bool]]:
    """The class that each picture shows, the class that its label says, and whether the row is synthetic."""
    found = []
    for row in dataset:
        label = row["label"] if names is None else names[row["label"]]
        found.append((class_of(row["image"]), label, row["synthetic"]))
    return found


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_mixed_data_set_has_its_own_labels_and_synthetic_pictures_of_the_right_class(
    source_of, source, kind
):
    names = COLUMNS[kind]
    plain = table(ROWS, names)
    mixed = mix(plain, source_of(source), ratio=0.5, pool=20)
    assert {name: mixed.features[name] for name in plain.features} == plain.features
    assert mixed["label"] == plain["label"]
    found = in_columns(mixed, names)
    assert all(shown == label for shown, label, _ in found)
    assert {label for _, label, synthetic in found if synthetic} == set(NAMES)
    assert sum(synthetic for *_, synthetic in found) == len(ROWS) // 2


@pytest.mark.parametrize("source", GENERATORS)
@pytest.mark.parametrize("kind", COLUMNS)
def test_a_mixed_stream_has_its_own_labels_and_synthetic_pictures_of_the_right_class(source_of, source, kind):
    names = COLUMNS[kind]
    plain = table(ROWS, names)
    mixed = mix(plain.to_iterable_dataset(), source_of(source), ratio=0.5)
    found = in_columns(mixed, names)
    assert all(shown == label for shown, label, _ in found)
    assert {label for _, label, synthetic in found if synthetic} == set(NAMES)
    assert [label for _, label, synthetic in found if not synthetic] == [name for _, name in ROWS]


# ------------------------------------------------------------------------------------- shares and refusals


@pytest.mark.parametrize("source", ["a folder", "labels with names in another order"])
@pytest.mark.parametrize("classes", [NAMES, ("dog", "cat")])
@pytest.mark.parametrize("by", ["name", "label"])
def test_a_share_is_that_of_the_class_that_is_named_in_the_loaders_way(source_of, source, classes, by):
    loader = over(ImageFolder(ROWS, classes, to_array))
    key = "dog" if by == "name" else classes.index("dog")
    mixed = mix(loader, source_of(source), ratio={key: 0.5}, flag=True, pool=20)
    rows = [row for batch in mixed for row in zip(*batch, strict=True)]
    assert {(class_of(image), classes[int(label)]) for image, label, flag in rows if flag} == {("dog", "dog")}
    assert sum(bool(flag) for *_, flag in rows) == 5


def test_labels_without_names_are_those_of_a_generator_with_such_labels(source_of):
    """Nothing but the number is known on one side."""
    rows = [(image, ("ant", "dog", "cat").index(name)) for image, name in ROWS]
    source = source_of("labels with names in another order")
    found = rows_of(mix(over(Strings(rows)), source, ratio=0.5, pool=20), ("ant", "dog", "cat"))
    assert len(found) == len(ROWS)
    assert all(shown == label for shown, label in found)


@pytest.mark.parametrize("source", ["a folder", "an expanded folder", "samples"])
def test_labels_without_names_are_not_guessed_for_a_source_that_has_names_only(source_of, source):
    rows = [(image, NAMES.index(name)) for image, name in ROWS]
    with pytest.raises(
        InvalidRequest, match=r'in common: .*"0", "1", and .*"cat", "dog"\. .*dataset\.classes'
    ):
        mix(over(Strings(rows)), source_of(source), ratio=0.5)


@pytest.mark.parametrize("source", ["a folder", "labels with names", "an expanded folder"])
@pytest.mark.parametrize("make", [
    lambda rows: over(ImageFolder(rows, ("cow", "dog"), to_array)),
    lambda rows: over(Strings(rows)),
    lambda rows: table(rows, ("cow", "dog")),
    lambda rows: table(rows),
], ids=["names", "strings", "a ClassLabel", "a column of strings"])  # fmt: skip
def test_a_class_of_another_name_is_not_taken_for_one_that_has_its_number(source_of, source, make):
    """A cow with the label 0 is no cat with the label 0."""
    rows = [(image, "cow" if name == "cat" else name) for image, name in ROWS]
    with pytest.raises(InvalidRequest, match="cow"):
        mix(make(rows), source_of(source), ratio=0.5)
