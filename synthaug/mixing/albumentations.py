"""An albumentations transform that puts synthetic images in, and random streams that do not repeat.

Importing this module imports albumentations, and registers the transform with `A.from_dict` and `A.load`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import get_worker_info

from synthaug.data.classes import plain_label
from synthaug.errors import InvalidRequest, UnsupportedKind
from synthaug.files.formats import Stored
from synthaug.mixing.colours import MADE, Tints, tint, warn_of_colours
from synthaug.mixing.probes import PROBES, spread
from synthaug.modalities.image.form import ImageForm
from synthaug.modalities.image.pipelines import A, Drawing, seed_transform
from synthaug.modalities.look import mismatch
from synthaug.seeding import derive
from synthaug.wording import did_you_mean

_ONE_LABEL_FOR_MANY = ("images", "volume", "volumes")
_STAYS_BEHIND = ("mask", "masks", "mask3d", "masks3d", "bboxes", "keypoints")


class SyntheticReplacement(Drawing):
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
        >>> from synthaug.files import Place, write_samples
        >>> images = np.arange(12 * 64, dtype=np.uint8).reshape(12, 8, 8)
        >>> labels = ["cat", "dog"] * 6
        >>> generator = synthaug.fit((images, labels), steps=2, progress=False)
        >>> place = Place(Path(tempfile.mkdtemp()) / "pool.npz")
        >>> pool = write_samples(generator, {"cat": 3, "dog": 1}, place)
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
        self._tints: list[tuple[float, int]] | None = []
        self._opened = Stored.at(self.pool)
        self._classes, form = self._opened.card.classes, self._opened.card.form
        if not isinstance(form, ImageForm):
            raise UnsupportedKind(f"{self.pool} holds rows of {form}; albumentations changes images")
        self._form = form

    def look(self, data: Mapping[str, Any]) -> None:
        """Refuses in every call what cannot be replaced: at the first image, not at the first chance hit."""
        self._refuse_targets(data)
        if not self.replay_mode:
            found = self._class_of(data)
            self._refuse_form(data["image"])
            self._compare(np.asarray(data["image"]), found)

    @property
    def targets_as_params(self) -> list[str]:
        """The label is needed to choose a row."""
        return [self.label_key]

    def draw(
        self, shape: tuple[int, ...], data: Mapping[str, Any], rng: np.random.Generator
    ) -> dict[str, Any]:
        """The row of the pool: a number, as what is recorded for a replay is copied and written."""
        rows = self._by_class[self._class_of(data)]
        return {"row": int(rows[rng.integers(len(rows))])}

    def apply(self, img: np.ndarray, row: int, **params: Any) -> np.ndarray:
        """The image in this row of the pool, in the shape of ``img``."""
        self._refuse_form(img)
        (image,) = self._opened.read(np.array([row]))
        if self._form.layout == "CHW":
            image = np.moveaxis(image, 0, -1)
        return np.ascontiguousarray(image.reshape(img.shape))

    def __getstate__(self) -> dict[str, Any]:
        """Without the opened pool: a spawned worker opens it itself."""
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name not in ("_opened", "_by_class")}

    @cached_property
    def _opened(self) -> Stored:
        return Stored.at(self.pool)

    @cached_property
    def _by_class(self) -> dict[int, np.ndarray]:
        """The rows of the pool that are synthetic, for each class that has any."""
        rows, of = self._opened.synthetic, self._opened.class_indices
        return {k: rows[of == k] for k in np.unique(of).tolist()}

    def _class_of(self, data: Mapping[str, Any]) -> int:
        if self.label_key not in data:
            given = ", ".join(data)
            raise InvalidRequest(
                f'SyntheticReplacement needs the label of the image as "{self.label_key}"; given were {given}: call '
                f"transform(image=image, {self.label_key}=label), or name another key with label_key="
            )
        label = plain_label(data[self.label_key])
        found = self._classes.find(label)
        if found is None and label in self._classes.names:
            found = self._classes.names.index(str(label))
        if found is None or found not in self._by_class:
            names = [self._classes[k] for k in self._by_class]
            raise InvalidRequest(
                f"the image has the label {label!r}, and the pool {self.pool} holds no synthetic row of this class."
                f"{did_you_mean(str(label), names)}"
            )
        return found

    def _compare(self, image: np.ndarray, found: int) -> None:
        """Warns of BGR beside RGB, once, when enough images were seen."""
        if self._tints is None or image.ndim != 3 or image.shape[2] != 3:
            return
        self._tints.append((tint(image), found))
        if len(self._tints) < PROBES:
            return
        span = 255.0 if image.dtype == np.uint8 else float(np.ptp(image))
        (tints, classes), self._tints = zip(*self._tints, strict=True), None
        warn_of_colours(Tints.of_single(tints, classes, span), self._pool_tints, 4)

    def _pool_tints(self) -> Tints | None:
        every = np.arange(len(self._opened.synthetic))
        few = spread(every, MADE)
        rows = self._opened.read(self._opened.synthetic[few])
        return Tints.seen(list(rows), self._opened.class_indices[few].tolist())

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
        form, pixels = self._form, np.asarray(image)
        if not form.holds(pixels):
            span = f", values {pixels.min():.4g} to {pixels.max():.4g}" if pixels.size else ""
            raise mismatch(
                f"{'x'.join(map(str, pixels.shape))} {pixels.dtype}{span}",
                str(form),
                "Put SyntheticReplacement before what changes dtype or range, and after "
                f"A.Resize({form.height}, {form.width}) where the sizes differ",
            )


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
