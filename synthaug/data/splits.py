"""Parts of a data set: by the source's own splits, or drawn by class and by group, never overlapping."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidData, InvalidRequest, Leakage, SynthaugWarning, did_you_mean
from synthaug.seeding import numpy_rng


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


def training_rows(data: LabeledData, split: str | None = None) -> LabeledData:
    """The rows of `split`; when None, those of "train" where there are splits, else all.

    Raises:
        InvalidRequest: if there is no such split.
    """
    return part(data, "train" if split is None else split)


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
        raise InvalidRequest(f"fractions {dict(fractions)} were given; they must be above 0 and add up to 1")
    unit_of = _units(data)
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
    unit_of, counts = _units(data), np.bincount(data.labels, minlength=len(data.classes))
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


def require_disjoint(a: LabeledData, b: LabeledData, what: str) -> None:
    """Refuse two sets that share a picture or a group.

    Args:
        a: one set.
        b: the other.
        what: the two sets in words, e.g. ``"training and test rows"``.

    Raises:
        Leakage: naming the first shared row or group.
    """
    if a.groups is not None and b.groups is not None:
        shared_groups = sorted(set(a.groups.tolist()) & set(b.groups.tolist()))
        if shared_groups:
            raise Leakage(
                f'{what} overlap: group "{shared_groups[0]}" is on both sides'
                f"{_more(len(shared_groups) - 1)}; keep every group on one side"
            )
    prints = a.fingerprints()
    shared = np.flatnonzero(np.isin(prints, b.fingerprints()))
    if len(shared):
        first = int(shared[0])
        twin = int(np.flatnonzero(b.fingerprints() == prints[first])[0])
        raise Leakage(
            f"{what} overlap: {a.name(first)} and {b.name(twin)} are the same picture"
            f"{_more(len(shared) - 1)}; keep each picture on one side"
        )


def _more(n: int) -> str:
    return f" (and {n} more)" if n else ""


def _units(data: LabeledData) -> np.ndarray:
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

VALIDATION_NAMES = ("validation", "valid", "val", "dev")
"""What the split that choices are made on is called in the wild."""


def training_and_held_out(
    data: LabeledData, split: str | None = None
) -> tuple[LabeledData, LabeledData | None]:
    """The training rows, and the rows of all other splits, which no generator may see.

    Training rows that are copies of a held-out row are left out, with a warning.

    Returns:
        The training rows; the held-out rows, or None where the source has no splits.
    """
    train = training_rows(data, split)
    if data.splits is None:
        return train, None
    name = "train" if split is None else split
    held_out = data.take(np.flatnonzero(data.splits != name))
    return without_copies(train, held_out), held_out if len(held_out) else None


def validation_rows(data: LabeledData, split: str | None = None) -> LabeledData | None:
    """The rows of the source's own validation split, None where it has none or is trained on it.

    Args:
        data: the whole data set.
        split: the split that is trained on; "train" when None.
    """
    own = next((name for name in VALIDATION_NAMES if name in split_names(data) and name != split), None)
    return None if own is None else part(data, own)


def three_parts(
    data: LabeledData, seed: int, test: str | None = None
) -> tuple[LabeledData, LabeledData, LabeledData]:
    """Rows to train on, to choose by and to test on: `with_three_splits`, and no copy in two of them.

    Training and validation rows that are copies of rows of a later part are left out, with a warning.
    """
    data = with_three_splits(data, seed, test)
    train, validation, test_rows = (part(data, name) for name in THREE)
    validation = without_copies(validation, test_rows)
    return without_copies(without_copies(train, test_rows), validation), validation, test_rows


def with_three_splits(data: LabeledData, seed: int, test: str | None = None) -> LabeledData:
    """The rows in splits called "train", "validation" and "test".

    The source's own splits are used. What it lacks is drawn by class and group: a quarter of all rows for testing,
    a fifth of the rows that are left for validation. Rows of any further split are left out.

    Args:
        data: the whole data set.
        seed: decides what is drawn.
        test: the split to test on; "test" when None.

    Raises:
        InvalidRequest: there is no split of the name ``test``.
        InvalidData: too few rows for three splits.
    """
    names = split_names(data)
    tested = test or ("test" if "test" in names else None)
    own = next((name for name in VALIDATION_NAMES if name in names and name != tested), None)
    splits = np.full(len(data), "train", dtype="<U10")
    if data.splits is not None:
        further = (
            data.splits != "train"
            if "train" in names
            else np.isin(data.splits, [name for name in (tested, own) if name])
        )
        splits[further] = "none"
    if tested is not None:
        part(data, tested)  # refuses a name that is not there
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
    data.fingerprints()  # once, for all parts
    return replace(data, splits=splits).take(np.flatnonzero(splits != "none"))


def _draw(data: LabeledData, splits: np.ndarray, name: str, fraction: float, seed: int) -> None:
    """Renames a share of the rows called "train"."""
    rows = np.flatnonzero(splits == "train")
    drawn = stratified(data.take(rows), {"train": 1 - fraction, name: fraction}, seed)
    splits[rows[drawn[name]]] = name


def without_copies(data: LabeledData, others: LabeledData) -> LabeledData:
    """The rows that are no copies of other rows; a warning says how many were left out."""
    copies = np.isin(data.fingerprints(), others.fingerprints())
    if not copies.any():
        return data
    first = data.name(int(np.flatnonzero(copies)[0]))
    warnings.warn(
        f"{int(copies.sum())} training rows of {data.origin} are copies of held-out rows (the first is {first}); "
        "they are left out of training",
        SynthaugWarning,
        stacklevel=3,
    )
    return data.take(np.flatnonzero(~copies))
