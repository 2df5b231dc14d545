"""A PyTorch DataLoader with synthetic rows mixed in: the same loader, over [real | synthetic].

What other libraries keep of a loader is its data set, its batch sampler and its collate function. The copy
differs from the plain loader in the first two only, so it survives being prepared or sharded by them.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from torch.utils.data import (
    DataLoader,
    IterableDataset,
)

from synthaug.data.classes import Classes, names_of
from synthaug.data.guards import refuse_held_out
from synthaug.data.items import ItemFields
from synthaug.data.opening import open_data
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind
from synthaug.mixing.marks import MarkedItem, MarkingCollate, Marks
from synthaug.mixing.options import MixOptions
from synthaug.mixing.plan import MixingPlan
from synthaug.mixing.pool import Window, fitting_pool
from synthaug.mixing.prepare import RealRows, prepare
from synthaug.mixing.probes import PROBES, spread
from synthaug.mixing.supply import Supply
from synthaug.mixing.torch.batches import MixedBatches
from synthaug.mixing.torch.door import (
    drawn_rows,
    fields_in,
    prepared_by,
    random_state_kept,
    refuse_mixed,
    refuse_on_device,
    refuse_unfit,
    warn_of_chance,
    warn_of_tints,
)
from synthaug.mixing.torch.labels import labels_of
from synthaug.mixing.torch.rows import MixedRows
from synthaug.mixing.torch.stream import MixedStream, StreamBatches
from synthaug.mixing.transforms import transforms_of, without_transforms
from synthaug.modalities.base import Form

_BLOCK = 1024


def is_loader(source: Any) -> bool:
    """Whether this is a DataLoader, plain or prepared by another library."""
    return isinstance(source, DataLoader) or bool(prepared_by(source))


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
    refuse_unfit(loader)
    refuse_mixed(loader)
    with random_state_kept():
        mix = _mix_stream if isinstance(loader.dataset, IterableDataset) else _mix_rows
        return mix(loader, supply, options)


def unmixed_loader(loader: DataLoader[Any], options: MixOptions) -> DataLoader[Any]:
    """The loader itself, where no synthetic rows are to be used; or one like it with the marks that are asked for.

    Raises:
        UnsupportedKind: as `mix_loader`.
    """
    refuse_unfit(loader)
    marks = Marks(options.weight, options.flag)
    if not marks:
        return loader
    refuse_mixed(loader)
    with random_state_kept():
        return (_mark_stream if isinstance(loader.dataset, IterableDataset) else _mark_rows)(loader, marks)


def _mark_rows(loader: DataLoader[Any], marks: Marks) -> DataLoader[Any]:
    dataset: Any = loader.dataset
    probes = [dataset[row] for row in drawn_rows(loader)[:2].tolist()]
    plan = MixingPlan(np.zeros(len(dataset), np.int64), [], ratio=0.0)
    rows = MixedRows(dataset, None, plan, None, batch_size=_batch_size(loader), marked=True)
    batches = MixedBatches(loader.batch_sampler, plan)
    return copy_of(loader, dataset=rows, batch_sampler=batches, **_marking(loader, marks, probes))


def _mark_stream(loader: DataLoader[Any], marks: Marks) -> DataLoader[Any]:
    stream: Any = loader.dataset
    probes, plan = _first_items(stream), MixingPlan([], [], ratio=0.0)
    assert loader.batch_size is not None, "torch makes the batch sampler of a stream itself"
    rows = MixedStream(stream, None, plan, {}, None, loader.batch_size, marked=True)
    batches = StreamBatches(loader.batch_sampler, rows, plan, None, _length_of(loader))
    return copy_of(loader, dataset=rows, batch_sampler=batches, **_marking(loader, marks, probes))


def _mix_rows(loader: DataLoader[Any], supply: Supply, options: MixOptions) -> DataLoader[Any]:
    dataset: Any = loader.dataset
    drawn = drawn_rows(loader)
    probes = {row: dataset[row] for row in spread(drawn, PROBES).tolist()}
    like = probes[drawn[0]]
    refuse_on_device(like)
    items, marks = options.items, Marks(options.weight, options.flag)
    fields = fields_in(like, items)
    labels, classes = labels_of(dataset, fields, probes, items.labels, supply.classes)
    samples, raw = supply.pool(options), without_transforms(dataset, fields)
    prints = partial(_prints_with_and_without, dataset, raw, fields, supply)
    real = RealRows(labels, classes, "the loader's data set", prints, drawn)
    prepared = prepare(real, samples.class_indices, supply, supply.ratio(options), options)
    plan, collate = prepared.plan, _marking(loader, marks, list(probes.values()))
    if plan.idle and not marks:
        return copy_of(loader)
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
        if options.transform is None:
            warn_of_chance(dataset, fields, probes, pool)
        warn_of_tints(pool, fields, list(probes.values()))
        refresh = supply.refresh(options)
        window = None if refresh is None else Window(pool, samples, refresh)
    return copy_of(
        loader,
        dataset=MixedRows(dataset, pool, plan, window, batch_size=_batch_size(loader), marked=bool(marks)),
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
    fields = fields_in(probes[0], items)
    samples, there = supply.pool(options), _classes_of(stream, fields, probes, supply.classes)
    # The rows of the plan stand for classes: row k for class k.
    every = np.arange(len(there))
    known = there.values
    real = RealRows(known, there, "the loader's stream", lambda rows: np.empty(0, np.uint64), every)
    prepared = prepare(real, samples.class_indices, supply, supply.ratio(options), options)
    plan, collate = prepared.plan, _marking(loader, marks, probes)
    if plan.idle and not marks:
        return copy_of(loader)
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
        warn_of_tints(pool, fields, probes)
        refresh = supply.refresh(options)
        window = None if refresh is None else Window(pool, samples, refresh)
    places = {(type(label), label): row for row, label in enumerate(known)}
    mixed = MixedStream(
        stream, pool, plan, places, fields, loader.batch_size, marked=bool(marks), guard=guard
    )
    batches = StreamBatches(loader.batch_sampler, mixed, plan, window, _length_of(loader))
    return copy_of(loader, dataset=mixed, batch_sampler=batches, **collate)


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
    refuse_on_device(probes[0])
    return probes


def _length_of(loader: DataLoader[Any]) -> int | None:
    try:
        return len(loader)
    except TypeError:
        return None


def _batch_size(loader: DataLoader[Any]) -> int | None:
    found: int | None = getattr(loader.batch_sampler, "batch_size", loader.batch_size)
    return found


def copy_of(loader: DataLoader[Any], **changed: Any) -> DataLoader[Any]:
    """A loader like this one, with other parts."""
    mixed = copy.copy(loader)
    # A DataLoader refuses to have these set; and the iterator is that of the original's persistent workers.
    vars(mixed).update(changed, _iterator=None)
    return mixed


def _marking(loader: DataLoader[Any], marks: Marks, items: list[Any]) -> dict[str, Any]:
    """The collate function that puts marks into batches, tried on real items, where marks are asked for."""
    if not marks:
        return {}
    assert loader.collate_fn is not None
    collate = MarkingCollate(loader.collate_fn, marks)
    collate([MarkedItem(item, False) for item in items[:2]])
    return {"collate_fn": collate}


# --------------------------------------------------------------------------------------------------- held out


def _refuse_items(items: Sequence[Any], *, fields: ItemFields, form: Form, held_out: np.ndarray) -> None:
    prints = _fingerprints(items, fields, form, np.arange(len(items)))
    refuse_held_out(prints, held_out, "a batch of the loader's stream")


def _prints_with_and_without(
    dataset: Any, raw: Any, fields: ItemFields, supply: Supply, rows: np.ndarray
) -> np.ndarray:
    """Fingerprints without any transform, or with those of a wrapped data set where rows are held out with them."""
    prints = _fingerprints(raw, fields, supply.form, rows)
    if len(transforms_of(dataset)) < 2:
        return prints
    inside = _fingerprints(without_transforms(dataset, fields, deep=False), fields, supply.form, rows)
    return np.where(np.isin(inside, supply.held_out), inside, prints)


def _fingerprints(raw: Any, fields: ItemFields, form: Form, rows: np.ndarray) -> np.ndarray:
    """Of the images of ``rows``, brought to the generator's form as its own data were."""
    found = [np.empty(0, np.uint64)]
    for start in range(0, len(rows), _BLOCK):
        items = [raw[row] for row in rows[start : start + _BLOCK].tolist()]
        images, labels = map(fields.image_of, items), map(fields.label_of, items)
        found.append(open_data((list(images), list(labels)), **form.opening).fingerprints())
    return np.concatenate(found)
