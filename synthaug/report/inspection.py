"""A data set for people: what `facts_of` found of it, and pictures of its rows, as a page that needs nothing beside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.outputs import atomic_write_text
from synthaug.report.facts import training_part
from synthaug.report.pictures import ClassRows, draw_rows, pick_rows, strip
from synthaug.report.templates import rendered
from synthaug.wording import one_line, percent, quoted

INSPECTION = "inspect.html"
"""The name of the page."""

_FIRST = 20  # classes, parts or sentences, before the rest is folded or a number
_SIZES = 10

HEADINGS = {
    "classes": "Rows of each class",
    "splits": "Splits",
    "copies": "Rows that are there twice",
    "odd": "Odd files, and what was left out",
    "sizes": "Sizes of the pictures",
    "columns": "Columns",
    "pictures": "What the rows look like",
    "overview": "What the rows look like",
    "made": "What made it, and how to make it again",
}
"""The parts of the page in their order; those with nothing to show are left out."""


def write_inspection(found: Mapping[str, Any], rows: LabeledData, folder: Path, *, seed: int = 0) -> None:
    """Writes ``inspect.html``, which holds all it shows.

    Args:
        found: what `facts_of` found of the rows.
        rows: a few hundred of which are shown, where all can be read.
        folder: an existing folder.
        seed: decides which rows are shown.
    """
    readable = found["fingerprint"] is not None
    shown = training_part(rows)
    pictures = pick_rows(shown, seed=seed) if readable else ()
    overview = draw_rows(shown, seed=seed) if readable else None
    atomic_write_text(folder / INSPECTION, inspection(found, pictures, overview))


def inspection(
    found: Mapping[str, Any], pictures: Sequence[ClassRows] = (), overview: Mapping[str, Any] | None = None
) -> str:
    """The page as one text.

    Args:
        found: what `facts_of` found of a data set or an output.
        pictures: what `pick_rows` picked; may be empty.
        overview: what `draw_rows` drew.
    """
    made = sum(found.get("synthetic", {}).values())
    shown: dict[str, Any] = {
        "classes": _classes(found),
        "splits": [
            (one_line(name), f"{n:,}", _share(n, found["rows"])) for name, n in found["splits"].items()
        ],
        "copies": _copies(found["copies"]),
        "odd": _odd(found),
        "sizes": _sizes(found["sizes"]),
        "columns": [(one_line(name), one_line(text)) for name, text in found.get("columns", {}).items()],
        "pictures": [_pictures(of) for of in pictures],
        "overview": overview,
        "made": _made(found),
    }
    return rendered(
        "inspect.html.jinja",
        **shown,
        headings={name: title for name, title in HEADINGS.items() if shown[name]},
        kind=found["kind"],
        title=_title(found, made),
        about=_about(found),
        synthetic=made > 0,
        all_synthetic=made > 0 and made == sum(found["classes"].values()),
        imbalance=_imbalance(found),
        first=_FIRST,
        n_classes=len(found["classes"]),
        command=_again(found),
        request=json.dumps(found.get("record", {}).get("request"), indent=1, ensure_ascii=False),
    )


def _title(found: Mapping[str, Any], made: int) -> str:
    classes, rows = len(found["classes"]), found["rows"]
    of = f"{_several(rows, 'row')} of {classes:,} {'class' if classes == 1 else 'classes'}"
    return of if not made else f"{of}, all synthetic" if made == rows else f"{of}, {made:,} synthetic"


def _about(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What it is, in short."""
    told = {
        "Read from": found["origin"],
        "Read as": found["read as"],
        "A row": found["form"],
        "Fingerprint": found["fingerprint"],
    }
    return [(name, one_line(text)) for name, text in told.items() if text]


