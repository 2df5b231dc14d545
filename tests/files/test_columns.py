"""Labels and further columns of real rows leave as they came, in every format, and come back."""

from __future__ import annotations

import csv
import json
import math
import tarfile
import warnings
from contextlib import nullcontext
from datetime import UTC, date, datetime

import datasets
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from pictured import PICTURED, SUFFIX
from PIL import Image
from pyarrow import parquet

import synthaug
from synthaug import open_data
from synthaug.errors import InvalidData, InvalidRequest, OutputExists, SynthaugWarning
from synthaug.files import FORMATS, Place, Stored, write_samples
from synthaug.testing import planted_generator

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (12, 8, 9), np.uint8)
PICTURES = [Image.fromarray(pixels) for pixels in PIXELS]


def table(features, columns=None, pictures=PICTURES, image="image", **more):
    """A Hugging Face set of twelve pictures with these further columns."""
    kinds = {image: datasets.Image(), **features}
    return datasets.Dataset.from_dict(
        {image: pictures, **(columns or {}), **more}, features=datasets.Features(kinds)
    )


BY_SPLIT = [name for name, format in FORMATS.items() if format.by_split]


def expanded(source, place, format, classes=None, to="2x", **kinds):
    """The output of an expansion, whatever the order of its class folders."""
    data = open_data(source, **kinds)
    generator = planted_generator(tuple(data.classes), values=data.classes.values)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Programs that number", SynthaugWarning)
        return synthaug.expand(data, generator, to=to, out=place / f"out{SUFFIX[format]}", format=format)


