"""A generator to train, and rows that are made: alone, or beside those of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from synthaug import data, files, generators, judging, training
from synthaug.errors import InvalidRequest
from synthaug.files.writing import USUAL_WRITING
from synthaug.judging.protocol import ATTEMPTS
from synthaug.requests.base import WRITES_NOTHING, Request, apart, fingerprint_of, maker_of, told_of
from synthaug.training.pace import PATIENCE
from synthaug.wording import duration, is_url, quoted, shown, sized


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
        found = apart(self.unlabelled, rows, held_out)
        return found if chosen_by is None else apart(found, rows, chosen_by)

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
                self.refuse_unused("there are no validation rows to be worse on", "patience")
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

    def forecast(self, jobs: int | None = None) -> dict[str, Any]:  # noqa: D102
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
            "held_out": fingerprint_of(held_out),
            "validation": fingerprint_of(self.chosen_by),
            **told_of(self.further),
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
        out: folder, .parquet, .csv or .npz to write, here or at a url.
        format: folder, parquet, shards, webdataset, csv, npz or hf, where the suffix does not say.
        seed: the only source of randomness.
        writing: in which runs, and by whom.
    """

    generator: generators.Generator
    counts: data.Counts
    out: Path | str | None
    format: str | None = None
    seed: int = 0
    writing: files.Writing = USUAL_WRITING

    def describe(self) -> dict[str, Any]:  # noqa: D102
        counts = self.generator.resolve(self.counts)
        self.generator.require(counts, self.seed)
        if self.out is None:
            self.refuse_unused(WRITES_NOTHING, "format", "writing")
            return {"counts": counts, "out": None}
        files.choose_format(self.out, self.format, self.generator.form, counts)
        self.require_apart(self.out)
        if is_url(self.out):
            files.require_remote(self.out, self.writing)
        return {"counts": counts, "out": shown(self.out)}

    def forecast(self, jobs: int | None = None) -> dict[str, Any]:  # noqa: D102
        content = files.Content.of_samples(self.generator, self.counts, self.seed)
        return _told(files.foretell(content, _place(self)))


@dataclass(frozen=True)
class ExpandRequest(Request):
    """A data set to make larger.

    Attributes:
        dataset: the data set.
        generator: a saved generator; one is trained without it.
        to: final totals: 2x, balance, log, 500 for every class, or cat=500,dog=200; those of a plan without it.
        out: folder, .parquet, .csv or .npz to write, here or at a url.
        format: folder, parquet, shards, webdataset, csv, npz or hf, where the suffix does not say.
        family: of the generator that is trained where none is given.
        steps: its training budget in steps.
        minutes: its training budget in minutes of wall time; 3 if neither is given.
        seed: the only source of randomness.
        device: auto, cpu, cuda, ...
        writing: in which runs, and by whom.
        curate: whether a sample has to pass judges that were fitted to the training rows.
        attempts: at most so many samples are looked at for each that is wanted, where they are judged.
    """

    dataset: data.LabeledData
    generator: generators.Generator | judging.Plan | None = None
    to: data.Totals | None = None
    out: Path | str | None = None
    format: str | None = None
    family: str = FitRequest.family
    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    device: str = "auto"
    writing: files.Writing = USUAL_WRITING
    curate: bool = False
    attempts: int = ATTEMPTS

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
    def added(self) -> Mapping[str, int]:
        """Rows to add, by class name."""
        if self.maker is not None:
            return self.expansion.added
        counts = data.training_rows(self.dataset).counts
        return data.rows_to_add(self.totals, counts, self.dataset.classes)

    @property
    def rows(self) -> int:
        """Rows of the output."""
        return sum(self.added.values()) + (0 if self.writing.synthetic_only else len(self.dataset))

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

    def curated(self, *, progress: bool = False) -> files.Expansion:
        """What is added, of rows that judges let pass where that is asked for; they are found anew at each call.

        Args:
            progress: show how many have passed.

        Raises:
            InvalidRequest: too few rows pass, naming every class.
            InvalidData: no class has two different rows, so that there are no judges.
        """
        plain = self.expansion
        if not self.curate:
            return plain
        maker = judging.keep_passing(
            plain.generator,
            plain.train,
            plain.added,
            plain.called,
            seed=self.sample_seed,
            attempts=self.attempts,
            progress=progress,
        )
        return replace(plain, generator=maker)

    def describe(self) -> dict[str, Any]:  # noqa: D102
        rows = self.dataset
        data.require_original(rows, "data set to expand")
        if self.generator is not None:
            self.refuse_unused("the generator is trained already", "family", "steps", "minutes")
        if self.out is None:
            self.refuse_unused(WRITES_NOTHING, "format", "writing")
        else:
            self.require_apart(self.out)
            format = files.choose_format(self.out, self.format, rows.form, rows.present)
            if not self.writing.synthetic_only:
                files.require_kept(rows, self.writing.real, format)
        if is_url(self.out):
            files.require_remote(self.out, self.writing)
            if self.maker is None:
                raise InvalidRequest(
                    f"{shown(self.out)} is elsewhere, and an expansion keeps the generator that it trains beside its "
                    "output. Train it first, with synthaug fit, and give it."
                )
        if self.maker is None and self.writing.share is not None:
            raise InvalidRequest(
                "A share of an expansion was asked for, without a generator: each would train one of its own. Train it "
                "first, with synthaug fit, and give it."
            )
        added = self.added
        if self.maker is None:
            self.fit().describe()
        if self.curate:
            self._require_judged(added)
        else:
            self.refuse_unused("every sample is taken without curate=True (--curate)", "attempts")
        return {"rows_to_add": dict(added), "out": None if self.out is None else shown(self.out)}

    def forecast(self, jobs: int | None = None) -> dict[str, Any]:  # noqa: D102
        if self.generator is None:
            return {"rows": self.rows, "training": self.fit().forecast()}
        content = files.Content.of_expansion(self.expansion, not self.writing.synthetic_only)
        told = _told(files.foretell(content, _place(self)))
        if self.curate:
            least = sum(self.expansion.added.values())
            told["judged"] = f"{least} to {least * self.attempts} samples before that, which takes longer"
        return told

    def _require_judged(self, added: Mapping[str, int]) -> None:
        """Refuse what cannot be judged, or has been."""
        if self.attempts < 1:
            raise InvalidRequest(f"attempts={self.attempts} was asked for; it has to be at least 1.")
        if self.maker is not None and self.maker.kept is not None:
            raise InvalidRequest(
                "curate=True (--curate) was asked of a generator of which only some rows are given: it is curated "
                "already. Leave it out, or give the generator that it was made of."
            )
        counts = data.training_rows(self.dataset).counts
        if absent := [name for name, n in added.items() if n and not counts[name]]:
            raise InvalidRequest(
                f"Samples of {quoted(absent)} were to be judged, but there is no training row of that to judge by. Add "
                "some, leave the class out, or expand without curate=True (--curate)."
            )


def _place(asked: SampleRequest | ExpandRequest) -> files.Place:
    return files.Place(asked.out or Path("out"), asked.format, writing=asked.writing)


def _told(found: files.Forecast) -> dict[str, Any]:
    return {
        "rows": found.rows,
        "size": f"about {sized(found.bytes)}",
        "takes": f"about {duration(found.seconds)}",
        "takes_in_full": {
            "bytes": round(found.bytes),
            "seconds": round(found.seconds, 1),
            "processes": found.jobs,
        },
    }
