"""A PyTorch DataLoader with synthetic rows mixed in: the same loader, over [real | synthetic].

What other libraries keep of a loader is its data set, its batch sampler and its collate function. The copy
differs from the plain loader in the first two only, so it survives being prepared or sharded by them.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Sampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from synthaug.data.items import ItemForm, Key
from synthaug.data.labeled import open_data
from synthaug.data.spec import Container, Layout
from synthaug.data.targets import Label, as_array, plain_label
from synthaug.errors import InvalidData, InvalidRequest, SynthaugError, UnsupportedKind
from synthaug.mixing.checks import PROBES, Look, class_positions, mismatch, refuse_held_out, spread
from synthaug.mixing.policy import MixingPlan, Mode
from synthaug.samples import Samples

Transform = Callable[..., Any]
"""An image to what an item holds. An albumentations one is called by name, as it asks to be."""

_BLOCK = 1024
_PREPARE = {"accelerate", "lightning", "lightning_fabric", "pytorch_lightning"}


def mix_dataloader(
    loader: DataLoader[Any],
    samples: Samples,
    *,
    ratio: float,
    mode: Mode = "replace",
    seed: int = 0,
    transform: Transform | None = None,
    fill: Mapping[Key, Any] | None = None,
    labels: Any = None,
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

    Args:
        loader: over a map-style data set, in batches, and not prepared yet by accelerate or Lightning.
        samples: the pool, at least one row of each class of the data set.
        ratio: synthetic / (real + synthetic), in [0, 1). With 0, a copy of the plain loader.
        mode: "replace" keeps labels, batch size and length; "append" adds to each batch.
        seed: the only source of randomness.
        transform: applied to each synthetic image, in the container of ``samples.spec``, instead of the data
            set's own.
        fill: values of the fields of an item beside image and label, by key or position.
        labels: ``(R,)`` labels of the data set's rows. When None, what the data set (or that below a
            ``Subset``) keeps in ``targets``, ``labels``, its tensors or its label column is taken, if it
            agrees with the items; else every item is read once.

    Raises:
        InvalidRequest: a ratio outside [0, 1), no samples, a class that they lack, a field without a value.
        UnsupportedKind: not a DataLoader, an iterable data set, no batches, or prepared by another library.
        InvalidData: labels that disagree with the items.
        SpecMismatch: real and synthetic images differ in kind, shape, dtype or value range. Up to 64 of each
            are compared; the ranges of uint8 images are not.
        Leakage: rows of the data set are held out from the generator. All rows that the sampler may draw are
            compared up to 20,000, else 512 spread over them; without the data set's ``transform`` where that
            is an attribute. Rows that are standardised or resized in another way are not recognised.

    Example:
        >>> from synthaug.data.spec import ImageSpec
        >>> real = TensorDataset(torch.eye(8).expand(4, 1, 8, 8), torch.tensor([0, 1, 0, 1]))
        >>> spec = ImageSpec(8, 8, 1, "CHW", "float32", 0.0, 1.0, "tensor")
        >>> white, names = np.ones((2, 1, 8, 8), np.float32), {"class": np.array(["0", "1"])}
        >>> pool = Samples(white, np.array([0, 1]), ("0", "1"), (0, 1), spec, names)
        >>> mixed = mix_dataloader(DataLoader(real, batch_size=2), pool, ratio=0.5)
        >>> [x.mean().item() for x, y in mixed]
        [0.5625, 0.5625]
    """
    _refuse_unfit(loader)
    dataset: Any = loader.dataset
    with _random_state_kept():
        drawn = _drawn_rows(loader)
        probes = {row: dataset[row] for row in spread(drawn, PROBES).tolist()}
        like = probes[drawn[0]]
        form = ItemForm.of(like)
        real, values = _labels_and_values(dataset, form, probes, labels, samples)
        positions, names = class_positions(real, values, samples.classes)
        pooled = samples.class_indices
        plan = MixingPlan(positions, pooled, ratio=ratio, mode=mode, seed=seed, classes=names)
        if ratio == 0:
            return _copy(loader)
        raw = _without_transform(dataset, form)
        fingerprints = partial(_fingerprints, raw, form, samples)
        refuse_held_out(drawn, fingerprints, samples, "the loader's data set")
        pool_labels = [values[k] for k in pooled.tolist()]
        pool = _first_alike(
            [
                _Pool(samples, pool_labels, form, like, fill, change)
                for change in _changes(transform, dataset, raw, form, samples)
            ],
            Look.of([form.image_of(item) for item in probes.values()]),
            samples,
        )
    return _copy(
        loader,
        dataset=_Mixed([dataset, pool]),
        batch_sampler=_MixedBatches(loader.batch_sampler, plan, grow=mode == "append"),
    )


