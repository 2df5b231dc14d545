"""What a training has to be like to be judged, and what its classifier says of rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch

from synthaug.errors import InvalidRequest
from synthaug.judging.learners import Learner
from synthaug.metrics.scores import Scores, mistakes, score, sureness
from synthaug.training.classifier import LabelledBatches

Predict: TypeAlias = Callable[[torch.Tensor], Any]
"""A batch ``X`` to its labels ``(B,)`` or to scores ``(B, n_classes)``, the highest of which is the label. Scores that
are probabilities, as they are not negative and sum to 1, are judged as such too."""

Train: TypeAlias = Callable[..., Predict]
"""``fn(loader, steps, seed)``: exactly ``steps`` optimizer steps, through ``loader`` as often as needed. One that takes
``loss`` too, a `ClassifierLoss`, is given it by name where an arm has one, and labels that may be distributions."""

# Scores whose rows sum to 1 within this are taken for probabilities.
_SUM_SLACK = 1e-3


def takes_loss(train: Train) -> bool:
    """Whether a training function can be given a `Loss` by the name ``loss``."""
    return "loss" in inspect.signature(train).parameters


def takes_steps(train: Train | None) -> bool:
    """Whether a training is longer where it is given more steps: learners that are fitted once are not."""
    return not isinstance(train, Learner)


def are_probabilities(scores: np.ndarray) -> bool:
    """Whether scores ``(N, K)`` are not negative and sum to 1."""
    return bool((scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=_SUM_SLACK))


@dataclass(frozen=True)
class Adjusted:
    """A training like another, but that its classifier's probabilities are `adjusted`.

    Attributes:
        train: the other, whose classifier gives probabilities.
        counts: ``(n_classes,)`` training rows of each class.
    """

    train: Train
    counts: np.ndarray

    def __call__(self, loader: LabelledBatches, steps: int, seed: int) -> Predict:
        """The adjusted classifier."""
        return partial(_adjusted, self.train(loader, steps, seed), self.counts)


def adjusted(probabilities: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``(N, K)`` probabilities as they were if classes were equally frequent: divided by how frequent each is.

    Menon et al., "Long-tail learning via logit adjustment", 2021, section 4.1 with tau = 1: where probabilities are
    right, what is likeliest then has the highest balanced accuracy. Classes without rows have none.

    Args:
        probabilities: ``(N, K)``.
        counts: ``(K,)`` training rows of each class.

    >>> adjusted(np.array([[0.8, 0.2]]), np.array([90, 10])).round(2)
    array([[0.31, 0.69]])
    """
    shares = np.where(counts > 0, probabilities / np.maximum(counts, 1), 0.0)
    even: np.ndarray = shares / np.maximum(shares.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return even


def _adjusted(predict: Predict, counts: np.ndarray, batch: torch.Tensor) -> np.ndarray:
    return adjusted(np.asarray(predict(batch), np.float64), counts)


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of rows, beside what they are.

    Attributes:
        labels: ``(N,)`` int64 true labels.
        predicted: ``(N,)`` int64 predicted labels.
        probabilities: ``(N, n_classes)``; None where the classifier gave none.
    """

    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None

    @property
    def correct(self) -> np.ndarray:
        """``(N,)`` bool: which labels were recognised."""
        return np.asarray(self.labels == self.predicted)

    @property
    def sure(self) -> np.ndarray:
        """``(N,)`` how sure the classifier is of the true label; 1 or 0 where it gave no probabilities."""
        if self.probabilities is None:
            return self.correct.astype(np.float64)
        return sureness(self.labels, self.probabilities)

    @property
    def mistakes(self) -> np.ndarray:
        """``(M, 3)`` what was taken for what, and how often."""
        return mistakes(self.labels, self.predicted)

    def scores(self, n_classes: int) -> Scores:
        """How well they match."""
        return score(self.labels, self.predicted, n_classes, self.probabilities)


def train_and_predict(
    loader: LabelledBatches,
    tests: Mapping[str, LabelledBatches],
    *,
    train: Train,
    steps: int,
    seed: int,
    n_classes: int,
) -> dict[str, Predictions]:
    """Train once on ``loader``, then say of every row of each of the named sets of labelled batches what it is.

    Args:
        loader: what ``train`` is given.
        tests: name -> batches ``(X, y)`` in the form of the loader's.
        train: `train_classifier` with its classes bound, or the user's own training.
        steps: optimizer steps ``train`` is asked for.
        seed: seed ``train`` is given.
        n_classes: number of classes.

    Raises:
        InvalidRequest: ``train`` did not return a function from a batch to labels or scores.
    """
    predict = train(loader, steps, seed)
    if not callable(predict):
        raise InvalidRequest(
            f"The training function returned {type(predict).__name__}; it must return a function that takes "
            "a batch and gives labels (B,) or scores (B, classes)."
        )
    return {name: _predictions(predict, batches, n_classes) for name, batches in tests.items()}


def _predictions(predict: Predict, batches: LabelledBatches, n_classes: int) -> Predictions:
    labels, outputs = [], []
    for X, y in batches:
        labels.append(np.asarray(y))
        outputs.append(_as_array(predict(X), len(y), n_classes))
    true, output = np.concatenate(labels), np.concatenate(outputs)
    if output.ndim == 1:
        return Predictions(true, output, None)
    return Predictions(true, output.argmax(axis=1), output if are_probabilities(output) else None)


def _as_array(output: Any, n: int, n_classes: int) -> np.ndarray:
    """``(n,)`` int64 labels or ``(n, n_classes)`` scores."""
    array = np.asarray(output.detach().cpu() if isinstance(output, torch.Tensor) else output)
    if array.shape == (n, n_classes):
        return array
    whole = array.shape == (n,) and np.issubdtype(array.dtype, np.integer)
    if not whole or (n and not 0 <= array.min() <= array.max() < n_classes):
        raise InvalidRequest(
            f"For a batch of {n} rows predict returned {array.dtype} of shape {array.shape}; it must return "
            f"integer labels ({n},) in 0..{n_classes - 1} or scores ({n}, {n_classes})."
        )
    return array.astype(np.int64)
