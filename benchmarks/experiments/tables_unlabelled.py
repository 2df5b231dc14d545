"""What do rows without labels bring to learners of tables?

50 to 500 labelled rows in their natural proportions and a thousand others whose labels are taken away, labelled by
judges as `synthaug.choose` has them. Each of four learners is trained on the labelled rows, with its thresholds
adjusted to classes of unequal size, and so with as many judged rows beside the labelled ones; with their true labels in
place of the judged ones, as much as can be hoped for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from cells import STEPS, Cell, Run
from experiment import Experiment
from experiments.small_tables import LEARNERS
from experiments.tabular import SETS, opened
from experiments.unlabelled import JUDGED
from tables import percent, points, table

from synthaug import Samples
from synthaug.judging import (
    Arm,
    Ingredients,
    Task,
    arms_for,
    learner_of,
    no_pool,
    steps_of,
    train_arm,
    with_synthetic,
)
from synthaug.judging.unlabelled import JudgedRows, as_samples, judge_unlabelled
from synthaug.metrics import score

SIZES, UNLABELLED, SHARE, SEEDS = (50, 100, 200, 500), 1000, 0.5, 2
PLAIN, BASE = "real", "adjusted thresholds"


def replicate(run: Run) -> dict[str, Any]:
    """Balanced accuracy of each learner trained in each way, and of the judges on what they kept."""
    rows = run.cell.settings["rows"]
    both, test = opened(run.cell.data, run.folder, run.seed, rows + UNLABELLED)
    order = np.random.default_rng(run.seed).permutation(len(both))
    data, unlabelled = both.take(np.sort(order[:rows])), both.take(np.sort(order[rows:]))
    form = data.form.fitted(data.read())
    judges = judge_unlabelled(data, "judges", unlabelled=unlabelled, seed=run.seed)
    kept, labels = (np.array(judges.data["judged"][name], np.int64) for name in ("rows", "labels"))
    truth = unlabelled.labels
    every = JudgedRows(np.arange(len(truth)), truth, np.ones(len(truth), np.float32), {})
    pools = {
        "judged": judges.sample(judges.data["counts"], seed=run.seed),
        "true labels": as_samples(every, unlabelled.read(), form, data.classes, "truth"),
    }
    arms = {arm.name: arm for arm in arms_for(form)}

    def trained(learner: str, arm: Arm, pool: Samples) -> float:
        parts = Ingredients.of(data, pool, form.encode, ratio=SHARE)
        tests, steps = {"test": (test.read(), test.labels)}, steps_of(arm, STEPS)
        made = [
            train_arm(Task(str(seed), arm, seed, parts, {}, tests, steps), learner_of(learner))
            for seed in range(SEEDS)
        ]
        return fmean(each.scores["test"].balanced_accuracy for each in made)

    scores = {}
    for learner in LEARNERS:
        found = {name: trained(learner, arms[name], no_pool(data)) for name in (PLAIN, BASE)}
        for name, pool in pools.items():
            found[name] = trained(learner, with_synthetic(arms[BASE], name, ""), pool)
        scores[learner] = found
    right = score(truth[kept], labels, len(data.classes)).balanced_accuracy if len(kept) else None
    return {"scores": scores, "judges": {"kept": len(kept), "right": right}}


def brief(found: Mapping[str, Any]) -> str:
    """The mean over learners of every way, in percent."""
    return ", ".join(f"{name} {100 * value:.1f}" for name, value in _means(found).items())


def _means(found: Mapping[str, Any]) -> dict[str, float]:
    ways = next(iter(found["scores"].values()))
    return {name: fmean(of[name] for of in found["scores"].values()) for name in ways}


def tables_unlabelled(cells: Sequence[Mapping[str, Any]]) -> str:
    """What is gained over adjusted thresholds, in the mean of learners and by each."""
    lines = []
    for cell in cells:
        made = cell["replicates"]
        of = [_means(each) for each in made]
        right = [each["judges"]["right"] for each in made if each["judges"]["right"] is not None]
        by_learner = [
            points(
                [100 * (each["scores"][learner]["judged"] - each["scores"][learner][BASE]) for each in made]
            )
            for learner in LEARNERS
        ]
        lines.append(
            [
                cell["budget"]["data"],
                str(cell["budget"]["rows"]),
                *(percent(fmean(each[name] for each in of)) for name in (PLAIN, BASE)),
                *(
                    points([100 * (each[name] - each[BASE]) for each in of])
                    for name in ("judged", "true labels")
                ),
                *by_learner,
                f"{fmean(each['judges']['kept'] for each in made):.0f}",
                percent(fmean(right)) if right else "–",
            ]
        )
    return "\n".join(
        [
            "## Tables with rows without labels",
            "",
            f"Balanced accuracy in the mean of four learners, and what {UNLABELLED:,} rows without labels add to "
            "adjusted thresholds where they are half of what is learned from: with the labels of judges, and with "
            "their true ones. Then the judged rows by learner; how many were judged, and the balanced accuracy of the "
            f"judges on these ([results](tables_unlabelled), [how](../experiments/tables_unlabelled.py)). "
            f"{len(cells[0]['replicates'])} replicates.",
            "",
            *table(
                ["data", "rows", PLAIN, BASE, "+ judged", "+ true labels", *LEARNERS, "kept", "right"], lines
            ),
        ]
    )


EXPERIMENT = Experiment(
    cells=[Cell(f"{name}-{n}", name, settings={"data": name, "rows": n}) for name in SETS for n in SIZES],
    replicate=replicate,
    budget={
        "steps": STEPS,
        "seeds": SEEDS,
        "unlabelled": UNLABELLED,
        "share": SHARE,
        "replicates": 5,
        "judges": JUDGED,
    },
    replicates=5,
    results="tables_unlabelled",
    brief=brief,
    table=tables_unlabelled,
)
