"""How good are samples in colour? As `generators`, on CIFAR-10 and on clothing at 64x64, ten minutes on one thread."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cells import Cell
from experiments.generators import EXPERIMENT as GENERATORS
from tables import table

MINUTES = 10.0


def colour(cells: list[dict[str, Any]]) -> str:
    """A line for each data set and family, for the page of results."""
    rows = []
    for cell in cells:
        data, _, family = cell["cell"].rpartition("-")
        for of in cell["replicates"]:
            names = ("agreement", "classifier_accuracy", "diversity", "lowest_class_diversity", "novelty")
            rows.append([data, family, f"{of['seconds'] / 60:.0f}", *(f"{of[name]:.2f}" for name in names)])
    titles = ["data", "family", "minutes", "label agreement", "real accuracy", "diversity", "lowest class"]
    return "\n".join(
        [
            "## Colour",
            "",
            "After a few minutes on one thread, one seed: label agreement and diversity relative to real rows, the "
            "diversity of the class that varies least, and the distance to the nearest training row ([CIFAR-10, 500 "
            "rows a class](colour), [clothing at 64x64](colour); pictures: [CIFAR-10 cvae](cifar10-cvae.png), "
            "[cgan](cifar10-cgan.png), [clothing cvae](clothing64-cvae.png), [cgan](clothing64-cgan.png)):",
            "",
            *table([*titles, "distance"], rows, left=(0, 1)),
        ]
    )


EXPERIMENT = replace(
    GENERATORS,
    cells=[
        Cell(
            f"{data}-{family}",
            data,
            own_splits=True,
            settings={"family": family, "minutes": MINUTES, "threads": 1},
        )
        for data in ("cifar10", "clothing64")
        for family in ("cvae", "cgan")
    ],
    results="colour",
    table=colour,
)
