"""How rows are prepared for a training, to be done outside of a choice: as a transform, a loader, a loss."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidRequest
from synthaug.judging.arms import Arm
from synthaug.judging.loaders import BLENDS, Augment, balanced, shuffled
from synthaug.judging.losses import LOSSES
from synthaug.judging.predict import adjusted, are_probabilities
from synthaug.mixing.regimen import Regimen
from synthaug.modalities.arrays import as_array
from synthaug.modalities.known import AnyForm

if TYPE_CHECKING:
    import torch

_PLAIN, _SHARP = "plain", "sharp"

Loss = Callable[..., "torch.Tensor"]
"""``loss(logits, labels, progress=0.0)``: ``(B, K)`` and ``(B,)`` int64 or ``(B, K)`` to one number."""


@dataclass(frozen=True)
class Preparation:
    """How rows are prepared, beside synthetic ones that are mixed in.

    Attributes:
        arm: its name.
        steps: optimizer steps of the training.
        form: of the rows.
        counts: rows of each class, in the order of the classes, that it was chosen for.
        pipeline: the augmentation of an image as `A.to_dict` writes it; None for none.
        balanced: whether rows are drawn so that classes are equally frequent.
        blend: what the rows of a batch are blended by, of `BLENDS`; None for nothing.
        weighting: what the loss allows for, of `LOSSES`; None for a plain one.
        adjusted: whether probabilities are divided by how frequent classes are before the likeliest is taken.
        known: whether it can be done outside of a choice; not where it is an arm of the user's own.
    """

    arm: str
    steps: int
    form: AnyForm
    counts: tuple[int, ...]
    pipeline: Mapping[str, Any] | None = None
    balanced: bool = False
    blend: str | None = None
    weighting: str | None = None
    adjusted: bool = False
    known: bool = True

    @classmethod
    def of(cls, arm: Arm, steps: int, rows: LabeledData, augmentations: Mapping[str, Augment]) -> Preparation:
        """The preparation of an arm without synthetic rows.

        Args:
            arm: the arm.
            steps: of its training.
            rows: that it is for.
            augmentations: of these, by the names that arms know.
        """
        form = rows.form.fitted(rows.read())
        blends = {loader: name for name, (loader, _) in BLENDS.items()}
        weighting = next(
            (name for name, (made, _) in LOSSES.items() if made is arm.loss and name != _PLAIN), None
        )
        pipeline = None
        if arm.augmentation is not None:
            pipeline = as_plain(augmentations[arm.augmentation].pipeline(form))  # type: ignore[attr-defined]
        return cls(
            arm=arm.name,
            steps=steps,
            form=form,
            counts=tuple(rows.counts.values()),
            pipeline=pipeline,
            balanced=arm.loader is balanced,
            blend=blends.get(arm.loader),
            weighting=weighting,
            adjusted=arm.adjusted,
            known=arm.loader in (shuffled, balanced, *blends)
            and (arm.loss is None or arm.loss in [made for made, _ in LOSSES.values()]),
        )

    def transform(self) -> Any:
        """The augmentation as an `A.Compose` for single images as they were chosen for, see `Plan.transform`."""
        from synthaug.modalities.image.pipelines import Streamed, from_plain

        self._require_known()
        return Streamed([]) if self.pipeline is None else from_plain(self.pipeline)

    def regimen(self, seed: int) -> Regimen:
        """The preparation as loaders follow it."""
        from synthaug.modalities.image.augment import OnImages

        self._require_known()
        return Regimen(
            form=self.form,
            augment=None if self.pipeline is None else OnImages(self.transform(), self.form.dtype),
            balanced=self.balanced,
            blend=None if self.blend is None else BLENDS[self.blend][1],
            n_classes=len(self.counts),
            seed=seed,
        )

    def loss(self) -> Loss:
        """The loss of a batch, see `Plan.loss`."""
        self._require_known()
        counts = np.array(self.counts, np.int64)
        _, make = LOSSES[self.weighting or (_SHARP if self.adjusted else _PLAIN)]
        of_rows = make(counts)

        def loss(logits: torch.Tensor, labels: torch.Tensor, progress: float = 0.0) -> torch.Tensor:
            return of_rows(logits, labels, progress).mean()

        return loss

    def decided(self, probabilities: Any) -> np.ndarray:
        """The classes that rows are taken for, see `Plan.decide`."""
        self._require_known()
        found = as_array(probabilities)
        shape = np.shape(found)
        if len(shape) != 2 or shape[1] != len(self.counts) or not are_probabilities(found):
            raise InvalidRequest(
                f"Probabilities (N, {len(self.counts)}) of each class are expected, not negative and 1 in all; an "
                f"array of {shape} was given. Logits become probabilities by a softmax."
            )
        chosen: np.ndarray = adjusted(found, np.array(self.counts)) if self.adjusted else found
        return np.asarray(chosen.argmax(axis=1))

    def _require_known(self) -> None:
        if not self.known:
            raise InvalidRequest(
                f"The plan is to train with “{self.arm}”, an arm of your own: make its loader as you do there, and mix "
                "the plan in with synthaug.mix(loader, plan)."
            )


def require_plain(name: str, pipeline: Any) -> None:
    """Refuse a pipeline that could not be put into a plan.

    Raises:
        InvalidRequest: no transform of albumentations, or one that cannot be written as plain data and read back.
    """
    from synthaug.modalities.image.pipelines import A

    if not isinstance(pipeline, A.BasicTransform | A.BaseCompose):
        raise InvalidRequest(
            f'The augmentation "{name}" is a {type(pipeline).__name__}; taken are transforms of albumentations, '
            "such as A.Compose([...])."
        )
    try:
        A.from_dict(as_plain(pipeline))
    except (NotImplementedError, KeyError, TypeError, ValueError) as error:
        raise InvalidRequest(
            f'The augmentation "{name}" cannot be written and read back as a plan has to be ({error}): use transforms '
            "that albumentations can serialise, no A.Lambda."
        ) from None


def as_plain(pipeline: Any) -> dict[str, Any]:
    """A pipeline as plain JSON data."""
    from synthaug.modalities.image.pipelines import A, serialize_enum

    plain: dict[str, Any] = json.loads(json.dumps(serialize_enum(A.to_dict(pipeline))))
    return plain
