"""An albumentations transform that puts synthetic images in, and random streams that do not repeat.

Importing this module imports albumentations, and registers the transform with `A.from_dict` and `A.load`.
"""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

os.environ.setdefault(
    "NO_ALBUMENTATIONS_UPDATE", "1"
)  # else importing it asks the network for newer versions

import albumentations as A
from torch.utils.data import get_worker_info

from synthaug.data.classes import Label, plain_label
from synthaug.data.labeled import LabeledData, open_data
from synthaug.errors import InvalidData, InvalidRequest, SpecMismatch, UnsupportedKind, did_you_mean
from synthaug.files.formats import read_record
from synthaug.modalities.image.spec import ImageSpec
from synthaug.seeding import derive, numpy_rng

_SLACK = 0.05  # of the pool's range: rounding and resizing overshoot, another normalisation by far more
_ONE_LABEL_FOR_MANY = ("images", "volume", "volumes")
_STAYS_BEHIND = ("mask", "masks", "mask3d", "masks3d", "bboxes", "keypoints")


class SyntheticReplacement(A.ImageOnlyTransform):  # type: ignore[misc]
    """The image, or with probability ``p`` a synthetic image of the same class.

    Put it first in an `A.Compose`, or after what brings images to the pool's size, so that the augmentations
    that follow change real and synthetic images alike. The label is passed by name beside the image and comes
    back unchanged. Which row of the pool is taken is drawn anew each time; `A.ReplayCompose` records it.

    All arguments are plain data, so pipelines go through `A.to_dict`, `A.from_dict`, `A.save`, `A.load` and
    pickle. Images are read from the pool one at a time, when they are needed: no worker holds the pool, unless
    it is an .npz file, which is read whole.

    Args:
        pool: what ``synthaug sample`` or ``synthaug expand`` wrote: a folder, .parquet or .npz file, or saved
            Hugging Face data set. Of an expanded data set only the synthetic rows are used.
        label_key: the name under which the label is passed: a class name, or the label in the encoding of the
            data set that the generator was trained on.
        p: probability of replacement, the share of synthetic images in expectation. Where each batch should
            have the exact share, mix the loader instead.

    Targets:
        image: ``(H, W)`` or ``(H, W, C)``; shape and dtype are kept.

    Raises:
        InvalidData: there is no such pool, or it has no synthetic rows. When called:
        InvalidRequest: no label was passed, or one of a class that the pool lacks.
        SpecMismatch: image and pool differ in size, channels, dtype or value range. A float pool that reaches
            further than the images is not recognised.
        UnsupportedKind: masks, boxes or keypoints are passed, which would not fit the new image, or several
            images with one label.

    Example:
        >>> import tempfile, synthaug
        >>> from synthaug.verbs import write_samples
        >>> images, labels = np.zeros((12, 8, 8), np.uint8), ["cat", "dog"] * 6
        >>> generator = synthaug.fit((images, labels), steps=2, progress=False)
        >>> pool = write_samples(generator, {"cat": 3, "dog": 1}, f"{tempfile.mkdtemp()}/pool.npz")
        >>> transform = A.Compose([SyntheticReplacement(pool, p=1.0), A.HorizontalFlip()])
        >>> changed = transform(image=images[0], label="cat")
        >>> changed["image"].shape, changed["label"]
        ((8, 8), 'cat')
    """

    class InitSchema(A.BasicTransform.InitSchema):  # type: ignore[misc]  # noqa: D106
        pool: str | Path
        label_key: str

    def __init__(self, pool: str | Path, label_key: str = "label", p: float = 0.5) -> None:
        super().__init__(p=p)
        self.pool = os.fspath(pool)
        self.label_key = label_key
        self._card = _card_of(Path(self.pool).expanduser())

    def __call__(self, *args: Any, force_apply: bool = False, **kwargs: Any) -> Any:
        """The inputs by name, with the image replaced or not."""
        self._refuse_targets(kwargs)
        if not self.replay_mode:
            # Looked at in every call: what cannot be is refused at the first image, not at the first chance hit.
            self._class_of(kwargs)
            self._refuse_form(kwargs["image"])
        return super().__call__(*args, force_apply=force_apply, **kwargs)

    @property
    def targets_as_params(self) -> list[str]:
        """The label is needed to choose a row."""
        return [self.label_key]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """The row of the pool: a number, as what is recorded for a replay is copied and written."""
        rows = self._opened.by_class[self._class_of(data)]
        return {"row": int(rows[self.random_generator.integers(len(rows))])}

    def apply(self, img: np.ndarray, row: int, **params: Any) -> np.ndarray:
        """The image in this row of the pool, in the shape of ``img``."""
        self._refuse_form(img)
        (image,) = self._opened.data.read([row])
        if self._opened.data.spec.layout == "CHW":
            image = np.moveaxis(image, 0, -1)
        return np.ascontiguousarray(image.reshape(img.shape))

    def __getstate__(self) -> dict[str, Any]:
        """Without the opened pool: a spawned worker opens it itself."""
        return {name: value for name, value in vars(self).items() if name != "_opened"}

    @cached_property
    def _opened(self) -> _Pool:
        return _open_pool(Path(self.pool).expanduser(), self._card)

    def _class_of(self, data: Mapping[str, Any]) -> str:
        if self.label_key not in data:
            given = ", ".join(data)
            raise InvalidRequest(
                f'SyntheticReplacement needs the label of the image as "{self.label_key}"; given were {given}: call '
                f"transform(image=image, {self.label_key}=label), or name another key with label_key="
            )
        label = plain_label(data[self.label_key])
        name = self._card.names.get((type(label), label), label)
        if name not in self._opened.by_class:
            raise InvalidRequest(
                f"the image has the label {label!r}, and the pool {self.pool} holds no synthetic row of this class."
                f"{did_you_mean(str(name), self._opened.by_class)}"
            )
        return str(name)

    def _refuse_targets(self, data: Mapping[str, Any]) -> None:
        targets = {key: self._additional_targets.get(key, key) for key in data if data[key] is not None}
        left = [key for key, kind in targets.items() if kind in _STAYS_BEHIND]
        if left:
            raise UnsupportedKind(
                f"{', '.join(left)} of the image would not fit a synthetic image in its place: use "
                "SyntheticReplacement for classification only"
            )
        many = [k for k, kind in targets.items() if kind in _ONE_LABEL_FOR_MANY or (kind == "image" != k)]
        if many or "image" not in targets:
            raise UnsupportedKind(
                f"SyntheticReplacement replaces one image= by one of its class; given were {', '.join(data)}: "
                "leave additional images out of this transform's Compose"
            )

    def _refuse_form(self, image: Any) -> None:
        spec = self._card.spec
        pixels = np.asarray(image)
        size = (*pixels.shape, 1) if pixels.ndim == 2 else pixels.shape
        fits = size == (spec.height, spec.width, spec.channels) and pixels.dtype == spec.dtype
        if fits and pixels.dtype.kind == "f" and spec.low is not None and spec.high is not None:
            slack = _SLACK * (spec.high - spec.low)
            fits = bool(spec.low - slack <= pixels.min() and pixels.max() <= spec.high + slack)
        if not fits:
            span = f", values {pixels.min():.4g} to {pixels.max():.4g}" if pixels.size else ""
            raise SpecMismatch(
                f"real and synthetic images differ. Real: {'x'.join(map(str, pixels.shape))} {pixels.dtype}{span}. "
                f"Synthetic: {spec}. Put SyntheticReplacement before what changes dtype or range, and after "
                f"A.Resize({spec.height}, {spec.width}) where the sizes differ"
            )


