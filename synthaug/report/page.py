"""An evaluation for people: JSON, Markdown, and one HTML page that needs nothing beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.judging import power, words
from synthaug.judging.evaluate import Evaluated, Inquiry
from synthaug.judging.names import called
from synthaug.judging.quality import compare_with_real, judge_samples
from synthaug.judging.results import Evaluation, Judged
from synthaug.judging.runner import Work
from synthaug.outputs import atomic_write_text
from synthaug.report import tables
from synthaug.report.charts import Scale
from synthaug.report.markdown import markdown
from synthaug.report.numbers import downloads
from synthaug.report.pictures import (
    ClassPictures,
    JudgedClass,
    draw_overview,
    pick_judged,
    pick_pictures,
    strip,
)
from synthaug.report.templates import rendered
from synthaug.wording import percents, points

_CURVE_POINTS = 200

HEADINGS = {
    "compared": "What was compared",
    "shares": "How much, and of what",
    "like": "What the synthetic rows are like",
    "pictures": "Real and synthetic rows",
    "overview": "Real and synthetic rows",
    "judged": "What judges would leave out",
    "classes": "How well each class was recognised",
    "taken": "What was taken for what",
    "training": "How the generator was trained",
    "again": "How to reproduce it",
    "numbers": "Numbers to download",
    "words": "Words used here",
}
"""The parts of the page in their order; those with nothing to show are left out."""


def write_report(
    evaluation: Evaluation,
    pictures: Sequence[ClassPictures],
    folder: Path,
    *,
    judged: Sequence[JudgedClass] = (),
    history: Sequence[Mapping[str, Any]] = (),
    overview: Mapping[str, Any] | None = None,
) -> None:
    """Writes ``report.json``, ``report.md`` and ``report.html``, which holds all it shows.

    Args:
        evaluation: what to report.
        pictures: for the page; may be empty.
        folder: an existing folder.
        judged: for the page; may be empty.
        history: the generator's training history: dicts with ``step`` and losses; other lines are skipped.
        overview: what `draw_overview` drew.
    """
    text = json.dumps(evaluation.to_dict(), indent=1, ensure_ascii=False) + "\n"
    atomic_write_text(folder / "report.json", text)
    atomic_write_text(folder / "report.md", markdown(evaluation))
    atomic_write_text(folder / "report.html", html(evaluation, pictures, judged, history, overview))


def report_on(found: Evaluated, inquiry: Inquiry, work: Work, folder: Path) -> Evaluation:
    """Writes the report of an evaluation, with what is measured and drawn for it alone.

    Args:
        found: the evaluation with what was tested.
        inquiry: what was asked.
        work: keeps what is trained for the report.
        folder: an existing folder.
    """
    rows, maker, seed = found.rows, found.makers[0], inquiry.seed
    fidelity = compare_with_real(
        rows,
        inquiry.parts.test,
        found.pool,
        maker.form.encode,
        steps=inquiry.protocol.classifier_steps,
        seed=seed,
        kept=work.kept("fidelity"),
    )
    judged = judge_samples(rows, maker, seed, inquiry.protocol.judge_steps, work.kept("rows"))
    said = None if judged is None else Judged(len(judged[0]), judged[1].effects)
    evaluation = replace(found.evaluation, fidelity=fidelity, judged=said)
    pictures = pick_pictures(rows, found.pool, seed=seed)
    by_class = () if judged is None else pick_judged(*judged)
    overview = draw_overview(rows, found.pool, seed=seed)
    write_report(evaluation, pictures, folder, judged=by_class, history=maker.history, overview=overview)
    return evaluation


def html(
    e: Evaluation,
    pictures: Sequence[ClassPictures],
    judged: Sequence[JudgedClass],
    history: Sequence[Mapping[str, Any]],
    overview: Mapping[str, Any] | None = None,
) -> str:
    """The page as one text."""
    scale = Scale.over([c.difference for c in e.comparisons])
    shown: dict[str, Any] = {
        "compared": [_arm(row, scale) for row in tables.arm_rows(e)],
        "shares": tables.option_rows(e),
        "like": tables.fidelity_rows(e),
        "pictures": [_class(of) for of in pictures],
        "overview": overview,
        "judged": [_judged(of) for of in judged],
        "classes": tables.recall_rows(e),
        "taken": tables.mistaken_rows(e),
        "training": _curves(history),
        "again": tables.reproduction_rows(e),
        "numbers": downloads(e),
        "words": list(words.GLOSSARY.items()),
    }
    return rendered(
        "page.html.jinja",
        **shown,
        headings={name: title for name, title in HEADINGS.items() if shown[name]},
        worth=words.worth(e),
        parts=words.parts_of_worth(e),
        advice=words.advice(e),
        summary=words.summary(e),
        caveat=words.caveat(e),
        verdict=e.verdict,
        answer=words.answer(e),
        metric=words.metric_name(e),
        baseline=called(e.baseline),
        candidate=called(e.candidate),
        ticks=scale.ticks(),
        further=tables.further_rows(e),
        further_titles=["Arm", *(title[0].upper() + title[1:] for title in tables.FURTHER)],
        share_chart=tables.share_chart(e),
        chosen="" if e.plan is None else words.chosen(e.plan),
        luck_judged=e.plan is not None and e.plan.choice.judged is not None,
        filters=tables.filter_rows(e),
        spread=words.SPREAD,
        n_classes=len(e.classes),
        about_classes=power.about_classes(e),
        tells_of_classes=power.tells_of_classes(e),
        confusions=tables.confusions(e),
        command=e.setup.again,
    )


def _arm(row: tables.ArmRow, scale: Scale) -> dict[str, Any]:
    of = row.difference
    zero = scale.at(0.0)
    return vars(row) | {
        "term": percents(row.name),
        "difference": "0" if of is None else points(of.mean),
        "interval": None if of is None else words.interval(of),
        "at": {"mean": zero} if of is None else scale.span(of),
    }


def _class(of: ClassPictures) -> dict[str, Any]:
    real = [half for half in np.array_split(of.real, 2) if len(half)]
    most = max(len(images) for images in (*real, of.synthetic))
    return {
        "name": of.name,
        "real": [_strip(half, most) for half in real],
        "synthetic": _strip(of.synthetic, most),
        "nearest": _strip(of.nearest, most),
    }


def _judged(of: JudgedClass) -> dict[str, Any]:
    told = words.passing(of.judged, of.dropped)
    return {"name": of.name, "told": told, "passing": _strip(of.passing), "failing": _strip(of.failing)}


def _strip(images: np.ndarray, most: int = 0) -> dict[str, Any] | None:
    """Pictures side by side, and which percent of the width they are to take where the most in a row take all."""
    return strip(images) | {"part": round(100 * len(images) / (most or len(images)))} if len(images) else None


def _curves(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each figure of the history as a polyline in a box of 100 by 100, averaged to few points."""
    series: dict[str, list[tuple[int, float]]] = {}
    for line in history:
        for name, value in line.items():
            figure = isinstance(value, float) and name != "seconds" and "event" not in line
            if figure and math.isfinite(value):
                series.setdefault(name, []).append((line["step"], value))
    return [_curve(name, points) for name, points in series.items() if len(points) > 1]


def _curve(name: str, points: Sequence[tuple[int, float]]) -> dict[str, Any]:
    parts = np.array_split(np.array(points, dtype=np.float64), min(len(points), _CURVE_POINTS))
    steps, values = np.array([part.mean(axis=0) for part in parts]).T
    low, high = float(values.min()), float(values.max())
    x = 100 * (steps - steps[0]) / max(steps[-1] - steps[0], 1)
    y = 100 * (high - values) / ((high - low) or 1.0)
    return {
        "name": name.replace("_", " "),
        "points": " ".join(f"{a:.2f},{b:.2f}" for a, b in zip(x, y, strict=True)),
        "first": _figure(values[0]),
        "last": _figure(values[-1]),
        "low": _figure(low),
        "high": _figure(high),
        "start": f"{points[0][0]:,}",
        "end": f"{points[-1][0]:,}",
    }


def _figure(value: float) -> str:
    """Three digits, with a true minus."""
    return f"{value:.3g}".replace("-", "−")
