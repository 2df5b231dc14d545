"""A classifier that is fitted on real rows and on synthetic ones made of these alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import Tags, assert_all_finite, column_or_1d, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from synthaug.mixing.plan import Mode
from synthaug.mixing.schedule import Ratio
from synthaug.mixing.sklearn.given import Targets, is_frame
from synthaug.mixing.sklearn.sampler import SyntheticRows, asks_for_none
from synthaug.mixing.sklearn.strategy import Strategy


def _has(name: str) -> Callable[[AugmentedClassifier], bool]:
    """Whether the estimator inside has a method; its own error says why it does not."""

    def found(own: AugmentedClassifier) -> bool:
        getattr(getattr(own, "estimator_", own.estimator), name)
        return True

    return found


class AugmentedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Any classifier of scikit-learn, fitted on the rows it is given and on synthetic ones of the same classes.

    Synthetic rows are made in ``fit`` and nowhere else, of the rows that ``fit`` is given: in ``cross_val_score`` and
    ``GridSearchCV`` those of a fold, so that no row that a score is computed on can leak into it. With ``ratio=0`` it
    is the classifier alone, which is how a search finds out whether synthetic rows help at all.

    Args:
        estimator: the classifier, or a pipeline that ends in one; steps that scale or encode belong inside.
        source, ratio, sampling_strategy, mode, options, steps, minutes, device, seed: as in `SyntheticRows`. A source
            that was made before of other rows can leak, which is warned of.

    Attributes:
        estimator_: the fitted classifier.
        sampler_: the `SyntheticRows` that were used, with their provenance and generator; None with ``ratio=0``.
        classes_: the labels, as ``estimator_`` has them.
        n_features_in_, feature_names_in_: as ``estimator_`` has them.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.model_selection import GridSearchCV
        >>> rng = np.random.default_rng(0)
        >>> y = np.arange(60) % 2
        >>> X = rng.normal(size=(60, 2)) + 3 * y[:, None]
        >>> model = AugmentedClassifier(LogisticRegression(), "cvae", steps=2)
        >>> search = GridSearchCV(model, {"ratio": [0, 0.2]}, cv=2).fit(X, y)
        >>> bool(search.score(X, y) > 0.9)
        True
    """

    estimator_: Any
    sampler_: SyntheticRows | None

    def __init__(
        self,
        estimator: Any,
        source: Any = "cvae",
        *,
        ratio: Ratio | None = None,
        sampling_strategy: Strategy | None = None,
        mode: Mode = "append",
        options: Mapping[str, Any] | None = None,
        steps: int | None = None,
        minutes: float | None = None,
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.estimator = estimator
        self.source = source
        self.ratio = ratio
        self.sampling_strategy = sampling_strategy
        self.mode = mode
        self.options = options
        self.steps = steps
        self.minutes = minutes
        self.device = device
        self.seed = seed

    def fit(self, X: Any, y: Any) -> AugmentedClassifier:
        """Fits the classifier on ``X``, ``y`` and synthetic rows.

        Args:
            X: ``(n, ...)`` as in `SyntheticRows.fit_resample`.
            y: ``(n,)`` labels.

        Raises:
            SynthaugError: as `SyntheticRows.fit_resample`.
            ValueError: rows that the classifier does not take.
        """
        inside = clone(self.estimator)
        if self._plain:
            self.sampler_ = None
            self.estimator_ = inside.fit(X, y)
            return self
        if y is not None:
            Targets.of(y)
            y = y if getattr(y, "ndim", 1) == 1 else column_or_1d(y, warn=True)
        if not (is_frame(X) or issparse(X) or get_tags(self.estimator).input_tags.allow_nan):
            assert_all_finite(np.asarray(X), input_name="X")  # before a generator is trained
        sampler = SyntheticRows(
            **{name: getattr(self, name) for name in SyntheticRows().get_params(deep=False)}
        )
        more, labels = sampler.fit_resample(X, y)
        self.sampler_ = sampler
        self.estimator_ = inside.fit(more, labels)
        return self

    @property
    def classes_(self) -> np.ndarray:
        """``(K,)`` labels in the order of probabilities."""
        found: np.ndarray = self.estimator_.classes_
        return found

    @property
    def n_features_in_(self) -> int:
        """Features of the rows that it was fitted on."""
        return int(self.estimator_.n_features_in_)

    @property
    def feature_names_in_(self) -> np.ndarray:
        """``(D,)`` names of columns, where they are names."""
        found: np.ndarray = self.estimator_.feature_names_in_
        return found

    @available_if(_has("predict"))  # type: ignore[untyped-decorator]
    def predict(self, X: Any) -> np.ndarray:
        """``(n,)`` labels."""
        return self._fitted.predict(X)  # type: ignore[no-any-return]

    @available_if(_has("predict_proba"))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray:
        """``(n, K)`` probabilities."""
        return self._fitted.predict_proba(X)  # type: ignore[no-any-return]

    @available_if(_has("predict_log_proba"))  # type: ignore[untyped-decorator]
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """``(n, K)`` logarithms of probabilities."""
        return self._fitted.predict_log_proba(X)  # type: ignore[no-any-return]

    @available_if(_has("decision_function"))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> np.ndarray:
        """``(n, K)`` scores, ``(n,)`` of two classes."""
        return self._fitted.decision_function(X)  # type: ignore[no-any-return]

    @available_if(_has("score"))  # type: ignore[untyped-decorator]
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The classifier's own score, which is mostly its accuracy."""
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return float(self._fitted.score(X, y, **weights))

    def __sklearn_tags__(self) -> Tags:
        tags, inside = super().__sklearn_tags__(), get_tags(self.estimator)
        if inside.classifier_tags is not None:
            tags.classifier_tags = replace(inside.classifier_tags, multi_label=False)
        tags.input_tags.sparse = self._plain and inside.input_tags.sparse
        tags.input_tags.allow_nan = inside.input_tags.allow_nan
        tags.input_tags.three_d_array = inside.input_tags.three_d_array
        tags.non_deterministic = inside.non_deterministic
        return tags

    @property
    def _plain(self) -> bool:
        """Whether no synthetic rows are asked for."""
        return self.sampling_strategy is None and asks_for_none(self.ratio)

    @property
    def _fitted(self) -> Any:
        check_is_fitted(self, "estimator_")
        return self.estimator_
