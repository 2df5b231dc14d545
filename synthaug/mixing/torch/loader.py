"""A PyTorch DataLoader with synthetic rows mixed in: the same loader, over [real | synthetic].

What other libraries keep of a loader is its data set, its batch sampler and its collate function. The copy
differs from the plain loader in the first two only, so it survives being prepared or sharded by them.
"""

from __future__ import annotations

import copy
import operator
import random
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from synthaug.data.classes import Classes, names_of
from synthaug.data.guards import refuse_held_out
from synthaug.data.items import ItemFields
from synthaug.data.labeled import open_data
from synthaug.errors import InvalidData, InvalidRequest, SynthaugWarning, UnsupportedKind
from synthaug.mixing.marks import MarkedItem, MarkingCollate, Marks
from synthaug.mixing.options import MixOptions
from synthaug.mixing.plan import MixingPlan
from synthaug.mixing.pool import Pool, Window, fitting_pool, inner, warn_of_colours
from synthaug.mixing.prepare import RealRows, prepare
from synthaug.mixing.probes import PROBES, spread
from synthaug.mixing.supply import Supply
from synthaug.mixing.torch.batches import MixedBatches
from synthaug.mixing.torch.labels import labels_of
from synthaug.mixing.torch.stream import MixedStream, StreamBatches
from synthaug.modalities.arrays import as_array
from synthaug.modalities.image.form import ImageForm

_BLOCK = 1024
_PREPARE = {"accelerate", "lightning", "lightning_fabric", "pytorch_lightning"}


def is_loader(source: Any) -> bool:
    """Whether this is a DataLoader, plain or prepared by another library."""
    return isinstance(source, DataLoader) or bool(_prepared_by(source))


def mix_loader(loader: DataLoader[Any], supply: Supply, options: MixOptions) -> DataLoader[Any]:
    """A loader of the same class with synthetic rows in its batches; the given one is left as it is.

    Class, collate function, workers, sampler, generator and all other settings are kept, and real rows come
    in the order of the plain loader. `MixingPlan` says which rows are synthetic: a function of seed, epoch,
    rank and that order, whatever the number of workers. The batch sampler counts the epochs, one a pass;
    where the loader's own sampler has an ``epoch`` further on, as after a resume, that one counts.
    ``loader.batch_sampler.set_epoch(n)`` sets both. The rank is that of a ``DistributedSampler``.

    The data set of the result is ``[real | synthetic]``, and a synthetic item has the structure of a real
    one. The data set's own ``transform``, if it has one, is applied to synthetic images too, unless only the
    images as they are look like those of the items, as when the generator was trained on transformed ones.

    Over an ``IterableDataset`` the stream is mixed in the workers, batch by batch as each makes them, so that
    the batches depend on the number of workers as the plain loader's do. Rows are only ever replaced there.
    The rank is that of ``torch.distributed`` where a process group is up.

    One ratio for all classes is the default for a reason: where synthetic rows are more frequent in one class
    than in another, a classifier learns to tell classes by "looks synthetic" (measured: minority classes
    filled up this way cost 6.2 points against a balanced sampler).

    Args:
        loader: in batches, and not prepared yet by accelerate or Lightning.
        supply: the synthetic rows, at least one of each class of the data set.
        options: what is asked for. Labels that are not given are those that the data set (or that below a ``Subset``)
            keeps in ``targets``, ``labels``, its tensors or its label column, if they agree with the items; else every
            item is read once. Not for streams.

    Raises:
        InvalidRequest: a ratio outside [0, 1), no samples, a class that they lack, a field without a value,
            a schedule over steps for a loader without length, appending to a stream.
        UnsupportedKind: no batches, rows on an accelerator, prepared by another library, a
            stream that can be read only once, batches that have no room for ``weight`` or ``flag``.
        InvalidData: labels that disagree with the items.
        SpecMismatch: real and synthetic images differ in kind, shape, dtype or value range. Up to 64 of each
            are compared; the ranges of uint8 images are not.
        Leakage: rows of the data set are held out from the generator. All rows that the sampler may draw are
            compared up to 20,000, else 512 spread over them; without the data set's ``transform`` where that is
            an attribute. Every row of a stream is compared, the first 64 here and each as it passes. Rows that
            are standardised or resized in another way are not recognised.
    """
    _refuse_unfit(loader)
    with _random_state_kept():
        mix = _mix_stream if isinstance(loader.dataset, IterableDataset) else _mix_rows
        return mix(loader, supply, options)


