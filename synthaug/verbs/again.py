"""An output made again from its record."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from synthaug import files
from synthaug.errors import InvalidData, SynthaugWarning
from synthaug.files.writing import Writing
from synthaug.requests import requested
from synthaug.verbs.place import where
from synthaug.verbs.samples import expand, sample
from synthaug.wording import is_url, quoted, shown


def remake(
    output: str | Path,
    out: str | Path,
    *,
    jobs: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> Path | str:
    """The same output once more: from the record of one, and the data set and generator where they lay.

    With the versions that the record names, the bytes are the same.

    Args:
        output: what `sample` or `expand` wrote, or its url.
        out: where the new one goes, or its url.
        jobs: processes that make rows; one a core when None.
        device: for the generator.
        overwrite: replace what another request left at ``out``.
        progress: show progress on stderr; where that is no terminal, a line a minute.

    Raises:
        InvalidData: nothing that synthaug wrote is there, or its data set or generator is not.
        InvalidRequest: it was made of what was in memory alone.

    Warns:
        SynthaugWarning: the data set or the generator there is another than it was.
    """
    there = where(output)
    record = record_at(there)
    if record is None or "card" not in record:
        raise InvalidData(
            f"{shown(there)} was not written by synthaug expand or sample, so that no record says how."
        )
    told = requested(record.get(files.CALL), shown(there))
    told["writing"] = Writing(**told["writing"], jobs=jobs)
    told |= {"device": device, "overwrite": overwrite, "progress": progress}
    verb = expand if "dataset" in told else sample
    made: Path | str = verb(**told, out=out)
    now = record_at(made)
    assert now is not None, "it has just been written"
    then, now = record["request"], now["request"]
    if others := [name for name in then if then[name] != now.get(name)]:
        warnings.warn(
            f"{shown(made)} is not the same as {shown(there)}: {quoted(others)} changed since then.",
            SynthaugWarning,
            stacklevel=2,
        )
    return made


def record_at(output: str | Path) -> dict[str, Any] | None:
    """The record of an output, by its path or url; None where there is none.

    Raises:
        InvalidData: access to a url is denied, or it does not answer.
    """
    return files.remote_record(output) if is_url(output) else files.read_record(Path(output))
