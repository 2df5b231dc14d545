"""Parts of a data set: by the source's own splits, or drawn by class and by group, never overlapping."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from synthaug.data.guards import require_disjoint, without_copies
from synthaug.data.labeled import LabeledData
from synthaug.data.usual_splits import usual_split
from synthaug.errors import InvalidData, InvalidRequest, SynthaugWarning
from synthaug.seeding import numpy_rng
from synthaug.wording import as_pairs, did_you_mean, quoted


def split_names(data: LabeledData) -> tuple[str, ...]:
    """The names of the source's own splits, in order of appearance; none where it has no splits."""
    return () if data.splits is None else tuple(str(name) for name in dict.fromkeys(data.splits.tolist()))


def part(data: LabeledData, name: str) -> LabeledData:
    """The rows of the split called `name`; "train" of a set without splits is all of it.

    Raises:
        InvalidRequest: if there is no such split.
    """
    names = split_names(data)
    if data.splits is None and name == "train":
        return data
    if name not in names or data.splits is None:
        hint = did_you_mean(name, names) or " It has no splits."
        raise InvalidRequest(f'{data.origin} has no split "{name}".{hint}')
    return data.take(np.flatnonzero(data.splits == name))


def training_rows(data: LabeledData) -> LabeledData:
    """The rows to train on: those of the split that was named for it or else of "train", of a set without splits all.

    Raises:
        InvalidRequest: if there is no such split.
    """
    return part(data, training_split(data))


def training_split(data: LabeledData) -> str:
    """The name of the split to train on."""
    return data.train_split or "train"


def tested_split(data: LabeledData) -> str | None:
    """The name of the split to test on: the one that was named for it or else "test"; None where there is none."""
    return data.test_split or ("test" if "test" in split_names(data) else None)


def validation_split(data: LabeledData) -> str | None:
    """The name of the split to choose by; None where none is called so, or it is for training or testing."""
    taken = (training_split(data), tested_split(data))
    known = split_names(data)
    usual = [name for name in known if name not in taken and usual_split(name) == "validation"]
    return usual[0] if len(usual) == 1 else "validation" if "validation" in usual else None


def stratified(data: LabeledData, fractions: Mapping[str, float], seed: int) -> dict[str, np.ndarray]:
    """Row numbers of disjoint parts, each class shared out as `fractions` say.

    Rows of one group, and rows with the same picture, are never separated. Without them every class is
    shared out to within one row; with them as nearly as greedy assignment of the largest units first gets.
    A class of at least two units (rows, or groups) has rows in the first part.

    Args:
        data: rows to share out; its pictures are decoded for comparison.
        fractions: name of each part -> its share, above 0, adding up to 1.
        seed: the same seed gives the same parts.

    Returns:
        ``(n,)`` int64 row numbers of `data` for every part, ascending; every row is in exactly one.

    Raises:
        InvalidRequest: if the fractions are not shares of a whole.
    """
    shares = np.array(list(fractions.values()), dtype=float)
    if not len(shares) or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise InvalidRequest(
            f"fractions {as_pairs(fractions)} were given; they must be above 0 and add up to 1"
        )
    unit_of = units_of(data)
    n_units = int(unit_of.max(initial=-1)) + 1
    content = np.zeros((n_units, len(data.classes)), np.int64)  # rows of each class in each unit
    np.add.at(content, (unit_of, data.labels), 1)

    order = numpy_rng(seed, "split").permutation(n_units)
    order = order[np.argsort(-content[order].sum(axis=1), kind="stable")]
    due = np.outer(shares, content.sum(axis=0))  # rows of each class each part still lacks
    part_of = np.full(n_units, -1)

    def assign(unit: int, which: int) -> None:
        part_of[unit] = which
        due[which] -= content[unit]

    spread = (content > 0).sum(axis=0)
    covered = np.zeros(len(data.classes), dtype=bool)
    for label in np.flatnonzero(spread > 1):
        if not covered[label]:
            smallest = next(int(unit) for unit in order[::-1] if content[unit, label] and part_of[unit] < 0)
            assign(smallest, 0)
            covered |= content[smallest] > 0
    for unit in order:
        if part_of[unit] < 0:
            assign(int(unit), int(np.argmax(due @ content[unit])))
    return {name: np.flatnonzero(part_of[unit_of] == which) for which, name in enumerate(fractions)}


def cross_folds(data: LabeledData, n: int, seed: int) -> list[np.ndarray]:
    """Row numbers to hold out in each of n folds, each class shared out evenly, as `stratified` does.

    Every class can be learned in every fold: where one would keep fewer than two rows of a class, the rows of that
    class are not held out in it, nor what belongs together with them.

    Raises:
        InvalidData: a fold would hold out nothing.
    """
    folds = list(stratified(data, {str(i): 1 / n for i in range(n)}, seed).values())
    unit_of, counts = units_of(data), np.bincount(data.labels, minlength=len(data.classes))
    for i, fold in enumerate(folds):
        own = np.bincount(data.labels[fold], minlength=len(data.classes))
        needed = np.isin(data.labels[fold], np.flatnonzero(counts - own < 2))
        folds[i] = fold[~np.isin(unit_of[fold], unit_of[fold][needed])]
    if not all(map(len, folds)):
        raise InvalidData(
            f"{data.origin} has {len(data)} rows of {len(data.classes)} classes, too few for {n} folds in which each "
            "class can be learned and judged. Add rows, or ask for fewer folds."
        )
    return folds


