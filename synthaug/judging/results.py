"""What judging comes to: how arms did, how they compare, what to use. Values, that are saved and read back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import TypeAdapter

from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidArtifact, InvalidRequest
from synthaug.generators.artifact import read_generator, write_generator
from synthaug.generators.facts import About
from synthaug.generators.generator import Generator, Selection
from synthaug.generators.samples import Samples
from synthaug.judging import words
from synthaug.judging.curation import Effect
from synthaug.judging.loaders import Augment, Encode, Judge
from synthaug.judging.protocol import PLAN_FILE, PLAN_GENERATOR
from synthaug.judging.search import Choice
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
from synthaug.mixing.schedule import Schedule, linear
from synthaug.mixing.supply import Supply
from synthaug.outputs import atomic_write_text, one_error
from synthaug.wording import one_line

FORMAT = 3
"""Of plans and evaluations as JSON data, which name it; others are not read."""

Metric: TypeAlias = Literal["accuracy", "balanced_accuracy"]


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
    """

    train: LabeledData
    pool: Samples
    encode: Encode
    trained_on: np.ndarray
    augmentations: Mapping[str, Augment] = field(default_factory=dict)
    seconds: float = 0.0
    about: About | None = None
    judge: Judge | None = None


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
        steps: optimizer steps of an arm.
        ratio: share of synthetic rows, the largest where it changes.
        batch_size: rows per batch.
        seed: decides everything.
        generators: how many there were.
        arms_left_out: those that did not apply.
    """

    data: str
    training: str
    steps: int
    ratio: float
    batch_size: int
    seed: int
    generators: int
    arms_left_out: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """What judges say of some samples, whether or not it is followed.

    Attributes:
        samples: how many they looked at.
        filters: what each filter of curation drops, by class, and the diversity before and after.
    """

    samples: int
    filters: tuple[Effect, ...]


@dataclass(frozen=True)
class Plan:
    """How much of which synthetic rows to use with a data set, 0 included; `synthaug.choose` makes it.

    Attributes:
        accepted: whether synthetic rows are to be used.
        baseline: the best training without them.
        candidate: the best training with them, whether or not it is to be used.
        base: what the candidate adds them to; the baseline, or the same with fewer steps where longer training was
            the best without them.
        augmentation: the augmentation of both, by its name; None for none.
        family: of the candidate's generator.
        settings: its settings of sampling.
        candidate_share: its share of synthetic rows in each batch.
        curated: whether judges had to let its samples pass.
        kept: where they had to, the numbers of the samples that passed, by class: of the sequence of ``seed``.
        seed: of the samples that are kept.
        shares: of the options that differ from the candidate in nothing else, by name.
        annealed: whether its share falls to 0 over ``classifier_steps``.
        classifier_steps: the length of the trainings that chose.
        metric: accuracy or balanced accuracy.
        choice: the standings and the gain.
        seconds: spent per stage.
        cost: of generators, samples and classifiers together, in trainings of one classifier.
        data: fingerprint of the rows that chose.
        generator: trained on all of them where the plan is to use synthetic rows; else None.
    """

    __pydantic_config__: ClassVar[Any] = {"arbitrary_types_allowed": True}

    accepted: bool
    baseline: str
    candidate: str
    augmentation: str | None
    family: str
    settings: Mapping[str, Any]
    candidate_share: float
    curated: bool
    annealed: bool
    classifier_steps: int
    metric: Metric
    choice: Choice
    seconds: Mapping[str, float]
    cost: float
    data: str
    base: str
    seed: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)
    kept: Mapping[str, tuple[int, ...]] | None = None
    generator: Generator | None = field(default=None, compare=False)

    @property
    def share(self) -> float:
        """The share of synthetic rows to use, 0 where they are not to be used."""
        return self.candidate_share if self.accepted else 0.0

    @property
    def ratio(self) -> float | Schedule:
        """The share as `synthaug.mix` takes it for a loader."""
        return linear(self.share, 0.0, steps=self.classifier_steps) if self.annealed else self.share

    @property
    def mean_share(self) -> float:
        """The share over the training: of one that falls to 0, half of where it starts; what a fixed data set takes."""
        return self.share / 2 if self.annealed else self.share

    @property
    def advice(self) -> str:
        """What to do, in one plain sentence."""
        return words.advice_of_plan(self)

    def maker(self) -> Generator | None:
        """What makes the synthetic rows that are to be used; None where none are.

        Raises:
            InvalidRequest: the plan came without it.
        """
        if self.accepted and self.generator is None:
            raise InvalidRequest(
                f"The plan is to use samples of {self.family}, but came without its generator. Read it from the "
                "folder that choose wrote, with Plan.load, or give it one with plan.with_generator."
            )
        return self.generator

    def supply(self) -> Supply:
        """Its generator at its share, as `synthaug.mix` takes it."""
        return Supply(self.maker(), share=self.ratio, fixed_share=self.mean_share)

    def totals(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Final rows of each class for a data set of these rows per class, so that `mean_share` of them are synthetic.

        Args:
            counts: real rows per class name.
        """
        return {
            name: n + math.ceil(n * self.mean_share / (1 - self.mean_share)) for name, n in counts.items()
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        plain: dict[str, Any] = TypeAdapter(Plan).dump_python(replace(self, generator=None), mode="json")
        told = {"advice": self.advice, "share": self.share, "format_version": FORMAT}
        return told | {name: value for name, value in plain.items() if name != "generator"}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], generator: Generator | None = None) -> Plan:
        """The plan that `to_dict` wrote, with its generator where it has one.

        Raises:
            InvalidArtifact: another version of synthaug wrote it, whose choices are made and told otherwise.
        """
        _require_format("plan", data, "Choose again.")
        rest = {k: v for k, v in data.items() if k not in ("format_version", "advice", "share")}
        return TypeAdapter(cls).validate_python(rest).with_generator(generator)

    def with_generator(self, generator: Generator | None) -> Plan:
        """The plan with what makes its synthetic rows."""
        if generator is not None and self.kept is not None:
            rows = {name: np.array(numbers, np.int64) for name, numbers in self.kept.items()}
            generator = generator.keeping(Selection(self.seed, rows))
        return replace(self, generator=generator)

    def write(self, folder: Path) -> None:
        """Writes the plan and its generator into an existing folder."""
        text = json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"
        atomic_write_text(folder / PLAN_FILE, text)
        if self.generator is not None:
            (folder / PLAN_GENERATOR).mkdir(exist_ok=True)
            write_generator(self.generator, folder / PLAN_GENERATOR)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Plan:
        """The plan that `synthaug.choose` wrote with ``out``.

        Raises:
            InvalidArtifact: there is none, or it or its generator is not whole.
        """
        path = Path(folder) / PLAN_FILE
        with one_error(InvalidArtifact, f"{path} cannot be read", "Ask for the right to read it."):
            if not path.is_file():
                raise InvalidArtifact(
                    f"{folder} holds no plan ({PLAN_FILE}); make one with synthaug.choose(..., out=...)."
                )
            content = path.read_bytes()
            made = Path(folder) / PLAN_GENERATOR
            generator = read_generator(made).to(device) if made.is_dir() else None
        try:
            return cls.from_dict(json.loads(content.decode()), generator)
        except (InvalidArtifact, InvalidRequest):
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = one_line("; ".join(str(error).splitlines()[:3]))
            raise InvalidArtifact(f"{path} is no plan ({reason}). Choose again.") from None


