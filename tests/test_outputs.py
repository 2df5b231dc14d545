import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from synthaug.errors import InvalidRequest, OutputExists
from synthaug.outputs import atomic_write_text, decode_name, encode_name, open_output, sha256_file

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
