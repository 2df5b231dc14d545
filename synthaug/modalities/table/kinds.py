"""Arrow's types as text: which kinds of column each can hold, and the type again from the text."""

from __future__ import annotations

import re
from typing import Any, Literal

Kind = Literal["number", "integer", "category", "boolean", "date"]
"""What the values of a column are to a generator."""

KINDS: tuple[Kind, ...] = ("number", "integer", "category", "boolean", "date")

FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}
"""Arrow's names of floats, and NumPy's."""

BESIDE = "beside"
"""The kind of a column that stays with its row and is not learned, such as a number of a patient."""

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
TEXTS = ("string", "large_string", "string_view")

UNITS = {"D": 86_400 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""The nanoseconds in each unit of a date, coarsest first."""

_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=([^\]]+))?\]")
_DICTIONARY = re.compile(r"dictionary<values=(\w+), indices=(u?int(?:8|16|32|64)), ordered=([01])>")


def kinds_of(arrow: str) -> tuple[Kind, ...]:
    """The kinds of column that values of a type can be, the usual one first; none for a type that is not taken.

    >>> kinds_of("int8"), kinds_of("list<item: float>")
    (('integer', 'category', 'boolean'), ())
    """
    if arrow in FLOATS:
        return ("number", "integer", "category")
    if arrow in INTEGERS:
        return ("integer", "category", "boolean")
    if arrow == "bool":
        return ("boolean", "category")
    if arrow in TEXTS:
        return ("category",)
    if (found := _DICTIONARY.fullmatch(arrow)) and family_of(found[1]) is not None:
        return ("category",)
    return ("date",) if unit_of(arrow) is not None else ()


def values_of(arrow: str) -> str:
    """The type of the values in a dictionary; any other type as it is."""
    found = _DICTIONARY.fullmatch(arrow)
    return found[1] if found else arrow


def family_of(arrow: str) -> type[str] | type[float] | type[int] | type[bool] | None:
    """The Python type of a column's values, if they can be levels of a category."""
    value = values_of(arrow)
    if value in TEXTS:
        return str
    if value in FLOATS:
        return float
    return int if value in INTEGERS else bool if value == "bool" else None


def unit_of(arrow: str) -> str | None:
    """The unit in which a type of dates counts since the epoch; None for other types."""
    if arrow in ("date32[day]", "date64[ms]"):
        return "D" if arrow == "date32[day]" else "ms"
    found = _TIMESTAMP.fullmatch(arrow)
    return found[1] if found else None


def widened(arrow: str, levels: int) -> str:
    """A dictionary's type with indices that can count so many levels; any other type as it is."""
    found = _DICTIONARY.fullmatch(arrow)
    if found is None:
        return arrow
    wide = next(i for i in (found[2], "int16", "int32", "int64") if levels <= _most(i) + 1)
    return f"dictionary<values={found[1]}, indices={wide}, ordered={found[3]}>"


def arrow_type(arrow: str) -> Any:
    """The ``pyarrow.DataType`` that a text names."""
    import pyarrow as pa

    if found := _DICTIONARY.fullmatch(arrow):
        return pa.dictionary(pa.type_for_alias(found[2]), pa.type_for_alias(found[1]), found[3] == "1")
    if found := _TIMESTAMP.fullmatch(arrow):
        return pa.timestamp(found[1], found[2])
    return pa.type_for_alias(arrow)


def _most(integer: str) -> int:
    bits = int(integer.removeprefix("u").removeprefix("int"))
    return int(2 ** (bits - (0 if integer.startswith("u") else 1)) - 1)
