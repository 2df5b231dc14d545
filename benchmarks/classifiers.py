"""What the benchmarks of a downstream classifier share: a draw of training rows, and one arm trained once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import click
import numpy as np
from torch.utils.data import DataLoader

from synthaug.data.labeled import LabeledData, open_data
from synthaug.judging.arms import LADDER, Arm, Augment, Ingredients
from synthaug.metrics.scores import Scores
from synthaug.seeding import numpy_rng
from synthaug.training.classifier import train_and_score, train_classifier

ARMS = {arm.name: arm for arm in LADDER}


def open_set(name: str, folder: Path | None) -> LabeledData:
    """A bundled set by its name, or a parquet file of the folder of real data."""
    if name.startswith("bundled:"):
        return open_data(name)
    if folder is None:
        raise click.UsageError(f"{name} needs --folder, or SYNTHAUG_DATA, with {name}.parquet in it.")
    return open_data(str(folder / f"{name}.parquet"))


def data_folder() -> Path | None:
    """The folder of real data that the environment names."""
    return Path(os.environ["SYNTHAUG_DATA"]) if "SYNTHAUG_DATA" in os.environ else None


def draw(data: LabeledData, per_class: int, seed: int, skip: int = 0) -> LabeledData:
    """So many rows of each class, drawn by the seed, after skipping those that another draw took."""
    rng = numpy_rng(seed, "benchmark", "draw")
    found = [
        rng.permutation(np.flatnonzero(data.labels == label))[skip : skip + per_class]
        for label in range(len(data.classes))
    ]
    return data.take(np.sort(np.concatenate(found)))


def score_arm(
    arm: Arm,
    parts: Ingredients,
    augmentations: Mapping[str, Augment],
    tests: Mapping[str, LabeledData],
    *,
    steps: int,
    seed: int,
) -> dict[str, Scores]:
    """The built-in classifier trained with one arm, scored on each of the named sets of rows."""
    train = partial(train_classifier, n_classes=parts.n_classes)
    if arm.loss is not None:
        train = partial(train, loss=arm.loss(parts))
    batches = {
        name: [
            (parts.encode(rows), labels)
            for rows, labels in DataLoader(
                [*zip(data.read(), data.labels, strict=True)], 256, collate_fn=_stack
            )
        ]
        for name, data in tests.items()
    }
    return train_and_score(
        arm.batches(parts, augmentations, seed),
        batches,
        train=train,
        steps=round(arm.steps * steps),
        seed=seed,
        n_classes=parts.n_classes,
    )


def _stack(pairs: list[tuple[np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray]:
    rows, labels = zip(*pairs, strict=True)
    return np.stack(rows), np.asarray(labels)
