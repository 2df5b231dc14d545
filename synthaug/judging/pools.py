"""Pools of samples for arms: as many as are met, all of them or those that judges let pass, or none."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from synthaug.data.classes import Classes
from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidRequest, SynthaugWarning
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.judging.curation import (
    FILTERS,
    Diversities,
    Effect,
    Judges,
    Measured,
    checked,
    effects_of,
    reasons,
)
from synthaug.judging.loaders import Encode
from synthaug.judging.protocol import ATTEMPTS, BATCH_SIZE, JUDGE_STEPS
from synthaug.metrics.fidelity import FeatureClassifier
from synthaug.seeding import torch_rng
from synthaug.training.classifier import train_classifier
from synthaug.training.threads import one_thread
from synthaug.wording import did_you_mean

_LARGEST_POOL = 1000
# Rows are always judged this many at a time: a network may round differently in batches of another size.
_BLOCK = 64


def pool_size(ratio: float, steps: int, n_classes: int, batch_size: int = BATCH_SIZE) -> int:
    """Rows of each class that a pool needs for no classifier to meet one twice, at most 1000."""
    return min(_LARGEST_POOL, math.ceil(ratio * steps * batch_size / n_classes))


def no_pool(train: LabeledData) -> Samples:
    """A stand-in where no synthetic row is used."""
    return Samples(
        samples=train.read(slice(0, 0)),
        labels=np.array(train.classes.values)[:0],
        classes=train.classes,
        form=train.form,
        provenance={"class": np.array(train.classes.names)[:0]},
    )


def draw_pool(generator: Generator, judges: Judges | None, per_class: int, *, seed: int) -> Samples:
    """So many samples of each class; only such as judges let pass, where there are any."""
    if judges is None:
        return generator.sample(per_class, seed=seed)
    return curated_pool(generator, judges, per_class, seed=seed)[0]


def fit_judges(
    train: LabeledData, encode: Encode, seed: int, steps: int = JUDGE_STEPS, kept: Path | None = None
) -> Judges:
    """Classifiers that judge samples, each trained on a part of the rows.

    Args:
        train: the rows.
        encode: raw rows to what classifiers take.
        seed: decides the parts and the classifiers.
        steps: optimizer steps of each.
        kept: a folder that keeps their weights, for a call that was stopped later.

    Raises:
        InvalidData: no class has two different rows.
    """
    n_classes = len(train.classes)
    with one_thread():
        rows = encode(train.read()).numpy()
        make = partial(_judge, n_classes=n_classes, steps=steps, kept=kept)
        return Judges.fit(rows, train.labels, n_classes, make, seed=seed)


def _judge(
    rows: np.ndarray, labels: np.ndarray, seed: int, *, n_classes: int, steps: int, kept: Path | None
) -> FeatureClassifier:
    loader = DataLoader(
        TensorDataset(torch.from_numpy(rows), torch.from_numpy(labels)),
        batch_size=min(BATCH_SIZE, len(rows)),
        shuffle=True,
        drop_last=True,
        generator=torch_rng(seed, "choice", "judge"),
    )
    own = None if kept is None else kept / f"{seed}.safetensors"
    return train_classifier(loader, steps, seed, n_classes=n_classes, kept=own)


@dataclass(frozen=True)
class PoolCuration:
    """How a pool of samples came about.

    Attributes:
        looked_at: samples per class name: those up to the last that was needed.
        kept: how many of them passed.
        dropped: filter -> class name -> how many of them it dropped.
        filled: how many of the dropped are in the pool nevertheless, as too few passed.
        soft_labels: ``(N, K)`` float32 of the samples in the pool: the mean of the judges' probabilities.
        effects: what each filter did to the samples that were looked at, in order.
    """

    looked_at: dict[str, int]
    kept: dict[str, int]
    dropped: dict[str, dict[str, int]]
    filled: dict[str, int]
    soft_labels: np.ndarray
    effects: tuple[Effect, ...]


def curated_pool(
    generator: Generator,
    judges: Judges,
    per_class: int | Mapping[str, int],
    *,
    seed: int = 0,
    filters: Sequence[str] = FILTERS,
    attempts: int = ATTEMPTS,
) -> tuple[Samples, PoolCuration]:
    """The first samples of each class's sequence that judges let pass, so many of every class.

    Where enough pass, fewer are a prefix, class by class, of more. Of a class that stays short, those dropped samples
    fill up whose label the judges find likeliest, copies last, with a warning: a class must not go missing.

    Args:
        generator: makes them.
        judges: what lets them pass; they know the same classes.
        per_class: samples of every class, or of each by name; at least one in all.
        seed: of the sequences.
        filters: see `Judges.curate`.
        attempts: at most so many times the samples that are needed of a class are looked at.

    Returns:
        The samples, class by class, each in the order of its sequence; and how they came about.

    Raises:
        InvalidRequest: an unknown class or filter, no sample at all, or no attempt.
    """
    used, classes = checked(filters), generator.classes
    counts = _counts(per_class, classes.names, attempts)
    found = {
        name: _first_passing(generator, judges, name, n, seed, attempts, used) for name, n in counts.items()
    }
    if short := [f'"{name}": {of.passed:.0%} of {len(of.reason)}' for name, of in found.items() if of.filled]:
        warnings.warn(
            f"Too few samples passed the judges ({'; '.join(short)}): the likeliest of the others fill up to "
            f"{sum(counts.values())} in all. Train the generator longer, or allow more attempts.",
            SynthaugWarning,
            stacklevel=2,
        )
    reason = np.concatenate([of.reason for of in found.values()])
    labels = np.concatenate([np.full(len(of.reason), classes.index(name)) for name, of in found.items()])
    # Every class has its own keys, so that the tables of one stage are united.
    diversities = [
        {key: value for of in found.values() for key, value in of.diversities[i].items()}
        for i in range(len(used) + 1)
    ]
    return Samples.join([of.samples for of in found.values()]), PoolCuration(
        looked_at={name: len(of.reason) for name, of in found.items()},
        kept={name: int((of.reason == "").sum()) for name, of in found.items()},
        dropped={
            filter: {name: int((of.reason == filter).sum()) for name, of in found.items()} for filter in used
        },
        filled={name: of.filled for name, of in found.items()},
        soft_labels=np.concatenate([of.soft_labels for of in found.values()]),
        effects=effects_of(reason, labels, classes, used, diversities),
    )


@dataclass(frozen=True)
class _Passing:
    """What is taken of one class, and the reasons of all that was looked at."""

    samples: Samples
    soft_labels: np.ndarray
    reason: np.ndarray
    filled: int
    diversities: Diversities

    @property
    def passed(self) -> float:
        return float(np.mean(self.reason == ""))


def _first_passing(
    generator: Generator,
    judges: Judges,
    name: str,
    n: int,
    seed: int,
    attempts: int,
    filters: tuple[str, ...],
) -> _Passing:
    """The first ``n`` samples of a class that pass."""
    classes = generator.classes
    label, blocks, measured = classes.index(name), [], []
    found: list[np.ndarray] = []
    passed = 0
    for own, seen in judged_blocks(generator, judges, name, classes, seed=seed, filters=filters):
        measured.append(seen)
        blocks.append(own)
        found.append(reasons(seen, filters)[: n * attempts - len(found) * _BLOCK])
        passed += int((found[-1] == "").sum())
        if passed >= n or len(found) * _BLOCK >= n * attempts:
            break
    reason, soft = np.concatenate(found), np.concatenate([of.soft_labels for of in measured])
    chosen = np.flatnonzero(reason == "")[:n]
    if len(chosen) == n:
        reason = reason[: chosen[-1] + 1]  # what comes after was not needed
    filled = n - len(chosen)
    if filled:
        others = np.flatnonzero(reason != "")
        copy = np.concatenate(
            [of.drops.get("copies", np.zeros(len(of.soft_labels), bool)) for of in measured]
        )
        rank = np.lexsort((-soft[others, label], copy[others]))
        chosen = np.sort(np.concatenate([chosen, others[rank[:filled]]]))
    features = [
        np.concatenate(parts)[: len(reason)] for parts in zip(*(m.features for m in measured), strict=True)
    ]
    diversities = judges.diversities(features, np.full(len(reason), label), reason, filters)
    return _Passing(Samples.join(blocks)[chosen], soft[chosen], reason, filled, diversities)


def judged_blocks(
    generator: Generator,
    judges: Judges,
    name: str,
    classes: Classes,
    *,
    seed: int,
    filters: Sequence[str] = FILTERS,
    called: str | None = None,
) -> Iterator[tuple[Samples, Measured]]:
    """The sequence of a class without end, in blocks of one size, with what judges see in them.

    Args:
        generator: makes the rows.
        judges: look at them.
        name: the class.
        classes: those that the judges know.
        seed: of the sequence.
        filters: those that are used.
        called: what the generator calls the class, where it has another name for it.

    Raises:
        InvalidRequest: the judges know no real row of the class.
    """
    label = classes.index(name)
    for start in count(0, _BLOCK):
        own = generator.sample_rows(called or name, start, start + _BLOCK, seed=seed)
        encoded = np.asarray(generator.form.encode(own.samples))
        yield own, judges.measure(encoded, np.full(len(own), label), classes, filters)


def _counts(per_class: int | Mapping[str, int], classes: Sequence[str], attempts: int) -> dict[str, int]:
    counts = dict(per_class) if isinstance(per_class, Mapping) else dict.fromkeys(classes, per_class)
    if unknown := [name for name in counts if name not in classes]:
        raise InvalidRequest(f'There is no class "{unknown[0]}".{did_you_mean(unknown[0], classes)}')
    if min(counts.values(), default=0) < 0 or not sum(counts.values()) or attempts < 1:
        raise InvalidRequest(
            f"{sum(counts.values())} curated samples were asked for, in {attempts} attempts; ask for at least 1 in at "
            "least 1, and for no negative number."
        )
    return {name: n for name, n in counts.items() if n}
