"""Options of commands, made from the fields of requests, with their help and their defaults."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from synthaug.cli.group import BUDGET, DATA, EVERYWHERE, OUTPUT, OWN, Option
from synthaug.errors import InvalidRequest
from synthaug.options import READ_AS, Option as Field, options_of, spelled
from synthaug.requests import DataRequest, ExpandRequest, FitRequest, Request
from synthaug.seeding import whole_seed
from synthaug.wording import is_url, shown

F = TypeVar("F", bound=Callable[..., Any])

Place = Path | str
"""Where an output goes: a path of this machine, or a url."""

option = partial(click.option, cls=Option)
"""An option of click with a part of the help."""


class _Seed(click.ParamType):  # type: ignore[type-arg]  # a type variable it has since 8.4
    """A whole number of at most 64 bits."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return whole_seed(int(value))
        except InvalidRequest as error:
            self.fail(str(error), param, ctx)
        except ValueError:
            self.fail(f"{value} is no whole number.", param, ctx)


class _Size(click.ParamType):  # type: ignore[type-arg]
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


class _Here(click.Path):
    """A path of this machine."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if is_url(value):
            self.fail(
                f"{shown(value)} is a url, which data and outputs of sample and expand may have; name a folder here.",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


here = _Here(path_type=Path)
"""A path of this machine."""


class _Anywhere(click.Path):
    """A path of this machine, or the url of something elsewhere, as it is: a path would lose a slash."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if is_url(value) else super().convert(value, param, ctx)


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
    **{kind: {"type": read_as} for kind, read_as in READ_AS.items()},
    "bool": {"is_flag": True},
    "bool | None": {"is_flag": True, "flag_value": True, "default": None},
    "int | tuple[int, int] | None": {"type": _Size()},
    "Sequence[str]": {"multiple": True, "metavar": "NAME"},
    "Mapping[str, str]": {"multiple": True, "metavar": "NAME=VALUE", "callback": _pairs},
}
"""The types of fields that become options, as they are written."""

_EVERYWHERE = ("seed", "device")
_OF_BUDGET = (
    "steps",
    "minutes",
    "patience",
    "folds",
    "seeds",
    "generators",
    "classifier_steps",
    "judge_steps",
    "full",
)
_OF_OUTPUT = ("format", "shard_size", "jobs", "engine", "shard", "real", "synthetic_only")


def asks(request: type[Request], *own: str) -> Callable[[F], F]:
    """An option for each field of a request, but for those that the command takes in its own way, or every command."""
    told = [each for name, each in options_of(request).items() if name not in (*_EVERYWHERE, *own)]
    parts = dict.fromkeys(_OF_BUDGET, BUDGET) | dict.fromkeys(_OF_OUTPUT, OUTPUT)
    rest = DATA if request is DataRequest else OWN
    return together(*(_option(each, parts.get(each.name, rest)) for each in told))


def _of_launch(ctx: click.Context, param: click.Parameter, given: str | None) -> str | None:
    """The share that was asked for, or that of this process among those that torchrun began."""
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ
    return f"{os.environ['RANK']}/{os.environ['WORLD_SIZE']}" if given is None and several else given


_CALLED_BACK: dict[str, Callable[..., Any]] = {"shard": _of_launch}


def _option(of: Field, part: str) -> Callable[[F], F]:
    default = None if of.default == {} else of.default
    usual: dict[str, Any] = {"default": default, "show_default": default not in (None, False)}
    usual |= {"callback": _CALLED_BACK[of.name]} if of.name in _CALLED_BACK else {}
    return option(spelled(of.name), of.name, part=part, help=sentence(of.help), **(usual | _KINDS[of.kind]))


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


# --------------------------------------------------------------------------------- options that several have


def _usable(ctx: click.Context, param: click.Parameter, given: str) -> str:
    """A device that is there, which is looked at before all else."""
    if given != FitRequest.device and not ctx.resilient_parsing:
        from synthaug.generators import resolve_device

        resolve_device(given)
    return given


def out(help: str, required: bool = True) -> Callable[[F], F]:
    """Where the output goes; a dry run needs none."""
    return option("--out", part=OUTPUT, type=here, required=required, spared=True, help=help)


def place(help: str, required: bool = True) -> Callable[[F], F]:
    """Where the output goes, which may be a url."""
    kind = _Anywhere(path_type=Path)
    return option("--out", part=OUTPUT, type=kind, required=required, spared=True, help=help)


data = together(click.argument("data"), asks(DataRequest, "source"))
told = together(
    option(
        "--json",
        "as_json",
        part=EVERYWHERE,
        is_flag=True,
        help="One JSON document on stdout, everything else on stderr.",
    ),
    option("-q", "--quiet", part=EVERYWHERE, is_flag=True, help="No progress, no summary."),
)
dry = option(
    "--dry-run", part=EVERYWHERE, is_flag=True, is_eager=True, help="Say what would be done, and stop."
)
common = together(
    option(
        "--overwrite", part=OUTPUT, is_flag=True, help="Replace an output that came from another request."
    ),
    option(
        "--seed",
        part=EVERYWHERE,
        type=_Seed(),
        default=FitRequest.seed,
        show_default=True,
        help="The only source of randomness.",
    ),
    option(
        "--device",
        part=EVERYWHERE,
        default=FitRequest.device,
        show_default=True,
        callback=_usable,
        is_eager=True,
        help="auto, cpu, cuda, ...",
    ),
    told,
    dry,
)
generator = option(
    "--generator",
    type=here,
    help=sentence(options_of(ExpandRequest)["generator"].help),
)
unlabelled = option(
    "--unlabelled",
    metavar="DATA",
    help="Rows without labels, to be judged and learned from: any data, labels ignored, or a folder of pictures.",
)
jobs = option(
    "--jobs", part=BUDGET, type=int, help="Processes that train classifiers; one a core without it."
)
