"""Benchmarks are declared, and every table that is shown is what the kept results say."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import render
import run
from cells import Cell
from click.testing import CliRunner
from record import replicates_due
from render import README, RESULTS


@pytest.mark.parametrize("name", run.NAMES)
def test_every_experiment_says_what_it_asks_and_has_kept_results(name: str) -> None:
    experiment = run.find(name)
    module = sys.modules[f"experiments.{name}"]
    assert (module.__doc__ or "").strip()
    assert len({cell.name for cell in experiment.cells}) == len(list(experiment.cells))
    files = {file.stem for file in (RESULTS / experiment.results).glob("*.json")}
    assert files <= {cell.name for cell in experiment.cells}, "results of a cell that is declared no longer"


def test_the_pages_are_what_the_results_say() -> None:
    assert (RESULTS / "README.md").read_text() == render.page()
    assert render.first_page() in README.read_text()


def test_kept_results_name_what_made_them() -> None:
    for file in RESULTS.rglob("*.json"):
        kept = json.loads(file.read_text())
        assert {"command", "commit", "environment"} <= kept.keys(), file


def test_an_unknown_cell_is_refused_with_those_that_there_are() -> None:
    answer = CliRunner().invoke(run.main, ["gains", "--cell", "mnsit-5"])
    assert answer.exit_code == 2
    assert "mnist-5" in answer.output


def test_a_stopped_run_goes_on_and_another_budget_starts_anew(tmp_path: Path) -> None:
    cells, budget = [Cell("a", "x"), Cell("b", "x")], {"steps": 3}
    made = []
    for due in replicates_due(cells, tmp_path, budget, 2):
        made.append((due.cell.name, due.seed))
        due.keep({"seed": due.seed}, "")
        if len(made) == 3:
            break
    assert made == [("a", 0), ("b", 0), ("a", 1)]
    assert [(due.cell.name, due.seed) for due in replicates_due(cells, tmp_path, budget, 2)] == [("b", 1)]
    assert len(list(replicates_due(cells[:1], tmp_path, {"steps": 4}, 1))) == 1
