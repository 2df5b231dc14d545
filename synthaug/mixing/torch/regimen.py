"""A DataLoader that follows a regimen: augmented, its classes drawn evenly, and with synthetic rows mixed in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    WeightedRandomSampler,
)

from synthaug.data.classes import Classes
from synthaug.errors import InvalidRequest
from synthaug.mixing.huggingface import augment_dataset, is_huggingface
from synthaug.mixing.options import MixOptions
from synthaug.mixing.probes import PROBES, spread
from synthaug.mixing.regimen import Blended, Regimen
from synthaug.mixing.supply import Supply
from synthaug.mixing.torch.door import (
    drawn_rows,
    fields_in,
    random_state_kept,
    refuse_mixed,
    refuse_on_device,
    refuse_unfit,
)
from synthaug.mixing.torch.labels import labels_of
from synthaug.mixing.torch.loader import copy_of, mix_loader, unmixed_loader
from synthaug.mixing.transforms import put_first
from synthaug.seeding import numpy_rng


class BalancedSampler(Sampler[int]):
    """Rows with replacement, as many as there are, so that classes are equally frequent in expectation.

    Which rows is a function of the seed and the epoch, the same in every process, so that the batches can be shared
    out; with several ranks of its own each gets its part.

    Args:
        labels: ``(N,)`` int64 classes of the rows.
        seed: decides what is drawn.
        rank, ranks: which part of the rows.
    """

    def __init__(self, labels: np.ndarray, seed: int, rank: int = 0, ranks: int = 1) -> None:
        counts = np.bincount(labels)
        self._chances = 1.0 / counts[labels] / np.count_nonzero(counts)
        self.seed, self.rank, self.num_replicas, self.epoch = seed, rank, ranks, 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next pass draws for."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = numpy_rng(self.seed, "balanced", self.epoch)
        self.epoch += 1
        rows = rng.choice(len(self._chances), len(self) * self.num_replicas, p=self._chances)
        return iter(rows[self.rank :: self.num_replicas].tolist())

    def __len__(self) -> int:
        return -(-len(self._chances) // self.num_replicas)


def follow_loader(
    loader: DataLoader[Any], regimen: Regimen, supply: Supply, options: MixOptions
) -> DataLoader[Any]:
    """A loader like the given one that follows a regimen; the given one is left as it is.

    The augmentation comes before the ``transform`` of the data set, or, where it has none, is applied to the images of
    its items. Class, workers and all other settings are kept, and the collate function unless rows are blended; the
    sampler is another one where classes are to be drawn evenly.

    Raises:
        SpecMismatch: images that are not like those that the regimen was chosen for.
        InvalidRequest: classes of a stream, or of a loader with a batch sampler of its own, are to be drawn evenly.
        UnsupportedKind: as `mix_loader`.
    """
    refuse_unfit(loader)
    refuse_mixed(loader)
    with random_state_kept():
        if isinstance(loader.dataset, IterableDataset):
            changed = _follow_stream(loader, regimen)
        else:
            changed = _follow_rows(loader, regimen, options, supply.source is not None)
    if regimen.blend is not None:
        blended = Blended(changed.collate_fn, regimen)
        with random_state_kept():
            blended.try_on([loader.dataset[int(row)] for row in drawn_rows(loader)[:2]])
        changed = copy_of(changed, collate_fn=blended)
    return unmixed_loader(changed, options) if supply.source is None else mix_loader(changed, supply, options)


def _follow_rows(
    loader: DataLoader[Any], regimen: Regimen, options: MixOptions, mixed: bool
) -> DataLoader[Any]:
    dataset: Any = loader.dataset
    drawn = drawn_rows(loader)
    changes: dict[str, Any] = {}
    if regimen.balanced:
        probes = {row: dataset[row] for row in spread(drawn, PROBES).tolist()}
        fields = fields_in(probes[drawn[0]], options.items)
        labels, classes = labels_of(dataset, fields, probes, options.items.labels, Classes((), ()))
        places = np.array([classes.find(label) for label in labels], np.int64)
        changes |= _evenly(loader, places, drawn, regimen.seed)
    if regimen.augment is not None:
        if is_huggingface(dataset):
            if mixed:
                raise InvalidRequest(
                    "the loader is over a Hugging Face data set, whose transform synthetic rows would not get: apply "
                    "the plan to the data set, plan.apply(dataset), and make the loader over that"
                )
            changes["dataset"] = augment_dataset(dataset, regimen, options)
        else:
            first = dataset[int(drawn[0])]
            refuse_on_device(first)
            fields = fields_in(first, options.items)
            changes["dataset"], seen = put_first(dataset, regimen.augment, fields)
            for image in seen:
                regimen.require_fit(image, f"the data set {type(dataset).__name__} of the loader")
    return copy_of(loader, **changes) if changes else loader


def _follow_stream(loader: DataLoader[Any], regimen: Regimen) -> DataLoader[Any]:
    if regimen.balanced:
        raise InvalidRequest(
            "classes are to be drawn evenly, and the loader is over a stream, whose rows come as they come: let the "
            "stream repeat rows of rare classes, or give a map-style data set"
        )
    if regimen.augment is None:
        return loader
    raise InvalidRequest(
        "rows are to be augmented, and the loader is over a stream, which does so itself: put plan.transform() before "
        "what the stream does to an image, and mix the plan in with synthaug.mix(loader, plan)"
    )


def _evenly(loader: DataLoader[Any], places: np.ndarray, drawn: np.ndarray, seed: int) -> dict[str, Any]:
    """The sampler that draws classes evenly, and its batches."""
    if type(loader.batch_sampler) is not BatchSampler:
        raise InvalidRequest(
            f"classes are to be drawn evenly, and the loader has a batch sampler of its own "
            f"({type(loader.batch_sampler).__name__}): give it a sampler in the place of that"
        )
    if len(drawn) < len(places):
        raise InvalidRequest(
            "classes are to be drawn evenly, and the loader's sampler draws some of the rows only: put these into a "
            "torch.utils.data.Subset, and mix a loader over that"
        )
    own: Any = loader.batch_sampler.sampler
    # what another one draws is not known: it may spare rows for validation
    all_rows = type(own) in (SequentialSampler, RandomSampler, DistributedSampler, WeightedRandomSampler)
    if not all_rows or getattr(own, "num_samples", len(places)) < len(places) // getattr(
        own, "num_replicas", 1
    ):
        raise InvalidRequest(
            f"classes are to be drawn evenly, and the loader draws by a sampler of its own ({type(own).__name__}), "
            "which may leave rows out: put the rows to train on into a torch.utils.data.Subset, and shuffle a loader "
            "over that"
        )
    ranks = (own.rank, own.num_replicas) if isinstance(own, DistributedSampler) else (0, 1)
    sampler = BalancedSampler(places, seed, *ranks)
    batches = BatchSampler(sampler, loader.batch_sampler.batch_size, loader.batch_sampler.drop_last)
    return {"sampler": sampler, "batch_sampler": batches}
