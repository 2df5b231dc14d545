"""Synthetic rows in the loader or data set that a training takes its batches from."""

from __future__ import annotations

import os
from typing import Any

from synthaug import generators, mixing
from synthaug.verbs.place import is_plan, opened, path_of


def mix(
    loader: Any,
    source: Any,
    *,
    ratio: mixing.Ratio | None = None,
    mode: mixing.Mode = "replace",
    exact: bool = True,
    seed: int = 0,
    weight: float | None = None,
    flag: bool = False,
    pool: int = 200,
    refresh: float | None = None,
    transform: mixing.Transform | None = None,
    items: mixing.Items | None = None,
) -> Any:
    """A loader (or Hugging Face data set) like the given one, with synthetic rows in it.

    ``ratio`` is synthetic / (real + synthetic), the same in every class. *replace*: a real row gives way to a
    synthetic row of its own class, so labels, batch size and length stay as they were; a batch of n gets the floor
    or ceiling of ratio x n. *append*: every real row once, and batches grow. Two epochs get different plans, and
    the plan does not depend on the number of workers.

    The share is the same in every class on purpose: with synthetic rows in the rare classes only, a classifier
    learns that what looks synthetic is rare.

    Args:
        loader: a `torch.utils.data.DataLoader`, or a Hugging Face data set; a streaming one takes a generator as
            source, and its share holds on average.
        source: samples; a data set on disk that `expand` or `sample` wrote, for its synthetic rows; or a
            generator to draw ``pool`` rows of each class from; or the plan of `choose`, with its generator and share:
            one that says to use none gives the loader back as it is, but for marks that are asked for. Saved ones are
            given by their paths.
        ratio: the synthetic share, in [0, 1), 0.25 when None and no plan says more; or a mapping from class to shares
            (not for streaming data sets); for a loader any of them may be a schedule (`linear`, `cosine`, `off_after`).
        mode: ``replace`` or ``append``.
        exact: the share holds in every batch; else each row is drawn on its own, and it holds on average.
        seed: decides which rows give way to which.
        weight: adds a loss weight to each item of the batch, this one in synthetic rows and 1 in real ones.
        flag: adds whether a row is synthetic to each item of the batch.
        pool: rows of each class to draw from a generator.
        refresh: the part of a generator's pool that is new in every epoch, in (0, 1]; drawn in the main process.
        transform: applied to each synthetic image instead of the data set's own ``transform``.
        items: where image and label are in an item or a column, labels that are known, and what to fill other fields
            with, where these cannot be guessed.

    Returns:
        A loader of the same class with the same workers, collate function and order of real rows.

    Raises:
        InvalidRequest: a ratio outside [0, 1), a class the source lacks, an option of the other kind of loader.
        SpecMismatch: real and synthetic rows differ in shape, dtype or range; both are printed.
        Leakage: the loader holds rows that were held out from the generator.
        UnsupportedKind: a loader already prepared by another library, or a kind that is not taken.

    Example:
        >>> import numpy as np, synthaug
        >>> from torch.utils.data import DataLoader
        >>> X, y = np.random.default_rng(0).integers(0, 255, (40, 8, 8), np.uint8), [0, 1] * 20
        >>> samples = synthaug.fit((X, y), steps=3, progress=False).sample(10)
        >>> loader = synthaug.mix(DataLoader(list(zip(X, y)), batch_size=8), samples, ratio=0.5, flag=True)
        >>> [int(synthetic.sum()) for images, labels, synthetic in loader]
        [4, 4, 4, 4, 4]
    """
    path = path_of(source)
    saved = path is not None and (is_plan(path) or os.path.isfile(path / generators.MANIFEST))
    supply = mixing.Supply.of(opened(source, "auto") if saved else source)
    how = mixing.MixOptions(
        ratio, mode, exact, seed, weight, flag, pool, refresh, transform, items or mixing.Items()
    )
    return mixing.adapter_for(loader).mix(loader, supply, how)
