"""albumentations, imported without asking the network, and its pipelines with random streams of their own.

Importing this module imports albumentations; nothing else of synthaug does. Two packages are imported by that name:
albumentations, of which 2.0.8 is the last, and its successor albumentationsx. What differs is known here alone.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from synthaug.errors import InvalidArtifact, MissingLibrary
from synthaug.seeding import derive, numpy_rng

# Else the one asks the network for newer versions when it is imported, and the other tells what is done with it.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("ALBUMENTATIONS_NO_TELEMETRY", "1")

try:
    import albumentations as A
    import cv2
    from albumentations.core.serialization import serialize_enum
except ImportError as error:
    raise MissingLibrary(
        f"Augmentations of images are made by albumentations, which cannot be imported here ({error}): "
        'pip install "albumentations>=2.0.8,<2.1" opencv-python-headless. What brings no augmentation works without: '
        "fit, sample, expand and mix, and all of it for tables and vectors."
    ) from error

__all__ = [
    "A",
    "Drawing",
    "Elastic",
    "FromUnit",
    "Streamed",
    "ToUnit",
    "from_plain",
    "limits",
    "seed_transform",
    "serialize_enum",
]

_SUCCESSOR = hasattr(A.BasicTransform, "sample_parameters")

_RENAMED = {
    "brightness_limit": "brightness_range",
    "contrast_limit": "contrast_range",
    "gamma_limit": "gamma_range",
    "alpha": "alpha_range",
}
"""Arguments of the transforms that arms are made of, and what the successor calls them."""


def limits(**said: Any) -> dict[str, Any]:
    """Arguments of a transform as albumentations 2.0.8 calls them, by the names that they have here."""
    return {_RENAMED[name] if _SUCCESSOR else name: value for name, value in said.items()}


class Drawing(A.ImageOnlyTransform):  # type: ignore[misc]
    """A transform of images that draws something in each call, under both libraries."""

    def look(self, data: Mapping[str, Any]) -> None:
        """What is done with all inputs of a call, before it is drawn whether the image is changed."""

    def draw(
        self, shape: tuple[int, ...], data: Mapping[str, Any], rng: np.random.Generator
    ) -> dict[str, Any]:
        """What `apply` gets beside the image, of this shape, where the inputs are these."""
        raise NotImplementedError

    if _SUCCESSOR:

        def apply_in_invocation(self, *args: Any, force_apply: bool, **data: Any) -> Any:
            """The inputs by name, changed or not: what a container calls there."""
            self.look(data)
            return super().apply_in_invocation(*args, force_apply=force_apply, **data)

        def sample_parameters(self, params: Any, data: Any, targets: Any, sampling: Any) -> Any:
            """What `draw` gives."""
            return A.SampledParams(params=self.draw(params["shape"], data, sampling.random_generator))

    else:

        def __call__(self, *args: Any, force_apply: bool = False, **data: Any) -> Any:
            """The inputs by name, changed or not."""
            self.look(data)
            return super().__call__(*args, force_apply=force_apply, **data)

        def get_params_dependent_on_data(
            self, params: dict[str, Any], data: dict[str, Any]
        ) -> dict[str, Any]:
            """What `draw` gives."""
            return self.draw(params["shape"], data, self.random_generator)


class Streamed(A.Compose):  # type: ignore[misc]
    """An `A.Compose` that draws anew in every worker, epoch and rank of a loader, without a ``worker_init_fn``.

    A plain `A.Compose` repeats in all workers the stream that it had in the main process. Here the streams follow from
    ``stream`` and from torch's seed, which a loader sets apart in each worker and pass: equal seeds and as many workers
    give equal images. It goes through `A.to_dict`, `A.from_dict`, `A.save`, `A.load` (after
    ``import synthaug.mixing.albumentations``) and pickle.

    Args:
        transforms: as of `A.Compose`.
        stream: keeps pipelines apart that are seeded alike.
        more: as of `A.Compose`.
    """

    def __init__(self, transforms: Any, stream: int = 0, **more: Any) -> None:
        super().__init__(transforms, **more)
        self.stream = stream
        self._seeded: tuple[int, str] | None = None
        self._rank = ""  # of the process that workers come from, which do not know it themselves

    def __call__(self, *args: Any, force_apply: bool = False, **data: Any) -> dict[str, Any]:
        """The inputs by name, changed."""
        due = torch.initial_seed(), _rank() or self._rank
        if due != self._seeded:
            seed_transform(self, derive(self.stream, "stream", *due))
            self._seeded = due
        if isinstance(image := data.get("image"), np.ndarray):
            data["image"] = image.copy()  # some transforms work in place, and it is a row of the user's
        changed: dict[str, Any] = super().__call__(*args, force_apply=force_apply, **data)
        return changed

    def __getstate__(self) -> dict[str, Any]:
        """With the rank of the process that a worker is started from."""
        return {**super().__getstate__(), "_rank": _rank() or self._rank}

    def to_dict_private(self) -> dict[str, Any]:
        """Plain data, as `A.to_dict` asks for it."""
        return {**super().to_dict_private(), "stream": self.stream}


def _rank() -> str:
    """The rank of this process among those that train together; empty where it is not known here, or not yet."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return str(torch.distributed.get_rank())
    return os.environ.get("RANK", "")


