from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, strategies as st
from tabular import DAY, MAKERS, fitted_of, frame_of, inflated, tables

from synthaug.errors import InvalidArtifact, InvalidData, SpecMismatch, UnsupportedKind
from synthaug.modalities.base import Container
from synthaug.modalities.table import (
    TableForm,
    columns_of_array,
    infer_columns,
    rows_of_table,
    table_of_rows,
    with_levels_of,
)


def reference(form: TableForm, rows: np.ndarray) -> np.ndarray:
    """Encoded rows, cell by cell as the layout is described."""
    out = []
    for row in rows:
        numbers: list[float] = []
        for column, cell in zip(form.columns, row, strict=True):
            fit = column.fit
            assert fit is not None
            if column.codes is not None:
                choices: list[Any] = [code for code, count in enumerate(fit.counts) if count]
            else:
                choices = ["between"] * bool(fit.knots) + list(fit.spikes)
            mine: Any = "missing" if np.isnan(cell) else cell if cell in choices else "between"
            choices += ["missing"] * bool(fit.missing)
            if fit.knots:
                numbers.append(np.interp(cell, fit.knots, fit.places) if mine == "between" else 0.0)
            if choices != ["between"]:
                numbers += [1.0 if choice == mine else -1.0 for choice in choices]
        out.append(numbers)
    return np.array(out)


@given(table=tables(tuple(set(MAKERS) - {"tiny"})))  # whose slopes np.interp cannot count
def test_encoded_rows_are_laid_out_as_described(table: pa.Table) -> None:
    form, rows = fitted_of(table)
    given_rows = rows.copy()
    encoded = form.encode(rows)
    np.testing.assert_array_equal(rows, given_rows)
    assert encoded.dtype == torch.float32
    assert encoded.shape == (len(rows), *form.encoded)
    np.testing.assert_allclose(encoded.numpy(), reference(form, rows), atol=1e-5)


@given(table=tables())
def test_blocks_cover_an_encoded_row_once_and_in_order(table: pa.Table) -> None:
    form, rows = fitted_of(table)
    encoded = form.encode(rows)
    assert [i for b in form.blocks for i in range(b.start, b.stop)] == list(range(form.encoded[0]))
    assert sorted({b.column for b in form.blocks}) == list(range(len(form.columns)))
    for block in form.blocks:
        part = encoded[:, block.start : block.stop]
        assert block.onehot or block.size == 1
        assert -1 <= part.min() <= part.max() <= 1
        if block.onehot:
            assert ((part == 1).sum(1) == 1).all()
            assert ((part == -1).sum(1) == block.size - 1).all()


@given(table=tables())
def test_decoding_an_encoded_row_gives_it_back(table: pa.Table) -> None:
    form, rows = fitted_of(table)
    back = form.decode(form.encode(rows))
    np.testing.assert_array_equal(np.isnan(back), np.isnan(rows))
    for at, column in enumerate(form.columns):
        cells, found, fit = rows[:, at], back[:, at], column.fit
        assert fit is not None
        exact = np.isin(cells, fit.spikes) if column.codes is None else np.full(len(cells), True)
        np.testing.assert_array_equal(found[exact], cells[exact])
        rest = ~exact & ~np.isnan(cells)
        if rest.any():
            gaps = np.pad(np.diff(fit.knots), 1)
            between = np.clip(np.searchsorted(fit.knots, cells[rest], side="right"), 1, len(fit.knots) - 1)
            near = np.max([gaps[between - 1], gaps[between], gaps[between + 1]], axis=0)
            slack = (
                4e-6 * near + 1e-15 * np.abs(cells[rest]) + (1.0 if column.whole and near.max() > 1e5 else 0)
            )
            slack += {"halffloat": 1e-3, "float": 1e-6}.get(column.arrow, 0) * np.abs(cells[rest]) + 1e-323
            assert (np.abs(found[rest] - cells[rest]) <= slack).all()


