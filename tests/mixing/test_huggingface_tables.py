"""Hugging Face data sets of plain columns: mixed by plan and expanded, their features and rows as they were."""

from __future__ import annotations

import datasets
import numpy as np
import pytest

import synthaug
from synthaug import Generator, Items, mix, open_data
from synthaug.errors import InvalidRequest, Leakage, SpecMismatch
from synthaug.generators import PROVENANCE_COLUMNS
from synthaug.modalities.table import table_of_rows
from synthaug.testing import planted_generator

N = 24
ASIDE = {"patient": "beside"}


def real() -> datasets.Dataset:
    rng = np.random.default_rng(0)
    features = datasets.Features(
        {
            "age": datasets.Value("int16"),
            "patient": datasets.Value("string"),
            "dose": datasets.Value("float32"),
            "finding": datasets.ClassLabel(names=["ill", "well"]),
            "site": datasets.Value("large_string"),
            "seen": datasets.Value("timestamp[s, tz=Europe/Berlin]"),
            "member": datasets.Value("bool"),
        }
    )
    columns = {
        "age": [*rng.integers(20, 80, N - 1).tolist(), None],
        "patient": [f"p{i:03d}" for i in range(N)],
        "dose": rng.lognormal(size=N).astype("float32"),
        "finding": [0, 1, 0] * (N // 3),
        "site": ["x", "é", None] * (N // 3),
        "seen": [1_700_000_000 + 60 * i for i in range(N)],
        "member": [True, False] * (N // 2),
    }
    return datasets.Dataset.from_dict(columns, features=features)


def maker(rows: datasets.Dataset, **more) -> Generator:
    data = open_data(rows, kinds={name: kind for name, kind in ASIDE.items() if name in rows.column_names})
    form = data.form.fitted(data.read())
    return planted_generator(data.classes.names, data.classes.values, form, **more)


def cells(generator: Generator, samples) -> list[dict]:
    return table_of_rows(samples.samples, generator.form.columns).to_pylist()


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize("source", ["samples", "generator"])
def test_rows_of_a_table_are_mixed_by_plan_with_the_features_that_they_had(mode, source):
    plain = real()
    generator = maker(plain)
    pool = generator.sample(9, seed=5)
    mixed = mix(plain, pool if source == "samples" else generator, ratio=0.25, mode=mode, seed=5, pool=9)
    assert {name: mixed.features[name] for name in plain.column_names} == plain.features
    assert mixed.column_names == [*plain.column_names, *PROVENANCE_COLUMNS]
    made = {(row["class"], row["index"]): row for row in mixed if row["synthetic"]}
    due = {"replace": [4, 2], "append": [5, 3]}[mode]
    assert [sum(name == own for own, _ in made) for name in ("ill", "well")] == due
    told = cells(generator, pool)
    known = zip(pool.provenance["class"].tolist(), pool.provenance["index"].tolist(), told, strict=True)
    for name, index, row in known:
        if (name, index) in made:
            found = made[name, index]
            assert {column: found[column] for column in row} == row
            assert (found["patient"], found["finding"]) == (None, ["ill", "well"].index(name))
    if mode == "append":
        assert mixed.select(range(N)).select_columns(plain.column_names).to_dict() == plain.to_dict()
    else:
        assert mixed["finding"][:] == plain["finding"][:]
        kept = [row for row in range(N) if not mixed[row]["synthetic"]]
        assert mixed.select(kept).select_columns(plain.column_names).to_dict() == plain.select(kept).to_dict()


def test_a_part_in_which_a_level_is_missing_is_mixed_and_columns_beside_are_filled():
    plain, generator = real(), maker(real())
    few = plain.filter(lambda row: row["site"] != "é")
    mixed = mix(few, generator, ratio=0.5, mode="append", items=Items(fill={"patient": "nobody"}))
    assert set(mixed["patient"][len(few) :]) == {"nobody"}
    with pytest.raises(InvalidRequest, match=r'names "patiet"\. Did you mean "patient"'):
        mix(few, generator, ratio=0.5, items=Items(fill={"patiet": ""}))


def test_columns_that_differ_and_cells_that_do_not_fit_are_refused():
    plain, generator = real(), maker(real())
    with pytest.raises(SpecMismatch, match=r'"age" only in the other\. Train the generator on this data set'):
        mix(plain.remove_columns("age"), generator, ratio=0.5)
    with pytest.raises(SpecMismatch, match='column "age" is of kind category, not integer'):
        mix(plain.cast_column("age", datasets.Value("string")), generator, ratio=0.5)
    small = plain.filter(lambda row: row["age"] is not None).map(lambda row: {"age": row["age"] + 100})
    large = maker(small)
    with pytest.raises(SpecMismatch, match='"age" of int8 cannot hold the synthetic cells'):
        mix(plain.cast_column("age", datasets.Value("int8")), large, ratio=0.5)


def test_rows_that_were_held_out_for_testing_are_refused():
    plain = real()
    held_out = open_data(plain, kinds=ASIDE).fingerprints()[[3, 5]]
    with pytest.raises(Leakage, match="row 3"):
        mix(plain, maker(plain, held_out=np.sort(held_out)), ratio=0.25)
    rest = plain.select([row for row in range(N) if row not in (3, 5)])
    assert sum(mix(rest, maker(plain, held_out=np.sort(held_out)), ratio=0.5)["synthetic"]) == 11


def test_an_expanded_set_keeps_features_rows_and_format():
    plain = real()
    generator, data = maker(plain), open_data(plain.with_format("numpy", columns=["age"]), kinds=ASIDE)
    larger = synthaug.expand(data, generator, to="2x", seed=1, progress=False)
    assert larger.format["columns"] == ["age"]
    larger = larger.with_format(None)
    assert larger.select(range(N)).select_columns(plain.column_names).to_dict() == plain.to_dict()
    assert {name: larger.features[name] for name in plain.column_names} == plain.features
    made = larger.select(range(N, 2 * N))
    asked = cells(generator, generator.sample(data.counts, seed=1))
    assert made.select_columns([column.name for column in generator.form.columns]).to_list() == asked
    assert made["patient"][:] == [None] * N
    assert made["finding"][:] == [0] * 16 + [1] * 8
    assert open_data(larger, kinds=ASIDE).synthetic.sum() == N


def test_only_the_train_split_grows():
    plain = real()
    parts = datasets.DatasetDict(train=plain.select(range(18)), test=plain.select(range(18, N)))
    larger = synthaug.expand(open_data(parts, kinds=ASIDE), maker(plain), to="2x", progress=False)
    assert {name: part.num_rows for name, part in larger.items()} == {"train": 36, "test": 6}
    assert larger["test"].features == larger["train"].features
    assert larger["test"].select_columns(plain.column_names).to_dict() == parts["test"].to_dict()


@pytest.mark.parametrize("out", ["out", "out.csv", "out.parquet"])
def test_a_set_on_disk_has_the_rows_and_classes_that_it_had(out, tmp_path):
    plain = real()
    data = open_data(plain, kinds=ASIDE)
    synthaug.expand(data, maker(plain), to="2x", out=tmp_path / out, progress=False)
    back = open_data(tmp_path / out)
    assert back.classes == data.classes
    assert back.fingerprints()[:N].tolist() == data.fingerprints().tolist()
    if out == "out":
        found = datasets.load_from_disk(str(tmp_path / out))
        assert {name: found.features[name] for name in plain.column_names} == plain.features
        assert found.select(range(N)).select_columns(plain.column_names).to_dict() == plain.to_dict()
