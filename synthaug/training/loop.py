"""The training loop: phases x batches, moving average, exact resume, choice of checkpoint, guards, history.

It knows nothing of generators, data sets or classifiers: it takes a module, the phases that move its parameters,
a function from (kind, step, draw) to a batch, and functions that judge the average. Everything random is keyed by
the step, so a run that was killed and started again continues as if nothing had happened.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Literal

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from synthaug.errors import Diverged, InvalidRequest
from synthaug.seeding import torch_rng
from synthaug.training.history import HISTORY, History, Line

# One training batch: inputs (B, ...) float32, or (B, 2, ...) where pairs are asked for, and labels (B,) int64.
Batch = tuple[Tensor, Tensor]
BatchKind = Literal["balanced", "natural", "pairs"]
# (the loss to minimise, figures for the history)
Loss = tuple[Tensor, dict[str, Tensor]]

CHECKPOINT = "checkpoint.safetensors"

_CHECKPOINT_SECONDS = 30.0
_HISTORY_LINES = 200
_MAX_RECOVERIES = 4
# A part has collapsed when its spread is below the first after it was above the second: what never rose has not
# fallen, and what hovers around one threshold would fall again and again.
_COLLAPSED, _SOUND = 0.1, 0.3
_SCORED_AT = (0.4, 0.6, 0.8, 0.9, 1.0)
_PATIENCE = 3


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


@dataclass(frozen=True)
class Score:
    """How good the average is, for the choice of a checkpoint.

    Attributes:
        of: ``of(average)``, the higher the better, on rows that are not trained on; called at 40, 60, 80, 90 and 100 %
            of the budget. Must be a pure function of the weights.
        noise: two scores that differ by no more than this are taken to be equal.
    """

    of: Callable[[nn.Module], float]
    noise: float


@dataclass
class Run:
    """What a training run left behind.

    Attributes:
        average: the module with the moving average of its weights, in eval mode.
        history: one dict per line of the JSON-lines history: step, seconds, losses, or an event.
        steps: training steps spent; fewer than the budget where the run was stopped early.
        chosen_step: the step that ``average`` is of.
    """

    average: nn.Module
    history: list[Line]
    steps: int
    chosen_step: int


def train(
    module: nn.Module,
    phases: Sequence[Phase],
    batch: Callable[[BatchKind, int, int], Batch],
    *,
    steps: int,
    seed: int,
    folder: Path | None = None,
    preview: Callable[[nn.Module, int], None] | None = None,
    score: Score | None = None,
    spread: Callable[[nn.Module], Mapping[str, float]] | None = None,
    report: Callable[[Line], None] | None = None,
    progress: bool = False,
) -> Run:
    """Trains a module and returns the moving average of its weights.

    With a folder, the run keeps ``history.jsonl`` and a checkpoint at most 5 % of the budget and 30 s old there,
    and continues from that checkpoint when it is called again. On one thread the resumed run ends with the same
    bits as an uninterrupted one. Ctrl-C finishes the step, writes a checkpoint and raises KeyboardInterrupt.

    Non-finite losses or weights, and a spread that falls below 0.1 after it was above 0.3, restore the last good
    state and halve the learning rates; the history says so. What keeps collapsing ends the run at that state.
    (A run that had to recover resumes from its own checkpoints, which may lie elsewhere than without the stop.)

    With a score, the average of the latest step whose score is within the noise of the best one is returned: later
    averages have seen more, so an earlier one has to be better by more than chance. Three scores in a row that are
    not within it stop the run.

    Args:
        module: everything that must survive a restart is in its ``state_dict``.
        phases: what to optimise; their parameters belong to ``module``.
        batch: ``(kind, step, draw) -> batch``, a pure function.
        steps: the budget, in steps.
        seed: keys the random streams handed to the losses.
        folder: where checkpoint and history go; nothing is written without it.
        preview: called as ``preview(average, step)`` about ten times.
        score: what to choose the returned average by; the last one without it.
        spread: ``spread(average)``: how varied each named part of what it makes is, 1.0 being as it should be; a
            pure function of the weights, called wherever a checkpoint is due.
        report: called with each line of the history as it is written.
        progress: show a progress bar with the losses on stderr.

    Raises:
        InvalidRequest: fewer than one step.
        Diverged: the losses stayed non-finite at lower and lower learning rates.
    """
    if steps < 1:
        raise InvalidRequest(f"A budget of {steps} steps was asked for; give at least 1.")
    state = _State(module, phases, steps, seed)
    log = History(folder, max(1, steps // _HISTORY_LINES), report)
    if folder is not None and (folder / CHECKPOINT).exists():
        length = state.load(folder / CHECKPOINT)
        log.resume(state.step, length)
    elif folder is not None:
        (folder / HISTORY).unlink(missing_ok=True)  # of a run that was killed before its first checkpoint
    good, saved_at, previews = state.tensors(), time.monotonic(), max(1, steps // 10)
    scored_at = {math.ceil(share * steps) for share in _SCORED_AT} if score is not None else set()

    bar = tqdm(
        total=steps, initial=state.step, unit="step", disable=None if progress else True, dynamic_ncols=True
    )
    with bar, _interrupts() as interrupted:
        while state.step < steps and not state.has_stopped():
            figures = state.advance(batch)
            finished, old = state.step == steps, time.monotonic() - saved_at > _CHECKPOINT_SECONDS
            scored = state.step in scored_at
            due = state.step % max(1, steps // 20) == 0 or finished or old or scored or interrupted.is_set()
            is_finite = all(map(math.isfinite, figures.values())) and (not due or state.is_finite())
            collapsed = state.collapsed(spread) if due and is_finite and spread is not None else []
            if collapsed or not is_finite:
                log.drop_pending()
                log.event(state.recover(good, collapsed), state.step)
                bar.n = state.step
                if folder is not None and state.has_stopped():
                    state.save(folder / CHECKPOINT, state.tensors(), log.length())
                continue
            log.add(state.step, figures, bar, last=finished)
            bar.update()
            if preview is not None and (finished or state.step % previews == 0):
                preview(state.average.eval(), state.step)
            if score is not None and scored:
                log.event(state.take(score.of(state.average.eval()), score.noise), state.step)
            if due:
                good, saved_at = state.tensors(), time.monotonic()
                if folder is not None:
                    state.save(folder / CHECKPOINT, good, log.length())
            if interrupted.is_set():
                raise KeyboardInterrupt
    if state.step < steps:
        log.event({"event": "stopped", "budget": steps}, state.step)
    if chosen := state.best:
        state.average.load_state_dict(chosen)
        log.event({"event": "chosen", "chosen_step": state.best_step}, state.step)
    return Run(state.average.eval(), log.lines, state.step, state.best_step if chosen else state.step)


def forget(folder: Path) -> None:
    """Removes the checkpoint of a run whose result is safe."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


# Of `_State`, beside tensors and sets.
_PLAIN = ("step", "recoveries", "scores", "best_step")


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
        self.sound: set[str] = set()
        self.scores: list[tuple[int, float]] = []
        self.best: dict[str, Tensor] = {}  # the average of the step that is chosen so far
        self.best_step = 0
        module.train()

    def has_stopped(self) -> bool:
        """Whether to stop before the budget is spent."""
        worse = [step for step, _ in self.scores if step > self.best_step]
        return self.recoveries > _MAX_RECOVERIES or len(worse) >= _PATIENCE

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
        found |= {f"best.{k}": v for k, v in self.best.items()}
        plain = {name: getattr(self, name) for name in _PLAIN} | {"sound": sorted(self.sound)}
        return found | {"plain": torch.tensor(list(json.dumps(plain).encode()), dtype=torch.uint8)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Goes back to what `tensors` returned."""
        plain = json.loads(bytes(tensors["plain"].tolist()))
        for name in _PLAIN:
            setattr(self, name, plain[name])
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

    def recover(self, good: dict[str, Tensor], collapsed: Sequence[str]) -> Line:
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

    def take(self, score: float, noise: float) -> Line:
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
