"""What does it cost a classifier that images of a batch share what an augmentation draws?

In `modalities.image.augment` an operation draws once for up to eight images, as to draw takes longer than to change
them. Here classifiers are trained with a draw for every image instead, and everything else the same: the rows, first
weights, order of rows, and which image takes which operations.
"""

from __future__ import annotations

import time
from statistics import fmean, median
from typing import Any

from cells import ARMS, STEPS, Run, primary
from experiment import Experiment
from tables import data_and_rows, percent, points, table

from synthaug.judging import BATCH_SIZE

TOGETHER = (1, 8)
KINDS = ("real + classical", "elastic, medium", "policy")


def replicate(run: Run) -> dict[str, Any]:
    """For each arm, and number of images that share a draw: accuracy on test rows, milliseconds of a batch."""
    found: dict[str, Any] = {}
    for kind in KINDS:
        augment: Any = run.augmentations[ARMS[kind].augmentation or ""]
        for together in TOGETHER:
            augment.together = together
            scores = run.score(ARMS[kind])
            started = time.process_time()
            for number in range(20):
                augment(run.encoded[:BATCH_SIZE], number)
            spent = 1000 * (time.process_time() - started) / 20
            accuracy = scores["test"].balanced_accuracy
            found.setdefault(kind, {})[str(together)] = {"balanced_accuracy": accuracy, "batch_ms": spent}
    return found


def brief(found: dict[str, Any]) -> str:
    """The scores of all arms."""
    return ", ".join(
        f"{kind} " + " ".join(f"{100 * of['balanced_accuracy']:.1f}" for of in by.values())
        for kind, by in found.items()
    )


def draws(cells: list[dict[str, Any]]) -> str:
    """What own draws take and give, beside shared ones."""
    first, last = (str(n) for n in cells[0]["budget"]["together"])
    rows = []
    for cell in cells:
        replicates = cell["replicates"]
        for arm in replicates[0]:
            of = [(r[arm][first], r[arm][last]) for r in replicates]
            spent = [f"{median(pair[i]['batch_ms'] for pair in of):.1f}" for i in (0, 1)]
            own = percent(fmean(a["balanced_accuracy"] for a, _ in of))
            change = points([100 * (b["balanced_accuracy"] - a["balanced_accuracy"]) for a, b in of])
            rows.append([*data_and_rows(cell), str(len(replicates)), arm, *spent, own, change])
    titles = ["data", "rows a class", "n", "arm", "ms, own draws", f"ms, {last} share", "own draws"]
    return "\n".join(
        [
            "## One draw for several images",
            "",
            f"What augmentation takes of a step on one thread, in ms for a batch of {BATCH_SIZE}, and the "
            f"accuracy that it gives, where each image of a batch has a draw of its own and where up to {last} share "
            f"one, with the standard error over replicates, of which {cells[0]['budget']['replicates']} are wanted "
            "([results](draws)). Gains, limits, shares, learned against hand-made variation, and part of the choices "
            "and of the lengths were made with own draws:",
            "",
            *table([*titles, f"{last} share, in points"], rows, left=(0, 1, 3)),
        ]
    )


EXPERIMENT = Experiment(
    cells=primary("fashion_mnist-10", "mnist-10"),
    replicate=replicate,
    budget={"steps": STEPS, "together": list(TOGETHER), "replicates": 10},
    replicates=10,
    results="draws",
    brief=brief,
    table=draws,
)
