"""The training loop: phases x batches, moving average, exact resume, divergence guard, history.

It knows nothing of generators, data sets or classifiers: it takes a module, the phases that move its parameters
and a function from (kind, step, draw) to a batch. Everything random is keyed by the step, so a run that was
killed and started again continues as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from synthaug.errors import Diverged, InvalidRequest
from synthaug.seeding import torch_rng

# One training batch: inputs (B, ...) float32, or (B, 2, ...) where pairs are asked for, and labels (B,) int64.
Batch = tuple[Tensor, Tensor]
BatchKind = Literal["balanced", "natural", "pairs"]
# (the loss to minimise, figures for the history)
Loss = tuple[Tensor, dict[str, Tensor]]

CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.jsonl"

_CHECKPOINT_SECONDS = 30.0
_HISTORY_LINES = 200
_MAX_RECOVERIES = 4


def warm_up_then_decay(progress: float) -> float:
    """Learning-rate factor: up over the first 2 % of the budget, flat, then linearly down from 60 % on."""
    return min(1.0, (progress + 1e-4) / 0.02, (1.0 - progress) / 0.4 + 0.02)


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
        schedule: progress -> factor on the learning rate.
        every: the phase runs at steps divisible by this.
        repeats: optimizer steps on fresh batches each time it runs.
        batch: rows drawn with every class equally often, or as often as in the data, or pairs of two different
            rows of one class, every class equally often.
    """

    name: str
    parameters: list[nn.Parameter]
    loss: Callable[[Batch, float, torch.Generator], Loss]
    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: Callable[[float], float] = warm_up_then_decay
    every: int = 1
    repeats: int = 1
    batch: BatchKind = "balanced"


@dataclass
class Run:
    """What a training run left behind.

    Attributes:
        average: the module with the moving average of its weights, in eval mode.
        history: one dict per line of the JSON-lines history: step, seconds, losses, or an event.
    """

    average: nn.Module
    history: list[dict[str, Any]] = field(default_factory=list)


