"""Pictures that cannot be decoded, left out and counted."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np

from synthaug.data.readers.base import Source
from synthaug.errors import InvalidData, SynthaugWarning
from synthaug.modalities.source import RowSource


def without_broken(found: Source, images: RowSource) -> tuple[Source, RowSource]:
    """A source without the rows that cannot be decoded; every row is decoded.

    Args:
        found: the source.
        images: its rows, as they are to be read.

    Warns:
        SynthaugWarning: how many there are, and the first.

    Raises:
        InvalidData: no row can be.
    """
    broken = images.broken()
    if not broken:
        return found, images
    why = next(iter(broken.values()))
    kept = np.setdiff1d(np.arange(len(images)), list(broken))
    if not len(kept):
        raise InvalidData(f"no picture of {found.origin} can be decoded; the first: {why}")
    warnings.warn(
        f"{len(broken)} of the pictures of {found.origin} cannot be decoded and are left out, the first: {why}",
        SynthaugWarning,
        stacklevel=3,
    )
    left_out = {**found.reading.left_out, "broken pictures": len(broken)}
    chosen = replace(
        found,
        targets=[found.targets[row] for row in kept.tolist()],
        splits=None if found.splits is None else found.splits[kept],
        groups=None if found.groups is None else found.groups[kept],
        synthetic=None if found.synthetic is None else found.synthetic[kept],
        beside=None if found.beside is None else found.beside.take(kept),
        reading=replace(found.reading, left_out=left_out),
    )
    return chosen, images.chosen(kept)
