"""What a data set grows by: how many rows of which class, after everything that can be refused has been."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthaug.data.classes import Label
from synthaug.data.counts import Totals, rows_to_add
from synthaug.data.guards import refuse_held_out
from synthaug.data.labeled import LabeledData
from synthaug.data.splits import training_rows, training_split
from synthaug.errors import InvalidRequest, SpecMismatch, SynthaugWarning
from synthaug.generators.generator import Generator
from synthaug.generators.samples import PROVENANCE_COLUMNS, Samples, real_provenance
from synthaug.wording import quoted

BALANCE_COST = (
    'Filling up only the smaller classes teaches a classifier that "looks synthetic" means "minority": '
    "measured, it lost 6.2 points of accuracy against a balanced sampler."
)
"""What is said wherever only some classes get synthetic rows."""

_BALANCE = (
    f"{BALANCE_COST} The remedy: leave the data set as "
    "it is, draw the classes evenly with a balanced sampler, and mix the same share of synthetic rows into "
    "every class (synthaug.mix)."
)


@dataclass(frozen=True)
class Expansion:
    """What will be added to what, after everything that can be refused has been. `Expansion.of` makes it.

    Attributes:
        data: the whole data set.
        train: its rows to train on, of which there will be more.
        generator: makes them.
        added: synthetic rows of each class, by the data set's names.
        called: what the generator calls each of these classes.
        seed: of the synthetic rows.
    """

    data: LabeledData
    train: LabeledData
    generator: Generator
    added: Mapping[str, int]
    called: Mapping[str, str]
    seed: int

    @classmethod
    def of(cls, data: LabeledData, generator: Generator, to: Totals, seed: int) -> Expansion:
        """The expansion of a data set to final totals.

        Warns:
            SynthaugWarning: at ``"balance"``, which has a measured cost; at copies of training rows in other splits.

        Raises:
            SpecMismatch: the rows of data set and generator differ in form, or in what holds between columns.
            Leakage: rows to be expanded are held out for testing.
            InvalidRequest: totals or classes that do not fit, or rows that a curated generator does not keep.
        """
        train = training_rows(data)
        if why := data.form.why_not(generator.form):
            raise SpecMismatch(
                f"The rows of {data.origin} do not have the form that the generator makes: {why}. Bring the data set "
                "to the form of the generator, or train a generator on it."
            )
        if said := data.form.unkept(generator.form):
            raise SpecMismatch(
                f"It is said of {data.origin} that {said}, which the generator was not told, so that its rows may "
                "break it. Train a generator on the data set as it is opened now, or leave the relation out."
            )
        added = rows_to_add(to, train.counts, data.classes)
        called = _called(data, generator, added)
        generator.require({called[name]: n for name, n in added.items()}, seed)
        _refuse_leaks(data, train, generator.held_out)
        if to == "balance":
            warnings.warn(_BALANCE, SynthaugWarning, stacklevel=3)
        return cls(data, train, generator, added, called, seed)

    def samples(self) -> Samples:
        """All synthetic rows."""
        return self.generator.sample({self.called[name]: n for name, n in self.added.items()}, seed=self.seed)

    def labels(self) -> list[Label]:
        """The labels of all synthetic rows in the data set's own encoding, which need not be the generator's."""
        values = dict(zip(self.data.classes, self.data.classes.values, strict=True))
        return [values[name] for name, n in self.added.items() for _ in range(n)]

    def provenance(self, samples: Samples, real: int) -> dict[str, np.ndarray]:
        """The columns of provenance of so many real rows, then of the samples."""
        before = real_provenance(real)
        return {name: np.concatenate([before[name], samples.provenance[name]]) for name in PROVENANCE_COLUMNS}


def _called(data: LabeledData, generator: Generator, added: Mapping[str, int]) -> dict[str, str]:
    """What the generator calls the classes of a data set; it may lack some to which nothing is added."""
    places = generator.classes.match(data.classes)
    called = {
        name: generator.classes[place]
        for name, place in zip(data.classes, places, strict=True)
        if place is not None
    }
    if not called or len(called) < len(generator.classes):
        generator.classes.require_same(data.classes, data.origin, "the generator")
    if lacks := [name for name in added if name not in called]:
        raise InvalidRequest(
            f"Rows of {quoted(lacks)} were asked for, which the generator lacks. Give totals of the classes that it "
            f"has, to={dict.fromkeys(called, '...')}, or use one trained for all classes of {data.origin}."
        )
    return called


def _refuse_leaks(data: LabeledData, train: LabeledData, held_out: np.ndarray) -> None:
    prints = train.fingerprints()
    rows = np.arange(len(train))
    if data.splits is not None:
        others = data.take(np.flatnonzero(data.splits != training_split(data)))
        copies = np.isin(prints, held_out) & np.isin(prints, others.fingerprints())
        if copies.any():
            warnings.warn(
                f"{int(copies.sum())} training rows of {data.origin} are copies of rows in its other splits, "
                f"{train.name(int(np.flatnonzero(copies)[0]))} for one; they are written as they are.",
                SynthaugWarning,
                stacklevel=4,
            )
        rows = np.flatnonzero(~copies)
    remedy = "leave them out of the rows to expand, or train a generator on these rows"
    refuse_held_out(prints[rows], held_out, data.origin, lambda row: train.name(int(rows[row])), remedy)