def seed_transform(transform: Any, seed: int) -> Any:
    """The same pipeline, each of its transforms with a random stream of its own; it is changed in place.

    `A.Compose(..., seed=seed)` of albumentations 2.0.8 gives all transforms the same stream, so that a
    horizontal and a vertical flip with probability 0.5 happen always together.

    Args:
        transform: an `A.Compose` or another container, nested or not, or a single transform.
        seed: equal pipelines with equal seeds change equal images alike.

    Example:
        >>> flips = seed_transform(A.Compose([A.HorizontalFlip(), A.VerticalFlip()]), seed=0)
        >>> corners = np.arange(4, dtype=np.uint8).reshape(2, 2)
        >>> sorted({int(flips(image=corners)["image"][0, 0]) for _ in range(50)})
        [0, 1, 2, 3]
    """
    for kind, numbered in (("leaf", _leaves(transform)), ("container", _containers(transform))):
        # The streams of leaves go by their number alone, those of containers apart from them.
        path = ("augment",) if kind == "leaf" else ("augment", kind)
        for number, part in enumerate(numbered):
            # A container's own setter would hand its stream to all that it contains.
            part.random_generator = numpy_rng(seed, *path, number)
            part.py_random = random.Random(derive(seed, *path, number, "python"))
    return transform


