"""What are synthetic rows of tables worth alone: learners that have seen nothing else, beside those of real rows?

5,000 training rows in their natural proportions, as many synthetic rows of each class, four learners with their own
defaults and a test on 5,000 others, by macro-averaged F1. Beside our families stand points between neighbours in every
class, which learn nothing (SMOTE as a choice has it, and SMOTE or SMOTENC of imbalanced-learn), and CTGAN and TVAE of
the package ``ctgan`` at their defaults (`requirements-peers.txt`). How far samples lie from the nearest training row
is told over the same of unseen rows.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from cells import Cell, Run
from experiment import Experiment
from tables import table

from synthaug import LabeledData, open_data
from synthaug.judging import no_pool
from synthaug.judging.standins import between_neighbours
from synthaug.metrics import nearest_rows
from synthaug.modalities.table import TableForm, rows_of_table, table_of_rows
from synthaug.seeding import numpy_rng
from synthaug.training import Training, train

if TYPE_CHECKING:
    import pandas as pd

SETS = ("adult", "credit_default", "bank_marketing")
DROPPED = {"bank_marketing": ("duration",)}
"""Columns that tell the answer."""

ROWS, TESTED = 5000, 5000
LEARNERS = ("logistic regression", "random forest", "gradient boosting", "perceptron")

ALONE = ("cgan", "imbalanced-learn", "CTGAN")
"""What is run by itself, as it takes long or came later."""

Rows = tuple[np.ndarray, np.ndarray]
"""``(N, D)`` raw rows and ``(N,)`` class positions."""


def opened(name: str, folder: Path | None, seed: int, rows: int) -> tuple[LabeledData, LabeledData]:
    """So many training rows of a set, drawn by a seed, and the test rows, always the same."""
    import pandas as pd

    if folder is None:
        raise click.UsageError(f"{name} needs --folder, or SYNTHAUG_DATA, with {name}.parquet in it.")
    frame = pd.read_parquet(folder / f"{name}.parquet").drop(columns=list(DROPPED.get(name, ())))
    if "split" not in frame:
        held_out = numpy_rng(0, "benchmark", "test").random(len(frame)) < 0.3
        frame["split"] = np.where(held_out, "test", "train")
    rest, others = frame[frame["split"] == "train"], frame[frame["split"] != "train"]
    chosen = rest.iloc[numpy_rng(seed, "benchmark", "draw").permutation(len(rest))[:rows]]
    tested = others.iloc[numpy_rng(0, "benchmark", "tested").permutation(len(others))[:TESTED]]
    data = open_data(pd.concat([chosen, tested], ignore_index=True), label="label")
    places = np.arange(len(data)) < len(chosen)
    return data.take(np.flatnonzero(places)), data.take(np.flatnonzero(~places))


def learners(seed: int) -> dict[str, Any]:
    """The learners, with the defaults of scikit-learn but for how long they take."""
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    made = (
        LogisticRegression(max_iter=500),
        RandomForestClassifier(random_state=seed, n_jobs=1),
        HistGradientBoostingClassifier(random_state=seed),
        MLPClassifier(max_iter=50, early_stopping=True, random_state=seed),
    )
    return dict(zip(LEARNERS, made, strict=True))


def scores(form: TableForm, rows: Rows, test: LabeledData, seed: int) -> dict[str, float]:
    """Macro-averaged F1 of each learner that was fitted to some rows."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import f1_score

    X, tested = form.encode(rows[0]).numpy(), form.encode(test.read()).numpy()
    found = {}
    for name, learner in learners(seed).items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            learner.fit(X, rows[1])
        found[name] = float(f1_score(test.labels, learner.predict(tested), average="macro"))
    return found


def as_they_are(data: LabeledData, form: TableForm, seed: int) -> Rows:
    """The training rows."""
    return data.read(), data.labels


