"""What the networks have in common that tell what training rows are worth."""

from __future__ import annotations

from torch import Tensor, nn


class ClassifierNetwork(nn.Module):
    """Features of encoded rows, and a last layer that makes logits of them.

    Attributes:
        features: ``(N, *encoded)`` -> ``(N, D)``.
        head: ``(N, D)`` -> ``(N, n_classes)``.
        learning_rate: the highest of its AdamW optimizer.
        weight_decay: of the same.
    """

    features: nn.Module
    head: nn.Module
    learning_rate: float
    weight_decay: float

    def forward(self, rows: Tensor) -> Tensor:
        """``(N, n_classes)`` logits of encoded rows."""
        logits: Tensor = self.head(self.features(rows))
        return logits
