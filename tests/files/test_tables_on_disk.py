"""Tables on disk: every format keeps every cell, and what is written comes back as it was."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from tabular import tables

import synthaug
from synthaug import Generator, LabeledData, open_data
from synthaug.errors import InvalidRequest, OutputExists, SpecMismatch
from synthaug.files import (
    FORMATS,
    Card,
    Expansion,
    Place,
    Stored,
    Writing,
    choose_format,
    plan_shards,
    read_record,
    staged,
    write_expansion,
    write_samples,
)
from synthaug.modalities.table import TableForm, table_of_rows
from synthaug.testing import planted_generator

N = 24
FRAME = TableForm((), container="frame")
HELD = tuple(name for name, format in FORMATS.items() if format.holds(FRAME))


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": pd.array([*rng.integers(20, 80, N - 1), None], dtype="Int16"),
            "income": np.where(rng.random(N) < 0.2, np.nan, rng.lognormal(8, 2, N)).astype(np.float32),
            "job": pd.Categorical(
                rng.choice(["nurse", "clerk"], N), ["judge", "nurse", "clerk"], ordered=True
            ),
            "seed": pd.date_range("2024-01-01", periods=N, freq="h", tz="Europe/Berlin"),
            "patient": [f"p{i:03d}" for i in range(N)],
            "finding": ["well", "ill", "ill"] * (N // 3),
        }
    )


def opened(whole: pd.DataFrame | None = None, **more) -> LabeledData:
    return open_data(
        frame() if whole is None else whole, label="finding", kinds={"patient": "beside"}, **more
    )


def maker(data: LabeledData) -> Generator:
    form = data.form.fitted(data.read())
    return planted_generator(data.classes.names, data.classes.values, form)


def place_of(format: str, folder: Path) -> Path:
    return folder / f"out{FORMATS[format].suffix or ''}"


def same_rows(found: LabeledData, expected: LabeledData) -> None:
    assert found.fingerprints().tolist() == expected.fingerprints().tolist()
    assert found.form.why_not(expected.form) is None
    assert (found.form.container, found.form.dtype) == ("frame", "float64")
    assert found.beside.schema.equals(expected.beside.schema)
    assert found.beside.equals(expected.beside)
    assert [found.classes.values[k] for k in found.labels] == [
        expected.classes.values[k] for k in expected.labels
    ]


@pytest.mark.parametrize("format", HELD)
@given(table=tables(), label=st.sampled_from(["text", "int", "bool"]), shard=st.sampled_from([3, 1024]))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_cell_of_any_table_comes_back_and_so_do_the_synthetic_ones(format, table, label, shard):
    values = {"text": ["b, b", 'a"'], "int": [7, -3], "bool": [True, False]}[label]
    whole = table.append_column("label", [[values[row % 2] for row in range(table.num_rows)]])
    data = open_data(whole)
    generator = maker(data)
    with tempfile.TemporaryDirectory() as folder:
        out = place_of(format, Path(folder))
        write_expansion(
            Expansion.of(data, generator, "2x", 3), Place(out, format, writing=Writing(shard_size=shard))
        )
        back, stored = open_data(out), Stored.at(out).samples()
        real, made = back.take(np.flatnonzero(~back.synthetic)), back.take(np.flatnonzero(back.synthetic))
        same_rows(real, data)
        asked = generator.sample(data.counts, seed=3)
        assert np.array_equal(stored.samples, asked.samples, equal_nan=True)
        assert stored.form == generator.form
        assert made.fingerprints().tolist() == asked.fingerprints().tolist()
        cells = table_of_rows(asked.samples, generator.form.columns)
        assert table_of_rows(made.read(), made.form.columns).equals(cells)
        assert made.beside.select(cells.column_names).equals(cells)
        record = read_record(out)
        assert Card.from_dict(record["card"]).form == generator.form


@pytest.mark.parametrize("format", HELD)
def test_splits_groups_and_columns_that_meet_ours_come_back(format, tmp_path):
    whole = frame().assign(split=["train"] * 18 + ["test"] * 6)
    data = open_data(whole, label="finding", group="patient")
    out = place_of(format, tmp_path)
    write_expansion(Expansion.of(data, maker(data), "2x", 0), Place(out, format))
    back = open_data(out, group="patient")
    assert Counter(back.splits.tolist()) == {"train": 36, "test": 6}
    told = dict(
        zip(back.beside["patient"].to_pylist(), zip(back.groups, back.splits, strict=True), strict=True)
    )
    assert told.pop(None) == ("synthetic", "train")
    assert told == {f"p{i:03d}": (f"p{i:03d}", "train" if i < 18 else "test") for i in range(N)}
    assert back.synthetic.sum() == 18
    assert back.beside.schema.names == ["age", "income", "job", "seed", "patient"]
    with pytest.raises(InvalidRequest, match="already holds synthetic rows"):
        synthaug.expand(out, maker(data), to="2x", out=tmp_path / "more", progress=False)


@pytest.mark.parametrize("format", HELD)
def test_groups_that_are_no_column_become_one_of_ours(format, tmp_path):
    data = opened(group=[f"g{i // 2}" for i in range(N)])
    out = place_of(format, tmp_path)
    write_expansion(Expansion.of(data, maker(data), "2x", 0), Place(out, format))
    back = open_data(out, group="group")
    assert back.groups.tolist() == [f"g{i // 2}" for i in range(N)] + ["synthetic"] * N
    assert "group" not in back.beside.schema.names


@pytest.mark.parametrize("format", HELD)
def test_what_is_said_of_columns_is_known_when_a_column_that_was_learned_becomes_the_group(format, tmp_path):
    rng = np.random.default_rng(0)
    whole = pd.DataFrame(
        {
            "ward": np.arange(N) % 6,
            "zip": rng.choice([10115, 80331], N),
            "begun": rng.normal(size=N),
            "finding": ["ill", "well"] * (N // 2),
        }
    ).assign(ended=lambda of: of["begun"] + 1)
    data = open_data(whole, label="finding", kinds={"zip": "category", "begun, ended": "ordered"})
    out = place_of(format, tmp_path)
    write_expansion(Expansion.of(data, maker(data), "2x", 0), Place(out, format))
    for back in (open_data(out), open_data(out, group="ward")):
        kinds = {column.name: column.kind for column in back.form.columns}
        assert kinds["zip"] == "category"
        assert [relation.names for relation in back.form.relations] == [("begun", "ended")]
    assert "ward" not in kinds


@pytest.mark.parametrize("format", HELD)
def test_a_killed_call_goes_on_and_an_equal_one_makes_nothing(format, tmp_path):
    data = opened()

    def write(name: str, generator: Generator) -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        out = place_of(format, tmp_path / name)
        return write_expansion(
            Expansion.of(data, generator, "2x", 0), Place(out, format, writing=Writing(shard_size=5))
        )

    whole = maker(data)
    write("whole", whole)
    shards = [len(shard.pieces) for shard in plan_shards({}, data.counts, None, 5)]  # calls of each
    assert whole.family.calls == sum(shards)
    assert max(shards) > 1
    for call in range(1, whole.family.calls + 1):
        killed, again, idle = maker(data), maker(data), maker(data)
        killed.family.dies_at = call
        with pytest.raises(ZeroDivisionError):
            write(f"killed{call}", killed)
        out = write(f"killed{call}", again)
        ends = list(accumulate(shards))
        assert again.family.calls == whole.family.calls - max((end for end in ends if end < call), default=0)
        assert tree(tmp_path / f"killed{call}") == tree(tmp_path / "whole")
        write(f"killed{call}", idle)
        assert idle.family.calls == 0
        with pytest.raises(OutputExists, match="seed: 0 there, 1 asked"):
            write_expansion(
                Expansion.of(data, idle, "2x", 1), Place(out, format, writing=Writing(shard_size=5))
            )


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_csv_file_that_was_changed_is_a_table_of_the_user_and_no_longer_an_output(tmp_path):
    data, out = opened(), tmp_path / "out.csv"
    synthaug.expand(data, maker(data), to="2x", out=out, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.csv.synthaug.json"]
    assert pd.read_csv(out)["job"].tolist()[:N] == frame()["job"].tolist()
    out.write_text(out.read_text().replace("p003", "p999"))
    assert read_record(out) is None
    assert not FORMATS["csv"].recognises(out)
    with pytest.raises(OutputExists, match=r"out\.csv exists and synthaug did not write it"):
        synthaug.expand(data, maker(data), to="2x", out=out, progress=False)
    plain = open_data(out, label="finding", kinds={"patient": "beside"})
    assert plain.synthetic.sum() == N
    assert plain.beside["patient"].to_pylist()[3] == "p999"
    synthaug.expand(data, maker(data), to="2x", out=out, progress=False, overwrite=True)
    assert read_record(out) is not None


@pytest.mark.parametrize("format", [*HELD, "npz"])
@pytest.mark.parametrize("kind", ["float32", "float64", "int16", "bool"])
@pytest.mark.parametrize("tensor", [False, True])
def test_vectors_come_back_to_the_bit_from_every_format(format, kind, tensor, tmp_path):
    X = (np.random.default_rng(0).normal(size=(N, 5)) * 3).round(1).astype(kind)
    if X.dtype.kind == "f":
        X[1, 2], X[2, 3] = np.nan, -0.0
    y = np.arange(N) % 2
    data = open_data((torch.from_numpy(X), torch.from_numpy(y)) if tensor else (X, y))
    generator, out = maker(data), place_of(format, tmp_path)
    write_expansion(Expansion.of(data, generator, "2x", 0), Place(out, format, writing=Writing(shard_size=7)))
    back = open_data(out)
    assert (back.form.dtype, back.form.container) == (kind, "array")
    assert back.read(np.arange(N)).tobytes() == X.tobytes()
    assert [back.classes.values[k] for k in back.labels[:N]] == y.tolist()
    asked = generator.sample(data.counts)
    assert Stored.at(out).samples().samples.tobytes() == asked.samples.tobytes()
    assert back.fingerprints()[N:].tolist() == asked.fingerprints().tolist()
    assert back.beside is None or back.beside.num_columns == 0


@pytest.mark.parametrize("format", HELD)
def test_samples_of_tables_stand_alone(format, tmp_path):
    generator, out = maker(opened()), place_of(format, tmp_path)
    place = Place(out, format, writing=Writing(shard_size=2))
    write_samples(generator, {"well": 3, "ill": 2}, place, seed=4)
    back = open_data(out)
    assert [back.classes[k] for k in back.labels] == ["well"] * 3 + ["ill"] * 2
    expected = generator.sample({"well": 3, "ill": 2}, seed=4)
    assert back.fingerprints().tolist() == expected.fingerprints().tolist()
    assert back.beside.schema.names == [column.name for column in generator.form.columns]
    assert back.synthetic.all()


@pytest.mark.parametrize("format", [*HELD, "npz"])
def test_a_pool_on_disk_is_mixed_into_a_loader_of_vectors(format, tmp_path):
    X = np.random.default_rng(0).normal(size=(N, 5)).astype("float32")
    generator, out = maker(open_data((X, np.arange(N) % 2))), place_of(format, tmp_path)
    write_samples(generator, 20, Place(out, format))
    rows = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.arange(N) % 2)
    loader = synthaug.mix(torch.utils.data.DataLoader(rows, batch_size=8), out, ratio=0.25)
    batches = [x for x, _ in loader]
    made = {row.tobytes() for row in generator.sample(20).samples}
    assert sum(row.numpy().tobytes() in made for x in batches for row in x) == N // 4


def test_a_table_without_suffix_is_a_saved_set_and_pictures_and_arrays_are_refused(tmp_path):
    data = opened()
    assert choose_format("out", None, data.form).name == "hf"
    assert choose_format("out.csv", None, data.form).name == "csv"
    for name, format in (("out.npz", None), ("out", "folder"), ("out", "npz")):
        with pytest.raises(
            InvalidRequest, match=r"table of 4 columns .*Write a \.parquet or \.csv file instead, or"
        ):
            synthaug.expand(data, maker(data), to="2x", out=tmp_path / name, format=format, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_vectors_beside_columns_of_their_names_are_refused_with_the_remedy(tmp_path):
    X, y = np.random.default_rng(0).normal(size=(N, 2)), np.arange(N) % 2
    np.savez(tmp_path / "in.npz", **{"X": X, "y": y, "1": y})
    data = open_data(tmp_path / "in.npz")
    with pytest.raises(InvalidRequest, match=r'both be called "1"\. Write an \.npz'):
        synthaug.expand(data, maker(data), to="2x", out=tmp_path / "out.parquet", progress=False)
    synthaug.expand(data, maker(data), to="2x", out=tmp_path / "out.npz", progress=False)
    assert open_data(tmp_path / "out.npz").beside["1"].to_pylist() == [*y.tolist(), *[None] * N]


def test_a_parquet_file_is_read_by_pandas_and_datasets_with_the_types_of_its_columns(tmp_path):
    data, out = opened(), tmp_path / "out.parquet"
    synthaug.expand(data, maker(data), to="2x", out=out, progress=False)
    told = pd.read_parquet(out)
    features = ["age", "income", "job", "seed"]
    pd.testing.assert_frame_equal(told[features].iloc[:N], frame()[features])
    assert told["synthetic"].tolist() == [False] * N + [True] * N
    found = datasets.Dataset.from_parquet(str(out), cache_dir=str(tmp_path / "cache"))
    assert found["job"][:N] == frame()["job"].tolist()
    with staged(out, "owner/name", None, True) as (work, kind):
        assert kind == "dataset"
        assert "tabular-classification" in (work / "README.md").read_text()
        assert len(pd.read_parquet(work / "data" / "train.parquet")) == 2 * N


def test_a_csv_file_does_not_go_to_the_hub(tmp_path):
    data, out = opened(), tmp_path / "out.csv"
    synthaug.expand(data, maker(data), to="2x", out=out, progress=False)
    with (
        pytest.raises(InvalidRequest, match=r"is a \.csv file.*Write \.parquet instead"),
        staged(out, "owner/name", None, True),
    ):
        pass


def test_rows_of_other_columns_are_refused(tmp_path):
    data = opened()
    other = opened(frame().drop(columns="age"))
    with pytest.raises(SpecMismatch, match='"age" only in the other'):
        synthaug.expand(other, maker(data), to="2x", out=tmp_path / "out.csv", progress=False)
    assert replace(data.form, container="array").why_not(data.form) is None


def test_columns_beside_keep_kinds_that_no_generator_learns(tmp_path):
    tags = pa.array([["a"], None, []] * (N // 3))
    whole = pa.Table.from_pandas(frame(), preserve_index=False).append_column("tags", [tags])
    data = open_data(whole, label="finding", kinds={"patient": "beside", "tags": "beside"})
    for format in HELD:
        out = place_of(format, tmp_path)
        write_expansion(Expansion.of(data, maker(data), "2x", 0), Place(out, format, overwrite=True))
        assert open_data(out).beside["tags"].to_pylist() == [*tags.to_pylist(), *[None] * N]


def test_a_csv_is_read_in_blocks_of_real_and_of_synthetic_rows(tmp_path):
    import datasets

    data = opened()
    out = write_expansion(Expansion.of(data, maker(data), "2x", 0), Place(tmp_path / "out.csv"))
    read = datasets.load_dataset(
        "csv", data_files=str(out), split="train", cache_dir=str(tmp_path / "cache"), chunksize=6
    )
    assert read["synthetic"] == [False] * N + [True] * N
    assert set(read["generator"][:N]) == {"real"}
    stored = Stored.at(Path(out))
    assert len(stored.synthetic) == N
    assert open_data(out).counts == {name: 2 * n for name, n in data.counts.items()}


def test_a_class_called_nothing_stays_so_in_a_csv(tmp_path):
    whole = frame()
    whole["finding"] = whole["finding"].where(whole["finding"] != "ill", "")
    data = opened(whole)
    out = write_expansion(Expansion.of(data, maker(data), "2x", 0), Place(tmp_path / "out.csv"))
    told = pd.read_csv(out, keep_default_na=False)
    assert set(told["class"][N:]) == {"", "well"}
    assert set(told["class"][:N]) == {"real"}