def units_of(data: LabeledData) -> np.ndarray:
    """``(N,)`` number of the unit of each row: rows linked by a shared picture or group are one unit."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(data)
    links = [np.unique(data.fingerprints(), return_inverse=True)[1]]
    if data.groups is not None:
        links.append(np.unique(data.groups, return_inverse=True)[1])
    rows = np.arange(n)
    # A graph of rows and of what they share, one node each.
    starts = np.cumsum([n, *(int(link.max(initial=-1)) + 1 for link in links)])
    targets = np.concatenate([start + link for start, link in zip(starts, links, strict=False)])
    sources = np.tile(rows, len(links))
    graph = coo_array((np.ones(len(sources), np.int8), (sources, targets)), shape=(starts[-1], starts[-1]))
    component = connected_components(graph, directed=False)[1][:n]
    return np.unique(component, return_inverse=True)[1]


THREE = ("train", "validation", "test")
"""Rows to train on, to choose by, and to test on."""


def training_and_held_out(data: LabeledData) -> tuple[LabeledData, LabeledData | None]:
    """The training rows, and the rows of all other splits, which no generator may see.

    Training rows that are copies of a held-out row are left out, with a warning.

    Returns:
        The training rows; the held-out rows, or None where the source has no splits.

    Raises:
        Leakage: a group is on both sides.
    """
    train = training_rows(data)
    if data.splits is None:
        return train, None
    held_out = data.others(training_split(data))
    if not len(held_out):
        return train, None
    train = without_copies(train, held_out)
    require_disjoint(train, held_out, "training and held-out rows")
    return train, held_out


def validation_rows(data: LabeledData) -> LabeledData | None:
    """The rows of the source's own validation split; None where it has none."""
    own = validation_split(data)
    return None if own is None else part(data, own)


def rows_to_choose_by(data: LabeledData) -> LabeledData:
    """The rows that are meant where a data set is given to choose by: never test rows that nobody named.

    Raises:
        InvalidRequest: several splits, none of them for validation, or test rows alone.
    """
    names = split_names(data)
    if data.train_split in names:
        return training_rows(data)
    own = validation_rows(data)
    if own is not None:
        return own
    if len(names) > 1 or names == ("test",):
        raise InvalidRequest(
            f"{data.origin} was given to choose the checkpoint by, but it has the splits {quoted(names)}, none of "
            "which is for that. Give the rows of one split, e.g. the folder of it alone, or name one: "
            'open_data(source, train_split="...").'
        )
    return data


def three_parts(data: LabeledData) -> tuple[LabeledData, LabeledData, LabeledData]:
    """Rows to train on, to choose by and to test on, no copy in two of them.

    Training and validation rows that are copies of rows of a later part are left out, with a warning.

    Args:
        data: rows in the splits of `with_three_splits`.
    """
    train, validation, test = (part(data, name) for name in THREE)
    validation = without_copies(validation, test)
    return without_copies(without_copies(train, test), validation), validation, test


def with_three_splits(data: LabeledData, seed: int) -> LabeledData:
    """The rows in splits called "train", "validation" and "test".

    The source's own splits are used. What it lacks is drawn by class and group: a quarter of all rows for testing,
    a fifth of the rows that are left for validation.

    Args:
        data: the whole data set.
        seed: decides what is drawn.

    Warns:
        SynthaugWarning: rows of further splits, which are left out.

    Raises:
        InvalidData: too few rows for three splits.
    """
    names, trained = split_names(data), training_split(data)
    tested, own = tested_split(data), validation_split(data)
    splits = np.full(len(data), "train", dtype="<U10")
    if data.splits is not None:
        further = (
            data.splits != trained
            if trained in names
            else np.isin(data.splits, [name for name in (tested, own) if name])
        )
        splits[further] = "none"
        left_out = [name for name in names if trained in names and name not in (trained, tested, own)]
        if left_out:
            warnings.warn(
                f"{int(np.isin(data.splits, left_out).sum())} rows of {data.origin} take no part: they are in the "
                f"splits {quoted(left_out)}, beside those to train on, to choose by and to test on",
                SynthaugWarning,
                stacklevel=3,
            )
    if tested is not None:
        splits[data.splits == tested] = "test"
    else:
        _draw(data, splits, "test", 0.25, seed)
    if own is not None:
        splits[data.splits == own] = "validation"
    else:
        _draw(data, splits, "validation", 0.2, seed)
    for name in THREE:
        if not (splits == name).any():
            raise InvalidData(
                f"{data.origin} has {len(data)} rows of {len(data.classes)} classes, too few for {name} rows beside "
                "the others. Add rows, or splits of your own."
            )
    named = replace(data, splits=splits, source=None, train_split=None, test_split=None)
    return named.take(np.flatnonzero(splits != "none"))


def _draw(data: LabeledData, splits: np.ndarray, name: str, fraction: float, seed: int) -> None:
    """Renames a share of the rows called "train"."""
    rows = np.flatnonzero(splits == "train")
    drawn = stratified(data.take(rows), {"train": 1 - fraction, name: fraction}, seed)
    splits[rows[drawn[name]]] = name
