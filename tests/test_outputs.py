import errno
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, strategies as st

from synthaug.errors import InvalidRequest, OutputError, OutputExists, SynthaugError
from synthaug.outputs import (
    atomic_write_text,
    decode_name,
    encode_name,
    is_finished,
    open_output,
    open_together,
    require_apart,
    sha256_file,
)

REQUEST = {"kind": "test", "n": 3, "counts": [["cat", 1], ["dog", 2]]}


def finish(path, request, *, overwrite=False, text="whole"):
    with open_output(path, request, overwrite=overwrite) as output:
        if not output.finished:
            (output.work / "content.txt").write_text(text)
            output.commit()
    return output


def fail_half_way(out):
    try:
        with open_output(out, REQUEST) as output:
            (output.work / "half.txt").write_text("half")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_no_name_is_an_option_of_a_shell():
    assert encode_name("-rf") == "%2Drf"
    assert decode_name(encode_name("-rf")) == "-rf"


def test_an_output_is_not_there_until_it_is_committed(tmp_path):
    out = tmp_path / "out"
    with open_output(out, REQUEST) as output:
        (output.work / "content.txt").write_text("whole")
        assert not out.exists()
        output.commit()
        assert (out / "content.txt").read_text() == "whole"
    assert os.listdir(tmp_path) == ["out"]


def test_the_same_request_on_a_finished_output_does_nothing(tmp_path):
    out = tmp_path / "out"
    finish(out, REQUEST)
    before = tree(out)
    for overwrite in (False, True):
        assert finish(out, REQUEST, overwrite=overwrite, text="other").finished
    assert tree(out) == before
    assert os.listdir(tmp_path) == ["out"]


def test_another_request_is_refused_saying_what_differs_and_what_to_do(tmp_path):
    out = tmp_path / "out"
    finish(out, REQUEST)
    before = tree(tmp_path)
    with pytest.raises(OutputExists) as error:
        finish(out, {**REQUEST, "n": 4})
    assert str(out) in str(error.value)
    assert "n: 3 there, 4 asked" in str(error.value)
    assert "kind" not in str(error.value)
    assert "--overwrite" in str(error.value)
    assert tree(tmp_path) == before


def test_the_order_of_pairs_is_part_of_the_request(tmp_path):
    finish(tmp_path / "out", REQUEST)
    with pytest.raises(OutputExists, match="counts"):
        finish(tmp_path / "out", {**REQUEST, "counts": REQUEST["counts"][::-1]})


def test_overwrite_replaces_an_output_of_another_request(tmp_path):
    out = tmp_path / "out"
    finish(out, REQUEST, text="old")
    finish(out, {**REQUEST, "n": 4}, overwrite=True, text="new")
    assert (out / "content.txt").read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]


def test_overwrite_never_replaces_a_folder_that_is_not_ours(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("three years")
    with pytest.raises(OutputExists, match="synthaug did not write it"):
        finish(tmp_path / "home", REQUEST, overwrite=True)
    (tmp_path / "home").rename(tmp_path / "out.partial")
    with pytest.raises(OutputExists, match="synthaug did not write it"):
        finish(tmp_path / "out", REQUEST, overwrite=True)
    assert tree(tmp_path) == {"out.partial/thesis.txt": b"three years"}


def test_an_empty_folder_counts_as_free(tmp_path):
    (tmp_path / "out").mkdir()
    finish(tmp_path / "out", REQUEST)
    assert (tmp_path / "out" / "content.txt").exists()


def test_a_partial_of_the_same_request_is_continued(tmp_path):
    out = tmp_path / "out"
    fail_half_way(out)
    assert not out.exists()
    with open_output(out, REQUEST) as output:
        assert (output.work / "half.txt").read_text() == "half"


def test_a_partial_of_another_request_is_refused_or_cleared(tmp_path):
    out = tmp_path / "out"
    with open_output(out, REQUEST) as output:
        (output.work / "half.txt").write_text("half")
    other = {**REQUEST, "n": 4}
    with pytest.raises(OutputExists, match=r"out\.partial exists .*n: 3 there, 4 asked"):
        finish(out, other)
    finish(out, other, overwrite=True)
    assert set(os.listdir(out)) == {"content.txt", "synthaug.json"}
    assert os.listdir(tmp_path) == ["out"]


def test_a_call_that_fails_before_it_wrote_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), open_output(tmp_path / "new" / "deep" / "out", REQUEST):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", [".", "/", "..", "a/.."])
def test_a_path_without_a_name_of_its_own_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequest, match="a name of its own"), open_output(path, REQUEST):
        pass
    assert os.listdir(tmp_path) == []


