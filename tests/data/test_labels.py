"""What labels may be, and what is done about those that are missing, doubtful, or not among the training rows."""

import warnings

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, strategies as st

import synthaug
from synthaug import Classes, SynthaugWarning, open_data
from synthaug.data import ItemFields, label_like, plain_label, training_and_held_out
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind

N = 24
PICTURES = np.random.Generator(np.random.Philox(0)).integers(0, 256, (N, 9, 11), dtype=np.uint8)


def opened(labels, **said):
    return open_data((PICTURES, labels), **said)


def given_back(data):
    return [data.classes.values[k] for k in data.labels]


# ------------------------------------------------------------------------------------------ kinds of labels

KINDS = {
    "ints": ([3, 7] * 12, (3, 7), ("3", "7")),
    "whole floats": ([0.0, 1.0] * 12, (0.0, 1.0), ("0", "1")),
    "a float tensor": (torch.tensor([0.0, 1.0] * 12), (0.0, 1.0), ("0", "1")),
    "half precision": (np.array([1, 2] * 12, np.float16), (1.0, 2.0), ("1", "2")),
    "(N, 1) ints": (np.array([[3], [7]] * 12), (3, 7), ("3", "7")),
    "(N, 1) floats": (torch.tensor([[0.0], [1.0]] * 12), (0.0, 1.0), ("0", "1")),
    "lists of one": ([[3], [7]] * 12, (3, 7), ("3", "7")),
    "arrays of one": ([np.array([3]), np.array([7])] * 12, (3, 7), ("3", "7")),
    "a series": (pd.Series([3, 7] * 12, index=range(5, 29)), (3, 7), ("3", "7")),
    "a nullable series": (pd.Series([3, 7] * 12, dtype="Int64"), (3, 7), ("3", "7")),
    "a categorical series": (pd.Series(["a", "b"] * 12, dtype="category"), ("a", "b"), ("a", "b")),
    "bools": (np.array([True, False] * 12), (False, True), ("False", "True")),
    "a masked array without masked ones": (np.ma.array([3, 7] * 12), (3, 7), ("3", "7")),
    "text of any length": (["a", "b" * 99] * 12, ("a", "b" * 99), ("a", "b" * 99)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_every_kind_are_taken_and_given_back_as_they_are(kind):
    labels, values, names = KINDS[kind]
    data = opened(labels)
    assert (data.classes.values, data.classes.names) == (values, names)
    assert [type(value) for value in data.classes.values] == [type(value) for value in values]
    flat = np.asarray(labels).reshape(-1).tolist()
    assert given_back(data) == flat
    assert data.counts == dict.fromkeys(names, 12)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "a masked array without masked ones"])
def test_a_larger_set_has_labels_of_the_same_type_dtype_and_shape(kind):
    labels = KINDS[kind][0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)
        generator = synthaug.fit((PICTURES, labels), steps=1, progress=False)
        _, larger = synthaug.expand((PICTURES, labels), generator, to="2x")
    assert type(larger) is type(labels)
    if hasattr(labels, "dtype"):
        assert larger.dtype == labels.dtype
        assert larger.shape == (2 * N, *labels.shape[1:])
    else:
        assert [(type(label), np.shape(label)) for label in larger] == [
            (type(labels[0]), np.shape(labels[0]))
        ] * len(larger)
    assert np.array_equal(np.asarray(larger)[:N], np.asarray(labels))
    assert sorted(np.asarray(larger)[N:].reshape(-1).tolist()) == sorted(
        np.asarray(labels).reshape(-1).tolist()
    )


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30))
def test_ints_and_whole_floats_make_the_same_classes_but_keep_their_type(labels):
    ints, floats = Classes.of_labels(labels), Classes.of_labels(map(float, labels))
    assert ints.names == floats.names
    assert all(type(value) is float for value in floats.values)
    assert ints.match(floats) == floats.match(ints) == tuple(range(len(ints)))
    for label in labels:
        assert (
            ints.find(label)
            == ints.find(float(label))
            == floats.position(label)
            == floats.position(str(label))
        )


def test_named_classes_meet_whole_floats():
    named = Classes(("cat", "dog"), (0, 1))
    assert named.match(Classes.of_labels([1.0, 0.0])) == (0, 1)
    assert named.find(1.0) == 1
    assert named.find(True) is None


