"""Parts of a data set never share a picture or a group, and hold every class in its share."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from synthaug import open_data
from synthaug.data import part, require_disjoint, split_names, stratified, training_rows
from synthaug.errors import InvalidRequest, Leakage


def pictures(n, seed=0):
    return np.random.Generator(np.random.Philox(seed)).integers(0, 256, (n, 8, 8), dtype=np.uint8)


def labelled(labels, groups=None, copies=None):
    """Rows with these labels; row i shows the picture of row ``copies[i]``."""
    images = pictures(len(labels))
    return open_data((images if copies is None else images[copies], np.asarray(labels)), group=groups)


def with_splits(tmp_path, **splits):
    names = np.array(["train"] * 6 + ["test"] * 4)
    np.savez(tmp_path / "set.npz", X=pictures(10), y=np.arange(10) % 2, split=names)
    return open_data(tmp_path / "set.npz", **splits)


labels_ = st.lists(st.integers(0, 3), min_size=2, max_size=60)
fractions_ = st.sampled_from([(0.5, 0.5), (0.8, 0.2), (0.1, 0.9), (0.6, 0.2, 0.2)])


def parts_of(data, shares, seed=0):
    return list(stratified(data, {str(i): share for i, share in enumerate(shares)}, seed).values())


@settings(max_examples=50, deadline=None)
@given(labels_, fractions_, st.integers(0, 5))
def test_every_row_is_in_one_part_and_every_class_shared_out_to_within_one_row(labels, shares, seed):
    data = labelled(labels)
    parts = parts_of(data, shares, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    totals = np.bincount(data.labels)
    for rows, share in zip(parts, shares, strict=True):
        assert (np.diff(rows) > 0).all()
        found = np.bincount(data.labels[rows], minlength=len(totals))
        assert (np.abs(found - share * totals) <= 1 + 1e-9).all()
    assert (np.bincount(data.labels[parts[0]], minlength=len(totals))[totals >= 2] >= 1).all()


@settings(max_examples=50, deadline=None)
@given(st.data(), labels_, fractions_)
def test_groups_and_equal_pictures_are_never_separated(draw, labels, shares):
    n = len(labels)
    numbers = st.lists(st.integers(0, n - 1), min_size=n, max_size=n)
    groups, copies = np.array(draw.draw(numbers)), np.array(draw.draw(numbers))
    data = labelled(labels, groups, copies)
    parts = parts_of(data, shares)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    for i, a in enumerate(parts):
        for b in parts[i + 1 :]:
            assert not set(groups[a]) & set(groups[b])
            assert not set(copies[a]) & set(copies[b])
            require_disjoint(data.take(a), data.take(b), "the parts")


@settings(max_examples=30, deadline=None)
@given(st.data(), labels_, fractions_)
def test_a_class_of_two_groups_is_in_the_first_part(draw, labels, shares):
    groups = np.array(draw.draw(st.lists(st.integers(0, 9), min_size=len(labels), max_size=len(labels))))
    first = parts_of(labelled(labels, groups), shares)[0]
    for label in set(labels):
        if len(set(groups[np.array(labels) == label])) >= 2:
            assert label in np.array(labels)[first]


def test_many_small_groups_keep_the_share_of_every_class():
    groups = np.arange(400) // 4
    labels = (groups % 3).astype(int)
    data = labelled(labels, groups)
    first, second = parts_of(data, (0.75, 0.25))
    for label in range(3):
        share = (labels[first] == label).sum() / (labels == label).sum()
        assert abs(share - 0.75) < 0.04
    assert len(second) == pytest.approx(100, abs=8)


def test_the_seed_decides_the_parts():
    data = labelled([0, 1] * 20)
    one, again, other = (parts_of(data, (0.5, 0.5), seed)[0].tolist() for seed in (3, 3, 4))
    assert one == again
    assert one != other


@pytest.mark.parametrize(
    "fractions", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": 1.0, "b": 0.0}, {"a": float("nan")}]
)
def test_fractions_that_are_no_shares_of_a_whole_are_refused(fractions):
    with pytest.raises(InvalidRequest, match="must be above 0 and add up to 1"):
        stratified(labelled([0, 1]), fractions, 0)


def test_a_part_is_named_by_the_splits_of_the_source(tmp_path):
    data = with_splits(tmp_path)
    assert split_names(data) == ("train", "test")
    assert len(training_rows(data)) == len(part(data, "train")) == 6
    assert len(training_rows(with_splits(tmp_path, train_split="test"))) == 4
    assert part(data, "test").name(0) == data.name(6)
    with pytest.raises(InvalidRequest, match=r'has no split "tset". Did you mean "test"'):
        part(data, "tset")


def test_without_splits_everything_is_for_training():
    data = labelled([0, 1, 0])
    assert split_names(data) == ()
    assert training_rows(data) is data
    assert part(data, "train") is data
    with pytest.raises(InvalidRequest, match=r'arrays has no split "test". It has no splits'):
        part(data, "test")


def test_a_shared_picture_is_named():
    data = labelled([0, 1] * 3, copies=[0, 1, 2, 3, 2, 5])
    with pytest.raises(
        Leakage, match="training and test rows overlap: row 2 and row 4 are the same picture; keep"
    ):
        require_disjoint(data.take([0, 1, 2]), data.take([3, 4, 5]), "training and test rows")
    require_disjoint(data.take([0, 1, 2, 4]), data.take([3, 5]), "training and test rows")


def test_a_shared_group_is_named():
    data = labelled([0, 1] * 3, groups=["p1", "p2", "p3", "p3", "p2", "p4"])
    with pytest.raises(Leakage, match=r'overlap: group "p2" is on both sides \(and 1 more\)'):
        require_disjoint(data.take([0, 1, 2]), data.take([3, 4, 5]), "training and test rows")


def test_a_picture_is_recognised_in_another_layout_and_dtype():
    images = pictures(6)
    raw = open_data((images, [0, 1] * 3))
    scaled = open_data((images[3:, None].astype(np.float32) / 255, [0, 1, 0]))
    with pytest.raises(Leakage, match=r"row 3 and row 0 are the same picture \(and 2 more\)"):
        require_disjoint(raw, scaled, "the two sets")
