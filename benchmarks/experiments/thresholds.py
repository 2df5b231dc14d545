"""Do rows of imbalanced-learn's SMOTE tell learners more, or do these only call more rows rare?

As in `tabular`: 5,000 training rows, as many synthetic ones of each class, and learners that see these alone. SMOTE on
raw rows leads there on credit default, also before the real rows. F1 depends on how many rows are called rare, so
beside it stand that share, F1 where each learner calls as many rows rare as are, and the area under the ROC curve,
which no threshold moves.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from cells import Cell, Run
from experiment import Experiment
from experiments.tabular import MAKERS, ROWS, SETS, TESTED, called, learners, opened
from tables import table

from synthaug.modalities.table import TableForm

COMPARED = ("real", "SMOTE", "imbalanced-learn", "cvae")


def replicate(run: Run) -> dict[str, Any]:
    """The measures of each maker's rows, in the mean of the learners."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import f1_score, roc_auc_score

    data, test = opened(run.cell.data, run.folder, run.seed, ROWS)
    form = data.form.fitted(data.read())
    assert isinstance(form, TableForm)
    tested, rare = form.encode(test.read()).numpy(), int(np.argmin(np.bincount(data.labels)))
    truth = test.labels == rare
    found = {}
    for name in COMPARED:
        rows, labels = MAKERS[name](data, form, run.seed)
        X, told = form.encode(rows).numpy(), []
        for learner in learners(run.seed).values():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                learner.fit(X, labels)
            sure = learner.predict_proba(tested)[:, rare]
            asked = learner.predict(tested) == rare
            as_many = sure > np.quantile(sure, 1 - truth.mean())
            told.append(
                {
                    "called": float(asked.mean()),
                    "f1": float(f1_score(truth, asked, average="macro")),
                    "as_many": float(f1_score(truth, as_many, average="macro")),
                    "area": float(roc_auc_score(truth, sure)),
                }
            )
        found[name] = {key: fmean(of[key] for of in told) for key in told[0]}
    return found | {"rare": float(truth.mean())}


def brief(found: Mapping[str, Any]) -> str:
    """F1 of all, and with as many called rare as are."""
    return ", ".join(f"{name} {found[name]['f1']:.3f}, {found[name]['as_many']:.3f}" for name in COMPARED)


def thresholds(cells: Sequence[Mapping[str, Any]]) -> str:
    """A line for each maker and set."""
    lines = []
    for cell in cells:
        made = cell["replicates"]
        for name in COMPARED:
            means = {key: fmean(of[name][key] for of in made) for key in made[0][name]}
            rows = f"{cell['budget']['data']} ({fmean(of['rare'] for of in made):.0%} are rare)"
            values = [f"{means[key]:.3f}" for key in ("f1", "as_many", "area")]
            lines.append([rows, called(name), f"{means['called']:.0%}", *values])
    titles = ["data", "", "called rare", "F1", "F1, as many called rare as are", "area under the ROC curve"]
    return "\n".join(
        [
            "## How many rows are called rare",
            "",
            "Where the lead of SMOTE on raw rows comes from: macro-averaged F1 of the four learners as they are, which "
            "depends on how many rows are called rare; F1 where each calls as many rows rare as are; and the area "
            f"under the ROC curve. Means of {min(len(cell['replicates']) for cell in cells)} replicates ([results]"
            "(thresholds), [how](../experiments/thresholds.py)).",
            "",
            *table(titles, lines),
        ]
    )


EXPERIMENT = Experiment(
    cells=[Cell(name, name, settings={"data": name}) for name in SETS],
    replicate=replicate,
    budget={"rows": ROWS, "tested": TESTED, "replicates": 5},
    replicates=5,
    results="thresholds",
    brief=brief,
    table=thresholds,
)
