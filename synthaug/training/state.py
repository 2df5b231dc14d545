"""A run at one step: module, moving average and optimizers, saved and restored to the bit."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from synthaug.errors import Diverged, InvalidRequest
from synthaug.families import Batch, BatchKind, Phase
from synthaug.outputs import atomic_write_bytes
from synthaug.seeding import torch_rng
from synthaug.training.pace import Steps
from synthaug.training.ranks import ranks

_MAX_RECOVERIES = 4
# A part has collapsed when its spread is below the first after it was above the second: what never rose has not
# fallen, and what hovers around one threshold would fall again and again.
_COLLAPSED, _SOUND = 0.1, 0.3
# Of `State`, beside tensors and sets.
_PLAIN = ("step", "recoveries", "scores", "best_step", "ended")


def warm_up_then_decay(progress: float) -> float:
    """Learning-rate factor: up over the first 2 % of the budget, flat, then linearly down from 60 % on."""
    return min(1.0, (progress + 1e-4) / 0.02, (1.0 - progress) / 0.4 + 0.02)


class State:
    """Module, moving average and optimizers at one step."""

    patience: float = inf
    """How many scores in a row may be worse than the best one."""

    def __init__(self, module: nn.Module, phases: Sequence[Phase], budget: Steps, seed: int) -> None:
        self.module, self.phases, self.budget, self.seed = module, phases, budget, seed
        self.ranks = ranks()
        self.average = copy.deepcopy(module).eval()
        self.average.requires_grad_(False)
        self.optimizers = [
            torch.optim.AdamW(p.parameters, lr=p.lr, betas=p.betas, weight_decay=p.weight_decay, fused=True)
            for p in phases
        ]
        self.moved = [parameter for phase in phases for parameter in phase.parameters]
        self.device = next(module.parameters()).device
        self.step = 0
        self.recoveries = 0
        self.sound: set[str] = set()
        self.scores: list[tuple[int, float]] = []
        self.best: dict[str, Tensor] = {}  # the average of the step that is chosen so far
        self.best_step = 0
        self.ended = False  # by whoever watches
        module.train()

    @property
    def steps(self) -> int:
        """How many steps there are in all, as it is planned now."""
        return self.budget.total(self.step)

    def has_stopped(self) -> bool:
        """Whether to stop before the budget is spent."""
        worse = [step for step, _ in self.scores if step > self.best_step]
        return self.ended or self.recoveries > _MAX_RECOVERIES or len(worse) >= self.patience

    def advance(self, batch: Callable[[BatchKind, int], Batch]) -> dict[str, float]:
        """One step of every phase; returns the figures of their losses."""
        figures: dict[str, Tensor] = {}
        progress = self.budget.progress(self.step)
        for phase, optimizer in zip(self.phases, self.optimizers, strict=True):
            for parameter in self.moved:
                parameter.requires_grad_(False)
            for parameter in phase.parameters:
                parameter.requires_grad_(True)
            for group in optimizer.param_groups:
                group["lr"] = phase.lr * warm_up_then_decay(progress) * 0.5**self.recoveries
            inputs, labels = map(self.ranks.own_rows, batch(phase.batch, self.step))
            rng = torch_rng(self.seed, "loss", phase.name, self.step, self.ranks.rank)
            loss, shown = phase.loss((inputs.to(self.device), labels.to(self.device)), progress, rng)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.ranks.average_gradients(phase.parameters)
            optimizer.step()
            figures |= shown
        self.ranks.follow_buffers(self.module)
        self._follow()
        self.step += 1
        return self.ranks.mean({name: float(value.detach()) for name, value in figures.items()})

    @torch.no_grad()
    def _follow(self) -> None:
        """Moves the average towards the module, faster at first so that early previews are not the start."""
        half_life = 0.02 * self.steps
        keep = min(0.5 ** (1 / half_life), (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.module.parameters()), 1 - keep)
        for average, current in zip(self.average.buffers(), self.module.buffers(), strict=True):
            average.copy_(current)

    def tensors(self) -> dict[str, Tensor]:
        """A copy of all that the next steps depend on."""
        found = {f"module.{k}": v for k, v in self.module.state_dict().items()}
        found |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for n, optimizer in enumerate(self.optimizers):
            for i, slots in optimizer.state_dict()["state"].items():
                found |= {f"optimizer.{n}.{i}.{slot}": value for slot, value in slots.items()}
        found = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in found.items()}
        found |= {f"best.{k}": v for k, v in self.best.items()}
        plain = {name: getattr(self, name) for name in _PLAIN} | {"sound": sorted(self.sound)}
        return found | {"plain": torch.tensor(list(json.dumps(plain).encode()), dtype=torch.uint8)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Goes back to what `tensors` returned."""
        plain = json.loads(bytes(tensors["plain"].tolist()))
        for name in _PLAIN:
            setattr(self, name, plain.get(name, False))  # older checkpoints do not say who ended it
        self.sound, self.best = set(plain["sound"]), _under("best.", tensors)
        self.module.load_state_dict(_under("module.", tensors))
        self.average.load_state_dict(_under("average.", tensors))
        for n, optimizer in enumerate(self.optimizers):
            parameters = optimizer.param_groups[0]["params"]
            slots: dict[int, dict[str, Tensor]] = {}
            for key, value in _under(f"optimizer.{n}.", tensors).items():
                index, slot = key.split(".")
                # the fused optimizer walks memory: its averages must lie as the parameter does
                lying = torch.empty_like(parameters[int(index)] if value.ndim else value)
                slots.setdefault(int(index), {})[slot] = lying.detach().copy_(value)
            optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})

    def recover(self, good: dict[str, Tensor], collapsed: Sequence[str]) -> dict[str, Any]:
        """Goes back to the last good state with half the learning rates."""
        failed, recoveries = self.step, self.recoveries + 1
        if recoveries > _MAX_RECOVERIES and not collapsed:
            raise Diverged(
                f"The loss was not finite at step {failed}, and still not after the learning rates were halved "
                f"{_MAX_RECOVERIES} times. Lower the family's learning rate, or look for extreme values in the data."
            )
        self.restore(good)
        self.recoveries = recoveries
        why = {"reason": "collapsed", "parts": list(collapsed)} if collapsed else {"reason": "not finite"}
        return {"event": "recovered", **why, "failed_step": failed, "learning_rate_factor": 0.5**recoveries}

    def collapsed(self, spread: Callable[[nn.Module], Mapping[str, float]]) -> list[str]:
        """The parts that were sound and have collapsed."""
        found = spread(self.average.eval())
        self.sound |= {part for part, value in found.items() if value > _SOUND}
        return [part for part, value in found.items() if part in self.sound and value < _COLLAPSED]

    def take(self, score: float, noise: float) -> dict[str, Any]:
        """Chooses the present average unless an earlier one was clearly better."""
        self.scores.append((self.step, score))
        if score >= max(earlier for _, earlier in self.scores) - noise:
            self.best_step = self.step
            found = self.average.state_dict().items()
            self.best = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in found}
        return {"event": "scored", "score": score, "noise": noise}

    def is_finite(self) -> bool:
        """Whether all weights are; a finite loss may have had an infinite gradient."""
        return all(bool(parameter.isfinite().all()) for parameter in self.moved)

    def save(self, path: Path, tensors: dict[str, Tensor], mark: str) -> None:
        """Replaces the checkpoint in one move, so that a kill leaves the old or the new one."""
        about = {"steps": str(self.budget.plans[0][1]), "history": mark}
        atomic_write_bytes(path, save(tensors, metadata=about))

    def load(self, path: Path) -> str:
        """Restores a checkpoint; returns the mark of the history that belongs to it."""
        with safe_open(path, framework="pt") as file:
            about, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if int(about["steps"]) != self.budget.plans[0][1]:
            raise InvalidRequest(
                f"The checkpoint in {path.parent} belongs to a budget of {about['steps']} steps, "
                f"{self.budget.plans[0][1]} were asked for. Use the same budget, or remove the folder to start again."
            )
        self.restore(tensors)
        older = json.dumps([int(about.get("history_bytes", 0)), {}, {}])
        return str(about.get("history", older))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
