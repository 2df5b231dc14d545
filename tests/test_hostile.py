"""Inputs that were made to do harm: names, pictures, archives, tables, records, generators, recipes, tokens.

Whatever is opened, nothing but an error of ours comes of it, at once, and next to no memory is taken.
"""

from __future__ import annotations

import gzip
import html
import io
import json
import os
import random
import re
import shlex
import shutil
import struct
import tarfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

import synthaug
from synthaug.errors import HubError, InvalidData, InvalidRequest, SynthaugError
from synthaug.files import hub
from synthaug.files.cards import with_licence
from synthaug.modalities.claims import likely_bytes, likely_pixels
from synthaug.options import command_of
from synthaug.outputs import decode_name, encode_name
from synthaug.recipes import load_recipe
from synthaug.requests import ChooseRequest
from synthaug.wording import fenced, in_html, one_line, printable, table_cell, without_tokens

Make = Callable[[Path], Path]
SECONDS, MEMORY = 5.0, 2e8  # of one input


@pytest.fixture(autouse=True)
def _foreign_warnings_are_no_errors() -> Iterator[None]:
    """Pillow and NumPy warn of what is broken; small sets are warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def tried(path: Path, **said: Any) -> str:
    """What comes of a data set: "read", or the error of ours; anything else fails, and so does what takes too much."""
    begun, held = time.process_time(), _peak(anew=True)
    try:
        data = synthaug.open_data(path, **said)
        data.check()
        data.read()
        told = "read"
    except SynthaugError as error:
        told = str(error)
        assert len(told.encode(errors="backslashreplace")) < 2000
    finally:
        taken = _peak() - held
    assert time.process_time() - begun < SECONDS, told
    assert taken < MEMORY, told
    return told


def _peak(anew: bool = False) -> int:
    """The most bytes that this process has held, or has held since it was asked anew; 0 where no system says it."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        return 0
    if anew:
        Path("/proc/self/clear_refs").write_text("5")
    return 1024 * int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0])


# --------------------------------------------------------------------------------------------------- files


def picture(number: int = 0, kind: str = "PNG", channels: int = 0) -> bytes:
    shape = (8, 8, channels) if channels else (8, 8)
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 255, shape, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


PICTURES = {f"{k}/{i}.png": picture(i + 10 * (k == "a")) for k in "ab" for i in range(4)}


def folder(root: Path, **more: bytes) -> Path:
    """Class folders, with further files."""
    for name, content in PICTURES.items() | {k.replace("__", "/"): v for k, v in more.items()}:
        (root / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "set" / name).write_bytes(content)
    return root / "set"


def with_one(content: bytes, name: str = "a/9.png") -> Make:
    def make(root: Path) -> Path:
        place = folder(root)
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
        return place

    return make


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"x"))
        + chunk(b"IEND", b"")
    )


def tiff(width: int, height: int, tile: int = 0) -> bytes:
    tags = [(256, width), (257, height), (258, 8), (259, 5), (262, 1), (277, 1)]
    tags += (
        [(322, tile), (323, tile), (324, 200), (325, 50)] if tile else [(273, 8), (278, height), (279, 50)]
    )
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + packed + b"\0" * 300


def blank(kind: str, side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, kind, lossless=True)
    return buffer.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(drawn) (w) file closefile showpage\n"
HUGE = [(13_000, 13_000), (30_000, 30_000), (9_000, 9_000), (2**31 - 1, 2**31 - 1), (1, 2**28)]

