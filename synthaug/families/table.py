"""Families by name: those that come with synthaug, and those that other packages bring."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from synthaug.errors import InvalidRequest
from synthaug.families.base import Family
from synthaug.families.cgan import CGAN
from synthaug.families.cvae import CVAE
from synthaug.families.stock import Stock
from synthaug.families.warp import Warp
from synthaug.modalities.base import Form
from synthaug.wording import attributes_of, did_you_mean, quoted

FAMILIES: dict[str, type[Family]] = {family.name: family for family in (CVAE, CGAN, Warp)}
"""The families that come with synthaug."""

_FILLED: dict[str, type[Family]] = {Stock.name: Stock}
"""Families that are filled, not trained, so that nobody can ask for them."""

ENTRY_POINTS = "synthaug.families"
"""The group of entry points under which another package names its families."""


def family_names() -> tuple[str, ...]:
    """Every family that can be asked for: our own, then those of other packages, which are not imported for it."""
    others = sorted(point.name for point in entry_points(group=ENTRY_POINTS))
    return (*FAMILIES, *(name for name in others if name not in FAMILIES))


def family_names_for(kind: str) -> tuple[str, ...]:
    """Our own families that make rows of this kind."""
    return tuple(name for name, of in FAMILIES.items() if of.kinds is None or kind in of.kinds)


def told_of(name: str) -> str:
    """What a family is, in a sentence.

    Raises:
        InvalidRequest: there is none.
    """
    first, _, _ = (inspect.getdoc(find_family(name)) or "").partition("\n\n")
    return " ".join(first.replace("`", "").split())


def settings_of(name: str) -> dict[str, dict[str, Any]]:
    """Every setting of a family: its ``default``, what is ``usual`` of a kind of rows, and what it is ``about``.

    Raises:
        InvalidRequest: there is none.
    """
    family = find_family(name)
    default, about = family.config_type(), attributes_of(family.config_type)
    return {
        of.name: {
            "default": getattr(default, of.name),
            "usual": {kind: own[of.name] for kind, own in family.usual.items() if of.name in own},
            "about": about.get(of.name, "").replace("`", ""),
        }
        for of in fields(family.config_type)
    }


def is_known(name: str) -> bool:
    """Whether a generator of this family can be read; those that are filled cannot be asked for."""
    return name in family_names() or name in _FILLED


def find_family(name: str) -> type[Family]:
    """The family of this name; one of another package is imported now.

    Raises:
        InvalidRequest: there is none, or what a package names is no family of this name.
    """
    if (known := FAMILIES.get(name) or _FILLED.get(name)) is not None:
        return known
    for point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            found = point.load()
        except (ImportError, AttributeError) as error:
            raise InvalidRequest(
                f'The entry point "{name}" of {ENTRY_POINTS} leads to {point.value}, which cannot be imported: {error}.'
            ) from error
        if not (isinstance(found, type) and issubclass(found, Family) and found.name == name):
            raise InvalidRequest(
                f'The entry point "{name}" of {ENTRY_POINTS} leads to {point.value}, which is no family of that name. '
                "Point it to a subclass of synthaug.families.Family whose name is the same."
            )
        return found
    raise InvalidRequest(f'There is no family "{name}".{did_you_mean(name, family_names())}')


def build(name: str, form: Form, counts: Sequence[int], options: Mapping[str, Any] | None = None) -> Family:
    """An untrained family.

    Args:
        name: one of `family_names`.
        form: of the rows to make.
        counts: training rows of each class.
        options: settings that differ from the family's defaults, and from what is usual for the kind of rows.

    Raises:
        InvalidRequest: an unknown family or option, a value that an option cannot have, or a family that does not make
            rows of this kind.
    """
    family = find_family(name)
    if family.kinds is not None and form.kind not in family.kinds:
        raise InvalidRequest(
            f'The family "{name}" makes rows of the kind {quoted(family.kinds)}, and these are of the kind '
            f'"{form.kind}". Take {quoted(family_names_for(form.kind))}.'
        )
    known = {field.name for field in fields(family.config_type)}
    for option in options or {}:
        if option not in known:
            raise InvalidRequest(
                f'The family "{name}" has no option "{option}".{did_you_mean(option, known)}'
            )
    asked = {**family.usual.get(form.kind, {}), **(options or {})}
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in asked.items()}
    try:
        config = TypeAdapter(family.config_type).validate_python(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidRequest(
            f'The option "{where}" of the family "{name}" cannot be {first["input"]!r}: {first["msg"]}.'
        ) from None
    return family(form, counts, config)
