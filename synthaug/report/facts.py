"""What something is, in plain facts: a data set, an output, a report or a generator."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from synthaug.data.labeled import open_data
from synthaug.data.splits import part, split_names, training_rows
from synthaug.files.formats import read_record
from synthaug.generators.artifact import MANIFEST, read_manifest
from synthaug.generators.generator import Generator


def facts_of(source: Any) -> dict[str, Any]:
    """The facts of a generator, of a report, or of a data set with its card where it has one, as plain JSON data.

    Args:
        source: a generator; the path of a saved one, of a report or of an output; or what `open_data` takes.
    """
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    if isinstance(source, Generator):
        return {"kind": "generator"} | asdict(source.about)
    if path is not None and (path / MANIFEST).is_file():
        manifest = read_manifest(path)
        return {"kind": "generator"} | {name: value for name, value in manifest.items() if name != "files"}
    if path is not None and (path / "report.json").is_file():
        told = json.loads((path / "report.json").read_text(encoding="utf-8"))
        shown = ("advice", "verdict", "rows", "setup", "generator")
        return {"kind": "report"} | {name: told[name] for name in shown}
    opened = open_data(source)
    found = {
        "kind": "data set",
        "origin": opened.origin,
        "rows": len(opened),
        "form": str(opened.form),
        "splits": {name: len(part(opened, name)) for name in split_names(opened)},
        "classes": (opened if opened.train_split is None else training_rows(opened)).counts,
    }
    record = read_record(path) if path is not None and path.exists() else None
    return found if record is None else found | {"kind": "expanded data set", "card": record["card"]}