BAD_PICTURES = {
    **{f"PNG of {w}x{h}": ("9.png", png(w, h), "pixels") for w, h in HUGE},
    "TIFF of many pixels": ("9.tif", tiff(13_000, 13_000), "pixels"),
    "TIFF of one large tile": ("9.tif", tiff(8, 8, 20_000), "pixels"),
    "PPM of many pixels": ("9.ppm", b"P6 9000 9000 255\nx", "pixels"),
    "WebP of nothing": ("9.webp", blank("WEBP", 9_000), "pixels"),
    "GIF of many pixels": ("9.gif", b"GIF89a" + struct.pack("<HH", 9000, 9000) + b"\0\0\0,\0\0\0\0" +
                           struct.pack("<HH", 9000, 9000) + b"\0\2\2L\1\0;", "pixels"),
    "PostScript called PNG": ("9.png", EPS, "not an image"),
    "PostScript without a suffix": ("9", EPS, "read"),
    "an icon that holds a large picture": ("9.ico", b"\0\0\1\0\1\0\x10\x10\0\0\1\0 \0" + struct.pack("<II", 66, 22)
                                          + png(9000, 9000), "read"),
    "text called PNG": ("9.png", b"<script>", "not an image"),
    "nothing": ("9.png", b"", "not an image"),
    "an image that is cut off": ("9.png", picture(3)[:-30], "cannot be read"),
    "compressed text of PNG": ("9.png", picture(3)[:33] + b"\0\0\0\0" + picture(3)[33:], "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_picture_that_claims_too_much_or_is_none_is_refused_before_it_is_decoded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, content, said = BAD_PICTURES[name]
    started: list[object] = []
    monkeypatch.setattr("subprocess.Popen", lambda *a, **_: started.append(a))
    monkeypatch.setattr("subprocess.check_call", lambda *a, **_: started.append(a))
    assert said in tried(with_one(content, f"a/{file}")(tmp_path), image_size=8, mode="RGB")
    assert not started  # PostScript is a language, and Pillow has Ghostscript run it
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as users of large pictures have it
    assert said in tried(tmp_path / "set", image_size=8, mode="RGB")


def test_real_pictures_are_as_large_as_they_are() -> None:
    noise = 8_000_000  # bytes of a photograph
    assert likely_pixels(50_000_000, noise)
    assert likely_pixels(2048 * 2048, 1000)  # of one colour
    assert not likely_pixels(9000 * 9000, 10_000)
    assert likely_bytes(2**30, 2**24)
    assert not likely_bytes(2**30, 2**20)


KINDS = ("PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP", "PPM", "TGA", "PCX", "JPEG2000", "DDS", "SGI")


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(KINDS), st.integers(0, 2**32), st.booleans())
def test_pictures_with_changed_bytes_are_read_or_refused(
    tmp_path: Path, kind: str, seed: int, cut: bool
) -> None:
    content = mutated(picture(0, kind, channels=3), random.Random(seed), 200)
    suffix = next(k for k, of in Image.registered_extensions().items() if of == kind)
    tried(
        with_one(content[: seed % len(content)] if cut else content, f"a/9{suffix}")(tmp_path), image_size=8
    )
    shutil.rmtree(tmp_path / "set")


def mutated(content: bytes, rng: random.Random, within: int) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, 12)):
        changed[rng.randrange(min(len(changed), within))] = rng.randrange(256)
    return bytes(changed)


# ------------------------------------------------------------------------------------------------ archives


