"""A sampler for scikit-learn pipelines that adds synthetic rows when they are fitted, and only then."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from synthaug.data.classes import Classes, Label, plain_label
from synthaug.errors import InvalidData, InvalidRequest, SynthaugWarning
from synthaug.generators.samples import Samples
from synthaug.mixing.colours import MADE, tints_of, warn_of_colours
from synthaug.mixing.options import MixOptions
from synthaug.mixing.plan import MixingPlan, Mode
from synthaug.mixing.prepare import RealRows, align, prepare, refuse_schedule
from synthaug.mixing.probes import PROBES, look_of
from synthaug.mixing.schedule import Ratio
from synthaug.mixing.supply import Supply


class SyntheticRows(BaseEstimator):  # type: ignore[misc]
    """Adds synthetic rows to ``X`` and ``y``, the same share in every class.

    It has the ``fit_resample`` that imbalanced-learn gives its samplers, so that a pipeline of imbalanced-learn
    uses it in ``fit`` and leaves it out of ``predict`` and ``score``; it works alone just as well. Put it before
    steps that scale: rows are mixed in the form in which the generator was trained.

    In cross-validation, give a function that trains the generator: it is called with the rows of each fold. A
    generator that was trained on all rows before has seen those that the fold is scored on, and is warned of.

    Args:
        source: as in `synthaug.mix`: samples; a generator, of which as many rows are drawn as are due; a path, or a
            plan; or ``make(X, y)``, which gives one of these.
        ratio: synthetic / (real + synthetic), in [0, 1), or one for each class by name or label; that of a plan, or
            0.25, when None.
        mode: "append", since what is fitted once should see all real rows; or "replace".
        seed: the only source of randomness.

    Attributes:
        synthetic_: ``(n,)`` bool, which rows of the last result are synthetic.

    Example:
        >>> from synthaug import Classes, ImageForm
        >>> form, classes = ImageForm(8, 8, 1, "HW", "uint8", 0, 255), Classes(("0", "1"), (0, 1))
        >>> about = {"class": np.array(["0", "1"])}
        >>> pool = Samples(np.ones((2, 8, 8), np.uint8), np.arange(2), classes, form, about)
        >>> X, y = SyntheticRows(pool, ratio=0.5).fit_resample(np.zeros((4, 64), np.uint8), [0, 1, 0, 1])
        >>> X.sum(1).tolist(), sorted(y[4:].tolist())
        ([0, 0, 0, 0, 64, 64, 64, 64], [0, 0, 1, 1])
    """

    synthetic_: np.ndarray

    def __init__(
        self, source: Any, *, ratio: Ratio | None = None, mode: Mode = "append", seed: int = 0, **unknown: Any
    ) -> None:  # scikit-learn clones by these names and asks that nothing is done with them here
        _refuse(unknown)
        self.source = source
        self.ratio = ratio
        self.mode = mode
        self.seed = seed

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """``X`` and ``y`` with synthetic rows: behind the real ones, or in place of some.

        Args:
            X: ``(n, *shape)`` images as they were generated, or ``(n, pixels)``; their dtype is kept.
            y: ``(n,)`` labels in the data set's own encoding.

        Returns:
            Arrays; of a DataFrame or a Series one with the same columns, name and dtypes, and rows numbered anew.

        Raises:
            InvalidData: ``X`` and ``y`` of different lengths, or none.
            UnsupportedKind: labels that are not one class a row, or another kind of source.
            InvalidRequest: a ratio outside [0, 1), a schedule, or a class that the source lacks.
            SpecMismatch: real and synthetic rows differ in shape, dtype or range.
            Leakage: rows that are held out from the generator.

        Warns:
            SynthaugWarning: the generator was trained on rows like these and on others.
        """
        given_X, given_y, X, y = X, y, np.asarray(X), np.asarray(y)
        if len(X) != len(y) or not len(X):
            raise InvalidData(f"X has {len(X)} rows and y {len(y)}; give as many, and at least one")
        labels = [plain_label(label) for label in y]
        there = Classes.of_labels(labels)
        supply = Supply.of(self.source(X, y) if callable(self.source) else self.source)
        if supply.source is None:
            self.synthetic_ = np.zeros(len(X), bool)
            return _like(given_X, X), _like(given_y, y)
        options = MixOptions(ratio=self.ratio, mode=self.mode, seed=self.seed)
        ratio = supply.ratio(options, fixed=True)
        refuse_schedule(ratio, "an estimator is fitted once on all of its rows: give one share")
        samples = self._samples(labels, there, supply, ratio, options)

        def fingerprints(rows: np.ndarray) -> np.ndarray:
            return samples.form.prints_of(_beside(X, samples)[0][rows])

        real = RealRows(labels, there, "X", fingerprints, np.arange(len(X)))
        prepared = prepare(real, samples.class_indices, supply, ratio, options)
        order = np.arange(len(X)) if prepared.plan.idle else prepared.plan.once()
        self.synthetic_ = order >= len(X)
        if prepared.plan.idle:
            return _like(given_X, X), _like(given_y, y)
        pictures, made = _beside(X, samples)
        classes, made_of = prepared.aligned.positions.tolist(), samples.class_indices.tolist()
        warn_of_colours(tints_of(pictures, classes, PROBES), lambda: tints_of(made, made_of, MADE), 2)
        trained_on = getattr(supply.generator, "trained_on", np.empty(0, np.uint64))
        if len(trained_on) and not callable(self.source):
            _warn_of_others(trained_on, samples.form.prints_of(pictures))
        own = zip(prepared.aligned.labels, supply.classes.values, strict=False)
        values = [value if label is None else label for label, value in own]
        theirs = np.array(
            [values[k] for k in samples.class_indices], y.dtype if y.dtype.kind != "U" else None
        )
        rows = np.concatenate([X, made.reshape(len(made), *X.shape[1:])])
        return _like(given_X, rows[order]), _like(given_y, np.concatenate([y, theirs])[order])

    def _samples(
        self, labels: list[Label], there: Classes, supply: Supply, ratio: Ratio, options: MixOptions
    ) -> Samples:
        if supply.generator is None:
            return supply.pool(options)
        aligned, classes = align(labels, there, supply.classes), supply.classes
        known = aligned.positions[aligned.positions < len(classes)]
        # As many as a plan can ask of a class in either mode, so that no row is used twice.
        rates = MixingPlan(
            known,
            np.arange(len(classes)),
            ratio=aligned.shares(ratio),
            mode=self.mode,
            classes=aligned.names,
        )
        due = np.bincount(known, minlength=len(classes)) * rates.rates(0, 0)[: len(classes)]
        counts = {classes[k]: int(-(-n // rates.unit)) for k, n in enumerate(due.tolist()) if n}
        return supply.generator.sample(counts or {classes[0]: 1}, seed=supply.row_seed(options))


def _refuse(unknown: dict[str, Any]) -> None:
    if not unknown:
        return
    if "sampling_strategy" in unknown:
        raise InvalidRequest(
            f"sampling_strategy={unknown['sampling_strategy']!r} was given; SyntheticRows takes shares of synthetic "
            'rows, of all classes or of each: ratio=0.25, or ratio={"cat": 0.5, "dog": 0.25}. To balance classes, use '
            'synthaug.expand((X, y), generator, to="balance")'
        )
    raise TypeError(
        f"SyntheticRows has no argument {next(iter(unknown))!r}; it has source, ratio, mode and seed"
    )


def _like(given: Any, made: np.ndarray) -> Any:
    """An array as the DataFrame or Series that was given, in its dtypes where they hold the values."""
    if not hasattr(given, "iloc"):
        return made
    if made.ndim == 1:
        return type(given)(made, name=given.name, dtype=given.dtype)
    frame = type(given)(made, columns=given.columns)
    for name, kind in given.dtypes.items():
        column = frame[name]
        if column.dtype != kind and (cast := column.astype(kind)).astype(column.dtype).equals(column):
            frame[name] = cast
    return frame


def _beside(X: np.ndarray, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Real rows in the shape of samples, and these in the dtype of the real rows.

    Raises:
        SpecMismatch: the two differ in shape, dtype or range.
    """
    form = samples.form
    flat = X.shape[1:] == (int(np.prod(form.shape)),)
    real = X.reshape(len(X), *form.shape) if flat else X
    # Fetched data are often int64 or float64; what is only stored in a wider type is not another range.
    wider = np.can_cast(samples.samples.dtype, X.dtype)
    made = samples.samples.astype(X.dtype) if wider else samples.samples
    remedy = "Put the sampler before what scales or reshapes X, or train the generator on rows like these"
    look_of(made, [end.astype(made.dtype) for end in form.ends]).require_fit(look_of(real), remedy)
    return real, made


def _warn_of_others(trained_on: np.ndarray, prints: np.ndarray) -> None:
    known = np.isin(trained_on, prints)
    if known.any() and not known.all():
        warnings.warn(
            f"the generator was trained on {len(known) - known.sum()} rows that are not in X: a score on these, as "
            "in cross-validation, is not one on new rows. Give SyntheticRows a function of X and y that trains "
            "a generator",
            SynthaugWarning,
            stacklevel=3,
        )
