from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from tabular import DAY, frame_of, tables

from synthaug.errors import InvalidData, InvalidRequest, SpecMismatch, UnsupportedKind
from synthaug.modalities.table import (
    TableForm,
    infer_columns,
    rows_of_table,
    table_of_rows,
    with_levels_of,
)


@given(table=tables())
def test_a_table_of_the_rows_of_a_table_is_that_table(table: pa.Table) -> None:
    columns = infer_columns(table)
    rows = rows_of_table(table, columns)
    assert (rows.dtype, rows.shape) == (np.float64, (table.num_rows, table.num_columns))
    back = table_of_rows(rows, columns)
    back.validate(full=True)
    assert back.schema == table.schema
    for name in table.column_names:
        assert back[name].to_pylist() == table[name].to_pylist()
        assert [a is None for a in back[name].to_pylist()] == list(
            np.isnan(rows[:, back.column_names.index(name)])
        )
        if pa.types.is_dictionary(table[name].type):
            assert back[name].chunk(0).dictionary.equals(table[name].chunk(0).dictionary)


@given(table=tables())
def test_rows_do_not_depend_on_where_the_columns_stand_or_what_else_there_is(table: pa.Table) -> None:
    columns = infer_columns(table)
    moved = table.select(table.column_names[::-1]).append_column("label", [pa.array(range(table.num_rows))])
    np.testing.assert_array_equal(rows_of_table(moved, columns), rows_of_table(table, columns))


def test_nullable_columns_of_pandas_come_back_as_they_were() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], "Int16"),
            "flag": pd.array([True, None, False], "boolean"),
            "real": pd.array([0.5, None, 2.0], "Float32"),
            "text": pd.array(["a", None, "b"], "string"),
            "level": pd.Categorical(["x", None, "z"], ["z", "y", "x"], ordered=True),
            "when": pd.to_datetime(["2020-01-01", None, "2021-05-05"]),
        }
    )
    table = pa.Table.from_pandas(frame, preserve_index=False)
    columns = infer_columns(table)
    assert [c.kind for c in columns] == ["integer", "boolean", "number", "category", "category", "date"]
    back = table_of_rows(rows_of_table(table, columns), columns).replace_schema_metadata(
        table.schema.metadata
    )
    pd.testing.assert_frame_equal(back.to_pandas(), table.to_pandas())
    assert columns[4].levels == ("z", "y", "x")


def test_chunks_with_dictionaries_of_their_own_are_one_column() -> None:
    chunks = [pa.array(texts).dictionary_encode() for texts in (["b", "a"], ["c", None, "b"])]
    table = frame_of(c=pa.chunked_array(chunks))
    columns = infer_columns(table)
    assert columns[0].levels == ("b", "a", "c")
    np.testing.assert_array_equal(rows_of_table(table, columns)[:, 0], [0, 1, 2, np.nan, 0])


@pytest.mark.parametrize(
    ("values", "unit"),
    [([0, DAY], "D"), ([1_000_000], "s"), ([5_000, 0], "ms"), ([1, None], "us"), ([-DAY, -1_000_000], "s")],
)
def test_a_date_counts_in_the_coarsest_unit_in_which_all_are_whole(values: list[Any], unit: str) -> None:
    table = frame_of(t=pa.array(values, pa.timestamp("us")))
    columns = infer_columns(table)
    assert columns[0].unit == unit
    assert table_of_rows(rows_of_table(table, columns), columns) == table


def test_kinds_are_as_asked() -> None:
    table = frame_of(zip=[8001, 9000, 8001], real=[1.0, None, 3.0], flag=[0, 1, 1], sure=[True, False, True])
    kinds = {"zip": "category", "real": "integer", "flag": "boolean", "sure": "category"}
    columns = infer_columns(table, kinds=kinds)
    assert {c.name: c.kind for c in columns} == kinds
    assert columns[0].levels == (8001, 9000)
    assert columns[3].levels == (False, True)
    assert table_of_rows(rows_of_table(table, columns), columns) == table


def test_levels_of_two_splits_are_united_behind_our_own() -> None:
    ours, theirs = frame_of(c=["b", "a"]), frame_of(c=["c", "b"])
    columns = infer_columns(ours)
    united = with_levels_of(columns, infer_columns(theirs))
    assert united[0].levels == ("a", "b", "c")
    assert rows_of_table(theirs, united)[:, 0].tolist() == [2, 1]
    fitted = TableForm(columns).fitted(rows_of_table(ours, columns))
    later = replace(fitted, columns=with_levels_of(fitted.columns, infer_columns(theirs)))
    assert later.encoded == fitted.encoded
    assert later.encode(rows_of_table(theirs, later.columns)).tolist() == [[-1, -1], [-1, 1]]


def test_a_united_dictionary_can_count_its_levels_and_a_united_date_is_as_fine_as_the_finer() -> None:
    many = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(range(100)))
    more = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(range(100, 200)))
    ours, theirs = (
        frame_of(c=values, t=pa.array(times, pa.timestamp("us")))
        for values, times in ((many, [0, DAY]), (more, [1_000, 7_000]))
    )
    united = with_levels_of(infer_columns(ours), infer_columns(theirs))
    assert united[1].unit == "ms"
    back = table_of_rows(rows_of_table(theirs, united), united)
    assert back["c"].type.index_type == pa.int16()
    assert back.to_pylist() == theirs.to_pylist()