def train(
    module: nn.Module,
    phases: Sequence[Phase],
    batch: Callable[[BatchKind, int, int], Batch],
    *,
    steps: int,
    seed: int,
    folder: Path | None = None,
    preview: Callable[[nn.Module, int], None] | None = None,
    progress: bool = False,
) -> Run:
    """Trains a module and returns the moving average of its weights.

    With a folder, the run keeps ``history.jsonl`` and a checkpoint at most 5 % of the budget and 30 s old there,
    and continues from that checkpoint when it is called again. On one thread the resumed run ends with the same
    bits as an uninterrupted one. Ctrl-C finishes the step, writes a checkpoint and raises KeyboardInterrupt.

    Non-finite losses or weights restore the last checkpoint and halve the learning rates; the history says so.
    (A run that had to recover resumes from its own checkpoints, which may lie elsewhere than without the stop.)

    Args:
        module: everything that must survive a restart is in its ``state_dict``.
        phases: what to optimise; their parameters belong to ``module``.
        batch: ``(kind, step, draw) -> batch``, a pure function.
        steps: the budget, in steps.
        seed: keys the random streams handed to the losses.
        folder: where checkpoint and history go; nothing is written without it.
        preview: called as ``preview(average, step)`` about ten times.
        progress: show a progress bar with the losses on stderr.

    Raises:
        InvalidRequest: fewer than one step.
        Diverged: the losses stayed non-finite at lower and lower learning rates.
    """
    if steps < 1:
        raise InvalidRequest(f"A budget of {steps} steps was asked for; give at least 1.")
    state = _State(module, phases, steps, seed)
    log = _History(folder, every=max(1, steps // _HISTORY_LINES))
    if folder is not None and (folder / CHECKPOINT).exists():
        log.resume(state, state.load(folder / CHECKPOINT))
    elif folder is not None:
        (folder / HISTORY).unlink(missing_ok=True)  # of a run that was killed before its first checkpoint
    good, saved_at, previews = state.tensors(), time.monotonic(), max(1, steps // 10)

    bar = tqdm(
        total=steps, initial=state.step, unit="step", disable=None if progress else True, dynamic_ncols=True
    )
    with bar, _interrupts() as interrupted:
        while state.step < steps:
            figures = state.advance(batch)
            finished, old = state.step == steps, time.monotonic() - saved_at > _CHECKPOINT_SECONDS
            due = state.step % max(1, steps // 20) == 0 or finished or old or interrupted.is_set()
            if not all(map(math.isfinite, figures.values())) or (due and not state.is_finite()):
                log.drop_pending()
                log.event(state.recover(good), state.step)
                bar.n = state.step
                continue
            log.add(state.step, figures, bar, last=finished)
            bar.update()
            if preview is not None and (finished or state.step % previews == 0):
                preview(state.average.eval(), state.step)
            if due:
                good, saved_at = state.tensors(), time.monotonic()
                if folder is not None:
                    state.save(folder / CHECKPOINT, good, log.length())
            if interrupted.is_set():
                raise KeyboardInterrupt
    return Run(state.average.eval(), log.lines)


def forget(folder: Path) -> None:
    """Removes the checkpoint of a run whose result is safe."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


class _State:
    """Module, moving average and optimizers at one step."""

    def __init__(self, module: nn.Module, phases: Sequence[Phase], steps: int, seed: int) -> None:
        self.module, self.phases, self.steps, self.seed = module, phases, steps, seed
        self.average = copy.deepcopy(module).eval()
        self.average.requires_grad_(False)
        self.optimizers = [
            torch.optim.AdamW(p.parameters, lr=p.lr, betas=p.betas, weight_decay=p.weight_decay, fused=True)
            for p in phases
        ]
        self.moved = [parameter for phase in phases for parameter in phase.parameters]
        self.device = next(module.parameters()).device
        self.half_life = 0.02 * steps
        self.step = 0
        self.recoveries = 0
        module.train()

    def advance(self, batch: Callable[[BatchKind, int, int], Batch]) -> dict[str, float]:
        """One step of every phase that is due; returns the figures of their losses."""
        figures: dict[str, Tensor] = {}
        progress = self.step / self.steps
        for phase, optimizer in zip(self.phases, self.optimizers, strict=True):
            if self.step % phase.every:
                continue
            for parameter in self.moved:
                parameter.requires_grad_(False)
            for parameter in phase.parameters:
                parameter.requires_grad_(True)
            for group in optimizer.param_groups:
                group["lr"] = phase.lr * phase.schedule(progress) * 0.5**self.recoveries
            for draw in range(phase.repeats):
                inputs, labels = batch(phase.batch, self.step, draw)
                rng = torch_rng(self.seed, "loss", phase.name, self.step, draw)
                loss, shown = phase.loss((inputs.to(self.device), labels.to(self.device)), progress, rng)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                figures |= shown
        self._follow()
        self.step += 1
        return {name: float(value.detach()) for name, value in figures.items()}

    @torch.no_grad()
    def _follow(self) -> None:
        """Moves the average towards the module, faster at first so that early previews are not the start."""
        keep = min(0.5 ** (1 / self.half_life), (1 + self.step) / (10 + self.step))
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
        return found | {"step": torch.tensor(self.step), "recoveries": torch.tensor(self.recoveries)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Goes back to what `tensors` returned."""
        self.step, self.recoveries = int(tensors["step"]), int(tensors["recoveries"])
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

    def recover(self, good: dict[str, Tensor]) -> dict[str, Any]:
        """Goes back to the last good state with half the learning rates."""
        failed, recoveries = self.step, self.recoveries + 1
        if recoveries > _MAX_RECOVERIES:
            raise Diverged(
                f"The loss was not finite at step {failed}, and still not after the learning rates were halved "
                f"{_MAX_RECOVERIES} times. Lower the family's learning rate, or look for extreme values in the data."
            )
        self.restore(good)
        self.recoveries = recoveries
        return {"event": "recovered", "failed_step": failed, "learning_rate_factor": 0.5**recoveries}

    def is_finite(self) -> bool:
        """Whether all weights are; a finite loss may have had an infinite gradient."""
        return all(bool(parameter.isfinite().all()) for parameter in self.moved)

    def save(self, path: Path, tensors: dict[str, Tensor], history_bytes: int) -> None:
        """Replaces the checkpoint in one move, so that a kill leaves the old or the new one."""
        fresh = path.with_suffix(".new")
        save_file(tensors, fresh, metadata={"steps": str(self.steps), "history_bytes": str(history_bytes)})
        os.replace(fresh, path)

    def load(self, path: Path) -> int:
        """Restores a checkpoint; returns the length of the history that belongs to it."""
        with safe_open(path, framework="pt") as file:
            about, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if int(about["steps"]) != self.steps:
            raise InvalidRequest(
                f"The checkpoint in {path.parent} belongs to a budget of {about['steps']} steps, "
                f"{self.steps} were asked for. Use the same budget, or remove the folder to start again."
            )
        self.restore(tensors)
        return int(about["history_bytes"])


class _History:
    """Mean figures between lines, kept in memory and as JSON lines on disk."""

    def __init__(self, folder: Path | None, every: int) -> None:
        self.path = None if folder is None else folder / HISTORY
        self.every = every
        self.lines: list[dict[str, Any]] = []
        self.sums: dict[str, float] = {}
        self.seen: dict[str, int] = {}
        self.started = time.monotonic()

    def resume(self, state: _State, length: int) -> None:
        """Drops lines younger than the checkpoint and says where the run goes on."""
        assert self.path is not None
        raw = self.path.read_bytes() if self.path.exists() else b""
        known = [json.loads(line) for line in raw[:length].decode().splitlines()]
        youngest = [json.loads(line) for line in raw.decode().splitlines() if line.endswith("}")][
            -1:
        ] or known[-1:]
        last = youngest[0] if youngest else {"step": state.step, "seconds": 0.0}
        seconds = known[-1]["seconds"] if known else 0.0
        self.path.write_bytes(raw[:length])
        self.lines, self.started = known, time.monotonic() - seconds
        lost = {
            "lost_steps": max(0, last["step"] - state.step),
            "lost_seconds": round(last["seconds"] - seconds, 2),
        }
        self.event({"event": "resumed", **lost}, state.step)

    def event(self, what: dict[str, Any], step: int) -> None:
        """Writes one line that is not a mean of figures."""
        self._write({"step": step, "seconds": round(time.monotonic() - self.started, 2), **what})

    def add(self, step: int, figures: dict[str, float], bar: Any, *, last: bool) -> None:
        """Collects a step's figures; every so often their means become a line."""
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.seen[name] = self.seen.get(name, 0) + 1
        if step % self.every == 0 or last:
            means = {name: float(f"{total / self.seen[name]:.6g}") for name, total in self.sums.items()}
            self.event(means, step)
            self.drop_pending()
            shown = {k: v for k, v in self.lines[-1].items() if k not in ("step", "seconds")}
            bar.set_postfix({k: f"{v:.3g}" for k, v in shown.items()}, refresh=False)

    def drop_pending(self) -> None:
        """Forgets the figures since the last line."""
        self.sums, self.seen = {}, {}

    def length(self) -> int:
        """The length of the file in bytes."""
        return self.path.stat().st_size if self.path is not None and self.path.exists() else 0

    def _write(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


@contextlib.contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Turns the first Ctrl-C into a flag, so that no step is cut in half; the second one acts at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = signal.getsignal(signal.SIGINT)

    def note(number: int, frame: FrameType | None) -> None:
        flag.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)
