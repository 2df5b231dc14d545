"""All trainings that a search has made, and what they say: means, leads and gains with their errors."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from synthaug.errors import InvalidRequest
from synthaug.judging.trials import LEVEL, Choice, JudgedGain, Option, Scored, Scores, Standing, Trial
from synthaug.metrics.statistics import Interval

BEHIND = 2.0
"""Standard errors by which one that is behind is out of the race."""

_CONFIDENCE = 0.95

# By how much, as a standard deviation, generators that were trained alike are expected to differ in what their samples
# are worth; and the degrees of freedom that this counts for.
_LUCK, _EXPECTED = 0.01, 4


@dataclass(frozen=True)
class View:
    """Means over the rows held out in some folds, of how sure trainings are of the true label."""

    ledger: Ledger
    folds: Sequence[int]

    @property
    def weights(self) -> np.ndarray:
        """``(N,)`` how much each row counts; they sum to 1."""
        weights = np.where(self.ledger.among(self.folds), self.ledger.weights, 0)
        return np.asarray(weights / weights.sum())

    def mean(self, option: Option, seeds: Sequence[int]) -> float:
        """The mean over seeds; rows count as their weights say."""
        return float(self.ledger.rows(option, seeds, folds=self.folds).mean(axis=0) @ self.weights)

    def recognised(self, option: Option, seeds: Sequence[int]) -> float:
        """The share of rows that are recognised, the mean over seeds; rows count as their weights say."""
        rows = self.ledger.rows(option, seeds, "correct", self.folds)
        return float(rows.mean(axis=0) @ self.weights)

    def lead(self, option: Option, other: Option, seeds: Sequence[int]) -> float:
        """How much better one option is than another, in standard errors."""
        ours, theirs = (self.ledger.rows(each, seeds, folds=self.folds) for each in (option, other))
        gain = gain_of(ours - theirs, [self.ledger.folds[number] for number in self.folds], self.weights)
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
            *(o for o in others if self.mean(o, seeds) > least or self.lead(o, best, seeds) > -BEHIND),
        ]


class Ledger:
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

    def view(self, without: int | None) -> View:
        """All folds but one, or all."""
        return View(self, [number for number in range(len(self.folds)) if number != without])

    def train(self, runs: Iterable[Trial]) -> Generator[list[Trial], Scores, None]:
        """Asks for those that are not known yet, and is sent what they made of their rows."""
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
                gains[of] = gain_of(ours - theirs, [self.folds[f] for f in folds], weights / weights.sum())
            means = [
                gains[of].mean + float(self.rows(base, seeds, of).mean(axis=0) @ self.weights) for of in gains
            ]
            gain = None if option == base else gains["correct"].interval
            found.append(Standing(name, option.synthetic, len(seeds) * len(folds), means[0], means[1], gain))
        return tuple(sorted(found, key=lambda of: (-of.trainings, -of.sure)))


@dataclass(frozen=True)
class Gain:
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

    @property
    def moderated(self) -> float:
        """The same where nothing was chosen, so that folds differ by rows, trainings and the luck of what was fitted.

        How much that is shows in few folds badly, and is known from elsewhere: their variance is drawn towards what is
        expected of it, which counts as much as five folds (the moderated t of Smyth, "Linear models and empirical Bayes
        methods for assessing differential expression", 2004).
        """
        expected, freedom = self.within**2 + _LUCK**2 / self.folds, self.folds - 1
        variance = (_EXPECTED * expected + freedom * self.between**2) / (_EXPECTED + freedom)
        reach = _quantile(LEVEL, _EXPECTED + freedom) * float(np.sqrt(variance))
        return self.mean - max(reach, _quantile(LEVEL, self.freedom) * self.within)


def gain_of(differences: np.ndarray, folds: Sequence[np.ndarray], weights: np.ndarray) -> Gain:
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
    return Gain(gain, within, float(np.sqrt(between)), n, len(folds), _freedom(weights))


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
