"""How well predicted labels match true ones: accuracy, balanced accuracy, recall of every class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scores:
    """How one classifier did on one set of labelled rows, as fractions in [0, 1].

    Attributes:
        accuracy: the share of rows whose label was predicted.
        balanced_accuracy: the mean recall of the classes that occur in the rows.
        recall: for each class, the share of its rows that were recognised; None for a class without rows.
    """

    accuracy: float
    balanced_accuracy: float
    recall: tuple[float | None, ...]


def score(labels: np.ndarray, predicted: np.ndarray, n_classes: int) -> Scores:
    """The scores of predicted against true labels.

    Args:
        labels: ``(N,)`` integer true labels in ``[0, n_classes)``, N at least 1.
        predicted: ``(N,)`` integer predicted labels in ``[0, n_classes)``.
        n_classes: the number of classes, of which some may be absent from ``labels``.

    >>> score(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), n_classes=3)
    Scores(accuracy=0.75, balanced_accuracy=0.8333333333333333, recall=(0.6666666666666666, 1.0, None))
    """
    from sklearn.metrics import accuracy_score, recall_score

    recall = recall_score(labels, predicted, labels=range(n_classes), average=None, zero_division=np.nan)
    # scikit-learn's balanced accuracy warns where a class without true rows was predicted.
    present = np.bincount(labels, minlength=n_classes) > 0
    return Scores(
        accuracy=float(accuracy_score(labels, predicted)),
        balanced_accuracy=float(recall[present].mean()),
        recall=tuple(float(r) if there else None for r, there in zip(recall, present, strict=True)),
    )
