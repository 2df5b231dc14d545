"""An evaluation for people: JSON, Markdown, and one HTML page that needs nothing beside it."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.generators.samples import Samples
from synthaug.judging.curation import Curation
from synthaug.judging.evaluation import ArmResult, Evaluation
from synthaug.judging.search import LEVEL
from synthaug.metrics.fidelity import nearest_rows
from synthaug.metrics.statistics import BOOTSTRAP_FROM, SIGN_FLIPS_FROM, Interval, wilson_interval
from synthaug.modalities.image.view import to_rgb
from synthaug.outputs import atomic_write_text
from synthaug.report.charts import Scale, Series, line_chart
from synthaug.seeding import numpy_rng

_CURVE_POINTS = 200
_GAP = 2


@dataclass(frozen=True)
class ClassPictures:
    """Pictures of one class.

    Attributes:
        name: the class.
        real: ``(n, H, W, 3)`` uint8 training rows.
        synthetic: ``(m, H, W, 3)`` uint8 synthetic rows.
        nearest: ``(m, H, W, 3)`` uint8: the training row nearest to each synthetic one, of whatever class.
    """

    name: str
    real: np.ndarray
    synthetic: np.ndarray
    nearest: np.ndarray


def pick_pictures(
    train: LabeledData, pool: Samples, *, per_class: int = 6, classes: int = 20, seed: int = 0
) -> tuple[ClassPictures, ...]:
    """Pictures of each class, drawn at random: nothing is chosen for its looks.

    Args:
        train: the rows the generator was trained on.
        pool: its samples.
        per_class: synthetic rows per class; twice as many real ones.
        classes: at most so many classes, the first ones.
        seed: decides which rows.
    """
    rng = numpy_rng(seed, "report", "pictures")
    rows = train.read()
    chosen = []
    for label, name in enumerate(train.classes[:classes]):
        real = rng.permutation(np.flatnonzero(train.labels == label))[: 2 * per_class]
        synthetic = rng.permutation(np.flatnonzero(pool.class_indices == label))[:per_class]
        chosen.append((name, real, pool.samples[synthetic]))
    nearest = nearest_rows(np.concatenate([samples for *_, samples in chosen]), rows)[0]
    groups = np.split(nearest, np.cumsum([len(samples) for *_, samples in chosen])[:-1])
    return tuple(
        ClassPictures(name, *(to_rgb(part, pool.spec) for part in (rows[real], samples, rows[group])))
        for (name, real, samples), group in zip(chosen, groups, strict=True)
    )


@dataclass(frozen=True)
class JudgedClass:
    """What judges say of some samples of a class.

    Attributes:
        name: the class.
        judged: how many samples they looked at.
        dropped: how many of them each filter drops, by its name.
        passing: ``(n, H, W, 3)`` uint8: some that pass.
        failing: ``(m, H, W, 3)`` uint8: some that do not.
    """

    name: str
    judged: int
    dropped: Mapping[str, int]
    passing: np.ndarray
    failing: np.ndarray


def pick_judged(
    samples: Samples, curation: Curation, *, per_class: int = 8, classes: int = 20
) -> tuple[JudgedClass, ...]:
    """The first samples of each class that pass the judges, and the first that do not; no choice by looks."""
    found = []
    for label, name in enumerate(samples.classes[:classes]):
        own = samples.class_indices == label
        passing, failing = (
            to_rgb(samples.samples[np.flatnonzero(own & mask)[:per_class]], samples.spec)
            for mask in (curation.keep, ~curation.keep)
        )
        dropped = {effect.name: effect.dropped.get(name, 0) for effect in curation.effects}
        if own.any():
            found.append(JudgedClass(name, int(own.sum()), dropped, passing, failing))
    return tuple(found)


def advice(evaluation: Evaluation) -> str:
    """What to do, in one plain sentence."""
    if evaluation.plan is not None:
        return _planned(evaluation, evaluation.plan)
    gain = evaluation.headline.difference.mean * 100
    share = f"{evaluation.config['ratio']:.0%}".replace("%", " %")
    if evaluation.verdict == "helps":
        how = ", together with augmentation" if evaluation.arm(evaluation.candidate).augmentation else ""
        return (
            f"Use synthetic rows here{how}: as {share} of each batch they raise {_metric(evaluation)} by "
            f"{gain:.1f} points."
        )
    if evaluation.verdict == "harms":
        return (
            f"Do not use synthetic rows here: without them, “{evaluation.baseline}” scores {-gain:.1f} points more "
            f"than with {share} of each batch."
        )
    return f"Do not use synthetic rows here: as {share} of each batch, nothing shows that they help."


def _planned(e: Evaluation, plan: Mapping[str, Any]) -> str:
    """The advice where cross-validation chose and the test rows had the last word."""
    gain = e.headline.difference.mean * 100
    share = f"{plan['candidate_share']:.0%}".replace("%", " %")
    falling = f", falling to none over {plan['classifier_steps']} steps," if plan["annealed"] else ""
    kind = f"{'curated ' if plan['curated'] else ''}samples of {plan['family']}"
    if not plan["accepted"]:
        return (
            f"Do not use synthetic rows here: train with “{e.baseline}”. Cross-validation found no share of them that "
            "is sure to help."
        )
    if e.verdict == "helps":
        return (
            f"Use synthetic rows here: {share} of each batch{falling} as {kind}, with “{plan['base']}”. They raise "
            f"{_metric(e)} on the test rows by {gain:.1f} points."
        )
    found = "they score lower there" if e.verdict == "harms" else "they do not confirm it"
    return (
        f"Do not use synthetic rows here: train with “{e.baseline}”. Cross-validation preferred {share} of {kind}, but "
        f"on the test rows {found}."
    )


def write_report(
    evaluation: Evaluation,
    pictures: Sequence[ClassPictures],
    folder: Path,
    *,
    judged: Sequence[JudgedClass] = (),
    history: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Writes ``report.json``, ``report.md`` and ``report.html``, which holds all it shows.

    Args:
        evaluation: what to report.
        pictures: for the page; may be empty.
        folder: an existing folder.
        judged: for the page; may be empty.
        history: the generator's training history: dicts with ``step`` and losses; other lines are skipped.
    """
    document = {"advice": advice(evaluation), **evaluation.to_dict()}
    atomic_write_text(folder / "report.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    atomic_write_text(folder / "report.md", _markdown(evaluation))
    atomic_write_text(folder / "report.html", _html(evaluation, pictures, judged, history))


# Texts that Markdown and HTML share


def _summary(e: Evaluation) -> str:
    """What was found, for a person who has never heard of a paired test."""
    difference, n = e.headline.difference, sum(e.rows["test"].values())
    better = "higher" if difference.mean > 0 else "lower"
    points = f"{abs(difference.mean) * 100:.1f} points {better}" if difference.mean else "the same"
    judge = "validation rows" if e.plan is None else "cross-validation"
    return (
        f"Without synthetic rows, {judge} preferred “{e.baseline}”; with them, “{e.candidate}”. The latter scored "
        f"{points} on {n:,} test rows that neither the generator nor the "
        f"classifiers had seen. The 95 % interval of that difference, {_interval(difference)} points, {_found(e)}."
    )


def _found(e: Evaluation) -> str:
    difference, p = e.headline.difference, e.headline.p_value
    if difference.low <= 0 <= difference.high:
        return "contains zero, so chance alone could explain the difference"
    side = "lies wholly above zero" if difference.low > 0 else "lies wholly below zero"
    if e.headline.verdict == "no evidence":
        return f"{side}, but the test of signs does not confirm it (p = {p:.3f})"
    if e.verdict != e.headline.verdict:
        return f"{side}, but cross-validation had not found a gain that is sure"
    return side if p is None else f"{side}, and the test of signs confirms it (p = {p:.3f})"


def _caveat(e: Evaluation) -> str:
    n = e.headline.difference.n
    if e.draws == 1:
        covered = (
            "All used the synthetic rows of one generator, so the intervals leave out how much another generator, "
            "trained in the same way, would differ."
        )
    else:
        covered = (
            f"They used the synthetic rows of {e.draws} generators, trained apart in the same way, and the scores with "
            "one generator count as one: the intervals cover how much another would differ."
        )
    if n < SIGN_FLIPS_FROM:
        rests = (
            f"With {n} pairs the verdict rests on Student's t alone; a test of signs needs {SIGN_FLIPS_FROM}."
        )
    else:
        means = "a bootstrap" if n >= BOOTSTRAP_FROM else "Student's t"
        rests = f"With {n} pairs the verdict rests on {means} and on a test of signs, which must agree."
    return (
        f"Every classifier was trained for the same {e.config['steps']:,} steps, unless its arm says otherwise, "
        f"{len(e.seeds)} times per arm with different random seeds. {covered} The test rows are the same "
        f"throughout: what others would change is not in the intervals. {rests} Both arms named above were "
        f"picked {picked(e)}, not on the test rows."
    )


def picked(e: Evaluation) -> str:
    """What the arms that are compared were picked by."""
    return "on validation rows" if e.plan is None else "by cross-validation inside the training rows"


_GLOSSARY = {
    "paired": (
        "each arm is trained with the same seeds, and the difference is taken seed by seed, so that what a "
        "seed does to every arm cancels out."
    ),
    "95 % interval": (
        "if the comparison were repeated with new seeds many times, about 95 of 100 such intervals would contain "
        f"the true mean difference: by Student's t, from {BOOTSTRAP_FROM} pairs on by resampling them (a BCa "
        "bootstrap, which with 10 pairs contains it in about 90 of 100). If the interval contains zero, the "
        "difference may be chance. The interval of a recall (Wilson's) says how much other test rows would change it."
    ),
    "test of signs": (
        "if nothing were gained, each difference might as well have had the other sign. p is the share of all ways "
        "to choose the signs with a mean as far from zero; below 0.05 it is hardly chance."
    ),
    "calibration error": (
        "how far the classifier's certainty is from how often it is right (15 bins): 0 is best. The Brier score "
        "judges certainty and correctness together, from 0, the best, to 2."
    ),
    "arm": "one way to prepare the training rows; everything else is the same.",
    "balanced accuracy": "the mean of the recalls of all classes: rare ones count as much as frequent ones.",
    "recall": "of the test rows of a class, the share that the classifier recognised.",
    "points": "percentage points: from 80 % to 81 % is one point.",
}


def _reproduction(e: Evaluation) -> list[tuple[str, str]]:
    rows = [(f"{name} rows", f"{sum(counts.values()):,}") for name, counts in e.rows.items()]
    told = {name: value for name, value in e.generator.items() if not isinstance(value, dict)}
    asked = [(name.replace("_", " "), str(value)) for name, value in {**e.config, **told}.items()]
    spent = [(f"seconds, {name}", f"{seconds:,.0f}") for name, seconds in e.seconds.items()]
    seeds = [("classifier seeds", ", ".join(map(str, e.seeds)))]
    return [*asked, *seeds, *rows, *spent, *e.environment.items()]


def _fidelity(e: Evaluation) -> list[tuple[str, str, str]]:
    """Name, value and meaning of each measure."""
    if e.fidelity is None:
        return []
    f = e.fidelity
    return [
        (
            "Label agreement",
            _ratio(f.agreement),
            "How often a classifier trained on real rows sees the class that was asked for, relative to its "
            "accuracy on real rows. 1 is as good as real.",
        ),
        (
            "Diversity",
            _ratio(f.diversity),
            "How far apart the rows of a class are, relative to real rows. 1 is as varied, 0 all the same.",
        ),
        (
            "Distance to training rows",
            _ratio(f.novelty),
            "How far a synthetic row is from the nearest training row, relative to unseen real rows. Near 0 "
            "means copies.",
        ),
    ]


# Numbers


def _metric(e: Evaluation) -> str:
    return e.metric.replace("_", " ")


def _signed(value: float) -> str:
    """Points with a sign and a true minus: ``+1.2``, ``−0.3``, ``0.0``."""
    text = f"{value * 100:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def _interval(of: Interval) -> str:
    return f"{_signed(of.low)} to {_signed(of.high)}"


def _ratio(value: float | None) -> str:
    return "not measurable" if value is None else f"{value:.2f}"


def _share(share: float, rows: int) -> str:
    """A recall in percent, with the interval that so many test rows leave."""
    found = wilson_interval(share, rows)
    return f"{share * 100:.1f} ({found.low * 100:.0f}–{found.high * 100:.0f})"


def _mean_and_spread(values: Sequence[float]) -> str:
    return f"{np.mean(values) * 100:.1f} ± {np.std(values, ddof=1) * 100:.1f}"


def _further(e: Evaluation) -> list[tuple[str, str, str, str, str]]:
    """For each arm its name, worst class, calibration error, Brier score and the p-value of its difference."""
    p_values = {c.arm: c.p_value for c in e.comparisons}
    rows = []
    for arm in e.arms:
        worst = _mean_and_spread([s.worst_recall for s in arm.test])
        errors = [s.calibration_error for s in arm.test if s.calibration_error is not None]
        briers = [s.brier for s in arm.test if s.brier is not None]
        p = p_values.get(arm.name)
        rows.append(
            (
                arm.name,
                worst,
                f"{np.mean(errors):.3f}" if errors else "–",
                f"{np.mean(briers):.3f}" if briers else "–",
                "–" if p is None else f"{p:.3f}",
            )
        )
    return rows


_REASONS = {
    "agreement": "look like another class",
    "outliers": "unlike any of their class",
    "copies": "copies of training rows",
}


def _told(of: JudgedClass) -> str:
    """How many pass, and why the others do not."""
    lost = [f"{n} {_REASONS[name]}" for name, n in of.dropped.items() if n]
    return ", ".join([f"{of.judged - sum(of.dropped.values())} of {of.judged} pass", *lost])


def _filters(e: Evaluation) -> list[tuple[str, str, str]]:
    """Each filter of curation: what it finds, which share, and diversity before and after."""
    if e.curation is None:
        return []
    rows = []
    for of in e.curation["filters"]:
        share = sum(of["dropped"].values()) / e.curation["judged"]
        change = f"{_ratio(of['diversity_before'])} → {_ratio(of['diversity_after'])}"
        rows.append((_REASONS[of["name"]].capitalize(), f"{share * 100:.1f} %", change))
    return rows


def _tried(e: Evaluation) -> list[tuple[str, str, str, str]]:
    """Every option of the choice: its name, points against the chosen baseline on held-out rows, trainings."""
    rows = []
    for of in [] if e.plan is None else e.plan["choice"]["standings"]:
        gain = None if of["gain"] is None else Interval(**of["gain"])
        shown = ("0", "") if gain is None else (_signed(gain.mean), _interval(gain))
        rows.append((of["name"], *shown, str(of["trainings"])))
    return rows


def _shares(e: Evaluation) -> str | None:
    """A chart of the gain over the share of synthetic rows, all else as in the candidate; None without a choice."""
    if e.plan is None:
        return None
    gains = {of["name"]: of["gain"] for of in e.plan["choice"]["standings"]}
    shares = {name: share for name, share in e.plan["shares"].items() if gains.get(name) is not None}
    points = [(share, Interval(**gains[name])) for name, share in shares.items()]
    points = [(0.0, Interval(0.0, 0.0, 0.0, 0)), *sorted(points, key=lambda point: point[0])]
    ticks = [(share, f"{share:.0%}".replace("%", " %")) for share, _ in points]
    return line_chart(
        [Series("gain", points)], ticks, x_label="share of synthetic rows in a batch", y_label="points gained"
    )


def _chosen(e: Evaluation) -> str:
    """How the choice ended, in plain words."""
    if e.plan is None:
        return ""
    cost = f"All of it cost as much as {e.plan['cost']:.0f} trainings of one classifier."
    judged = e.plan["choice"]["judged"]
    if judged is None:
        none = e.plan["choice"]["candidate"] is None
        why = "No share of any family did better" if none else "The best of them did hardly better"
        return f"{why} than “{e.plan['baseline']}”, which is what to use. {cost}"
    gain = judged["gain"]
    told = (
        "Each part was set aside in turn, the others chose, and what they chose was judged on it. Choosing in this way "
        f"gained {_signed(gain['mean'])} points ({_signed(gain['low'])} to {_signed(gain['high'])})"
    )
    if e.plan["accepted"]:
        sure = f"with {LEVEL:.0%} confidence more than {_signed(judged['bound'])}: likely no chance."
        end = sure.replace("%", " %")
    else:
        end = "which may be chance: no synthetic rows." if gain["mean"] > 0 else "which is no gain."
    return f"{told}, {end} {cost}"


def _role(e: Evaluation, arm: ArmResult) -> str:
    if arm.name == e.baseline:
        return "baseline"
    if arm.name == e.candidate:
        return e.verdict
    comparison = next(c for c in e.comparisons if c.arm == arm.name)
    return comparison.verdict if arm.synthetic else ""


# Markdown


def _markdown(e: Evaluation) -> str:
    lines = [
        f"# {advice(e)}",
        "",
        _summary(e),
        "",
        _caveat(e),
        "",
        f"| arm | {_metric(e)}, test (mean ± s.d.) | points against baseline | 95 % interval | verdict |",
        "|---|---|---|---|---|",
    ]
    differences = {c.arm: c.difference for c in e.comparisons}
    for arm in e.arms:
        of = differences.get(arm.name)
        shown = ("0", "") if of is None else (_signed(of.mean), _interval(of))
        score = _mean_and_spread(arm.values(e.metric))
        lines.append(f"| {arm.name} | {score} | {shown[0]} | {shown[1]} | {_role(e, arm)} |")
    lines += ["", "| arm | worst class, recall in % | calibration error | Brier score | test of signs, p |"]
    lines += ["|---|---|---|---|---|", *("| " + " | ".join(row) + " |" for row in _further(e))]
    if e.plan is not None:
        lines += [
            "",
            "## How much, and of what",
            "",
            _chosen(e),
            "",
            "| option | points in cross-validation | 95 % interval | trainings |",
        ]
        lines += ["|---|---|---|---|", *("| " + " | ".join(row) + " |" for row in _tried(e))]
    if e.fidelity is not None:
        lines += ["", "## The synthetic rows", "", "| measure | value | meaning |", "|---|---|---|"]
        lines += [f"| {name} | {value} | {meaning} |" for name, value, meaning in _fidelity(e)]
    lines += ["", f"## Recall by class, “{e.baseline}” and “{e.candidate}”", ""]
    lines += ["| class | without, % | with, % | difference, points |", "|---|---|---|---|"]
    for row in _recalls(e):
        name = row["name"].replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {name} | {row['without']} | {row['with']} | {row['points']} |")
    if e.curation is not None:
        lines += [
            "",
            "## What judges would leave out",
            "",
            "| reason | dropped | diversity |",
            "|---|---|---|",
        ]
        lines += ["| " + " | ".join(row) + " |" for row in _filters(e)]
    lines += ["", "## How to reproduce it", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in _reproduction(e)]
    lines += ["", *(f"- *{word}*: {meaning}" for word, meaning in _GLOSSARY.items())]
    return "\n".join(lines) + "\n"


def _recalls(e: Evaluation) -> list[dict[str, Any]]:
    """Mean recall without and with synthetic rows for every class with test rows, the largest gain first."""
    rows = []
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
                    "without": _share(float(np.mean(known_before)), e.rows["test"][name]),
                    "with": _share(float(np.mean(known_after)), e.rows["test"][name]),
                    "gain": gain.mean,
                    "points": _signed(gain.mean),
                    "interval": _interval(gain),
                }
            )
    return sorted(rows, key=lambda row: -row["gain"])


