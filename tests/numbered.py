"""Pictures that carry a number, so that a test can say which row of which set it has before it."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from synthaug import Classes, ImageForm, Samples

CLASSES = ("cat", "dog", "owl")


SIDE = 8


def pictures(n: int, *, first: int = 0, step: int = 1) -> np.ndarray:
    """uint8 pictures with their number in two corner pixels and the whole range in two others."""
    rng = np.random.default_rng(first)
    images = rng.integers(0, 256, (n, SIDE, SIDE), dtype=np.uint8)
    numbers = first + step * np.arange(n)
    images[:, 0, 0], images[:, 0, 1] = numbers // 250, numbers % 250
    images[:, 1, 0], images[:, 1, 1] = 0, 255
    return images


def pool(per_class: int = 5, values=(0, 1, 2), container: str = "array", layout: str = "HW") -> Samples:
    """Pictures numbered from 10,000, classes in turn."""
    n = per_class * len(values)
    images = pictures(n, first=10_000)
    form = ImageForm(SIDE, SIDE, 1, layout, "uint8", 0.0, 255.0, container)
    places = np.arange(n) % len(values)
    return Samples(
        images.reshape(n, *form.shape),
        np.array(values)[places],
        Classes(CLASSES[: len(values)], tuple(values)),
        form,
        {"class": np.array(CLASSES)[places], "synthetic": np.ones(n, bool)},
    )


def number(image) -> int:
    """The number of a picture in any container and range."""
    array = np.asarray(image).reshape(SIDE, SIDE).astype(float)
    unit = 255.0 if array.max() <= 1 else 1.0
    return round(array[0, 0] * unit) * 250 + round(array[0, 1] * unit)


def is_synthetic(image) -> bool:
    return number(image) >= 10_000


class Pictures(Dataset):
    """A data set in the torchvision habit: PIL images, `targets`, `transform` and `target_transform`."""

    def __init__(self, n=60, transform=None, target_transform=None, kind="pil"):
        self.data = pictures(n)
        self.targets = [i % 3 for i in range(n)]
        self.transform, self.target_transform, self.kind = transform, target_transform, kind

    def __len__(self):
        return len(self.data)

    def __getitem__(self, row):
        image, label = self.data[row], self.targets[row]
        if self.kind == "pil":
            image = Image.fromarray(image)
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return image, label


def to_tensor(image):
    return torch.from_numpy(np.asarray(image).astype(np.float32))[None] / 255


def normalised(image):
    return (to_tensor(image) - 0.5) / 0.5


def tensors(n=60) -> TensorDataset:
    return TensorDataset(torch.from_numpy(pictures(n)), torch.arange(n) % 3)


def lists(batch):
    return [image for image, _ in batch], [label for _, label in batch]


def seen(loader) -> list[list[tuple[int, int]]]:
    """Each batch as (picture number, label) pairs."""
    return [
        [(number(x), y if isinstance(y, str) else int(y)) for x, y in zip(*batch, strict=True)]
        for batch in loader
    ]


class OwnLoader(DataLoader):
    """A subclass with an attribute of its own."""

    colour = "red"


Pair = namedtuple("Pair", "image label")


class Items(Dataset):
    """Any items in a list, without labels of their own to look at."""

    def __init__(self, items):
        self._items = items

    def __len__(self):
        return len(self._items)

    def __getitem__(self, row):
        return self._items[row]


class Levels:
    """Behind the face of a generator: pictures of one level, by class and noise."""

    classes, noise_shape = Classes(("cat", "dog", "owl"), (0, 1, 2)), (1,)
    form = ImageForm(8, 8, 1, "HW", "uint8", 0.0, 255.0)

    def __init__(self, device="cpu", held_out=()):
        self.device, self.held_out = torch.device(device), np.array(held_out, np.uint64)

    def to(self, device):
        return Levels(device, self.held_out)

    def make(self, positions, noise):
        assert positions.device == noise.device == self.device
        levels = 64 * (1 + positions) + (noise[:, 0].sigmoid() * 63).long()
        return levels[:, None, None].expand(-1, 8, 8).to(torch.uint8)
