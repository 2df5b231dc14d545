"""The sampler for scikit-learn: real rows as they were, the same share in every class, nothing at predict time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numbered import CLASSES, is_synthetic, number, pictures, pool
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier

from synthaug import Classes, ImageForm, linear
from synthaug.errors import (
    InvalidData,
    InvalidRequest,
    Leakage,
    SpecMismatch,
    SynthaugWarning,
    UnsupportedKind,
)
from synthaug.generators import Selection
from synthaug.mixing import Supply
from synthaug.mixing.sklearn import SyntheticRows
from synthaug.modalities.image import fingerprints
from synthaug.testing import planted_generator


def generator(**known):
    made = planted_generator(CLASSES, (0, 1, 2), ImageForm(8, 8, 1, "HW", "uint8", 0.0, 255.0))
    return replace(made, **known)


def rows(n=60):
    return pictures(n), np.arange(n) % 3


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.6])
def test_every_real_row_stays_and_each_class_gets_its_share_of_its_own_rows(ratio):
    X, y = rows()
    sampler = SyntheticRows(pool(), ratio=ratio)
    more, labels = sampler.fit_resample(X, y)
    assert (more[:60] == X).all()
    assert labels[:60].tolist() == y.tolist()
    made = more[60:]
    assert sampler.synthetic_.tolist() == [False] * 60 + [True] * len(made)
    assert all(
        is_synthetic(x) and (number(x) - 10_000) % 3 == k for x, k in zip(made, labels[60:], strict=True)
    )
    due = 20 * ratio / (1 - ratio)
    assert np.abs(np.bincount(labels[60:], minlength=3) - due).max() < 1


def test_in_replace_a_row_gives_way_to_one_of_its_class():
    X, y = rows()
    sampler = SyntheticRows(pool(), ratio=0.25, mode="replace")
    mixed, labels = sampler.fit_resample(X, y)
    assert labels.tolist() == y.tolist()
    assert sampler.synthetic_.tolist() == [is_synthetic(x) for x in mixed]
    assert np.bincount(y[sampler.synthetic_]).tolist() == [5, 5, 5]
    assert (mixed[~sampler.synthetic_] == X[~sampler.synthetic_]).all()


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64"])
@pytest.mark.parametrize("flat", [False, True])
def test_the_shape_and_dtype_of_x_are_kept_and_labels_may_be_strings(dtype, flat):
    X, y = rows()
    X = X.reshape(60, -1 if flat else 8, *(() if flat else (8,))).astype(dtype)
    names = np.array(CLASSES)[y]
    named = replace(pool(), classes=Classes(CLASSES, CLASSES), labels=np.array(CLASSES * 5))
    more, labels = SyntheticRows(named, ratio=0.25).fit_resample(X, names.tolist())
    assert (more.dtype, more.shape[1:]) == (X.dtype, X.shape[1:])
    assert (more[:60] == X).all()
    assert set(labels) == set(names)
    assert [more[60:].dtype, len(more)] == [X.dtype, len(labels)]


def test_a_generator_is_asked_for_as_many_rows_as_are_due_and_none_comes_twice():
    X, y = rows()
    keep = (y != 1) | (np.arange(60) < 30)
    due = {"cat": 20, "dog": 4, "owl": 0}
    source = generator(kept=Selection(0, {name: np.arange(n) for name, n in due.items()}))  # has no more
    more, labels = SyntheticRows(source, ratio={"cat": 0.5, "dog": 0.25}).fit_resample(X[keep], y[keep])
    made = [x.tobytes() for x in more[keep.sum() :]]
    assert len(set(made)) == len(made)
    whole = source.sample(due)
    known = {x.tobytes(): k for x, k in zip(whole.samples, whole.labels, strict=True)}
    assert [known[x] for x in made] == labels[keep.sum() :].tolist()
    added = np.bincount(labels[keep.sum() :], minlength=3).tolist()
    assert added[0] == 20
    assert added[1] in (3, 4)
    assert added[2] == 0


def test_a_function_makes_rows_for_what_is_being_fitted():
    given = []

    def make(X, y):
        given.append((X, y))
        return generator() if len(given) > 1 else pool()

    sampler = SyntheticRows(make, ratio=0.5)
    for n in (30, 60):
        assert sampler.fit_resample(*rows(n))[0].shape[0] == 2 * n
    assert [len(X) for X, _ in given] == [30, 60]


def test_it_is_cloned_and_configured_like_any_estimator_and_has_no_part_in_prediction():
    sampler = clone(SyntheticRows(pool(), ratio=0.5, mode="replace", seed=4)).set_params(seed=5)
    assert {k: v for k, v in sampler.get_params().items() if k != "source"} == {
        "ratio": 0.5,
        "mode": "replace",
        "seed": 5,
    }
    results = [clone(sampler).set_params(seed=seed).fit_resample(*rows())[0] for seed in (5, 5, 6)]
    assert (results[0] == results[1]).all()
    assert (results[0] != results[2]).any()
    # What a pipeline of imbalanced-learn skips outside of fit.
    assert not any(hasattr(sampler, name) for name in ("transform", "fit_transform", "predict"))


def test_an_estimator_is_fitted_on_the_result():
    X, y = SyntheticRows(pool(), ratio=0.25).fit_resample(*rows())
    model = KNeighborsClassifier(1).fit(X.reshape(len(X), -1), y)
    assert model.predict(pool().samples.reshape(15, -1)).tolist() != []
    assert len(model._fit_X) == 80


def test_ratio_zero_changes_nothing():
    X, y = rows()
    same, labels = SyntheticRows(pool(), ratio=0).fit_resample(X, y)
    assert (same == X).all()
    assert (labels == y).all()


@pytest.mark.parametrize(
    ("sampler", "data", "error", "message"),
    [
        (SyntheticRows(pool(), ratio=1), rows(), InvalidRequest, "below 1"),
        (SyntheticRows(pool(), ratio={"cow": 0.5}), rows(), InvalidRequest, "names the class 'cow'"),
        (SyntheticRows(pool(), ratio=linear(0.5, 0, epochs=2)), rows(), InvalidRequest, "fitted once"),
        (SyntheticRows(pool()), (rows()[0], rows()[1][:5]), InvalidData, "60 rows and y 5"),
        (SyntheticRows(pool()), (rows()[0] / 255, rows()[1]), SpecMismatch, "before what scales"),
        (SyntheticRows(pool()), (rows()[0][:, :7], rows()[1]), SpecMismatch, "8x8"),
        (SyntheticRows(pool()), (rows()[0], rows()[1] + 1), InvalidRequest, 'hold no row of "3"'),
        (SyntheticRows(5), rows(), UnsupportedKind, "type int was given"),
        (SyntheticRows("pool.npz"), rows(), InvalidData, "there is no file or folder pool.npz"),
        (SyntheticRows(pool()), (rows()[0], np.eye(3)[rows()[1]]), UnsupportedKind, "soft and multi-hot"),
    ],
)
def test_what_cannot_be_mixed_is_refused(sampler, data, error, message):
    with pytest.raises(error, match=message):
        sampler.fit_resample(*data)


@pytest.mark.parametrize("form", [lambda X: X, lambda X: X.reshape(60, -1).astype("int64")])
def test_rows_that_are_held_out_are_refused(form):
    X, y = rows()
    known = replace(pool(), held_out=fingerprints(X[[33]], "HW"))
    with pytest.raises(Leakage, match="first is row 33"):
        SyntheticRows(known).fit_resample(form(X), y)


def test_a_generator_that_has_seen_the_rows_of_other_folds_is_warned_of():
    X, y = rows()
    source = generator(trained_on=fingerprints(X, "HW"))
    SyntheticRows(source).fit_resample(X, y)
    with pytest.warns(SynthaugWarning, match=r"trained on 15 rows that are not in X.*function of X and y"):
        SyntheticRows(source).fit_resample(X[:45], y[:45])
    SyntheticRows(lambda X, y: source).fit_resample(X[:45], y[:45])
    SyntheticRows(source).fit_resample(255 - X, y)


class Plan:
    """What a choice came to, as far as mixing asks."""

    def __init__(self, supply):
        self.supply = lambda: supply


def test_a_plan_brings_its_share_and_one_for_no_rows_changes_nothing():
    X, y = rows()
    sampler = SyntheticRows(Plan(Supply(generator(), share=0.5, fixed_share=0.5)))
    more, _ = sampler.fit_resample(X, y)
    assert sampler.synthetic_.sum() == len(more) - len(X) == len(X)
    none = SyntheticRows(Plan(Supply(None)))
    same, labels = none.fit_resample(X, y)
    assert same is X or np.array_equal(same, X)
    assert list(labels) == list(y)
    assert not none.synthetic_.any()


@pytest.mark.parametrize("mode", ["append", "replace"])
def test_a_data_frame_comes_back_with_its_columns_names_and_dtypes(mode):
    images, labels = rows()
    frame = pd.DataFrame(images.reshape(len(images), -1), index=range(100, 100 + len(images)))
    frame.columns = [f"pixel {k}" for k in range(frame.shape[1])]
    frame["pixel 0"] = frame["pixel 0"].astype("int16")
    target = pd.Series(pd.Categorical(labels), name="kind", index=frame.index)
    sampler = SyntheticRows(pool(), ratio=0.5, mode=mode)
    X, y = sampler.fit_resample(frame, target)
    assert list(X.columns) == list(frame.columns)
    assert X.dtypes.equals(frame.dtypes)
    assert y.name == "kind"
    assert y.dtype == target.dtype
    assert len(X) == len(y) == (2 if mode == "append" else 1) * len(frame)
    real = np.flatnonzero(~sampler.synthetic_)
    kept = np.arange(len(frame)) if mode == "append" else real
    assert X.iloc[real].to_numpy().tolist() == frame.iloc[kept].to_numpy().tolist()
    assert y.iloc[real].tolist() == target.iloc[kept].tolist()
    same, _ = SyntheticRows(pool(), ratio=0.0).fit_resample(frame, target)
    assert isinstance(same, pd.DataFrame)


def test_what_other_samplers_call_their_share_points_to_ratio():
    with pytest.raises(InvalidRequest, match=r"sampling_strategy='minority' .*ratio=\{.*to=\"balance\""):
        SyntheticRows(pool(), sampling_strategy="minority")
    with pytest.raises(TypeError, match="no argument 'k_neighbors'"):
        SyntheticRows(pool(), k_neighbors=3)
    assert clone(SyntheticRows(pool(), seed=3)).get_params()["seed"] == 3
