"""What verbs are given, and where what they make is put."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synthaug import files, generators, judging
from synthaug.errors import InvalidArtifact, InvalidRequest
from synthaug.outputs import Output, open_output
from synthaug.requests import Request
from synthaug.wording import is_url, shown


def load(
    path: str | Path, *, device: str = "auto", revision: str | None = None, token: str | None = None
) -> generators.Generator:
    """The generator saved in a folder or on the Hugging Face Hub, every file checked against its manifest.

    Args:
        path: a folder, also of a plan that has a generator; where there is none of that name, ``owner/name`` on the
            hub.
        device: ``auto``, ``cpu``, ``cuda``, ...
        revision: branch, tag or commit on the hub.
        token: for the hub, instead of the one that is logged in.

    Raises:
        InvalidRequest: a url.
        InvalidArtifact: it is not there, not whole, changed, or of a newer version.
        HubError: the hub could not be reached, or has no such repository.
    """
    if is_url(path):
        raise InvalidRequest(
            f"{shown(path)} is a url, and a generator is loaded from a folder of this machine, or by its name on the "
            "hub. Copy it here."
        )
    place = generators.resolve_device(device)
    folder = files.find_generator(path, revision=revision, token=token)
    if not is_plan(folder):
        return generators.read_generator(folder).to(place)
    plan = judging.Plan.load(folder)
    if plan.generator is None:
        raise InvalidArtifact(f"{folder} holds a plan that came without a generator. {plan.advice}")
    return plan.generator.to(place)


@contextmanager
def placed(out: str | Path | None, asked: Request, overwrite: bool) -> Iterator[Output | None]:
    """Where the output of a request is made; None where none is asked for."""
    if out is None:
        yield None
        return
    asked.require_apart(out)
    with open_output(out, asked.to_dict(), overwrite=overwrite) as output:
        yield output


def work_of(place: Output | None, device: str, jobs: int | None, progress: bool) -> judging.Work:
    """Where and how classifiers are trained; a process a core unless their number is said."""
    return judging.Work.of(device, jobs, None if place is None else place.work, progress)


def opened(source: Any, device: str) -> Any:
    """What is saved in a folder, a generator or a plan; anything else as it is."""
    path = path_of(source)
    if path is None:
        return source
    return judging.Plan.load(path, device) if is_plan(path) else load(source, device=device)


def path_of(source: Any) -> Path | None:
    """The path that was given; None where it is an object."""
    return Path(source) if isinstance(source, str | os.PathLike) else None


def where(out: str | Path) -> Path | str:
    """Where an output goes: a path of this machine, or a url as it is."""
    return out if is_url(out) else Path(out)


def is_plan(path: Path) -> bool:
    """Whether a folder is what `choose` wrote."""
    return os.path.isfile(path / judging.PLAN_FILE)