def zipped(root: Path, more: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(root / "x.zip", "w", how) as archive:
        for name, content in (PICTURES | more).items():
            archive.writestr(name, content)
    return root / "x.zip"


def tarred(root: Path, *more: tarfile.TarInfo, how: Any = "w:gz", **files: bytes) -> Path:
    path = root / f"x.tar{'.' + how[2:] if how[2:] else ''}"
    with tarfile.open(path, how) as archive:
        for name, content in (PICTURES | files).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in more:
            archive.addfile(member)
    return path


def member(name: str, kind: bytes, to: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, to
    return found


ZEROS = b"\0" * (40 << 20)
LEADS_OUT = ("../../x.png", "/x.png", "a/../../x.png", "..\\x.png", "\\x.png", "a\\..\\..\\x.png")
SPECIAL = {
    "a link": tarfile.SYMTYPE,
    "a hard link": tarfile.LNKTYPE,
    "a device": tarfile.CHRTYPE,
    "a disk": tarfile.BLKTYPE,
    "a pipe": tarfile.FIFOTYPE,
}


@pytest.mark.parametrize("name", LEADS_OUT)
def test_no_member_of_an_archive_leads_out_of_it(name: str, tmp_path: Path) -> None:
    assert "names a file outside of itself" in tried(zipped(tmp_path, {name: picture(99)}))
    assert "names a file outside of itself" in tried(tarred(tmp_path, **{name: picture(99)}))
    assert sorted(os.listdir(tmp_path)) == ["x.tar.gz", "x.zip"]


@pytest.mark.parametrize("kind", SPECIAL)
def test_links_and_devices_in_archives_are_no_rows(kind: str, tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(picture(99))
    path = tarred(tmp_path, member("a/8.png", SPECIAL[kind], str(tmp_path / "private.png")))
    assert synthaug.open_data(path).counts == {"a": 4, "b": 4}


def test_a_link_in_a_zip_archive_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(picture(99))
    link = zipfile.ZipInfo("a/8.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(zipped(tmp_path, {}), "a") as archive:
        archive.writestr(link, str(tmp_path / "private.png"))
    assert "not an image" in tried(tmp_path / "x.zip")


def _large_header(root: Path) -> Path:
    head = member("head", tarfile.XHDTYPE)
    head.size = len(ZEROS)
    (root / "x.tar.gz").write_bytes(gzip.compress(head.tobuf() + ZEROS))
    return root / "x.tar.gz"


BOMBS: dict[str, Make] = {
    "a zip archive of a large picture": lambda root: zipped(root, {"a/9.png": ZEROS}),
    "a zip archive of a large file without a suffix": lambda root: zipped(root, {"a/9": ZEROS}),
    "a zip archive of a large table": lambda root: zipped(root, {"labels.csv": ZEROS}),
    "a tar archive of a large picture": lambda root: tarred(root, **{"a/9.png": ZEROS}),
    "a tar archive packed by xz": lambda root: tarred(root, how="w:xz", **{"a/9.png": ZEROS}),
    "a tar archive packed by bzip2": lambda root: tarred(root, how="w:bz2", **{"a/9.png": ZEROS}),
    "a tar archive of a large header": _large_header,
    "an .npz file of zeros": lambda root: arrays(root, npy((640, 256, 256), data=ZEROS)),
    "a .nii.gz file of zeros": lambda root: scan(root, ".nii.gz", gzip.compress(nifti((2000, 2000, 10)) + ZEROS)),
    "a .nii.gz file of a large header": lambda root: scan(
        root, ".nii.gz", gzip.compress(nifti((8, 8, 8))[:348] + b"\1\0\0\0" + struct.pack("<ii", 2**30, 4) + ZEROS)
    ),
    "a parquet file of many rows": lambda root: parquet(
        root, pa.table({"x": np.zeros(10**7), "label": np.zeros(10**7, np.int8)})
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_what_unpacks_to_much_more_is_refused_before_memory_is_taken(name: str, tmp_path: Path) -> None:
    path = BOMBS[name](tmp_path)
    assert re.search("bytes claim to unpack to [0-9,]+ or more", tried(path))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(("deflated", "stored", "lzma", "bzip2", "tar", "gz", "xz")), st.integers(0, 2**32))
def test_archives_with_changed_bytes_are_read_or_refused(tmp_path: Path, how: str, seed: int) -> None:
    zips = {"deflated": zipfile.ZIP_DEFLATED, "stored": zipfile.ZIP_STORED, "lzma": zipfile.ZIP_LZMA,
            "bzip2": zipfile.ZIP_BZIP2}  # fmt: skip
    mode = "w:" + how.removeprefix("tar")
    path = zipped(tmp_path, {}, zips[how]) if how in zips else tarred(tmp_path, how=mode)
    path.write_bytes(mutated(path.read_bytes(), random.Random(seed), 10**9))
    tried(path)
    path.unlink()


# ------------------------------------------------------------------------------------- arrays and volumes


def npy(shape: object, kind: str = "|u1", data: bytes = b"") -> bytes:
    head = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    head += b" " * (63 - (len(head) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head + data


def arrays(root: Path, x: bytes, y: bytes | None = None, **more: bytes) -> Path:
    labels = io.BytesIO()
    np.save(labels, np.array([0, 1] * 5))
    with zipfile.ZipFile(root / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in ({"X": x, "y": y or labels.getvalue()} | more).items():
            archive.writestr(f"{name}.npy", content)
    return root / "x.npz"


SHAPES = ("(10, 100000, 100000)", "(10, 1099511627776)", "(1000000000000, 8, 8)", "(10, -8, 8)", "(10, 8, 8.5)",
          "('a',)", "()", "(10,)*9", "(" * 300 + ")" * 300, "(10, 0, 8)", "(True, 8, 8)")  # fmt: skip
TYPES = ("|O", "<U99999999", "[('a', '<f4')]", "|V8", "<M8[ns]", "c16", "x", "<f2", ">f8")


@pytest.mark.parametrize("shape", SHAPES)
def test_arrays_that_claim_any_shape_are_refused(shape: str, tmp_path: Path) -> None:
    said = "is claimed" if "0000" in shape or "1099511627776" in shape else ""
    told = tried(arrays(tmp_path, npy(shape)))
    assert told != "read"
    assert said in told
    (tmp_path / "X.npy").write_bytes(npy(shape))
    np.save(tmp_path / "y.npy", np.array([0, 1] * 5))
    told = tried(tmp_path / "X.npy")
    assert told != "read"
    assert said in told


@pytest.mark.parametrize("kind", TYPES)
def test_arrays_of_any_type_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    tried(arrays(tmp_path, npy((10, 8, 8), kind, bytes(range(64)) * 200)))
    tried(arrays(tmp_path, npy((10, 8, 8), "|u1", bytes(range(64)) * 10), npy((10,), kind, b"\0" * 160)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e308, -1e308])
def test_values_that_no_arithmetic_can_be_done_with_are_refused(value: float, tmp_path: Path) -> None:
    data = np.full(640, value).tobytes()
    assert "row 0" in tried(arrays(tmp_path, npy((10, 8, 8), "<f8", data)))
    tried(arrays(tmp_path, npy((10, 8, 8), "|u1", bytes(range(64)) * 10), npy((10,), "<f8", data[:80])))
    (tmp_path / "x.csv").write_text("x,label\n" + "".join(f"{value},{k}\n" for k in "abab"))
    assert tried(tmp_path / "x.csv") != "read"


def nifti(shape: tuple[int, ...]) -> bytes:
    head = bytearray(540)
    struct.pack_into("<i8s", head, 0, 540, b"n+2\0\r\n\x1a\n")
    struct.pack_into("<hh", head, 12, 2, 8)
    struct.pack_into("<8q", head, 16, len(shape), *shape, *[1] * (7 - len(shape)))
    struct.pack_into("<8d", head, 104, *[1] * 8)
    struct.pack_into("<qdd", head, 168, 544, 1, 0)
    return bytes(head) + b"\0" * 4


def scan(root: Path, suffix: str, content: bytes) -> Path:
    for name in ("a/0", "a/1", "b/0", "b/1"):
        (root / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "set" / f"{name}{suffix}").write_bytes(content)
    return root / "set"


VOLUMES = ((8, 8, 10**12), (10**6, 10**6, 1), (8, 8, 8, 10**12), (8, 8, -5), (-8, 8, 8), (0, 8, 8))


@pytest.mark.parametrize("shape", VOLUMES)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_volumes_of_any_shape_are_refused_before_their_slices_are_listed(
    shape: tuple[int, ...], suffix: str, tmp_path: Path
) -> None:
    pytest.importorskip("nibabel")
    content = nifti(shape) if suffix == ".nii" else gzip.compress(nifti(shape))
    told = tried(scan(tmp_path, suffix, content), scans={"frames": "split"})
    assert told != "read"
    assert "claims a volume" in told or max(shape) == 8


def test_a_volume_of_very_many_slices_is_refused_before_they_are_listed(tmp_path: Path) -> None:
    pytest.importorskip("nibabel")
    content = gzip.compress(nifti((1, 1, 2**24)) + b"\0" * 2**24)
    assert "claims to hold 16,777,216 pictures" in tried(scan(tmp_path, ".nii.gz", content))


DICOM = {
    "large": ({"Rows": 65535, "Columns": 65535}, "claim a picture"),
    "large and packed": ({"Rows": 9000, "Columns": 9000, "packed": True}, "claim a picture"),
    "many frames": ({"NumberOfFrames": 2**31 - 1}, "claims to hold"),
    "deflated": ({"deflated": True, "PixelData": ZEROS}, "claim to unpack"),
    "nothing": ({"Rows": 0, "Columns": 0}, "at least 8 pixels"),
}


@pytest.mark.parametrize("name", DICOM)
def test_dicom_files_that_claim_too_much_are_refused(name: str, tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    changed, said = DICOM[name]
    meta = pydicom.dataset.FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2"
    uid = pydicom.uid
    meta.TransferSyntaxUID = (
        uid.DeflatedExplicitVRLittleEndian if "deflated" in changed else uid.ExplicitVRLittleEndian
    )
    found = pydicom.dataset.FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    usual = {"Rows": 8, "Columns": 8, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0,
             "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "PixelData": bytes(64),
             "SOPClassUID": meta.MediaStorageSOPClassUID, "SOPInstanceUID": "1.2"}  # fmt: skip
    for key, value in (usual | changed).items():
        if key[0].isupper():
            setattr(found, key, value)
    if "packed" in changed:
        meta.TransferSyntaxUID = uid.RLELossless
        found.PixelData = pydicom.encaps.encapsulate([b"x" * 100])
        found["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    found.save_as(buffer, enforce_file_format=True)
    assert said in tried(scan(tmp_path, ".dcm", buffer.getvalue()), scans={"frames": "split"})


# ----------------------------------------------------------------------------------------- tables and records


def parquet(root: Path, table: pa.Table, **metadata: str) -> Path:
    pq.write_table(table.replace_schema_metadata(metadata or None), root / "x.parquet")
    return root / "x.parquet"


def images(path: str | None = None) -> pa.Table:
    cells = [{"bytes": picture(i), "path": None} for i in range(9)]
    return pa.table({"image": [{"bytes": None, "path": path}, *cells], "label": [0, 1] * 5})


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("path", ["{root}/private.png", "../private.png", "x/../../private.png"])
def test_no_table_reads_pictures_outside_of_its_folder(path: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(picture(99))
    place, named = folder(tmp_path), path.format(root=tmp_path)
    (place / "x").mkdir()
    rows = [{"file": file, "label": file[0]} for file in PICTURES] + [{"file": named, "label": "a"}]
    if suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), place / "list.parquet")
        (place / "x" / "y.png").write_bytes(picture(98))
    else:
        lines = [json.dumps(row) if suffix == ".jsonl" else f"{row['file']},{row['label']}" for row in rows]
        head = [] if suffix == ".jsonl" else ["file,label"]
        (place / f"list{suffix}").write_text("\n".join([*head, *lines]) + "\n")
    assert "names a file outside of its folder" in tried(place / f"list{suffix}")


@pytest.mark.parametrize(
    "path", ["{root}/private.png", "../private.png", "http://127.0.0.1:9/x.png", "/dev/zero", "a\0"]
)
def test_no_row_of_a_parquet_file_is_read_from_elsewhere(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "private.png").write_bytes(picture(99))
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    told = tried(parquet(tmp_path / "in", images(path.format(root=tmp_path))))
    assert told != "read"
    assert "row 0" in told


def test_the_card_of_a_folder_has_no_files_fetched(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    parquet(tmp_path / "set", pa.table({"x": [1.0, 2.0, 3.0, 4.0], "label": list("abab")}))
    for path in ("http://127.0.0.1:9/x.parquet", "../x.parquet", "/x.parquet", "hf://datasets/a/b/x.parquet"):
        card = {"configs": [{"config_name": "default", "data_files": [{"split": "train", "path": path}]}]}
        (tmp_path / "set" / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n")
        assert "names a file outside of its folder" in tried(tmp_path / "set")
    (tmp_path / "set" / "README.md").write_text("---\na: !!python/object/apply:os.system [true]\n---\n")
    assert "cannot be read as the card" in tried(tmp_path / "set")


DEEP = "[" * 100_000
RECORDS = (DEEP, "5", '{"request":{}}', '{"request":{},"columns":{}}', '{"request":{},"columns":[]}',
           '{"request":{},"card":[1]}', '{"request":{},"card":{"classes":1,"values":2}}',
           '{"request":{},"columns":{"beside":"!!"}}', '{"info":5}', '{"info":{"features":5}}',
           '{"info":{"features":{"label":{"_type":"ClassLabel","names":7}}}}',
           '{"info":{"features":{"label":{"_type":["x"]},"image":{"_type":"Image","mode":"nope"}}}}')  # fmt: skip


@pytest.mark.parametrize("record", RECORDS)
def test_records_of_any_content_are_read_or_refused(record: str, tmp_path: Path) -> None:
    tried(parquet(tmp_path, images(), synthaug=record))
    tried(parquet(tmp_path, images(), huggingface=record))
    tried(parquet(tmp_path, pa.table({"x": np.arange(10.0), "label": [0, 1] * 5}), synthaug=record))
    text = io.BytesIO()
    np.save(text, np.array(record))
    tried(arrays(tmp_path, npy((10, 8, 8), "|u1", bytes(range(64)) * 10), synthaug=text.getvalue()))


TABLES = {
    "deep.jsonl": DEEP,
    "deeper.jsonl": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "lines.jsonl": '{"a":\n' * 100_000,
    "paths.jsonl": '{"file_name":"../../etc/passwd","label":1}\n' * 3,
    "number.jsonl": '{"file_name":1e999,"label":1}\n',
    "nul.csv": "a,label\n\0,x\n1,y\n" * 5,
    "digits.csv": "a,label\n" + "9" * 5000 + ",x\n1,y\n2,x\n3,y\n",
    "quote.csv": 'a,label\n"1,x\n2,y\n',
    "ragged.csv": "a,label\n1\n2,x,3\n",
    "head.csv": "a,label\n",
    "nothing.csv": "",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_text_are_read_or_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(TABLES[name])
    assert (tried(tmp_path / name) == "read") == (name == "nul.csv")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.integers(0, 2**32))
def test_parquet_files_with_changed_bytes_are_read_or_refused(
    tmp_path: Path, pictured: bool, seed: int
) -> None:
    path = parquet(tmp_path, images() if pictured else pa.table({"x": np.arange(10.0), "label": [0, 1] * 5}))
    path.write_bytes(mutated(path.read_bytes(), random.Random(seed), 10**9))
    tried(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.csv")
    assert "is a pipe" in tried(tmp_path / "x.csv")
    os.mkfifo(tmp_path / "x.png")
    assert "row 0" in tried(parquet(tmp_path, images("x.png")))


# -------------------------------------------------------------------------------- generators and outputs


VALUES = (
    None,
    True,
    -1,
    10**30,
    1e308,
    float("nan"),
    "x",
    "",
    "../x",
    [],
    {},
    [[[]]],
    {"a": {"b": 1}},
    [1, 2],
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shapes: tuple[np.ndarray, np.ndarray]) -> Path:
    """A generator, and a folder of rows with some of its own."""
    root = tmp_path_factory.mktemp("made")
    np.savez(root / "rows.npz", X=shapes[0][:20], y=shapes[1][:20])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        generator = synthaug.fit(str(root / "rows.npz"), "cvae", steps=1, device="cpu", progress=False)
        generator.save(root / "generator")
        synthaug.expand(str(root / "rows.npz"), generator, to="1.2x", out=root / "more")
    return root


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there is something in plain data."""
    yield at
    for key in (
        value if isinstance(value, dict) else range(min(len(value), 2)) if isinstance(value, list) else ()
    ):
        yield from places(value[key], (*at, key))


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    value = dict(value) if isinstance(value, dict) else list(value)
    value[at[0]] = changed(value[at[0]], at[1:], new)
    return value


@settings(max_examples=100)
@given(st.data())
def test_manifests_of_any_content_are_loaded_or_refused(made: Path, data: st.DataObject) -> None:
    path = made / "generator" / "manifest.json"
    whole = path.read_text()
    manifest = json.loads(whole)
    at = data.draw(st.sampled_from([at for at in places(manifest) if at[:1] != ("files",)]))
    path.write_text(json.dumps(changed(manifest, at, data.draw(st.sampled_from(VALUES)))))
    try:
        synthaug.load(made / "generator", device="cpu")
        synthaug.inspect(str(made / "generator"))
    except SynthaugError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017
    finally:
        path.write_text(whole)


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("key", ["height", "channels", "layout", "dtype", "low", "high", "container", "kind"])
def test_forms_of_any_content_are_refused_before_something_is_made(made: Path, key: str, value: Any) -> None:
    path = made / "generator" / "manifest.json"
    whole = path.read_text()
    path.write_text(json.dumps(changed(json.loads(whole), ("form", key), value)))
    try:
        synthaug.load(made / "generator", device="cpu").sample(1)
    except SynthaugError:
        pass
    else:
        assert key in ("low", "high")
        assert isinstance(value, int)
    finally:
        path.write_text(whole)


@settings(max_examples=40)
@given(st.data())
def test_records_of_outputs_are_read_and_pushed_or_refused(made: Path, data: st.DataObject) -> None:
    path = made / "more" / "synthaug.json"
    whole = path.read_text()
    record = json.loads(whole)
    at = data.draw(st.sampled_from(list(places(record))))
    path.write_text(json.dumps(changed(record, at, data.draw(st.sampled_from(VALUES)))))
    try:
        tried(made / "more")
        with hub.staged(str(made / "more"), "me/rows", None, True):
            pass
    except SynthaugError:
        pass
    finally:
        path.write_text(whole)


def test_only_the_files_of_a_folder_are_pushed_and_none_that_a_link_leads_to(
    made: Path, tmp_path: Path
) -> None:
    place = tmp_path / "more"
    shutil.copytree(made / "more", place)
    (place / "notes.txt").write_text("mine")
    with hub.staged(str(place), "me/rows", None, True) as (work, _):
        assert {path.name for path in work.rglob("*") if path.is_file()} == {
            path.name for path in place.rglob("*") if path.is_file() and path.name != "notes.txt"
        }
    (tmp_path / "private").write_text("mine")
    first = next(place.rglob("*.png"))
    first.unlink()
    first.symlink_to(tmp_path / "private")
    with (
        pytest.raises(InvalidData, match="is a link that leads out"),
        hub.staged(str(place), "me/x", None, True),
    ):
        pass


# ---------------------------------------------------------------------------------------------- recipes


RECIPES = {
    "tags": "version: 1\nabout: !!python/object/apply:os.system ['touch executed']\n",
    "a module": "!!python/module:os\n",
    "aliases": "a: &a [x]\n"
    + "".join(f"{b}: &{b} [*{a},*{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "deep": DEEP[:2000],
    "deeper than is read": DEEP,
    "deep keys": "".join(f"{' ' * i}a:\n" for i in range(1000)),
    "long": "version: 1\nabout: " + "x" * 10**6 + "\nfit: 1\n",
    "several": "version: 1\n---\nversion: 1\n",
    "null": "version: \0 1\n",
    "a number": "version: 1\nabout: x\nfit: {steps: 1e999}\ndata: {source: x}\n",
    "types": "version: [1]\nabout: {a: b}\nout: [..]\n",
    "a key that is none": "? [a]\n: b\n",
}


@pytest.mark.parametrize("name", RECIPES)
def test_hostile_recipes_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(RECIPES[name])
    begun = time.process_time()
    with pytest.raises(InvalidRequest) as error:
        load_recipe("x.yaml")
    assert time.process_time() - begun < SECONDS
    assert len(str(error.value)) < 2000
    assert os.listdir(tmp_path) == ["x.yaml"]


# ------------------------------------------------------------------------------------------------ names


NAMES = (
    *("../../etc", "/etc/passwd", "~", "COM1", " ", "é", "日本", "\ud800"),
    *(
        "<script>alert(1)</script>",
        "' onerror='x",
        "|",
        "a|b",
        "```\n# x",
        "{{ 7 * 7 }}",
        "{% include 'x' %}",
        "%s",
    ),
    *('"; rm -rf ~; "', "$(touch x)", "`touch x`", "-rf", "--out"),
    *("a\nb", "a\0b", "\u202ecba", "\u2066x", "\x1b[2J"),
    *("---", "\n---\nlicense: x\n", "a: b", "- x", "!!python/object:os", "&a", "*a"),
)
_SIGNS = st.characters() | st.sampled_from("<>&\"'`$;|{}%/.\\\n\u202e-")
any_name = st.sampled_from(NAMES) | st.text(_SIGNS, max_size=30)


@given(any_name)
def test_a_name_stays_a_name_in_folders_lines_tables_and_fences(name: str) -> None:
    part = encode_name(name)
    assert decode_name(part) == name
    assert os.path.normpath(os.path.join("out", part)) == f"out/{part}"
    line = one_line(name)
    assert len(line.splitlines()) <= 1
    assert not re.search("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", line)
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`<>]", table_cell(name))
    block = fenced(name).split("\n")
    assert block[0] == block[-1] == "`" * len(block[0])
    assert not any(
        set(inner.strip()) == {"`"} and len(inner.strip()) >= len(block[0]) for inner in block[1:-1]
    )


@given(any_name)
def test_a_name_in_a_command_to_be_pasted_is_one_word(name: str) -> None:
    shown = np.random.default_rng(0).integers(0, 255, (8, 8, 8), np.uint8)
    rows = synthaug.open_data((shown, ["a", "b"] * 4))
    object.__setattr__(rows, "source", name or "x")
    object.__setattr__(rows, "said", {"label": name or "x", "leave_out": [name or "x"]})
    command = command_of("choose", ChooseRequest(rows), name or "x")
    assert command is not None
    words = shlex.split(command)
    assert words[:3] == ["synthaug", "choose", name or "x"]
    assert (
        words[words.index("--label") + 1]
        == words[words.index("--leave-out") + 1]
        == words[-1]
        == (name or "x")
    )


@pytest.mark.parametrize("name", NAMES)
def test_names_break_no_card(name: str, made: Path) -> None:
    record = json.loads((made / "more" / "synthaug.json").read_text())
    told = record["card"]
    first = told["classes"][0]
    told |= {"origin": name, "copied": {name: 3}, "classes": [name, "other"], "values": [0, 1]}
    told |= {key: {name: told[key].get(first, 0), "other": 1} for key in ("real", "synthetic")}
    text = with_licence(hub.Card.from_dict(told).markdown(), "mit")
    head, begun, body = text.removeprefix("---\n").partition("\n---\n")
    assert begun
    assert yaml.safe_load(head)["license"] == "mit"
    assert len(yaml.safe_load(head)) == 6
    assert "<script>" not in re.sub(r"```.*?```|`[^`\n]*`", "", body, flags=re.S)
    assert "49" not in body.replace(told["generator"], "")
    assert "\n---\n" not in body


@pytest.mark.parametrize("name", NAMES)
def test_names_are_no_part_of_a_page(name: str) -> None:
    assert html.unescape(in_html(name)) == f"<pre>{name}</pre>"
    assert "<script>" not in in_html(name)
    assert not re.search("[\0\x1b\u202e\u2066]", printable(name))


# ----------------------------------------------------------------------------------------------- tokens


TOKENS = ("hf_AbCdEfGhIjKlMnOpQrStUvWx", "my own token 12345", "hf_line\n")


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("kind", [OSError, ValueError])
def test_a_token_of_the_hub_is_in_no_message(
    token: str, kind: type[Exception], made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    secret = token.strip()
    monkeypatch.setenv("HF_TOKEN", token)
    monkeypatch.chdir(tmp_path)

    def failing(*_: Any, **__: Any) -> Any:
        raise kind(f"Illegal header value b'Bearer {token}'")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", failing)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing)
    monkeypatch.setattr("synthaug.data.readers.names._hub_answers", lambda name: True)
    monkeypatch.setattr("datasets.load_dataset", failing)
    calls: list[Callable[[], Any]] = [
        lambda: synthaug.push(made / "generator", "me/x"),
        lambda: synthaug.push(made / "generator", "me/x", token=token),
        lambda: synthaug.load("me/x", device="cpu"),
        lambda: synthaug.open_data("me/x"),
    ]
    for call in calls:
        with pytest.raises((HubError, InvalidData)) as error:
            call()
        told = "".join(traceback.format_exception(error.value))
        assert secret not in str(error.value)
        assert "***" in str(error.value)
        assert secret not in told
    assert secret not in caplog.text + "".join(capfd.readouterr())
    with hub.staged(str(made / "generator"), "me/x", "mit", False) as (work, _):
        assert not any(secret.encode() in path.read_bytes() for path in work.rglob("*") if path.is_file())
    assert without_tokens(f"a {secret} b") == "a *** b"


# --------------------------------------------------------------------------------------------- the promises


def test_every_promise_names_a_test_that_is_there() -> None:
    root = Path(__file__).parents[1]
    text = (root / "SECURITY.md").read_text()
    promises = re.findall(r"^- \*\*.*?(?=^- |^\S|\Z)", text, re.M | re.S)
    assert len(promises) >= 8
    for promise in promises:
        assert re.search(r"`tests/[\w/]+(\.py|/)", promise), promise
    for file, name in re.findall(r"`(tests/[\w/.]+)(?:::(\w+))?`", text):
        assert (root / file).exists(), file
        if name:
            assert re.search(rf"^def {name}\(", (root / file).read_text(), re.M), f"{file}::{name}"