def _mix_rows(loader: DataLoader[Any], supply: Supply, options: MixOptions) -> DataLoader[Any]:
    dataset: Any = loader.dataset
    drawn = _drawn_rows(loader)
    probes = {row: dataset[row] for row in spread(drawn, PROBES).tolist()}
    like = probes[drawn[0]]
    _refuse_on_device(like)
    items, marks = options.items, Marks(options.weight, options.flag)
    fields = ItemFields.of(like, image=items.image, label=items.label)
    labels, classes = labels_of(dataset, fields, probes, items.labels, supply.classes)
    samples, raw = supply.pool(options), _without_transform(dataset, fields)
    real = RealRows(
        labels, classes, "the loader's data set", partial(_fingerprints, raw, fields, supply.form), drawn
    )
    prepared = prepare(real, samples.class_indices, supply, supply.ratio(options), options)
    plan, collate = prepared.plan, _marking(loader, marks, list(probes.values()))
    if plan.idle and not marks:
        return _copy(loader)
    pool, window = None, None
    if not plan.idle:
        pool = fitting_pool(
            samples,
            [prepared.aligned.labels[k] for k in samples.class_indices.tolist()],
            fields,
            list(probes.values()),
            dataset=dataset,
            raw=raw,
            transform=options.transform,
            fill=items.fill,
        )
        if pool.change is None:
            _warn_of_chance(dataset, fields, probes)
        warn_of_colours(pool, fields, list(probes.values()))
        refresh = supply.refresh(options)
        window = None if refresh is None else Window(pool, samples, refresh)
    return _copy(
        loader,
        dataset=_Mixed(dataset, pool, plan, window, marked=bool(marks)),
        batch_sampler=MixedBatches(loader.batch_sampler, plan, window),
        **collate,
    )


def _mix_stream(loader: DataLoader[Any], supply: Supply, options: MixOptions) -> DataLoader[Any]:
    stream: Any = loader.dataset
    assert loader.batch_size is not None, "torch makes the batch sampler of a stream itself"
    if options.mode == "append":
        raise InvalidRequest(
            'mode "append" was asked for a loader over a stream, whose batches cannot grow: use mode '
            '"replace", or a map-style data set'
        )
    probes = _first_items(stream)
    items, marks = options.items, Marks(options.weight, options.flag)
    fields = ItemFields.of(probes[0], None, items.image, items.label)
    samples, there = supply.pool(options), _classes_of(stream, fields, probes, supply.classes)
    # The rows of the plan stand for classes: row k for class k.
    every = np.arange(len(there))
    known = there.values
    real = RealRows(known, there, "the loader's stream", lambda rows: np.empty(0, np.uint64), every)
    prepared = prepare(real, samples.class_indices, supply, supply.ratio(options), options)
    plan, collate = prepared.plan, _marking(loader, marks, probes)
    if plan.idle and not marks:
        return _copy(loader)
    pool, window, guard = None, None, None
    if not plan.idle:
        if len(supply.held_out):
            guard = partial(_refuse_items, fields=fields, form=supply.form, held_out=supply.held_out)
            guard(probes)
        labels = [prepared.aligned.labels[k] for k in samples.class_indices.tolist()]
        pool = fitting_pool(
            samples,
            labels,
            fields,
            probes,
            dataset=stream,
            raw=stream,
            transform=options.transform,
            fill=items.fill,
        )
        refresh = supply.refresh(options)
        window = None if refresh is None else Window(pool, samples, refresh)
    places = {(type(label), label): row for row, label in enumerate(known)}
    mixed = MixedStream(
        stream, pool, plan, places, fields, loader.batch_size, marked=bool(marks), guard=guard
    )
    try:
        length: int | None = len(loader)
    except TypeError:
        length = None
    batches = StreamBatches(loader.batch_sampler, mixed, plan, window, length)
    return _copy(loader, dataset=mixed, batch_sampler=batches, **collate)


