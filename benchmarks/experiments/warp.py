"""Does learned variation beat variation by hand? Half of each batch warped, on top of affine augmentation.

The arms, at equal steps: classical augmentation (affine and light erasing); 1.5 times as many steps of it; mixup and
elastic deformation on top of it, and a RandAugment-like policy in its place; `warp` on top of it. Elastic and warp have
three strengths each. The one that a cell uses is the best on validation rows (as many as training rows, where there are
as many) in the mean of the first three replicates; its other strengths are not trained after those.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from cells import ARMS, GENERATOR_STEPS, STEPS, Run, primary
from experiment import Experiment
from experiments.gains import BOTH
from tables import data_and_rows, percent, points, table

from synthaug.modalities.image import ELASTIC

SHARE = 0.5
TRIALS = 3
CONTROLS = ("real + classical", "longer", "mixup", "policy")
# Shape mostly, both a little, tone alone.
WARP = {
    "warp, shape": {"strength": 0.7, "tone": 0.5},
    "warp, mild": {"strength": 0.25, "tone": 1.0},
    "warp, tone": {"strength": 0.0, "tone": 1.0},
}
TUNED = {"elastic": tuple(f"elastic, {strength}" for strength in ELASTIC), "warp": tuple(WARP)}


def replicate(run: Run) -> dict[str, Any]:
    """Accuracy on validation and test rows of every arm: of all strengths on trial, then of the chosen ones."""
    started = time.process_time()
    maker = run.fit("warp")
    found: dict[str, Any] = {"generator_seconds": time.process_time() - started}
    on_trial = len(run.done) < TRIALS
    for name in (*CONTROLS, *(sum(TUNED.values(), ()) if on_trial else chosen(run.done).values())):
        pool = run.pool(maker.adjusted(WARP[name]), SHARE) if name in WARP else None
        started = time.process_time()
        scores = run.score(ARMS["both" if name in WARP else name], pool, SHARE, tests=BOTH)
        found[name] = {split: got.accuracy for split, got in scores.items()}
        found[name]["seconds"] = time.process_time() - started
    return found


def chosen(replicates: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The strengths of the highest mean on validation rows over the trials; the first of equals."""
    trials = replicates[:TRIALS]
    return {
        kind: max(arms, key=lambda arm: fmean(r[arm]["validation"] for r in trials))
        for kind, arms in TUNED.items()
    }


def brief(found: dict[str, Any]) -> str:
    """The test scores of all arms."""
    return ", ".join(
        f"{arm} {100 * of['test']:.1f}" for arm, of in found.items() if arm != "generator_seconds"
    )


def warp(cells: list[dict[str, Any]]) -> str:
    """A line a cell: affine augmentation, and what everything else adds to it."""
    budget, rows = cells[0]["budget"], []
    for cell in cells:
        replicates, strengths = cell["replicates"], chosen(cell["replicates"])
        base = "real + classical"
        gains = [
            points([100 * (r[arm]["test"] - r[base]["test"]) for r in replicates if arm in r])
            for arm in (*CONTROLS[1:], *strengths.values())
        ]
        plain = percent(fmean(r[base]["test"] for r in replicates))
        told = strengths["warp"].removeprefix("warp, ")
        rows.append([*data_and_rows(cell), str(len(replicates)), plain, *gains, told])
    titles = ["affine", "1.5x longer", "mixup", "policy", "elastic", "warp", "strength of warp"]
    return "\n".join(
        [
            "## Learned against hand-made variation",
            "",
            "Accuracy of the built-in classifier with affine augmentation, and what each of these adds to it in "
            "points, with the standard error over replicates (own draw of rows, generator and classifier seed, "
            f"paired; {budget['steps']} steps, half of each batch warped; strengths of elastic and warp chosen on "
            f"validation rows; [results](warp), {budget['replicates']} replicates wanted). The policy stands in place "
            "of affine augmentation, the others on top of it.",
            "",
            *table(["data", "rows a class", "n", *titles], rows, left=(0, 9)),
        ]
    )


EXPERIMENT = Experiment(
    cells=primary(
        *("digits-5", "fashion_mnist-5", "mnist-5"),
        *("digits-10", "fashion_mnist-10", "mnist-10"),
        *("digits-20", "fashion_mnist-20", "mnist-20"),
    ),
    replicate=replicate,
    budget={"steps": STEPS, "generator_steps": GENERATOR_STEPS, "share": SHARE, "replicates": 10},
    replicates=10,
    results="warp",
    brief=brief,
    table=warp,
)
