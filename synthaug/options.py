"""Options of commands and fields of steps, made from the fields of requests, with their help and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, TypeVar

from synthaug.judging.protocol import USUAL_PROTOCOL
from synthaug.requests import Request
from synthaug.wording import attributes_of

R = TypeVar("R", bound=Request)

IN_PYTHON = ("augmentations", "arms", "unlabelled", "callbacks")
"""Fields that hold objects, so that no option is made of them."""


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


def asked_of(kind: type[R], given: Mapping[str, Any], **more: Any) -> R:
    """A request from the options of a command."""
    known = options_of(kind)
    return request_of(kind, {name: value for name, value in given.items() if name in known} | more)
