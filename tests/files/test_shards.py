"""Outputs that are made in shares, by several processes, and in spite of being killed: always the same bytes."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, strategies as st
from pictured import PICTURED, SUFFIX
from PIL import Image

import synthaug
from synthaug import Generator, Writing, open_data
from synthaug.cli import main
from synthaug.errors import InvalidRequest, OutputError, OutputExists, SynthaugWarning
from synthaug.files import plan_shards, read_record
from synthaug.files.shards import Shard
from synthaug.testing import planted_generator
from synthaug.verbs import remake

COUNTS = {"cat": 37, "dog": 5, "T-shirt/top": 8}
FORM = planted_generator().form
WRITING = Writing(shard_size=7, jobs=1)


def source(split: bool = False) -> synthaug.LabeledData:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (25, *FORM.shape), np.uint8)
    labels = np.array(["cat", "dog", "T-shirt/top", "cat", "dog"] * 5)
    if not split:
        return open_data((images, labels))
    import datasets

    parts = {"train": slice(0, 12), "test": slice(12, 25)}
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
    return open_data(
        datasets.DatasetDict(
            {
                name: datasets.Dataset.from_dict(
                    {"image": [as_png(image) for image in images[rows]], "label": labels[rows].tolist()},
                    features=features,
                )
                for name, rows in parts.items()
            }
        )
    )


def as_png(image: np.ndarray) -> dict[str, bytes]:
    from synthaug.modalities.image.cells import png_bytes

    return {"bytes": png_bytes(image, FORM)}


def place(folder: Path, format: str) -> Path:
    return folder / f"out{SUFFIX[format]}"


def content(out: Path) -> dict[str, bytes]:
    files = [out] if out.is_file() else [path for path in sorted(out.rglob("*")) if path.is_file()]
    return {str(path.relative_to(out.parent)): path.read_bytes() for path in files}


def expand(out: Path, format: str, writing: Writing, generator: Generator | None = None, **more) -> Path:
    made = planted_generator() if generator is None else generator
    return synthaug.expand(
        more.pop("data", None) or source(),
        made,
        to={"cat": 50, "dog": 20, "T-shirt/top": 9},
        out=out,
        format=format,
        writing=writing,
        progress=False,
        **more,
    )


# -------------------------------------------------------------------------------------------------- the plan


@given(
    st.dictionaries(st.sampled_from(["train", "test", "val"]), st.integers(0, 50), max_size=3),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 50), min_size=1),
    st.integers(1, 20),
)
def test_every_row_is_in_exactly_one_shard_in_its_order(real, synthetic, size):
    shards = plan_shards(real, synthetic, "train", size)
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert len({shard.stem for shard in shards}) == len(shards)
    assert all(
        0 < shard.rows <= size and len({p.name is None for p in shard.pieces}) == 1 for shard in shards
    )
    for split, n in real.items():
        runs = [p for shard in shards if shard.split == split for p in shard.pieces if p.name is None]
        assert [row for p in runs for row in range(p.first, p.first + p.count)] == list(range(n))
    made = [p for shard in shards for p in shard.pieces if p.name is not None]
    assert all(shard.split == "train" for shard in shards if not shard.real)
    for name, n in synthetic.items():
        rows = [row for p in made if p.name == name for row in range(p.first, p.first + p.count)]
        assert rows == list(range(n))
    assert list(dict.fromkeys(p.name for p in made)) == list(synthetic)


def test_more_rows_than_can_be_planned_are_refused_at_once():
    with pytest.raises(InvalidRequest, match=r"more than 1,000,000 shards.*--shard-size 50001"):
        plan_shards({None: 5}, {"cat": 50_000_000_001}, None, 5000)


def test_the_plan_does_not_depend_on_who_makes_it_and_is_said_in_the_record(tmp_path):
    out = expand(tmp_path / "out", "shards", WRITING)
    record = read_record(out)
    assert record is not None
    assert [part["rows"] for part in record["parts"]] == [7, 7, 7, 4, *[7] * 7, 5]
    assert all(len(part["sha256"]) == 64 for part in record["parts"])
    assert record["versions"]["torch"] == torch.__version__


# ------------------------------------------------------------------------------------------------ who makes it


@pytest.mark.parametrize("format", PICTURED)
@pytest.mark.parametrize("split", [False, True])
def test_shares_in_any_order_make_the_same_bytes_and_the_last_puts_them_there(tmp_path, format, split):
    whole = expand(place(tmp_path / "whole", format), format, WRITING, data=source(split))
    out = place(tmp_path / "shares", format)
    for share in (2, 0, 1):
        assert not out.exists()
        made = planted_generator()
        expand(out, format, Writing(7, 1, shard=f"{share}/3"), made, data=source(split))
    assert content(out) == content(whole)
    again = planted_generator()
    expand(out, format, Writing(7, 1, shard="1/3"), again, data=source(split))
    assert again.family.calls == 0
    assert os.listdir(tmp_path / "shares") == [out.name]


def test_processes_make_the_same_bytes_as_one(tmp_path, monkeypatch):
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    generator = fitted()
    for format in ("webdataset", "npz"):
        outs = [place(tmp_path / format / str(jobs), format) for jobs in (1, 2)]
        for jobs, out in zip((1, 2), outs, strict=True):
            expand(out, format, Writing(7, jobs), generator)
        assert content(outs[0]) == content(outs[1])
    asked = generator.sample({"cat": 9})
    with np.load(tmp_path / "npz" / "1" / "out.npz") as stored:
        cats = stored["X"][stored["synthetic"] & (stored["y"] == "cat")]
    assert cats[:9].tobytes() == asked.samples.tobytes()


def test_ray_makes_the_same_bytes_though_its_workers_are_killed(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    generator = fitted()
    whole = expand(tmp_path / "whole", "shards", WRITING, generator)
    monkeypatch.setenv("KILL_ONCE", str(tmp_path / "killed"))
    code = (
        "import sys; sys.path[:0] = sys.argv[2:]; import test_shards as t, synthaug, pathlib\n"
        "import synthaug.files.engines as engines\n"
        "from synthaug import Writing\n"
        "plain = engines.on_ray\n"
        "def killing(make, shards, jobs): return plain(t.Killing(make), shards, jobs)\n"
        "engines.ENGINES['ray'] = killing\n"
        "out = pathlib.Path(sys.argv[1])\n"
        "t.expand(out, 'shards', Writing(7, 2, 'ray'), synthaug.load(out.parent / 'gen'))\n"
    )
    generator.save(tmp_path / "gen")
    script = tmp_path / "on_ray.py"
    script.write_text(code)
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    place = os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "ray"), *paths],
        env=os.environ | {"PYTHONPATH": place, "RAY_DEDUP_LOGS": "0"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Warning" not in done.stderr
    assert (tmp_path / "killed").exists(), "no worker was killed"
    assert content(tmp_path / "ray").keys() == {name.replace("whole", "ray") for name in content(whole)}
    assert list(content(tmp_path / "ray").values()) == list(content(whole).values())


class NoRoom:
    """Makes nothing, as the disk is full."""

    def __call__(self, shard: Shard) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/somewhere")


def test_ray_says_what_a_worker_says():
    ray = pytest.importorskip("ray")
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; import test_shards as t\n"
        "from synthaug.files.engines import on_ray\n"
        "shards = t.plan_shards({}, {'cat': 3}, None, 1)\n"
        "try: list(on_ray(t.NoRoom(), shards, 1))\n"
        "except OSError as error: print(error.errno, error.filename)\n"
    )
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    place = os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code, *paths],
        env=os.environ | {"PYTHONPATH": place},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == [f"{errno.ENOSPC} /somewhere"], done.stderr[-3000:]
    assert not ray.is_initialized()


def test_an_engine_is_not_asked_for_nothing_where_a_call_was_killed_while_it_joined(tmp_path, monkeypatch):
    from synthaug.files import engines, write

    asked = []

    def counted(make, shards, jobs):
        asked.append(len(shards))
        return engines.in_this_process(make, shards, jobs)

    def killed(*of):
        raise ZeroDivisionError

    monkeypatch.setitem(engines.ENGINES, "ray", counted)
    joined = write.record_of
    monkeypatch.setattr(write, "record_of", killed)
    with pytest.raises(ZeroDivisionError):
        expand(tmp_path / "out", "shards", Writing(7, 2, "ray"))
    monkeypatch.setattr(write, "record_of", joined)
    expand(tmp_path / "out", "shards", Writing(7, 2, "ray"))
    assert asked == [8]  # Ray refuses a plan of none


class Killing:
    """Makes shards; the first process that comes to the third is killed in it."""

    def __init__(self, make) -> None:
        self.make = make

    def __call__(self, shard) -> int:
        mark = Path(os.environ["KILL_ONCE"])
        if shard.number == 5 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.make(shard)


def test_under_torchrun_every_process_of_the_command_line_makes_its_share(tmp_path, monkeypatch):
    fitted().save(tmp_path / "gen")
    given = ["sample", str(tmp_path / "gen"), "--counts", "cat=9,dog=12", "--shard-size", "5", "-q"]
    given += ["--format", "webdataset", "--out"]
    assert run(*given, str(tmp_path / "whole")).exit_code == 0
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, said in ((1, "this share is made"), (0, "21 rows in")):
        monkeypatch.setenv("RANK", str(rank))
        done = run(*[each for each in given if each != "-q"], str(tmp_path / "out"))
        assert done.exit_code == 0
        assert said in done.stdout
    assert list(content(tmp_path / "out").values()) == list(content(tmp_path / "whole").values())
    expand(tmp_path / "alone", "shards", WRITING)  # a call of Python is one process's own
    assert (tmp_path / "alone").exists()


# ---------------------------------------------------------------------------------------------- in spite of all

KILLED = """
import sys
sys.path[:0] = sys.argv[3:]
import test_shards as t, synthaug, pathlib
from synthaug import Writing
out = pathlib.Path(sys.argv[1])
generator = synthaug.load(sys.argv[2])
print("begun", flush=True)
t.expand(out, "shards", Writing(2, 1), generator)
print("done", flush=True)
"""


def test_whatever_the_moment_of_a_kill_the_same_call_ends_in_the_same_bytes(tmp_path):
    generator = fitted()
    generator.save(tmp_path / "gen")
    started = time.monotonic()
    whole = expand(tmp_path / "whole", "shards", Writing(2, 1), generator)
    takes, out = time.monotonic() - started, tmp_path / "out"
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    wait = random.Random(0)
    kills, parts = 0, set()
    while not out.exists() and kills < 4:
        call = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(out), str(tmp_path / "gen"), *paths],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert call.stdout is not None
        assert call.stdout.readline() == "begun\n"
        time.sleep(wait.uniform(0.1, 0.5) * takes)
        call.send_signal(signal.SIGKILL)
        call.wait()
        call.stdout.close()
        kills += 1
        made = set((tmp_path / "out.partial" / ".parts").glob("??????"))
        assert parts <= made or out.exists(), "a part that was whole is gone"
        parts = made
    expand(out, "shards", Writing(2, 1), generator)
    assert list(content(out).values()) == list(content(whole).values())
    assert kills >= 1


class Full:
    """A disk with room for so many parts."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, *of: object) -> None:
        self.room -= 1
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk")


