"""A generator that needs no training: what it makes is known, so that tests can say what should come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from synthaug.data import Classes, Label
from synthaug.families import Family, Phase, parameters_of
from synthaug.generators import Achieved, Generator
from synthaug.modalities import Form
from synthaug.modalities.image import ImageForm

FORM = ImageForm(8, 9, 1, "HW", "uint8", 0.0, 255.0)


@dataclass(frozen=True)
class _Settings:
    """What training asks of every family."""

    batch_size: int = 64


class Planted(Family):
    """Noise with a level for each class; it is trained by the mean of its rows.

    Attributes:
        calls: how often it was asked for rows.
        dies_at: the call at which it fails, as one that is killed would; None for none.
    """

    name = "planted"
    config_type = _Settings

    def __init__(self, form: Form, counts: Sequence[int], config: object = None) -> None:
        super().__init__(form, counts, config)
        self.level = nn.Parameter(torch.linspace(-1, 1, self.n_classes))
        self.calls, self.dies_at = 0, None

    @property
    def noise_shape(self) -> tuple[int, ...]:  # noqa: D102
        return self.shape

    def phases(self) -> list[Phase]:  # noqa: D102
        return [Phase("level", parameters_of(self), self._away_from_the_mean, lr=1e-2)]

    def sample(self, labels: Tensor, noise: Tensor) -> Tensor:  # noqa: D102
        self.calls += 1
        if self.calls == self.dies_at:
            raise ZeroDivisionError
        return (noise + self.level[labels].view(-1, *[1] * len(self.shape))).tanh()

    def _away_from_the_mean(
        self, batch: tuple[Tensor, Tensor], progress: float, rng: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        images, labels = batch
        loss = (images.flatten(1).mean(dim=1) - self.level[labels].tanh()).square().mean()
        return loss, {"loss": loss.detach()}


def planted_generator(
    classes: Sequence[str] = ("cat", "dog", "T-shirt/top"),
    values: Sequence[Label] | None = None,
    form: Form = FORM,
    *,
    rows: Sequence[int] | None = None,
    held_out: np.ndarray | None = None,
) -> Generator:
    """A generator of planted rows.

    Args:
        classes: the names of its classes.
        values: their labels; the names when None.
        form: of its rows.
        rows: training rows of each class; 10 when None.
        held_out: ``(M,)`` uint64 fingerprints of rows that its own must not meet.
    """
    counts = dict(zip(classes, rows or [10] * len(classes), strict=True))
    family = Planted(form, list(counts.values()))
    return Generator(
        family=family.eval().requires_grad_(False),
        form=form,
        classes=Classes(tuple(classes), tuple(classes if values is None else values)),
        seed=0,
        steps=0,
        seconds=0.0,
        history=[],
        data={"fingerprint": "0" * 64, "origin": "planted rows", "counts": counts},
        trained_on=np.empty(0, np.uint64),
        achieved=Achieved("Planted, not trained."),
        held_out=np.empty(0, np.uint64) if held_out is None else held_out,
    )
