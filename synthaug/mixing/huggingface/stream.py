"""Streams of synthetic rows for Hugging Face training, alone and mixed into a streaming data set.

A stream is a cheap plan of rows, (class, index, seed) each, and a function that makes the row: whatever row a
worker, a node or a resumed run asks for is the same bytes, and a position in the plan is all the state there is.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from PIL import Image

from synthaug.data.classes import Label, as_array, plain_label
from synthaug.data.counts import Counts, resolve_counts
from synthaug.data.items import ItemForm, Key
from synthaug.errors import InvalidData, InvalidRequest, Leakage, UnsupportedKind, did_you_mean
from synthaug.files.formats import png_bytes, provenance_features, real_provenance
from synthaug.generators.samples import Samples
from synthaug.mixing.checks import PROBES, Look, mismatch
from synthaug.modalities.image.fingerprint import fingerprints
from synthaug.modalities.image.spec import ImageSpec
from synthaug.seeding import derive

if TYPE_CHECKING:
    import datasets

Stopping = Literal["first_exhausted", "all_exhausted", "all_exhausted_without_replacement"]
"""When an interleaved stream ends, in the words of `datasets.interleave_datasets`."""

_RUN = 32  # rows of a class that are made at a time
_SHARDS = 8


class RowSource(Protocol):
    """What makes rows: a trained generator, or whatever looks like one.

    Attributes:
        classes: class names, in order.
        values: each class's label in the data set's own encoding.
        spec: the form of the rows.
        fingerprint: changes when the rows do.
        held_out: ``(M,)`` uint64 fingerprints of rows that synthetic ones must not meet.
        training_counts: rows of each class that it was trained on.
    """

    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def values(self) -> tuple[Any, ...]: ...  # noqa: D102
    @property
    def spec(self) -> ImageSpec: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    @property
    def held_out(self) -> np.ndarray: ...  # noqa: D102
    @property
    def training_counts(self) -> Mapping[str, int]: ...  # noqa: D102

    def sample_rows(self, name: str, start: int, stop: int, *, seed: int = 0) -> Samples:
        """Rows ``start`` to ``stop`` (exclusive) of the endless sequence that a seed gives to a class."""
        ...


def stream_dataset(
    generator: RowSource,
    counts: Counts | None = None,
    *,
    seed: int = 0,
    shards: int = _SHARDS,
    features: datasets.Features | None = None,
    label: str = "label",
    image: str = "image",
    fill: Mapping[str, Any] | None = None,
) -> datasets.IterableDataset:
    """A streaming Hugging Face data set of synthetic rows, made when they are read.

    Classes take turns in proportion to their counts. Each row is a function of (seed, class, index), which
    stand in its columns of provenance: the rows are the same for any number of workers and nodes, and
    ``state_dict`` and ``load_state_dict`` resume at the exact row.

    ``set_epoch(n)`` on the result gives new rows, those of a seed derived from (seed, n), also in what was
    made of it by ``map``, ``shuffle`` or `datasets.distributed.split_dataset_by_node` and in workers that live
    on. (``set_epoch`` on one of *these* changes their order only.) No row is cached.

    Args:
        generator: a trained one. It runs where the stream is read, so on the CPU where workers read it.
        counts: the rows of each class. When None the stream has no end, and classes come in the proportions
            that the generator was trained on.
        seed: the only source of randomness.
        shards: parts that go to different workers and nodes; a multiple of workers x nodes divides evenly.
        features: those of the real data set; an image, a label and the provenance when None.
        label: the label's column.
        image: the image's column.
        fill: values of other columns; null where there is none.

    Raises:
        InvalidRequest: counts or shards that cannot be met, or columns or labels that do not fit.

    Example:
        >>> from synthaug.files.formats import real_provenance
        >>> class Zeros:
        ...     classes, values, held_out, fingerprint = ("cat", "dog"), (0, 1), np.empty(0, np.uint64), "0"
        ...     spec, training_counts = ImageSpec(8, 8, 1, "HW", "uint8", 0, 255), {"cat": 1, "dog": 1}
        ...     def sample_rows(self, name, start, stop, *, seed=0):
        ...         rows, about = np.zeros((stop - start, 8, 8), np.uint8), real_provenance(stop - start)
        ...         return Samples(rows, np.zeros(len(rows), int), self.classes, self.values, self.spec, about)
        >>> stream = stream_dataset(Zeros(), {"cat": 2, "dog": 1}, shards=1)
        >>> [row["label"] for row in stream]
        [0, 1, 0]
    """
    kinds = _new_features(generator, image, label) if features is None else _with_provenance(features, label)
    stream, epoch = _stream(generator, counts, seed, shards, kinds, ItemForm(image, label), fill or {})
    return epoch.steered_by(stream)


def mix_stream(
    real: datasets.IterableDataset,
    generator: RowSource,
    *,
    ratio: float,
    counts: Counts | None = None,
    stopping_strategy: Stopping = "first_exhausted",
    seed: int = 0,
    label: str | None = None,
    image: str | None = None,
    fill: Mapping[str, Any] | None = None,
) -> datasets.IterableDataset:
    """A streaming data set with synthetic rows between its own, features and format kept.

    This is ``interleave_datasets([real, synthetic], probabilities=[1 - ratio, ratio])`` with what that leaves
    to its caller: equal features and provenance on both sides (``synthetic`` is False in real rows, the others
    empty or -1), as many shards as the real stream has, so that no worker is stopped, an endless synthetic
    stream, so that with "first_exhausted" every real row comes once, and the format, which it drops. The
    classes of synthetic rows have the proportions of the training rows, so that the share is the same in every
    class. The share holds in expectation, not in every batch.

    ``set_epoch(n)`` on the result gives new synthetic rows, as in `stream_dataset`, and draws anew.

    Args:
        real: with known features. It may be split by node already; the synthetic rows are then split alike.
        generator: a trained one.
        ratio: synthetic / (real + synthetic), in [0, 1): the probability that a row is synthetic.
        counts: a finite number of synthetic rows of each class, needed where the stream ends otherwise than
            with the real rows.
        stopping_strategy: as in `datasets.interleave_datasets`.
        seed: the only source of randomness.
        label: the label's column, where it cannot be guessed.
        image: the image's column, where it cannot be guessed.
        fill: values of other columns in synthetic rows; null where there is none.

    Raises:
        InvalidRequest: a ratio outside [0, 1), a stream without end, a class that the generator lacks, a
            column that does not exist or stands where the provenance goes.
        UnsupportedKind: ``real`` is not a streaming data set, or samples in the place of a generator.
        InvalidData: no rows, or features that are not known.
        SpecMismatch: real and synthetic images differ in shape, dtype or value range.
        Leakage: held-out rows of the generator are among the first 64 of ``real``, which are read for this; or
            later, when such a row is about to pass.
    """
    import datasets
    from datasets.distributed import split_dataset_by_node

    if not 0 <= ratio < 1:
        raise InvalidRequest(
            f"ratio {ratio} was asked for. It is synthetic / (real + synthetic), at least 0 and below 1."
        )
    if counts is None and stopping_strategy != "first_exhausted":
        raise InvalidRequest(
            f'stopping_strategy="{stopping_strategy}" waits for the synthetic rows to end, and without counts '
            'they do not: give counts=, or stop with "first_exhausted".'
        )
    if not isinstance(real, datasets.IterableDataset):
        raise UnsupportedKind(f"a streaming data set was expected, a {type(real).__name__} was given")
    if isinstance(generator, Samples):
        raise UnsupportedKind(
            "samples were given to mix into a streaming data set, whose rows are not known in advance: give the "
            "generator, which makes as many of each class as are due"
        )
    if real.features is None:
        raise InvalidData(
            "the features of the streaming data set are not known, so they cannot be kept: pass features= to "
            "the map() that made it"
        )
    form = _look(real, generator, label, image, ratio)
    for name in fill or ():
        if name not in form.others:
            raise InvalidRequest(f'fill= names "{name}".{did_you_mean(name, map(str, form.others))}')
    kinds = _with_provenance(real.features, form.label)
    held_out = _HeldOut(generator, form) if ratio and len(generator.held_out) else None
    columns = sorted(set(kinds) - set(real.features))
    marked = real.with_format(None).map(_AsReal(columns, held_out), features=kinds)
    nodes, format = real._distributed, real._formatting
    shards = real.num_shards * (nodes.world_size if nodes else 1)
    synthetic, epoch = _stream(generator, counts, seed, shards, kinds, form, fill or {})
    if nodes:
        synthetic = split_dataset_by_node(synthetic, nodes.rank, nodes.world_size)
    mixed = marked
    if ratio:
        mixed = datasets.interleave_datasets(
            [marked, synthetic],
            probabilities=[1 - ratio, ratio],
            seed=derive(seed, "interleave"),
            stopping_strategy=stopping_strategy,
        )
    return epoch.steered_by(mixed.with_format(format.format_type) if format else mixed)


def _stream(
    generator: RowSource,
    counts: Counts | None,
    seed: int,
    shards: int,
    kinds: datasets.Features,
    form: ItemForm,
    fill: Mapping[str, Any],
) -> tuple[datasets.IterableDataset, _Epoch]:
    import datasets

    epoch = _Epoch()
    plan = datasets.IterableDataset.from_generator(
        _plan,
        features=datasets.Features(
            {
                "class": datasets.Value("string"),
                "index": datasets.Value("int64"),
                "seed": datasets.Value("int64"),
            }
        ),
        # Whoever caches by these never takes the rows of another seed, plan or generator for ours.
        gen_kwargs={
            "shards": _shards(generator, counts, shards),
            "seed": seed,
            "generator": generator.fingerprint,
            "epoch": epoch,
        },
    )
    make = _Make(generator, kinds, form, fill)
    return plan.map(make, features=kinds, remove_columns=["class", "index", "seed"]), epoch


# ---------------------------------------------------------------------------------------------- the plan

# Of a class: its name, the first row, the row behind the last, and how far on the next round of rows is.
_Part = tuple[str, int, int, int | None]


def _shards(generator: RowSource, counts: Counts | None, shards: int) -> list[tuple[_Part, ...]]:
    """The rows of each class that each shard has; where there is a next round, the stream has no end."""
    if shards < 1:
        raise InvalidRequest(f"{shards} shards were asked for; give at least 1.")
    if counts is None:
        # Whole runs, so that no two shards make the same one.
        rows = {name: n * _RUN for name, n in generator.training_counts.items() if n}
        return [tuple((k, s * n, (s + 1) * n, shards * n) for k, n in rows.items()) for s in range(shards)]
    rows = resolve_counts(counts, generator.classes, generator.values)
    bounds = {name: [_bound(n, s, shards) for s in range(shards)] + [n] for name, n in rows.items()}
    return [tuple((k, bounds[k][s], bounds[k][s + 1], None) for k in rows) for s in range(shards)]


def _bound(n: int, shard: int, shards: int) -> int:
    even = n * shard // shards
    return even if n < shards * _RUN else even // _RUN * _RUN


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
            if all(step is None for *_, step in parts):
                break


def _turns(name: str, start: int, stop: int, step: int | None, turn: int) -> Iterator[tuple[float, str, int]]:
    first = start + turn * (step or 0)
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
        self, generator: RowSource, kinds: datasets.Features, form: ItemForm, fill: Mapping[str, Any]
    ) -> None:
        self._generator = generator
        self._form = form
        self._kind = kinds[form.image]
        self._labels = _labels(generator, kinds[form.label])
        self._rest = {name: fill.get(name) for name in kinds if name not in provenance_features()}
        self._columns = [name for name in provenance_features() if name in kinds and name != form.label]
        # The last run of each class, so that rows are made together; only ever a short cut.
        self._runs: dict[str, tuple[int, int, Samples]] = {}

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
            kept = seed, start, self._generator.sample_rows(name, start, start + _RUN, seed=seed)
            self._runs[name] = kept
        samples, at = kept[2], index - start
        about = {column: samples.provenance[column][at].item() for column in self._columns}
        fields = {self._form.image: _stored(samples.samples[at], self._kind, samples.spec)}
        return self._rest | fields | {self._form.label: self._labels[name]} | about


class _AsReal:
    """The provenance of a real row, if it may pass."""

    def __init__(self, columns: Sequence[str], held_out: _HeldOut | None) -> None:
        self._about = {column: real_provenance(1)[column][0].item() for column in columns}
        self._held_out = held_out

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        if self._held_out is not None and row in self._held_out:
            raise Leakage(
                f"a row of the stream, of the label {self._held_out.form.label_of(row)!r}, is held out from the "
                "generator for testing: mix training rows only"
            )
        return self._about


class _HeldOut:
    """The rows that were kept from a generator."""

    def __init__(self, generator: RowSource, form: ItemForm) -> None:
        self.form = form
        self._prints, self._spec = generator.held_out, generator.spec

    def __contains__(self, row: Any) -> bool:
        spec = self._spec
        image = as_array(self.form.image_of(row))
        # Columns of arrays come as lists.
        pixels = np.asarray(image, spec.dtype if isinstance(image, list) else None)
        ends = None if spec.low is None or spec.high is None else np.array([spec.low, spec.high])
        like = ends if ends is None or pixels.dtype.kind != "f" else ends.astype(pixels.dtype)
        return bool(np.isin(fingerprints(pixels[None], spec.layout, like), self._prints)[0])


def _stored(image: np.ndarray, kind: Any, spec: ImageSpec) -> Any:
    """One image as a row of a streaming data set holds it."""
    if not hasattr(kind, "decode"):
        return image.tolist()
    if not kind.decode:
        return {"bytes": png_bytes(image, spec), "path": None}
    return Image.fromarray(image)


def _labels(generator: RowSource, kind: Any) -> dict[str, Label]:
    """The label of each class of the generator as the label's column holds it."""
    values = {k: plain_label(v) for k, v in zip(generator.classes, generator.values, strict=True)}
    names = getattr(kind, "names", None)
    if names is None:
        return values
    unnamed = all(name == str(value) for name, value in values.items())
    if unnamed and sorted(values.values(), key=str) == sorted(range(len(names)), key=str):
        return values
    lacks, extra = [set(a) - set(b) for a, b in ((names, values), (values, names))]
    if lacks or extra:
        raise InvalidRequest(
            f"The classes of the data set are not those of the generator: the generator lacks "
            f"{_quoted(lacks)}, the data set lacks {_quoted(extra)}. Use one trained for these classes."
        )
    return {name: names.index(name) for name in values}