@pytest.mark.parametrize("format", PICTURED)
def test_a_full_disk_leaves_whole_parts_and_the_same_call_goes_on(tmp_path, format, monkeypatch):
    from synthaug.files import parts

    whole, out = expand(place(tmp_path / "whole", format), format, WRITING), place(tmp_path / "out", format)
    plain, full = parts.sha256_file, Full(9)
    monkeypatch.setattr(parts, "sha256_file", lambda path: (full(), plain(path))[1])
    with pytest.raises(OutputError, match=r"No space left.*Make room there.*goes on from .*out.*\.partial"):
        expand(out, format, WRITING)
    monkeypatch.setattr(parts, "sha256_file", plain)
    kept = out.with_name(out.name + ".partial") / ".parts"
    assert not list(kept.glob("*.begun"))
    assert all((part / "part.json").exists() for part in kept.iterdir())
    expand(out, format, WRITING)
    assert content(out) == content(whole)


# ------------------------------------------------------------------------------------------------------ refusals


def test_what_nobody_can_do_is_refused():
    for shard in ("4/4", "1", "1/0", "-1/2", "a/b", "0/4/2"):
        with pytest.raises(InvalidRequest, match=r'The share ".*Of four, write 0/4'):
            Writing(shard=shard)
    with pytest.raises(InvalidRequest, match=r'no engine "rai".*"ray"'):
        Writing(engine="rai")
    with pytest.raises(InvalidRequest, match="0 processes"):
        Writing(jobs=0)
    with pytest.raises(InvalidRequest, match="shard size of 0"):
        Writing(shard_size=0)