def ours(family: str, data: LabeledData, form: TableForm, seed: int) -> Rows:
    """As many rows of each class as there are, of a family with its defaults, also of how long it is trained."""
    maker = train(data, Training(family, seed=seed))
    made = maker.sample(data.counts, seed=seed)
    return made.samples, made.class_indices


def between(data: LabeledData, form: TableForm, seed: int) -> Rows:
    """Points between neighbours of one class."""
    names = np.array(list(data.classes))[data.labels]
    like = replace(
        no_pool(data), form=form, samples=data.read(), labels=data.labels, provenance={"class": names}
    )
    made = between_neighbours(like, data.read(), data.labels, seed)
    return made.samples, made.labels


def reference(data: LabeledData, form: TableForm, seed: int) -> Rows:
    """The same of imbalanced-learn; where there are categories, its kind of it for these."""
    from imblearn.over_sampling import SMOTE, SMOTENC

    frame, discrete = _without_missing(data, form)
    wanted = {label: 2 * count for label, count in enumerate(data.counts.values())}
    kind = partial(SMOTENC, discrete) if discrete else SMOTE
    sampler = kind(sampling_strategy=wanted, random_state=seed)
    made, labels = sampler.fit_resample(frame, data.labels)
    return _raw(made.iloc[len(data) :], discrete, data, form), labels[len(data) :]


def peer(name: str, data: LabeledData, form: TableForm, seed: int) -> Rows:
    """As many rows as there are, of a synthesizer of ``ctgan``; the label is one of its columns."""
    import ctgan
    import torch

    frame, discrete = _without_missing(data, form)
    frame["label"] = data.labels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # which it draws from
        model = getattr(ctgan, name)(enable_gpu=False)
        model.fit(frame, [*discrete, "label"])
        made = model.sample(len(frame))
    labels = made.pop("label").to_numpy().astype(np.int64)
    return _raw(made, discrete, data, form), labels


def _without_missing(data: LabeledData, form: TableForm) -> tuple[pd.DataFrame, list[str]]:
    """The rows for libraries that take no missing cells, and which columns are categories.

    Of numbers the median stands in for what is missing, of categories a level of its own.
    """
    frame = table_of_rows(data.read(), form.columns).to_pandas()
    discrete = [column.name for column in form.columns if column.kind in ("category", "boolean")]
    for column in frame:
        if column in discrete:
            frame[column] = frame[column].astype(object).where(frame[column].notna(), "missing").astype(str)
        else:
            frame[column] = frame[column].fillna(frame[column].median())
    return frame, discrete


def _raw(made: pd.DataFrame, discrete: Sequence[str], data: LabeledData, form: TableForm) -> np.ndarray:
    """Rows as `_without_missing` gives them, in the layout of the data set."""
    import pyarrow as pa

    made = made.copy()
    for column in discrete:
        made[column] = made[column].where(made[column] != "missing", None)
    like = table_of_rows(data.read()[:0], form.columns)
    rows = pa.Table.from_pandas(made, preserve_index=False).select(like.column_names)
    return rows_of_table(rows.cast(like.schema, safe=False), form.columns)


Make = Callable[[LabeledData, TableForm, int], Rows]


MAKERS: dict[str, Make] = {
    "real": as_they_are,
    "SMOTE": between,
    "imbalanced-learn": reference,
    "cvae": partial(ours, "cvae"),
    "cgan": partial(ours, "cgan"),
    "TVAE": partial(peer, "TVAE"),
    "CTGAN": partial(peer, "CTGAN"),
}
"""Everything that makes rows, by name."""


