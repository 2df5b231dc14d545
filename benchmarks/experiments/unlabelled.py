"""What do rows without labels bring, and what does a generator add to them?

Five to twenty labelled rows a class, and a thousand others whose labels are taken away. Beside the policy on the
labelled rows stand, at equal steps: longer trainings; AdaMatch and MixMatch; warp on the labelled rows; the others with
the labels that judges give them, in one round and in two, by the class prior that they see themselves, in one cell
also by an even one, or one between; warp and cvae trained on both; the others with their true labels, as much as can be
hoped for; and with shuffled ones, which have to harm. Half of each batch is replaced. In further cells the others, or
half of them, are of another data set.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from cells import GENERATOR_STEPS, STEPS, Cell, Run, equal, open_set
from experiment import Experiment
from semi import Loss, Rows, adamatch, mixmatch, train_semi
from tables import percent, points, table

from synthaug import LabeledData, Samples
from synthaug.data import joined
from synthaug.judging import Ingredients, longer, no_pool, pool_size, with_synthetic
from synthaug.judging.unlabelled import ROUNDS, JudgedRows, as_samples, judge_rows
from synthaug.metrics import score
from synthaug.seeding import numpy_rng
from synthaug.training import Training, train

CONTROLS = {"AdaMatch": adamatch(), "MixMatch": mixmatch()}
PRIORS = ("judged", "between", "even")
JUDGED = "rows that are like labelled ones, by two judges in two rounds"
"""Which rows are judged and how: results of others are made anew."""

SHARE = 0.5
UNLABELLED = 1000


def replicate(run: Run) -> dict[str, Any]:
    """Balanced accuracy of everything on the test rows, how often judges were right, and what they left out."""
    others, truth = drawn(run)
    known = Ingredients.of(run.train, no_pool(run.train), run.form.encode, ratio=SHARE)

    found = _judged(run, known, others)
    scores = {"policy": run.score(run.policy)["test"].balanced_accuracy}
    for times in (1.5, 4):
        arm = longer(run.policy) if times == 1.5 else run.policy
        steps = STEPS if times == 1.5 else times * STEPS
        scores[f"{times:g} times longer"] = run.score(arm, steps=steps)["test"].balanced_accuracy

    def mixed(name: str, pool: Samples) -> None:
        if all(pool.counts[k] for k, n in run.train.counts.items() if n):
            arm = with_synthetic(run.policy, name, "")
            scores[name] = run.score(arm, pool, SHARE)["test"].balanced_accuracy

    for name, loss in CONTROLS.items():
        scores[name] = _semi(run, others, loss)

    mixed("warp on labelled rows", run.pool(run.fit("warp"), SHARE))
    for key in found:
        name = {"once": "judged in one round", "judged": "judged"}.get(key, f"judged, {key} prior")
        mixed(name, as_samples(found[key], others, run.form, run.train.classes, "judges"))
    own = found["judged"]
    if len(np.unique(own.labels)) == len(run.train.classes):
        both = joined(run.train, others[own.rows], own.labels)
        for family in ("warp", "cvae"):
            maker = train(both, Training(family, steps=GENERATOR_STEPS, seed=run.seed))
            pool = maker.sample(pool_size(SHARE, STEPS, len(run.train.classes)), seed=run.seed)
            mixed(f"{family} on both", pool)
    if truth is not None:
        every = JudgedRows(np.arange(len(others)), truth, np.ones(len(others), np.float32), {})
        mixed("true labels", as_samples(every, others, run.form, run.train.classes, "truth"))
        rng = numpy_rng(run.seed, "benchmark", "shuffled")
        wrong = JudgedRows(every.rows, rng.permutation(truth), every.sure, {})
        mixed("shuffled labels", as_samples(wrong, others, run.form, run.train.classes, "nobody"))
    about = {
        key: {
            "kept": len(of),
            "right": None if truth is None or not len(of) else float((truth[of.rows] == of.labels).mean()),
            "dropped": dict(of.dropped),
        }
        for key, of in found.items()
    }
    return {"scores": scores, "judges": about}


def _judged(run: Run, known: Ingredients, others: np.ndarray) -> dict[str, JudgedRows]:
    """The rows by how they were judged; judges of the first round are the same."""
    found = {}
    augment = run.augmentations["policy"]
    with TemporaryDirectory() as place:
        first = Path(place) / "once"
        priors = PRIORS if run.cell.settings.get("priors") else PRIORS[:1]
        for key, rounds, prior in (("once", (0.9,), "judged"), *((each, ROUNDS, each) for each in priors)):
            kept = Path(place) / key
            if key != "once":
                shutil.copytree(first, kept)
            how: Any = {"steps": STEPS, "seed": run.seed, "rounds": rounds, "prior": prior, "kept": kept}
            found[key] = judge_rows(known, others, augment, **how)
    return found


def _semi(run: Run, others: np.ndarray, loss: Loss) -> float:
    """Balanced accuracy of a training on both kinds of rows at once."""
    n_classes, encode = len(run.train.classes), run.form.encode
    labels = torch.from_numpy(run.train.labels)
    rows = Rows(run.encoded, labels, encode(others), run.augmentations["policy"], n_classes)
    shares = train_semi(rows, loss, STEPS, run.seed)(encode(run.test.read()))
    return score(run.test.labels, shares.argmax(axis=1), n_classes, shares).balanced_accuracy


def drawn(run: Run, amount: int = UNLABELLED) -> tuple[np.ndarray, np.ndarray | None]:
    """So many rows without labels, and the labels that were taken away, where they are of the same data set.

    A smaller number is a part of a larger one.
    """
    name, half = (run.cell.settings.get(key) for key in ("others", "half"))
    rng = numpy_rng(run.seed, "benchmark", "unlabelled")
    rest = run.rest
    free = np.flatnonzero(~np.isin(rest.fingerprints(), run.train.fingerprints()))
    own: LabeledData = rest.take(np.sort(rng.permutation(free)[:amount]))
    if name is None:
        return own.read(), own.labels
    if name == "noise":
        strange = rng.integers(0, 256, (amount, *run.form.shape)).astype(run.form.dtype)
    else:
        other = open_set(name, run.folder)
        strange = other.read(np.sort(rng.permutation(len(other))[:amount]))
    if half:
        return np.concatenate([own.read()[::2], strange[::2]]), None
    return strange, None


def brief(found: dict[str, Any]) -> str:
    """All of it, in percent."""
    return ", ".join(f"{name} {100 * score:.1f}" for name, score in found["scores"].items())


def judged_as_today(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cells whose rows were judged as they are today."""
    return [cell for cell in cells if cell["budget"].get("judged") == JUDGED]