def _warn_of_chance(dataset: Any, fields: ItemFields, probes: Mapping[int, Any]) -> None:
    """Warn where real rows are changed at random, and synthetic ones are not."""
    for row, item in islice(probes.items(), 4):
        first, again = (as_array(fields.image_of(each)) for each in (item, dataset[row]))
        if not np.array_equal(np.asarray(first), np.asarray(again)):
            warnings.warn(
                f"row {row} of the loader's data set differs when it is read again, so something changes it at random, "
                "and no `transform` of the data set was found to change synthetic rows by: a classifier can tell them "
                "apart by that. Pass transform=, a function from an image of the samples to one as the loader has them",
                SynthaugWarning,
                stacklevel=6,
            )
            return


def _classes_of(stream: Any, fields: ItemFields, probes: list[Any], ours: Classes) -> Classes:
    """The classes of a stream's labels, as far as there are synthetic rows of them."""
    if all(isinstance(fields.label_of(item), str) for item in probes):
        return Classes(ours.names, ours.names)
    names = names_of(stream, fields.label)
    if names is None:
        return ours
    every = Classes(tuple(names), tuple(range(len(names))))
    known = [k for k, place in enumerate(ours.match(every)) if place is not None]
    return Classes(tuple(names[k] for k in known), tuple(known)) if known else every


def _first_items(stream: Any) -> list[Any]:
    """The first items of a stream, which has to be one that can be begun again."""
    if iter(stream) is stream:
        raise UnsupportedKind(
            f"the stream {type(stream).__name__} is its own iterator, so it can be read only once; its first "
            "items are looked at before training: let __iter__ return a new iterator"
        )
    probes = list(islice(iter(stream), PROBES))
    if not probes:
        raise InvalidData("the loader's stream has no rows")
    _refuse_on_device(probes[0])
    return probes


def _copy(loader: DataLoader[Any], **changed: Any) -> DataLoader[Any]:
    mixed = copy.copy(loader)
    # A DataLoader refuses to have these set; and the iterator is that of the original's persistent workers.
    vars(mixed).update(changed, _iterator=None)
    return mixed


# ---------------------------------------------------------------------------------------- parts of the result


class _Mixed(ConcatDataset[Any]):
    """``[real | synthetic]``; rows of a batch are fetched together where the real data set can."""

    def __init__(
        self, real: Any, pool: Pool | None, plan: MixingPlan, window: Window | None, *, marked: bool
    ) -> None:
        super().__init__([real] if pool is None else [real, pool])
        self.n_real, self.plan, self.window = len(real), plan, window
        self._marked = marked

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "window": None}  # of the main process

    def __getitem__(self, row: int) -> Any:
        row = row + len(self) if row < 0 else row
        synthetic = row >= self.n_real
        item = self.datasets[1][row - self.n_real] if synthetic else self.datasets[0][row]
        return MarkedItem(item, synthetic) if self._marked else item

    def __getitems__(self, rows: Sequence[int]) -> list[Any]:
        n_real = self.n_real
        read = iter(_together(self.datasets[0], [row for row in rows if row < n_real]))
        made = iter(_together(self.datasets[-1], [row - n_real for row in rows if row >= n_real]))
        items = [next(read) if row < n_real else next(made) for row in rows]
        if not self._marked:
            return items
        return [MarkedItem(item, row >= n_real) for item, row in zip(items, rows, strict=True)]


def _together(dataset: Any, rows: list[int]) -> Iterable[Any]:
    """Items in the quickest way that gives what reading them one by one gives."""
    if not rows:
        return ()
    if hasattr(dataset, "__getitems__"):
        items: Iterable[Any] = dataset.__getitems__(rows)
        return items
    if type(dataset) is TensorDataset:
        return zip(*(map(tensor.__getitem__, rows) for tensor in dataset.tensors), strict=True)
    return map(dataset.__getitem__, rows)


def _marking(loader: DataLoader[Any], marks: Marks, items: list[Any]) -> dict[str, Any]:
    """The collate function that puts marks into batches, tried on real items, where marks are asked for."""
    if not marks:
        return {}
    assert loader.collate_fn is not None
    collate = MarkingCollate(loader.collate_fn, marks)
    collate([MarkedItem(item, False) for item in items[:2]])
    return {"collate_fn": collate}


# ------------------------------------------------------------------------------------------------ at the door


