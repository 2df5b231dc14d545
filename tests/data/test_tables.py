"""Tables and vectors: what is read of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

from synthaug import Protocol, evaluate, expand, fit, inspect, open_data
from synthaug.data import require_disjoint, without_copies
from synthaug.errors import InvalidData, InvalidRequest, Leakage, SynthaugWarning, UnsupportedKind
from synthaug.modalities.table import table_of_rows

N = 24


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(20, 80, N),
            "income": np.where(rng.random(N) < 0.2, np.nan, rng.lognormal(8, 2, N)),
            "job": pd.Categorical(rng.choice(["nurse", "clerk"], N), categories=["clerk", "nurse", "judge"]),
            "seen": pd.date_range("2024-01-01", periods=N, freq="D"),
            "member": rng.random(N) < 0.5,
            "patient": [f"p{i:03d}" for i in range(N)],
            "finding": ["well", "ill", "ill"] * 8,
        }
    )


ASIDE = {"patient": "beside"}


def test_a_frame_is_read_with_the_column_that_is_named_as_its_label() -> None:
    data = open_data(frame(), label="finding", kinds=ASIDE)
    assert data.counts == {"ill": 16, "well": 8}
    assert [column.kind for column in data.form.columns] == [
        "integer",
        "number",
        "category",
        "date",
        "boolean",
    ]
    assert data.read().shape == (N, 5)
    table = table_of_rows(data.read(), data.form.columns)
    assert table.equals(pa.Table.from_pandas(frame(), preserve_index=False).select(table.column_names))


def test_columns_beside_stay_with_their_rows() -> None:
    data = open_data(frame(), label="finding", kinds=ASIDE)
    assert data.take([3, 1]).beside["patient"].to_pylist() == ["p003", "p001"]
    assert "finding" not in data.beside.schema.names


@pytest.mark.parametrize("way", ["frame and labels", "arrow", "csv", "parquet", "datasets", "splits"])
def test_every_way_to_hand_over_a_table_gives_the_same_rows(way: str, tmp_path: Path) -> None:
    whole = frame().drop(columns=["seen"])
    plain = whole.assign(job=whole["job"].astype(str))
    said = {"label": "finding", "kinds": ASIDE}
    expected = open_data(plain, **said)
    if way == "frame and labels":
        found = open_data((plain.drop(columns="finding"), plain["finding"]), kinds=ASIDE)
    elif way == "arrow":
        found = open_data(pa.Table.from_pandas(plain, preserve_index=False), **said)
    elif way == "csv":
        plain.to_csv(tmp_path / "a.csv", index=False)
        found = open_data(tmp_path / "a.csv", **said)
    elif way == "parquet":
        parquet.write_table(pa.Table.from_pandas(plain, preserve_index=False), tmp_path / "a.parquet")
        found = open_data(tmp_path / "a.parquet", **said)
    elif way == "datasets":
        found = open_data(datasets.Dataset.from_pandas(plain), **said)
    else:
        parts = {"train": plain[:20], "test": plain[20:]}
        sets = {
            name: datasets.Dataset.from_pandas(part, preserve_index=False) for name, part in parts.items()
        }
        found = open_data(datasets.DatasetDict(sets), **said)
        assert found.splits is not None
        assert found.splits.tolist() == ["train"] * 20 + ["test"] * 4
    assert np.allclose(found.read(), expected.read(), equal_nan=True)
    assert found.fingerprints().tolist() == expected.fingerprints().tolist()
    assert [found.classes[k] for k in found.labels] == [expected.classes[k] for k in expected.labels]


def test_rows_of_one_group_are_told_by_a_column_that_is_not_learned() -> None:
    data = open_data(frame(), label="finding", group="patient")
    assert data.groups is not None
    assert len(set(data.groups)) == N
    assert "patient" not in [column.name for column in data.form.columns]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
def test_arrays_of_vectors_keep_their_dtype(kind: type) -> None:
    X = np.arange(N * 12).reshape(N, 12).astype(kind)
    for given in (X, torch.from_numpy(X)):
        data = open_data((given, [0, 1] * (N // 2)))
        assert data.form.container == ("array" if given is X else "tensor")
        assert data.read().dtype == kind
        assert np.array_equal(data.read(), X)
    items = open_data(torch.utils.data.TensorDataset(torch.from_numpy(X), torch.arange(N) % 2))
    assert np.array_equal(items.read(), X)
    assert items.fingerprints().tolist() == data.fingerprints().tolist()


def test_missing_cells_are_no_broken_rows_and_infinite_ones_are() -> None:
    X = np.random.default_rng(0).normal(size=(N, 9))
    X[3, 4] = np.nan
    open_data((X, [0, 1] * (N // 2))).check()
    X[5, 2] = np.inf
    with pytest.raises(InvalidData, match='Column "2" holds an infinite value in row 5'):
        open_data((X, [0, 1] * (N // 2)))


@pytest.mark.parametrize(
    ("change", "said", "error", "told"),
    [
        (lambda f: f, {}, InvalidData, "no label column stands out in data frame"),
        (lambda f: f, {"label": "findin"}, InvalidRequest, 'no column "findin".*"finding"'),
        (lambda f: f, {"label": "finding"}, InvalidData, 'Column "patient" holds 24 different texts'),
        (lambda f: f.assign(age=np.nan), {"label": "finding"}, InvalidData, 'Every cell of column "age" is missing'),
        (lambda f: f.assign(age=np.inf), {"label": "finding"}, InvalidData, 'Column "age" holds an infinite value'),
        (
            lambda f: f.assign(finding=np.linspace(0, 1, N)),
            {"label": "finding", "kinds": ASIDE},
            UnsupportedKind,
            "0.04347",
        ),
        (
            lambda f: f.assign(finding=["well", None, "ill"] * 8),
            {"label": "finding", "kinds": ASIDE},
            InvalidData,
            "row 1: a missing label was found",
        ),
        (
            lambda f: pd.concat([f, f[["age"]]], axis=1),
            {"label": "finding"},
            InvalidData,
            'Several columns are called "age"',
        ),
        (
            lambda f: f.assign(age=[[1]] * N),
            {"label": "finding", "kinds": ASIDE},
            UnsupportedKind,
            'Column "age" holds list',
        ),
        (lambda f: f, {"label": "finding", "kinds": {"job": "text"}}, InvalidRequest, "is not a kind of column"),
        (lambda f: f, {"label": "finding", "kinds": {"jbo": "beside"}}, InvalidRequest, 'column "jbo".*"job"'),
        (lambda f: f, {"label": "finding", "kinds": ASIDE, "image_size": 8}, InvalidRequest, "holds no images"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_the_remedy(change, said, error, told) -> None:
    with pytest.raises(error, match=told):
        open_data(change(frame()), **said)


def test_a_class_of_one_row_is_refused_in_the_words_of_tables() -> None:
    rare = frame().assign(finding=["well"] * 23 + ["ill"])
    with pytest.raises(InvalidData, match='class "ill" of data frame has one row; at least 2 a class'):
        open_data(rare, label="finding", kinds=ASIDE).check()


def test_what_each_column_is_can_be_read(tmp_path: Path) -> None:
    found = inspect(open_data(frame(), label="finding", kinds=ASIDE))["columns"]
    assert found["age"].startswith("integer from 2")
    assert found["income"].endswith(" missing")
    assert found["job"] == "category of 3: clerk, nurse, judge"
    assert found["seen"] == "date from 2024-01-01 to 2024-01-24"
    assert found["member"] == "boolean"
    maker = fit(open_data(frame(), label="finding", kinds=ASIDE), steps=2, progress=False)
    assert inspect(maker)["columns"] == found


def coarse(n: int = 80) -> pd.DataFrame:
    """A table of few values, of which many rows are equal."""
    rng = np.random.default_rng(3)
    job, age = rng.choice(["nurse", "clerk"], n), rng.integers(20, 24, n)
    ill = rng.random(n) < np.where(job == "nurse", 0.7, 0.3)
    return pd.DataFrame({"job": job, "age": age, "label": np.where(ill, "ill", "well")})


def test_rows_that_are_equal_by_chance_are_no_copies() -> None:
    data = open_data(coarse())
    assert not data.telling().any()
    assert data.remarks() == []
    half, rest = data.take(np.arange(40)), data.take(np.arange(40, 80))
    assert np.isin(half.fingerprints(), rest.fingerprints()).all()
    require_disjoint(half, rest, "halves")
    assert len(without_copies(half, rest)) == 40
    quick = Protocol(folds=2, classifier_steps=5, steps=5, seeds=2)
    found = evaluate(coarse(), ratio=0.25, protocol=quick, jobs=1, progress=False)
    assert sum(sum(found.rows[part].values()) for part in ("training", "validation", "test")) == 80
    maker = fit(half, steps=2, progress=False)
    assert len(maker.held_out) == 0


def test_rows_that_are_known_by_a_number_are_copies_wherever_they_are() -> None:
    table = coarse().assign(weight=np.random.default_rng(4).normal(size=80))
    data = open_data(table)
    assert data.telling().all()
    half = data.take(np.arange(40))
    with pytest.raises(Leakage, match="row 30 and row 30 are the same row"):
        require_disjoint(half.take([30]), half, "parts")
    with pytest.warns(SynthaugWarning, match="10 training rows .* are copies of held-out rows"):
        assert len(without_copies(half, data.take(np.arange(30, 80)))) == 30


def test_copies_are_told_of_the_whole_table_however_few_rows_are_looked_at() -> None:
    data = open_data(coarse().assign(weight=np.repeat(np.arange(4.0), 20)))
    assert not data.take([0, 79]).detached().telling().any()


def test_texts_and_labels_of_a_file_are_as_they_are_written(tmp_path: Path) -> None:
    """Codes with zeros in front are no numbers, and "NA" is a country."""
    rows = ["01067,1.5,NA,007", "80331,NA,DE,01", "01067,,null,007", '80331,2,"",01'] * 5
    (tmp_path / "a.csv").write_text("\n".join(["zip,dose,land,label", *rows]) + "\n")
    data = open_data(tmp_path / "a.csv")
    assert data.classes.values == ("007", "01")
    assert [column.kind for column in data.form.columns] == ["category", "number", "category"]
    assert data.beside["zip"].to_pylist()[:2] == ["01067", "80331"]
    assert data.beside["dose"].to_pylist()[:4] == [1.5, None, None, 2.0]
    assert data.beside["land"].to_pylist()[:4] == ["NA", "DE", "null", ""]
    maker = fit(data, steps=2, progress=False)
    expand(data, maker, to="2x", out=tmp_path / "b.csv", progress=False)
    written = (tmp_path / "b.csv").read_text().splitlines()
    assert [line[: len(row)] for line, row in zip(written[1:3], rows, strict=False)] == [
        "01067,1.5,NA,007",
        "80331,,DE,01,False"[: len(rows[1])],
    ]


def test_kinds_of_columns_are_refused_where_there_are_none() -> None:
    with pytest.raises(InvalidRequest, match="holds images, which have no columns"):
        open_data("bundled:digits", kinds={"age": "category"})
    with pytest.raises(InvalidRequest, match="columns of an array have no kinds"):
        open_data((np.zeros((4, 3)), [0, 1] * 2), kinds={"0": "category"})


def test_whole_numbers_that_count_the_rows_are_told_of_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "number": np.arange(100, 160),
            "age": rng.integers(0, 60, 60),
            "size": rng.normal(size=60),
            "label": ["a", "b"] * 30,
        }
    )
    (told,) = inspect(rows)["notes"]
    assert told.startswith('column "number" differs in every row')
    assert "--kind number=beside" in told
    assert not inspect(open_data(rows, kinds={"number": "beside"}))["notes"]
    assert not inspect(rows.assign(number=rng.permutation(10_000)[:60]))["notes"]


def test_two_columns_that_may_be_the_label_are_refused_and_one_called_label_is_it(tmp_path: Path) -> None:
    rows = pd.DataFrame({"x": np.arange(20) / 7, "target": ["a", "b"] * 10, "class": ["p", "q"] * 10})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    for source in (rows, tmp_path / "rows.csv"):
        with pytest.raises(InvalidData, match='"class", "target" may each be the label column'):
            open_data(source)
        assert list(open_data(source, label="target").classes) == ["a", "b"]
    assert list(open_data(rows.rename(columns={"class": "label"})).classes) == ["p", "q"]


def test_texts_that_differ_in_every_row_are_refused_with_the_kind_that_keeps_them() -> None:
    rows = pd.DataFrame(
        {"x": np.arange(60) / 7, "id": [f"C{at}" for at in range(60)], "label": ["a", "b"] * 30}
    )
    with pytest.raises(InvalidData, match=r'kinds=\{"id": "beside"\} \(--kind id=beside\)'):
        open_data(rows)
    with pytest.raises(InvalidRequest, match='Did you mean "beside"'):
        open_data(rows, kinds={"id": "besides"})
