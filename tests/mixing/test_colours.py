"""BGR beside RGB is said wherever real and synthetic rows meet, and nothing else is."""

from __future__ import annotations

import warnings

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, IterableDataset

import synthaug
from synthaug import Classes, ImageForm, Samples
from synthaug.errors import SynthaugWarning
from synthaug.files import Place, write_samples
from synthaug.mixing.colours import Tints
from synthaug.mixing.sklearn import SyntheticRows

CLASSES = Classes(("0", "1"), (0, 1))
WARM, COLD = [(200, 90, 40), (160, 120, 70)], [(60, 90, 190), (90, 100, 140)]
SAID = "red and blue changed places"


def coloured(colours, n=80, seed=0):
    noise = np.random.default_rng(seed).integers(0, 30, (n, 8, 8, 3))
    return (np.array(colours)[np.arange(n) % len(colours)][:, None, None] + noise).astype(np.uint8)


def samples(images):
    n, form = len(images), ImageForm(*images.shape[1:], "HWC", "uint8", 0.0, 255.0)
    labels = np.arange(n) % 2
    about = {
        "synthetic": np.ones(n, bool), "generator": np.array(["g"] * n), "seed": np.zeros(n, np.int64),
        "class": labels.astype(str), "index": np.arange(n) // 2,
    }  # fmt: skip
    return Samples(images, labels, CLASSES, form, about)


def labels_of(images):
    return [row % 2 for row in range(len(images))]


class Stream(IterableDataset):
    def __init__(self, images):
        self.images = images

    def __iter__(self):
        return iter(zip(self.images, labels_of(self.images), strict=True))


def table(images):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["0", "1"])})
    columns = {"image": list(map(Image.fromarray, images)), "label": labels_of(images)}
    return datasets.Dataset.from_dict(columns, features=features)


def in_the_step(images, made):
    synthaug.BatchMixer(made, ratio=0.5)((torch.from_numpy(images), torch.tensor(labels_of(images))))


DOORS = {
    "a loader": lambda images, made: synthaug.mix(
        DataLoader(list(zip(images, labels_of(images), strict=True)), 8), made
    ),
    "a stream": lambda images, made: synthaug.mix(DataLoader(Stream(images), 8), made),
    "a Hugging Face data set": lambda images, made: synthaug.mix(table(images), made),
    "a batch": in_the_step,
    "scikit-learn": lambda images, made: SyntheticRows(made).fit_resample(images, labels_of(images)),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("colours", [WARM, COLD], ids=["warm", "cold"])
def test_bgr_beside_rgb_is_said_at_every_door_and_points_to_the_caller(door, colours):
    made, real = samples(coloured(colours, seed=1)), coloured(colours)
    DOORS[door](real, made)  # warnings are errors
    with pytest.warns(SynthaugWarning, match=SAID) as said:
        DOORS[door](np.ascontiguousarray(real[..., ::-1]), made)
    assert said[0].filename == __file__


def test_bgr_is_said_of_a_stream_and_of_live_rows():
    real = coloured(WARM)
    generator = synthaug.fit((real, labels_of(real)), family="warp", steps=2, progress=False)
    swapped = np.ascontiguousarray(real[..., ::-1])
    in_the_step(real, generator)
    list(synthaug.mix(table(real).to_iterable_dataset(), generator).take(1))
    for ask in (
        lambda: in_the_step(swapped, generator),
        lambda: synthaug.mix(table(swapped).to_iterable_dataset(), generator),
    ):
        with pytest.warns(SynthaugWarning, match=SAID):
            ask()


def test_bgr_is_said_of_albumentations_once_enough_images_were_seen(tmp_path):
    A = pytest.importorskip("albumentations")
    from synthaug.mixing.albumentations import SyntheticReplacement

    real = coloured(WARM)
    generator = synthaug.fit((real, labels_of(real)), family="warp", steps=2, progress=False)
    pool = write_samples(generator, {"0": 10, "1": 10}, Place(tmp_path / "pool.npz"))
    right, wrong = (A.Compose([SyntheticReplacement(pool, p=0.5)]) for _ in range(2))
    for image, label in zip(real, labels_of(real), strict=True):
        right(image=image, label=label)
    swapped = list(np.ascontiguousarray(real[..., ::-1]))
    pairs = list(zip(swapped, labels_of(real), strict=True))
    with pytest.warns(SynthaugWarning, match=SAID) as said:
        [wrong(image=image, label=label) for image, label in pairs]
    assert len(said) == 1


OTHER = {
    "pale": lambda x: (128 + 0.3 * (x.astype(float) - 128)).astype(np.uint8),
    "dark": lambda x: x // 2,
    "grey": lambda x: np.repeat(x.mean(3, keepdims=True).astype(np.uint8), 3, 3),
    "inverted in one class": lambda x: np.where((np.arange(len(x)) % 2)[:, None, None, None], 255 - x, x),
    "green": lambda x: np.clip(x + np.array([0, 60, 0]), 0, 255).astype(np.uint8),
    "one row": lambda x: x[:2],
}


@pytest.mark.parametrize("other", OTHER)
def test_other_differences_of_colour_are_not_taken_for_bgr(other):
    DOORS["a loader"](coloured(WARM), samples(OTHER[other](coloured(WARM, seed=1))))


def test_almost_grey_pictures_say_nothing_either_way():
    real, made = coloured([(118, 124, 120), (95, 92, 90)]), coloured([(120, 124, 118), (90, 92, 95)], seed=1)
    DOORS["a loader"](real, samples(made))


@pytest.mark.parametrize("name", ["digits", "fashion"])
def test_no_false_alarm_on_grey_pictures_in_three_channels(name):
    rng = np.random.default_rng(0)
    if name == "digits":
        images, labels = load_digits(return_X_y=True)
        images = (images.reshape(-1, 8, 8) * 15).astype(np.uint8)
    else:
        data = synthaug.open_data("bundled:fashion-mnist")
        data = data.take(np.arange(0, len(data), 3))
        images, labels = data.read(), data.labels
    for _ in range(50):
        some = rng.permutation(len(images))
        three = images[some, ..., None] // 2 + rng.integers(0, 6, (len(some), 1, 1, 3)).astype(np.uint8)
        real, made = slice(64), slice(64, 320)
        first, second = (Tints.seen(three[part], labels[some][part].tolist()) for part in (real, made))
        assert first is not None
        assert second is not None
        assert not first.reversed_in(second)


def test_a_transform_that_swaps_colours_ends_the_warning():
    real = np.ascontiguousarray(coloured(WARM)[..., ::-1])
    loader = DataLoader(list(zip(real, labels_of(real), strict=True)), 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        synthaug.mix(loader, samples(coloured(WARM, seed=1)), transform=lambda image: image[..., ::-1].copy())