@pytest.mark.parametrize(
    ("like", "label", "expected"),
    [
        (3, 7.0, 7),
        (0.0, 1, 1.0),
        ([3], 7, [7]),
        ((3,), 7, (7,)),
        (np.array([3]), 7, np.array([7])),
        (np.float32(0), 1, np.float32(1)),
        (torch.tensor([0.0]), 1.0, torch.tensor([1.0])),
        (torch.tensor(0), 1.0, torch.tensor(1)),
        ("a", "bb", "bb"),
        (True, False, False),
    ],
)
def test_a_label_takes_the_place_of_another_in_its_form(like, label, expected):
    found = label_like(label, like)
    assert type(found) is type(expected)
    assert getattr(found, "dtype", None) == getattr(expected, "dtype", None)
    assert np.array_equal(found, expected)


def test_a_float_label_is_mixed_as_a_float():
    x, y = torch.rand(N, 1, 12, 12), torch.tensor([0.0, 1.0] * 12)
    samples = synthaug.fit((x, y.int()), steps=1, progress=False).sample(8)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=8)
    for transform in (lambda q: q, None):
        try:
            batches = list(synthaug.mix(loader, samples, ratio={0: 0.25, 1.0: 0.5}, transform=transform))
        except synthaug.errors.SpecMismatch:  # a generator of one step is no match for its rows
            continue
        assert all(labels.dtype == torch.float32 for _, labels in batches)


# ---------------------------------------------------------------------------------------- missing, doubtful


@pytest.mark.parametrize(
    "missing",
    [None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), np.ma.masked],
)
def test_a_missing_label_is_refused_by_row(missing):
    labels = ["a", "b"] * 12
    labels[5] = missing
    with pytest.raises(InvalidData, match="row 5: a missing label was found; give every row a class"):
        opened(labels)


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series([0, 1, None] * 8, dtype="Int64"),
        pd.Series(["a", "b", None] * 8, dtype="string"),
        pd.Series(["a", "b", None] * 8, dtype="category"),
        pd.Series([0, 1, None] * 8),
        np.ma.array([0, 1, 2] * 8, mask=[False, False, True] * 8),
        np.array([0.0, 1.0, np.nan] * 8),
        torch.tensor([0.0, 1.0, float("nan")] * 8),
    ],
)
def test_missing_labels_in_series_and_arrays_are_refused_by_row(labels):
    with pytest.raises(InvalidData, match="row 2: a missing label was found"):
        opened(labels)


@pytest.mark.parametrize("text", ["nan", "NaN", "None", "null", "<NA>", "NaT", ""])
def test_a_class_that_is_called_like_a_missing_label_is_warned_of(text):
    data = opened(["a", "b", text] * 8)
    with pytest.warns(SynthaugWarning, match=f'there is a class "{text}": are these rows without a label'):
        data.check()
    left = opened(["a", "b", text] * 8, leave_out=[text])
    left.check()
    assert left.counts == {"a": 8, "b": 8}


@pytest.mark.parametrize(
    ("labels", "warned"),
    [
        ([0, 1, -1], True),
        ([0.0, 1.0, -1.0], True),
        ([-1, 1], False),
        ([-2, -1, 0, 1], False),
        ([5, -1, 7], False),
    ],
)
def test_minus_one_beside_zero_is_warned_of(labels, warned):
    data = opened((labels * N)[:N])
    if not warned:
        data.check()
        return
    with pytest.warns(SynthaugWarning, match='there is a class "-1" beside 0.*--leave-out'):
        data.check()


@pytest.mark.parametrize(
    "labels", [["none", "crack"], ["NA", "EU"], ["unknown", "known"], ["normal", "nanny"]]
)
def test_names_that_mean_something_are_not_warned_of(labels):
    opened(labels * 12).check()


def test_a_picture_under_two_labels_is_warned_of_with_the_first_pair():
    pictures = np.concatenate([PICTURES, PICTURES[4:7], PICTURES[:2]])
    labels = ["a", "b"] * 12 + ["b", "a", "b"] + ["a", "b"]  # rows 24 to 26 differ, 27 and 28 agree
    data = open_data((pictures, labels))
    message = (
        r'3 pictures of arrays are there under two labels, the first as row 4 \("a"\) and row 24 \("b"\)'
    )
    with pytest.warns(SynthaugWarning, match=message):
        data.check()
    one = data.take(np.setdiff1d(np.arange(29), [25, 26]))
    with pytest.warns(SynthaugWarning, match="1 picture of arrays is there under two labels"):
        one.check()
    data.take(np.setdiff1d(np.arange(29), [24, 25, 26])).check()


def test_copies_under_one_label_are_no_matter():
    open_data((np.concatenate([PICTURES, PICTURES]), ["a", "b"] * 24)).check()


