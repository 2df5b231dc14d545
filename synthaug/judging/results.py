"""What judging comes to: how arms did and how they compare. Values, that are saved and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from pydantic import TypeAdapter

from synthaug.data.labeled import LabeledData
from synthaug.generators.facts import About
from synthaug.generators.samples import Samples
from synthaug.judging import words
from synthaug.judging.curation import Effect
from synthaug.judging.loaders import Augment, Encode, Judge
from synthaug.judging.plan import FORMAT, Metric, Plan, require_format
from synthaug.metrics.fidelity import Fidelity
from synthaug.metrics.scores import Scores
from synthaug.metrics.statistics import (
    SIGN_FLIPS_FROM,
    Interval,
    Verdict,
    paired_interval,
    sign_flip_p,
    verdict,
)
from synthaug.wording import in_html, points


@dataclass(frozen=True)
class Replicate:
    """What an evaluation repeats: training rows, and samples of a generator trained on them.

    Attributes:
        train: rows for the classifiers.
        pool: synthetic rows of at least every class in ``train``.
        encode: raw rows to what classifiers take, fitted on training rows only.
        trained_on: ``(M,)`` uint64 fingerprints of the rows the generator saw.
        augmentations: of an encoded batch, by the names that arms know.
        seconds: how long the generator was trained.
        about: what the generator is, where that is to be told.
        judge: encoded rows to probabilities, fitted on ``train``; None where no arm is to take labels from it.
        unlabelled: ``(U,)`` uint64 fingerprints of rows without labels that the generator may have seen as well.
    """

    train: LabeledData
    pool: Samples
    encode: Encode
    trained_on: np.ndarray
    augmentations: Mapping[str, Augment] = field(default_factory=dict)
    seconds: float = 0.0
    about: About | None = None
    judge: Judge | None = None
    unlabelled: np.ndarray | None = None


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
        mistaken: how many test rows of a class were taken for which other one, by names, over all seeds; without those
            that never were.
    """

    name: str
    synthetic: bool
    about: str
    augmentation: str | None
    steps: int
    validation: tuple[Scores, ...]
    test: tuple[Scores, ...]
    seconds: tuple[float, ...]
    mistaken: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

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

    @classmethod
    def of(cls, arm: ArmResult, baseline: ArmResult, metric: Metric, replicates: int) -> Comparison:
        """The comparison of two arms by their test scores."""
        treated, plain = (by_replicate(each.values(metric), replicates) for each in (arm, baseline))
        difference = paired_interval(treated, plain).within(-1, 1)
        p_value = sign_flip_p(treated - plain) if len(plain) >= SIGN_FLIPS_FROM else None
        return cls(arm.name, difference, p_value, verdict(difference, p_value))


@dataclass(frozen=True)
class Setup:
    """What an evaluation was asked for.

    Attributes:
        data: what the rows were read from.
        training: what trains the classifiers.
        steps: optimizer steps of an arm; 0 where the training takes none.
        ratio: share of synthetic rows, the largest where it changes.
        batch_size: rows per batch.
        seed: decides everything.
        generators: how many there were.
        arms_left_out: those that did not apply.
        today: the arm that is trained with today, where that was said.
        again: a command, or lines of Python, that asks for the same; None where nobody has told.
    """

    data: str
    training: str
    steps: int
    ratio: float
    batch_size: int
    seed: int
    generators: int
    arms_left_out: tuple[str, ...]
    today: str | None = None
    again: str | None = None


