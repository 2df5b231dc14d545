"""Where the shards of an output are made: in this process, in several of this machine, or on a Ray cluster."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from synthaug.errors import InvalidRequest, MissingLibrary, OutputError, SynthaugError
from synthaug.files.shards import Shard
from synthaug.wording import did_you_mean

Make = Callable[[Shard], int]
"""Makes a shard in any process that sees the folder of the output, and returns its rows."""

Rows = Generator[int, None, None]
"""How many rows each shard had that is done."""

_KILLED = (
    "A process that makes rows ended before its time, as happens where memory runs out. Ask for fewer at once "
    "with jobs= (--jobs); the same call goes on after what is made."
)


def in_this_process(make: Make, shards: Sequence[Shard], jobs: int) -> Rows:
    """One shard after the other."""
    return (make(shard) for shard in shards)


def in_processes(make: Make, shards: Sequence[Shard], jobs: int) -> Rows:
    """Several shards at a time, each in a process with one thread."""
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    # They begin here, not where they are waited for.
    with parallel_config(backend="loky", inner_max_num_threads=1):
        made: Iterable[int] = Parallel(n_jobs=jobs, return_as="generator_unordered")(
            delayed(make)(shard) for shard in shards
        )

    def done() -> Rows:
        try:
            yield from made
        except TerminatedWorkerError as error:
            raise OutputError(_KILLED) from error

    return done()


def on_ray(make: Make, shards: Sequence[Shard], jobs: int) -> Rows:
    """By Ray Data, which replaces workers that die; every node must see the folder of the output.

    Without a cluster to join (``RAY_ADDRESS``) one of this machine is begun, and ended.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingLibrary("Ray is not installed. Install it: pip install 'synthaug[ray]'.") from error
    begun = not ray.is_initialized()
    if begun:  # joins the cluster of RAY_ADDRESS where that is said
        alone = not os.environ.get("RAY_ADDRESS")
        with warnings.catch_warnings():
            # of older versions, about devices that are not asked for
            warnings.simplefilter("ignore", FutureWarning)
            ray.init(num_cpus=jobs if alone else None, include_dashboard=False, logging_level="warning")
    try:
        how = ray.data.DataContext.get_current()
        how.enable_progress_bars, how.print_on_execution_start = False, False
        shared, plan = ray.put(make), [{"shard": shard.number} for shard in shards]
        by_number = {shard.number: shard for shard in shards}

        def made(row: dict[str, Any]) -> dict[str, Any]:
            try:
                return {"rows": ray.get(shared)(by_number[row["shard"]]), "failed": b""}
            except (OSError, SynthaugError) as error:
                # Ray would try again what will fail again, and hide why
                return {"rows": 0, "failed": pickle.dumps(error)}

        with warnings.catch_warnings():
            # retries have no other name yet; those that have none are to go in Ray 2.64
            warnings.simplefilter("ignore")
            parts = ray.data.from_items(plan, override_num_blocks=len(plan)).map(made, max_retries=-1)
        for row in parts.iter_rows():
            if row["failed"]:
                raise pickle.loads(row["failed"])  # of our own worker
            yield int(row["rows"])
    finally:
        if begun:
            ray.shutdown()


HERE = "local"
"""The engine that is used unless another is asked for."""

ENGINES: dict[str, Callable[[Make, Sequence[Shard], int], Rows]] = {
    HERE: in_processes,
    "ray": on_ray,
}
"""Every engine by its name."""


def engine_of(name: str) -> Callable[[Make, Sequence[Shard], int], Rows]:
    """The engine of this name.

    Raises:
        InvalidRequest: there is none.
    """
    if name not in ENGINES:
        raise InvalidRequest(f'There is no engine "{name}".{did_you_mean(name, ENGINES)}')
    return ENGINES[name]
