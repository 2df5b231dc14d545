"""Learners of scikit-learn that can judge in the place of the built-in network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.errors import InvalidRequest
from synthaug.judging.protocol import NETWORK
from synthaug.wording import did_you_mean

if TYPE_CHECKING:
    import torch

    from synthaug.judging.predict import Predict, Train

_PASSES = 4
"""Over a loader: what it replaces or draws differs from pass to pass, and all of it is fitted at once."""


@dataclass(frozen=True)
class Learner:
    """A learner as trainings are: ``learner(loader, steps, seed, n_classes=...)``.

    It is fitted once, to all rows that four passes over the loader give, whatever the steps: it has none. With
    ``weights=``, ``(n_classes,)``, rows count as much as the weight of their class.

    Attributes:
        name: in `LEARNERS`.
    """

    name: str

    @property
    def title(self) -> str:
        """What it is called in a report."""
        return LEARNERS[self.name][0]

    def __call__(
        self, loader: Any, steps: int, seed: int, *, n_classes: int, weights: np.ndarray | None = None
    ) -> Predict:
        """The fitted learner: a batch of encoded rows to probabilities ``(B, n_classes)``."""
        batches = [batch for _ in range(_PASSES) for batch in loader]
        if not batches:
            raise InvalidRequest(
                "The loader gave no batch: give it rows, a smaller batch size or drop_last=False."
            )
        rows, labels = (np.concatenate([np.asarray(batch[part]) for batch in batches]) for part in (0, 1))
        model = LEARNERS[self.name][1](seed % 2**31)
        model.fit(rows.reshape(len(rows), -1), labels, None if weights is None else weights[labels])
        return partial(_shares, model, n_classes)


def learner_of(name: str) -> Learner | None:
    """The learner of this name; None for the built-in network.

    Raises:
        InvalidRequest: there is none.
    """
    known = (NETWORK, *LEARNERS)
    if name not in known:
        raise InvalidRequest(f'There is no learner "{name}".{did_you_mean(name, known)}')
    return None if name == NETWORK else Learner(name)


def bound(train: Train, n_classes: int) -> Train:
    """A training that is called as ``train(loader, steps, seed)``; learners are told how many classes there are."""
    return partial(train, n_classes=n_classes) if isinstance(train, Learner) else train


def _shares(model: Any, n_classes: int, batch: torch.Tensor) -> np.ndarray:
    rows = np.asarray(batch).reshape(len(batch), -1)
    shares = np.zeros((len(rows), n_classes))
    shares[:, model.classes_] = model.predict_proba(rows)
    return shares


def _linear(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000, C=1.0)


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(200, random_state=seed, n_jobs=1)


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed)


LEARNERS: dict[str, tuple[str, Callable[[int], Any]]] = {
    "linear": ("logistic regression", _linear),
    "forest": ("random forest of 200 trees", _forest),
    "boosting": ("histogram gradient boosting", _boosting),
}
"""What can be asked for beside the built-in network: a title, and what makes one of a seed."""
