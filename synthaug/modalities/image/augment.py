"""Augmentation of images by albumentations, as arms take it: what synthetic rows have to be better than."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image

from synthaug.errors import InvalidRequest
from synthaug.modalities.arrays import as_array
from synthaug.modalities.image.cells import channels_last, image_like
from synthaug.modalities.image.form import ImageForm
from synthaug.modalities.image.pictures import READ_AS
from synthaug.seeding import derive, numpy_rng

# Root mean square displacement of a pixel away from the border, as a share of the shorter side. 0.05 at 28x28 is about
# what Simard et al. (2003) gave digits.
ELASTIC = {"weak": 0.025, "medium": 0.05, "strong": 0.08}
_FLIP_TRIAL_ROWS = 1000
_CUTMIX_CHANCE = 0.5


@dataclass(frozen=True)
class _Step:
    """Operations of albumentations, of which each image takes so many, in the order given; or with a chance."""

    operations: Sequence[Any]
    taken: int = 1
    chance: float = 1.0

    def takers(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """``(n, operations)`` bool: which image takes which operation."""
        rank = rng.random((n, len(self.operations))).argsort(axis=1).argsort(axis=1)
        return np.asarray((rank < self.taken) & (rng.random((n, 1)) < self.chance))


class ImageAugmentation:
    """Operations of albumentations as a function of the batch and the seed.

    Each image takes operations of its own. What an operation draws, such as an angle, holds for some images of the
    batch that take it, and for others with the next operation: to draw takes longer than to change a small image.

    Args:
        build: makes the steps for images whose shorter side is the given number of pixels; it must travel to other
            processes, which the operations need not.
        together: how many images share a draw, at most.
    """

    def __init__(self, build: Callable[[int], Sequence[_Step]], together: int = 8) -> None:
        self._build, self.together = build, together
        self._steps: Sequence[_Step] | None = None

    def __call__(self, images: torch.Tensor, seed: int) -> torch.Tensor:
        """``(N, C, H, W)`` float32 images in [-1, 1], augmented; the input stays."""
        if self._steps is None:
            self._steps = self._build(min(images.shape[2:]))
        # Its float images lie in [0, 1], channels last.
        raw = np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1)) * 0.5 + 0.5
        with _one_opencv_thread():
            for number, step in enumerate(self._steps):
                _change(raw, step, self.together, derive(seed, "augmentation", number))
        return torch.from_numpy(np.ascontiguousarray(raw.transpose(0, 3, 1, 2)) * 2 - 1)

    def pipeline(self, form: ImageForm) -> Any:
        """The same as an `A.Compose` for single images of a form, ``(H, W)`` or ``(H, W, C)``."""
        from synthaug.modalities.image.pipelines import A, FromUnit, Streamed, ToUnit

        taken = [_in_a_row(A, step) for step in self._build(min(form.height, form.width))]
        low, high = form.low, form.high
        assert low is not None, "it was fitted to training rows"
        assert high is not None
        if form.dtype != "uint8" and (form.dtype, low, high) != ("float32", 0.0, 1.0):
            taken = [ToUnit(low, high), *taken, FromUnit(low, high, form.dtype)]
        return Streamed(taken)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_steps": None}


class OwnAugmentation:
    """A pipeline of the user's for single images as a function of the batch and the seed, as arms take it.

    Args:
        name: what it is called.
        transform: an `A.Compose`, or another transform of albumentations.
        form: of the images that it takes and gives.
    """

    def __init__(self, name: str, transform: Any, form: ImageForm) -> None:
        self.name, self._transform, self._form = name, transform, form

    def __call__(self, images: torch.Tensor, seed: int) -> torch.Tensor:
        """``(N, C, H, W)`` float32 images in [-1, 1], changed; the input stays.

        Raises:
            InvalidRequest: what comes is no image of the same form.
        """
        from synthaug.modalities.image.pipelines import seed_transform  # imports albumentations

        seed_transform(self._transform, seed)
        change = OnImages(self._transform)
        with _one_opencv_thread():
            changed = [np.asarray(change(image)) for image in self._form.decode(images)]
        other = next(
            (each for each in changed if each.shape != self._form.shape or each.dtype != self._form.dtype),
            None,
        )
        if other is not None:
            raise InvalidRequest(
                f'The augmentation "{self.name}" makes {"x".join(map(str, other.shape))} {other.dtype} of {self._form}.'
                " It has to give images like those that it is given: leave out what crops, normalises or makes tensors."
            )
        return self._form.encode(np.stack(changed))

    def pipeline(self, form: ImageForm) -> Any:
        """Its transforms, with random streams that do not repeat."""
        from synthaug.modalities.image.pipelines import Streamed

        return Streamed([self._transform])


class OnImages:
    """A pipeline of albumentations as a function of one image: an array or tensor, channels first or last, or PIL.

    Args:
        pipeline: called as ``pipeline(image=array)["image"]`` with ``(H, W)`` or ``(H, W, C)``, and leaves it as it is.
        dtype: that it takes; whole numbers in wider ones are brought to it, and back.
    """

    def __init__(self, pipeline: Any, dtype: str | None = None) -> None:
        self.pipeline, self.dtype = pipeline, dtype

    def __call__(self, image: Any) -> Any:
        """The image, changed; of the kind, shape and dtype that it has where the pipeline keeps these."""
        if isinstance(image, Image.Image) and image.mode != (mode := READ_AS.get(image.mode, image.mode)):
            image = image if mode == "I;16" else image.convert(mode)  # numbers of colours are no greys
        pixels = np.asarray(as_array(image))
        if self.dtype is not None and pixels.dtype.kind in "iu" and np.dtype(self.dtype).kind in "iu":
            pixels = pixels.astype(self.dtype)
        planes, first = channels_last(pixels)
        changed = self.pipeline(image=np.ascontiguousarray(planes))["image"]
        if changed.ndim == 2 and pixels.ndim == 3:
            changed = changed[..., None]
        return image_like(np.ascontiguousarray(np.moveaxis(changed, -1, 0) if first else changed), image)


def _in_a_row(A: Any, step: _Step) -> Any:
    """A step as a transform of albumentations."""
    if len(step.operations) > 1:
        return A.SomeOf(list(step.operations), n=step.taken, replace=False, p=step.chance)
    return A.Sequential(list(step.operations), p=step.chance)


def _change(raw: np.ndarray, step: _Step, together: int, seed: int) -> None:
    """Images ``(N, H, W, C)`` changed in place."""
    from synthaug.modalities.image.pipelines import seed_transform  # imports albumentations

    rng = numpy_rng(seed, "takers")
    for number, (operation, takes) in enumerate(
        zip(step.operations, step.takers(len(raw), rng).T, strict=True)
    ):
        seed_transform(operation, derive(seed, number))
        takers = rng.permutation(np.flatnonzero(takes))
        # Many at once have their contrast stretched as one image; there is nothing to draw.
        size = 1 if isinstance(operation, _albumentations().AutoContrast) else together
        for start in range(0, len(takers), size):
            group = takers[start : start + size]
            raw[group] = operation(images=raw[group])["images"]


def image_augmentations(
    images: torch.Tensor,
    labels: np.ndarray,
    form: ImageForm | None = None,
    own: Mapping[str, Any] | None = None,
) -> dict[str, ImageAugmentation | OwnAugmentation]:
    """All augmentations of the ladder, with flips if `mirror_is_valid`: "classical", "elastic weak" and so on.

    Args:
        images: ``(N, C, H, W)`` float32 training images in [-1, 1].
        labels: ``(N,)`` integer labels.
        form: what they were encoded from; for the user's own.
        own: pipelines of the user's own, by name.

    Raises:
        MissingLibrary: there is no albumentations; said here, before anything is trained.
    """
    _albumentations()
    added = (
        {}
        if form is None
        else {name: OwnAugmentation(name, each, form) for name, each in (own or {}).items()}
    )
    flip = mirror_is_valid(images, labels)
    elastics = {f"elastic {strength}": elastic(flip, share) for strength, share in ELASTIC.items()}
    return {"classical": classical(flip), **elastics, "policy": policy(flip), **added}


def classical(flip: bool) -> ImageAugmentation:
    """What a practitioner would apply to small images: an affine change, light erasing, flips where valid.

    Rotation up to 10 degrees, scale within 10 % and shift within 6 % of the side, border pixels repeated; in a
    tenth of the images 2 to 15 % of the area erased.

    Args:
        flip: whether half of the images are mirrored left to right.
    """
    return ImageAugmentation(partial(_classical, flip))


def elastic(flip: bool, share: float) -> ImageAugmentation:
    """`classical`, then a smooth random displacement of every pixel.

    Simard, Steinkraus, Platt, "Best practices for convolutional neural networks applied to visual document
    analysis", 2003: a field of noise, blurred with a seventh of the side.

    Args:
        flip: as in `classical`.
        share: root mean square displacement along each axis, as a share of the shorter side; up to twice as much
            at the border.
    """
    return ImageAugmentation(partial(_elastic, flip, share))


def policy(flip: bool) -> ImageAugmentation:
    """Two operations drawn anew for each image from ten of shape, tone and sharpness; flips where valid.

    After Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space", 2020,
    N = 2, at moderate magnitudes; without its operations on colour, which grey images do not have.

    Args:
        flip: as in `classical`.
    """
    return ImageAugmentation(partial(_policy, flip))


def cutmix(
    images: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, in half of the calls with a box of another image pasted in; labels in proportion.

    Yun et al., "CutMix: regularization strategy to train strong classifiers with localizable features", 2019.

    Args:
        images: ``(N, C, H, W)``.
        labels: ``(N, K)`` float32 distributions.
        rng: decides the box and the partners.
    """
    if rng.random() >= _CUTMIX_CHANCE:
        return images, labels
    partner, side = rng.permutation(len(images)), np.sqrt(rng.random())
    low, high = [], []
    for size in images.shape[2:]:
        centre, reach = rng.integers(size), round(side * size) // 2
        low.append(max(0, centre - reach))
        high.append(min(size, centre + reach))
    (top, left), (bottom, right) = low, high
    pasted = images.clone()
    pasted[:, :, top:bottom, left:right] = images[partner, :, top:bottom, left:right]
    share = (bottom - top) * (right - left) / (images.shape[2] * images.shape[3])
    return pasted, labels.lerp(labels[partner], share)