def _classes(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of each class of the training rows how many rows are real and synthetic, and bars in percent of the most."""
    made = found.get("synthetic", {})
    rows = [(name, n - made.get(name, 0), made.get(name, 0)) for name, n in found["classes"].items()]
    most = max((max(real, synthetic) for _, real, synthetic in rows), default=0) or 1
    return [
        {
            "name": name,
            "real": f"{real:,}",
            "synthetic": f"{synthetic:,}",
            "rows": f"{real + synthetic:,}",
            "of_real": round(100 * real / most, 2),
            "of_synthetic": round(100 * synthetic / most, 2),
        }
        for name, real, synthetic in rows
    ]


def _imbalance(found: Mapping[str, Any]) -> list[str]:
    """How unequal the classes are, a sentence each: all training rows, and the real ones among them."""
    told = []
    for name, whose in (("imbalance", "Of all rows"), ("imbalance of real rows", "Of real rows alone")):
        of = found.get(name)
        if of and of["ratio"] == 1:
            told.append(f"{whose}, each class has equally many.")
        elif of:
            told.append(
                f"{whose}, the largest class, {quoted([one_line(of['largest'])])}, has {of['ratio']:g} times as many "
                f"as the smallest, {quoted([one_line(of['smallest'])])}."
            )
    return told


def _copies(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """Where rows are there twice, how many, and one of each."""
    if found is None:
        return {"known": False, "places": [], "examples": []}
    places = [(f"Within {one_line(split)}", f"{n:,}") for split, n in found["within"].items()]
    places += [
        (f"Of {one_line(a)} in {one_line(b)}, too", f"{n:,}")
        for a, others in found["across"].items()
        for b, n in others.items()
    ]
    places += [(f"Synthetic ones {of}", f"{n:,}") for of, n in (found["synthetic"] or {}).items() if n]
    return {"known": True, "places": places, "examples": [one_line(text) for text in found["examples"]]}


def _odd(found: Mapping[str, Any]) -> dict[str, Any]:
    """What was left out, what cannot be read, and what else should be known."""
    broken = [one_line(text) for text in found["broken"]]
    return {
        "left_out": [(one_line(reason), f"{n:,}") for reason, n in found["left out"].items()],
        "broken": broken[:_FIRST],
        "n_broken": len(broken),
        "notes": [one_line(text) for text in found["notes"]],
    }


def _sizes(sizes: Mapping[str, int]) -> dict[str, Any]:
    """The most frequent sizes, and between which others they lie; nothing of rows that have none."""
    if not sizes:
        return {}
    rows = sum(sizes.values())
    frequent = [(_spelled(size), f"{n:,}", _share(n, rows)) for size, n in list(sizes.items())[:_SIZES]]
    sides = np.array([[int(side) for side in size.split("x")] for size in sizes])
    between = [f"{low} to {high}" for low, high in zip(sides.min(axis=0), sides.max(axis=0), strict=True)]
    return {"frequent": frequent, "n": len(sizes), "heights": between[0], "widths": between[1]}


def _pictures(of: ClassRows) -> dict[str, Any]:
    most = max(len(of.real), len(of.synthetic))
    strips = {
        name: strip(images) | {"part": round(100 * len(images) / most)} if len(images) else None
        for name, images in (("real", of.real), ("synthetic", of.synthetic))
    }
    return {"name": one_line(of.name), **strips}


def _made(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the record of an output says; nothing of other data sets."""
    if "card" not in found:
        return {}
    card, record = found["card"], found["record"]
    told = {
        "Real rows": card["origin"],
        "Family": card["family"],
        "Generator": card["generator"],
        "Seed": card["seed"],
        "Splits copied as they were": ", ".join(f"{split} {n:,}" for split, n in card["copied"].items()),
        "Versions": ", ".join(f"{name} {version}" for name, version in record.get("versions", {}).items()),
    }
    parts = [
        (f"{number}", one_line(part.get("split") or "all"), f"{part['rows']:,}", part["sha256"])
        for number, part in enumerate(record.get("parts", []), 1)
    ]
    facts = [(name, one_line(str(value))) for name, value in told.items() if value not in ("", None)]
    return {"facts": facts, "parts": parts}


def _again(found: Mapping[str, Any]) -> str | None:
    command = found.get("record", {}).get("again")
    return None if command is None else one_line(command)


def _several(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _share(n: int, of: int) -> str:
    return percent(n / max(1, of))


def _spelled(size: str) -> str:
    """A size as people write it.

    >>> _spelled("28x32")
    '28 × 32'
    """
    return size.replace("x", " × ")
