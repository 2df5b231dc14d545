"""The protocol that answers "does it help?": the same training in every arm, compared seed by seed.

Nothing here knows what a row is: arms make loaders, training makes a predictor, scores are compared.
"""

from __future__ import annotations

import math
import os
import pickle
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from itertools import combinations
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from synthaug.arms import ARMS, Arm, Augment, Encode, Ingredients, shuffled
from synthaug.data.labeled import LabeledData
from synthaug.data.split import require_disjoint
from synthaug.downstream import Train, takes_loss, train_and_score, train_classifier
from synthaug.errors import InvalidRequest, Leakage, SpecMismatch
from synthaug.metrics.classification import Scores
from synthaug.metrics.fidelity import Fidelity, measure_fidelity
from synthaug.metrics.statistics import Interval, Verdict, paired_interval, verdict
from synthaug.samples import Samples
from synthaug.seeding import derive, numpy_rng

Metric: TypeAlias = Literal["accuracy", "balanced_accuracy"]

# Classes count as balanced while the largest has at most this many times the rows of the smallest.
_BALANCED = 1.5
_SCORING_BATCH = 256
_LARGEST_POOL = 1000
_FIDELITY_ROWS = 2000


@dataclass(frozen=True)
class ArmResult:
    """How one arm did: entry i of each tuple belongs to classifier seed i of `Evaluation.seeds`.

    Attributes:
        name: the arm.
        synthetic: whether its batches hold synthetic rows.
        about: what the arm does.
        augmentation: the augmentation of its rows, None for none.
        steps: optimizer steps of each training.
        validation: scores on the validation rows, used to pick among arms.
        test: scores on the test rows.
        seconds: duration of each training with its scoring.
    """

    name: str
    synthetic: bool
    about: str
    augmentation: str | None
    steps: int
    validation: tuple[Scores, ...]
    test: tuple[Scores, ...]
    seconds: tuple[float, ...]

    def values(self, metric: Metric, rows: Literal["validation", "test"] = "test") -> list[float]:
        """The metric of each seed on the test or the validation rows."""
        return [getattr(scores, metric) for scores in getattr(self, rows)]


