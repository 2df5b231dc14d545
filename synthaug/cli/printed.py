"""What commands print: one JSON document, or text in lines and tables."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import click

from synthaug.errors import OutputError
from synthaug.requests import Request
from synthaug.wording import duration, is_url, printable, reason_of, shown

WIDTH = 100

_MOST = 20  # parts or lines, before the rest is a number
_MORE = "all of it with --json"


def is_dry(
    given: Mapping[str, Any],
    describe: Callable[[], Mapping[str, Any]],
    asked: Request | None = None,
    out: Path | None = None,
    jobs: int | None = None,
) -> bool:
    """Says what would be done, where that is all that is asked for, and how long it would take.

    Args:
        given: options of the command.
        describe: what would be done.
        asked: the request, where there is one.
        out: its output, which is refused where it may not be.
        jobs: processes, as `Request.forecast` takes them.
    """
    if given["dry_run"]:
        plan, there = dict(describe()), False
        if asked is not None and out is not None:
            there = asked.is_finished(out, overwrite=given["overwrite"])
        plan |= {"there": "already"} if there else {} if asked is None else asked.forecast(jobs)
        report(given, plan, plan_in_lines(plan))
    return bool(given["dry_run"])


def report(given: Mapping[str, Any], document: Any, text: str) -> None:
    """Prints the document with ``--json``, else the text, and nothing with ``--quiet``."""
    if given["as_json"]:
        say(json.dumps(document, ensure_ascii=False))
    elif not given["quiet"]:
        say(text)


def say(text: str, *, err: bool = False) -> None:
    """Prints text of which nothing obeys."""
    try:
        click.echo(printable(text), err=err)  # names may hold what a terminal would obey
        sys.stdout.flush()
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise
        raise OutputError(f"What was found cannot be printed ({reason_of(error)}).") from error


def told_place(out: Path | str | None) -> str | None:
    """What an output is called; None where there is none."""
    return None if out is None else shown(out)


def whole_or_share(out: Path | str | None, made: str) -> str:
    """What is told at the end: of the output, or of one's share where others are still at theirs."""
    if out is None or is_url(out) or os.path.lexists(out):
        return made
    return f"this share is made; {out} appears when all are"


def facts_in_lines(found: Mapping[str, Any]) -> str:
    """What `inspect` found, in lines, and a table of the classes where there are any."""
    classes = _classes(found)
    rest = {name: value for name, value in found.items() if name not in ("classes", "values")}
    if found["kind"] == "generator":
        rest = _of_generator(found)
    if "copies" in found:
        rest = _of_rows(rest)
    return "\n\n".join(filter(None, [in_lines(rest), classes]))


def in_lines(document: Mapping[str, Any]) -> str:
    """A line for each fact, those within a fact behind its name; what is not there is left out.

    >>> print(in_lines({"rows": {"cat": 2, "dog": 3}, "left_out": None, "whole": True}))
    rows   cat 2, dog 3
    whole  yes
    """
    facts = list(_flat(document))
    width = max((len(name) for name, _ in facts), default=0) + 2
    lines = []
    for name, text in facts:
        lines += _wrapped(name, text, width)
    return "\n".join(lines)


def plan_in_lines(plan: Mapping[str, Any]) -> str:
    """What would be done, in lines, those within a fact below its name; what is for programs is left out.

    >>> print(plan_in_lines({"rows": {"train": {"cat": 2}}, "takes": "about 3 minutes", "takes_in_full": {"steps": 9}}))
    rows
      train  cat 2
    takes    about 3 minutes
    """
    facts = list(_tree(_for_people(plan)))
    width = max((len(name) for name, _ in facts), default=0) + 2
    return "\n".join(line.rstrip() for name, text in facts for line in _wrapped(name, text, width))


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns below their titles; numbers, which is all but the first, to the right. Of many rows the first.

    >>> print(table(["class", "rows"], [["cat", "2"], ["dog", "13"]]))
    class  rows
    cat       2
    dog      13
    """
    shown = [titles, *rows[:_MOST]]
    widths = [max(len(row[at]) for row in shown) for at in range(len(titles))]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        )
        for row in shown
    ]
    more = [f"and {len(rows) - _MOST:,} more: {_MORE}"] if len(rows) > _MOST else []
    return "\n".join([*(line.rstrip() for line in lines), *more])


def settings_in_lines(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The settings of a family, each with what it means and its defaults."""
    width = max(map(len, found), default=0) + 2
    lines = []
    for name, of in found.items():
        usual = [f"of {kind}s: {json.dumps(value)}" for kind, value in of["usual"].items()]
        defaults = ", ".join([f"default: {json.dumps(of['default'])}", *usual]).replace('"', "")
        about = of["about"].replace("None", "null")  # as --set takes it
        lines += [f"  {line}" for line in _wrapped(name, f"{about} [{defaults}]", width)]
    return "\n".join(lines)


