"""The figures of an evaluation as rows of tables, for every kind of page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthaug.judging import power, words
from synthaug.judging.names import called, plain_name
from synthaug.judging.results import ArmResult, Comparison, Evaluation
from synthaug.metrics.statistics import Interval, wilson_interval
from synthaug.report.charts import Series, line_chart
from synthaug.wording import percent, points


@dataclass(frozen=True)
class ArmRow:
    """One arm of the comparison, as it is shown.

    Attributes:
        name, about, synthetic, role: of the arm.
        plain: its name in plain words; None where it has no other.
        score: mean and standard deviation in percent.
        difference: to the baseline, in points; None for the baseline.
        picked: whether it answers the question.
    """

    name: str
    plain: str | None
    about: str
    synthetic: bool
    role: str
    score: str
    difference: Interval | None
    picked: bool


def arm_rows(e: Evaluation) -> list[ArmRow]:
    """Every arm, losers included."""
    differences = {c.arm: c.difference for c in e.comparisons}
    return [
        ArmRow(
            arm.name,
            plain_name(arm.name),
            arm.about,
            arm.synthetic,
            words.role(e, arm),
            mean_and_spread(arm.values(e.metric)),
            differences.get(arm.name),
            arm.name == e.candidate,
        )
        for arm in e.arms
    ]


FURTHER: dict[str, Callable[[ArmResult, Comparison | None], str]] = {
    "worst class, recall in %": lambda arm, _: mean_and_spread([s.worst_recall for s in arm.test]),
    "calibration error": lambda arm, _: _mean([s.calibration_error for s in arm.test]),
    "Brier score": lambda arm, _: _mean([s.brier for s in arm.test]),
    "test of signs, p": lambda _, difference: _mean([None if difference is None else difference.p_value]),
}
"""What is told of each arm beside its place in the comparison: a title, and what is in the column."""


def further_rows(e: Evaluation) -> list[tuple[str, ...]]:
    """For each arm its name and what `FURTHER` says of it."""
    differences = {c.arm: c for c in e.comparisons}
    return [
        (called(arm.name), *(told(arm, differences.get(arm.name)) for told in FURTHER.values()))
        for arm in e.arms
    ]


def recall_rows(e: Evaluation) -> list[dict[str, Any]]:
    """Mean recall without and with synthetic rows for every class with test rows, the largest gain first.

    Where seeds are too few to tell how classes differ, in the order of the classes and without differences.
    """
    rows, told = [], power.tells_of_classes(e)
    for label, name in enumerate(e.classes):
        before = [s.recall[label] for s in e.arm(e.baseline).test]
        after = [s.recall[label] for s in e.arm(e.candidate).test]
        known_before = [r for r in before if r is not None]
        known_after = [r for r in after if r is not None]
        if known_before:
            gain = e.paired(known_after, known_before)
            rows.append(
                {
                    "name": name,
                    "before": float(np.mean(known_before)),
                    "after": float(np.mean(known_after)),
                    "without": _recall(float(np.mean(known_before)), e.rows["test"][name]),
                    "with": _recall(float(np.mean(known_after)), e.rows["test"][name]),
                    "gain": gain.mean,
                    "points": points(gain.mean) if told else "",
                    "interval": words.interval(gain) if told else "",
                }
            )
    return sorted(rows, key=lambda row: -row["gain"]) if told else rows


_MOST_MISTAKEN, _MOST_PICTURED = 10, 12


def mistaken_rows(e: Evaluation) -> list[tuple[str, str, str, str]]:
    """What is most often taken for what: a class, the other, and the percent of its test rows without and with."""
    arms = [_mistaken(e, name) for name in (e.baseline, e.candidate)]
    shares = {pair: [arm.get(pair, 0.0) for arm in arms] for pair in dict.fromkeys([*arms[0], *arms[1]])}
    worst = sorted(shares, key=lambda pair: -sum(shares[pair]))[:_MOST_MISTAKEN]
    return [
        (of, other, f"{100 * shares[of, other][0]:.1f}", f"{100 * shares[of, other][1]:.1f}")
        for of, other in worst
    ]


def _mistaken(e: Evaluation, name: str) -> dict[tuple[str, str], float]:
    """Shares of the test rows of a class, over all seeds, that an arm takes for another class."""
    arm = e.arm(name)
    return {
        (of, other): n / (e.rows["test"][of] * len(arm.test))
        for of, taken in arm.mistaken.items()
        for other, n in taken.items()
    }


def confusions(e: Evaluation) -> list[dict[str, Any]]:
    """A square for the baseline and for the candidate, a row a class and a column for what it was taken for.

    Cells have the percent of a class's test rows, and how dark they are, in percent. None of many classes, and none
    where nothing was mistaken.
    """
    mistaken = {name: _mistaken(e, name) for name in (e.baseline, e.candidate)}
    most = max((share for of in mistaken.values() for share in of.values()), default=0.0)
    if len(e.classes) > _MOST_PICTURED or not most:
        return []
    return [{"name": called(name), "rows": _square(e, of, most)} for name, of in mistaken.items()]


def _square(e: Evaluation, mistaken: dict[tuple[str, str], float], most: float) -> list[dict[str, Any]]:
    rows = []
    for true in e.classes:
        there = e.rows["test"].get(true, 0) > 0
        right = 1 - sum(share for (of, _), share in mistaken.items() if of == true)
        shares = [right if other == true else mistaken.get((true, other), 0.0) for other in e.classes]
        cells = [
            {
                "right": other == true,
                "told": f"{100 * share:.0f}" if there and share >= 0.005 else "",
                "dark": f"{60 * (share if other == true else share / most):.0f}" if there else "0",
            }
            for other, share in zip(e.classes, shares, strict=True)
        ]
        rows.append({"name": true, "cells": cells})
    return rows


def option_rows(e: Evaluation) -> list[tuple[str, str, str, str, str]]:
    """Every option of the choice: its name, points over the chosen baseline on held-out rows, how sure, trainings."""
    rows = []
    for of in () if e.plan is None else e.plan.choice.standings:
        shown = ("0", "") if of.gain is None else (points(of.gain.mean), words.interval(of.gain))
        rows.append((called(of.name), *shown, f"{100 * of.sure:.1f} %", str(of.trainings)))
    return rows


def share_chart(e: Evaluation) -> str | None:
    """A chart of the gain over the share of synthetic rows, all else as in the candidate; None without a choice."""
    if e.plan is None:
        return None
    gains = {of.name: of.gain for of in e.plan.choice.standings}
    found = [(share, gains.get(name)) for name, share in e.plan.shares.items()]
    known = sorted(((share, gain) for share, gain in found if gain is not None), key=lambda point: point[0])
    line = [(0.0, Interval(0.0, 0.0, 0.0, 0)), *known]
    ticks = [(share, percent(share)) for share, _ in line]
    return line_chart(
        [Series("gain", line)], ticks, x_label="share of synthetic rows in a batch", y_label="points gained"
    )


def fidelity_rows(e: Evaluation) -> list[tuple[str, str, str]]:
    """Name, value and meaning of each measure."""
    if e.fidelity is None:
        return []
    return [
        (title, ratio(getattr(e.fidelity, name)), meaning)
        for name, (title, meaning) in words.FIDELITY.items()
    ]


def filter_rows(e: Evaluation) -> list[tuple[str, str, str]]:
    """Each filter of curation: what it finds, which share, and diversity before and after."""
    if e.judged is None:
        return []
    rows = []
    for of in e.judged.filters:
        share = sum(of.dropped.values()) / e.judged.samples
        change = f"{ratio(of.diversity_before)} → {ratio(of.diversity_after)}"
        rows.append((words.REASONS[of.name].capitalize(), f"{share * 100:.1f} %", change))
    return rows


def reproduction_rows(e: Evaluation) -> list[tuple[str, str]]:
    """What was asked for, what it was asked of, and what it ran on."""
    apart = ("arms_left_out", "again")
    asked = {k: v for k, v in vars(e.setup).items() if k not in apart and v is not None}
    asked["arms left out"] = "; ".join(e.setup.arms_left_out) or "none"
    if e.generator is not None:
        of = e.generator
        asked |= {"family": of.family, "fingerprint": of.fingerprint, "form of a row": of.rows}
        asked |= {"generator steps": f"{of.steps:,}", "generator seconds": f"{of.seconds:,.0f}"}
    rows = [(f"{name} rows", f"{sum(counts.values()):,}") for name, counts in e.rows.items()]
    spent = [(f"seconds, {name}", f"{seconds:,.0f}") for name, seconds in e.seconds.items()]
    seeds = [("classifier seeds", ", ".join(map(str, e.seeds)))]
    told = [(name.replace("_", " "), str(value)) for name, value in asked.items()]
    return [*told, *seeds, *rows, *spent, *e.environment.items()]


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and standard deviation in percent."""
    return f"{np.mean(values) * 100:.1f} ± {np.std(values, ddof=1) * 100:.1f}"


def _mean(values: Sequence[float | None]) -> str:
    """The mean of those that are known."""
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.3f}" if known else "–"


def ratio(value: float | None) -> str:
    """A measure relative to real rows."""
    return "not measurable" if value is None else f"{value:.2f}"


def _recall(share: float, rows: int) -> str:
    """A recall in percent, with the interval that so many test rows leave."""
    found = wilson_interval(round(share * rows), rows)
    return f"{share * 100:.1f} ({found.low * 100:.0f}–{found.high * 100:.0f})"
