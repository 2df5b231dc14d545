"""What an experiment declares."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cells import Cell, Run
from record import RESULTS


@dataclass(frozen=True)
class Experiment:
    """Cells, and what is done with each replicate of one.

    Attributes:
        cells: what is varied.
        replicate: a replicate to plain JSON data.
        budget: what results depend on beside the code; those of another budget are made anew.
        replicates: how many are wanted of each cell.
        results: the folder of results, below ``results``.
        brief: a line on a replicate, for the terminal.
        table: what has been found, as Markdown; it is given the cells that have results.
    """

    cells: Sequence[Cell]
    replicate: Callable[[Run], dict[str, Any]]
    budget: dict[str, Any]
    replicates: int
    results: str
    brief: Callable[[dict[str, Any]], str]
    table: Callable[[list[dict[str, Any]]], str]

    def found(self) -> list[dict[str, Any]]:
        """The cells that have results, in the order of their declaration."""
        files = [RESULTS / self.results / f"{cell.name}.json" for cell in self.cells]
        return [json.loads(file.read_text()) for file in files if file.exists()]

    def render(self) -> str:
        """The table; empty where there are no results yet."""
        found = self.found()
        return self.table(found) if found else ""
