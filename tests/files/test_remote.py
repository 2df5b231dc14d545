"""Data sets and outputs elsewhere, on the file systems of fsspec that need no network."""

from __future__ import annotations

import io
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry, known_implementations
from PIL import Image

import synthaug
from synthaug import Writing, open_data
from synthaug.cli import main
from synthaug.data.readers import remote
from synthaug.errors import (
    InvalidData,
    InvalidRequest,
    MissingLibrary,
    OutputError,
    OutputExists,
    SynthaugError,
    SynthaugWarning,
)
from synthaug.files import FORMATS, read_record, remote_record
from synthaug.outputs import RECORD, require_apart
from synthaug.testing import planted_generator
from synthaug.verbs import remake
from synthaug.wording import shown

SUFFIX = {name: format.suffix or "" for name, format in FORMATS.items()}
COUNTS = {"cat": 5, "dog": 4}


class Objects(MemoryFileSystem):
    """Keys and values, as object stores have them, without folders."""

    protocol = "s3"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.removeprefix("s3://"))

    def put_file(self, lpath: str, rpath: str, **how: Any) -> None:
        self.pipe_file(rpath, Path(lpath).read_bytes())

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        raise AssertionError("this would make a bucket")

    def mv(self, *of: Any, **how: Any) -> None:
        raise AssertionError("an object is there at once")


SYSTEMS = {"memory": MemoryFileSystem, "file": LocalFileSystem, "s3": Objects}
MEMORY = fsspec.filesystem("memory")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache and a store of the test's own."""
    monkeypatch.setenv(remote.CACHE, str(tmp_path / "cache"))
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(_registry, "s3", Objects)
    Objects.clear_instance_cache()
    for system in (MEMORY, Objects):
        system.store.clear()
        system.pseudo_dirs[:] = [""]
    yield tmp_path / "cache"
    MEMORY.store.clear()


def bucket(scheme: str, tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket" if scheme == "file" else f"{scheme}://bucket"


def table() -> synthaug.Generator:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 3)).astype(np.float32), np.array(["cat", "dog"] * 20)
    return synthaug.fit(rows, steps=2, progress=False)


def maker(format: str) -> synthaug.Generator:
    return table() if format == "csv" else planted_generator()


def source(root: Path, format: str) -> Path:
    """An output on this machine."""
    out = root / f"out{SUFFIX[format]}"
    synthaug.sample(maker(format), COUNTS, out=out, format=format, writing=Writing(3, 1), progress=False)
    return out


def upload(path: Path, url: str) -> None:
    system, root = fsspec.core.url_to_fs(url)
    beside = path.with_name(path.name + ".synthaug.json")
    files = [path, *filter(Path.exists, [beside])] if path.is_file() else sorted(path.rglob("*"))
    for file in files:
        if file.is_file():
            place = root + str(file).removeprefix(str(path))
            if "file" in system.protocol:
                system.makedirs(os.path.dirname(place), exist_ok=True)
            system.pipe_file(place, file.read_bytes())


def there(url: str) -> dict[str, bytes]:
    """All files at a url and beside it, by what follows its name."""
    system, root = fsspec.core.url_to_fs(url)
    names = [name for name in system.find(os.path.dirname(root)) if name.startswith(root)]
    return {name.removeprefix(root): system.cat_file(name) for name in names}


def here(path: Path) -> dict[str, bytes]:
    return there(f"file://{path}")


def write(url: str | Path, format: str, generator: Any = None, **more: Any) -> Any:
    made = maker(format) if generator is None else generator
    how = {"seed": 0, "format": format, "writing": Writing(3, 1), "progress": False} | more
    return synthaug.sample(made, COUNTS, out=url, **how)


def pictures(url: str, rows: int = 6) -> None:
    system, root = fsspec.core.url_to_fs(url)
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for row in range(rows):
            with io.BytesIO() as file:
                Image.fromarray(rng.integers(0, 255, (8, 9), np.uint8)).save(file, "png")
                system.makedirs(f"{root}/{name}", exist_ok=True)
                system.pipe_file(f"{root}/{name}/{row}.png", file.getvalue())


