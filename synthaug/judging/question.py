"""What is asked of a choice, and whether it can be answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from synthaug.data.labeled import LabeledData
from synthaug.data.splits import cross_folds
from synthaug.errors import InvalidRequest
from synthaug.families import find_family
from synthaug.judging.arms import LADDER, Arm, augmented_arms
from synthaug.judging.loaders import Augment
from synthaug.judging.predict import Train
from synthaug.judging.preparation import require_plain
from synthaug.judging.protocol import Protocol, families_on_both, proportions_of
from synthaug.modalities.base import Form
from synthaug.seeding import derive
from synthaug.training.budget import Training
from synthaug.wording import quoted


@dataclass(frozen=True)
class Question:
    """What is asked of a choice.

    Attributes:
        rows: the training rows, of which nothing is held out but in folds.
        held_out: rows that no generator may see; None where there are none.
        families: families to try.
        train: the user's training; the built-in classifier when None.
        protocol: how it is made.
        seed: the only source of randomness.
        augmentations: pipelines of albumentations of the user's own, by name, to try beside the usual ones.
        arms: of the user's own, to begin with beside the usual ones.
        unlabelled: rows without labels, none of them among the others; None where there are none.
    """

    rows: LabeledData
    held_out: LabeledData | None
    families: Sequence[str]
    train: Train | None
    protocol: Protocol
    seed: int
    augmentations: Mapping[str, Any] = field(default_factory=dict)
    arms: Sequence[Arm] = ()
    unlabelled: LabeledData | None = None

    @property
    def on_both(self) -> tuple[str, ...]:
        """Families that are trained on labelled and judged rows together."""
        return families_on_both(self.rows.form.kind, self.families)

    def check(self, device: str) -> dict[str, Any]:
        """Refuse what cannot be chosen by, before anything is trained; what would be done, as plain JSON data.

        Raises:
            InvalidData: too few rows for the folds, or rows that cannot be used.
            InvalidRequest: an unknown family, or numbers or a budget that cannot be.
        """
        self.protocol.check()
        if not self.families:
            raise InvalidRequest("No family was to be tried; name one at least.")
        for family in self.families:
            find_family(family)
        self.check_own()
        self.rows.check_images()
        beside = {}
        if self.unlabelled is not None:
            self.unlabelled.check_images()
            self.check_prior()
            beside = {"unlabelled": len(self.unlabelled)}
        return {
            **beside,
            "folds": [len(fold) for fold in self.folds()],
            # of which those are trained that the search asks for
            "generators": {
                family: training_of(self.rows, family, "", self.protocol, self.seed, device).describe(
                    self.rows
                )
                for family in self.families
            },
        }

    def check_prior(self) -> None:
        """Refuse proportions of classes that there are not.

        Raises:
            InvalidRequest: naming one of them, or a class that is left out.
        """
        if "=" not in self.protocol.prior:
            return
        said, classes = proportions_of(self.protocol.prior), self.rows.classes
        for name in said:
            classes.position(name)
        if without := [name for name, n in self.rows.counts.items() if n and name not in said]:
            raise InvalidRequest(
                f"prior={self.protocol.prior!r} was asked for, without {quoted(without)}: say a proportion of every "
                "class, 0 for one that does not occur."
            )

    def check_own(self) -> None:
        """Refuse augmentations and arms of the user's own that cannot be tried.

        Raises:
            InvalidRequest: naming one.
        """
        taken = {arm.name for arm in LADDER} | {arm.augmentation for arm in LADDER}
        names = [*self.augmentations, *(arm.name for arm in self.arms)]
        if twice := [name for name in names if name in taken or names.count(name) > 1]:
            raise InvalidRequest(f'There is something called "{twice[0]}" already: give another name.')
        if made := [arm.name for arm in self.arms if arm.synthetic]:
            raise InvalidRequest(
                f'The arm "{made[0]}" has synthetic rows; give arms without, they are put on top.'
            )
        for name, pipeline in self.augmentations.items():
            require_plain(name, pipeline)

    @property
    def own_arms(self) -> list[Arm]:
        """Arms of the user's own, and one for each own augmentation, also with classes drawn evenly."""
        return [*(arm for name in self.augmentations for arm in augmented_arms(name)), *self.arms]

    def augment(self, rows: torch.Tensor, labels: np.ndarray, form: Form) -> Mapping[str, Augment]:
        """All augmentations of encoded training rows."""
        return form.augmentations(rows, labels, self.augmentations)

    def folds(self) -> list[np.ndarray]:
        """Row numbers that are held out in each fold."""
        seed = derive(self.seed, "choice", "folds") % 2**31
        return cross_folds(self.rows, self.protocol.folds, seed)


def training_of(
    rows: LabeledData, family: str, name: str, protocol: Protocol, seed: int, device: str
) -> Training:
    """How a generator of a choice is trained on some rows; ``name`` is unique to it."""
    return Training(
        family,
        find_family(family).tried_with,
        seed=derive(seed, "choice", "generator", name) % 2**31,
        device=device,
        **protocol.generator_budget(rows.form.usual_budget(len(rows))),
    )
