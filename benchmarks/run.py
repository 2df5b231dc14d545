"""Runs an experiment, or goes on with one that was stopped; every replicate is kept as it ends.

python benchmarks/run.py gains --folder DATA
python benchmarks/render.py
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import click
import torch

sys.path.insert(0, str(Path(__file__).parent))

from cells import Run
from experiment import Experiment
from record import RESULTS, replicates_due

NAMES = sorted(path.stem for path in (Path(__file__).parent / "experiments").glob("[a-z]*.py"))


def find(name: str) -> Experiment:
    """The experiment of this name."""
    found: Experiment = import_module(f"experiments.{name}").EXPERIMENT
    return found


@click.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=lambda: os.environ.get("SYNTHAUG_DATA"),
    help="Of real data; SYNTHAUG_DATA without it.",
)
@click.option(
    "--replicates", type=int, help="How many to come to in this run; all that are wanted without it."
)
@click.option("--cell", "names", multiple=True, help="Only cells of this name; may be given again.")
@click.option("--jobs", default=1, show_default=True, help="Processes of a choice.")
def main(name: str, folder: Path | None, replicates: int | None, names: tuple[str, ...], jobs: int) -> None:
    """Run the experiment NAME."""
    torch.set_num_threads(1)
    experiment = find(name)
    known = [cell.name for cell in experiment.cells]
    if unknown := set(names) - set(known):
        raise click.UsageError(f"There is no cell {', '.join(unknown)}; there are {', '.join(known)}.")
    cells = [cell for cell in experiment.cells if not names or cell.name in names]
    wanted = replicates or experiment.replicates
    for due in replicates_due(cells, RESULTS / experiment.results, experiment.budget, wanted):
        found = experiment.replicate(Run(due.cell, due.seed, folder, jobs, due.done))
        due.keep(found, experiment.brief(found))


if __name__ == "__main__":
    main()