def _copy(loader: DataLoader[Any], **changed: Any) -> DataLoader[Any]:
    mixed = copy.copy(loader)
    # A DataLoader refuses to have these set; and the iterator is that of the original's persistent workers.
    vars(mixed).update(changed, _iterator=None)
    return mixed


# ---------------------------------------------------------------------------------------- parts of the result


class _Mixed(ConcatDataset[Any]):
    """``[real | synthetic]``; rows of a batch are fetched together where the real data set can."""

    def __getitems__(self, rows: Sequence[int]) -> list[Any]:
        n_real = self.cumulative_sizes[0]
        fetch = getattr(self.datasets[0], "__getitems__", None)
        wanted = [row for row in rows if row < n_real]
        if fetch is None or not wanted:
            return [self[row] for row in rows]
        real = iter(fetch(wanted))
        return [next(real) if row < n_real else self[row] for row in rows]


class _MixedBatches(Sampler[list[int]]):
    """The batches of another batch sampler with synthetic rows in them, by another plan in each pass."""

    def __init__(self, batch_sampler: Any, plan: MixingPlan, *, grow: bool) -> None:
        self.batch_sampler = batch_sampler
        self._plan = plan
        self._grow = grow
        self._epoch = 0

    def __iter__(self) -> Iterator[list[int]]:
        # A loader with workers asks for two iterators a pass and uses one: the first batch begins the epoch.
        below = getattr(self._ordering, "epoch", 0)
        epoch = max(self._epoch, below if isinstance(below, int) else 0)
        self._epoch = epoch + 1
        rank = getattr(self._ordering, "rank", 0)
        yield from self._plan.batches(self.batch_sampler, epoch=epoch, rank=rank)

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be that of ``epoch``, here and in the sampler that orders the real rows."""
        self._epoch = epoch
        if hasattr(self._ordering, "set_epoch"):
            self._ordering.set_epoch(epoch)

    @property
    def _ordering(self) -> Any:
        """What knows epoch and rank: a batch sampler of the user's own, or the sampler in the usual one."""
        own = hasattr(self.batch_sampler, "set_epoch")
        return self.batch_sampler if own else getattr(self.batch_sampler, "sampler", None)

    # Libraries that shard batches ask for the following. Batches that grow have no fixed size: given one,
    # accelerate would drop every batch that differs from it.

    @property
    def batch_size(self) -> int | None:
        return None if self._grow else int(self.batch_sampler.batch_size)

    @property
    def drop_last(self) -> bool:
        return bool(self.batch_sampler.drop_last)

    @property
    def sampler(self) -> Any:
        return self.batch_sampler.sampler

    @sampler.setter
    def sampler(self, sampler: Any) -> None:
        self.batch_sampler.sampler = sampler


class _Change(NamedTuple):
    """A transform, and the container in which it is given an image."""

    transform: Transform
    container: Container

    def __call__(self, image: np.ndarray, layout: Layout) -> Any:
        given = _contained(image, layout, self.container)
        if any(
            kind.__module__.partition(".")[0] == "albumentations" for kind in type(self.transform).__mro__
        ):
            return self.transform(image=given)["image"]
        return self.transform(given)


class _Pool(Dataset[Any]):
    """Synthetic items, each like a real one. Workers, forked or spawned, share the rows: one tensor."""

    def __init__(
        self,
        samples: Samples,
        labels: Sequence[Label | None],
        form: ItemForm,
        like: Any,
        fill: Mapping[Key, Any] | None,
        change: _Change | None,
    ) -> None:
        self._rows = torch.from_numpy(np.require(samples.samples, requirements=["C", "W"]))
        self._layout = samples.spec.layout
        self._labels = labels
        self._form = form
        self._like = like
        self._fill = fill
        self.change = change

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> Any:
        label = self._labels[row]
        assert label is not None, "only classes that real rows have are drawn"
        return self._item(self._rows[row].numpy(), label)

    def look(self, low: float | None, high: float | None) -> Look:
        """What its images look like; ``low`` and ``high`` are the ends of the samples' range."""
        drawn = np.flatnonzero([label is not None for label in self._labels])
        images = [self._form.image_of(self[row]) for row in spread(drawn, PROBES).tolist()]
        label = self._labels[drawn[0]]
        assert label is not None
        flat = [
            self._form.image_of(self._item(np.full_like(self._rows[0].numpy(), end), label))
            for end in (low, high)
            if end is not None
        ]
        return Look.of(images, flat)

    def _item(self, image: np.ndarray, label: Label) -> Any:
        # A transform is given a copy: it may work in place.
        changed = image if self.change is None else self.change(image.copy(), self._layout)
        return self._form.build(changed, label, self._like, self._fill)


