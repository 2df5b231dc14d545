"""An expansion that is killed over and over ends in the bytes of one that is not.

python benchmarks/kills.py

The bundled Fashion-MNIST is expanded in shards of few rows. Its process and all below it, or one worker of Ray, is
killed at a random moment, again and again until the output is there; then anew, until so many kills are made. A disk
that is full is one of a few megabytes, where this may be mounted.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import click
from expansion import _tree as tree
from record import RESULTS, write_results

import synthaug


def call(generator: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """An expansion under way, in a group of its own."""
    words = [
        sys.executable,
        "-m",
        "synthaug.cli",
        "expand",
        "bundled:fashion-mnist",
        "--generator",
        str(generator),
    ]
    words += ["--to", "1000", "--out", str(out), "--format", "shards", "--shard-size", "250", "-q", *more]
    return subprocess.Popen(
        words, env=os.environ | {"OMP_NUM_THREADS": "1"}, start_new_session=True, stderr=subprocess.PIPE
    )


def digest(out: Path) -> str:
    """Of all files of an output and their names."""
    found = hashlib.sha256()
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        found.update(str(path.relative_to(out)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def killed(generator: Path, place: Path, kills: int, longest: float, how: tuple[str, ...]) -> dict[str, Any]:
    """Outputs that came of calls of which the whole group was killed."""
    wait, made, digests, outputs = random.Random(0), 0, [], 0
    while made < kills:
        out = place / f"killed{outputs}"
        outputs += 1
        while not out.exists():
            run = call(generator, out, *how)
            try:
                run.wait(wait.uniform(0.1, 1) * longest if made < kills else None)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)
                run.wait()
                made += 1
        digests.append(digest(out))
    return {"kills": made, "outputs": outputs, "digests": digests}


def workers_killed(generator: Path, place: Path, kills: int) -> dict[str, Any]:
    """Outputs by Ray, workers of which were killed while they made rows."""
    wait, made, digests, outputs = random.Random(1), 0, [], 0
    while made < kills:
        out = place / f"ray{outputs}"
        outputs += 1
        run = call(generator, out, "--engine", "ray", "--jobs", "2")
        while run.poll() is None:
            time.sleep(wait.uniform(0.2, 2))
            workers = [
                pid for pid in tree(run.pid) if _name(pid).startswith("ray::") and "Agent" not in _name(pid)
            ]
            if workers and made < kills and list(out.parent.glob(f"{out.name}.partial/.parts/*.begun")):
                os.kill(wait.choice(workers), signal.SIGKILL)
                made += 1
        if run.returncode:
            assert run.stderr is not None
            raise click.ClickException(run.stderr.read().decode()[-2000:])
        digests.append(digest(out))
    return {"kills": made, "outputs": outputs, "digests": digests}


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path | None]:
    """A disk of this size; None where none may be mounted."""
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    try:
        yield None if mounted.returncode else place
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", str(place)], check=True)


def filled(generator: Path, place: Path) -> dict[str, Any] | None:
    """An output on a disk that was too small for it, and then was not."""
    with small_disk(place / "disk", 3) as disk:
        if disk is None:
            return None
        run = call(generator, disk / "out")
        said = run.communicate()[1].decode().strip().splitlines()[-1].replace(str(place), "")
        whole = len(list((disk / "out.partial" / ".parts").glob("*/part.json")))
        begun = len(list((disk / "out.partial" / ".parts").glob("*.begun")))
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        call(generator, disk / "out").wait()
        return {"said": said, "whole parts": whole, "begun": begun, "digests": [digest(disk / "out")]}


@click.command()
@click.option("--kills", default=20, show_default=True, help="Of each kind.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULTS / "kills.json")
def main(kills: int, out: Path) -> None:
    """Kill expansions at random moments, and compare what comes of them."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        synthaug.fit("bundled:fashion-mnist", steps=20, progress=False).save(place / "gen")
        started = time.monotonic()
        call(place / "gen", place / "whole").wait()
        longest = time.monotonic() - started
        found: dict[str, Any] = {"uninterrupted": digest(place / "whole")}
        kinds = {
            "processes": lambda: killed(place / "gen", place, kills, longest, ("--jobs", "2")),
            "workers of Ray": lambda: workers_killed(place / "gen", place, kills),
            "a full disk": lambda: filled(place / "gen", place),
        }
        for kind, run in kinds.items():
            found[kind] = run()
            same = found[kind] and {found["uninterrupted"]} == set(found[kind]["digests"])
            click.echo(f"{kind}: {found[kind] and found[kind].get('kills')} kills, the same bytes: {same}")
            write_results(out, found)


if __name__ == "__main__":
    main()
