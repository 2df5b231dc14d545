"""What is done to rows of a loader beside mixing: an augmentation, classes drawn evenly, rows of a batch blended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from synthaug.errors import InvalidRequest, SpecMismatch
from synthaug.modalities.arrays import as_array
from synthaug.modalities.base import Form
from synthaug.seeding import derive, numpy_rng

Blend = Callable[[torch.Tensor, torch.Tensor, np.random.Generator], tuple[torch.Tensor, torch.Tensor]]
"""``blend(images, distributions, rng)``: ``(B, ...)`` and ``(B, K)`` float32, blended among each other."""


@dataclass(frozen=True)
class Regimen:
    """What is done to rows, real and synthetic alike.

    Attributes:
        form: of the images that the augmentation was chosen for.
        augment: changes an image at random, before anything that the data set does to it; None for nothing.
        balanced: whether rows are drawn so that classes are equally frequent.
        blend: of the rows of a batch, after it is collated; None for none.
        n_classes: classes there are, for the distributions of blended rows.
        seed: decides what is drawn and blended.
    """

    form: Form
    augment: Callable[[Any], Any] | None = None
    balanced: bool = False
    blend: Blend | None = None
    n_classes: int = 0
    seed: int = 0

    @property
    def idle(self) -> bool:
        """Whether rows stay as they are."""
        return self.augment is None and not self.balanced and self.blend is None

    def require_fit(self, image: Any, what: str) -> None:
        """Refuse images that are not, as the augmentation gets them, what it was chosen for; sizes may differ.

        Raises:
            SpecMismatch: another dtype, range or number of channels.
        """
        pixels = np.asarray(as_array(image))
        if self.form.admits(pixels):
            return
        raise SpecMismatch(
            f"{what} hands out images of {'x'.join(map(str, pixels.shape))} {pixels.dtype} from {pixels.min():.4g} to "
            f"{pixels.max():.4g}, and the plan was chosen for {self.form}. Its augmentation has to come before what "
            "converts or normalises: put that into the data set's `transform`, where it is found; or put "
            "plan.transform() before it yourself"
        )


class Blended:
    """A collate function, and after it a blend of the images of the batch; labels become distributions.

    Args:
        collate: makes a pair of images and labels.
        regimen: which blend.
    """

    def __init__(self, collate: Callable[[Any], Any], regimen: Regimen) -> None:
        self._collate, self._regimen = collate, regimen

    def try_on(self, items: Any) -> None:
        """Refuse batches that cannot be blended, by one of some items.

        Raises:
            InvalidRequest: no pair of float images ``(B, C, H, W)`` and positions of classes.
        """
        batch = self._collate(items)
        if isinstance(batch, tuple | list) and len(batch) == 2 and all(map(torch.is_tensor, batch)):
            images, labels = batch
            fits = images.is_floating_point() and images.ndim == 4
            whole = not labels.is_floating_point() and labels.ndim == 1
            if fits and whole and 0 <= int(labels.min()) <= int(labels.max()) < self._regimen.n_classes:
                return
        raise InvalidRequest(
            "rows of a batch are to be blended, which takes batches (images, labels): floats (B, C, H, W), and labels "
            f"that are positions in the {self._regimen.n_classes} classes, from 0. Let transform and collate_fn make "
            "them, or choose without blends (without full)"
        )

    def __call__(self, items: Any) -> Any:
        """The images and ``(B, K)`` float32 distributions."""
        images, labels = self._collate(items)
        assert self._regimen.blend is not None
        soft = F.one_hot(labels.long(), self._regimen.n_classes).float()
        # Each worker has a stream of its own, and each pass another one.
        seed = derive(self._regimen.seed, "blend", int(torch.randint(2**62, ())))
        return self._regimen.blend(images, soft, numpy_rng(seed, "blend"))