class Elastic(Drawing):
    """A smooth random displacement of every pixel; pixels of the border are repeated.

    Simard, Steinkraus, Platt, "Best practices for convolutional neural networks applied to visual document analysis",
    2003. The same as `A.ElasticTransform(alpha, sigma, noise_distribution="uniform")` of albumentations 2.0.8, whose
    successor has another transform of that name.

    Args:
        alpha: what the blurred field is multiplied by, in pixels.
        sigma: standard deviation of the blur, in pixels.
        p: probability.

    Targets:
        image: of any numbers.
    """

    class InitSchema(A.BasicTransform.InitSchema):  # type: ignore[misc]  # noqa: D106
        alpha: float
        sigma: float

    def __init__(self, alpha: float, sigma: float, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.alpha, self.sigma = alpha, sigma

    def draw(
        self, shape: tuple[int, ...], data: Mapping[str, Any], rng: np.random.Generator
    ) -> dict[str, Any]:
        """``(H, W)`` float32 each: the column and the row that a pixel comes from."""
        height, width = shape[:2]
        noise = rng.uniform(-1, 1, size=(2 * height, width)).astype(np.float32)
        # Both fields as one picture, as the library did it when the strengths were measured.
        blurred = cv2.GaussianBlur(noise, (0, 0), self.sigma, borderType=cv2.BORDER_REPLICATE) * self.alpha
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)))
        columns, rows = (grid + blurred.reshape(2, height, width)).astype(np.float32)
        return {"columns": columns, "rows": rows}

    def apply(self, img: np.ndarray, columns: np.ndarray, rows: np.ndarray, **params: Any) -> np.ndarray:
        """The image, displaced."""
        moved = cv2.remap(img, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(moved.reshape(img.shape))


class ToUnit(A.ImageOnlyTransform):  # type: ignore[misc]
    """An image whose values span ``low`` to ``high`` as float32 in [0, 1], as other transforms take it.

    Args:
        low, high: the ends of the range.
        p: probability.

    Targets:
        image: of any numbers.
    """

    class InitSchema(A.BasicTransform.InitSchema):  # type: ignore[misc]  # noqa: D106
        low: float
        high: float

    def __init__(self, low: float, high: float, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.low, self.high = low, high

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        """The image in [0, 1]."""
        unit = (img.astype(np.float32) - self.low) / (self.high - self.low)
        return np.ascontiguousarray(unit.clip(0.0, 1.0), np.float32)


class FromUnit(A.ImageOnlyTransform):  # type: ignore[misc]
    """The way back from `ToUnit`.

    Args:
        low, high: the ends of the range.
        dtype: of the values; whole ones are rounded.
        p: probability.

    Targets:
        image: float32.
    """

    class InitSchema(A.BasicTransform.InitSchema):  # type: ignore[misc]  # noqa: D106
        low: float
        high: float
        dtype: str

    def __init__(self, low: float, high: float, dtype: str, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.low, self.high, self.dtype = low, high, dtype

    def apply(self, img: np.ndarray, **params: Any) -> np.ndarray:
        """The image in the range that it came from."""
        values = img.astype(np.float64).clip(0.0, 1.0) * (self.high - self.low) + self.low
        return np.ascontiguousarray(
            np.rint(values) if np.dtype(self.dtype).kind in "iu" else values, self.dtype
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
        >>> import numpy as np
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


def from_plain(plain: Mapping[str, Any]) -> Any:
    """The pipeline that `A.to_dict` wrote.

    Raises:
        InvalidArtifact: another version of albumentations wrote it, with arguments that mean something else here, or
            it holds a transform that is not known.
    """
    wrote = str(plain.get("__version__", ""))
    if wrote.split(".")[:2] != A.__version__.split(".")[:2]:
        raise InvalidArtifact(
            f"The augmentation of the plan was written by albumentations {wrote}, and {A.__version__} is installed, "
            "whose transforms of the same names take other arguments: choose again here, or install the one that "
            "wrote it."
        )
    try:
        return A.from_dict(dict(plain))
    except KeyError as error:
        raise InvalidArtifact(
            f"The augmentation of the plan holds {error}, which is not known here: import the module that defines "
            "it first; a class of a script that was run itself cannot be found by another one."
        ) from None


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
