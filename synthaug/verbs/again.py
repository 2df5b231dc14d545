"""An output made again from its record."""

from __future__ import annotations

import warnings
from pathlib import Path

from synthaug import files
from synthaug.errors import InvalidData, SynthaugWarning
from synthaug.files.writing import Writing
from synthaug.requests import requested
from synthaug.verbs.samples import expand, sample
from synthaug.wording import quoted


def remake(
    output: str | Path,
    out: str | Path,
    *,
    jobs: int | None = None,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """The same output once more: from the record of one, and the data set and generator where they lay.

    With the versions that the record names, the bytes are the same.

    Args:
        output: what `sample` or `expand` wrote.
        out: where the new one goes.
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
    there = Path(output)
    record = files.read_record(there)
    if record is None or "card" not in record:
        raise InvalidData(
            f"{there} was not written by synthaug expand or sample, so that no record says how."
        )
    told = requested(record.get(files.CALL), there)
    told["writing"] = Writing(**told["writing"], jobs=jobs)
    told |= {"device": device, "overwrite": overwrite, "progress": progress}
    verb = expand if "dataset" in told else sample
    made: Path = verb(**told, out=out)
    now = files.read_record(made)
    assert now is not None, "it has just been written"
    then, now = record["request"], now["request"]
    if others := [name for name in then if then[name] != now.get(name)]:
        warnings.warn(
            f"{made} is not the same as {there}: {quoted(others)} changed since then.",
            SynthaugWarning,
            stacklevel=2,
        )
    return made
