"""What do families gain over the best baseline?

A generator of each family is trained on the training rows and its samples are put on top of the policy (drawn so that
classes are equally frequent where they are not), beside baselines without synthetic rows, one of which is that one
trained 1.5 times as long. Validation rows, as many as training rows, pick the baseline and each family's arm, in the
mean over replicates; test rows are read once, for the table.
"""

from __future__ import annotations

import time
from math import log2
from statistics import fmean
from typing import Any

from cells import ARMS, GENERATOR_STEPS, PRIMARY, STEPS, Run
from experiment import Experiment
from record import RESULTS
from tables import DRAWN_FROM, data_and_rows, holm, interval, mean_gain, percent, table

from synthaug.families import find_family
from synthaug.judging import Arm, longer, sources_of, with_synthetic
from synthaug.metrics import SIGN_FLIPS_FROM, Scores, sign_flip_p
from synthaug.report import Series, line_chart

SHARES = {"warp": 0.5, "cvae": 0.25, "cgan": 0.25}
FAMILIES = ("cvae", "cgan", "warp")
BASELINES = ("real + classical", "elastic, medium", "mixup", "policy")
UNEQUAL_BASELINES = (
    *("policy", "oversampling + classical", "oversampling + policy", "class weights", "logit adjustment"),
)
KEPT = ("balanced_accuracy", "worst_recall", "calibration_error", "brier")
BOTH = ("validation", "test")


def replicate(run: Run) -> dict[str, Any]:
    """Scores on validation and test rows of every baseline and of every family's arms."""
    arms: dict[str, Any] = {}
    seconds: dict[str, float] = {}

    def keep(arm: Arm, **how: Any) -> None:
        started = time.process_time()
        scores = run.score(arm, tests=BOTH, **how)
        arms[arm.name] = {split: told(got) for split, got in scores.items()}
        arms[arm.name]["seconds"] = time.process_time() - started

    for name in UNEQUAL_BASELINES if run.cell.unequal else BASELINES:
        keep(ARMS[name])
    keep(longer(run.policy))
    for family, share in SHARES.items():
        started = time.process_time()
        maker = run.fit(family, find_family(family).tried_with)
        seconds[family] = time.process_time() - started
        for source in sources_of([family]):
            arm = with_synthetic(run.policy, f"{run.policy.name} + {share:.0%} {source.name}", "")
            keep(arm, pool=run.pool(maker.adjusted(source.settings), share), share=share)
    return {"arms": arms, "generator_seconds": seconds}


def told(scores: Scores) -> dict[str, float]:
    """The scores that are kept."""
    return {name: getattr(scores, name) for name in KEPT}


def brief(found: dict[str, Any]) -> str:
    """The test scores of all arms."""
    of_arm = {name: of["test"]["balanced_accuracy"] for name, of in found["arms"].items()}
    return ", ".join(f"{name} {100 * score:.1f}" for name, score in of_arm.items())


def primary(cells: list[dict[str, Any]]) -> str:
    """The table of the page of results, and a chart of gains over rows a class."""
    budget = cells[0]["budget"]
    fewest, most = (pick(len(c["replicates"]) for c in cells) for pick in (min, max))
    done = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    _draw_rows(cells)
    return "\n".join(
        [
            "## What families gain over the best baseline",
            "",
            "What families gain over the best baseline, in points of balanced accuracy on test rows with the 95 % "
            f"interval over replicates ({done} of the {budget['replicates']} that are wanted; each draws rows, "
            f"generator and classifier anew). {budget['steps']} optimizer steps in every arm, "
            f"{budget['generator_steps']} of each generator, about half a minute; samples stand on top of the policy, "
            "and baseline and arms are picked on validation rows from [all that was "
            "trained](primary/gains). ✱ marks what survives Holm's correction of the test of signs "
            "over all cells of a family. All replicates of a cell have the same test rows.",
            "",
            *gain_table(cells),
        ]
    )


def gain_table(cells: list[dict[str, Any]]) -> list[str]:
    """Each family's gain over the best baseline, cell by cell."""
    gains = {family: [_gain(cell, family) for cell in cells] for family in FAMILIES}
    sure = {}
    for family, of_cells in gains.items():
        p_values = [1.0 if len(each) < SIGN_FLIPS_FROM else sign_flip_p(each) for each in of_cells]
        sure[family] = holm(p_values) < 0.05
    rows = []
    for i, cell in enumerate(cells):
        base = _best(cell, "")
        score = fmean(r["arms"][base]["test"]["balanced_accuracy"] for r in cell["replicates"])
        told = [interval(gains[f][i]) + ("✱" if sure[f][i] else "") for f in FAMILIES]
        rows.append([*data_and_rows(cell), str(len(cell["replicates"])), f"{base} {percent(score)}", *told])
    return table(["data", "rows a class", "n", "best baseline", *FAMILIES], rows, left=(0, 1, 3))


def _best(cell: dict[str, Any], family: str) -> str:
    """The arm of a family, or the baseline, with the highest mean on validation rows; the first of equals."""
    arms = cell["replicates"][0]["arms"]
    own = [arm for arm in arms if (f"% {family}" in arm if family else "%" not in arm)]
    return max(
        own,
        key=lambda arm: fmean(r["arms"][arm]["validation"]["balanced_accuracy"] for r in cell["replicates"]),
    )


def _gain(cell: dict[str, Any], family: str) -> list[float]:
    """Paired differences on test rows between the family's best arm and the best baseline."""
    own, base = _best(cell, family), _best(cell, "")
    tests = [
        {name: of["test"]["balanced_accuracy"] for name, of in r["arms"].items()} for r in cell["replicates"]
    ]
    return [of[own] - of[base] for of in tests]


def _draw_rows(cells: list[dict[str, Any]]) -> None:
    """Gain over rows a class on Fashion-MNIST, a line for each family."""
    by_name = {cell["cell"]: cell for cell in cells}
    found = {n: by_name.get(f"fashion_mnist-{n}") for n in (5, 10, 20)}
    if any(cell is None or len(cell["replicates"]) < DRAWN_FROM for cell in found.values()):
        return
    series = [
        Series(family, [(log2(n), mean_gain(_gain(cell, family))) for n, cell in found.items() if cell])
        for family in FAMILIES
    ]
    ticks = [(log2(n), str(n)) for n in found]
    chart = line_chart(series, ticks, x_label="rows a class", y_label="points gained")
    (RESULTS / "gain-by-rows.svg").write_text(chart + "\n")


EXPERIMENT = Experiment(
    cells=PRIMARY,
    replicate=replicate,
    budget={"steps": STEPS, "generator_steps": GENERATOR_STEPS, "replicates": 10},
    replicates=10,
    results="primary/gains",
    brief=brief,
    table=primary,
)
