"""The door to the user's own training."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from synthaug.errors import InvalidRequest
from synthaug.judging import takes_loss, train_and_predict
from synthaug.metrics import Scores
from synthaug.training import train_classifier

Batch = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def bars(shapes: tuple[np.ndarray, np.ndarray]) -> Batch:
    images, names = shapes
    return torch.from_numpy(images).float()[:, None] / 127.5 - 1, torch.from_numpy(
        (names == "standing").astype(int)
    )


def _answering(answer: Any) -> Any:
    """A user's training whose predictor gives ``answer(y)`` on rows whose first value is their label y."""
    return lambda loader, steps, seed: lambda X: answer(X[:, 0].long())


_TEST = [
    (torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0, 1, 2])),
    (torch.tensor([[2.0]]), torch.tensor([0])),
]


def _scored(answer: Any) -> Scores:
    found = train_and_predict([], {"test": _TEST}, train=_answering(answer), steps=1, seed=0, n_classes=3)
    return found["test"].scores(3)


@pytest.mark.parametrize(
    "answer",
    [
        lambda y: y,
        lambda y: y.numpy(),
        lambda y: y.tolist(),
        lambda y: torch.nn.functional.one_hot(y, 3).float().requires_grad_(),
        lambda y: np.eye(3)[y.numpy()] - 7,
    ],
    ids=["labels", "array", "list", "scores with gradient", "scores as array"],
)
def test_the_users_training_may_answer_with_labels_or_scores(answer: Any) -> None:
    scores = _scored(answer)
    assert scores.accuracy == 0.75
    assert scores.recall == (0.5, 1.0, 1.0)


@pytest.mark.parametrize(
    ("answer", "probabilities"),
    [
        (lambda y: torch.nn.functional.one_hot(y, 3).float() * 0.7 + 0.1, True),
        (lambda y: torch.nn.functional.one_hot(y, 3).float() * 5, False),
        (lambda y: y, False),
    ],
    ids=["probabilities", "scores", "labels"],
)
def test_probabilities_are_judged_as_such_and_nothing_else_is(answer: Any, probabilities: bool) -> None:
    scores = _scored(answer)
    assert (scores.brier is not None) is (scores.calibration_error is not None) is probabilities
    if probabilities:
        assert scores.calibration_error == pytest.approx(0.8 - 0.75)


def test_whether_a_training_takes_a_loss_can_be_seen_through_what_is_bound_to_it() -> None:
    assert takes_loss(partial(train_classifier, loss=lambda logits, labels, progress: logits.sum(1)))
    assert not takes_loss(lambda loader, steps, seed: None)  # type: ignore[arg-type, return-value]


def test_the_users_training_is_told_loader_steps_and_seed() -> None:
    told = []

    def train(loader: Any, steps: int, seed: int) -> Any:
        told.append((loader, steps, seed))
        return lambda X: X[:, 0].long()

    loader = [_TEST[0]]
    train_and_predict(loader, {"test": _TEST}, train=train, steps=5, seed=7, n_classes=3)
    assert told == [(loader, 5, 7)]


def test_every_named_set_is_scored_by_one_training(bars: Batch) -> None:
    found = train_and_predict(
        [bars],
        {"validation": [bars], "test": [(bars[0], 1 - bars[1])]},
        train=partial(train_classifier, n_classes=2),
        steps=20,
        seed=0,
        n_classes=2,
    )
    scores = {name: of.scores(2) for name, of in found.items()}
    assert scores["validation"].accuracy == pytest.approx(1 - scores["test"].accuracy)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda y: y.float(), "float32 of shape"),
        (lambda y: y + 1, r"int64 of shape \(3,\)"),
        (lambda y: torch.zeros(len(y), 2), r"shape \(3, 2\)"),
        (lambda y: torch.zeros(1, 3), r"shape \(1, 3\)"),
    ],
    ids=["floats", "a label too large", "too few scores", "too few rows"],
)
def test_answers_that_are_no_labels_are_refused(answer: Any, found: str) -> None:
    with pytest.raises(InvalidRequest, match=found + r".*integer labels \(3,\) in 0..2 or scores \(3, 3\)"):
        _scored(answer)


def test_training_that_returns_no_predictor_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="returned NoneType; it must return a function"):
        train_and_predict([], {}, train=lambda *_: None, steps=1, seed=0, n_classes=3)  # type: ignore[arg-type, return-value]
