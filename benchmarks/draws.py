"""What does it cost a classifier that images of a batch share what an augmentation draws?

In `modalities.image.augment` an operation draws once for up to eight images, as to draw takes longer than to change
them.
Here classifiers are trained with a draw for every image instead, and everything else the same: the rows, first
weights, order of rows, and which image takes which operations. Replicates (rows and classifier drawn anew) are kept one
by one, so that a run goes on where it was stopped.

    python benchmarks/draws.py --folder DATA
    python benchmarks/render.py
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import torch
from classifiers import ARMS, data_folder, score_arm
from primary import CELLS as PRIMARY
from primary import STEPS, Rows
from recording import replicates_due

from synthaug.judging.arms import Ingredients
from synthaug.judging.trials import no_pool
from synthaug.modalities.image.augment import image_augmentations
from synthaug.modalities.image.codec import ImageCodec

RESULTS = Path(__file__).parent / "results" / "draws"
CELLS = ("fashion_mnist-10", "mnist-10")
TOGETHER = (1, 8)
KINDS = ("real + classical", "elastic, medium", "policy")
REPLICATES = 10
BATCH = 64


def replicate(rows: Rows, seed: int) -> dict[str, Any]:
    """For each arm, and number of images that share a draw: accuracy on test rows, milliseconds of a batch."""
    codec = ImageCodec.fit(rows.train.read(), rows.train.spec)
    images = codec.encode(rows.train.read())
    parts = Ingredients.of(rows.train, no_pool(rows.train), codec.encode, ratio=0.0, batch_size=BATCH)
    found: dict[str, Any] = {}
    for kind in KINDS:
        for together in TOGETHER:
            augmentations = image_augmentations(images, rows.train.labels)
            augment = augmentations[ARMS[kind].augmentation]
            augment.together = together
            scores = score_arm(ARMS[kind], parts, augmentations, {"test": rows.test}, steps=STEPS, seed=seed)
            started = time.process_time()
            for number in range(20):
                augment(images[:BATCH], number)
            spent = 1000 * (time.process_time() - started) / 20
            found.setdefault(kind, {})[str(together)] = {
                "balanced_accuracy": scores["test"].balanced_accuracy,
                "batch_ms": spent,
            }
    return found


@click.command()
@click.option("--folder", default=data_folder, type=click.Path(path_type=Path))
@click.option("--replicates", default=REPLICATES, show_default=True)
@click.option("--cell", "names", multiple=True, default=CELLS, type=click.Choice(CELLS))
def main(folder: Path | None, replicates: int, names: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    budget = {"steps": STEPS, "together": list(TOGETHER), "replicates": REPLICATES}
    for due in replicates_due([c for c in PRIMARY if c.name in names], RESULTS, budget, replicates):
        found = replicate(Rows.of(due.cell, folder, due.seed), due.seed)
        told = (
            f"{kind} " + " ".join(f"{100 * of['balanced_accuracy']:.1f}" for of in by.values())
            for kind, by in found.items()
        )
        due.keep(found, ", ".join(told))


if __name__ == "__main__":
    main()
