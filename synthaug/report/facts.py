"""What something is, in plain facts: a data set, an output, a report or a generator."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.copies import copies_of
from synthaug.data.labeled import LabeledData
from synthaug.data.opening import open_data
from synthaug.data.splits import part, split_names, training_rows
from synthaug.errors import InvalidArtifact, InvalidData
from synthaug.files.formats import CALL, read_record
from synthaug.generators.artifact import MANIFEST, described, read_generator, read_manifest
from synthaug.generators.generator import Generator
from synthaug.judging.plan import Plan
from synthaug.judging.protocol import PLAN_FILE
from synthaug.outputs import one_error


def facts_of(source: Any, opened: LabeledData | None = None) -> dict[str, Any]:
    """The facts of a generator, plan or report, or of a data set with its card where it has one, as plain JSON data.

    Args:
        source: a generator or plan; the path of a saved one, of a report or of an output; or what `open_data` takes.
        opened: its rows, where it is a data set that is open already.
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
    return _of_rows(open_data(source) if opened is None else opened, path)


def holds_rows(source: Any) -> bool:
    """Whether something is a data set or has to be one, as it is no generator, plan or report, nor the path of one."""
    if isinstance(source, str | os.PathLike):
        return not any(os.path.isfile(Path(source) / name) for name in (MANIFEST, PLAN_FILE, "report.json"))
    return not isinstance(source, Generator | Plan)


def training_part(opened: LabeledData) -> LabeledData:
    """The rows to train on; of a data set that names no split for that, all."""
    return opened if opened.train_split is None else training_rows(opened)


def _of_rows(opened: LabeledData, path: Path | None) -> dict[str, Any]:
    broken, remarks, readable = _looked_at(opened)
    sound = readable is opened
    training = training_part(opened)
    made = None if opened.synthetic is None or not opened.synthetic.any() else training.synthetic
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
        "imbalance": _imbalance(training.counts),
        "sizes": _sizes(opened, sound),
        "copies": None if readable is None else copies_of(readable),
        "fingerprint": opened.fingerprint() if sound else None,
    }
    if made is not None:
        real = training.take(np.flatnonzero(~made)).counts
        found["synthetic"] = training.take(np.flatnonzero(made)).counts
        found["imbalance of real rows"] = _imbalance(real)
    if sound and opened.form.parts():
        found["columns"] = opened.form.fitted(training.read()).parts()
    elsewhere = opened.found.url is not None
    where = opened.path if elsewhere or (path is None and opened.source is not None) else path
    record = read_record(where) if where is not None and where.exists() else None
    return found if record is None else found | _of_record(record, opened.found.url or where)


def _imbalance(counts: Mapping[str, int]) -> dict[str, Any] | None:
    """How many times as many rows the largest class has as the smallest one with rows; None of a single class."""
    there = {name: n for name, n in counts.items() if n}
    if len(there) < 2:
        return None
    largest, smallest = max(there, key=there.__getitem__), min(there, key=there.__getitem__)
    ratio = round(there[largest] / there[smallest], 2)
    return {"ratio": ratio, "largest": largest, "smallest": smallest}


def _sizes(opened: LabeledData, sound: bool) -> dict[str, int]:
    """How many rows have each size as they are stored; heads are read again only where they are not all alike."""
    size = opened.form.opening.get("image_size")
    if size is None:
        return {}
    alike = sound and not opened.resized
    return {"x".join(map(str, size)): len(opened)} if alike else opened.found.images.sizes()


def _of_record(record: Mapping[str, Any], path: Path | str | None) -> dict[str, Any]:
    """What the record of an output says, without places on the machine that made it."""
    again = f"synthaug run {shlex.quote(str(path))} --out again" if record.get(CALL) else None
    told = {name: record[name] for name in ("request", "versions", "parts") if name in record}
    return {"kind": "expanded data set", "card": record["card"], "record": told | {"again": again}}


def _looked_at(rows: LabeledData) -> tuple[list[str], list[str], LabeledData | None]:
    """Why pictures cannot be decoded, what else is to be said of the rows, a sentence each, and those that can be read.

    None can where they are of several sizes or kinds.
    """
    try:
        rows.check_images()
    except InvalidData as error:
        if not (broken := rows.broken()):
            return [], [str(error)], None
        others = rows.take(np.setdiff1d(np.arange(len(rows)), list(broken)))
        try:
            others.check_images()
        except InvalidData:
            return list(broken.values()), [], None
        return list(broken.values()), [], others if len(others) else None
    return [], rows.remarks(), rows


def _of_report(path: Path) -> dict[str, Any]:
    shown = ("advice", "verdict", "rows", "setup", "generator")
    with one_error(InvalidArtifact, f"{path} cannot be read", "Ask for the right to read it."):
        content = path.read_bytes()
    try:
        told = json.loads(content.decode())
        return {name: told[name] for name in shown}
    except (ValueError, KeyError, TypeError):
        raise InvalidArtifact(f"{path} is no report of `synthaug evaluate`. Evaluate again.") from None
