"""What must hold before rows meet: no row on both sides of a split, none in training that is kept for testing."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidRequest, Leakage, SynthaugWarning


def require_original(data: LabeledData, what: str) -> None:
    """Refuse rows of which some are synthetic, since they would pass for real ones.

    Args:
        data: the rows.
        what: what they are, e.g. ``"data set to expand"``.

    Raises:
        InvalidRequest: with their number.
    """
    if data.synthetic is not None and data.synthetic.any():
        raise InvalidRequest(
            f"The {what}, {data.origin}, already holds synthetic rows of synthaug, {int(data.synthetic.sum())} of "
            f"{len(data)}, which would pass for real ones. Use the original."
        )


def require_disjoint(a: LabeledData, b: LabeledData, what: str) -> None:
    """Refuse two sets that share a row, as far as rows are known by their content, or a group.

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
    shared = np.flatnonzero(np.isin(prints, b.telling_fingerprints()))
    if len(shared):
        first = int(shared[0])
        twin = int(np.flatnonzero(b.fingerprints() == prints[first])[0])
        raise Leakage(
            f"{what} overlap: {a.name(first)} and {b.name(twin)} are the same {a.form.thing}"
            f"{_more(len(shared) - 1)}; keep each {a.form.thing} on one side"
        )


def without_copies(data: LabeledData, others: LabeledData) -> LabeledData:
    """The rows that are no copies of other rows; a warning says how many were left out."""
    copies = np.isin(data.fingerprints(), others.telling_fingerprints())
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


def require_unseen(
    train: LabeledData,
    others: Mapping[str, LabeledData],
    trained_on: np.ndarray,
    unlabelled: np.ndarray | None = None,
) -> None:
    """Refuse overlap among the sets of rows, and a generator that saw more than the training rows.

    Args:
        train: what classifiers are trained on.
        others: further rows by what they are for, e.g. ``"test"``.
        trained_on: ``(M,)`` uint64 fingerprints of the rows that the generator saw.
        unlabelled: ``(U,)`` those of rows without labels that it may have seen as well.

    Raises:
        Leakage: with the number of rows.
    """
    named = {"training": train, **others}
    for (a, left), (b, right) in combinations(named.items(), 2):
        require_disjoint(left, right, f"{a} and {b} rows")
    for name, data in others.items():
        seen = int(np.isin(data.telling_fingerprints(), trained_on).sum())
        if seen:
            raise Leakage(
                f"The generator was trained on {seen} of the {len(data)} {name} rows, so its samples would "
                "tell classifiers about them. Give none, and one is trained on the right rows; or give the data set "
                "a validation split, which no generator is trained on."
            )
    known = train.fingerprints() if unlabelled is None else np.concatenate([train.fingerprints(), unlabelled])
    extra = int((~np.isin(trained_on, known)).sum())
    if extra:
        raise Leakage(
            f"The generator was trained on {extra} rows that are no training rows of the classifiers: a gain "
            "would come from those. Train the generator and the classifiers on the same rows."
        )


def require_no_copies(samples: np.ndarray, others: Mapping[str, LabeledData]) -> None:
    """Refuse samples that are rows to choose or to test by, whoever made them.

    Args:
        samples: ``(N,)`` uint64 fingerprints of the samples.
        others: rows by what they are for.

    Raises:
        Leakage: with the number of samples.
    """
    for name, data in others.items():
        copies = int(np.isin(samples, data.telling_fingerprints()).sum())
        if copies:
            raise Leakage(
                f"{copies} of the {len(samples)} samples are copies of {name} rows: what made them has seen "
                "these rows. Train a generator on the training rows alone."
            )


def refuse_held_out(
    prints: np.ndarray,
    held_out: np.ndarray,
    where: str,
    name: Callable[[int], str] = "row {}".format,
    remedy: str = "mix training rows only",
) -> None:
    """Refuse rows that were kept from a generator for testing.

    Args:
        prints: ``(n,)`` uint64 fingerprints of rows that its samples are to meet.
        held_out: ``(M,)`` uint64 fingerprints of the rows that they must not.
        where: what to call the rows' data set in the message.
        name: what to call one of them.
        remedy: what to do.

    Raises:
        Leakage: with their number and the first one.
    """
    leaked = np.flatnonzero(np.isin(prints, held_out))
    if len(leaked):
        raise Leakage(
            f"{len(leaked)} of the {len(prints)} rows looked at in {where} are held out from the generator for "
            f"testing (the first is {name(int(leaked[0]))}): {remedy}"
        )


def _more(n: int) -> str:
    return f" (and {n} more)" if n else ""
