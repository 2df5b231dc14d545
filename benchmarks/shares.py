"""How much is right? The share of synthetic rows in a batch against what it gains, all else equal.

Per replicate a draw of training rows, generator seed and classifier seed, shared by all shares; the policy is the
augmentation, and the share 0 the baseline. Replicates are kept one by one, so that a run goes on where it was stopped.

    python benchmarks/shares.py --folder DATA
    python benchmarks/render.py
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click
import torch
from classifiers import ARMS, data_folder, draw, open_set, score_arm
from recording import write_results

from synthaug.arms import Ingredients
from synthaug.augmentation import image_augmentations
from synthaug.data.labeled import LabeledData
from synthaug.data.split import part, with_three_splits
from synthaug.evaluation import pool_size
from synthaug.sampling import Generator
from synthaug.training import train_generator
from synthaug.trials import SOURCES

RESULTS = Path(__file__).parent / "results" / "shares"
CELLS = (("fashion_mnist", 10), ("mnist", 10))
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
STEPS = 400
MADE_BY = {"warp": SOURCES["warp"][0], "cvae": SOURCES["cvae"][0]}


def replicate(train: LabeledData, test: LabeledData, seed: int) -> dict[str, Any]:
    """Accuracy on test rows without synthetic rows, and at every share of each family."""
    makers = {
        family: Generator(train_generator(train, family, steps=STEPS, seed=seed)).adjusted(source.settings)
        for family, source in MADE_BY.items()
    }
    encode = makers["cvae"].codec.encode
    augmentations = image_augmentations(encode(train.read()), train.labels)
    found: dict[str, Any] = {family: {} for family in makers}
    for family, maker in makers.items():
        pool = maker.sample(pool_size(max(SHARES), STEPS, len(train.classes)), seed=seed)
        for share in SHARES:
            parts = Ingredients.of(train, pool, encode, ratio=share, batch_size=64)
            arm, tests = ARMS["both, policy"], {"test": test}
            scores = score_arm(arm, parts, augmentations, tests, steps=STEPS, seed=seed)
            found[family][str(share)] = scores["test"].accuracy
    plain = score_arm(ARMS["policy"], parts, augmentations, {"test": test}, steps=STEPS, seed=seed)
    return {"none": plain["test"].accuracy, **found}


@click.command()
@click.option("--folder", default=data_folder, type=click.Path(path_type=Path))
@click.option("--replicates", default=5, show_default=True)
def main(folder: Path | None, replicates: int) -> None:
    torch.set_num_threads(1)
    budget = {"steps": STEPS, "shares": SHARES}
    for seed in range(replicates):
        for name, n in CELLS:
            out = RESULTS / f"{name}-{n}.json"
            known = json.loads(out.read_text()) if out.exists() else {}
            done = known["replicates"] if known.get("budget") == json.loads(json.dumps(budget)) else []
            if len(done) > seed:
                continue
            data = with_three_splits(open_set(name, folder), 0)
            started = time.monotonic()
            done.append(replicate(draw(part(data, "train"), n, seed), part(data, "test"), seed))
            cell = {"data": name, "per_class": n}
            write_results(out, {"cell": cell, "budget": budget, "replicates": done})
            click.echo(f"{name}-{n} {seed}: {time.monotonic() - started:.0f} s {done[-1]}")


if __name__ == "__main__":
    main()
