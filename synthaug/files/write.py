"""Rows on their way to an output that appears whole: planned, made part by part, and joined."""

from __future__ import annotations

import hashlib
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.counts import Counts
from synthaug.data.labeled import LabeledData
from synthaug.data.readers.written import Layout
from synthaug.data.splits import training_split
from synthaug.errors import InvalidRequest, SynthaugWarning
from synthaug.files.base import Format, layout_for
from synthaug.files.cards import Card
from synthaug.files.engines import HERE, engine_of, in_this_process
from synthaug.files.expansion import Expansion
from synthaug.files.folder import FOLDER, numbered_otherwise
from synthaug.files.formats import CALL, FORMATS, choose_format, record_of, recorded_request
from synthaug.files.parts import PARTS, Part, clear_begun, make_part, part_in
from synthaug.files.remote import open_remote, require_remote
from synthaug.files.rows import MadeRows, RealRows, digest_of_files, own_groups, require_files
from synthaug.files.shards import Shard, plan_shards
from synthaug.files.writing import LINKED, PIXELS, USUAL_WRITING, Writing
from synthaug.generators.generator import Generator
from synthaug.modalities.table.form import TableForm
from synthaug.outputs import Output, open_output, open_together
from synthaug.progress import bar
from synthaug.training.threads import one_thread
from synthaug.wording import is_url, quoted

_RUN = 1024  # rows that are read at a time
_WORTH = 20.0  # seconds of work for which several processes are begun


