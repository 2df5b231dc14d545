"""Where recipes come from: those that are shipped, and files of one's own, with changes by path."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from synthaug.errors import InvalidRequest
from synthaug.outputs import one_error
from synthaug.recipes.schema import KEYS, Recipe, value_at
from synthaug.wording import did_you_mean, one_line

_LONGEST = 20_000  # characters; to read brackets in brackets takes the square of them


@dataclass(frozen=True)
class Shipped:
    """What a recipe that comes with synthaug says of itself.

    Attributes:
        about: what it does.
        needs: what has to be said, by its key.
        gives: what comes of it, and what to expect.
    """

    about: str
    needs: Mapping[str, str]
    gives: str


def shipped() -> dict[str, Shipped]:
    """The recipes that come with synthaug, by their names."""
    found = {}
    for path in sorted(_folder().iterdir(), key=lambda path: str(path.name)):
        if path.name.endswith(".yaml"):
            said = yaml.safe_load(path.read_text(encoding="utf-8"))
            found[path.name.removesuffix(".yaml")] = Shipped(said["about"], said["needs"], said["gives"])
    return found


def load_recipe(
    name: str | Path,
    *,
    data: str | None = None,
    out: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Recipe:
    """A recipe by the name of a shipped one or the path of a YAML file.

    Args:
        name: name or path.
        data: a data set instead of the recipe's own.
        out: a folder instead of the recipe's own.
        settings: changes by path, such as ``{"fit.minutes": 10}``.

    Raises:
        InvalidRequest: there is no such recipe, it does not fit the schema, or something that it needs is not said;
            the message names the key.
    """
    content = _content(text_of(name), name)
    changes = dict(settings or {})
    changes |= {"data.source": data} if data is not None else {}
    changes |= {"out": str(out)} if out is not None else {}
    for key, value in changes.items():
        _set(content, key.split("."), value)
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise InvalidRequest(f'Recipe "{name}", {_reason(error)}') from None
    _require_what_it_needs(name, recipe)
    return recipe


def text_of(name: str | Path) -> str:
    """The YAML of a recipe, by the name of a shipped one or its path."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        with one_error(InvalidRequest, f"The recipe {path} cannot be read", "Ask for the right to read it."):
            if not path.is_file():
                raise InvalidRequest(f"There is no recipe file {path}.")
            return path.read_bytes().decode(errors="replace")
    known = shipped()
    if str(name) not in known:
        raise InvalidRequest(f'There is no recipe "{name}".{did_you_mean(str(name), known)}')
    text: str = (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    return text


def _content(text: str, name: str | Path) -> dict[str, Any]:
    if len(text) > _LONGEST:
        raise InvalidRequest(f'The recipe "{name}" has {len(text):,} characters, which no recipe needs.')
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise ValueError("it repeats a part of itself, which a recipe cannot")
        content = yaml.safe_load(text) or {}
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidRequest(
            f'The recipe "{name}" cannot be read as a recipe: {one_line(" ".join(str(error).split()))}'
        ) from None
    if not isinstance(content, dict):
        raise InvalidRequest(
            f'The recipe "{name}" is a {type(content).__name__}; it has to have keys such as "version: 1".'
        )
    return content


def _set(content: Any, path: list[str], value: Any) -> None:
    for key in path[:-1]:
        if not isinstance(content, dict) or not isinstance(content.get(key) or {}, dict):
            raise InvalidRequest(f'There is nothing to set at "{".".join(path)}".')
        content[key] = content.get(key) or {}
        content = content[key]
    content[path[-1]] = value


def _reason(error: ValidationError) -> str:
    """The first thing that is wrong, with the key that it is about."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f'key "{key}": there is no such key.{did_you_mean(key, sorted(KEYS))}'
    return f'key "{key}": {first["msg"]} (found {reprlib.repr(first["input"])}).'


def _require_what_it_needs(name: str | Path, recipe: Recipe) -> None:
    """Refuse a recipe that lacks its data, what it says that it needs, or what makes synthetic rows."""
    for key in recipe.needs:
        if key not in KEYS:
            raise InvalidRequest(
                f'Recipe "{name}", key "needs.{key}": there is no key "{key}" to need.'
                f"{did_you_mean(key, sorted(KEYS))}"
            )
    if not recipe.data.source:
        told = recipe.needs.get("data.source")
        raise InvalidRequest(
            f'The recipe "{name}" has no data set of its own. Give one with --data{f": {told}" if told else ""}.'
        )
    for key, told in recipe.needs.items():
        if value_at(recipe, key) in (None, ""):
            raise InvalidRequest(f'The recipe "{name}" needs {key}: {told}. Give it with --set {key}=...')
    if recipe.fit is None and recipe.choose is None and (recipe.sample or recipe.mix or recipe.expand):
        raise InvalidRequest(
            f'The recipe "{name}" makes no synthetic rows: give it a step "fit" or "choose".'
        )


def _folder() -> Any:
    """``pipelines/``: inside an installed package, or beside it in a checkout."""
    inside = files("synthaug") / "pipelines"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "pipelines"
