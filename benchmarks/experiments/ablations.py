"""What does each option of a family do to its samples, at equal training steps?

Bundled Fashion-MNIST, 200 rows a class. A replicate is one training; settings that matter only to sampling are looked
at on the same weights. Columns: label agreement, diversity and novelty as in `generators`, and the CAS ratio: test
accuracy of the built-in classifier trained on samples only (500 a class) over that of one trained on the real rows,
at equal steps, mean of two classifier seeds, no augmentation. One generator a seed: differences below about the gap
between seeds say nothing.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from statistics import fmean
from typing import Any

import numpy as np
from cells import ARMS, Cell, Run
from experiment import Experiment
from experiments.generators import figures
from tables import table

from synthaug.judging import compare_with_real

CLASSIFIER_STEPS = 600
ROWS, ALONE = 200, 500
"""Samples of each class that are looked at, and that a classifier is trained on alone."""

BARE = {"loss": "hinge", "augmentation": "full", "diversity": 0.0}
"""What cgan was before the first of these cells were run: options are added to this one by one."""

Sampled = list[dict[str, Any]]
"""Settings of sampling, each looked at on the same weights."""


def replicate(run: Run) -> dict[str, Any]:
    """One training, and what its samples are like under every setting of sampling."""
    settings = run.cell.settings
    maker = run.fit(settings["family"], settings["trained_with"], settings["steps"])
    real, sampled = _accuracy_on_real_rows(), []
    for options in settings["sampled_with"]:
        adjusted = maker.adjusted(options)
        found = compare_with_real(
            run.train, run.test, adjusted.sample(ROWS), adjusted.form.encode, steps=CLASSIFIER_STEPS
        )
        pool = adjusted.sample(ALONE, seed=1)
        alone = _accuracy(run, (pool.samples, pool.class_indices))
        sampled.append(figures(found) | {"accuracy_on_samples_only": alone, "cas_ratio": alone / real})
    return {"seconds": maker.seconds, "accuracy_on_real_only": real, "sampled": sampled}


def _accuracy(run: Run, rows: tuple[np.ndarray, np.ndarray] | None = None) -> float:
    """On test rows, after training on these rows alone; on the training rows when None."""
    runs = [replace(run, seed=seed) for seed in range(2)]
    return fmean(r.score(ARMS["real"], rows=rows, steps=CLASSIFIER_STEPS)["test"].accuracy for r in runs)


@cache
def _accuracy_on_real_rows() -> float:
    """All cells have the same rows."""
    return _accuracy(Run(EXPERIMENT.cells[0], 0))


def brief(found: dict[str, Any]) -> str:
    """The CAS ratio under every setting of sampling."""
    return f"{found['seconds']:.0f} s, CAS " + ", ".join(f"{of['cas_ratio']:.2f}" for of in found["sampled"])


def ablations(cells: list[dict[str, Any]]) -> str:
    """A line for each setting of training and of sampling."""
    rows = []
    for cell in cells:
        budget, replicates = cell["budget"], cell["replicates"]
        for i, options in enumerate(budget["sampled_with"]):
            names = ("agreement", "diversity", "novelty", "cas_ratio")
            told = [f"{fmean(r['sampled'][i][name] for r in replicates):.2f}" for name in names]
            kind = (budget["family"], budget["steps"], _told(budget["trained_with"]), _told(options))
            rows.append((kind, [str(len(replicates)), *told]))
    titles = ["family", "steps", "trained with", "sampled with", "seeds"]
    return "\n".join(
        [
            "## Options of the families",
            "",
            "At equal steps, bundled Fashion-MNIST, 200 rows a class ([results](ablations)):",
            "",
            *table(
                [*titles, "label agreement", "diversity", "distance", "CAS ratio"],
                [[*map(str, kind), *told] for kind, told in sorted(rows)],
                left=(0, 2, 3),
            ),
        ]
    )


def _told(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items()) or "defaults"


def _cell(
    name: str, trained_with: dict[str, Any], sampled_with: Sampled | None = None, steps: int = 1000
) -> Cell:
    settings = {
        "family": name.partition("-")[0],
        "trained_with": trained_with,
        "sampled_with": [{}] if sampled_with is None else sampled_with,
        "steps": steps,
    }
    return Cell(name, "bundled:fashion-mnist", own_splits=True, settings=settings)


EXPERIMENT = Experiment(
    cells=[
        _cell("cgan-bare", BARE, [{}, {"truncation": 0.7}]),
        _cell("cgan-logistic", BARE | {"loss": "logistic"}),
        _cell("cgan-classifier", BARE | {"conditioning": "classifier"}),
        _cell("cgan-adaptive", BARE | {"augmentation": "adaptive"}),
        _cell("cgan-lecam", BARE | {"lecam": 0.1}),
        _cell("cgan-r1", BARE | {"r1": 0.1}),
        _cell("cgan-wasserstein", BARE | {"loss": "wasserstein"}),
        _cell(
            "cvae-interpolation",
            {"sampling": "interpolation"},
            [
                {"sampling": "prior"},
                {"sampling": "posterior"},
                {"sampling": "interpolation"},
                {"sampling": "interpolation", "temperature": 0.0},
            ],
        ),
        _cell("cgan-logistic-adaptive", BARE | {"loss": "logistic", "augmentation": "adaptive"}),
        _cell("cgan-defaults", {}),
        _cell("cgan-bare-2500", BARE, [{}, {"truncation": 0.7}], steps=2500),
        _cell("cgan-wasserstein-2500", BARE | {"loss": "wasserstein"}, steps=2500),
        _cell(
            "cgan-logistic-adaptive-2500", BARE | {"loss": "logistic", "augmentation": "adaptive"}, steps=2500
        ),
    ],
    replicate=replicate,
    budget={"classifier_steps": CLASSIFIER_STEPS, "rows": ROWS, "alone": ALONE},
    replicates=2,
    results="ablations",
    brief=brief,
    table=ablations,
)
