"""What should be known of labelled rows before they are trained on, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from synthaug.data.labeled import LabeledData

_FEW = 5  # images of a class
_SHOWN = 10  # classes in a sentence


def of_classes(data: LabeledData) -> Iterator[str]:
    """Classes of few rows, and one that seems to be of rows without a label."""
    few = [f'"{name}" ({count})' for name, count in data.counts.items() if count < _FEW]
    if few:
        more = f" and {len(few) - _SHOWN} more" if len(few) > _SHOWN else ""
        listed = f"{', '.join(few[:_SHOWN])}{more}"
        yield f"few {data.form.noun}s of {listed}: below {_FEW} a class, samples are close to copies"
    if doubt := data.classes.doubt:
        yield f"{data.origin}: {doubt} If they are, leave the class out: leave_out= of open_data, or --leave-out"


def of_rows(data: LabeledData) -> Iterator[str]:
    """Pages that are not read, what the form doubts, and rows under two labels; all rows have been checked."""
    if n := data.several_frames():
        yield f"{n} files of {data.origin} have several pages or frames; only the first of each is read"
    yield from data.form.doubts(data.span(), data.origin)
    yield from data.form.oddities(data.read)
    yield from _under_two_labels(data)


def _under_two_labels(data: LabeledData) -> Iterator[str]:
    told = np.flatnonzero(data.telling())
    data = data.take(told)
    prints, labels = data.fingerprints(), data.labels
    order = np.argsort(prints, kind="stable")
    starts = np.flatnonzero(np.diff(prints[order], prepend=~prints[order[:1]]))
    # of each row the first of its picture
    first = np.repeat(order[starts], np.diff(np.append(starts, len(order))))
    other = order[labels[order] != labels[first]]
    if not len(other):
        return
    pictures = np.unique(prints[other])
    row = int(np.flatnonzero(np.isin(prints, pictures))[0])
    twin = int(np.flatnonzero((prints == prints[row]) & (labels != labels[row]))[0])
    thing = data.form.thing
    of = f"1 {thing} of {{}} is" if len(pictures) == 1 else f"{len(pictures)} {thing}s of {{}} are"
    yield (
        f"{of.format(data.origin)} there under two labels, the first as {data.name(row)} "
        f'("{data.classes[labels[row]]}") and {data.name(twin)} ("{data.classes[labels[twin]]}"): '
        "correct the labels"
    )
