"""A PyTorch DataLoader with synthetic rows mixed in: the same loader, over [real | synthetic].

What other libraries keep of a loader is its data set, its batch sampler and its collate function. The copy
differs from the plain loader in the first two only, so it survives being prepared or sharded by them.
"""

from __future__ import annotations

import copy
import random
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

from synthaug.data.classes import Label, as_array, plain_label
from synthaug.data.items import ItemForm, Key
from synthaug.data.labeled import open_data
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind
from synthaug.generators.samples import Samples
from synthaug.mixing.checks import PROBES, class_positions, refuse_held_out, shares_by_class, spread
from synthaug.mixing.marks import MarkedItem, MarkingCollate, Marks
from synthaug.mixing.plan import MixingPlan, Mode
from synthaug.mixing.pool import Pool, Refresh, Transform, Window, fitting_pool
from synthaug.mixing.schedule import Ratio
from synthaug.mixing.torch.batches import MixedBatches
from synthaug.mixing.torch.stream import MixedStream, StreamBatches

_BLOCK = 1024
_PREPARE = {"accelerate", "lightning", "lightning_fabric", "pytorch_lightning"}


def mix_dataloader(
    loader: DataLoader[Any],
    samples: Samples,
    *,
    ratio: Ratio,
    mode: Mode = "replace",
    exact: bool = True,
    seed: int = 0,
    weight: float | None = None,
    flag: bool = False,
    refresh: Refresh | None = None,
    transform: Transform | None = None,
    fill: Mapping[Key, Any] | None = None,
    labels: Any = None,
    image: Key | None = None,
    label: Key | None = None,
) -> DataLoader[Any]:
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
        samples: the pool, at least one row of each class of the data set.
        ratio: synthetic / (real + synthetic), in [0, 1), or a schedule such as ``linear(0.5, 0, epochs=10)``;
            or one for each class by name or label, where classes left out have 0.
        mode: "replace" keeps labels, batch size and length; "append" adds to each batch.
        exact: whether each batch has the floor or ceiling of its due, or rows are drawn one by one so that
            the share holds in expectation and what several ranks replace is what one would.
        seed: the only source of randomness.
        weight: asks for loss weights in the batch, this one for synthetic rows and 1 for real ones: see
            `Marks`.
        flag: asks for a bool in the batch that says which rows are synthetic: see `Marks`.
        refresh: new rows for the pool before each epoch.
        transform: applied to each synthetic image, in the container of ``samples.spec``, instead of the data
            set's own.
        fill: values of the fields of an item beside image and label, by key or position.
        labels: ``(R,)`` labels of the data set's rows. When None, what the data set (or that below a
            ``Subset``) keeps in ``targets``, ``labels``, its tensors or its label column is taken, if it
            agrees with the items; else every item is read once. Not for streams.
        image, label: positions or keys in an item, where they cannot be guessed.

    Raises:
        InvalidRequest: a ratio outside [0, 1), no samples, a class that they lack, a field without a value,
            a schedule over steps for a loader without length, appending to a stream.
        UnsupportedKind: not a DataLoader, no batches, rows on an accelerator, prepared by another library, a
            stream that can be read only once, batches that have no room for ``weight`` or ``flag``.
        InvalidData: labels that disagree with the items.
        SpecMismatch: real and synthetic images differ in kind, shape, dtype or value range. Up to 64 of each
            are compared; the ranges of uint8 images are not.
        Leakage: rows of the data set are held out from the generator. All rows that the sampler may draw are
            compared up to 20,000, else 512 spread over them; without the data set's ``transform`` where that is
            an attribute. Every row of a stream is compared, the first 64 here and each as it passes. Rows that
            are standardised or resized in another way are not recognised.

    Example:
        >>> from synthaug.modalities.image.spec import ImageSpec
        >>> real = TensorDataset(torch.eye(8).expand(4, 1, 8, 8), torch.tensor([0, 1, 0, 1]))
        >>> spec = ImageSpec(8, 8, 1, "CHW", "float32", 0.0, 1.0, "tensor")
        >>> white, names = np.ones((2, 1, 8, 8), np.float32), {"class": np.array(["0", "1"])}
        >>> pool = Samples(white, np.array([0, 1]), ("0", "1"), (0, 1), spec, names)
        >>> mixed = mix_dataloader(DataLoader(real, batch_size=2), pool, ratio=0.5, flag=True)
        >>> [(x.mean().item(), int(synthetic.sum())) for x, y, synthetic in mixed]
        [(0.5625, 1), (0.5625, 1)]
    """
    _refuse_unfit(loader)
    dataset: Any = loader.dataset
    marks = Marks(weight, flag)
    if isinstance(dataset, IterableDataset):
        with _random_state_kept():
            return _mix_stream(
                loader,
                samples,
                ratio,
                mode,
                exact,
                seed,
                marks,
                refresh,
                transform=transform,
                fill=fill,
                fields=(image, label),
            )
    with _random_state_kept():
        drawn = _drawn_rows(loader)
        probes = {row: dataset[row] for row in spread(drawn, PROBES).tolist()}
        like = probes[drawn[0]]
        _refuse_on_device(like)
        form = ItemForm.of(like, image=image, label=label)
        real, values = _labels_and_values(dataset, form, probes, labels, samples)
        positions, names = class_positions(real, values, samples.classes)
        pooled = samples.class_indices
        shares = shares_by_class(ratio, names, values)
        plan = MixingPlan(positions, pooled, ratio=shares, mode=mode, seed=seed, classes=names, exact=exact)
        collate = _marking(loader, marks, list(probes.values()))
        if plan.idle and not marks:
            return _copy(loader)
        pool, window = None, None
        if not plan.idle:
            raw = _without_transform(dataset, form)
            fingerprints = partial(_fingerprints, raw, form, samples)
            refuse_held_out(drawn, fingerprints, samples, "the loader's data set")
            pool_labels = [values[k] for k in pooled.tolist()]
            pool = fitting_pool(
                samples,
                pool_labels,
                form,
                list(probes.values()),
                dataset=dataset,
                raw=raw,
                transform=transform,
                fill=fill,
            )
            window = None if refresh is None else Window(pool, samples, refresh)
    return _copy(
        loader,
        dataset=_Mixed(dataset, pool, marked=bool(marks)),
        batch_sampler=MixedBatches(loader.batch_sampler, plan, window),
        **collate,
    )


def _mix_stream(
    loader: DataLoader[Any],
    samples: Samples,
    ratio: Ratio,
    mode: Mode,
    exact: bool,
    seed: int,
    marks: Marks,
    refresh: Refresh | None,
    *,
    transform: Transform | None,
    fill: Mapping[Key, Any] | None,
    fields: tuple[Key | None, Key | None],
) -> DataLoader[Any]:
    stream: Any = loader.dataset
    assert loader.batch_size is not None, "torch makes the batch sampler of a stream itself"
    if mode == "append":
        raise InvalidRequest(
            'mode "append" was asked for a loader over a stream, whose batches cannot grow: use mode '
            '"replace", or a map-style data set'
        )
    if iter(stream) is stream:
        raise UnsupportedKind(
            f"the stream {type(stream).__name__} is its own iterator, so it can be read only once; its first "
            "items are looked at before training: let __iter__ return a new iterator"
        )
    probes = list(islice(iter(stream), PROBES))
    if not probes:
        raise InvalidData("the loader's stream has no rows")
    _refuse_on_device(probes[0])
    form = ItemForm.of(probes[0], None, *fields)
    values = [plain_label(value) for value in samples.values]
    classes = np.arange(len(values))
    shares = shares_by_class(ratio, samples.classes, values)
    plan = MixingPlan(
        classes, samples.class_indices, ratio=shares, seed=seed, classes=samples.classes, exact=exact
    )
    collate = _marking(loader, marks, probes)
    if plan.idle and not marks:
        return _copy(loader)
    pool, window, guard = None, None, None
    if not plan.idle:
        if len(samples.held_out):
            guard = partial(_refuse_items, form=form, samples=samples[:0])
            guard(probes)
        labels = [values[k] for k in samples.class_indices.tolist()]
        pool = fitting_pool(
            samples, labels, form, probes, dataset=stream, raw=stream, transform=transform, fill=fill
        )
        window = None if refresh is None else Window(pool, samples, refresh)
    known = {(type(value), value): k for k, value in enumerate(values)}
    mixed = MixedStream(stream, pool, plan, known, form, loader.batch_size, marked=bool(marks), guard=guard)
    try:
        length: int | None = len(loader)
    except TypeError:
        length = None
    batches = StreamBatches(loader.batch_sampler, mixed, plan, window, length)
    return _copy(loader, dataset=mixed, batch_sampler=batches, **collate)


def _copy(loader: DataLoader[Any], **changed: Any) -> DataLoader[Any]:
    mixed = copy.copy(loader)
    # A DataLoader refuses to have these set; and the iterator is that of the original's persistent workers.
    vars(mixed).update(changed, _iterator=None)
    return mixed


# ---------------------------------------------------------------------------------------- parts of the result


class _Mixed(ConcatDataset[Any]):
    """``[real | synthetic]``; rows of a batch are fetched together where the real data set can."""

    def __init__(self, real: Any, pool: Pool | None, *, marked: bool) -> None:
        super().__init__([real] if pool is None else [real, pool])
        self._n_real = len(real)
        self._marked = marked

    def __getitem__(self, row: int) -> Any:
        row = row + len(self) if row < 0 else row
        synthetic = row >= self._n_real
        item = self.datasets[1][row - self._n_real] if synthetic else self.datasets[0][row]
        return MarkedItem(item, synthetic) if self._marked else item

    def __getitems__(self, rows: Sequence[int]) -> list[Any]:
        n_real = self._n_real
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
    by = _PREPARE & {kind.__module__.partition(".")[0] for kind in type(loader).__mro__}
    if by:
        raise UnsupportedKind(
            f"the loader is prepared by {by.pop()} already, which would drop the synthetic rows: mix the "
            "plain loader, then prepare the mixed one"
        )
    if not isinstance(loader, DataLoader):
        raise UnsupportedKind(
            f"an object of type {type(loader).__name__} was given to mix; taken are a torch DataLoader and a "
            "Hugging Face Dataset"
        )
    if loader.batch_sampler is None:
        raise UnsupportedKind(
            "the loader has batch_size=None, so there are no batches to mix: give it a batch_size or a "
            "batch_sampler"
        )
    if isinstance(loader.dataset, _Mixed | MixedStream):
        raise InvalidRequest("the loader is mixed already: mix the plain loader, with all samples at once")


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


# ----------------------------------------------------------------------------------------------------- labels


def _labels_and_values(
    dataset: Any, form: ItemForm, probes: Mapping[int, Any], given: Any, samples: Samples
) -> tuple[list[Label], list[Label | None]]:
    """The labels of the real rows and of the samples' classes, as the items have them.

    A class has None where no real row belongs to it and its label on reading cannot be known.
    """
    values: list[Label | None] = [plain_label(value) for value in samples.values]
    read = {row: form.label_of(item) for row, item in probes.items()}
    if given is not None:
        known = _plain(given)
        if known is None or len(known) != len(dataset):
            raise InvalidData(
                f"labels= must hold one int, str or bool for each of the {len(dataset)} rows of the loader's "
                "data set"
            )
        for row, label in read.items():
            if known[row] != label:
                raise InvalidData(
                    f"labels= says {known[row]!r} for row {row} of the loader's data set, whose item has the "
                    f"label {label!r}; pass labels in the order and encoding of the items, or leave them out"
                )
        return known, values

    stored = _stored_labels(dataset, form.label)
    if stored is not None and all(stored[row] == label for row, label in read.items()):
        return stored, values
    labels = [form.label_of(dataset[row]) for row in range(len(dataset))]
    # A target_transform gives labels another encoding on reading; the samples may have either.
    on_reading = dict(zip(stored or (), labels, strict=False))
    if stored and set(stored) <= set(values) and labels == [on_reading[label] for label in stored]:
        if set(labels) <= set(values):
            raise InvalidRequest(
                "the data set changes its labels on reading, and the samples know both kinds, so theirs may "
                "be either: if they are those that are read, pass these as labels=; else mix a loader "
                "without the target_transform"
            )
        values = [None if value is None else on_reading.get(value) for value in values]
    return labels, values


def _stored_labels(dataset: Any, key: Key) -> list[Label] | None:
    """The labels that a data set keeps, where the usual kinds keep them and one for each row."""
    found: Any = None
    if isinstance(dataset, Subset):
        below = _stored_labels(dataset.dataset, key)
        found = None if below is None else [below[row] for row in dataset.indices]
    elif isinstance(dataset, ConcatDataset):
        parts = [_stored_labels(part, key) for part in dataset.datasets]
        found = None if None in parts else [label for part in parts for label in part or ()]
    elif isinstance(dataset, TensorDataset):
        found = dataset.tensors[int(key)]
    elif key in getattr(dataset, "column_names", ()):
        found = list(dataset.with_format(None)[key])
    else:
        found = getattr(dataset, "targets", getattr(dataset, "labels", None))
    plain = _plain(found)
    return plain if plain is not None and len(plain) == len(dataset) else None


def _plain(labels: Any) -> list[Label] | None:
    labels = as_array(labels)
    if isinstance(labels, np.ndarray):
        labels = labels.tolist()
    if not isinstance(labels, list | tuple):
        return None
    plain = [label.item() if isinstance(label, np.generic) else label for label in labels]
    return plain if all(isinstance(label, bool | int | str) for label in plain) else None


# --------------------------------------------------------------------------------------------------- held out


def _without_transform(dataset: Any, form: ItemForm) -> Any:
    """The data set without its ``transform`` where that is an attribute, else as it is."""
    if isinstance(dataset, Subset):
        below = _without_transform(dataset.dataset, form)
        return dataset if below is dataset.dataset else Subset(below, dataset.indices)
    if not callable(getattr(dataset, "transform", None)):
        return dataset
    plain = copy.copy(dataset)
    try:
        plain.transform = _unchanged
        form.image_of(plain[0])
    except Exception:  # it uses its transform in a way of its own, or will not have it set
        return dataset
    return plain


def _unchanged(*image: Any, **named: Any) -> Any:
    return image[0] if image else named


def _refuse_items(items: Sequence[Any], *, form: ItemForm, samples: Samples) -> None:
    fingerprints = partial(_fingerprints, items, form, samples)
    refuse_held_out(np.arange(len(items)), fingerprints, samples, "a batch of the loader's stream")


def _fingerprints(raw: Any, form: ItemForm, samples: Samples, rows: np.ndarray) -> np.ndarray:
    """Of the images of ``rows``, brought to the generator's size as its own data were."""
    size = samples.spec.height, samples.spec.width
    found = [np.empty(0, np.uint64)]
    for start in range(0, len(rows), _BLOCK):
        items = [raw[row] for row in rows[start : start + _BLOCK].tolist()]
        images, labels = map(form.image_of, items), map(form.label_of, items)
        found.append(open_data((list(images), list(labels)), image_size=size).fingerprints())
    return np.concatenate(found)
