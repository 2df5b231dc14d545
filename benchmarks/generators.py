"""How good are the samples of each family after a few minutes on a laptop?

Bundled Fashion-MNIST, 200 rows a class, or another set with splits for training and testing. Per family and seed: how
often a classifier trained on real rows gives the samples the label they were asked to have (over its own accuracy on
the test rows), how varied they are within a class (over real test rows, in the classifier's features), and how far
they are from the nearest training row (over what test rows have, in pixels, so that copying does not pass).

    python benchmarks/generators.py --minutes 3 --threads 2
    python benchmarks/generators.py --data cifar10 --folder DATA --minutes 20 --out benchmarks/results/cifar10.json
"""

from __future__ import annotations

from pathlib import Path

import click
import torch
from classifiers import data_folder, open_set
from recording import write_results

from synthaug import verbs
from synthaug.data.splits import part
from synthaug.families import FAMILIES
from synthaug.judging.evaluation import compare_with_real
from synthaug.modalities.image.view import save_grid

RESULTS = Path(__file__).parent / "results"


@click.command()
@click.option("--data", "name", default="bundled:fashion-mnist", show_default=True)
@click.option("--folder", default=data_folder, type=click.Path(path_type=Path), help="Of real data.")
@click.option("--minutes", default=3.0, show_default=True, help="Training budget of each generator.")
@click.option("--threads", default=2, show_default=True)
@click.option("--seeds", default=1, show_default=True)
@click.option("--rows", default=200, show_default=True, help="Samples of each class that are looked at.")
@click.option("--family", "families", multiple=True, default=tuple(FAMILIES))
@click.option("--out", default=RESULTS / "generators.json", type=click.Path(path_type=Path))
def main(
    name: str,
    folder: Path | None,
    minutes: float,
    threads: int,
    seeds: int,
    rows: int,
    families: tuple[str, ...],
    out: Path,
) -> None:
    torch.set_num_threads(threads)
    data = open_set(name, folder)
    train, test = part(data, "train"), part(data, "test")
    cells = []
    for family in families:
        for seed in range(seeds):
            generator = verbs.fit(data, family, minutes=minutes, seed=seed)
            pool = generator.sample(rows, seed=seed)
            found = compare_with_real(train, test, pool, generator.codec.encode, steps=600, seed=seed)
            cells.append(
                {
                    "family": family,
                    "seed": seed,
                    "steps": generator.steps,
                    "seconds": generator.seconds,
                    "agreement": found.agreement,
                    "diversity": found.diversity,
                    "lowest_class_diversity": min(d for d in found.class_diversity if d is not None),
                    "novelty": found.novelty,
                    "classifier_accuracy": found.classifier_accuracy,
                }
            )
            click.echo(cells[-1])
            picture = out.with_name(f"{out.stem}-{family}.png")
            if name.startswith("bundled:"):
                verbs.show(generator, train, picture, seed=seed)
            else:  # real rows of other sets may not be ours to show
                few = generator.sample(8, seed=seed).samples
                save_grid(picture, generator.classes, {"synthetic": few}, generator.spec)
    write_results(out, {"data": name, "minutes": minutes, "threads": threads, "rows": rows, "cells": cells})


if __name__ == "__main__":
    main()
