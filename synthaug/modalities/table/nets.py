"""The networks of tables: layers that see all columns at once, and rows that are drawn column by column."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthaug.modalities.base import Backbone

if TYPE_CHECKING:
    from synthaug.modalities.table.form import TableForm

# Standard deviations of a position, as their logarithms: from a hundredth of the range to all of it.
_SHARPEST, _FLATTEST, _FIRST = math.log(0.01), 0.0, math.log(0.2)
_TEMPERATURE = 0.3
_MASKED, _JITTER = 0.15, 0.05


class TableBackbone(Backbone):
    """Residual layers over encoded rows ``(B, E)``.

    An open row ``(B, E + P)`` holds a mean for each position and a logit for each level, and the logarithms of the
    standard deviations of the P positions. It is settled column by column: a level with its probability, never the
    likeliest alone, and a number about its mean (after Xu et al. 2019, "Modeling Tabular Data using Conditional GAN",
    whose TVAE has a standard deviation for each number as well).

    Args:
        form: fitted to training rows.
        width: of the layers; None chooses by how wide an encoded row is.
    """

    def __init__(self, form: TableForm, width: int | None = None) -> None:
        (self.size,) = form.encoded
        self.width = width or (128 if self.size <= 512 else 256)
        self.channels = self.features = self.width
        self.noise = self.size
        self.parts = _Parts(form)

    def encoder(self, rows: int = 1) -> nn.Module:
        """``(B, rows x E)`` -> ``(B, width)``."""
        return nn.Sequential(
            nn.Linear(rows * self.size, self.width), _Residual(self.width), _Residual(self.width), nn.SiLU()
        )

    def decoder(self, condition: int) -> nn.Module:
        """``(B, condition)`` -> open rows ``(B, E + P)``."""
        return _Decoder(condition, self.width, self.size, len(self.parts.positions))

    def settled(self, opened: Tensor, noise: Tensor) -> Tensor:
        """Encoded rows: levels drawn by the Gumbel-max rule, numbers about their means."""
        return self._drawn(opened, noise, _one_level).clamp(-1, 1)

    def relaxed(self, opened: Tensor, noise: Tensor) -> Tensor:
        """As `settled`, levels in shares by the Gumbel-softmax of Jang et al. 2017, at temperature 0.3.

        Numbers may lie beyond the ends, so that a gradient leads back.
        """
        return self._drawn(opened, noise, _shares)

    def _drawn(self, opened: Tensor, noise: Tensor, share: Callable[[Tensor], Tensor]) -> Tensor:
        """Rows ``(B, E)`` of which logits, with their noise, become shares of levels."""
        rows, deviations = self._split(opened)
        drawn = rows.clone()
        for block in self.parts.groups:
            drawn[:, block] = 2.0 * share(rows[:, block] + _gumbel(noise[:, block])) - 1.0
        places = self.parts.positions
        numbers = rows[:, places] + deviations * noise[:, places]
        drawn[:, places] = numbers * self.parts.there(drawn)
        return drawn

    def surprise(self, opened: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of levels and Gaussian surprise of numbers, in nats a row; and the share of wrong levels."""
        made, deviations = self._split(opened)
        total = made.new_zeros(())
        wrong, blocks = made.new_zeros(()), 0
        for block in self.parts.groups:
            logits, held = made[:, block], rows[:, block]
            known = held.amax(dim=2) > 0
            labels = held.argmax(dim=2)
            losses = F.cross_entropy(logits.movedim(2, 1), labels, reduction="none")
            total = total + (losses * known).sum(dim=1).mean()
            wrong = wrong + ((logits.argmax(dim=2) != labels) & known).to(made.dtype).sum(dim=1).mean()
            blocks += block.shape[0]
        places = self.parts.positions
        there = self.parts.there(rows)
        apart = ((rows[:, places] - made[:, places]) / deviations).square()
        total = total + (there * (0.5 * apart + deviations.log())).sum(dim=1).mean()
        off = (there * (rows[:, places] - made[:, places]).detach().square()).sum(dim=1).mean()
        return total, (wrong + off) / max(1, blocks + len(places))

    def disturb(
        self, rows: Tensor, rng: torch.Generator, *, strong: bool, probability: Tensor | None
    ) -> Tensor:
        """Columns left out at random and a little noise, so that few rows are not known by heart."""
        shape = (len(rows), self.parts.columns)
        masked = (torch.rand(shape, generator=rng) < (2 * _MASKED if strong else _MASKED)).to(rows.device)
        jitter = _JITTER * torch.randn(rows.shape, generator=rng).to(rows)
        happens = torch.ones(len(rows), 1, device=rows.device, dtype=rows.dtype)
        if probability is not None:
            happens = (torch.rand(len(rows), 1, generator=rng).to(rows) < probability).to(rows.dtype)
        kept = 1.0 - masked.to(rows.dtype)[:, self.parts.column_of.to(rows.device)] * happens
        return (rows + jitter * happens) * kept

    def _split(self, opened: Tensor) -> tuple[Tensor, Tensor]:
        """Means and logits ``(B, E)``, and the standard deviations of positions ``(B, P)``."""
        rows, scales = torch.split(opened, [self.size, len(self.parts.positions)], dim=1)
        return rows, scales.clamp(_SHARPEST, _FLATTEST).exp()


