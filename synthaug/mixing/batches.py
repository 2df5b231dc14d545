"""Synthetic rows mixed into a batch in the training step itself, on the device of the batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch

from synthaug.data.items import ItemForm, Key
from synthaug.data.targets import Label, as_array, plain_label
from synthaug.errors import InvalidRequest, SpecMismatch, UnsupportedKind, did_you_mean
from synthaug.mixing.checks import PROBES, Look, mismatch, spread
from synthaug.mixing.marks import Marks
from synthaug.mixing.policy import MixingPlan
from synthaug.mixing.schedule import Ratio, Schedule
from synthaug.samples import Samples
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
        source: samples, moved to the device once; or a function that makes rows there.
        ratio: as in `mix_dataloader`; a schedule counts steps. Classes go by label where rows are made.
        seed: the only source of randomness.
        weight, flag: ask for `Marks` in the batch.
        transform: applied once to each image of the samples, in their own form, to make it like one of a
            batch.
        image, label: positions or keys in the batch, where they cannot be guessed.

    Raises:
        InvalidRequest: a ratio outside [0, 1), a schedule over epochs, a class the samples do not know.

    Example:
        >>> mixer = BatchMixer(lambda labels, rng: torch.ones(len(labels), 1, 8, 8), ratio=0.5)
        >>> images, labels = mixer((torch.zeros(4, 1, 8, 8), torch.tensor([0, 0, 1, 1])))
        >>> images.mean().item(), labels.tolist()
        (0.5, [0, 0, 1, 1])
    """

    def __init__(
        self,
        source: Samples | Make,
        *,
        ratio: Ratio,
        seed: int = 0,
        weight: float | None = None,
        flag: bool = False,
        transform: Callable[[Any], Any] | None = None,
        image: Key | None = None,
        label: Key | None = None,
    ) -> None:
        self._ratio = ratio
        self._seed = seed
        self._marks = Marks(weight, flag)
        self._names: tuple[Key | None, Key | None] = image, label
        self._form: ItemForm | None = None
        self._step = 0
        self._make = None if isinstance(source, Samples) else source
        self._pool = _DevicePool(source, transform) if isinstance(source, Samples) else None
        for share in ratio.values() if isinstance(ratio, Mapping) else [ratio]:
            MixingPlan([0], [0], ratio=share)  # a share, or refused
            if isinstance(share, Schedule) and share.unit == "epochs" and share.start != share.end:
                raise InvalidRequest(
                    "a schedule over epochs was given, and a batch does not know its epoch: give it in steps"
                )
        if self._pool is not None and isinstance(ratio, Mapping):
            for key in ratio:
                self._pool.position(key)

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
        """
        if step is None:
            step, self._step = self._step, self._step + 1
        rows = _length(batch)
        if rows and self._form is None:
            self._form = _form_of(batch, *self._names)
            if self._pool is not None:
                self._pool.check(self._form.image_of(batch))
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
            names = {label} if self._pool is None else self._pool.names(label)
            share = next((share[name] for name in share if name in names), 0.0)
        return share.at(0, step) if isinstance(share, Schedule) else float(share)

    def _mixed(
        self, images: torch.Tensor, labels: Any, plain: Sequence[Label], places: np.ndarray, step: int
    ) -> torch.Tensor:
        at = torch.from_numpy(places).to(images.device)
        if self._pool is not None:
            rng = numpy_rng(self._seed, "batch mixer", step, "rows")
            made = self._pool.rows([plain[place] for place in places], rng, images)
        else:
            assert self._make is not None
            wanted = labels[at] if torch.is_tensor(labels) else [labels[place] for place in places]
            rng_there = torch.Generator(images.device)
            rng_there.manual_seed(derive(self._seed, "batch mixer", step, "live"))
            with torch.no_grad():
                made = self._make(wanted, rng_there)
        if made.shape != (len(places), *images.shape[1:]) or made.dtype != images.dtype:
            raise SpecMismatch(
                f"{len(places)} rows like {tuple(images.shape[1:])} of {images.dtype} were needed; the "
                f"synthetic ones are {tuple(made.shape)} of {made.dtype}. Bring them to the form of the batch"
            )
        return images.index_copy(0, at, made.to(images.device))


class _DevicePool:
    """The images of samples, class by class, on the device where they are needed."""

    def __init__(self, samples: Samples, transform: Callable[[Any], Any] | None) -> None:
        order = np.argsort(samples.class_indices, kind="stable")
        images = [samples.samples[row].copy() for row in order]
        if transform is not None:
            images = [np.asarray(as_array(transform(_contained(image, samples)))) for image in images]
        self._images = torch.from_numpy(np.stack(images)) if images else torch.empty(0)
        self._counts = list(samples.counts.values())
        self._starts = np.cumsum([0, *self._counts]).tolist()
        self._classes = samples.classes
        self._values = [plain_label(value) for value in samples.values]
        self._ends = () if transform is not None else (samples.spec.low, samples.spec.high)

    def position(self, key: Any) -> int:
        """The class of a name or label."""
        for k, (name, value) in enumerate(zip(self._classes, self._values, strict=True)):
            if key == name or (key == value and isinstance(key, bool) == isinstance(value, bool)):
                return k
        raise InvalidRequest(f"the samples know no class {key!r}.{did_you_mean(str(key), self._classes)}")

    def names(self, label: Label) -> set[Label]:
        """What the class of a label may be called."""
        k = self.position(label)
        return {self._classes[k], self._values[k]}

    def check(self, real: torch.Tensor) -> None:
        """Refuses rows that do not look like those of a batch."""
        few = [row.numpy() for row in self._images[spread(np.arange(len(self._images)), PROBES)]]
        if not few:
            return
        ends = [np.full_like(few[0], end) for end in self._ends if end is not None]
        look, like = Look.of(few, ends), Look.of([row.numpy() for row in real[:PROBES].detach().cpu()])
        if not look.fits(like):
            remedy = "Pass transform=, a function from an image of the samples to one like those of a batch"
            raise mismatch(like, str(look), remedy)

    def rows(self, labels: Sequence[Label], rng: np.random.Generator, like: torch.Tensor) -> torch.Tensor:
        """One row a label; none twice before all of its class came once."""
        classes = np.array([self.position(label) for label in labels])
        chosen = np.empty(len(labels), np.int64)
        for k in np.unique(classes).tolist():
            if not self._counts[k]:
                raise InvalidRequest(
                    f'the samples hold no row of "{self._classes[k]}", which the batch has: sample at least '
                    "one row of each class"
                )
            places = np.flatnonzero(classes == k)
            decks = -(-len(places) // self._counts[k])
            deck = np.concatenate([rng.permutation(self._counts[k]) for _ in range(decks)])
            chosen[places] = self._starts[k] + deck[: len(places)]
        if self._images.device != like.device:
            self._images = self._images.to(like.device)
        return self._images[torch.from_numpy(chosen).to(like.device)]


def _contained(image: np.ndarray, samples: Samples) -> Any:
    return torch.from_numpy(image) if samples.spec.container == "tensor" else image


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
