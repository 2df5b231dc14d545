"""What something is, in plain facts: a data set, an output, a report or a generator."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from synthaug.data.labeled import LabeledData, open_data
from synthaug.data.splits import part, split_names, training_rows
from synthaug.errors import InvalidArtifact, InvalidData
from synthaug.files.formats import read_record
from synthaug.generators.artifact import MANIFEST, described, read_generator, read_manifest
from synthaug.generators.generator import Generator
from synthaug.judging.plan import Plan
from synthaug.judging.protocol import PLAN_FILE
from synthaug.outputs import one_error


def facts_of(source: Any) -> dict[str, Any]:
    """The facts of a generator, plan or report, or of a data set with its card where it has one, as plain JSON data.

    Args:
        source: a generator or plan; the path of a saved one, of a report or of an output; or what `open_data` takes.
    """
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    if isinstance(source, Generator):
        manifest: dict[str, Any] = json.loads(json.dumps(described(source)))
        parts = source.form.parts()
        told = {"form": str(source.form), "columns": parts} if parts else {"form": manifest["form"]}
        about = {"kind": "generator", "fingerprint": source.fingerprint, "rows": str(source.form)}
        return about | manifest | told
    if path is not None and os.path.isfile(path / MANIFEST):
        return facts_of(read_generator(path)) | {"libraries": read_manifest(path)["libraries"]}
    if isinstance(source, Plan):
        return {"kind": "plan"} | source.to_dict()
    if path is not None and os.path.isfile(path / PLAN_FILE):
        return facts_of(Plan.load(path))
    if path is not None and os.path.isfile(path / "report.json"):
        return {"kind": "report"} | _of_report(path / "report.json")
    opened = open_data(source)
    broken, remarks = _looked_at(opened)
    training = opened if opened.train_split is None else training_rows(opened)
    found = {
        "kind": "data set",
        "origin": opened.origin,
        "rows": len(opened),
        "form": str(opened.form),
        "read as": opened.reading.layout,
        "left out": dict(opened.reading.left_out),
        "notes": [*opened.reading.notes, *remarks],
        "broken": broken,
        "splits": {name: len(part(opened, name)) for name in split_names(opened)},
        "classes": training.counts,
    }
    if not broken and opened.form.parts():
        found["columns"] = opened.form.fitted(training.read()).parts()
    path = path if opened.found.url is None else opened.path
    record = read_record(path) if path is not None and path.exists() else None
    return found if record is None else found | {"kind": "expanded data set", "card": record["card"]}


def _looked_at(rows: LabeledData) -> tuple[list[str], list[str]]:
    """Why pictures cannot be decoded, and what else is to be said of the rows, a sentence each."""
    try:
        rows.check_images()
    except InvalidData as error:
        broken = list(rows.broken().values())
        return broken, [] if broken else [str(error)]  # of several sizes or kinds
    return [], rows.remarks()


def _of_report(path: Path) -> dict[str, Any]:
    shown = ("advice", "verdict", "rows", "setup", "generator")
    with one_error(InvalidArtifact, f"{path} cannot be read", "Ask for the right to read it."):
        content = path.read_bytes()
    try:
        told = json.loads(content.decode())
        return {name: told[name] for name in shown}
    except (ValueError, KeyError, TypeError):
        raise InvalidArtifact(f"{path} is no report of `synthaug evaluate`. Evaluate again.") from None
