"""How a choice and its test are made: what is held out, how often, how long things are trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.counts import parse_counts
from synthaug.errors import InvalidRequest
from synthaug.wording import did_you_mean

if TYPE_CHECKING:
    from synthaug.data.labeled import LabeledData

FAMILIES: dict[str, tuple[str, ...]] = {"image": ("cvae", "warp"), "table": ("cvae",)}
"""What a choice tries unless asked for others, by the kind of rows; of other kinds every family of ours that makes such
rows."""

BOTH: dict[str, tuple[str, ...]] = {"image": ("warp",)}
"""Which of `FAMILIES` it trains on labelled and judged rows together: these, or judged rows by themselves, gained as
much as the others wherever it was measured. Of families that were asked for, and of other kinds of rows, all."""

BATCH_SIZE = 64
"""Rows per batch of a classifier, unless asked for others."""

JUDGE_STEPS = 300
"""Optimizer steps of each judge, unless another number is asked for."""

ATTEMPTS = 4
"""At most so many samples are looked at for each that has to pass judges, unless another number is asked for."""

JUDGED, ON_BOTH = "judged rows", " on both"
"""What a choice calls rows that judges have labelled, and families that were trained on labelled and judged rows."""

NETWORK = "network"
"""The built-in network among what can judge; the others are learners of scikit-learn."""

PRIORS = ("judged", "between", "even", "labelled")
"""What can be taken for the frequencies of classes among unlabelled rows."""

PLAN_FILE, PLAN_GENERATOR = "plan.json", "generator"
"""What is in the folder of a choice: the plan, and its generator where it has one."""

GENERATOR_MINUTES = 0.5
"""Of each generator of a choice, of which there is one a fold and family, where no budget is given; of kinds of rows
whose trainings are usually given steps, these."""

# Classes count as balanced while the largest has at most this many times the rows of the smallest.
_BALANCED = 1.5


@dataclass(frozen=True)
class Protocol:
    """How a choice and its test are made.

    Attributes:
        folds: parts of the training rows that are held out in turn while choosing, at least 2.
        seeds: classifier seeds of the test, paired across arms; a multiple of the number of generators.
        generators: how many are trained for the test, with seeds of their own; each takes the whole budget. With one
            the verdict is on that one; with several, better 6 or more, on any that is trained like them.
        classifier_steps: optimizer steps of every training.
        batch_size: rows per batch of every training.
        judge_steps: optimizer steps of each classifier that curates samples.
        steps: budget of each generator in training steps.
        minutes: the same in minutes of wall time; for a choice half a minute when neither is given, of tables as many
            steps as a training is usually given.
        full: compare with every baseline there is and try every variant of the best, not the usual few.
        prior: how frequent classes are among unlabelled rows: "judged", as judges see them; "even"; "labelled", as
            among the labelled rows; "between" judged and even; or as is said, in proportions: "ill=1,well=3".
        today: the way that is trained today, an arm by its name, to be told what the advice gains over it.
        learner: what is trained to judge where no training is given: "network", or one of scikit-learn, "linear",
            "forest" or "boosting", which takes no steps and is fitted once.
    """

    folds: int = 3
    seeds: int = 5
    generators: int = 1
    classifier_steps: int = 400
    batch_size: int = BATCH_SIZE
    judge_steps: int = JUDGE_STEPS
    steps: int | None = None
    minutes: float | None = None
    full: bool = False
    prior: str = "judged"
    today: str | None = None
    learner: str = NETWORK

    def check(self) -> None:
        """Refuse numbers that nothing can be judged with.

        Raises:
            InvalidRequest: naming the number and what it may be.
        """
        for name, least in (
            ("folds", 2),
            ("seeds", 2),
            ("generators", 1),
            ("classifier_steps", 1),
            ("batch_size", 2),
            ("judge_steps", 1),
        ):
            value = getattr(self, name)
            if value < least:
                why = ": the spread of one seed is unknown" if name == "seeds" else ""
                raise InvalidRequest(f"{name}={value} was asked for; it has to be at least {least}{why}.")
        if "=" in self.prior:
            proportions_of(self.prior)
        elif self.prior not in PRIORS:
            raise InvalidRequest(
                f'prior="{self.prior}" was asked for.{did_you_mean(self.prior, PRIORS)} Or say proportions, as in '
                '"ill=1,well=3".'
            )
        # Not before it is needed: generators import this module.
        from synthaug.judging.learners import learner_of

        learner_of(self.learner)
        require_seeds(self.seeds, self.generators)

    def generator_budget(self, usual: Mapping[str, Any]) -> dict[str, Any]:
        """Steps and minutes of a generator of a choice; ``usual`` is what a training of the rows is given."""
        if self.steps is not None or self.minutes is not None:
            return {"steps": self.steps, "minutes": self.minutes}
        steps = usual.get("steps")
        return {"steps": steps, "minutes": GENERATOR_MINUTES if steps is None else None}


def proportions_of(prior: str) -> dict[str, int]:
    """How frequent classes are to one another, of a text such as ``ill=1,well=3``.

    Raises:
        InvalidRequest: no such text, a number below 0, or none above it.
    """
    found = parse_counts(prior)
    if min(found.values()) < 0 or not any(found.values()):
        raise InvalidRequest(
            f'prior="{prior}" was asked for; proportions are not below 0, and one of them is above.'
        )
    return found


USUAL_PROTOCOL = Protocol()
"""What is done unless another is asked for."""


def families_for(kind: str) -> tuple[str, ...]:
    """What a choice tries of families for rows of a kind, unless asked for others."""
    from synthaug.families import family_names_for  # imports torch

    return FAMILIES.get(kind) or family_names_for(kind)


def families_on_both(kind: str, families: Sequence[str]) -> tuple[str, ...]:
    """What of these families a choice for rows of a kind trains on labelled and judged rows together."""
    asked = tuple(families)
    return BOTH.get(kind, asked) if asked == families_for(kind) else asked


def require_seeds(seeds: int, replicates: int) -> None:
    """Refuse seeds that cannot be shared out among replicates.

    Raises:
        InvalidRequest: with the number to ask for.
    """
    if seeds % replicates:
        raise InvalidRequest(
            f"{seeds} classifier seeds were asked for with {replicates} generators; every generator needs "
            f"as many seeds: ask for seeds={replicates * math.ceil(seeds / replicates)}."
        )


def require_share(ratio: float) -> None:
    """Refuse a share that cannot be compared with none.

    Raises:
        InvalidRequest: not above 0 and below 1.
    """
    if not 0 < ratio < 1:
        raise InvalidRequest(
            f"ratio={ratio} was asked for; to be judged it is the share of synthetic rows in a batch, above 0 "
            "and below 1, e.g. 0.25."
        )


def is_unequal(data: LabeledData) -> bool:
    """Whether classes are so unequally frequent that balanced accuracy is what counts."""
    return are_unequal(np.array(list(data.counts.values())))


def are_unequal(counts: np.ndarray) -> bool:
    """The same of ``(K,)`` rows of each class, of which some may be 0."""
    return bool(counts.max() > _BALANCED * counts[counts > 0].min())


def weights_of(data: LabeledData, folds: list[np.ndarray]) -> np.ndarray:
    """``(N,)`` what a row counts for: 1, or one over the held-out rows of its class where these are unequal."""
    if not is_unequal(data):
        return np.ones(len(data))
    counts = np.bincount(data.labels[np.concatenate(folds)], minlength=len(data.classes))
    weights: np.ndarray = 1 / counts[data.labels].clip(1)
    return weights
