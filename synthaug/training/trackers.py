"""Where the figures of a training run go beside its JSON lines: TensorBoard, Weights & Biases, or your own object."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from synthaug.errors import InvalidRequest, did_you_mean

TRACKERS = ("tensorboard", "wandb")


class Tracker(Protocol):
    """Anything with these three methods can follow a training run."""

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Figures by name."""

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        """A picture ``(H, W, 3)`` uint8."""

    def close(self) -> None:
        """Called once, when the run is over or has failed."""


@contextlib.contextmanager
def follow(
    tracker: str | Tracker | None, folder: Path | None, config: Mapping[str, Any]
) -> Iterator[Tracker | None]:
    """The tracker of this name, or the given one, for the time of a run; closed when the run is over or has failed.

    Args:
        tracker: ``tensorboard``, ``wandb``, an object of your own, or None.
        folder: an existing folder; the named ones write into a folder of their name in it.
        config: what was asked for, as plain values; Weights & Biases shows it.

    Raises:
        InvalidRequest: an unknown name, no folder to write into, or a package that is not installed.
    """
    following = _opened(tracker, folder, config) if isinstance(tracker, str) else tracker
    try:
        yield following
    finally:
        if following is not None:
            following.close()


def _opened(name: str, folder: Path | None, config: Mapping[str, Any]) -> Tracker:
    if name not in TRACKERS:
        raise InvalidRequest(f'There is no tracker "{name}".{did_you_mean(name, TRACKERS)}')
    if folder is None:
        raise InvalidRequest(f'tracker="{name}" writes beside the generator: give out= (or --out) a folder.')
    try:
        return _TensorBoard(folder / name) if name == "tensorboard" else _WandB(folder, config)
    except ImportError:
        raise InvalidRequest(
            f'tracker="{name}" needs a package that is not here: pip install "synthaug[{name}]". '
            "Without it the run still keeps history.jsonl."
        ) from None


def figures_of(line: Mapping[str, Any]) -> dict[str, float]:
    """What of a line of the history is a figure."""
    return {
        name: float(value)
        for name, value in line.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name != "step"
    }


class _TensorBoard:
    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # the writer makes its file at once; a run that goes on adds another one, and TensorBoard joins them
        self.writer = SummaryWriter(str(folder))

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        self.writer.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        self.writer.close()


class _WandB:
    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        import wandb

        self.wandb = wandb
        self.run = wandb.init(project="synthaug", dir=str(folder), config=dict(config))

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self.run.log(dict(figures), step=step)

    def image(self, step: int, name: str, picture: np.ndarray) -> None:
        self.run.log({name: self.wandb.Image(picture)}, step=step)

    def close(self) -> None:
        self.run.finish()
