"""A number without commit, hardware and versions is no result: this writes them beside it, replicate by replicate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import click
from cells import Cell

from synthaug.outputs import environment

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Due:
    """A replicate that is still to be made: of this cell, with this seed."""

    cell: Cell
    seed: int
    file: Path
    budget: dict[str, Any]
    done: list[dict[str, Any]]
    started: float = field(default_factory=time.monotonic)

    def keep(self, replicate: dict[str, Any], brief: str) -> None:
        """Writes the replicate behind the others of its cell, and tells of it."""
        cell = {"cell": self.cell.name, "budget": self.budget, "replicates": [*self.done, replicate]}
        write_results(self.file, cell)
        click.echo(f"{self.cell.name} {self.seed}: {time.monotonic() - self.started:.0f} s, {brief}")


def replicates_due(
    cells: Iterable[Cell], folder: Path, budget: dict[str, Any], replicates: int
) -> Iterator[Due]:
    """What a folder lacks, every cell's first replicate before any cell's second; a stopped run goes on where it was.

    Replicates that were made with another budget are made anew; a cell's settings are part of its budget.
    """
    cells = list(cells)
    _commit()
    for seed in range(replicates):
        for cell in cells:
            file, wanted = folder / f"{cell.name}.json", budget | dict(cell.settings)
            known = json.loads(file.read_text()) if file.exists() else {}
            done = known["replicates"] if known.get("budget") == wanted else []
            if len(done) <= seed:
                yield Due(cell, seed, file, wanted, done)


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Writes results as JSON with the command, the commit and the machine that made them."""
    about = {
        "command": " ".join(["python", *_arguments(sys.argv)]),
        "commit": _commit(),
        "cores": os.cpu_count(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "environment": environment(), **results}, indent=1) + "\n")


def _arguments(given: list[str]) -> list[str]:
    """The arguments, without where the real data lie on this machine."""
    return [
        "DATA" if before == "--folder" else each for before, each in zip(["", *given], given, strict=False)
    ]


@cache
def _commit() -> str:
    """The commit, marked where code differs from it; results may, as they are written while benchmarks run.

    It is that of the first time that it is asked for: code that changes on disk later is not what runs.
    """
    commit = subprocess.run(["git", "describe", "--always"], capture_output=True, text=True, check=True)
    apart = (":(top,exclude)benchmarks/results", ":(top,exclude)README.md")
    code = ["git", "diff", "--quiet", "HEAD", "--", ":/", *apart]
    changed = subprocess.run(code, check=False).returncode != 0
    return commit.stdout.strip() + ("-dirty" if changed else "")
