"""How rows are written: in which runs, by how many processes, and on which machines."""

from __future__ import annotations

import re
from dataclasses import dataclass

from synthaug.errors import InvalidRequest
from synthaug.files.engines import HERE, engine_of
from synthaug.wording import did_you_mean

PIXELS, COPIED, LINKED = "pixels", "copied", "linked"
"""How real pictures are kept."""

_REAL = (PIXELS, COPIED, LINKED)
_SHARD = re.compile(r"(\d{1,9})/(\d{1,9})")


@dataclass(frozen=True)
class Writing:
    """How an output is written; equal rows give equal bytes, however that is done.

    Attributes:
        shard_size: rows that are made and kept together, and in a file of formats with several. A call that was killed
            goes on after the last that are whole.
        jobs: processes that make rows; without it one a core, where there is enough to do.
        engine: what makes them: local, or ray, on the cluster of RAY_ADDRESS or on this machine.
        shard: i/N, from 0/N to N-1/N: make one share of the output. N such calls, on machines that see the same
            folder, make it together; the one that ends last puts it there.
        real: how real pictures are kept: pixels, as PNG like synthetic ones; copied, the files that they are, byte by
            byte; linked, in a folder these very files under a further name (hard links), which take no room.
        synthetic_only: leave the real rows out.
    """

    shard_size: int = 5000
    jobs: int | None = None
    engine: str = HERE
    shard: str | None = None
    real: str = PIXELS
    synthetic_only: bool = False

    def __post_init__(self) -> None:
        engine_of(self.engine)
        if self.real not in _REAL:
            raise InvalidRequest(f'Real rows "{self.real}" were asked for.{did_you_mean(self.real, _REAL)}')
        if self.shard_size < 1:
            raise InvalidRequest(f"A shard size of {self.shard_size} was asked for. Give 1 or more rows.")
        if self.jobs is not None and self.jobs < 1:
            raise InvalidRequest(f"{self.jobs} processes were asked for. Give 1 or more.")
        if self.shard is not None:
            found = _SHARD.fullmatch(self.shard)
            if found is None or not int(found[1]) < int(found[2]):
                raise InvalidRequest(
                    f'The share "{self.shard}" was asked for. Of four, write 0/4, 1/4, 2/4 or 3/4.'
                )

    @property
    def share(self) -> tuple[int, int] | None:
        """Which share of how many is made here; None where all is."""
        found = None if self.shard is None else _SHARD.fullmatch(self.shard)
        return None if found is None else (int(found[1]), int(found[2]))


USUAL_WRITING = Writing()
"""How rows are written unless it is said otherwise."""
