"""A class is known by its name and by its label, and which classes of two data sets are the same is no guess."""

import pickle

import numpy as np
import pytest
from hypothesis import given, strategies as st

from synthaug import Classes
from synthaug.errors import InvalidRequest

ANIMALS = Classes(("cat", "dog", "owl"), (7, 3, 5))


def by_name(*names):
    """The classes of a data set that has names as labels, as a folder has."""
    return Classes(names, names)


def by_label(*labels):
    """The classes of a data set that has labels and no names for them."""
    return Classes(tuple(map(str, labels)), labels)


def test_many_classes_show_themselves_in_a_line() -> None:
    many = Classes(tuple(map(str, range(1000))), tuple(range(1000)))
    assert len(repr(many)) < 160
    few = Classes(("a", "b"), (0, 1))
    assert eval(repr(few)) == few


def test_classes_are_the_sequence_of_their_names():
    assert len(ANIMALS) == 3
    assert list(ANIMALS) == ["cat", "dog", "owl"]
    assert (ANIMALS[1], ANIMALS[-1], ANIMALS[:2]) == ("dog", "owl", ("cat", "dog"))
    assert "dog" in ANIMALS
    assert "cow" not in ANIMALS
    assert 3 not in ANIMALS
    assert ANIMALS.index("owl") == 2


def test_classes_are_equal_by_names_labels_and_order():
    assert Classes(("cat", "dog", "owl"), (7, 3, 5)) == ANIMALS
    assert len({ANIMALS, Classes(("cat", "dog", "owl"), (7, 3, 5)), by_name("cat", "dog", "owl")}) == 2
    assert Classes(("dog", "cat", "owl"), (3, 7, 5)) != ANIMALS
    assert Classes(("cat", "dog", "owl"), (7, 3, 6)) != ANIMALS


def test_classes_survive_being_sent_after_use():
    assert ANIMALS.find(3) == 1
    again = pickle.loads(pickle.dumps(ANIMALS))
    assert again == ANIMALS
    assert again.find(3) == 1


@pytest.mark.parametrize(
    ("labels", "names", "values"),
    [
        ((3, 1, 3, -2, 10), ("-2", "1", "3", "10"), (-2, 1, 3, 10)),
        (("b", "a", "b"), ("a", "b"), ("a", "b")),
        ((True, False, True), ("False", "True"), (False, True)),
    ],
)
def test_the_classes_of_bare_labels_are_sorted_and_called_by_them(labels, names, values):
    classes = Classes.of_labels(labels)
    assert (classes.names, classes.values) == (names, values)
    assert [type(value) for value in classes.values] == [type(value) for value in values]


# ------------------------------------------------------------------------------------------------- one class


def test_a_label_is_found_by_its_value_and_type_alone():
    assert [ANIMALS.find(label) for label in (7, 3, 5)] == [0, 1, 2]
    assert ANIMALS.find(1) is None
    assert ANIMALS.find("dog") is None
    assert ANIMALS.find("3") is None
    assert by_name("cat", "dog").find("dog") == 1


def test_a_label_one_is_not_true():
    assert by_label(0, 1).find(True) is None
    assert by_label(False, True).find(1) is None
    assert by_label(False, True).find(True) == 1


@pytest.mark.parametrize("key", ["dog", np.str_("dog"), 3, "3", np.int64(3), np.uint8(3)])
def test_a_class_has_one_position_by_name_label_and_the_text_of_its_label(key):
    assert ANIMALS.position(key) == 1
    assert ANIMALS.name_of(key) == "dog"


def test_a_name_wins_over_the_text_of_another_label():
    swapped = Classes(("1", "0"), (0, 1))
    assert (swapped.position("1"), swapped.position("0")) == (0, 1)
    assert (swapped.position(1), swapped.position(0)) == (1, 0)
    assert (swapped.name_of("1"), swapped.name_of(1)) == ("1", "0")


def test_a_bool_is_no_number_and_a_number_no_bool():
    truth = by_label(False, True)
    for key in (True, np.True_, "True"):
        assert truth.position(key) == 1
    for classes, key in (
        (truth, 1),
        (truth, np.int64(0)),
        (by_label(0, 1), True),
        (by_label(0, 1), np.True_),
    ):
        with pytest.raises(InvalidRequest, match="There is no class"):
            classes.position(key)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("dgo", r"There is no class 'dgo'\. Did you mean \"dog\"\?"),
        (9, r'There is no class 9\. Known: "cat", "dog", "owl"\.'),
        (None, "There is no class None"),
        ("", "There is no class ''"),
    ],
)
def test_a_class_that_is_not_there_is_refused_with_the_closest(key, said):
    for ask in (ANIMALS.position, ANIMALS.name_of):
        with pytest.raises(InvalidRequest, match=said):
            ask(key)


