"""The generator families: one table from name to class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from synthaug.errors import InvalidRequest, did_you_mean
from synthaug.families.base import Family
from synthaug.families.cgan import CGAN
from synthaug.families.cvae import CVAE
from synthaug.families.warp import Warp

FAMILIES: dict[str, type[Family]] = {family.name: family for family in (CVAE, CGAN, Warp)}


def build(
    name: str, shape: tuple[int, int, int], counts: Sequence[int], options: Mapping[str, Any] | None = None
) -> Family:
    """An untrained family.

    Args:
        name: a key of `FAMILIES`.
        shape: ``(C, H, W)`` of the rows to make.
        counts: training rows of each class.
        options: settings that differ from the family's defaults.

    Raises:
        InvalidRequest: an unknown family or option, or a value that an option cannot have.
    """
    if name not in FAMILIES:
        raise InvalidRequest(f'There is no family "{name}".{did_you_mean(name, FAMILIES)}')
    family = FAMILIES[name]
    known = {field.name for field in fields(family.config_type)}
    for option in options or {}:
        if option not in known:
            raise InvalidRequest(
                f'The family "{name}" has no option "{option}".{did_you_mean(option, known)}'
            )
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in (options or {}).items()}
    try:
        config = TypeAdapter(family.config_type).validate_python(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidRequest(
            f'The option "{where}" of the family "{name}" cannot be {first["input"]!r}: {first["msg"]}.'
        ) from None
    return family(shape, counts, config)
