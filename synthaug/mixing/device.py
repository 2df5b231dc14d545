"""Synthetic rows on the device of a batch: kept there, or made there by a generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from synthaug.data.guards import refuse_held_out
from synthaug.errors import InvalidRequest
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.mixing.probes import PROBES, look_of
from synthaug.modalities.arrays import as_array
from synthaug.modalities.base import Container, Form
from synthaug.modalities.look import Look
from synthaug.seeding import numpy_rng

OnDevice = Callable[[Any], Any]
"""A function from one image to one like those of a batch."""

_LOOKED_AT = 16  # rows that a generator makes to be compared with a batch


class DevicePool:
    """The images of samples, class by class, on the device where they are needed."""

    def __init__(self, samples: Samples, transform: OnDevice | None) -> None:
        form = samples.form
        # Arrays may be asked for as tensors; what a data set hands out as PIL images comes as arrays here.
        container: Container = "tensor" if form.container == "tensor" else "array"
        order = np.argsort(samples.class_indices, kind="stable")
        images = [samples.samples[row].copy() for row in order]
        ends = form.ends
        if transform is not None:

            def changed(image: np.ndarray) -> np.ndarray:
                return np.asarray(as_array(transform(form.contained(image, container))))

            images, ends = list(map(changed, images)), list(map(changed, ends))
        self.classes, self._form, self._held_out = samples.classes, form, samples.held_out
        self._images = torch.from_numpy(np.stack(images)) if images else torch.empty(0)
        self._counts = list(samples.counts.values())
        self._starts = np.cumsum([0, *self._counts]).tolist()
        self._ends = ends

    def check(self, real: torch.Tensor) -> None:
        """Refuses rows that do not look like those of a batch, and a batch of held-out rows."""
        if len(self._images):
            rows = self._images.numpy()
            _check(real, look_of(rows, self._ends), self._form, self._held_out)

    def rows(self, classes: np.ndarray, rng: np.random.Generator, like: torch.Tensor) -> torch.Tensor:
        """One row for each class position; none twice before all of its class came once."""
        chosen = np.empty(len(classes), np.int64)
        for k in np.unique(classes).tolist():
            if not self._counts[k]:
                raise InvalidRequest(
                    f'the samples hold no row of "{self.classes[k]}", which the batch has: sample at '
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

    def __init__(self, generator: Generator, transform: OnDevice | None) -> None:
        self.classes = generator.classes
        self._generator, self._transform = generator, transform

    def check(self, real: torch.Tensor) -> None:
        """Refuses rows that do not look like those of a batch, and a batch of held-out rows."""
        form = self._generator.form
        classes = np.arange(_LOOKED_AT) % len(self.classes)
        made = self._made(classes, numpy_rng(0, "live rows", "look"), real)
        ends = [self._changed(torch.from_numpy(end[None]).to(made)) for end in form.ends]
        few, flat = (
            [as_array(image) for batch in part for image in batch] for part in ([self._changed(made)], ends)
        )
        _check(real, Look.of(few, flat), form, self._generator.held_out)

    def rows(self, classes: np.ndarray, rng: np.random.Generator, like: torch.Tensor) -> torch.Tensor:
        """One new row for each class position, of noise that is the same on every device."""
        return self._changed(self._made(classes, rng, like))

    def _made(self, classes: np.ndarray, rng: np.random.Generator, like: torch.Tensor) -> torch.Tensor:
        if self._generator.device != like.device:
            self._generator = self._generator.to(like.device)
        noise = rng.standard_normal((len(classes), *self._generator.noise_shape), np.float32)
        return self._generator.make(
            torch.from_numpy(classes).to(like.device), torch.from_numpy(noise).to(like.device)
        )

    def _changed(self, images: torch.Tensor) -> torch.Tensor:
        if self._transform is None:
            return images
        return torch.stack([torch.as_tensor(self._transform(image)) for image in images])


def _check(real: torch.Tensor, look: Look, form: Form, held_out: np.ndarray) -> None:
    rows = np.asarray(as_array(real[:PROBES]))
    remedy = "Pass transform=, a function from an image of the samples to one like those of a batch"
    look.require_fit(Look.of(list(rows)), remedy)
    if len(held_out):
        refuse_held_out(form.prints_of(rows), held_out, "the batch")
