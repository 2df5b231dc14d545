"""What the command `run` does: a recipe, or an output once more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from synthaug.cli import options as of
from synthaug.cli.printed import is_dry, report, say, told_place
from synthaug.wording import shown


def make_again(
    recorded: str, record: Mapping[str, Any], out: of.Place | None, given: Mapping[str, Any]
) -> None:
    """An output made again in another place, from its record."""
    from synthaug import verbs

    if out is None:
        raise click.UsageError(f"{shown(recorded)} is an output: say with --out where it is made again.")
    if is_dry(given, lambda: {"run": shown(recorded), "out": told_place(out), "call": record.get("call")}):
        return
    how = {name: given[name] for name in ("device", "overwrite")}
    made = verbs.remake(recorded, out, **how, progress=not given["quiet"])
    report(given, {"out": shown(made)}, f"{shown(recorded)} was made again in {shown(made)}")


def needs_apart(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a recipe says of itself, with a line for each thing that it needs."""
    needs = {f"needs {key}": told for key, told in said["needs"].items()}
    return {"about": said["about"], **needs, "gives": said["gives"]}


def run_recipe(recipe: Any, given: Mapping[str, Any]) -> None:
    """Runs a recipe, or says what it would do."""
    from synthaug import recipes

    where = {name: given[name] for name in ("seed", "device", "overwrite")}
    if is_dry(given, lambda: recipes.describe_recipe(recipe, **where)):
        return
    result = recipes.run_recipe(
        recipe,
        **where,
        say=(lambda text: None) if given["quiet"] else (lambda text: say(text, err=given["as_json"])),
        progress=not given["quiet"],
    )
    if given["as_json"]:
        say(json.dumps(result, ensure_ascii=False))
