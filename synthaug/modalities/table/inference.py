"""The columns of a table or array as they are found, and the levels of several splits as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from synthaug.errors import InvalidData, InvalidRequest, SpecMismatch, UnsupportedKind
from synthaug.modalities.table.cells import (
    WHOLE,
    cells_of,
    instants_of,
    levels_of,
    refuse_cells,
    refuse_long,
    require_single_names,
)
from synthaug.modalities.table.columns import Column, Fit
from synthaug.modalities.table.kinds import (
    BESIDE,
    FLOATS,
    KINDS,
    UNITS,
    Kind,
    family_of,
    kinds_of,
    unit_of,
    widened,
)
from synthaug.wording import did_you_mean, quoted

# From so many values on, of which so large a share is found once, a text is no category.
_TEXTS = 20
_UNIQUE = 0.8


def infer_columns(table: Any, *, kinds: Mapping[str, str] | None = None) -> tuple[Column, ...]:
    """The columns of an Arrow table, in its order, not fitted.

    Text and dictionaries are categories, floats numbers, integers integers, booleans booleans, timestamps and dates
    dates.

    Args:
        table: ``pyarrow.Table`` of feature columns, without the labels.
        kinds: {name: kind} where the type says something else, e.g. ``{"postcode": "category"}``.

    Raises:
        InvalidRequest: a name in ``kinds`` that the table does not have, a kind that does not exist or that the type
            cannot hold.
        InvalidData: no columns, two of one name, nothing but missing cells, an infinite number, a whole number
            beyond 2^53, a time finer than microseconds, or text that is different in nearly every row.
        UnsupportedKind: a type that is not taken, such as lists, structs or bytes.
    """
    kinds = kinds or {}
    if not table.num_columns:
        raise InvalidData("The table has no feature columns. Name at least one column beside the label.")
    require_single_names(table)
    for name, kind in kinds.items():
        if name not in table.column_names:
            meant = did_you_mean(name, table.column_names)
            raise InvalidRequest(
                f'A kind is given for column "{name}", which the table does not have.{meant}'
            )
        if kind not in KINDS:
            meant = did_you_mean(kind, (*KINDS, BESIDE))
            raise InvalidRequest(f'"{kind}", asked for column "{name}", is not a kind of column.{meant}')
    return tuple(_column_of(name, table.column(name), kinds.get(name)) for name in table.column_names)


def columns_of_array(rows: np.ndarray) -> tuple[Column, ...]:
    """The columns "0", "1", ... of an array of vectors, not fitted.

    Args:
        rows: ``(N, D)`` of floats, integers or booleans.

    Raises:
        UnsupportedKind: other values, or an array that is not one vector a row.
        InvalidData: no columns, nothing but missing cells in one, an infinite number or an integer beyond 2^53.
    """
    kinds = kinds_of(_arrow_of(rows.dtype))
    if rows.ndim != 2 or not kinds:
        shape = "x".join(map(str, rows.shape))
        raise UnsupportedKind(
            f"Vectors were expected, an array (rows, columns) of numbers; {shape} of {rows.dtype} was given."
        )
    if not rows.shape[1]:
        raise InvalidData("The vectors have no columns.")
    refuse_rows(rows, [str(at) for at in range(rows.shape[1])])
    if rows.dtype.kind == "f" and (void := np.isnan(rows).all(axis=0)).any():
        raise InvalidData(_nothing(str(int(void.argmax()))))
    arrow = _arrow_of(rows.dtype)
    return tuple(Column(str(at), kinds[0], arrow) for at in range(rows.shape[1]))


def with_levels_of(columns: Sequence[Column], other: Sequence[Column]) -> tuple[Column, ...]:
    """The columns, with the other's levels after their own, so that rows of both have codes.

    Rows that were made with ``columns`` keep their codes, unless a date's unit becomes finer: make rows of all splits
    after uniting. Of columns that are fitted the unit stays, and no row is counted at a new level.

    Args:
        columns: whose names, order and types stay.
        other: columns of the same names and kinds, in any order.

    Raises:
        SpecMismatch: a column that the other does not have, or has as another kind.
    """
    theirs = {column.name: column for column in other}
    united = []
    for column in columns:
        if column.name not in theirs:
            raise SpecMismatch(f'A split has no column "{column.name}".{did_you_mean(column.name, theirs)}')
        united.append(_united(column, theirs[column.name]))
    return tuple(united)


def refuse_rows(rows: np.ndarray, names: Sequence[str]) -> None:
    """Refuse infinite numbers and integers beyond 2^53 in ``(N, D)`` rows with columns of these names.

    Raises:
        InvalidData: the first column with one.
    """
    if rows.dtype.kind == "f":
        sizes = np.abs(rows).astype(np.float64)
        for at in np.flatnonzero((sizes > float(np.finfo(np.float32).max)).any(axis=0))[:1]:
            refuse_cells(rows[:, at].astype(np.float64), names[at])
    elif rows.dtype.kind in "iu" and rows.dtype.itemsize == 8 and rows.size:
        long = (rows > WHOLE) | (rows < -WHOLE) if rows.dtype.kind == "i" else rows > WHOLE
        for at in np.flatnonzero(long.any(axis=0))[:1]:
            refuse_long(rows[:, at], names[at])


def _arrow_of(dtype: np.dtype[Any]) -> str:
    return {numpy: arrow for arrow, numpy in FLOATS.items()}.get(dtype.name, dtype.name)


def _column_of(name: str, values: Any, asked: str | None) -> Column:
    arrow = str(values.type)
    if values.null_count == len(values):
        raise InvalidData(_nothing(name))
    possible = kinds_of(arrow)
    if not possible:
        raise UnsupportedKind(
            f'Column "{name}" holds {arrow}, which is not taken: columns are numbers, integers, categories, booleans '
            "or dates. Leave it out or convert it."
        )
    kind = _kind_of(name, arrow, possible, asked)
    column = Column(name, kind, arrow)
    if kind == "category":
        column = replace(column, levels=levels_of(values, name))
    elif kind == "date":
        column = replace(column, unit=_unit_of(name, values))
    cells = cells_of(values, column)
    if np.isnan(cells).all():
        raise InvalidData(_nothing(name))
    if asked is None and family_of(arrow) is str:
        _refuse_text(name, cells)
    return column


def _kind_of(name: str, arrow: str, possible: Sequence[Kind], asked: str | None) -> Kind:
    if asked is None:
        return possible[0]
    for kind in possible:
        if kind == asked:
            return kind
    raise InvalidRequest(
        f'Kind "{asked}" was asked for column "{name}", which holds {arrow}: it can be {quoted(possible)}. '
        "Convert the column first, or ask for one of these."
    )


def _unit_of(name: str, values: Any) -> str:
    """The coarsest unit in which all values are whole."""
    instants, known = instants_of(values)
    own = unit_of(str(values.type))
    assert own is not None
    for unit, nanoseconds in UNITS.items():
        over = nanoseconds // UNITS[own]
        if over and not (instants[known] % over).any():
            if (np.abs(instants[known] // over) <= WHOLE).all():
                return unit
            raise InvalidData(
                f'Column "{name}" holds times that are whole in "{unit}" only and lie beyond 2^53 {unit} of 1970, '
                "where they would be rounded. Round them to microseconds or coarser."
            )
    raise AssertionError("values are whole in the unit of their own type")


def _refuse_text(name: str, cells: np.ndarray) -> None:
    counts = np.unique(cells[~np.isnan(cells)], return_counts=True)[1]
    if len(counts) >= _TEXTS and len(counts) > _UNIQUE * counts.sum():
        raise InvalidData(
            f'Column "{name}" holds {len(counts)} different texts in {counts.sum()} rows: nothing about them can be '
            f'learned. Say kinds={{"{name}": "beside"}} (--kind {name}=beside) to keep it beside the rows, or name it '
            "as the group or the label if it is one; dates are read from a file, or with pandas.to_datetime."
        )


def _nothing(name: str) -> str:
    return f'Every cell of column "{name}" is missing. Leave the column out.'


def _united(column: Column, other: Column) -> Column:
    if (column.kind, family_of(column.arrow)) != (other.kind, family_of(other.arrow)):
        raise SpecMismatch(
            f'Column "{column.name}" is a {column.kind} of type {column.arrow} in one split and a {other.kind} of type '
            f"{other.arrow} in another. Convert one of them."
        )
    if column.unit is not None and other.unit is not None and column.fit is None:
        own = unit_of(column.arrow)
        assert own is not None
        finer = min(column.unit, other.unit, key=UNITS.__getitem__)
        column = replace(column, unit=max(finer, own, key=UNITS.__getitem__))
    levels = tuple(dict.fromkeys((*column.levels, *other.levels)))
    if levels == column.levels:
        return column
    fit = column.fit
    if fit is not None:
        fit = Fit(counts=(*fit.counts, *[0] * (len(levels) - len(column.levels))), missing=fit.missing)
    return replace(column, levels=levels, arrow=widened(column.arrow, len(levels)), fit=fit)
