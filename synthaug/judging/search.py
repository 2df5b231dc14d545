"""The choice among options by cross-validation, in which no fold judges what it has chosen.

Nothing here knows what an option is or how it is trained: options have names, and whoever drives the search scores
held-out rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from synthaug.errors import InvalidRequest
from synthaug.metrics.statistics import Interval

T = TypeVar("T")

LEVEL = 0.9
"""One-sided confidence that the gain is above 0. The candidate must have won by all rows too: where nothing is gained
about 2 of 100 choices are accepted, and 3 to 6 by up to 1,000 rows where generators that are alike in expectation
differ by a point. By more rows, or where generators differ by more, it is more, as three folds tell little of how they
differ: 22 of 100 by 3,000 rows and 2.3 points (simulated). What is taken then gains nothing, and costs nothing."""

_TRIALS, _JUDGINGS = 2, 4
# One in so many goes on from the first seed to the others: of baselines, and of options with synthetic rows.
_KEPT_BASELINES, _KEPT = 2, 3

# Standard errors that a candidate is better by on the rows that chose it, or it is refused without being judged: choice
# was kind to it, judges would not be. By simulation up to one in ten of those that would be accepted is lost by it, and
# where nothing is gained a third of the trainings is saved.
_WORTH_JUDGING = 0.5

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Option:
    """Something to train with.

    Attributes:
        name: unique among the options.
        synthetic: whether it has synthetic rows; one without is a baseline.
    """

    name: str
    synthetic: bool = False


@dataclass(frozen=True)
class Trial:
    """One training: an option, the fold that is held out, and a seed."""

    option: str
    fold: int
    seed: int


Score: TypeAlias = Callable[[Sequence[Trial]], Iterable[np.ndarray]]
"""What gives the scores of some trials."""

Menu: TypeAlias = Callable[[Option], Sequence[Option]]
"""What is tried next, from what was best so far."""


@dataclass(frozen=True)
class Standing:
    """How far an option got.

    Attributes:
        name: the option.
        synthetic: whether it has synthetic rows.
        trainings: how many there were to choose by.
        score: the mean over the held-out rows of them.
        gain: over the baseline, with the same seeds, with a two-sided interval; None for the baseline. What chose the
            best of many is too kind to it: `Choice.judged` is what others say.
    """

    name: str
    synthetic: bool
    trainings: int
    score: float
    gain: Interval | None = None


@dataclass(frozen=True)
class JudgedGain:
    """What choosing in some way gains, on folds and seeds that had not chosen.

    Attributes:
        gain: with a two-sided interval.
        bound: what the gain is above with a one-sided confidence of `LEVEL`; it decides.
        error: standard error of the gain.
        without: for each fold, what the other folds chose; None where they chose no synthetic rows.
        seeds: classifier seeds that judged.
    """

    gain: Interval
    bound: float
    error: float
    without: tuple[str | None, ...]
    seeds: int


@dataclass(frozen=True)
class Choice:
    """The outcome of `search_options`.

    Attributes:
        baseline: the best option without synthetic rows.
        candidate: the best option with synthetic rows; None where none was better than the baseline.
        accepted: whether the candidate is to be used; otherwise the baseline is.
        judged: what choosing in this way gains; None where no candidate was worth judging, or no fold had one to judge.
        standings: every option that was tried, those with most trainings first, the best of equals.
        trainings: how many there were.
    """

    baseline: str
    candidate: str | None
    accepted: bool
    judged: JudgedGain | None
    standings: tuple[Standing, ...]
    trainings: int

    @property
    def option(self) -> str:
        """The name of the option to use."""
        return self.candidate if self.accepted and self.candidate is not None else self.baseline


Scores: TypeAlias = Sequence[np.ndarray]
"""For each trial the scores ``(rows of the fold,)`` of the rows held out, such as 1 where the label was recognised and
0 where it was not, in the order of the fold's row numbers."""

Search: TypeAlias = "Generator[list[Trial], Scores, Choice]"
"""A search under way: it asks for trials, is sent their `Scores`, and comes to a `Choice`."""