# Refusals


UNIQUE = [f"name {i}" for i in range(30)]


@pytest.mark.parametrize(
    ("table", "error", "text"),
    [
        (pa.table({}), InvalidData, "no feature columns"),
        (pa.Table.from_arrays([[1], [2]], ["a", "a"]), InvalidData, 'Several columns are called "a". Rename'),
        (
            frame_of(a=UNIQUE),
            InvalidData,
            '"a" holds 30 different texts in 30 rows.*beside.*or name it as',
        ),
        (frame_of(a=[None, None]), InvalidData, '"a" is missing. Leave the column out'),
        (frame_of(a=[float("nan")] * 2), InvalidData, '"a" is missing'),
        (frame_of(a=[1.0, float("-inf")]), InvalidData, '"a" holds an infinite value in row 1. Mark'),
        (
            frame_of(a=[1.0, 2.0, 1e39]),
            InvalidData,
            '"a" holds 1e.39, beyond what float32 can hold, in row 2',
        ),
        (
            frame_of(a=[1, None, 2**53 + 1]),
            InvalidData,
            r'"a" holds 9007199254740993 in row 2.*2\^53.*identifier',
        ),
        (frame_of(a=[[1], [2]]), UnsupportedKind, '"a" holds list<.*not taken.*Leave it out or convert'),
        (frame_of(a=[{"b": 1}]), UnsupportedKind, '"a" holds struct<'),
        (frame_of(a=[b"x"]), UnsupportedKind, '"a" holds binary'),
        (frame_of(a=pa.array([1], pa.duration("s"))), UnsupportedKind, '"a" holds duration'),
        (
            frame_of(a=pa.array([2**60 + 1], pa.timestamp("ns"))),
            InvalidData,
            '"a" holds times.*Round them to micro',
        ),
    ],
)
def test_tables_that_cannot_be_taken_are_refused_in_words(
    table: pa.Table, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        infer_columns(table)


@pytest.mark.parametrize(
    ("kinds", "text"),
    [
        ({"aeg": "number"}, '"aeg", which the table does not have. Did you mean "age"?'),
        ({"age": "categry"}, '"categry".*is not a kind of column. Did you mean "category"?'),
        ({"age": "date"}, 'Kind "date" was asked for column "age", which holds int64: it can be "integer"'),
    ],
)
def test_kinds_that_cannot_be_are_refused_in_words(kinds: dict[str, str], text: str) -> None:
    with pytest.raises(InvalidRequest, match=text.replace("?", r"\?")):
        infer_columns(frame_of(age=[1, 2]), kinds=kinds)


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("integer", [1.0, 2.5], "holds 2.5 in row 1, which is not whole"),
        ("boolean", [0, 1, 2], "holds 2.0 in row 2"),
    ],
)
def test_values_that_a_kind_cannot_hold_are_refused_in_words(kind: str, values: list[Any], text: str) -> None:
    with pytest.raises(InvalidData, match=text):
        infer_columns(frame_of(a=values), kinds={"a": kind})


def test_text_that_differs_in_every_row_is_a_category_where_that_is_asked_for() -> None:
    assert infer_columns(frame_of(a=UNIQUE), kinds={"a": "category"})[0].levels == tuple(sorted(UNIQUE))


def test_cells_that_the_columns_do_not_know_are_refused_in_words() -> None:
    columns = infer_columns(frame_of(c=["cat", "dog"], t=pa.array([0, DAY], pa.timestamp("us"))))
    times = pa.array([0, 1], pa.timestamp("us"))
    with pytest.raises(InvalidData, match=r"\"c\" holds 'cot' in row 1, which is not.*Did you mean \"cat\""):
        rows_of_table(frame_of(c=["dog", "cot"], t=times), columns)
    with pytest.raises(
        InvalidData,
        match=r'"t" is of kind "date" and holds 1 in row 1, counted in us: finer than its unit "D". Round',
    ):
        rows_of_table(frame_of(c=["dog", "cat"], t=times), columns)
    with pytest.raises(SpecMismatch, match='no column "t"'):
        rows_of_table(frame_of(c=["dog"]), columns)
    with pytest.raises(SpecMismatch, match=r'"c" is a category of type string; int64 was given'):
        rows_of_table(frame_of(c=[1, 2], t=times), columns)
    with pytest.raises(SpecMismatch, match='no column "t"'):
        with_levels_of(columns, columns[:1])


def test_rows_that_a_table_cannot_hold_are_refused_in_words() -> None:
    columns = infer_columns(frame_of(c=["cat", "dog"], i=pa.array([1, 2], pa.int8())))
    with pytest.raises(InvalidData, match=r'"c".*holds 2.0 in row 0, where 2 levels are known'):
        table_of_rows(np.array([[2.0, 1.0]]), columns)
    with pytest.raises(InvalidData, match=r'"i".*holds 200.0 in row 0, beyond what int8 can hold'):
        table_of_rows(np.array([[1.0, 200.0]]), columns)
    with pytest.raises(SpecMismatch, match="Rows of 2 columns were expected, an array of 1x3 was given"):
        table_of_rows(np.ones((1, 3)), columns)
