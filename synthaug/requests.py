"""What can be asked for, once: arguments of a verb, its dry run, the record in its output.

Each request is a frozen dataclass. Its docstring says what each field means, its defaults are the only ones,
`describe` refuses what cannot be done and says what would be, and `to_dict` is what an output records. Nothing
heavy is imported before one of these is called.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from synthaug import data, files, generators, judging, report, training
from synthaug.errors import InvalidRequest
from synthaug.judging.protocol import USUAL_PROTOCOL
from synthaug.outputs import require_apart
from synthaug.seeding import whole_seed
from synthaug.training.pace import PATIENCE
from synthaug.wording import duration

_READ = {
    "dataset": "data set",
    "validation": "validation rows",
    "real": "data set",
    "source": "source",
}
"""Fields that say what is read, which an output must not lie in."""

_WRITES_NOTHING = "nothing is written without out= (--out)"


class Request:
    """What all requests share; numbers of NumPy are taken for Python's."""

    def __post_init__(self) -> None:
        for name, value in self.arguments().items():
            object.__setattr__(self, name, whole_seed(value) if name == "seed" else _plain(value))

    def arguments(self) -> dict[str, Any]:
        """The fields by their names, which are those of the verb's arguments."""
        return {of.name: getattr(self, of.name) for of in fields(self)}  # type: ignore[arg-type]

    def describe(self) -> dict[str, Any]:
        """What would be done, as plain JSON data; raises what doing it would raise before it begins."""
        raise NotImplementedError

    def forecast(self) -> dict[str, Any]:
        """What it would take here, as plain JSON data, by trying a little of it; nothing where it is not known.

        Call `describe` first, which refuses what cannot be tried.
        """
        return {}

    def to_dict(self) -> dict[str, Any]:
        """What determines the result, as plain JSON data; an output records it."""
        raise NotImplementedError

    def require_apart(self, out: str | Path) -> None:
        """Refuse an output that lies in what is read here, or around it."""
        read = {_READ[name]: value for name, value in self.arguments().items() if name in _READ}
        require_apart(out, {what: _path_of(value) for what, value in read.items()})

    def _refuse_unused(self, why: str, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value != getattr(type(self), name):
                raise InvalidRequest(f"{name}={value!r} has no use here: {why}. Leave it out.")


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
        leave_out: a class whose rows are left out; repeatable.
        mode: L, RGB or RGBA, to convert pictures in files to.
        resize: how pictures are brought to a size: stretch, crop or pad.
        skip_broken: leave out pictures that cannot be decoded.
        scans: how medical files are read, e.g. frames=split,axis=1 or window=40:400.
        kinds: what a column of a table is, where its type does not say it, e.g. zip=category, or patient=beside for one
            that stays with its row and is not learned; or what holds between some, "start, end=ordered" or "country,
            city=together"; repeatable.
        embed: what makes vectors of photographs, "module:name" of a function or class that can be imported.
    """

    source: str
    label: data.Key | None = None
    image: data.Key | None = None
    group: data.Key | None = None
    image_size: int | tuple[int, int] | None = None
    train_split: str | None = None
    test_split: str | None = None
    leave_out: Sequence[str] = ()
    mode: str | None = None
    resize: str = "stretch"
    skip_broken: bool = False
    scans: str | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    embed: str | None = None

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
        patience: how many looks at the validation rows in a row may be worse than the best, of the five at 40, 60, 80,
            90 and 100 %, before the training ends.
        seed: the only source of randomness.
        device: auto, cpu, cuda, ...
        unlabelled: rows without labels, to be judged and learned from.
        callbacks: functions that follow the training, and may end it.
    """

    dataset: data.LabeledData
    family: str = "cvae"
    steps: int | None = None
    minutes: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    validation: data.LabeledData | None = None
    patience: int = PATIENCE
    seed: int = 0
    device: str = "auto"
    unlabelled: data.LabeledData | None = None
    callbacks: Sequence[training.Callback] = ()

    @cached_property
    def further(self) -> data.LabeledData | None:
        """The rows without labels that are not among the others."""
        (rows, held_out), chosen_by = self.rows, self.chosen_by
        found = _apart(self.unlabelled, rows, held_out)
        return found if chosen_by is None else _apart(found, rows, chosen_by)

    @property
    def task(self) -> training.Training:
        """What is trained, and for how long."""
        how = (self.family, self.options, self.steps, self.minutes, self.seed, self.device, self.patience)
        return training.Training(*how)

    @cached_property
    def rows(self) -> tuple[data.LabeledData, data.LabeledData | None]:
        """The training rows, and the rows that must be held out from them."""
        data.require_original(self.dataset, "data set")
        return data.training_and_held_out(self.dataset)

    @cached_property
    def chosen_by(self) -> data.LabeledData | None:
        """The rows to choose the checkpoint by: those that were given, or the source's own validation split."""
        if self.validation is None:
            own = data.validation_rows(self.dataset)
            if own is None:
                self._refuse_unused("there are no validation rows to be worse on", "patience")
            return own
        data.require_original(self.validation, "validation rows")
        return data.rows_to_choose_by(self.validation)

    def describe(self) -> dict[str, Any]:  # noqa: D102
        (rows, held_out), chosen_by = self.rows, self.chosen_by
        if chosen_by is not None:
            data.require_disjoint(rows, chosen_by, "training and validation rows")
        return self.task.describe(rows) | {
            "held_out": 0 if held_out is None else len(held_out),
            "validation": 0 if chosen_by is None else len(chosen_by),
            **({} if self.further is None else {"unlabelled": len(self.further)}),
        }

    def forecast(self) -> dict[str, Any]:  # noqa: D102
        found = self.task.forecast(self.rows[0])
        return {
            "takes": f"about {duration(found.seconds)}",
            "takes_in_full": {
                "steps": found.steps,
                "seconds": round(found.seconds, 1),
                "seconds a step": float(f"{found.seconds_per_step:.3g}"),
            },
        }

    def to_dict(self) -> dict[str, Any]:  # noqa: D102
        rows, held_out = self.rows
        return {
            "fit": rows.fingerprint(),
            "form": rows.form.to_dict(),
            "held_out": _fingerprint(held_out),
            "validation": _fingerprint(self.chosen_by),
            **_told_of(self.further),
            "family": self.family,
            "options": dict(self.options),
            "steps": self.steps,
            "minutes": self.minutes,
            **({} if self.patience == PATIENCE else {"patience": self.patience}),
            **(
                {"callbacks": [judging.identity_of(each) for each in self.callbacks]}
                if self.callbacks
                else {}
            ),
            "seed": self.seed,
        }


@dataclass(frozen=True)
class SampleRequest(Request):
    """Synthetic rows to write.

    Attributes:
        generator: what makes them.
        counts: rows of every class, or by class, e.g. cat=100,dog=20.
        out: folder, .parquet, .csv or .npz to write.
        format: folder, parquet, csv, npz or hf, where the suffix does not say.
        seed: the only source of randomness.
    """

    generator: generators.Generator
    counts: data.Counts
    out: Path | None
    format: str | None = None
    seed: int = 0

    def describe(self) -> dict[str, Any]:  # noqa: D102
        counts = self.generator.resolve(self.counts)
        self.generator.require(counts, self.seed)
        if self.out is None:
            self._refuse_unused(_WRITES_NOTHING, "format")
            return {"counts": counts, "out": None}
        files.choose_format(self.out, self.format, self.generator.form, counts)
        self.require_apart(self.out)
        return {"counts": counts, "out": str(self.out)}


@dataclass(frozen=True)
class ExpandRequest(Request):
    """A data set to make larger.

    Attributes:
        dataset: the data set.
        generator: a saved generator; one is trained without it.
        to: final totals: 2x, balance, or cat=500,dog=200; those of a plan without it.
        out: folder, .parquet, .csv or .npz to write.
        format: folder, parquet, csv, npz or hf, where the suffix does not say.
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
        """The generator that was given; None where one is to be trained."""
        return None if self.generator is None else maker_of(self.generator)

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

    @cached_property
    def expansion(self) -> files.Expansion:
        """What is added to what, by the generator that was given."""
        assert self.maker is not None, "one was given, or has been trained"
        return files.Expansion.of(self.dataset, self.maker, self.totals, self.sample_seed)

    def describe(self) -> dict[str, Any]:  # noqa: D102
        rows = self.dataset
        data.require_original(rows, "data set to expand")
        if self.generator is not None:
            self._refuse_unused("the generator is trained already", "family", "steps", "minutes")
        if self.out is None:
            self._refuse_unused(_WRITES_NOTHING, "format")
        else:
            self.require_apart(self.out)
            files.choose_format(self.out, self.format, rows.form, rows.present)
        if self.maker is not None:
            added = self.expansion.added
        else:
            added = data.rows_to_add(self.totals, data.training_rows(rows).counts, rows.classes)
            self.fit().describe()
        return {"rows_to_add": dict(added), "out": None if self.out is None else str(self.out)}

    def forecast(self) -> dict[str, Any]:  # noqa: D102
        return {} if self.generator is not None else {"training": self.fit().forecast()}


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
            _as_tuple(self.families) or judging.families_for(rows.form.kind),
            self.train or judging.learner_of(self.protocol.learner),
            self.protocol,
            self.seed,
            self.augmentations,
            self.arms,
            _apart(self.unlabelled, rows, held_out),
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
            "train": judging.identity_of(self.train),
            **judging.identity_of_own(self.augmentations, self.arms),
            **_told_of(self.question.unlabelled),
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
            _as_tuple(self.families) or judging.families_for(self.dataset.form.kind),
            self.generator,
            self.ratio,
            self.train or judging.learner_of(self.protocol.learner),
            self.protocol,
            self.seed,
            self.augmentations,
            self.arms,
            _apart(self.unlabelled, parts.inside, parts.test, drawn=data.tested_split(self.dataset) is None),
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
            **({"generator": None} if self.generator is None else self.generator.identity),
            "families": None if self.generator is not None else list(inquiry.families),
            "ratio": "chosen" if inquiry.chooses else inquiry.share,
            "train": judging.identity_of(self.train),
            **judging.identity_of_own(self.augmentations, self.arms),
            **_told_of(inquiry.unlabelled),
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
        with files.staged(self.source, self.name, self.license, self.include_rows) as (folder, kind):
            names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        return {"push": str(self.source), "to": self.name, "kind": kind, "files": names}


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

    def describe(self) -> dict[str, Any]:
        """What is there; raises what drawing it would raise before it begins."""
        if self.out is None and self.real is not None:
            raise InvalidRequest("Real rows are for the pictures of a generator: give out= (--out) too.")
        found = report.facts_of(self.source)
        if self.out is not None:
            if found["kind"] not in ("generator", "plan"):
                raise InvalidRequest(f"Pictures are drawn of generators; {self.source} is a {found['kind']}.")
            self.require_apart(self.out)
        if self.real is not None:
            data.require_original(self.real, "rows to show samples beside")
        return found

    def to_dict(self) -> dict[str, Any]:  # noqa: D102
        drawn = self.source.identity
        real = _fingerprint(self.real)
        return {"draw": drawn["generator"], "kept": drawn["kept"], "real": real, "seed": self.seed}


def maker_of(given: generators.Generator | judging.Plan) -> generators.Generator:
    """A generator, or that of a plan.

    Raises:
        InvalidRequest: a plan that is to add nothing.
    """
    if not isinstance(given, judging.Plan):
        return given
    maker = given.maker()
    if maker is None:
        raise InvalidRequest(f"The plan is to add nothing. {given.advice}")
    return maker


def _apart(
    unlabelled: data.LabeledData | None,
    known: data.LabeledData,
    held_out: data.LabeledData | None,
    drawn: bool = False,
) -> data.LabeledData | None:
    """Rows without labels, those aside that are among the labelled ones."""
    return None if unlabelled is None else data.apart_from(unlabelled, known, held_out, drawn)


def _told_of(unlabelled: data.LabeledData | None) -> dict[str, Any]:
    return {} if unlabelled is None else {"unlabelled": unlabelled.fingerprint()}


def _as_tuple(names: str | Sequence[str]) -> tuple[str, ...]:
    """Names in order, each once."""
    return (names,) if isinstance(names, str) else tuple(dict.fromkeys(names))


def _plain(value: Any) -> Any:
    """A value with Python's numbers in place of NumPy's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, judging.Protocol):
        return replace(value, **{each.name: _plain(getattr(value, each.name)) for each in fields(value)})
    if type(value) is tuple:
        return tuple(map(_plain, value))
    return {key: _plain(part) for key, part in value.items()} if type(value) is dict else value


def _path_of(value: Any) -> Path | None:
    """Where something lies that is read; None where it is in memory."""
    if isinstance(value, data.LabeledData):
        return value.path if value.path is not None or value.source is None else _path_of(value.source)
    return Path(value) if isinstance(value, str | os.PathLike) and os.path.lexists(value) else None


def _fingerprint(rows: data.LabeledData | None) -> str | None:
    return None if rows is None else rows.fingerprint()


def _partition(rows: data.LabeledData) -> str | None:
    """A digest of which rows belong together, as folds depend on it; None without groups."""
    if rows.groups is None:
        return None
    _, number = np.unique(rows.groups, return_inverse=True)
    return hashlib.sha256(number.astype("<i8").tobytes()).hexdigest()