# HTML


def _html(
    e: Evaluation,
    pictures: Sequence[ClassPictures],
    judged: Sequence[JudgedClass],
    history: Sequence[Mapping[str, Any]],
) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # class names are anybody's
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scale = Scale.over([c.difference for c in e.comparisons])
    differences = {c.arm: c.difference for c in e.comparisons}
    arms = [
        {
            "name": arm.name,
            "about": arm.about,
            "synthetic": arm.synthetic,
            "score": _mean_and_spread(arm.values(e.metric)),
            "role": _role(e, arm),
            "picked": arm.name == e.candidate,
            "difference": None if arm.name == e.baseline else _signed(differences[arm.name].mean),
            "interval": None if arm.name == e.baseline else _interval(differences[arm.name]),
            "at": None if arm.name == e.baseline else scale.span(differences[arm.name]),
        }
        for arm in e.arms
    ]
    text: str = environment.get_template("page.html.jinja").render(
        advice=advice(e),
        summary=_summary(e),
        caveat=_caveat(e),
        verdict=e.verdict,
        metric=_metric(e),
        baseline=e.baseline,
        candidate=e.candidate,
        arms=arms,
        ticks=scale.ticks(),
        recalls=_recalls(e),
        further=_further(e),
        tried=_tried(e),
        shares=_shares(e),
        chosen=_chosen(e),
        luck_judged=e.plan is not None and e.plan["choice"]["judged"] is not None,
        fidelity=_fidelity(e),
        pictures=[
            {
                "name": of.name,
                "real": [_strip(half) for half in np.array_split(of.real, 2) if len(half)],
                "synthetic": _strip(of.synthetic) if len(of.synthetic) else None,
                "nearest": _strip(of.nearest) if len(of.nearest) else None,
            }
            for of in pictures
        ],
        judged=[
            {
                "name": of.name,
                "told": _told(of),
                "passing": _strip(of.passing) if len(of.passing) else None,
                "failing": _strip(of.failing) if len(of.failing) else None,
            }
            for of in judged
        ],
        filters=_filters(e),
        curves=_curves(history),
        reproduction=_reproduction(e),
        command=e.config.get("command"),
        glossary=list(_GLOSSARY.items()),
    )
    return text


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
        "first": f"{values[0]:.3g}",
        "last": f"{values[-1]:.3g}",
        "low": f"{low:.3g}",
        "high": f"{high:.3g}",
        "start": f"{points[0][0]:,}",
        "end": f"{points[-1][0]:,}",
    }


def _strip(images: np.ndarray) -> dict[str, Any]:
    """Pictures side by side as a PNG data address, clear between them so that any background fits."""
    from PIL import Image

    n, height, width, _ = images.shape
    canvas = np.zeros((height, n * (width + _GAP) - _GAP, 4), np.uint8)
    for i, image in enumerate(images):
        left = i * (width + _GAP)
        canvas[:, left : left + width, :3] = image
        canvas[:, left : left + width, 3] = 255
    buffer = io.BytesIO()
    Image.fromarray(canvas, "RGBA").save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"address": f"data:image/png;base64,{data}", "width": canvas.shape[1], "height": height}
