"""What is a classifier worth that saw samples only? The classification accuracy score (CAS) of every family.

Ravuri and Vinyals 2019, "Classification Accuracy Score for Conditional Generative Models": balanced accuracy on test
rows of a classifier trained on samples alone, over that of the same classifier trained on the generator's real rows,
classes equally often, for the same steps. No sample is met twice. Copying scores 1.00 by this measure: so beside it
stand the controls that copy, as they are and bent by the elastic augmentation that validation rows like best, and the
median distance to the nearest training row over that of test rows (`novelty`; copies have 0).
"""

from __future__ import annotations

import time
from statistics import fmean
from typing import Any

import numpy as np
from cells import ARMS, Cell, Run, as_samples, equal
from experiment import Experiment
from experiments.gains import BOTH
from tables import table

from synthaug import Samples
from synthaug.judging import BATCH_SIZE, compare_with_real
from synthaug.modalities.image import ELASTIC
from synthaug.seeding import numpy_rng

CLASSIFIER_STEPS = 1000
# Rows a class; None for all.
SETS = {"mnist": 250, "fashion_mnist": 500, "pneumonia": None}
# At most ten minutes on two threads at 28x28.
FAMILY_STEPS = {"copies": 0, "cvae": 2000, "cgan": 2000, "warp": 600}
BENT = tuple(f"elastic, {strength}" for strength in ELASTIC)


def replicate(run: Run) -> dict[str, Any]:
    """Scores of classifiers that saw samples, or copies of rows, only; and what these are like beside real rows."""
    family, per_class = run.cell.settings["family"], CLASSIFIER_STEPS * BATCH_SIZE // len(run.train.classes)
    started = time.monotonic()
    if family == "copies":
        pool = _copies(run, per_class)
    else:
        maker = run.fit(family, steps=run.cell.settings["steps"])
        pool = maker.sample(per_class, seed=run.seed)
    found: dict[str, Any] = {"seconds": time.monotonic() - started}
    made = pool.samples, pool.class_indices
    arms = {"real": ("oversampling", None), "samples": ("real", made)}
    arms |= {bent: (bent, made) for bent in BENT if family == "copies"}
    for name, (arm, rows) in arms.items():
        scores = run.score(ARMS[arm], rows=rows, steps=CLASSIFIER_STEPS, tests=BOTH)
        found[name] = {split: got.balanced_accuracy for split, got in scores.items()}
    like = compare_with_real(run.train, run.test, pool, run.form.encode, steps=600, seed=run.seed)
    return found | {name: getattr(like, name) for name in ("agreement", "diversity", "novelty")}


def _copies(run: Run, per_class: int) -> Samples:
    """As many rows of each class as a generator is asked for, all of them training rows."""
    rng, data = numpy_rng(run.seed, "benchmark", "copies"), run.train
    rows = [rng.permutation(np.flatnonzero(data.labels == k)) for k in range(len(data.classes))]
    return as_samples(data.take(np.concatenate([np.resize(few, per_class) for few in rows])))


def brief(found: dict[str, Any]) -> str:
    """The ratio, and the distance to training rows."""
    return f"{found['samples']['test'] / found['real']['test']:.3f}, novelty {found['novelty']:.2f}"


def cas(cells: list[dict[str, Any]]) -> str:
    """A line for each data set and family, and one for copies that are bent."""
    rows = []
    for cell in cells:
        replicates, family = cell["replicates"], cell["budget"]["family"]
        arms = {"samples": family}
        if family == "copies":
            best = max(BENT, key=lambda arm: fmean(r[arm]["validation"] for r in replicates))
            arms[best] = f"{family}, {best}"
        for arm, name in arms.items():
            ratios = [r[arm]["test"] / r["real"]["test"] for r in replicates]
            of_samples = [
                f"{fmean(r[k] for r in replicates):.2f}" for k in ("agreement", "diversity", "novelty")
            ]
            rows.append(
                [
                    cell["cell"].removesuffix(f"-{family}").replace("_", "-"),
                    str(cell["budget"]["per_class"] or "all"),
                    name,
                    str(len(replicates)),
                    f"{fmean(ratios):.3f}",
                    f"{min(ratios):.3f} to {max(ratios):.3f}",
                    *(of_samples if arm == "samples" else ["", "", ""]),
                ]
            )
    titles = ["data", "rows a class", "family", "seeds", "CAS ratio", "range"]
    return "\n".join(
        [
            "## Training on samples only",
            "",
            "Classification accuracy score: balanced accuracy on test rows of a classifier trained on samples only, "
            "over that of one trained on real rows, mean over generator seeds. Copies score 1 by this measure, so the "
            "distance to the nearest training row, over that of test rows, stands beside it ([results](cas)):",
            "",
            *table([*titles, "label agreement", "diversity", "distance"], rows, left=(0, 2, 5)),
        ]
    )


EXPERIMENT = Experiment(
    cells=[
        Cell(
            f"{data}-{family}",
            data,
            None if rows is None else equal(rows),
            settings={"family": family, "steps": steps, "per_class": rows},
        )
        for family, steps in FAMILY_STEPS.items()
        for data, rows in SETS.items()
    ],
    replicate=replicate,
    budget={"classifier_steps": CLASSIFIER_STEPS},
    replicates=3,
    results="cas",
    brief=brief,
    table=cas,
)
