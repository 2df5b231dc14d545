import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from synthaug import Classes
from synthaug.data import parse_counts, parse_to, resolve_counts, rows_to_add
from synthaug.errors import InvalidRequest

CLASSES = Classes(("cat", "dog", "owl"), (7, 3, 5))
PRESENT = {"cat": 10, "dog": 3, "owl": 7}


def test_one_number_is_meant_for_every_class():
    assert resolve_counts(2, CLASSES) == {"cat": 2, "dog": 2, "owl": 2}


def test_the_order_of_the_request_is_kept():
    assert list(resolve_counts({"owl": 1, "cat": 2}, CLASSES).items()) == [("owl", 1), ("cat", 2)]


@pytest.mark.parametrize("key", ["dog", 3, "3", np.int64(3), np.str_("dog")])
def test_a_class_is_known_by_its_name_and_by_its_own_label(key):
    assert resolve_counts({key: 4}, CLASSES) == {"dog": 4}


def test_a_name_wins_over_the_text_of_another_label():
    assert resolve_counts({"1": 4}, Classes(("1", "0"), (0, 1))) == {"1": 4}


def test_a_bool_is_not_the_label_one():
    assert resolve_counts({True: 4}, Classes(("False", "True"), (False, True))) == {"True": 4}
    with pytest.raises(InvalidRequest, match="no class True"):
        resolve_counts({True: 4}, Classes(("0", "1"), (0, 1)))
    with pytest.raises(InvalidRequest, match="no class 1"):
        resolve_counts({1: 4}, Classes(("False", "True"), (False, True)))


@pytest.mark.parametrize("number", [5, 5.0, np.int32(5), np.float32(5)])
def test_whole_numbers_of_any_type_are_taken(number):
    assert resolve_counts({"cat": number}, CLASSES) == {"cat": 5}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"cta": 1}, r'no class \'cta\'\. Did you mean "cat"\?'),
        ({9: 1}, r'no class 9\. Known: "cat", "dog", "owl"'),
        ({"cat": 1, 7: 1}, 'class "cat" twice'),
        ({"cat": -1}, r'class "cat" is -1\. Give 0 or more'),
        ({"cat": 1.5}, r'class "cat" is 1\.5\. Give a whole number'),
        ({"cat": True}, 'class "cat" is True'),
        ({"cat": np.True_}, 'class "cat" is np.True_'),
        ({"cat": "many"}, "class \"cat\" is 'many'"),
        (True, "rows per class is True"),
        ("100", "rows per class is '100'"),
        (-3, "rows per class is -3"),
        (0, "0 rows in total"),
        ({}, "0 rows in total"),
        ({"cat": 0}, "0 rows in total"),
        (float("nan"), "Give a whole number"),
    ],
)
def test_what_cannot_be_met_is_refused_in_words(request_, said):
    with pytest.raises(InvalidRequest, match=said):
        resolve_counts(request_, CLASSES)


def test_classes_with_no_row_are_left_out():
    assert resolve_counts({"cat": 0, "dog": 1}, CLASSES) == {"dog": 1}


present_counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 500), min_size=1)


@given(present_counts, st.integers(101, 900))
def test_a_multiple_brings_every_class_within_half_a_row_of_it(present, percent):
    try:
        added = rows_to_add(f"{percent / 100}x", present)
    except InvalidRequest:
        added = {}
    for name, n in present.items():
        assert abs(2 * (100 * (n + added.get(name, 0)) - n * percent)) <= 100


@given(present_counts)
def test_balance_brings_every_class_to_the_largest(present):
    if len(set(present.values())) == 1:
        with pytest.raises(InvalidRequest, match="Nothing to add"):
            rows_to_add("balance", present)
    else:
        added = rows_to_add("balance", present)
        assert {n + added.get(name, 0) for name, n in present.items()} == {max(present.values())}


