"""How a training run is watched: its history as JSON lines, trackers, and pictures of what it makes on the way."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from synthaug.errors import InvalidRequest
from synthaug.families import Family
from synthaug.generators.artifact import HISTORY
from synthaug.progress import LOGGER
from synthaug.seeding import torch_rng
from synthaug.training.batches import Batches
from synthaug.wording import did_you_mean

Line = dict[str, Any]
"""One line of a history: ``step``, ``seconds``, and figures or an event."""


@dataclass(frozen=True)
class Look:
    """How far a training is, for a callback.

    Attributes:
        step: how many steps are done.
        steps: how many there are to be, as it is planned now.
        history: the lines of the history from the first step on, those before a kill too; the last has the means of
            the losses since the one before it, others may have an event, such as the score of a checkpoint.
        average: the module with the moving average of its weights, which is what comes of the training: a
            `synthaug.families.Family`. To be looked at, not changed.
    """

    step: int
    steps: int
    history: Sequence[Line]
    average: torch.nn.Module


class Callback(Protocol):
    """Follows a training, and may end it; any function of one argument will do.

    It is called about 200 times, with each line of figures, and not after the last step. Where it answers True, the
    training ends there as if its budget were spent: the checkpoint is scored once more where there is a score, and
    ``generator.steps`` says how many steps it took. After a kill a callback is asked again from the last checkpoint
    on: one that goes by ``look.history``, and keeps nothing itself, ends the training where it would have ended.

    Example:
        >>> def when_good_enough(look):
        ...     return look.history[-1]["error"] < 0.01
    """

    def __call__(self, look: Look, /) -> bool | None:
        """Whether to end the training here."""


def as_callbacks(given: Iterable[Callback]) -> tuple[Callback, ...]:
    """The callbacks that were given.

    Raises:
        InvalidRequest: what is no function is among them.
    """
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    for each in found:
        if not callable(each):
            raise InvalidRequest(
                f"A {type(each).__name__} was given as a callback. Give functions of one look."
            )
    return found


# What trackers that need no folder call the one that they write into nevertheless.
_PLACES = {"wandb": "dir", "mlflow": "logging_dir"}
_GRID_ROWS = 6
_GRID_CLASSES = 20


class History:
    """Mean figures between lines, kept in memory and as JSON lines on disk.

    Args:
        folder: where the file goes; None keeps the lines in memory only.
        every: steps between two lines of figures.
        report: called with each line as it is written, e.g. a tracker.
    """

    def __init__(self, folder: Path | None, every: int, report: Callable[[Line], None] | None = None) -> None:
        self.path = None if folder is None else folder / HISTORY
        self.every = every
        self.report = report
        self.lines: list[Line] = []
        self.sums: dict[str, float] = {}
        self.seen: dict[str, int] = {}
        self.started = time.monotonic()

    def mark(self) -> str:
        """Where the history is, for a checkpoint: the length of its file in bytes, and figures not yet written."""
        written = self.path.stat().st_size if self.path is not None and self.path.exists() else 0
        return json.dumps([written, self.sums, self.seen])

    def resume(self, step: int, mark: str) -> None:
        """Goes back to a checkpoint with this mark, drops what was written after it, and says so."""
        assert self.path is not None
        length, self.sums, self.seen = json.loads(mark)
        raw = self.path.read_bytes() if self.path.exists() else b""
        known = [json.loads(line) for line in raw[:length].decode().splitlines()]
        youngest = [json.loads(line) for line in raw.decode().splitlines() if line.endswith("}")][
            -1:
        ] or known[-1:]
        last = youngest[0] if youngest else {"step": step, "seconds": 0.0}
        seconds = known[-1]["seconds"] if known else 0.0
        self.path.write_bytes(raw[:length])
        self.lines, self.started = known, time.monotonic() - seconds
        lost = {
            "lost_steps": max(0, last["step"] - step),
            "lost_seconds": round(last["seconds"] - seconds, 2),
        }
        self.event({"event": "resumed", **lost}, step)

    def event(self, what: Line, step: int) -> None:
        """Writes one line that is not a mean of figures."""
        self._write({"step": step, "seconds": round(time.monotonic() - self.started, 2), **what})

    def add(self, step: int, figures: dict[str, float], bar: Any, *, last: bool) -> bool:
        """Collects a step's figures; every so often their means become a line. Whether they did."""
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.seen[name] = self.seen.get(name, 0) + 1
        if step % self.every == 0 or last:
            means = {name: float(f"{total / self.seen[name]:.6g}") for name, total in self.sums.items()}
            self.event(means, step)
            self.drop_pending()
            shown = {k: v for k, v in self.lines[-1].items() if k not in ("step", "seconds")}
            bar.set_postfix({k: f"{v:.3g}" for k, v in shown.items()}, refresh=False)
            return True
        return False

    def drop_pending(self) -> None:
        """Forgets the figures since the last line."""
        self.sums, self.seen = {}, {}

    def _write(self, line: Line) -> None:
        self.lines.append(line)
        LOGGER.log(logging.INFO if "event" in line else logging.DEBUG, _told(line))
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        if self.report is not None:
            self.report(line)


def _told(line: Line) -> str:
    """A line of the history in words."""
    rest = {name: value for name, value in line.items() if name not in ("step", "seconds", "event")}
    what = ", ".join(f"{name} {value}" for name, value in rest.items())
    return " ".join(filter(None, [f"step {line['step']}:", line.get("event"), what]))


class Tracker(Protocol):
    """What can follow a training run: a tracker of ``accelerate``, or anything with these methods."""

    def log(self, values: dict[str, float], step: int) -> None:
        """Figures by name."""

    def log_images(self, values: dict[str, np.ndarray], step: int) -> None:
        """Pictures by name, ``(N, H, W, 3)`` uint8. One without this method is shown none."""

    def finish(self) -> None:
        """Called once, when the run is over or has failed."""