@given(table=tables(), seed=st.integers(0, 1000), scale=st.sampled_from([0.3, 1.0, 30.0, 1e30]))
def test_any_finite_tensor_decodes_to_rows_that_the_table_could_hold(
    table: pa.Table, seed: int, scale: float
) -> None:
    form, rows = fitted_of(table)
    tensors = scale * torch.randn((50, *form.encoded), generator=torch.Generator().manual_seed(seed))
    made = form.decode(tensors)
    assert (made.dtype, made.shape) == (np.float64, (50, *form.shape))
    for at, column in enumerate(form.columns):
        known = made[:, at][~np.isnan(made[:, at])]
        assert len(known) == 50 or np.isnan(rows[:, at]).any()
        assert (known >= np.nanmin(rows[:, at])).all()
        assert (known <= np.nanmax(rows[:, at])).all()
        if column.codes is not None:
            assert set(known) <= set(rows[:, at])
    drawn = table_of_rows(made, form.columns)
    assert drawn.schema == table.schema
    np.testing.assert_array_equal(rows_of_table(drawn, form.columns), made)
    on_device = form.decode_on_device(tensors)
    assert on_device.dtype == torch.float64
    np.testing.assert_array_equal(on_device.numpy(), made)


@pytest.mark.gpu
def test_decoding_on_a_gpu_gives_the_same_rows_but_for_rounding() -> None:
    rng = np.random.default_rng(0)
    missing = rng.random(300) < 0.1
    mild = {name: MAKERS[name] for name in MAKERS if name not in ("heavy", "tiny", "float16")}
    form, rows = fitted_of(pa.table({name: make(rng, 300, missing) for name, make in mild.items()}))
    tensors = form.encode(rows)
    found = form.decode_on_device(tensors.cuda()).cpu().numpy()
    np.testing.assert_allclose(found, form.decode(tensors), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int64", "uint8", "uint16", "int8", "bool"]
)
@pytest.mark.parametrize("width", [8, 300])
def test_vectors_of_any_dtype_come_back(dtype: str, width: int) -> None:
    rng = np.random.default_rng(0)
    rows = (20 * rng.normal(size=(200, width)) % 200 - 70 * (dtype in ("int8", "float32"))).astype(dtype)
    form = TableForm(columns_of_array(rows), dtype).fitted(rows)
    back = form.decode(form.encode(rows))
    assert (back.dtype, back.shape) == (rows.dtype, rows.shape)
    exact = not dtype.startswith("float")
    np.testing.assert_allclose(
        back.astype(float), rows.astype(float), atol=0 if exact else 0.2 if "16" in dtype else 1e-3
    )
    on_device = form.decode_on_device(1.5 * form.encode(rows))
    np.testing.assert_array_equal(on_device.numpy(), form.decode(1.5 * form.encode(rows)))


@pytest.mark.parametrize("container", ["frame", "array"])
def test_a_wide_vector_of_numbers_is_its_standard_scores_over_three(container: Container) -> None:
    rows = np.random.default_rng(0).normal(5.0, 2.0, (400, 70)) ** np.arange(1, 3).repeat(35)
    form = TableForm(columns_of_array(rows), container=container).fitted(rows)
    # the columns of an array are of one unit: none is stretched further than the median one
    least = np.median(rows.std(0)) if container == "array" else 0.0
    scores = (rows - rows.mean(0)) / rows.std(0).clip(least)
    inside = (np.abs(scores) <= 3).all(axis=0)  # where nothing reaches further
    assert inside.any()
    assert form.encoded == (70,)
    np.testing.assert_allclose(form.encode(rows)[:, inside].numpy(), scores[:, inside] / 3, atol=1e-6)


def test_zeros_of_a_wide_vector_come_back_as_zeros_and_are_no_numbers_beside_it() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 80)).clip(0, 2)  # as behind a rectifier
    form = TableForm(columns_of_array(rows)).fitted(rows)
    assert form.encoded == (80,)
    np.testing.assert_allclose(form.decode(form.encode(rows)), rows, atol=1e-5)
    below = form.decode(form.encode(rows) - 0.1)
    assert 0.5 < (below == 0).mean() < 0.7
    levels = np.round(rows[:, :70] * 2) / 2  # of few values, each of which many rows have
    found = TableForm(columns_of_array(levels)).fitted(levels)
    few = [column.fit.counts for column in found.columns if not column.fit.knots]
    assert few
    assert all(min(counts) >= 5 for counts in few)


