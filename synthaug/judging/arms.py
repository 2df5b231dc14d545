"""The arms of an evaluation: what can be done with training rows, in one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from torch.utils.data import DataLoader

from synthaug.judging.loaders import (
    Augment,
    Ingredients,
    MakeLoader,
    balanced,
    cutmix,
    duplicated,
    interpolated,
    mixed,
    mixup,
    relabelled,
    shuffled,
)
from synthaug.judging.losses import adjusted_loss, deferred_loss, plain_loss, weighted_loss
from synthaug.modalities.base import Form
from synthaug.training.classifier import ClassifierLoss
from synthaug.wording import percent

Asked = Literal["usual", "full"]
"""Whether something is done anyway, or where everything is asked for."""


@dataclass(frozen=True)
class Arm:
    """One way to prepare training rows.

    Attributes:
        name: its short name in results.
        loader: makes a loader of encoded batches from the ingredients and a seed: ``X``, and ``y`` ``(B,)`` int64 or,
            for an arm with a loss, ``(B, K)`` float32 distributions over the classes.
        about: what it does, for the report.
        synthetic: whether its batches hold synthetic rows.
        augmentation: the name of the augmentation it needs; None for none.
        loss: makes the loss it needs; None where any classifier's own loss will do.
        adjusted: whether probabilities are divided by how frequent classes are before the likeliest is taken.
        steps: its optimizer steps over those of the other arms; None for as many as fit into the time that was spent
            on the generator.
        unequal: whether it makes sense only where classes are unequally frequent.
        judged: whether it needs the judge of the ingredients.
        compared: in which evaluations it is compared.
        tried: in which choices it is one of the baselines to begin with; None for none.
        kinds: of rows that it can be done to; any where it is None.
    """

    name: str
    loader: MakeLoader
    about: str
    synthetic: bool = False
    augmentation: str | None = None
    loss: Callable[[Ingredients], ClassifierLoss] | None = None
    adjusted: bool = False
    steps: float | None = 1.0
    unequal: bool = False
    judged: bool = False
    compared: Asked = "full"
    tried: Asked | None = None
    kinds: tuple[str, ...] | None = None

    def batches(self, parts: Ingredients, augmentations: Mapping[str, Augment], seed: int) -> DataLoader[Any]:
        """The loader, with the augmentation that the arm needs."""
        augment = None if self.augmentation is None else augmentations[self.augmentation]
        return self.loader(replace(parts, augment=augment), seed)


def with_synthetic(arm: Arm, name: str, about: str) -> Arm:
    """The arm with synthetic rows in its batches, the rest as it is."""
    return replace(
        arm, name=name, about=about, loader=partial(mixed, into=arm.loader), synthetic=True, tried=None
    )


def on_top(arm: Arm, share: float, kind: str, falling: str = "") -> Arm:
    """The arm with a share of samples of a kind in its batches, named after both."""
    name = f"{arm.name} + {share:.0%} {kind}{falling}"
    about = f"As “{arm.name}”, {percent(share)} of each batch{falling} replaced by samples of {kind}."
    return with_synthetic(arm, name, about)


def longer(arm: Arm) -> Arm:
    """The arm, trained 1.5 times as long: what the time for a generator would buy without one."""
    return replace(
        arm,
        name=f"{arm.name}, longer",
        steps=1.5,
        about=f"As “{arm.name}”, trained 1.5 times as long.",
        tried=None,
    )


def augmented_arms(name: str) -> tuple[Arm, Arm]:
    """The arms of an augmentation of the user's own, without and with classes drawn evenly."""
    about = f"Your rows, each changed by your own “{name}”."
    plain = Arm(name, shuffled, about, augmentation=name, compared="usual", tried="usual")
    about = f"As “oversampling”, each row changed by your own “{name}”."
    return plain, replace(plain, name=f"oversampling + {name}", loader=balanced, about=about, unequal=True)


def find_arm(name: str) -> Arm:
    """The arm of `LADDER` with this name."""
    return next(arm for arm in LADDER if arm.name == name)


def _elastic(strength: str, **more: Any) -> Arm:
    about = f"As “real + classical”, then bent smoothly at random, {strength}."
    return Arm(f"elastic, {strength}", shuffled, about, augmentation=f"elastic {strength}", **more)


_REAL = Arm("real", shuffled, "Your rows as they are.", compared="usual", tried="usual")
AS_THEY_ARE = _REAL.name
"""What is trained with where nothing is done to the rows: what people have before they ask."""

_CLASSICAL = Arm(
    "real + classical",
    shuffled,
    "Your rows, shifted, turned, scaled or erased at random.",
    augmentation="classical",
    compared="usual",
    tried="usual",
)
LONGER = replace(longer(_CLASSICAL), name="longer")
"""Longer training, where no choice has said of what."""

_POLICY = Arm(
    "policy",
    shuffled,
    "Your rows, each changed by two operations of ten.",
    augmentation="policy",
    compared="usual",
    tried="usual",
)
_OVERSAMPLING = Arm(
    "oversampling",
    balanced,
    "Your rows, drawn so that classes are equally frequent.",
    unequal=True,
    compared="usual",
)
_BALANCED = replace(
    _OVERSAMPLING,
    name="oversampling + classical",
    about="As “oversampling”, shifted, turned, scaled or erased.",
    augmentation="classical",
    tried="usual",
)
_SYNTHETIC = with_synthetic(_REAL, "real + synthetic", "A share of your rows replaced by synthetic ones.")
_BOTH = with_synthetic(_CLASSICAL, "both", "Real and synthetic rows, all shifted, turned, scaled or erased.")
_CHANGED = replace(_CLASSICAL, compared="full", tried=None)

