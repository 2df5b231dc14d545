"""Pictures for the page, picked without a look at them: real rows, samples, and what judges say of these."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from synthaug.data.labeled import LabeledData
from synthaug.generators.samples import Samples
from synthaug.judging.curation import Curation
from synthaug.metrics.fidelity import nearest_rows
from synthaug.seeding import numpy_rng

_GAP = 2  # pixels between pictures


@dataclass(frozen=True)
class ClassPictures:
    """Pictures of one class.

    Attributes:
        name: the class.
        real: ``(n, H, W, 3)`` uint8 training rows.
        synthetic: ``(m, H, W, 3)`` uint8 synthetic rows.
        nearest: ``(m, H, W, 3)`` uint8: the training row nearest to each synthetic one, of whatever class.
    """

    name: str
    real: np.ndarray
    synthetic: np.ndarray
    nearest: np.ndarray


def pick_pictures(
    train: LabeledData, pool: Samples, *, per_class: int = 6, classes: int = 20, seed: int = 0
) -> tuple[ClassPictures, ...]:
    """Pictures of each class, drawn at random: nothing is chosen for its looks.

    Args:
        train: the rows the generator was trained on.
        pool: its samples.
        per_class: synthetic rows per class; twice as many real ones.
        classes: at most so many classes, the first ones.
        seed: decides which rows.
    """
    rng = numpy_rng(seed, "report", "pictures")
    rows = train.read()
    chosen = []
    for label, name in enumerate(train.classes[:classes]):
        real = rng.permutation(np.flatnonzero(train.labels == label))[: 2 * per_class]
        synthetic = rng.permutation(np.flatnonzero(pool.class_indices == label))[:per_class]
        chosen.append((name, real, pool.samples[synthetic]))
    points = pool.form.points(np.concatenate([samples for *_, samples in chosen]))
    nearest = nearest_rows(points, pool.form.points(rows))[0]
    groups = np.split(nearest, np.cumsum([len(samples) for *_, samples in chosen])[:-1])
    return tuple(
        ClassPictures(name, *(pool.form.drawn(part) for part in (rows[real], samples, rows[group])))
        for (name, real, samples), group in zip(chosen, groups, strict=True)
    )


@dataclass(frozen=True)
class JudgedClass:
    """What judges say of some samples of a class.

    Attributes:
        name: the class.
        judged: how many samples they looked at.
        dropped: how many of them each filter drops, by its name.
        passing: ``(n, H, W, 3)`` uint8: some that pass.
        failing: ``(m, H, W, 3)`` uint8: some that do not.
    """

    name: str
    judged: int
    dropped: Mapping[str, int]
    passing: np.ndarray
    failing: np.ndarray


def pick_judged(
    samples: Samples, curation: Curation, *, per_class: int = 8, classes: int = 20
) -> tuple[JudgedClass, ...]:
    """The first samples of each class that pass the judges, and the first that do not; no choice by looks."""
    found = []
    for label, name in enumerate(samples.classes[:classes]):
        own = samples.class_indices == label
        passing, failing = (
            samples.form.drawn(samples.samples[np.flatnonzero(own & mask)[:per_class]])
            for mask in (curation.keep, ~curation.keep)
        )
        dropped = {effect.name: effect.dropped.get(name, 0) for effect in curation.effects}
        if own.any():
            found.append(JudgedClass(name, int(own.sum()), dropped, passing, failing))
    return tuple(found)


def strip(images: np.ndarray) -> dict[str, Any]:
    """Pictures ``(N, H, W, 3)`` uint8 side by side as a PNG data address, clear between them so that any ground fits.

    Returns:
        ``address``, and ``width`` and ``height`` in pixels.
    """
    n, height, width, _ = images.shape
    canvas = np.zeros((height, n * (width + _GAP) - _GAP, 4), np.uint8)
    for i, image in enumerate(images):
        left = i * (width + _GAP)
        canvas[:, left : left + width, :3] = image
        canvas[:, left : left + width, 3] = 255
    buffer = io.BytesIO()
    Image.fromarray(canvas, "RGBA").save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"address": f"data:image/png;base64,{data}", "width": canvas.shape[1], "height": height}
