"""Real rows that are kept as the files that they are: copied byte by byte, or under a further name."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pictured import PICTURED, SUFFIX
from PIL import Image, ImageOps

import synthaug
from synthaug import Writing, open_data
from synthaug.errors import InvalidRequest, OutputExists
from synthaug.files import Content, Place, Stored, foretell
from synthaug.files.expansion import Expansion
from synthaug.testing import planted_generator
from synthaug.verbs import remake

HIGH, WIDE = planted_generator().form.shape
COPIED, LINKED = Writing(7, 1, real="copied"), Writing(7, 1, real="linked")
IN_FILES = [format for format in PICTURED if format not in ("npz", "webdataset")]


def jpeg(pixels: np.ndarray, **more) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=60, **more)
    return buffer.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """JPEG files of grey pictures with one PNG among them, one turned by its EXIF, and two that want one name."""
    rng, turned = np.random.default_rng(0), Image.Exif()
    turned[0x0112] = 6
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            file = jpeg(rng.integers(0, 255, (HIGH, WIDE), np.uint8))
            (tmp_path / "photos" / name / f"{number}.jpg").write_bytes(file)
    Image.fromarray(rng.integers(0, 255, (HIGH, WIDE), np.uint8)).save(tmp_path / "photos/cat/0.png")
    (tmp_path / "photos/dog/turned.JPEG").write_bytes(
        jpeg(rng.integers(0, 255, (WIDE, HIGH), np.uint8), exif=turned)
    )
    return tmp_path / "photos"


def expand(data: object, out: Path, writing: Writing, format: str | None = None) -> Path:
    generator = planted_generator(("cat", "dog"))
    return synthaug.expand(
        data, generator, to={"cat": 9, "dog": 10}, out=out, format=format, writing=writing, progress=False
    )


def real(out: Path) -> synthaug.LabeledData:
    found = open_data(out)
    assert found.synthetic is not None
    return found.take(np.flatnonzero(~found.synthetic))


def as_bytes(file: Path | bytes | None) -> bytes:
    assert file is not None
    return file if isinstance(file, bytes) else file.read_bytes()


@pytest.mark.parametrize("format", IN_FILES)
def test_copied_files_have_every_byte_of_theirs_and_read_as_they_did(tmp_path, photos, format):
    data = open_data(photos)
    out = expand(data, tmp_path / f"out{SUFFIX[format]}", COPIED, format)
    rows = real(out)
    assert [as_bytes(rows.file(row)) for row in range(len(rows))] == [
        as_bytes(data.file(row)) for row in range(len(data))
    ]
    assert np.array_equal(rows.read(), data.read())
    assert rows.labels.tolist() == data.labels.tolist()
    assert open_data(out).counts == {"cat": 9, "dog": 10}
    assert len(Stored.at(out).samples().samples) == 2 + 3


def test_copied_files_keep_their_names_with_their_own_endings(tmp_path, photos):
    out = expand(photos, tmp_path / "out", COPIED)
    there = {
        path.relative_to(out).as_posix()
        for path in out.rglob("*")
        if path.suffix.lower() not in ("", ".csv", ".json")
    }
    asked = {path.relative_to(photos).as_posix() for path in photos.rglob("*.*")}
    assert {name for name in there if "synthetic-" not in name} == asked | {"README.md"}


def test_linked_files_are_the_same_files_and_take_no_room(tmp_path, photos):
    out = expand(photos, tmp_path / "out", LINKED)
    for path in photos.rglob("*.*"):
        assert os.path.samefile(path, out / path.relative_to(photos))
    copied = expand(photos, tmp_path / "copied", COPIED)
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file()]
    assert all(
        (out / path).read_bytes() == (copied / path).read_bytes()
        for path in files
        if path.name != "synthaug.json"
    )


def test_what_a_link_in_the_folder_points_to_is_linked(tmp_path, photos):
    (tmp_path / "elsewhere.jpg").write_bytes((photos / "cat/1.jpg").read_bytes())
    (photos / "cat/1.jpg").unlink()
    (photos / "cat/1.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    if "1.jpg" not in {Path(open_data(photos).name(row)).name for row in range(14)}:
        pytest.skip("links that lead out of a folder are not read")
    out = expand(photos, tmp_path / "out", LINKED)
    assert not (out / "cat/1.jpg").is_symlink()
    assert os.path.samefile(out / "cat/1.jpg", tmp_path / "elsewhere.jpg")


def test_a_row_of_an_archive_is_copied_and_cannot_be_linked(tmp_path, photos):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in sorted(photos.rglob("*.*")):
            archive.write(path, path.relative_to(photos))
    out = expand(tmp_path / "photos.zip", tmp_path / "out", COPIED)
    assert (out / "dog/turned.JPEG").read_bytes() == (photos / "dog/turned.JPEG").read_bytes()
    with pytest.raises(
        InvalidRequest, match=r"cat/0\.\w+ cannot be linked: it lies in an archive.*--real copied"
    ):
        expand(tmp_path / "photos.zip", tmp_path / "linked", LINKED)
    assert not (tmp_path / "linked").exists()


def test_pictures_of_a_column_have_names_by_what_is_in_them(tmp_path, photos):
    import datasets

    rows = [
        {"image": {"bytes": path.read_bytes(), "path": None}, "label": path.parent.name}
        for path in photos.rglob("*.*")
    ]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    out = expand(datasets.Dataset.from_list(rows, features), tmp_path / "out", COPIED)
    endings = [path.suffix for path in out.rglob("real-*")]
    assert sorted(endings) == [".jpg"] * 13 + [".png"]


def test_shards_are_read_by_datasets_with_the_bytes_of_the_files(tmp_path, photos):
    import datasets

    out = expand(photos, tmp_path / "out", COPIED, "shards")
    read = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert {read[row]["image"].size for row in range(len(read))} == {(WIDE, HIGH)}
    found = {each["bytes"] for each in read.cast_column("image", datasets.Image(decode=False))["image"]}
    assert {path.read_bytes() for path in photos.rglob("*.*")} <= found


@pytest.mark.parametrize("said", [{"image_size": (HIGH, WIDE)}, {"mode": "RGB"}])
def test_rows_that_are_changed_on_reading_are_refused_before_anything_is_written(tmp_path, photos, said):
    generator = planted_generator(("cat", "dog"))
    data = open_data(photos, **said)
    if "mode" in said:
        generator = synthaug.fit(data, steps=1, progress=False)
    with pytest.raises(InvalidRequest, match="is none that is read as it is"):
        synthaug.expand(data, generator, to="2x", out=tmp_path / "out", writing=COPIED, progress=False)
    assert not (tmp_path / "out").exists()


def test_rows_that_are_no_files_are_refused(tmp_path, photos):
    data = open_data(photos)
    arrays = (data.read(), [data.classes[k] for k in data.labels])
    with pytest.raises(InvalidRequest, match="row 0 is none that is read as it is"):
        expand(arrays, tmp_path / "out", COPIED)


@pytest.mark.parametrize(
    ("format", "writing"), [("npz", COPIED), ("webdataset", COPIED), ("npz", LINKED), ("shards", LINKED)]
)
def test_formats_that_hold_no_files_are_refused(tmp_path, photos, format, writing):
    with pytest.raises(
        InvalidRequest, match=f'cannot be {writing.real} in the format "{format}"; they can in "folder"'
    ):
        expand(photos, tmp_path / f"out{SUFFIX[format]}", writing, format)


def test_a_link_over_file_systems_says_what_to_do(tmp_path, photos, monkeypatch):
    def link(source: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(InvalidRequest, match=r"Invalid cross-device link.*--real copied"):
        expand(photos, tmp_path / "out", LINKED)


def test_another_way_to_keep_rows_is_unknown():
    with pytest.raises(InvalidRequest, match='Did you mean "linked"'):
        Writing(real="symlinked")


def test_outputs_whose_rows_are_kept_otherwise_or_are_other_files_are_those_of_other_requests(
    tmp_path, photos
):
    out = expand(photos, tmp_path / "out", COPIED)
    assert expand(photos, out, COPIED) == out
    for other in (LINKED, Writing(7, 1)):
        with pytest.raises(OutputExists):
            expand(photos, out, other)
    with Image.open(photos / "cat/0.png") as picture:
        picture.save(photos / "cat/0.png", compress_level=1)  # the same pixels in another file
    assert expand(photos, tmp_path / "pixels", Writing(7, 1)) == tmp_path / "pixels"
    with pytest.raises(OutputExists, match="files"):
        expand(photos, out, COPIED)


def test_an_upload_over_links_leaves_the_files_that_these_are_as_they_were(tmp_path, photos):
    before = {path: path.read_bytes() for path in photos.rglob("*.*")}
    expand(photos, tmp_path / "out", LINKED)
    url = f"file://{tmp_path / 'out'}"
    others = tmp_path / "others"
    for path in before:
        (others / path.relative_to(photos)).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as picture:
            ImageOps.mirror(ImageOps.exif_transpose(picture)).save(others / path.relative_to(photos))
    generator = planted_generator(("cat", "dog"))
    how = {"to": {"cat": 9, "dog": 10}, "writing": COPIED, "progress": False}
    synthaug.expand(others, generator, out=url, overwrite=True, **how)
    assert {path: path.read_bytes() for path in before} == before
    assert (tmp_path / "out/cat/1.jpg").read_bytes() == (others / "cat/1.jpg").read_bytes()
    with pytest.raises(InvalidRequest, match="cannot be linked into file:"):
        synthaug.expand(photos, generator, out=f"{url}2", **{**how, "writing": LINKED})


@pytest.mark.parametrize("mode", ["P", "CMYK", "1"])
def test_files_that_others_would_read_in_another_mode_are_not_kept(tmp_path, photos, mode):
    data = tmp_path / "modes"
    for path in photos.rglob("*.*"):
        (data / path.relative_to(photos)).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as picture:
            ImageOps.exif_transpose(picture).convert(mode).save(
                (data / path.relative_to(photos)).with_suffix(".tif")
            )
    found = open_data(data)
    generator = synthaug.fit(found, steps=1, progress=False)
    with pytest.raises(InvalidRequest, match="is none that is read as it is"):
        synthaug.expand(found, generator, to="2x", out=tmp_path / "out", writing=COPIED, progress=False)


@pytest.mark.parametrize("out", ["out.npz", "out"])
def test_what_cannot_be_kept_is_refused_before_anything_is_trained(tmp_path, photos, monkeypatch, out):
    def fit(*_: object, **__: object) -> None:
        raise AssertionError("nothing is trained")

    monkeypatch.setattr("synthaug.training.train", fit)
    source = photos if out == "out.npz" else open_data(photos, image_size=(HIGH, WIDE))
    with pytest.raises(InvalidRequest, match=r"copied|is none that is read"):
        synthaug.expand(source, to="2x", steps=1, out=tmp_path / out, writing=COPIED, progress=False)
    assert not list(tmp_path.glob("out*"))


def test_what_copies_and_links_take_is_foretold(tmp_path, photos):
    generator = planted_generator(("cat", "dog"))
    for writing in (COPIED, LINKED, Writing(7, 1)):
        content = Content.of_expansion(Expansion.of(open_data(photos), generator, "2x", 0))
        told = foretell(content, Place(tmp_path / "out", writing=writing))
        out = synthaug.expand(
            photos, generator, to="2x", out=tmp_path / writing.real, writing=writing, progress=False
        )
        told_beside = ("README.md", "synthaug.json")
        files = [path for path in Path(out).rglob("*.*") if path.name not in told_beside]
        own = [path.stat() for path in files if path.stat().st_nlink == 1]
        assert told.bytes == pytest.approx(sum(status.st_size for status in own), rel=0.35)


def test_the_record_makes_the_copies_again(tmp_path, photos):
    synthaug.fit(photos, steps=1, progress=False).save(tmp_path / "generator")
    out = synthaug.expand(
        str(photos),
        str(tmp_path / "generator"),
        to="2x",
        out=tmp_path / "out",
        writing=COPIED,
        progress=False,
    )
    again = remake(out, out=tmp_path / "again", progress=False)
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file()]
    assert all((out / path).read_bytes() == (Path(again) / path).read_bytes() for path in files)
