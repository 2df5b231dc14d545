"""What is there already: to be uploaded, or looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthaug import data, files, report
from synthaug.errors import InvalidRequest
from synthaug.requests.base import Request, fingerprint_of


@dataclass(frozen=True)
class PushRequest(Request):
    """A generator or a data set to upload to the Hugging Face Hub.

    Attributes:
        source: a saved generator or an output.
        name: OWNER/NAME.
        license: as the hub spells it, e.g. cc-by-4.0; the card says it is not stated without it.
        private: seen by its owner only.
        include_rows: let real rows leave with it.
    """

    source: Any
    name: str
    license: str | None = None
    private: bool | None = None
    include_rows: bool = False

    def describe(self) -> dict[str, Any]:  # noqa: D102
        with files.staged(self.source, self.name, self.license, self.include_rows) as (folder, kind):
            names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        return {"push": str(self.source), "to": self.name, "kind": kind, "files": names}


@dataclass(frozen=True)
class InspectRequest(Request):
    """What is at a place, to be said and drawn.

    Attributes:
        source: a data set, a saved generator or an output.
        real: rows to show a generator's samples beside.
        out: folder for pictures of what is inside a generator.
        seed: the only source of randomness.
        device: auto, cpu, cuda, ...
    """

    source: Any
    real: data.LabeledData | None = None
    out: Path | None = None
    seed: int = 0
    device: str = "auto"

    def describe(self) -> dict[str, Any]:
        """What is there; raises what drawing it would raise before it begins."""
        if self.out is None and self.real is not None:
            raise InvalidRequest("Real rows are for the pictures of a generator: give out= (--out) too.")
        found = report.facts_of(self.source)
        if self.out is not None:
            if found["kind"] not in ("generator", "plan"):
                raise InvalidRequest(f"Pictures are drawn of generators; {self.source} is a {found['kind']}.")
            self.require_apart(self.out)
        if self.real is not None:
            data.require_original(self.real, "rows to show samples beside")
        return found

    def to_dict(self) -> dict[str, Any]:  # noqa: D102
        drawn = self.source.identity
        real = fingerprint_of(self.real)
        return {"draw": drawn["generator"], "kept": drawn["kept"], "real": real, "seed": self.seed}
