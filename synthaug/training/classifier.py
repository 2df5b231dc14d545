"""The classifier that tells what training rows are worth: a small CNN, or the user's own training.

Nothing here knows where rows come from: a loader goes in, scores on labelled rows come out.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from synthaug.errors import InvalidRequest
from synthaug.metrics.scores import Scores, score
from synthaug.seeding import derive

Batches: TypeAlias = Iterable[Any]
"""Batches ``(X, y)``: ``X`` as the training takes it, ``y`` ``(B,)`` int64 labels in ``[0, n_classes)``."""

Loss: TypeAlias = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
"""``loss(logits, labels, progress)``: the loss ``(B,)`` of each row. Labels are ``(B,)`` int64 or ``(B, n_classes)``
float32 distributions; progress is the share of the steps already made, in [0, 1)."""

Predict: TypeAlias = Callable[[torch.Tensor], Any]
"""A batch ``X`` to its labels ``(B,)`` or to scores ``(B, n_classes)``, the highest of which is the label. Scores that
are probabilities, as they are not negative and sum to 1, are judged as such too."""

Train: TypeAlias = Callable[..., Predict]
"""``fn(loader, steps, seed)``: exactly ``steps`` optimizer steps, through ``loader`` as often as needed. One that takes
``loss`` too, a `Loss`, is given it by name where an arm has one, and labels that may be distributions."""

# Tuned on rows 500 to 599 of each class of Fashion-MNIST's training images, which nothing else here uses.
_WIDTHS = (12, 24, 48)
_LEARNING_RATE = 3e-2
_WEIGHT_DECAY = 0.1
_LABEL_SMOOTHING = 0.1
_DROPOUT = 0.3
_WARM_UP = 0.2

# Scores whose rows sum to 1 within this are taken for probabilities.
_SUM_SLACK = 1e-3


class Classifier:
    """A trained image classifier: call it for probabilities, or ask it for features."""

    def __init__(self, network: _Network) -> None:
        self._network = network.eval()

    def __call__(self, images: torch.Tensor | np.ndarray) -> np.ndarray:
        """``(N, n_classes)`` float32 probabilities of images ``(N, C, H, W)`` float32 in [-1, 1]."""
        return self._in_blocks(images, lambda block: self._network(block).softmax(dim=1))

    def features(self, images: torch.Tensor | np.ndarray) -> np.ndarray:
        """``(N, D)`` float32: what the last layer sees of images ``(N, C, H, W)`` float32 in [-1, 1]."""
        return self._in_blocks(images, self._network.features)

    @torch.no_grad()
    def _in_blocks(
        self, images: torch.Tensor | np.ndarray, of: Callable[[torch.Tensor], torch.Tensor]
    ) -> np.ndarray:
        device = next(self._network.parameters()).device
        blocks = torch.split(torch.as_tensor(images), 256)
        return torch.cat([of(block.to(device)).cpu() for block in blocks]).numpy()


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, progress: float) -> torch.Tensor:
    """The loss of each row, with labels smoothed, whatever the progress."""
    return F.cross_entropy(logits, labels, label_smoothing=_LABEL_SMOOTHING, reduction="none")


def takes_loss(train: Train) -> bool:
    """Whether a training function can be given a `Loss` by the name ``loss``."""
    return "loss" in inspect.signature(train).parameters


def train_classifier(
    loader: Batches,
    steps: int,
    seed: int,
    *,
    n_classes: int,
    loss: Loss = cross_entropy,
    device: torch.device | str = "cpu",
) -> Classifier:
    """A small convolutional network, trained for exactly ``steps`` optimizer steps.

    AdamW, linear warm-up and cosine decay, label smoothing, dropout. The loader is gone through again and
    again until the steps are spent. A step of 64 images of 28x28 takes about 8 ms on one CPU thread.

    Args:
        loader: batches ``(X, y)``: ``X`` ``(B, C, H, W)`` float32 in [-1, 1] with H and W at least 8 and the
            same in every batch; ``y`` ``(B,)`` int64 in ``[0, n_classes)``, or ``(B, n_classes)`` float32
            distributions.
        steps: optimizer steps, at least 1.
        seed: decides first weights and dropout. The global torch stream is left as it was found.
        n_classes: number of outputs.
        loss: of each row; its mean over a batch is minimised.
        device: where to train.

    Raises:
        InvalidRequest: no steps asked for, or a loader without batches or of images below 8x8.
    """
    if steps < 1:
        raise InvalidRequest(f"A classifier was to be trained for {steps} steps; ask for at least 1.")
    # PyTorch's first weights and dropout only draw from the global stream: lend it one of ours meanwhile.
    place = torch.device(device)
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        torch.default_generator.manual_seed(derive(seed, "classifier"))
        if place.type == "cuda":
            torch.cuda.manual_seed(derive(seed, "classifier"))
        return Classifier(_fit(_cycle(loader), steps, n_classes, loss, place))


def train_and_score(
    loader: Batches,
    tests: Mapping[str, Batches],
    *,
    train: Train,
    steps: int,
    seed: int,
    n_classes: int,
) -> dict[str, Scores]:
    """Train once on ``loader``, then score on each of the named sets of labelled batches.

    Args:
        loader: what ``train`` is given.
        tests: name -> batches ``(X, y)`` in the form of the loader's.
        train: `train_classifier` with its classes bound, or the user's own training.
        steps: optimizer steps ``train`` is asked for.
        seed: seed ``train`` is given.
        n_classes: number of classes.

    Raises:
        InvalidRequest: ``train`` did not return a function from a batch to labels or scores.
    """
    found = train_and_predict(loader, tests, train=train, steps=steps, seed=seed, n_classes=n_classes)
    return {name: of.scores(n_classes) for name, of in found.items()}


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of rows, beside what they are.

    Attributes:
        labels: ``(N,)`` int64 true labels.
        predicted: ``(N,)`` int64 predicted labels.
        probabilities: ``(N, n_classes)``; None where the classifier gave none.
    """

    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray | None

    @property
    def correct(self) -> np.ndarray:
        """``(N,)`` bool: which labels were recognised."""
        return np.asarray(self.labels == self.predicted)

    def scores(self, n_classes: int) -> Scores:
        """How well they match."""
        return score(self.labels, self.predicted, n_classes, self.probabilities)


