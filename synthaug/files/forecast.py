"""What writing an output will take, measured on a little of it that is thrown away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from synthaug.files.parts import Part
from synthaug.files.shards import Piece, Shard
from synthaug.files.write import Content, Place, Work
from synthaug.files.writing import LINKED

_LITTLE, _MOST = 32, 2048  # rows
_SECONDS = 1.0


@dataclass(frozen=True)
class Forecast:
    """What an output is expected to take, if the machine stays as busy as it is.

    Attributes:
        rows: in all.
        bytes: on disk.
        seconds: of wall time.
        jobs: processes that make synthetic rows.
    """

    rows: int
    bytes: float
    seconds: float
    jobs: int


def foretell(content: Content, place: Place) -> Forecast:
    """What `write` will take.

    Raises:
        InvalidRequest: as `write` does.
    """
    format = content.format(place)
    with tempfile.TemporaryDirectory() as folder:
        work = Work.of(content, format, place.writing, Path(folder))
        synthetic = [shard for shard in work.shards if not shard.real]
        jobs = work.jobs(place.writing, len(synthetic))
        made = _per_row(work.made_part, synthetic)
        apart = replace(work, parts=work.parts / "real")  # both are numbered alike
        linked = (
            place.writing.real == LINKED
        )  # takes no room, and may not be possible in a folder of this kind
        real = (0.0, 0.0) if linked else _per_row(apart.real_part, [s for s in work.shards if s.real])
    rows = sum(shard.rows for shard in synthetic), sum(shard.rows for shard in work.shards if shard.real)
    size = rows[0] * made[1] + rows[1] * real[1]
    return Forecast(sum(rows), size, rows[0] * made[0] / jobs + rows[1] * real[0], jobs)


def _per_row(make: Callable[[Shard], Part], shards: Iterable[Shard]) -> tuple[float, float]:
    """Seconds and bytes of a row, from parts of more and more rows of the first shard, until one takes a second."""
    first = next(iter(shards), None)
    if first is None:
        return 0.0, 0.0
    piece, size, took, part = first.pieces[0], _LITTLE, 0.0, None
    for number in range(1, 12):  # the first part is slower
        few = Piece(piece.name, piece.first, min(size, piece.count))
        started = time.monotonic()
        part = make(Shard(-number, first.split, first.stem, (few,)))
        took = time.monotonic() - started
        if number > 1 and (took > _SECONDS or few.count == min(piece.count, _MOST)):
            break
        size *= 2
    assert part is not None, "at least one was made"
    written = sum(part.path(name).stat().st_size for name in part.files)
    return took / part.rows, written / part.rows
