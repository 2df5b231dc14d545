"""Frames and tables in memory: what comes out is of the kind that went in, and real rows are as they were."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from pyarrow import parquet
from tabular import tables

import synthaug
from synthaug import Generator, LabeledData, open_data
from synthaug.errors import InvalidRequest
from synthaug.generators import PROVENANCE_COLUMNS
from synthaug.mixing import ExpandedArrays
from synthaug.modalities.table import table_of_rows
from synthaug.testing import planted_generator

N = 24
SAID = {"label": "finding", "kinds": {"patient": "beside", "count": "beside", "day": "beside"}}


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": pd.array([*rng.integers(20, 80, N - 1), None], dtype="Int16"),
            "income": np.where(rng.random(N) < 0.2, np.nan, rng.lognormal(8, 2, N)).astype(np.float32),
            "patient": [f"p{i:03d}" for i in range(N)],
            "count": np.arange(N) + 2**60,
            "finding": pd.Categorical(["well", "ill", "ill"] * (N // 3), ["ill", "unused", "well"]),
            "job": pd.Categorical(
                rng.choice(["nurse", "clerk"], N), ["judge", "nurse", "clerk"], ordered=True
            ),
            "seen": pd.date_range("2024-01-01", periods=N, freq="h", tz="Europe/Berlin"),
            "day": [None, *pd.date_range("2024-01-01", periods=N - 1).date],
            "member": pd.Series([True, None, False] * (N // 3), dtype=object),
            "ward": pd.array(["a", None, "b"] * (N // 3), dtype="string"),
            "arrow": pd.array([1.5, None, 2.5] * (N // 3), dtype=pd.ArrowDtype(pa.float64())),
            "flag": rng.random(N) < 0.5,
        }
    )


def maker(data: LabeledData) -> Generator:
    return planted_generator(data.classes.names, data.classes.values, data.form.fitted(data.read()))


def grown(source, **said):
    data = open_data(source, **(said or SAID))
    return synthaug.expand(data, maker(data), to="2x", seed=2, progress=False), data


def test_a_frame_gives_a_frame_of_its_columns_dtypes_and_rows_with_the_synthetic_ones_behind():
    whole = frame()
    larger, data = grown(whole)
    assert larger.columns.tolist() == [*whole.columns, *PROVENANCE_COLUMNS]
    kept = whole.columns.drop("count")
    assert larger.dtypes[kept].tolist() == whole.dtypes[kept].tolist()
    pd.testing.assert_frame_equal(larger.iloc[:N][kept], whole[kept])
    assert str(larger["count"].dtype) == "Int64"  # NumPy's integers have no missing cells
    assert larger["count"].iloc[:N].tolist() == whole["count"].tolist()
    made = larger.iloc[N:]
    assert made[["patient", "count", "day"]].isna().all().all()
    assert made["finding"].tolist() == ["ill"] * 16 + ["well"] * 8
    asked = table_of_rows(maker(data).sample(data.counts, seed=2).samples, data.form.columns)
    for name in asked.column_names:
        told = [None if pd.isna(cell) else cell for cell in made[name].tolist()]
        assert told == asked[name].to_pylist(), name
    assert larger["synthetic"].tolist() == [False] * N + [True] * N
    assert larger["index"].tolist() == [-1] * N + [*range(16), *range(8)]
    assert larger.index.equals(pd.RangeIndex(2 * N))


def test_what_was_expanded_tells_its_synthetic_rows_and_is_not_expanded_again():
    larger, data = grown(frame())
    again = open_data(larger, **SAID)
    assert again.synthetic.tolist() == [False] * N + [True] * N
    assert again.form.why_not(data.form) is None
    grouped = open_data(larger, label="finding", group="patient", kinds={"count": "beside", "day": "beside"})
    assert grouped.groups.tolist() == [f"p{i:03d}" for i in range(N)] + ["synthetic"] * N
    with pytest.raises(InvalidRequest, match="already holds synthetic rows"):
        synthaug.expand(again, maker(again), to="2x", progress=False)
    lost = larger.assign(patient=None).iloc[:, ::1]
    lost.loc[3, "synthetic"] = False
    with pytest.raises(
        synthaug.errors.InvalidData, match='row 0 has no group in the column "patient" of data frame'
    ):
        open_data(lost, label="finding", group="patient", kinds={"count": "beside", "day": "beside"})


def test_columns_that_meet_ours_stay_and_ours_get_a_prefix():
    whole = frame().rename(columns={"age": "seed", "finding": "class"})
    said = {**SAID, "label": "class"}
    larger, _ = grown(whole, **said)
    pd.testing.assert_frame_equal(larger[["seed", "class"]].iloc[:N], whole[["seed", "class"]])
    assert larger["synthaug_class"].tolist() == [""] * N + ["ill"] * 16 + ["well"] * 8
    assert set(larger["synthaug_seed"].iloc[N:]) == {2}
    assert open_data(larger, **said).synthetic.sum() == N


def test_a_frame_with_labels_beside_it_gives_a_pair():
    X, y = frame().drop(columns=["finding", "day"]), frame()["finding"]
    larger, _ = grown((X, y), kinds={"patient": "beside", "count": "beside"})
    assert isinstance(larger, ExpandedArrays)
    pd.testing.assert_frame_equal(larger[0].iloc[:N].drop(columns="count"), X.drop(columns="count"))
    assert larger[1].dtype == y.dtype
    assert larger[1].tolist() == [*y.tolist(), *["ill"] * 16, *["well"] * 8]
    assert larger.provenance["synthetic"].sum() == N
    assert open_data(larger, kinds={"patient": "beside", "count": "beside"}).synthetic.sum() == N


def test_other_splits_stay_and_synthetic_rows_are_of_the_training_one():
    whole = frame().assign(split=["train"] * 18 + ["test"] * 6)
    larger, _ = grown(whole)
    assert larger["split"].tolist() == [*whole["split"].tolist(), *["train"] * 18]


def test_an_index_and_names_that_are_no_text_do_no_harm():
    whole = frame()[["age", "income", "job", "finding"]]
    whole.columns = [0, 1, "job", "finding"]
    whole.index = pd.Index([f"row {i}" for i in range(N)])
    larger, _ = grown(whole, label="finding")
    assert larger.columns.tolist()[:4] == [0, 1, "job", "finding"]
    pd.testing.assert_frame_equal(larger.iloc[:N, :4], whole.reset_index(drop=True))


@given(table=tables())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_arrow_table_gives_one_of_its_schema_with_its_rows_as_they_were(table):
    label = pa.DictionaryArray.from_arrays(pa.array([row % 2 for row in range(table.num_rows)]), ["b", "a"])
    whole = table.append_column("label", [label]).replace_schema_metadata({"about": "these rows"})
    larger, data = grown(whole, label="label")
    n = table.num_rows
    assert larger.schema.names[: table.num_columns + 1] == whole.schema.names
    assert larger.schema.types[: table.num_columns + 1] == whole.schema.types
    assert larger.slice(0, n).select(whole.column_names).equals(whole)
    assert larger.schema.metadata == whole.schema.metadata
    made = open_data(larger, label="label")
    asked = maker(data).sample(data.counts, seed=2)
    assert made.fingerprints()[n:].tolist() == asked.fingerprints().tolist()
    assert larger["label"].to_pylist()[n:] == [value for value, k in data.counts.items() for _ in range(k)]


@pytest.mark.parametrize("kept", ["from a file", "a part"])
def test_a_part_of_a_table_or_one_from_a_file_gives_an_arrow_table(kept, tmp_path):
    whole = pa.Table.from_pandas(frame(), preserve_index=False)
    if kept == "from a file":
        parquet.write_table(whole, tmp_path / "rows.parquet")
        whole = parquet.read_table(tmp_path / "rows.parquet")
        data = open_data(tmp_path / "rows.parquet", **SAID)
    else:
        data = open_data(frame(), **SAID).take(np.arange(N))
    larger = synthaug.expand(data, maker(data), to="2x", progress=False)
    features = [name for name in whole.column_names if name != "finding"]
    assert larger.slice(0, N).select(features).equals(whole.select(features))
    assert larger["finding"].to_pylist()[:N] == frame()["finding"].tolist()
    assert larger["synthetic"].to_pylist() == [False] * N + [True] * N


def test_a_frame_of_which_rows_are_left_out_grows_without_them():
    data = open_data(frame(), leave_out=["ill"], **SAID)
    larger = synthaug.expand(data, maker(data), to="2x", progress=False)
    assert larger["finding"].tolist() == ["well"] * 16
    kept = frame()[frame()["finding"] == "well"].reset_index(drop=True)
    assert larger["patient"].tolist()[:8] == kept["patient"].tolist()


def test_vectors_give_arrays_of_their_dtype():
    X, y = np.random.default_rng(0).normal(size=(N, 4)).astype("float32"), np.arange(N) % 2
    (big_x, big_y), _ = grown((X, y), label=None)
    assert (big_x.dtype, big_x.shape, big_y.dtype) == (X.dtype, (2 * N, 4), y.dtype)
    assert big_x[:N].tobytes() == X.tobytes()