@given(present_counts, st.integers(0, 900))
def test_a_number_fills_classes_up_to_it_and_leaves_the_others(present, least):
    if all(n >= least for n in present.values()):
        with pytest.raises(InvalidRequest, match="Nothing to add"):
            rows_to_add(least, present)
    else:
        added = rows_to_add(least, present)
        assert rows_to_add(str(least), present) == rows_to_add(parse_to(f" {least}"), present) == added
        assert {n + added.get(name, 0) for name, n in present.items()} <= {least, *present.values()}
        assert all(n + added.get(name, 0) >= least for name, n in present.items())


@given(present_counts)
def test_log_is_between_what_is_there_and_balance_and_keeps_the_order_of_classes(present):
    most = max(present.values())
    try:
        added = rows_to_add("log", present)
    except InvalidRequest:
        added = {}
    totals = {name: n + added.get(name, 0) for name, n in present.items()}
    assert all(present[name] <= total <= most for name, total in totals.items())
    assert sorted(present, key=lambda name: (present[name], name)) == sorted(
        present, key=lambda name: (totals[name], present[name], name)
    )
    exact = {name: most * math.log(1 + n) / math.log(1 + most) for name, n in present.items()}
    assert all(abs(totals[name] - exact[name]) <= 0.5 or totals[name] == present[name] for name in present)


def test_mappings_and_functions_give_final_totals():
    assert rows_to_add({"dog": 5}, PRESENT) == {"dog": 2}
    assert rows_to_add({3: 5}, PRESENT, CLASSES) == {"dog": 2}
    assert rows_to_add(lambda present: {k: n + 1 for k, n in present.items()}, PRESENT) == dict.fromkeys(
        PRESENT, 1
    )


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ({"cat": 9}, r'"cat" to 9 \(has 10\).*final totals'),
        ("0.5x", r'"cat" to 5 \(has 10\)'),
        ("1x", "Nothing to add"),
        ({"cat": 10}, "Nothing to add"),
        ({"cow": 10}, "no class 'cow'"),
        ({"cat": -1}, "Give 0 or more"),
        ("twice", r'Cannot expand to \'twice\'.*"2x".*"balance"'),
        (2, r'Nothing to add.*are "2x", for one; 2 are so many rows'),
        (lambda present: 1, "Nothing to add"),
        (lambda present: "all", "Cannot expand to 'all'"),
        (2.5, "Give a whole number"),
    ],
)
def test_totals_that_cannot_be_met_are_refused_in_words(to, said):
    with pytest.raises(InvalidRequest, match=said):
        rows_to_add(to, PRESENT)


def test_multiples_are_exact_in_decimal():
    assert rows_to_add("1.1x", {"a": 10}) == {"a": 1}
    assert rows_to_add("1.15x", {"a": 100}) == {"a": 15}


@given(
    st.dictionaries(
        st.text(st.characters(blacklist_characters='"\r\n', blacklist_categories=["Cs"])).map(str.strip),
        st.integers(0, 999),
        min_size=1,
    )
)
def test_any_names_can_be_written_on_the_command_line(counts):
    text = ",".join(f'"{name}={n}"' for name, n in counts.items())
    assert parse_counts(text) == counts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cat", "Write NAME=NUMBER"),
        ("cat=", "Write NAME=NUMBER"),
        ("cat=1.5", "Write NAME=NUMBER"),
        ("cat=1,cat=2", '"cat" twice'),
        ("", "Write"),
        ('"cat=1', "Cannot read the counts"),
    ],
)
def test_text_that_is_no_count_is_refused_in_words(text, said):
    with pytest.raises(InvalidRequest, match=said):
        parse_counts(text)


@pytest.mark.parametrize("text", ["2x", "1.5x", "balance"])
def test_totals_on_the_command_line(text):
    assert parse_to(text) == text
    assert parse_to("cat=500") == {"cat": 500}
    with pytest.raises(InvalidRequest, match="Write a multiple such as 2x"):
        parse_to("double")
