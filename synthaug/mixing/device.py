"""Synthetic rows on the device of a batch: kept there, or made there by a generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from synthaug.data.classes import Label, as_array, plain_label
from synthaug.errors import InvalidRequest, Leakage, did_you_mean
from synthaug.generators.samples import Samples
from synthaug.mixing.checks import PROBES, Look, mismatch, spread
from synthaug.modalities.image.fingerprint import fingerprints
from synthaug.modalities.image.spec import ImageSpec
from synthaug.seeding import numpy_rng

Transform = Callable[[Any], Any]
"""A function from one image to one like those of a batch."""

_LOOKED_AT = 16  # rows that a generator makes to be compared with a batch


class LiveSource(Protocol):
    """What makes rows on a device: a trained generator, or whatever looks like one.

    Attributes:
        classes: class names, in order.
        values: each class's label in the data set's own encoding.
        spec: the form of the rows.
        held_out: ``(M,)`` uint64 fingerprints of rows that synthetic ones must not meet.
        noise_shape: of the standard normal noise that one row is made from.
        device: where rows are made.
    """

    @property
    def classes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def values(self) -> tuple[Any, ...]: ...  # noqa: D102
    @property
    def spec(self) -> ImageSpec: ...  # noqa: D102
    @property
    def held_out(self) -> np.ndarray: ...  # noqa: D102
    @property
    def noise_shape(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def device(self) -> torch.device: ...  # noqa: D102

    def to(self, device: str | torch.device) -> LiveSource:
        """The same source on another device."""
        ...

    def make(self, positions: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Rows ``(n, *spec.shape)`` of the classes at ``(n,)`` positions, from noise ``(n, *noise_shape)``."""
        ...


class ClassNames:
    """Classes by their names or labels.

    Args:
        owner: whose classes they are, for messages.
        classes: their names.
        values: the label of each.
    """

    def __init__(self, owner: str, classes: Sequence[str], values: Sequence[Any]) -> None:
        self._owner, self.names = owner, tuple(classes)
        self._values = [plain_label(value) for value in values]

    def position(self, key: Any) -> int:
        """The class of a name or label.

        Raises:
            InvalidRequest: there is none.
        """
        for k, (name, value) in enumerate(zip(self.names, self._values, strict=True)):
            if key == name or (key == value and isinstance(key, bool) == isinstance(value, bool)):
                return k
        raise InvalidRequest(f"{self._owner} know no class {key!r}.{did_you_mean(str(key), self.names)}")

    def positions(self, labels: Iterable[Label]) -> np.ndarray:
        """``(n,)`` int64, the class of each label."""
        return np.array([self.position(label) for label in labels], np.int64)

    def called(self, label: Label) -> set[Label]:
        """What the class of a label may be called."""
        k = self.position(label)
        return {self.names[k], self._values[k]}


class DevicePool:
    """The images of samples, class by class, on the device where they are needed."""

    def __init__(self, samples: Samples, transform: Transform | None) -> None:
        order = np.argsort(samples.class_indices, kind="stable")
        images = [samples.samples[row].copy() for row in order]
        if transform is not None:
            images = [np.asarray(as_array(transform(_contained(image, samples)))) for image in images]
        self.classes = ClassNames("the samples", samples.classes, samples.values)
        self._images = torch.from_numpy(np.stack(images)) if images else torch.empty(0)
        self._counts = list(samples.counts.values())
        self._starts = np.cumsum([0, *self._counts]).tolist()
        self._spec, self._held_out = samples.spec, samples.held_out
        self._ends = () if transform is not None else (samples.spec.low, samples.spec.high)

    def check(self, real: torch.Tensor) -> None:
        """Refuses rows that do not look like those of a batch, and a batch of held-out rows."""
        few = [row.numpy() for row in self._images[spread(np.arange(len(self._images)), PROBES)]]
        if few:
            ends = [np.full_like(few[0], end) for end in self._ends if end is not None]
            _check(real, Look.of(few, ends), self._spec, self._held_out)

    def rows(self, labels: Sequence[Label], rng: np.random.Generator, like: torch.Tensor) -> torch.Tensor:
        """One row a label; none twice before all of its class came once."""
        classes = self.classes.positions(labels)
        chosen = np.empty(len(labels), np.int64)
        for k in np.unique(classes).tolist():
            if not self._counts[k]:
                raise InvalidRequest(
                    f'the samples hold no row of "{self.classes.names[k]}", which the batch has: sample at '
                    "least one row of each class"
                )
            places = np.flatnonzero(classes == k)
            decks = -(-len(places) // self._counts[k])
            deck = np.concatenate([rng.permutation(self._counts[k]) for _ in range(decks)])
            chosen[places] = self._starts[k] + deck[: len(places)]
        if self._images.device != like.device:
            self._images = self._images.to(like.device)
        return self._images[torch.from_numpy(chosen).to(like.device)]


class LiveRows:
    """Rows that a generator makes where the batch is; nothing is kept, and none comes twice."""

    def __init__(self, source: LiveSource, transform: Transform | None) -> None:
        self.classes = ClassNames("the generator's data", source.classes, source.values)
        self._source, self._transform = source, transform

    def check(self, real: torch.Tensor) -> None:
        """Refuses rows that do not look like those of a batch, and a batch of held-out rows."""
        spec = self._source.spec
        classes = np.arange(_LOOKED_AT) % len(self.classes.names)
        made = self._made(classes, numpy_rng(0, "live rows", "look"), real)
        ends = [
            self._changed(torch.full_like(made[:1], end)) for end in (spec.low, spec.high) if end is not None
        ]
        few, flat = (
            [image.cpu().numpy() for batch in part for image in batch]
            for part in ([self._changed(made)], ends)
        )
        _check(real, Look.of(few, flat), spec, self._source.held_out)

    def rows(self, labels: Sequence[Label], rng: np.random.Generator, like: torch.Tensor) -> torch.Tensor:
        """One new row a label, of noise that is the same on every device."""
        return self._changed(self._made(self.classes.positions(labels), rng, like))

    def _made(self, classes: np.ndarray, rng: np.random.Generator, like: torch.Tensor) -> torch.Tensor:
        if self._source.device != like.device:
            self._source = self._source.to(like.device)
        noise = rng.standard_normal((len(classes), *self._source.noise_shape), np.float32)
        return self._source.make(
            torch.from_numpy(classes).to(like.device), torch.from_numpy(noise).to(like.device)
        )

    def _changed(self, images: torch.Tensor) -> torch.Tensor:
        if self._transform is None:
            return images
        return torch.stack([torch.as_tensor(self._transform(image)) for image in images])


def _check(real: torch.Tensor, look: Look, spec: ImageSpec, held_out: np.ndarray) -> None:
    rows = real[:PROBES].detach().cpu().numpy()
    like = Look.of(list(rows))
    if not look.fits(like):
        remedy = "Pass transform=, a function from an image of the samples to one like those of a batch"
        raise mismatch(like, str(look), remedy)
    if not len(held_out):
        return
    layout = "HW" if rows.ndim == 3 else spec.layout if rows.shape[1:] == spec.shape else "CHW"
    found = np.isin(fingerprints(rows, layout), held_out)
    if found.any():
        raise Leakage(
            f"{found.sum()} of the first {len(rows)} rows of the batch are held out from the generator for "
            f"testing (the first is row {np.flatnonzero(found)[0]}): mix training batches only"
        )


def _contained(image: np.ndarray, samples: Samples) -> Any:
    return torch.from_numpy(image) if samples.spec.container == "tensor" else image
