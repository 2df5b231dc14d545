"""Does the gain outlast longer training? Shares of samples beside the policy alone, for several numbers of steps.

A baseline that is cut short gains by any further step, and so by anything that stands for one. On primary cells the
classifier is trained with the policy alone, and with half of each batch replaced by samples of warp, for every length
in turn; the gain at the length where the policy alone gains no more is one that longer training cannot buy. The
generator's own training costs about what three times the shortest length does. A replicate draws training rows,
generator and classifier anew, and every training of it shares them. Replicates are kept one by one, so that a run goes
on where it was stopped.

    python benchmarks/length.py --folder DATA
    python benchmarks/render.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch
from classifiers import ARMS, data_folder, score_arm
from primary import CELLS as PRIMARY
from primary import GENERATOR_STEPS, Cell, Rows
from recording import replicates_due

from synthaug.generators.generator import Generator
from synthaug.judging.arms import Ingredients, with_synthetic
from synthaug.judging.evaluation import pool_size
from synthaug.modalities.image.augment import image_augmentations
from synthaug.training.train import train_generator

RESULTS = Path(__file__).parent / "results" / "length"
CELLS = (
    "fashion_mnist-5", "mnist-5", "fashion_mnist-10", "mnist-10", "fashion_mnist-unequal", "mnist-unequal",
)  # fmt: skip
LENGTHS = (400, 600, 1200, 2000)
REPLICATES = 5
SHARE = 0.5


def replicate(cell: Cell, rows: Rows, seed: int) -> dict[str, Any]:
    """Balanced accuracy on test rows for each length, with the policy alone and with samples of warp."""
    train = rows.train
    maker = Generator(train_generator(train, "warp", steps=GENERATOR_STEPS, seed=seed))
    codec = maker.codec
    augmentations = image_augmentations(codec.encode(train.read()), train.labels)
    base = ARMS["oversampling + policy" if cell.unequal else "policy"]
    arms = {"policy": base, "warp": with_synthetic(base, "warp", "")}
    found: dict[str, Any] = {name: {} for name in arms}
    for length in LENGTHS:
        pool = maker.sample(pool_size(SHARE, length, len(train.classes)), seed=seed)
        parts = Ingredients.of(train, pool, codec.encode, ratio=SHARE, batch_size=64)
        for name, arm in arms.items():
            scores = score_arm(arm, parts, augmentations, {"test": rows.test}, steps=length, seed=seed)
            found[name][str(length)] = scores["test"].balanced_accuracy
    return found


@click.command()
@click.option("--folder", default=data_folder, type=click.Path(path_type=Path))
@click.option("--replicates", default=REPLICATES, show_default=True, help="How many to come to in this run.")
def main(folder: Path | None, replicates: int) -> None:
    torch.set_num_threads(1)
    by_name = {cell.name: cell for cell in PRIMARY}
    budget = {
        "lengths": list(LENGTHS),
        "generator_steps": GENERATOR_STEPS,
        "share": SHARE,
        "replicates": REPLICATES,
    }
    for due in replicates_due([by_name[name] for name in CELLS], RESULTS, budget, replicates):
        found = replicate(due.cell, Rows.of(due.cell, folder, due.seed), due.seed)
        told = (
            f"{name} " + " ".join(f"{100 * score:.1f}" for score in of.values()) for name, of in found.items()
        )
        due.keep(found, ", ".join(told))


if __name__ == "__main__":
    main()
