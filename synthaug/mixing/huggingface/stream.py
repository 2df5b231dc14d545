"""Streams of synthetic rows for Hugging Face training, alone and mixed into a streaming data set.

A stream is a cheap plan of rows, (class, index, seed) each, and a function that makes the row: whatever row a
worker, a node or a resumed run asks for is the same bytes, and a position in the plan is all the state there is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from synthaug.data.classes import Classes, Label, plain_label
from synthaug.data.guards import refuse_held_out
from synthaug.data.items import ItemFields
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind
from synthaug.files.arrow import provenance_features, room_for_provenance
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples, real_provenance
from synthaug.mixing.colours import Tints, warn_of_colours
from synthaug.mixing.huggingface.columns import (
    StreamedImages,
    StreamedRows,
    StreamedTable,
    require_columns,
)
from synthaug.mixing.options import MixOptions
from synthaug.mixing.probes import PROBES, look_of
from synthaug.mixing.schedule import plain_ratio
from synthaug.mixing.supply import Supply
from synthaug.modalities.arrays import as_array
from synthaug.modalities.look import Look
from synthaug.modalities.table import TableForm
from synthaug.seeding import derive
from synthaug.wording import did_you_mean, quoted

if TYPE_CHECKING:
    import datasets

_RUN = 32  # rows of a class that are made at a time


def mix_stream(
    real: datasets.IterableDataset, supply: Supply, options: MixOptions
) -> datasets.IterableDataset:
    """A streaming data set with synthetic rows between its own, features and format kept.

    This is ``interleave_datasets([real, synthetic], probabilities=[1 - ratio, ratio])`` with what that leaves
    to its caller: equal features and provenance on both sides (``synthetic`` is False in real rows, the others
    empty or -1), as many shards as the real stream has, so that no worker is stopped, an endless synthetic
    stream, so that every real row comes once, and the format, which it drops. The
    classes of synthetic rows have the proportions of the training rows, so that the share is the same in every
    class. The share holds in expectation, not in every batch.

    Each synthetic row is a function of (seed, class, index), which stand in its columns of provenance: whatever worker
    or node makes it, it is the same, and so are the rows of each shard and their order; where they fall among real
    rows depends on the number of workers. ``state_dict`` and ``load_state_dict`` resume at the exact row.

    ``set_epoch(n)`` on the result gives new synthetic rows, those of a seed derived from (seed, n), and draws anew,
    also in what was made of it by ``map``, ``shuffle`` or `datasets.distributed.split_dataset_by_node` and in workers
    that live on. (``set_epoch`` on one of *these* changes their order only.) No row is cached.

    Args:
        real: with known features. It may be split by node already; the synthetic rows are then split alike.
        supply: a trained generator. It runs where the stream is read, so on the CPU where workers read it.
        options: what is asked for; columns that are not filled are null in synthetic rows.

    Raises:
        InvalidRequest: a ratio outside [0, 1), a class that the generator lacks, a
            column that does not exist or stands where the provenance goes.
        UnsupportedKind: ``real`` is not a streaming data set, or samples in the place of a generator.
        InvalidData: no rows, or features that are not known.
        SpecMismatch: real and synthetic images differ in shape, dtype or value range.
        Leakage: held-out rows of the generator are among the first 64 of ``real``, which are read for this; or
            later, when such a row is about to pass.
    """
    import datasets
    from datasets.distributed import split_dataset_by_node

    ratio = plain_ratio(supply.ratio(options, fixed=True))
    if not isinstance(ratio, int | float):
        raise InvalidRequest(
            "ratio= as given is for a DataLoader: of a stream only one share for all classes, that stays, can be asked"
        )
    if not isinstance(real, datasets.IterableDataset):
        raise UnsupportedKind(f"a streaming data set was expected, a {type(real).__name__} was given")
    generator = supply.generator
    if generator is None:
        raise UnsupportedKind(
            "samples were given to mix into a streaming data set, whose rows are not known in advance: give the "
            "generator, which makes as many of each class as are due"
        )
    if real.features is None:
        raise InvalidData(
            "the features of the streaming data set are not known, so they cannot be kept: pass features= to "
            "the map() that made it"
        )
    if supply.curated:
        raise InvalidRequest(
            "a curated generator was given to mix into a stream, which takes rows without end, and there are no more "
            "than were kept: mix a DataLoader over the stream, or a data set that is not streamed"
        )
    items, seed = options.items, supply.row_seed(options)
    rows = _look(real, generator, items.label, items.image, ratio)
    others = list(map(str, rows.fields.others))
    for name in items.fill:
        if name not in others:
            raise InvalidRequest(
                f'items=synthaug.Items(fill=...) names "{name}".{did_you_mean(str(name), others)}'
            )
    remedy = "stream the data set as it was before it was expanded or mixed"
    own = room_for_provenance(real.features, remedy)
    kinds = datasets.Features({**real.features, **provenance_features(own)})
    held_out = _HeldOut(generator, rows) if ratio and len(generator.held_out) else None
    marked = real.with_format(None).map(_AsReal(own, held_out), features=kinds)
    nodes, format = real._distributed, real._formatting
    shards = real.num_shards * (nodes.world_size if nodes else 1)
    synthetic, epoch = _stream(generator, shards, seed, _Make(generator, kinds, rows, items.fill, own))
    if nodes:
        synthetic = split_dataset_by_node(synthetic, nodes.rank, nodes.world_size)
    mixed = marked
    if ratio:
        mixed = datasets.interleave_datasets(
            [marked, synthetic],
            probabilities=[1 - ratio, ratio],
            seed=derive(seed, "interleave"),
            stopping_strategy="first_exhausted",
        )
    return epoch.steered_by(mixed.with_format(format.format_type) if format else mixed)


def _stream(
    generator: Generator, shards: int, seed: int, make: _Make
) -> tuple[datasets.IterableDataset, _Epoch]:
    import datasets

    epoch = _Epoch()
    kinds = {
        "class": datasets.Value("string"),
        "index": datasets.Value("int64"),
        "seed": datasets.Value("int64"),
    }
    rows = datasets.IterableDataset.from_generator(
        _plan,
        features=datasets.Features(kinds),
        # Whoever caches by these never takes the rows of another seed, plan or generator for ours.
        gen_kwargs={
            "shards": _shards(generator, shards),
            "seed": seed,
            "generator": generator.fingerprint,
            "epoch": epoch,
        },
    )
    return rows.map(make, features=make.kinds, remove_columns=list(kinds)), epoch


# ---------------------------------------------------------------------------------------------- the plan

# Of a class: its name, the first row, the row behind the last, and how far on the next round of rows is.
_Part = tuple[str, int, int, int]


def _shards(generator: Generator, shards: int) -> list[tuple[_Part, ...]]:
    """The rows of each class that each shard has in its first round; rounds have no end."""
    # Whole runs, so that no two shards make the same one.
    rows = {name: n * _RUN for name, n in generator.training_counts.items() if n}
    return [tuple((k, s * n, (s + 1) * n, shards * n) for k, n in rows.items()) for s in range(shards)]


def _plan(
    shards: list[tuple[_Part, ...]], seed: int, generator: str, epoch: _Epoch
) -> Iterator[dict[str, Any]]:
    """The rows of some shards, as (class, index, seed); classes take turns in proportion to their rows."""
    number = int(epoch)
    epoch_seed = derive(seed, "epoch", number) if number else seed
    for parts in shards:
        for turn in count():
            for _, name, index in heapq.merge(*(_turns(*part, turn) for part in parts)):
                yield {"class": name, "index": index, "seed": epoch_seed}


def _turns(name: str, start: int, stop: int, step: int, turn: int) -> Iterator[tuple[float, str, int]]:
    first = start + turn * step
    return (((i + 0.5) / (stop - start), name, first + i) for i in range(stop - start))


class _Epoch:
    """The number of the epoch, in memory that worker processes share."""

    def __init__(self) -> None:
        self._value = torch.zeros((), dtype=torch.int64)
        self._value.share_memory_()  # type: ignore[no-untyped-call]

    def __int__(self) -> int:
        return int(self._value)

    def __deepcopy__(self, memo: Any) -> _Epoch:
        return self  # interleaving copies its sources, which must not part from whoever sets the epoch

    def steered_by(self, dataset: datasets.IterableDataset) -> datasets.IterableDataset:
        """``dataset``, whose ``set_epoch`` sets this number from now on."""
        dataset._epoch = self._value
        return dataset


# ---------------------------------------------------------------------------------------------- the rows


class _Make:
    """From a row of the plan to the row itself."""

    def __init__(
        self,
        generator: Generator,
        kinds: datasets.Features,
        rows: StreamedRows,
        fill: Mapping[Any, Any],
        own: Mapping[str, str],
    ) -> None:
        self.kinds = kinds
        self._generator = generator
        self._rows = rows
        self._labels = _labels(generator.classes, kinds[rows.fields.label])
        self._rest: dict[str, Any] = {name: fill.get(name) for name in kinds if name not in own.values()}
        self._own = own
        # The last run of each class, so that rows are made together; only ever a short cut.
        self._runs: dict[str, tuple[int, int, Samples, list[dict[str, Any]]]] = {}

    def __deepcopy__(self, memo: Any) -> _Make:
        return self  # one generator in memory, however often its stream is interleaved

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_runs": {}}

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        name, index, seed = row["class"], row["index"], row["seed"]
        start = index // _RUN * _RUN
        kept = self._runs.get(name)
        if kept is None or kept[:2] != (seed, start):
            if torch.utils.data.get_worker_info() is not None:
                # Interleaving reads in a thread, which does not inherit the worker's single thread; in a
                # forked worker more than one hang.
                torch.set_num_threads(1)
            made = self._generator.sample_rows(name, start, start + _RUN, seed=seed)
            kept = seed, start, made, self._rows.cells(made)
            self._runs[name] = kept
        samples, at = kept[2], index - start
        about = {own: samples.provenance[column][at].item() for column, own in self._own.items()}
        whole: dict[str, Any] = self._rest | kept[3][at]
        return whole | {str(self._rows.fields.label): self._labels[name]} | about


class _AsReal:
    """The provenance of a real row, if it may pass."""

    def __init__(self, own: Mapping[str, str], held_out: _HeldOut | None) -> None:
        self._about = {own[column]: values[0].item() for column, values in real_provenance(1).items()}
        self._held_out = held_out

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        if self._held_out is not None:
            self._held_out.refuse([row], "the stream")
        return self._about


class _HeldOut:
    """The rows that were kept from a generator."""

    def __init__(self, generator: Generator, rows: StreamedRows) -> None:
        self._rows, self._prints = rows, generator.held_out

    def refuse(self, rows: Sequence[Any], where: str) -> None:
        """Refuse these rows if one of them is held out."""
        found = [self._rows.print_of(row) for row in rows]
        only = (
            "" if len(rows) > 1 else f"one with the label {plain_label(rows[0][self._rows.fields.label])!r}"
        )
        known = [row for row, one in enumerate(found) if one is not None]
        prints = np.array([found[row] for row in known], np.uint64)
        refuse_held_out(prints, self._prints, where, lambda row: only or f"row {known[row]}")


def _labels(classes: Classes, kind: Any) -> dict[str, Label]:
    """The label of each class of the generator as the label's column holds it."""
    names = getattr(kind, "names", None)
    if names is None:
        named = getattr(kind, "dtype", None) == "string" and not all(
            isinstance(value, str) for value in classes.values
        )
        return dict(zip(classes.names, classes.names if named else classes.values, strict=True))
    there = Classes(tuple(names), tuple(range(len(names))))
    places = classes.require_same(there, "the data set", "the generator")
    return {classes[place]: label for label, place in enumerate(places)}