def test_a_few_rows_of_an_embedding_do_not_make_its_quiet_columns_loud() -> None:
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(2000, 200)) * np.geomspace(0.01, 1, 200)).clip(0)
    form = TableForm(columns_of_array(rows)).fitted(rows[:20])
    encoded = form.encode(rows).numpy()
    assert encoded.shape == (2000, 200)
    assert encoded.std(0)[:20].max() < 0.3 * encoded.std(0)[150:].min()
    assert (np.abs(encoded) == 1).mean() < 0.03  # little that was not seen is cut off


def test_columns_of_a_vector_that_are_of_several_units_are_each_scaled_by_their_own_deviation() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 90)) * np.where(np.arange(90) < 60, 1000.0, 1.0)
    rows[:, 80:] = 0.1  # which vary by rounding alone
    rows += np.where(np.arange(90) >= 80, 1e-17, 0.0) * np.arange(300)[:, None]
    encoded = TableForm(columns_of_array(rows)).fitted(rows).encode(rows).numpy()
    assert (encoded[:, :80].std(axis=0) > 0.2).all()


def test_a_number_has_a_third_of_its_normal_quantile_whatever_its_tails() -> None:
    from scipy.special import ndtri

    scores = ndtri((np.arange(4000) + 0.5) / 4000)
    for values in (scores, np.exp(3 * scores), np.sign(scores) * np.abs(scores) ** 5):
        form = TableForm(columns_of_array(values[:, None])).fitted(values[:, None])
        usual = np.abs(scores) < 2.5
        np.testing.assert_allclose(
            form.encode(values[:, None])[usual, 0].numpy(), scores[usual] / 3, atol=0.02
        )


def test_values_that_many_rows_hold_are_levels_of_their_own() -> None:
    rng = np.random.default_rng(0)
    rows = np.stack([inflated(rng, 400), rng.normal(size=400), rng.integers(0, 4, 400), np.ones(400)], axis=1)
    fits = [column.fit for column in TableForm(columns_of_array(rows)).fitted(rows).columns]
    assert [fit.spikes for fit in fits if fit] == [(0.0,), (), (0.0, 1.0, 2.0, 3.0), (1.0,)]
    assert [bool(fit.knots) for fit in fits if fit] == [True, True, False, False]
    assert fits[0] is not None
    assert fits[0].counts == ((rows[:, 0] == 0).sum(),)


def test_a_value_that_a_few_rows_hold_by_chance_is_no_level() -> None:
    rows = np.array([*range(16), 3, 3, 3], float)[:, None]
    fit = TableForm(columns_of_array(rows)).fitted(rows).columns[0].fit
    assert fit is not None
    assert fit.spikes == ()


def test_a_column_without_a_value_in_training_rows_stays_missing() -> None:
    rows = np.array([[np.nan, 1.0], [np.nan, 2.0]])
    form = TableForm(columns_of_array(np.ones((2, 2)))).fitted(rows)
    assert np.isnan(form.decode(torch.randn(9, *form.encoded))[:, 0]).all()


def test_what_training_rows_did_not_hold_is_no_level() -> None:
    columns = infer_columns(frame_of(c=["a", "b", "c"], n=[1.0, 2.0, 9.0]))
    rows = np.array([[0.0, 1.0], [2.0, 2.0]] * 20)
    form = TableForm(columns).fitted(rows)
    new = np.array([[1.0, 1.2], [np.nan, np.nan], [2.0, 9.0]])
    assert form.encode(new).tolist() == [[-1, -1, 1, -1], [-1, -1, -1, -1], [-1, 1, -1, 1]]


# The form


@given(table=tables())
def test_a_form_survives_its_own_json(table: pa.Table) -> None:
    form, _ = fitted_of(table)
    unfitted = TableForm(infer_columns(table))
    for one in (form, unfitted):
        again = TableForm.from_dict(json.loads(json.dumps(one.to_dict(), allow_nan=False)))
        assert again == one
        assert [type(level) for c in again.columns for level in c.levels] == [
            type(level) for c in one.columns for level in c.levels
        ]


