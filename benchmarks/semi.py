"""Training on labelled and unlabelled rows at once, in small forms: what judged rows have to stand against.

Both take the classifier, optimizer and schedule of the built-in training, its 64 labelled rows a step, and a batch of
unlabelled ones beside. Rows are changed weakly, by a shift of up to two pixels, where labels are guessed, and by the
policy where they are learned from. What is scored is a running mean of the weights. Thresholds and weights are the best
of a few at 5 rows a class of Fashion-MNIST, on draws that no result is of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from synthaug.judging import Augment
from synthaug.modalities.image.classifier import ImageClassifier
from synthaug.seeding import derive, numpy_rng
from synthaug.training import LABEL_SMOOTHING, Classifier, pace_of

BATCH = 64


@dataclass(frozen=True)
class Rows:
    """What is learned from.

    Attributes:
        known: ``(N, C, H, W)`` encoded labelled rows.
        labels: ``(N,)`` int64 class positions.
        others: ``(M, C, H, W)`` encoded rows without labels.
        strong: the augmentation that is learned from.
        n_classes: number of classes.
    """

    known: Tensor
    labels: Tensor
    others: Tensor
    strong: Augment
    n_classes: int

    def weak(self, rows: Tensor, seed: int) -> Tensor:
        """All rows of a batch moved by up to two pixels, each by a step of its own."""
        moves = numpy_rng(seed, "semi", "shift").integers(-2, 3, (len(rows), 2))
        size = rows.shape[2:]
        wide = F.pad(rows, (2, 2, 2, 2), mode="replicate")
        return torch.stack(
            [
                row[:, 2 + y : 2 + y + size[0], 2 + x : 2 + x + size[1]]
                for row, (y, x) in zip(wide, moves, strict=True)
            ]
        )


Loss = Callable[["ImageClassifier", Rows, Tensor, Tensor, Tensor, float, int], Tensor]
"""Network, rows, the labelled batch and its labels, the unlabelled batch, progress in [0, 1), a seed: the loss."""


def adamatch(tau: float = 0.9, weight: float = 1.0) -> Loss:
    """Labels guessed on weakly changed rows are learned on strongly changed ones, where they are sure enough.

    Berthelot et al., "AdaMatch", 2022: guesses are aligned with the class shares of the labelled rows, sure is
    relative to these, logits of two passes are mixed at random, and the weight of the unlabelled rows rises.

    Args:
        tau: how sure a guess has to be, in parts of how sure the network is of labelled rows.
        weight: of the unlabelled rows, once it has risen.
    """

    def loss(
        network: ImageClassifier, rows: Rows, X: Tensor, y: Tensor, U: Tensor, progress: float, seed: int
    ) -> Tensor:
        half = len(X) // 2
        labelled = torch.cat([rows.weak(X[:half], seed), rows.strong(X[half:], seed)])
        both = torch.cat([labelled, rows.weak(U, seed + 1), rows.strong(U, seed + 1)])
        joint, alone = network(both), network(labelled)
        part = torch.rand(len(labelled), 1)
        known = part * joint[: len(labelled)] + (1 - part) * alone
        weak, strong = joint[len(labelled) :].chunk(2)
        with torch.no_grad():
            sure = known[:half].softmax(1)
            guess = weak.softmax(1)
            guess = guess * (sure.mean(0) / guess.mean(0).clip(1e-6))
            guess = guess / guess.sum(1, keepdim=True)
            used = (guess.max(1).values >= tau * sure.max(1).values.mean()).float()
        rising = 0.5 - math.cos(min(math.pi, 2 * math.pi * progress)) / 2
        supervised = F.cross_entropy(known, y, label_smoothing=LABEL_SMOOTHING)
        guessed = (used * F.cross_entropy(strong, guess.argmax(1), reduction="none")).mean()
        return supervised + rising * weight * guessed

    return loss


def mixmatch(weight: float = 30.0, sharpness: float = 2.0, alpha: float = 0.75) -> Loss:
    """Guesses of two changed copies are averaged and sharpened, and all rows blended in pairs.

    Berthelot et al., "MixMatch", 2019: cross-entropy on blends of labelled rows, squared error on those of others.

    Args:
        weight: of the unlabelled rows, risen to over all steps.
        sharpness: power that guesses are taken to.
        alpha: of the Beta distribution that blends are drawn from.
    """

    def loss(
        network: ImageClassifier, rows: Rows, X: Tensor, y: Tensor, U: Tensor, progress: float, seed: int
    ) -> Tensor:
        rng = np.random.default_rng(seed)
        X, first, second = rows.strong(X, seed), rows.strong(U, seed + 1), rows.strong(U, seed + 2)
        with torch.no_grad():
            guess = (network(rows.weak(U, seed)).softmax(1) + network(rows.weak(U, seed + 1)).softmax(1)) / 2
            guess = guess**sharpness
            guess = guess / guess.sum(1, keepdim=True)
        images = torch.cat([X, first, second])
        labels = torch.cat([F.one_hot(y, rows.n_classes).float(), guess, guess])
        order = torch.from_numpy(rng.permutation(len(images)))
        part = float(rng.beta(alpha, alpha))
        part = max(part, 1 - part)
        logits = network(part * images + (1 - part) * images[order])
        target = part * labels + (1 - part) * labels[order]
        known, others = logits[: len(X)], logits[len(X) :].softmax(1)
        supervised = F.cross_entropy(known, target[: len(X)], label_smoothing=LABEL_SMOOTHING)
        return supervised + weight * progress * ((others - target[len(X) :]) ** 2).mean()

    return loss


def train_semi(rows: Rows, loss: Loss, steps: int, seed: int, *, decay: float = 0.99) -> Classifier:
    """The built-in network, trained with a loss on both kinds of rows.

    Args:
        rows: what is learned from.
        loss: of a step.
        steps: optimizer steps.
        seed: decides everything.
        decay: of the running mean of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "classifier") % 2**63)
        network: Any = ImageClassifier(tuple(rows.known.shape[1:]), rows.n_classes)
        network.to(memory_format=torch.channels_last)
        mean = deepcopy(network)
        optimizer = torch.optim.AdamW(network.parameters(), weight_decay=network.weight_decay, fused=True)
        batches = zip(_drawn(len(rows.known), seed), _drawn(len(rows.others), seed + 1), strict=False)
        for step, (own, others) in zip(range(steps), batches, strict=False):
            optimizer.param_groups[0]["lr"] = network.learning_rate * pace_of(step, steps)
            optimizer.zero_grad()
            at = derive(seed, "semi", step) % 2**31
            batch = rows.known[own], rows.labels[own], rows.others[others]
            loss(network, rows, *batch, step / steps, at).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            with torch.no_grad():
                keep = min(decay, (step + 1) / (step + 10))
                for ours, theirs in zip(
                    mean.state_dict().values(), network.state_dict().values(), strict=True
                ):
                    if ours.is_floating_point():
                        ours.lerp_(theirs, 1 - keep)
    return Classifier(mean)


def _drawn(n: int, seed: int) -> Iterator[np.ndarray]:
    """Row numbers of batches without end, every row once before any comes again."""
    rng = numpy_rng(seed, "semi", "rows")
    waiting = np.empty(0, np.int64)
    while True:
        while len(waiting) < BATCH:
            waiting = np.append(waiting, rng.permutation(n))
        yield waiting[:BATCH]
        waiting = waiting[BATCH:]
