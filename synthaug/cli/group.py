"""What all commands have alike: errors and warnings in one line, exit codes, and help that is whole and in parts."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import click

from synthaug.errors import InvalidRequest, SynthaugError, SynthaugWarning
from synthaug.wording import one_line, reason_of

EXIT_FAILED, EXIT_USAGE, EXIT_NO = 1, 2, 3

OWN, BUDGET, DATA, OUTPUT, EVERYWHERE = "Options", "Budget", "Data", "Output", "Everywhere"
_PARTS = (OWN, BUDGET, DATA, OUTPUT, EVERYWHERE)
"""The parts of a command's help, in their order."""


class Option(click.Option):
    """An option that says in which part of the help it stands.

    Args:
        declarations: as click has them.
        part: of the help.
        spared: whether a dry run does without it where it is required.
        how: the rest, as click has it.
    """

    def __init__(
        self, declarations: Sequence[str], part: str = OWN, spared: bool = False, **how: Any
    ) -> None:
        super().__init__(declarations, **how)
        self.part, self.spared = part, spared

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """The value; where there is none, a dry run may do without."""
        try:
            return super().process_value(ctx, value)
        except click.MissingParameter:
            if self.spared and ctx.params.get("dry_run"):
                return None
            raise


class Command(click.Command):
    """A command whose options are told in parts, and whose line in the list of commands is not cut."""

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first sentence."""
        return super().get_short_help_str(1000)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, those of a part together."""
        parts: dict[str, list[tuple[str, str]]] = {part: [] for part in _PARTS}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                parts[getattr(param, "part", EVERYWHERE)].append(record)
        for part, records in parts.items():
            if records:
                with formatter.section(part):
                    formatter.write_dl(records)


class Commands(click.Group):
    """The one place where errors become one line and an exit code."""

    command_class = Command

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _each_once()
                return super().invoke(ctx)
        except SynthaugError as error:
            click.echo(f"Error: {one_line(str(error))}", err=True)
            ctx.exit(EXIT_USAGE if isinstance(error, InvalidRequest) else EXIT_FAILED)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever reads what is printed has had enough
                raise
            click.echo(f"Error: {reason_of(error)}. Check the path, and the right to use it.", err=True)
            ctx.exit(EXIT_FAILED)
        except KeyboardInterrupt:
            click.echo("Stopped. With --out, the same command goes on from what is there.", err=True)
            ctx.exit(130)


def _each_once() -> Callable[..., None]:
    """Shows warnings of a command in one line each, once, though a command may check what a verb checks again."""
    told: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        # our own are for the user; where others come from matters too
        where = (
            "" if issubclass(category, SynthaugWarning) else f" ({category.__name__} at {filename}:{lineno})"
        )
        said = f"Warning: {one_line(str(message))}{where}"
        if said not in told:
            told.add(said)
            click.echo(said, err=True)

    return show
