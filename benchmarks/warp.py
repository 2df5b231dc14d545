"""Does learned variation beat variation by hand? Half of each batch warped, on top of affine augmentation.

Per cell ten replicates, each its own draw of n training rows a class, generator seed and classifier seed, paired
across arms at equal optimizer steps. The arms: classical augmentation (affine and light erasing); 1.5 times as many
steps of it; mixup, elastic deformation and a RandAugment-like policy on top of it; `warp` on top of it. Elastic and
warp have three strengths each. The one that a cell uses is the best on validation rows (as many as training rows, in
neither training nor test) in the mean of the first three replicates; its other strengths are not trained after those.

Replicates are kept one by one, so a run goes on where it was stopped. MNIST and Fashion-MNIST are read from the folder.

    python benchmarks/warp.py --folder DATA
    python benchmarks/render.py
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from classifiers import ARMS, data_folder, draw, open_set, score_arm
from recording import write_results

from synthaug.data.labeled import LabeledData
from synthaug.data.splits import part, with_three_splits
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.judging.arms import Ingredients
from synthaug.judging.evaluation import pool_size
from synthaug.modalities.image.augment import image_augmentations
from synthaug.training.train import Trained, train_generator

RESULTS = Path(__file__).parent / "results" / "warp"
CELLS = [(data, n) for n in (5, 10, 20) for data in ("mnist", "fashion_mnist", "bundled:digits")]
CONTROLS = ("real + classical", "longer", "mixup", "policy")
ELASTIC = ("elastic, weak", "elastic, medium", "elastic, strong")
# (strength, tone): shape mostly, both a little, tone alone
WARP = {"warp, shape": (0.7, 0.5), "warp, mild": (0.25, 1.0), "warp, tone": (0.0, 1.0)}
TUNED = {"elastic": ELASTIC, "warp": tuple(WARP)}
RATIO = 0.5
TRIALS = 3


def replicate(
    train: LabeledData, tests: dict[str, LabeledData], arms: list[str], seed: int, budget: dict[str, Any]
) -> dict[str, Any]:
    """Accuracy on validation and test rows of every arm, with one seed for all that is drawn."""
    steps = budget["steps"]
    started = time.process_time()
    trained = train_generator(train, "warp", steps=budget["generator_steps"], seed=seed)
    found: dict[str, Any] = {"generator_seconds": time.process_time() - started}
    encode = trained.codec.encode
    augmentations = image_augmentations(encode(train.read()), train.labels)
    for name in arms:
        pool = _pool(trained, WARP.get(name, (0.0, 0.0)), 1 if name not in WARP else steps, seed)
        parts = Ingredients.of(train, pool, encode, ratio=RATIO, batch_size=64)
        started = time.process_time()
        scores = score_arm(
            ARMS["both" if name in WARP else name], parts, augmentations, tests, steps=steps, seed=seed
        )
        found[name] = {split: got.accuracy for split, got in scores.items()}
        found[name]["seconds"] = time.process_time() - started
    return found


def _pool(trained: Trained, knobs: tuple[float, float], steps: int, seed: int) -> Samples:
    strength, tone = knobs
    rows = pool_size(RATIO, steps, len(trained.classes))
    return Generator(trained).adjusted({"strength": strength, "tone": tone}).sample(rows, seed=seed)


def best_on_validation(replicates: list[dict[str, Any]], arms: tuple[str, ...]) -> str:
    """The arm with the highest mean over the trial replicates; the first of equals."""
    return max(arms, key=lambda arm: np.mean([r[arm]["validation"] for r in replicates[:TRIALS]]))


@click.command()
@click.option("--folder", default=data_folder, type=click.Path(path_type=Path))
@click.option("--seeds", default=10, show_default=True)
@click.option("--steps", default=400, show_default=True, help="Optimizer steps of each classifier.")
@click.option("--generator-steps", default=400, show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--only", default="", help="Cells whose name contains this.")
def main(folder: Path | None, seeds: int, steps: int, generator_steps: int, threads: int, only: str) -> None:
    torch.set_num_threads(threads)
    cells = [(name, n) for name, n in CELLS if only in title(name, n)]
    for seed in range(seeds):
        for name, n in cells:
            out = RESULTS / f"{title(name, n)}.json"
            budget = {"steps": steps, "generator_steps": generator_steps, "ratio": RATIO, "seeds": seeds}
            known = json.loads(out.read_text()) if out.exists() else {}
            replicates = known["replicates"] if known.get("budget") == budget else []
            if len(replicates) > seed:
                continue
            data = with_three_splits(open_set(name, folder), 0)
            rest, test = part(data, "train"), part(data, "test")
            train, validation = draw(rest, n, seed), draw(rest, n, seed, skip=n)
            tests = {"validation": validation, "test": test}
            replicates.append(replicate(train, tests, due(replicates), seed, budget))
            chosen = {kind: best_on_validation(replicates, arms) for kind, arms in TUNED.items()}
            cell = {"data": name, "per_class": n}
            write_results(out, {"cell": cell, "budget": budget, "chosen": chosen, "replicates": replicates})
            click.echo(f"{title(name, n)} {summary(chosen, replicates)}")


def title(data: str, n: int) -> str:
    """A cell's name."""
    return f"{data.removeprefix('bundled:')}-{n}"


def due(replicates: list[dict[str, Any]]) -> list[str]:
    """The arms of the next replicate: every strength while they are on trial, then the chosen ones."""
    if len(replicates) < TRIALS:
        return [*CONTROLS, *ELASTIC, *WARP]
    return [*CONTROLS, *(best_on_validation(replicates, arms) for arms in TUNED.values())]


def summary(chosen: dict[str, str], replicates: list[dict[str, Any]]) -> str:
    """Mean test accuracy of each arm, for the terminal."""
    means = {arm: np.mean([r[arm]["test"] for r in replicates]) for arm in (*CONTROLS, *chosen.values())}
    return f"{len(replicates)}  " + "  ".join(f"{arm} {100 * mean:.2f}" for arm, mean in means.items())


if __name__ == "__main__":
    main()
