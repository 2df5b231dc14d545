"""How well predictions match true labels: accuracy, recall of every class, and whether probabilities can be trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_BINS = 15
# Below it a probability is taken for it, and natural logarithms of how much all are sharpened at least and at most: few
# rows that are all recognised would ask for certainty.
_LEAST, _SHARPNESS = 1e-7, (-3.0, 3.0)
# How often a label is anything, whatever the probabilities say: a few sure errors do not make all others doubtful.
_SLIP = 0.02


@dataclass(frozen=True)
class Scores:
    """How one classifier did on one set of labelled rows.

    Attributes:
        accuracy: the share of rows whose label was predicted.
        balanced_accuracy: the mean recall of the classes that occur in the rows.
        recall: for each class, the share of its rows that were recognised; None for a class without rows.
        calibration_error: of `calibration_error`; None where the classifier gave no probabilities.
        brier: the mean squared distance of the probabilities from certainty about the true label, in [0, 2], best 0
            (Brier, 1950, over all classes); None where the classifier gave no probabilities.
    """

    accuracy: float
    balanced_accuracy: float
    recall: tuple[float | None, ...]
    calibration_error: float | None = None
    brier: float | None = None

    @property
    def worst_recall(self) -> float:
        """The recall of the class that was recognised least."""
        return min(recall for recall in self.recall if recall is not None)


def score(
    labels: np.ndarray, predicted: np.ndarray, n_classes: int, probabilities: np.ndarray | None = None
) -> Scores:
    """The scores of predicted against true labels.

    Args:
        labels: ``(N,)`` integer true labels in ``[0, n_classes)``, N at least 1.
        predicted: ``(N,)`` integer predicted labels in ``[0, n_classes)``.
        n_classes: the number of classes, of which some may be absent from ``labels``.
        probabilities: ``(N, n_classes)`` of each class, where the classifier gives them.

    >>> found = score(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), n_classes=3)
    >>> found.accuracy, found.recall
    (0.75, (0.6666666666666666, 1.0, None))
    """
    from sklearn.metrics import accuracy_score, brier_score_loss, recall_score

    recall = recall_score(labels, predicted, labels=range(n_classes), average=None, zero_division=np.nan)
    # scikit-learn's balanced accuracy warns where a class without true rows was predicted.
    present = np.bincount(labels, minlength=n_classes) > 0
    brier = None
    if probabilities is not None:
        whole = probabilities.astype(np.float64)
        whole /= whole.sum(axis=1, keepdims=True)
        brier = float(brier_score_loss(labels, whole, labels=range(n_classes), scale_by_half=False))
    return Scores(
        accuracy=float(accuracy_score(labels, predicted)),
        balanced_accuracy=float(recall[present].mean()),
        recall=tuple(float(r) if there else None for r, there in zip(recall, present, strict=True)),
        calibration_error=None if probabilities is None else calibration_error(labels, probabilities),
        brier=brier,
    )


def mistakes(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """``(M, 3)`` int64: a class, another that rows of it were taken for, and how many; in the order of the classes.

    Args:
        labels: ``(N,)`` integer true labels.
        predicted: ``(N,)`` integer predicted labels.

    >>> mistakes(np.array([0, 0, 0, 1]), np.array([1, 0, 1, 1])).tolist()
    [[0, 1, 2]]
    """
    wrong = labels != predicted
    pairs, counts = np.unique(np.stack([labels[wrong], predicted[wrong]]), axis=1, return_counts=True)
    return np.stack([*pairs, counts], axis=1).astype(np.int64)


def calibration_error(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The gap between how sure a classifier is and how often it is right, in 15 bins of equal width, by rows.

    The expected calibration error of Guo et al., "On calibration of modern neural networks", 2017, equation 3:
    ``Σ |B| / N · |accuracy(B) - confidence(B)|`` over bins of the highest probability. In [0, 1], best 0; for few
    rows it is above 0 by chance.

    Args:
        labels: ``(N,)`` integer true labels.
        probabilities: ``(N, K)`` of each class.

    >>> calibration_error(np.array([0, 1]), np.array([[0.8, 0.2], [0.8, 0.2]]))  # 0.8 sure, 0.5 right
    0.3
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    gap = (probabilities.argmax(axis=1) == labels) - confidence
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    return float(round(np.abs(np.bincount(bins, gap, _BINS)).sum() / len(labels), 12))


def sureness(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """``(N,)`` float64: how sure a classifier is of the true label of each row, once it is as sure as it should be.

    All rows of probabilities are sharpened or flattened by one temperature, the one under which the labels are
    likeliest (Guo et al., "On calibration of modern neural networks", 2017, section 4.2), as what is over-confident, or
    was trained to be less sure, would otherwise be taken for better or worse than it is. Classes count the same in it,
    and two labels in a hundred may be anything. It tells classifiers apart with fewer rows than accuracy, as a
    label that was nearly recognised counts as that; it does not tell that more are recognised.

    Args:
        labels: ``(N,)`` integer true labels.
        probabilities: ``(N, K)`` of each class.

    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> told = np.array([[0.99, 0.01]] * 3 + [[0.01, 0.99]] * 4 + [[0.99, 0.01]])  # three of four are right
    >>> sureness(labels, told).round(1)
    array([0.8, 0.8, 0.8, 0.2, 0.8, 0.8, 0.8, 0.2])
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    logits = np.log(probabilities.astype(np.float64).clip(_LEAST))
    rows = np.arange(len(labels))

    weights = 1 / np.bincount(labels)[labels]

    def loss(log_sharpness: float) -> float:
        of_label = np.exp(log_softmax(logits * np.exp(log_sharpness), axis=1)[rows, labels])
        return -float(np.average(np.log((1 - _SLIP) * of_label + _SLIP / logits.shape[1]), weights=weights))

    best = minimize_scalar(loss, bounds=_SHARPNESS, method="bounded").x
    sure: np.ndarray = np.exp(log_softmax(logits * np.exp(best), axis=1)[rows, labels])
    return sure
