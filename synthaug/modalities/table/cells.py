"""Rows of numbers from Arrow tables, and Arrow tables from rows of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from synthaug.errors import InvalidData, SpecMismatch
from synthaug.modalities.table.columns import Column, Level, numpy_of
from synthaug.modalities.table.kinds import (
    INTEGERS,
    UNITS,
    arrow_type,
    family_of,
    kinds_of,
    unit_of,
    values_of,
)
from synthaug.wording import did_you_mean, quoted

WHOLE = 2**53
"""Up to here every whole number is a float64 of its own."""

LARGEST = float(np.finfo(np.float32).max)
"""Beyond it a number is as good as infinite."""

_CORRECT = "Round or correct it, or give the column another kind."
_UNITE = "Round it, or unite the columns of all splits first."


def rows_of_table(table: Any, columns: Sequence[Column]) -> np.ndarray:
    """``(N, D)`` float64 rows of an Arrow table; a missing cell is NaN.

    Args:
        table: ``pyarrow.Table`` with at least these columns, in any order.
        columns: which to take, in the order of the rows.

    Raises:
        SpecMismatch: a column that the table does not have, or has as another type.
        InvalidData: a cell that its column cannot hold, such as an unknown level or an infinite number.
    """
    rows = np.empty((table.num_rows, len(columns)), np.float64)
    require_single_names(table)
    names = dict.fromkeys(table.column_names)
    for at, column in enumerate(columns):
        if column.name not in names:
            meant = did_you_mean(column.name, names)
            raise SpecMismatch(f'The table has no column "{column.name}", which the data set has.{meant}')
        rows[:, at] = cells_of(table.column(column.name), column)
    return rows


def table_of_rows(rows: np.ndarray, columns: Sequence[Column]) -> Any:
    """The ``pyarrow.Table`` whose `rows_of_table` are these, with exactly the columns' types and levels.

    Args:
        rows: ``(N, D)`` of numbers.
        columns: of the table.

    Raises:
        SpecMismatch: rows of another width.
        InvalidData: a number that its column cannot hold.
    """
    import pyarrow as pa

    if rows.ndim != 2 or rows.shape[1] != len(columns):
        found = "x".join(map(str, rows.shape))
        raise SpecMismatch(f"Rows of {len(columns)} columns were expected, an array of {found} was given.")
    arrays = [_array_of(rows[:, at].astype(np.float64), column) for at, column in enumerate(columns)]
    return pa.table(arrays, schema=pa.schema([(c.name, arrow_type(c.arrow)) for c in columns]))


def cells_of(values: Any, column: Column) -> np.ndarray:
    """``(N,)`` float64 raw cells of a ``pyarrow.ChunkedArray``; NaN where missing.

    Raises:
        SpecMismatch: values of another type.
        InvalidData: a value that the column cannot hold.
    """
    arrow = str(values.type)
    same = column.kind != "category" or family_of(arrow) is family_of(column.arrow)
    if column.kind not in kinds_of(arrow) or not same:
        raise SpecMismatch(
            f'Column "{column.name}" is a {column.kind} of type {column.arrow}; {arrow} was given. '
            "Convert it to that type."
        )
    if column.kind == "category":
        return _codes(values, column)
    if column.kind == "date":
        return _dates(values, column)
    return _numbers(values, column)


def levels_of(values: Any, name: str) -> tuple[Level, ...]:
    """The levels in a column of that name: a dictionary's in its own order, other values in ascending order.

    Raises:
        InvalidData: an infinite number.
    """
    uniques = [value for value in _coded(values, name)[1] if _is_known(value)]
    return tuple(dict.fromkeys(uniques if values.type != values_of(str(values.type)) else sorted(uniques)))


def instants_of(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """``(N,)`` int64 counts of the type's own unit since the epoch, and where they are known."""
    import pyarrow as pa
    import pyarrow.compute as pc

    known = values.is_valid().to_numpy(zero_copy_only=False).astype(bool)
    width = pa.int32() if str(values.type) == "date32[day]" else pa.int64()
    return pc.fill_null(values.cast(width), 0).to_numpy(zero_copy_only=False).astype(np.int64), known


def require_single_names(table: Any) -> None:
    """Refuse a table in which two columns bear one name.

    Raises:
        InvalidData: such names.
    """
    names = table.column_names
    double = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if double:
        raise InvalidData(
            f"Several columns are called {quoted(double)}. Rename or leave out all but one of each."
        )


def refuse_cells(cells: np.ndarray, name: str) -> None:
    """Refuse infinite numbers in ``(N,)`` cells of the column of that name.

    Raises:
        InvalidData: the first of them.
    """
    beyond = np.abs(cells) > LARGEST  # of NaN this is false
    if beyond.any():
        row = int(beyond.argmax())
        what = (
            "an infinite value" if np.isinf(cells[row]) else f"{cells[row]:g}, beyond what float32 can hold,"
        )
        raise InvalidData(
            f'Column "{name}" holds {what} in row {row}. Mark such cells as missing, or leave out the rows.'
        )


def refuse_long(cells: np.ndarray, name: str) -> None:
    """Refuse whole numbers in ``(N,)`` cells that float64 cannot tell from their neighbours.

    Raises:
        InvalidData: the first of them.
    """
    long = (cells > WHOLE) | (cells < -WHOLE)
    if long.any():
        row = int(long.argmax())
        raise InvalidData(
            f'Column "{name}" holds {cells[row]} in row {row}, beyond 2^53, where whole numbers are rounded. Leave the '
            'column out if it is an identifier, take it as kind "category", or convert it to a float.'
        )


