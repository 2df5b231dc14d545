"""Streams of the rows of a table: synthetic ones between them, real ones as they were, the same from any worker."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
from test_huggingface_tables import ASIDE, N, cells, maker, real
from torch.utils.data import DataLoader

import synthaug
from synthaug import Items, mix, open_data
from synthaug.errors import InvalidRequest, Leakage, SpecMismatch

SHARDS = 3


def stream(rows: datasets.Dataset | None = None) -> datasets.IterableDataset:
    return (real() if rows is None else rows).to_iterable_dataset(num_shards=SHARDS)


def test_every_real_row_comes_once_and_unchanged_between_synthetic_ones() -> None:
    plain, generator = real(), maker(real())
    mixed = mix(stream(plain), generator, ratio=0.5, seed=3)
    assert {name: mixed.features[name] for name in plain.column_names} == plain.features
    rows = list(mixed)
    ours = [row for row in rows if not row["synthetic"]]
    assert [{name: row[name] for name in plain.column_names} for row in ours] == list(plain)
    made = [row for row in rows if row["synthetic"]]
    assert len(made) > N // 4
    for row in made:
        (again,) = cells(
            generator,
            generator.sample_rows(row["class"], row["index"], row["index"] + 1, seed=row["seed"]),
        )
        assert {name: row[name] for name in again} == again
        assert row["finding"] == ["ill", "well"].index(row["class"])
        assert row["patient"] is None


def test_columns_beside_are_filled_and_ratio_zero_marks_real_rows() -> None:
    mixed = mix(stream(), maker(real()), ratio=0.5, items=Items(fill={"patient": "nobody"}))
    assert {row["patient"] for row in mixed if row["synthetic"]} == {"nobody"}
    with pytest.raises(InvalidRequest, match=r'names "patiet"\. Did you mean "patient"'):
        mix(stream(), maker(real()), ratio=0.5, items=Items(fill={"patiet": ""}))
    assert [row["synthetic"] for row in mix(stream(), maker(real()), ratio=0)] == [False] * N


def test_rows_do_not_depend_on_workers_and_a_stream_resumes() -> None:
    generator = maker(real())

    def told(rows) -> set[tuple]:
        return {(row["class"], row["index"], row["age"], row["site"]) for row in rows if row["synthetic"]}

    mixed = mix(stream(), generator, ratio=0.5, seed=1)
    alone = told(mixed)
    several = told(DataLoader(mixed, batch_size=None, num_workers=2))
    by_number = {key[:2]: key for key in alone}
    shared = [key for key in several if key[:2] in by_number]
    assert shared
    assert all(by_number[key[:2]] == key for key in shared)
    whole = list(mixed)
    first = mix(stream(), generator, ratio=0.5, seed=1)
    source = iter(first)
    head = [next(source) for _ in range(9)]
    state = first.state_dict()
    rest = mix(stream(), generator, ratio=0.5, seed=1)
    rest.load_state_dict(state)
    assert head + list(rest) == whole


def test_held_out_rows_are_refused_at_the_door_and_on_the_way() -> None:
    rows = real()
    prints = np.sort(open_data(rows, kinds=ASIDE).fingerprints()[[3]])
    with pytest.raises(Leakage, match="row 3"):
        mix(stream(rows), maker(rows, held_out=prints), ratio=0.25)
    # 64 rows are looked at beforehand
    far = datasets.concatenate_datasets([*[rows.select([at for at in range(N) if at != 3])] * 3, rows])
    mixed = mix(stream(far), maker(rows, held_out=prints), ratio=0.25)
    with pytest.raises(Leakage, match="one with the label"):
        list(mixed)


def test_a_level_that_the_generator_never_saw_may_pass_unless_it_is_held_out() -> None:
    rows = real()
    new = rows.map(lambda row: {"site": "new"})
    other = datasets.concatenate_datasets([*[rows] * 3, new])
    generator = maker(rows, held_out=np.array([7], np.uint64))
    passed = [row["site"] for row in mix(stream(other), generator, ratio=0.25) if not row["synthetic"]]
    assert passed.count("new") == N
    prints = np.sort(open_data(new, kinds=ASIDE).fingerprints()[[5]])
    with pytest.raises(Leakage, match="one with the label"):
        list(mix(stream(other), maker(rows, held_out=prints), ratio=0.25))
    with pytest.raises(Leakage, match="row 5"):
        mix(stream(new), maker(rows, held_out=prints), ratio=0.25)


def test_a_column_may_be_empty_where_the_stream_begins() -> None:
    rows = real()
    empty = datasets.concatenate_datasets([rows.map(lambda row: {"site": None}, features=rows.features)] * 3)
    mixed = mix(stream(datasets.concatenate_datasets([empty, rows])), maker(rows), ratio=0.25)
    assert sum(not row["synthetic"] for row in mixed) == 4 * N


def test_columns_that_differ_are_refused() -> None:
    with pytest.raises(SpecMismatch, match=r'"age" only in the other\. Train the generator on this data set'):
        mix(stream(real().remove_columns("age")), maker(real()), ratio=0.5)
    with pytest.raises(SpecMismatch, match='column "age" is of kind category, not integer'):
        mix(stream(real().cast_column("age", datasets.Value("string"))), maker(real()), ratio=0.5)
    with pytest.raises(InvalidRequest, match="has no column of labels called 'fnding'"):
        mix(stream(), maker(real()), ratio=0.5, items=Items(label="fnding"))


def test_a_trained_generator_is_mixed_into_a_stream_of_parquet(tmp_path) -> None:
    real().to_parquet(tmp_path / "in.parquet")
    generator = synthaug.fit(open_data(real(), kinds=ASIDE), steps=5, progress=False)
    read = datasets.load_dataset("parquet", data_files=str(tmp_path / "in.parquet"), streaming=True)["train"]
    rows = list(mix(read, generator, ratio=0.5))
    assert sum(not row["synthetic"] for row in rows) == N
    assert any(row["synthetic"] for row in rows)
