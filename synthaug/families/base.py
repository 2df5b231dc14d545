"""The contract between a generator family and the training loop, the artifact and the sampler."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from synthaug.modalities.base import Form

Batch: TypeAlias = tuple[Tensor, Tensor]
"""One training batch: inputs (B, ...) float32, or (B, 2, ...) where pairs are asked for, and labels (B,) int64."""

BatchKind = Literal["balanced", "pairs"]
"""Rows with every class equally often; or pairs of two different rows of one class, every class equally often."""

Loss: TypeAlias = tuple[Tensor, dict[str, Tensor]]
"""The loss to minimise, and figures for the history."""


@dataclass(frozen=True)
class Phase:
    """One kind of optimizer step; every training step runs the phases in order.

    Attributes:
        name: what errors call it.
        parameters: what this phase's optimizer moves.
        loss: ``loss(batch, progress, rng)`` with progress in [0, 1) through the budget; every random number it
            needs comes from the CPU generator ``rng``, so that a step can be repeated exactly.
        lr: the learning rate of its AdamW optimizer, in units per step.
        betas: AdamW's two decay rates.
        weight_decay: decoupled weight decay.
        batch: which rows it is given.
    """

    name: str
    parameters: list[nn.Parameter]
    loss: Callable[[Batch, float, torch.Generator], Loss]
    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    batch: BatchKind = "balanced"


# What a setting of a family may be.
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Family(nn.Module):
    """A class-conditional generator and whatever trains it.

    A family holds networks and losses; it has no loop and touches no file. All that has to survive a restart is
    in its ``state_dict``. Building it draws initial weights from torch's global generator, which the caller
    seeds inside a fork.

    Attributes:
        name: how users ask for it.
        config: its settings, a frozen dataclass of plain values, one of which is ``batch_size``, rows of a step.
        form: of the rows it makes.
        shape: of these as they are encoded, ``(C, H, W)`` for images.
        n_classes: how many classes there are, the length of ``counts``, their training rows; labels are in
            ``[0, n_classes)``.
        keeps_rows: whether the trained state contains training rows, or encodings of single ones, in a buffer
            called ``exemplars``.
        adjustable: settings that matter to samples alone, not to training.
        tried: what a choice tries of it: a name -> settings among the adjustable ones; itself as it is when empty.
        tried_with: settings that it is trained with for a choice, so that all of that can be drawn from it.
        kinds: of rows it can make, by the names of modalities; any where it is None.
        usual: of a kind of rows, settings that are right for it in the place of the defaults.
    """

    name: ClassVar[str]
    config_type: ClassVar[type[Any]]
    keeps_rows: bool = False
    adjustable: ClassVar[tuple[str, ...]] = ()
    tried: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    tried_with: ClassVar[Mapping[str, Any]] = {}
    kinds: ClassVar[tuple[str, ...] | None] = None
    usual: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __init__(self, form: Form, counts: Sequence[int], config: Any = None) -> None:
        super().__init__()
        self.form, self.shape = form, form.encoded
        self.n_classes = len(counts)
        self.config = self.config_type() if config is None else config

    @property
    @abstractmethod
    def noise_shape(self) -> tuple[int, ...]:
        """The shape of one row's standard normal noise."""

    @abstractmethod
    def phases(self) -> list[Phase]:
        """The optimizer steps that train it."""

    def remember(self, rows: Tensor, labels: Tensor) -> None:
        """Takes training rows into the state; called once before training, for families that keep rows.

        Args:
            rows: ``(N, *shape)`` float32, encoded, in random order.
            labels: ``(N,)`` int64.
        """

    def finish(self, rows: Tensor, labels: Tensor) -> None:
        """Takes into the state what only trained weights can tell of training rows; called once after training.

        For families that keep rows, on the module with averaged weights, with the rows of `remember`.
        """

    @abstractmethod
    def sample(self, labels: Tensor, noise: Tensor) -> Tensor:
        """Rows made from labels and noise, nothing else.

        Args:
            labels: ``(N,)`` int64.
            noise: ``(N, *noise_shape)`` float32, standard normal.

        Returns:
            ``(N, *shape)`` float32, as encoded rows are.
        """


def parameters_of(*modules: nn.Module) -> list[nn.Parameter]:
    """All parameters of some modules, in order."""
    return [p for module in modules for p in module.parameters()]


def normal(shape: Iterable[int], rng: torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers drawn on the CPU, so that every device gets the same ones."""
    return torch.randn(tuple(shape), generator=rng).to(like.device, like.dtype)
