"""A sampler for scikit-learn pipelines that adds synthetic rows when they are fitted, and only then."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator

from synthaug.data.classes import plain_label
from synthaug.errors import InvalidData, SynthaugWarning, UnsupportedKind
from synthaug.generators.samples import Samples
from synthaug.mixing.checks import (
    PROBES,
    Look,
    class_positions,
    mismatch,
    refuse_held_out,
    refuse_schedule,
    shares_by_class,
    spread,
)
from synthaug.mixing.plan import MixingPlan, Mode
from synthaug.mixing.schedule import Ratio
from synthaug.modalities.image.fingerprint import fingerprints


class SampleSource(Protocol):
    """What makes samples on demand: a trained generator, or whatever looks like one."""

    def sample(self, counts: Mapping[str, int], *, seed: int = 0) -> Samples:
        """Exactly these rows."""
        ...


Make: TypeAlias = Callable[[np.ndarray, np.ndarray], "Samples | SampleSource"]
"""``make(X, y)``: samples or a generator for the rows that are being fitted."""


class SyntheticRows(BaseEstimator):  # type: ignore[misc]
    """Adds synthetic rows to ``X`` and ``y``, the same share in every class.

    It has the ``fit_resample`` that imbalanced-learn gives its samplers, so that a pipeline of imbalanced-learn
    uses it in ``fit`` and leaves it out of ``predict`` and ``score``; it works alone just as well. Put it before
    steps that scale: rows are mixed in the form in which the generator was trained.

    In cross-validation, give a function that trains the generator: it is called with the rows of each fold. A
    generator that was trained on all rows before has seen those that the fold is scored on, and is warned of.

    Args:
        source: samples; a generator, of which as many rows are drawn as are due; or ``make(X, y)``, which gives
            either.
        ratio: synthetic / (real + synthetic), in [0, 1), or one for each class by name or label.
        mode: "append", since what is fitted once should see all real rows; or "replace".
        seed: the only source of randomness.

    Attributes:
        synthetic_: ``(n,)`` bool, which rows of the last result are synthetic.

    Example:
        >>> from synthaug.modalities.image.spec import ImageSpec
        >>> spec, about = ImageSpec(8, 8, 1, "HW", "uint8", 0, 255), {"class": np.array(["0", "1"])}
        >>> pool = Samples(np.ones((2, 8, 8), np.uint8), np.arange(2), ("0", "1"), (0, 1), spec, about)
        >>> X, y = SyntheticRows(pool, ratio=0.5).fit_resample(np.zeros((4, 64), np.uint8), [0, 1, 0, 1])
        >>> X.sum(1).tolist(), sorted(y[4:].tolist())
        ([0, 0, 0, 0, 64, 64, 64, 64], [0, 0, 1, 1])
    """

    synthetic_: np.ndarray

    def __init__(
        self, source: Any, *, ratio: Ratio = 0.25, mode: Mode = "append", seed: int = 0
    ) -> None:  # scikit-learn clones by these names and asks that nothing is done with them here
        self.source = source
        self.ratio = ratio
        self.mode = mode
        self.seed = seed

    def fit_resample(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """``X`` and ``y`` with synthetic rows: behind the real ones, or in place of some.

        Args:
            X: ``(n, *shape)`` images as they were generated, or ``(n, pixels)``; their dtype is kept.
            y: ``(n,)`` labels in the data set's own encoding.

        Raises:
            InvalidData: ``X`` and ``y`` of different lengths, or none.
            UnsupportedKind: labels that are not one class a row, or another kind of source.
            InvalidRequest: a ratio outside [0, 1), a schedule, or a class that the source lacks.
            SpecMismatch: real and synthetic rows differ in shape, dtype or range.
            Leakage: rows that are held out from the generator.

        Warns:
            SynthaugWarning: the generator was trained on rows like these and on others.
        """
        X, y = np.asarray(X), np.asarray(y)
        if len(X) != len(y) or not len(X):
            raise InvalidData(f"X has {len(X)} rows and y {len(y)}; give as many, and at least one")
        refuse_schedule(self.ratio, "an estimator is fitted once on all of its rows: give one share")
        samples = self._samples(X, y)
        values = [plain_label(value) for value in samples.values]
        positions, names = class_positions([plain_label(label) for label in y], values, samples.classes)
        shares = shares_by_class(self.ratio, names, values)
        plan = MixingPlan(
            positions, samples.class_indices, ratio=shares, mode=self.mode, seed=self.seed, classes=names
        )
        order = np.arange(len(X)) if plan.idle else plan.once()
        self.synthetic_ = order >= len(X)
        if plan.idle:
            return X, y
        made = _rows_like(X, samples, getattr(self.source, "trained_on", np.empty(0, np.uint64)))
        labels = np.array(
            [values[k] for k in samples.class_indices], y.dtype if y.dtype.kind != "U" else None
        )
        return np.concatenate([X, made])[order], np.concatenate([y, labels])[order]

    def _samples(self, X: np.ndarray, y: np.ndarray) -> Samples:
        found = self.source
        if callable(found):
            found = found(X, y)
        if hasattr(found, "sample") and hasattr(found, "values"):
            values = [plain_label(value) for value in found.values]
            positions, names = class_positions([plain_label(label) for label in y], values, found.classes)
            known = positions[positions < len(values)]
            # As many as a plan can ask of a class in either mode, so that no row is used twice.
            shares = shares_by_class(self.ratio, names, values)
            pool = np.arange(len(values))
            rates = MixingPlan(known, pool, ratio=shares, mode=self.mode, classes=names)
            due = np.bincount(known, minlength=len(values)) * rates.rates(0, 0)[: len(values)]
            counts = {found.classes[k]: int(-(-n // rates.unit)) for k, n in enumerate(due.tolist()) if n}
            found = found.sample(counts or {found.classes[0]: 1}, seed=self.seed)
        if not isinstance(found, Samples):
            raise UnsupportedKind(
                f"a source of type {type(found).__name__} was given; taken are samples, a generator, and a "
                "function of X and y that gives either"
            )
        return found


def _rows_like(X: np.ndarray, samples: Samples, trained_on: np.ndarray) -> np.ndarray:
    """The synthetic rows in the shape and dtype of ``X``; refused where they do not fit its rows."""
    spec = samples.spec
    flat = X.shape[1:] == (int(np.prod(spec.shape)),)
    real = X.reshape(len(X), *spec.shape) if flat else X
    # Fetched data are often int64 or float64; what is only stored in a wider type is not another range.
    wider = np.can_cast(samples.samples.dtype, X.dtype)
    made = samples.samples.astype(X.dtype) if wider else samples.samples
    ends = [np.full_like(made[0], end) for end in (spec.low, spec.high) if end is not None]
    looks = [Look.of(list(rows[spread(np.arange(len(rows)), PROBES)])) for rows in (real, made)]
    if not Look.of(list(made[:PROBES]), ends).fits(looks[0]):
        remedy = "Put the sampler before what scales or reshapes X, or train the generator on rows like these"
        raise mismatch(looks[0], str(looks[1]), remedy)
    pictures = real if real.dtype.kind == "f" else real.astype(spec.dtype)
    prints = fingerprints(pictures, spec.layout)
    refuse_held_out(np.arange(len(X)), prints.__getitem__, samples, "X")
    known = np.isin(trained_on, prints)
    if known.any() and not known.all():
        warnings.warn(
            f"the generator was trained on {len(known) - known.sum()} rows that are not in X: a score on these, as "
            "in cross-validation, is not one on new rows. Give SyntheticRows a function of X and y that trains "
            "a generator",
            SynthaugWarning,
            stacklevel=3,
        )
    return made.reshape(len(made), *X.shape[1:])
