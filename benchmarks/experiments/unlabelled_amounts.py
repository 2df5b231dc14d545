"""How many rows without labels are worth having? Their number against what they gain, all else equal.

Five labelled rows a class. Half of each batch is judged rows as they are, or samples of warp that was trained on both;
trainings and generators take equally many steps whatever the number, and the policy alone is the baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from cells import GENERATOR_STEPS, STEPS, Cell, Run, equal
from experiment import Experiment
from experiments.unlabelled import JUDGED, SHARE, drawn
from record import RESULTS
from tables import DRAWN_FROM, mean_gain, percent, points, table

from synthaug import Samples
from synthaug.data import joined
from synthaug.judging import Ingredients, no_pool, pool_size, with_synthetic
from synthaug.judging.unlabelled import as_samples, judge_rows
from synthaug.metrics import Interval
from synthaug.report import Series, line_chart
from synthaug.training import Training, train

AMOUNTS = (100, 300, 1000, 3000)
WAYS = ("judged", "warp on both")


def replicate(run: Run) -> dict[str, Any]:
    """Balanced accuracy of the policy, and by amounts of each way to use the others; and how often judges were right.

    Of a class that no judge is sure of there is nothing to mix, and then nothing is told.
    """
    known = Ingredients.of(run.train, no_pool(run.train), run.form.encode, ratio=SHARE)
    augment, classes = run.augmentations["policy"], run.train.classes
    found: dict[str, Any] = {"policy": run.score(run.policy)["test"].balanced_accuracy, "right": {}}
    found |= {way: {} for way in WAYS}

    def score(name: str, pool: Samples) -> float:
        return run.score(with_synthetic(run.policy, name, ""), pool, SHARE)["test"].balanced_accuracy

    for amount in AMOUNTS:
        others, truth = drawn(run, amount)
        assert truth is not None, "rows of the same data set have labels to take away"
        own = judge_rows(known, others, augment, steps=STEPS, seed=run.seed)
        if len(np.unique(own.labels)) < len(classes):
            continue
        found["right"][str(amount)] = float((truth[own.rows] == own.labels).mean())
        judged = as_samples(own, others, run.form, classes, "judges")
        found["judged"][str(amount)] = score("judged", judged)
        both = joined(run.train, others[own.rows], own.labels)
        maker = train(both, Training("warp", steps=GENERATOR_STEPS, seed=run.seed))
        pool = maker.sample(pool_size(SHARE, STEPS, len(classes)), seed=run.seed)
        found["warp on both"][str(amount)] = score("warp on both", pool)
    return found


def brief(found: Mapping[str, Any]) -> str:
    """What each way gains by amounts, in points."""
    gains = {way: [f"{100 * (of - found['policy']):+.1f}" for of in found[way].values()] for way in WAYS}
    return f"policy {100 * found['policy']:.1f}, {gains}"


def unlabelled_amounts(cells: Sequence[Mapping[str, Any]]) -> str:
    """A table, and a chart of the clothes."""
    lines = []
    for cell in cells:
        made = cell["replicates"]
        for way in WAYS:
            gains = [_gains(made, way, amount) for amount in AMOUNTS]
            told = [points([100 * gain for gain in of]) if of else "–" for of in gains]
            plain = percent(fmean(of["policy"] for of in made))
            lines.append([cell["cell"].replace("_", "-"), str(len(made)), way, plain, *told])
        right = [[of["right"][str(n)] for of in made if str(n) in of["right"]] for n in AMOUNTS]
        lines.append(["", "", "judges right", "", *(percent(fmean(of)) if of else "–" for of in right)])
        if cell["cell"].startswith("fashion_mnist"):
            _draw(made)
    return "\n".join(
        [
            "## How many rows without labels",
            "",
            "Balanced accuracy with the policy, and what so many rows without labels add in points, with the standard "
            "error over replicates; half of each batch is replaced ([results](unlabelled_amounts), "
            "[how](../experiments/unlabelled_amounts.py)).",
            "",
            *table(["data", "n", "", "policy", *(f"{n:,}" for n in AMOUNTS)], lines, left=(0, 2)),
        ]
    )


def _gains(made: Sequence[Mapping[str, Any]], way: str, amount: int) -> list[float]:
    return [of[way][str(amount)] - of["policy"] for of in made if str(amount) in of[way]]


def _draw(made: Sequence[Mapping[str, Any]]) -> None:
    if len(made) < DRAWN_FROM:
        return
    series = []
    for way in WAYS:
        gains = [(float(np.log10(n)), mean_gain(_gains(made, way, n))) for n in AMOUNTS]
        series.append(Series(way, [(np.log10(AMOUNTS[0] / 3), Interval(0.0, 0.0, 0.0, 0)), *gains]))
    ticks = [(np.log10(AMOUNTS[0] / 3), "none"), *((float(np.log10(n)), f"{n:,}") for n in AMOUNTS)]
    chart = line_chart(series, ticks, x_label="rows without labels", y_label="points gained")
    (RESULTS / "gain-by-unlabelled.svg").write_text(chart + "\n")


EXPERIMENT = Experiment(
    cells=[Cell(f"{data}-5", data, equal(5)) for data in ("fashion_mnist", "mnist")],
    replicate=replicate,
    budget={
        "steps": STEPS,
        "generator_steps": GENERATOR_STEPS,
        "share": SHARE,
        "amounts": list(AMOUNTS),
        "judged": JUDGED,
    },
    replicates=5,
    results="unlabelled_amounts",
    brief=brief,
    table=unlabelled_amounts,
)
