"""Losses of arms that need one of their own: weights for rare classes, and logits shifted by what is frequent."""

from __future__ import annotations

from collections.abc import Callable
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


def sharp_loss(parts: Ingredients) -> ClassifierLoss:
    """The usual loss without smoothed labels, whose probabilities can be divided: smoothing adds as much to all."""
    return sharp


def sharp(logits: torch.Tensor, labels: torch.Tensor, progress: float) -> torch.Tensor:
    """Cross-entropy of each row, nothing smoothed."""
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def weighted_loss(parts: Ingredients) -> ClassifierLoss:
    """Rows weighted by the inverse frequency of their class; weights have mean 1 over the training rows."""
    return _weighting(_counts(parts), 0.0)


def deferred_loss(parts: Ingredients) -> ClassifierLoss:
    """As `weighted_loss`, over the last fifth of the steps only.

    Cao et al., "Learning imbalanced datasets with label-distribution-aware margin loss", 2019, with plain inverse
    frequencies, which their effective numbers come to for less than some thousand rows a class.
    """
    return _weighting(_counts(parts), _DEFERRED)


def adjusted_loss(parts: Ingredients) -> ClassifierLoss:
    """Logits shifted by the logarithm of the class frequencies while training, so that predictions are not.

    Menon et al., "Long-tail learning via logit adjustment", 2021, equation 10 with tau = 1.
    """
    return _adjusting(_counts(parts))


def _counts(parts: Ingredients) -> np.ndarray:
    return np.bincount(parts.labels, minlength=parts.n_classes)


def class_weights(counts: np.ndarray) -> np.ndarray:
    """``(K,)`` the inverse frequencies of classes with so many rows, in the mean 1 over the rows."""
    weights: np.ndarray = counts.sum() / np.count_nonzero(counts) / np.maximum(counts, 1)
    return weights


def _weighting(counts: np.ndarray, start: float) -> ClassifierLoss:
    return partial(_weighted, torch.from_numpy(class_weights(counts)).float(), start)


def _adjusting(counts: np.ndarray) -> ClassifierLoss:
    known = np.maximum(counts, 1)
    return partial(_adjusted, torch.from_numpy(np.log(known / known.sum())).float())


LOSSES: dict[str, tuple[Callable[[Ingredients], ClassifierLoss], Callable[[np.ndarray], ClassifierLoss]]] = {
    "plain": (plain_loss, lambda counts: cross_entropy),
    "sharp": (sharp_loss, lambda counts: sharp),
    "class weights": (weighted_loss, partial(_weighting, start=0.0)),
    "deferred class weights": (deferred_loss, partial(_weighting, start=_DEFERRED)),
    "logit adjustment": (adjusted_loss, _adjusting),
}
"""Every loss by name: what an arm makes it with, and the same of the rows ``(K,)`` of each class."""


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