def test_a_share_without_a_generator_is_refused(tmp_path):
    with pytest.raises(InvalidRequest, match="each would train one of its own"):
        synthaug.expand(source(), to="2x", out=tmp_path / "out", writing=Writing(shard="0/2"), steps=1)


def test_processes_that_a_launcher_begins_make_one_output_together(tmp_path):
    generator = fitted()
    generator.save(tmp_path / "gen")
    x, y = source().read(), [source().classes[k] for k in source().labels]
    np.savez(tmp_path / "rows.npz", X=x, y=np.array(y))
    words = [
        "-m",
        "synthaug.cli",
        "expand",
        "rows.npz",
        "--generator",
        "gen",
        "--to",
        "2x",
        "--shard-size",
        "7",
        "-q",
    ]
    run = [sys.executable, *words, "--format", "shards", "--out"]
    begun = [
        subprocess.Popen(
            [*run, "together"], cwd=tmp_path, env=os.environ | {"RANK": str(rank), "WORLD_SIZE": "2"}
        )
        for rank in range(2)
    ]
    assert [process.wait(timeout=240) for process in begun] == [0, 0]
    subprocess.run([*run, "alone"], cwd=tmp_path, check=True)
    together, alone = content(tmp_path / "together"), content(tmp_path / "alone")
    assert list(together.values()) == list(alone.values())


