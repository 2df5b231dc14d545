"""Rows that are there more than once: in one split, in two of them, and among what a generator made."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.data.splits import split_names, training_split


def copies_of(data: LabeledData) -> dict[str, Any]:
    """How many rows are copies of others, as plain JSON data; rows that are equal by chance are not counted.

    Args:
        data: rows that can be decoded.

    Returns:
        ``within``: of each split with some, how many real rows are there before in it, of a set without splits under
        the name of the one to train on; ``across``: of two splits that share some, how many real rows of the first
        are in the second, that to train on coming first; ``synthetic``: how many synthetic rows are ``of real rows``
        and ``of each other``; None where there are none; ``examples``: a pair of names for each of these.

    Example:
        >>> from synthaug import open_data
        >>> X = np.random.default_rng(0).integers(0, 256, (4, 8, 8), np.uint8)[[0, 1, 2, 0]]
        >>> copies_of(open_data((X, ["cat", "dog"] * 2)))["within"]
        {'train': 1}
    """
    prints, told = data.fingerprints(), data.telling()
    made = np.zeros(len(data), bool) if data.synthetic is None else data.synthetic
    own = training_split(data)
    names = sorted(split_names(data), key=lambda name: name != own) or [own]
    splits = np.full(len(data), own) if data.splits is None else data.splits
    rows = {name: np.flatnonzero(told & ~made & (splits == name)) for name in names}
    within: dict[str, int] = {}
    across: dict[str, dict[str, int]] = {}
    pairs: list[tuple[int, int]] = []
    for name, of in rows.items():
        if len(again := _repeated(prints[of])):
            within[name] = len(again)
            pairs.append((of[again[0][0]], of[again[0][1]]))
    for (first, ours), (second, theirs) in combinations(rows.items(), 2):
        if len(found := _found(prints, ours, theirs)):
            across.setdefault(first, {})[second] = len(found)
            pairs.append(found[0])
    synthetic = None
    if made.any():
        of = np.flatnonzero(told & made)
        found, again = _found(prints, of, np.flatnonzero(told & ~made)), _repeated(prints[of])
        synthetic = {"of real rows": len(found), "of each other": len(again)}
        pairs += [*found[:1], *((of[a], of[b]) for a, b in again[:1])]
    examples = [f"{data.name(int(a))} is {data.name(int(b))}" for a, b in pairs]
    return {"within": within, "across": across, "synthetic": synthetic, "examples": examples}


def _repeated(prints: np.ndarray) -> list[tuple[int, int]]:
    """Each position whose print is there before, with the first one that has it."""
    _, first, of = np.unique(prints, return_index=True, return_inverse=True)
    return [(at, int(first[of[at]])) for at in np.flatnonzero(first[of] != np.arange(len(prints))).tolist()]


def _found(prints: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> list[tuple[int, int]]:
    """Each of our rows whose print one of theirs has, with the first that does."""
    known, first = np.unique(prints[theirs], return_index=True)
    shared = ours[np.isin(prints[ours], known)].tolist()
    places = theirs[first[np.searchsorted(known, prints[shared])]].tolist() if shared else []
    return list(zip(shared, places, strict=True))
