"""What makes an output again, as its record has it: the same call, on data and with a generator that lie somewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from synthaug import data
from synthaug.errors import InvalidRequest
from synthaug.requests.rows import DataRequest
from synthaug.requests.samples import ExpandRequest, SampleRequest

_SAID = {each.name for each in fields(DataRequest)}
_BYTES = ("shard_size", "real", "synthetic_only")  # what of the way of writing the bytes depend on


def call_of(asked: SampleRequest | ExpandRequest, generator: Any) -> dict[str, Any] | None:
    """The call of a request as plain JSON data; None where its data or its generator is in memory alone.

    Args:
        asked: the request.
        generator: what was given as the generator, or where the one that was trained is kept.
    """
    told: dict[str, Any] = {
        "verb": "expand" if isinstance(asked, ExpandRequest) else "sample",
        "generator": _place(generator),
        "format": asked.format,
        "seed": asked.seed,
        "writing": {name: getattr(asked.writing, name) for name in _BYTES},
    }
    if isinstance(asked, SampleRequest):
        told["counts"] = asked.generator.resolve(asked.counts)
    else:
        rows = asked.dataset
        counts = data.training_rows(rows).counts
        told["to"] = {name: counts[name] + n for name, n in asked.expansion.added.items()}
        source = _place(rows.source)
        sayable = source is not None and set(rows.said) <= _SAID
        told["data"] = {"source": source, **rows.said} if sayable else None
        told["origin"] = rows.origin
        if asked.curate:
            told |= {"curate": True, "attempts": asked.attempts}
    try:
        told = json.loads(json.dumps(told))
    except TypeError:  # something that was said is an object
        return None
    return None if None in (told["generator"], told.get("data", {})) else told


def requested(call: Mapping[str, Any] | None, where: str) -> dict[str, Any]:
    """The arguments of the verb of a recorded call, its data opened.

    Args:
        call: what `call_of` gave.
        where: the output that it is recorded of, for messages.

    Raises:
        InvalidRequest: it was not recorded, as data or generator were in memory alone.
    """
    if call is None:
        raise InvalidRequest(
            f"{where} was made of data or with a generator that lay in memory alone, or of splits that were drawn, so "
            "that its record cannot make it again. Save the generator, and give paths."
        )
    told = {name: value for name, value in call.items() if name not in ("verb", "data", "origin")}
    if (said := call.get("data")) is not None:
        said = {
            name: tuple(value) if name == "image_size" and isinstance(value, list) else value
            for name, value in said.items()
        }
        told["dataset"] = replace(DataRequest(**said).open(), origin=call["origin"])  # as it was called then
    return told


def _place(source: Any) -> str | None:
    """Where something lies, whatever the folder of the call; a name elsewhere as it is, None for what is in memory."""
    if not isinstance(source, str | os.PathLike):
        return None
    path = Path(source).expanduser()
    return os.path.abspath(path) if path.exists() else os.fspath(source)
