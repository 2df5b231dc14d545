"""The built-in classifier and its training: a loader goes in, a classifier comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch.nn import functional as F

from synthaug.errors import InvalidRequest
from synthaug.modalities.classifier import ClassifierNetwork
from synthaug.modalities.known import classifier_of
from synthaug.outputs import atomic_write_bytes
from synthaug.seeding import derive

LabelledBatches: TypeAlias = Iterable[Any]
"""Batches ``(X, y)``: ``X`` as the training takes it, ``y`` ``(B,)`` int64 labels in ``[0, n_classes)``."""

ClassifierLoss: TypeAlias = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
"""``loss(logits, labels, progress)``: the loss ``(B,)`` of each row. Labels are ``(B,)`` int64 or ``(B, n_classes)``
float32 distributions; progress is the share of the steps already made, in [0, 1)."""

# Tuned on rows 500 to 599 of each class of Fashion-MNIST's training images, which nothing else here uses.
LABEL_SMOOTHING = 0.1
"""Of the cross-entropy of the built-in training."""

_WARM_UP = 0.2


class Classifier:
    """A trained classifier: call it for probabilities, or ask it for features."""

    def __init__(self, network: ClassifierNetwork) -> None:
        self._network = network.eval()

    def __call__(self, rows: torch.Tensor | np.ndarray) -> np.ndarray:
        """``(N, n_classes)`` float32 probabilities of encoded rows ``(N, ...)`` float32."""
        return self._in_blocks(rows, lambda block: self._network(block).softmax(dim=1))

    def features(self, rows: torch.Tensor | np.ndarray) -> np.ndarray:
        """``(N, D)`` float32: what the last layer sees of encoded rows."""
        return self._in_blocks(rows, self._network.features)

    @torch.no_grad()
    def _in_blocks(
        self, rows: torch.Tensor | np.ndarray, of: Callable[[torch.Tensor], torch.Tensor]
    ) -> np.ndarray:
        device = next(self._network.parameters()).device
        blocks = torch.split(torch.as_tensor(rows), 256)
        return torch.cat([of(block.to(device)).cpu() for block in blocks]).numpy()


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, progress: float) -> torch.Tensor:
    """The loss of each row, with labels smoothed, whatever the progress."""
    return F.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING, reduction="none")


def pace_of(step: int, steps: int) -> float:
    """What part of the highest learning rate a step of so many has: linear warm-up, then cosine decay."""
    warm = (step + 1) / (_WARM_UP * steps + 1)
    return min(warm, (1 + math.cos(math.pi * step / steps)) / 2)


def train_classifier(
    loader: LabelledBatches,
    steps: int,
    seed: int,
    *,
    n_classes: int,
    loss: ClassifierLoss = cross_entropy,
    device: torch.device | str = "cpu",
    kept: Path | None = None,
) -> Classifier:
    """A small network for the kind of rows, trained for exactly ``steps`` optimizer steps.

    AdamW, linear warm-up and cosine decay, label smoothing, dropout. The loader is gone through again and
    again until the steps are spent. A step of 64 images of 28x28 takes about 8 ms on one CPU thread.

    Args:
        loader: batches ``(X, y)``: ``X`` encoded rows, for images ``(B, C, H, W)`` float32 in [-1, 1] with H and W
            at least 8 and the same in every batch; ``y`` ``(B,)`` int64 in ``[0, n_classes)``, or ``(B, n_classes)``
            float32 distributions.
        steps: optimizer steps, at least 1.
        seed: decides first weights and dropout. The global torch stream is left as it was found.
        n_classes: number of outputs.
        loss: of each row; its mean over a batch is minimised.
        device: where to train.
        kept: a file that keeps the weights, for a call that was stopped later: where it is there, nothing is trained.

    Raises:
        InvalidRequest: no steps asked for, or a loader without batches or of images below 8x8.
    """
    if steps < 1:
        raise InvalidRequest(f"A classifier was to be trained for {steps} steps; ask for at least 1.")
    place = torch.device(device)
    # PyTorch's first weights and dropout only draw from the global stream: lend it one of ours meanwhile.
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
        torch.default_generator.manual_seed(derive(seed, "classifier"))
        if place.type == "cuda":
            torch.cuda.manual_seed(derive(seed, "classifier"))
        batches = _cycle(loader)
        X, y = next(batches)
        network = classifier_of(tuple(X.shape[1:]), n_classes).to(place)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent from torch's stubs
        if kept is not None and kept.exists():
            network.load_state_dict(load_file(kept))
            return Classifier(network)
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=network.weight_decay, fused=True)
        for step in range(steps):
            if step > 0:
                X, y = next(batches)
            optimizer.param_groups[0]["lr"] = network.learning_rate * pace_of(step, steps)
            optimizer.zero_grad()
            losses = loss(network(X.to(place)), y.to(place), step / steps)
            losses.mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_bytes(kept, save({k: v.contiguous() for k, v in network.state_dict().items()}))
    return Classifier(network)


def _cycle(loader: LabelledBatches) -> Iterator[Any]:
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
