"""What a generator is worth: its spread and score while it trains, and what was achieved in words at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthaug.families.base import Family
from synthaug.metrics.fidelity import label_agreement, nearest_rows, relative_diversity
from synthaug.metrics.scores import score
from synthaug.modalities.image.codec import ImageCodec
from synthaug.seeding import numpy_rng, torch_rng
from synthaug.training.classifier import Classifier, train_classifier
from synthaug.training.loop import Score

LEAST_STEPS = 300
"""Training steps below which nothing is judged: the judging would cost more than the training."""

_LEAST_SCORING_STEPS = 50
_BLOCK = 256
_SIDE = 7  # of the pooled pictures whose spread is measured
_SPREAD_CLASSES = 64
_SPREAD_ROWS = 16
_LARGEST = 2000  # rows of any kind that are looked at


@dataclass(frozen=True)
class Rows:
    """Raw rows ``(N, *spec.shape)`` and their labels ``(N,)`` int64."""

    images: np.ndarray
    labels: np.ndarray

    def take(self, rows: np.ndarray) -> Rows:
        """The rows of these numbers."""
        return Rows(self.images[rows], self.labels[rows])


class Appraiser:
    """Judges a family in training by the rows it is trained on, and by rows held out from it where there are some.

    Args:
        real: the training rows.
        held_out: rows that are not trained on, to choose by; not the rows that the final test is made on.
        codec: raw rows <-> tensors.
        classes: class names, in order.
        steps: the training budget, of which judging takes a small part.
        seed: decides the samples and the classifiers; the same at every look, so that only the weights differ.
    """

    def __init__(
        self,
        real: Rows,
        held_out: Rows | None,
        codec: ImageCodec,
        classes: tuple[str, ...],
        *,
        steps: int,
        seed: int,
    ) -> None:
        self.real, self.held_out, self.codec, self.classes = real, held_out, codec, classes
        self.steps, self.seed = steps, seed
        self.present = np.unique(real.labels)
        self.scoring_steps = min(100, steps // 20)  # five times, about 5 % of three minutes' training
        looked_at = self.present[np.linspace(0, len(self.present) - 1, _SPREAD_CLASSES).astype(int)]
        self.looked_at = np.unique(looked_at)
        few = [np.flatnonzero(real.labels == k)[: 4 * _SPREAD_ROWS] for k in self.looked_at]
        self.real_spread = _spreads([_pooled(codec.encode(real.images[rows])) for rows in few])

    def spread(self, average: nn.Module) -> dict[str, float]:
        """How varied the samples of each class are, and how different the classes, over the same of real rows.

        The root mean square distance of pictures averaged down to 7x7 cells from the mean picture of their class;
        for the classes, that of the means from their mean. 1.0 is as real rows are. Of many classes 64 are looked
        at. Classes of one row, or of equal rows, are left out.
        """
        made, labels = self._make(average, self.looked_at, _SPREAD_ROWS, "spread")
        ours = _spreads([_pooled(made[labels == int(k)]) for k in self.looked_at])
        names = [*(self.classes[int(k)] for k in self.looked_at), "the difference between classes"]
        pairs = zip(names, ours, self.real_spread, strict=True)
        return {name: made / real for name, made, real in pairs if real > 1e-6}

    def scoring(self) -> Score | None:
        """What to choose a checkpoint by; None without held-out rows, or where the budget is too small."""
        if self.held_out is None or self.scoring_steps < _LEAST_SCORING_STEPS:
            return None
        # The standard error of a difference between two checkpoints. Measured on Fashion-MNIST: with the same seed,
        # training the classifier adds 0.02; the two judge about a fifth of the held-out rows differently.
        noise = math.sqrt(0.02**2 + 0.2 / min(len(self.held_out.labels), _LARGEST))
        return Score(self.score, noise)

    def score(self, average: nn.Module) -> float:
        """Balanced accuracy on held-out rows of a small classifier that was trained on samples alone."""
        return self._trained_on_samples(average, self.scoring_steps)

    def achieved(self, average: nn.Module) -> dict[str, Any]:
        """What the training achieved, as plain JSON data; ``text`` says it in words.

        Without held-out rows the classifier that recognises the samples is trained on four fifths of the training
        rows, and the last fifth stands for real rows it has not seen.
        """
        if self.steps < LEAST_STEPS:
            return {"text": f"Not judged: {self.steps} steps are too few to learn from."}
        known, reference = self.real, self.held_out
        if reference is None:
            rng = numpy_rng(self.seed, "appraisal", "spared")
            of = [rng.permutation(np.flatnonzero(known.labels == k)) for k in self.present]
            spared = np.concatenate([rows[: len(rows) // 5] for rows in of])
            reference, known = (
                known.take(spared),
                known.take(np.setdiff1d(np.arange(len(known.labels)), spared)),
            )
        if len(reference.labels) < 20:
            return {"text": f"Not judged: {len(self.real.labels)} rows are too few to compare with."}
        reference = reference.take(_some(len(reference.labels), self.seed))
        steps = min(200, max(50, self.steps // 15))
        classifier = self._trained_on(known, steps, _device(average))
        seen, theirs = self.codec.encode(reference.images), reference.labels
        accuracy = score(theirs, classifier(seen).argmax(axis=1), len(self.classes)).balanced_accuracy
        per_class = min(100, max(10, 1000 // len(self.present)))
        made, asked = self._make(average, self.present, per_class, "achieved")
        ours = asked.numpy()
        diversity = relative_diversity(classifier.features(made), ours, classifier.features(seen), theirs)
        training = self.codec.encode(self.real.take(_some(len(self.real.labels), self.seed)).images).numpy()
        others = self.codec.encode(known.take(_some(len(known.labels), self.seed)).images).numpy()
        gap = float(np.median(nearest_rows(seen.numpy(), others)[1]))
        found: dict[str, Any] = {
            "agreement": label_agreement(classifier(made).argmax(axis=1), ours, accuracy),
            "diversity": float(np.mean(list(diversity.values()))) if diversity else None,
            "class_diversity": {self.classes[k]: value for k, value in diversity.items()},
            "novelty": float(np.median(nearest_rows(made.numpy(), training)[1])) / gap if gap > 0 else None,
        }
        if self.held_out is not None:
            found["held_out_accuracy"] = {
                "of": len(self.held_out.labels),
                "trained_on_samples": self._trained_on_samples(average, steps),
                "trained_on_real": accuracy,
            }
        return {"text": in_words(found)} | found

    def _trained_on_samples(self, average: nn.Module, steps: int) -> float:
        assert self.held_out is not None
        per_class = min(100, max(10, 1000 // len(self.present)))
        made, labels = self._make(average, self.present, per_class, "score")
        batches = _Shuffled(made, labels, self.seed)
        classifier = train_classifier(
            batches, steps, self.seed, n_classes=len(self.classes), device=_device(average)
        )
        rows = self.held_out.take(_some(len(self.held_out.labels), self.seed))
        predicted = classifier(self.codec.encode(rows.images)).argmax(axis=1)
        return score(rows.labels, predicted, len(self.classes)).balanced_accuracy

    def _trained_on(self, rows: Rows, steps: int, device: torch.device) -> Classifier:
        """A classifier trained on real rows, every class equally often."""
        rng = numpy_rng(self.seed, "appraisal", "even")
        of = [rng.permutation(np.flatnonzero(rows.labels == k)) for k in np.unique(rows.labels)]
        most = min(max(map(len, of)), max(10, 2 * _LARGEST // len(of)))
        even = rows.take(np.concatenate([np.resize(numbers, most) for numbers in of]))
        batches = _Shuffled(self.codec.encode(even.images), torch.from_numpy(even.labels), self.seed)
        return train_classifier(batches, steps, self.seed, n_classes=len(self.classes), device=device)

    @torch.no_grad()
    def _make(
        self, average: nn.Module, classes: np.ndarray, per_class: int, purpose: str
    ) -> tuple[Tensor, Tensor]:
        """Samples of some classes, equally many of each, from the same noise at every call; on the CPU."""
        assert isinstance(average, Family)
        labels = torch.from_numpy(np.repeat(classes, per_class)).long()
        noise = torch.randn(
            len(labels), *average.noise_shape, generator=torch_rng(self.seed, "appraisal", purpose)
        )
        device = _device(average)
        blocks = zip(torch.split(labels, _BLOCK), torch.split(noise, _BLOCK), strict=True)
        made = [average.sample(k.to(device), z.to(device)).float().cpu() for k, z in blocks]
        return torch.cat(made), labels


def in_words(found: Mapping[str, Any]) -> str:
    """What the figures of `Appraiser.achieved` mean, in a few plain sentences."""
    agreement, diversity, novelty = found["agreement"], found["diversity"], found["novelty"]
    said = []
    if agreement is not None:
        said.append(f"Samples are recognised as their class {agreement:.2f} times as often as real rows.")
    if diversity is not None:
        least = min(found["class_diversity"], key=found["class_diversity"].__getitem__)
        said.append(
            f"They vary {diversity:.2f} times as much, least in {least} "
            f"({found['class_diversity'][least]:.2f})."
        )
    if novelty is not None:
        said.append(f"They lie {novelty:.2f} times as far from the nearest training row (copies: 0).")
    if "held_out_accuracy" in found:
        held_out = found["held_out_accuracy"]
        said.append(
            f"On {held_out['of']} held-out rows a classifier trained on samples alone reaches "
            f"{held_out['trained_on_samples']:.2f} balanced accuracy, one trained on as many steps of real rows "
            f"{held_out['trained_on_real']:.2f}."
        )
    else:
        said.append(
            "No rows were held out: how well a classifier learns from samples alone was not measured."
        )
    return " ".join(said)


class _Shuffled:
    """Batches of rows, in another order each time they are gone through."""

    def __init__(self, images: Tensor, labels: Tensor, seed: int) -> None:
        self.images, self.labels, self.rng = images, labels, torch_rng(seed, "appraisal", "order")

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        size = min(64, len(self.labels))
        order = torch.randperm(len(self.labels), generator=self.rng)
        for start in range(0, len(order) - size + 1, size):
            rows = order[start : start + size]
            yield self.images[rows], self.labels[rows]


def _some(n: int, seed: int) -> np.ndarray:
    """At most 2000 of ``n`` row numbers, at random, ascending."""
    return np.sort(numpy_rng(seed, "appraisal", "some").permutation(n)[:_LARGEST])


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


def _pooled(images: Tensor) -> Tensor:
    """``(N, C, H, W)`` -> ``(N, C * 49)``: what is left when pixel noise is averaged away."""
    return F.adaptive_avg_pool2d(images, _SIDE).flatten(1)


def _spreads(classes: list[Tensor]) -> list[float]:
    """The spread within each class, then that between the means of the classes, without what chance adds to it."""
    within = [float(rows.var(dim=0).sum()) if len(rows) > 1 else 0.0 for rows in classes]
    means = torch.stack([rows.mean(dim=0) for rows in classes])
    by_chance = float(np.mean([w / len(rows) for w, rows in zip(within, classes, strict=True)]))
    between = float(means.var(dim=0).sum()) - by_chance if len(classes) > 1 else 0.0
    return [math.sqrt(max(0.0, variance)) for variance in [*within, between]]
