import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pictured import PICTURED
from PIL import Image

import synthaug
from synthaug import Classes, ImageForm
from synthaug.errors import InvalidRequest
from synthaug.files import FORMATS, Card, RowBlock, choose_format, read_record, recorded_request, write_rows
from synthaug.generators import real_provenance, synthetic_provenance
from synthaug.testing import check_format, planted_generator

FORMS = [
    ImageForm(9, 8, 1, "HW", "uint8"),
    ImageForm(8, 9, 3, "HWC", "uint8"),
    ImageForm(8, 9, 4, "CHW", "uint8"),
    ImageForm(8, 9, 1, "CHW", "uint16"),
]
CLASSES = Classes(("T-shirt/top", "test", "é|é"), (4, 0, 9))
GENERATOR = "ab" * 32
REQUEST = {"kind": "test", "add": [["test", 2]]}


def blocks(form, *, splits=False, groups=False):
    """Four real rows, then two synthetic ones of the second class, in two blocks."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, np.iinfo(form.dtype).max, (6, *form.shape), endpoint=True).astype(form.dtype)
    columns = synthetic_provenance(GENERATOR, 5, "test", np.arange(2))
    real, made = slice(0, 4), slice(4, 6)
    names = np.array(
        ["x/a.png", "y/a.jpg", "row 2 of a.parquet", "../été.png", "synthetic-5-0.png", "synthetic-5-1.png"]
    )
    labels = np.array([0, 0, 2, 1, 1, 1])
    split = np.array(["train", "test", "train", "train", "train", "train"])
    group = np.array(["p1", "p1", "p2", "p3", "synthetic", "synthetic"])
    for part, provenance in ((real, real_provenance(4)), (made, columns)):
        yield RowBlock(
            images[part],
            labels[part],
            names[part].tolist(),
            provenance,
            split[part] if splits else None,
            group[part] if groups else None,
        )


def card(form, *, splits=False):
    real = {"T-shirt/top": 1 if splits else 2, "test": 1, "é|é": 1}
    copied = {"test": 1} if splits else {}
    return Card(CLASSES, form, "arrays", GENERATOR, "cvae", 5, real, {"test": 2}, copied)


def write(folder: Path, format, form, **kinds):
    folder.mkdir()
    described = card(form, splits=kinds.get("splits", False))
    file = write_rows(folder, FORMATS[format], blocks(form, **kinds), described, REQUEST)
    return folder if file is None else folder / file


def expected(form, **kinds):
    parts = list(blocks(form, **kinds))
    return np.concatenate([p.images for p in parts]), np.concatenate([p.labels for p in parts])


def pixels(image: Image.Image, form: ImageForm) -> np.ndarray:
    array = np.asarray(image).astype(form.dtype).reshape(form.height, form.width, form.channels)
    return (np.moveaxis(array, 2, 0) if form.layout == "CHW" else array).reshape(form.shape)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("format", FORMATS.values(), ids=list(FORMATS))
def test_every_format_keeps_what_a_format_has_to_keep(tmp_path, format):
    check_format(format, tmp_path)


def with_columns(**changed):
    """The npz format, which forgets on reading what is in these columns."""

    def opened(path):
        columns = FORMATS["npz"].open(path)
        return replace(columns, table={**columns.table, **changed})

    return {"open": opened}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"holds": lambda form: False}, '"npz" holds rows of no form'),
        ({"recognises": lambda path: False}, "it does not recognise what it wrote"),
        ({"record": lambda path: None}, "its record is lost"),
        (with_columns(index=np.zeros(6, np.int64)), "a row or its provenance was changed"),
        (with_columns(split=np.array(["train"] * 6)), "splits were lost or made up"),
    ],
)
def test_what_a_format_does_not_keep_is_named(tmp_path, broken, said):
    with pytest.raises(AssertionError, match=said):
        check_format(replace(FORMATS["npz"], **broken), tmp_path)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_folder_holds_every_image_under_its_encoded_class(tmp_path, form):
    out = write(tmp_path / "out", "folder", form)
    images, _ = expected(form)
    with open(out / "provenance.csv", encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["file"] for row in table] == [
        "T-shirt%2Ftop/a.png",
        "T-shirt%2Ftop/a-1.png",
        "%C3%A9%7C%C3%A9/real-000002.png",
        "%74est/été.png",
        "%74est/synthetic-5-0.png",
        "%74est/synthetic-5-1.png",
    ]
    for row, image in zip(table, images, strict=True):
        with Image.open(out / row["file"]) as stored:
            np.testing.assert_array_equal(pixels(stored, form), image)
    assert [row["synthetic"] for row in table] == ["False"] * 4 + ["True"] * 2
    assert table[0] == {"file": "T-shirt%2Ftop/a.png", "synthetic": "False", "generator": "", "seed": "-1",
                        "class": "", "index": "-1", "label": "4"}  # fmt: skip
    assert table[5]["generator"] == GENERATOR
    assert (table[5]["seed"], table[5]["class"], table[5]["index"]) == ("5", "test", "1")


def test_a_folder_with_splits_has_a_folder_for_each_and_keeps_groups(tmp_path):
    out = write(tmp_path / "out", "folder", FORMS[0], splits=True, groups=True)
    assert (out / "test" / "T-shirt%2Ftop" / "a.png").exists()
    assert (out / "train" / "%74est" / "synthetic-5-1.png").exists()
    with open(out / "provenance.csv", newline="") as file:
        assert [row["group"] for row in csv.DictReader(file)] == ["p1", "p1", "p2", "p3"] + ["synthetic"] * 2


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_parquet_file_reads_as_a_hugging_face_image_set(tmp_path, form):
    import datasets

    out = write(tmp_path / "out", "parquet", form, splits=True, groups=True)
    stored = datasets.Dataset.from_parquet(str(out), cache_dir=str(tmp_path / "cache"))
    images, labels = expected(form)
    assert isinstance(stored.features["image"], datasets.Image)
    assert stored.features["label"] == datasets.Value("int64")
    assert stored["label"] == np.array(CLASSES.values)[labels].tolist()
    for image, wanted in zip(stored["image"], images, strict=True):
        np.testing.assert_array_equal(pixels(image, form), wanted)
    assert stored["split"][:2] == ["train", "test"]
    assert stored["group"] == ["p1", "p1", "p2", "p3", "synthetic", "synthetic"]
    assert stored["synthetic"] == [False] * 4 + [True] * 2
    assert stored["generator"] == [""] * 4 + [GENERATOR] * 2
    assert stored["seed"] == [-1] * 4 + [5] * 2
    assert stored["class"] == [""] * 4 + ["test"] * 2
    assert stored["index"] == [-1] * 4 + [0, 1]


@pytest.mark.parametrize("form", [*FORMS, ImageForm(8, 9, 3, "CHW", "int16")], ids=str)
def test_an_npz_file_holds_the_arrays_as_they_were(tmp_path, form):
    out = write(tmp_path / "out", "npz", form, splits=True)
    images, labels = expected(form)
    with np.load(out) as stored:
        np.testing.assert_array_equal(stored["X"], images)
        assert stored["X"].dtype == form.dtype
        assert stored["y"].tolist() == np.array(CLASSES.values)[labels].tolist()
        assert stored["classes"].tolist() == list(CLASSES)
        assert stored["split"].tolist()[:2] == ["train", "test"]
        assert stored["synthetic"].tolist() == [False] * 4 + [True] * 2
        assert stored["generator"].tolist() == [""] * 4 + [GENERATOR] * 2
        assert stored["seed"].tolist() == [-1] * 4 + [5] * 2
        assert stored["class"].tolist() == [""] * 4 + ["test"] * 2
        assert stored["index"].tolist() == [-1] * 4 + [0, 1]


def test_an_npz_file_holds_floats(tmp_path):
    form = ImageForm(8, 8, 1, "HW", "float32")
    images = np.random.default_rng(0).random((2, 8, 8), np.float32)
    rows = RowBlock(images, np.array([0, 1]), ["row 0", "row 1"], real_provenance(2))
    described = Card(
        Classes(("a", "b"), ("a", "b")), form, "arrays", GENERATOR, "cvae", 0, {"a": 1, "b": 1}, {}, {}
    )
    write_rows(tmp_path, FORMATS["npz"], [rows], described, REQUEST)
    with np.load(tmp_path / "rows.npz") as stored:
        np.testing.assert_array_equal(stored["X"], images)
        assert stored["y"].tolist() == ["a", "b"]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_saved_set_loads_with_its_features(tmp_path, form):
    import datasets

    stored = datasets.load_from_disk(str(write(tmp_path / "out", "hf", form)))
    images, labels = expected(form)
    assert stored.features["label"] == datasets.Value("int64")
    assert stored["label"] == np.array(CLASSES.values)[labels].tolist()
    for image, wanted in zip(stored["image"], images, strict=True):
        np.testing.assert_array_equal(pixels(image, form), wanted)
    assert stored["index"] == [-1] * 4 + [0, 1]


def test_a_saved_set_with_splits_is_a_dictionary_of_sets(tmp_path):
    import datasets

    stored = datasets.load_from_disk(str(write(tmp_path / "out", "hf", FORMS[0], splits=True)))
    assert {name: part.num_rows for name, part in stored.items()} == {"train": 5, "test": 1}
    assert stored["test"]["label"] == [CLASSES.values[0]]


@pytest.mark.parametrize("format", PICTURED)
def test_writing_again_over_the_work_of_a_killed_call_changes_nothing(tmp_path, format):
    write(tmp_path / "out", format, FORMS[1], splits=True)
    before = tree(tmp_path / "out")
    half = iter(blocks(FORMS[1], splits=True))

    def killed():
        yield next(half)
        raise ZeroDivisionError

    described = card(FORMS[1], splits=True)
    with pytest.raises(ZeroDivisionError):
        write_rows(tmp_path / "out", FORMATS[format], killed(), described, REQUEST)
    write_rows(tmp_path / "out", FORMATS[format], blocks(FORMS[1], splits=True), described, REQUEST)
    assert tree(tmp_path / "out") == before


@pytest.mark.parametrize("format", PICTURED)
def test_the_record_of_every_format_is_found_by_the_path_alone(tmp_path, format):
    out = write(tmp_path / "out", format, FORMS[0])
    record = read_record(out)
    assert record == FORMATS[format].record(out)
    assert recorded_request(out) == record["request"] == REQUEST
    assert Card.from_dict(record["card"]) == card(FORMS[0])


def test_files_of_others_have_no_record(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros(3))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 cut off")
    (tmp_path / "c.npz").write_bytes(b"PK\x03\x04 cut off")
    (tmp_path / "d").mkdir()
    for name in ("a.npz", "b.parquet", "c.npz", "d"):
        assert recorded_request(tmp_path / name) is None


@pytest.mark.parametrize("format", ["folder", "hf"])
def test_the_card_says_what_is_real_what_is_synthetic_and_how_to_make_it_again(tmp_path, format):
    import yaml

    text = (write(tmp_path / "out", format, FORMS[0], splits=True) / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1])
    assert {"synthetic", "synthaug"} <= set(header["tags"])
    assert header["size_categories"] == ["n<1K"]
    assert "| T-shirt/top | 1 | 0 |" in text
    assert "| test | 1 | 2 |" in text
    assert r"| é\|é | 1 | 0 |" in text
    assert "Split `test`: 1 rows" in text
    assert GENERATOR in text
    assert 'generator.sample({"test": 2}, seed=5)' in text


def test_the_hub_reads_the_folder_as_images_with_labels(tmp_path):
    import datasets

    out = write(tmp_path / "out", "folder", FORMS[1])
    stored = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]
    assert stored.num_rows == 6
    assert sorted(stored.features["label"].names) == ["%74est", "%C3%A9%7C%C3%A9", "T-shirt%2Ftop"]


@pytest.mark.parametrize(
    ("out", "format", "chosen"),
    [("a.parquet", None, "parquet"), ("a.NPZ", None, "npz"), ("a", None, "folder"), ("a/", None, "folder"),
     ("a", "hf", "hf"), ("a.v2", "folder", "folder"), ("a", "npz", "npz")],
)  # fmt: skip
def test_the_format_follows_the_suffix_or_the_request(out, format, chosen):
    assert choose_format(out, format, FORMS[0]) is FORMATS[chosen]


@pytest.mark.parametrize(
    ("out", "format", "said"),
    [("a.txt", None, r'suffix of "a\.txt" names no format.*format='),
     ("a.npz", "parquet", 'ends like npz, but the format "parquet"'),
     ("a", "parqet", 'no format "parqet".*Did you mean "parquet"')],
)  # fmt: skip
def test_a_format_that_cannot_be_meant_is_refused(out, format, said):
    with pytest.raises(InvalidRequest, match=said):
        choose_format(out, format, FORMS[0])


@pytest.mark.parametrize("format", ["folder", "parquet", "hf"])
@pytest.mark.parametrize("form", [ImageForm(8, 8, 1, "HW", "float32"), ImageForm(8, 8, 3, "HWC", "uint16")])
def test_what_png_cannot_hold_is_refused_with_the_remedy(format, form):
    with pytest.raises(InvalidRequest, match=rf"{form.dtype}.*PNG.*Write an \.npz"):
        choose_format("a", format, form)
    assert choose_format("a", "npz", form) is FORMATS["npz"]


def test_the_record_is_plain_json(tmp_path):
    out = write(tmp_path / "out", "folder", FORMS[0])
    assert json.loads((out / "synthaug.json").read_text())["card"]["values"] == list(CLASSES.values)


@pytest.mark.parametrize("format", PICTURED)
def test_names_that_are_no_unicode_are_written_or_refused_before_anything_is(format, tmp_path):
    classes = ("cat", "d\udcffg")
    x, y = np.random.default_rng(0).integers(0, 255, (12, 8, 9), np.uint8), list(classes) * 6
    out = tmp_path / f"out{FORMATS[format].suffix or ''}"
    place = {"out": out, "format": format, "progress": False}
    if FORMATS[format].unicode_only:
        with pytest.raises(InvalidRequest, match=r"is no text in Unicode.*folder or an \.npz"):
            synthaug.expand((x, y), planted_generator(classes), to="2x", **place)
        assert list(tmp_path.iterdir()) == []
    else:
        synthaug.expand((x, y), planted_generator(classes), to="2x", **place)
        assert synthaug.open_data(out).counts == dict.fromkeys(classes, 12)