def changed(data: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(data))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("kind",), "image"),
        (("columns",), []),
        (("dtype",), "object"),
        (("container",), "shelf"),
        (("extra",), 1),
        (("columns", 0, "name"), 3),
        (("columns", 0, "name"), "c"),
        (("columns", 0, "kind"), "date"),
        (("columns", 0, "arrow"), "list<item: int8>"),
        (("columns", 0, "unit"), "s"),
        (("columns", 0, "fit"), None),
        (("columns", 0, "fit", "low"), "1"),
        (("columns", 0, "fit", "low"), float("nan")),
        (("columns", 0, "fit", "low"), 99.0),
        (("columns", 0, "fit", "missing"), -1),
        (("columns", 0, "fit", "knots"), [1.0]),
        (("columns", 0, "fit", "knots"), [3.0, 2.0, 1.0]),
        (("columns", 0, "fit", "extra"), 1),
        (("columns", 1, "levels"), ["a", "a"]),
        (("columns", 1, "levels"), ["a", 2]),
        (("columns", 1, "fit", "counts"), [1]),
    ],
    ids=str,
)
def test_a_form_that_we_did_not_write_is_refused(path: tuple[Any, ...], value: Any) -> None:
    form, _ = fitted_of(frame_of(n=[1.0, 2.5, 3.0], c=["a", "b", "a"]))
    assert TableForm.from_dict(form.to_dict()) == form
    with pytest.raises(InvalidArtifact, match="again"):
        TableForm.from_dict(changed(form.to_dict(), path, value))


@given(table=tables())
def test_equal_rows_have_equal_fingerprints_and_others_do_not(table: pa.Table) -> None:
    form, rows = fitted_of(table)
    prints = form.fingerprints(rows)
    assert (prints.dtype, prints.shape) == (np.uint64, (len(rows),))
    with np.errstate(over="ignore", under="ignore"):
        plain = [
            np.where(np.isnan(r), None, r.astype(np.float32) if c.kind == "number" else r)
            for r, c in zip(rows.T, form.columns, strict=True)
        ]
    assert len(set(prints.tolist())) == len(set(zip(*(p.tolist() for p in plain), strict=True)))


@given(seed=st.integers(0, 200))
def test_a_fingerprint_changes_with_any_one_cell(seed: int) -> None:
    rng = np.random.default_rng(seed)
    missing = rng.random(60) < 0.2
    missing[0] = False
    form, rows = fitted_of(pa.table({name: make(rng, 60, missing) for name, make in MAKERS.items()}))
    row = rows[:1]
    for at, column in enumerate(form.columns):
        other = row.copy()
        other[0, at] = np.nan
        assert form.fingerprints(other) != form.fingerprints(row)
        if column.codes is not None:
            other[0, at] = 1.0 - row[0, at]
        else:
            other[0, at] = row[0, at] + (1.0 if column.whole else max(1.0, abs(row[0, at]) * 1e-3))
        if column.codes is None or other[0, at] in (0, 1):
            assert form.fingerprints(other) != form.fingerprints(row)