# ------------------------------------------------------------------------------------------------------------ in


@pytest.mark.parametrize("scheme", SYSTEMS)
@pytest.mark.parametrize("format", FORMATS)
def test_what_is_elsewhere_is_read_as_it_is_here(tmp_path, format, scheme):
    path = source(tmp_path, format)
    url = f"{bucket(scheme, tmp_path)}/in/out{SUFFIX[format]}"
    upload(path, url)
    found, known = open_data(url), open_data(path)
    assert found.fingerprint() == known.fingerprint()
    assert found.synthetic is not None
    assert found.synthetic.all()
    assert found.origin == known.origin.replace(str(path), url)
    assert str(tmp_path / "cache") not in " ".join([found.origin, str(found.source), found.name(0)])


def test_a_copy_is_made_once_and_again_when_a_file_changes(cache, monkeypatch):
    pictures("memory://bucket/photos")
    asked = []
    plain = MemoryFileSystem.get_file
    monkeypatch.setattr(
        MemoryFileSystem, "get_file", lambda *of, **how: (asked.append(of[1]), plain(*of, **how))[1]
    )
    first = open_data("memory://bucket/photos/")
    assert len(asked) == 12
    open_data("memory://bucket/photos")
    assert len(asked) == 12
    pictures("memory://bucket/photos", 7)
    assert len(open_data("memory://bucket/photos")) == 14
    assert len(first) == 12
    assert first.read().shape == (12, 8, 9)


def test_a_download_goes_on_where_it_ended(monkeypatch):
    pictures("memory://bucket/photos")
    monkeypatch.setattr(remote, "AT_ONCE", 4)
    failing = Failing(MemoryFileSystem.get_file, 5)
    monkeypatch.setattr(MemoryFileSystem, "get_file", failing)
    with pytest.raises(InvalidData, match=r"memory://bucket/photos cannot be read \(the line broke\)"):
        open_data("memory://bucket/photos")
    failing.left, failing.done = 100, 0
    assert len(open_data("memory://bucket/photos")) == 12
    assert failing.done == 7


def test_what_changes_while_it_is_copied_is_not_taken(monkeypatch):
    pictures("memory://bucket/photos")
    plain = MemoryFileSystem.get_file

    def changing(*of, **how):
        MEMORY.pipe_file("/bucket/photos/cat/0.png", b"other")
        return plain(*of, **how)

    monkeypatch.setattr(MemoryFileSystem, "get_file", changing)
    with pytest.raises(InvalidData, match="changed while it was copied"):
        open_data("memory://bucket/photos")


def test_rows_without_labels_and_validation_rows_may_be_elsewhere():
    pictures("memory://bucket/photos")
    pictures("memory://bucket/more", 9)
    labelled = open_data("memory://bucket/photos")
    more = synthaug.data.open_unlabelled("memory://bucket/more", labelled)
    assert len(more) == 18
    assert more.origin == "folder memory://bucket/more"
    assert more.name(0) == "memory://bucket/more/cat/0.png"
    assert more.source == "memory://bucket/more"


