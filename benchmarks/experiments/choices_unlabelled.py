"""What comes of doing as `choose` says where it is given rows without labels as well?

`synthaug.choose` with its defaults on the labelled rows and a thousand others of the same cells as in `unlabelled`:
rows of the same data set, rows of another one, half of each, noise. What it chose, and the baseline it chose, are then
trained on all rows and scored on test rows; a refusal gains 0, as the baseline is what is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from cells import GENERATOR_STEPS, STEPS, Run
from experiment import Experiment
from experiments import choices, unlabelled
from tables import interval, signed, table

from synthaug.judging.protocol import JUDGED, ON_BOTH

UNLABELLED = unlabelled.UNLABELLED


def replicate(run: Run) -> dict[str, Any]:
    """The plan, and what it and its baseline score on test rows."""
    others, _ = unlabelled.drawn(run)
    return choices.replicate(run, unlabelled=others)


def followed() -> str:
    """One paragraph for the first page."""
    cells = EXPERIMENT.found()
    if not cells:
        return ""
    own = [cell for cell in cells if not cell["budget"].get("others")]
    strange = [cell for cell in cells if cell["budget"].get("others")]
    told = [
        f"{_named(cell)} {interval([of['gain'] for of in cell['replicates']])}"
        for cell in own
        if any(of["plan"]["accepted"] for of in cell["replicates"])
    ]
    made, taken = _asked(own)
    found = (
        f"With {UNLABELLED:,} rows without labels of the same data `choose` was asked {made} times in {len(own)} "
        f"cells, and {taken} of the plans use them. Over the baseline chosen they gain on test rows, by rows a class: "
        f"{', '.join(told)} points of balanced accuracy; the others name the baseline itself."
    )
    if strange:
        made, taken = _asked(strange)
        worst = min(of["gain"] for cell in strange for of in cell["replicates"])
        found += (
            f" With rows of other data, half of other data, or noise: {taken} of {made} plans use them, and the worst "
            f"gains {signed(worst)}."
        )
    return f"{found} ([Cell by cell][results].)"


def _asked(cells: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """How many choices there were, and how many of the plans use more than labelled rows."""
    made = [of["plan"] for cell in cells for of in cell["replicates"]]
    beyond = [plan for plan in made if any(kind in plan["candidate"] for kind in (JUDGED, ON_BOTH))]
    return len(made), sum(plan["accepted"] for plan in beyond)


def _named(cell: Mapping[str, Any]) -> str:
    data, _, rows = cell["cell"].rpartition("-")
    return f"{data.replace('_', '-')} at {rows}"


def choices_unlabelled(cells: Sequence[Mapping[str, Any]]) -> str:
    """Cell by cell."""
    rows = []
    for cell in cells:
        made = cell["replicates"]
        gains, taken = (
            [of["gain"] for of in made],
            [of["plan"]["candidate"] for of in made if of["plan"]["accepted"]],
        )
        rows.append(
            [
                cell["cell"],
                str(len(made)),
                f"{len(taken)}{': ' if taken else ''}{', '.join(dict.fromkeys(taken))}",
                interval(gains) if len(gains) > 1 else signed(gains[0]),
                signed(min(gains)),
                f"{median(of['plan']['choice']['trainings'] for of in made):.0f}",
                f"{median(of['seconds'] for of in made) / 60:.0f}",
            ]
        )
    return "\n".join(
        [
            "## Following the choice with rows without labels",
            "",
            f"`choose` with its defaults and {UNLABELLED:,} rows without labels, and what its plan gained on test rows "
            "over the baseline that it chose, in points of balanced accuracy; minutes are of one process on a machine "
            "with other work ([results](choices_unlabelled), [how](../experiments/choices_unlabelled.py)).",
            "",
            *table(
                ["cell", "choices", "taken", "gain of the plan", "worst", "trainings", "minutes"],
                rows,
                left=(0, 2),
            ),
        ]
    )


EXPERIMENT = Experiment(
    cells=unlabelled.CELLS,
    replicate=replicate,
    budget={
        "steps": STEPS,
        "generator_steps": GENERATOR_STEPS,
        "unlabelled": UNLABELLED,
        "judged": choices.JUDGED,
        "judges": unlabelled.JUDGED,
    },
    replicates=5,
    results="choices_unlabelled",
    brief=choices.brief,
    table=choices_unlabelled,
)