def follow(search: Search, score: Score) -> Choice:
    """What a search comes to, with a function that scores the trials it asks for."""
    due = next(search)
    while True:
        try:
            due = search.send(list(score(due)))
        except StopIteration as end:
            choice: Choice = end.value
            return choice


def search_options(
    baselines: Sequence[Option],
    menu: Menu,
    variants: Menu,
    folds: Sequence[np.ndarray],
    weights: np.ndarray,
    *,
    trials: int = _TRIALS,
    judgings: int = _JUDGINGS,
    worth_judging: float = _WORTH_JUDGING,
) -> Search:
    """The best option, and whether its gain over the best baseline is more than chance.

    Baselines are trained on every fold with one seed, the better half of them with the others, and the best one is
    trained longer: the best of all that by all held-out rows is the baseline. Then the options with synthetic rows
    that the menu gives for it, with one seed, the best third of them with the others, and the variants of the best
    in the same way. By all held-out rows this gives the candidate, which is refused here where it is hardly better than
    the baseline. Else the same search is made once for each fold by the rows of the others, and what they choose is
    judged by the fold that was left out, with fresh seeds: neither its rows nor what was fitted for it, such as a
    generator, has chosen. The mean over all rows is the gain of choosing in this way, where a fold whose others choose
    no synthetic rows counts as 0. The candidate is accepted if that gain is above 0 by more than its standard error
    times the one-sided quantile of Student's t. Half of the seeds judge first; where they see no gain, the others are
    saved.

    Args:
        baselines: options without synthetic rows, the simplest first: the first of equals is taken.
        menu: the best baseline to the options to try on top of it; those that are not synthetic, such as longer
            training of it, are baselines as well.
        variants: the best option to variations of it; none for no further rung.
        folds: row numbers held out in each fold, at least two folds; every row in at most one, rows that belong
            together in one.
        weights: ``(N,)`` how much each row counts: equal for accuracy, one over its class's rows for balanced
            accuracy. Rows held out in no fold are ignored.
        trials: seeds that options are chosen by.
        judgings: fresh seeds that the choice is judged by, at least 2.
        worth_judging: standard errors that a candidate is better by on the rows that chose it, or it is refused.

    Raises:
        InvalidRequest: too few folds or seeds, or a fold without rows.
    """
    if len(folds) < 2 or trials < 1 or judgings < 2 or not baselines:
        raise InvalidRequest(
            f"A choice takes at least 2 folds, 1 trial, 2 judgings and 1 baseline; it was given {len(folds)}, "
            f"{trials}, {judgings} and {len(baselines)}."
        )
    ledger = _Ledger(folds, weights)
    whole = ledger.view(None)
    (base,) = yield from _in_step([_race(whole, baselines, trials)], ledger)
    offered = menu(base)
    yield from ledger.train(ledger.runs([o for o in offered if not o.synthetic], range(trials)))
    base = whole.ranked([base, *(o for o in offered if not o.synthetic)], range(trials))[0]

    options = [o for o in offered if o.synthetic]
    (best,) = yield from _in_step([_search(whole, base, options, variants, trials)], ledger)
    judged = None
    if best is not None and _lead(best, base, ledger, trials) > worth_judging:
        views = [ledger.view(number) for number in range(len(folds))]
        without = yield from _in_step(
            [_search(view, base, options, variants, trials) for view in views], ledger
        )
        if any(without):
            judged = yield from _judged(without, base, ledger, range(trials, trials + judgings // 2))
        if judged is not None and judged.gain.mean > 0:
            judged = yield from _judged(without, base, ledger, range(trials, trials + judgings))
    return Choice(
        baseline=base.name,
        candidate=None if best is None else best.name,
        accepted=judged is not None and judged.gain.mean > 0 and judged.bound > 0,
        judged=judged,
        standings=ledger.standings(whole, base, trials),
        trainings=len(ledger.known),
    )


def trainings_to_expect(*, baselines: int, longer: int, options: int, variants: int, folds: int) -> int:
    """About how many trainings `search_options` makes with its defaults if nothing ends it early.

    Args:
        baselines: what it starts from.
        longer: options of the menu without synthetic rows.
        options: options of the menu with synthetic rows.
        variants: of the best one.
        folds: parts that are held out in turn.
    """

    def race(n: int, keep: int) -> int:
        return n + -(-n // keep) * (_TRIALS - 1)

    search = race(options, _KEPT) + race(variants, _KEPT)
    made = race(baselines, _KEPT_BASELINES) + longer * _TRIALS + search
    # Searches that leave a fold out go ways of their own about half of the time.
    return folds * (made + search // 2 + 2 * _JUDGINGS)


def _lead(best: Option, base: Option, ledger: _Ledger, trials: int) -> float:
    """The gain of the best on the rows that chose it, in standard errors."""
    seeds = range(trials)
    gain, error = _gain(ledger.rows(best, seeds) - ledger.rows(base, seeds), ledger.folds, ledger.weights)
    return gain / error if error else float(np.sign(gain)) * np.inf


def _judged(
    without: Sequence[Option | None], base: Option, ledger: _Ledger, seeds: Sequence[int]
) -> Generator[list[Trial], Scores, JudgedGain]:
    """What the folds say, each of what the others chose."""
    due = [(number, option) for number, option in enumerate(without) if option is not None]
    yield from ledger.train(
        [Trial(o.name, number, seed) for number, of in due for o in (base, of) for seed in seeds]
    )
    differences = np.zeros((len(seeds), len(ledger.weights)))
    for number, option in due:
        ours, theirs = (
            np.stack([ledger.known[Trial(o.name, number, seed)] for seed in seeds]) for o in (option, base)
        )
        differences[:, ledger.folds[number]] = ours - theirs
    gain, error = _gain(differences, ledger.folds, ledger.weights)
    return JudgedGain(
        gain=ledger.interval(gain, error),
        bound=gain - _quantile(LEVEL, int(ledger.held_out.sum()) - 1) * error,
        error=error,
        without=tuple(None if option is None else option.name for option in without),
        seeds=len(seeds),
    )


_Search: TypeAlias = Generator[list[Trial], None, Option | None]


@dataclass(frozen=True)
class _View:
    """Means over some of the held-out rows."""

    ledger: _Ledger
    rows: np.ndarray

    def mean(self, option: Option, seeds: Sequence[int]) -> float:
        """The mean score over seeds; rows count as their weights say."""
        weights = np.where(self.rows, self.ledger.weights, 0)
        return float(self.ledger.rows(option, seeds).mean(axis=0) @ weights / weights.sum())

    def ranked(self, options: Iterable[Option], seeds: Sequence[int]) -> list[Option]:
        """The best first, of equals the one that came first."""
        return sorted(options, key=lambda option: -round(self.mean(option, seeds), 9))


class _Ledger:
    """Every training made so far."""

    def __init__(self, folds: Sequence[np.ndarray], weights: np.ndarray) -> None:
        self.folds = folds
        self.known: dict[Trial, np.ndarray] = {}
        self.options: dict[str, Option] = {}
        self.held_out = np.zeros(len(weights), bool)
        self.held_out[np.concatenate(folds)] = True
        self.weights = np.where(self.held_out, weights, 0) / weights[self.held_out].sum()
        if not all(map(len, folds)):
            raise InvalidRequest(
                "Every fold of a choice holds out rows; give more rows, or ask for fewer folds."
            )

    def view(self, without: int | None) -> _View:
        rows = self.held_out.copy()
        if without is not None:
            rows[self.folds[without]] = False
        return _View(self, rows)

    def train(self, runs: Iterable[Trial]) -> Generator[list[Trial], Scores, None]:
        due = [run for run in dict.fromkeys(runs) if run not in self.known]
        if not due:
            return
        found = yield due
        for run, scores in zip(due, found, strict=True):
            self.known[run] = np.asarray(scores, np.float64)

    def runs(self, options: Iterable[Option], seeds: Iterable[int]) -> list[Trial]:
        """A run of each option with each seed on every fold."""
        found, seeds = list(options), list(seeds)
        self.options.update({option.name: option for option in found})
        return [Trial(o.name, f, s) for o in found for f in range(len(self.folds)) for s in seeds]

    def rows(self, option: Option, seeds: Sequence[int]) -> np.ndarray:
        """``(seeds, N)`` scores of the option."""
        table = np.zeros((len(seeds), len(self.weights)))
        for i, seed in enumerate(seeds):
            for number, fold in enumerate(self.folds):
                table[i, fold] = self.known[Trial(option.name, number, seed)]
        return table

    def interval(self, gain: float, error: float) -> Interval:
        n = int(self.held_out.sum())
        reach = _quantile((1 + _CONFIDENCE) / 2, n - 1) * error
        return Interval(gain, gain - reach, gain + reach, n)

    def standings(self, view: _View, base: Option, trials: int) -> tuple[Standing, ...]:
        found = []
        for name, option in self.options.items():
            seeds = [s for s in range(trials) if Trial(name, 0, s) in self.known]
            gain = None
            if option != base:
                differences = self.rows(option, seeds) - self.rows(base, seeds)
                gain = self.interval(*_gain(differences, self.folds, self.weights))
            score = view.mean(option, seeds)
            found.append(Standing(name, option.synthetic, len(seeds) * len(self.folds), score, gain))
        return tuple(sorted(found, key=lambda of: (-of.trainings, -of.score)))


def _race(
    view: _View, options: Sequence[Option], trials: int, keep: int = _KEPT_BASELINES
) -> Generator[list[Trial], None, Option]:
    """The best of the options: all with one seed, then one in so many of them with the other seeds."""
    every, first = range(trials), range(1)
    yield view.ledger.runs(options, first)
    kept = view.ranked(options, first)[: -(-len(options) // keep)]
    yield view.ledger.runs(kept, every)
    return view.ranked(kept, every)[0]


def _search(view: _View, base: Option, options: Sequence[Option], variants: Menu, trials: int) -> _Search:
    """The best option with synthetic rows by the rows of a view, or None where it is not better than the baseline."""
    if not options:
        return None
    every = range(trials)
    best = yield from _race(view, options, trials, _KEPT)
    further = variants(best)
    if further:
        other = yield from _race(view, further, trials, _KEPT)
        best = view.ranked([best, other], every)[0]
    return best if view.mean(best, every) > view.mean(base, every) + 1e-9 else None


def _in_step(
    searches: Sequence[Generator[list[Trial], None, T]], ledger: _Ledger
) -> Generator[list[Trial], Scores, list[T]]:
    """The results of searches that advance rung by rung together, so that trainings of a rung run side by side."""
    found: dict[int, T] = {}
    while len(found) < len(searches):
        due: list[Trial] = []
        for i, search in enumerate(searches):
            if i not in found:
                try:
                    due += next(search)
                except StopIteration as end:
                    found[i] = end.value
        yield from ledger.train(due)
    return [found[i] for i in range(len(searches))]


def _gain(differences: np.ndarray, folds: Sequence[np.ndarray], weights: np.ndarray) -> tuple[float, float]:
    """The weighted mean of paired differences ``(seeds, N)`` and its standard error.

    Three things vary: which rows there are; how a training goes, which moves all rows of a fold together; and what was
    fitted for the fold, such as its generator, which moves them in every training. The first two show inside a fold,
    their variances are added (what rows vary by holds part of the second already, so this errs on the large side; of a
    single seed the second is not known). All three show between folds, of which there are few. The error is the larger
    of the two, as in a meta-analysis of studies that differ (DerSimonian & Laird, 1986), with folds for studies.
    """
    of_row = differences.mean(axis=0)
    gain = float(of_row @ weights)
    n = int((weights > 0).sum())
    by_rows = float(np.sum((weights * (of_row - gain)) ** 2)) * n / max(1, n - 1)
    moved = np.stack([differences[:, fold] @ weights[fold] for fold in folds])
    by_trainings = float(moved.var(axis=1, ddof=1).sum()) / len(differences) if len(differences) > 1 else 0.0
    due = gain * np.array([weights[fold].sum() for fold in folds])
    between = float(np.sum((moved.mean(axis=1) - due) ** 2)) * len(folds) / (len(folds) - 1)
    return gain, float(np.sqrt(max(by_rows + by_trainings, between)))


def _quantile(probability: float, freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf(probability, max(1, freedom)))
