"""What do tables cost: seconds to fit `cvae` and sample as many rows as it saw, memory, and mixing into a loader?

Census rows (numbers, categories, missing cells) and vectors of 512 numbers, each fitted with its defaults in a process
of its own, of as many threads as it takes by itself; memory is the most that this process held, over what it held once
everything was imported. Mixing: an epoch over tensors in memory with a quarter of its rows synthetic, over the plain
loader's, no training step, in turns.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from cells import Cell, Run
from experiment import Experiment
from experiments.tabular import opened
from tables import table
from torch.utils.data import DataLoader, TensorDataset

import synthaug
from synthaug import LabeledData, open_data

SIZES = {"adult": (200, 2000, 20_000), "vectors": (200, 2000)}
WIDTH, BATCH, EPOCHS = 512, 64, 7


def _data(name: str, rows: int, folder: Path | None, seed: int) -> LabeledData:
    if name == "adult":
        return opened(name, folder, seed, rows)[0]
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 10
    centres = rng.normal(size=(10, WIDTH))
    return open_data(((centres[labels] + rng.normal(size=(rows, WIDTH))).astype(np.float32), labels))


def _held() -> float:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _fitted(name: str, rows: int, folder: Path | None, seed: int) -> dict[str, float]:
    """Seconds and memory of a fit and of sampling."""
    few = _data(name, 60, folder, seed)
    synthaug.fit(few, steps=2, progress=False).sample(2)  # everything is imported
    data = _data(name, rows, folder, seed)
    before, started = _held(), time.perf_counter()
    maker = synthaug.fit(data, seed=seed, progress=False)
    between = time.perf_counter()
    maker.sample(data.counts, seed=seed)
    return {
        "fit": between - started,
        "sample": time.perf_counter() - between,
        "memory": _held() - before,
    }


def _mixing(seed: int) -> float:
    """The time of a mixed epoch over that of a plain one."""
    data = _data("vectors", 2000, None, seed)
    maker = synthaug.fit(data, steps=20, progress=False)
    rows, labels = torch.from_numpy(data.read()).repeat(5, 1), torch.from_numpy(data.labels).repeat(5)
    loader = DataLoader(TensorDataset(rows, labels), BATCH, shuffle=True)
    mixed = synthaug.mix(loader, maker.sample(100, seed=seed), ratio=0.25, seed=seed)

    def seconds(batches: Any) -> float:
        started = time.perf_counter()
        for _ in batches:
            pass
        return time.perf_counter() - started

    seconds(mixed)
    return median(seconds(mixed) / seconds(loader) for _ in range(EPOCHS))


def replicate(run: Run) -> dict[str, Any]:
    """Seconds, megabytes, and of vectors what mixing costs."""
    name, rows = (run.cell.settings[of] for of in ("data", "rows"))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: dict[str, Any] = pool.apply(_fitted, (name, rows, run.folder, run.seed))
    return found | ({"mixing": _mixing(run.seed)} if name == "vectors" else {})


def brief(found: Mapping[str, Any]) -> str:
    """All of it."""
    return ", ".join(f"{what} {value:.2f}" for what, value in found.items())


def table_costs(cells: Sequence[Mapping[str, Any]]) -> str:
    """A line for each size."""
    lines = []
    for cell in cells:
        made = cell["replicates"]
        mixing = [of["mixing"] for of in made if "mixing" in of]
        lines.append(
            [
                cell["budget"]["data"],
                f"{cell['budget']['rows']:,}",
                *(f"{median(of[what] for of in made):.1f}" for what in ("fit", "sample")),
                f"{median(of['memory'] for of in made):.0f}",
                f"{median(mixing):.2f}" if mixing else "–",
            ]
        )
    titles = ["data", "rows", "seconds to fit", "to sample as many", "MB", "mixed epoch / plain"]
    return "\n".join(
        [
            "## What tables cost",
            "",
            f"`cvae` with its defaults, medians of {len(cells[0]['replicates'])} on {cells[0]['cores']} cores, which "
            "others may have used as well ([results](table_costs), [how](../experiments/table_costs.py)).",
            "",
            *table(titles, lines),
        ]
    )


EXPERIMENT = Experiment(
    cells=[
        Cell(f"{name}-{rows}", name, settings={"data": name, "rows": rows})
        for name, sizes in SIZES.items()
        for rows in sizes
    ],
    replicate=replicate,
    budget={"width": WIDTH, "batch": BATCH, "epochs": EPOCHS, "replicates": 3},
    replicates=3,
    results="table_costs",
    brief=brief,
    table=table_costs,
)
