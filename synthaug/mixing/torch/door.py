"""What is asked of a loader before it is mixed."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, SubsetRandomSampler, WeightedRandomSampler

from synthaug.data.items import ItemFields, fields_of
from synthaug.errors import InvalidData, InvalidRequest, SynthaugWarning, UnsupportedKind
from synthaug.mixing.colours import MADE, Tints, warn_of_colours
from synthaug.mixing.options import Items
from synthaug.mixing.pool import Pool
from synthaug.mixing.probes import PROBES, spread
from synthaug.mixing.torch.rows import MixedRows
from synthaug.mixing.torch.stream import MixedStream
from synthaug.mixing.torch.views import IN_THE_STEP, views_of_item
from synthaug.modalities.arrays import are_equal
from synthaug.modalities.cells import rows_among

_AGAIN = 8  # rows that are read twice
_PREPARE = {"accelerate", "lightning", "lightning_fabric", "pytorch_lightning"}


def refuse_unfit(loader: Any) -> None:
    """Refuse loaders that cannot be mixed.

    Raises:
        UnsupportedKind: without batches, or prepared by another library.
    """
    if by := prepared_by(loader):
        raise UnsupportedKind(
            f"the loader is prepared by {by.pop()} already, which would drop the synthetic rows: mix the "
            "plain loader, then prepare the mixed one"
        )
    if loader.batch_sampler is None:
        raise UnsupportedKind(
            "the loader has batch_size=None, so there are no batches to mix: give it a batch_size or a "
            f"batch_sampler; or {IN_THE_STEP})"
        )


def refuse_mixed(loader: Any) -> None:
    """Refuse a loader that is no plain one.

    Raises:
        InvalidRequest: mixed already.
    """
    if isinstance(loader.dataset, MixedRows | MixedStream):
        raise InvalidRequest("the loader is mixed already: mix the plain loader, with all samples at once")


def prepared_by(loader: Any) -> set[str]:
    """The libraries that have prepared a loader, by the classes that it is of."""
    return _PREPARE & {kind.__module__.partition(".")[0] for kind in type(loader).__mro__}


def refuse_on_device(item: Any) -> None:
    """Refuse items that are on an accelerator.

    Raises:
        UnsupportedKind: one of its fields is.
    """
    fields = item.values() if isinstance(item, Mapping) else item if isinstance(item, tuple | list) else ()
    for value in fields:
        if torch.is_tensor(value) and value.device.type != "cpu":
            raise UnsupportedKind(
                f"the rows of the loader's data set are on the device {value.device}, which workers cannot "
                "share and synthetic rows in memory cannot be batched with: keep the data set on the CPU and "
                "move whole batches, or mix batches on the device with BatchMixer"
            )


def drawn_rows(loader: DataLoader[Any]) -> np.ndarray:
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
def random_state_kept() -> Iterator[None]:
    """Reading rows runs their random transforms; they must not move the streams that will order the rows."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


def fields_in(item: Any, items: Items) -> ItemFields:
    """Where image and label are in an item of a loader's data set; as `ItemFields.of`.

    Raises:
        InvalidData, UnsupportedKind: as there; of items with several images saying what can be done with batches.
    """
    try:
        return ItemFields.of(item, None, items.image, items.label)
    except (InvalidData, UnsupportedKind) as error:
        images = rows_among(fields_of(item))
        if views_of_item(item) <= (len(images) == 1):
            raise
        several = f", image={tuple(images)!r}" if len(images) > 1 else ""
        raise type(error)(f"{error}. Or {IN_THE_STEP}{several})") from None


def warn_of_chance(dataset: Any, fields: ItemFields, probes: Mapping[int, Any], pool: Pool) -> None:
    """Warn where real rows are changed at random, and synthetic ones are not."""

    def differ(item: Any, again: Any) -> bool:
        return not are_equal(fields.image_of(item), fields.image_of(again))

    row = next((row for row, item in islice(probes.items(), _AGAIN) if differ(item, dataset[row])), None)
    if row is None:
        return
    made = np.flatnonzero([label is not None for label in pool.labels])[:PROBES].tolist()
    if pool.change is not None and any(differ(pool[row], pool[row]) for row in made):
        return
    what = "was found" if pool.change is None else "that does so was found"
    warnings.warn(
        f"row {row} of the loader's data set differs when it is read again, so something changes it at random, "
        f"and no `transform` of the data set {what} to change synthetic rows by: a classifier can tell them "
        "apart by that. Pass transform=, a function from an image of the samples to one as the loader has them",
        SynthaugWarning,
        stacklevel=6,
    )


def warn_of_tints(pool: Pool, fields: ItemFields, real: Sequence[Any]) -> None:
    """Warn where real and synthetic rows do not have red and blue the same way round."""
    labels = list(map(fields.label_of, real))

    def made() -> Tints | None:
        drawn = np.flatnonzero([label in set(labels) for label in pool.labels])
        rows = spread(drawn, MADE).tolist()
        return Tints.seen([fields.image_of(pool[row]) for row in rows], [pool.labels[row] for row in rows])

    warn_of_colours(Tints.seen([fields.image_of(item) for item in real], labels), made, stacklevel=6)
