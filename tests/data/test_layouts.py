"""What a path is: every layout in a table with what must come of it, and random trees against a naive reading."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import warnings
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

import synthaug
from synthaug.data import LabeledData, open_data, training_rows
from synthaug.errors import InvalidData, InvalidRequest, SynthaugError, SynthaugWarning, UnsupportedKind

Files = dict[str, "bytes | str | None"]


def picture(number: int = 0, suffix: str = ".png") -> bytes:
    """An 8x8 picture, another one for each number."""
    pixels = np.random.default_rng(number).integers(0, 255, (8, 8), np.uint8)
    buffer = io.BytesIO()
    Image.init()
    image = Image.fromarray(pixels)
    of = Image.registered_extensions().get(suffix, "PNG")
    (image.convert("RGB") if of in ("TGA", "AVIF", "WEBP", "QOI") else image).save(buffer, of)
    return buffer.getvalue()


def pictures(*paths: str) -> Files:
    return {path: picture(number, Path(path).suffix.lower()) for number, path in enumerate(paths)}


def rows(*folders: str, n: int = 2, suffix: str = ".png") -> Files:
    return pictures(*(f"{folder}/{i}{suffix}" for folder in folders for i in range(n)))


def listed(table: str, *lines: str) -> Files:
    return {table: "\n".join(lines) + "\n"}


def lay(root: Path, files: Files) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content or b"")
    return root


def split_counts(data: LabeledData) -> dict[str, int]:
    return {} if data.splits is None else dict(Counter(data.splits.tolist()))


CAT_DOG = {"cat": 2, "dog": 2}
SPLITS = {"train": 4, "test": 4}
FLAT = pictures("0.png", "1.png", "2.png", "3.png")
IN_SPLITS = pictures("train/0.png", "train/1.png", "test/2.png", "test/3.png")

# name: files, rows of each class, rows of each split
READ: dict[str, tuple[Files, dict[str, int], dict[str, int]]] = {
    "class folders": (rows("cat", "dog"), CAT_DOG, {}),
    "deep class folders": (rows("cat/visit/a", "dog/b"), CAT_DOG, {}),
    "capital suffixes": (rows("cat", "dog", suffix=".PNG"), CAT_DOG, {}),
    "a class called eval": (rows("eval", "dog"), {"eval": 2, "dog": 2}, {}),
    "images below each class": (rows("cat/images", "dog/images"), CAT_DOG, {}),
    "hidden files": (rows("cat", "dog") | pictures("cat/.x.png", ".git/a.png", "cat/@eaDir/t.png"), CAT_DOG, {}),
    "notebook copies": (rows("cat", "dog", "cat/.ipynb_checkpoints"), CAT_DOG, {}),
    "mac archive": (rows("cat", "dog", "__MACOSX/cat"), CAT_DOG, {}),
    "thumbs": (rows("cat", "dog") | {"cat/Thumbs.db": b"x", "dog/desktop.ini": b"x"}, CAT_DOG, {}),
    "notes beside": (rows("cat", "dog") | {"cat/notes.txt": "x", "README.md": "x"}, CAT_DOG, {}),
    "no suffix": (pictures("cat/0", "cat/1", "dog/0", "dog/1"), CAT_DOG, {}),
    "loose pictures": (rows("cat", "dog") | pictures("cover.png"), CAT_DOG, {}),
    "mixed suffixes": (
        pictures("cat/0.png", "cat/1.jfif", "dog/0.jpe", "dog/1.pnm"),
        CAT_DOG,
        {},
    ),
    "flat with metadata.csv": (
        FLAT | listed("metadata.csv", "file_name,label", "0.png,cat", "1.png,dog", "2.png,cat", "3.png,dog"),
        CAT_DOG,
        {},
    ),
    "flat with metadata.jsonl": (
        FLAT | listed("metadata.jsonl", *(f'{{"file_name": "{i}.png", "label": {i % 2}}}' for i in range(4))),
        {"0": 2, "1": 2},
        {},
    ),
    "flat with labels.csv of numbers without suffix": (
        FLAT | listed("labels.csv", "id,breed", "0,cat", "1,dog", "2,cat", "3,dog"),
        CAT_DOG,
        {},
    ),
    "pictures in a folder below their table": (
        rows("pics", n=4)
        | listed("metadata.csv", "file_name,label", *(f"pics/{i}.png,{k}" for i, k in enumerate(["cat", "dog"] * 2))),
        CAT_DOG,
        {},
    ),
    "flat splits with metadata in each": (
        IN_SPLITS
        | listed("train/metadata.csv", "file_name,label", "0.png,cat", "1.png,dog")
        | listed("test/metadata.csv", "file_name,label", "2.png,cat", "3.png,dog"),
        CAT_DOG,
        {"train": 2, "test": 2},
    ),
    "flat splits with a table above for each": (
        IN_SPLITS
        | listed("train.csv", "file,label", "0.png,cat", "1.png,dog")
        | listed("test.csv", "file,label", "2.png,cat", "3.png,dog"),
        CAT_DOG,
        {"train": 2, "test": 2},
    ),
    "flat splits with one table above": (
        IN_SPLITS
        | listed("labels.csv", "path,label", "train/0.png,cat", "train/1.png,dog", "test/2.png,cat", "test/3.png,dog"),
        CAT_DOG,
        {"train": 2, "test": 2},
    ),
    "a table with splits": (
        FLAT
        | listed("metadata.csv", "file_name,label,split", "0.png,cat,train", "1.png,dog,train",
                 "2.png,cat,val", "3.png,dog,Test"),
        CAT_DOG,
        {"train": 2, "validation": 1, "test": 1},
    ),
    "files of labels, as WebDataset has them": (
        FLAT | {"0.cls": "cat", "1.cls": "dog", "2.cls": "cat", "3.cls": "dog"},
        CAT_DOG,
        {},
    ),
    "a table of any name": (
        FLAT | listed("HAM10000 rows.csv", "image_id,dx", "0,cat", "1,dog", "2,cat", "3,dog"),
        CAT_DOG,
        {},
    ),
    "a table with semicolons": (
        FLAT | listed("metadata.csv", "file_name;label", "0.png;cat", "1.png;dog", "2.png;cat", "3.png;dog"),
        CAT_DOG,
        {},
    ),
    "labels with leading zeros": (
        FLAT | listed("labels.csv", "id,label", "0,007", "1,010", "2,007", "3,010"),
        {"007": 2, "010": 2},
        {},
    ),
    "labels of yes and no": (
        FLAT | listed("labels.csv", "id,label", "0,true", "1,false", "2,true", "3,false"),
        {"true": 2, "false": 2},
        {},
    ),
    "a table in other cases, with backslashes": (
        rows("Pics", n=4)
        | listed("metadata.csv", "file_name,label", *(f"pics\\{i}.PNG,{k}" for i, k in enumerate(["cat", "dog"] * 2))),
        CAT_DOG,
        {},
    ),
    "one folder of pictures and a table beside it": (
        rows("train_images", n=4) | listed("train.csv", "id,label", "0,cat", "1,dog", "2,cat", "3,dog"),
        CAT_DOG,
        {},
    ),
    "class folders and a table that says the same": (
        rows("cat", "dog")
        | listed("labels.csv", "file,label", "cat/0.png,cat", "cat/1.png,cat", "dog/0.png,dog", "dog/1.png,dog"),
        CAT_DOG,
        {},
    ),
    "splits with a word before": (
        rows("seg_train/cat", "seg_train/dog", "seg_test/cat", "seg_test/dog"),
        {"cat": 4, "dog": 4},
        SPLITS,
    ),
    "a split folder in itself": (
        rows("train/train/cat", "train/train/dog", "test/test/cat", "test/test/dog"),
        {"cat": 4, "dog": 4},
        SPLITS,
    ),
    "splits below classes": (
        rows("cat/train", "cat/test", "dog/train", "dog/test"),
        {"cat": 4, "dog": 4},
        SPLITS,
    ),
}  # fmt: skip
for names in (
    ("train", "test"),
    ("Train", "Test"),
    ("TRAIN", "TEST"),
    ("training", "testing"),
    ("Training", "Testing"),
):
    files = rows(*(f"{split}/{k}" for split in names for k in ("cat", "dog")))
    READ[f"splits {names}"] = (files, {"cat": 4, "dog": 4}, SPLITS)
for name in ("val", "valid", "validation", "dev", "eval", "Val", "VALID"):
    files = rows(*(f"{split}/{k}" for split in ("train", name) for k in ("cat", "dog")))
    READ[f"splits train, {name}"] = (files, {"cat": 4, "dog": 4}, {"train": 4, "validation": 4})
for suffix in (".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".pnm", ".tga",
               ".avif", ".dib", ".pcx", ".qoi"):  # fmt: skip
    if suffix == ".qoi" and "QOI" not in Image.SAVE:
        continue
    READ[f"suffix {suffix}"] = (rows("cat", "dog", suffix=suffix), CAT_DOG, {})

REFUSED: dict[str, tuple[Files, type[SynthaugError], str]] = {
    "nothing": ({}, InvalidData, "holds no images"),
    "audio": ({"cat/1.wav": b"RIFF"}, UnsupportedKind, "audio is not supported yet"),
    "video": ({"cat/1.mp4": b"x"}, UnsupportedKind, "video is not supported yet"),
    "text": ({"cat/1.txt": "x"}, UnsupportedKind, "text is not supported yet"),
    "tables": ({"train.csv": "x,y\n1,2\n"}, UnsupportedKind, "holds tables; give the path of one of them"),
    "flat": (FLAT, InvalidData, "images without class folders"),
    "flat splits": (IN_SPLITS, InvalidData, "without class folders or a table"),
    "flat splits, a table for the test": (
        IN_SPLITS | listed("test/metadata.csv", "file_name,label", "2.png,a"), InvalidData, "a table for each",
    ),
    "an empty class": (rows("cat", "dog") | {"owl/x.txt": "x"}, InvalidData, "owl holds no image"),
    "a class beside splits": (rows("train/a", "train/b", "cat"), InvalidData, "beside cat, which is no split"),
    "two names of one split": (rows("val/a", "dev/a", "train/a"), InvalidData, "mean the same split"),
    "masks beside images": (rows("images", "masks"), UnsupportedKind, "masks, boxes"),
    "masks below classes": (rows("a/images", "a/masks", "b/images", "b/masks"), UnsupportedKind, "masks, boxes"),
    "boxes": (rows("images") | {"labels/0.txt": "0 1 1 1 1"}, UnsupportedKind, "masks, boxes"),
    "a listed picture is gone": (
        FLAT | listed("metadata.csv", "file_name,label", "0.png,a", "9.png,b"), InvalidData, "lists 1 pictures",
    ),
    "a table of nothing": (FLAT | listed("metadata.csv", "a,b", "x,1"), InvalidData, "no column of .* names pictures"),
    "two tables": (
        FLAT | listed("metadata.csv", "file_name,label", "0.png,a") | listed("labels.csv", "id,y", "0,a"),
        InvalidData, "several tables",
    ),
    "several columns may be the label": (
        FLAT | listed("metadata.csv", "file_name,sex,site", "0.png,f,x", "1.png,m,y"),
        InvalidData, "name it with label=",
    ),
    "splits below some classes": (
        rows("cat/train", "cat/test", "dog"), InvalidData, "is in none of them",
    ),
    "splits deep below classes": (
        rows("cat/a/train", "cat/a/test", "dog/a/train"), InvalidData, "deep below its class folders",
    ),
    "a folder around class folders": (
        rows("photos/cat", "photos/dog"), InvalidData, "give .*/photos if these are the classes",
    ),
    "HDF5": ({"train.h5": b"x"}, UnsupportedKind, r"HDF5 or MATLAB files \(1 .h5\)"),
    "pictures of telephones": ({"a/1.heic": b"x", "b/2.HEIC": b"x"}, UnsupportedKind, "HEIC pictures"),
    "drawings": ({"a/1.svg": "<svg/>"}, UnsupportedKind, "drawings"),
    "pickles": ({"data_batch_1.pkl": b"x"}, UnsupportedKind, "pickled objects"),
    "records": ({"a.tfrecord": b"x"}, UnsupportedKind, "TFRecord|records of TensorFlow"),
    "archives in a folder": ({"train.zip": b"x", "README": "x"}, InvalidData, "give the path of one archive"),
    "covers of music": (
        rows("rock", "pop", n=1) | {f"{k}/{i}.mp3": b"x" for k in ("rock", "pop") for i in range(5)},
        UnsupportedKind, "10 files of audio and 2 images",
    ),
    "masks in a folder beside pictures": (rows("a", "a/mask", "b"), UnsupportedKind, "masks, boxes"),
    "masks by their names": (
        rows("ill", "well") | pictures("ill/0_mask.png"), UnsupportedKind, "0_mask is beside the picture 0",
    ),
    "boxes beside pictures": (FLAT | {"0.txt": "0 1 1 1 1", "1.txt": "0 1 1 1 1"}, UnsupportedKind, "masks, boxes"),
    "boxes of COCO": (FLAT | {"_annotations.coco.json": "{}"}, UnsupportedKind, "masks, boxes"),
    "boxes of VOC": (FLAT | {"0.xml": "<a/>"}, UnsupportedKind, "masks, boxes"),
    "captions": (
        FLAT | listed("metadata.csv", "file_name,text", "0.png,a cat", "1.png,a dog"),
        UnsupportedKind, 'text in "text" in place of classes',
    ),
    "masks in a column": (
        rows("images", "others") | listed("metadata.csv", "file_name,mask", "images/0.png,others/0.png"),
        UnsupportedKind, 'pictures in "mask" in place of classes',
    ),
    "a table without names above": (
        FLAT | listed("metadata.csv", "0.png,cat", "1.png,dog"), InvalidData, "no line of names above its rows",
    ),
    "a picture that a table lists twice": (
        FLAT | listed("metadata.csv", "file_name,label", "0.png,a", "0.png,b"), InvalidData, "0.png several times",
    ),
    "two columns of one name": (
        FLAT | listed("metadata.csv", "file_name,label,label", "0.png,a,b"), InvalidData, "two columns have one name",
    ),
    "a table in another encoding": (
        FLAT | {"metadata.csv": "file_name,label\n0.png,Stra\xdfe\n".encode("latin-1")}, InvalidData, "UTF-8",
    ),
    "class folders and a table that says something else": (
        rows("site1", "site2") | listed("labels.csv", "file,label", "site1/0.png,ill", "site1/1.png,well",
                                        "site2/0.png,ill", "site2/1.png,well"),
        InvalidData, "says something else of the pictures",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_layout_is_read_as_what_it_is(name: str, tmp_path: Path) -> None:
    files, classes, splits = READ[name]
    data = open_data(lay(tmp_path / "set", files))
    assert data.counts == classes
    assert split_counts(data) == splits
    assert len(data) + sum(data.reading.left_out.values()) == len(files)
    assert data.read().shape[:3] == (len(data), 8, 8)
    assert data.reading.layout


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_layout_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    files, error, message = REFUSED[name]
    (tmp_path / "set").mkdir()
    with pytest.raises(error, match=message):
        open_data(lay(tmp_path / "set", files))


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
@pytest.mark.parametrize(
    "name", ["class folders", "splits ('Train', 'Test')", "flat with metadata.csv", "no suffix"]
)
@pytest.mark.parametrize("wrapped", ["", "photos/"])
def test_an_archive_is_read_as_the_folder_in_it(name: str, suffix: str, wrapped: str, tmp_path: Path) -> None:
    files, classes, splits = READ[name]
    path, packed = tmp_path / f"set{suffix}", {wrapped + at: content for at, content in files.items()}
    pack(path, packed)
    data, folder = open_data(path), open_data(lay(tmp_path / "set", files))
    assert data.counts == classes
    assert split_counts(data) == splits
    assert (data.read() == folder.read()).all()
    assert data.fingerprint() == folder.fingerprint()


def pack(path: Path, files: Files) -> None:
    contents = {
        at: content.encode() if isinstance(content, str) else content or b"" for at, content in files.items()
    }
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for at, content in contents.items():
                archive.writestr(at, content)
        return
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
        for at, content in contents.items():
            member = tarfile.TarInfo(at)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "cat/../../evil.png"])
@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_an_archive_that_points_out_of_itself_is_refused(name: str, suffix: str, tmp_path: Path) -> None:
    pack(tmp_path / f"set{suffix}", rows("cat", "dog") | pictures(name))
    with pytest.raises(InvalidData, match="names a file outside of itself"):
        open_data(tmp_path / f"set{suffix}")
    assert sorted(os.listdir(tmp_path)) == [f"set{suffix}"]


def test_a_table_of_paths_is_read_by_its_own_path_with_its_other_columns(tmp_path: Path) -> None:
    lines = ("path,finding,patient", "a/0.png,ill,p1", "a/1.png,well,p2", "b/0.png,ill,p1", "b/1.png,well,p3")
    lay(tmp_path, rows("a", "b") | listed("scans.csv", *lines))
    data = open_data(tmp_path / "scans.csv", label="finding", group="patient")
    assert data.counts == {"ill": 2, "well": 2}
    assert data.groups is not None
    assert data.groups.tolist() == ["p1", "p2", "p1", "p3"]
    assert data.beside is not None
    assert data.beside["patient"].to_pylist() == ["p1", "p2", "p1", "p3"]
    assert (
        data.label_column == "finding"
        if hasattr(data, "label_column")
        else data.found.label_column == "finding"
    )


def test_held_out_pictures_without_labels_take_no_part_and_are_said(tmp_path: Path) -> None:
    lay(tmp_path, rows("train/cat", "train/dog") | pictures("test/7.png", "test/8.png"))
    with pytest.warns(SynthaugWarning, match="2 of test"):
        data = open_data(tmp_path)
    assert data.counts == CAT_DOG
    assert len(data) + sum(data.reading.left_out.values()) == 6


def test_a_table_of_the_training_pictures_alone_leaves_the_others_without_labels(tmp_path: Path) -> None:
    lay(tmp_path, IN_SPLITS | listed("train.csv", "id,breed", "0,cat", "1,dog") | pictures("train/4.png"))
    with pytest.warns(SynthaugWarning, match="2 of test"):
        data = open_data(tmp_path)
    assert data.counts == {"cat": 1, "dog": 1}
    assert len(data) + sum(data.reading.left_out.values()) == 6


def test_a_table_beside_folders_of_something_else_is_read_when_its_label_is_named(tmp_path: Path) -> None:
    lines = (f"site{i // 2}/{i % 2}.png,{'ill' if i % 2 else 'well'}" for i in range(4))
    lay(tmp_path, rows("site0", "site1") | listed("labels.csv", "file,finding", *lines))
    assert open_data(tmp_path, label="finding").counts == {"ill": 2, "well": 2}


def test_pipes_are_left_out_and_not_waited_for(tmp_path: Path) -> None:
    lay(tmp_path, rows("cat", "dog"))
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    data = open_data(tmp_path)
    assert data.counts == CAT_DOG
    assert data.reading.left_out == {"pipes, sockets and devices": 1}


def test_a_link_to_nothing_is_a_broken_picture(tmp_path: Path) -> None:
    lay(tmp_path, rows("cat", "dog"))
    os.symlink("nowhere.png", tmp_path / "cat" / "2.png")
    assert set(open_data(tmp_path).broken()) == {2}
    with pytest.warns(SynthaugWarning, match="1 of the pictures"):
        assert open_data(tmp_path, skip_broken=True).counts == CAT_DOG


def test_links_are_followed_once(tmp_path: Path) -> None:
    lay(tmp_path / "set", rows("cat", "dog"))
    lay(tmp_path / "elsewhere", rows("."))
    os.symlink("..", tmp_path / "set" / "cat" / "all")
    os.symlink(tmp_path / "elsewhere", tmp_path / "set" / "owl")
    os.symlink(tmp_path / "set" / "cat" / "0.png", tmp_path / "set" / "dog" / "again.png")
    data = open_data(tmp_path / "set")
    assert data.counts == {"cat": 2, "dog": 2, "owl": 2}
    assert data.reading.left_out == {"links to what is there already": 2}


def test_a_pair_of_arrays_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", np.zeros((4, 8, 8), np.uint8))
    np.save(tmp_path / "y.npy", np.array([0, 1, 0, 1]))
    assert open_data(tmp_path).counts == open_data(tmp_path / "X.npy").counts == {"0": 2, "1": 2}
    os.remove(tmp_path / "y.npy")
    with pytest.raises(InvalidData, match="no labels beside it"):
        open_data(tmp_path / "X.npy")


def test_a_folder_of_parquet_files_is_read_as_the_hub_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    (tmp_path / "set" / "data").mkdir(parents=True)
    for split, n in (("train", 4), ("test", 2)):
        content = {
            "image": [Image.open(io.BytesIO(picture(i))) for i in range(n)],
            "label": [0, 1] * (n // 2),
        }
        part = datasets.Dataset.from_dict(content, features=features)
        part.to_parquet(tmp_path / "set" / "data" / f"{split}-00000-of-00001.parquet")
    data = open_data(tmp_path / "set")
    assert data.counts == {"a": 3, "b": 3}
    assert split_counts(data) == {"train": 4, "test": 2}


def test_all_broken_pictures_are_named_at_once_and_left_out_when_asked(tmp_path: Path) -> None:
    whole = picture(1)
    lay(
        tmp_path,
        rows("cat", "dog", n=6) | {"cat/0.png": b"no picture", "dog/1.png": whole[: len(whole) // 2]},
    )
    assert set(open_data(tmp_path).broken()) == {0, 7}
    assert [text.split(" cannot")[0] for text in synthaug.inspect(tmp_path)["broken"]] == [
        str(tmp_path / "cat/0.png"),
        str(tmp_path / "dog/1.png"),
    ]
    with pytest.raises(InvalidData, match=r"cat/0.png cannot be read"):
        open_data(tmp_path).check()
    with pytest.warns(SynthaugWarning, match="2 of the pictures of .* cannot be decoded and are left out"):
        data = open_data(tmp_path, skip_broken=True)
    assert data.counts == {"cat": 5, "dog": 5}
    assert data.reading.left_out == {"broken pictures": 2}
    assert data.read().shape == (10, 8, 8)
    assert data.name(0).endswith("cat/1.png")


def test_a_mode_joins_grey_and_coloured_pictures(tmp_path: Path) -> None:
    lay(tmp_path, rows("cat", "dog"))
    Image.new("RGB", (8, 8), (200, 10, 10)).save(tmp_path / "cat" / "1.png")
    with pytest.raises(InvalidData, match=r"mixed kinds.*mode="):
        open_data(tmp_path).check_images()
    assert open_data(tmp_path, mode="RGB").read().shape == (4, 8, 8, 3)
    assert open_data(tmp_path, mode="L").read().shape == (4, 8, 8)
    with pytest.raises(InvalidRequest, match="convert the arrays first"):
        open_data((np.zeros((4, 8, 8), np.uint8), [0, 1, 0, 1]), mode="RGB")


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_pictures_are_stretched_cropped_or_padded(resize: Any, tmp_path: Path) -> None:
    wide = np.zeros((16, 32), np.uint8)
    wide[:, 8:24] = 100  # the middle half
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.fromarray(wide).save(tmp_path / name / f"{i}.png")
    found = open_data(tmp_path, image_size=16, resize=resize).read()[0]
    assert found.shape == (16, 16)
    if resize == "crop":
        assert (found == 100).all()
    elif resize == "pad":
        assert (found[:4] == 0).all()
        assert (found[12:] == 0).all()
        assert (found[4:12, 5:11] == 100).all()
    else:
        assert (found[:, 5:11] == 100).all()
        assert (found[:, :3] == 0).all()


def test_a_table_of_ours_that_was_changed_to_point_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    lay(tmp_path / "set", rows("cat", "dog", n=6))
    lay(tmp_path, rows("secret"))
    synthaug.expand(tmp_path / "set", to="2x", steps=1, out=tmp_path / "more", progress=False)
    table = tmp_path / "more" / "provenance.csv"
    table.write_text(table.read_text().replace("cat/0.png", "../secret/0.png", 1))
    with pytest.raises(InvalidData, match="names a file outside of its folder"):
        open_data(tmp_path / "more")


def test_a_class_whose_name_would_be_cut_is_refused() -> None:
    with pytest.raises(InvalidData, match="strip it"):
        open_data((np.zeros((4, 8, 8), np.uint8), ["a", "a\0", "a", "a\0"]))


def test_pages_and_frames_that_are_not_read_are_said(tmp_path: Path) -> None:
    lay(tmp_path, rows("cat", "dog", n=5))
    pages = [Image.fromarray(np.full((8, 8), 50 * k, np.uint8)) for k in range(3)]
    pages[0].save(tmp_path / "cat" / "pages.tif", save_all=True, append_images=pages[1:])
    with pytest.warns(SynthaugWarning, match="1 files of .* have several pages or frames"):
        open_data(tmp_path).check()


def test_hub_splits_of_any_usual_name_are_found(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    content = {"image": [Image.open(io.BytesIO(picture(i))) for i in range(4)], "label": [0, 1, 0, 1]}
    part = datasets.Dataset.from_dict(content, features=features)
    data = open_data(datasets.DatasetDict({"Training": part, "dev": part, "Testing": part}))
    assert (data.train_split, data.test_split) == ("Training", "Testing")
    assert len(training_rows(data)) == 4


NAMES = st.sampled_from(["cat", "dog", "Train", "test", "val", "a b", ".git", "@eaDir", "é", "images", "x#1"])
SUFFIXES = st.sampled_from([".png", ".PNG", ".jpg", ".txt", ".json", "", ".bmp"])
TREES = st.lists(st.tuples(st.lists(NAMES, max_size=3), SUFFIXES, st.booleans()), min_size=1, max_size=12)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(TREES)
def test_of_a_random_tree_every_file_is_read_or_said_to_be_left_out(tree: list[Any]) -> None:
    files: Files = {}
    for number, (folders, suffix, broken) in enumerate(tree):
        content = b"\x00broken" if broken and suffix == "" else picture(number, suffix.lower())
        files["/".join([*folders, f"{number}{suffix}"])] = content
    with tempfile.TemporaryDirectory() as place:
        root = lay(Path(place) / "set", files)
        present = sum(len(names) for _, _, names in os.walk(root))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SynthaugWarning)
                data = open_data(root)
        except SynthaugError:
            return
        assert len(data) + sum(data.reading.left_out.values()) == present
        for row in range(len(data)):
            below = Path(data.name(row)).relative_to(root)
            assert not any(part.startswith((".", "@")) for part in below.parts)
            assert data.classes[data.labels[row]] in below.parts[:-1]
