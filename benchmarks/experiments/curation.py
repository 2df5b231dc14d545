"""What do the filters of curation drop? Of rows that should pass, of rows that should not, and of samples.

Judges are fitted on a few real rows a class. Beside samples of every family, after a short training on the same rows,
stand real rows that nothing has seen; the same with shuffled labels; noise, and real rows with their pixels shuffled;
and copies of training rows, as they are and with noise of three grey levels. Per kind: the share that passes all
filters, the share that each drops by itself, the diversity before and after, and how often the judges' mean has the
label on top before and after. For families also what each filter does to a classifier: balanced accuracy on test rows
with a quarter of each batch synthetic, augmented by the policy, samples as they come, or the first that pass; or as
they come, labelled by the judges in shares.
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
from cells import ARMS, STEPS, Cell, Run, equal
from experiment import Experiment
from tables import percent, points, table

from synthaug import Generator, LabeledData
from synthaug.families import FAMILIES
from synthaug.judging import FILTERS, Judges, curated_pool, fit_judges, pool_size
from synthaug.seeding import numpy_rng

PER_CLASS = 20
OTHERS = 50
SHARE = 0.25
SHORT = 300
"""Steps of each generator, and of each judge."""

Labelled = tuple[np.ndarray, np.ndarray]
"""Encoded rows and their class positions."""


def replicate(run: Run) -> dict[str, Any]:
    """What judges say of every kind of rows, and what each filter does to a classifier."""
    started, n_classes = time.perf_counter(), len(run.train.classes)
    judges = fit_judges(run.train, run.form.encode, run.seed, SHORT)
    found: dict[str, Any] = {"seconds_of_judges": time.perf_counter() - started, "kinds": {}}
    unseen = run.drawn([OTHERS] * n_classes, skip=[PER_CLASS] * n_classes)
    for kind, rows in _controls(run, unseen).items():
        found["kinds"][kind] = _judged(judges, rows, run.train.classes)
    for family in FAMILIES:
        maker = run.fit(family, steps=SHORT)
        made = maker.sample(OTHERS, seed=run.seed)
        rows = run.form.encode(made.samples).numpy(), made.class_indices
        found["kinds"][family] = _judged(judges, rows, run.train.classes)
        found["kinds"][family]["accuracy"] = _accuracy(run, maker, judges)
    return found


def _controls(run: Run, others: LabeledData) -> dict[str, Labelled]:
    """Rows with labels that should pass, the first, and that should not, all others."""
    rng = numpy_rng(run.seed, "benchmark", "controls")
    real, real_labels = run.encoded.numpy(), run.train.labels
    rows, labels = run.form.encode(others.read()).numpy(), others.labels
    pixels = rng.permuted(rows.reshape(len(rows), -1), axis=1).reshape(rows.shape)
    grey = rng.normal(0, 3 / 127.5, real.shape)
    return {
        "unseen real rows": (rows, labels),
        "shuffled labels": (rows, rng.permutation(labels)),
        "uniform noise": (rng.uniform(-1, 1, rows.shape).astype(np.float32), labels),
        "shuffled pixels": (pixels, labels),
        "copies": (real, real_labels),
        "noisy copies": (np.clip(real + grey, -1, 1).astype(np.float32), real_labels),
    }


def _judged(judges: Judges, rows: Labelled, classes: Any) -> dict[str, Any]:
    """What all filters, and each by itself, do to rows."""
    whole = judges.curate(*rows, classes)
    on_top = whole.soft_labels.argmax(axis=1) == rows[1]
    alone = {name: judges.curate(*rows, classes, [name]).keep.mean() for name in FILTERS}
    return {
        "rows": len(on_top),
        "kept": float(whole.keep.mean()),
        "dropped_alone": {name: float(1 - kept) for name, kept in alone.items()},
        "diversity": [whole.effects[0].diversity_before, whole.effects[-1].diversity_after],
        "recognised": [
            float(on_top.mean()),
            float(on_top[whole.keep].mean()) if whole.keep.any() else None,
        ],
    }


def _accuracy(run: Run, maker: Generator, judges: Judges) -> dict[str, float]:
    """With samples that judges label, as they come, that one filter lets pass, and that all let pass."""
    per_class = pool_size(SHARE, STEPS, len(run.train.classes))
    pools = {"none": run.pool(maker, SHARE)}
    for name, filters in {**{each: [each] for each in FILTERS}, "all": FILTERS}.items():
        pools[name] = curated_pool(maker, judges, per_class, seed=run.seed, filters=filters)[0]
    soft = replace(ARMS["both, soft labels"], augmentation="policy")
    scores = {"soft labels": run.score(soft, pools["none"], SHARE, judge=judges.probabilities)}
    scores |= {name: run.score(ARMS["both, policy"], pool, SHARE) for name, pool in pools.items()}
    return {name: of["test"].balanced_accuracy for name, of in scores.items()}


def brief(found: dict[str, Any]) -> str:
    """The share of every kind that passes."""
    return ", ".join(f"{kind} {of['kept']:.2f}" for kind, of in found["kinds"].items())


def curation(cells: list[dict[str, Any]]) -> str:
    """What is dropped of each kind, and what that does to a classifier."""
    kept, trained = [], []
    effects = (*FILTERS, "all", "soft labels")
    for cell in cells:
        data = cell["cell"].replace("_", "-")
        for kind in cell["replicates"][0]["kinds"]:
            own = [r["kinds"][kind] for r in cell["replicates"]]
            alone = [f"{fmean(of['dropped_alone'][name] for of in own):.2f}" for name in FILTERS]
            changes = [_change([of[name] for of in own]) for name in ("diversity", "recognised")]
            kept.append([data, kind, f"{fmean(of['kept'] for of in own):.2f}", *alone, *changes])
            if "accuracy" in own[0]:
                scores = [of["accuracy"] for of in own]
                gains = [points([100 * (of[name] - of["none"]) for of in scores]) for name in effects]
                plain = percent(fmean(of["none"] for of in scores))
                trained.append([data, kind, str(len(scores)), plain, *gains])
    return "\n".join(
        [
            "## What judges leave out",
            "",
            f"Judges fitted on {cells[0]['budget']['per_class']} real rows a class, means over seeds: the share of "
            "rows that pass all filters, the share that each filter drops by itself, diversity before and after, and "
            "how often the judges' mean has the label on top before and after ([results](curation)):",
            "",
            *table(
                ["data", "rows", "pass", *FILTERS, "diversity", "label on top"],
                kept,
                left=(0, 1, 6, 7),
            ),
            "",
            "What each filter does to a classifier: accuracy with a quarter of each batch as it comes, and points "
            "that are added by the first samples which a filter, or all of them, let pass, or by labels that judges "
            "give in shares, with the standard error over seeds:",
            "",
            *table(["data", "family", "seeds", "no filter", *effects], trained, left=(0, 1)),
        ]
    )


def _change(pairs: list[list[float | None]]) -> str:
    """Means before and after; empty where nothing was left to measure."""
    known = [pair for pair in pairs if None not in pair]
    return " → ".join(f"{fmean(pair[i] for pair in known):.2f}" for i in (0, 1)) if known else ""


EXPERIMENT = Experiment(
    cells=[Cell(name, name, equal(PER_CLASS)) for name in ("fashion_mnist", "mnist")],
    replicate=replicate,
    budget={
        "per_class": PER_CLASS,
        "steps": SHORT,
        "classifier_steps": STEPS,
        "share": SHARE,
        "families": list(FAMILIES),
    },
    replicates=2,
    results="curation",
    brief=brief,
    table=curation,
)