def test_shares_of_another_request_are_refused(tmp_path):
    expand(tmp_path / "out", "shards", Writing(7, 1, shard="0/2"))
    with pytest.raises(OutputExists, match="seed: 0 there, 1 asked"):
        expand(tmp_path / "out", "shards", Writing(7, 1, shard="1/2"), seed=1)


# --------------------------------------------------------------------------------------------- without real rows


@pytest.mark.parametrize("format", PICTURED)
def test_synthetic_rows_alone_have_the_labels_of_the_data_set(tmp_path, format):
    data = source()
    out = expand(place(tmp_path, format), format, Writing(7, 1, synthetic_only=True))
    found = open_data(out)
    assert found.synthetic is not None
    assert found.synthetic.all()
    assert {name: n for name, n in found.counts.items()} == {"T-shirt/top": 4, "cat": 40, "dog": 10}
    assert set(found.classes.values) <= set(data.classes.values)


def fitted() -> Generator:
    return synthaug.fit(source(), steps=2, progress=False)


@pytest.fixture(autouse=True)
def _one_process_here(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


# ------------------------------------------------------------------------------------------- read by other programs


def test_shards_are_read_by_the_library_of_the_hub_with_counts_labels_and_columns(tmp_path):
    import datasets

    asked = {"cat": 50, "dog": 20, "T-shirt/top": 9}
    for split in (False, True):
        out = expand(tmp_path / f"shards {split}", "shards", WRITING, data=source(split))
        found = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))
        assert set(found) == ({"train", "test"} if split else {"train"})
        assert Counter(found["train"]["label"]) == asked
        made = [
            label
            for label, is_made in zip(found["train"]["label"], found["train"]["synthetic"], strict=True)
            if is_made
        ]
        real = Counter(np.array(source().classes)[source().labels][: 12 if split else 25].tolist())
        assert Counter(made) == Counter(asked) - real
        assert found["train"][0]["image"].size == (9, 8)
    out = expand(tmp_path / "tars", "webdataset", WRITING)
    tars = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]
    assert Counter(row["label"] for row in tars["json"]) == asked
    names = list(source().classes)
    assert [names[k] for k in tars["cls"]] == [row["label"] for row in tars["json"]]
    assert sum(row["synthetic"] for row in tars["json"]) == 79 - 25
    assert tars[0]["png"].size == (9, 8)


# ----------------------------------------------------------------------------------------- again, from the record


def folders(place: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (place / name).mkdir(parents=True)
        for row in range(6):
            Image.fromarray(rng.integers(0, 255, (8, 9), np.uint8)).save(place / name / f"{row}.png")
    return place


@pytest.mark.parametrize("format", PICTURED)
def test_a_record_makes_the_same_bytes_again_on_the_command_line(tmp_path, format, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders(Path("photos"))
    synthaug.fit("photos", steps=2, progress=False).save("gen")
    first, second = place(Path("first"), format), place(Path("second"), format)
    given = ["expand", "photos", "--generator", "gen", "--to", "2x", "--shard-size", "5", "-q"]
    assert run(*given, "--image-size", "8x9", "--out", str(first), "--format", format).exit_code == 0
    monkeypatch.chdir("/")
    done = run("run", str(tmp_path / first), "--out", str(tmp_path / second), "-q")
    assert done.exit_code == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    assert list(content(first).values()) == list(content(second).values())
    alone, again = place(Path("alone"), format), place(Path("again"), format)
    synthaug.sample("gen", {"dog": 3, "cat": 6}, out=alone, format=format, seed=3, progress=False)
    assert run("run", str(alone), "--out", str(again), "-q").exit_code == 0
    assert list(content(alone).values()) == list(content(again).values())


def test_another_generator_in_the_place_of_the_first_is_said(tmp_path):
    for seed in (0, 1):
        synthaug.fit(source(), steps=2, seed=seed, progress=False).save(tmp_path / "gen", overwrite=True)
        if not seed:
            synthaug.sample(tmp_path / "gen", 3, out=tmp_path / "out.npz", progress=False)
    with pytest.warns(SynthaugWarning, match=r'again\.npz is not the same .*"generator" changed since then'):
        remake(tmp_path / "out.npz", tmp_path / "again.npz", progress=False)


def test_what_a_record_cannot_make_again_is_said(tmp_path):
    out = expand(tmp_path / "out", "shards", WRITING)
    refused = run("run", str(out), "--out", str(tmp_path / "again"), "-q")
    assert refused.exit_code == 2
    assert "was made of data or with a generator that lay in memory alone" in refused.stderr
    assert "say with --out where" in run("run", str(out)).stderr


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)
