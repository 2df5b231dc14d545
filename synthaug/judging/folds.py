"""The folds of a choice: in each, generators fitted to the rows that are not held out, and pools of their samples."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch

from synthaug.data.guards import require_unseen
from synthaug.data.labeled import LabeledData
from synthaug.errors import SynthaugWarning
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.judging.curation import Judges
from synthaug.judging.loaders import Augment, Ingredients
from synthaug.judging.menu import Source, Treatment
from synthaug.judging.pools import draw_pool, fit_judges, no_pool
from synthaug.judging.protocol import JUDGE_STEPS, JUDGED, ON_BOTH
from synthaug.judging.runner import Work, in_processes, shown
from synthaug.judging.unlabelled import with_judged
from synthaug.modalities.base import Form
from synthaug.training.threads import one_thread

Fit: TypeAlias = Callable[[LabeledData, str, str], Generator]
"""``fit(rows, family, name)``: a generator of the family trained on the rows; the name is unique to both."""

Augmentations: TypeAlias = Callable[[torch.Tensor, np.ndarray, Form], Mapping[str, Augment]]
"""Encoded training rows ``(N, ...)``, their labels ``(N,)`` and what they were encoded from, to augmentations by the
names that arms know."""

_POOL = 400
# Label agreement below which a family is not worth a training: of those measured that had it none has gained.
_RECOGNISED = 0.5


@dataclass(frozen=True)
class Unlabelled:
    """Rows without labels, as folds use them.

    Attributes:
        judge: ``judge(rows, name)``: those that classifiers of the labelled rows are sure of.
        rows: all of them.
    """

    judge: Callable[[LabeledData, str], Generator]
    rows: LabeledData


@dataclass
class Fold:
    """One fold: what is trained on, what is held out, and what was made of the former.

    Attributes:
        train: the rows that are not held out, in memory.
        plain: the same as what arms take, without synthetic rows.
        held_out: ``(n, ...)`` raw rows and ``(n,)`` class positions to judge by.
        augmentations: of the training rows.
        makers: generators by family, once they were asked for.
        pools: samples that were drawn, by source and whether they are curated.
        judges: what curates, once something was curated.
    """

    train: LabeledData
    plain: Ingredients
    held_out: tuple[np.ndarray, np.ndarray]
    augmentations: Mapping[str, Augment]
    makers: dict[str, Generator] = field(default_factory=dict)
    pools: dict[tuple[str, bool], Samples] = field(default_factory=dict)
    judges: Judges | None = None

    def parts(self, of: Treatment, steps: int) -> Ingredients:
        """What an arm makes loaders of, for a treatment whose pool was drawn."""
        if of.source is None:
            return self.plain
        pool = self.pools[of.source.name, of.curated]
        return replace(self.plain.with_pool(pool), ratio=of.ratio(steps))


class Folds:
    """All folds of a choice; generators are fitted when families are asked for.

    Args:
        data: the rows to choose by; nothing else is looked at.
        rows: row numbers held out in each fold.
        fit: trains a generator.
        augment: makes the augmentations of a fold.
        work: processes and progress; ``jobs`` is for what is fitted.
        batch_size: rows per batch of a classifier.
        judge_steps: optimizer steps of each judge, where samples are curated.
        unlabelled: rows without labels, for families that use them.

    Attributes:
        folds: the folds, in their order.
        spent: seconds that generators, samples and judges took in the processes that made them.
        seconds: that generators took, side by side.
    """

    def __init__(
        self,
        data: LabeledData,
        rows: Sequence[np.ndarray],
        fit: Fit,
        augment: Augmentations,
        work: Work,
        *,
        batch_size: int,
        judge_steps: int = JUDGE_STEPS,
        unlabelled: Unlabelled | None = None,
    ) -> None:
        self.spent = self.seconds = 0.0
        self._fit, self._work, self._judge_steps, self._unlabelled = fit, work, judge_steps, unlabelled
        self._held_out = [data.take(held_out) for held_out in rows]
        self.folds = []
        for held_out, others in zip(rows, self._held_out, strict=True):
            train = data.take(np.setdiff1d(np.arange(len(data)), held_out)).detached()
            encode = train.form.fitted(train.read())
            plain = Ingredients.of(train, no_pool(train), encode.encode, ratio=0.0, batch_size=batch_size)
            augmentations = augment(encode.encode(plain.rows), train.labels, encode)
            self.folds.append(Fold(train, plain, (others.read(), others.labels), augmentations))

    def fit(self, families: Sequence[str]) -> None:
        """Fits generators of these families in every fold, one thread in each of several processes.

        Args:
            families: also `JUDGED`, for judged rows, and a family with `ON_BOTH`, for one of labelled and judged rows;
                those that are there already are left as they are.

        Raises:
            Leakage: a generator has seen held-out rows.
        """
        started = time.perf_counter()
        due = [family for family in families if family not in self.folds[0].makers]
        both = [family for family in due if family.endswith(ON_BOTH)]
        if both and JUDGED not in (*due, *self.folds[0].makers):
            due.append(JUDGED)
        self._make({family: partial(self._task, family) for family in due if family not in both})
        self._make({family: partial(self._task_on_both, family) for family in both})
        self.seconds += time.perf_counter() - started

    def _task(self, family: str, number: int) -> Callable[[], Generator]:
        train = self.folds[number].train
        if family != JUDGED:
            return partial(self._fit, train, family, f"fold-{number}-{family}")
        assert self._unlabelled is not None, "a source of judged rows is offered where there are some"
        return partial(self._unlabelled.judge, train, f"fold-{number}-judged")

    def _task_on_both(self, family: str, number: int) -> Callable[[], Generator]:
        fold, name = self.folds[number], family.removesuffix(ON_BOTH)
        assert self._unlabelled is not None, "a source of judged rows is offered where there are some"
        larger = with_judged(fold.train, self._unlabelled.rows, fold.makers[JUDGED])
        return partial(self._fit, larger, name, f"fold-{number}-both-{name}")

    def _make(self, tasks: Mapping[str, Callable[[int], Callable[[], Generator]]]) -> None:
        """What the tasks of families make in every fold; held-out rows must not be among what it was trained on."""
        places = [(number, family) for number in range(len(self.folds)) for family in tasks]
        made = in_processes([tasks[family](number) for number, family in places], self._work.jobs)
        prints = None if self._unlabelled is None else self._unlabelled.rows.fingerprints()
        told = shown(made, len(places), self._work.progress, "generators")
        for (number, family), maker in zip(places, told, strict=True):
            fold, held_out = self.folds[number], {"held-out": self._held_out[number]}
            require_unseen(fold.train, held_out, maker.trained_on, prints)
            fold.makers[family] = maker
            self.spent += maker.seconds

    def unrecognised(self) -> dict[str, float]:
        """Families whose samples classifiers do not recognise, and how often they do, over how often real rows."""
        found = {}
        for family in self.folds[0].makers:
            known = [fold.makers[family].achieved.agreement for fold in self.folds]
            told = [each for each in known if each is not None]
            if told and float(np.mean(told)) < _RECOGNISED:
                found[family] = float(np.mean(told))
        return found

    def fill_pools(self, treatments: Sequence[tuple[int, Treatment]], seed: int) -> None:
        """Draws the pools that these treatments of folds are the first to need, folds side by side."""
        due: dict[int, dict[tuple[str, bool], Source]] = {}
        for number, of in treatments:
            if of.source is not None and (of.source.name, of.curated) not in self.folds[number].pools:
                due.setdefault(number, {})[of.source.name, of.curated] = of.source
        draw = partial(_drawn, seed=seed, judge_steps=self._judge_steps)
        tasks = [
            partial(draw, self.folds[number], wanted, kept=self._work.kept(f"fold {number}"))
            for number, wanted in due.items()
        ]
        for number, (pools, judges, seconds) in zip(due, in_processes(tasks, self._work.jobs), strict=True):
            self.folds[number].pools.update(pools)
            self.folds[number].judges = judges
            self.spent += seconds


def _drawn(
    fold: Fold, wanted: Mapping[tuple[str, bool], Source], *, seed: int, judge_steps: int, kept: Path | None
) -> tuple[dict[tuple[str, bool], Samples], Judges | None, float]:
    """Pools of samples of a fold, the judges that some of them needed, and the seconds that it took."""
    start = time.perf_counter()
    judges = fold.judges
    pools = {}
    with one_thread():
        if judges is None and any(curated for _, curated in wanted):
            judges = fit_judges(fold.train, fold.plain.encode, seed, judge_steps, kept)
        for (name, curated), source in wanted.items():
            maker = fold.makers[source.family].adjusted(source.settings)
            with warnings.catch_warnings():
                # A source of which few samples pass loses here or wins: that is what is being found out.
                warnings.simplefilter("ignore", SynthaugWarning)
                pools[name, curated] = draw_pool(maker, judges if curated else None, _POOL, seed=seed)
    return pools, judges, time.perf_counter() - start
