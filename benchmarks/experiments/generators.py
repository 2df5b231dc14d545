"""How good are the samples of each family after a few minutes on a laptop?

Bundled Fashion-MNIST, 200 rows a class. Per family: how often a classifier trained on real rows gives the samples the
label they were asked to have (over its own accuracy on the test rows), how varied they are within a class (over real
test rows, in the classifier's features), and how far they are from the nearest training row (over what test rows have,
in pixels, so that copying does not pass). A picture of some goes beside the results.
"""

from __future__ import annotations

from typing import Any

import torch
from cells import Cell, Run
from experiment import Experiment
from record import RESULTS
from tables import table

import synthaug
from synthaug.families import FAMILIES
from synthaug.judging import compare_with_real
from synthaug.metrics import Fidelity
from synthaug.report import draw_beside

ROWS = 200
"""Samples of each class that are looked at."""

MINUTES = 3.0
THREADS = 2


def replicate(run: Run) -> dict[str, Any]:
    """What the samples of a generator are like after its minutes; writes a picture of some."""
    family, minutes, threads = (run.cell.settings[name] for name in ("family", "minutes", "threads"))
    torch.set_num_threads(threads)
    maker = synthaug.fit(run.data, family, minutes=minutes, seed=run.seed, progress=False)
    pool = maker.sample(ROWS, seed=run.seed)
    found = compare_with_real(run.train, run.test, pool, maker.form.encode, steps=600, seed=run.seed)
    if run.cell.data.startswith("bundled:"):
        draw_beside(maker, run.train, RESULTS / f"generators-{family}.png", seed=run.seed, overwrite=True)
    else:  # real rows of other sets may not be ours to show
        few = maker.sample(8, seed=run.seed).samples
        picture = maker.form.side_by_side(maker.classes.names, {"synthetic": few})
        picture.save(RESULTS / f"{run.cell.data}-{family}.png", optimize=True)
    return {"steps": maker.steps, "seconds": maker.seconds, **figures(found)}


def figures(found: Fidelity) -> dict[str, Any]:
    """What is kept of a comparison with real rows."""
    return {
        "agreement": found.agreement,
        "diversity": found.diversity,
        "lowest_class_diversity": min(d for d in found.class_diversity if d is not None),
        "novelty": found.novelty,
        "classifier_accuracy": found.classifier_accuracy,
    }


def brief(found: dict[str, Any]) -> str:
    """All figures."""
    told = (f"{name} {value:.2f}" for name, value in found.items() if name != "steps")
    return f"{found['steps']} steps, {', '.join(told)}"


def generators(cells: list[dict[str, Any]]) -> str:
    """A line a family."""
    budget = cells[0]["budget"]
    rows = []
    for cell in cells:
        for of in cell["replicates"]:
            told = [f"{of[name]:.2f}" for name in ("agreement", "diversity", "novelty")]
            rows.append([cell["cell"], str(of["steps"]), f"{of['seconds']:.0f}", *told])
    titles = [
        "family",
        "steps",
        "seconds",
        "label agreement",
        "diversity",
        "distance to nearest training row",
    ]
    return "\n".join(
        [
            "## Samples after some minutes",
            "",
            f"Samples after about {budget['minutes']:g} minutes on {budget['threads']} CPU threads, 200 training "
            "rows a class of the bundled Fashion-MNIST (seconds are those of a shared machine). 1.00 is what real "
            "rows have; copies would have a distance near 0 ([results](generators)):",
            "",
            *table(titles, rows),
        ]
    )


EXPERIMENT = Experiment(
    cells=[
        Cell(
            family,
            "bundled:fashion-mnist",
            own_splits=True,
            settings={"family": family, "minutes": MINUTES, "threads": THREADS},
        )
        for family in FAMILIES
    ],
    replicate=replicate,
    budget={"rows": ROWS},
    replicates=1,
    results="generators",
    brief=brief,
    table=generators,
)
