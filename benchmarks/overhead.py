"""What mixing costs: the time of an epoch, as a ratio to the plain loader's, paired within each repeat.

Compared are the plain loader, a data set that mixes by hand as DA-Fusion writes it (a synthetic image with
`synthetic_probability` in `__getitem__`), and a mixed loader, over tensors in memory, image files with an
albumentations pipeline and a Hugging Face data set; and synthetic rows from a pool beside rows made live.

Over tensors in memory without workers the ratio to the plain loader has a floor above 1: a plain batch of 64 takes
about 170 us, and planning one (which rows give way to which, the same for any number of workers and after a resume)
takes 20 to 30 us in the same process. Reading and collating cost the same in both.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A
import datasets
import numpy as np
import torch
from PIL import Image
from record import RESULTS, write_results
from torch.utils.data import DataLoader, Dataset, TensorDataset

import synthaug
from synthaug import Samples, open_data

RATIO, BATCH = 0.25, 64


class Files(Dataset[Any]):
    """Image files through an augmentation."""

    def __init__(
        self, paths: list[str], labels: list[int], transform: Callable[[np.ndarray], torch.Tensor]
    ) -> None:
        self.paths, self.targets, self.transform = paths, labels, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> Any:
        with Image.open(self.paths[row]) as image:
            return self.transform(np.asarray(image)), self.targets[row]


class ByHand(Dataset[Any]):
    """As DA-Fusion writes it: with a probability the item is a synthetic one of its class."""

    def __init__(
        self, real: Any, labels: list[int], samples: Samples, build: Callable[[np.ndarray, int], Any]
    ) -> None:
        self.real, self.labels, self.images, self.build = real, labels, samples.samples, build
        self.of_class = [
            np.flatnonzero(samples.class_indices == k).tolist() for k in range(len(samples.classes))
        ]

    def __len__(self) -> int:
        return len(self.real)

    def __getitem__(self, row: int) -> Any:
        if random.random() < RATIO:
            label = self.labels[row]
            return self.build(self.images[random.choice(self.of_class[label])], label)
        return self.real[row]


class Augment:
    """uint8 (H, W) to a float tensor, flipped and turned at random."""

    def __init__(self) -> None:
        self.pipeline = A.Compose([A.HorizontalFlip(), A.Affine(rotate=(-10, 10), p=1.0)])

    def __call__(self, image: np.ndarray) -> torch.Tensor:
        """The image, changed."""
        return torch.from_numpy(self.pipeline(image=image)["image"]).unsqueeze(0).float().div_(255)


def as_tensor(image: np.ndarray) -> torch.Tensor:
    """``(H, W)`` to ``(1, H, W)``, in memory of its own."""
    return torch.from_numpy(image.copy()).unsqueeze(0)


class Built:
    """A synthetic item by hand, in the form of the real ones."""

    def __init__(self, kind: str, augment: Augment) -> None:
        self.kind, self.augment = kind, augment

    def __call__(self, image: np.ndarray, label: int) -> Any:
        """The item."""
        if self.kind == "tensors":
            return as_tensor(image), torch.tensor(label)
        if self.kind == "files":
            return self.augment(image), label
        return {"image": as_tensor(image), "label": label}


def epoch_seconds(loader: Any) -> float:
    """That the batches of an epoch take."""
    # Without workers the time of this process is counted, which other processes on the machine do not change.
    clock = time.perf_counter if loader.num_workers else time.process_time
    start = clock()
    for _ in loader:
        pass
    return clock() - start


def ratios(arms: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Each arm's time divided by the plain one's of the same repeat; arms take turns, in changing order."""
    found: dict[str, list[float]] = {name: [] for name in arms}
    names = list(arms)
    for repeat in range(repeats + 1):
        taken = {name: epoch_seconds(arms[name]) for name in (names if repeat % 2 else names[::-1])}
        if repeat:  # the first is for warming up
            for name in names:
                found[name].append(taken[name] / taken["plain"])
    return {name: _summary(values) for name, values in found.items() if name != "plain"} | {
        "mixed / by hand": _summary([m / h for m, h in zip(found["mixed"], found["by hand"], strict=True)])
    }


def _summary(values: list[float]) -> dict[str, float]:
    quartiles = statistics.quantiles(values, n=4)
    names = ("lower_quartile", "median", "upper_quartile")
    return {name: round(value, 3) for name, value in zip(names, quartiles, strict=True)} | {"n": len(values)}


