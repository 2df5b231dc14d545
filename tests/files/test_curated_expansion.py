"""Expansions of samples that judges let pass: exactly as many as are asked for, or a list of what is missing."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import synthaug
from synthaug import Generator, Writing, judging, open_data
from synthaug.cli import main
from synthaug.data import training_rows
from synthaug.errors import InvalidRequest
from synthaug.files import read_record
from synthaug.generators import Selection
from synthaug.judging import passing
from synthaug.requests import ExpandRequest
from synthaug.testing import planted_generator
from synthaug.verbs import remake

REAL = {"cat": 24, "dog": 20, "T-shirt/top": 16}
WANTED = {"cat": 70, "dog": 37, "T-shirt/top": 3}
TOTALS = {name: REAL[name] + n for name, n in WANTED.items()}

Rows = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """What the planted generator makes of another seed, so that most of its samples are like them."""
    made = planted_generator().sample(REAL, seed=99)
    return made.samples, made.labels


@pytest.fixture(autouse=True)
def _short_judges(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Judges of few steps, which are fitted once for equal rows."""
    plain = passing.fit_judges

    def fitted(train: Any, encode: Any, seed: int) -> Any:
        key = (train.fingerprint(), seed)
        if key not in KNOWN:
            KNOWN[key] = plain(train, encode, seed, 40)
        return KNOWN[key]

    monkeypatch.setattr(passing, "fit_judges", fitted)
    return


KNOWN: dict[tuple[str, int], Any] = {}


def expand(rows: Rows, generator: Generator | None = None, **how: Any) -> Any:
    given = {"to": TOTALS, "curate": True, "seed": 3, "progress": False} | how
    return synthaug.expand(rows, generator or planted_generator(), **given)


def numbers(made: Any) -> dict[str, list[int]]:
    """Of each class the numbers of the synthetic rows in their order."""
    told = made.provenance
    return {name: told["index"][told["synthetic"] & (told["class"] == name)].tolist() for name in REAL}


def content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


# ----------------------------------------------------------------------------------------------- which rows


def test_each_class_gets_as_many_rows_as_were_asked_for_and_judges_let_all_of_them_pass(rows: Rows) -> None:
    made = expand(rows)
    real, maker = sum(REAL.values()), planted_generator()
    images, labels = made[0][real:], made[1][real:]
    assert Counter(labels.tolist()) == WANTED
    train = training_rows(open_data(rows))
    judges = passing.fit_judges(train, maker.form.encode, 3)
    positions = np.array([train.classes.index(name) for name in labels])
    assert judges.curate(maker.form.encode(images).numpy(), positions, train.classes).keep.all()
    # and all that was passed over does not
    for name, taken in numbers(made).items():
        left = np.setdiff1d(np.arange(taken[-1]), taken)
        others = maker.sample_rows(name, 0, taken[-1] + 1, seed=3)[left]
        alike = np.full(len(left), train.classes.index(name))
        assert (
            not len(left)
            or not judges.curate(maker.form.encode(others.samples).numpy(), alike, train.classes).keep.any()
        )
    assert any(taken != list(range(len(taken))) for taken in numbers(made).values())


def test_their_provenance_numbers_rows_of_the_generator_as_it_is(rows: Rows) -> None:
    made = expand(rows)
    for at in range(sum(REAL.values()), len(made[0])):
        name, index = made.provenance["class"][at], int(made.provenance["index"][at])
        alone = planted_generator().sample_rows(name, index, index + 1, seed=3)
        np.testing.assert_array_equal(made[0][at], alone.samples[0])


def test_rows_do_not_depend_on_what_else_is_asked_for_and_fewer_are_the_first_of_more(rows: Rows) -> None:
    many = numbers(expand(rows))
    few = numbers(expand(rows, to={"cat": REAL["cat"] + 11, "dog": REAL["dog"] + 1}, attempts=9))
    assert few == {"cat": many["cat"][:11], "dog": many["dog"][:1], "T-shirt/top": []}
    assert numbers(expand(rows, seed=4)) != many


def test_they_are_those_that_a_choice_would_keep() -> None:
    maker = planted_generator(
        sorted(REAL)
    )  # judges of a choice know the classes in the order of the generator
    drawn = maker.sample(REAL, seed=99)
    rows = drawn.samples, drawn.labels
    made = expand(rows, maker)
    judges = passing.fit_judges(training_rows(open_data(rows)), maker.form.encode, 3)
    pool, _ = judging.curated_pool(maker, judges, WANTED, seed=3)
    told = pool.provenance
    assert numbers(made) == {name: told["index"][told["class"] == name].tolist() for name in REAL}


def test_rows_of_a_table_are_judged_as_well() -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    label = np.repeat(["ill", "well"], 40)
    frame = pd.DataFrame(
        {
            "dose": rng.normal(size=80) + 4 * (label == "ill"),
            "job": rng.choice(["nurse", "clerk"], 80),
            "state": label,
        }
    )
    data = open_data(frame, label="state")
    maker = synthaug.fit(data, steps=150, progress=False)
    made = synthaug.expand(data, maker, to=70, curate=True, attempts=20, progress=False)
    assert Counter(made["state"]) == {"ill": 70, "well": 70}


