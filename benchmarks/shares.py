"""How much is right? The share of synthetic rows in a batch against what it gains, all else equal.

Per replicate a draw of training rows, generator seed and classifier seed, shared by all shares; the policy is the
augmentation, and the share 0 the baseline. Where half of the classes are rare, classes are drawn equally often, and
rare ones have more synthetic rows, or alone have them, than others, or as many. Replicates are kept one by one, so
that a run goes on where it was stopped.

    python benchmarks/shares.py --folder DATA
    python benchmarks/render.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import torch
from classifiers import ARMS, data_folder, score_arm
from primary import CELLS as PRIMARY
from primary import Rows
from recording import replicates_due

from synthaug.data.labeled import LabeledData
from synthaug.generators.generator import Generator
from synthaug.judging.arms import Ingredients, with_synthetic
from synthaug.judging.evaluation import pool_size
from synthaug.judging.trials import SOURCES
from synthaug.modalities.image.augment import image_augmentations
from synthaug.training.train import train_generator

RESULTS = Path(__file__).parent / "results" / "shares"
CELLS = ("fashion_mnist-10", "mnist-10", "fashion_mnist-unequal", "mnist-unequal")
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
# Of frequent classes and of rare ones.
CLASS_SHARES = {
    "same": (0.25, 0.25),
    "rare more": (0.1, 0.5),
    "rare only": (0.0, 0.5),
    "frequent only": (0.5, 0.0),
}
STEPS = 400
MADE_BY = {"warp": SOURCES["warp"][0], "cvae": SOURCES["cvae"][0]}


def replicate(train: LabeledData, test: LabeledData, seed: int, unequal: bool) -> dict[str, Any]:
    """Accuracy on test rows without synthetic rows, and at every share of each family."""
    makers = {
        family: Generator(train_generator(train, family, steps=STEPS, seed=seed)).adjusted(source.settings)
        for family, source in MADE_BY.items()
    }
    encode = makers["cvae"].codec.encode
    augmentations = image_augmentations(encode(train.read()), train.labels)
    base, tests = ARMS["oversampling + policy" if unequal else "policy"], {"test": test}
    shares: dict[str, Any] = {str(share): share for share in SHARES}
    if unequal:
        # Every other class is rare.
        shares = {
            name: {k: of[k % 2] for k in range(len(train.classes))} for name, of in CLASS_SHARES.items()
        }
    found: dict[str, Any] = {family: {} for family in makers}
    for family, maker in makers.items():
        pool = maker.sample(pool_size(max(SHARES), STEPS, len(train.classes)), seed=seed)
        arm = with_synthetic(base, "mixed", "")
        for name, share in shares.items():
            parts = Ingredients.of(train, pool, encode, ratio=share, batch_size=64)
            scores = score_arm(arm, parts, augmentations, tests, steps=STEPS, seed=seed)
            found[family][name] = scores["test"].balanced_accuracy
    plain = score_arm(base, parts, augmentations, tests, steps=STEPS, seed=seed)
    return {"none": plain["test"].balanced_accuracy, **found}


@click.command()
@click.option("--folder", default=data_folder, type=click.Path(path_type=Path))
@click.option("--replicates", default=5, show_default=True)
def main(folder: Path | None, replicates: int) -> None:
    torch.set_num_threads(1)
    for unequal in (False, True):
        cells = [cell for cell in PRIMARY if cell.name in CELLS and cell.unequal == unequal]
        budget = {"steps": STEPS, "shares": list(CLASS_SHARES if unequal else map(str, SHARES))}
        for due in replicates_due(cells, RESULTS, budget, replicates):
            rows = Rows.of(due.cell, folder, due.seed)
            found = replicate(rows.train, rows.test, due.seed, unequal)
            due.keep(found, str(found))


if __name__ == "__main__":
    main()