def cells(rows: np.ndarray, labels: np.ndarray, samples: Samples, folder: Path) -> dict[str, Any]:
    """For each kind of data set: the plain one, the one mixed by hand, and what a loader needs for it."""
    augment = Augment()
    plain = labels.tolist()
    paths = []
    for row, image in enumerate(rows):
        paths.append(str(folder / f"{row}.png"))
        Image.fromarray(image).save(paths[-1])
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    encoded = datasets.Dataset.from_dict({"image": paths, "label": plain}, features=kinds)
    table = encoded.with_transform(decoded)
    found: dict[str, Any] = {
        "tensors": TensorDataset(torch.from_numpy(rows).unsqueeze(1), torch.from_numpy(labels)),
        "files": Files(paths, plain, augment),
        "huggingface": table,
    }
    return {kind: (real, ByHand(real, plain, samples, Built(kind, augment))) for kind, real in found.items()}


def tensors_of(samples: Samples) -> Samples:
    """The pool of a generator that was fitted on the data set of tensors."""
    form = replace(samples.form, layout="CHW", container="tensor")
    return replace(samples, samples=samples.samples[:, None], form=form)


def decoded(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Rows of a Hugging Face data set with their images as tensors."""
    return batch | {"image": [chw(image) for image in batch["image"]]}


def chw(image: np.ndarray) -> torch.Tensor:
    """An image of any kind as a tensor."""
    return as_tensor(np.asarray(image))


def main() -> None:
    """Measures all of it, and writes one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, default=RESULTS / "overhead.json")
    options = parser.parse_args()
    torch.set_num_threads(1)

    data = open_data("bundled:fashion-mnist")
    chosen = np.random.default_rng(0).permutation(len(data))[: options.rows]
    rows, labels = data.read(chosen), data.labels[chosen]
    generator = synthaug.fit((rows, labels), steps=50, progress=False)
    samples = generator.sample(200)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, (real, by_hand) in cells(rows, labels, samples, Path(folder)).items():
            transform = chw if kind == "huggingface" else None
            for workers in (0, 2):
                make = {"batch_size": BATCH, "shuffle": True, "num_workers": workers}
                make |= {"persistent_workers": True} if workers else {}
                pool = tensors_of(samples) if kind == "tensors" else samples
                mixed = synthaug.mix(DataLoader(real, **make), pool, ratio=RATIO, transform=transform)
                arms = {
                    "plain": DataLoader(real, **make),
                    "by hand": DataLoader(by_hand, **make),
                    "mixed": mixed,
                }
                results.append(
                    {"data": kind, "workers": workers, "epoch_time": ratios(arms, options.repeats)}
                )
                print(results[-1], flush=True)
                del arms, mixed

    per_batch = {name: round(RATIO * BATCH / len(data.classes)) + 1 for name in generator.classes}
    live, pooled = [], []
    for repeat in range(options.repeats):
        start = time.perf_counter()
        made = generator.sample(per_batch, seed=repeat)
        middle = time.perf_counter()
        torch.from_numpy(
            samples.samples[np.random.default_rng(repeat).integers(0, len(samples), len(made))].copy()
        )
        live.append(middle - start)
        pooled.append(time.perf_counter() - middle)
    factor = _summary([a / b for a, b in zip(live, pooled, strict=True)])
    write_results(
        options.out,
        {
            "about": "epoch time / plain loader's epoch time, paired in each repeat; arms take turns in one "
            "process; CPU time without workers, wall time with them",
            "load_average": os.getloadavg(),
            "rows": len(rows),
            "batch_size": BATCH,
            "ratio": RATIO,
            "threads": 1,
            "cells": results,
            "live_over_pool": {"rows": len(made), "family": "cvae", "time": factor},
            "pool_memory": pool_memory(samples, rows, labels),
        },
    )


def pool_memory(samples: Samples, rows: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Bytes of the pool, and what of it two spawned workers share with the main process."""
    plain = DataLoader(
        TensorDataset(torch.from_numpy(rows).unsqueeze(1), torch.from_numpy(labels)), batch_size=BATCH
    )
    mixed: Any = synthaug.mix(plain, tensors_of(samples), ratio=RATIO)
    sizes = {}
    for name, loader in (("plain", plain), ("mixed", mixed)):
        buffer = io.BytesIO()
        ForkingPickler(buffer, 2).dump(loader.dataset)  # type: ignore[arg-type]
        sizes[name] = buffer.tell()
    return {
        "pool_bytes": samples.samples.nbytes,
        "sent_to_each_spawned_worker_bytes": sizes["mixed"] - sizes["plain"],
    }


if __name__ == "__main__":
    main()