def _contained(image: np.ndarray, layout: Layout, container: Container) -> Any:
    if container == "tensor":
        return torch.from_numpy(image)
    if container == "pil":
        planes = np.moveaxis(image, 0, 2) if layout == "CHW" else image
        return Image.fromarray(np.ascontiguousarray(planes[..., 0] if planes.shape[2:] == (1,) else planes))
    return image


def _container_of(image: Any) -> Container:
    return "pil" if isinstance(image, Image.Image) else "tensor" if torch.is_tensor(image) else "array"


# ------------------------------------------------------------------------------------------------ at the door


def _refuse_unfit(loader: Any) -> None:
    if not isinstance(loader, DataLoader):
        raise UnsupportedKind(
            f"an object of type {type(loader).__name__} was given to mix; taken are a torch DataLoader and a "
            "Hugging Face Dataset"
        )
    by = _PREPARE & {kind.__module__.partition(".")[0] for kind in type(loader).__mro__}
    if by:
        raise UnsupportedKind(
            f"the loader is prepared by {by.pop()} already, which would drop the synthetic rows: mix the "
            "plain loader, then prepare the mixed one"
        )
    if isinstance(loader.dataset, IterableDataset) or not hasattr(loader.dataset, "__len__"):
        raise UnsupportedKind(
            f"the loader's data set, {type(loader.dataset).__name__}, is read in a stream; rows are needed "
            "by number: give the loader a map-style data set, or list(dataset) if it is finite"
        )
    if loader.batch_sampler is None:
        raise UnsupportedKind(
            "the loader has batch_size=None, so there are no batches to mix: give it a batch_size or a "
            "batch_sampler"
        )
    if isinstance(loader.dataset, _Mixed):
        raise InvalidRequest("the loader is mixed already: mix the plain loader, with all samples at once")


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


def _fingerprints(raw: Any, form: ItemForm, samples: Samples, rows: np.ndarray) -> np.ndarray:
    """Of the images of ``rows``, brought to the generator's size as its own data were."""
    size = samples.spec.height, samples.spec.width
    found = [np.empty(0, np.uint64)]
    for start in range(0, len(rows), _BLOCK):
        items = [raw[row] for row in rows[start : start + _BLOCK].tolist()]
        images, labels = map(form.image_of, items), map(form.label_of, items)
        found.append(open_data((list(images), list(labels)), image_size=size).fingerprints())
    return np.concatenate(found)


# -------------------------------------------------------------------------------------- real beside synthetic


def _changes(
    transform: Transform | None, dataset: Any, raw: Any, form: ItemForm, samples: Samples
) -> list[_Change | None]:
    """What may have to be done to synthetic images, the likeliest first."""
    if transform is not None:
        return [_Change(transform, samples.spec.container)]
    while isinstance(dataset, Subset):
        dataset, raw = dataset.dataset, raw.dataset
    own = getattr(dataset, "transform", None)
    if not callable(own):
        return [None]
    # The transform is given what the data set gives it, where that can be seen.
    given = samples.spec.container if raw is dataset else _container_of(form.image_of(raw[0]))
    return [_Change(own, given), None]


def _first_alike(pools: Sequence[_Pool], real: Look, samples: Samples) -> _Pool:
    seen = []
    for pool in pools:
        how = "as they are" if pool.change is None else "after the transform"
        try:
            look = pool.look(samples.spec.low, samples.spec.high)
        except SynthaugError:
            raise
        except Exception as error:  # whatever a user's transform may raise
            seen.append(f"{how}, an error ({type(error).__name__}: {error})")
            continue
        if look.fits(real):
            return pool
        seen.append(f"{how}, {look}")
    raise mismatch(
        real,
        "; ".join(seen),
        f"Pass transform=, a function from an image of the samples ({samples.spec}, as "
        f"{samples.spec.container}) to one like those of the loader",
    )
