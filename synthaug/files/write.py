"""Rows on their way to an output that appears whole: planned, made part by part, and joined."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.counts import Counts
from synthaug.data.labeled import LabeledData
from synthaug.data.readers.written import Layout
from synthaug.data.splits import training_split
from synthaug.errors import SynthaugWarning
from synthaug.files.base import Format, layout_for
from synthaug.files.cards import Card
from synthaug.files.engines import HERE, engine_of, in_this_process
from synthaug.files.expansion import Expansion
from synthaug.files.folder import FOLDER, numbered_otherwise
from synthaug.files.formats import CALL, FORMATS, choose_format, record_of, recorded_request
from synthaug.files.parts import PARTS, clear_begun, make_part, part_in
from synthaug.files.rows import MadeRows, RealRows, own_groups
from synthaug.files.shards import Shard, plan_shards
from synthaug.files.writing import USUAL_WRITING, Writing
from synthaug.generators.generator import Generator
from synthaug.modalities.table.form import TableForm
from synthaug.outputs import Output, open_output, open_together
from synthaug.progress import bar
from synthaug.training.threads import one_thread

_RUN = 1024  # rows that are read at a time


@dataclass(frozen=True)
class Place:
    """Where an output goes and how it gets there.

    Attributes:
        out: the folder or file to write.
        format: one of `FORMATS`; the suffix of ``out`` decides when None.
        overwrite: replace an output of another request.
        progress: show a bar on stderr; where that is no terminal, a line a minute.
        writing: in which runs, and by whom.
        call: what makes the same output again, to be recorded; None where nothing does.
    """

    out: Path
    format: str | None = None
    overwrite: bool = False
    progress: bool = False
    writing: Writing = USUAL_WRITING
    call: Mapping[str, Any] | None = None


def write_expansion(expansion: Expansion, place: Place) -> Path:
    """The real rows and the synthetic ones as an output that appears whole.

    Where the source has splits, the others than the training one are copied as they are.

    Args:
        expansion: what is added to what.
        place: where the output goes.

    Raises:
        InvalidRequest: a format that cannot hold the rows.
        OutputExists: the output is there from another request.
    """
    data, generator, real = expansion.data, expansion.generator, not place.writing.synthetic_only
    split = training_split(data)
    splits = np.full(len(data), split) if data.splits is None else data.splits
    others = data.take(np.flatnonzero(splits != split))
    names, rows = np.unique(splits[splits != split], return_counts=True)
    card = Card(
        data.classes,
        generator.form,
        origin=data.origin if real else "",
        generator=generator.fingerprint,
        family=generator.family.name,
        seed=expansion.seed,
        real=expansion.train.counts if real else {},
        synthetic=expansion.added,
        copied=dict(zip(names.tolist(), rows.tolist(), strict=True)) if real else {},
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
        **({} if real else {"real": False}),
    }
    return _write(place, request, card, generator, data if real else None)


def _further(data: LabeledData, card: Card) -> dict[str, str]:
    """What else determines an output, where the rows have more than images and labels."""
    groups, columns = own_groups(data), [card.image_column, card.label_column, card.label_feature]
    if groups is None and data.found.beside is None and not any(columns):
        return {}
    digest = hashlib.sha256(repr((columns, None if groups is None else groups.tolist())).encode())
    for start in range(0, len(data), _RUN):
        beside = data.take(slice(start, start + _RUN)).beside
        if beside is not None:
            digest.update(repr((str(beside.schema), beside.to_pydict())).encode())
    return {"columns": digest.hexdigest()}


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
        "shard_size": place.writing.shard_size,
    }
    opened = open_output if place.writing.share is None else open_together
    with opened(place.out, request, overwrite=place.overwrite, recorded=recorded_request) as output:
        if output.finished:
            return place.out
        if format is FOLDER and not card.classes.named and (told := numbered_otherwise(card.classes)):
            warnings.warn(told, SynthaugWarning, stacklevel=4)
        work = _Work.of(output, format, card, generator, real, place)
        work.make(place)
        with output.alone():
            work.join(output, request, generator.held_out, place.call)
    return place.out


@dataclass(frozen=True)
class _Work:
    """An output under way: which shards it has, and what each is made of."""

    parts: Path
    shards: Sequence[Shard]
    format: Format
    card: Card
    layout: Layout
    real: RealRows | None
    made: MadeRows

    @classmethod
    def of(
        cls,
        output: Output,
        format: Format,
        card: Card,
        generator: Generator,
        real: LabeledData | None,
        place: Place,
    ) -> _Work:
        named = not isinstance(card.form, TableForm)
        rows = None if real is None else RealRows(real, format.by_split, named)
        grown = None if real is None or real.splits is None else training_split(real)
        beside = None if rows is None else rows.first()
        used = None if not named else [] if rows is None else rows.taken
        made = MadeRows(generator, card.classes, card.called, card.seed, beside, grown, used)
        shards = plan_shards(
            {} if rows is None else rows.counts,
            card.synthetic,
            grown if format.by_split else None,
            place.writing.shard_size,
        )
        name = next(iter(card.synthetic))
        layout = layout_for(format, card, made.block(name, 0, 0) if beside is None else beside)
        return cls(output.work / PARTS, shards, format, card, layout, rows, made)

    def make(self, place: Place) -> None:
        """The parts that are missing: real rows here, which are read here, synthetic ones by an engine."""
        first, of = place.writing.share or (0, 1)
        mine = self.shards[first::of]
        missing = [shard for shard in mine if part_in(self._place(shard)) is None]
        total, left = (sum(shard.rows for shard in some) for some in (mine, missing))
        with bar(total, shown=place.progress, of="writing", unit=" rows", initial=total - left) as shown:
            for rows in self._made(missing, place):
                shown.update(rows)

    def _made(self, shards: Sequence[Shard], place: Place) -> Iterator[int]:
        synthetic = [shard for shard in shards if not shard.real]
        make = partial(_made_part, self.parts, self.format.name, self.card, self.layout, self.made)
        jobs = self._jobs(len(synthetic), place.writing.jobs)
        engine = engine_of(place.writing.engine)
        if jobs == 1 and place.writing.engine == HERE:
            engine = in_this_process
        with closing(engine(make, synthetic, jobs)) as under_way:
            for shard in shards:
                if shard.real:
                    yield self._real_part(shard)
            yield from under_way

    def _jobs(self, shards: int, asked: int | None) -> int:
        from joblib import cpu_count

        usual = cpu_count() if self.made.generator.device.type == "cpu" else 1
        return max(1, min(shards, usual if asked is None else asked))

    def _place(self, shard: Shard) -> Path:
        return self.parts / f"{shard.number:06d}"

    def _real_part(self, shard: Shard) -> int:
        def write(folder: Path) -> int:
            assert self.real is not None, "there are real rows"
            rows = self.real.of(shard.pieces, shard.split)
            self.format.write(folder, shard.stem, rows, self.card, self.layout)
            return shard.rows

        return make_part(self._place(shard), shard.split, write).rows

    def join(
        self,
        output: Output,
        request: Mapping[str, Any],
        held_out: np.ndarray,
        call: Mapping[str, Any] | None,
    ) -> None:
        """The output of all parts, if all are there."""
        parts = [part_in(self._place(shard)) for shard in self.shards]
        whole = [part for part in parts if part is not None]
        if len(whole) < len(parts):
            return
        clear_begun(self.parts)
        record = record_of(self.card, self.layout, request, whole, held_out) | {CALL: call}
        file = self.format.join(output.work, whole, self.card, record)
        shutil.rmtree(self.parts)
        output.commit(file, self.format.beside)


def _made_part(parts: Path, format: str, card: Card, layout: Layout, made: MadeRows, shard: Shard) -> int:
    """A part of synthetic rows, in any process."""

    def write(folder: Path) -> int:
        FORMATS[format].write(folder, shard.stem, made.of(shard.pieces), card, layout)
        return shard.rows

    with one_thread():
        return make_part(parts / f"{shard.number:06d}", shard.split, write).rows