@dataclass(frozen=True)
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

    @property
    def advice(self) -> str:
        """What to do, in one plain sentence."""
        return words.advice(self)

    def arm(self, name: str) -> ArmResult:
        """The result of one arm."""
        return next(arm for arm in self.arms if arm.name == name)

    def paired(self, treated: Sequence[float], baseline: Sequence[float]) -> Interval:
        """The mean difference of values by seed; its interval is over replicates, or over the seeds of a lone one."""
        pairs = by_replicate(treated, self.replicates), by_replicate(baseline, self.replicates)
        return paired_interval(*pairs).within(-1, 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        plain: dict[str, Any] = TypeAdapter(Evaluation).dump_python(replace(self, plan=None), mode="json")
        told = {"advice": self.advice, "verdict": self.verdict, "format_version": FORMAT}
        return told | plain | {"plan": None if self.plan is None else self.plan.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evaluation:
        """The evaluation that `to_dict` wrote.

        Raises:
            InvalidArtifact: another version of synthaug wrote it.
        """
        _require_format("evaluation", data, "Evaluate again.")
        rest = {k: v for k, v in data.items() if k not in ("format_version", "advice", "verdict", "plan")}
        plan = None if data["plan"] is None else Plan.from_dict(data["plan"])
        return replace(TypeAdapter(cls).validate_python(rest), plan=plan)


def by_replicate(values: Sequence[float], replicates: int) -> np.ndarray:
    """Values by seed, averaged over those of a replicate, which share rows and generator; of a lone one as they are."""
    array = np.asarray(values, np.float64)
    return array if replicates == 1 else array.reshape(-1, replicates).mean(axis=0)


def _require_format(what: str, data: Mapping[str, Any], remedy: str) -> None:
    if data.get("format_version") != FORMAT:
        raise InvalidArtifact(
            f"The {what} has the format {data.get('format_version', 1)}; this version of synthaug reads {FORMAT}. "
            f"{remedy}"
        )
