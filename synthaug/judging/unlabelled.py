"""Rows without labels as a source: judges that were trained on the labelled rows label them, in rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from synthaug.data.classes import Classes
from synthaug.data.labeled import LabeledData
from synthaug.data.splits import units_of
from synthaug.data.unlabelled import joined
from synthaug.families import Stock
from synthaug.generators.facts import Achieved
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.judging.loaders import Augment, Ingredients, MakeLoader, balanced, mixed, shuffled
from synthaug.judging.pools import no_pool
from synthaug.judging.protocol import USUAL_PROTOCOL, Protocol, are_unequal, proportions_of
from synthaug.judging.runner import Work
from synthaug.modalities.base import Form
from synthaug.seeding import derive
from synthaug.training.classifier import Classifier, train_classifier
from synthaug.training.threads import one_thread

ROUNDS = (0.5, 0.9)
"""Of what is due of each class, the part that is kept in each round, the surest first."""

# Three judges in three rounds labelled rows no better where it was tried, and cost more than twice as much.
_JUDGES = 2
JUDGINGS = _JUDGES * len(ROUNDS)
"""Classifiers that are trained to judge rows without labels once."""

_SURE = 0.5  # probability below which a label is not taken
_HALF = 0.5  # of each batch of a judge of a later round
_FAR = 0.95  # of the labelled rows are as near to another one as a row has to be to be judged
_BATCH = 256


@dataclass(frozen=True)
class JudgedRows:
    """The unlabelled rows that were kept, and why others were not.

    Attributes:
        rows: ``(n,)`` int64 numbers of the rows, ascending.
        labels: ``(n,)`` int64 class positions.
        sure: ``(n,)`` float32 probability of the label, the mean over judges.
        dropped: how many were left out: "unlike any labelled row", "unsure", or "beyond what is due" of their class.
    """

    rows: np.ndarray
    labels: np.ndarray
    sure: np.ndarray
    dropped: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.rows)


def judge_rows(
    known: Ingredients,
    unlabelled: np.ndarray,
    augment: Augment | None,
    *,
    steps: int,
    seed: int,
    prior: str = "judged",
    rounds: Sequence[float] = ROUNDS,
    kept: Path | None = None,
) -> JudgedRows:
    """Labels for rows without any, by judges that learn from what they were sure of.

    In each round two classifiers are trained on the labelled rows, and from the second round on on those that were
    kept in the last one as well, half of each batch. They label all rows; of each class the surest are kept. Rows that
    those of the first round find farther from any labelled row than these are from each other, but for one in twenty,
    are no candidates; without augmentation, those that are farther as encoded rows (by nearest neighbours in features,
    as Sun et al., "Out-of-distribution detection with deep nearest neighbors", 2022). After Lee, "Pseudo-label", 2013,
    and Cascante-Bonilla et al., "Curriculum labeling", 2021, which begins anew each round.

    Args:
        known: the labelled rows.
        unlabelled: ``(M, ...)`` raw rows like these.
        augment: what judges are trained with; None for nothing.
        steps: optimizer steps of each judge.
        seed: decides the judges.
        prior: how many rows of each class are due: of `PRIORS`, or in proportions, as ``ill=1,well=3``.
        rounds: the part of these that is kept in each.
        kept: a folder that keeps the judges, for a call that was stopped later.
    """
    with one_thread():
        encoded = known.encode(unlabelled)
        found = JudgedRows(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32), {})
        for number, part in enumerate(rounds):
            judges = _judges(known, unlabelled, found, augment, steps, derive(seed, "round", number), kept)
            if number == 0:
                # without augmentation, judges see the rows that they were trained on closer together than any other
                views = [_as_it_is] if augment is None else [partial(_directions, of) for of in judges]
                near = np.flatnonzero(_are_near(views, known, encoded))
            shares = np.mean([_shares(judge, encoded[near]) for judge in judges], axis=0)
            found = _among(near, len(encoded), _surest(shares, part, _due(shares, known, prior)))
    return found


def as_samples(judged: JudgedRows, rows: np.ndarray, form: Form, classes: Classes, by: str) -> Samples:
    """Judged rows as samples of their labels; provenance names the judges in the place of a generator.

    Args:
        judged: what was kept.
        rows: ``(M, *form.shape)`` all raw rows.
        form: of them.
        classes: of the labels.
        by: a name for the judges.
    """
    names = np.array(classes.names)[judged.labels]
    n = len(judged)
    return Samples(
        samples=rows[judged.rows],
        labels=np.array(classes.values)[judged.labels],
        classes=classes,
        form=form,
        provenance={
            "generator": np.full(n, by),
            "seed": np.full(n, -1),
            "class": names,
            "index": judged.rows,
        },
    )


def judge_unlabelled(
    rows: LabeledData,
    name: str,
    *,
    unlabelled: LabeledData,
    seed: int,
    protocol: Protocol = USUAL_PROTOCOL,
    held_out: np.ndarray | None = None,
    work: Work | None = None,
) -> Generator:
    """The unlabelled rows that judges of some rows are sure of, behind the face of a generator.

    Judges are trained with the policy. Of a class of which they are sure of no row, the labelled rows are given. It is
    a task that shares nothing with others.

    Args:
        rows: the labelled rows.
        name: of the task, unique in the folder of the work; the same name is the same judges.
        unlabelled: the others.
        seed: decides the judges, with the name.
        protocol: how long they are trained, and the class prior.
        held_out: ``(M,)`` uint64 fingerprints of rows that its rows must not meet.
        work: keeps the judges in its folder, where it has one.
    """
    started = time.perf_counter()
    others = unlabelled.read()
    form = rows.form.fitted(np.concatenate([rows.read(), others]))
    augment = form.augmentations(form.encode(rows.read()), rows.labels, {}).get("policy")
    own_seed = derive(seed, "choice", "judging", name) % 2**31
    # a few judged rows reach over less than rows of this form may, which is no sign of another scale
    pool = replace(no_pool(rows), form=form)
    parts = Ingredients.of(rows, pool, form.encode, ratio=_HALF, batch_size=protocol.batch_size)
    found = judge_rows(
        replace(parts, units=units_of(rows)),
        others,
        augment,
        steps=protocol.classifier_steps,
        seed=own_seed,
        prior=protocol.prior,
        kept=None if work is None else work.kept(name),
    )
    lacking = np.setdiff1d(rows.labels, found.labels)
    own = np.flatnonzero(np.isin(rows.labels, lacking))
    images, labels = (
        np.concatenate([others[found.rows], rows.read(own)]),
        np.append(found.labels, rows.labels[own]),
    )
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=len(rows.classes))
    family = Stock(form, counts.tolist())
    family.remember(form.encode(images[order]), torch.from_numpy(labels[order]))
    told = ", ".join(f"{n} {why}" for why, n in found.dropped.items() if n)
    sure = f"{float(found.sure.mean()):.0%} on average" if len(found) else "none"
    return Generator(
        family=family.eval().requires_grad_(False),
        form=form,
        classes=rows.classes,
        seed=own_seed,
        steps=0,
        seconds=time.perf_counter() - started,
        history=[],
        data={
            "fingerprint": unlabelled.fingerprint(),
            "origin": f"unlabelled rows of {unlabelled.origin}, labelled by classifiers of {rows.origin}",
            "counts": dict(zip(rows.classes, counts.tolist(), strict=True)),
            "judged": {"rows": found.rows.tolist(), "labels": found.labels.tolist()},
        },
        trained_on=np.concatenate([rows.fingerprints(), unlabelled.fingerprints()[found.rows]]),
        held_out=np.empty(0, np.uint64) if held_out is None else held_out,
        achieved=Achieved(
            f"{len(found)} of {len(unlabelled)} unlabelled rows were labelled by {_JUDGES} classifiers in {len(ROUNDS)}"
            f" rounds; they were sure of them to {sure}{f'; left out were {told}' if told else ''}."
        ),
    )


def with_judged(known: LabeledData, unlabelled: LabeledData, judged: Generator) -> LabeledData:
    """The labelled rows, and of the others those that were judged, with their labels."""
    rows, labels = (np.array(judged.data["judged"][name], np.int64) for name in ("rows", "labels"))
    return joined(known, unlabelled.read(rows), labels)


def _judges(
    known: Ingredients,
    unlabelled: np.ndarray,
    last: JudgedRows,
    augment: Augment | None,
    steps: int,
    seed: int,
    kept: Path | None,
) -> list[Classifier]:
    parts = replace(known, augment=augment, ratio=_HALF)
    make: MakeLoader = balanced if are_unequal(np.bincount(known.labels)) else shuffled
    # a class of which nothing was kept has only its labelled rows
    if len(last) and len(np.unique(last.labels)) == len(np.unique(known.labels)):
        classes = Classes(known.pool.classes.names, tuple(range(known.n_classes)))
        parts = parts.with_pool(as_samples(last, unlabelled, known.pool.form, classes, "judges"))
        make = partial(mixed, into=make)
    found = []
    for number in range(_JUDGES):
        own = derive(seed, "judge", number) % 2**31
        place = None if kept is None else kept / f"unlabelled-{own}.safetensors"
        found.append(train_classifier(make(parts, own), steps, own, n_classes=known.n_classes, kept=place))
    return found


def _are_near(
    views: Sequence[Callable[[torch.Tensor], np.ndarray]], known: Ingredients, others: torch.Tensor
) -> np.ndarray:
    """``(M,)`` bool: which of the others are as near to a labelled row as these are to those of other units."""
    labelled = known.encode(known.rows)
    numbers = np.arange(len(labelled)) if known.units is None else known.units
    apart, found = np.zeros(len(labelled)), np.zeros(len(others))
    for view in views:
        own, theirs = view(labelled), view(others)
        for distances, rows, of in ((apart, own, numbers), (found, theirs, np.full(len(others), -1))):
            for start in range(0, len(rows), _BATCH):
                part = slice(start, start + _BATCH)
                alike = rows[part] @ own.T
                alike[of[part, None] == numbers] = -1
                distances[part] += 1 - alike.max(axis=1)
    near: np.ndarray = found <= np.quantile(apart, _FAR)
    return near


def _directions(judge: Classifier, rows: torch.Tensor) -> np.ndarray:
    """``(N, D)`` features at unit length."""
    return _at_unit_length(np.concatenate([judge.features(part) for part in torch.split(rows, _BATCH)]))


def _as_it_is(rows: torch.Tensor) -> np.ndarray:
    """``(N, E)`` encoded rows at unit length."""
    return _at_unit_length(rows.flatten(1).numpy())


def _at_unit_length(features: np.ndarray) -> np.ndarray:
    found: np.ndarray = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    return found


def _among(near: np.ndarray, n: int, found: JudgedRows) -> JudgedRows:
    """What was found among the rows that are near, by their numbers among all."""
    return replace(
        found, rows=near[found.rows], dropped={"unlike any labelled row": n - len(near)} | dict(found.dropped)
    )


def _shares(judge: Classifier, encoded: torch.Tensor) -> np.ndarray:
    return np.concatenate([judge(part) for part in torch.split(encoded, _BATCH)])


def _due(shares: np.ndarray, known: Ingredients, prior: str) -> np.ndarray:
    """``(K,)`` how many rows of each class there are."""
    seen = np.bincount(shares.argmax(axis=1), minlength=shares.shape[1]).astype(np.float64)
    if prior == "judged":
        return seen
    if "=" in prior:
        said, names = proportions_of(prior), known.pool.classes.names
        given = np.array([said.get(name, 0) for name in names], np.float64)
        return np.asarray(len(shares) * given / given.sum())
    counts = np.bincount(known.labels, minlength=known.n_classes).astype(np.float64)
    weights = {"even": counts > 0, "labelled": counts, "between": np.sqrt(seen) * (counts > 0)}[prior] * 1.0
    due: np.ndarray = len(shares) * weights / weights.sum()
    return due


def _surest(shares: np.ndarray, part: float, due: np.ndarray) -> JudgedRows:
    labels, sure = shares.argmax(axis=1), shares.max(axis=1)
    can = sure > _SURE
    kept = []
    for k, n in enumerate(due):
        own = np.flatnonzero(can & (labels == k))
        kept.append(own[np.argsort(-sure[own], kind="stable")[: round(part * n)]])
    rows = np.sort(np.concatenate(kept))
    dropped = {"unsure": int((~can).sum()), "beyond what is due": int(can.sum()) - len(rows)}
    return JudgedRows(rows, labels[rows], sure[rows].astype(np.float32), dropped)
