"""A larger data set on disk: the real rows as they were, then synthetic rows class by class."""

from __future__ import annotations

import hashlib
import io
import shutil
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.classes import Label
from synthaug.data.counts import Counts, Totals, rows_to_add
from synthaug.data.guards import refuse_held_out
from synthaug.data.labeled import LabeledData
from synthaug.data.readers.written import SYNTHETIC
from synthaug.data.splits import training_rows, training_split
from synthaug.errors import InvalidRequest, SpecMismatch, SynthaugWarning
from synthaug.files.base import RowBlock
from synthaug.files.cards import Card
from synthaug.files.folder import FOLDER, numbered_otherwise
from synthaug.files.formats import choose_format, recorded_request, write_rows
from synthaug.generators.generator import Generator
from synthaug.generators.samples import PROVENANCE_COLUMNS, Samples, real_provenance, synthetic_provenance
from synthaug.outputs import atomic_write_bytes, open_output
from synthaug.progress import bar
from synthaug.wording import quoted

_SHARD = 1024  # rows

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


@dataclass(frozen=True)
class Place:
    """Where an output goes and how it gets there.

    Attributes:
        out: the folder or file to write.
        format: ``folder``, ``parquet``, ``csv``, ``npz`` or ``hf``; the suffix of ``out`` decides when None.
        overwrite: replace an output of another request.
        progress: show a bar on stderr; where that is no terminal, a line a minute.
        shard_size: rows made, kept and written at a time. A killed call goes on after its last shard.
    """

    out: Path
    format: str | None = None
    overwrite: bool = False
    progress: bool = False
    shard_size: int = _SHARD

    def __post_init__(self) -> None:
        if self.shard_size < 1:
            raise InvalidRequest(f"A shard size of {self.shard_size} was asked for. Give 1 or more rows.")


def write_expansion(expansion: Expansion, place: Place) -> Path:
    """The real rows and the synthetic ones as an output that appears whole.

    Where the source has splits, the others than the training one are copied as they are.

    Raises:
        InvalidRequest: a format that cannot hold the rows.
        OutputExists: the output is there from another request.
    """
    data, generator = expansion.data, expansion.generator
    split = training_split(data)
    splits = np.full(len(data), split) if data.splits is None else data.splits
    others = data.take(np.flatnonzero(splits != split))
    names, rows = np.unique(splits[splits != split], return_counts=True)
    card = Card(
        data.classes,
        generator.form,
        origin=data.origin,
        generator=generator.fingerprint,
        family=generator.family.name,
        seed=expansion.seed,
        real=expansion.train.counts,
        synthetic=expansion.added,
        copied=dict(zip(names.tolist(), rows.tolist(), strict=True)),
        called={name: own for name, own in expansion.called.items() if own != name},
        image_column=data.found.image_column,
        label_column=data.found.label_column,
        group_column=data.columns.group if isinstance(data.columns.group, str) else None,
        label_feature=data.found.label_feature,
    )
    request = {
        "kind": "expand",
        "data": expansion.train.fingerprint(),
        "copied": [card.copied, others.fingerprint()],
        "split": None if data.splits is None else split,
        **_further(data, card),
    }
    return _write(place, request, card, generator, data)


def _further(data: LabeledData, card: Card) -> dict[str, str]:
    """What else determines an output, where the rows have more than images and labels."""
    groups, columns = _own_groups(data), [card.image_column, card.label_column, card.label_feature]
    if groups is None and data.found.beside is None and not any(columns):
        return {}
    digest = hashlib.sha256(repr((columns, None if groups is None else groups.tolist())).encode())
    for start in range(0, len(data), _SHARD):
        beside = data.take(slice(start, start + _SHARD)).beside
        if beside is not None:
            digest.update(repr((str(beside.schema), beside.to_pydict())).encode())
    return {"columns": digest.hexdigest()}


def _own_groups(data: LabeledData) -> np.ndarray | None:
    """The groups of rows, where no column of theirs has them."""
    group, beside = data.columns.group, data.found.beside
    known = isinstance(group, str) and beside is not None and group in beside.schema.names
    return None if known else data.groups


