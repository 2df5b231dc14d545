"""Synthetic rows in scikit-learn: real rows as they were, the same share in every class, nothing at predict time."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from numbered import CLASSES, is_synthetic, number, pictures, pool
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from synthaug import Classes, ImageForm, linear, open_data
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
from synthaug.mixing.sklearn import AugmentedClassifier, SyntheticRows, added_rows
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
    own = sampler.get_params()
    assert [own[name] for name in ("ratio", "mode", "seed")] == [0.5, "replace", 5]
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
        (SyntheticRows(pool()), (rows()[0], 1 - np.eye(3)[rows()[1]]), InvalidData, "Multilabel"),
        (SyntheticRows(pool()), (rows()[0], rows()[1] / 10), InvalidData, "Unknown label type: continuous"),
        (SyntheticRows(pool()), (rows()[0], np.zeros(60, int)), InvalidData, "y has 1 class only"),
        (SyntheticRows(pool()), (rows()[0], pd.Series([0, "1"] * 30)), InvalidData, "several types"),
        (SyntheticRows(pool()), (csr_array(np.eye(60)), rows()[1]), UnsupportedKind, r"X\.toarray\(\)"),
        (SyntheticRows(pool(), ratio=0.5, sampling_strategy="all"), rows(), InvalidRequest, "both given"),
        (
            SyntheticRows(pool(), sampling_strategy="all", mode="replace"),
            rows(),
            InvalidRequest,
            "adds no rows",
        ),
        (SyntheticRows(pool(), steps=5), rows(), InvalidRequest, "steps= says how a generator is trained"),
        (SyntheticRows("cvae", steps=0), rows(), InvalidRequest, "at least 1"),
        (SyntheticRows("cvae", ratio=1.5), rows(), InvalidRequest, "below 1"),
        (SyntheticRows("cvae", ratio={"cow": 0.5}), rows(), InvalidRequest, "names the class 'cow'"),
        (SyntheticRows("cvae", mode="prepend"), rows(), InvalidRequest, "mode 'prepend'"),
        (SyntheticRows("cvae", ratio=linear(0.5, 0, epochs=2)), rows(), InvalidRequest, "fitted once"),
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


QUICK = {"source": "cvae", "steps": 2, "options": {"batch_size": 8}}
few_rows = pytest.mark.filterwarnings("ignore::synthaug.errors.SynthaugWarning")


@few_rows
@parametrize_with_checks(
    [
        SyntheticRows(**QUICK),
        SyntheticRows(**QUICK, sampling_strategy="auto"),
        AugmentedClassifier(LogisticRegression(), **QUICK, ratio=0.1),
        AugmentedClassifier(DecisionTreeClassifier(random_state=0), **QUICK, ratio=0.1),
        AugmentedClassifier(LogisticRegression(), ratio=0),
    ]
)
def test_every_check_of_scikit_learn_holds(estimator, check):
    check(estimator)


@few_rows
@pytest.mark.parametrize("chosen", [{}, {"sampling_strategy": "auto"}, {"mode": "replace"}])
def test_every_check_of_imbalanced_learn_for_samplers_holds(chosen):
    checks = pytest.importorskip("imblearn.utils.estimator_checks")
    # They are skipped where sampler and library do not know each other, so their number is looked at.
    found = list(checks.estimator_checks_generator(SyntheticRows(**QUICK, **chosen)))
    assert len(found) >= 15
    for estimator, check in found:
        check(estimator)


@few_rows
def test_every_check_of_imbalanced_learn_for_classifiers_holds():
    checks = pytest.importorskip("imblearn.utils.estimator_checks")
    classifier = AugmentedClassifier(LogisticRegression(max_iter=2000), **QUICK, ratio=0.1)
    found = list(checks.estimator_checks_generator(classifier))
    assert len(found) >= 2
    for estimator, check in found:
        check(estimator)


@few_rows
def test_a_pipeline_of_imbalanced_learn_resamples_in_fit_alone():
    pipeline = pytest.importorskip("imblearn.pipeline")
    X, y = vectors(80)
    steps = [
        ("rows", SyntheticRows(**QUICK, ratio=0.5)),
        ("scale", StandardScaler()),
        ("knn", KNeighborsClassifier(1)),
    ]
    model = pipeline.Pipeline(steps).fit(X, y)
    assert model[-1].n_samples_fit_ == 160
    assert model.predict(X).tolist() == y.tolist()
    assert GridSearchCV(model, {"rows__ratio": [0, 0.2]}, cv=2).fit(X, y).best_score_ > 0.9


def vectors(n=60, seed=0):
    rng = np.random.default_rng(seed)
    y = np.array(["cat", "dog"])[(np.arange(n) % 4 == 0).astype(int)]
    return rng.normal(size=(n, 3)) + 6 * (y == "dog")[:, None], y


def table(n=60, seed=0):
    """A frame of every kind of column that is taken, with an index of its own, and labels."""
    rng = np.random.default_rng(seed)
    gaps, days = rng.random(n) < 0.2, rng.integers(0, 300, n)
    frame = pd.DataFrame(
        {
            "float": rng.normal(size=n),
            "float32 with gaps": np.where(gaps, np.nan, rng.normal(size=n)).astype(np.float32),
            "int": rng.integers(0, 50, n),
            "int8": rng.integers(0, 50, n).astype(np.int8),
            "Int64": pd.array(np.where(gaps, None, days), dtype="Int64"),
            "category": pd.Categorical(
                rng.choice(["a", "b"], n), categories=["b", "a", "never"], ordered=True
            ),
            "numbers as category": pd.Categorical(rng.choice([3, 1, 2], n)),
            "text": rng.choice(["x", "y"], n),
            "objects with gaps": pd.Series(rng.choice(["u", "v"], n), dtype=object).where(~gaps, None),
            "bool": rng.random(n) < 0.5,
            "boolean": pd.array(np.where(gaps, None, days % 2 == 0), dtype="boolean"),
            "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(days, "h"),
            "zone with gaps": pd.Series(
                pd.Timestamp("2020-01-01", tz="Europe/Berlin") + pd.to_timedelta(days, "h")
            ).where(~gaps),
            "day": [date(2020, 1, 1) + timedelta(int(day)) for day in days],
            "sparse": pd.arrays.SparseArray(rng.integers(0, 2, n).astype(float), fill_value=0),
        }
    )
    frame.index = range(100, 100 + n)
    kinds = pd.Categorical(np.where(np.arange(n) % 3 == 0, "yes", "no"))
    return frame, pd.Series(kinds, name="answer", index=frame.index)


@few_rows
@pytest.mark.parametrize(
    "chosen",
    [{"ratio": 0.5}, {"ratio": 0.3, "mode": "replace"}, {"sampling_strategy": "auto"}, {"ratio": 0.0}],
)
def test_a_table_keeps_the_dtypes_and_order_of_its_columns_and_every_real_row(chosen):
    frame, y = table()
    sampler = SyntheticRows("cvae", steps=5, **chosen)
    more, labels = sampler.fit_resample(frame, y)
    pd.testing.assert_series_equal(more.dtypes, frame.dtypes)
    assert (labels.name, labels.dtype) == (y.name, y.dtype)
    real = np.flatnonzero(~sampler.synthetic_)
    kept = real if chosen.get("mode") == "replace" else np.arange(len(frame))
    pd.testing.assert_frame_equal(
        more.iloc[real].reset_index(drop=True), frame.iloc[kept].reset_index(drop=True)
    )
    assert labels.iloc[real].tolist() == y.iloc[kept].tolist()
    assert sampler.feature_names_in_.tolist() == list(frame.columns)
    made = more[sampler.synthetic_]
    for name in frame:
        assert not made[name].isna().any() or frame[name].isna().any(), name
    assert set(made["category"]) <= {"a", "b"}
    assert Counter(labels[sampler.synthetic_]) == sampler.sampling_strategy_ or not len(made)


@few_rows
def test_where_each_row_came_from_is_kept_and_it_can_be_made_again():
    X, y = vectors()
    sampler = SyntheticRows(**QUICK, ratio=0.25, seed=3)
    more, labels = sampler.fit_resample(X, y)
    told = sampler.provenance_
    assert {len(column) for column in told.values()} == {len(more)}
    assert (
        told["synthetic"].tolist() == sampler.synthetic_.tolist() == [False] * 60 + [True] * (len(more) - 60)
    )
    for row in np.flatnonzero(sampler.synthetic_):
        name, index = str(told["class"][row]), int(told["index"][row])
        again = sampler.generator_.sample_rows(name, index, index + 1, seed=int(told["seed"][row]))
        assert np.array_equal(again.samples[0], more[row])
        assert name == labels[row]
    assert set(told["generator"][sampler.synthetic_]) == {sampler.generator_.fingerprint}
    assert sampler.generator_.trained_on.tolist() == open_data((X, y)).fingerprints().tolist()


counted = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 30), min_size=2)


@given(counted, st.sampled_from(["auto", "not majority", "minority", "not minority", "all"]))
def test_a_word_fills_the_classes_it_names_up_to_the_largest(counts, word):
    added = added_rows(word, counts, np.empty(0))
    after = {label: n + added.get(label, 0) for label, n in counts.items()}
    assert all(after[label] == max(counts.values()) for label in added)
    left_out = {"all": 0, "minority": len(counts) - 1}.get(word, 1)
    assert len(counts) - len(added) == left_out
    smallest, largest = min(counts.values()), max(counts.values())
    assert {counts[label] for label in counts if label not in added} <= {
        "not minority": {smallest},
        "minority": set(counts.values()),
    }.get(word, {largest})


@given(counted, st.integers(0, 20))
def test_totals_are_met_exactly_and_a_function_gives_the_same_as_they_do(counts, more):
    label = min(counts)
    totals = {label: counts[label] + more}
    assert (
        added_rows(totals, counts, np.empty(0))
        == added_rows(lambda y: totals, counts, np.empty(0))
        == {label: more}
    )


@few_rows
@pytest.mark.parametrize(
    "strategy", ["auto", "minority", "not minority", "all", 0.8, {"dog": 31}, lambda y: {"cat": 46}]
)
def test_our_strategies_are_those_of_imbalanced_learn(strategy):
    theirs = pytest.importorskip("imblearn.utils").check_sampling_strategy
    X, y = vectors()
    sampler = SyntheticRows(**QUICK, sampling_strategy=strategy)
    _, labels = sampler.fit_resample(X, y)
    assert sampler.sampling_strategy_ == dict(theirs(strategy, y, "over-sampling"))
    assert Counter(labels[60:]) == Counter(sampler.sampling_strategy_)
    assert sampler.fit(X, y).sampling_strategy_ == dict(theirs(strategy, y, "over-sampling"))


@pytest.mark.parametrize("source", [pool(), generator()])
def test_totals_are_met_from_samples_and_from_a_generator_and_samples_are_used_evenly(source):
    X, y = rows()
    sampler = SyntheticRows(source, sampling_strategy={k: 32 for k in range(3)})
    more, labels = sampler.fit_resample(X, y)
    assert np.bincount(labels).tolist() == [32, 32, 32]
    assert (more[:60] == X).all()
    used = Counter(x.tobytes() for x in more[60:])
    assert set(used.values()) == ({2, 3} if source is not None and hasattr(source, "samples") else {1})


def test_filling_up_the_rarer_classes_only_is_warned_of_and_the_same_for_all_is_not():
    X, y = rows()
    keep = (y != 1) | (np.arange(60) < 30)
    with pytest.warns(
        SynthaugWarning, match=r"looks synthetic.*6\.2 points.*class_weight='balanced'.*ratio=0\.25"
    ):
        SyntheticRows(pool(), sampling_strategy="auto").fit_resample(X[keep], y[keep])
    SyntheticRows(pool(), sampling_strategy="auto").fit_resample(X, y)
    SyntheticRows(pool(), sampling_strategy={0: 25, 1: 25, 2: 25}).fit_resample(X, y)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("majority", "not taken away"),
        ("minorty", 'Did you mean "minority"'),
        (0.5, "for 3 classes"),
        ({0: 5}, "asks for 5 rows of the class 0, which has 20"),
        ({7: 50}, "names the class 7"),
        ({0: 25.5}, "whole numbers"),
        ([0, 1], "a function of y"),
    ],
)
def test_a_strategy_that_is_none_is_refused_in_fit_too(strategy, message):
    sampler = SyntheticRows(pool(), sampling_strategy=strategy)
    for call in (sampler.fit, sampler.fit_resample):
        with pytest.raises(InvalidRequest, match=message):
            call(*rows())


def test_a_class_that_samples_lack_cannot_be_filled_up():
    X, y = rows()
    with pytest.raises(InvalidRequest, match=r'rows were asked for of "3"'):
        SyntheticRows(pool(), sampling_strategy={3: 30, 1: 30, 2: 30}).fit_resample(X, y + 1)


def test_held_out_rows_are_refused_whatever_the_share_is_called():
    X, y = rows()
    known = replace(pool(), held_out=fingerprints(X[[33]], "HW"))
    with pytest.raises(Leakage, match="first is row 33"):
        SyntheticRows(known, sampling_strategy={k: 30 for k in range(3)}).fit_resample(X, y)


@few_rows
def test_a_table_generator_of_other_columns_is_refused():
    frame, y = table()
    source = SyntheticRows("cvae", steps=2)
    source.fit_resample(frame, y)
    made = source.generator_
    assert len(SyntheticRows(made).fit_resample(frame[frame.columns[::-1]], y)[0]) == 80
    for other, message in [
        (frame.assign(more=1.0), 'columns "more"'),
        (frame.drop(columns="int"), 'no column "int"'),
        (np.zeros((60, 15)), "X is an array"),
    ]:
        with pytest.raises(SpecMismatch, match=message):
            SyntheticRows(made).fit_resample(other, y)


@few_rows
def test_levels_that_one_side_does_not_have_are_kept():
    frame, y = table()
    source = SyntheticRows("cvae", steps=2)
    source.fit_resample(frame, y)
    fewer = frame.assign(category=pd.Categorical(["b"] * 60), text=["new"] * 60)
    more, _ = SyntheticRows(source.generator_, ratio=0.5).fit_resample(fewer, y)
    assert set(more["category"]) == {"a", "b"}
    assert set(more["text"]) == {"new", "x", "y"}
    assert not more["category"].isna().any()


@few_rows
def test_fit_says_what_will_be_added_without_training_anything():
    X, y = vectors()
    assert SyntheticRows("cvae", ratio=0.5).fit(X, y).sampling_strategy_ == {"cat": 45, "dog": 15}
    assert SyntheticRows("cvae", ratio={"dog": 0.5}, minutes=9).fit(X, y).sampling_strategy_ == {
        "cat": 0,
        "dog": 15,
    }


class Watched(AugmentedClassifier):
    """Keeps what its generators were trained on, fold by fold."""

    def fit(self, X, y):
        super().fit(X, y)
        Watched.known.append(set(self.sampler_.generator_.trained_on.tolist()))
        return self


@few_rows
@pytest.mark.parametrize("of", [vectors, table])
def test_no_row_that_a_score_is_computed_on_was_seen_by_a_generator(of):
    X, y = of(72)
    prints = open_data((X if isinstance(X, np.ndarray) else X.astype({"sparse": float}), y)).fingerprints()
    assert len(set(prints.tolist())) == len(y)
    numbers = (
        StandardScaler()
        if of is vectors
        else make_column_transformer(
            (StandardScaler(), ["float", "int"]),
            (OneHotEncoder(), make_column_selector(dtype_include="category")),
        )
    )
    model = Watched(make_pipeline(numbers, LogisticRegression()), **QUICK, ratio=0.25)
    Watched.known, folds = [], StratifiedKFold(3)
    found = cross_validate(make_pipeline(FunctionTransformer(), model), X, y, cv=folds, return_indices=True)
    assert len(Watched.known) == 3
    assert not np.isnan(found["test_score"]).any()
    for seen, train, test in zip(Watched.known, *found["indices"].values(), strict=True):
        assert seen == set(prints[train].tolist())
        assert not seen & set(prints[test].tolist())


def test_without_synthetic_rows_it_is_the_classifier_alone():
    X, y = vectors(100)
    X[::5] *= -1
    plain = LogisticRegression().fit(X, y)
    for nothing in ({"ratio": 0}, {"ratio": {"cat": 0.0}}):
        model = AugmentedClassifier(LogisticRegression(), **nothing).fit(X, y)
        assert model.sampler_ is None
        assert np.array_equal(model.estimator_.coef_, plain.coef_)
        assert np.array_equal(model.predict_proba(X), plain.predict_proba(X))
    assert model.fit(csr_array(X), y).score(csr_array(X), y) == model.score(X, y)


@few_rows
def test_a_search_over_the_share_finds_what_each_share_is_worth_and_the_best_is_pickled():
    X, y = vectors()
    model = AugmentedClassifier(KNeighborsClassifier(1), **QUICK)
    search = GridSearchCV(model, {"ratio": [0, 0.2, 0.5], "estimator__n_neighbors": [1, 3]}, cv=2).fit(X, y)
    assert len(search.cv_results_["params"]) == 6
    assert search.best_params_["ratio"] == 0  # the first of equals
    kept = pickle.loads(pickle.dumps(clone(model).set_params(ratio=0.5).fit(X, y)))
    assert kept.sampler_.synthetic_.sum() == len(X)
    assert kept.estimator_.n_samples_fit_ == 120
    assert kept.predict(X).tolist() == y.tolist()


def test_what_the_estimator_inside_cannot_do_neither_can_the_whole():
    has = AugmentedClassifier(KNeighborsClassifier())
    assert hasattr(has, "predict_proba")
    assert not hasattr(has, "decision_function")
    assert not hasattr(has, "classes_")


def test_the_classifier_takes_images_and_rows_that_were_made_before():
    X, y = rows()
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    model = AugmentedClassifier(make_pipeline(flat, KNeighborsClassifier(1)), pool(), ratio=0.25).fit(X, y)
    assert model.estimator_[-1].n_samples_fit_ == 80
    assert model.predict(X).tolist() == y.tolist()
    images = SyntheticRows("warp", steps=1, ratio=0.5)
    more, _ = images.fit_resample(X, y)
    assert (more.shape, more.dtype) == ((120, 8, 8), np.uint8)


def test_rows_that_the_classifier_does_not_take_are_refused_before_anything_is_trained():
    X, y = vectors()
    X[3, 1] = np.nan
    called = []
    model = AugmentedClassifier(LogisticRegression(), lambda X, y: called.append(1))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.fit(X, y)
    assert not called


def test_a_class_of_one_row_cannot_be_learned_and_the_message_names_it():
    X, y = vectors()
    y[0] = "owl"
    with pytest.raises(InvalidData, match='class "owl" of arrays has one row'):
        AugmentedClassifier(LogisticRegression(), **QUICK).fit(X, y)