@dataclass(frozen=True)
class Place:
    """Where an output goes and how it gets there.

    Attributes:
        out: the folder or file to write, or its url elsewhere.
        format: one of `FORMATS`; the suffix of ``out`` decides when None.
        overwrite: replace an output of another request.
        progress: show a bar on stderr; where that is no terminal, a line a minute.
        writing: in which runs, and by whom.
        call: what makes the same output again, to be recorded; None where nothing does.
    """

    out: Path | str
    format: str | None = None
    overwrite: bool = False
    progress: bool = False
    writing: Writing = USUAL_WRITING
    call: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Content:
    """What an output is to hold; `of_expansion` and `of_samples` make it.

    Attributes:
        request: what determines it, as far as generator, counts and place do not.
        card: what it says about itself.
        generator: makes its synthetic rows.
        real: its real rows; None where it has none.
    """

    request: Mapping[str, Any]
    card: Card
    generator: Generator
    real: LabeledData | None

    @classmethod
    def of_expansion(cls, expansion: Expansion, real: bool = True) -> Content:
        """The real rows, if they are to be there, and the synthetic ones.

        Where the source has splits, the others than the training one are copied as they are.
        """
        data, generator = expansion.data, expansion.generator
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
            left_out=dict(data.reading.left_out) if real else {},
            called={name: own for name, own in expansion.called.items() if own != name},
            image_column=data.found.image_column,
            label_column=data.found.label_column,
            group_column=data.columns.group if isinstance(data.columns.group, str) else None,
            label_feature=data.found.label_feature,
            curated=generator.kept is not None,
        )
        request = {
            "kind": "expand",
            "data": expansion.train.fingerprint(),
            "copied": [card.copied, others.fingerprint()],
            "split": None if data.splits is None else split,
            **_further(data, card),
            **({} if real else {"real": False}),
        }
        return cls(request, card, generator, data if real else None)

    @classmethod
    def of_samples(cls, generator: Generator, counts: Counts, seed: int) -> Content:
        """Synthetic rows alone: those of ``generator.sample(counts, seed=seed)``.

        Raises:
            InvalidRequest: counts that cannot be met.
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
            curated=generator.kept is not None,
        )
        return cls({"kind": "sample"}, card, generator, None)

    def format(self, place: Place) -> Format:
        """That of the output at a place.

        Raises:
            InvalidRequest: one that cannot hold the rows.
        """
        counts = (self.card.real, self.card.synthetic)
        written = [name for each in counts for name, n in each.items() if n]
        return choose_format(place.out, place.format, self.card.form, written)


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


def write_expansion(expansion: Expansion, place: Place) -> Path | str:
    """The real rows and the synthetic ones as an output that appears whole.

    Raises:
        InvalidRequest: a format that cannot hold the rows.
        OutputExists: the output is there from another request.
    """
    return write(Content.of_expansion(expansion, not place.writing.synthetic_only), place)


def write_samples(generator: Generator, counts: Counts, place: Place, *, seed: int = 0) -> Path | str:
    """Synthetic rows alone on disk, in bounded memory: those of ``generator.sample(counts, seed=seed)``.

    Raises:
        InvalidRequest: counts or formats that cannot be met.
        OutputExists: the output is there from another request.
    """
    return write(Content.of_samples(generator, counts, seed), place)


def write(content: Content, place: Place) -> Path | str:
    """The real rows, then the synthetic ones, as an output that appears whole.

    Raises:
        InvalidRequest, OutputExists: as in `write_expansion`.
    """
    card, format = content.card, content.format(place)
    request = {
        **content.request,
        **content.generator.identity,
        "add": [list(item) for item in card.synthetic.items()],
        "seed": card.seed,
        "format": format.name,
        "shard_size": place.writing.shard_size,
    }
    if content.real is not None and place.writing.real != PIXELS:
        require_kept(content.real, place.writing.real, format)
        if place.writing.real == LINKED:
            _require_one_system(content.real, Path(place.out))
        request |= {"real": place.writing.real, "files": digest_of_files(content.real)}
    with _opened(place, request) as output:
        if output.finished:
            return place.out
        if format is FOLDER and not card.classes.named and (told := numbered_otherwise(card.classes)):
            warnings.warn(told, SynthaugWarning, stacklevel=4)
        work = Work.of(content, format, place.writing, output.work)
        work.make(place)
        with output.alone():
            work.join(output, request, content.generator.held_out, place.call)
    return place.out


def require_kept(data: LabeledData, kept: str, format: Format) -> None:
    """Refuse a way to keep real rows that a format has not, or that some of the rows cannot be kept in.

    Raises:
        InvalidRequest: naming the formats that have it, or the row.
    """
    if kept == PIXELS:
        return
    able = [
        other.name for other in FORMATS.values() if (other.in_files if kept == LINKED else other.of_pictures)
    ]
    if format.name not in able:
        raise InvalidRequest(
            f'Real rows cannot be {kept} in the format "{format.name}"; they can in {quoted(able)}.'
        )
    require_files(data, kept)


def _require_one_system(data: LabeledData, out: Path) -> None:
    """Refuse links from another file system, before anything is made."""
    above = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    for row in range(len(data)):
        file = data.file(row)
        if isinstance(file, Path) and file.resolve().stat().st_dev != above.stat().st_dev:
            raise InvalidRequest(
                f"{file} cannot be linked into {out}: they are in two file systems. Copy it: --real copied."
            )


def _opened(place: Place, request: Mapping[str, Any]) -> AbstractContextManager[Output]:
    """Where an output is made: on this machine, alone or together with other processes, or for a store elsewhere."""
    if is_url(place.out):
        require_remote(place.out, place.writing)
        return open_remote(place.out, request, overwrite=place.overwrite)
    opened = open_output if place.writing.share is None else open_together
    return opened(place.out, request, overwrite=place.overwrite, recorded=recorded_request)


@dataclass(frozen=True)
class Work:
    """An output under way: which shards it has, and what each is made of.

    Attributes:
        parts: the folder of what is made of them.
        shards: all of them.
        format: of the output.
        card, layout: what the output says about itself, and what its columns are called.
        real, made: where its rows come from.
    """

    parts: Path
    shards: Sequence[Shard]
    format: Format
    card: Card
    layout: Layout
    real: RealRows | None
    made: MadeRows

    @classmethod
    def of(cls, content: Content, format: Format, writing: Writing, folder: Path) -> Work:
        """The work in a folder, of which nothing is done yet."""
        card, real = content.card, content.real
        named = not isinstance(card.form, TableForm)
        rows = None if real is None else RealRows(real, format.by_split, named, writing.real)
        grown = None if real is None or real.splits is None else training_split(real)
        beside = None if rows is None else rows.first()
        used = None if not named else [] if rows is None else rows.taken
        made = MadeRows(content.generator, card.classes, card.called, card.seed, beside, grown, used)
        counts = {} if rows is None else rows.counts
        shards = plan_shards(counts, card.synthetic, grown if format.by_split else None, writing.shard_size)
        first = made.block(next(iter(card.synthetic)), 0, 0) if beside is None else beside
        return cls(folder / PARTS, shards, format, card, layout_for(format, card, first), rows, made)

    def make(self, place: Place) -> None:
        """The parts that are missing: real rows here, where they are read, synthetic ones by an engine."""
        first, of = place.writing.share or (0, 1)
        mine = self.shards[first::of]
        missing = [shard for shard in mine if part_in(self._place(shard)) is None]
        total, left = (sum(shard.rows for shard in some) for some in (mine, missing))
        with bar(total, shown=place.progress, of="writing", unit=" rows", initial=total - left) as shown:
            for rows in self._made(missing, place.writing):
                shown.update(rows)

    def _made(self, shards: Sequence[Shard], writing: Writing) -> Iterator[int]:
        synthetic = [shard for shard in shards if not shard.real]
        make = partial(_made_part, self.parts, self.format.name, self.card, self.layout, self.made)
        real = [shard for shard in shards if shard.real]
        engine = engine_of(writing.engine)
        if writing.engine == HERE and writing.jobs is None and len(synthetic) > 1:
            started = time.monotonic()
            yield make(synthetic.pop(0))
            if (time.monotonic() - started) * len(synthetic) < _WORTH:  # processes would take longer to begin
                engine = in_this_process
        jobs = self.jobs(writing, len(synthetic))
        if not synthetic or (jobs == 1 and writing.engine == HERE):
            engine = in_this_process
        with closing(engine(make, synthetic, jobs)) as under_way:
            yield from (self.real_part(shard).rows for shard in real)
            yield from under_way

    def jobs(self, writing: Writing, shards: int) -> int:
        """How many processes make so many shards."""
        from joblib import cpu_count

        usual = cpu_count() if self.made.generator.device.type == "cpu" else 1
        return max(1, min(shards, usual if writing.jobs is None else writing.jobs))

    def real_part(self, shard: Shard) -> Part:
        """A part of real rows."""

        def write(folder: Path) -> int:
            assert self.real is not None, "there are real rows"
            rows = self.real.of(shard.pieces, shard.split)
            self.format.write(folder, shard.stem, rows, self.card, self.layout)
            return shard.rows

        return make_part(self._place(shard), shard.split, write)

    def made_part(self, shard: Shard) -> Part:
        """A part of synthetic rows."""
        _made_part(self.parts, self.format.name, self.card, self.layout, self.made, shard)
        part = part_in(self._place(shard))
        assert part is not None, "it has just been made"
        return part

    def _place(self, shard: Shard) -> Path:
        return _place(self.parts, shard)

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
        return make_part(_place(parts, shard), shard.split, write).rows


def _place(parts: Path, shard: Shard) -> Path:
    return parts / f"{shard.number:06d}"
