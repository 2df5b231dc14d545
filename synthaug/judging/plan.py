"""The plan that a choice comes to: how to train, and how much of which synthetic rows to use; applied in one line."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import TypeAdapter

from synthaug.errors import InvalidArtifact, InvalidRequest, SynthaugWarning
from synthaug.generators.artifact import read_generator, write_generator
from synthaug.generators.generator import Generator, Selection
from synthaug.judging import words
from synthaug.judging.arms import AS_THEY_ARE
from synthaug.judging.preparation import Loss, Preparation
from synthaug.judging.protocol import PLAN_FILE, PLAN_GENERATOR
from synthaug.judging.trials import Choice
from synthaug.metrics.statistics import Interval
from synthaug.mixing.adapters import adapter_for
from synthaug.mixing.options import Items, MixOptions
from synthaug.mixing.schedule import Schedule, linear
from synthaug.mixing.supply import Supply
from synthaug.outputs import atomic_write_text, one_error
from synthaug.wording import in_html, one_line

FORMAT = 7
"""Of plans and evaluations as JSON data, which name it; others are not read."""

Metric: TypeAlias = Literal["accuracy", "balanced_accuracy"]


@dataclass(frozen=True, repr=False)
class Plan:
    """How much of which synthetic rows to use with a data set, 0 included; `synthaug.choose` makes it.

    Attributes:
        accepted: whether synthetic rows are to be used.
        baseline: the best training without them.
        candidate: the best training with them that was tried, whether or not it is to be used.
        base: what the candidate adds them to; the baseline, or the same with fewer steps where longer training was
            the best without them.
        augmentation: the augmentation of both, by its name; None for none.
        family: of the candidate's generator.
        settings: its settings of sampling.
        candidate_share: its share of synthetic rows in each batch.
        curated: whether judges had to let its samples pass.
        kept: where they had to, the numbers of the samples that passed, by class: of the sequence of ``seed``.
        seed: of the samples that are kept.
        preparation: how rows are prepared for the training that the plan prefers.
        shares: of the options that differ from the candidate in nothing else, by name.
        annealed: whether its share falls to 0 over ``classifier_steps``.
        classifier_steps: the length of the trainings that chose.
        metric: accuracy or balanced accuracy.
        choice: the standings and the gain.
        seconds: spent per stage.
        cost: of generators, samples and classifiers together, in trainings of one classifier.
        data: fingerprint of the rows that chose.
        learner: what was trained to choose, where it was a learner of scikit-learn, which no loader is made for.
        instead: what is worth more than any training from scratch on such rows; None where that is not known.
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
    preparation: Preparation
    seed: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)
    kept: Mapping[str, tuple[int, ...]] | None = None
    learner: str | None = None
    instead: str | None = None
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
    def gain(self) -> Interval | None:
        """What the plan gains over training on the rows as they are, on the rows that chose; None if that was not run.

        What chose the best of many is a little too kind to it; `synthaug.evaluate` tests it on others.
        """
        gains = {of.name: of.gain for of in self.choice.standings}
        if AS_THEY_ARE not in gains:
            return None
        none = Interval(0.0, 0.0, 0.0, 0)
        plain, own = gains[AS_THEY_ARE] or none, (gains[self.candidate] if self.accepted else None) or none
        mean, reach = own.mean - plain.mean, math.hypot(own.high - own.mean, plain.high - plain.mean)
        return Interval(mean, mean - reach, mean + reach, max(own.n, plain.n)).within(-1, 1)

    def __repr__(self) -> str:
        return f"Plan({self.choice.option}, of {len(self.choice.standings)} options that were tried)"

    def _repr_html_(self) -> str:
        """What it is worth, the advice and what was tried, in a notebook."""
        return in_html(words.choice_on_terminal(self))

    @property
    def worth(self) -> str:
        """What following the plan gains over training on the rows as they are, in one plain sentence."""
        return words.worth_of_plan(self)

    @property
    def advice(self) -> str:
        """What to do, in plain words."""
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

    @property
    def steps(self) -> int:
        """Optimizer steps of the training that the plan prefers."""
        return self.preparation.steps

    def transform(self) -> Any:
        """The augmentation of the plan as an `A.Compose`, to be put before whatever converts or normalises.

        It takes ``image=``, a NumPy array ``(H, W)`` or ``(H, W, C)`` as the plan was chosen for, and gives one of the
        same dtype and range. Its random streams differ between workers, epochs and ranks without a ``worker_init_fn``,
        and it goes through `A.to_dict`, `A.save` and pickle. It does nothing where no augmentation is the best.

        Raises:
            InvalidRequest: the plan is to train with an arm of the user's own.
        """
        return self.preparation.transform()

    def loss(self) -> Loss:
        """The loss of the plan, ``loss(logits, labels)``: weighted or shifted where that is the best.

        Else it is what classifiers are judged with, cross-entropy with labels smoothed by 0.1; not smoothed where
        `decide` divides probabilities.
        Labels are ``(B,)`` positions in the classes, or ``(B, K)`` distributions. Where weights come late, it takes as
        ``progress`` how much of the training is done, from 0 to 1.
        """
        return self.preparation.loss()

    def decide(self, probabilities: Any) -> np.ndarray:
        """What a classifier that was trained as the plan says takes rows for, ``(N,)`` int64 positions in the classes.

        The likeliest class; where that is the best, after probabilities were divided by how frequent classes are among
        the rows that the plan was chosen for.

        Args:
            probabilities: ``(N, K)`` of each class, in the order of the classes.

        Raises:
            InvalidRequest: no probabilities of so many classes, or an arm of the user's own.
        """
        return self.preparation.decided(probabilities)

    def apply(self, loader: Any, *, seed: int = 0, items: Items | None = None) -> Any:
        """A loader (or Hugging Face data set) like the given one that follows the plan.

        Images are augmented before the ``transform`` of the data set, so before what normalises; where it has none,
        those of its items are. Classes are drawn evenly where that is the best, a share of each class is replaced by
        synthetic rows where these are to be used, and the rows of a batch are blended where that is the best: labels
        are distributions then. Train it for `steps` optimizer steps, with `loss` where it is no plain cross-entropy,
        and let `decide` say what rows are taken for.

        Args:
            loader: as in `synthaug.mix`; the given one is left as it is.
            seed: decides which rows are drawn and which give way.
            items: where image and label are in an item or a column, where these cannot be guessed.

        Raises:
            SpecMismatch: images that are not like those that the plan was chosen for.
            InvalidRequest: something that this kind of loader cannot do, with what can.
            UnsupportedKind: a kind that is not taken, or a loader prepared already by another library.
        """
        if self.preparation.weighting is not None:
            warnings.warn(
                f"the plan needs its own loss ({self.preparation.weighting}), which a loader cannot bring: use "
                "plan.loss() in the training",
                SynthaugWarning,
                stacklevel=2,
            )
        if self.preparation.adjusted:
            warnings.warn(
                "the plan takes classes for as likely as they would be if all were equally frequent, which a loader "
                "cannot bring: ask plan.decide(probabilities) what the classifier takes rows for",
                SynthaugWarning,
                stacklevel=2,
            )
        options = MixOptions(seed=seed, items=items or Items())
        return adapter_for(loader).apply(loader, self.preparation.regimen(seed), self.supply(), options)

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
        told = {"worth": self.worth, "advice": self.advice, "share": self.share, "format_version": FORMAT}
        return told | {name: value for name, value in plain.items() if name != "generator"}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], generator: Generator | None = None) -> Plan:
        """The plan that `to_dict` wrote, with its generator where it has one.

        Raises:
            InvalidArtifact: another version of synthaug wrote it, whose choices are made and told otherwise.
        """
        require_format("plan", data, "Choose again.")
        rest = {k: v for k, v in data.items() if k not in ("format_version", "worth", "advice", "share")}
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


def require_format(what: str, data: Mapping[str, Any], remedy: str) -> None:
    """Refuse plans and evaluations that another version of synthaug wrote.

    Raises:
        InvalidArtifact: naming both formats.
    """
    if data.get("format_version") != FORMAT:
        raise InvalidArtifact(
            f"The {what} has the format {data.get('format_version', 1)}; this version of synthaug reads {FORMAT}. "
            f"{remedy}"
        )