class _Parts:
    """Where what lies in an encoded row.

    Attributes:
        columns: how many there are.
        column_of: ``(E,)`` the column of each number.
        positions: ``(P,)`` where positions are.
        groups: ``(blocks, size)`` where the numbers of one-hot blocks are, those of one size together.
    """

    def __init__(self, form: TableForm) -> None:
        blocks = form.blocks
        self.columns = len(form.columns)
        self.column_of = torch.cat([torch.full((block.size,), block.column) for block in blocks])
        places = [block for block in blocks if not block.onehot]
        self.positions = torch.tensor([block.start for block in places], dtype=torch.int64)
        sizes: dict[int, list[Sequence[int]]] = {}
        # Whether a column holds a number says the first of its one-hot block, where it has one beside a position.
        first = {block.column: block.start for block in blocks if block.onehot}
        self._says = torch.tensor([first.get(block.column, -1) for block in places], dtype=torch.int64)
        for block in blocks:
            if block.onehot:
                sizes.setdefault(block.size, []).append(range(block.start, block.start + block.size))
        self.groups = [torch.tensor(found) for found in sizes.values()]

    def there(self, rows: Tensor) -> Tensor:
        """``(B, P)`` in [0, 1]: how far each position holds a number, and is no spike or missing cell."""
        if not len(self._says):
            return rows.new_ones(len(rows), 0)
        told = (rows[:, self._says] + 1) / 2
        held: Tensor = torch.where(self._says.to(rows.device) >= 0, told, torch.ones_like(told))
        return held


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.silu(self.first(self.norm(x))))
        return out


class _Decoder(nn.Module):
    def __init__(self, condition: int, width: int, size: int, positions: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(condition, width), _Residual(width), _Residual(width), nn.SiLU(), nn.Linear(width, size)
        )
        self.scales = nn.Parameter(torch.full((positions,), _FIRST)) if positions else None

    def forward(self, condition: Tensor) -> Tensor:
        """``(B, condition)`` -> ``(B, E + P)``."""
        rows: Tensor = self.layers(condition)
        if self.scales is None:
            return rows
        return torch.cat([rows, self.scales.expand(len(rows), -1)], dim=1)


def _one_level(scores: Tensor) -> Tensor:
    return F.one_hot(scores.argmax(dim=2), scores.shape[2]).to(scores.dtype)


def _shares(scores: Tensor) -> Tensor:
    return (scores / _TEMPERATURE).softmax(dim=2)


def _gumbel(noise: Tensor) -> Tensor:
    """Standard normal noise as standard Gumbel noise."""
    uniform = torch.special.ndtr(noise).clamp(1e-7, 1 - 1e-7)
    gumbel: Tensor = -(-uniform.log()).log()
    return gumbel