def replicate(run: Run) -> dict[str, Any]:
    """What learners of each maker's rows score, what these took, and how far they are from the training rows."""
    if importlib.util.find_spec("ctgan") is None:
        raise click.UsageError("ctgan is missing: see benchmarks/requirements-peers.txt")
    data, test = opened(run.cell.data, run.folder, run.seed, ROWS)
    form = data.form.fitted(data.read())
    assert isinstance(form, TableForm)
    points = form.points(data.read())
    unseen = float(np.median(nearest_rows(form.points(test.read()), points)[1]))
    found: dict[str, Any] = {}
    for name in run.cell.settings["makers"]:
        make, started = MAKERS[name], time.monotonic()
        rows = make(data, form, run.seed)
        seconds = time.monotonic() - started
        apart = float(np.median(nearest_rows(form.points(rows[0]), points)[1])) / unseen
        found[name] = {
            "scores": scores(form, rows, test, run.seed),
            "seconds": seconds,
            "distance": apart,
        }
    return found


def brief(found: Mapping[str, Any]) -> str:
    """The mean over learners of every maker."""
    return ", ".join(f"{name} {fmean(of['scores'].values()):.3f}" for name, of in found.items())


def tabular(cells: Sequence[Mapping[str, Any]]) -> str:
    """The mean of the four learners for each maker, and each learner of each set."""
    names = list(dict.fromkeys(cell["budget"]["data"] for cell in cells))
    found = {
        kind: [
            [
                of[kind]
                for cell in cells
                if cell["budget"]["data"] == name
                for of in cell["replicates"]
                if kind in of
            ]
            for name in names
        ]
        for kind in MAKERS
    }
    lines = []
    for kind, made in found.items():
        lines.append(
            [
                called(kind),
                *(_mean(of) for of in made),
                _median(made, "distance"),
                _median(made, "seconds", 0),
            ]
        )
    by_learner = [
        [called(kind), *(_mean(of, learner) for of in made for learner in LEARNERS)]
        for kind, made in found.items()
    ]
    runs = ", ".join(f"{min(map(len, made))} of {kind}" for kind, made in found.items() if kind != "real")
    return "\n".join(
        [
            "## Synthetic rows of tables, alone",
            "",
            f"Macro-averaged F1 of learners that saw synthetic rows alone, as many of each class as the {ROWS:,} "
            "training rows have, in the mean of four learners with the standard error over replicates; how far rows "
            "lie from the nearest training row, over unseen rows (below 0.5 they are near copies); and seconds to fit "
            "and sample on one core ([results](tabular), [how](../experiments/tabular.py)). "
            f"Replicates: {runs}.",
            "",
            *table(["", *names, "distance", "seconds"], lines),
            "",
            "Each learner:",
            "",
            *table(["", *(f"{name}, {learner}" for name in names for learner in LEARNERS)], by_learner),
        ]
    )


def called(kind: str) -> str:
    """What to call a maker."""
    names = {
        "SMOTE": "SMOTE, encoded rows",
        "imbalanced-learn": "SMOTE or SMOTENC of imbalanced-learn, raw rows",
    }
    return names.get(kind, kind)


def _mean(made: Sequence[Mapping[str, Any]], learner: str | None = None) -> str:
    values = [fmean(of["scores"].values()) if learner is None else of["scores"][learner] for of in made]
    if not values:
        return "–"
    error = f" ± {np.std(values, ddof=1) / len(values) ** 0.5:.3f}" if len(values) > 1 and not learner else ""
    return f"{fmean(values):.3f}{error}"


def _median(made: Sequence[Sequence[Mapping[str, Any]]], what: str, digits: int = 2) -> str:
    values = [of[what] for cell in made for of in cell if what in of]
    return f"{np.median(values):.{digits}f}" if any(values) else "–"


EXPERIMENT = Experiment(
    cells=[
        Cell(f"{name}{rest}", name, settings={"data": name, "makers": list(makers)})
        for rest, makers in (
            ("", [name for name in MAKERS if name not in ALONE]),
            *((f"-{name}", [name]) for name in ALONE),
        )
        for name in SETS
    ],
    replicate=replicate,
    budget={"rows": ROWS, "tested": TESTED, "replicates": 5},
    replicates=5,
    results="tabular",
    brief=brief,
    table=tabular,
)