def mirror_is_valid(images: torch.Tensor, labels: np.ndarray) -> bool:
    """Whether rows mirrored left to right still look like their own class.

    True unless the nearest other row of a mirrored row has its class clearly less often (two standard errors)
    than that of the row itself. So photographs are mirrored, digits and letters are not.

    Args:
        images: ``(N, C, H, W)`` float32 training images; at most 1000 of them are looked at.
        labels: ``(N,)`` integer labels.
    """
    chosen = numpy_rng(0, "arms", "mirror").permutation(len(images))[:_FLIP_TRIAL_ROWS]
    rows, own = images[chosen], labels[chosen]
    plain = own[_nearest_other(rows, rows)] == own
    mirrored = own[_nearest_other(rows.flip(-1), rows)] == own
    error = np.sqrt((plain.var() + mirrored.var()) / len(own))
    return bool(plain.mean() - mirrored.mean() <= 2 * error)


@contextmanager
def _one_opencv_thread() -> Iterator[None]:
    """Small images are done before a second thread wakes; it would spin meanwhile, and take a core from others."""
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _albumentations() -> Any:
    """The library, imported when it is needed."""
    from synthaug.modalities.image.pipelines import A

    return A


def _nearest_other(queries: torch.Tensor, rows: torch.Tensor) -> np.ndarray:
    """For query i the nearest of all rows but row i."""
    distances = torch.cdist(queries.flatten(1), rows.flatten(1))
    return distances.fill_diagonal_(torch.inf).argmin(dim=1).numpy()


