"""Does the gain outlast longer training? Shares of samples beside the policy alone, for several numbers of steps.

A baseline that is cut short gains by any further step, and so by anything that stands for one. The classifier is
trained with the policy alone, and with half of each batch replaced by samples of warp, for every length in turn; the
gain at the length where the policy alone gains no more is one that longer training cannot buy. The generator's own
training costs about what three times the shortest length does.
"""

from __future__ import annotations

from statistics import fmean, median
from typing import Any

from cells import GENERATOR_STEPS, STEPS, Run, primary
from experiment import Experiment
from experiments.gains import EXPERIMENT as GAINS
from tables import data_and_rows, percent, points, table

from synthaug.judging import with_synthetic

LENGTHS = (400, 600, 1200, 2000)
SHARE = 0.5


def replicate(run: Run) -> dict[str, Any]:
    """Balanced accuracy on test rows for each length, with the policy alone and with samples of warp."""
    maker, arm = run.fit("warp"), with_synthetic(run.policy, "warp", "")
    found: dict[str, Any] = {"policy": {}, "warp": {}}
    for n in LENGTHS:
        plain = run.score(run.policy, steps=n)
        mixed = run.score(arm, run.pool(maker, SHARE, n), SHARE, steps=n)
        found["policy"][str(n)] = plain["test"].balanced_accuracy
        found["warp"][str(n)] = mixed["test"].balanced_accuracy
    return found


def brief(found: dict[str, Any]) -> str:
    """The scores of all lengths."""
    told = (
        f"{name} " + " ".join(f"{100 * score:.1f}" for score in of.values()) for name, of in found.items()
    )
    return ", ".join(told)


def length(cells: list[dict[str, Any]]) -> str:
    """Two lines a cell: the policy alone, and what samples add to it."""
    budget = cells[0]["budget"]
    lengths = [str(n) for n in budget["lengths"]]
    gains = [r for cell in GAINS.found() for r in cell["replicates"]]
    of_warp = median(r["generator_seconds"]["warp"] / r["arms"]["policy"]["seconds"] for r in gains)
    rows = []
    for cell in cells:
        replicates = cell["replicates"]
        plain = [percent(fmean(r["policy"][n] for r in replicates)) for n in lengths]
        added = [points([100 * (r["warp"][n] - r["policy"][n]) for r in replicates]) for n in lengths]
        rows.append([*data_and_rows(cell), str(len(replicates)), "policy", *plain])
        rows.append(["", "", "", "warp adds", *added])
    return "\n".join(
        [
            "## Does the gain outlast longer training?",
            "",
            "Balanced accuracy with the policy alone, trained for so many steps, and what half of each batch as "
            "samples of warp adds to it at the same number, in points with the standard error over replicates "
            f"([results](length), {budget['replicates']} wanted). The generator's {budget['generator_steps']} steps "
            f"took as long as about {round(of_warp * STEPS, -2):.0f} of the classifier in the [runs](primary/gains) "
            "whose time was taken, and would now take as long as more of them, as augmentation has become quicker.",
            "",
            *table(
                ["data", "rows a class", "n", "trained with", *(f"{n} steps" for n in lengths)],
                rows,
                left=(0, 1, 3),
            ),
        ]
    )


EXPERIMENT = Experiment(
    cells=primary(
        *("mnist-5", "mnist-10", "mnist-unequal"),
        *("fashion_mnist-5", "fashion_mnist-10", "fashion_mnist-unequal"),
    ),
    replicate=replicate,
    budget={"lengths": list(LENGTHS), "generator_steps": GENERATOR_STEPS, "share": SHARE, "replicates": 5},
    replicates=5,
    results="length",
    brief=brief,
    table=length,
)
