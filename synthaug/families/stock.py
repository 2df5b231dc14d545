"""Real rows as they are, by the labels that they were given: nothing is learned, and nothing is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from synthaug.families.base import Count, Family, Phase
from synthaug.modalities.base import Form


@dataclass(frozen=True)
class StockConfig:
    """Settings of `Stock`.

    Attributes:
        batch_size: of no use; every family has one.
    """

    batch_size: Count = 64


class Stock(Family):
    """Unlabelled rows that judges have labelled, behind the face of a generator: they are mixed as samples are.

    A sample of a class is one of its rows, each as likely as any other. It is not trained, but filled: by `remember`.
    """

    name = "judged"
    config_type = StockConfig
    config: StockConfig
    keeps_rows = True
    exemplars: Tensor
    first: Tensor
    counts: Tensor

    def __init__(self, form: Form, counts: Sequence[int], config: Any = None) -> None:
        super().__init__(form, counts, config)
        own = torch.tensor(list(counts))
        self.register_buffer("exemplars", torch.zeros(int(own.sum()), prod(self.shape)))
        self.register_buffer("first", own.cumsum(0) - own, persistent=False)
        self.register_buffer("counts", own, persistent=False)

    @property
    def noise_shape(self) -> tuple[int, ...]:  # noqa: D102
        return (1,)

    def phases(self) -> list[Phase]:  # noqa: D102
        return []

    def remember(self, rows: Tensor, labels: Tensor) -> None:  # noqa: D102
        self.exemplars.copy_(rows[labels.argsort(stable=True)].flatten(1))

    def sample(self, labels: Tensor, noise: Tensor) -> Tensor:  # noqa: D102
        share = torch.special.ndtr(noise[:, 0].double())
        which = (share * self.counts[labels]).long().clamp(max=self.counts[labels] - 1)
        return self.exemplars[self.first[labels] + which].view(-1, *self.shape)