def unlabelled(cells: list[dict[str, Any]]) -> str:
    """What each way to use them adds to the policy, and how often judges are right."""
    cells = judged_as_today(cells)
    if not cells:
        return ""
    kinds = list(dict.fromkeys(kind for cell in cells for r in cell["replicates"] for kind in r["scores"]))
    rows = [
        ["replicates", *(str(len(cell["replicates"])) for cell in cells)],
        ["policy (balanced accuracy)", *(percent(fmean(_all(cell, "policy"))) for cell in cells)],
    ]
    for kind in kinds:
        if kind != "policy":
            rows.append([kind, *(_gain(cell, kind) for cell in cells)])
    rows.append(["judges right", *(_right(cell, "judged") for cell in cells)])
    rows.append(["unlike any labelled row", *(_strange(cell) for cell in cells)])
    return "\n".join(
        [
            "## Rows without labels",
            "",
            f"Balanced accuracy with the policy alone, and what is added to it, in points with the standard error over "
            f"replicates, by {UNLABELLED:,} rows without labels; half of each batch is replaced "
            "([results](unlabelled)). Trainings take equally many steps, unless it is said; two judges in two "
            "rounds take four trainings beside. A dash: judges were sure of no row of some class.",
            "",
            *table(["", *(cell["cell"] for cell in cells)], rows),
        ]
    )


def _all(cell: Mapping[str, Any], kind: str) -> list[float]:
    return [r["scores"][kind] for r in cell["replicates"] if kind in r["scores"]]


def _gain(cell: Mapping[str, Any], kind: str) -> str:
    gains = [
        100 * (r["scores"][kind] - r["scores"]["policy"]) for r in cell["replicates"] if kind in r["scores"]
    ]
    return points(gains) if gains else "–"


def _strange(cell: Mapping[str, Any]) -> str:
    """The share of rows that were not judged, as they are like no labelled one."""
    return percent(
        fmean(r["judges"]["judged"]["dropped"]["unlike any labelled row"] for r in cell["replicates"])
        / UNLABELLED
    )


def _right(cell: Mapping[str, Any], key: str) -> str:
    known = [r["judges"][key]["right"] for r in cell["replicates"] if r["judges"][key]["right"] is not None]
    return percent(fmean(known)) if known else "–"


CELLS = [
    *(Cell(f"{data}-{n}", data, equal(n)) for data in ("mnist", "fashion_mnist") for n in (5, 10, 20)),
    Cell("pneumonia-25", "pneumonia", equal(25), settings={"priors": True}),
    Cell("mnist-5, clothes", "mnist", equal(5), settings={"others": "fashion_mnist"}),
    Cell("fashion_mnist-5, digits", "fashion_mnist", equal(5), settings={"others": "mnist"}),
    Cell("mnist-5, noise", "mnist", equal(5), settings={"others": "noise"}),
    Cell("mnist-5, half clothes", "mnist", equal(5), settings={"others": "fashion_mnist", "half": True}),
    Cell(
        "fashion_mnist-5, half digits",
        "fashion_mnist",
        equal(5),
        settings={"others": "mnist", "half": True},
    ),
    # named before rows of it without labels were ever used
    Cell("cifar10-20", "cifar10", equal(20)),
]

EXPERIMENT = Experiment(
    cells=CELLS,
    replicate=replicate,
    budget={
        "steps": STEPS, "generator_steps": GENERATOR_STEPS, "share": SHARE, "unlabelled": UNLABELLED,
        "judged": JUDGED, "replicates": 10,
    },
    replicates=10,
    results="unlabelled",
    brief=brief,
    table=unlabelled,
)  # fmt: skip