def _classical(flip: bool, side: int) -> list[_Step]:
    import cv2

    A = _albumentations()
    # What the two libraries of this name take otherwise is said, also where one of them would take it anyway.
    # Strong enough for digits, mild enough for clothes: 15 degrees, 12 % and 9 % cost the latter 3 points.
    affine = A.Affine(
        scale=(0.9, 1.1),
        translate_percent=(-0.06, 0.06),
        rotate=(-10, 10),
        border_mode=cv2.BORDER_REPLICATE,
        keep_ratio=False,
        p=1.0,
    )
    return [*_flip(flip), _Step([affine]), _Step([A.Erasing(scale=(0.02, 0.15), p=1.0)], chance=0.1)]


def _elastic(flip: bool, share: float, side: int) -> list[_Step]:
    from synthaug.modalities.image.pipelines import Elastic

    sigma = max(1.0, side / 7)
    # Uniform noise in [-1, 1], blurred with sigma, has the standard deviation 1 / (2 sqrt(3 pi) sigma). Gaussian noise
    # would be divided by its maximum, so that its strength would depend on the size of the image.
    alpha = share * side * 2 * math.sqrt(3 * math.pi) * sigma
    # Last, so that the others draw what they draw without it.
    return [*_classical(flip, side), _Step([Elastic(alpha, sigma)])]


def _policy(flip: bool, side: int) -> list[_Step]:
    import cv2

    from synthaug.modalities.image.pipelines import limits

    A = _albumentations()
    move = partial(A.Affine, border_mode=cv2.BORDER_REPLICATE, keep_ratio=False, p=1.0)
    tones = limits(brightness_limit=(-0.2, 0.2), contrast_limit=(-0.2, 0.2))
    operations = [
        move(rotate=(-15, 15)),
        move(shear={"x": (-12, 12), "y": (0, 0)}),
        move(shear={"x": (0, 0), "y": (-12, 12)}),
        move(translate_percent={"x": (-0.1, 0.1), "y": (0, 0)}),
        move(translate_percent={"x": (0, 0), "y": (-0.1, 0.1)}),
        A.AutoContrast(p=1.0),
        A.RandomBrightnessContrast(**tones, brightness_by_max=True, p=1.0),
        A.RandomGamma(**limits(gamma_limit=(70, 140)), p=1.0),
        A.Posterize(num_bits=(4, 7), p=1.0),
        A.Sharpen(**limits(alpha=(0.1, 0.5)), p=1.0),
    ]
    return [*_flip(flip), _Step(operations, taken=2)]


def _flip(flip: bool) -> list[_Step]:
    A = _albumentations()
    return [_Step([A.HorizontalFlip(p=1.0)], chance=0.5)] if flip else []
