"""Every way to say how many rows, turned into ``{class name: rows}`` at the door."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from synthaug.data.classes import Classes
from synthaug.errors import InvalidRequest
from synthaug.wording import as_pairs

Counts = int | Mapping[Any, int]
"""New rows: one number for every class, or a number by class name or own label."""

Totals = str | int | Mapping[Any, int] | Callable[[dict[str, int]], Mapping[Any, int]]
"""Final totals: ``"2x"``, ``"balance"``, ``"log"``, a number that every class is to have at least, a total by class, or
a function from present counts to totals."""

_FACTOR = re.compile(r"(\d+(?:\.\d+)?)\s*[xX×]")


def resolve_counts(request: Counts, classes: Classes) -> dict[str, int]:
    """The rows to sample for each class, in the order of the request; classes with none are left out.

    Args:
        request: rows for every class, or a mapping from class to rows. A class is given by its name or by its
            own label; text is taken for integer labels too.
        classes: the classes there are.

    Raises:
        InvalidRequest: an unknown or repeated class, a count that is not a whole number from 0 up, or a
            request for no row at all.

    >>> resolve_counts({"dog": 2, 0: 1}, Classes(("cat", "dog"), (0, 1)))
    {'dog': 2, 'cat': 1}
    """
    if isinstance(request, Mapping):
        counts = _by_name(request, classes)
    else:
        per_class = _whole_number(request, "rows per class")
        counts = dict.fromkeys(classes, per_class)
    if not any(counts.values()):
        raise InvalidRequest(f"The counts {request!r} ask for 0 rows in total. Ask for at least one.")
    return {name: n for name, n in counts.items() if n}


def rows_to_add(to: Totals, present: Mapping[str, int], classes: Classes | None = None) -> dict[str, int]:
    """The rows to add so that a data set reaches the final totals ``to``; classes that stay are left out.

    ``"1.5x"`` multiplies every class (halves are rounded up), ``"balance"`` brings every class to the size of
    the largest, ``"log"`` a part of that way: of classes with n rows, and N in the largest, to
    N · log(1 + n) / log(1 + N). A number fills classes up to it, and leaves those that have more. Classes that a
    mapping does not name stay as they are.

    Args:
        to: the final totals.
        present: rows per class name; its order is the order of the result.
        classes: the classes, where ``to`` may name them by label; their names are those of ``present``.

    Raises:
        InvalidRequest: ``to`` cannot be read, is below what is present, or adds nothing.

    >>> rows_to_add("1.5x", {"cat": 3, "dog": 10}), rows_to_add("balance", {"cat": 3, "dog": 10})
    ({'cat': 2, 'dog': 5}, {'cat': 7})
    >>> rows_to_add("log", {"cat": 9, "dog": 99}), rows_to_add(50, {"cat": 9, "dog": 99})
    ({'cat': 41}, {'cat': 41})
    """
    asked = to(dict(present)) if callable(to) else to
    if isinstance(asked, str) and asked.strip().isdecimal():
        asked = int(asked)
    most = max(present.values(), default=0)
    if isinstance(asked, Mapping):
        totals = _by_name(asked, classes or Classes(tuple(present), tuple(present)))
    elif asked == "balance":
        totals = dict.fromkeys(present, most)
    elif asked == "log":
        shares = {name: math.log1p(n) / math.log1p(most) if most else 0 for name, n in present.items()}
        totals = {name: max(present[name], round(most * share)) for name, share in shares.items()}
    elif isinstance(asked, str) and (factor := _FACTOR.fullmatch(asked.strip())):
        totals = {name: int(Decimal(factor[1]) * n + Decimal("0.5")) for name, n in present.items()}
    elif isinstance(asked, str):
        raise InvalidRequest(
            f'Cannot expand to {asked!r}. Ask for a multiple such as "2x", for "balance" or "log", for a number that '
            'every class is to have, or for final totals by class such as {"cat": 500}.'
        )
    else:
        least = _whole_number(asked, "every class")
        totals = {name: max(n, least) for name, n in present.items()}
    below = [f'"{name}" to {n} (has {present[name]})' for name, n in totals.items() if n < present[name]]
    if below:
        raise InvalidRequest(
            f"Expanding only adds rows, but {_told(asked)} would bring {', '.join(below)}. "
            "Totals are final totals, real rows included: raise them, or leave the class out."
        )
    added = {name: totals.get(name, n) - n for name, n in present.items()}
    if not any(added.values()):
        raise InvalidRequest(
            f"Nothing to add: the classes already have the totals of {_told(asked)}. Present: {as_pairs(present)}."
            + (
                f' Twice as many are "2x", for one; {asked} are so many rows.'
                if isinstance(asked, int)
                else ""
            )
        )
    return {name: n for name, n in added.items() if n}


def parse_counts(text: str) -> dict[str, int]:
    """The counts in text such as ``cat=100,dog=20``.

    The last ``=`` of an item divides name from number, so that names may contain ``=``. An item whose name
    contains a comma is put in double quotes: ``"a,b=3",dog=20``.

    Raises:
        InvalidRequest: an item without ``=`` or without a whole number behind it, or a name given twice.

    >>> parse_counts('cat=100,x=y=20,"a,b=3"')
    {'cat': 100, 'x=y': 20, 'a,b': 3}
    """
    try:
        items = next(csv.reader([text], skipinitialspace=True, strict=True), []) or [""]
    except csv.Error as error:
        raise InvalidRequest(
            f"Cannot read the counts {text!r}: {error}. Write e.g. cat=100,dog=20."
        ) from error
    counts: dict[str, int] = {}
    for item in items:
        name, equals, number = item.rpartition("=")
        if not equals or not re.fullmatch(r"\s*[+-]?\d+\s*", number):
            raise InvalidRequest(
                f"Cannot read {item!r} in the counts {text!r}. Write NAME=NUMBER, e.g. cat=100,dog=20; "
                'put a name that contains a comma in double quotes: "a,b=3".'
            )
        if name in counts:
            raise InvalidRequest(f'The counts {text!r} name the class "{name}" twice. Give it once.')
        counts[name] = int(number)
    return counts


def parse_to(text: str) -> str | dict[str, int]:
    """The totals in text: ``2x``, ``balance``, ``log``, ``500``, or ``cat=500,dog=200`` as in `parse_counts`.

    Raises:
        InvalidRequest: the text is none of these.

    >>> parse_to("2x"), parse_to("cat=500")
    ('2x', {'cat': 500})
    """
    if "=" in text:
        return parse_counts(text)
    if text in ("balance", "log") or _FACTOR.fullmatch(text.strip()) or text.strip().isdecimal():
        return text
    raise InvalidRequest(
        f"Cannot expand to {text!r}. Write a multiple such as 2x, balance, log, a number that every class is to have, "
        "or final totals such as cat=500."
    )


def _told(totals: Any) -> str:
    return as_pairs(totals) if isinstance(totals, Mapping) else f'"{totals}"'


def _by_name(request: Mapping[Any, Any], classes: Classes) -> dict[str, int]:
    counts: dict[str, int] = {}
    for key, number in request.items():
        name = classes.name_of(key)
        if name in counts:
            raise InvalidRequest(
                f'{as_pairs(request)} gives the class "{name}" twice, by name and by label. Give it once.'
            )
        counts[name] = _whole_number(number, f'class "{name}"')
    return counts


def _whole_number(number: Any, what: str) -> int:
    whole = isinstance(number, int | np.integer) or (
        isinstance(number, float | np.floating) and float(number).is_integer()
    )
    if not whole or isinstance(number, bool | np.bool_):
        raise InvalidRequest(f"The count for {what} is {number!r}. Give a whole number.")
    if number < 0:
        raise InvalidRequest(f"The count for {what} is {number}. Give 0 or more.")
    return int(number)