def test_messages_of_rows_and_of_reading_name_the_url(cache):
    pictures("memory://bucket/photos")
    MEMORY.pipe_file("/bucket/photos/cat/0.png", b"none")
    with pytest.raises(InvalidData, match=r"^memory://bucket/photos/cat/0\.png cannot be read as an image"):
        open_data("memory://bucket/photos").read()
    MEMORY.pipe_file("/bucket/empty/readme.txt", b"none")
    with pytest.raises(SynthaugError, match=r"^memory://bucket/empty holds text files") as caught:
        open_data("memory://bucket/empty")
    assert str(cache) not in str(caught.value)
    write("memory://bucket/out", "folder")
    MEMORY.rm_file("/bucket/out/cat/" + os.path.basename(MEMORY.find("/bucket/out/cat")[0]))
    with pytest.warns(SynthaugWarning, match="^memory://bucket/out is not as synthaug wrote it"):
        open_data("memory://bucket/out")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PermissionError("key me:secret"), "access was denied. Check the credentials"),
        (OSError("no route to ftp://me:secret@host?token=abc"), r"\(no route to ftp://host\)"),
        (RuntimeError("expired: abc\nin many lines"), r"\(expired: \*\*\*\)"),
    ],
)
def test_what_a_store_answers_is_one_line_without_credentials(monkeypatch, error, why):
    def refuse(*of, **how):
        raise error

    monkeypatch.setattr(MemoryFileSystem, "info", refuse)
    with pytest.raises(InvalidData, match=rf"^memory://bucket/x cannot be read.*{why}") as caught:
        open_data("memory://me:secret@bucket/x?token=abc")
    assert caught.value.__cause__ is None
    for word in ("secret", "abc", "\n"):
        assert word not in str(caught.value)


def test_nothing_there_and_no_such_store_are_said():
    with pytest.raises(
        InvalidData, match=r"memory://bucket/none cannot be read: nothing was found\. Check the url"
    ):
        open_data("memory://bucket/none")
    with pytest.raises(
        InvalidRequest, match=r"strange://bucket/x cannot be reached: Protocol not known: strange\."
    ):
        open_data("strange://bucket/x")


def test_a_library_that_is_not_installed_is_named(monkeypatch):
    known = {"class": "s3fs_that_is_not_here.S3FileSystem", "err": "Install s3fs to access S3"}
    monkeypatch.setitem(known_implementations, "s3", known)
    monkeypatch.delitem(_registry, "s3", raising=False)
    for act in (lambda: open_data("s3://b/x"), lambda: write("s3://b/x", "folder")):
        with pytest.raises(
            MissingLibrary, match=r"s3://b/x cannot be reached: s3fs_that_is_not_here is not.*pip"
        ):
            act()


def test_a_name_that_leads_out_of_the_copy_is_refused(cache):
    MEMORY.store["/bucket/photos/../../cat/0.png"] = MEMORY.open("/x", "wb")
    with pytest.raises(InvalidData, match=r"holds a file '\.\./\.\./cat/0\.png', which cannot be copied"):
        open_data("memory://bucket/photos")
    assert not list(cache.rglob("*.png"))


def test_synthetic_rows_elsewhere_are_mixed_in():
    from torch.utils.data import DataLoader

    write("memory://bucket/more.npz", "npz")
    generator = planted_generator()
    rows = [(np.zeros(generator.form.shape, np.uint8), name) for name in ("cat", "dog")] * 4
    loader = DataLoader(rows, batch_size=4, collate_fn=list)
    assert len(list(synthaug.mix(loader, "memory://bucket/more.npz", ratio=0.5))) == 2


# ----------------------------------------------------------------------------------------------------------- out


@pytest.mark.parametrize("scheme", SYSTEMS)
@pytest.mark.parametrize("format", FORMATS)
def test_an_output_elsewhere_has_the_bytes_of_one_here(tmp_path, cache, format, scheme):
    path = source(tmp_path / "local", format)
    url = f"{bucket(scheme, tmp_path)}/deep/out{SUFFIX[format]}"
    made = maker(format)
    assert write(url, format, made) == url
    assert there(url) == here(path)
    assert remote_record(url) == read_record(path)
    assert not list((cache / "write").iterdir())
    again = maker(format)
    calls = getattr(again.family, "calls", None)
    write(url, format, again, overwrite=True)
    assert getattr(again.family, "calls", None) == calls
    assert there(url) == here(path)
    with pytest.raises(
        OutputExists, match=r"out.* exists and came from another request \(seed: 0 there, 1 asked\)"
    ):
        write(url, format, seed=1)
    write(url, format, seed=1, overwrite=True)
    write(tmp_path / "other" / path.name, format, seed=1)
    assert there(url) == here(tmp_path / "other" / path.name)


