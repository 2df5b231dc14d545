"""The choice among options by cross-validation, in which no fold judges what it has chosen.

Nothing here knows what an option is or how it is trained: options have names, and whoever drives the search scores
held-out rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

import numpy as np

from synthaug.errors import InvalidRequest
from synthaug.metrics.statistics import Interval

T = TypeVar("T")

LEVEL = 0.9
"""One-sided confidence that classifiers are surer of the right label, once by rows and trainings and once by folds.
Three of these tell little of how generators differ: where these are alike in expectation and differ by a point, and
nothing is gained, 2 to 6 of 100 choices take it for a gain by 200 to 500 rows and 16 by 3,000 (simulated). What is
taken then gains nothing, and costs nothing."""

_TRIALS, _SEEDS = 2, 4
# How many go on from the first seed to the others, the best one among them.
_KEPT = 2

# Standard errors by which one that is behind is out of the race.
_BEHIND = 2.0
# And how far behind it has to be on one fold alone, where nothing tells how much of that is luck of one training.
_FAR_BEHIND = 0.03

# Standard errors that a candidate is better by on the rows that chose it, or it is refused without being judged: choice
# was kind to it, judges would not be.
_WORTH_JUDGING = 0.5

# Standard errors that more rows have to be recognised by as well: a training can be surer of the right labels without
# getting more of them right.
_ALSO_RIGHT = 0.5

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Option:
    """Something to train with.

    Attributes:
        name: unique among the options.
        synthetic: whether it has synthetic rows; one without is a baseline.
        foretold: whether it is expected to be the best of those with synthetic rows, before any row was looked at.
    """

    name: str
    synthetic: bool = False
    foretold: bool = False


@dataclass(frozen=True)
class Trial:
    """One training: an option, the fold that is held out, and a seed."""

    option: str
    fold: int
    seed: int


@dataclass(frozen=True, eq=False)
class Scored:
    """What a training makes of the rows held out, in the order of the fold's row numbers.

    Attributes:
        correct: ``(n,)`` 1 where the label was recognised, else 0: what gains are told in.
        sure: ``(n,)`` in [0, 1], how sure it is of the true label: what is chosen and judged by, as it tells options
            apart with fewer trainings than right or wrong. The same as ``correct`` where nothing else is known.
    """

    correct: np.ndarray
    sure: np.ndarray


Scores: TypeAlias = Sequence[Scored]
"""For each trial what it made of the rows of its fold."""

Score: TypeAlias = Callable[[Sequence[Trial]], Iterable[Scored]]
"""What gives the scores of some trials."""

Menu: TypeAlias = Callable[[Option], Sequence[Option]]
"""What is tried next, from what was best so far."""


@dataclass(frozen=True)
class Standing:
    """How far an option got.

    Attributes:
        name: the option.
        synthetic: whether it has synthetic rows.
        trainings: how many there were to choose by; one where it ended on the first fold.
        score: the share of held-out rows that were recognised, the mean over them; where it ended on the first fold,
            the baseline's and what is gained over it there.
        sure: how sure they were of the true label, likewise: what options are ranked by.
        gain: of the score over the baseline's, with the same seeds, with a two-sided interval; None for the baseline.
            What chose the best of many is too kind to it: `Choice.judged` is what others say.
    """

    name: str
    synthetic: bool
    trainings: int
    score: float
    sure: float
    gain: Interval | None = None


@dataclass(frozen=True)
class JudgedGain:
    """What choosing in some way gains, on folds that had not chosen.

    Attributes:
        gain: in rows that are recognised, with a two-sided interval.
        sure: gain in how sure classifiers are of the true label, with a two-sided interval.
        error: standard error of the former.
        bound: what the latter is above with a one-sided confidence of `LEVEL`; it decides.
        without: for each fold, what the other folds chose; None where they chose no synthetic rows.
        seeds: classifier seeds that judged.
        foretold: whether nothing was chosen: it was to be judged before any row was looked at.
    """

    gain: Interval
    sure: Interval
    error: float
    bound: float
    without: tuple[str | None, ...]
    seeds: int
    foretold: bool = False

    @property
    def convincing(self) -> bool:
        """Whether it is more than chance, and not merely surer: more rows are recognised as well."""
        return self.bound > 0 and self.gain.mean > max(0.0, _ALSO_RIGHT * self.error)


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
    seeds: int = _SEEDS,
    worth_judging: float = _WORTH_JUDGING,
) -> Search:
    """The best option, and whether its gain over the best baseline is more than chance.

    Baselines are trained with one seed, on the first fold and, but for those that are clearly behind there, on the
    others; the best, and who is not clearly behind it, with all seeds. The best is trained longer: the better of these
    is the baseline. Then come the options with synthetic rows that the menu gives for it and the variants of the best
    of them, with one seed, and the best of all with the others. One that was foretold to be the best needs no choice:
    its gain over the baseline is judged by all rows, and where it is sure, or it is the best of all and is not, that
    is all. Else the best by all held-out rows is the candidate, which is refused here where it is hardly better than
    the baseline. Else the same search is made, with one seed, once for each fold by the rows of the others, and what
    they choose is judged by the fold that was left out: neither its rows nor what was fitted for it, such as a
    generator, has chosen. The mean over all rows is the gain of choosing in this way, where a fold whose others choose
    no synthetic rows counts as 0. The candidate is accepted if that gain is above 0 by more than its standard error
    times the one-sided quantile of Student's t, and more rows are recognised. More seeds judge only where the first
    leave it open.

    Args:
        baselines: options without synthetic rows, the simplest first: the first of equals is taken. The very first is
            trained on every fold whatever it does: what is gained over it will be asked.
        menu: the best baseline to the options to try on top of it; those that are not synthetic, such as longer
            training of it, are baselines as well.
        variants: the best option to variations of it; none for no further rung.
        folds: row numbers held out in each fold, at least two folds; every row in at most one, rows that belong
            together in one.
        weights: ``(N,)`` how much each row counts: equal for accuracy, one over its class's rows for balanced
            accuracy. Rows held out in no fold are ignored.
        trials: seeds that options are chosen by, and judged by at first.
        seeds: that a choice is judged by at most.
        worth_judging: standard errors that a candidate is better by on the rows that chose it, or it is refused.

    Raises:
        InvalidRequest: too few folds or seeds, or a fold without rows.
    """
    if len(folds) < 2 or trials < 1 or seeds < max(2, trials) or not baselines:
        raise InvalidRequest(
            f"A choice takes at least 2 folds, 1 trial, 2 seeds and 1 baseline, and no more trials than seeds; it was "
            f"given {len(folds)}, {trials}, {seeds} and {len(baselines)}."
        )
    ledger = _Ledger(folds, weights)
    whole = ledger.view(None)
    (base,) = yield from _in_step([_start(ledger, baselines, trials)], ledger)
    offered = menu(base)
    longer = [option for option in offered if not option.synthetic]
    (base,) = yield from _in_step([_race(whole, [base, *longer], trials)], ledger)

    options = [o for o in offered if o.synthetic]
    (best,) = yield from _in_step([_search(whole, base, options, variants, trials)], ledger)
    foretold = yield from _foretold(options, base, ledger, trials, seeds)
    named = None if foretold is None else foretold.without[0]
    if foretold is not None and (foretold.convincing or (best is not None and best.name == named)):
        return ledger.choice(base, named, foretold, trials)
    judged = None
    if best is not None and whole.lead(best, base, range(trials)) > worth_judging:
        views = [ledger.view(number) for number in range(len(folds))]
        without = yield from _in_step([_search(view, base, options, variants, 1) for view in views], ledger)
        if any(without):
            judged = yield from _judged_until_clear(without, base, ledger, trials, seeds)
    return ledger.choice(base, None if best is None else best.name, judged, trials)


def trainings_to_expect(*, baselines: int, longer: int, options: int, variants: int, folds: int) -> int:
    """About how many trainings `search_options` makes with its defaults.

    Args:
        baselines: what it starts from.
        longer: options of the menu without synthetic rows.
        options: options of the menu with synthetic rows.
        variants: of the best one.
        folds: parts that are held out in turn.
    """

    def race(n: int) -> int:
        return n + min(n, _KEPT) * (_TRIALS - 1)

    # Searches that leave a fold out go ways of their own now and then.
    return folds * (race(baselines) + longer + race(options) + variants + (options > 0))


def _foretold(
    options: Sequence[Option], base: Option, ledger: _Ledger, trials: int, seeds: int
) -> Generator[list[Trial], Scores, JudgedGain | None]:
    """What all folds say of the option that was foretold to be the best; None where none was, or it is clearly not."""
    for option in options:
        if option.foretold and ledger.view(None).lead(option, base, range(1)) > -_BEHIND:
            yield from ledger.train(ledger.runs([option], range(trials)))
            found = yield from _judged_until_clear([option] * len(ledger.folds), base, ledger, trials, seeds)
            return replace(found, foretold=True)
    return None


def _judged_until_clear(
    without: Sequence[Option | None], base: Option, ledger: _Ledger, trials: int, seeds: int
) -> Generator[list[Trial], Scores, JudgedGain]:
    """What the folds say with the first seeds, and where that leaves it open with all."""
    found = yield from _judged(without, base, ledger, range(trials))
    if found.sure.mean > 0 and not found.convincing:
        found = yield from _judged(without, base, ledger, range(seeds))
    return found


def _judged(
    without: Sequence[Option | None], base: Option, ledger: _Ledger, seeds: Sequence[int]
) -> Generator[list[Trial], Scores, JudgedGain]:
    """What the folds say, each of what the others chose."""
    due = [(number, option) for number, option in enumerate(without) if option is not None]
    yield from ledger.train(
        [Trial(o.name, number, seed) for number, of in due for o in (base, of) for seed in seeds]
    )
    gains = {}
    for of in ("correct", "sure"):
        differences = np.zeros((len(seeds), len(ledger.weights)))
        for number, option in due:
            ours, theirs = (ledger.fold(o, number, seeds, of) for o in (option, base))
            differences[:, ledger.folds[number]] = ours - theirs
        gains[of] = _gain(differences, ledger.folds, ledger.weights)
    return JudgedGain(
        gain=gains["correct"].interval,
        sure=gains["sure"].interval,
        error=gains["correct"].error,
        bound=gains["sure"].bound,
        without=tuple(None if option is None else option.name for option in without),
        seeds=len(seeds),
    )


_Search: TypeAlias = Generator[list[Trial], None, Option | None]


@dataclass(frozen=True)
class _View:
    """Means over the rows held out in some folds, of how sure trainings are of the true label."""

    ledger: _Ledger
    folds: Sequence[int]

    @property
    def weights(self) -> np.ndarray:
        """``(N,)`` how much each row counts; they sum to 1."""
        weights = np.where(self.ledger.among(self.folds), self.ledger.weights, 0)
        return np.asarray(weights / weights.sum())

    def mean(self, option: Option, seeds: Sequence[int]) -> float:
        """The mean over seeds; rows count as their weights say."""
        return float(self.ledger.rows(option, seeds, folds=self.folds).mean(axis=0) @ self.weights)

    def lead(self, option: Option, other: Option, seeds: Sequence[int]) -> float:
        """How much better one option is than another, in standard errors."""
        ours, theirs = (self.ledger.rows(each, seeds, folds=self.folds) for each in (option, other))
        gain = _gain(ours - theirs, [self.ledger.folds[number] for number in self.folds], self.weights)
        if not gain.error:
            return 0.0 if gain.mean == 0 else float(np.copysign(np.inf, gain.mean))
        return gain.mean / gain.error

    def ranked(self, options: Iterable[Option], seeds: Sequence[int]) -> list[Option]:
        """The best first, of equals the one that came first."""
        return sorted(options, key=lambda option: -round(self.mean(option, seeds), 9))

    def kept(self, options: Iterable[Option], seeds: Sequence[int], margin: float = 0.0) -> list[Option]:
        """The best, and others that are not clearly behind it, by more than a margin too; the best first."""
        best, *others = self.ranked(options, seeds)
        least = self.mean(best, seeds) - margin
        return [
            best,
            *(o for o in others if self.mean(o, seeds) > least or self.lead(o, best, seeds) > -_BEHIND),
        ]


class _Ledger:
    """Every training made so far."""

    def __init__(self, folds: Sequence[np.ndarray], weights: np.ndarray) -> None:
        self.folds = folds
        self.known: dict[Trial, Scored] = {}
        self.options: dict[str, Option] = {}
        held_out = np.zeros(len(weights), bool)
        held_out[np.concatenate(folds)] = True
        self.weights = np.where(held_out, weights, 0) / weights[held_out].sum()
        if not all(map(len, folds)):
            raise InvalidRequest(
                "Every fold of a choice holds out rows; give more rows, or ask for fewer folds."
            )

    def view(self, without: int | None) -> _View:
        """All folds but one, or all."""
        return _View(self, [number for number in range(len(self.folds)) if number != without])

    def train(self, runs: Iterable[Trial]) -> Generator[list[Trial], Scores, None]:
        due = [run for run in dict.fromkeys(runs) if run not in self.known]
        if not due:
            return
        found = yield due
        self.known.update(zip(due, found, strict=True))

    def runs(self, options: Iterable[Option], seeds: Iterable[int]) -> list[Trial]:
        """A run of each option with each seed on every fold."""
        found, seeds = list(options), list(seeds)
        self.options.update({option.name: option for option in found})
        return [Trial(o.name, f, s) for o in found for f in range(len(self.folds)) for s in seeds]

    def fold(self, option: Option, number: int, seeds: Sequence[int], of: str) -> np.ndarray:
        """``(seeds, n)`` what the option's trainings make of the rows of a fold."""
        return np.stack([getattr(self.known[Trial(option.name, number, seed)], of) for seed in seeds]) * 1.0

    def rows(
        self, option: Option, seeds: Sequence[int], of: str = "sure", folds: Iterable[int] | None = None
    ) -> np.ndarray:
        """``(seeds, N)`` the same of all rows, or of those of some folds and 0 elsewhere."""
        table = np.zeros((len(seeds), len(self.weights)))
        for number in range(len(self.folds)) if folds is None else folds:
            table[:, self.folds[number]] = self.fold(option, number, seeds, of)
        return table

    def among(self, folds: Iterable[int]) -> np.ndarray:
        """``(N,)`` whether a row is held out in one of these folds."""
        rows = np.zeros(len(self.weights), bool)
        rows[np.concatenate([self.folds[number] for number in folds])] = True
        return rows

    def choice(self, base: Option, candidate: str | None, judged: JudgedGain | None, trials: int) -> Choice:
        """What the search came to."""
        return Choice(
            baseline=base.name,
            candidate=candidate,
            accepted=judged is not None and judged.convincing,
            judged=judged,
            standings=self.standings(base, trials),
            trainings=len(self.known),
        )

    def standings(self, base: Option, trials: int) -> tuple[Standing, ...]:
        """How far each option got."""
        found = []
        for name, option in self.options.items():
            folds = [f for f in range(len(self.folds)) if Trial(name, f, 0) in self.known]
            seeds = [s for s in range(trials) if all(Trial(name, f, s) in self.known for f in folds)]
            gains = {}
            for of in ("correct", "sure"):
                ours, theirs = (self.rows(o, seeds, of, folds) for o in (option, base))
                weights = np.where(self.among(folds), self.weights, 0)
                gains[of] = _gain(ours - theirs, [self.folds[f] for f in folds], weights / weights.sum())
            means = [
                gains[of].mean + float(self.rows(base, seeds, of).mean(axis=0) @ self.weights) for of in gains
            ]
            gain = None if option == base else gains["correct"].interval
            found.append(Standing(name, option.synthetic, len(seeds) * len(folds), means[0], means[1], gain))
        return tuple(sorted(found, key=lambda of: (-of.trainings, -of.sure)))