def _numbers(values: Any, column: Column) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if str(values.type) in INTEGERS:
        refuse_long(pc.fill_null(values, 0).to_numpy(zero_copy_only=False), column.name)
    width = pa.float64() if str(values.type) != "bool" else pa.uint8()
    cells: np.ndarray = values.cast(width).to_numpy(zero_copy_only=False).astype(np.float64)
    cells += 0.0  # -0.0 becomes 0.0
    refuse_cells(cells, column.name)
    if column.kind == "integer":
        _refuse_where(~np.isnan(cells) & (cells != np.rint(cells)), cells, column, "which is not whole")
        refuse_long(cells, column.name)
    if column.kind == "boolean":
        _refuse_where(
            ~np.isnan(cells) & (cells != 0) & (cells != 1), cells, column, "which is neither 0 nor 1"
        )
    return cells


def _dates(values: Any, column: Column) -> np.ndarray:
    instants, known = instants_of(values)
    given = unit_of(str(values.type))
    assert given is not None
    assert column.unit is not None
    # Divided before it is multiplied, so that nothing overflows.
    over = max(1, UNITS[column.unit] // UNITS[given])
    _refuse_where(
        instants % over != 0,
        instants,
        column,
        f'counted in {given}: finer than its unit "{column.unit}"',
        _UNITE,
    )
    times = max(1, UNITS[given] // UNITS[column.unit])
    counts = (instants // over).astype(np.float64) * times
    _refuse_where(np.abs(counts) > WHOLE, instants, column, f"counted in {given}: beyond 2^53 {column.unit}")
    return np.where(known, counts, np.nan)


def _codes(values: Any, column: Column) -> np.ndarray:
    indices, uniques = _coded(values, column.name)
    places = {level: float(place) for place, level in enumerate(column.levels)}
    codes = np.array(
        [places.get(value, -1.0) if _is_known(value) else np.nan for value in uniques] + [np.nan]
    )
    cells: np.ndarray = codes[indices]
    unknown = cells == -1
    if unknown.any():
        row = int(unknown.argmax())
        raise InvalidData(
            f'Column "{column.name}" holds {uniques[indices[row]]!r} in row {row}, which is not one of its '
            f"{len(column.levels)} levels.{did_you_mean(str(uniques[indices[row]]), map(str, column.levels))} Correct "
            "the cell, leave out the row, or unite the levels of all splits first."
        )
    return cells


def _coded(values: Any, name: str) -> tuple[np.ndarray, list[Any]]:
    """``(N,)`` positions in a list of values, -1 where a cell is null; and the values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(values.type):
        values = pc.add(values.cast(pa.float64()), 0.0)
    coded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    coded = coded.unify_dictionaries().combine_chunks()
    indices = pc.fill_null(coded.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    uniques = coded.dictionary.to_pylist()
    if pa.types.is_floating(coded.type.value_type):
        refuse_cells(np.array([*uniques, None], np.float64)[indices], name)
    return indices, uniques


def _is_known(value: object) -> bool:
    return value is not None and value == value


def _refuse_where(
    wrong: np.ndarray, cells: np.ndarray, column: Column, why: str, remedy: str = _CORRECT
) -> None:
    if wrong.any():
        row = int(wrong.argmax())
        raise InvalidData(
            f'Column "{column.name}" is of kind "{column.kind}" and holds {cells[row]} in row {row}, {why}. {remedy}'
        )


def _array_of(cells: np.ndarray, column: Column) -> Any:
    import pyarrow as pa

    missing = np.isnan(cells)
    cells = np.where(missing, 0.0, cells)
    if column.whole:
        _refuse_where(cells != np.rint(cells), cells, column, "which is not whole")
    if column.codes is not None:
        wrong = ~missing & ((cells < 0) | (cells >= column.codes))
        _refuse_where(wrong, cells, column, f"where {column.codes} levels are known")
    if column.kind == "category":
        return _array_of_levels(cells.astype(np.int64), missing, column)
    if column.kind == "date":
        return _array_of_dates(cells, missing, column)
    dtype = np.dtype(numpy_of(column.arrow))
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        _refuse_where((cells < info.min) | (cells > info.max), cells, column, f"beyond what {dtype} can hold")
    return pa.array(cells.astype(dtype), arrow_type(column.arrow), mask=missing)


def _array_of_levels(codes: np.ndarray, missing: np.ndarray, column: Column) -> Any:
    import pyarrow as pa

    whole = arrow_type(column.arrow)
    value = arrow_type(values_of(column.arrow))
    levels = pa.array(column.levels, pa.large_string() if family_of(column.arrow) is str else value)
    if not pa.types.is_dictionary(whole):
        return levels.take(pa.array(codes, mask=missing)).cast(whole)
    indices = pa.array(codes, mask=missing).cast(whole.index_type)
    return pa.DictionaryArray.from_arrays(indices, levels.cast(value), ordered=whole.ordered)


def _array_of_dates(cells: np.ndarray, missing: np.ndarray, column: Column) -> Any:
    import pyarrow as pa

    unit = unit_of(column.arrow)
    assert unit is not None
    assert column.unit is not None
    times = UNITS[column.unit] // UNITS[unit]
    whole, most = (pa.int32(), 2**31) if column.arrow == "date32[day]" else (pa.int64(), 2**63)
    _refuse_where(np.abs(cells) * times >= most, cells, column, f"beyond what {column.arrow} can hold")
    return pa.array(cells.astype(np.int64) * times, mask=missing).cast(whole).cast(arrow_type(column.arrow))
