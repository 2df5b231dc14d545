"""A sampler for pipelines of imbalanced-learn that adds synthetic rows when they are fitted, and only then."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.utils import InputTags, Tags
from sklearn.utils.validation import validate_data

from synthaug.data.classes import Label
from synthaug.data.opening import open_data
from synthaug.errors import InvalidData, InvalidRequest, SynthaugWarning, UnsupportedKind
from synthaug.families import family_names
from synthaug.generators.generator import Generator
from synthaug.generators.samples import real_provenance
from synthaug.mixing.colours import MADE, tints_of, warn_of_colours
from synthaug.mixing.options import MixOptions
from synthaug.mixing.plan import MixingPlan, Mode
from synthaug.mixing.prepare import RealRows, align, refuse_schedule
from synthaug.mixing.probes import PROBES
from synthaug.mixing.schedule import Ratio, plain_ratio
from synthaug.mixing.sklearn.draw import Drawn, drawn_by_share, drawn_by_totals, pool_for
from synthaug.mixing.sklearn.given import Features, Targets, is_frame
from synthaug.mixing.sklearn.strategy import Strategy, added_rows, warn_of_inequality
from synthaug.mixing.supply import Supply
from synthaug.training.budget import Training
from synthaug.training.train import train

_ONCE = "an estimator is fitted once on all of its rows: give one share"


class SyntheticRows(OneToOneFeatureMixin, BaseEstimator):  # type: ignore[misc]
    """Adds synthetic rows to ``X`` and ``y``: the same share in every class, or up to totals of each.

    It has the ``fit_resample`` of the samplers of imbalanced-learn, so that a pipeline of that library uses it in
    ``fit`` and leaves it out of ``predict`` and ``score``; it works alone just as well. Put it before steps that scale
    or encode: rows are mixed in the form in which the generator was trained. `AugmentedClassifier` does the same for
    scikit-learn alone.

    Name a family as the source, and a generator is trained on the rows that are given: in cross-validation those of
    each fold. A generator that was trained on all rows before has seen those that the fold is scored on, and is warned
    of.

    Args:
        source: the name of a family, such as ``"cvae"``, to train; or as in `synthaug.mix`: samples; a generator, of
            which as many rows are drawn as are due; a path, or a plan; or ``make(X, y)``, which gives one of these.
        ratio: synthetic / (real + synthetic), in [0, 1), or one for each class by name or label; that of a plan, or
            0.25, when None.
        sampling_strategy: in place of ``ratio`` and in the words of imbalanced-learn, what each class is filled up to:
            "auto", "minority", "not minority", "not majority", "all", a number in (0, 1], ``{label: total}`` or a
            function of ``y``; see `added_rows`. Filling up the rarer classes only has a measured cost, and is
            warned of.
        mode: "append", since what is fitted once should see all real rows; or "replace", for a ratio.
        options, steps, minutes, device: of the family that is trained, as in `synthaug.fit`.
        seed: the only source of randomness.

    Attributes:
        synthetic_: ``(n,)`` bool, which rows of the last result are synthetic.
        provenance_: columns of length n by name, where they came from; see `synthaug.Samples`.
        sampling_strategy_: synthetic rows of each class by label.
        generator_: what made them; None where the rows were there.
        n_features_in_, feature_names_in_: as scikit-learn has them.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X, y = rng.normal(size=(40, 3)), np.array(["cat", "dog"] * 20)
        >>> sampler = SyntheticRows("cvae", steps=3, ratio=0.5)
        >>> more, labels = sampler.fit_resample(X, y)
        >>> more.shape, sampler.sampling_strategy_, bool((more[:40] == X).all())
        ((80, 3), {'cat': 20, 'dog': 20}, True)
    """

    synthetic_: np.ndarray
    provenance_: dict[str, np.ndarray]
    sampling_strategy_: dict[Label, int]
    generator_: Generator | None

    def __init__(
        self,
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
    ) -> None:  # scikit-learn clones by these names and asks that nothing is done with them here
        self.source = source
        self.ratio = ratio
        self.sampling_strategy = sampling_strategy
        self.mode = mode
        self.options = options
        self.steps = steps
        self.minutes = minutes
        self.device = device
        self.seed = seed

    def fit(self, X: Any, y: Any) -> SyntheticRows:
        """Checks what is asked for; nothing is trained. What pipelines use is `fit_resample`.

        It leaves ``sampling_strategy_``: for a share in whole rows, which may be one off; empty where there are shares
        of classes that only a function knows.

        Raises:
            SynthaugError: as `fit_resample`, before anything is trained or drawn.
        """
        _, targets = self._checked(X, y)
        added = self._added(targets)
        self.sampling_strategy_ = self._expected(targets) if added is None else added
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """``X`` and ``y`` with synthetic rows: behind the real ones, which stay as they are, or in place of some.

        Args:
            X: ``(n, D)`` numbers, a DataFrame of numbers, categories, booleans and dates with missing cells, or images
                ``(n, *shape)``, also with their pixels in one axis where the generator is given.
            y: ``(n,)`` labels in the data set's own encoding, or ``(n, K)`` of 0 and a single 1.

        Returns:
            Arrays, or lists of lists; of a DataFrame or a Series one with the same columns, name and dtypes, and rows
            numbered anew.

        Raises:
            InvalidData: ``X`` and ``y`` of different lengths, a single class, labels of no classes, or rows that
                nothing can be learned from.
            UnsupportedKind: sparse rows, or another kind of source.
            InvalidRequest: a ratio outside [0, 1), a schedule, a strategy that is none, both of them, or a class that
                the source lacks.
            SpecMismatch: real and synthetic rows differ in shape, dtype or range.
            Leakage: rows that are held out from the generator.

        Warns:
            SynthaugWarning: the generator was trained on rows like these and on others; only some classes get rows.
        """
        rows, targets = self._checked(X, y)
        added = self._added(targets)
        supply = Supply(None) if self._asks_for_none(added) else self._supply(rows, targets)
        drawn = None if supply.source is None else self._drawn(rows, targets, added, supply)
        self.generator_ = supply.generator
        order = np.arange(len(rows)) if drawn is None else drawn.order
        theirs = [] if drawn is None else drawn.labels
        self.provenance_ = real_provenance(len(rows)) if drawn is None else drawn.provenance(len(rows))
        self.synthetic_ = self.provenance_["synthetic"]
        labels = [*targets.labels, *theirs]
        made_of = Counter(labels[place] for place in order[self.synthetic_].tolist())
        self.sampling_strategy_ = {label: made_of[label] for label in (added or targets.counts)}
        made = None if drawn is None else rows.like(drawn.samples)
        return rows.joined(made, order), targets.joined(theirs, order)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        given = {each.name: getattr(tags.input_tags, each.name) for each in fields(tags.input_tags)}
        given |= {"allow_nan": True, "three_d_array": True}
        told = {each.name: getattr(tags, each.name) for each in fields(tags)}
        told |= {"estimator_type": "sampler", "input_tags": _InputTags(**given)}
        return _Tags(**told)

    def _checked(self, X: Any, y: Any) -> tuple[Features, Targets]:
        """Rows and labels that can be used, and what is asked of them."""
        if issparse(X):
            raise UnsupportedKind(
                "X is sparse, and synthetic rows are dense: give X.toarray(), or a DataFrame, whose columns may "
                "be sparse"
            )
        if self.ratio is not None and self.sampling_strategy is not None:
            raise InvalidRequest(
                f"ratio={self.ratio!r} and sampling_strategy={self.sampling_strategy!r} were both given. Give the "
                "share of synthetic rows, or what the classes are filled up to"
            )
        if self.sampling_strategy is not None and self.mode != "append":
            raise InvalidRequest(
                f"sampling_strategy= fills classes up, and mode={self.mode!r} adds no rows: leave out one of the two"
            )
        labels = None if y is None else "no_validation"
        if is_frame(X):
            validate_data(self, X, labels, skip_check_array=True)
            rows = Features.of_frame(X)
        else:
            array = validate_data(self, X, labels, allow_nd=True, ensure_all_finite="allow-nan")
            rows = Features(X, array)
        targets = Targets.of(y)
        if len(rows) != len(targets.labels) or not len(rows):
            raise InvalidData(
                f"X has {len(rows)} rows and y {len(targets.labels)}; give as many, and at least one"
            )
        if len(targets.counts) < 2:
            raise InvalidData(
                f"y has 1 class only, {targets.classes[0]!r}; synthetic rows are those of at least two classes"
            )
        return rows, targets

    def _added(self, targets: Targets) -> dict[Label, int] | None:
        """Rows to add to each class; None where a share decides."""
        if self.sampling_strategy is None:
            return None
        added = added_rows(self.sampling_strategy, targets.counts, targets.y)
        warn_of_inequality(added, targets.counts, 4)
        return added

    def _asks_for_none(self, added: Mapping[Label, int] | None) -> bool:
        return asks_for_none(self.ratio) if added is None else not any(added.values())

    def _expected(self, targets: Targets) -> dict[Label, int]:
        """Synthetic rows of each class that a share comes to, before there are any; raises where it comes to none."""
        unknown, counts = callable(self.source), targets.counts
        if unknown and isinstance(self.ratio, Mapping):
            return {}
        to_come = unknown or self._family is not None
        supply = Supply(None) if to_come else Supply.of(self.source)
        if supply.source is None and not to_come:
            return dict.fromkeys(counts, 0)
        ratio = supply.ratio(MixOptions(ratio=self.ratio), fixed=True)
        refuse_schedule(ratio, _ONCE)
        classes = targets.classes if to_come else supply.classes
        aligned = align(targets.labels, targets.classes, classes)
        shares, pool = aligned.shares(plain_ratio(ratio)), np.arange(len(classes))
        plan = MixingPlan(aligned.positions, pool, ratio=shares, mode=self.mode, classes=aligned.names)
        rates = dict(zip(targets.labels, plan.rates(0, 0)[aligned.positions].tolist(), strict=True))
        return {label: round(n * rates[label] / plan.unit) for label, n in counts.items()}

    @property
    def _family(self) -> str | None:
        return self.source if isinstance(self.source, str) and self.source in family_names() else None

    def _supply(self, rows: Features, targets: Targets) -> Supply:
        """What makes the rows, trained on these where that is asked for."""
        if self._family is not None:
            if self.sampling_strategy is None:
                self._expected(targets)  # refuses what cannot be, before anything is trained
            asked = Training(
                self._family, self.options or {}, self.steps, self.minutes, self.seed, self.device
            )
            return Supply(train(open_data((rows.rows, targets.y)), asked))
        if given := [name for name in ("options", "steps", "minutes") if getattr(self, name) is not None]:
            raise InvalidRequest(
                f"{given[0]}= says how a generator is trained, and source={self.source!r} is not the name of a family: "
                f"{', '.join(family_names())}"
            )
        return Supply.of(self.source(rows.given, targets.given) if callable(self.source) else self.source)

    def _drawn(
        self, rows: Features, targets: Targets, added: Mapping[Label, int] | None, supply: Supply
    ) -> Drawn | None:
        options = MixOptions(ratio=self.ratio, mode=self.mode, seed=self.seed)
        form = supply.form

        def fingerprints(chosen: np.ndarray) -> np.ndarray:
            own, known_form = rows.as_form(form)
            return known_form.prints_of(own[chosen])

        real = RealRows(targets.labels, targets.classes, "X", fingerprints, np.arange(len(rows)))
        if added is not None:
            drawn = drawn_by_totals(real, supply, added, options)
        else:
            ratio = supply.ratio(options, fixed=True)
            refuse_schedule(ratio, _ONCE)
            drawn = drawn_by_share(real, pool_for(real, supply, ratio, options), supply, ratio, options)
        if (drawn.order < len(rows)).all():
            return None
        own, known_form = rows.as_form(form)
        places = align(targets.labels, targets.classes, supply.classes).positions.tolist()
        made = drawn.samples
        theirs = made.class_indices.tolist()
        warn_of_colours(tints_of(own, places, PROBES), lambda: tints_of(made.samples, theirs, MADE), 3)
        trained_on = getattr(supply.generator, "trained_on", np.empty(0, np.uint64))
        if len(trained_on) and not callable(self.source) and self._family is None:
            _warn_of_others(trained_on, known_form.prints_of(own))
        return drawn


def asks_for_none(ratio: Ratio | None) -> bool:
    """Whether a ratio says that no row is synthetic."""
    shares = ratio.values() if isinstance(ratio, Mapping) else [ratio]
    return all(getattr(share, "most", share) == 0 for share in shares)


@dataclass(slots=True)
class _InputTags(InputTags):  # type: ignore[misc]
    """With the word of imbalanced-learn for data frames."""

    dataframe: bool = True


@dataclass(slots=True)
class _SamplerTags:
    """What imbalanced-learn asks of a sampler."""

    sample_indices: bool = False


@dataclass(slots=True)
class _Tags(Tags):  # type: ignore[misc]
    """With those by which imbalanced-learn knows a sampler."""

    sampler_tags: _SamplerTags = field(default_factory=_SamplerTags)


def _warn_of_others(trained_on: np.ndarray, prints: np.ndarray) -> None:
    known = np.isin(trained_on, prints)
    if known.any() and not known.all():
        warnings.warn(
            f"the generator was trained on {len(known) - known.sum()} rows that are not in X: a score on these, as "
            "in cross-validation, is not one on new rows. Give SyntheticRows the name of a family, or a function of X "
            "and y that trains a generator",
            SynthaugWarning,
            stacklevel=4,
        )