LADDER: tuple[Arm, ...] = (
    _REAL,
    _CLASSICAL,
    _elastic("weak", tried="full"),
    _elastic("medium", compared="usual", tried="usual"),
    _elastic("strong", tried="full"),
    _POLICY,
    replace(
        _CHANGED,
        name="mixup",
        loader=mixup,
        loss=plain_loss,
        about="As “real + classical”, rows blended in pairs, and their labels with them.",
        tried="full",
    ),
    replace(
        _CHANGED,
        name="CutMix",
        loader=cutmix,
        loss=plain_loss,
        kinds=("image",),
        about="As “real + classical”, boxes of one row pasted into another, labels in proportion.",
        tried="full",
    ),
    LONGER,
    replace(
        _CHANGED,
        name="generator's time",
        steps=None,
        about="As “real + classical”, trained for the time that the generator took as well.",
    ),
    replace(
        _CHANGED,
        name="duplicates",
        loader=duplicated,
        about="As “both”, with copies of your rows in place of synthetic ones.",
    ),
    replace(
        _CHANGED,
        name="SMOTE",
        loader=interpolated,
        about="As “both”, with points between neighbouring rows in place of synthetic ones.",
    ),
    _OVERSAMPLING,
    _BALANCED,
    replace(
        _BALANCED,
        name="oversampling + policy",
        about="As “oversampling”, each row changed by two operations of ten.",
        augmentation="policy",
    ),
    replace(
        _CHANGED,
        name="class weights",
        loss=weighted_loss,
        about="As “real + classical”, rows of rare classes counting more.",
        unequal=True,
        tried="full",
    ),
    replace(
        _CHANGED,
        name="logit adjustment",
        loss=adjusted_loss,
        about="As “real + classical”, with a loss that allows for how frequent classes are.",
        unequal=True,
        tried="full",
    ),
    replace(
        _CHANGED,
        name="adjusted thresholds",
        adjusted=True,
        about="As “real + classical”, what is found likely divided by how frequent its class is.",
        unequal=True,
        tried="full",
    ),
    replace(
        _CHANGED,
        name="mixup, re-weighted",
        loader=mixup,
        loss=deferred_loss,
        about="As “mixup”, rows of rare classes counting more over the last fifth of the steps.",
        unequal=True,
        tried="full",
    ),
    _SYNTHETIC,
    _BOTH,
    replace(
        _BOTH,
        name="both, elastic",
        about="As “both”, then bent smoothly at random, medium.",
        augmentation="elastic medium",
        compared="full",
    ),
    with_synthetic(_POLICY, "both, policy", "Real and synthetic rows, all changed by two operations of ten."),
    replace(
        _BOTH,
        name="both, soft labels",
        loader=relabelled,
        loss=plain_loss,
        judged=True,
        about="As “both”, synthetic rows labelled by classifiers that were trained on your rows, in shares.",
        compared="full",
    ),
    with_synthetic(_BALANCED, "both, oversampled", "As “both”, drawn so that classes are equally frequent."),
)
"""Every arm: what a claim has to stand against; the simplest first, as the first of equals is picked."""

ARMS: tuple[Arm, ...] = tuple(arm for arm in LADDER if arm.compared == "usual")
"""What an evaluation compares unless asked for more."""


def arms_for(form: Form) -> tuple[Arm, ...]:
    """The arms that there are for rows of a form.

    Of kinds without augmentations they are those that are left without one; of two that are then the same the first
    stays. What else is asked for with everything is then usual, as there is little.
    """
    if form.augmented:
        return LADDER
    found: dict[Any, Arm] = {}
    for arm in LADDER:
        if arm.kinds is not None and form.kind not in arm.kinds:
            continue
        about = arm.about.replace("real + classical", "real").replace("“both”", "“real + synthetic”")
        plain = replace(arm, augmentation=None, about=about)
        maker = arm.loader
        way = (maker.func, *maker.keywords.items()) if isinstance(maker, partial) else maker
        found.setdefault((way, arm.loss, arm.adjusted, arm.steps, arm.judged), plain)
    return tuple(
        replace(arm, compared="usual", tried="usual" if _is_tried(arm) else None) for arm in found.values()
    )


def _is_tried(arm: Arm) -> bool:
    """Whether a choice begins with it, or would without an augmentation."""
    return not arm.synthetic and (arm.tried is not None or arm.loader is balanced)


def starting_arms(*, unequal: bool, full: bool, arms: Sequence[Arm] | None = None) -> tuple[Arm, ...]:
    """The baselines that a choice begins with.

    Args:
        unequal: whether classes are unequally frequent.
        full: whether everything is asked for.
        arms: all that there are; `LADDER` when None.
    """
    asked = ("usual", "full") if full else ("usual",)
    known = LADDER if arms is None else arms
    return tuple(arm for arm in known if arm.tried in asked and (unequal or not arm.unequal))