def write_samples(generator: Generator, counts: Counts, place: Place, *, seed: int = 0) -> Path:
    """Synthetic rows alone on disk, in bounded memory: those of ``generator.sample(counts, seed=seed)``.

    Raises:
        InvalidRequest: counts or formats that cannot be met.
        OutputExists: the output is there from another request.
    """
    wanted = generator.resolve(counts)
    generator.require(wanted, seed)
    card = Card(
        generator.classes,
        generator.form,
        origin="",
        generator=generator.fingerprint,
        family=generator.family.name,
        seed=seed,
        real={},
        synthetic=wanted,
        copied={},
    )
    return _write(place, {"kind": "sample"}, card, generator, None)


def _write(
    place: Place, request: Mapping[str, Any], card: Card, generator: Generator, real: LabeledData | None
) -> Path:
    """The real rows, then those that the card lists as synthetic, as an output that appears whole."""
    written = [name for counts in (card.real, card.synthetic) for name, n in counts.items() if n]
    format = choose_format(place.out, place.format, card.form, written)
    request = {
        **request,
        **generator.identity,
        "add": [list(item) for item in card.synthetic.items()],
        "seed": card.seed,
        "format": format.name,
        "shard_size": place.shard_size,
    }
    with open_output(place.out, request, overwrite=place.overwrite, recorded=recorded_request) as output:
        if output.finished:
            return place.out
        if format is FOLDER and not card.classes.named and (told := numbered_otherwise(card.classes)):
            warnings.warn(told, SynthaugWarning, stacklevel=4)
        shards = output.work / ".shards"
        shards.mkdir(exist_ok=True)
        blocks = _synthetic_rows(generator, card, shards, place.shard_size)
        if real is not None:
            blocks = chain(_real_rows(real, place.shard_size), _beside(blocks, real))
        with bar(card.rows, shown=place.progress, of="writing", unit=" rows") as shown:
            file = write_rows(output.work, format, _counted(blocks, shown), card, request, generator.held_out)
        shutil.rmtree(shards)
        output.commit(file, format.beside)
    return place.out


def _counted(blocks: Iterable[RowBlock], shown: Any) -> Iterator[RowBlock]:
    for rows in blocks:
        yield rows
        shown.update(len(rows))


def _real_rows(data: LabeledData, shard_size: int) -> Iterator[RowBlock]:
    for start in range(0, len(data), shard_size):
        block = data.take(slice(start, start + shard_size))
        names = [block.name(row) for row in range(len(block))]
        about = real_provenance(len(block))
        yield RowBlock(
            block.read(),
            block.labels,
            names,
            about,
            block.splits,
            _own_groups(block),
            block.beside,
            _sources(data, names),
        )


def _sources(data: LabeledData, names: Sequence[str]) -> list[str] | None:
    """The files of rows below the folder or archive that they were read from; None where rows are no files."""
    root = f"{data.path}/"
    if data.path is None or not all(name.startswith(root) for name in names):
        return None
    return [name.removeprefix(root) for name in names]


def _beside(blocks: Iterable[RowBlock], real: LabeledData) -> Iterator[RowBlock]:
    """Synthetic rows in the training split, and in a group of their own, where the real rows have such."""
    for rows in blocks:
        n = len(rows)
        yield RowBlock(
            rows.images,
            rows.labels,
            rows.names,
            rows.provenance,
            None if real.splits is None else np.full(n, training_split(real)),
            None if _own_groups(real) is None else np.full(n, SYNTHETIC),
            None,
            None if _sources(real, [real.name(0)]) is None else [""] * n,
        )


def _synthetic_rows(generator: Generator, card: Card, shards: Path, shard_size: int) -> Iterator[RowBlock]:
    """The rows to add, shard by shard; each is kept in the folder ``shards`` so that it is made only once."""
    for name, n in card.synthetic.items():
        label, own = card.classes.index(name), card.called.get(name, name)
        for start in range(0, n, shard_size):
            index = generator.numbers(own, start, min(n, start + shard_size))
            kept = shards / f"{label}-{start}.npy"
            if not kept.exists():
                made = generator.sample_rows(own, start, start + len(index), seed=card.seed)
                buffer = io.BytesIO()
                np.save(buffer, made.samples)
                atomic_write_bytes(kept, buffer.getvalue())
            yield RowBlock(
                np.load(kept),
                np.full(len(index), label, np.int64),
                [f"synthetic-{card.seed}-{row}.png" for row in range(start, start + len(index))],
                synthetic_provenance(card.generator, card.seed, own, index),
            )
