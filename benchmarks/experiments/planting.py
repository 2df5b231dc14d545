"""Can the choice be believed? Generators whose worth is known are planted, and it has to tell which to use.

`good` hands out real rows that nothing else has seen, `weak` the same with three quarters of them replaced by noise.
Broken are uniform noise, one row a class over and over (`collapsed`), unseen rows under shuffled labels, copies of the
training rows, and pictures of another data set (digits among clothes). Each is offered to the search of `choose` alone,
in every share that it tries by default, over the same rows, folds and baselines. What the choice
takes is then trained on all rows and scored on test rows, as is the best it found and did not dare to take.

To be affordable pictures are 12x12, trainings have 200 steps of 32 rows, and augmentation is a shift by up to one
pixel; the baselines are no augmentation, the shift, and mixup and CutMix on top of it. Everything is bundled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from statistics import fmean
from typing import Any

import numpy as np
import torch
from cells import Cell, Run, equal, open_set
from experiment import Experiment
from experiments.choices import CHOSEN
from tables import signed, table

from synthaug import Classes, ImageForm, LabeledData, Samples
from synthaug.data import cross_folds
from synthaug.generators import synthetic_provenance
from synthaug.judging import (
    Augment,
    Choice,
    Folds,
    Ingredients,
    Menu,
    Runner,
    Scored,
    Source,
    Task,
    Treatment,
    Trial,
    Work,
    draw_pool,
    follow,
    pool_size,
    search_options,
    starting_arms,
    train_arm,
)
from synthaug.metrics import wilson_interval
from synthaug.seeding import derive, numpy_rng

SIDE, BATCH, STEPS, FOLDS = 12, 32, 200, 3
ROWS = (20, 40)
KINDS = ("good", "weak", "noise", "collapsed", "shuffled labels", "copies", "other data")
BROKEN = KINDS[2:]
NOISE = 0.75
"""Of the samples of `weak`."""

TEST_SEEDS = 4
BASELINES = [
    arm for arm in starting_arms(unequal=False, full=True) if arm.augmentation in (None, "classical")
]


@dataclass(frozen=True)
class Planted:
    """A generator that hands out the rows of a bank, each class's in an order that the seed gives.

    Attributes:
        rows, labels: the bank, with class positions.
        classes: names and labels.
        form: of the rows.
        trained_on: fingerprints of the rows that it is taken to be trained on.
        seconds: that its training took.
    """

    rows: np.ndarray
    labels: np.ndarray
    classes: Classes
    form: ImageForm
    trained_on: np.ndarray
    seconds: float = 0.0

    def adjusted(self, options: Mapping[str, Any]) -> Planted:
        """There is nothing to adjust."""
        return self

    def sample(self, counts: int, *, seed: int = 0) -> Samples:
        """So many rows of every class."""
        return Samples.join([self.sample_rows(name, 0, counts, seed=seed) for name in self.classes])

    def sample_rows(self, name: str, start: int, stop: int, *, seed: int = 0) -> Samples:
        """Rows of the sequence that a seed gives to a class; it begins again where the bank ends."""
        place, index = self.classes.index(name), np.arange(start, stop)
        order = numpy_rng(seed, "planted", name).permutation(np.flatnonzero(self.labels == place))
        labels = np.array([self.classes.values[place]] * len(index))
        provenance = synthetic_provenance("0" * 64, seed, name, index)
        return Samples(self.rows[order[index % len(order)]], labels, self.classes, self.form, provenance)


def plant(
    train: LabeledData, *_: str, kind: str, unseen: LabeledData, other: LabeledData, seed: int
) -> Planted:
    """A generator of the kind, where it is trained on these rows."""
    rng = numpy_rng(seed, "planted", kind)
    source = train if kind == "copies" else unseen
    rows, labels = source.read(), source.labels
    noise = rng.integers(0, 256, rows.shape).astype(rows.dtype)
    if kind == "weak":
        rows = np.where((rng.random(len(rows)) < NOISE)[:, None, None], noise, rows)
    elif kind == "noise":
        rows = noise
    elif kind == "collapsed":
        first = np.unique(labels, return_index=True)[1]
        rows, labels = rows[first], labels[first]
    elif kind == "shuffled labels":
        labels = rng.permutation(labels)
    elif kind == "other data":
        rows, labels = other.read(), other.labels
    return Planted(rows, labels, train.classes, train.form.fitted(train.read()), train.fingerprints())


def shifted(batch: torch.Tensor, seed: int) -> torch.Tensor:
    """Every image moved by up to one pixel each way, its border repeated."""
    moves = numpy_rng(seed, "planting", "shift").integers(-1, 2, (2, len(batch)))
    height, width = (
        torch.from_numpy((np.arange(size) + move[:, None]).clip(0, size - 1))
        for size, move in zip(batch.shape[2:], moves, strict=True)
    )
    image = torch.arange(len(batch))[:, None, None]
    # Two index arrays with the channels between them: they come last, and go back.
    return batch[image, :, height[:, :, None], width[:, None, :]].permute(0, 3, 1, 2)


def augmentations(images: torch.Tensor, labels: np.ndarray, form: ImageForm) -> dict[str, Augment]:
    """The shift, by the name that arms know."""
    return {"classical": shifted}


def replicate(run: Run) -> dict[str, Any]:
    """What the choice makes of a planted generator, and what that is worth on test rows."""
    kind, per_class = (run.cell.settings[name] for name in ("kind", "per_class"))
    n_classes = len(run.rest.classes)
    unseen = run.drawn([len(run.rest)] * n_classes, skip=[per_class] * n_classes)
    other = open_set("bundled:digits", None, SIDE)
    fit = partial(plant, kind=kind, unseen=unseen.detached(), other=other.detached(), seed=run.seed)
    rows = cross_folds(run.train, FOLDS, run.seed)
    work, menu = Work(jobs=run.jobs), Menu(BASELINES, [Source("planted", "planted")])
    folds = Folds(run.train, rows, fit, augmentations, work, batch_size=BATCH)
    folds.fit(["planted"])
    search = search_options(menu, rows, np.ones(len(run.train)))
    choice = follow(search, partial(_scores, run=run, menu=menu, folds=folds))
    return {
        "accepted": choice.accepted,
        "baseline": choice.baseline,
        "candidate": choice.candidate,
        "trainings": choice.trainings,
        "judged": None if choice.judged is None else choice.judged.gain.mean,
        "test_gain": _test_gain(run, choice, menu, fit(run.train)),
    }


@lru_cache(maxsize=1)
def _runner(rows: int, seed: int, jobs: int) -> Runner:
    """One for all kinds over one draw of rows, so that baselines are trained once."""
    return Runner(None, Work(jobs=jobs))


def _scores(trials: Sequence[Trial], run: Run, menu: Menu, folds: Folds) -> list[Scored]:
    """For each trial, what it made of the held-out rows."""
    wanted = {}
    for trial in trials:
        planted = menu.treatments[trial.option].source is not None
        wanted[f"{run.cell.name if planted else ''} {trial.option}, {trial.fold}, {trial.seed}"] = trial

    def tasks(due: Sequence[Trial]) -> list[Task]:
        folds.fill_pools([(trial.fold, menu.treatments[trial.option]) for trial in due], run.seed)
        names = {trial: name for name, trial in wanted.items()}
        return [_task(names[trial], trial, run.seed, menu, folds) for trial in due]

    outcomes = _runner(len(run.train), run.seed, run.jobs).run(wanted, tasks)
    return [Scored(outcome.correct["held-out"], outcome.sure["held-out"]) for outcome in outcomes]


def _task(name: str, trial: Trial, seed: int, menu: Menu, folds: Folds) -> Task:
    fold, of = folds.folds[trial.fold], menu.treatments[trial.option]
    own = derive(seed, "choice", "classifier", trial.fold, trial.seed) % 2**31
    tests = {"held-out": fold.held_out}
    return Task(name, of.arm, own, fold.parts(of, STEPS), fold.augmentations, tests, of.steps(STEPS))


def _test_gain(run: Run, choice: Choice, menu: Menu, maker: Planted) -> float | None:
    """The candidate's accuracy over the baseline's, both trained on all rows; None without a candidate."""
    if choice.candidate is None:
        return None
    of, base = menu.treatments[choice.candidate], menu.treatments[choice.baseline]
    pool = draw_pool(maker, None, pool_size(of.share, STEPS, len(run.train.classes)), seed=run.seed)
    return _accuracy(run, of, pool) - _accuracy(run, base, pool)


def _accuracy(run: Run, of: Treatment, pool: Samples) -> float:
    parts = Ingredients.of(run.train, pool, run.form.encode, ratio=of.ratio(STEPS), batch_size=BATCH)
    known = augmentations(run.encoded, run.train.labels, run.form)
    tests = {"test": (run.test.read(), run.test.labels)}
    seeds = [derive(run.seed, "planting", "test", i) % 2**31 for i in range(TEST_SEEDS)]
    tasks = [Task(str(seed), of.arm, seed, parts, known, tests, of.steps(STEPS)) for seed in seeds]
    return fmean(train_arm(task).scores["test"].accuracy for task in tasks)


def brief(found: dict[str, Any]) -> str:
    """What was taken, or would have been, and its worth."""
    gain = "nothing" if found["test_gain"] is None else signed(found["test_gain"])
    return f"{'taken' if found['accepted'] else 'refused'}: {found['candidate']}, {gain}"


def planting(cells: list[dict[str, Any]]) -> str:
    """How often each kind was taken, and what that was worth."""
    budget = cells[0]["budget"]
    if budget["judged"] != CHOSEN:
        return ""
    lines, broken = [], []
    for cell in sorted(cells, key=lambda cell: KINDS.index(cell["budget"]["kind"])):
        kind = cell["budget"]["kind"]
        lines.append(_line(kind, str(cell["budget"]["per_class"]), cell["replicates"]))
        broken += cell["replicates"] if kind in BROKEN else []
    lines += [_line("all broken", "", broken)] if broken else []
    return "\n".join(
        [
            "## The choice, offered generators of known worth",
            "",
            "How often `choose` took what it was offered, with Wilson's 95 % interval, and what that was worth on "
            f"test rows in points; clothes of {budget['side']}x{budget['side']}, {budget['steps']} steps, "
            f"{budget['folds']} folds; {budget['replicates']} choices of each are wanted. “Found” is the mean gain of "
            "the best it found, taken or not; “kept” what is left of that where only what it took counts "
            "([results](planting), [how](../experiments/planting.py)):",
            "",
            *table(["generator", "rows a class", "choices", "taken", "found", "kept"], lines, left=(0, 3)),
        ]
    )


def _line(kind: str, rows: str, made: Sequence[Mapping[str, Any]]) -> list[str]:
    taken, best = sum(of["accepted"] for of in made), [of["test_gain"] or 0.0 for of in made]
    rate = wilson_interval(taken, len(made))
    kept = [gain if of["accepted"] else 0.0 for gain, of in zip(best, made, strict=True)]
    told = f"{taken} ({rate.low * 100:.0f} to {rate.high * 100:.0f} %)"
    return [kind, rows, str(len(made)), told, signed(fmean(best)), signed(fmean(kept))]


EXPERIMENT = Experiment(
    cells=[
        Cell(
            f"{kind.replace(' ', '-')}-{n}",
            "bundled:fashion-mnist",
            equal(n),
            image_size=SIDE,
            own_splits=True,
            settings={"kind": kind, "per_class": n},
        )
        for n in ROWS  # kinds one after another, which then share baselines
        for kind in KINDS
    ],
    replicate=replicate,
    budget={
        **{"side": SIDE, "batch": BATCH, "steps": STEPS, "folds": FOLDS, "noise": NOISE},
        **{"judged": CHOSEN, "replicates": 20},
    },
    replicates=20,
    results="planting",
    brief=brief,
    table=planting,
)
