"""What a generator is worth: its spread and score while it trains, and what was achieved in words at the end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from synthaug.data.labeled import LabeledData
from synthaug.families import Family
from synthaug.generators.facts import Achieved, HeldOutAccuracy
from synthaug.metrics.fidelity import measure_fidelity
from synthaug.metrics.scores import score
from synthaug.modalities.base import Form
from synthaug.seeding import numpy_rng, torch_rng
from synthaug.training.classifier import Classifier, train_classifier
from synthaug.training.loop import Score
from synthaug.training.pace import PATIENCE

LEAST_STEPS = 300
"""Training steps below which nothing is judged: the judging would cost more than the training. Of larger rows fewer
are as much training, see `Appraiser.achieved`."""

_LEAST_SCORING_STEPS = 50
_USUAL = 28 * 28  # numbers of a row of which `LEAST_STEPS` were measured
_BLOCK = 256
_SPREAD_CLASSES = 64
_SPREAD_ROWS = 16
_LARGEST = 2000  # rows of any kind that are looked at


class Appraiser:
    """Judges a family in training by the rows it is trained on, and by rows held out from it where there are some.

    Args:
        real: the training rows, in memory.
        held_out: rows of the same classes that are not trained on, to choose by; not those of the final test.
        form: fitted to the training rows.
        steps: the training budget, of which judging takes a small part.
        seed: decides the samples and the classifiers; the same at every look, so that only the weights differ.
    """

    def __init__(
        self, real: LabeledData, held_out: LabeledData | None, form: Form, *, steps: int, seed: int
    ) -> None:
        self.real, self.held_out, self.form = real, held_out, form
        self.classes = real.classes
        self.steps, self.seed = steps, seed
        self.present = np.unique(real.labels)
        self.scoring_steps = min(100, steps // 20)  # five times, about 5 % of three minutes' training
        looked_at = self.present[np.linspace(0, len(self.present) - 1, _SPREAD_CLASSES).astype(int)]
        self.looked_at = np.unique(looked_at)
        few = [np.flatnonzero(real.labels == k)[: 4 * _SPREAD_ROWS] for k in self.looked_at]
        self.real_spread = _spreads([form.coarse(form.encode(real.read(rows))) for rows in few])

    def spread(self, average: nn.Module) -> dict[str, float]:
        """How varied the samples of each class are, and how different the classes, over the same of real rows.

        The root mean square distance of rows, of pictures averaged down to 7x7 cells, from the mean of their class;
        for the classes, that of the means from their mean. 1.0 is as real rows are. Of many classes 64 are looked
        at. Classes of one row, or of equal rows, are left out.
        """
        made, labels = self._make(average, self.looked_at, _SPREAD_ROWS, "spread")
        ours = _spreads([self.form.coarse(made[labels == int(k)]) for k in self.looked_at])
        names = [*(self.classes[int(k)] for k in self.looked_at), "the difference between classes"]
        pairs = zip(names, ours, self.real_spread, strict=True)
        return {name: made / real for name, made, real in pairs if real > 1e-6}

    def scoring(self, patience: int = PATIENCE) -> Score | None:
        """What to choose a checkpoint by; None without held-out rows, or where the budget is too small."""
        if self.held_out is None or self.scoring_steps < _LEAST_SCORING_STEPS:
            return None
        # The standard error of a difference between two checkpoints. Measured on Fashion-MNIST: with the same seed,
        # training the classifier adds 0.02; the two judge about a fifth of the held-out rows differently.
        noise = math.sqrt(0.02**2 + 0.2 / min(len(self.held_out), _LARGEST))
        return Score(self.score, noise, patience)

    def score(self, average: nn.Module) -> float:
        """Balanced accuracy on held-out rows of a small classifier that was trained on samples alone."""
        return self._trained_on_samples(average, self.scoring_steps)

    def achieved(self, average: nn.Module) -> Achieved:
        """What the training achieved.

        It is judged after steps that are as much work as 300 of rows of 28x28 numbers, whose judging is as dear: large
        pictures are given few steps in a choice, and it is these whose samples may be nothing that one recognises.

        Without held-out rows the classifier that recognises the samples is trained on four fifths of the training
        rows, and the last fifth stands for real rows it has not seen.
        """
        work = max(1.0, math.prod(self.form.encoded) / _USUAL)
        if self.steps * work < LEAST_STEPS:
            return Achieved(f"Not judged: {self.steps} steps are too few to learn from.")
        known, reference = self.real, self.held_out
        if reference is None:
            rng = numpy_rng(self.seed, "appraisal", "spared")
            of = [rng.permutation(np.flatnonzero(known.labels == k)) for k in self.present]
            spared = np.concatenate([rows[: len(rows) // 5] for rows in of])
            reference, known = (
                known.take(spared),
                known.take(np.setdiff1d(np.arange(len(known)), spared)),
            )
        if len(reference) < 20:
            return Achieved(f"Not judged: {len(self.real)} rows are too few to compare with.")
        reference = reference.take(_some(len(reference), self.seed))
        steps = min(200, max(50, self.steps // 15))
        classifier = self._trained_on(known, steps, _device(average))
        per_class = min(100, max(10, 1000 // len(self.present)))
        made, asked = self._make(average, self.present, per_class, "achieved")
        fidelity = measure_fidelity(
            classifier,
            synthetic=(made.numpy(), asked.numpy()),
            training=[self._encoded(self.real)],
            held_out=(self.form.encode(reference.read()).numpy(), reference.labels),
            apart=[self._encoded(known)],
        )
        pairs = zip(self.classes, fidelity.class_diversity, strict=True)
        held_out = None
        if self.held_out is not None:
            accuracy = self._trained_on_samples(average, steps)
            held_out = HeldOutAccuracy(len(self.held_out), accuracy, fidelity.classifier_accuracy)
        found = Achieved(
            text="",
            agreement=fidelity.agreement,
            diversity=fidelity.diversity,
            novelty=fidelity.novelty,
            class_diversity={name: value for name, value in pairs if value is not None},
            held_out=held_out,
        )
        return replace(found, text=in_words(found))

    def _encoded(self, rows: LabeledData) -> np.ndarray:
        """At most 2000 of the rows, as tensors are."""
        return np.asarray(self.form.encode(rows.read(_some(len(rows), self.seed))))

    def _trained_on_samples(self, average: nn.Module, steps: int) -> float:
        assert self.held_out is not None
        per_class = min(100, max(10, 1000 // len(self.present)))
        made, labels = self._make(average, self.present, per_class, "score")
        batches = _Shuffled(made, labels, self.seed)
        classifier = train_classifier(
            batches, steps, self.seed, n_classes=len(self.classes), device=_device(average)
        )
        rows = self.held_out.take(_some(len(self.held_out), self.seed))
        predicted = classifier(self.form.encode(rows.read())).argmax(axis=1)
        return score(rows.labels, predicted, len(self.classes)).balanced_accuracy

    def _trained_on(self, rows: LabeledData, steps: int, device: torch.device) -> Classifier:
        """A classifier trained on real rows, every class equally often."""
        rng = numpy_rng(self.seed, "appraisal", "even")
        of = [rng.permutation(np.flatnonzero(rows.labels == k)) for k in np.unique(rows.labels)]
        most = min(max(map(len, of)), max(10, 2 * _LARGEST // len(of)))
        even = rows.take(np.concatenate([np.resize(numbers, most) for numbers in of]))
        batches = _Shuffled(self.form.encode(even.read()), torch.from_numpy(even.labels), self.seed)
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


def in_words(found: Achieved) -> str:
    """What the figures mean, in a few plain sentences."""
    said = []
    if found.agreement is not None:
        said.append(
            f"Samples are recognised as their class {found.agreement:.2f} times as often as real rows."
        )
    if found.diversity is not None:
        least = min(found.class_diversity, key=found.class_diversity.__getitem__)
        said.append(
            f"They vary {found.diversity:.2f} times as much, least in {least} ({found.class_diversity[least]:.2f})."
        )
    if found.novelty is not None:
        said.append(f"They lie {found.novelty:.2f} times as far from the nearest training row (copies: 0).")
    if (held_out := found.held_out) is not None:
        said.append(
            f"On {held_out.rows} held-out rows a classifier trained on samples alone reaches "
            f"{held_out.trained_on_samples:.2f} balanced accuracy, one trained on as many steps of real rows "
            f"{held_out.trained_on_real:.2f}."
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


def _spreads(classes: list[Tensor]) -> list[float]:
    """The spread within each class, then that between the means of the classes, without what chance adds to it."""
    within = [float(rows.var(dim=0).sum()) if len(rows) > 1 else 0.0 for rows in classes]
    means = torch.stack([rows.mean(dim=0) for rows in classes])
    by_chance = float(np.mean([w / len(rows) for w, rows in zip(within, classes, strict=True)]))
    between = float(means.var(dim=0).sum()) - by_chance if len(classes) > 1 else 0.0
    return [math.sqrt(max(0.0, variance)) for variance in [*within, between]]
