"""What a run could have seen, and what its seeds are too few for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.judging.arms import AS_THEY_ARE
from synthaug.metrics.statistics import SIGN_FLIPS_FROM, detectable_gain, differences_needed

if TYPE_CHECKING:
    from synthaug.judging.results import Evaluation

TOO_SMALL = "too small to tell"
"""What is said in place of "no evidence" where a gain that matters may well have gone unseen."""

_MATTERS = 0.01  # a gain that a person may care for
_NOTHING = 1e-6  # what is left of differences that are alike
_CLASSES_FROM = 3  # with two seeds an interval is some ten times as wide as the two differ


def too_small(e: Evaluation, arm: str | None = None) -> bool:
    """Whether nothing was found of an arm, the candidate when None, where a gain of a point could not have been."""
    name = arm or e.candidate
    verdict = next(c.verdict for c in e.comparisons if c.arm == name)
    return verdict == "no evidence" and not nothing_to_gain(e) and _is_blunt(_visible(e, name))


def nothing_to_gain(e: Evaluation) -> bool:
    """Whether training on the rows as they are recognises every test row with every seed."""
    return any(arm.name == AS_THEY_ARE and min(arm.values(e.metric)) == 1 for arm in e.arms)


def seen(e: Evaluation) -> str:
    """What a run like this one could have seen, and what it takes to see a point; empty where nothing is too small."""
    differences, gain = e.differences(e.candidate), _visible(e, e.candidate)
    if round(100 * gain, 1) == 0:
        return ""
    if detectable_gain(differences) < _NOTHING:
        row = f"one of {sum(e.rows['test'].values()):,} test rows is at least {100 * gain:.1f} points"
        return f"All trainings differ alike, and {row}: less cannot be seen."
    n, unit = len(differences), _units(e)
    so_much = f"a gain of {100 * gain:.1f} points or more, in {_often(n)} such runs"
    could = (
        f"With {n} {unit}, and scores that vary as these, this run could have seen "
        f"{so_much if gain < 1 else 'no gain, however large'}"
    )
    if not _is_blunt(gain):
        return f"{could}."
    least, most = differences_needed(differences, _MATTERS)
    if least is None:
        return f"{could}; for one of 1 point take more than 1,000 {unit}."
    more = "more than 1,000" if most is None else f"{most:,}"
    return f"{could}; for one of 1 point take {least:,} to {more} {unit}, as far as {n} can tell."


def _units(e: Evaluation) -> str:
    """What is repeated."""
    return "seeds" if e.replicates == 1 else "generators"


def _visible(e: Evaluation, name: str) -> float:
    """The gain of an arm that could have been seen; one test row where all trainings differ alike."""
    gain = detectable_gain(e.differences(name))
    return gain if gain >= _NOTHING else _one_row(e)


def _one_row(e: Evaluation) -> float:
    """What one test row is worth; where classes count alike, one of the class with most of them."""
    counts = [n for n in e.rows["test"].values() if n]
    return 1 / sum(counts) if e.metric == "accuracy" else 1 / (len(counts) * max(counts))


def _is_blunt(gain: float) -> bool:
    """Whether a run that can see so much, told to a tenth of a point, misses what matters."""
    return round(gain, 3) > _MATTERS


def _often(n: int) -> str:
    """How often `detectable_gain` of so many differences is found, the test of signs included, by simulation."""
    return "three of five" if n == SIGN_FLIPS_FROM else "four of five"


def tells_of_classes(e: Evaluation) -> bool:
    """Whether there are enough seeds to say how single classes differ."""
    return e.headline.difference.n >= _CLASSES_FROM


def about_classes(e: Evaluation) -> str:
    """What differences of single classes are worth."""
    n = e.headline.difference.n
    if not tells_of_classes(e):
        return (
            f"{n} {_units(e)} cannot tell how single classes differ: {_CLASSES_FROM} are needed, better 10."
        )
    return "With many classes, some differences are large by chance."
