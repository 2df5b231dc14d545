"""The built-in classifier."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import torch

from synthaug.errors import InvalidRequest
from synthaug.training import cross_entropy, train_classifier

Batch = tuple[torch.Tensor, torch.Tensor]


def _batches(
    shape: tuple[int, ...], n_batches: int = 2, batch_size: int = 6, n_classes: int = 3
) -> list[Batch]:
    rng = torch.Generator().manual_seed(0)
    return [
        (
            torch.rand(batch_size, *shape, generator=rng) * 2 - 1,
            torch.randint(n_classes, (batch_size,), generator=rng),
        )
        for _ in range(n_batches)
    ]


@pytest.fixture(scope="module")
def bars(shapes: tuple[np.ndarray, np.ndarray]) -> Batch:
    images, names = shapes
    return torch.from_numpy(images).float()[:, None] / 127.5 - 1, torch.from_numpy(
        (names == "standing").astype(int)
    )


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 31), (4, 64, 48), (1, 28, 28), (3, 130, 8)])
def test_images_of_any_size_from_8_up_are_taken(shape: tuple[int, ...]) -> None:
    predict = train_classifier(_batches(shape), 2, 0, n_classes=3)
    images = _batches(shape)[0][0]
    probabilities, features = predict(images), predict.features(images)
    assert probabilities.shape == (6, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert features.ndim == 2
    assert len(features) == 6
    assert np.isfinite(features).all()


def test_it_learns_what_a_class_looks_like(bars: Batch) -> None:
    X, y = bars
    predict = train_classifier([(X[:60], y[:60])], 30, 0, n_classes=2)
    assert np.mean(predict(X[60:]).argmax(axis=1) == y[60:].numpy()) >= 0.95


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_a_loader_is_gone_through_again_until_exactly_the_steps_are_spent(steps: int) -> None:
    served = []

    class Loader:
        def __iter__(self) -> Iterator[Batch]:
            for batch in _batches((1, 8, 8), n_batches=3):
                served.append(batch)
                yield batch

    train_classifier(Loader(), steps, 0, n_classes=3)
    assert len(served) == steps


def test_the_seed_decides_and_the_global_stream_is_left_alone(bars: Batch) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (train_classifier([bars], 3, seed, n_classes=2)(bars[0]) for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_prediction_does_not_depend_on_the_other_rows(bars: Batch) -> None:
    predict = train_classifier([bars], 3, 0, n_classes=2)
    together = predict(bars[0])
    np.testing.assert_allclose(predict(bars[0][5:6]), together[5:6], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(predict(bars[0].numpy()), together)


def test_no_steps_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="for 0 steps; ask for at least 1"):
        train_classifier(_batches((1, 8, 8)), 0, 0, n_classes=3)


def test_a_loader_without_batches_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="gave no batch: give it rows, a smaller batch size"):
        train_classifier([], 1, 0, n_classes=3)


@pytest.mark.parametrize(("shape", "told"), [((1, 7, 9), "at least 8x8; "), ((3, 16), "encoded rows.*; ")])
def test_rows_that_no_network_is_for_are_refused(shape: tuple[int, ...], told: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"{told}the loader gave .*\(.*Pass your own training function"):
        train_classifier(_batches(shape), 1, 0, n_classes=3)


def test_a_loss_is_told_the_share_of_steps_made_and_may_be_given_distributions(bars: Batch) -> None:
    told = []

    def loss(logits: torch.Tensor, labels: torch.Tensor, progress: float) -> torch.Tensor:
        told.append(progress)
        return cross_entropy(logits, labels, progress)

    X, y = bars
    soft = torch.nn.functional.one_hot(y, 2).float()
    train = partial(train_classifier, loss=loss)
    hard, blended = (train([(X, labels)], 4, 0, n_classes=2)(X) for labels in (y, soft))
    assert told == [0.0, 0.25, 0.5, 0.75] * 2
    np.testing.assert_allclose(hard, blended, rtol=1e-4, atol=1e-5)