def _start(ledger: _Ledger, baselines: Sequence[Option], trials: int) -> Generator[list[Trial], None, Option]:
    """The best of the baselines; those that are clearly behind on the first fold end there, but for the very first."""
    one, first = _View(ledger, [0]), range(1)
    yield [trial for trial in ledger.runs(baselines, first) if trial.fold == 0]
    kept = one.kept(baselines, first, _FAR_BEHIND)
    yield ledger.runs([option for option in baselines if option in kept or option == baselines[0]], first)
    return (yield from _race(ledger.view(None), [o for o in baselines if o in kept], trials))


def _race(view: _View, options: Sequence[Option], trials: int) -> Generator[list[Trial], None, Option]:
    """The best of the options: all with one seed, then those that are not clearly behind with the other seeds."""
    every, first = range(trials), range(1)
    yield view.ledger.runs(options, first)
    kept = view.kept(options, first)[:_KEPT]
    yield view.ledger.runs(kept, every)
    return view.ranked(kept, every)[0]


def _search(view: _View, base: Option, options: Sequence[Option], variants: Menu, trials: int) -> _Search:
    """The best option with synthetic rows by the rows of a view, or None where it is not better than the baseline.

    Where all are clearly behind the baseline with one seed, it ends there.
    """
    if not options:
        return None
    first = range(1)
    yield view.ledger.runs(options, first)
    best = view.ranked(options, first)[0]
    if view.lead(best, base, first) < -_BEHIND:
        return None
    best = yield from _race(view, [*options, *variants(best)], trials)
    every = range(trials)
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


