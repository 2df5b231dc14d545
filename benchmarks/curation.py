"""What do the filters of curation drop? Of rows that should pass, of rows that should not, and of samples.

Judges are fitted on a few real rows a class. Beside samples of every family, after a short training on the same rows,
stand real rows that nothing has seen; the same with shuffled labels; noise, and real rows with their pixels shuffled;
and copies of training rows, as they are and with noise of three grey levels. Per kind: the share that passes all
filters, the share that each drops by itself, the diversity before and after, and how often the judges' mean has the
label on top before and after. For families also what each filter does to a classifier: balanced accuracy on test rows
with a quarter of each batch synthetic, augmented by the policy, samples as they come, or the first that pass; or as
they come, labelled by the judges in shares. A run goes on where it was stopped.

    python benchmarks/curation.py --folder DATA --seeds 2
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from classifiers import ARMS, data_folder, draw, open_set, score_arm
from recording import write_results
from torch.utils.data import DataLoader, TensorDataset

from synthaug.data.labeled import LabeledData
from synthaug.data.splits import part, with_three_splits
from synthaug.families import FAMILIES
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.judging.arms import Ingredients
from synthaug.judging.curation import FILTERS, Judges, curated_pool, joined
from synthaug.judging.evaluation import pool_size
from synthaug.modalities.image.augment import image_augmentations
from synthaug.modalities.image.codec import ImageCodec
from synthaug.seeding import numpy_rng, torch_rng
from synthaug.training.classifier import Classifier, train_classifier
from synthaug.training.train import train_generator

RESULTS = Path(__file__).parent / "results" / "curation.json"
OTHERS = 50
RATIO = 0.25
CLASSIFIER_STEPS = 400

Labelled = tuple[np.ndarray, np.ndarray]


def train_judge(rows: np.ndarray, labels: np.ndarray, seed: int, *, n_classes: int, steps: int) -> Classifier:
    data = TensorDataset(torch.from_numpy(rows), torch.from_numpy(labels))
    rng = torch_rng(seed, "benchmark", "judge")
    loader = DataLoader(data, min(64, len(rows)), shuffle=True, drop_last=True, generator=rng)
    return train_classifier(loader, steps, seed, n_classes=n_classes)


def controls(real: Labelled, unseen: Labelled, seed: int) -> dict[str, Labelled]:
    """Encoded rows with labels that should pass, the first, and that should not, all others."""
    rng = numpy_rng(seed, "benchmark", "controls")
    rows, labels = unseen
    pixels = rng.permuted(rows.reshape(len(rows), -1), axis=1).reshape(rows.shape)
    grey = rng.normal(0, 3 / 127.5, real[0].shape)
    return {
        "unseen real rows": unseen,
        "shuffled labels": (rows, rng.permutation(labels)),
        "uniform noise": (rng.uniform(-1, 1, rows.shape).astype(np.float32), labels),
        "shuffled pixels": (pixels, labels),
        "copies": real,
        "noisy copies": (np.clip(real[0] + grey, -1, 1).astype(np.float32), real[1]),
    }


def measure(judges: Judges, kinds: Mapping[str, Labelled], classes: tuple[str, ...]) -> list[dict[str, Any]]:
    found = []
    for kind, (rows, labels) in kinds.items():
        whole = judges.curate(rows, labels, classes)
        recognised = whole.soft_labels.argmax(axis=1) == labels
        found.append(
            {
                "kind": kind,
                "rows": len(rows),
                "kept": float(whole.keep.mean()),
                "dropped_alone": {
                    name: float(1 - judges.curate(rows, labels, classes, [name]).keep.mean())
                    for name in FILTERS
                },
                "diversity": [whole.effects[0].diversity_before, whole.effects[-1].diversity_after],
                "recognised": [
                    float(recognised.mean()),
                    float(recognised[whole.keep].mean()) if whole.keep.any() else None,
                ],
            }
        )
    return found


def effect_on_classifier(
    maker: Generator, judges: Judges, train: LabeledData, test: LabeledData, seed: int
) -> dict[str, float]:
    """Accuracy with samples as they come, labelled by judges, that one filter lets pass, and that all let pass."""
    encode = maker.codec.encode
    augmentations = image_augmentations(encode(train.read()), train.labels)
    per_class = pool_size(RATIO, CLASSIFIER_STEPS, len(train.classes))

    def sample(counts: dict[str, int], start: int) -> Samples:
        return joined([maker.sample_rows(name, start, start + n, seed=seed) for name, n in counts.items()])

    pools = {"none": maker.sample(per_class, seed=seed)}
    for name, filters in {**{each: [each] for each in FILTERS}, "all": FILTERS}.items():
        pools[name] = curated_pool(sample, encode, judges, train.classes, per_class, filters=filters)[0]
    soft = replace(ARMS["both, soft labels"], augmentation="policy")
    arms = {"soft labels": (soft, pools["none"])}
    arms |= {name: (ARMS["both, policy"], pool) for name, pool in pools.items()}
    found = {}
    for name, (arm, pool) in arms.items():
        judge = judges.probabilities if arm.judged else None
        parts = Ingredients.of(train, pool, encode, ratio=RATIO, batch_size=64, judge=judge)
        scores = score_arm(arm, parts, augmentations, {"test": test}, steps=CLASSIFIER_STEPS, seed=seed)
        found[name] = scores["test"].balanced_accuracy
    return found


def encoded(data: LabeledData, codec: ImageCodec) -> Labelled:
    return codec.encode(data.read()).numpy(), data.labels


@click.command()
@click.option("--data", "names", multiple=True, default=("fashion_mnist", "mnist"))
@click.option("--folder", default=data_folder, type=click.Path(path_type=Path), help="Of real data.")
@click.option("--per-class", default=20, show_default=True, help="Real training rows.")
@click.option("--seeds", default=2, show_default=True)
@click.option("--steps", default=300, show_default=True, help="Of each generator, and of each judge.")
@click.option("--threads", default=1, show_default=True)
@click.option("--family", "families", multiple=True, default=tuple(FAMILIES))
@click.option("--out", default=RESULTS, type=click.Path(path_type=Path))
def main(
    names: tuple[str, ...],
    folder: Path | None,
    per_class: int,
    seeds: int,
    steps: int,
    threads: int,
    families: tuple[str, ...],
    out: Path,
) -> None:
    torch.set_num_threads(threads)
    budget = {
        "per_class": per_class,
        "steps": steps,
        "threads": threads,
        "families": list(families),
        "tried": ["filters", "soft labels"],
    }
    known = json.loads(out.read_text()) if out.exists() else {}
    cells: list[dict[str, Any]] = known["cells"] if budget.items() <= known.items() else []
    for name in names:
        data = with_three_splits(open_set(name, folder), 0)
        everything, test = part(data, "train"), part(data, "test")
        for seed in range(seeds):
            if any((cell["data"], cell["seed"]) == (name, seed) for cell in cells):
                continue
            train = draw(everything, per_class, seed)
            codec = ImageCodec.fit(train.read(), train.spec)
            real = encoded(train, codec)
            start = time.perf_counter()
            judge = partial(train_judge, n_classes=len(train.classes), steps=steps)
            judges = Judges.fit(*real, len(train.classes), judge, seed=seed)
            seconds = time.perf_counter() - start
            kinds = controls(real, encoded(draw(everything, OTHERS, seed, skip=per_class), codec), seed)
            effects = {}
            for family in families:
                maker = Generator(train_generator(train, family, steps=steps, seed=seed))
                made = maker.sample(OTHERS, seed=seed)
                kinds[family] = codec.encode(made.samples).numpy(), made.class_indices
                effects[family] = effect_on_classifier(maker, judges, train, test, seed)
            for found in measure(judges, kinds, train.classes):
                cells.append({"data": name, "seed": seed, "seconds_of_judges": seconds, **found})
                if found["kind"] in effects:
                    cells[-1]["accuracy"] = effects[found["kind"]]
                click.echo(cells[-1])
            write_results(out, {**budget, "cells": cells})


if __name__ == "__main__":
    main()