def train_and_predict(
    loader: Batches,
    tests: Mapping[str, Batches],
    *,
    train: Train,
    steps: int,
    seed: int,
    n_classes: int,
) -> dict[str, Predictions]:
    """As `train_and_score`, with what is said of every row."""
    predict = train(loader, steps, seed)
    if not callable(predict):
        raise InvalidRequest(
            f"The training function returned {type(predict).__name__}; it must return a function that takes "
            "a batch and gives labels (B,) or scores (B, classes)."
        )
    return {name: _predictions(predict, batches, n_classes) for name, batches in tests.items()}


def _predictions(predict: Predict, batches: Batches, n_classes: int) -> Predictions:
    labels, outputs = [], []
    for X, y in batches:
        labels.append(np.asarray(y))
        outputs.append(_as_array(predict(X), len(y), n_classes))
    true, output = np.concatenate(labels), np.concatenate(outputs)
    if output.ndim == 1:
        return Predictions(true, output, None)
    sums = (output >= 0).all() and np.allclose(output.sum(axis=1), 1, atol=_SUM_SLACK)
    return Predictions(true, output.argmax(axis=1), output if sums else None)


def _fit(batches: Iterator[Any], steps: int, n_classes: int, loss: Loss, device: torch.device) -> _Network:
    X, y = next(batches)
    network = _Network(tuple(X.shape[1:]), n_classes).to(device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent from torch's stubs
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=_WEIGHT_DECAY, fused=True)
    for step in range(steps):
        if step > 0:
            X, y = next(batches)
        warm = (step + 1) / (_WARM_UP * steps + 1)
        decay = (1 + math.cos(math.pi * step / steps)) / 2
        optimizer.param_groups[0]["lr"] = _LEARNING_RATE * min(warm, decay)
        images = X.to(device, memory_format=torch.channels_last)
        optimizer.zero_grad()
        loss(network(images), y.to(device), step / steps).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network


class _Network(nn.Module):
    """Three convolutions whose cost hardly grows with the image, 3x3 pooled cells, one linear layer."""

    def __init__(self, shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape[1:]) < 8:
            raise InvalidRequest(
                f"The built-in classifier takes images (C, H, W) of at least 8x8; the loader gave {shape}. "
                "Pass your own training function for other rows."
            )
        channels, height, width = shape
        # Beyond about 32x32 the first convolution strides, so that a step stays affordable on a CPU.
        stride = max(1, round(math.sqrt(height * width) / 32))
        side = math.ceil(min(height, width) / stride)
        # As many halvings as leave at least 3x3 cells, in the last stages, where they cost least detail.
        halvings = min(len(_WIDTHS), int(math.log2(side / 3)))
        layers: list[nn.Module] = []
        for stage, out in enumerate(_WIDTHS):
            step = stride if stage == 0 else 1
            kernel = max(3, 2 * step + 1)
            layers.append(nn.Conv2d(channels, out, kernel, step, kernel // 2, bias=False))
            if stage >= len(_WIDTHS) - halvings:
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(3), nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(_DROPOUT), nn.Linear(9 * channels, n_classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.features(images))
        return logits


def _cycle(loader: Batches) -> Iterator[Any]:
    """Batches without end: the loader over and over."""
    while True:
        empty = True
        for batch in loader:
            empty = False
            yield batch
        if empty:
            raise InvalidRequest(
                "The loader gave no batch: give it rows, a smaller batch size or drop_last=False."
            )


def _as_array(output: Any, n: int, n_classes: int) -> np.ndarray:
    """``(n,)`` int64 labels or ``(n, n_classes)`` scores."""
    array = np.asarray(output.detach().cpu() if isinstance(output, torch.Tensor) else output)
    if array.shape == (n, n_classes):
        return array
    whole = array.shape == (n,) and np.issubdtype(array.dtype, np.integer)
    if not whole or (n and not 0 <= array.min() <= array.max() < n_classes):
        raise InvalidRequest(
            f"For a batch of {n} rows predict returned {array.dtype} of shape {array.shape}; it must return "
            f"integer labels ({n},) in 0..{n_classes - 1} or scores ({n}, {n_classes})."
        )
    return array.astype(np.int64)