class Failing:
    """A file system that breaks after so many files."""

    def __init__(self, plain: Any, left: int) -> None:
        self.plain, self.left, self.done, self.broke = plain, left, 0, False

    def __get__(self, system: Any, kind: Any) -> Any:
        return lambda *of, **how: self(system, *of, **how)

    def __call__(self, *of: Any, **how: Any) -> Any:
        if self.left <= 0:
            self.broke = True
            raise OSError("the line broke")
        self.left -= 1
        found = self.plain(*of, **how)
        self.done += 1
        return found


def require_whole_or_marked(url: str, format: str, whole: dict[str, bytes], old: Any) -> None:
    """What a reader finds is the old output or the new one, or it is told that one is under way."""
    found, record = there(url), remote_record(url)
    marked = ".partial" in found
    found = {name: content for name, content in found.items() if not name.endswith((".partial", ".part"))}
    if not marked:
        assert found == whole or record == old
    elif SUFFIX[format]:  # one file, which appears at once; what lies beside it says of which it is
        assert "" not in found or found[""] == whole[""] or record == old
    else:
        assert record in (None, old) or found == whole
        with pytest.raises(InvalidData, match=r"is an output under way|nothing was found"):
            open_data(url)


@pytest.mark.parametrize("scheme", SYSTEMS)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("replaces", [False, True])
def test_wherever_an_upload_breaks_nothing_is_taken_for_whole_and_it_goes_on(
    tmp_path, format, scheme, replaces, monkeypatch
):
    monkeypatch.setattr("synthaug.files.remote.AT_ONCE", 2)
    url = f"{bucket(scheme, tmp_path)}/out{SUFFIX[format]}"
    path = source(tmp_path / "local", format)
    asked = {"overwrite": True} if replaces else {}
    old = None
    if replaces:
        write(url, format, seed=1)
        old = remote_record(url)
    system, generator = SYSTEMS[scheme], maker(format)
    breaks = 0
    for operation in ("put_file", "rm_file", "pipe_file", "mv"):
        if scheme == "s3" and operation == "mv":
            continue
        plain = getattr(system, operation)
        for after in range(3):
            failing = Failing(plain, after)
            monkeypatch.setattr(system, operation, failing)
            with suppress(OutputError):
                write(url, format, generator, **asked)
            breaks += failing.broke
            monkeypatch.setattr(system, operation, plain)
            require_whole_or_marked(url, format, here(path), old)
    assert breaks
    calls = getattr(generator.family, "calls", None)
    write(url, format, generator, **asked)
    assert getattr(generator.family, "calls", None) == calls
    assert there(url) == here(path)


def test_an_upload_goes_on_where_it_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("synthaug.files.remote.AT_ONCE", 2)
    failing = Failing(MemoryFileSystem.put_file, 5)
    monkeypatch.setattr(MemoryFileSystem, "put_file", failing)
    generator = planted_generator()
    with pytest.raises(OutputError, match=r"memory://bucket/out cannot be written \(the line broke\)"):
        write("memory://bucket/out", "folder", generator)
    calls, failing.left, failing.done = generator.family.calls, 100, 0
    write("memory://bucket/out", "folder", generator)
    assert generator.family.calls == calls
    assert failing.done == len(there("memory://bucket/out")) - 4


def test_an_output_that_is_there_is_known_by_its_record_alone(monkeypatch):
    write("memory://bucket/out", "folder")
    asked = Failing(MemoryFileSystem.cat_file, 2)
    for operation in ("find", "put_file", "pipe_file", "rm_file", "get_file"):
        monkeypatch.setattr(MemoryFileSystem, operation, Failing(getattr(MemoryFileSystem, operation), 0))
    monkeypatch.setattr(MemoryFileSystem, "cat_file", asked)
    again = planted_generator()
    write("memory://bucket/out", "folder", again)
    assert again.family.calls == 0