@dataclass(frozen=True)
class _Gain:
    """A weighted mean of paired differences, and how far it may be off by chance.

    Attributes:
        mean: the mean.
        within: its standard error by rows and trainings, as it shows inside folds.
        between: the same as it shows between folds, which holds what was fitted for each of them, such as a generator.
        rows, folds: how many there are.
        freedom: degrees of freedom of ``within``.
    """

    mean: float
    within: float
    between: float
    rows: int
    folds: int
    freedom: float

    @property
    def error(self) -> float:
        """The larger of both, as in a meta-analysis of studies that differ (DerSimonian & Laird, 1986)."""
        return max(self.within, self.between)

    @property
    def interval(self) -> Interval:
        """Two-sided."""
        reach = _quantile((1 + _CONFIDENCE) / 2, self.freedom) * self.error
        return Interval(self.mean, self.mean - reach, self.mean + reach, self.rows)

    @property
    def bound(self) -> float:
        """What it is above with a confidence of `LEVEL`; few folds tell little of how they differ, and ask for more."""
        reaches = (
            _quantile(LEVEL, self.freedom) * self.within,
            _quantile(LEVEL, self.folds - 1) * self.between,
        )
        return self.mean - max(reaches)


def _gain(differences: np.ndarray, folds: Sequence[np.ndarray], weights: np.ndarray) -> _Gain:
    """The weighted mean of paired differences ``(seeds, N)`` and its standard errors.

    Three things vary: which rows there are; how a training goes, which moves all rows of a fold together; and what was
    fitted for the fold, such as its generator, which moves them in every training. The first two show inside a fold,
    their variances are added (what rows vary by holds part of the second already, so this errs on the large side; of a
    single seed the second is not known). All three show between folds, of which there are few.
    """
    of_row = differences.mean(axis=0)
    gain = float(of_row @ weights)
    n = int((weights > 0).sum())
    by_rows = float(np.sum((weights * (of_row - gain)) ** 2)) * n / max(1, n - 1)
    moved = np.stack([differences[:, fold] @ weights[fold] for fold in folds])
    by_trainings = float(moved.var(axis=1, ddof=1).sum()) / len(differences) if len(differences) > 1 else 0.0
    due = gain * np.array([weights[fold].sum() for fold in folds])
    between = float(np.sum((moved.mean(axis=1) - due) ** 2)) * len(folds) / max(1, len(folds) - 1)
    within = float(np.sqrt(by_rows + by_trainings))
    return _Gain(gain, within, float(np.sqrt(between)), n, len(folds), _freedom(weights))


def _freedom(weights: np.ndarray) -> float:
    """Degrees of freedom of a mean with these weights: where a few rows of rare classes decide, little more than these.

    Satterthwaite, "An approximate distribution of estimates of variance components", 1946, with rows of one weight as
    a stratum and as much variance in each row.
    """
    sizes, counts = np.unique(weights[weights > 0].round(12), return_counts=True)
    parts = counts * sizes**2
    return float(parts.sum() ** 2 / (parts**2 / np.maximum(1, counts - 1)).sum())


def _quantile(probability: float, freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf(probability, max(1, freedom)))