def _refuse_unfit(loader: Any) -> None:
    if by := _prepared_by(loader):
        raise UnsupportedKind(
            f"the loader is prepared by {by.pop()} already, which would drop the synthetic rows: mix the "
            "plain loader, then prepare the mixed one"
        )
    if loader.batch_sampler is None:
        raise UnsupportedKind(
            "the loader has batch_size=None, so there are no batches to mix: give it a batch_size or a "
            "batch_sampler; or mix its batches in the training step, batch = mixer(batch) with "
            "mixer = synthaug.BatchMixer(samples, ratio=0.25)"
        )
    if isinstance(loader.dataset, _Mixed | MixedStream):
        raise InvalidRequest("the loader is mixed already: mix the plain loader, with all samples at once")


def _prepared_by(loader: Any) -> set[str]:
    return _PREPARE & {kind.__module__.partition(".")[0] for kind in type(loader).__mro__}


def _refuse_on_device(item: Any) -> None:
    fields = item.values() if isinstance(item, Mapping) else item if isinstance(item, tuple | list) else ()
    for value in fields:
        if torch.is_tensor(value) and value.device.type != "cpu":
            raise UnsupportedKind(
                f"the rows of the loader's data set are on the device {value.device}, which workers cannot "
                "share and synthetic rows in memory cannot be batched with: keep the data set on the CPU and "
                "move whole batches, or mix batches on the device with BatchMixer"
            )


def _drawn_rows(loader: DataLoader[Any]) -> np.ndarray:
    """The rows that the loader may draw, as far as its sampler tells: at least one, to be had as items."""
    dataset: Any = loader.dataset
    sampler = getattr(loader.batch_sampler, "sampler", None)
    rows = np.arange(len(dataset))
    if isinstance(sampler, SubsetRandomSampler):
        rows = np.unique(np.asarray(sampler.indices, dtype=np.int64))
    if isinstance(sampler, WeightedRandomSampler):
        rows = np.flatnonzero(sampler.weights.numpy())
    if not len(rows):
        raise InvalidData("the loader has no rows to draw")
    if hasattr(dataset, "__getitems__"):
        batch = dataset.__getitems__(rows[:1].tolist())
        if not isinstance(batch, list | tuple) or len(batch) != 1:
            raise UnsupportedKind(
                f"__getitems__ of {type(dataset).__name__} gives a whole batch ({type(batch).__name__}), so "
                "there are no items to exchange: let it return a list of items, and batch them in collate_fn"
            )
    return rows


@contextmanager
def _random_state_kept() -> Iterator[None]:
    """Reading rows runs their random transforms; they must not move the streams that will order the rows."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


# --------------------------------------------------------------------------------------------------- held out


def _without_transform(dataset: Any, fields: ItemFields) -> Any:
    """The data set without its ``transform`` where that is an attribute, else as it is."""
    if isinstance(dataset, Subset):
        below = _without_transform(dataset.dataset, fields)
        return dataset if below is dataset.dataset else Subset(below, dataset.indices)
    if isinstance(dataset, ConcatDataset):
        parts = [_without_transform(part, fields) for part in dataset.datasets]
        same = all(map(operator.is_, parts, dataset.datasets))
        return dataset if same else ConcatDataset(parts)
    inside = inner(dataset)
    if inside is None and not callable(getattr(dataset, "transform", None)):
        return dataset
    plain = copy.copy(dataset)
    try:
        if inside is None:
            plain.transform = _unchanged
        elif (below := _without_transform(inside, fields)) is inside:
            return dataset
        else:
            plain.dataset = below
        fields.image_of(plain[0])
    except Exception:  # it uses its transform in a way of its own, or will not have it set
        return dataset
    return plain


def _unchanged(*image: Any, **named: Any) -> Any:
    return image[0] if image else named


def _refuse_items(items: Sequence[Any], *, fields: ItemFields, form: ImageForm, held_out: np.ndarray) -> None:
    prints = _fingerprints(items, fields, form, np.arange(len(items)))
    refuse_held_out(prints, held_out, "a batch of the loader's stream")


def _fingerprints(raw: Any, fields: ItemFields, form: ImageForm, rows: np.ndarray) -> np.ndarray:
    """Of the images of ``rows``, brought to the generator's size as its own data were."""
    found = [np.empty(0, np.uint64)]
    for start in range(0, len(rows), _BLOCK):
        items = [raw[row] for row in rows[start : start + _BLOCK].tolist()]
        images, labels = map(fields.image_of, items), map(fields.label_of, items)
        size = form.height, form.width
        found.append(open_data((list(images), list(labels)), image_size=size).fingerprints())
    return np.concatenate(found)
