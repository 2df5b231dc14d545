"""What can be asked for, once: arguments of a verb, its dry run, the record in its output, options of its command.

Each request is a frozen dataclass. Its docstring says what each field means, its defaults are the only ones,
`describe` refuses what cannot be done and says what would be, and `to_dict` is what an output records. Nothing
heavy is imported before one of these is called.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from synthaug import data, files, generators, judging, mixing, training
from synthaug.errors import InvalidRequest
from synthaug.judging.protocol import FAMILIES, USUAL_PROTOCOL

R = TypeVar("R", bound="Request")


class Request:
    """What all requests share."""

    def arguments(self) -> dict[str, Any]:
        """The fields by their names, which are those of the verb's arguments."""
        return {of.name: getattr(self, of.name) for of in fields(self)}  # type: ignore[arg-type]

    def describe(self) -> dict[str, Any]:
        """What would be done, as plain JSON data; raises what doing it would raise before it begins."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """What determines the result, as plain JSON data; an output records it."""
        raise NotImplementedError


@dataclass(frozen=True)
class DataRequest(Request):
    """What is said of a data set where it is opened.

    Attributes:
        source: a folder, file or name.
        label: column of the labels.
        image: column of the images.
        group: column of groups that must stay on one side of a split.
        image_size: resize every image to this many pixels a side, or to HxW.
        train_split: split to train on, where it is not called train.
        test_split: split to test on, where it is not called test.
    """

    source: str
    label: data.Key | None = None
    image: data.Key | None = None
    group: data.Key | None = None
    image_size: int | tuple[int, int] | None = None
    train_split: str | None = None
    test_split: str | None = None

    def open(self) -> data.LabeledData:
        """The data set."""
        said = {name: value for name, value in self.arguments().items() if name != "source"}
        return data.open_data(self.source, **said)


@dataclass(frozen=True)
class FitRequest(Request):
    """A generator to train.

    Attributes:
        dataset: the data set.
        family: what to train: cvae, cgan, warp, or a family of another package.
        steps: training budget in steps.
        minutes: training budget in minutes of wall time; 3 if neither is given.
        options: setting of the family that differs from its default.
        validation: rows to choose the best checkpoint by.
        seed: the only source of randomness.
        device: auto, cpu, cuda, ...
    """

    dataset: data.LabeledData
    family: str = "cvae"
    steps: int | None = None
    minutes: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    validation: data.LabeledData | None = None
    seed: int = 0
    device: str = "auto"

    @property
    def task(self) -> training.Training:
        """What is trained, and for how long."""
        return training.Training(self.family, self.options, self.steps, self.minutes, self.seed, self.device)

    @cached_property
    def rows(self) -> tuple[data.LabeledData, data.LabeledData | None]:
        """The training rows, and the rows that must be held out from them."""
        return data.training_and_held_out(self.dataset)

    @cached_property
    def chosen_by(self) -> data.LabeledData | None:
        """The rows to choose the checkpoint by: those that were given, or the source's own validation split."""
        return self.validation if self.validation is not None else data.validation_rows(self.dataset)

    def describe(self) -> dict[str, Any]:  # noqa: D102
        rows, held_out = self.rows
        return self.task.describe(rows) | {"held_out": 0 if held_out is None else len(held_out)}

    def to_dict(self) -> dict[str, Any]:  # noqa: D102
        rows, held_out = self.rows
        return {
            "fit": rows.fingerprint(),
            "form": rows.form.to_dict(),
            "held_out": _fingerprint(held_out),
            "validation": _fingerprint(self.chosen_by),
            "family": self.family,
            "options": dict(self.options),
            "steps": self.steps,
            "minutes": self.minutes,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class SampleRequest(Request):
    """Synthetic rows to write.

    Attributes:
        generator: what makes them.
        counts: rows of every class, or by class, e.g. cat=100,dog=20.
        out: folder, .parquet or .npz to write.
        format: folder, parquet, npz or hf, where the suffix does not say.
        seed: the only source of randomness.
    """

    generator: generators.Generator
    counts: data.Counts
    out: Path
    format: str | None = None
    seed: int = 0

    def describe(self) -> dict[str, Any]:  # noqa: D102
        files.choose_format(self.out, self.format, self.generator.form)
        return {"counts": self.generator.resolve(self.counts), "out": str(self.out)}


@dataclass(frozen=True)
class ExpandRequest(Request):
    """A data set to make larger.

    Attributes:
        dataset: the data set.
        generator: a saved generator; one is trained without it.
        to: final totals: 2x, balance, or cat=500,dog=200; those of a plan without it.
        out: folder, .parquet or .npz to write.
        format: folder, parquet, npz or hf, where the suffix does not say.
        family: of the generator that is trained where none is given.
        steps: its training budget in steps.
        minutes: its training budget in minutes of wall time; 3 if neither is given.
        seed: the only source of randomness.
        device: auto, cpu, cuda, ...
    """

    dataset: data.LabeledData
    generator: generators.Generator | judging.Plan | None = None
    to: data.Totals | None = None
    out: Path | None = None
    format: str | None = None
    family: str = FitRequest.family
    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    device: str = "auto"

    @property
    def maker(self) -> generators.Generator | None:
        """The generator that was given; None where one is to be trained.

        Raises:
            InvalidRequest: a plan that is to add nothing.
        """
        if not isinstance(self.generator, judging.Plan):
            return self.generator
        maker = self.generator.maker()
        if maker is None:
            raise InvalidRequest(f"The plan is to add nothing. {self.generator.advice}")
        return maker

    @property
    def totals(self) -> data.Totals:
        """The totals that were given, or those of the plan."""
        if self.to is not None:
            return self.to
        if isinstance(self.generator, judging.Plan):
            return self.generator.totals
        raise InvalidRequest('expand was given no totals: say to="2x", to="balance" or to={class: total}.')

    @property
    def sample_seed(self) -> int:
        """The seed of the synthetic rows: the plan's where only rows of that were curated."""
        plan = self.generator
        return plan.seed if isinstance(plan, judging.Plan) and plan.kept is not None else self.seed

    def fit(self) -> FitRequest:
        """The generator to train where none is given."""
        return FitRequest(
            self.dataset, self.family, self.steps, self.minutes, seed=self.seed, device=self.device
        )

    def describe(self) -> dict[str, Any]:  # noqa: D102
        rows, source = self.dataset, self.dataset.source
        if isinstance(source, mixing.ExpandedArrays | mixing.ExpandedDataset) or files.holds_synthetic_rows(
            source
        ):
            raise InvalidRequest(
                "The data set to expand already holds synthetic rows of synthaug, which would pass for real "
                "ones. Expand the original."
            )
        if self.out is not None:
            files.require_place(source, rows, self.out, self.format)
        _ = self.maker  # a plan may be to add nothing
        added = data.rows_to_add(self.totals, data.training_rows(rows).counts, rows.classes)
        return {"rows_to_add": added, "out": None if self.out is None else str(self.out)}


@dataclass(frozen=True)
class ChooseRequest(Request):
    """How much of which synthetic rows to train with, to be found out.

    Attributes:
        dataset: the data set.
        families: what to try, of cvae, cgan, warp and the families of other packages; repeatable.
        train: the user's own training.
        protocol: how it is found out.
        seed: the only source of randomness.
        device: auto, cpu, cuda, ...
    """

    dataset: data.LabeledData
    families: Sequence[str] = FAMILIES
    train: judging.Train | None = None
    protocol: judging.Protocol = USUAL_PROTOCOL
    seed: int = 0
    device: str = "auto"

    @cached_property
    def question(self) -> judging.Question:
        """What is asked of `synthaug.judging.choose`."""
        rows, held_out = data.training_and_held_out(self.dataset)
        return judging.Question(
            rows, held_out, _as_tuple(self.families), self.train, self.protocol, self.seed
        )

    def describe(self) -> dict[str, Any]:  # noqa: D102
        return {"rows": self.question.rows.counts} | self.question.check(self.device)

    def to_dict(self) -> dict[str, Any]:  # noqa: D102
        rows, held_out, protocol = self.question.rows, self.question.held_out, asdict(self.protocol)
        return {
            "choose": rows.fingerprint(),
            "groups": _partition(rows),
            "form": rows.form.to_dict(),
            "held_out": _fingerprint(held_out),
            "families": list(self.question.families),
            "train": _identity(self.train),
            "seed": self.seed,
            "format": judging.FORMAT,
            # those of the final test have no part in a choice
            **{name: value for name, value in protocol.items() if name not in ("seeds", "generators")},
        }


@dataclass(frozen=True)
class EvaluateRequest(Request):
    """Whether synthetic rows help, to be found out.

    Attributes:
        dataset: the data set.
        families: what to try, of cvae, cgan, warp and the families of other packages; repeatable.
        generator: a saved generator; it is evaluated as it is, nothing is chosen.
        ratio: share of synthetic rows in a batch; chosen without it.
        train: the user's own training.
        protocol: how it is found out.
        seed: the only source of randomness.
        device: auto, cpu, cuda, ...
    """

    dataset: data.LabeledData
    families: Sequence[str] = FAMILIES
    generator: generators.Generator | None = None
    ratio: float | None = None
    train: judging.Train | None = None
    protocol: judging.Protocol = USUAL_PROTOCOL
    seed: int = 0
    device: str = "auto"

    @cached_property
    def inquiry(self) -> judging.Inquiry:
        """What is asked of `synthaug.judging.evaluate`."""
        return judging.Inquiry(
            judging.TestedRows.of(self.dataset, self.seed),
            _as_tuple(self.families),
            self.generator,
            self.ratio,
            self.train,
            self.protocol,
            self.seed,
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

    def to_dict(self) -> dict[str, Any]:  # noqa: D102
        inquiry, parts = self.inquiry, self.inquiry.parts.named
        return {
            "evaluate": {name: parts[name].fingerprint() for name in data.THREE},
            "groups": [_partition(parts[name]) for name in data.THREE],
            "form": parts["train"].form.to_dict(),
            "generator": None if self.generator is None else self.generator.fingerprint,
            "families": None if self.generator is not None else list(inquiry.families),
            "ratio": "chosen" if inquiry.chooses else inquiry.share,
            "train": _identity(self.train),
            "seed": self.seed,
            "format": judging.FORMAT,
            **asdict(self.protocol),
        }


@dataclass(frozen=True)
class PushRequest(Request):
    """A generator or a data set to upload to the Hugging Face Hub.

    Attributes:
        source: a saved generator or an output.
        name: OWNER/NAME.
        license: as the hub spells it, e.g. cc-by-4.0; the card says it is not stated without it.
        private: seen by its owner only.
        include_rows: let real rows leave with it.
    """

    source: Any
    name: str
    license: str | None = None
    private: bool | None = None
    include_rows: bool = False

    def describe(self) -> dict[str, Any]:  # noqa: D102
        return {"push": str(self.source), "to": self.name}


@dataclass(frozen=True)
class InspectRequest(Request):
    """What is at a place, to be said and drawn.

    Attributes:
        source: a data set, a saved generator or an output.
        real: rows to show a generator's samples beside.
        out: folder for pictures of what is inside a generator.
        seed: the only source of randomness.
        device: auto, cpu, cuda, ...
    """

    source: Any
    real: data.LabeledData | None = None
    out: Path | None = None
    seed: int = 0
    device: str = "auto"

    def describe(self) -> dict[str, Any]:  # noqa: D102
        return {"inspect": str(self.source), "out": str(self.out)}

    def to_dict(self) -> dict[str, Any]:  # noqa: D102
        return {"draw": self.source.fingerprint, "real": _fingerprint(self.real), "seed": self.seed}


@dataclass(frozen=True)
class Option:
    """A field of a request as commands and recipes offer it.

    Attributes:
        name: of the field.
        kind: its type, as it is written.
        default: its default; `dataclasses.MISSING` where it has none.
        help: what it means.
    """

    name: str
    kind: str
    default: Any
    help: str


def options_of(request: type) -> dict[str, Option]:
    """The fields of a request by their names; in the place of a protocol its own fields."""
    told, found = help_of(request), dict[str, Option]()
    for each in fields(request):
        if each.name == "protocol":
            found |= options_of(type(each.default))
        else:
            made = each.default if each.default_factory is MISSING else each.default_factory()
            found[each.name] = Option(each.name, str(each.type), made, told[each.name])
    return found


def request_of(kind: type[R], given: Mapping[str, Any]) -> R:
    """A request from values by the names that `options_of` gives."""
    own = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    values = {name: value for name, value in given.items() if name in own}
    if "protocol" in own:
        rest = {name: value for name, value in given.items() if name not in own}
        values["protocol"] = replace(USUAL_PROTOCOL, **rest)
    return kind(**values)


def help_of(request: type) -> dict[str, str]:
    """What each field of a request means, as its docstring says."""
    _, _, attributes = (inspect.getdoc(request) or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in attributes.splitlines():
        if begun := re.match(r"    (\w[\w, ]*): (.*)", line):
            names = begun[1].split(", ")
            found |= dict.fromkeys(names, begun[2])
        elif line.startswith("        "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def _as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _fingerprint(rows: data.LabeledData | None) -> str | None:
    return None if rows is None else rows.fingerprint()


def _partition(rows: data.LabeledData) -> str | None:
    """A digest of which rows belong together, as folds depend on it; None without groups."""
    if rows.groups is None:
        return None
    _, number = np.unique(rows.groups, return_inverse=True)
    return hashlib.sha256(number.astype("<i8").tobytes()).hexdigest()


def _identity(function: Any) -> list[str] | None:
    """What tells one training function from another, as far as its own source does."""
    if function is None:
        return None
    name = [str(getattr(function, part, "")) for part in ("__module__", "__qualname__")]
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):  # it cannot be told from any other
        source = f"{os.getpid()} {id(function)}"
    return [*name, hashlib.sha256(source.encode()).hexdigest()]
