"""The training loop: phases x batches, moving average, exact resume, choice of checkpoint, guards, history.

It knows nothing of generators, data sets or classifiers: it takes a module, the phases that move its parameters,
a function from (kind, step) to a batch, and functions that judge the average. Everything random is keyed by
the step, so a run that was killed and started again continues as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np
from torch import nn

from synthaug.errors import InvalidRequest
from synthaug.families import Batch, BatchKind, Phase
from synthaug.generators.artifact import HISTORY
from synthaug.progress import bar
from synthaug.training.pace import PATIENCE, Steps
from synthaug.training.state import State
from synthaug.training.watch import Callback, History, Line, Look

CHECKPOINT = "checkpoint.safetensors"

_CHECKPOINT_SECONDS = 30.0
_HISTORY_LINES = 200
_SCORED_AT = (0.4, 0.6, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Score:
    """How good the average is, for the choice of a checkpoint.

    Attributes:
        of: ``of(average)``, the higher the better, on rows that are not trained on; called at 40, 60, 80, 90 and 100 %
            of the budget. Must be a pure function of the weights.
        noise: two scores that differ by no more than this are taken to be equal.
        patience: so many scores in a row that are further than that from the best one end the training.
    """

    of: Callable[[nn.Module], float]
    noise: float
    patience: int = PATIENCE


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


def run_loop(
    module: nn.Module,
    phases: Sequence[Phase],
    batch: Callable[[BatchKind, int], Batch],
    *,
    steps: int | Steps,
    seed: int,
    folder: Path | None = None,
    preview: Callable[[nn.Module, int], None] | None = None,
    score: Score | None = None,
    spread: Callable[[nn.Module], Mapping[str, float]] | None = None,
    report: Callable[[Line], None] | None = None,
    callbacks: Sequence[Callback] = (),
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
    not within it (``score.patience``) stop the run.

    Args:
        module: everything that must survive a restart is in its ``state_dict``.
        phases: what to optimise; their parameters belong to ``module``.
        batch: ``(kind, step) -> batch``, a pure function.
        steps: the budget, in steps; or as `Steps`, which may plan it anew while it is spent.
        seed: keys the random streams handed to the losses.
        folder: where checkpoint and history go; nothing is written without it.
        preview: called as ``preview(average, step)`` about ten times.
        score: what to choose the returned average by; the last one without it.
        spread: ``spread(average)``: how varied each named part of what it makes is, 1.0 being as it should be; a
            pure function of the weights, called wherever a checkpoint is due.
        report: called with each line of the history as it is written.
        callbacks: called with each line of figures before the last; the run ends where one of them answers True.
        progress: show a progress bar with the losses on stderr.

    Raises:
        InvalidRequest: fewer than one step.
        Diverged: the losses stayed non-finite at lower and lower learning rates.
    """
    budget = Steps([(0, steps)]) if isinstance(steps, int | np.integer) else steps
    if budget.total(0) < 1:
        raise InvalidRequest(f"A budget of {budget.total(0)} steps was asked for; give at least 1.")
    state = State(module, phases, budget, seed)
    if score is not None:
        state.patience = score.patience
    log = History(folder, max(1, budget.total(0) // _HISTORY_LINES), report)
    if folder is not None and (folder / CHECKPOINT).exists():
        mark = state.load(folder / CHECKPOINT)
        log.resume(state.step, mark)
    elif folder is not None:
        (folder / HISTORY).unlink(missing_ok=True)  # of a run that was killed before its first checkpoint
    ranks = state.ranks
    if ranks.world > 1:  # the folder is the first one's
        state.restore(ranks.told(state.tensors()))
    good, saved_at = state.tensors(), time.monotonic()
    shown = bar(state.steps, shown=progress, of="training", unit="step", initial=state.step)
    with shown, _interrupts() as interrupted:
        while state.step < state.steps and not state.has_stopped():
            figures = state.advance(batch)
            if told := budget.review(state.step):
                log.event(told, state.step)
                shown.total = state.steps
            finished, old = state.step >= state.steps, time.monotonic() - saved_at > _CHECKPOINT_SECONDS
            stopping = ranks.any(interrupted.is_set())
            scored = score is not None and any(budget.reaches(share, state.step) for share in _SCORED_AT)
            due = (
                state.step % max(1, state.steps // 20) == 0
                or finished
                or ranks.told(old)
                or scored
                or stopping
            )
            is_finite = all(map(math.isfinite, figures.values())) and (not due or state.is_finite())
            collapsed = (
                ranks.told(state.collapsed(spread)) if due and is_finite and spread is not None else []
            )
            if collapsed or not is_finite:
                log.drop_pending()
                log.event(state.recover(good, collapsed), state.step)
                shown.n = state.step
                if folder is not None and state.has_stopped():
                    state.save(folder / CHECKPOINT, state.tensors(), log.mark())
                continue
            has_told = log.add(state.step, figures, shown, last=finished)
            shown.update()
            if has_told and not finished and ranks.any(_is_ended(callbacks, state, log)):
                state.ended = finished = due = True
                scored = score is not None
            if preview is not None and (finished or state.step % max(1, state.steps // 10) == 0):
                preview(state.average.eval(), state.step)
            if score is not None and scored:
                found = ranks.told(score.of(state.average.eval()))
                log.event(state.take(found, score.noise), state.step)
            if due:
                good, saved_at = state.tensors(), time.monotonic()
                if folder is not None:
                    state.save(folder / CHECKPOINT, good, log.mark())
            if stopping:
                raise KeyboardInterrupt
    if state.step < state.steps:
        log.event({"event": "stopped", "budget": state.steps}, state.step)
    budget.finish(state.step)
    if chosen := state.best:
        state.average.load_state_dict(chosen)
        log.event({"event": "chosen", "chosen_step": state.best_step}, state.step)
    return Run(state.average.eval(), log.lines, state.step, state.best_step if chosen else state.step)


def _is_ended(callbacks: Sequence[Callback], state: State, log: History) -> bool:
    """Whether somebody who watches ends the run here; weights that are not finite are first recovered from."""
    if not callbacks:
        return False
    look = Look(state.step, state.steps, tuple(log.lines), state.average.eval())
    answers = [callback(look) for callback in callbacks]  # each of them sees every look
    return any(answers) and state.is_finite()


def forget(folder: Path) -> None:
    """Removes the checkpoint of a run whose result is safe."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


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
