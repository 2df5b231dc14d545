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
        families: that are trained on labelled and judged rows.
        rows: all of them.
    """

    judge: Callable[[LabeledData, str], Generator]
    families: Sequence[str]
    rows: LabeledData


@dataclass
class Fold:
    """One fold: what is trained on, what is held out, and what was made of the former.

    Attributes:
        train: the rows that are not held out, in memory.
        plain: the same as what arms take, without synthetic rows.
        held_out: ``(n, ...)`` raw rows and ``(n,)`` class positions to judge by.
        augmentations: of the training rows.
        makers: generators by family.
        pools: samples that were drawn, by source and whether they are curated.
        judges: what curates, once something was curated.
    """

    train: LabeledData
    plain: Ingredients
    held_out: tuple[np.ndarray, np.ndarray]
    augmentations: Mapping[str, Augment]
    makers: Mapping[str, Generator]
    pools: dict[tuple[str, bool], Samples] = field(default_factory=dict)
    judges: Judges | None = None

    def parts(self, of: Treatment, steps: int) -> Ingredients:
        """What an arm makes loaders of, for a treatment whose pool was drawn."""
        if of.source is None:
            return self.plain
        pool = self.pools[of.source.name, of.curated]
        return replace(self.plain.with_pool(pool), ratio=of.ratio(steps))


class Folds:
    """All folds of a choice. `Folds.fit` trains their generators.

    Attributes:
        rows: row numbers held out in each.
        folds: the folds, in their order.
        seconds: that generators, samples and judges took in the processes that made them.
    """

    def __init__(
        self, rows: Sequence[np.ndarray], folds: Sequence[Fold], work: Work, judge_steps: int
    ) -> None:
        self.rows, self.folds = rows, folds
        self.seconds = sum(maker.seconds for fold in folds for maker in fold.makers.values())
        self._work, self._judge_steps = work, judge_steps

    @classmethod
    def fit(
        cls,
        data: LabeledData,
        rows: Sequence[np.ndarray],
        families: Sequence[str],
        fit: Fit,
        augment: Augmentations,
        work: Work,
        *,
        batch_size: int,
        judge_steps: int = JUDGE_STEPS,
        unlabelled: Unlabelled | None = None,
    ) -> Folds:
        """The folds with their generators; one thread in each of two processes beats two threads in one.

        Args:
            data: the rows to choose by; nothing else is looked at.
            rows: row numbers held out in each fold.
            families: of which there is a generator in every fold.
            fit: trains one.
            augment: makes the augmentations of a fold.
            work: processes and progress; ``jobs`` is for what is fitted.
            batch_size: rows per batch of a classifier.
            judge_steps: optimizer steps of each judge, where samples are curated.
            unlabelled: rows without labels; in every fold they are judged, and families are trained on both.

        Raises:
            Leakage: a generator has seen held-out rows.
        """
        kept = [data.take(np.setdiff1d(np.arange(len(data)), held_out)).detached() for held_out in rows]
        names = [(i, family) for i in range(len(rows)) for family in families]
        tasks = [partial(fit, kept[i], family, f"fold-{i}-{family}") for i, family in names]
        if unlabelled is not None:
            names += [(i, JUDGED) for i in range(len(rows))]
            tasks += [partial(unlabelled.judge, kept[i], f"fold-{i}-judged") for i in range(len(rows))]
        made = _made(names, tasks, work)
        if unlabelled is not None:
            both = [(i, family) for i in range(len(rows)) for family in unlabelled.families]
            larger = [with_judged(kept[i], unlabelled.rows, made[i, JUDGED]) for i in range(len(rows))]
            tasks = [partial(fit, larger[i], family, f"fold-{i}-both-{family}") for i, family in both]
            made |= _made([(i, family + ON_BOTH) for i, family in both], tasks, work)
        found = []
        for i, (train, held_out) in enumerate(zip(kept, rows, strict=True)):
            others = data.take(held_out)
            makers = {family: maker for (fold, family), maker in made.items() if fold == i}
            prints = None if unlabelled is None else unlabelled.rows.fingerprints()
            for maker in makers.values():
                require_unseen(train, {"held-out": others}, maker.trained_on, prints)
            form = next(iter(makers.values())).form
            plain = Ingredients.of(train, no_pool(train), form.encode, ratio=0.0, batch_size=batch_size)
            augmentations = augment(form.encode(plain.rows), train.labels, form)
            found.append(Fold(train, plain, (others.read(), others.labels), augmentations, makers))
        return cls(rows, found, work, judge_steps)

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
            self.seconds += seconds


def _made(
    names: Sequence[tuple[int, str]], tasks: Sequence[Callable[[], Generator]], work: Work
) -> dict[tuple[int, str], Generator]:
    """What the tasks make, by name."""
    outcomes = shown(in_processes(tasks, work.jobs), len(tasks), work.progress, "generators")
    return dict(zip(names, outcomes, strict=True))


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
