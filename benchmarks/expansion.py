"""What expanding on disk takes: rows a second beside sampling and encoding alone, and memory at two sizes.

python benchmarks/expansion.py --folder DATA

Each expansion is a run of the command line. With two processes, several times with few rows and once with many: memory
is the sum over all its processes, shared pages divided among them, looked at five times a second, and the rate is that
of the clock. With one process, with few rows and with more, several times: the time of a row is that of the processor,
which others on the machine change least; what the more take beyond the few, so without imports and without the real
rows, over what a loop by hand takes to sample and encode such rows in memory, between the two runs.
"""

from __future__ import annotations

import io
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from record import RESULTS, write_results

import synthaug
from synthaug.data import rows_to_add, training_rows
from synthaug.generators import synthetic_provenance
from synthaug.modalities.image import ImageForm


class Cell(NamedTuple):
    """What is expanded.

    Attributes:
        rows: what to call it.
        file: of the rows.
        format: of the output.
        how: the generator.
        few, more, many: final totals.
        shard: rows of a shard, of which there have to be several for two processes.
    """

    rows: str
    file: str
    format: str
    how: dict[str, Any]
    few: str
    more: str
    many: str
    shard: int


CELLS = (
    Cell("MNIST", "mnist.parquet", "shards", {"family": "cvae", "steps": 20}, "2x", "3000", "100000", 2500),
    Cell(
        "clothing at 64x64",
        "clothing64.parquet",
        "shards",
        {"family": "cvae", "steps": 5},
        "300",
        "500",
        "balance",
        250,
    ),
    Cell(
        "census", "adult.parquet", "parquet", {"family": "cvae", "steps": 50}, "30000", "40000", "75000", 2500
    ),
)
ALONE = 2048  # rows that are sampled and encoded in memory


def expanded(cell: Cell, folder: Path, place: Path, to: str, jobs: int) -> dict[str, float]:
    """A run of the command line: seconds of the clock and of processors, and the most memory of all its processes."""
    data, generator, out = folder / cell.file, place / "gen", place / "out"
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
    words += [
        "--out",
        str(out),
        "--format",
        cell.format,
        "--jobs",
        str(jobs),
        "--shard-size",
        str(cell.shard),
        "-q",
    ]
    before, started, most = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0.0
    run = subprocess.Popen(words, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while run.poll() is None:
        most = max(most, sum(map(_megabytes, _tree(run.pid))))
        time.sleep(0.2)
    if run.returncode:
        raise click.ClickException(f"{' '.join(words)} ended with {run.returncode}")
    shutil.rmtree(out) if out.is_dir() else out.unlink()
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


def measured(folder: Path, place: Path, cell: Cell, runs: int) -> dict[str, Any]:
    """Both sizes of a cell with two processes, then with one and beside rows alone, several times."""
    data = synthaug.open_data(folder / cell.file)
    synthaug.fit(data, **cell.how, progress=False).save(place / "gen")
    generator, train = synthaug.load(place / "gen"), training_rows(data)
    totals = {"few": cell.few, "more": cell.more, "many": cell.many}
    made = {size: sum(rows_to_add(to, train.counts, data.classes).values()) for size, to in totals.items()}
    two = {
        size: [expanded(cell, folder, place, totals[size], 2) for _ in range(times)]
        for size, times in (("few", 3), ("many", 1))
    }
    click.echo(f"{cell.rows}: {made} rows, with two processes {two}")
    one: dict[str, list[Any]] = {"few": [], "alone": [], "more": []}
    for _ in range(runs):
        one["few"].append(expanded(cell, folder, place, cell.few, 1))
        one["alone"].append(alone(generator))
        one["more"].append(expanded(cell, folder, place, cell.more, 1))
        each = (one["more"][-1]["processor"] - one["few"][-1]["processor"]) / (made["more"] - made["few"])
        click.echo(f"{cell.rows}: {each:.2e} s a row, alone {one['alone'][-1]:.2e}")
    return {
        "rows": cell.rows,
        "format": cell.format,
        "family": cell.how["family"],
        "total": len(data) + made["many"],
        "made": made,
        "two": two,
        "one": one,
    }


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), envvar="SYNTHAUG_DATA", required=True)
@click.option("--runs", default=5, show_default=True)
@click.option("--cell", multiple=True, help="Only those of this name; may be given again.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "expansion.json")
def main(folder: Path, runs: int, cell: tuple[str, ...], out: Path) -> None:
    """Measure what expanding on disk takes."""
    warnings.simplefilter("ignore", synthaug.SynthaugWarning)
    cells = []
    for each in CELLS:
        if not cell or each.rows in cell:
            with tempfile.TemporaryDirectory() as place:
                cells.append(measured(folder, Path(place), each, runs))
            write_results(out, {"cells": cells})


if __name__ == "__main__":
    main()