def test_few_rows_of_many_classes_are_listed_up_to_ten():
    labels = [f"c{k:02}" for k in range(12)] * 2
    with pytest.warns(SynthaugWarning, match=r'few images of "c00" \(2\), .*"c09" \(2\) and 2 more: below'):
        opened(labels).check()


# --------------------------------------------------------------------------------------------- left-out classes


def test_a_class_of_one_row_names_the_option_that_leaves_it_out():
    labels = ["a", "b"] * 11 + ["a", "it's 9"]
    with pytest.raises(
        InvalidData, match=r"has one image.*leave_out=\[\"it's 9\"\].*--leave-out 'it'\"'\"'s 9'"
    ):
        opened(labels).check()
    data = opened(labels, leave_out=["it's 9"])
    data.check()
    assert data.counts == {"a": 12, "b": 11}
    assert data.reading.left_out == {'class "it\'s 9"': 1}
    assert len(data) + sum(data.reading.left_out.values()) == N


SOURCES = {
    "arrays": lambda y: (PICTURES, np.array(y)),
    "tensors": lambda y: (torch.tensor(PICTURES), torch.tensor(y)),
    "lists": lambda y: (list(PICTURES), y),
    "pairs": lambda y: list(zip(PICTURES, y, strict=True)),
    "hugging face": lambda y: datasets.Dataset.from_dict(
        {"image": PICTURES, "label": y},
        features=datasets.Features(
            {"image": datasets.Array2D((9, 11), "uint8"), "label": datasets.Value("int64")}
        ),
    ),
    "map-style": lambda y: torch.utils.data.TensorDataset(torch.tensor(PICTURES), torch.tensor(y)),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_rows_of_a_left_out_class_are_in_no_way_there(kind):
    y = [0, 1, 2] * 8
    data = open_data(SOURCES[kind](y), leave_out=[1])
    kept = np.flatnonzero(np.array(y) != 1)
    assert (data.classes.names, data.classes.values) == (("0", "2"), (0, 2))
    assert np.array_equal(data.read(), PICTURES[kept])
    assert given_back(data) == [y[row] for row in kept]
    assert [data.name(0), data.name(1)] == ["row 0", "row 2"]
    again = open_data(data.source)
    assert (len(again), again.classes) == (len(kept), data.classes)
    assert np.array_equal(again.read(), PICTURES[kept])


def test_a_larger_set_in_memory_has_no_row_of_a_class_that_was_left_out():
    data = open_data((PICTURES, [0, 1, 2] * 8), leave_out=["1"])
    generator = synthaug.fit(data, steps=1, progress=False)
    x, y = synthaug.expand(data, generator, to="2x")
    assert len(x) == len(y) == 32
    assert set(y) == {0, 2}
    assert np.array_equal(x[:16], data.read())


def test_no_class_is_left_to_train_on():
    with pytest.raises(InvalidData, match='has a single class, "b"; at least two are needed'):
        opened(["a", "b"] * 12, leave_out=["a"]).check()
    with pytest.raises(InvalidData, match="arrays holds no rows of a class that is not left out"):
        opened(["a", "b"] * 12, leave_out=["a", "b"])


@pytest.mark.parametrize(
    ("leave_out", "said"),
    [
        (["z"], "There is no class 'z'"),
        ("a", r"it is a list of classes: leave_out=\['a'\]"),
        (3, "it is a list"),
    ],
)
def test_what_cannot_be_left_out_is_refused(leave_out, said):
    with pytest.raises(InvalidRequest, match=said):
        opened(["a", "b"] * 12, leave_out=leave_out)


def test_classes_are_left_out_where_a_set_is_opened_first():
    with pytest.raises(InvalidRequest, match=r"belongs? where (it|the data set) is opened first"):
        open_data(opened(["a", "b"] * 12), leave_out=["a"])


# -------------------------------------------------------------------------------------------- held-out splits


def parts(train, test, names=None):
    """A saved set of two splits with these labels."""
    kind = datasets.ClassLabel(names=names) if names else None
    made, start = {}, 0
    for name, labels in (("train", train), ("test", test)):
        features = datasets.Features(
            {
                "image": datasets.Array2D((9, 11), "uint8"),
                "label": kind or datasets.Value("string" if isinstance(train[0], str) else "int64"),
            }
        )
        rows = {"image": PICTURES[start : start + len(labels)], "label": labels}
        made[name] = datasets.Dataset.from_dict(rows, features=features)
        start += len(labels)
    return datasets.DatasetDict(made)


HELD_OUT = {
    "a class that only the test split has": (["a", "b"] * 6, ["a", "b", "c"] * 2, None, 4, 2),
    "no label in the test split": ([0, 1] * 6, [-1] * 6, ["a", "b"], 0, 6),
    "missing labels in the test split": (["a", "b"] * 6, [None] * 6, None, 0, 6),
    "some without a label": ([0, 1] * 6, [0, -1, 1], ["a", "b"], 2, 1),
}


@pytest.mark.parametrize("case", HELD_OUT)
def test_training_rows_decide_the_classes_and_what_is_left_out_is_counted(case):
    train, test, names, kept, gone = HELD_OUT[case]
    with pytest.warns(
        SynthaugWarning, match=rf"held-out rows of .* \({gone} of test\) have no label, or one that"
    ):
        data = open_data(parts(train, test, names))
    assert data.classes.names == ("a", "b")
    assert (data.splits == "test").sum() == kept
    assert sum(data.reading.left_out.values()) == gone
    assert len(data) + gone == len(train) + len(test)
    rows, held_out = training_and_held_out(data)
    rows.check()
    assert np.array_equal(rows.read(), PICTURES[: len(train)])
    # what has no class is held out all the same
    expected = opened([0] * N).fingerprints()[len(train) :][: len(test)]
    assert sorted(held_out.fingerprints()) == sorted(expected)
    assert len(held_out.detached()) == len(test)


def test_training_rows_that_are_copies_of_test_rows_without_a_label_are_left_out():
    source = parts([0, 1] * 6, [-1] * 6, ["a", "b"])
    twice = datasets.concatenate_datasets(
        [source["train"], source["test"].map(lambda row: row | {"label": 1})]
    )
    with pytest.warns(SynthaugWarning, match="have no label"):
        data = open_data(datasets.DatasetDict(train=twice, test=source["test"]))
    with pytest.warns(SynthaugWarning, match="6 training rows of .* are copies of held-out rows"):
        rows, _ = training_and_held_out(data)
    assert np.array_equal(rows.read(), PICTURES[:12])
    with pytest.warns(SynthaugWarning, match="copies of held-out rows"):
        generator = synthaug.fit(data, steps=1, progress=False)
    assert set(opened([0] * N).fingerprints()[12:18]) <= set(generator.held_out)


def test_other_splits_of_a_larger_set_in_memory_stay_as_they_are():
    source = parts([0, 1] * 6, [-1] * 6, ["a", "b"])
    with pytest.warns(SynthaugWarning, match="left out"):
        data = open_data(source)
    generator = synthaug.fit(data, steps=1, progress=False)
    larger = synthaug.expand(data, generator, to="2x")
    assert larger["test"]["label"] == source["test"]["label"]
    assert len(larger["train"]) == 24


def test_a_test_split_of_fewer_classes_is_read_as_it_is():
    data = open_data(parts(["a", "b", "c"] * 4, ["a"] * 3))
    assert data.counts == {"a": 7, "b": 4, "c": 4}
    assert data.reading.left_out == {}


def test_labels_of_training_rows_have_to_be_there():
    with pytest.raises(
        InvalidData, match="row 1 of train has the label -1, which is none of the 2 named classes"
    ):
        open_data(parts([0, -1] * 6, [0, 1] * 3, ["a", "b"]))


def test_without_a_split_to_train_on_all_rows_decide():
    both = parts(["a", "b"] * 6, ["a", "c"] * 3)
    source = datasets.DatasetDict({"validation": both["train"], "test": both["test"]})
    assert open_data(source).classes.names == ("a", "b", "c")
    with pytest.warns(SynthaugWarning, match="6 of validation"):
        found = open_data(source, train_split="test").classes.names
    assert found == ("a", "c")


# ------------------------------------------------------------------------------------------- fields of an item

PICTURE = PICTURES[0]
REFUSED = {
    "a hospital": ((PICTURE, 1, "ill"), r"the label: 1 \(int\), 2 \(str\)\. Name it with label=.*label=2"),
    "an index first": ((7, PICTURE, 1), r"the label: 0 \(int\), 2 \(int\)\. Name it with label="),
    "an index last": ((PICTURE, 1, 7), r"the label: 1 \(int\), 2 \(int\)"),
    "a float label": ((PICTURE, 7, 1.0), r"the label: 1 \(int\), 2 \(float\)"),
    "tensors": ((PICTURE, torch.tensor(1), torch.tensor([2])), "the label: 1"),
    "a dict": (
        {"image": PICTURE, "sex": 1, "grade": 3},
        r"the label: 'sex' \(int\), 'grade' \(int\).*label='grade'",
    ),
    "two pictures": ((PICTURE, PICTURE, 1), r"the image: 0 \(ndarray\), 1 \(ndarray\)\. Name it with image="),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_two_fields_may_be_is_refused_with_the_option_that_decides(case):
    item, said = REFUSED[case]
    with pytest.raises(InvalidData, match=f"several fields of an item may be {said}"):
        open_data([item] * 4)


TAKEN = {
    "a path": ((PICTURE, 1, "scan/7.PNG"), 1),
    "a path before": ((PICTURE, "7.jpeg", 1), 2),
    "a weight": ((PICTURE, 1, 0.5), 1),
    "a box": ((PICTURE, 1, np.array([1, 2, 3, 4])), 1),
    "more about it": ((PICTURE, {"id": 3}, 1), 2),
    "a usual name": ({"image": PICTURE, "sex": 0, "label": 1}, "label"),
    "label first": ((1, PICTURE), 0),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_one_field_alone_can_be_is_taken(case):
    item, key = TAKEN[case]
    assert ItemFields.of(item).label == key
    assert ItemFields.of(item).label_of(item) == 1


def test_the_option_that_decides_is_taken():
    items = [(PICTURES[row], row // 3 % 2, ["ill", "well"][row % 2]) for row in range(N)]
    assert open_data(items, label=2).classes.names == ("ill", "well")
    assert open_data(items, label=1).classes.names == ("0", "1")
    numbered = [(row, PICTURES[row], row % 2) for row in range(N)]
    assert open_data(numbered, label=2).classes.names == ("0", "1")
    two = [(PICTURES[row], PICTURES[-row], row % 2) for row in range(N)]
    assert np.array_equal(open_data(two, image=0).read(), PICTURES)


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"label": "good", "review": "a good film"}, "the field 'review' of an item is text, 'a good film'"),
        (("scans/7.png", 1), "where it is the path of an image, open that first"),
        (("a good film", 1), "the field 0 of an item is text, 'a good film'.*text is not supported yet"),
        (
            (np.zeros((2, 3, 4, 5)), 1),
            r"the field 0 of an item has the shape \(2, 3, 4, 5\).*signals and videos are not supported yet",
        ),
        ((torch.zeros(5, 3, 16, 16), 1), r"the field 0 of an item has the shape \(5, 3, 16, 16\)"),
        (
            ({"image": PICTURE}, 1),
            "the field 0 of an item holds several fields with an image among them.*hand out the image itself",
        ),
        (([PICTURE, PICTURE], 1), "the field 0 of an item holds several fields with an image among them"),
    ],
)
def test_items_of_other_kinds_are_refused_by_what_they_are(item, said):
    with pytest.raises(UnsupportedKind, match=said):
        open_data([item] * 4)


# ---------------------------------------------------------------------------------------------------- names


class Named(torch.utils.data.Dataset):
    def __init__(self, classes, start=0):
        self.classes, self.start = classes, start

    def __len__(self):
        return 6

    def __getitem__(self, row):
        return PICTURES[self.start + row], row % 2


def test_parts_that_agree_on_names_give_them():
    joined = torch.utils.data.ConcatDataset([Named(["cat", "dog"]), Named(["cat", "dog"], 6)])
    for source in (
        joined,
        torch.utils.data.Subset(joined, range(12)),
        torch.utils.data.ConcatDataset([joined]),
    ):
        assert open_data(source).classes == Classes(("cat", "dog"), (0, 1))


@pytest.mark.parametrize("other", [["dog", "cat"], ["cat", "owl"], ["cat", "dog", "owl"]])
def test_parts_that_disagree_on_names_are_warned_of(other):
    joined = torch.utils.data.ConcatDataset([Named(["cat", "dog"]), Named(other, 6)])
    with pytest.warns(
        SynthaugWarning, match="the parts of the data set ConcatDataset call their labels differently"
    ):
        assert open_data(joined).classes.names == ("0", "1")


def test_positions_that_are_floats_have_the_names_of_the_set():
    source = Named(["cat", "dog"])
    source.__class__ = type(
        "Floats", (Named,), {"__getitem__": lambda self, row: (PICTURES[row], float(row % 2))}
    )
    assert open_data(source).classes == Classes(("cat", "dog"), (0.0, 1.0))


@pytest.mark.parametrize("label", [0.5, float("inf"), np.float32(1.25), [1, 2], (0.0, 1.0), [], b"a"])
def test_what_is_no_class_is_no_label(label):
    with pytest.raises(UnsupportedKind):
        plain_label(label)
