"""What is a classifier worth that saw samples only? The classification accuracy score (CAS) of every family.

Ravuri and Vinyals 2019, "Classification Accuracy Score for Conditional Generative Models": balanced accuracy on test
rows of a classifier trained on samples alone, over that of the same classifier trained on the generator's real rows,
classes equally often, for the same steps. No sample is met twice. Copying scores 1.00 by this measure: so beside it
stand the controls that copy, as they are and bent by the elastic augmentation that validation rows like best, and the
median distance to the nearest training row over that of test rows (`novelty`; copies have 0).

Cells are kept one by one, so a run goes on where it was stopped.

    python benchmarks/cas.py --folder DATA
    python benchmarks/render.py
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
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
from synthaug.judging.evaluation import compare_with_real
from synthaug.modalities.image.augment import ELASTIC, image_augmentations
from synthaug.modalities.image.codec import ImageCodec
from synthaug.seeding import numpy_rng
from synthaug.training.train import train_generator

RESULTS = Path(__file__).parent / "results" / "cas.json"
# (data, training rows a class; None for all)
SETS = [("mnist", 250), ("fashion_mnist", 500), ("pneumonia", None)]
# At most ten minutes on two threads at 28x28.
STEPS = {"copies": 0, "cvae": 2000, "cgan": 2000, "warp": 600}


def copies(train: LabeledData, per_class: int, seed: int) -> Samples:
    """As many rows of each class as a generator is asked for, all of them training rows."""
    rng = numpy_rng(seed, "benchmark", "copies")
    chosen = np.concatenate(
        [
            np.resize(rng.permutation(np.flatnonzero(train.labels == k)), per_class)
            for k in range(len(train.classes))
        ]
    )
    return Samples(
        samples=train.read()[chosen],
        labels=np.array(train.values)[train.labels[chosen]],
        classes=train.classes,
        values=train.values,
        spec=train.spec,
        provenance={"class": np.array(train.classes)[train.labels[chosen]]},
    )


def measure(
    train: LabeledData,
    validation: LabeledData,
    test: LabeledData,
    family: str,
    seed: int,
    classifier_steps: int,
) -> dict[str, Any]:
    """One generator, or the control that copies, and the classifiers that saw its samples only."""
    codec = ImageCodec.fit(train.read(), train.spec)
    per_class = classifier_steps * 64 // len(train.classes)
    started = time.monotonic()
    if family == "copies":
        pool = copies(train, per_class, seed)
    else:
        trained = train_generator(train, family, steps=STEPS[family], seed=seed)
        pool = Generator(trained).sample(per_class, seed=seed)
    seconds = time.monotonic() - started
    sets = {"validation": validation, "test": test}
    real = Ingredients.of(train, pool, codec.encode, ratio=0.5, batch_size=64)
    made = replace(real, rows=pool.samples, labels=pool.class_indices)
    bends = image_augmentations(codec.encode(train.read()), train.labels) if family == "copies" else {}
    found = compare_with_real(train, test, pool, codec.encode, seed=seed)

    def scored(arm: str, parts: Ingredients) -> dict[str, float]:
        scores = score_arm(ARMS[arm], parts, bends, sets, steps=classifier_steps, seed=seed)
        return {split: got.balanced_accuracy for split, got in scores.items()}

    return {
        "seconds": seconds,
        "real": scored("oversampling", real),
        "samples": scored("real", made),
        **({f"elastic, {s}": scored(f"elastic, {s}", made) for s in ELASTIC} if bends else {}),
        "agreement": found.agreement,
        "diversity": found.diversity,
        "novelty": found.novelty,
    }


@click.command()
@click.option("--folder", default=data_folder, type=click.Path(path_type=Path))
@click.option("--seeds", default=3, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--classifier-steps", default=1000, show_default=True)
@click.option("--family", "families", multiple=True, default=tuple(STEPS))
def main(
    folder: Path | None, seeds: int, threads: int, classifier_steps: int, families: tuple[str, ...]
) -> None:
    torch.set_num_threads(threads)
    cells = json.loads(RESULTS.read_text())["cells"] if RESULTS.exists() else []
    done = {(c["data"], c["family"], c["seed"], c["steps"], c["classifier_steps"]) for c in cells}
    for seed in range(seeds):
        for family in families:
            for name, per_class in SETS:
                key = (name, family, seed, STEPS[family], classifier_steps)
                if key in done:
                    continue
                data = with_three_splits(open_set(name, folder), 0)
                train = part(data, "train")
                train = train if per_class is None else draw(train, per_class, seed)
                held_out = part(data, "validation"), part(data, "test")
                found = measure(train, *held_out, family, seed, classifier_steps)
                cell = dict(zip(("data", "family", "seed", "steps", "classifier_steps"), key, strict=True))
                cells.append({**cell, "per_class": per_class, "threads": threads, **found})
                write_results(RESULTS, {"cells": cells})
                ratio = found["samples"]["test"] / found["real"]["test"]
                click.echo(f"{name} {family} {seed}: {ratio:.3f}, novelty {found['novelty']:.2f}")


if __name__ == "__main__":
    main()
