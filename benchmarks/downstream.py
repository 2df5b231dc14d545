"""What do synthetic rows do to a classifier? Every arm of `synthaug.evaluate`, over data sets and sizes.

The cells are declared below and kept one by one, so that a run goes on where it was stopped; losses stay in the
table. Each cell: n training rows a class drawn with seed 0, one generator of the given budget, five classifier seeds
paired across arms, equal optimizer steps, test rows the generator never saw. The intervals leave out what another
generator or another draw of training rows would do.

    python benchmarks/downstream.py
    python benchmarks/render.py
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import torch
from recording import write_results

from synthaug import verbs
from synthaug.data.labeled import LabeledData, open_data
from synthaug.data.split import part, with_three_splits
from synthaug.seeding import numpy_rng

RESULTS = Path(__file__).parent / "results" / "downstream"

# About 70 seconds of training each at 28x28 on two quiet threads.
STEPS = {"cvae": 1500, "cgan": 1200, "warp": 1000}

CELLS = [
    {"data": data, "per_class": n, "family": family}
    for data, sizes in (("bundled:fashion-mnist", (10, 20, 160)), ("bundled:digits", (10, 20)))
    for n in sizes
    for family in STEPS
]


def reduced(data: LabeledData, per_class: int, seed: int) -> LabeledData:
    """The data set with at most so many training rows of each class; validation and test rows stay."""
    data = with_three_splits(data, seed)
    keep = data.splits != "train"
    rng = numpy_rng(seed, "benchmark", "subset")
    for label in range(len(data.classes)):
        rows = np.flatnonzero((data.labels == label) & ~keep)
        keep[rng.permutation(rows)[:per_class]] = True
    return data.take(np.flatnonzero(keep))


@click.command()
@click.option("--classifier-steps", default=600, show_default=True)
@click.option("--seeds", default=5, show_default=True, help="Classifier seeds.")
@click.option("--threads", default=2, show_default=True)
def main(classifier_steps: int, seeds: int, threads: int) -> None:
    torch.set_num_threads(threads)
    for cell in CELLS:
        budget = {"steps": STEPS[str(cell["family"])], "classifier_steps": classifier_steps, "seeds": seeds}
        name = "{data}-{per_class}-{family}".format(**cell).replace("bundled:", "")
        out = RESULTS / f"{name}.json"
        if out.exists() and json.loads(out.read_text())["budget"] == budget:
            continue
        data = reduced(open_data(cell["data"]), int(str(cell["per_class"])), seed=0)
        evaluation = verbs.evaluate(data, family=str(cell["family"]), **budget)
        rows = len(part(data, "train"))
        write_results(out, {"cell": cell, "budget": budget, "rows": rows, "evaluation": evaluation.to_dict()})
        click.echo(f"{name}\n{verbs.summary(evaluation)}\n")


if __name__ == "__main__":
    main()