def read_first_line(path: Path):
    return {"line": path.read_text().splitlines()[0]}


def write_file(path, line, overwrite=False):
    with open_output(path, {"line": line}, overwrite=overwrite, recorded=read_first_line) as output:
        if not output.finished:
            (output.work / "rows.txt").write_text(f"{line}\n")
            output.commit("rows.txt")
    return output


def test_a_single_file_appears_whole_and_is_recognised_by_its_own_record(tmp_path):
    out = tmp_path / "out.txt"
    assert not write_file(out, "a").finished
    assert write_file(out, "a").finished
    with pytest.raises(OutputExists, match='line: "a" there, "b" asked'):
        write_file(out, "b")
    write_file(out, "b", overwrite=True)
    assert out.read_text() == "b\n"
    assert os.listdir(tmp_path) == ["out.txt"]


def _write_slowly(out: Path) -> None:
    with open_output(out, REQUEST) as output:
        for n in range(1000):
            if not (output.work / f"{n}.txt").exists():
                atomic_write_text(output.work / f"{n}.txt", str(n))
                time.sleep(0.01)


def test_a_killed_call_is_continued_and_a_running_one_is_not_disturbed(tmp_path):
    out = tmp_path / "out"
    process = multiprocessing.get_context("spawn").Process(target=_write_slowly, args=(out,))
    process.start()
    while not (tmp_path / "out.partial" / "2.txt").exists():
        assert process.is_alive()
        time.sleep(0.01)
    with pytest.raises(OutputExists, match="being written by another process"):
        finish(out, REQUEST)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not out.exists()
    finish(out, REQUEST)
    assert (out / "2.txt").read_text() == "2"


@pytest.mark.parametrize("moment", range(4))
def test_a_replacement_killed_between_any_two_steps_is_completed_by_the_same_call(
    tmp_path, monkeypatch, moment
):
    class Killed(BaseException):
        pass

    out, other = tmp_path / "out", {**REQUEST, "n": 4}
    finish(out, REQUEST, text="old")
    left = [moment]

    def dying(real):
        def step(*args, **kwargs):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*args, **kwargs)

        return step

    with monkeypatch.context() as patched:
        # The steps are: the record's own rename, old away, new in, old removed.
        patched.setattr(os, "replace", dying(os.replace))
        patched.setattr(shutil, "rmtree", dying(shutil.rmtree))
        with pytest.raises(Killed):
            finish(out, other, overwrite=True, text="new")
    finish(out, other, overwrite=True, text="new")
    assert (out / "content.txt").read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]


def test_a_record_whose_writing_was_killed_does_not_block_the_next_call(tmp_path):
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "synthaug.json.tmp").write_text('{"requ')
    finish(tmp_path / "out", REQUEST)
    assert set(os.listdir(tmp_path / "out")) == {"content.txt", "synthaug.json"}


AWKWARD = [
    "T-shirt/top",
    "../x",
    "été",
    "",
    ".",
    "..",
    "CON",
    "con.txt",
    "COM1",
    "a.",
    "a ",
    " ",
    "...",
    "%",
    "%41",
    "~",
    "__pycache__",
    ".git",
    "a\\b",
    "a:b",
    "a*?[b]",
    "\0",
    "\n",
    "é",
    "e\u0301",
    "\ud800",
    "日本",
]


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names_become_one_safe_component(name, tmp_path):
    component = encode_name(name)
    (tmp_path / component).mkdir()
    assert os.listdir(tmp_path) == [component]
    assert decode_name(component) == name


