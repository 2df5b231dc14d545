"""What a search asks for and is told, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from synthaug.metrics.statistics import Interval

LEVEL = 0.9
"""One-sided confidence that classifiers are surer of the right label, once by rows and trainings and once by folds.
Three of these tell little of how generators differ: where these are alike in expectation and differ by a point, and
nothing is gained, 2 to 6 of 100 choices take it for a gain by 200 to 500 rows and 16 by 3,000 (simulated; of what
was foretold alone 2 to 3 and 6). What is taken then gains nothing, and costs nothing."""


# Standard errors that more rows have to be recognised by as well: a training can be surer of the right labels without
# getting more of them right.
_ALSO_RIGHT = 0.5


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
        candidate: what was foretold to be the best, where it is sure, or else the best option with synthetic rows; None
            where none was better than the baseline.
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
    def easy(self) -> bool:
        """Whether all rows were recognised at once, so that nothing else was tried."""
        return len(self.standings) == 1 and self.standings[0].score > 1 - 1e-9

    @property
    def option(self) -> str:
        """The name of the option to use."""
        return self.candidate if self.accepted and self.candidate is not None else self.baseline