# ------------------------------------------------------------------------------------------ what is refused


def test_all_classes_that_are_short_are_named_with_what_was_dropped_and_nothing_is_written(
    rows: Rows, tmp_path: Path
) -> None:
    images = rows[0].copy()
    for name, level in (("cat", 7), ("T-shirt/top", 90)):
        own = rows[1] == name
        images[own] = level + np.random.default_rng(0).integers(0, 9, images[own].shape)
    with pytest.raises(InvalidRequest) as said:
        expand((images, rows[1]), out=tmp_path / "out", format="shards", attempts=2)
    text = str(said.value)
    assert '"cat": 0 of 70 wanted passed among 140 looked at (' in text
    assert '"T-shirt/top": 0 of 3 wanted passed among 6 looked at (' in text
    assert '"dog"' not in text
    assert " dropped " in text
    for remedy in ("Ask for fewer", "longer", "more than 2 be looked at", "attempts=4 (--attempts)"):
        assert remedy in text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"attempts": 0}, "attempts=0 was asked for; it has to be at least 1"),
        ({"attempts": 5, "curate": False}, r"attempts=5 has no use here.*--curate"),
    ],
)
def test_a_bound_that_nothing_can_be_made_of_is_refused(rows: Rows, how: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        expand(rows, **how)


def test_what_is_curated_already_is_not_curated_again(rows: Rows) -> None:
    kept = planted_generator().keeping(Selection(3, {name: np.arange(90) for name in REAL}))
    with pytest.raises(InvalidRequest, match="it is curated already"):
        expand(rows, kept)


def test_a_class_without_a_real_row_cannot_be_judged(rows: Rows) -> None:
    data = open_data(rows).take(np.flatnonzero(rows[1] != "dog"))
    with pytest.raises(InvalidRequest, match=r'"dog".*no training row of that to judge by'):
        ExpandRequest(data, planted_generator(), {"cat": 30, "dog": 4}, curate=True).describe()


# ------------------------------------------------------------------------------------------- on the way to disk


def test_one_process_or_two_and_a_call_that_was_killed_make_the_same_bytes(
    rows: Rows, tmp_path: Path
) -> None:
    outs = [tmp_path / name for name in ("one", "two", "killed")]
    for out, jobs in zip(outs, (1, 2), strict=False):
        expand(rows, out=out, format="shards", writing=Writing(7, jobs))
    assert content(outs[0]) == content(outs[1])
    calls = planted_generator()
    passing.keep_passing(calls, training_rows(open_data(rows)), WANTED, {n: n for n in WANTED}, seed=3)
    judged = calls.family.calls
    for dies_at in (3, judged + 9, judged + 2):  # while it judges, and while it writes
        dying = planted_generator()
        dying.family.dies_at = dies_at
        with pytest.raises(ZeroDivisionError):
            expand(rows, dying, out=outs[2], format="shards", writing=Writing(7, 1))
    expand(rows, out=outs[2], format="shards", writing=Writing(7, 1))
    assert content(outs[2]) == content(outs[0])


@pytest.fixture(scope="module")
def world(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows and a generator of them as files."""
    folder = tmp_path_factory.mktemp("world")
    np.savez(folder / "rows.npz", X=rows[0], y=rows[1])
    synthaug.fit(rows, steps=150, out=folder / "gen", progress=False)
    return folder


def test_the_command_line_curates_and_the_record_makes_the_same_bytes_again(
    world: Path, tmp_path: Path
) -> None:
    asked = ["expand", world / "rows.npz", "--generator", world / "gen", "--to", "40", "--format", "shards"]
    asked += ["--curate", "--attempts", "30"]
    dry = run(*asked, "--out", tmp_path / "out", "--dry-run", "--json")
    assert dry.exit_code == 0, dry.stderr
    assert json.loads(dry.stdout)["judged"] == "60 to 1800 samples before that, which takes longer"
    done = run(*asked, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "60 synthetic rows added" in done.stdout
    record = read_record(tmp_path / "out")
    assert record is not None
    assert record["call"]["curate"] is True
    assert record["call"]["attempts"] == 30
    assert record["card"]["curated"] is True
    assert "passed judges" in (tmp_path / "out" / "README.md").read_text()
    remake(tmp_path / "out", tmp_path / "again", progress=False)
    assert content(tmp_path / "again") == content(tmp_path / "out")
    assert run(*asked, "--out", tmp_path / "out").exit_code == 0  # it is there already
    plain = run(*asked[:-3], "--out", tmp_path / "plain")
    assert plain.exit_code == 0
    assert content(tmp_path / "plain") != content(tmp_path / "out")
    record = read_record(tmp_path / "plain")
    assert record is not None
    assert "curate" not in record["call"]


def test_a_generator_that_is_trained_first_is_kept_where_its_samples_do_not_pass(
    world: Path, tmp_path: Path
) -> None:
    asked = ["expand", world / "rows.npz", "--family", "warp", "--steps", "1", "--to", "30", "--curate"]
    done = run(*asked, "--out", tmp_path / "out")  # it makes copies as yet
    assert done.exit_code != 0
    assert "copies dropped" in done.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["out.generator"]