def test_another_request_does_not_go_on_with_what_was_uploaded(monkeypatch):
    failing = Failing(MemoryFileSystem.put_file, 5)
    monkeypatch.setattr(MemoryFileSystem, "put_file", failing)
    with pytest.raises(OutputError, match="the line broke"):
        write("memory://bucket/out", "folder")
    failing.left = 1000
    with pytest.raises(OutputExists, match=r"memory://bucket/out\.partial exists .*seed: 0 there, 1 asked"):
        write("memory://bucket/out", "folder", seed=1)
    write("memory://bucket/out", "folder", seed=1, overwrite=True)
    write("memory://bucket/right", "folder", seed=1)
    assert there("memory://bucket/out") == there("memory://bucket/right")


def test_what_synthaug_did_not_write_is_not_replaced():
    pictures("memory://bucket/photos")
    with pytest.raises(OutputExists, match="memory://bucket/photos exists and synthaug did not write it"):
        write("memory://bucket/photos", "folder", overwrite=True)
    MEMORY.pipe_file("/bucket/mine.npz", b"mine")
    with pytest.raises(OutputExists, match="did not write it"):
        write("memory://bucket/mine.npz", "npz")


@pytest.mark.parametrize("scheme", SYSTEMS)
def test_one_output_takes_the_place_of_one_of_another_kind(tmp_path, scheme):
    url = f"{bucket(scheme, tmp_path)}/out"
    for format in ("folder", "npz", "shards", "csv", "folder", "csv", "npz"):
        path = tmp_path / format / "out"
        for place in (url, path):
            write(place, format, overwrite=True)
        assert there(url) == here(path)


def test_an_expansion_of_rows_elsewhere_says_where_they_were_and_nothing_else(tmp_path, cache):
    pictures("memory://me:secret@bucket/photos")
    url = "memory://me:secret@bucket/photos"
    generator = synthaug.fit(url, steps=2, progress=False)
    generator.save(tmp_path / "gen")
    out = "memory://me:secret@bucket/big"
    synthaug.expand(url, tmp_path / "gen", to="2x", out=out, progress=False)
    synthaug.expand(url, tmp_path / "gen", to="2x", out=tmp_path / "big", progress=False)
    assert there(out) == here(tmp_path / "big")
    text = "".join(content.decode(errors="replace") for content in there(out).values())
    text += "".join(path.read_text(errors="replace") for path in (tmp_path / "gen").iterdir())
    assert "memory://bucket/photos" in text
    for secret in ("secret", str(cache)):
        assert secret not in text
    assert remote_record(out)["call"]["data"]["source"] == "memory://bucket/photos"


def test_an_output_elsewhere_is_made_again_from_its_record(tmp_path):
    pictures("memory://bucket/photos")
    synthaug.fit("memory://bucket/photos", steps=2, progress=False).save(tmp_path / "gen")
    synthaug.expand(
        "memory://bucket/photos", tmp_path / "gen", to="2x", out="memory://bucket/big", progress=False
    )
    assert remake("memory://bucket/big", "memory://bucket/again", progress=False) == "memory://bucket/again"
    assert there("memory://bucket/big") == there("memory://bucket/again")
    with pytest.raises(InvalidData, match="memory://bucket/none was not written by synthaug"):
        remake("memory://bucket/none", tmp_path / "again", progress=False)


# ------------------------------------------------------------------------------------------------------ refusals


def test_what_cannot_be_elsewhere_is_refused(tmp_path, shapes):
    rows = open_data(shapes)
    with pytest.raises(InvalidRequest, match="A share of memory://bucket/out was asked for"):
        write("memory://bucket/out", "folder", writing=Writing(shard="0/2"))
    with pytest.raises(InvalidRequest, match=r"memory://bucket/out is elsewhere.*Train it first"):
        synthaug.expand(rows, to="2x", out="memory://bucket/out", steps=1, progress=False)
    for nameless in ("memory://", "s3://bucket"):
        with pytest.raises(InvalidRequest, match=f"{nameless} has none"):
            write(nameless, "folder")
    for place in ("s3://me:secret@bucket/gen", Path("s3://me:secret@bucket/gen")):
        with pytest.raises(InvalidRequest, match=r'^"s3://bucket/gen" is a url.*Only sample and expand'):
            synthaug.fit(rows, steps=1, out=place, progress=False)
    with pytest.raises(InvalidRequest, match=r'"s3://bucket/out" is a url'):
        write(Path("s3://bucket/out"), "folder")


