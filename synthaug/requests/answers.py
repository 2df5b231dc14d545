"""What is to be found out: how much of which synthetic rows, and whether they help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from synthaug import data, generators, judging
from synthaug.judging.protocol import USUAL_PROTOCOL
from synthaug.requests.base import Request, apart, as_tuple, fingerprint_of, partition_of, told_of
from synthaug.wording import duration


@dataclass(frozen=True)
class ChooseRequest(Request):
    """How much of which synthetic rows to train with, to be found out.

    Attributes:
        dataset: the data set.
        families: what to try, of cvae, cgan, warp and the families of other packages, by the kind of rows where none
            is named; repeatable.
        train: the user's own training.
        protocol: how it is found out.
        seed: the only source of randomness.
        device: auto, cpu, cuda, ...
        augmentations: pipelines of albumentations to try as well, by name.
        arms: further ways to prepare the rows, to try as well.
        unlabelled: rows without labels, to be judged and learned from.
    """

    dataset: data.LabeledData
    families: Sequence[str] = ()
    train: judging.Train | None = None
    protocol: judging.Protocol = USUAL_PROTOCOL
    seed: int = 0
    device: str = "auto"
    augmentations: Mapping[str, Any] = field(default_factory=dict)
    arms: Sequence[judging.Arm] = ()
    unlabelled: data.LabeledData | None = None

    @cached_property
    def question(self) -> judging.Question:
        """What is asked of `synthaug.judging.choose`."""
        data.require_original(self.dataset, "data set")
        rows, held_out = data.training_and_held_out(self.dataset)
        return judging.Question(
            rows,
            held_out,
            as_tuple(self.families) or judging.families_for(rows.form.kind),
            self.train or judging.learner_of(self.protocol.learner),
            self.protocol,
            self.seed,
            self.augmentations,
            self.arms,
            apart(self.unlabelled, rows, held_out),
        )

    def describe(self) -> dict[str, Any]:  # noqa: D102
        return {"rows": self.question.rows.counts} | self.question.check(self.device)

    def forecast(self, jobs: int | None = None) -> dict[str, Any]:  # noqa: D102
        return _told(judging.foretell(self.question, judging.Work.of(self.device, jobs)))

    def to_dict(self) -> dict[str, Any]:  # noqa: D102
        rows, held_out, protocol = self.question.rows, self.question.held_out, asdict(self.protocol)
        return {
            "choose": rows.fingerprint(),
            "groups": partition_of(rows),
            "form": rows.form.to_dict(),
            "held_out": fingerprint_of(held_out),
            "families": list(self.question.families),
            "train": judging.identity_of(self.train),
            **judging.identity_of_own(self.augmentations, self.arms),
            **told_of(self.question.unlabelled),
            "seed": self.seed,
            "format": judging.FORMAT,
            # those of the final test have no part in a choice
            **{
                name: value
                for name, value in protocol.items()
                if name not in ("seeds", "generators", "today")
            },
        }


@dataclass(frozen=True)
class EvaluateRequest(Request):
    """Whether synthetic rows help, to be found out.

    Attributes:
        dataset: the data set.
        families: what to try, of cvae, cgan, warp and the families of other packages, by the kind of rows where none
            is named; repeatable.
        generator: a saved generator; it is evaluated as it is, nothing is chosen.
        ratio: share of synthetic rows in a batch; chosen without it.
        train: the user's own training.
        protocol: how it is found out.
        seed: the only source of randomness.
        device: auto, cpu, cuda, ...
        augmentations: pipelines of albumentations to try as well, by name.
        arms: further ways to prepare the rows, to try as well.
        unlabelled: rows without labels, to be judged and learned from.
    """

    dataset: data.LabeledData
    families: Sequence[str] = ()
    generator: generators.Generator | None = None
    ratio: float | None = None
    train: judging.Train | None = None
    protocol: judging.Protocol = USUAL_PROTOCOL
    seed: int = 0
    device: str = "auto"
    augmentations: Mapping[str, Any] = field(default_factory=dict)
    arms: Sequence[judging.Arm] = ()
    unlabelled: data.LabeledData | None = None

    @cached_property
    def inquiry(self) -> judging.Inquiry:
        """What is asked of `synthaug.judging.evaluate`."""
        data.require_original(self.dataset, "data set")
        parts = judging.TestedRows.of(self.dataset, self.seed)
        return judging.Inquiry(
            parts,
            as_tuple(self.families) or judging.families_for(self.dataset.form.kind),
            self.generator,
            self.ratio,
            self.train or judging.learner_of(self.protocol.learner),
            self.protocol,
            self.seed,
            self.augmentations,
            self.arms,
            apart(self.unlabelled, parts.inside, parts.test, drawn=data.tested_split(self.dataset) is None),
        )

    def describe(self) -> dict[str, Any]:  # noqa: D102
        inquiry = self.inquiry
        arms = [arm.name for arm in inquiry.arms if not (inquiry.chooses and arm.synthetic)]
        return {
            "rows": {name: part.counts for name, part in inquiry.parts.named.items()},
            "generator": inquiry.check(self.device),
            "arms": ", ".join(arms),
            "ratio": "chosen by cross-validation" if inquiry.chooses else inquiry.share,
            **asdict(self.protocol),
        }

    def forecast(self, jobs: int | None = None) -> dict[str, Any]:  # noqa: D102
        return _told(judging.foretell_evaluation(self.inquiry, judging.Work.of(self.device, jobs)))

    def to_dict(self) -> dict[str, Any]:  # noqa: D102
        inquiry, parts = self.inquiry, self.inquiry.parts.named
        return {
            "evaluate": {name: parts[name].fingerprint() for name in data.THREE},
            "groups": [partition_of(parts[name]) for name in data.THREE],
            "form": parts["train"].form.to_dict(),
            **({"generator": None} if self.generator is None else self.generator.identity),
            "families": None if self.generator is not None else list(inquiry.families),
            "ratio": "chosen" if inquiry.chooses else inquiry.share,
            "train": judging.identity_of(self.train),
            **judging.identity_of_own(self.augmentations, self.arms),
            **told_of(inquiry.unlabelled),
            "seed": self.seed,
            "format": judging.FORMAT,
            **asdict(self.protocol),
        }


def _told(found: judging.Forecast) -> dict[str, Any]:
    made = [_counted("classifier", *found.trainings), _counted("generator", *found.generators)]
    return {
        "takes": f"about {_between(*map(duration, found.seconds))}",
        "trains": f"{' and '.join(filter(None, made))}, in {_counted('process', found.jobs, found.jobs)}",
        "takes_in_full": {
            "seconds": [round(seconds, 1) for seconds in found.seconds],
            "trainings": list(found.trainings),
            "generators": list(found.generators),
            "seconds a training": float(f"{found.seconds_per_training:.3g}"),
            "processes": found.jobs,
        },
    }


def _counted(what: str, few: int, many: int) -> str:
    """How many of something; nothing where there are none."""
    plural = "" if many == 1 else "es" if what.endswith("s") else "s"
    return f"{_between(str(few), str(many))} {what}{plural}" if many else ""


def _between(few: str, many: str) -> str:
    """From few to many, with a unit that both have said once."""
    if few == many:
        return few
    (number, *unit), (_, *other) = few.split(), many.split()
    return f"{number if unit == other else few} to {many}"
