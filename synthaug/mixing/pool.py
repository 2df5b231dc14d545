"""A pool of synthetic items: each like a real one, in memory that all workers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from synthaug.data.classes import Label
from synthaug.data.items import ItemFields, Key
from synthaug.errors import InvalidRequest, SpecMismatch, SynthaugError
from synthaug.generators.samples import Samples
from synthaug.mixing.options import Transform
from synthaug.mixing.probes import PROBES, spread
from synthaug.mixing.transforms import applied, inner, transforms_of
from synthaug.modalities.base import Container, Form
from synthaug.modalities.image.cells import container_of
from synthaug.modalities.look import Look, mismatch


@dataclass(frozen=True)
class Refresh:
    """New rows for a pool before every epoch but the first.

    Each class has an endless sequence of rows, and its pool of n rows is a window on it: in epoch e rows
    ``e * m`` to ``e * m + n - 1``, where m is ``fraction * n``, at least 1. Row i lies in slot ``i % n`` of its
    class, so an epoch's pool is the same whichever epochs came before it.

    Attributes:
        draw: ``draw(class name, start, stop)`` gives rows start to stop (exclusive) of the sequence, as
            `Generator.sample_rows` does; the pool's own samples stand for rows 0 to n - 1. It is called in the
            main process only.
        fraction: the part of each class's rows that is new in each epoch, in (0, 1].

    Raises:
        InvalidRequest: a fraction outside (0, 1].
    """

    draw: Callable[[str, int, int], Samples]
    fraction: float

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise InvalidRequest(
                f"a refresh of {self.fraction} was asked for; it is the part of the pool that is new in each "
                "epoch, above 0 and at most 1"
            )


class _Change(NamedTuple):
    """Transforms, and the container in which the first is given a row."""

    transforms: tuple[Transform, ...]
    container: Container

    def __call__(self, row: np.ndarray, form: Form) -> Any:
        return applied(self.transforms, form.contained(row, self.container))


class Pool(Dataset[Any]):
    """Synthetic items, each like a real one. Workers, forked or spawned, share the rows: one tensor."""

    def __init__(
        self,
        samples: Samples,
        labels: Sequence[Label | None],
        fields: ItemFields,
        like: Any,
        fill: Mapping[Key, Any] | None,
        change: _Change | None,
    ) -> None:
        self._rows = torch.from_numpy(np.require(samples.samples, requirements=["C", "W"]))
        self._form = samples.form
        self._labels = labels
        self._fields = fields
        self._like = like
        self._fill = fill
        self.change = change
        image = fields.image_of(like)
        self._image_type = type(image)
        # NumPy does not have it, so that rows come in float32.
        self._coarse = (
            getattr(image, "dtype", None) if getattr(image, "dtype", None) is torch.bfloat16 else None
        )
        # Items of the usual kinds are put together from their parts, a batch at a time: finding out the
        # structure of each would take longer than most data sets take to read one.
        self._quick = type(like) in (tuple, list, dict)
        self._keys = list(like) if type(like) is dict else range(len(like)) if self._quick else ()
        self._parts, self._label_rows = self._by_label() if self._quick else ([], None)

    @property
    def labels(self) -> Sequence[Label | None]:
        """The label of each row, None of those that are not drawn."""
        return self._labels

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> Any:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: Sequence[int]) -> list[Any]:
        """The items of some rows, whose images are read together."""
        # A copy: a transform may work in place, and so may who gets an item.
        return self._items(torch.from_numpy(self._rows.numpy().take(rows, 0)), rows)

    def _items(self, pixels: torch.Tensor, rows: Sequence[int]) -> list[Any]:
        if self.change is None and self._image_type is torch.Tensor:
            images: Sequence[Any] = (pixels if self._coarse is None else pixels.to(self._coarse)).unbind()
        else:
            images = list(pixels.numpy())
            if self.change is not None:
                images = [self.change(image, self._form) for image in images]
                if self._coarse is not None:
                    images = [image.to(self._coarse) if torch.is_tensor(image) else image for image in images]
        if not self._quick or any(type(image) is not self._image_type for image in images):
            labels = [self._labels[row] for row in rows]
            return [
                self._fields.build(image, label, self._like, self._fill)
                for image, label in zip(images, labels, strict=True)
                if label is not None
            ]
        columns: dict[Key, Sequence[Any]] = {
            key: [self._parts[row][key] for row in rows] for key in self._keys if key != self._fields.image
        }
        columns[self._fields.image] = images
        if self._label_rows is not None:
            columns[self._fields.label] = self._label_rows.index_select(0, torch.tensor(rows)).unbind()
        ordered = zip(*(columns[key] for key in self._keys), strict=True)
        if type(self._like) is dict:
            return [dict(zip(self._keys, part, strict=True)) for part in ordered]
        return list(ordered) if type(self._like) is tuple else list(map(list, ordered))

    def _by_label(self) -> tuple[list[Any], torch.Tensor | None]:
        """For each row an item of its label, whose parts are used again; and the labels, where tensors."""
        kinds: dict[Any, Label] = {(type(k), k): k for k in self._labels if k is not None}
        built = {kind: self._fields.build(None, k, self._like, self._fill) for kind, k in kinds.items()}
        parts = [built.get((type(k), k)) for k in self._labels]
        labels = [None if part is None else part[self._fields.label] for part in parts]
        found = [label for label in labels if label is not None]
        if not found or not isinstance(found[0], torch.Tensor):
            return parts, None
        # New ones for each item, as the images are.
        return parts, torch.stack([found[0] if label is None else label for label in labels])

    def put(self, rows: np.ndarray, images: np.ndarray) -> None:
        """Other images in place of those of ``rows``, where workers see them at once."""
        self._rows[torch.from_numpy(rows)] = torch.from_numpy(images)

    def share(self) -> None:
        """Moves the rows to memory that forked workers see changes of."""
        self._rows.share_memory_()  # type: ignore[no-untyped-call]

    def look(self) -> Look:
        """What its rows look like, and those of the ends of their range."""
        drawn = np.flatnonzero([label is not None for label in self._labels])
        images = [self._fields.image_of(self[row]) for row in spread(drawn, PROBES).tolist()]
        flat = [
            self._fields.image_of(self._items(torch.from_numpy(end[None]), drawn[:1].tolist())[0])
            for end in self._form.ends
        ]
        return Look.of(images, flat)


class Window:
    """Keeps a pool at the rows that `Refresh` gives an epoch; it stays in the main process."""

    def __init__(self, pool: Pool, samples: Samples, refresh: Refresh) -> None:
        pool.share()
        self._pool, self._refresh, self._form = pool, refresh, samples.form
        places = samples.class_indices
        self._slots = {samples.classes[k]: np.flatnonzero(places == k) for k in np.unique(places).tolist()}
        self._epoch = 0

    def show(self, epoch: int) -> None:
        """Lets the pool hold the rows of this epoch.

        Raises:
            SpecMismatch: rows of another form, or another number of rows, were drawn.
        """
        for name, slots in self._slots.items():
            n = len(slots)
            move = max(1, round(self._refresh.fraction * n))
            old, new = self._epoch * move, epoch * move
            start, stop = (max(new, old + n), new + n) if new >= old else (new, min(old, new + n))
            if start == stop:
                continue
            rows = self._refresh.draw(name, start, stop)
            if len(rows) != stop - start or rows.samples.shape[1:] != self._form.shape:
                raise SpecMismatch(
                    f'rows {start} to {stop} of class "{name}" were asked for to refresh the pool, '
                    f"{stop - start} of {self._form}; {len(rows)} of {rows.form} came"
                )
            self._pool.put(slots[np.arange(start, stop) % n], rows.samples)
        self._epoch = epoch


# -------------------------------------------------------------------------------------- real beside synthetic


def fitting_pool(
    samples: Samples,
    labels: Sequence[Label | None],
    fields: ItemFields,
    real: Sequence[Any],
    *,
    dataset: Any,
    raw: Any,
    transform: Transform | None,
    fill: Mapping[Key, Any] | None,
) -> Pool:
    """The pool whose images look like those of real items.

    Args:
        samples: the synthetic rows.
        labels: the label of each, as the items have it; None where no real row has its class.
        fields: where image and label are in an item.
        real: some real items.
        dataset: what they come from, for its ``transform``.
        raw: the same without it, where that can be had; else ``dataset`` itself.
        transform: one to use instead.
        fill: values of the other fields.

    Raises:
        SpecMismatch: they differ with and without the transform; both are printed.
    """
    _refuse_unfilled(fields, fill or {})
    pools = [
        Pool(samples, labels, fields, real[0], fill, change)
        for change in _changes(transform, dataset, raw, fields, samples)
    ]
    return _first_alike(pools, Look.of([fields.image_of(item) for item in real]), samples)


def _refuse_unfilled(fields: ItemFields, fill: Mapping[Key, Any]) -> None:
    lacking = [key for key in fields.others if key not in fill]
    if lacking:
        given = ", ".join(
            f"{key!r}: {fill[key]!r}" if key in fill else f"{key!r}: ..." for key in fields.others
        )
        raise InvalidRequest(
            f"the items of the data set have the fields {', '.join(map(repr, lacking))} beside image and label, for "
            f"which a synthetic row has no value: pass items=synthaug.Items(fill={{{given}}}), with a value for each"
        )


def _changes(
    transform: Transform | None, dataset: Any, raw: Any, fields: ItemFields, samples: Samples
) -> list[_Change | None]:
    """What may have to be done to synthetic images, the likeliest first.

    The generator may have been trained on images as they are without any transform, or as a wrapped data set hands
    them out, so that only the transforms around that are left to do.
    """
    ours = samples.form.container
    if transform is not None:
        return [_Change((transform,), ours)]
    found = transforms_of(dataset)
    # The first is given what the data set gives it, where that can be seen.
    starts = [] if raw is dataset else [raw, *(inner(where) for where, _ in found[1:])]
    changes: list[_Change | None] = []
    for at in range(len(found)):
        try:
            start = container_of(fields.image_of(starts[at][0]))
        except (IndexError, NotImplementedError):  # a stream, or transforms that cannot be taken out
            start = ours
        changes.append(_Change(tuple(one for _, one in found[at:]), start))
    return [*changes, None]


def _first_alike(pools: Sequence[Pool], real: Look, samples: Samples) -> Pool:
    seen = []
    for pool in pools:
        how = "as they are" if pool.change is None else "after the transform"
        try:
            look = pool.look()
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
        f"Pass transform=, a function from a row of the samples ({samples.form}, as "
        f"{samples.form.container}) to one like those of the loader",
    )
