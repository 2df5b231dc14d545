"""Synthetic rows mixed into a batch in the training step itself, on the device of the batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from synthaug.data.classes import Label, as_array, plain_label
from synthaug.data.items import ItemForm, Key
from synthaug.errors import InvalidRequest, SpecMismatch, UnsupportedKind
from synthaug.generators.samples import Samples
from synthaug.mixing.device import DevicePool, LiveRows, LiveSource, Transform
from synthaug.mixing.marks import Marks
from synthaug.mixing.plan import MixingPlan
from synthaug.mixing.schedule import Ratio, Schedule
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
            (it is moved, too, and noise is drawn so that every device gets the same); or a function that does.
        ratio: as in `mix_dataloader`; a schedule counts steps. Classes go by label where a function makes rows.
        seed: the only source of randomness.
        weight, flag: ask for `Marks` in the batch.
        transform: applied to each synthetic image to make it like one of a batch: once to those of samples,
            in their own form; to those of a generator as tensors on the device, whenever they are made.
        image, label: positions or keys in the batch, where they cannot be guessed.

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
        source: Samples | LiveSource | Make,
        *,
        ratio: Ratio,
        seed: int = 0,
        weight: float | None = None,
        flag: bool = False,
        transform: Transform | None = None,
        image: Key | None = None,
        label: Key | None = None,
    ) -> None:
        self._ratio = ratio
        self._seed = seed
        self._marks = Marks(weight, flag)
        self._names: tuple[Key | None, Key | None] = image, label
        self._form: ItemForm | None = None
        self._step = 0
        self._rows, self._make = _rows_or_function(source, transform)
        for share in ratio.values() if isinstance(ratio, Mapping) else [ratio]:
            MixingPlan([0], [0], ratio=share)  # a share, or refused
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
                of any B.
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
        rows = _length(batch)
        if rows and self._form is None:
            self._form = _form_of(batch, *self._names)
            if self._rows is not None:
                with torch.no_grad():
                    self._rows.check(self._form.image_of(batch))
        synthetic = np.zeros(rows, bool)
        if rows:
            assert self._form is not None
            images, labels = self._form.image_of(batch), _field(batch, self._form.label)
            plain = _plain_labels(labels, rows)
            places = self._places(plain, step)
            if len(places):
                synthetic[places] = True
                batch = _with(batch, self._form.image, self._mixed(images, labels, plain, places, step))
        if not self._marks:
            return batch
        device = _device_of(batch)
        return self._marks.put(batch, torch.from_numpy(synthetic).to(device))

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
            names = {label} if self._rows is None else self._rows.classes.called(label)
            share = next((share[name] for name in share if name in names), 0.0)
        return share.at(0, step) if isinstance(share, Schedule) else float(share)

    def _mixed(
        self, images: torch.Tensor, labels: Any, plain: Sequence[Label], places: np.ndarray, step: int
    ) -> torch.Tensor:
        at = torch.from_numpy(places).to(images.device)
        with torch.no_grad():
            if self._rows is not None:
                rng = numpy_rng(self._seed, "batch mixer", step, "rows")
                made = self._rows.rows([plain[place] for place in places], rng, images)
            else:
                assert self._make is not None
                wanted = labels[at] if torch.is_tensor(labels) else [labels[place] for place in places]
                rng_there = torch.Generator(images.device)
                rng_there.manual_seed(derive(self._seed, "batch mixer", step, "live"))
                made = self._make(wanted, rng_there)
        if made.shape != (len(places), *images.shape[1:]) or made.dtype != images.dtype:
            raise SpecMismatch(
                f"{len(places)} rows like {tuple(images.shape[1:])} of {images.dtype} were needed; the "
                f"synthetic ones are {tuple(made.shape)} of {made.dtype}. Bring them to the form of the batch"
            )
        return images.index_copy(0, at, made.to(images.device))


def _rows_or_function(
    source: Any, transform: Transform | None
) -> tuple[DevicePool | LiveRows | None, Make | None]:
    if isinstance(source, Samples):
        return DevicePool(source, transform), None
    if hasattr(source, "noise_shape") and hasattr(source, "make"):
        return LiveRows(source, transform), None
    if not callable(source):
        raise UnsupportedKind(
            f"a source of type {type(source).__name__} was given; taken are samples, a generator, and a function "
            "that makes rows for labels"
        )
    if transform is not None:
        raise InvalidRequest(
            "transform= was given with a function that makes rows: let the function make them as they shall be"
        )
    return None, source


def _fields(batch: Any) -> Mapping[Any, Any]:
    if isinstance(batch, Mapping):
        return batch
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return dict(zip(batch._fields, batch, strict=True))
    if isinstance(batch, tuple | list):
        return dict(enumerate(batch))
    raise UnsupportedKind(
        f"a batch of type {type(batch).__name__} was given; taken are tuples, lists, named tuples and dicts"
    )


def _field(batch: Any, key: Key) -> Any:
    return _fields(batch)[key]


def _length(batch: Any) -> int:
    sizes = [len(value) for value in _fields(batch).values() if torch.is_tensor(value) and value.ndim]
    if not sizes:
        raise UnsupportedKind("a batch without a tensor was given; images are needed, (B, ...)")
    return sizes[0]


def _device_of(batch: Any) -> torch.device:
    return next(value.device for value in _fields(batch).values() if torch.is_tensor(value))


def _form_of(batch: Any, image: Key | None, label: Key | None) -> ItemForm:
    """Where images and labels are, as in an item: the first row."""
    first = {key: value[0] for key, value in _fields(batch).items() if hasattr(value, "__getitem__")}
    item = first if isinstance(batch, Mapping) or hasattr(batch, "_fields") else tuple(first.values())
    return ItemForm.of(item, image=image, label=label)


def _plain_labels(labels: Any, rows: int) -> list[Label]:
    array = as_array(labels)
    if isinstance(array, np.ndarray) and array.ndim == 1 and array.dtype.kind in "iub":
        return [plain_label(label) for label in array.tolist()]
    plain = [plain_label(label) for label in array]
    if len(plain) != rows:
        raise UnsupportedKind(f"a batch of {rows} images with {len(plain)} labels was given; give one a row")
    return plain


def _with(batch: Any, key: Key, value: Any) -> Any:
    if isinstance(batch, Mapping):
        changed: Any = copy.copy(batch)
        changed[key] = value
        return changed
    values = [value if name == key else old for name, old in _fields(batch).items()]
    return type(batch)(*values) if hasattr(batch, "_fields") else type(batch)(values)
