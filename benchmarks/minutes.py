"""Minutes that were asked for, and minutes that a fit took, on an idle machine and on one that others slow down.

python benchmarks/minutes.py

Beside the training run busy loops, none, one or two, which begin and end at times that the seed decides. Everything
counts that a call of ``fit`` does, on the bundled Fashion-MNIST at 50 rows a class. Kept are the cells of other minutes
that were measured before.
"""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
import warnings
from pathlib import Path

import click
import numpy as np
import torch
from record import RESULTS, write_results

import synthaug
from synthaug.data import part
from synthaug.families import FAMILIES


def _busy() -> None:
    while True:
        pass


def _beside(loops: int, seconds: float, seed: int) -> threading.Thread | None:
    """Busy loops from a time on, up to another one, both within the time that was asked for."""
    if not loops:
        return None
    begin, end = np.sort(np.random.default_rng(seed).random(2)) * seconds

    def run() -> None:
        time.sleep(begin)
        processes = [
            multiprocessing.get_context("spawn").Process(target=_busy, daemon=True) for _ in range(loops)
        ]
        for process in processes:
            process.start()
        time.sleep(end - begin)
        for process in processes:
            process.kill()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@click.command()
@click.option("--minutes", type=float, multiple=True, default=(1.0, 3.0), show_default=True)
@click.option("--family", "families", multiple=True, default=tuple(FAMILIES), show_default=True)
@click.option("--threads", default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "minutes.json")
def main(minutes: tuple[float, ...], families: tuple[str, ...], threads: int, out: Path) -> None:
    """Measure how far minutes are a promise."""
    torch.set_num_threads(threads)
    whole = part(synthaug.open_data("bundled:fashion-mnist"), "train")
    rows = np.concatenate([np.flatnonzero(whole.labels == k)[:50] for k in range(len(whole.classes))])
    data = whole.take(np.sort(rows))
    before = json.loads(out.read_text())["cells"] if out.exists() else []
    cells = [cell for cell in before if cell["asked"] not in minutes]
    for seed, (asked, family, loops) in enumerate(
        (m, f, n) for m in minutes for f in families for n in range(3)
    ):
        load = _beside(loops, 60 * asked, seed)
        started = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", synthaug.SynthaugWarning)
            made = synthaug.fit(data, family, minutes=asked, progress=False)
        took = (time.monotonic() - started) / 60
        if load is not None:
            load.join()
        cell = {"family": family, "asked": asked, "loops": loops, "took": round(took, 3), "steps": made.steps}
        cells.append(cell)
        click.echo(
            f"{family}, {asked:g} minutes, {loops} busy loops: {took / asked:.2f} of it, {made.steps} steps"
        )
        write_results(out, {"threads": threads, "cells": cells})


if __name__ == "__main__":
    main()
