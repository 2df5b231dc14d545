"""What comes of doing as `choose` says?

`synthaug.choose` with its defaults on the training rows, generators' half minute given in steps; what it chose, and the
baseline it chose, are then trained on all of them and scored on test rows.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from cells import ARMS, GENERATOR_STEPS, PRIMARY, STEPS, Run
from experiment import Experiment
from tables import data_and_rows, interval, signed, table

import synthaug
from synthaug.judging import longer, with_synthetic
from synthaug.metrics import wilson_interval

CHOSEN = (
    "what was foretold by all folds, else each by what the others chose; by how sure classifiers are; "
    "up to 4 seeds"
)
"""How a choice is judged where nothing is foretold: choices that were judged otherwise are made anew."""

JUDGED = f"{CHOSEN}; the variance of folds drawn to what is expected"
"""How it is judged where something is."""


def replicate(run: Run, **more: Any) -> dict[str, Any]:
    """The plan, and what it and its baseline score on test rows.

    Args:
        run: the replicate.
        more: what else the choice is asked.
    """
    started = time.monotonic()
    asked: Any = {
        "protocol": synthaug.Protocol(steps=GENERATOR_STEPS),
        "seed": run.seed,
        "jobs": run.jobs,
    } | more
    plan = synthaug.choose(run.train, progress=False, **asked)
    found = {"plan": told_of(plan), "seconds": time.monotonic() - started}
    maker = plan.maker()
    if maker is None:  # what is trained is the baseline itself
        return found | {"gain": 0.0}
    base = ARMS[plan.base]
    best = base if plan.baseline == plan.base else longer(base)
    pool, chosen = run.pool(maker, plan.share), with_synthetic(base, plan.candidate, "")
    points = {
        "baseline": run.score(best)["test"].balanced_accuracy,
        "chosen": run.score(chosen, pool, plan.ratio)["test"].balanced_accuracy,
    }
    return found | {"test": points, "gain": points["chosen"] - points["baseline"]}


def told_of(plan: synthaug.Plan) -> dict[str, Any]:
    """The plan as results keep it: without the fitted form, which is larger than all else."""
    return {name: of for name, of in plan.to_dict().items() if name != "preparation"}


def brief(found: dict[str, Any]) -> str:
    """The gain and the advice."""
    return f"{100 * found['gain']:+.1f} {found['plan']['advice']}"


def followed() -> str:
    """One paragraph for the first page: what came of doing as `choose` says."""
    cells = judged_as_today(EXPERIMENT.found())
    made = [of for cell in cells for of in cell["replicates"]]
    if len(made) < 2:
        return ""
    cost = median(of["plan"]["cost"] for of in made)
    where = (
        f"{len(cells)} of these {len(PRIMARY)} cells"
        if len(cells) < len(PRIMARY)
        else f"these {len(PRIMARY)} cells"
    )
    return (
        f"`choose` with its defaults was asked {len(made)} times in {where}. {_taken(made)} An answer costs as much as "
        f"{cost:.0f} trainings of one classifier ([cell by cell][results])."
    )


def _taken(made: list[dict[str, Any]]) -> str:
    """How many plans use synthetic rows, and what each of these gains."""
    gains = sorted(of["gain"] for of in made if of["plan"]["accepted"])
    if not gains:
        most = wilson_interval(0, len(made)).high
        return (
            f"No plan uses synthetic rows (of as many more, up to {most:.0%} might); each names the baseline itself, "
            "so that to follow it gains nothing and harms nothing."
        )
    listed = ", ".join(map(signed, gains))
    return (
        f"{len(gains)} of the plans use synthetic rows; over the baseline that was chosen they gain {listed}. The "
        "others gain 0, as what they name is the baseline itself: in the mean of all "
        f"{interval([of['gain'] for of in made])} points."
    )


def choices(cells: list[dict[str, Any]]) -> str:
    """Cell by cell, for the page of results."""
    cells = judged_as_today(cells)
    if not cells:
        return ""
    rows = []
    for cell in cells:
        made = cell["replicates"]
        gains = [of["gain"] for of in made]
        taken, cost = sum(of["plan"]["accepted"] for of in made), median(of["plan"]["cost"] for of in made)
        told = [interval(gains), signed(min(gains)), f"{cost:.0f}"]
        rows.append([*data_and_rows(cell), str(len(made)), str(taken), *told])
    every = [of["gain"] for cell in cells for of in cell["replicates"]]
    found = interval(every) + " points" if any(every) else "none is taken, and so nothing gained or lost"
    return "\n".join(
        [
            "## Following the choice",
            "",
            "`choose` with its defaults on the primary cells, and what its plan gained on test rows over the baseline "
            "that it chose, in points of balanced accuracy with the 95 % interval; a refusal gains 0, as the baseline "
            "is what is trained ([results](primary/choices)). The cost is in trainings of one classifier.",
            "",
            *table(
                ["data", "rows a class", "choices", "taken", "gain of the plan", "worst", "cost"],
                rows,
                left=(0, 1),
            ),
            "",
            f"Over all {len(every)}: {found}; {cells[0]['budget']['replicates']} a cell are wanted.",
        ]
    )


def judged_as_today(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells whose choices were judged as they are today."""
    return [cell for cell in cells if cell["budget"].get("judged") == JUDGED]


EXPERIMENT = Experiment(
    cells=PRIMARY,
    replicate=replicate,
    budget={"steps": STEPS, "generator_steps": GENERATOR_STEPS, "replicates": 10, "judged": JUDGED},
    replicates=10,
    results="primary/choices",
    brief=brief,
    table=choices,
)
