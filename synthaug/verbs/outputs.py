"""What is there already: looked at, or uploaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthaug import data, files, judging, report
from synthaug.outputs import atomic_write_text, open_output
from synthaug.requests import InspectRequest, PushRequest, maker_of
from synthaug.verbs.place import is_plan, opened, path_of


def inspect(
    source: Any,
    *,
    real: Any = None,
    out: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """What something is, as plain JSON data: a data set, an output, a report or a generator; all but reports are drawn.

    With ``out``, of a generator pictures of what is inside it; of a data set and of what `expand` and `sample` wrote
    ``inspect.html``, a page that needs nothing beside it: rows of each class and split, copies, odd files, sizes, real
    rows beside synthetic ones, and what made them.

    Args:
        source: a data set as in `fit`, a generator, or the path of an output, a report or a saved generator.
        real: rows to draw a generator's samples beside, as ``dataset`` in `fit`; of its splits the training one.
        out: a new folder for the page, or the pictures.
        seed: decides what is drawn.
        device: for a saved generator.
        overwrite: replace what another request left at ``out``.

    Raises:
        InvalidRequest: a report is to be drawn, or real rows are given without pictures of a generator.
    """
    rows = None if real is None else data.training_rows(data.open_data(real))
    asked = InspectRequest(source, rows, None if out is None else Path(out), seed, device)
    found = asked.describe()
    if out is None:
        return found
    if asked.rows is not None:
        with open_output(out, asked.to_dict(), overwrite=overwrite) as place:
            if not place.finished:
                report.write_inspection(found, asked.rows, place.work, seed=asked.seed)
                place.commit()
        return found | {"out": str(out), "page": str(Path(out) / report.INSPECTION)}
    maker = maker_of(opened(source, device))
    with open_output(out, replace(asked, source=maker).to_dict(), overwrite=overwrite) as place:
        if not place.finished:
            about = report.draw(maker, place.work, data=rows, seed=asked.seed)
            atomic_write_text(place.work / "pictures.json", json.dumps(about, ensure_ascii=False))
            place.commit()
    pictures = json.loads((Path(out) / "pictures.json").read_text(encoding="utf-8"))
    return found | {"out": str(out), "pictures": pictures}


def push(
    source: Any,
    name: str,
    *,
    license: str | None = None,
    private: bool | None = None,
    include_rows: bool = False,
    token: str | None = None,
) -> str:
    """Uploads a generator, a saved one or an output to the Hugging Face Hub; returns its address.

    Args:
        source: a generator, or the path of a saved one, of a plan for its generator, or of a data set that `expand` or
            `sample` wrote.
        name: ``owner/name``.
        license: as the hub spells it, e.g. ``cc-by-4.0``; the card says that it is not stated when None.
        private: whether only its owner sees it; as the owner has set it when None.
        include_rows: let real rows leave with it.
        token: instead of the one that is logged in.

    Raises:
        InvalidRequest: real rows would leave without being asked for.
        HubError: the hub could not be reached, or refused.
    """
    path = path_of(source)
    if path is not None and is_plan(path):
        source = path / judging.PLAN_GENERATOR
    asked = PushRequest(source, name, license, private, include_rows)
    return files.push(**asked.arguments(), token=token)
