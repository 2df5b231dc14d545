"""What does each option of a family do to its samples, at equal training steps?

Bundled Fashion-MNIST, 200 rows a class. A cell is one training; settings that matter only to sampling are looked at
on the same weights. Columns: label agreement, diversity and novelty as in `generators.py`, and the CAS ratio: test
accuracy of the built-in classifier trained on samples only (500 a class) over that of one trained on the real rows,
at equal steps, mean of two classifier seeds, no augmentation. One generator a seed: differences below about the gap
between seeds say nothing. Cells are kept one by one, so a run goes on where it was stopped.

    python benchmarks/ablations.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from recording import write_results

from synthaug.data.labeled import LabeledData, open_data
from synthaug.data.splits import part
from synthaug.generators.generator import Generator
from synthaug.judging.evaluation import compare_with_real
from synthaug.seeding import numpy_rng
from synthaug.training.classifier import train_classifier
from synthaug.training.train import train_generator

RESULTS = Path(__file__).parent / "results" / "ablations.json"

# What cgan was before the first of these cells were run: options are added to this one by one.
BARE = {"loss": "hinge", "augmentation": "full", "diversity": 0.0}

# family, settings it is trained with, settings it is then sampled with
CELLS: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("cgan", BARE, [{}, {"truncation": 0.7}]),
    ("cgan", BARE | {"loss": "logistic"}, [{}]),
    ("cgan", BARE | {"conditioning": "classifier"}, [{}]),
    ("cgan", BARE | {"augmentation": "adaptive"}, [{}]),
    ("cgan", BARE | {"lecam": 0.1}, [{}]),
    ("cgan", BARE | {"r1": 0.1}, [{}]),
    ("cgan", BARE | {"loss": "wasserstein"}, [{}]),
    (
        "cvae",
        {"sampling": "interpolation"},
        [
            {"sampling": "prior"},
            {"sampling": "posterior"},
            {"sampling": "interpolation"},
            {"sampling": "interpolation", "temperature": 0.0},
        ],
    ),
    ("cgan", BARE | {"loss": "logistic", "augmentation": "adaptive"}, [{}]),
    ("cgan", {}, [{}]),
]


class Rows:
    """Batches of 64 encoded rows in a new order each time round."""

    def __init__(self, rows: torch.Tensor, labels: np.ndarray, seed: int) -> None:
        self.rows, self.labels, self.seed, self.epoch = rows, torch.from_numpy(labels), seed, 0

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        order = numpy_rng(self.seed, "benchmark", "order", self.epoch).permutation(len(self.rows))
        self.epoch += 1
        for few in np.split(order, range(64, len(order), 64)):
            if len(few) == 64:
                yield self.rows[few], self.labels[few]


def accuracy(rows: torch.Tensor, labels: np.ndarray, test: tuple[torch.Tensor, np.ndarray]) -> float:
    """On test rows, after training on these rows alone."""
    seen = []
    for seed in range(2):
        classifier = train_classifier(Rows(rows, labels, seed), 600, seed, n_classes=int(labels.max()) + 1)
        seen.append(np.mean(classifier(test[0]).argmax(axis=1) == test[1]))
    return float(np.mean(seen))


def measure(generator: Generator, train: LabeledData, test: LabeledData, real: float) -> dict[str, Any]:
    encode = generator.codec.encode
    found = compare_with_real(train, test, generator.sample(200), encode, steps=600)
    pool = generator.sample(500, seed=1)
    alone = accuracy(encode(pool.samples), pool.class_indices, (encode(test.read()), test.labels))
    return {
        "agreement": found.agreement,
        "diversity": found.diversity,
        "lowest_class_diversity": min(d for d in found.class_diversity if d is not None),
        "novelty": found.novelty,
        "accuracy_on_samples_only": alone,
        "cas_ratio": alone / real,
    }


@click.command()
@click.option("--steps", default=1000, show_default=True, help="Training steps of each generator.")
@click.option("--seed", "seeds", multiple=True, default=(0, 1), show_default=True, help="Generator seeds.")
@click.option(
    "--cell",
    "chosen",
    type=int,
    multiple=True,
    default=range(len(CELLS)),
    help="Places in the list of cells.",
)
@click.option("--out", default=RESULTS, type=click.Path(path_type=Path))
def main(steps: int, seeds: tuple[int, ...], chosen: tuple[int, ...], out: Path) -> None:
    torch.set_num_threads(1)
    data = open_data("bundled:fashion-mnist")
    train, test = part(data, "train"), part(data, "test")
    kept = json.loads(out.read_text()) if out.exists() else {"cells": []}
    cells, real = kept["cells"], kept.get("accuracy_on_real_only")
    done = [{k: cell[k] for k in ("family", "trained_with", "seed", "steps")} for cell in cells]
    for seed in seeds:
        for family, trained_with, settings in (CELLS[i] for i in chosen):
            cell = {"family": family, "trained_with": trained_with, "seed": seed, "steps": steps}
            if cell in done:
                continue
            trained = train_generator(
                train, family, options=trained_with, steps=steps, seed=seed, device="cpu"
            )
            if real is None:
                encode = trained.codec.encode
                real = accuracy(encode(train.read()), train.labels, (encode(test.read()), test.labels))
            for options in settings:
                found = measure(Generator(trained).adjusted(options), train, test, real)
                cells.append({**cell, "sampled_with": options, "seconds": trained.seconds, **found})
                click.echo(cells[-1])
            write_results(out, {"accuracy_on_real_only": real, "cells": cells})


if __name__ == "__main__":
    main()
