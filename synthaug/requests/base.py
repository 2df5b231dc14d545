"""What all requests share, and what is told of the rows in them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from synthaug import data, generators, judging
from synthaug.errors import InvalidRequest
from synthaug.outputs import is_finished, require_apart
from synthaug.seeding import whole_seed
from synthaug.wording import is_url

_READ = {
    "dataset": "data set",
    "validation": "validation rows",
    "real": "data set",
    "source": "source",
}
"""Fields that say what is read, which an output must not lie in."""

WRITES_NOTHING = "nothing is written without out= (--out)"


class Request:
    """What all requests share; numbers of NumPy are taken for Python's."""

    def __post_init__(self) -> None:
        for name, value in self.arguments().items():
            object.__setattr__(self, name, whole_seed(value) if name == "seed" else _plain(value))

    def arguments(self) -> dict[str, Any]:
        """The fields by their names, which are those of the verb's arguments."""
        return {of.name: getattr(self, of.name) for of in fields(self)}  # type: ignore[arg-type]

    def describe(self) -> dict[str, Any]:
        """What would be done, as plain JSON data; raises what doing it would raise before it begins."""
        raise NotImplementedError

    def forecast(self, jobs: int | None = None) -> dict[str, Any]:
        """What it would take here, as plain JSON data, by trying a little of it; nothing where it is not known.

        Call `describe` first, which refuses what cannot be tried.

        Args:
            jobs: processes, of what is told their number beside the request; one a core when None.
        """
        return {}

    def to_dict(self) -> dict[str, Any]:
        """What determines the result, as plain JSON data; an output records it."""
        raise NotImplementedError

    def require_apart(self, out: str | Path) -> None:
        """Refuse an output that lies in what is read here, or around it."""
        read = {_READ[name]: value for name, value in self.arguments().items() if name in _READ}
        require_apart(out, {what: _path_of(value) for what, value in read.items()})

    def is_finished(self, out: str | Path, *, overwrite: bool = False) -> bool:
        """Whether the output of this request is there already; refuses what making it would refuse, writes nothing."""
        self.require_apart(out)
        return is_finished(out, self.to_dict(), overwrite=overwrite)

    def refuse_unused(self, why: str, *names: str) -> None:
        """Refuse these fields where they are said, as they have no use."""
        for name in names:
            value = getattr(self, name)
            if value != getattr(type(self), name):
                raise InvalidRequest(f"{name}={value!r} has no use here: {why}. Leave it out.")


def maker_of(given: generators.Generator | judging.Plan) -> generators.Generator:
    """A generator, or that of a plan.

    Raises:
        InvalidRequest: a plan that is to add nothing.
    """
    if not isinstance(given, judging.Plan):
        return given
    maker = given.maker()
    if maker is None:
        raise InvalidRequest(f"The plan is to add nothing. {given.advice}")
    return maker


def apart(
    unlabelled: data.LabeledData | None,
    known: data.LabeledData,
    held_out: data.LabeledData | None,
    drawn: bool = False,
) -> data.LabeledData | None:
    """Rows without labels, those aside that are among the labelled ones."""
    return None if unlabelled is None else data.apart_from(unlabelled, known, held_out, drawn)


def told_of(unlabelled: data.LabeledData | None) -> dict[str, Any]:
    """What an output records of rows without labels."""
    return {} if unlabelled is None else {"unlabelled": unlabelled.fingerprint()}


def as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    """Names in order, each once."""
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))


def _plain(value: Any) -> Any:
    """A value with Python's numbers in place of NumPy's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, judging.Protocol):
        return replace(value, **{each.name: _plain(getattr(value, each.name)) for each in fields(value)})
    if type(value) is tuple:
        return tuple(map(_plain, value))
    return {key: _plain(part) for key, part in value.items()} if type(value) is dict else value


def _path_of(value: Any) -> Path | str | None:
    """Where something lies that is read, its url where it is elsewhere; None where it is in memory."""
    if isinstance(value, data.LabeledData):
        place = value.found.url or value.path
        return place if place is not None or value.source is None else _path_of(value.source)
    if is_url(value):
        return str(value)
    return Path(value) if isinstance(value, str | os.PathLike) and os.path.lexists(value) else None


def fingerprint_of(rows: data.LabeledData | None) -> str | None:
    """What rows are known by; None where there are none."""
    return None if rows is None else rows.fingerprint()


def partition_of(rows: data.LabeledData) -> str | None:
    """A digest of which rows belong together, as folds depend on it; None without groups."""
    if rows.groups is None:
        return None
    _, number = np.unique(rows.groups, return_inverse=True)
    return hashlib.sha256(number.astype("<i8").tobytes()).hexdigest()
