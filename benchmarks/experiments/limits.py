"""What limits the gain? Rows of known worth in the place of samples, and samples with parts of their change left out.

On top of the policy, half of each batch is replaced by: real rows that nothing else sees, which is as much as a
generator can hope for; copies of training rows, which is what any share does without new rows; samples of cvae that are
reconstructions of training rows, that lie around them, or come from the prior; of cgan; and of warp with its change of
shape, of tone, or of both. Recalls are kept class by class.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

import numpy as np
from cells import GENERATOR_STEPS, STEPS, Run, as_samples, primary
from experiment import Experiment
from tables import data_and_rows, percent, points, signed, table

from synthaug import LabeledData, Samples
from synthaug.families import find_family
from synthaug.judging import pool_size, with_synthetic
from synthaug.seeding import numpy_rng

SHARE = 0.5
SAMPLED: dict[str, tuple[str, dict[str, Any]]] = {
    "cvae, reconstructions": ("cvae", {"sampling": "posterior", "temperature": 0.0}),
    "cvae, around rows": ("cvae", {"sampling": "posterior"}),
    "cvae, prior": ("cvae", {"sampling": "prior"}),
    "cgan": ("cgan", {}),
    "warp": ("warp", {}),
    "warp, shape only": ("warp", {"tone": 0.0}),
    "warp, tone only": ("warp", {"strength": 0.0}),
}


def replicate(run: Run) -> dict[str, Any]:
    """Recalls on test rows, class by class, of the baseline and with everything that takes the place of samples."""
    made = {f: run.fit(f, find_family(f).tried_with) for f in ("cvae", "cgan", "warp")}
    unseen = run.rest.take(np.flatnonzero(~np.isin(run.rest.fingerprints(), run.train.fingerprints())))
    pools = {"unseen real rows": _real(run, unseen), "copies of rows": _real(run, run.train)}
    for name, (family, settings) in SAMPLED.items():
        pools[name] = run.pool(made[family].adjusted(settings), SHARE)
    recalls = {"none": run.score(run.policy)["test"].recall}
    for name, pool in pools.items():
        recalls[name] = run.score(with_synthetic(run.policy, name, ""), pool, SHARE)["test"].recall
    return {name: dict(zip(run.train.classes, of, strict=True)) for name, of in recalls.items()}


def _real(run: Run, data: LabeledData) -> Samples:
    """Real rows in the form of samples, as many of each class as there would be samples."""
    rng, most = numpy_rng(run.seed, "benchmark", "limits"), pool_size(SHARE, STEPS, len(data.classes))
    few = [rng.permutation(np.flatnonzero(data.labels == k))[:most] for k in range(len(data.classes))]
    return as_samples(data.take(np.sort(np.concatenate(few))))


def brief(found: dict[str, Any]) -> str:
    """The balanced accuracy of everything."""
    return ", ".join(f"{name} {_accuracy(of):.1f}" for name, of in found.items())


def limits(cells: list[dict[str, Any]]) -> str:
    """What each replacement adds, and which classes gain and lose most by it."""
    budget, kinds = cells[0]["budget"], [kind for kind in cells[0]["replicates"][0] if kind != "none"]
    plain = [percent(fmean(_accuracy(r["none"]) for r in cell["replicates"]) / 100) for cell in cells]
    rows = [
        ["replicates", *(str(len(cell["replicates"])) for cell in cells)],
        ["nothing (accuracy)", *plain],
    ]
    for kind in kinds:
        gains = [[_accuracy(r[kind]) - _accuracy(r["none"]) for r in cell["replicates"]] for cell in cells]
        rows.append([kind, *map(points, gains)])
    told = [
        [*data_and_rows(cell), kind, *_most(cell, kind)]
        for cell in cells
        for kind in ("unseen real rows", "warp", "cvae, prior")
    ]
    share = f"{budget['share']:.0%}".replace("%", " %")
    return "\n".join(
        [
            "## What limits the gain",
            "",
            "Balanced accuracy with the policy alone, and what is added to it, in points with the standard error over "
            f"replicates, where {share} of each batch is replaced: by unseen real rows, which is as much as any "
            "generator can hope for; by copies of training rows, which bring nothing new; by samples of each family, "
            f"and by such with parts of their change left out ([results](limits), {budget['replicates']} replicates "
            "wanted).",
            "",
            *table(["in place of half", *(" ".join(data_and_rows(cell)) for cell in cells)], rows),
            "",
            "Which classes gain and lose most by it, in points of recall:",
            "",
            *table(
                ["data", "rows a class", "in place of half", "gain most", "lose most"], told, left=range(5)
            ),
        ]
    )


def _accuracy(recalls: Mapping[str, float]) -> float:
    return 100 * fmean(recalls.values())


def _most(cell: dict[str, Any], kind: str) -> list[str]:
    """The two classes that gain most, and the two that lose most."""
    of_class = [
        (fmean(r[kind][name] - r["none"][name] for r in cell["replicates"]), name)
        for name in cell["replicates"][0][kind]
    ]
    ranked = sorted(of_class, reverse=True)
    return [", ".join(f"{name} {signed(gain)}" for gain, name in few) for few in (ranked[:2], ranked[:-3:-1])]


EXPERIMENT = Experiment(
    cells=primary(
        *("mnist-5", "mnist-10", "mnist-unequal"),
        *("fashion_mnist-5", "fashion_mnist-10", "fashion_mnist-unequal"),
    ),
    replicate=replicate,
    budget={"steps": STEPS, "generator_steps": GENERATOR_STEPS, "share": SHARE, "replicates": 5},
    replicates=5,
    results="limits",
    brief=brief,
    table=limits,
)
