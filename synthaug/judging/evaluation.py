"""The protocol that answers "does it help?": the same training in every arm, compared seed by seed.

Nothing here knows what a row is: arms make loaders, training makes a predictor, scores are compared.
"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import cycle
from typing import Any, Literal, TypeAlias

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidArtifact, InvalidRequest
from synthaug.generators.samples import Samples
from synthaug.judging.arms import ARMS, Arm, Encode, Ingredients, shuffled
from synthaug.judging.draws import Draw, listed, require_alike, require_no_copies, require_unseen
from synthaug.judging.trainings import EncodedBatches, in_processes, one_thread, shown, train_arm, travels
from synthaug.metrics.fidelity import Fidelity, measure_fidelity
from synthaug.metrics.scores import Scores
from synthaug.metrics.statistics import (
    SIGN_FLIPS_FROM,
    Interval,
    Verdict,
    paired_interval,
    sign_flip_p,
    verdict,
)
from synthaug.mixing.schedule import Schedule
from synthaug.seeding import derive, numpy_rng
from synthaug.training.classifier import Predictions, Train, takes_loss, train_classifier

FORMAT = 2
"""Of evaluations as JSON data, which name it; others are not read."""

Metric: TypeAlias = Literal["accuracy", "balanced_accuracy"]

# Classes count as balanced while the largest has at most this many times the rows of the smallest.
_BALANCED = 1.5
_LARGEST_POOL = 1000
_FIDELITY_ROWS = 2000
# Beyond it longer training gains nothing that would be worth the wait.
_LONGEST = 5.0


@dataclass(frozen=True)
class ArmResult:
    """How one arm did: entry i of each tuple belongs to classifier seed i of `Evaluation.seeds`.

    Attributes:
        name: the arm.
        synthetic: whether its batches hold synthetic rows.
        about: what the arm does.
        augmentation: the augmentation of its rows, None for none.
        steps: optimizer steps of each training.
        validation: scores on the validation rows, used to pick among arms; none where they were picked before.
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
    """An arm against the baseline on the test rows, in the evaluation's metric, paired.

    Attributes:
        arm: the arm.
        difference: the mean difference with its interval.
        p_value: of the sign-flip test; None where there are too few pairs for it to find anything.
        verdict: what both allow to say.
    """

    arm: str
    difference: Interval
    p_value: float | None
    verdict: Verdict


@dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate_arms`; JSON data through `to_dict` and `from_dict`.

    Attributes:
        metric: what is compared: accuracy, or balanced accuracy where classes are unequally frequent.
        classes: class names.
        seeds: the classifier seeds, the same in every arm.
        draws: how many draws of training rows and generator there were; seed i belongs to draw ``i % draws``.
        arms: every arm's scores, losers included.
        baseline: the arm without synthetic rows that was best on the validation rows, or that the plan chose.
        candidate: the arm with synthetic rows that was best on the validation rows, or that the plan chose.
        comparisons: every arm but the baseline, against the baseline on the test rows.
        rows: rows per class name of "training", "validation", "test" and "synthetic".
        config: what was asked for: steps, ratio, batch size and the like.
        generator: what made the synthetic rows.
        environment: library versions and hardware.
        seconds: seconds spent per stage.
        fidelity: how the synthetic rows compare with real ones, where measured.
        plan: what cross-validation chose inside the training rows (`Plan`), where it picked the arms.
        curation: what judges say of some samples: how many they looked at, and of each filter of
            `synthaug.judging.curation` what it drops by class and the diversity before and after.
    """

    metric: Metric
    classes: tuple[str, ...]
    seeds: tuple[int, ...]
    draws: int
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
    plan: dict[str, Any] | None = None
    curation: dict[str, Any] | None = None
    format_version: int = FORMAT

    @property
    def headline(self) -> Comparison:
        """The comparison that answers the question: candidate against baseline."""
        return next(c for c in self.comparisons if c.arm == self.candidate)

    @property
    def verdict(self) -> Verdict:
        """What the headline comparison allows one to say; never that rows help which the choice had refused."""
        refused = self.plan is not None and not self.plan["accepted"]
        return "no evidence" if refused and self.headline.verdict == "helps" else self.headline.verdict

    def arm(self, name: str) -> ArmResult:
        """The result of one arm."""
        return next(arm for arm in self.arms if arm.name == name)

    def paired(self, treated: Sequence[float], baseline: Sequence[float]) -> Interval:
        """The mean difference of values by seed, with the interval over what is independent: draws, or seeds of one."""
        return paired_interval(_by_draw(treated, self.draws), _by_draw(baseline, self.draws))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        from pydantic import TypeAdapter

        data: dict[str, Any] = TypeAdapter(Evaluation).dump_python(self, mode="json")
        return {**data, "verdict": self.verdict}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evaluation:
        """The evaluation that `to_dict` wrote.

        Raises:
            InvalidArtifact: another version of synthaug wrote it.
        """
        from pydantic import TypeAdapter

        if data.get("format_version") != FORMAT:
            raise InvalidArtifact(
                f"The evaluation has the format {data.get('format_version')}; this version of synthaug reads {FORMAT}. "
                "Evaluate again."
            )
        return TypeAdapter(cls).validate_python({k: v for k, v in data.items() if k != "verdict"})


def evaluate_arms(
    draws: Sequence[Draw],
    validation: LabeledData | None,
    test: LabeledData,
    *,
    arms: Sequence[Arm] = ARMS,
    compare: tuple[str, str] | None = None,
    metric: Metric | None = None,
    training: Train | None = None,
    steps: int = 600,
    seeds: int = 5,
    ratio: float | Schedule = 0.25,
    batch_size: int = 64,
    jobs: int = 1,
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Every arm trained with every seed for the same number of steps, and the arms compared in pairs.

    Classifier seed i is paired with draw i, going round. The draws are what is compared: the scores of several seeds
    with one draw are averaged first. With a single draw the seeds are compared, and the intervals leave out what other
    training rows or another generator of the same kind would have done. Arms are picked on the validation rows and
    compared on the test rows.

    Args:
        draws: training rows, each with samples of a generator trained on them.
        validation: rows to pick arms by; None where ``compare`` says which were picked.
        test: rows to compare arms on.
        arms: what to compare, `ARMS` or `LADDER` of `judging.arms` or a choice of them. Left out are arms whose
            augmentation or judge is not given, arms for unequal classes where classes are equal, arms for the
            generator's time where it is not known, and arms with a loss of their own where ``training`` takes none.
        compare: the names of the arms without and with synthetic rows that answer the question, where something else
            than validation rows has picked them. An arm that takes labels from a judge is shown and never picked:
            what it gains may be the judge's doing, not the samples'.
        metric: what to compare; balanced accuracy where any set of rows has unequal classes, else accuracy, when None.
        training: the user's ``fn(loader, steps, seed)``; the built-in classifier on one thread when None.
            A custom function that cannot be sent to another process runs in this one.
        steps: optimizer steps of every training, up to an arm's own factor.
        seeds: number of classifier seeds, at least 2 and a multiple of the number of draws.
        ratio: share of synthetic rows in the arms that have them, above 0 and below 1, or a schedule over steps.
        batch_size: rows per batch, at least 2; fewer where there are fewer training rows.
        jobs: worker processes, of one thread each. Scores are the same whatever their number, but for the arm whose
            steps are counted by time.
        seed: decides the classifier seeds.
        progress: whether to show progress and the time left on stderr.

    Raises:
        InvalidRequest: a number out of its range, an empty set of rows, or a class a pool lacks.
        SpecMismatch: sets of rows whose classes or forms differ.
        Leakage: rows in two of the three sets, a generator that saw rows outside its ``train``, or samples that are
            copies of validation or test rows.
    """
    others = {"test": test} if validation is None else {"validation": validation, "test": test}
    share = ratio.most if isinstance(ratio, Schedule) else ratio
    require_sense(
        steps=steps, seeds=seeds, generators=len(draws), ratio=share, batch_size=batch_size, jobs=jobs
    )
    if validation is None and compare is None:
        raise InvalidRequest(
            "evaluate needs validation rows to pick arms by, or the names of those to compare."
        )
    require_alike(draws, others)
    for draw in draws:
        require_unseen(draw.train, others, draw.trained_on)
        require_no_copies(draw.pool, others)

    metric = metric or _metric([*(draw.train for draw in draws), *others.values()])
    used = _applicable(arms, draws, training)
    parts = [
        Ingredients.of(d.train, d.pool, d.encode, ratio=ratio, batch_size=batch_size, judge=d.judge)
        for d in draws
    ]
    tests = {name: (data.read(), data.labels) for name, data in others.items()}
    drawn = tuple(derive(seed, "evaluation", i) % 2**31 for i in range(seeds))  # NumPy takes 32 bits

    def train_all(arms: Sequence[Arm]) -> list[ArmResult]:
        runs = [
            partial(
                _run,
                partial(
                    train_arm,
                    arm,
                    s,
                    own if arm.judged else replace(own, judge=None),
                    draw.augmentations,
                    tests,
                    training,
                    _steps_of(arm, steps),
                ),
                own.n_classes,
            )
            for s, own, draw in zip(drawn, cycle(parts), cycle(draws), strict=False)
            for arm in arms
        ]
        outcomes = list(
            shown(in_processes(runs, jobs if travels(training) else 1), len(runs), progress, "classifiers")
        )
        return [
            _collected(arm, outcomes[i :: len(arms)], _steps_of(arm, steps)) for i, arm in enumerate(arms)
        ]

    start = time.perf_counter()
    found = train_all([arm for arm in used if arm.steps is not None])
    paid = [_paid(arm, draws, found, jobs) for arm in used if arm.steps is None]
    found += train_all(paid)
    results = tuple(next(result for result in found if result.name == arm.name) for arm in used)
    elapsed = time.perf_counter() - start

    shown_only = {arm.name for arm in used if arm.judged}
    own = [result for result in results if result.name not in shown_only]
    picked = compare or tuple(_best(own, metric, synthetic=kind).name for kind in (False, True))
    baseline, candidate = (next(arm for arm in results if arm.name == name) for name in picked)
    return Evaluation(
        metric=metric,
        classes=draws[0].train.classes,
        seeds=drawn,
        draws=len(draws),
        arms=results,
        baseline=baseline.name,
        candidate=candidate.name,
        comparisons=tuple(
            _compared(arm, baseline, metric, len(draws)) for arm in results if arm is not baseline
        ),
        rows={
            "training": draws[0].train.counts,
            **{name: data.counts for name, data in others.items()},
            "synthetic": draws[0].pool.counts,
        },
        config={
            "data": draws[0].train.origin,
            "training": "built-in classifier" if training is None else _title(training),
            "steps": steps,
            "ratio": share,
            "batch_size": parts[0].batch_size,
            "seed": seed,
            "generators": len(draws),
            "arms_left_out": "; ".join(arm.name for arm in arms if arm not in used) or "none",
        },
        generator=dict(draws[0].about),
        environment=environment() | {"processes": str(jobs)},
        seconds={"generators": sum(draw.seconds for draw in draws), "classifiers": elapsed},
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

    At most 2000 of the samples and of the held-out rows, drawn at random, are looked at.

    Args:
        train: the rows the generator was trained on.
        held_out: rows it never saw.
        pool: its samples.
        encode: images to ``(N, C, H, W)`` float32 in [-1, 1].
        steps: optimizer steps of the classifier.
        batch_size: rows per step.
        seed: decides the classifier and the rows looked at.
    """
    require_alike([Draw(train, pool, encode, np.empty(0, np.uint64))], {"held-out": held_out})
    parts = Ingredients.of(train, pool, encode, ratio=0.5, batch_size=batch_size)
    with one_thread():
        classifier = train_classifier(shuffled(parts, seed), steps, seed, n_classes=len(train.classes))

        def some(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            few = np.sort(numpy_rng(seed, "evaluation", "fidelity").permutation(len(rows))[:_FIDELITY_ROWS])
            return encode(rows[few]).numpy(), labels[few]

        return measure_fidelity(
            classifier,
            synthetic=some(pool.samples, pool.class_indices),
            training=(block.numpy() for block, _ in EncodedBatches(parts.rows, parts.labels, encode)),
            held_out=some(held_out.read(), held_out.labels),
        )


@dataclass(frozen=True)
class _Outcome:
    scores: dict[str, Scores]
    seconds: float


def _run(train: Callable[[], Mapping[str, Predictions]], n_classes: int) -> _Outcome:
    """One training of one arm, scored on every test set: a task that shares nothing with others."""
    start = time.perf_counter()
    scores = {name: of.scores(n_classes) for name, of in train().items()}
    return _Outcome(scores, time.perf_counter() - start)


def _applicable(arms: Sequence[Arm], draws: Sequence[Draw], training: Train | None) -> list[Arm]:
    own_loss = training is None or takes_loss(training)
    unequal = any(is_unequal(draw.train) for draw in draws)
    timed = all(draw.seconds > 0 for draw in draws)
    chosen = [
        arm
        for arm in arms
        if (arm.augmentation is None or all(arm.augmentation in draw.augmentations for draw in draws))
        and (arm.loss is None or own_loss)
        and (unequal or not arm.unequal)
        and (timed or arm.steps is not None)
        and (not arm.judged or all(draw.judge is not None for draw in draws))
    ]
    if {arm.synthetic for arm in chosen if arm.steps is not None and not arm.judged} != {True, False}:
        raise InvalidRequest(
            f"Of the arms {listed(arm.name for arm in arms)} there are left {listed(arm.name for arm in chosen)}; "
            "a comparison needs one with synthetic rows and one without."
        )
    return chosen


def _paid(arm: Arm, draws: Sequence[Draw], found: Sequence[ArmResult], jobs: int) -> Arm:
    """The arm with the steps that one generator's training would have paid for, in time that the user waits."""
    alike = [r for r in found if not r.synthetic and r.augmentation == arm.augmentation]
    each = np.median([s for r in alike or found for s in r.seconds]) / jobs
    due = 1 + float(np.mean([draw.seconds for draw in draws]) / each)
    factor = min(due, _LONGEST)
    less = "" if due == factor else f", where that time would pay for {due:.0f}"
    return replace(arm, steps=factor, about=f"{arm.about} {factor:.1f} times the steps{less}.")


def _steps_of(arm: Arm, steps: int) -> int:
    assert arm.steps is not None, "the generator's time is turned into steps first"
    return max(1, round(arm.steps * steps))


def _collected(arm: Arm, outcomes: Sequence[_Outcome], steps: int) -> ArmResult:
    return ArmResult(
        name=arm.name,
        synthetic=arm.synthetic,
        about=arm.about,
        augmentation=arm.augmentation,
        steps=steps,
        validation=tuple(o.scores["validation"] for o in outcomes if "validation" in o.scores),
        test=tuple(o.scores["test"] for o in outcomes),
        seconds=tuple(o.seconds for o in outcomes),
    )


def _best(results: Sequence[ArmResult], metric: Metric, *, synthetic: bool) -> ArmResult:
    """The arm with the highest mean on the validation rows; the first, simplest one of equals."""
    own = [arm for arm in results if arm.synthetic == synthetic]
    return max(own, key=lambda arm: float(np.mean(arm.values(metric, "validation"))))


def _compared(arm: ArmResult, baseline: ArmResult, metric: Metric, draws: int) -> Comparison:
    treated, plain = (_by_draw(of.values(metric), draws) for of in (arm, baseline))
    difference = paired_interval(treated, plain)
    p_value = sign_flip_p(treated - plain) if len(plain) >= SIGN_FLIPS_FROM else None
    return Comparison(arm.name, difference, p_value, verdict(difference, p_value))


def _by_draw(values: Sequence[float], draws: int) -> np.ndarray:
    """Values by seed, averaged over the seeds of a draw, which share rows and generator; of a lone draw as they are."""
    array = np.asarray(values, np.float64)
    return array if draws == 1 else array.reshape(-1, draws).mean(axis=0)


def _metric(parts: Sequence[LabeledData]) -> Metric:
    return "balanced_accuracy" if any(is_unequal(part) for part in parts) else "accuracy"


def is_unequal(data: LabeledData) -> bool:
    """Whether classes are so unequally frequent that balanced accuracy is what counts."""
    counts = [n for n in data.counts.values() if n]
    return max(counts) > _BALANCED * min(counts)


def require_sense(
    *, steps: int, seeds: int, ratio: float, generators: int = 1, batch_size: int = 64, jobs: int = 1
) -> None:
    """Refuses numbers that `evaluate_arms` cannot work with.

    Raises:
        InvalidRequest: naming the number and what it may be.
    """
    for name, value, least in (
        ("steps", steps, 1),
        ("seeds", seeds, 2),
        ("generators", generators, 1),
        ("batch_size", batch_size, 2),
        ("jobs", jobs, 1),
    ):
        if value < least:
            why = ": the spread of one seed is unknown" if name == "seeds" else ""
            raise InvalidRequest(f"evaluate was asked for {name}={value}; it needs at least {least}{why}.")
    if seeds % generators:
        raise InvalidRequest(
            f"evaluate was asked for {seeds} classifier seeds with {generators} generators; every generator needs "
            f"as many seeds: ask for seeds={generators * math.ceil(seeds / generators)}."
        )
    if not 0 < ratio < 1:
        raise InvalidRequest(
            f"evaluate was asked for ratio={ratio}; it is the share of synthetic rows in a batch, above 0 "
            "and below 1, e.g. 0.25."
        )


def _title(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


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
