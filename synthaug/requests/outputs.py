"""What is there already: to be uploaded, or looked at."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
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
        out: folder for a page on a data set or an output, or for pictures of what is inside a generator.
        seed: the only source of randomness.
        device: auto, cpu, cuda, ...
    """

    source: Any
    real: data.LabeledData | None = None
    out: Path | None = None
    seed: int = 0
    device: str = "auto"

    @cached_property
    def rows(self) -> data.LabeledData | None:
        """The rows of a data set, opened once; None where the source is something else."""
        return data.open_data(self.source) if report.holds_rows(self.source) else None

    @cached_property
    def found(self) -> dict[str, Any]:
        """What is there."""
        return report.facts_of(self.source, self.rows)

    def describe(self) -> dict[str, Any]:
        """What is there; raises what drawing it would raise before it begins."""
        if self.out is None and self.real is not None:
            raise InvalidRequest("Real rows are for the pictures of a generator: give out= (--out) too.")
        if self.out is not None:
            kind = self.found["kind"]
            if kind == "report":
                raise InvalidRequest(
                    f"Generators and data sets are drawn; {self.source} is a report, which has a page of its own."
                )
            if self.rows is not None and self.real is not None:
                raise InvalidRequest(
                    f"Real rows are for the pictures of a generator; {self.source} is a {kind}."
                )
            self.require_apart(self.out)
        if self.real is not None:
            data.require_original(self.real, "rows to show samples beside")
        return self.found

    def to_dict(self) -> dict[str, Any]:  # noqa: D102
        if self.rows is not None:
            facts = json.dumps(self.found, sort_keys=True)
            return {"page": hashlib.sha256(facts.encode()).hexdigest(), "seed": self.seed}
        drawn = self.source.identity
        real = fingerprint_of(self.real)
        return {"draw": drawn["generator"], "kept": drawn["kept"], "real": real, "seed": self.seed}