def worker_seeding(transform: Any) -> Callable[[int], None]:
    """A ``worker_init_fn`` that gives ``transform`` streams of its own in every worker, epoch and rank.

    Without it all workers of a loader repeat the stream that the pipeline had in the main process, and repeat
    it again in every epoch. The streams follow from the loader's ``generator`` (or torch's global seed), the
    worker and the rank: with an equally seeded generator and as many workers, the same images come again.

    Args:
        transform: the pipeline that the loader's data set holds, the very same object.

    Example:
        >>> transform = A.Compose([A.HorizontalFlip(), A.VerticalFlip()])
        >>> callable(worker_seeding(transform))  # DataLoader(..., worker_init_fn=worker_seeding(transform))
        True
    """
    # Pipeline and data set go to a spawned worker in one pickle, so they are one object there as well.
    return partial(_seed_in_worker, transform)


def _seed_in_worker(transform: Any, worker: int) -> None:
    info = get_worker_info()
    assert info is not None, "called by a DataLoader in its worker"
    seed_transform(transform, derive(info.seed, "worker", int(os.environ.get("RANK", 0))))


def _leaves(transform: Any) -> Iterator[Any]:
    if not isinstance(transform, A.BaseCompose):
        yield transform
        return
    for part in transform:
        yield from _leaves(part)


def _containers(transform: Any) -> Iterator[Any]:
    if isinstance(transform, A.BaseCompose):
        yield transform
        for part in transform:
            yield from _containers(part)


# ------------------------------------------------------------------------------------------------- the pool


class _CardOfPool(NamedTuple):
    names: dict[tuple[type, Label], str]  # a label in the data set's own encoding -> its class
    spec: ImageSpec


class _Pool(NamedTuple):
    data: LabeledData
    by_class: dict[str, np.ndarray]  # rows of ``data``


def _card_of(path: Path) -> _CardOfPool:
    record = read_record(path) if path.exists() else None
    if record is None:
        found = "is not there" if not path.exists() else "was not written by synthaug"
        raise InvalidData(
            f"the pool {path} {found}: write one with `synthaug sample GENERATOR --per-class 200 --out {path}`"
        )
    card = record["card"]
    values = (plain_label(value) for value in card["values"])
    names = {(type(value), value): name for value, name in zip(values, card["classes"], strict=True)}
    return _CardOfPool(names, ImageSpec.from_dict(card["spec"]))


def _open_pool(path: Path, card: _CardOfPool) -> _Pool:
    data = open_data(str(path))
    synthetic = _synthetic_classes(path, data)
    of = np.array([name if name is not None else "" for name in synthetic], dtype=object)
    rows = np.array([name is not None for name in synthetic])
    by_class = {str(name): np.flatnonzero(rows & (of == name)) for name in dict.fromkeys(of[rows].tolist())}
    if not by_class:
        raise InvalidData(f"the pool {path} holds no synthetic rows: none is marked in its provenance")
    return _Pool(data, by_class)


def _synthetic_classes(path: Path, data: LabeledData) -> list[str | None]:
    """For each row of ``data`` the class that its provenance names, None for real rows."""
    if (path / "provenance.csv").exists():
        with open(path / "provenance.csv", encoding="utf-8", newline="") as file:
            known = {r["file"]: r["class"] for r in csv.DictReader(file) if r["synthetic"] == "True"}
        return [known.get(Path(data.name(row)).relative_to(path).as_posix()) for row in range(len(data))]
    if path.suffix.lower() == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            columns = [archive["synthetic"].tolist(), archive["class"].tolist()]
    elif path.is_dir():
        import datasets

        found = datasets.load_from_disk(str(path))
        parts = list(found.values()) if isinstance(found, datasets.DatasetDict) else [found]
        plain = [part.with_format(None).select_columns(["synthetic", "class"]) for part in parts]
        columns = [[value for part in plain for value in part[name]] for name in ("synthetic", "class")]
    else:
        from pyarrow import parquet

        table = parquet.read_table(path, columns=["synthetic", "class"])
        columns = [table["synthetic"].to_pylist(), table["class"].to_pylist()]
    return [name if made else None for made, name in zip(*columns, strict=True)]
