"""What one column of a table is, and what training rows said of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from synthaug.errors import InvalidArtifact
from synthaug.modalities.table.kinds import FLOATS, INTEGERS, KINDS, UNITS, Kind, family_of, kinds_of, unit_of

Level = str | int | float | bool
"""One value of a category."""


@dataclass(frozen=True)
class Fit:
    """What the training rows said of one column.

    Attributes:
        counts: rows of each level, or of each spike.
        missing: rows without a value.
        low, high: the smallest and the largest value; 0 where there is none.
        spikes: single values, in ascending order, that are levels of their own since many rows hold them.
        knots: the other values at normal quantiles, strictly increasing: at least two, or none where every value is a
            spike.
        places: of the knots in [-1, 1]: a third of the normal quantile.
    """

    counts: tuple[int, ...] = ()
    missing: int = 0
    low: float = 0.0
    high: float = 0.0
    spikes: tuple[float, ...] = ()
    knots: tuple[float, ...] = ()
    places: tuple[float, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: of the column.
        kind: what its values are.
        arrow: the Arrow type, as its text, e.g. ``dictionary<values=string, indices=int8, ordered=1>``.
        levels: the values of a category; a raw cell holds the position in them.
        unit: in which a date is counted since the epoch.
        fit: what training rows said of it; None until then.
    """

    name: str
    kind: Kind
    arrow: str
    levels: tuple[Level, ...] = ()
    unit: str | None = None
    fit: Fit | None = None

    @property
    def codes(self) -> int | None:
        """How many values a category or boolean can have; None for numbers and dates."""
        return len(self.levels) if self.kind == "category" else 2 if self.kind == "boolean" else None

    @property
    def whole(self) -> bool:
        """Whether values are whole numbers."""
        return self.kind != "number"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        data = asdict(self)
        data["levels"] = list(self.levels)
        if self.fit is not None:
            data["fit"] = {k: list(v) if isinstance(v, tuple) else v for k, v in data["fit"].items()}
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Column:
        """The column that `to_dict` wrote.

        Raises:
            InvalidArtifact: anything that `to_dict` does not write.
        """
        _require(isinstance(data, Mapping) and set(data) == set(cls.__dataclass_fields__), data)
        fit = data["fit"]
        _require(isinstance(data["levels"], list) and (fit is None or isinstance(fit, Mapping)), data)
        values = {**data, "levels": tuple(data["levels"]), "fit": None if fit is None else _fit_of(fit)}
        column = cls(**values)
        _require(_is_sound(column), data)
        return column


def _fit_of(data: Mapping[str, Any]) -> Fit:
    _require(set(data) == set(Fit.__dataclass_fields__), data)
    lists = ("counts", "spikes", "knots", "places")
    _require(all(isinstance(data[name], list) for name in lists), data)
    for name in ("low", "high"):
        _require(_is_real(data[name]), data)
    for name in lists[1:]:
        _require(all(_is_real(value) for value in data[name]), data)
    _require(all(_is_count(count) for count in (*data["counts"], data["missing"])), data)
    values: dict[str, Any] = {name: tuple(data[name]) if name in lists else data[name] for name in data}
    return Fit(**values)


def _is_sound(column: Column) -> bool:
    texts = all(isinstance(text, str) for text in (column.name, column.kind, column.arrow))
    if not texts or column.kind not in KINDS or column.kind not in kinds_of(column.arrow):
        return False
    family, levels = family_of(column.arrow), column.levels
    if levels and (column.kind != "category" or any(type(level) is not family for level in levels)):
        return False
    if len(set(levels)) != len(levels) or any(level != level for level in levels):
        return False
    return _is_dated(column) and (column.fit is None or _fits(column, column.fit))


def _is_dated(column: Column) -> bool:
    finest = unit_of(column.arrow)
    if finest is None or column.unit is None:
        return finest is column.unit
    return column.unit in UNITS and UNITS[column.unit] >= UNITS[finest]


def _fits(column: Column, fit: Fit) -> bool:
    if column.codes is not None:
        plain = not (fit.spikes or fit.knots or fit.places)
        return plain and len(fit.counts) == column.codes and bool(sum(fit.counts) + fit.missing)
    ascending = all(a < b for row in (fit.spikes, fit.knots, fit.places) for a, b in pairwise(row))
    matched = len(fit.counts) == len(fit.spikes) and len(fit.knots) == len(fit.places) != 1
    inside = all(-1 <= place <= 1 for place in fit.places)
    return (
        ascending
        and matched
        and inside
        and fit.low <= fit.high
        and bool(fit.spikes or fit.knots or fit.missing)
    )


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_real(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _require(holds: bool, data: object) -> None:
    if not holds:
        named = data.get("name") if isinstance(data, Mapping) else None
        raise InvalidArtifact(
            f"The description of column {named!r} is not one that synthaug writes. Save the table or generator again."
        )


def numpy_of(arrow: str) -> str:
    """NumPy's name of a type of numbers."""
    assert arrow in FLOATS or arrow in INTEGERS or arrow == "bool"
    return FLOATS.get(arrow, arrow)
