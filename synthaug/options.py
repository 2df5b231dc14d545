"""Options of commands and fields of steps, made from the fields of requests, with their help and their defaults."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, TypeVar

from synthaug.files.writing import USUAL_WRITING
from synthaug.judging.protocol import USUAL_PROTOCOL
from synthaug.requests import DataRequest, Request
from synthaug.wording import attributes_of

R = TypeVar("R", bound=Request)

_WITHIN: dict[str, Any] = {"protocol": USUAL_PROTOCOL, "writing": USUAL_WRITING}
"""Fields in the place of which their own fields are offered."""

IN_PYTHON = ("augmentations", "arms", "unlabelled", "callbacks")
"""Fields that hold objects, so that no option is made of them."""

READ_AS: dict[str, type] = {
    "str": str,
    "str | None": str,
    "data.Key | None": str,
    "int": int,
    "int | None": int,
    "float | None": float,
}
"""What a command line reads the values of fields as, by their types as they are written."""

_WRITTEN = 10  # parts of a value that are written out; more is data, such as a group for each row

_SPELLED = {"families": "family", "kinds": "kind"}


@dataclass(frozen=True)
class Option:
    """A field of a request as commands and recipes offer it.

    Attributes:
        name: of the field.
        kind: its type, as it is written.
        default: its default; `dataclasses.MISSING` where it has none.
        help: what it means.
    """

    name: str
    kind: str
    default: Any
    help: str


def options_of(request: type) -> dict[str, Option]:
    """The fields of a request by their names; in the place of a protocol, or of a way of writing, its own fields."""
    told, found = attributes_of(request), dict[str, Option]()
    for each in fields(request):
        if each.name in _WITHIN:
            found |= options_of(type(each.default))
        else:
            made = each.default if each.default_factory is MISSING else each.default_factory()
            found[each.name] = Option(each.name, str(each.type), made, told[each.name])
    return found


def request_of(kind: type[R], given: Mapping[str, Any]) -> R:
    """A request from values by the names that `options_of` gives."""
    own = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    values = {name: value for name, value in given.items() if name in own}
    for within in own & set(_WITHIN):
        known = vars(_WITHIN[within])
        said = {name: value for name, value in given.items() if name in known}
        if said:
            values[within] = replace(_WITHIN[within], **said)
    return kind(**values)


def spelled(name: str) -> str:
    """What commands call the option of a field."""
    return "--" + _SPELLED.get(name, name).replace("_", "-")


def asked_of(kind: type[R], given: Mapping[str, Any], **more: Any) -> R:
    """A request from the options of a command."""
    known = options_of(kind)
    return request_of(kind, {name: value for name, value in given.items() if name in known} | more)


# ------------------------------------------------------------------------------------------ asking for the same


def command_of(verb: str, asked: Request, out: str) -> str | None:
    """The command that asks for the same as a request of a data set; None where a command cannot say it.

    Args:
        verb: the command.
        asked: with a field ``dataset``. What is as usual is left out; a generator in memory is called GENERATOR.
        out: folder for what comes of it.
    """
    rows = asked.arguments()["dataset"]
    words: list[str | None] = [_place(rows.source)]
    for of, values in ((DataRequest, rows.said), (type(asked), _flat(asked))):
        for name, option in options_of(of).items():
            if name in values and name != "dataset" and _differs(values[name], option.default):
                words += _as_words(option, values[name], rows.said)
    told = [word for word in words if word is not None]
    return shlex.join(["synthaug", verb, *told, "--out", out]) if len(told) == len(words) else None


def python_of(verb: str, asked: Request, out: str) -> str:
    """Lines of Python that ask for the same as a request of a data set; capitals stand for what is in memory."""
    given = asked.arguments()
    rows, usual = given.pop("dataset"), options_of(type(asked))
    source = "SOURCE" if rows.source is None else _in_python("source", rows.source)
    opened = [source, *(f"{k}={_in_python(k, v)}" for k, v in rows.said.items())]
    lines = ["import synthaug", f"data = synthaug.open_data({', '.join(opened)})"]
    parts = {name: given.pop(name) for name in _WITHIN if name in given}
    told = [f"{k}={_in_python(k, v)}" for k, v in given.items() if _differs(v, usual[k].default)]
    for name, part in parts.items():
        changed = {k: v for k, v in vars(part).items() if v != getattr(_WITHIN[name], k)}
        if changed:
            how = ", ".join(f"{k}={v!r}" for k, v in changed.items())
            told.append(f"{name}=synthaug.{type(part).__name__}({how})")
    return "\n".join([*lines, f"synthaug.{verb}({', '.join(['data', *told, f'out={out!r}'])})"])


def _flat(asked: Request) -> dict[str, Any]:
    """The values of `options_of` a request."""
    given = asked.arguments()
    return given | {k: v for name in _WITHIN if name in given for k, v in vars(given[name]).items()}


def _differs(value: Any, default: Any) -> bool:
    empty = isinstance(value, Sequence | Mapping) and not len(value)
    return not (value is default or (_is_plain(value) and value == default) or (empty and not default))


def _as_words(of: Option, value: Any, said: Mapping[str, Any]) -> list[str | None]:
    """An option with its value; None stands for what cannot be said on a command line.

    Args:
        of: the option.
        value: its value.
        said: what is said of the data set; unlabelled rows are opened with it as well.
    """
    option = spelled(of.name)
    if of.name == "generator":
        return [option, "GENERATOR"]
    if of.name == "unlabelled":
        alike = _is_plain(value.said) and _is_plain(said) and value.said.items() <= said.items()
        return [option, _place(value.source) if alike else None]
    if of.kind.startswith("bool"):
        return [option]
    if of.name == "image_size":
        return [option, "x".join(map(str, (value,) if isinstance(value, int) else value))]
    if of.kind == "Sequence[str]":
        each = [value] if isinstance(value, str) else value
        return [word for one in each for word in (option, one if isinstance(one, str) else None)]
    if of.kind == "Mapping[str, str]":
        return [word for key, one in value.items() for word in (option, f"{key}={one}")]
    known = READ_AS.get(of.kind, type(None))
    fits = isinstance(value, int | float if known is float else known)
    return [option, str(value) if fits else None]


def _place(source: Any) -> str | None:
    """What a command calls a source; None for one in memory."""
    return str(source) if isinstance(source, str | os.PathLike) else None


def _in_python(name: str, value: Any) -> str:
    """A value as Python writes it; its name in capitals where it is an object."""
    if isinstance(value, os.PathLike):
        value = str(value)
    long = isinstance(value, Sequence | Mapping) and not isinstance(value, str) and len(value) > _WRITTEN
    return repr(value) if _is_plain(value) and not long else name.upper()


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float)
