"""What is known of a generator: what its training achieved, and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class HeldOutAccuracy:
    """Balanced accuracy on held-out rows of two small classifiers that were trained for equally many steps.

    Attributes:
        rows: how many were held out.
        trained_on_samples: of the one that saw samples alone.
        trained_on_real: of the one that saw real training rows.
    """

    rows: int
    trained_on_samples: float
    trained_on_real: float


@dataclass(frozen=True)
class Achieved:
    """What a training achieved.

    Attributes:
        text: all of it in a few plain sentences.
        agreement, diversity, novelty: as in `synthaug.metrics.Fidelity`; None where not measured.
        class_diversity: the diversity of each class, by name, where measured.
        held_out: what rows that were held out say.
        chosen_step: the training step that was taken.
    """

    text: str
    agreement: float | None = None
    diversity: float | None = None
    novelty: float | None = None
    class_diversity: Mapping[str, float] = field(default_factory=dict)
    held_out: HeldOutAccuracy | None = None
    chosen_step: int | None = None


@dataclass(frozen=True)
class About:
    """What a generator is, for results to name it.

    Attributes:
        family, fingerprint, steps, seconds: of the generator.
        classes: names of its classes.
        rows: the form of its rows, in words.
        contains_training_rows: whether its files hold training rows.
        achieved: what its training achieved.
    """

    family: str
    fingerprint: str
    classes: tuple[str, ...]
    rows: str
    steps: int
    seconds: float
    contains_training_rows: bool
    achieved: Achieved
