"""An evaluation as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from synthaug.judging import power, words
from synthaug.judging.names import called
from synthaug.judging.results import Evaluation
from synthaug.report import tables
from synthaug.wording import fenced, points, table_cell


def markdown(e: Evaluation) -> str:
    """The advice, what was found, and every table."""
    arms = [
        (
            called(arm.name),
            arm.score,
            "0" if arm.difference is None else points(arm.difference.mean),
            "" if arm.difference is None else words.interval(arm.difference),
            arm.role,
        )
        for arm in tables.arm_rows(e)
    ]
    metric = f"{words.metric_name(e)}, test (mean ± s.d.)"
    recalls = [
        (table_cell(row["name"]), row["without"], row["with"], row["points"] or "–")
        for row in tables.recall_rows(e)
    ]
    sections = [
        f"# {words.worth(e)}",
        _table(("of that", "points", "in what is advised"), words.parts_of_worth(e)),
        words.advice(e),
        words.summary(e),
        words.caveat(e),
        _table(("arm", metric, "points against baseline", "95 % interval", "verdict"), arms),
        _table(("arm", *tables.FURTHER), tables.further_rows(e)),
    ]
    if e.plan is not None:
        options = ("option", "points in cross-validation", "95 % interval", "sure to", "trainings")
        sections += [
            "## How much, and of what",
            words.chosen(e.plan),
            _table(options, tables.option_rows(e)),
        ]
    if e.fidelity is not None:
        rows = tables.fidelity_rows(e)
        sections += ["## The synthetic rows", _table(("measure", "value", "meaning"), rows)]
    sections += [
        f"## Recall by class: {called(e.baseline)}, then {called(e.candidate)}",
        power.about_classes(e),
        _table(("class", "without, %", "with, %", "difference, points"), recalls),
    ]
    if mistaken := tables.mistaken_rows(e):
        confused = [(table_cell(of), table_cell(other), *shares) for of, other, *shares in mistaken]
        titles: tuple[str, ...] = ("class", "taken for", "without, % of its test rows", "with, %")
        sections += ["## What was most often taken for what", _table(titles, confused)]
    if e.judged is not None:
        titles = ("reason", "dropped", words.SPREAD)
        sections += ["## What judges would leave out", _table(titles, tables.filter_rows(e))]
    sections += [
        "## How to reproduce it",
        *([] if e.setup.again is None else [fenced(e.setup.again)]),
        _table(("what", "value"), [(name, table_cell(value)) for name, value in tables.reproduction_rows(e)]),
        "\n".join(f"- *{word}*: {meaning}" for word, meaning in words.GLOSSARY.items()),
    ]
    return "\n\n".join(sections) + "\n"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
