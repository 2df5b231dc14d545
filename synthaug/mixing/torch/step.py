"""Synthetic rows mixed into a batch in the training step itself, on the device of the batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch

from synthaug.data.classes import Classes, Label, plain_label
from synthaug.data.items import ItemFields, Key, fields_of, with_field
from synthaug.errors import InvalidRequest, SpecMismatch, UnsupportedKind
from synthaug.mixing.colours import MADE, Tints, warn_of_colours
from synthaug.mixing.device import DevicePool, LiveRows, OnDevice
from synthaug.mixing.marks import Marks
from synthaug.mixing.options import MixOptions
from synthaug.mixing.probes import PROBES
from synthaug.mixing.schedule import USUAL_SHARE, Ratio, Schedule, plain_ratio
from synthaug.mixing.supply import Supply, is_generator
from synthaug.mixing.torch.views import device_of, each_view, fields_of_batch, length_of, views_in
from synthaug.modalities.arrays import as_array
from synthaug.seeding import derive, numpy_rng

Make: TypeAlias = Callable[[Any, torch.Generator], torch.Tensor]
"""``make(labels, rng)``: one image a label, ``(n, *image)``, on the device of the batch.

``labels`` are ``(n,)`` of the batch's own, on its device, and ``rng`` lives there too, keyed by the step.
"""


class BatchMixer:
    """Rows of a batch give way to synthetic rows of their own class, wherever the batch is.

    For loops, hooks after the transfer to a device, and live generation on an accelerator, where loaders
    with workers cannot go. The rows of a step are a function of (seed, step, batch): a batch gets the floor or
    the ceiling of its due, and so does each class in it; over steps the share holds in expectation. Labels are
    read back to the CPU once a batch.

    Args:
        source: samples, moved to the device once; a generator, which makes new rows there for every batch
            (it is moved, too, and noise is drawn so that every device gets the same); a curated one, whose rows are
            drawn once; a path or a plan, as in `synthaug.mix`; or a function that makes rows.
        ratio: as in `synthaug.mix`; a schedule counts steps. Classes go by label where a function makes rows.
        seed: the only source of randomness.
        weight, flag: ask for `Marks` in the batch.
        transform: applied to each synthetic image to make it like one of a batch: once to those of samples,
            in their own form; to those of a generator as tensors on the device, whenever they are made.
        image, label: positions or keys in the batch, where they cannot be guessed; several of images that are views of
            one another. A field that holds several itself needs no name.
        classes: what labels 0, 1, ... are called, where the source knows its classes by these names.

    Raises:
        InvalidRequest: a ratio outside [0, 1), a schedule over epochs, a class the source does not know.
        UnsupportedKind: another kind of source.

    Example:
        >>> mixer = BatchMixer(lambda labels, rng: torch.ones(len(labels), 1, 8, 8), ratio=0.5)
        >>> images, labels = mixer((torch.zeros(4, 1, 8, 8), torch.tensor([0, 0, 1, 1])))
        >>> images.mean().item(), labels.tolist()
        (0.5, [0, 0, 1, 1])
    """

    def __init__(
        self,
        source: Any,
        *,
        ratio: Ratio | None = None,
        seed: int = 0,
        weight: float | None = None,
        flag: bool = False,
        transform: OnDevice | None = None,
        image: Key | Sequence[Key] | None = None,
        label: Key | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        supply = None if _is_function(source) else Supply.of(source)
        options = MixOptions(ratio=ratio, seed=seed)
        if supply is None:
            ratio = USUAL_SHARE if ratio is None else ratio
        else:
            ratio = 0.0 if supply.source is None else supply.ratio(options)
        self._ratio = plain_ratio(ratio)
        self._seed = seed
        self._marks = Marks(weight, flag)
        self._names: tuple[Key | Sequence[Key] | None, Key | None] = image, label
        self._fields: ItemFields | None = None
        self._views: tuple[Key, ...] = ()
        self._step = 0
        self._make: Make | None = source if supply is None else None
        self._rows = None if supply is None else _rows_of(supply, options, transform)
        if self._make is not None and transform is not None:
            raise InvalidRequest(
                "transform= was given with a function that makes rows: let the function make them as they shall be"
            )
        self._called = {} if self._rows is None or classes is None else _called(self._rows.classes, classes)
        for share in self._ratio.values() if isinstance(self._ratio, Mapping) else [self._ratio]:
            if isinstance(share, Schedule) and share.unit == "epochs" and share.start != share.end:
                raise InvalidRequest(
                    "a schedule over epochs was given, and a batch does not know its epoch: give it in steps"
                )
        if self._rows is not None and isinstance(ratio, Mapping):
            for key in ratio:
                self._rows.classes.position(key)

    def __call__(self, batch: Any, step: int | None = None) -> Any:
        """A batch like this one with synthetic rows in it; the given one is not changed.

        Args:
            batch: a tuple, list, named tuple or dict of tensors with images ``(B, ...)`` and labels ``(B,)``,
                of any B. Fields without B rows stay as they are; of a field that holds several tensors of images all
                are mixed alike.
            step: number of the step; counted from 0, one a call, when None.

        Raises:
            UnsupportedKind: soft or multi-hot labels, or another kind of batch.
            InvalidRequest: a label that the samples hold no row of.
            SpecMismatch: real and synthetic rows differ in shape, dtype or (at the first batch) range.
            Leakage: held-out rows are among the first 64 of the first batch. Rows that are augmented or
                standardised are not recognised.
        """
        if step is None:
            step, self._step = self._step, self._step + 1
        rows = length_of(batch)
        if rows and self._fields is None:
            self._fields, self._views = fields_of_batch(batch, rows, *self._names)
            self._look(batch, rows)
        synthetic = np.zeros(rows, bool)
        if rows:
            assert self._fields is not None
            labels = fields_of(batch)[self._fields.label]
            plain = _plain_labels(labels, rows)
            places = self._places(plain, step)
            if len(places):
                synthetic[places] = True
                mixed = partial(self._mixed, labels=labels, plain=plain, places=places, step=step)
                for key in self._views:
                    batch = with_field(batch, key, each_view(fields_of(batch)[key], rows, mixed))
        if not self._marks:
            return batch
        return self._marks.put(batch, torch.from_numpy(synthetic).to(device_of(batch)))

    def _look(self, batch: Any, rows: int) -> None:
        """Refuses a batch whose images are none that synthetic rows can stand among."""
        assert self._fields is not None
        labels = fields_of(batch)[self._fields.label]
        for key in self._views:
            found = views_in(fields_of(batch)[key], rows)
            if not found:
                raise UnsupportedKind(
                    f"the field {key!r} of the batch is no tensor of images, ({rows}, ...): let collate_fn stack them"
                )
            if self._rows is not None:
                with torch.no_grad():
                    for images in found:
                        self._rows.check(images)
                        self._look_at_colours(self._rows, images, _plain_labels(labels, rows))

    def _look_at_colours(
        self, source: DevicePool | LiveRows, images: torch.Tensor, labels: Sequence[Label]
    ) -> None:
        mixed = [row for row, label in enumerate(labels[:PROBES]) if self._share(label, 0)]
        classes = [self._position(labels[row]) for row in mixed]

        def made() -> Tints | None:
            wanted = np.resize(np.unique(classes), MADE)
            rows = source.rows(wanted, numpy_rng(self._seed, "batch mixer", "look"), images)
            return Tints.seen(list(rows), wanted.tolist())

        warn_of_colours(Tints.seen([images[row] for row in mixed], classes), made, stacklevel=4)

    def state_dict(self) -> dict[str, int]:
        """The number of the next step."""
        return {"step": self._step}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Goes on with the step of ``state``."""
        self._step = state["step"]

    def _places(self, labels: Sequence[Label], step: int) -> np.ndarray:
        """Systematic sampling from the rows in order of their class, at random within it: ``(n,)``, sorted."""
        due = np.array([self._share(label, step) for label in labels])
        rng = numpy_rng(self._seed, "batch mixer", step)
        _, codes = np.unique(np.array([repr(label) for label in labels]), return_inverse=True)
        order = rng.permutation(len(labels))
        order = order[np.argsort(codes[order], kind="stable")]
        # In units of a billionth, so that a quarter of 64 rows is 16 at any phase.
        marks = np.cumsum(np.rint(due[order] * 1e9).astype(np.int64)) + rng.integers(0, 10**9)
        before = np.concatenate([[marks[0] - round(due[order[0]] * 1e9)], marks[:-1]])
        places: np.ndarray = np.sort(order[marks // 10**9 > before // 10**9])
        return places

    def _share(self, label: Label, step: int) -> float:
        share: Any = self._ratio
        if isinstance(share, Mapping):
            names = {label}
            if self._rows is not None:
                place = self._position(label)
                names = {self._rows.classes[place], self._rows.classes.values[place]}
            share = next((share[name] for name in share if name in names), 0.0)
        return share.at(0, step) if isinstance(share, Schedule) else float(share)

    def _position(self, label: Label) -> int:
        """The class of the source that a label of the batch belongs to."""
        assert self._rows is not None, "a function is asked by label"
        found = self._called.get(label)
        return self._rows.classes.position(label) if found is None else found

    def _mixed(
        self, images: torch.Tensor, labels: Any, plain: Sequence[Label], places: np.ndarray, step: int
    ) -> torch.Tensor:
        at = torch.from_numpy(places).to(images.device)
        with torch.no_grad():
            if self._rows is not None:
                rng = numpy_rng(self._seed, "batch mixer", step, "rows")
                classes = np.array([self._position(plain[place]) for place in places], np.int64)
                made = self._rows.rows(classes, rng, images)
            else:
                assert self._make is not None
                wanted = labels[at] if torch.is_tensor(labels) else [labels[place] for place in places]
                rng_there = torch.Generator(images.device)
                rng_there.manual_seed(derive(self._seed, "batch mixer", step, "live"))
                made = self._make(wanted, rng_there)
        if images.dtype is torch.bfloat16 and made.is_floating_point():
            made = made.to(images.dtype)
        if made.shape != (len(places), *images.shape[1:]) or made.dtype != images.dtype:
            raise SpecMismatch(
                f"{len(places)} rows like {tuple(images.shape[1:])} of {images.dtype} were needed; the "
                f"synthetic ones are {tuple(made.shape)} of {made.dtype}. Bring them to the form of the batch"
            )
        return images.index_copy(0, at, made.to(images.device))


def _is_function(source: Any) -> bool:
    return callable(source) and not is_generator(source)


def _rows_of(supply: Supply, options: MixOptions, transform: OnDevice | None) -> DevicePool | LiveRows | None:
    """Rows that lie on the device, or that a generator makes there; none where none are to be used."""
    if supply.source is None:
        return None
    if supply.generator is None:
        return DevicePool(supply.pool(options), transform)
    if supply.curated:  # what it makes of other noise has not passed
        return DevicePool(supply.pool(replace(options, pool=sys.maxsize)), transform)
    return LiveRows(supply.generator, transform)


def _called(ours: Classes, names: Sequence[str]) -> dict[Label, int]:
    """The class of the source for each label of a batch, where these are positions in names."""
    there = Classes(tuple(names), tuple(range(len(names))))
    return {label: place for label, place in enumerate(ours.match(there)) if place is not None}


def _plain_labels(labels: Any, rows: int) -> list[Label]:
    array = as_array(labels)
    if isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind in "iub":
        return [plain_label(label) for label in array.tolist()]
    plain = [plain_label(label) for label in array]
    if len(plain) != rows:
        raise UnsupportedKind(f"a batch of {rows} images with {len(plain)} labels was given; give one a row")
    return plain