def test_fingerprints_see_content_and_not_how_it_is_kept() -> None:
    rng = np.random.default_rng(1)
    texts = rng.choice(["a", "b", "c"], 30)
    numbers = rng.normal(size=30)
    numbers[:2] = -0.0, np.nan
    days = rng.integers(0, 99, 30) * DAY

    def prints(levels: list[str], real: np.ndarray, whole: Any, extra: int) -> np.ndarray:
        c = pa.DictionaryArray.from_arrays([levels.index(t) for t in texts], levels)
        t = pa.array([*days.tolist(), extra], pa.timestamp("us"))
        table = frame_of(c=c, n=real, i=whole, t=t[:30])
        columns = with_levels_of(infer_columns(table), infer_columns(table.set_column(3, "t", t[1:])))
        return TableForm(columns).fingerprints(rows_of_table(table, columns))

    whole = np.arange(30)
    expected = prints(["a", "b", "c"], numbers, whole, DAY)
    numbers[0] = 0.0
    found = prints(["c", "x", "b", "a"], numbers.astype(np.float32), whole.astype(np.float32), 1)
    np.testing.assert_array_equal(found, expected)
    vectors = rng.normal(size=(9, 4))
    as_is, narrow = (
        TableForm(columns_of_array(v), str(v.dtype)) for v in (vectors, vectors.astype(np.float32))
    )
    tensors = replace(narrow, container="tensor")
    for form in (narrow, tensors):
        np.testing.assert_array_equal(
            form.fingerprints(vectors.astype(np.float32)), as_is.fingerprints(vectors)
        )


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        ({"a": [1.5]}, {"b": [1.5]}, 'the columns differ: "a" only in the one, "b" only in the other'),
        ({"a": [1.5], "b": [1]}, {"b": [1], "a": [1.5]}, "the columns are in another order"),
        ({"a": [1.5]}, {"a": [1]}, 'column "a" is of kind number, not integer'),
        ({"a": [1]}, {"a": pa.array([1], pa.int8())}, 'column "a" is of type int64, not int8'),
        ({"a": ["x"]}, {"a": ["y"]}, 'column "a" has other levels: "x" not in the other, "y" only there'),
    ],
)
def test_a_form_says_which_column_differs_and_how(ours: Any, theirs: Any, reason: str) -> None:
    one, other = (TableForm(infer_columns(frame_of(**columns))) for columns in (ours, theirs))
    assert one.why_not(other) == reason
    assert one.why_not(one) is None


def test_forms_are_held_against_each_other_by_what_both_know() -> None:
    columns = columns_of_array(np.ones((2, 3)))
    form = TableForm(columns)
    one, other = (form.fitted(np.random.default_rng(seed).normal(size=(9, 3))) for seed in (0, 1))
    assert form.why_not(one) is one.why_not(form) is None
    assert one.why_not(replace(one, container="tensor")) is None
    assert one.why_not(other) == 'column "0" was fitted to other rows'
    assert form.why_not(replace(form, dtype="float32")) == "rows of float64 are not rows of float32"


def test_a_form_is_short_in_words() -> None:
    form, rows = fitted_of(frame_of(a=[1.0, 2.5], b=["x", "y"], c=["u", "v"]))
    assert str(form) == "table of 3 columns (1 number, 2 categories)"
    assert [end.tolist() for end in form.ends] == [[1.0, 0, 0], [2.5, 1, 1]]
    assert TableForm(form.columns[:1]).shape == (1,)
    assert TableForm(infer_columns(frame_of(a=[1.0]))).ends == []
    assert len(rows) == 2


def test_vectors_that_cannot_be_taken_are_refused_in_words() -> None:
    with pytest.raises(UnsupportedKind, match=r"Vectors were expected.*3x2x2 of float64"):
        columns_of_array(np.ones((3, 2, 2)))
    with pytest.raises(UnsupportedKind, match="complex128"):
        columns_of_array(np.ones((3, 2), complex))
    with pytest.raises(InvalidData, match='column "1" is missing'):
        columns_of_array(np.array([[1, np.nan]]))
    with pytest.raises(InvalidData, match='"1" holds an infinite value in row 0'):
        columns_of_array(np.array([[1, np.inf]], np.float16))
    with pytest.raises(InvalidData, match='"0" holds 18446744073709551615 in row 1'):
        columns_of_array(np.array([[1], [2**64 - 1]], np.uint64))
    form = TableForm(columns_of_array(np.ones((3, 2))))
    with pytest.raises(
        SpecMismatch, match=r"2 columns \(2 numbers\) were expected, 2 float64; 2 float32 were given"
    ):
        form.fitted(np.ones((3, 2), np.float32))
    with pytest.raises(InvalidData, match="no training rows"):
        form.fitted(np.ones((0, 2)))
    with pytest.raises(InvalidData, match='"0" holds an infinite value in row 2'):
        form.fitted(np.array([[1, 1], [1, 1], [np.inf, 1.0]]))
