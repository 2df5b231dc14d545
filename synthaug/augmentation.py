"""Augmentation of images by albumentations, as arms take it: what synthetic rows have to be better than."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from synthaug.seeding import numpy_rng

# Root mean square displacement of a pixel away from the border, as a share of the shorter side. 0.05 at 28x28 is about
# what Simard et al. (2003) gave digits.
ELASTIC = {"weak": 0.025, "medium": 0.05, "strong": 0.08}
_FLIP_TRIAL_ROWS = 1000


class ImageAugmentation:
    """A pipeline of albumentations as a function of the batch and the seed.

    Args:
        build: makes the pipeline for images whose shorter side is the given number of pixels; it must travel to
            other processes, which the pipeline itself need not.
    """

    def __init__(self, build: Callable[[int], Any]) -> None:
        self._build = build
        self._pipeline: Any = None

    def __call__(self, images: torch.Tensor, seed: int) -> torch.Tensor:
        """``(N, C, H, W)`` float32 images in [-1, 1], augmented; the input stays."""
        from synthaug.mixing.albumentations import seed_transform  # imports albumentations

        if self._pipeline is None:
            self._pipeline = self._build(min(images.shape[2:]))
        seed_transform(self._pipeline, seed)
        # Its float images lie in [0, 1], channels last.
        raw = np.ascontiguousarray(images.numpy().transpose(0, 2, 3, 1)) * 0.5 + 0.5
        with _one_opencv_thread():
            changed = np.stack([self._pipeline(image=image)["image"] for image in raw])
        return torch.from_numpy(np.ascontiguousarray(changed.transpose(0, 3, 1, 2)) * 2 - 1)

    def __getstate__(self) -> dict[str, Any]:
        return {"_build": self._build, "_pipeline": None}


def image_augmentations(images: torch.Tensor, labels: np.ndarray) -> dict[str, ImageAugmentation]:
    """All augmentations of the ladder, with flips if `mirror_is_valid`: "classical", "elastic weak" and so on.

    Args:
        images: ``(N, C, H, W)`` float32 training images in [-1, 1].
        labels: ``(N,)`` integer labels.
    """
    flip = mirror_is_valid(images, labels)
    elastics = {f"elastic {strength}": elastic(flip, share) for strength, share in ELASTIC.items()}
    return {"classical": classical(flip), **elastics, "policy": policy(flip)}


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


def _nearest_other(queries: torch.Tensor, rows: torch.Tensor) -> np.ndarray:
    """For query i the nearest of all rows but row i."""
    distances = torch.cdist(queries.flatten(1), rows.flatten(1))
    return distances.fill_diagonal_(torch.inf).argmin(dim=1).numpy()


def _classical(flip: bool, side: int) -> Any:
    import albumentations as A

    return A.Compose(_classical_parts(flip))


def _elastic(flip: bool, share: float, side: int) -> Any:
    import albumentations as A
    import cv2

    sigma = max(1.0, side / 7)
    # Uniform noise in [-1, 1], blurred with sigma, has the standard deviation 1 / (2 sqrt(3 pi) sigma). Gaussian noise
    # is divided by its maximum in albumentations, so that its strength would depend on the size of the image.
    alpha = share * side * 2 * math.sqrt(3 * math.pi) * sigma
    warp = A.ElasticTransform(
        alpha=alpha, sigma=sigma, noise_distribution="uniform", border_mode=cv2.BORDER_REPLICATE, p=1.0
    )
    # Last, so that the others draw what they draw without it.
    return A.Compose([*_classical_parts(flip), warp])


def _classical_parts(flip: bool) -> list[Any]:
    import albumentations as A
    import cv2

    # Strong enough for digits, mild enough for clothes: 15 degrees, 12 % and 9 % cost the latter 3 points.
    affine = A.Affine(
        scale=(0.9, 1.1),
        translate_percent=(-0.06, 0.06),
        rotate=(-10, 10),
        border_mode=cv2.BORDER_REPLICATE,
        p=1.0,
    )
    return [*_flip(flip), affine, A.Erasing(scale=(0.02, 0.15), p=0.1)]


def _policy(flip: bool, side: int) -> Any:
    import albumentations as A
    import cv2

    move = partial(A.Affine, border_mode=cv2.BORDER_REPLICATE, p=1.0)
    operations = [
        move(rotate=(-15, 15)),
        move(shear={"x": (-12, 12), "y": (0, 0)}),
        move(shear={"x": (0, 0), "y": (-12, 12)}),
        move(translate_percent={"x": (-0.1, 0.1), "y": (0, 0)}),
        move(translate_percent={"x": (0, 0), "y": (-0.1, 0.1)}),
        A.AutoContrast(p=1.0),
        A.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=1.0),
        A.RandomGamma(gamma_limit=(70, 140), p=1.0),
        A.Posterize(num_bits=(4, 7), p=1.0),
        A.Sharpen(alpha=(0.1, 0.5), p=1.0),
    ]
    return A.Compose([*_flip(flip), A.SomeOf(operations, n=2, replace=False, p=1.0)])


def _flip(flip: bool) -> list[Any]:
    import albumentations as A

    return [A.HorizontalFlip(p=0.5)] if flip else []