def _of_generator(found: Mapping[str, Any]) -> dict[str, Any]:
    """What of a generator is told in lines."""
    achieved = found["achieved"]
    return {
        "kind": found["kind"],
        "family": found["family"],
        "trained": f"{found['steps']:,} steps in {duration(found['seconds'])}, seed {found['seed']}",
        "on": found["data"]["origin"],
        "rows": found["rows"],
        "columns": found.get("columns"),
        "settings": found["config"],
        "holds training rows": found["contains_training_rows"],
        "keeps": "chosen samples only" if found["kept"] else None,
        "achieved": achieved["text"],
        "fingerprint": found["fingerprint"],
        "made with": found.get("libraries"),
    }


def _of_rows(found: Mapping[str, Any]) -> dict[str, Any]:
    """What of a data set is told in lines; rows by class stand in the table."""
    told = {name: value for name, value in found.items() if name not in ("synthetic", "record")}
    for name in ("imbalance", "imbalance of real rows"):
        if of := told.get(name):
            which = "" if of["ratio"] == 1 else f', "{of["largest"]}" to "{of["smallest"]}"'
            told[name] = f"{of['ratio']:g} to 1{which}"
    told["copies"] = _copies(found["copies"])
    if "card" in told:
        in_table = ("classes", "values", "form", "real", "synthetic")
        told["card"] = {name: value for name, value in told["card"].items() if name not in in_table}
    record = found.get("record", {})
    return told | {"made with": record.get("versions"), "made again with": record.get("again")}


def _copies(found: Mapping[str, Any] | None) -> list[str]:
    """How many rows are copies of others, a few words for each place; nothing where none are, or it is not known."""
    if found is None:
        return []
    told = [f"{n:,} within {split}" for split, n in found["within"].items()]
    told += [f"{n:,} of {a} in {b}" for a, others in found["across"].items() for b, n in others.items()]
    told += [f"{n:,} synthetic {of}" for of, n in (found["synthetic"] or {}).items() if n]
    return told and [*told, *(f"e.g. {example}" for example in found["examples"])]


def _classes(found: Mapping[str, Any]) -> str:
    """The classes with their rows, how many are synthetic, and how much the samples of each vary, where it is known."""
    named = found.get("classes")
    counts = named if isinstance(named, Mapping) else found.get("data", {}).get("counts", {})
    varied = found.get("achieved", {}).get("class_diversity", {})
    made = found.get("synthetic", {})
    titles = ["class", "rows", *(["synthetic"] if made else []), *(["diversity"] if varied else [])]
    rows = [
        [
            name,
            f"{n:,}",
            *([f"{made[name]:,}"] if made else []),
            *([f"{varied[name]:.2f}" if name in varied else ""] if varied else []),
        ]
        for name, n in counts.items()
    ]
    return table(titles, rows) if rows else ""


def _flat(document: Mapping[str, Any], within: str = "") -> list[tuple[str, str]]:
    """Names and texts, where a fact of facts is several lines and one of plain values a single one."""
    found: list[tuple[str, str]] = []
    for key, value in document.items():
        name = f"{within} {key}".strip().replace("_", " ")
        if _has_parts(value):
            found += _flat(value, name)
        elif text := _plain(value):
            found.append((name, text))
    return found


def _tree(document: Mapping[str, Any], indent: str = "") -> list[tuple[str, str]]:
    """The same, where a fact of facts is its name and, indented below it, these."""
    found: list[tuple[str, str]] = []
    for key, value in document.items():
        name = indent + str(key).replace("_", " ")
        if _has_parts(value):
            found += [(name, ""), *_tree(value, f"{indent}  ")]
        elif text := _plain(value):
            found.append((name, text))
    return found


def _has_parts(value: Any) -> bool:
    """Whether something is facts of facts, few enough for a line each."""
    nested = isinstance(value, Mapping) and any(isinstance(part, Mapping | list) for part in value.values())
    return nested and len(value) <= _MOST


def _for_people(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan without what it says in plainer words as well, and each of its generators in a line."""
    told: dict[str, Any] = {}
    for name, value in plan.items():
        if name == "takes_in_full":
            continue
        if name == "generators" and isinstance(value, Mapping):
            told |= _of_families(value)
        else:
            told[name] = _for_people(value) if isinstance(value, Mapping) else value
    return told


def _of_families(generators: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Generators that are to be trained on the same rows, and what these are."""
    told = {
        f"each {name}": f"{of['budget']}, {of['parameters']:,} parameters, {_plain(of['config'])}"
        for name, of in generators.items()
    }
    first = next(iter(generators.values()))
    return told | {name: first[name] for name in ("form", "device")}


def _plain(value: Any) -> str:
    """A value as people write it; nothing where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        parts = [f"{key} {text}" for key, part in value.items() if (text := _plain(part))]
    elif isinstance(value, list | tuple):
        parts = [text for part in value if (text := _plain(part))]
    else:
        return str(value)
    more = [f"and {len(parts) - _MOST:,} more ({_MORE})"] if len(parts) > _MOST else []
    return ", ".join([*parts[:_MOST], *more])


def _wrapped(name: str, text: str, width: int) -> list[str]:
    """Text behind a name, in lines that begin below one another."""
    told = wrap(text, WIDTH - 2 - width, break_on_hyphens=False) or [""]
    return [f"{name:{width}}{told[0]}", *(" " * width + line for line in told[1:])]
