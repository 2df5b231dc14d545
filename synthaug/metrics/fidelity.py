"""How synthetic rows compare with real ones: right class, as varied, and not copied."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from synthaug.metrics.scores import score

# Distances are computed for this many pairs at once: 16 MB of float32, whatever the number of rows.
_PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Fidelity:
    """How synthetic rows compare with real ones.

    Attributes:
        agreement: how often a classifier trained on real rows gives them the label they were asked to have,
            over its balanced accuracy on real rows it never saw; None where it recognises none of them.
        diversity: mean over classes of ``class_diversity``.
        class_diversity: for each class, the mean distance between its rows in the classifier's features,
            over that of its real rows; None where there are too few rows.
        novelty: their median distance to the nearest training row, over that of held-out real rows; None
            where held-out rows are copies themselves.
        classifier_accuracy: the classifier's balanced accuracy on the held-out real rows.
    """

    agreement: float | None
    diversity: float | None
    class_diversity: tuple[float | None, ...]
    novelty: float | None
    classifier_accuracy: float


class FeatureClassifier(Protocol):
    """A classifier that shows what it sees."""

    def __call__(self, rows: Any) -> np.ndarray:
        """``(N, K)`` probabilities."""

    def features(self, rows: Any) -> np.ndarray:
        """``(N, D)`` features."""


def measure_fidelity(
    classifier: FeatureClassifier,
    *,
    synthetic: tuple[np.ndarray, np.ndarray],
    training: Iterable[np.ndarray],
    held_out: tuple[np.ndarray, np.ndarray],
    apart: Iterable[np.ndarray] | None = None,
) -> Fidelity:
    """Agreement, diversity and novelty of synthetic rows.

    Diversity is relative to the held-out rows: a classifier pulls its own training rows together.

    Args:
        classifier: trained on the training rows.
        synthetic: encoded rows and the integer labels they were asked to have.
        training: all encoded rows the generator was trained on, in blocks: what copies a row that is left out of
            them would pass for new.
        held_out: encoded rows and labels neither it nor the classifier has seen.
        apart: what held-out rows are compared with where they are among the training rows themselves: the others of
            these, in blocks; all training rows when None.
    """
    (rows, labels), (real_rows, real_labels) = synthetic, held_out
    probabilities = classifier(real_rows)
    # as samples are asked for, every class equally often
    accuracy = score(real_labels, probabilities.argmax(axis=1), probabilities.shape[1]).balanced_accuracy
    found = relative_diversity(classifier.features(rows), labels, classifier.features(real_rows), real_labels)
    return Fidelity(
        agreement=label_agreement(classifier(rows).argmax(axis=1), labels, accuracy),
        diversity=float(np.mean(list(found.values()))) if found else None,
        class_diversity=tuple(found.get(label) for label in range(probabilities.shape[1])),
        novelty=relative_novelty(rows, training, real_rows, apart),
        classifier_accuracy=accuracy,
    )


def label_agreement(predicted: np.ndarray, requested: np.ndarray, test_accuracy: float) -> float | None:
    """The share of rows that a classifier gives their requested label, over its accuracy on real test rows.

    1.0 means that synthetic rows are recognised as often as real ones; it may exceed 1 for rows that are
    more typical than real ones. None where no real row is recognised, so that nothing can be compared with.

    Args:
        predicted: ``(N,)`` labels the classifier gives to the synthetic rows.
        requested: ``(N,)`` labels the rows were asked to have.
        test_accuracy: the classifier's accuracy on real rows.
    """
    return float(np.mean(predicted == requested)) / test_accuracy if test_accuracy > 0 else None


def relative_diversity(
    features: np.ndarray, labels: np.ndarray, real_features: np.ndarray, real_labels: np.ndarray
) -> dict[int, float]:
    """For each class, the mean pairwise distance of its synthetic rows over that of its real rows.

    1.0 means as varied as real rows, 0.0 all the same. Classes with fewer than two rows on either side, or
    whose real rows are all equal, are left out.

    Args:
        features: ``(N, D)`` float features of synthetic rows, e.g. of a classifier's last layer but one.
        labels: ``(N,)`` integer labels of the synthetic rows.
        real_features: ``(M, D)`` float features of real rows.
        real_labels: ``(M,)`` integer labels of the real rows.
    """
    result = {}
    for label in np.unique(labels):
        ours, theirs = features[labels == label], real_features[real_labels == label]
        if len(ours) < 2 or len(theirs) < 2:
            continue
        reference = _mean_pairwise_distance(theirs)
        if reference > 0:
            result[int(label)] = _mean_pairwise_distance(ours) / reference
    return result


def relative_novelty(
    samples: np.ndarray,
    training: Iterable[np.ndarray],
    held_out: np.ndarray,
    apart: Iterable[np.ndarray] | None = None,
) -> float | None:
    """The median distance of samples to their nearest training row, over that of held-out real rows.

    Near 1.0: as far from the training rows as other real rows are. Near 0.0: copies. Euclidean, on pixels.
    None where most held-out rows are copies of training rows, so that nothing can be compared with.

    Args:
        samples: ``(N, ...)`` synthetic rows.
        training: blocks ``(M, ...)`` of the rows the generator was trained on, in the same range and layout.
        held_out: ``(K, ...)`` real rows it never saw.
        apart: blocks of other rows that the held-out ones are compared with; ``training`` when None.
    """
    if apart is None:
        both = _nearest(np.concatenate([samples, held_out]), training)
        ours, theirs = both[: len(samples)], both[len(samples) :]
    else:
        ours, theirs = _nearest(samples, training), _nearest(held_out, apart)
    gap = float(np.median(theirs))
    return float(np.median(ours)) / gap if gap > 0 else None


def _nearest(rows: np.ndarray, blocks: Iterable[np.ndarray]) -> np.ndarray:
    """``(N,)`` distances to the nearest row of any block."""
    nearest = np.full(len(rows), np.inf, np.float32)
    for block in blocks:
        nearest = np.minimum(nearest, nearest_rows(rows, block)[1])
    return nearest


def nearest_rows(samples: np.ndarray, training: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each sample the nearest training row, in bounded memory.

    Args:
        samples: ``(N, ...)`` rows of any shape and dtype.
        training: ``(M, ...)`` rows of the same shape, M at least 1.

    Returns:
        ``(N,)`` int64 positions in ``training`` and ``(N,)`` float32 Euclidean distances to them.

    >>> nearest_rows(np.array([[0.9], [4.0]]), np.array([[0.0], [1.0], [4.0]]))[0]
    array([1, 2])
    """
    ours, theirs = _flat(samples), _flat(training)
    squared = np.einsum("md,md->m", theirs, theirs)
    index, distance = np.empty(len(ours), np.int64), np.empty(len(ours), np.float32)
    for rows in _chunks(len(ours), len(theirs)):
        # |a - b|² = |a|² - 2ab + |b|²; |a|² does not change which row is nearest.
        nearest = np.argmin(squared - 2 * (ours[rows] @ theirs.T), axis=1)
        index[rows] = nearest
        # Taken from the rows themselves: the expanded square loses all digits for copies.
        distance[rows] = np.linalg.norm(ours[rows] - theirs[nearest], axis=1)
    return index, distance


def _mean_pairwise_distance(rows: np.ndarray) -> float:
    """The mean Euclidean distance over all pairs of different rows."""
    flat = _flat(rows)
    squared = np.einsum("nd,nd->n", flat, flat)
    total = 0.0
    for part in _chunks(len(flat), len(flat)):
        gap = squared[part, None] - 2 * (flat[part] @ flat.T) + squared
        total += float(np.sqrt(np.maximum(gap, 0)).sum(dtype=np.float64))
    return total / (len(flat) * (len(flat) - 1))


def _flat(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(len(rows), -1).astype(np.float32)


def _chunks(n: int, m: int) -> list[slice]:
    """Slices of ``range(n)`` for which an (n, m) table stays small."""
    step = max(1, _PAIRS_AT_ONCE // max(m, 1))
    return [slice(start, min(start + step, n)) for start in range(0, n, step)]
