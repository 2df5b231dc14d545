"""What expanding on disk takes: rows a second beside sampling and encoding alone, and memory at two sizes.

python benchmarks/expansion.py --folder DATA

Each expansion is a run of the command line, with two processes, once with few rows and once with many. Memory is the
sum over all its processes, shared pages divided among them, looked at five times a second. The time of a row is that
of the processor, which others on the machine do not change: what the many rows take more than the few, so without
imports and without the real rows, over what one process takes to sample and encode such rows in memory.
"""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from record import RESULTS, write_results

import synthaug
from synthaug.data import rows_to_add, training_rows
from synthaug.generators import synthetic_provenance
from synthaug.modalities.image import ImageForm

CELLS: tuple[tuple[str, str, str, dict[str, Any], tuple[str, str]], ...] = (
    ("MNIST", "mnist.parquet", "shards", {"family": "cvae", "steps": 20}, ("2x", "20000")),
    ("clothing at 64x64", "clothing64.parquet", "shards", {"family": "cvae", "steps": 5}, ("300", "balance")),
    ("census", "adult.parquet", "parquet", {"family": "cvae", "steps": 50}, ("30000", "75000")),
)
"""Name, file, format, the generator, and final totals of the few rows and of the many."""

SHARD = 2500  # rows of a shard: fewer are made by one process
ALONE = 2048  # rows that are sampled and encoded in memory


def expanded(data: Path, generator: Path, to: str, out: Path, format: str) -> dict[str, float]:
    """A run of the command line: seconds of the clock and of processors, and the most memory of all its processes."""
    words = [
        sys.executable,
        "-m",
        "synthaug.cli",
        "expand",
        str(data),
        "--generator",
        str(generator),
        "--to",
        to,
    ]
    words += ["--out", str(out), "--format", format, "--jobs", "2", "--shard-size", str(SHARD), "-q"]
    before, started, most = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0.0
    run = subprocess.Popen(words, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while run.poll() is None:
        most = max(most, sum(map(_megabytes, _tree(run.pid))))
        time.sleep(0.2)
    if run.returncode:
        raise click.ClickException(f"{' '.join(words)} ended with {run.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.monotonic() - started, "processor": took, "megabytes": most}


def _tree(root: int) -> list[int]:
    """A process and all below it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            told = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(told[1]), []).append(int(path.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _megabytes(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def alone(generator: synthaug.Generator) -> float:
    """Seconds of a processor that a row takes which is sampled and encoded, as a loop by hand would."""
    torch.set_num_threads(1)
    names = [name for name, n in generator.training_counts.items() if n]
    write = _encoder(generator)
    for rows in (256, ALONE):  # the first ones are slower
        started = time.process_time()
        for start in range(0, rows, 256):
            name = names[start // 256 % len(names)]
            write(generator.sample_rows(name, start, start + 256).samples, name)
        took = time.process_time() - started
    return took / ALONE


def _encoder(generator: synthaug.Generator) -> Callable[[Any, str], None]:
    """Rows to bytes as one would write it without this package: PNG files, or a parquet file, with provenance."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    def write(rows: Any, name: str) -> None:
        about = synthetic_provenance(generator.fingerprint, 0, name, np.arange(len(rows)))
        columns = {key: pa.array(column.tolist()) for key, column in about.items()}
        if isinstance(generator.form, ImageForm):
            encoded = []
            for row in rows:
                buffer = io.BytesIO()
                Image.fromarray(row).save(buffer, "png")
                encoded.append({"bytes": buffer.getvalue(), "path": f"{name}.png"})
            columns["image"] = pa.array(encoded)
        else:
            columns |= {key: pa.array(column) for key, column in generator.form.cells(rows).items()}
        pq.write_table(pa.table(columns), io.BytesIO())

    return write


def measured(folder: Path, place: Path, cell: tuple[Any, ...], runs: int) -> dict[str, Any]:
    """Both sizes of a cell, and rows alone, one after the other, several times."""
    name, file, format, how, totals = cell
    data = synthaug.open_data(folder / file)
    synthaug.fit(data, **how, progress=False).save(place / "gen")
    generator, train = synthaug.load(place / "gen"), training_rows(data)
    made = [sum(rows_to_add(to, train.counts, data.classes).values()) for to in totals]
    found: dict[str, list[Any]] = {"few": [], "many": [], "alone": []}
    for run in range(runs):
        for size, to in zip(("few", "many"), totals, strict=True):
            found[size].append(expanded(folder / file, place / "gen", to, place / f"{size}{run}", format))
        found["alone"].append(alone(generator))
        took = [found[size][-1] for size in ("few", "many")]
        click.echo(f"{name}: {made} rows, {took}, alone {found['alone'][-1]:.2e} s a row")
    return {
        "rows": name,
        "format": format,
        "family": how["family"],
        "total": len(data) + made[1],
        "made": made,
        **found,
    }


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), envvar="SYNTHAUG_DATA", required=True)
@click.option("--runs", default=3, show_default=True)
@click.option("--cell", multiple=True, help="Only those of this name; may be given again.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "expansion.json")
def main(folder: Path, runs: int, cell: tuple[str, ...], out: Path) -> None:
    """Measure what expanding on disk takes."""
    warnings.simplefilter("ignore", synthaug.SynthaugWarning)
    cells = []
    for each in CELLS:
        if not cell or each[0] in cell:
            with tempfile.TemporaryDirectory() as place:
                cells.append(measured(folder, Path(place), each, runs))
            write_results(out, {"cells": cells})


if __name__ == "__main__":
    main()
