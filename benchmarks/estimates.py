"""The time that is said before a training, and the time that it takes, from 28 to 224 pixels and for tables.

python benchmarks/estimates.py

What is said is what ``fit --dry-run`` says, and what the refusal of large images goes by; what is taken is all that the
call of ``fit`` takes. The bundled Fashion-MNIST at 50 rows a class is brought to each size, the table is the breast
cancer data of scikit-learn, and steps are few where they take long. The same machine, one right after the other.

Where others use the machine, it may be busier while one of the two is measured. So the share of a processor that the
process had is kept for both: seconds times that share are seconds of the processor.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from record import RESULTS, write_results
from sklearn.datasets import load_breast_cancer

import synthaug
from synthaug.data import part
from synthaug.training import Training

STEPS = {28: 80, 64: 20, 128: 6, 224: 3}
TABLE_STEPS = 400


def _pictures(side: int) -> synthaug.LabeledData:
    whole = part(synthaug.open_data("bundled:fashion-mnist", image_size=side), "train")
    rows = np.concatenate([np.flatnonzero(whole.labels == k)[:50] for k in range(len(whole.classes))])
    return whole.take(np.sort(rows))


def _measured(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """What came of it, the seconds it took, and the share of one processor that it had."""
    wall, own = time.monotonic(), time.process_time()
    found = run()
    wall = time.monotonic() - wall
    return found, wall, (time.process_time() - own) / wall


def _told(name: str, data: synthaug.LabeledData, family: str, steps: int) -> dict[str, Any]:
    """A cell: seconds that were said, and seconds that were taken."""
    told, _, while_asked = _measured(lambda: Training(family, steps=steps).forecast(data))
    _, took, while_trained = _measured(lambda: synthaug.fit(data, family, steps=steps, progress=False))
    click.echo(f"{name}, {family}, {steps} steps: {told.seconds:.1f} s said, {took:.1f} s taken")
    shares = {"share_when_said": round(while_asked, 3), "share_when_taken": round(while_trained, 3)}
    return {
        "rows": name,
        "family": family,
        "steps": steps,
        "said": round(told.seconds, 2),
        "took": round(took, 2),
        **shares,
    }


@click.command()
@click.option("--threads", default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "estimates.json")
def main(threads: int, out: Path) -> None:
    """Measure how right the time is that is said before a training."""
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore", synthaug.SynthaugWarning)
    cells = []
    for side, steps in STEPS.items():
        data = _pictures(side)
        for family in ("cvae", "cgan", "warp"):
            cells.append(_told(f"{side}x{side}", data, family, steps))
            write_results(out, {"threads": threads, "cells": cells})
    table = synthaug.open_data(load_breast_cancer(as_frame=True).frame, label="target")
    for family in ("cvae", "cgan"):
        cells.append(_told("table, 30 columns", table, family, TABLE_STEPS))
        write_results(out, {"threads": threads, "cells": cells})


if __name__ == "__main__":
    main()
