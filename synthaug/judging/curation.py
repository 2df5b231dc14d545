"""Which samples to keep: judges that were trained on real rows only say so, and why not.

Thresholds are taken from what real rows get from judges that have not seen them; none is tuned on samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from synthaug.errors import InvalidData, InvalidRequest
from synthaug.metrics.fidelity import FeatureClassifier, nearest_rows, relative_diversity
from synthaug.seeding import derive, numpy_rng
from synthaug.wording import did_you_mean

FILTERS = ("agreement", "outliers", "copies")
"""All filters, in the order in which they are given as the reason why a sample was dropped."""

# The price of a filter: of real rows that one judge has not seen it would drop this share.
_DROPPED = 0.05
# Rows from which a class's own quantile counts half: 1 / _DROPPED, as with fewer no row is expected beyond it.
_SHRUNK = 20
# Of the median distance between real rows and their nearest in other folds. With 20 rows a class, the nearest of 500
# unseen rows is at 0.41 of it on Fashion-MNIST and 0.28 on MNIST; copies with noise of 3 grey levels are at 0.05.
_COPY = 0.1

TrainJudge: TypeAlias = Callable[[np.ndarray, np.ndarray, int], FeatureClassifier]
"""``train(rows, labels, seed)``: a classifier of encoded rows ``(N, ...)`` with labels ``(N,)``."""


@dataclass(frozen=True)
class Effect:
    """What one filter did to the samples that the filters before it had left.

    Attributes:
        name: the filter.
        dropped: samples per class name that it dropped.
        diversity_before: of the samples that were left to it: `relative_diversity` to real rows in the features of
            judges that have not seen these, mean over judges and over the classes with enough samples before and
            after; None where there is no such class.
        diversity_after: of those that it kept.
    """

    name: str
    dropped: dict[str, int]
    diversity_before: float | None
    diversity_after: float | None


@dataclass(frozen=True)
class Curation:
    """What judges say of M samples.

    Attributes:
        keep: ``(M,)`` bool.
        reason: ``(M,)`` str: the first filter that drops a sample; empty where it is kept.
        soft_labels: ``(M, K)`` float32: the mean of the judges' probabilities.
        effects: what each filter did, in order.
    """

    keep: np.ndarray
    reason: np.ndarray
    soft_labels: np.ndarray
    effects: tuple[Effect, ...]


Diversities: TypeAlias = list[dict[tuple[int, int], float]]
"""(judge, class) -> diversity, for the samples before the first filter and after each."""


@dataclass(frozen=True)
class _Judge:
    """A classifier with the features of the rows it was trained on (seen) and of the others.

    ``scale`` is the median of `nearest` of the others.
    """

    classifier: FeatureClassifier
    seen: np.ndarray
    seen_labels: np.ndarray
    unseen: np.ndarray
    unseen_labels: np.ndarray
    scale: float = 1.0

    def nearest(self, features: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """``(M,)`` distances to the nearest seen row of the same class, in units of the scale."""
        return _nearest_of_class(features, labels, self.seen, self.seen_labels) / self.scale


@dataclass(frozen=True)
class _Limits:
    """What samples are held to: per class ``(K,)``, copies aside.

    ``pixels`` is the median distance in pixels of real rows to the nearest of their class in other folds.
    """

    agreement: np.ndarray
    outliers: np.ndarray
    copies: float
    pixels: float


@dataclass(frozen=True)
class Measured:
    """What judges see in M samples; ``features`` has ``(M, D)`` for each judge."""

    soft_labels: np.ndarray
    features: list[np.ndarray]
    drops: dict[str, np.ndarray]


class Judges:
    """A cross-fitted ensemble: each judge has seen all real rows but those of one fold. `Judges.fit` makes it."""

    def __init__(
        self, judges: Sequence[_Judge], rows: np.ndarray, labels: np.ndarray, limits: _Limits
    ) -> None:
        self._judges, self._rows, self._labels, self._limits = judges, rows, labels, limits

    @classmethod
    def fit(
        cls,
        rows: np.ndarray,
        labels: np.ndarray,
        n_classes: int,
        train: TrainJudge,
        *,
        folds: int = 3,
        seed: int = 0,
    ) -> Judges:
        """Judges of the samples of a generator that was trained on these rows.

        Equal rows are in one fold. Classes whose rows are all equal, or lone, are held out from no judge.

        Args:
            rows: ``(N, ...)`` float32 encoded real training rows; none that anything is tested on.
            labels: ``(N,)`` int64 class positions.
            n_classes: number of classes.
            train: makes a judge.
            folds: number of judges, at least 2; as many as the largest class has different rows if that is less.
            seed: decides folds and judges.

        Raises:
            InvalidRequest: fewer than two folds.
            InvalidData: no class has two different rows.
        """
        if folds < 2:
            raise InvalidRequest(f"Judges on {folds} folds were asked for; ask for at least 2.")
        fold_of = _folds(rows, labels, folds, seed)
        judges = []
        agreement, outliers, nearest, pixels = (np.full(len(rows), np.nan) for _ in range(4))
        for fold in np.unique(fold_of[fold_of >= 0]):
            out, rest = fold_of == fold, fold_of != fold
            classifier = train(rows[rest], labels[rest], derive(seed, "curation", "judge", int(fold)) % 2**31)
            features = classifier.features(rows)
            judge = _Judge(classifier, features[rest], labels[rest], features[out], labels[out])
            agreement[out] = classifier(rows[out])[np.arange(out.sum()), labels[out]]
            far = judge.nearest(judge.unseen, judge.unseen_labels)
            judge = replace(judge, scale=float(np.median(far)) or 1.0)
            outliers[out] = far / judge.scale
            nearest[out] = nearest_rows(rows[out], rows[rest])[1]
            pixels[out] = _nearest_of_class(rows[out], labels[out], rows[rest], labels[rest])
            judges.append(judge)
        judged = fold_of >= 0
        scale = float(np.median(pixels[judged])) or 1.0
        outliers = (outliers + pixels / scale) / 2
        limits = _Limits(
            _quantiles(agreement[judged], labels[judged], n_classes, _DROPPED),
            _quantiles(outliers[judged], labels[judged], n_classes, 1 - _DROPPED),
            _COPY * float(np.median(nearest[judged])),
            scale,
        )
        return cls(judges, rows, labels, limits)

    def curate(
        self, rows: np.ndarray, labels: np.ndarray, classes: Sequence[str], filters: Sequence[str] = FILTERS
    ) -> Curation:
        """Which samples to keep.

        *agreement* drops a sample whose label gets less probability, in the mean over judges, than the 5 % quantile of
        what real rows of its class get from the judge that has not seen them. Borderline samples above it stay.

        *outliers* drops a sample that is farther from the real rows of its class than the 95 % quantile of such rows:
        half by the distance to the nearest row that a judge has seen, in its features, in units of the median of real
        rows that it has not, mean over judges; and half by that in pixels, as noise may look like anything to a judge.

        *copies* drops a sample whose distance in pixels to the nearest training row is below a tenth of the median of
        such rows, and every exact copy. Of real rows next to none are so near (repeated pictures aside), while a copy
        with noise of a few grey levels is. It does not find a copy that was shifted or turned.

        The quantile of a class of n rows is drawn towards that of all rows, in which each class has equal weight: its
        own counts n / (n + 20).

        Args:
            rows: ``(M, ...)`` float32 encoded samples.
            labels: ``(M,)`` int64 class positions they were asked to have.
            classes: class names, in order.
            filters: which of `FILTERS` to use; their order does not matter.

        Raises:
            InvalidRequest: an unknown filter, or a sample of a class of which there was no real row.
        """
        used = checked(filters)
        measured = self.measure(rows, labels, classes, used)
        reason = reasons(measured, used)
        found = self.diversities(measured.features, labels, reason, used)
        effects = effects_of(reason, labels, classes, used, found)
        return Curation(reason == "", reason, measured.soft_labels, effects)

    def probabilities(self, rows: Any) -> np.ndarray:
        """``(M, K)`` float32: the mean of what the judges make of encoded rows ``(M, ...)``."""
        found: np.ndarray = np.mean([judge.classifier(rows) for judge in self._judges], axis=0)
        return found.astype(np.float32)

    def measure(
        self, rows: np.ndarray, labels: np.ndarray, classes: Sequence[str], filters: Sequence[str]
    ) -> Measured:
        """What the judges see in samples, and which filters would drop them; arguments as in `curate`."""
        if unknown := np.setdiff1d(labels, self._labels).tolist():
            raise InvalidRequest(
                f'Samples of "{classes[unknown[0]]}" were to be judged, but the judges know no real row of it. Fit '
                "them on rows of every class, or leave the class out."
            )
        soft = self.probabilities(rows)
        features = [judge.classifier.features(rows) for judge in self._judges]
        drops = {}
        if "agreement" in filters:
            drops["agreement"] = soft[np.arange(len(rows)), labels] < self._limits.agreement[labels]
        if "outliers" in filters:
            far = [j.nearest(f, labels) for j, f in zip(self._judges, features, strict=True)]
            pixels = _nearest_of_class(rows, labels, self._rows, self._labels) / self._limits.pixels
            drops["outliers"] = (np.mean(far, axis=0) + pixels) / 2 > self._limits.outliers[labels]
        if "copies" in filters:
            drops["copies"] = nearest_rows(rows, self._rows)[1] <= self._limits.copies
        return Measured(soft, features, drops)

    def diversities(
        self, features: Sequence[np.ndarray], labels: np.ndarray, reason: np.ndarray, filters: Sequence[str]
    ) -> Diversities:
        """How varied samples are to each judge, before the first filter and after each.

        Args:
            features: ``(M, D)`` of the samples, for each judge.
            labels: ``(M,)`` class positions.
            reason: ``(M,)`` the first filter that drops a sample; empty where it is kept.
            filters: those that were used, in order.
        """
        found = []
        for i in range(len(filters) + 1):
            left = ~np.isin(reason, filters[:i])
            found.append(
                {
                    (number, label): value
                    for number, (judge, own) in enumerate(zip(self._judges, features, strict=True))
                    for label, value in relative_diversity(
                        own[left], labels[left], judge.unseen, judge.unseen_labels
                    ).items()
                }
            )
        return found


def reasons(measured: Measured, filters: Sequence[str]) -> np.ndarray:
    """``(M,)`` the first filter that drops each sample, or nothing."""
    reason = np.full(len(measured.soft_labels), "", dtype=f"<U{max(map(len, FILTERS))}")
    for name in filters:
        reason[(reason == "") & measured.drops[name]] = name
    return reason


def effects_of(
    reason: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    filters: Sequence[str],
    diversities: Diversities,
) -> tuple[Effect, ...]:
    """What each filter did to samples, from the reasons why they were dropped; arguments as in `Judges`."""
    effects = []
    for i, name in enumerate(filters):
        dropped = np.bincount(labels[reason == name], minlength=len(classes)).tolist()
        before, after = diversities[i], diversities[i + 1]
        both = before.keys() & after.keys()
        means = [
            float(np.mean([of[key] for key in sorted(both)])) if both else None for of in (before, after)
        ]
        effects.append(Effect(name, dict(zip(classes, dropped, strict=True)), means[0], means[1]))
    return tuple(effects)


def checked(filters: Sequence[str]) -> tuple[str, ...]:
    """The filters in the order of `FILTERS`."""
    if unknown := [name for name in filters if name not in FILTERS]:
        raise InvalidRequest(f'There is no filter "{unknown[0]}".{did_you_mean(unknown[0], FILTERS)}')
    return tuple(name for name in FILTERS if name in filters)


def _folds(rows: np.ndarray, labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """``(N,)`` the fold that holds each row out, evenly by class; -1 for rows of a class that has no two different."""
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
    unit_of = np.unique(
        flat.view(np.dtype((np.void, flat.dtype.itemsize * flat.shape[1]))), return_inverse=True
    )[1]
    unit_of = unit_of.reshape(-1)
    rng = numpy_rng(seed, "curation", "folds")
    units = {label: rng.permutation(np.unique(unit_of[labels == label])) for label in np.unique(labels)}
    most = max(map(len, units.values()), default=0)
    if most < 2:
        raise InvalidData(
            f"Judges were to be fitted on {len(rows)} rows, of which no class has two different ones: nothing can be "
            "held out from them. Add rows, or keep all samples."
        )
    fold_of_unit = np.empty(unit_of.max() + 1, np.int64)
    taken = 0
    for own in units.values():
        # A class goes on where the one before it stopped, so that folds are of one size.
        fold_of_unit[own] = (np.arange(len(own)) + taken) % min(folds, most)
        taken += len(own)
    fold_of = fold_of_unit[unit_of]
    for label in units:
        if len(np.unique(fold_of[labels == label])) == 1:
            fold_of[labels == label] = -1
    return fold_of


def _nearest_of_class(
    rows: np.ndarray, labels: np.ndarray, real: np.ndarray, real_labels: np.ndarray
) -> np.ndarray:
    """``(M,)`` distances to the nearest real row of the same class."""
    nearest = np.empty(len(labels), np.float32)
    for label in np.unique(labels):
        own = labels == label
        nearest[own] = nearest_rows(rows[own], real[real_labels == label])[1]
    return nearest


def _quantiles(values: np.ndarray, labels: np.ndarray, n_classes: int, share: float) -> np.ndarray:
    """``(K,)`` quantiles of each class's values, drawn towards that of all where a class has few."""
    # Each class counts equally in the whole: the frequent ones are recognised better than the rare.
    rows_of = np.bincount(labels, minlength=n_classes)
    whole = float(np.quantile(values, share, method="inverted_cdf", weights=1 / rows_of[labels]))
    limits = np.full(n_classes, whole)
    for label in np.flatnonzero(rows_of):
        own = float(np.quantile(values[labels == label], share))
        limits[label] = (rows_of[label] * own + _SHRUNK * whole) / (rows_of[label] + _SHRUNK)
    return limits