@dataclass(frozen=True)
class Judged:
    """What judges say of some samples, whether or not it is followed.

    Attributes:
        samples: how many they looked at.
        filters: what each filter of curation drops, by class, and the diversity before and after.
    """

    samples: int
    filters: tuple[Effect, ...]


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Whether synthetic rows help; JSON data through `to_dict` and `from_dict`.

    Attributes:
        metric: what is compared: accuracy, or balanced accuracy where classes are unequally frequent.
        classes: class names.
        seeds: the classifier seeds, the same in every arm.
        replicates: how many there were of training rows and generator; seed i belongs to number ``i % replicates``.
        arms: every arm's scores, losers included.
        baseline: the arm without synthetic rows that was best on the validation rows, or that the plan chose.
        candidate: the arm with synthetic rows that was best on the validation rows, or that the plan chose.
        comparisons: every arm but the baseline, against the baseline on the test rows.
        rows: rows per class name of "training", "validation", "test" and "synthetic".
        setup: what was asked for.
        generator: what made the synthetic rows, where that is known.
        environment: library versions and hardware.
        seconds: seconds spent per stage.
        fidelity: how the synthetic rows compare with real ones, where measured.
        plan: what cross-validation chose inside the training rows, where it picked the arms; without its generator.
        judged: what judges say of some samples, where there are judges.
    """

    metric: Metric
    classes: tuple[str, ...]
    seeds: tuple[int, ...]
    replicates: int
    arms: tuple[ArmResult, ...]
    baseline: str
    candidate: str
    comparisons: tuple[Comparison, ...]
    rows: Mapping[str, Mapping[str, int]]
    setup: Setup
    generator: About | None
    environment: Mapping[str, str]
    seconds: Mapping[str, float]
    fidelity: Fidelity | None = None
    plan: Plan | None = None
    judged: Judged | None = None

    @property
    def headline(self) -> Comparison:
        """The comparison that answers the question: candidate against baseline."""
        return next(c for c in self.comparisons if c.arm == self.candidate)

    @property
    def verdict(self) -> Verdict:
        """What the headline comparison allows one to say; never that rows help which the choice had refused."""
        refused = self.plan is not None and not self.plan.accepted
        return "no evidence" if refused and self.headline.verdict == "helps" else self.headline.verdict

    def __repr__(self) -> str:
        gain = self.headline.difference
        told = f"{points(gain.mean)} points ({words.interval(gain)}), {self.verdict}"
        return f"Evaluation({self.candidate} over {self.baseline}: {told}, {gain.n} runs)"

    def _repr_html_(self) -> str:
        """The table of arms and what it says, in a notebook; the report of `synthaug.evaluate` shows more."""
        return in_html(words.evaluation_on_terminal(self))

    @property
    def advice(self) -> str:
        """What to do, in one plain sentence."""
        return words.advice(self)

    @property
    def followed(self) -> str:
        """The arm that the advice comes to."""
        return self.candidate if self.verdict == "helps" else self.baseline

    def gain_over(self, name: str, of: str | None = None) -> Interval | None:
        """What an arm, that of the advice when None, gains over another one on the test rows; None without that one."""
        if name not in {arm.name for arm in self.arms}:
            return None
        ours, theirs = (self.arm(each).values(self.metric) for each in (of or self.followed, name))
        return self.paired(ours, theirs)

    @property
    def worth(self) -> str:
        """What following the advice gains over training on the rows as they are, in one plain sentence."""
        return words.worth(self)

    def arm(self, name: str) -> ArmResult:
        """The result of one arm."""
        return next(arm for arm in self.arms if arm.name == name)

    def differences(self, name: str) -> np.ndarray:
        """What an arm scores more than the baseline with each generator, or of a lone one with each seed."""
        ours, theirs = (self.arm(each).values(self.metric) for each in (name, self.baseline))
        pairs: np.ndarray = by_replicate(ours, self.replicates) - by_replicate(theirs, self.replicates)
        return pairs

    def paired(self, treated: Sequence[float], baseline: Sequence[float]) -> Interval:
        """The mean difference of values by seed; its interval is over replicates, or over the seeds of a lone one."""
        pairs = by_replicate(treated, self.replicates), by_replicate(baseline, self.replicates)
        return paired_interval(*pairs).within(-1, 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        plain: dict[str, Any] = TypeAdapter(Evaluation).dump_python(replace(self, plan=None), mode="json")
        told = {"worth": self.worth, "advice": self.advice, "verdict": self.verdict, "format_version": FORMAT}
        return told | plain | {"plan": None if self.plan is None else self.plan.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evaluation:
        """The evaluation that `to_dict` wrote.

        Raises:
            InvalidArtifact: another version of synthaug wrote it.
        """
        require_format("evaluation", data, "Evaluate again.")
        rest = {
            k: v for k, v in data.items() if k not in ("format_version", "worth", "advice", "verdict", "plan")
        }
        plan = None if data["plan"] is None else Plan.from_dict(data["plan"])
        return replace(TypeAdapter(cls).validate_python(rest), plan=plan)


def by_replicate(values: Sequence[float], replicates: int) -> np.ndarray:
    """Values by seed, averaged over those of a replicate, which share rows and generator; of a lone one as they are."""
    array = np.asarray(values, np.float64)
    return array if replicates == 1 else array.reshape(-1, replicates).mean(axis=0)
