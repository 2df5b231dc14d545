"""Losses of arms that need one of their own: weights for rare classes, and logits shifted by what is frequent."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from synthaug.judging.loaders import Ingredients
from synthaug.training.classifier import ClassifierLoss, cross_entropy

# Re-weighting starts at 80 % of the steps, as in Cao et al. (2019): epoch 160 of 200.
_DEFERRED = 0.8


def plain_loss(parts: Ingredients) -> ClassifierLoss:
    """The usual loss, for arms whose labels are distributions."""
    return cross_entropy


def weighted_loss(parts: Ingredients) -> ClassifierLoss:
    """Rows weighted by the inverse frequency of their class; weights have mean 1 over the training rows."""
    return partial(_weighted, _class_weights(parts), 0.0)


def deferred_loss(parts: Ingredients) -> ClassifierLoss:
    """As `weighted_loss`, over the last fifth of the steps only.

    Cao et al., "Learning imbalanced datasets with label-distribution-aware margin loss", 2019, with plain inverse
    frequencies, which their effective numbers come to for less than some thousand rows a class.
    """
    return partial(_weighted, _class_weights(parts), _DEFERRED)


def adjusted_loss(parts: Ingredients) -> ClassifierLoss:
    """Logits shifted by the logarithm of the class frequencies while training, so that predictions are not.

    Menon et al., "Long-tail learning via logit adjustment", 2021, equation 10 with tau = 1.
    """
    counts = np.maximum(np.bincount(parts.labels, minlength=parts.n_classes), 1)
    return partial(_adjusted, torch.from_numpy(np.log(counts / counts.sum())).float())


def _class_weights(parts: Ingredients) -> torch.Tensor:
    counts = np.maximum(np.bincount(parts.labels, minlength=parts.n_classes), 1)
    return torch.from_numpy(len(parts.labels) / len(np.unique(parts.labels)) / counts).float()


def _weighted(
    weights: torch.Tensor, start: float, logits: torch.Tensor, labels: torch.Tensor, progress: float
) -> torch.Tensor:
    losses = cross_entropy(logits, labels, progress)
    if progress < start:
        return losses
    of_class = weights.to(logits.device)
    return losses * (of_class[labels] if labels.ndim == 1 else labels @ of_class)


def _adjusted(
    log_prior: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, progress: float
) -> torch.Tensor:
    return cross_entropy(logits + log_prior.to(logits.device), labels, progress)