def _quoted(names: set[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names)) or "none"


def _new_features(generator: RowSource, image: str, label: str) -> datasets.Features:
    import datasets

    spec = generator.spec
    kind: Any = datasets.Image()
    if spec.dtype != "uint8" or spec.layout == "CHW":
        kind = {2: datasets.Array2D, 3: datasets.Array3D}[len(spec.shape)](spec.shape, spec.dtype)
    names = datasets.ClassLabel(names=list(generator.classes))
    return _with_provenance(datasets.Features({image: kind, label: names}), label)


def _with_provenance(features: datasets.Features, label: Key) -> datasets.Features:
    import datasets

    # A label column of the name "class" says already what ours would.
    kinds = {name: kind for name, kind in provenance_features().items() if name != label}
    clash = sorted(set(kinds) & set(features))
    if clash:
        raise InvalidRequest(
            f'the data set has a column "{clash[0]}", where the provenance of a row goes: stream the data set '
            f'as it was before it was expanded or mixed, or rename_column("{clash[0]}", ...) first'
        )
    return datasets.Features({**features, **kinds})


# ------------------------------------------------------------------------------------------- at the door


def _look(
    real: datasets.IterableDataset, generator: RowSource, label: str | None, image: str | None, ratio: float
) -> ItemForm:
    """Where image and label are, after a look at the first rows."""
    rows = list(real.with_format("numpy").take(PROBES))
    if not rows:
        raise InvalidData("the streaming data set holds no rows")
    form = ItemForm.of(rows[0], None, image, label)
    kind = real.features[form.label]
    if not ratio:
        return form
    known = set(_labels(generator, kind).values())
    for number, row in enumerate(rows):
        if form.label_of(row) not in known:
            raise InvalidRequest(
                f'row {number} of the stream has the label {form.label_of(row)!r} in "{form.label}", which is '
                f"no class of the generator: {list(generator.values)[:20]}. Use one trained for these classes, "
                "or name the column with label="
            )
    images = [np.asarray(as_array(form.image_of(row))) for row in rows]
    spec = generator.spec
    made = generator.sample_rows(generator.classes[0], 0, _RUN).samples
    ends = [np.full_like(made[0], end) for end in (spec.low, spec.high) if end is not None]
    look, synthetic = Look.of(images), Look.of(list(made), ends)
    if not synthetic.fits(look):
        remedy = "Train the generator on this data set, or bring its images to the form of the samples"
        raise mismatch(look, str(synthetic), remedy)
    if len(generator.held_out):
        held_out = _HeldOut(generator, form)
        found = [row in held_out for row in rows]
        if any(found):
            raise Leakage(
                f"{sum(found)} of the first {len(rows)} rows of the stream are held out from the generator for "
                f"testing (the first is row {found.index(True)}): mix training rows only"
            )
    return form
