"""Pictures for the page, picked without a look at them: real rows, samples, and what judges say of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from synthaug.data.labeled import LabeledData
from synthaug.generators.samples import Samples
from synthaug.judging.curation import Curation
from synthaug.metrics.fidelity import nearest_rows
from synthaug.modalities.base import Form
from synthaug.seeding import numpy_rng
from synthaug.wording import data_address

_GAP = 2  # pixels between pictures
_LARGEST = 112  # pixels a side of a row on the page of a data set
_CLASSES, _MOST = 20, 2000  # classes, and rows in an overview
_NOTHING = np.empty((0, 1, 1, 3), np.uint8)


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
    """Pictures of each class, drawn at random: nothing is chosen for its looks; none where rows are no pictures.

    Args:
        train: the rows the generator was trained on.
        pool: its samples.
        per_class: synthetic rows per class; twice as many real ones.
        classes: at most so many classes, the first ones.
        seed: decides which rows.
    """
    if not pool.form.pictured:
        return ()
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
    """The first samples of each class that pass the judges, and the first that do not; no choice by looks.

    Of rows that are no pictures none are shown, but it is said how many there are.
    """
    found, shown = [], per_class if samples.form.pictured else 0
    for label, name in enumerate(samples.classes[:classes]):
        own = samples.class_indices == label
        passing, failing = (
            samples.form.drawn(samples.samples[np.flatnonzero(own & mask)[:shown]])
            for mask in (curation.keep, ~curation.keep)
        )
        dropped = {effect.name: effect.dropped.get(name, 0) for effect in curation.effects}
        if own.any():
            found.append(JudgedClass(name, int(own.sum()), dropped, passing, failing))
    return tuple(found)


def draw_overview(train: LabeledData, pool: Samples, *, seed: int = 0) -> dict[str, Any] | None:
    """Real and synthetic rows side by side where a single one says nothing to a person; None where it does.

    Args:
        train: the rows the generator was trained on.
        pool: its samples, of which each class has as large a part as among the training rows, as far as they reach.
        seed: decides which rows.
    """
    if pool.form.pictured:
        return None
    rng = numpy_rng(seed, "report", "overview")
    chosen = _in_proportion(train.labels, pool.class_indices, len(train.classes), rng)
    return _side_by_side(pool.form, {"real": train.read(), "synthetic": pool.samples[chosen]})


@dataclass(frozen=True)
class ClassRows:
    """Small pictures of rows of one class as a data set holds them.

    Attributes:
        name: the class.
        real: ``(n, H, W, 3)`` uint8.
        synthetic: ``(m, H, W, 3)`` uint8.
    """

    name: str
    real: np.ndarray
    synthetic: np.ndarray


def pick_rows(
    data: LabeledData, *, per_class: int = 8, classes: int = _CLASSES, seed: int = 0
) -> tuple[ClassRows, ...]:
    """Real rows of each class, and synthetic ones where the data set holds some, drawn at random.

    No more rows are read than are shown. None where rows are no pictures, or all of one value.

    Args:
        data: rows that have been checked.
        per_class: real and synthetic rows of each class.
        classes: at most so many classes, the first ones with rows.
        seed: decides which rows.
    """
    if not data.form.pictured:
        return ()
    low, high = data.span()
    if low == high:
        return ()
    form = data.form.fitted(np.stack([np.full(data.form.shape, end, data.form.dtype) for end in (low, high)]))
    rng, made = numpy_rng(seed, "inspection", "rows"), _made(data)

    def small(rows: np.ndarray) -> np.ndarray:
        return np.concatenate([_small(form.drawn(data.read([row]))) for row in rows.tolist()] or [_NOTHING])

    chosen = []
    for name in data.present[:classes]:
        own = data.labels == data.classes.index(name)
        real, synthetic = (
            small(rng.permutation(np.flatnonzero(own & of))[:per_class]) for of in (~made, made)
        )
        chosen.append(ClassRows(name, real, synthetic))
    return tuple(chosen)


def draw_rows(data: LabeledData, *, most: int = _MOST, seed: int = 0) -> dict[str, Any] | None:
    """As `draw_overview`, of the real and the synthetic rows that a data set holds; at most so many of each."""
    if data.form.pictured:
        return None
    rng, made = numpy_rng(seed, "inspection", "overview"), _made(data)
    real, synthetic = (rng.permutation(np.flatnonzero(of)) for of in (~made, made))
    if len(real) and len(synthetic):
        labels = (data.labels[real], data.labels[synthetic])
        synthetic = rng.permutation(synthetic[_in_proportion(*labels, len(data.classes), rng)])
    chosen = {"real": real[:most], "synthetic": synthetic[:most]}
    blocks = {title: data.read(rows) for title, rows in chosen.items() if len(rows)}
    return _side_by_side(data.form.fitted(np.concatenate(list(blocks.values()))), blocks)


def _made(data: LabeledData) -> np.ndarray:
    return np.zeros(len(data), bool) if data.synthetic is None else data.synthetic


def _in_proportion(
    labels: np.ndarray, there: np.ndarray, classes: int, rng: np.random.Generator
) -> np.ndarray:
    """Positions among labels that are there, of each class as large a part as among others, as far as they reach."""
    wanted, held = (np.bincount(of, minlength=classes) for of in (labels, there))
    scale = min(1.0, min((held[k] / n for k, n in enumerate(wanted) if n and held[k]), default=0.0))
    return np.concatenate(
        [
            rng.permutation(np.flatnonzero(there == k))[: round(n * scale)]
            for k, n in enumerate(wanted.tolist())
        ]
    )


def _small(images: np.ndarray) -> np.ndarray:
    """Pictures ``(N, H, W, 3)``, shrunk where they are larger than a page shows them."""
    _, height, width, _ = images.shape
    scale = _LARGEST / max(height, width)
    if scale >= 1:
        return images
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    shrunk = [Image.fromarray(image).resize(size, Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(image) for image in shrunk])


def _side_by_side(form: Form, blocks: Mapping[str, np.ndarray]) -> dict[str, Any]:
    picture = form.side_by_side(["all"], blocks)
    return _as_address(picture) | {"width": picture.width, "height": picture.height}


def _as_address(picture: Image.Image) -> dict[str, Any]:
    return {"address": data_address(picture)}


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
    return _as_address(Image.fromarray(canvas, "RGBA")) | {"width": canvas.shape[1], "height": height}
