"""What holds between columns of a table: said where it is opened, true of every sample, and told."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings, strategies as st

import synthaug
from synthaug import LabeledData, open_data
from synthaug.errors import InvalidArtifact, InvalidData, InvalidRequest, SpecMismatch
from synthaug.modalities.table import TableForm

N = 120
SCHOOLS = {"basic": 4, "middle": 9, "high": 12, "master": 17}


def frame(missing: bool = False) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    first = np.datetime64("2024-01-01") + rng.integers(0, 300, N)
    school = rng.choice(list(SCHOOLS), N, p=[0.4, 0.3, 0.2, 0.1])
    made = pd.DataFrame(
        {
            "low": rng.normal(100, 20, N),
            "school": school,
            "begun": first.astype("datetime64[ns]"),
            "years": [SCHOOLS[name] for name in school],
            "ended": (first + rng.integers(0, 9, N)).astype("datetime64[ns]"),
            "label": np.where(rng.random(N) < 0.5, "a", "b"),
        }
    )
    made["high"] = made["low"] + rng.exponential(3, N)
    if missing:
        made.loc[::7, "high"] = np.nan
        made.loc[::5, "ended"] = pd.NaT
    return made


KINDS = {"low, high": "ordered", "begun, ended": "ordered", "school, years": "together"}


def opened(missing: bool = False) -> LabeledData:
    return open_data(frame(missing), kinds=KINDS)


@pytest.mark.parametrize("missing", [False, True])
def test_relations_hold_in_every_sample_and_bounds_with_them(missing: bool) -> None:
    data = opened(missing)
    maker = synthaug.fit(data, steps=60, progress=False)
    bigger = synthaug.expand(frame(missing), maker, to="3x", progress=False)
    made = bigger[bigger["synthetic"]]
    assert len(made) == 2 * N
    assert not (made["low"] > made["high"]).any()
    assert not (made["begun"] > made["ended"]).any()
    assert (made["school"].map(SCHOOLS) == made["years"]).all()
    for name in ("low", "high", "begun", "ended", "years"):
        real = bigger.loc[~bigger["synthetic"], name]
        assert made[name].min() >= real.min()
        assert made[name].max() <= real.max()
    if missing:
        assert made["high"].isna().any()
        assert made["ended"].isna().any()
    free = synthaug.fit(frame(missing), steps=60, progress=False).sample(N, seed=0)
    low, high = ([column.name for column in free.form.columns].index(name) for name in ("low", "high"))
    assert (free.samples[:, low] > free.samples[:, high]).any()  # what it is good for


@given(st.integers(0, 2**31), st.booleans())
@settings(max_examples=25, deadline=None)
def test_any_encoded_row_is_decoded_to_one_in_which_relations_hold(seed: int, missing: bool) -> None:
    data = opened(missing)
    form = data.form.fitted(data.read())
    tensors = torch.randn((50, *form.encoded), generator=torch.Generator().manual_seed(seed))
    rows = form.decode(tensors)
    at = {column.name: place for place, column in enumerate(form.columns)}
    for names in ("low, high", "begun, ended"):
        for first, second in pairwise(names.split(", ")):
            assert not (rows[:, at[first]] > rows[:, at[second]]).any()
    seen = {tuple(row) for row in data.read()[:, [at["school"], at["years"]]].tolist()}
    assert {tuple(row) for row in rows[:, [at["school"], at["years"]]].tolist()} <= seen
    free = TableForm(form.columns, form.dtype, form.container).decode(tensors)
    assert (rows[:, at["school"]] == free[:, at["school"]]).all()  # the first column decides
    np.testing.assert_array_equal(form.decode_on_device(tensors).numpy(), rows)


def test_real_rows_come_back_as_they_were() -> None:
    for missing in (False, True):
        data = opened(missing)
        form = data.form.fitted(data.read())
        np.testing.assert_allclose(form.decode(form.encode(data.read())), data.read(), atol=1e-4)


def test_relations_are_kept_with_generator_and_form(tmp_path) -> None:
    data = opened()
    made = synthaug.fit(data, steps=5, out=tmp_path / "gen", progress=False)
    again = synthaug.load(tmp_path / "gen")
    assert again.form.relations == made.form.relations
    assert [relation.kind for relation in again.form.relations] == ["ordered", "ordered", "together"]
    assert again.form.relations[2].seen[0] == (0.0, 4.0)  # the most frequent first
    plain = made.form.to_dict()
    for broken in (
        [{"kind": "near", "names": ["low", "high"], "seen": []}],
        [{"kind": "ordered", "names": ["low", "sideways"], "seen": []}],
        [{"kind": "together", "names": ["school", "years"], "seen": [[0.0]]}],
        [{"kind": "together", "names": ["school", "years"], "seen": [["basic", 4]]}],
        ["ordered"],
        [{"kind": "together", "names": ["school", "years"], "seen": None}],
        None,
    ):
        with pytest.raises(InvalidArtifact):
            TableForm.from_dict(plain | {"relations": broken})


def test_relations_are_told_where_a_table_is_looked_at() -> None:
    data = opened()
    told = data.form.fitted(data.read()).parts()
    assert told["low"].endswith(", never above high")
    assert told["school"].endswith(", only as training rows have it with years")


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ({"low, hihg": "ordered"}, r'"hihg", which is to be ordered .*"high"'),
        ({"low": "ordered"}, r'said of "low" alone'),
        ({"low, begun": "ordered"}, r"numbers of one type, integers or dates"),
        ({"school, years": "ordered"}, r"numbers of one type, integers or dates"),
        ({"low, school": "together"}, r"hold numbers, of which combinations say little"),
        ({"low, high": "ordered", "high, low": "ordered"}, r"is named twice"),
        ({"low, low": "ordered"}, r"is named twice"),
        ({"low, high": "ordred"}, r'kind is given for column "low, high"'),
    ],
)
def test_relations_that_columns_cannot_have_are_refused(kinds: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        open_data(frame(), kinds=kinds)


def test_a_real_row_that_breaks_an_order_is_refused_by_its_number() -> None:
    broken = frame()
    broken.loc[17, "high"] = broken.loc[17, "low"] - 1
    with pytest.raises(InvalidData, match=r'"low", "high".* are said to be ordered, and in row 17'):
        open_data(broken, kinds=KINDS)


def test_relations_are_heard_on_the_command_line(tmp_path, capsys) -> None:
    from click.testing import CliRunner

    from synthaug.cli import main

    frame().to_csv(tmp_path / "in.csv", index=False)
    asked = ["--kind", "low, high=ordered", "--kind", "school, years=together", "--steps", "5"]
    found = CliRunner().invoke(
        main, ["fit", str(tmp_path / "in.csv"), *asked, "--out", str(tmp_path / "gen")]
    )
    assert found.exit_code == 0, found.output
    names = [relation.names for relation in synthaug.load(tmp_path / "gen").form.relations]
    assert names == [("low", "high"), ("school", "years")]


def test_cells_in_which_a_relation_holds_stay_as_they_are_to_the_last_digit() -> None:
    rng = np.random.default_rng(0)
    code = rng.choice([20_000_001, 20_000_002, 20_000_003, 20_000_005], N)
    begun = np.datetime64("2024-03-01T07:13:59") + rng.integers(0, 10**6, N)
    whole = pd.DataFrame(
        {
            "code": code,
            "shelf": code % 7,
            "begun": begun.astype("datetime64[s]"),
            "ended": (begun + rng.integers(0, 100, N)).astype("datetime64[s]"),
            "a": rng.normal(size=N) / 3,
            "label": ["x", "y"] * (N // 2),
        }
    )
    whole["b"] = whole["a"] + rng.random(N)
    said = {"code, shelf": "together", "begun, ended": "ordered", "a, b": "ordered"}
    data = open_data(whole, kinds=said)
    form = data.form.fitted(data.read())
    at = {column.name: place for place, column in enumerate(form.columns)}
    free = TableForm(form.columns, form.dtype, form.container)
    rows, plain = (of.decode(form.encode(data.read())) for of in (form, free))
    exact = [at[name] for name in ("code", "shelf")]
    assert (rows[:, exact] == data.read()[:, exact]).all()
    unbroken = (plain[:, at["begun"]] <= plain[:, at["ended"]]) & (plain[:, at["a"]] <= plain[:, at["b"]])
    assert unbroken.mean() > 0.9
    np.testing.assert_array_equal(rows[unbroken], plain[unbroken])


def test_numbers_of_many_values_that_go_together_follow_the_nearest_one() -> None:
    rng = np.random.default_rng(0)
    article = np.repeat(np.sort(rng.choice(10_000, 100, replace=False)), 3)
    whole = pd.DataFrame({"article": article, "shelf": article % 11, "label": ["x", "y", "x"] * 100})
    data = open_data(whole, kinds={"article, shelf": "together"})
    form = data.form.fitted(data.read())
    rows = form.decode(torch.rand((2000, *form.encoded), generator=torch.Generator().manual_seed(0)) * 2 - 1)
    assert {tuple(row) for row in rows.tolist()} <= {tuple(row) for row in data.read().tolist()}
    assert len(np.unique(rows[:, 0])) > 80  # not the most frequent one for all that fit none


def test_combinations_that_would_give_rows_away_are_refused() -> None:
    rng = np.random.default_rng(0)
    whole = pd.DataFrame(
        {"zip": rng.integers(0, 10**4, N), "kids": rng.integers(0, 9, N), "label": ["x", "y"] * (N // 2)}
    )
    with pytest.raises(InvalidData, match="most rows have a combination that no other one has"):
        open_data(whole, kinds={"zip, kids": "together"})


def test_dates_of_two_units_and_integers_of_two_types_are_ordered() -> None:
    rng = np.random.default_rng(0)
    day = (np.datetime64("2024-01-01") + rng.integers(0, 300, N)).astype("datetime64[us]")
    whole = pd.DataFrame(
        {
            "day": day,
            "second": day + rng.integers(0, 10**6, N).astype("timedelta64[s]"),
            "few": rng.integers(0, 100, N).astype("int16"),
            "label": ["x", "y"] * (N // 2),
        }
    )
    whole["many"] = (whole["few"] + rng.integers(0, 9, N)).astype("float64")
    whole.loc[3, "many"] = np.nan
    data = open_data(whole, kinds={"day, second": "ordered", "few, many": "ordered", "many": "integer"})
    maker = synthaug.fit(data, steps=20, progress=False)
    bigger = synthaug.expand(data, maker, to="2x", progress=False)
    made = bigger[bigger["synthetic"]]
    assert not (made["day"] > made["second"]).any()
    assert not (made["few"] > made["many"]).any()


def test_a_generator_that_was_not_told_does_not_expand_what_is_said_to_be_ordered() -> None:
    plain = synthaug.fit(frame(), steps=5, progress=False)
    with pytest.raises(SpecMismatch, match=r'"low", "high" are ordered, which the generator was not told'):
        synthaug.expand(opened(), plain, to="2x", progress=False)
