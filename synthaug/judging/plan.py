"""What a choice came to: how much of which synthetic rows to use, as a value that is saved, read and followed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synthaug.errors import InvalidArtifact
from synthaug.generators.generator import Generator
from synthaug.judging.search import LEVEL, Choice
from synthaug.metrics.statistics import Interval
from synthaug.mixing.schedule import Schedule, linear
from synthaug.outputs import atomic_write_text

FILE = "plan.json"
GENERATOR = "generator"
FORMAT = 2
"""Of saved plans, which name it; others are not read."""


@dataclass(frozen=True)
class Plan:
    """How much of which synthetic rows to use with a data set, 0 included; `synthaug.choose` makes it.

    Attributes:
        accepted: whether synthetic rows are to be used.
        baseline: the best training without them.
        candidate: the best training with them, whether or not it is to be used.
        base: what the candidate adds them to; the baseline, or the same with fewer steps where longer training was
            the best without them.
        augmentation: the augmentation of both, as `image_augmentations` names it; None for none.
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
    metric: Literal["accuracy", "balanced_accuracy"]
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
        judged = self.choice.judged
        gained = None if judged is None else self._judged_gain(judged.gain)
        if self.accepted:
            assert judged is not None, "what is accepted was judged"
            falling = f", falling to 0 over {self.classifier_steps} steps," if self.annealed else ""
            kind = "curated samples" if self.curated else "samples"
            said = (
                f"Use synthetic rows: {self.share:.0%} of each batch{falling} as {kind} of {self.family}, with "
                f"“{self.base}”. Choosing in this way {gained}; that it gains is {LEVEL:.0%} sure (more than "
                f"{_points(judged.bound)})."
            )
        elif self.choice.candidate is None:
            said = f"Use no synthetic rows: train with “{self.baseline}”; no share of any family did better."
        else:
            chance = "" if judged is not None and judged.gain.mean <= 0 else ", which may be chance"
            said = (
                f"Use no synthetic rows: train with “{self.baseline}”. The best with them was “{self.candidate}”, "
                f"{f'but choosing in this way {gained}' if gained else self._own_gain()}{chance}."
            )
        return said.replace("%", " %")

    def _judged_gain(self, gain: Interval) -> str:
        nothing = "" if gain.mean > 0 else "nothing: "
        return f"gained {nothing}{self._told(gain)} on folds that had not chosen"

    def _own_gain(self) -> str:
        """What the candidate gained on the rows that chose it."""
        (own,) = (of.gain for of in self.choice.standings if of.name == self.candidate)
        assert own is not None, "only the baseline has no gain"
        return f"with {self._told(own)} on the very rows that chose it"

    def _told(self, gain: Interval) -> str:
        metric = self.metric.replace("_", " ")
        return f"{_points(gain.mean)} points [{_points(gain.low)}, {_points(gain.high)}] of {metric}"

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
        kept = {k: v for k, v in vars(self).items() if k not in ("generator", "choice")}
        told = {"format_version": FORMAT, "advice": self.advice, "share": self.share}
        whole = {**told, **kept, "choice": asdict(self.choice)}
        plain: dict[str, Any] = json.loads(json.dumps(whole))
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], generator: Generator | None = None) -> Plan:
        """The plan that `to_dict` wrote, with its generator where it has one.

        Raises:
            InvalidArtifact: another version of synthaug wrote it, whose choices are made and told otherwise.
        """
        from pydantic import TypeAdapter

        if data.get("format_version") != FORMAT:
            raise InvalidArtifact(
                f"The plan has the format {data.get('format_version', 1)}; this version of synthaug reads {FORMAT}. "
                "Choose again."
            )
        told = ("format_version", "advice", "share")
        rest = {k: v for k, v in data.items() if k not in (*told, "choice", "kept")}
        kept = None if data["kept"] is None else {k: tuple(v) for k, v in data["kept"].items()}
        choice = TypeAdapter(Choice).validate_python(data["choice"])
        return cls(**rest, choice=choice, kept=kept).with_generator(generator)

    def with_generator(self, generator: Generator | None) -> Plan:
        """The plan with what makes its synthetic rows."""
        if generator is not None and self.kept is not None:
            generator = generator.keeping({k: np.array(v) for k, v in self.kept.items()}, self.seed)
        return replace(self, generator=generator)

    def write(self, folder: Path) -> None:
        """Writes the plan and its generator into an existing folder."""
        atomic_write_text(folder / FILE, json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n")
        if self.generator is not None:
            (folder / GENERATOR).mkdir(exist_ok=True)
            self.generator.write(folder / GENERATOR)

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Plan:
        """The plan that `synthaug.choose` wrote with ``out``.

        Raises:
            InvalidArtifact: there is none, or its generator is not whole.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            raise InvalidArtifact(
                f"{folder} holds no plan ({FILE}); make one with synthaug.choose(..., out=...)."
            )
        made = Path(folder) / GENERATOR
        generator = Generator.load(made, device) if made.is_dir() else None
        return cls.from_dict(json.loads(path.read_text(encoding="utf-8")), generator)


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