def test_plain_names_stay_readable():
    for name in ("Sneaker", "T-shirt", "7", "golden retriever", "a_b.c", "x (2)"):
        assert encode_name(name) == name


names = st.text(st.characters() | st.sampled_from("aAbB.% _/"), max_size=20)


@given(names)
def test_every_name_survives_the_way_to_disk_and_back(name):
    component = encode_name(name)
    assert decode_name(component) == name
    assert component.isascii()
    assert component.strip(" .") == component != ""
    assert not set(component) & set('/\\:*?"<>|\0')


@given(st.lists(names, unique=True, max_size=6))
def test_no_two_names_of_a_set_meet_on_a_system_that_ignores_case(some):
    components = [encode_name(name, some) for name in some]
    assert len({component.lower() for component in components}) == len(some)
    assert [decode_name(component) for component in components] == some


def test_a_name_too_long_for_a_file_system_is_refused():
    with pytest.raises(InvalidRequest, match=r"300 bytes.*255.*\.parquet"):
        encode_name("x" * 300)


def test_the_digest_of_a_file_is_its_sha256(tmp_path):
    atomic_write_text(tmp_path / "abc", "abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "abc") == expected
    assert os.listdir(tmp_path) == ["abc"]


# ---------------------------------------------------------------------- what the system does not let us do

REASONS = {
    errno.EACCES: "Permission denied",
    errno.EROFS: "Read-only file system",
    errno.ENOSPC: "No space left on device",
    errno.ENAMETOOLONG: "File name too long",
}
STEPS = {"a folder": "os.mkdir", "a record": "os.fsync", "a rename": "os.replace"}


@pytest.mark.parametrize("number", REASONS)
@pytest.mark.parametrize("step", STEPS)
def test_what_the_system_refuses_is_said_in_one_line_and_nothing_is_left(tmp_path, monkeypatch, step, number):
    def refused(path, *_, **__):
        raise OSError(number, os.strerror(number), None if isinstance(path, int) else str(path))

    out = tmp_path / "new" / "out"
    with monkeypatch.context() as patched:
        patched.setattr(STEPS[step], refused)
        if number == errno.EACCES and step == "a record":  # such as a disk that goes away says where
            patched.setattr(STEPS[step], lambda _: refused(out.with_name("out.partial")))
        if number == errno.ENAMETOOLONG and step == "a record":
            pytest.skip("to write an open file is never refused for its name")
        with pytest.raises(OutputError) as error:
            finish(out, REQUEST)
    assert str(error.value).startswith(f"{out} cannot be written ({REASONS[number]}")
    assert len(str(error.value).splitlines()) == 1
    assert os.listdir(tmp_path) == []
    finish(out, REQUEST)
    assert os.listdir(out.parent) == ["out"]


def fill_the_disk(out):
    with open_output(out, REQUEST) as output, open("/dev/full", "w") as full:
        (output.work / "half.txt").write_text("half")
        full.write("more")


def test_where_the_disk_is_full_half_way_the_same_call_goes_on(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(
        OutputError, match=r"No space left.*Make room.*the same call goes on from .*out\.partial"
    ):
        fill_the_disk(out)
    assert not out.exists()
    with open_output(out, REQUEST) as output:
        assert (output.work / "half.txt").read_text() == "half"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    atomic_write_text(tmp_path / "a.txt", "old")
    for step in ("os.fsync", "os.replace"):
        with monkeypatch.context() as patched:
            patched.setattr(step, lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
            with pytest.raises(OSError, match="full"):
                atomic_write_text(tmp_path / "a.txt", "new")
        assert tree(tmp_path) == {"a.txt": b"old"}


def test_what_goes_wrong_elsewhere_is_not_laid_to_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), open_output(tmp_path / "out", REQUEST):
        (tmp_path / "data" / "gone.png").read_bytes()
    with pytest.raises(InvalidRequest, match="mine"), open_output(tmp_path / "out", REQUEST):
        raise InvalidRequest("mine")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", [finish, is_finished])
@pytest.mark.parametrize("way", ["out", "a/out", "a/b/out"])
def test_a_file_in_the_way_is_named(tmp_path, way, call):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot be written .*file\). A file is in the way"):
        call(tmp_path / "file" / way, REQUEST)
    assert tree(tmp_path) == {"file": b"mine"}
    (tmp_path / "out.partial").write_text("mine")
    with pytest.raises(OutputError, match="A file is in the way"):
        finish(tmp_path / "out", REQUEST)
    assert (tmp_path / "out.partial").read_text() == "mine"


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(SynthaugError) as error:
        finish(tmp_path / name, REQUEST)
    assert len(str(error.value).splitlines()) == 1
    str(error.value).encode()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a\nb", "tab\t", "quote'\"", "🦊", "100%", "-rf", " ", "a b"])
def test_an_output_may_have_any_name_a_file_can_have(tmp_path, name):
    finish(tmp_path / name, REQUEST)
    assert os.listdir(tmp_path) == [name]
    with pytest.raises(OutputExists):
        finish(tmp_path / name, {})


def test_to_look_whether_an_output_is_there_begins_nothing(tmp_path):
    out = tmp_path / "new" / "out"
    assert not is_finished(out, REQUEST)
    assert os.listdir(tmp_path) == []
    finish(out, REQUEST)
    assert is_finished(out, REQUEST)
    with pytest.raises(OutputExists, match="n: 3 there, 4 asked"):
        is_finished(out, {**REQUEST, "n": 4})
    assert not is_finished(out, {**REQUEST, "n": 4}, overwrite=True)


def test_a_field_that_an_older_version_did_not_know_is_one_that_says_nothing(tmp_path):
    finish(tmp_path / "out", REQUEST)
    assert is_finished(tmp_path / "out", {**REQUEST, "new": None})
    with pytest.raises(OutputExists, match="new: null there, 1 asked"):
        is_finished(tmp_path / "out", {**REQUEST, "new": 1})


def test_an_output_and_its_sources_lie_apart(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for out in ("a", "a/b", "a/new", "link/new", "a/../a/x"):
        with pytest.raises(InvalidRequest, match=r'The output ".*" lies in the data set ".*" itself'):
            require_apart(tmp_path / out, {"data set": tmp_path / "a"})
    with pytest.raises(InvalidRequest, match=r'The data set ".*" lies in the output'):
        require_apart(tmp_path, {"data set": tmp_path / "a"})
    for out in ("ab", "c", "a.generator"):
        require_apart(tmp_path / out, {"data set": tmp_path / "a", "generator": None})


def test_text_that_utf8_cannot_hold_is_written_as_json_escapes_it(tmp_path):
    atomic_write_text(tmp_path / "a.json", json.dumps({"\ud800": "é"}, ensure_ascii=False))
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"\ud800": "é"}


def test_whoever_writes_together_waits_for_one_that_has_not_said_what_it_writes(tmp_path: Path) -> None:
    work = tmp_path / "out.partial"
    work.mkdir()
    (work / "synthaug.json.tmp").write_text("{")  # as another process leaves it for a moment
    lock = FileLock(tmp_path / "out.partial.lock", thread_local=False)
    lock.acquire()

    def say() -> None:
        (work / "synthaug.json").write_text('{"request": {"n": 3}}')
        lock.release()

    timer = threading.Timer(0.5, say)
    timer.start()
    with open_together(tmp_path / "out", {"n": 3}) as output:
        assert not output.finished
    timer.join()