# ------------------------------------------------------------------------------------------ of two data sets


@pytest.mark.parametrize(
    ("ours", "theirs", "places"),
    [
        # Both have names: these decide, whatever the labels are.
        (Classes(("cat", "dog"), (0, 1)), Classes(("dog", "cat"), (0, 1)), (1, 0)),
        (Classes(("cat", "dog"), (0, 1)), Classes(("owl", "dog", "cat"), (0, 5, 9)), (None, 1, 0)),
        # One has labels alone, of the type of the other's: equal labels are the same.
        (Classes(("cat", "dog"), (0, 1)), by_label(1, 0), (1, 0)),
        (Classes(("cat", "dog"), (0, 1)), by_label(1, 2), (1, None)),
        (by_label(0, 1), Classes(("cat", "dog"), (1, 0)), (1, 0)),
        (Classes(("No", "Yes"), (False, True)), by_label(True, False), (1, 0)),
        # Both have labels alone.
        (by_label(3, 1), by_label(1, 2, 3), (1, None, 0)),
        (by_name("cat", "dog"), by_name("dog", "owl"), (1, None)),
        # A folder and positions with names for them: what one has as labels the other has as names.
        (by_name("cat", "dog"), Classes(("dog", "owl"), (0, 1)), (1, None)),
        (Classes(("dog", "owl"), (0, 1)), by_name("cat", "dog"), (None, 0)),
        # A folder whose classes are called by numbers, and numbers.
        (by_name("0", "1"), by_label(1, 0), (1, 0)),
        (by_label(0, 1), by_name("1", "2"), (1, None)),
        # A bool is not the label 1.
        (by_label(False, True), by_label(0, 1), (None, None)),
        (Classes(("No", "Yes"), (False, True)), by_label(0, 1), (None, None)),
        (by_name("cat"), Classes((), ()), ()),
    ],
)
def test_the_same_classes_of_another_data_set_are_found(ours, theirs, places):
    assert ours.match(theirs) == places


labels_ = st.one_of(
    *(st.lists(kind, unique=True, max_size=6) for kind in (st.integers(-9, 99), st.text(max_size=3)))
)


@st.composite
def classes_(draw):
    labels = tuple(draw(labels_))
    names = st.lists(st.text(max_size=3), min_size=len(labels), max_size=len(labels), unique=True)
    return Classes(tuple(draw(names)) if draw(st.booleans()) else tuple(map(str, labels)), labels)


@given(classes_(), st.permutations(range(6)))
def test_classes_match_themselves_in_any_order(classes, permutation):
    order = [i for i in permutation if i < len(classes)]
    other = Classes(tuple(classes[i] for i in order), tuple(classes.values[i] for i in order))
    assert classes.match(other) == classes.require_same(other, "these", "those") == tuple(order)


@given(classes_(), classes_())
def test_matching_is_one_to_one_and_alike_from_both_sides(ours, theirs):
    there, back = ours.match(theirs), theirs.match(ours)
    assert (len(there), len(back)) == (len(theirs), len(ours))
    pairs = {(place, i) for i, place in enumerate(there) if place is not None}
    assert pairs == {(i, place) for i, place in enumerate(back) if place is not None}
    assert len(pairs) == len({ours for ours, _ in pairs})


def test_the_same_classes_are_given_as_positions():
    assert ANIMALS.require_same(by_label(5, 7, 3), "the data set", "the generator") == (2, 0, 1)
    assert ANIMALS.require_same(ANIMALS, "the data set", "the generator") == (0, 1, 2)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (by_name("cat", "dog"), 'the generator lacks none, the data set lacks "owl"'),
        (by_name("cat", "dog", "owl", "cow"), 'the generator lacks "cow", the data set lacks none'),
        (by_name("owl", "cow", "dog"), 'the generator lacks "cow", the data set lacks "cat"'),
        (by_label(0, 7), 'the generator lacks "0", the data set lacks "dog", "owl"'),
    ],
)
def test_classes_that_one_side_lacks_are_refused_by_name(other, said):
    with pytest.raises(
        InvalidRequest, match=rf"The classes of the data set are not those of the generator: {said}\. Use one"
    ):
        ANIMALS.require_same(other, "the data set", "the generator")
