"""A number without commit, hardware and versions is not a result: this writes them beside it, one by one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import click

from synthaug.judging.evaluation import environment


class Named(Protocol):
    """A cell of a benchmark."""

    @property
    def name(self) -> str:
        """Its file's name, without the suffix."""


C = TypeVar("C", bound=Named)


@dataclass(frozen=True)
class Due(Generic[C]):
    """A replicate that is still to be made: of this cell, with this seed."""

    cell: C
    seed: int
    file: Path
    budget: dict[str, Any]
    done: list[dict[str, Any]]
    started: float = field(default_factory=time.monotonic)

    def keep(self, replicate: dict[str, Any], brief: str, **more: Any) -> None:
        """Writes the replicate behind the others of its cell, with what else belongs there, and tells of it."""
        cell = {"cell": self.cell.name, "budget": self.budget, **more}
        write_results(self.file, cell | {"replicates": [*self.done, replicate]})
        click.echo(f"{self.cell.name} {self.seed}: {time.monotonic() - self.started:.0f} s, {brief}")


def replicates_due(
    cells: Iterable[C], folder: Path, budget: dict[str, Any], replicates: int
) -> Iterator[Due[C]]:
    """What a folder lacks, every cell's first replicate before any cell's second; a stopped run goes on where it was.

    Replicates that were made with another budget are made anew.
    """
    cells = list(cells)
    for seed in range(replicates):
        for cell in cells:
            file = folder / f"{cell.name}.json"
            known = json.loads(file.read_text()) if file.exists() else {}
            done = known["replicates"] if known.get("budget") == budget else []
            if len(done) <= seed:
                yield Due(cell, seed, file, budget, done)


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Writes results as JSON with the command, the commit and the machine that made them."""
    about = {
        "command": " ".join(["python", *sys.argv]),
        "commit": _commit(),
        "cores": os.cpu_count(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "environment": environment(), **results}, indent=1) + "\n")


def _commit() -> str:
    """The commit, marked where code differs from it; results may, as they are written while benchmarks run."""
    commit = subprocess.run(["git", "describe", "--always"], capture_output=True, text=True, check=True)
    code = [
        "git",
        "diff",
        "--quiet",
        "HEAD",
        "--",
        ":/",
        ":(top,exclude)benchmarks/results",
        ":(top,exclude)README.md",
    ]
    changed = subprocess.run(code, check=False).returncode != 0
    return commit.stdout.strip() + ("-dirty" if changed else "")