def stored_columns(out, format):
    """The columns as other programs see them."""
    if format == "parquet":
        return parquet.read_table(out).to_pydict()
    if format == "hf":
        return datasets.load_from_disk(str(out)).with_format("arrow")[:].to_pydict()
    if format == "npz":
        with np.load(out) as arrays:
            return {name: arrays[name].tolist() for name in arrays.files}
    if format == "shards":
        return parquet.read_table(out / "data").to_pydict()
    if format == "webdataset":
        rows = []
        for shard in sorted((out / "data").iterdir()):
            with tarfile.open(shard) as archive:
                files = {member.name: archive.extractfile(member).read() for member in archive}
            rows += [
                json.loads(files[name]) | {"img": files[name.replace(".json", ".png")]}
                for name in files
                if name.endswith(".json")
            ]
        return {name: [row[name] for row in rows] for name in rows[0]}
    with open(out / "provenance.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


CLASS_LABEL = datasets.ClassLabel(names=["apple", "bread", "cake"])
LABELS = {
    "a class that has no rows": (CLASS_LABEL, [0, 2] * 6, CLASS_LABEL),
    "ints": (datasets.Value("int64"), [3, 7] * 6, datasets.Value("int64")),
    "small ints": (datasets.Value("int16"), [-1, 1] * 6, datasets.Value("int16")),
    "text": (datasets.Value("string"), ["b", "a"] * 6, datasets.Value("string")),
    "truths": (datasets.Value("bool"), [True, False] * 6, datasets.Value("bool")),
    "whole floats": (datasets.Value("float32"), [0.0, 1.0] * 6, datasets.Value("float32")),
}


@pytest.mark.parametrize("format", PICTURED)
@pytest.mark.parametrize("kind", LABELS)
def test_labels_leave_as_they_came(tmp_path, format, kind):
    feature, labels, expected = LABELS[kind]
    table({"grade": feature}, grade=labels).to_parquet(tmp_path / "in.parquet")
    out = expanded(tmp_path / "in.parquet", tmp_path, format)
    found = stored_columns(out, format)
    names = open_data(tmp_path / "in.parquet").classes
    made = [value for value in names.values for _ in range(6)]
    written = list(map(str, labels + made)) if format == "folder" else labels + made
    assert found["grade"] == written
    if format in ("parquet", "hf"):
        kept = (
            datasets.Features.from_arrow_schema(parquet.read_schema(out))
            if format == "parquet"
            else datasets.load_from_disk(str(out)).features
        )
        assert kept["grade"] == expected
    if format == "npz":
        with np.load(out) as arrays:
            assert arrays["grade"].dtype == {"string": "<U1"}.get(feature.dtype, feature.dtype)
    again = open_data(out)
    assert again.classes == names
    assert [again.classes.values[k] for k in again.labels] == labels + made
    assert [type(again.classes.values[k]) for k in again.labels] == [type(label) for label in labels + made]
    assert again.found.label_feature == open_data(tmp_path / "in.parquet").found.label_feature
    assert again.synthetic.tolist() == [False] * 12 + [True] * 12


@pytest.mark.parametrize("values", [(3, 7), ("x", "y"), (False, True), (0, 1)])
def test_the_samples_of_a_generator_have_the_same_labels_in_all_formats(tmp_path, values):
    generator = planted_generator(("cat", "dog"), values=values)
    found = {}
    for format in ("parquet", "npz", "hf"):
        out = write_samples(generator, 3, Place(tmp_path / f"{format}{SUFFIX[format]}", format))
        columns = stored_columns(out, format)
        found[format] = columns["y" if format == "npz" else "label"]
        assert open_data(out).synthetic.all()
        assert Stored.at(out).samples().labels.tolist() == found[format]
    assert found["parquet"] == found["npz"] == found["hf"] == [value for value in values for _ in range(3)]


MORE = {
    "patient": (datasets.Value("string"), [f"p{i // 2}" for i in range(12)]),
    "age": (datasets.Value("int32"), [None, *range(11)]),
    "weight": (datasets.Value("float64"), [1 / 3, float("inf"), None, *range(9)]),
    "seen": (datasets.Value("timestamp[us]"), [datetime(2020, 1, 1, 2, 3, 4, 5 + i) for i in range(12)]),
    "born": (datasets.Value("date32"), [date(1990, 1, 1 + i) for i in range(12)]),
    "ill": (datasets.Value("bool"), [True, None] * 6),
    "sex": (datasets.ClassLabel(names=["f", "m"]), [0, 1] * 6),
    "notes": (datasets.Value("string"), ["", None, 'a "b", c', "two\nlines", " x ", "\r\n", *"abcdef"]),
    "boxes": (datasets.List(datasets.List(datasets.Value("int64"))), [[[1, 2]], [], None] * 4),
    "about": ({"by": datasets.Value("string"), "raw": datasets.Value("binary")}, [{"by": "x", "raw": b"\x00"}] * 12),
    "mask": (datasets.Image(), PICTURES),
}  # fmt: skip


@pytest.mark.parametrize("format", PICTURED)
def test_every_further_column_is_kept_with_its_name_and_type_and_is_null_in_synthetic_rows(tmp_path, format):
    features = {"grade": datasets.Value("int64"), **{name: kind for name, (kind, _) in MORE.items()}}
    columns = {"grade": [3, 7] * 6, **{name: values for name, (_, values) in MORE.items()}}
    source = table(features, columns, image="img")
    source.to_parquet(tmp_path / "in.parquet")
    read = parquet.read_table(tmp_path / "in.parquet").select(list(MORE))
    out = expanded(tmp_path / "in.parquet", tmp_path, format, label="grade", image="img", group="patient")
    assert {"grade", *MORE} <= stored_columns(out, format).keys()
    assert ("img" in stored_columns(out, format)) == (format != "folder")
    again = open_data(out, group="patient")
    beside = again.beside
    assert beside.column_names == list(MORE)
    assert beside.schema.types == read.schema.types
    assert datasets.Features.from_arrow_schema(beside.schema) == source.select_columns(list(MORE)).features
    assert beside.take(np.arange(12)).to_pydict() == read.to_pydict()
    nulls = beside.take(np.arange(12, 24)).to_pylist()
    assert all(value is None for row in nulls for value in row.values())
    assert again.groups.tolist() == columns["patient"] + ["synthetic"] * 12
    assert again.found.label_column == "grade"
    assert again.found.image_column == "img"
    if format == "parquet":
        kept = datasets.Features.from_arrow_schema(parquet.read_schema(out))
        assert {name: kept[name] for name in source.features} == source.features


@pytest.mark.parametrize("format", PICTURED)
def test_our_columns_get_a_prefix_where_the_user_has_such(tmp_path, format):
    names = [
        "synthetic",
        "generator",
        "seed",
        "index",
        "source",
        "split",
        "class",
        "synthaug_index",
        "classes",
    ]
    if format in ("folder", "webdataset"):
        names += ["file", "label", "nulls"]
    more = {name: [f"{name} {i}" for i in range(12)] for name in names}
    rows = table(
        {"grade": datasets.Value("int64"), **dict.fromkeys(more, datasets.Value("string"))},
        {"grade": [3, 7] * 6, **more},
    )
    parts = datasets.DatasetDict(train=rows.select(range(8)), test=rows.select(range(8, 12)))
    out = expanded(parts, tmp_path, format, label="grade")
    again = open_data(out)
    real = again.take(np.flatnonzero(~again.synthetic))
    assert sorted(map(repr, real.beside.to_pylist())) == sorted(
        map(repr, rows.select_columns(names).to_list())
    )
    assert again.splits[~again.synthetic].tolist() == ["train"] * 8 + ["test"] * 4 or format in BY_SPLIT
    assert sorted(again.splits.tolist()) == ["test"] * 4 + ["train"] * 16
    assert Stored.at(out).samples().counts == {"3": 4, "7": 4}


def test_a_folder_keeps_names_and_folders_of_its_files_and_says_where_they_were(tmp_path):
    for name, label in (("cat", 0), ("dog", 1)):
        for i in range(3):
            for file in (f"visit{i}/patient#{i}.png", f"a/img {i}.png", f"b/img {i}.png", f"b/img {i}.jpg",
                         f"ß{i}.png", f"train/{i}.png", f"a:b{i}.png"):  # fmt: skip
                path = tmp_path / "in" / name / file
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(RNG.integers(0, 255, (8, 9), np.uint8) + np.uint8(label)).save(path)
    out = expanded(tmp_path / "in", tmp_path, "folder")
    rows = stored_columns(out, "folder")
    told = dict(zip(rows["source"], rows["file"], strict=True))
    for file in ("cat/visit1/patient#1.png", "cat/a/img 0.png", "dog/ß2.png"):
        assert told[file] == file
        assert (out / file).is_file()
    assert {told["cat/b/img 0.jpg"], told["cat/b/img 0.png"]} == {"cat/b/img 0.png", "cat/b/img 0-7.png"}
    assert told["cat/a:b0.png"].startswith("cat/real-")
    assert told["cat/train/0.png"] == "cat/0.png"
    assert set(told) == {
        path.relative_to(tmp_path / "in").as_posix() for path in (tmp_path / "in").rglob("*.*")
    } | {""}
    again = open_data(out)
    assert len(again) == len(rows["file"])
    assert sorted(again.take(np.flatnonzero(~again.synthetic)).fingerprints()) == sorted(
        open_data(tmp_path / "in").fingerprints()
    )
    into = expanded(tmp_path / "in", tmp_path, "parquet")
    assert stored_columns(into, "parquet")["source"] == rows["source"]


def test_folders_of_counted_classes_are_in_the_order_of_their_labels(tmp_path):
    x, y = RNG.integers(0, 255, (36, 8, 9), np.uint8), np.arange(36) % 12
    generator = planted_generator(tuple(map(str, range(12))), values=tuple(range(12)))
    out = synthaug.expand((x, y), generator, to="2x", out=tmp_path / "out")
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == [f"{k:02}" for k in range(12)]
    assert stored_columns(out, "folder")["label"][:36] == list(map(str, y))
    assert open_data(out).classes.values == tuple(range(12))


@pytest.mark.parametrize("values", [(3, 7, 10), (1, 0, 2)])
def test_folders_that_are_not_in_the_order_of_their_labels_are_told(tmp_path, values):
    names = ("3", "7", "10") if values[0] == 3 else ("ant", "bee", "cat")
    generator = planted_generator(names, values=values)
    # Who sees names of classes does not take them for numbers.
    said = pytest.warns(SynthaugWarning, match='"3" is the label 3') if names[0] == "3" else nullcontext()
    with said:
        out = write_samples(generator, 2, Place(tmp_path / "out"))
    assert f'"{names[0]}" is the label {values[0]}' in (out / "README.md").read_text()
    assert open_data(out).classes.position(values[0]) == open_data(out).classes.position(names[0])


def test_another_group_or_other_further_columns_are_another_request(tmp_path):
    def expand(ages, group=None):
        rows = table(
            {"grade": datasets.Value("int64"), "age": datasets.Value("int64")}, grade=[3, 7] * 6, age=ages
        )
        return expanded(rows, tmp_path, "parquet", label="grade", group=group)

    expand(list(range(12)))
    expand(list(range(12)))
    with pytest.raises(OutputExists):
        expand(list(range(1, 13)))
    with pytest.raises(OutputExists):
        expand(list(range(12)), group=list("aabbccddeeff"))


def test_a_file_that_came_or_went_is_told(tmp_path):
    out = write_samples(planted_generator(("cat", "dog")), 3, Place(tmp_path / "out"))
    (out / "cat" / "synthetic-0-1.png").unlink()
    PICTURES[0].save(out / "dog" / "new.png")
    with pytest.warns(SynthaugWarning, match="1 files that are not in .* and 1 files that are gone"):
        data = open_data(out)
    assert data.counts == {"cat": 2, "dog": 3}
    assert sum(data.reading.left_out.values()) == 2


def test_rows_of_a_file_that_are_expanded_in_memory_keep_dtype_of_labels_and_further_columns(tmp_path):
    rows = table(
        {"grade": datasets.Value("int16"), "age": datasets.Value("int32")}, grade=[3, 7] * 6, age=range(12)
    )
    rows.to_parquet(tmp_path / "in.parquet")
    data = open_data(tmp_path / "in.parquet", label="grade")
    larger = synthaug.expand(data, planted_generator(("3", "7"), values=(3, 7)), to={3: 8})
    assert larger[1].dtype == np.int16
    assert larger.beside["age"].to_pylist() == [*range(12), None, None]
    assert larger.beside.schema.field("age").type == pa.int32()


# ------------------------------------------------------------------------------------------------ which column


def test_a_column_called_label_is_the_label(tmp_path):
    rows = table(
        {"sex": datasets.ClassLabel(names=["f", "m"]), "label": datasets.Value("string")},
        sex=[0, 1] * 6, label=["ill", "ill", "well", "well"] * 3,
    )  # fmt: skip
    assert tuple(open_data(rows).classes) == ("ill", "well")
    other = rows.rename_column("label", "category")
    with pytest.raises(InvalidData, match=r'it may be "sex", "category".*--label sex'):
        open_data(other)
    assert tuple(open_data(other, label="category").classes) == ("ill", "well")
    assert tuple(open_data(rows.remove_columns("label")).classes) == ("f", "m")
    plain = table({name: datasets.Value("string") for name in ("class", "target")},
                  {name: ["a", "b"] * 6 for name in ("class", "target")})  # fmt: skip
    with pytest.raises(InvalidData, match='"class", "target"'):
        open_data(plain)


def test_the_mode_of_a_column_of_images_is_obeyed():
    mixed = PICTURES[:6] + [picture.convert("RGB") for picture in PICTURES[6:]]
    features = datasets.Features(
        {"image": datasets.Image(mode="RGB"), "label": datasets.ClassLabel(names=["a", "b"])}
    )
    rows = datasets.Dataset.from_dict({"image": mixed, "label": [0, 1] * 6}, features=features)
    data = open_data(rows)
    data.check()
    np.testing.assert_array_equal(data.read(), [np.asarray(row["image"]) for row in rows])


@pytest.mark.parametrize("group", [3, "nobody"])
def test_a_group_that_is_no_column_is_refused(tmp_path, group):
    table({"label": datasets.Value("int64")}, label=[0, 1] * 6).to_parquet(tmp_path / "in.parquet")
    np.savez(tmp_path / "in.npz", X=PIXELS, y=[0, 1] * 6)
    for name in ("in.parquet", "in.npz"):
        with pytest.raises(InvalidRequest, match=f'no column "{group}"'):
            open_data(tmp_path / name, group=group)


def test_a_row_without_a_split_or_group_is_refused_by_its_number(tmp_path):
    features = {
        "label": datasets.Value("int64"),
        "split": datasets.Value("string"),
        "who": datasets.Value("string"),
    }
    rows = {"label": [0, 1] * 6, "split": ["train"] * 11 + [None], "who": ["a"] * 3 + [None] * 9}
    table(features, rows).to_parquet(tmp_path / "in.parquet")
    with pytest.raises(InvalidData, match=r'row 11 of in.parquet has no split in the column "split"'):
        open_data(tmp_path / "in.parquet")
    table(features, rows | {"split": ["train"] * 12}).to_parquet(tmp_path / "in.parquet")
    with pytest.raises(InvalidData, match=r'row 3 of in.parquet has no group in the column "who"'):
        open_data(tmp_path / "in.parquet", group="who")


def test_lists_of_whole_numbers_are_pictures(tmp_path):
    parquet.write_table(
        pa.table({"image": PIXELS.astype(int).tolist(), "label": [0, 1] * 6}), tmp_path / "in.parquet"
    )
    data = open_data(tmp_path / "in.parquet")
    assert data.form.dtype == "uint8"
    np.testing.assert_array_equal(data.read(), PIXELS)


@pytest.mark.parametrize(
    "names",
    [("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),
     ("x_train", "y_train", None, None, "x_test", "y_test"),
     ("X_train", "y_train", "X_val", "y_val", "X_test", None)],
)  # fmt: skip
def test_an_npz_file_of_splits_is_read_as_its_splits(tmp_path, names):
    parts = [PIXELS[:6], [[0], [1]] * 3, PIXELS[6:8], [[0], [1]], PIXELS[8:], [[0], [1]] * 2]
    arrays = {name: np.array(array) for name, array in zip(names, parts, strict=True) if name}
    np.savez(tmp_path / "in.npz", **arrays)
    if names[-1] is None:
        with pytest.warns(SynthaugWarning, match="4 of test.*left out"):
            data = open_data(tmp_path / "in.npz")
    else:
        data = open_data(tmp_path / "in.npz")
    expected = (
        ["train"] * 6 + ["validation"] * 2 * (names[2] is not None) + ["test"] * 4 * (names[5] is not None)
    )
    assert data.splits.tolist() == expected
    assert data.classes.values == (0, 1)
    assert len(open_data(tmp_path / "in.npz", image=names[0], label=names[1])) == 6


def test_a_split_without_labels_is_told_and_left_out():
    rows = table({"label": datasets.ClassLabel(names=["a", "b"])}, label=[0, 1] * 6)
    parts = datasets.DatasetDict(
        train=rows.select(range(8)), test=rows.select(range(8, 12)).remove_columns("label")
    )
    with pytest.warns(SynthaugWarning, match="4 of test.*left out"):
        assert len(open_data(parts)) == 8
    strange = rows.select(range(8, 12)).rename_column("label", "y").cast_column("y", datasets.Value("string"))
    with pytest.raises(InvalidData, match='column "label" is not the same in all splits'):
        open_data(datasets.DatasetDict(train=parts["train"], test=strange.rename_column("y", "label")))


def test_splits_of_a_saved_set_that_do_not_fit_can_be_opened_alone(tmp_path):
    rows = table({"label": datasets.Value("int64")}, label=[0, 1] * 6)
    parts = datasets.DatasetDict(train=rows, test=rows.cast_column("label", datasets.Value("string")))
    parts.save_to_disk(tmp_path / "set")
    with pytest.raises(InvalidData, match=f"or open one split alone, as {tmp_path}/set/train"):
        open_data(tmp_path / "set")
    assert len(open_data(tmp_path / "set" / "train")) == 12


# --------------------------------------------------------------------------------------------- random tables

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=6)
KINDS = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint8(): st.integers(0, 255),
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32),
    pa.string(): TEXT,
    pa.bool_(): st.booleans(),
    pa.timestamp("us"): st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),
    pa.timestamp("ms", "UTC"): st.integers(0, 2**40).map(lambda ms: datetime.fromtimestamp(ms // 1000, UTC)),
    pa.date32(): st.dates(date(1700, 1, 1), date(2200, 1, 1)),
    pa.duration("s"): st.integers(-(10**6), 10**6),
    pa.list_(pa.string()): st.lists(TEXT | st.none(), max_size=3),
    pa.list_(pa.float64(), 2): st.lists(st.floats(allow_nan=False), min_size=2, max_size=2),
    pa.dictionary(pa.int32(), pa.string()): TEXT,
    pa.binary(): st.binary(max_size=4),
}  # fmt: skip
ROWS = 6
LABEL_KINDS = [
    (pa.int64(), st.lists(st.integers(-(2**40), 2**40), min_size=2, max_size=3, unique=True)),
    (pa.string(), st.lists(TEXT.filter(bool), min_size=2, max_size=3, unique=True)),
    (pa.bool_(), st.just([False, True])),
]


@st.composite
def tables(draw):
    """A label and further columns of six rows."""
    kind, some = draw(st.sampled_from(LABEL_KINDS))
    values = draw(some)
    names = draw(
        st.lists(TEXT.filter(lambda name: name.strip(" ./\\") and name != "image"), max_size=4, unique=True)
    )
    columns = {"grade": pa.array([values[i % len(values)] for i in range(ROWS)], kind)}
    for name in names:
        kind = draw(st.sampled_from(list(KINDS)))
        told = draw(st.lists(KINDS[kind] | st.none(), min_size=ROWS, max_size=ROWS))
        columns[name] = pa.array(told, kind) if name != "grade" else columns["grade"]
    return columns


@given(columns=tables(), format=st.sampled_from(PICTURED))
@settings(max_examples=60)
def test_random_tables_come_back_equal(tmp_path_factory, columns, format):
    place = tmp_path_factory.mktemp("table")
    cells = [{"bytes": row["image"]["bytes"], "path": None} for row in _encoded()]
    whole = pa.table({"image": pa.array(cells), **columns})
    parquet.write_table(whole, place / "in.parquet")
    out = expanded(place / "in.parquet", place, format, label="grade")
    again = open_data(out)
    real = again.take(np.arange(ROWS))
    assert [again.classes.values[k] for k in real.labels] == columns["grade"].to_pylist()
    assert not real.synthetic.any()
    assert again.synthetic[ROWS:].all()
    names = [name for name in columns if name != "grade"]
    beside = again.beside
    assert ([] if beside is None else beside.column_names) == names
    for name in names:
        kind = columns[name].type
        if format == "hf" and pa.types.is_dictionary(kind):
            kind = kind.value_type
        assert beside[name].type == kind
        assert repr(real.beside[name].to_pylist()) == repr(columns[name].to_pylist()), name
        assert beside[name].null_count == columns[name].null_count + len(again) - ROWS


def _encoded():
    few = table({"label": datasets.Value("int64")}, label=[0] * 12).select(range(ROWS))
    return few.cast_column("image", datasets.Image(decode=False))


def test_a_missing_number_is_not_nan(tmp_path):
    for format in PICTURED:
        (tmp_path / format).mkdir()
        rows = table({"label": datasets.Value("int64"), "w": datasets.Value("float64")},
                     label=[0, 1] * 6, w=[None, math.nan] * 6)  # fmt: skip
        out = expanded(rows, tmp_path / format, format)
        assert repr(open_data(out).beside["w"].to_pylist()[:12]) == repr([None, math.nan] * 6)
