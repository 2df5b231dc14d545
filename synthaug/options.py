"""Options of commands and fields of steps, made from the fields of requests, with their help and their defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, TypeVar

import click

from synthaug.judging.protocol import USUAL_PROTOCOL
from synthaug.requests import Request
from synthaug.wording import attributes_of

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", bound=Request)


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
    """The fields of a request by their names; in the place of a protocol its own fields."""
    told, found = attributes_of(request), dict[str, Option]()
    for each in fields(request):
        if each.name == "protocol":
            found |= options_of(type(each.default))
        else:
            made = each.default if each.default_factory is MISSING else each.default_factory()
            found[each.name] = Option(each.name, str(each.type), made, told[each.name])
    return found


def request_of(kind: type[R], given: Mapping[str, Any]) -> R:
    """A request from values by the names that `options_of` gives."""
    own = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    values = {name: value for name, value in given.items() if name in own}
    if "protocol" in own:
        rest = {name: value for name, value in given.items() if name not in own}
        values["protocol"] = replace(USUAL_PROTOCOL, **rest)
    return kind(**values)


# -------------------------------------------------------------------------------------- of the command line


class _Size(click.ParamType[Any]):
    """Pixels a side, or HxW."""

    name = "pixels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            sides = [int(side) for side in str(value).split("x")]
        except ValueError:
            sides = []
        if len(sides) not in (1, 2):
            self.fail(f"{value} is neither a number of pixels nor HxW.", param, ctx)
        return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _pairs(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """``name=value``, several times, as a dictionary."""
    found = {}
    for pair in given:
        name, equals, value = pair.rpartition("=")
        if not equals or not name or not value:
            raise click.BadParameter(f"{pair!r} is no NAME=VALUE.", ctx, param)
        found[name] = value
    return found


_KINDS: dict[str, dict[str, Any]] = {
    "str": {"type": str},
    "str | None": {"type": str},
    "data.Key | None": {"type": str},
    "int": {"type": int},
    "int | None": {"type": int},
    "float | None": {"type": float},
    "bool": {"is_flag": True},
    "bool | None": {"is_flag": True, "flag_value": True, "default": None},
    "int | tuple[int, int] | None": {"type": _Size()},
    "Sequence[str]": {"multiple": True, "metavar": "NAME"},
    "Mapping[str, str]": {"multiple": True, "metavar": "NAME=VALUE", "callback": _pairs},
}
"""The types of fields that become options, as they are written."""

IN_PYTHON = ("augmentations", "arms", "unlabelled", "callbacks")
"""Fields that hold objects, so that no option is made of them."""

_SPELLED = {"families": "family", "kinds": "kind"}
_EVERYWHERE = ("seed", "device")


def asks(request: type[Request], *own: str) -> Callable[[F], F]:
    """An option for each field of a request, but for those that the command takes in its own way, or every command."""
    told = [each for name, each in options_of(request).items() if name not in (*_EVERYWHERE, *own)]
    return together(*map(_option, told))


def _option(of: Option) -> Callable[[F], F]:
    spelled = _SPELLED.get(of.name, of.name).replace("_", "-")
    default = None if of.default == {} else of.default
    usual: dict[str, Any] = {"default": default, "show_default": default not in (None, False)}
    return click.option(f"--{spelled}", of.name, help=sentence(of.help), **(usual | _KINDS[of.kind]))


def sentence(text: str) -> str:
    """Help as a sentence."""
    return text[0].upper() + text[1:]


def together(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator, in their order."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def asked_of(kind: type[R], given: Mapping[str, Any], **more: Any) -> R:
    """A request from the options of a command."""
    known = options_of(kind)
    return request_of(kind, {name: value for name, value in given.items() if name in known} | more)