@dataclass(frozen=True)
class Comparison:
    """An arm against the baseline on the test rows, in the evaluation's metric, paired by seed."""

    arm: str
    difference: Interval
    verdict: Verdict


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate_arms`; JSON data through `to_dict` and `from_dict`.

    Attributes:
        metric: what is compared: accuracy, or balanced accuracy where classes are unequally frequent.
        classes: class names.
        seeds: the classifier seeds, the same in every arm.
        arms: every arm's scores, losers included.
        baseline: the arm without synthetic rows that was best on the validation rows.
        candidate: the arm with synthetic rows that was best on the validation rows.
        comparisons: every arm but the baseline, against the baseline on the test rows.
        rows: rows per class name of "training", "validation", "test" and "synthetic".
        config: what was asked for: steps, ratio, batch size and the like.
        generator: what made the synthetic rows.
        environment: library versions and hardware.
        seconds: seconds spent per stage.
        fidelity: how the synthetic rows compare with real ones, where measured.
    """

    metric: Metric
    classes: tuple[str, ...]
    seeds: tuple[int, ...]
    arms: tuple[ArmResult, ...]
    baseline: str
    candidate: str
    comparisons: tuple[Comparison, ...]
    rows: dict[str, dict[str, int]]
    config: dict[str, Any]
    generator: dict[str, Any]
    environment: dict[str, str]
    seconds: dict[str, float]
    fidelity: Fidelity | None = None
    format_version: int = field(default=1)

    @property
    def headline(self) -> Comparison:
        """The comparison that answers the question: candidate against baseline."""
        return next(c for c in self.comparisons if c.arm == self.candidate)

    @property
    def verdict(self) -> Verdict:
        """What the headline comparison allows one to say."""
        return self.headline.verdict

    def arm(self, name: str) -> ArmResult:
        """The result of one arm."""
        return next(arm for arm in self.arms if arm.name == name)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        from pydantic import TypeAdapter

        data: dict[str, Any] = TypeAdapter(Evaluation).dump_python(self, mode="json")
        return {**data, "verdict": self.verdict}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evaluation:
        """The evaluation that `to_dict` wrote."""
        from pydantic import TypeAdapter

        return TypeAdapter(cls).validate_python({k: v for k, v in data.items() if k != "verdict"})


def evaluate_arms(
    train: LabeledData,
    validation: LabeledData,
    test: LabeledData,
    pool: Samples,
    encode: Encode,
    *,
    trained_on: np.ndarray,
    arms: Sequence[Arm] = ARMS,
    augmentations: Mapping[str, Augment] | None = None,
    training: Train | None = None,
    steps: int = 600,
    seeds: int = 5,
    ratio: float = 0.25,
    batch_size: int = 64,
    jobs: int = 1,
    seed: int = 0,
    generator: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Evaluation:
    """Every arm trained with every seed for the same number of steps, and the arms compared in pairs.

    Arms are picked on the validation rows and compared on the test rows. There is one pool, so the intervals
    cover what classifier seeds do and leave out what another generator of the same kind would have done.

    Args:
        train: rows for the classifiers.
        validation: rows to pick arms by.
        test: rows to compare arms on.
        pool: synthetic rows of at least every class in ``train``.
        encode: raw rows to what classifiers take, fitted on training rows only.
        trained_on: ``(M,)`` uint64 fingerprints of the rows the generator saw.
        arms: what to compare, `ARMS` or `LADDER` of `synthaug.arms` or a choice of them. Left out are arms whose
            augmentation is not given, arms for unequal classes where classes are equal, and arms with a loss of
            their own where ``training`` takes none.
        augmentations: of an encoded batch, by the names that the arms know.
        training: the user's ``fn(loader, steps, seed)``; the built-in classifier on one thread when None.
            A custom function that cannot be sent to another process runs in this one.
        steps: optimizer steps of every training, up to an arm's own factor.
        seeds: number of classifier seeds, at least 2.
        ratio: share of synthetic rows in the arms that have them, above 0 and below 1.
        batch_size: rows per batch, at least 2; fewer where there are fewer training rows.
        jobs: worker processes, of one thread each. Scores are the same whatever their number.
        seed: decides the classifier seeds.
        generator: JSON data on what made the pool, kept in the result.
        progress: whether to show progress and the time left on stderr.

    Raises:
        InvalidRequest: a number out of its range, an empty set of rows, or a class the pool lacks.
        SpecMismatch: sets of rows whose classes or forms differ.
        Leakage: rows in two of the three sets, or a generator that saw rows outside ``train``.
    """
    require_sense(steps=steps, seeds=seeds, ratio=ratio, batch_size=batch_size, jobs=jobs)
    _require_alike(train, {"validation": validation, "test": test}, pool)
    require_unseen(train, {"validation": validation, "test": test}, trained_on)

    metric = _metric([train, validation, test])
    given = dict(augmentations or {})
    used = _applicable(arms, given, training, unequal=_unequal(train))
    parts = Ingredients.of(train, pool, encode, ratio=ratio, batch_size=batch_size)
    tests = {"validation": (validation.read(), validation.labels), "test": (test.read(), test.labels)}
    drawn = tuple(derive(seed, "evaluation", i) % 2**31 for i in range(seeds))  # NumPy takes 32 bits
    runs = [
        partial(_run, arm, s, parts, given, tests, training, _steps_of(arm, steps))
        for s in drawn
        for arm in used
    ]
    start = time.perf_counter()
    outcomes = list(_shown(_outcomes(runs, jobs, training), len(runs), progress))
    elapsed = time.perf_counter() - start

    results = tuple(
        _collected(arm, outcomes[i :: len(used)], _steps_of(arm, steps)) for i, arm in enumerate(used)
    )
    baseline = _best(results, metric, synthetic=False)
    return Evaluation(
        metric=metric,
        classes=train.classes,
        seeds=drawn,
        arms=results,
        baseline=baseline.name,
        candidate=_best(results, metric, synthetic=True).name,
        comparisons=tuple(_compared(arm, baseline, metric) for arm in results if arm is not baseline),
        rows={
            "training": train.counts,
            "validation": validation.counts,
            "test": test.counts,
            "synthetic": pool.counts,
        },
        config={
            "data": train.origin,
            "training": "built-in classifier" if training is None else _title(training),
            "steps": steps,
            "ratio": ratio,
            "batch_size": parts.batch_size,
            "seed": seed,
            "arms_left_out": "; ".join(arm.name for arm in arms if arm not in used) or "none",
        },
        generator=dict(generator or {}),
        environment=environment() | {"processes": str(jobs)},
        seconds={"classifiers": elapsed},
    )


def pool_size(ratio: float, steps: int, n_classes: int, batch_size: int = 64) -> int:
    """Rows of each class that a pool needs for no classifier to meet one twice, at most 1000."""
    return min(_LARGEST_POOL, math.ceil(ratio * steps * batch_size / n_classes))


def compare_with_real(
    train: LabeledData,
    held_out: LabeledData,
    pool: Samples,
    encode: Encode,
    *,
    steps: int = 600,
    batch_size: int = 64,
    seed: int = 0,
) -> Fidelity:
    """How the pool's rows compare with real ones, seen by the built-in classifier trained on ``train``.

    At most 2000 rows of each set, drawn at random, are looked at.

    Args:
        train: the rows the generator was trained on.
        held_out: rows it never saw.
        pool: its samples.
        encode: images to ``(N, C, H, W)`` float32 in [-1, 1].
        steps: optimizer steps of the classifier.
        batch_size: rows per step.
        seed: decides the classifier and the rows looked at.
    """
    _require_alike(train, {"held-out": held_out}, pool)
    parts = Ingredients.of(train, pool, encode, ratio=0.5, batch_size=batch_size)
    with _one_thread():
        classifier = train_classifier(shuffled(parts, seed), steps, seed, n_classes=len(train.classes))

        def some(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            few = np.sort(numpy_rng(seed, "evaluation", "fidelity").permutation(len(rows))[:_FIDELITY_ROWS])
            return encode(rows[few]).numpy(), labels[few]

        return measure_fidelity(
            classifier,
            synthetic=some(pool.samples, pool.class_indices),
            training=some(parts.rows, parts.labels),
            held_out=some(held_out.read(), held_out.labels),
        )


@dataclass(frozen=True)
class _Outcome:
    scores: dict[str, Scores]
    seconds: float


def _run(
    arm: Arm,
    seed: int,
    parts: Ingredients,
    augmentations: Mapping[str, Augment],
    tests: Mapping[str, tuple[np.ndarray, np.ndarray]],
    training: Train | None,
    steps: int,
) -> _Outcome:
    """One training of one arm, scored on every test set: a task that shares nothing with others."""
    start = time.perf_counter()
    n_classes = parts.n_classes
    train: Train = partial(train_classifier, n_classes=n_classes) if training is None else training
    if arm.loss is not None:
        train = partial(train, loss=arm.loss(parts))
    loader = arm.batches(parts, augmentations, seed)
    batches = {name: _Batches(rows, labels, parts.encode) for name, (rows, labels) in tests.items()}
    with _one_thread() if training is None else nullcontext():
        scores = train_and_score(loader, batches, train=train, steps=steps, seed=seed, n_classes=n_classes)
    return _Outcome(scores, time.perf_counter() - start)


@dataclass(frozen=True)
class _Batches:
    """Encoded batches ``(X, y)`` in the order of the rows."""

    rows: np.ndarray
    labels: np.ndarray
    encode: Encode

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for start in range(0, len(self.rows), _SCORING_BATCH):
            part = slice(start, start + _SCORING_BATCH)
            yield self.encode(np.array(self.rows[part])), torch.from_numpy(np.array(self.labels[part]))


def _outcomes(
    runs: Sequence[Callable[[], _Outcome]], jobs: int, training: Train | None
) -> Iterator[_Outcome]:
    """Results in the order of the runs, from worker processes where that is asked for and possible."""
    if jobs == 1 or not _travels(training):
        yield from (run() for run in runs)
        return
    # Not multiprocessing: its fork hangs on threads of the parent, its spawn runs the user's script again.
    from joblib import Parallel, delayed, parallel_config

    with parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
        # batch_size=1: tasks take seconds, and progress should show each.
        yield from Parallel(return_as="generator", batch_size=1)(delayed(run)() for run in runs)


def _travels(training: Train | None) -> bool:
    """Whether another process can be sent the training function."""
    try:
        pickle.dumps(training)
    except (pickle.PicklingError, TypeError, AttributeError):
        return False
    return True


@contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread, so that sums do not depend on the machine; processes are what is parallel here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _applicable(
    arms: Sequence[Arm], augmentations: Mapping[str, Augment], training: Train | None, *, unequal: bool
) -> list[Arm]:
    own_loss = training is None or takes_loss(training)
    chosen = [
        arm
        for arm in arms
        if (arm.augmentation is None or arm.augmentation in augmentations)
        and (arm.loss is None or own_loss)
        and (unequal or not arm.unequal)
    ]
    if {arm.synthetic for arm in chosen} != {True, False}:
        raise InvalidRequest(
            f"Of the arms {_listed(arm.name for arm in arms)} there are left {_listed(arm.name for arm in chosen)}; "
            "a comparison needs one with synthetic rows and one without."
        )
    return chosen


def _steps_of(arm: Arm, steps: int) -> int:
    return max(1, round(arm.steps * steps))


def _collected(arm: Arm, outcomes: Sequence[_Outcome], steps: int) -> ArmResult:
    return ArmResult(
        name=arm.name,
        synthetic=arm.synthetic,
        about=arm.about,
        augmentation=arm.augmentation,
        steps=steps,
        validation=tuple(o.scores["validation"] for o in outcomes),
        test=tuple(o.scores["test"] for o in outcomes),
        seconds=tuple(o.seconds for o in outcomes),
    )


def _best(results: Sequence[ArmResult], metric: Metric, *, synthetic: bool) -> ArmResult:
    """The arm with the highest mean on the validation rows; the first, simplest one of equals."""
    own = [arm for arm in results if arm.synthetic == synthetic]
    return max(own, key=lambda arm: float(np.mean(arm.values(metric, "validation"))))


def _compared(arm: ArmResult, baseline: ArmResult, metric: Metric) -> Comparison:
    difference = paired_interval(arm.values(metric), baseline.values(metric))
    return Comparison(arm.name, difference, verdict(difference))


def _metric(parts: Sequence[LabeledData]) -> Metric:
    return "balanced_accuracy" if any(_unequal(part) for part in parts) else "accuracy"


def _unequal(data: LabeledData) -> bool:
    counts = [n for n in data.counts.values() if n]
    return max(counts) > _BALANCED * min(counts)


def require_sense(*, steps: int, seeds: int, ratio: float, batch_size: int = 64, jobs: int = 1) -> None:
    """Refuses numbers that `evaluate_arms` cannot work with.

    Raises:
        InvalidRequest: naming the number and what it may be.
    """
    for name, value, least in (
        ("steps", steps, 1),
        ("seeds", seeds, 2),
        ("batch_size", batch_size, 2),
        ("jobs", jobs, 1),
    ):
        if value < least:
            why = ": the spread of one seed is unknown" if name == "seeds" else ""
            raise InvalidRequest(f"evaluate was asked for {name}={value}; it needs at least {least}{why}.")
    if not 0 < ratio < 1:
        raise InvalidRequest(
            f"evaluate was asked for ratio={ratio}; it is the share of synthetic rows in a batch, above 0 "
            "and below 1, e.g. 0.25."
        )


def _require_alike(train: LabeledData, others: Mapping[str, LabeledData], pool: Samples) -> None:
    """Refuse sets of rows whose classes or forms differ, and a pool that lacks a class of the real rows."""
    form = (train.spec.shape, train.spec.dtype)
    for name, data in {"training": train, **others}.items():
        if not len(data):
            raise InvalidRequest(f"evaluate needs {name} rows, but {data.origin} gave none.")
        if data.classes != train.classes:
            raise SpecMismatch(
                f"The {name} rows have the classes {_listed(data.classes)}; the training rows have "
                f"{_listed(train.classes)}. Open them as one data set and split it."
            )
        if (data.spec.shape, data.spec.dtype) != form:
            raise SpecMismatch(f"The {name} rows are {data.spec}; the training rows are {train.spec}.")
    if pool.classes != train.classes or (pool.spec.shape, pool.spec.dtype) != form:
        raise SpecMismatch(
            f"The samples are {pool.spec} of the classes {_listed(pool.classes)}; the training rows are "
            f"{train.spec} of the classes {_listed(train.classes)}. Use a generator trained on these rows."
        )
    missing = [name for name, n in train.counts.items() if n and not pool.counts[name]]
    if missing:
        raise InvalidRequest(
            f"The samples have no row of {_listed(missing)}, which the training rows have. Sample it too."
        )


def require_unseen(train: LabeledData, others: Mapping[str, LabeledData], trained_on: np.ndarray) -> None:
    """Refuse overlap among the sets of rows, and a generator that saw more than the training rows."""
    named = {"training": train, **others}
    for (a, left), (b, right) in combinations(named.items(), 2):
        require_disjoint(left, right, f"{a} and {b} rows")
    for name, data in others.items():
        seen = int(np.isin(data.fingerprints(), trained_on).sum())
        if seen:
            raise Leakage(
                f"The generator was trained on {seen} of the {len(data)} {name} rows, so its samples would "
                "tell classifiers about them. Give none, and one is trained on the right rows; or give the data set "
                "a validation split, which no generator is trained on."
            )
    extra = int((~np.isin(trained_on, train.fingerprints())).sum())
    if extra:
        raise Leakage(
            f"The generator was trained on {extra} rows that are no training rows of the classifiers: a gain "
            "would come from those. Train the generator and the classifiers on the same rows."
        )


def _listed(names: Iterable[str]) -> str:
    known = [f'"{name}"' for name in names]
    return ", ".join(known[:10]) + (f" and {len(known) - 10} more" if len(known) > 10 else "")


def _title(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def _shown(outcomes: Iterator[_Outcome], total: int, progress: bool) -> Iterator[_Outcome]:
    from tqdm.auto import tqdm

    return iter(tqdm(outcomes, total=total, desc="classifiers", unit="run", disable=not progress))


def environment() -> dict[str, str]:
    """Library versions and hardware, for results to be read by."""
    packages = ("torch", "numpy", "scikit-learn", "albumentations")
    return {
        "hardware": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def _processor() -> str:
    """The processor's name where the system tells it."""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