def test_an_output_in_its_own_source_is_refused():
    pictures("memory://bucket/photos")
    generator = synthaug.fit("memory://bucket/photos", steps=2, progress=False)
    with pytest.raises(
        InvalidRequest, match=r'"memory://bucket/photos/big" lies in the data set "memory://bucket/photos"'
    ):
        synthaug.expand("memory://bucket/photos", generator, to="2x", out="memory://bucket/photos/big")
    with pytest.raises(InvalidRequest, match="itself"):
        require_apart("file:///data/photos/big", {"data set": "/data/photos"})
    require_apart("s3://bucket/big", {"data set": "/", "other": "s3://bucket/b"})


def test_commands_take_urls_and_tell_no_credentials(tmp_path):
    pictures("memory://me:secret@bucket/photos", 12)
    url, out = "memory://me:secret@bucket/photos", "memory://me:secret@bucket/big.npz"
    pictures("memory://bucket/photos", 12)  # as credentials are no part of the path elsewhere
    gen = tmp_path / "gen"
    assert run(f"fit {url} --steps 2 --out {gen} -q").exit_code == 0
    told = [
        run(f"inspect {url}"),
        run(f"expand {url} --generator {gen} --to 2x --out {out} --dry-run"),
        run(f"expand {url} --generator {gen} --to 2x --out {out} --json"),
        run(f"expand {url} --generator {gen} --to 2x --out {out} --json"),
        run(f"sample {gen} --per-class 3 --out {out}more.npz"),
        run(f"inspect {out}"),
        run(f"run {out} --out memory://me:secret@bucket/again.npz"),
    ]
    for each in told:
        assert each.exit_code == 0, each.stderr
        assert "secret" not in each.stdout + each.stderr
    assert json.loads(told[2].stdout)["out"] == "memory://bucket/big.npz"
    assert "expanded data set" in told[5].stdout
    assert "memory://bucket/big.npz was made again in memory://bucket/again.npz" in told[6].stdout
    refused = run(f"fit {url} --steps 2 --out s3://bucket/gen")
    assert refused.exit_code == 2
    assert "s3://bucket/gen is a url, which data and outputs of sample and expand may have" in refused.stderr
    refused = run("sample s3://me:secret@bucket/gen --per-class 1 --out more.npz")
    assert "s3://bucket/gen is a url" in refused.stderr
    assert "secret" not in refused.stderr
    with pytest.raises(
        InvalidRequest, match=r"^s3://bucket/gen is a url, and a generator is loaded from a folder"
    ):
        synthaug.sample("s3://me:secret@bucket/gen", 1, out=tmp_path / "out")
    assert run(f"inspect {url}/none").stderr.count("\n") == 1
    recipe = run(f"run expand-and-judge --data {url} --out s3://me:secret@bucket/result")
    assert recipe.exit_code == 2
    assert '"s3://bucket/result' in recipe.stderr
    assert "secret" not in recipe.stderr


def run(line: str) -> Result:
    return CliRunner().invoke(main, shlex.split(line))


def test_credentials_are_cut_and_nothing_else():
    for url, told in {
        "s3://AKIA:ab/cd@bucket/x": "s3://bucket/x",
        "ftp://me:p@ss@host/x": "ftp://host/x",
        "hf://datasets/me/x@main/y": "hf://datasets/me/x@main/y",
        "sftp://host:22/a@b": "sftp://host:22/a@b",
        "https://host/x.csv?sig=1": "https://host/x.csv",
        "photos/a@b?c": "photos/a@b?c",
    }.items():
        assert shown(url) == told
    assert RECORD == "synthaug.json"
