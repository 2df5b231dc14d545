"""What limits the gain? Rows of known worth in the place of samples, and samples with parts of their change left out.

On primary cells, on top of the policy, half of each batch is replaced by: real rows that nothing else sees, which is as
much as a generator can hope for; copies of training rows, which is what any share does without new rows; samples of
cvae that are reconstructions of training rows, that lie around them, or come from the prior; of cgan; and of warp with
its change of shape, of tone, or of both. Recalls are kept class by class. A replicate draws training rows, generator
and classifier anew, and all of this shares them. Replicates are kept one by one, so that a run goes on where it was
stopped.

    python benchmarks/limits.py --folder DATA
    python benchmarks/render.py
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from classifiers import ARMS, data_folder, open_set, score_arm
from primary import CELLS as PRIMARY
from primary import GENERATOR_STEPS, STEPS, Cell, Rows
from recording import replicates_due

from synthaug.data.labeled import LabeledData
from synthaug.data.splits import part, with_three_splits
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.judging.arms import Ingredients, with_synthetic
from synthaug.judging.evaluation import pool_size
from synthaug.judging.trials import FITTED_WITH
from synthaug.modalities.image.augment import image_augmentations
from synthaug.seeding import numpy_rng
from synthaug.training.train import train_generator

RESULTS = Path(__file__).parent / "results" / "limits"
CELLS = (
    "fashion_mnist-5", "mnist-5", "fashion_mnist-10", "mnist-10", "fashion_mnist-unequal", "mnist-unequal",
)  # fmt: skip
REPLICATES = 5
SHARE = 0.5
SAMPLED: dict[str, tuple[str, dict[str, Any]]] = {
    "cvae, reconstructions": ("cvae", {"sampling": "posterior", "temperature": 0.0}),
    "cvae, around rows": ("cvae", {"sampling": "posterior"}),
    "cvae, prior": ("cvae", {"sampling": "prior"}),
    "cgan": ("cgan", {}),
    "warp": ("warp", {}),
    "warp, shape only": ("warp", {"tone": 0.0}),
    "warp, tone only": ("warp", {"strength": 0.0}),
}


def replicate(cell: Cell, rows: Rows, unseen: LabeledData, seed: int) -> dict[str, Any]:
    """Recalls on test rows, class by class, of the baseline and with everything that takes the place of samples."""
    train = rows.train
    made = {
        family: Generator(
            train_generator(train, family, steps=GENERATOR_STEPS, seed=seed, options=FITTED_WITH.get(family))
        )
        for family in ("cvae", "cgan", "warp")
    }
    codec = made["cvae"].codec
    augmentations = image_augmentations(codec.encode(train.read()), train.labels)
    per_class = pool_size(SHARE, STEPS, len(train.classes))
    any_samples = made["cvae"].sample(1, seed=seed)
    pools = {
        "unseen real rows": _real(any_samples, unseen, per_class, seed),
        "copies of rows": _real(any_samples, train, per_class, seed),
    }
    for name, (family, settings) in SAMPLED.items():
        pools[name] = made[family].adjusted(settings).sample(per_class, seed=seed)
    base = ARMS["oversampling + policy" if cell.unequal else "policy"]
    found = {}
    for name, pool in {"none": any_samples, **pools}.items():
        arm = base if name == "none" else with_synthetic(base, name, "")
        parts = Ingredients.of(train, pool, codec.encode, ratio=SHARE, batch_size=64)
        scores = score_arm(arm, parts, augmentations, {"test": rows.test}, steps=STEPS, seed=seed)
        found[name] = list(scores["test"].recall)
    return found


def _real(like: Samples, data: LabeledData, most: int, seed: int) -> Samples:
    """Real rows in the form of samples, at most so many of each class."""
    rng = numpy_rng(seed, "benchmark", "limits")
    few = [rng.permutation(np.flatnonzero(data.labels == k))[:most] for k in range(len(data.classes))]
    chosen = data.take(np.sort(np.concatenate(few)))
    provenance = {"class": np.array(chosen.classes)[chosen.labels]}
    return replace(like, samples=chosen.read(), labels=chosen.labels, provenance=provenance)


def _unseen(cell: Cell, rows: Rows, folder: Path | None) -> LabeledData:
    """Rows of the training split that are not among the training rows."""
    rest = part(with_three_splits(open_set(cell.data, folder), 0), "train")
    return rest.take(np.flatnonzero(~np.isin(rest.fingerprints(), rows.train.fingerprints())))


@click.command()
@click.option("--folder", default=data_folder, type=click.Path(path_type=Path))
@click.option("--replicates", default=REPLICATES, show_default=True, help="How many to come to in this run.")
def main(folder: Path | None, replicates: int) -> None:
    torch.set_num_threads(1)
    by_name = {cell.name: cell for cell in PRIMARY}
    budget = {"steps": STEPS, "generator_steps": GENERATOR_STEPS, "share": SHARE, "replicates": REPLICATES}
    for due in replicates_due([by_name[name] for name in CELLS], RESULTS, budget, replicates):
        rows = Rows.of(due.cell, folder, due.seed)
        found = replicate(due.cell, rows, _unseen(due.cell, rows, folder), due.seed)
        told = ", ".join(f"{name} {100 * np.mean(of):.1f}" for name, of in found.items())
        due.keep(found, told, classes=list(rows.train.classes))


if __name__ == "__main__":
    main()