# ------------------------------------------------------------------------------------------- at the door


def _look(
    real: datasets.IterableDataset, generator: Generator, label: Any, image: Any, ratio: float
) -> StreamedRows:
    """Where features and label are, after a look at the first rows."""
    rows = list(real.with_format("numpy").take(PROBES))
    if not rows:
        raise InvalidData("the streaming data set holds no rows")
    found: StreamedRows
    if isinstance(generator.form, TableForm):
        schema = real.features.arrow_schema
        found = StreamedTable(require_columns(schema, label, generator.form), generator.form, schema)
    else:
        found = _look_at_images(real, rows, generator, label, image)
    if not ratio:
        return found
    at = found.fields.label
    named = _labels(generator.classes, real.features[at])
    labels = [plain_label(row[at]) for row in rows]
    for number, value in enumerate(labels):
        if value not in named.values():
            raise InvalidRequest(
                f'row {number} of the stream has the label {value!r} in "{at}", which is '
                f"no class of the generator: {quoted(map(str, generator.classes.values), 20)}. Use one trained for "
                "these classes, or name the column with items=synthaug.Items(label=...)"
            )
    if isinstance(found, StreamedImages):
        made = generator.sample_rows(generator.classes[0], 0, _RUN).samples
        remedy = "Train the generator on this data set, or bring its images to the form of the samples"
        images = [np.asarray(as_array(found.fields.image_of(row))) for row in rows]
        look_of(made, generator.form.ends).require_fit(Look.of(images), remedy)
        warn_of_colours(Tints.seen(images, labels), lambda: _made_tints(generator, named, set(labels)), 5)
    if len(generator.held_out):
        _HeldOut(generator, found).refuse(list(real.with_format(None).take(PROBES)), "the stream")
    return found


def _look_at_images(
    real: datasets.IterableDataset, rows: Sequence[Any], generator: Generator, label: Any, image: Any
) -> StreamedImages:
    for name, kind in real.features.items():
        if getattr(kind, "decode", True) is False and image in (None, name):
            raise UnsupportedKind(
                f'the images of the column "{name}" are not decoded, so that they cannot be compared with synthetic '
                "ones: cast_column to Image() before mixing, and back after it"
            )
    fields = ItemFields.of(rows[0], None, image, label)
    return StreamedImages(fields, real.features[fields.image], generator.form)


def _made_tints(generator: Generator, named: Mapping[str, Label], wanted: set[Label]) -> Tints | None:
    names = [name for name, label in named.items() if label in wanted][:8]
    made = [image for name in names for image in generator.sample_rows(name, 0, _RUN).samples]
    return Tints.seen(made, [named[name] for name in names for _ in range(_RUN)])
