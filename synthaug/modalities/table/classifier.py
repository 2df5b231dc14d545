"""The small network that tells what training rows of a table are worth."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from synthaug.modalities.classifier import ClassifierNetwork

_WIDTH, _DROPOUT = 128, 0.2


class TableClassifier(ClassifierNetwork):
    """Two normalised layers with dropout, one linear layer.

    Args:
        shape: of an encoded row, ``(E,)``.
        n_classes: number of logits.
    """

    learning_rate, weight_decay = 1e-2, 0.1

    def __init__(self, shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        inputs = prod(shape)
        layers: list[nn.Module] = []
        for size in (inputs, _WIDTH):
            layers += [nn.Linear(size, _WIDTH), nn.BatchNorm1d(_WIDTH), nn.ReLU(), nn.Dropout(_DROPOUT)]
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(_WIDTH, n_classes)

    def forward(self, rows: Tensor) -> Tensor:
        """``(N, n_classes)`` logits of encoded rows ``(N, E)``."""
        return super().forward(rows.to(torch.float32))