@contextlib.contextmanager
def follow(
    tracker: str | Tracker | None, folder: Path | None, config: Mapping[str, Any]
) -> Iterator[Tracker | None]:
    """The tracker of this name, or the given one, for the time of a run; closed when the run is over or has failed.

    Args:
        tracker: a tracker of ``accelerate`` by its name, such as ``tensorboard``, ``wandb`` or ``mlflow``; an object
            of your own; or None.
        folder: an existing folder; trackers that write files write into it.
        config: what was asked for; its plain values are handed to the tracker.

    Raises:
        InvalidRequest: an unknown name, no folder to write into, or a package that is not installed.
    """
    following = _opened(tracker, folder, config) if isinstance(tracker, str) else tracker
    try:
        yield following
    finally:
        if following is not None:
            following.finish()


def require_tracker(tracker: str | Tracker | None, has_folder: bool) -> None:
    """Refuse a tracker that cannot follow a run, before anything is read or written.

    Args:
        tracker: as in `follow`.
        has_folder: whether there is a folder to write into.

    Raises:
        InvalidRequest: an unknown name, no folder to write into, or a package that is not installed.
    """
    if isinstance(tracker, str):
        _kind_of(tracker, has_folder)


def figures_of(line: Mapping[str, Any]) -> dict[str, float]:
    """What of a line of the history is a figure."""
    return {
        name: float(value)
        for name, value in line.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name != "step"
    }


class Preview:
    """Draws a grid of real rows beside samples, the same noise each time, for the folder and the tracker.

    Args:
        folder: where PNG files go; None for nowhere.
        tracker: what is shown them as well.
        classes: names of the classes, of which at most 20 are drawn.
        batches: knows the real rows.
        seed: decides the noise.
    """

    def __init__(
        self,
        folder: Path | None,
        tracker: Tracker | None,
        classes: tuple[str, ...],
        batches: Batches,
        seed: int,
    ) -> None:
        self.folder, self.tracker, self.classes = folder, tracker, classes
        self.batches, self.seed = batches, seed

    def __call__(self, average: torch.nn.Module, step: int) -> None:
        """Draws what the averaged family makes at a step."""
        assert isinstance(average, Family)
        shown, form = self.batches.present[:_GRID_CLASSES], self.batches.form
        labels = torch.from_numpy(shown).repeat_interleave(_GRID_ROWS)
        noise = torch.randn(len(labels), *average.noise_shape, generator=torch_rng(self.seed, "preview"))
        device = next(average.parameters()).device
        with torch.no_grad():
            made = form.decode(average.sample(labels.to(device), noise.to(device)))
        real = np.concatenate(
            [self.batches.data.read(np.resize(self.batches.rows[int(k)], 3)) for k in shown]
        )
        names = [self.classes[int(k)] for k in shown]
        picture = form.side_by_side(names, {"real": real, "synthetic": made})
        if self.folder is not None:
            self.folder.mkdir(exist_ok=True)
            picture.save(self.folder / f"step-{step:06d}.png", optimize=True)
        if self.tracker is not None and hasattr(self.tracker, "log_images"):
            self.tracker.log_images({"samples": np.asarray(picture)[None]}, step=step)


def _kind_of(name: str, has_folder: bool) -> tuple[Any, str | None]:
    """The class of a tracker of accelerate, and what it calls the folder that it writes into."""
    try:
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    except ImportError:
        raise InvalidRequest(_missing(name)) from None
    if name not in LOGGER_TYPE_TO_CLASS:
        raise InvalidRequest(f'There is no tracker "{name}".{did_you_mean(name, LOGGER_TYPE_TO_CLASS)}')
    if find_spec(name) is None and name not in [str(each) for each in get_available_trackers()]:
        raise InvalidRequest(_missing(name))
    kind = LOGGER_TYPE_TO_CLASS[name]
    place = "logging_dir" if kind.requires_logging_directory else _PLACES.get(name)
    if place is not None and not has_folder:
        raise InvalidRequest(f'tracker="{name}" writes beside the generator: give out= (or --out) a folder.')
    return kind, place


def _opened(name: str, folder: Path | None, config: Mapping[str, Any]) -> Tracker:
    kind, place = _kind_of(name, folder is not None)
    from accelerate.state import PartialState

    PartialState()  # without which the log of a tracker is refused
    try:
        run = name if kind.requires_logging_directory else "synthaug"
        tracker = kind(run) if place is None else kind(run, **{place: folder})
        tracker.start()
    except ImportError:
        raise InvalidRequest(_missing(name)) from None
    tracker.store_init_configuration(
        {k: value for k, value in config.items() if isinstance(value, bool | int | float | str)}
    )
    return _Accelerated(tracker)


def _missing(name: str) -> str:
    return (
        f'tracker="{name}" needs a package that is not here: pip install "synthaug[trackers]" {name}. '
        "Without it the run still keeps history.jsonl."
    )


class _Accelerated:
    """A tracker of accelerate, of which one wants to be told how pictures lie."""

    def __init__(self, tracker: Any) -> None:
        self.tracker = tracker

    def log(self, values: dict[str, float], step: int) -> None:
        self.tracker.log(values, step=step)

    def log_images(self, values: dict[str, np.ndarray], step: int) -> None:
        if hasattr(self.tracker, "log_images"):
            layout = {"dataformats": "NHWC"} if self.tracker.name == "tensorboard" else {}
            self.tracker.log_images(values, step=step, **layout)

    def finish(self) -> None:
        self.tracker.finish()
