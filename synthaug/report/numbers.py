"""The numbers of an evaluation as CSV, to be downloaded from the page itself."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from synthaug.judging.results import Evaluation


def score_lines(e: Evaluation) -> list[tuple[Any, ...]]:
    """A heading, then a line for every arm and seed: its scores on the test rows."""
    names = ("accuracy", "balanced_accuracy", "worst_recall", "calibration_error", "brier")
    lines: list[tuple[Any, ...]] = [("arm", "seed", "generator", *names, "steps", "seconds")]
    for arm in e.arms:
        for i, (seed, scores) in enumerate(zip(e.seeds, arm.test, strict=True)):
            told = (getattr(scores, name) for name in names)
            lines.append((arm.name, seed, i % e.replicates, *told, arm.steps, arm.seconds[i]))
    return lines


def class_lines(e: Evaluation) -> list[tuple[Any, ...]]:
    """A heading, then a line for every arm and class with test rows: how many there are, and the mean recall."""
    lines: list[tuple[Any, ...]] = [("arm", "class", "test_rows", "mean_recall")]
    for arm in e.arms:
        for label, name in enumerate(e.classes):
            known = [r for s in arm.test if (r := s.recall[label]) is not None]
            if known:
                lines.append((arm.name, name, e.rows["test"][name], sum(known) / len(known)))
    return lines


def mistake_lines(e: Evaluation) -> list[tuple[Any, ...]]:
    """A heading, then a line for every arm, class and other class that rows of it were taken for: how often in all."""
    lines: list[tuple[Any, ...]] = [("arm", "class", "taken_for", "times", "of_predictions")]
    for arm in e.arms:
        for name, others in arm.mistaken.items():
            of = e.rows["test"][name] * len(arm.test)
            lines += [(arm.name, name, other, n, of) for other, n in others.items()]
    return lines


def downloads(e: Evaluation) -> list[dict[str, str]]:
    """What can be downloaded: the name of each file, what is in it, and its address, which holds it all."""
    found = {
        "scores.csv": ("every score of every arm and seed", score_lines(e)),
        "classes.csv": ("the recall of every class in every arm", class_lines(e)),
        "mistakes.csv": ("what was taken for what, in every arm", mistake_lines(e)),
    }
    return [
        {"name": name, "about": about, "address": _address(lines)}
        for name, (about, lines) in found.items()
        if len(lines) > 1
    ]


def _address(lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    held = base64.b64encode(text.getvalue().encode(errors="backslashreplace"))  # names may be no UTF-8
    return f"data:text/csv;charset=utf-8;base64,{held.decode('ascii')}"
