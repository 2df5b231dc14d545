"""A labelled data set and a family in, a trained generator out."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthaug.data.labeled import LabeledData
from synthaug.data.splits import require_disjoint
from synthaug.errors import InvalidData, InvalidRequest, SynthaugWarning
from synthaug.families import build
from synthaug.families.base import Family
from synthaug.modalities.image.codec import ImageCodec
from synthaug.modalities.image.view import grid
from synthaug.seeding import derive, numpy_rng, torch_rng
from synthaug.training import loop
from synthaug.training.appraise import LEAST_STEPS, Appraiser, Rows
from synthaug.training.history import Line
from synthaug.training.trackers import Tracker, figures_of

DEFAULT_MINUTES = 3.0
_MAX_SIDE = 128
_GRID_ROWS = 6
_SAME = 0.1
# Of a budget in minutes: what is left for training beside looking at what it makes, and choosing a checkpoint.
_TRAINING_SHARE, _SCORING_SHARE = 0.95, 0.05


@dataclass(frozen=True)
class Trained:
    """A generator after training, with all that is needed to use it and to account for it.

    Attributes:
        family: its networks, with averaged weights, in eval mode on the CPU.
        codec: raw rows <-> tensors.
        classes: class names, in order.
        values: each class's label in the data set's own encoding.
        seed: the seed of the training.
        steps: training steps spent.
        seconds: wall time spent on them.
        history: lines of the training history.
        data: fingerprint, origin and rows per class of the training rows.
        trained_on: ``(N,)`` uint64 fingerprints of the training rows.
        held_out: ``(M,)`` uint64 fingerprints of the rows that were kept from it.
        achieved: what the training achieved, in figures and, as ``text``, in words.
    """

    family: Family
    codec: ImageCodec
    classes: tuple[str, ...]
    values: tuple[Any, ...]
    seed: int
    steps: int
    seconds: float
    history: list[Line]
    data: dict[str, Any]
    trained_on: np.ndarray
    held_out: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    achieved: dict[str, Any] = field(default_factory=dict)


def train_generator(
    data: LabeledData,
    family: str,
    *,
    options: Mapping[str, Any] | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    held_out: LabeledData | None = None,
    validation: LabeledData | None = None,
    folder: Path | None = None,
    tracker: Tracker | None = None,
    progress: bool = False,
) -> Trained:
    """Trains a family on labelled rows.

    With validation rows the checkpoint is chosen by them: the averaged weights with which a small classifier,
    trained on samples alone, does best on them (`synthaug.training.appraise`). Without, the last averaged weights are
    taken: to spare training rows for the choice costs a small data set more than the choice gains.

    Args:
        data: the training rows.
        family: a family's name.
        options: settings of the family that differ from its defaults.
        steps: the budget in steps; or
        minutes: in wall time, turned into steps once, by timing a throw-away copy, and recorded in ``folder``.
        seed: the only source of randomness.
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ...
        held_out: rows that must never meet the generator's output; none of them may be in ``data``.
        validation: rows to choose the checkpoint by, of the same classes; none may be in ``data``, and the final
            test must be on others.
        folder: an existing folder for checkpoint, history and sample grids; a second call continues there.
        tracker: follows the history and the sample grids; the caller closes it.
        progress: show a progress bar on stderr.

    Raises:
        InvalidData: the rows cannot be used; the message names them.
        InvalidRequest: an unknown family or option, an impossible budget, an image that is too large.
        Leakage: training and held-out rows overlap.
    """
    make = _at_the_door(data, family, options, steps, minutes, seed, device)
    for kept, name in ((held_out, "held-out"), (validation, "validation")):
        if kept is not None:
            require_disjoint(data, kept, f"training and {name} rows")
    images = data.read()
    codec = ImageCodec.fit(images, data.spec)
    chosen_by = None if validation is None else _alike(validation, data)
    batch = _Batches(images, data.labels, codec, make.batch_size, len(data.classes), seed)
    if steps is None:
        share = _TRAINING_SHARE if chosen_by is None else _TRAINING_SHARE - _SCORING_SHARE
        steps = _planned_steps(make, batch, DEFAULT_MINUTES if minutes is None else minutes, share, folder)

    module = make.family()
    if module.keeps_rows:
        order = numpy_rng(seed, "remember").permutation(len(images))
        rows = codec.encode(images[order]).to(make.device)
        module.remember(rows, torch.from_numpy(data.labels[order]).to(make.device))
    appraiser = Appraiser(Rows(images, data.labels), chosen_by, codec, data.classes, steps=steps, seed=seed)
    preview = _Preview(
        None if folder is None else folder / "grids", tracker, data.classes, codec, batch, seed
    )
    run = loop.train(
        module,
        module.phases(),
        batch,
        steps=steps,
        seed=seed,
        folder=folder,
        preview=None if folder is None and tracker is None else preview,
        score=appraiser.scoring(),
        spread=appraiser.spread if steps >= LEAST_STEPS else None,
        report=None if tracker is None else lambda line: tracker.log(line["step"], figures_of(line)),
        progress=progress,
    )
    assert isinstance(run.average, Family)
    if module.keeps_rows:
        run.average.finish(rows, torch.from_numpy(data.labels[order]).to(make.device))
    if steps >= LEAST_STEPS:
        _warn_of_sameness(appraiser.spread(run.average))
    achieved = appraiser.achieved(run.average) | {"chosen_step": run.chosen_step}
    return Trained(
        family=run.average.cpu(),
        codec=codec,
        classes=data.classes,
        values=data.values,
        seed=seed,
        steps=run.steps,
        seconds=run.history[-1]["seconds"],
        history=run.history,
        data={"fingerprint": data.fingerprint(), "origin": data.origin, "counts": data.counts},
        trained_on=data.fingerprints(),
        held_out=_prints(held_out, validation),
        achieved=achieved,
    )


def plan_training(
    data: LabeledData,
    family: str,
    *,
    options: Mapping[str, Any] | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "auto",
) -> dict[str, Any]:
    """What `train_generator` would do with these arguments, as plain JSON data; raises what it would raise."""
    make = _at_the_door(data, family, options, steps, minutes, 0, device)
    module = make.family()
    return {
        "family": family,
        "config": asdict(module.config),
        "parameters": sum(p.numel() for p in module.parameters()),
        "rows": data.counts,
        "form": str(data.spec),
        "device": str(make.device),
        "budget": f"{steps} steps" if steps is not None else f"{minutes or DEFAULT_MINUTES:g} minutes",
    }


def _at_the_door(
    data: LabeledData,
    family: str,
    options: Mapping[str, Any] | None,
    steps: int | None,
    minutes: float | None,
    seed: int,
    device: str,
) -> _Maker:
    """Refuses what cannot be trained, before anything is."""
    make = _Maker(data, family, options, seed, device)
    _check_budget(steps, minutes)
    if not data.resized:
        make.check_size()
    data.check()
    return make


class _Maker:
    """Builds the same untrained family each time it is asked."""

    def __init__(
        self, data: LabeledData, name: str, options: Mapping[str, Any] | None, seed: int, device: str
    ) -> None:
        self.spec = data.spec
        self.shape = (data.spec.channels, data.spec.height, data.spec.width)
        self.counts = tuple(data.counts.values())
        self.name, self.options, self.seed = name, options, seed
        self.device = resolve_device(device)
        self.batch_size: int = self.family().config.batch_size

    def family(self, shape: tuple[int, int, int] | None = None) -> Family:
        """Initial weights come from the seed alone; the caller's global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(
                derive(self.seed, "weights")
            )  # not CUDA's, which is the user's
            family = build(self.name, shape or self.shape, self.counts, self.options)
        return family.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def seconds_per_step(self, batch: Any, at_least: float) -> float:
        """Times steps of a throw-away copy; the median of several runs, so that a hiccup does not decide."""
        trial = self.family()

        def seconds(steps: int) -> float:
            started = time.monotonic()
            loop.train(trial, trial.phases(), batch, steps=steps, seed=self.seed)
            return time.monotonic() - started

        seconds(2)
        steps = 2
        while (took := seconds(steps)) < at_least / 10:
            steps *= 2
        runs = max(3, round(at_least / took))
        return float(np.median([seconds(steps) for _ in range(runs)])) / steps

    def check_size(self) -> None:
        """Asks for a size where the images are large, and says what each choice costs."""
        _, height, width = self.shape
        if max(height, width) <= _MAX_SIDE:
            return
        small = _MAX_SIDE // 2
        trial = self.family((self.shape[0], small, small))
        rows = torch.zeros(4, *trial.shape), torch.arange(4) % len(self.counts)
        started = time.monotonic()
        loop.train(trial, trial.phases(), lambda *_: rows, steps=2, seed=self.seed)
        pixel = (time.monotonic() - started) / 2 / 4 / small**2
        hours = pixel * self.batch_size * 3000 * height * width / 3600
        raise InvalidRequest(
            f"The images are {height}x{width}. 3000 training steps at that size take about {hours:.1f} hours here, "
            f"about {60 * hours * small**2 / (height * width):.0f} minutes at {small}x{small}. "
            f"Choose with image_size={small} (or --image-size), or image_size=({height}, {width}) to keep the size."
        )


class _Batches:
    """Rows of a step as a pure function of (kind, step, draw)."""

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, codec: ImageCodec, size: int, n_classes: int, seed: int
    ) -> None:
        self.images, self.labels, self.codec, self.size, self.seed = images, labels, codec, size, seed
        self.present = np.array([k for k in range(n_classes) if (labels == k).any()])
        self.rows = {int(k): np.flatnonzero(labels == k) for k in self.present}

    def __call__(self, kind: loop.BatchKind, step: int, draw: int) -> loop.Batch:
        rng = numpy_rng(self.seed, "batch", step, draw)
        if kind == "natural":
            rows = rng.integers(len(self.labels), size=self.size)
        else:
            order = np.tile(rng.permutation(self.present), -(-self.size // len(self.present)))[: self.size]
            first = [rng.integers(len(self.rows[int(k)])) for k in order]
            rows = np.array([self.rows[int(k)][i] for k, i in zip(order, first, strict=True)])
        images, labels = self.codec.encode(self.images[rows]), torch.from_numpy(self.labels[rows])
        if kind == "pairs":
            sizes = [len(self.rows[int(k)]) for k in order]
            second = [(i + rng.integers(1, n)) % n for i, n in zip(first, sizes, strict=True)]
            others = np.array([self.rows[int(k)][i] for k, i in zip(order, second, strict=True)])
            images = torch.stack([images, self.codec.encode(self.images[others])], dim=1)
        return images, labels


class _Preview:
    """Draws a grid of real rows beside samples, the same noise each time, for the folder and the tracker."""

    def __init__(
        self,
        folder: Path | None,
        tracker: Tracker | None,
        classes: tuple[str, ...],
        codec: ImageCodec,
        batch: _Batches,
        seed: int,
    ) -> None:
        self.folder, self.tracker, self.classes = folder, tracker, classes
        self.codec, self.batch, self.seed = codec, batch, seed

    def __call__(self, average: torch.nn.Module, step: int) -> None:
        assert isinstance(average, Family)
        shown = self.batch.present[:20]
        labels = torch.from_numpy(shown).repeat_interleave(_GRID_ROWS)
        noise = torch.randn(len(labels), *average.noise_shape, generator=torch_rng(self.seed, "preview"))
        device = next(average.parameters()).device
        with torch.no_grad():
            made = self.codec.decode(average.sample(labels.to(device), noise.to(device)))
        real = np.concatenate([self.batch.images[np.resize(self.batch.rows[int(k)], 3)] for k in shown])
        names = [self.classes[int(k)] for k in shown]
        picture = grid(names, {"real": real, "synthetic": made}, self.codec.spec)
        if self.folder is not None:
            self.folder.mkdir(exist_ok=True)
            picture.save(self.folder / f"step-{step:06d}.png", optimize=True)
        if self.tracker is not None:
            self.tracker.image(step, "samples", np.asarray(picture))


def _alike(validation: LabeledData, data: LabeledData) -> Rows:
    """Validation rows with the labels of the training rows; those of classes that are not trained on are left out.

    Raises:
        InvalidData: rows of another form, or of no class that is trained on.
    """
    if validation.spec.shape != data.spec.shape or validation.spec.dtype != data.spec.dtype:
        raise InvalidData(
            f"The validation rows have the form {validation.spec}, the training rows {data.spec}. "
            "Give both the same image_size and dtype."
        )
    position = {name: data.classes.index(name) for name in validation.classes if data.counts.get(name)}
    known = np.array([name in position for name in validation.classes])[validation.labels]
    if not known.any():
        raise InvalidData(
            f"The validation rows have the classes {', '.join(validation.classes[:5])}, none of which is trained on."
        )
    ours = np.array([position.get(name, -1) for name in validation.classes])
    rows = np.flatnonzero(known)
    return Rows(validation.read(rows), ours[validation.labels[rows]])


def _prints(*kept: LabeledData | None) -> np.ndarray:
    """``(M,)`` uint64 fingerprints of rows that were not trained on, each once."""
    found = [rows.fingerprints() for rows in kept if rows is not None]
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.uint64)


def _warn_of_sameness(spread: Mapping[str, float]) -> None:
    flat = [name for name, value in spread.items() if value < _SAME]
    if flat:
        more = f" and {len(flat) - 5} more" if len(flat) > 5 else ""
        warnings.warn(
            f"The samples hardly vary ({', '.join(flat[:5])}{more}: under {_SAME:.0%} of the spread of real rows). "
            "Train longer, choose another family, or leave them out.",
            SynthaugWarning,
            stacklevel=3,
        )


def resolve_device(device: str) -> torch.device:
    """``auto`` becomes CUDA where there is one, else the CPU.

    Raises:
        InvalidRequest: a device that torch does not know or that is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InvalidRequest(
            f'The device "{device}" cannot be used here ({reason}). Try --device cpu.'
        ) from None


def _check_budget(steps: int | None, minutes: float | None) -> None:
    if steps is not None and not isinstance(steps, int | np.integer):
        raise InvalidRequest(f"A budget of {steps!r} steps was asked for; give a whole number.")
    if steps is not None and minutes is not None:
        raise InvalidRequest(f"Both steps={steps} and minutes={minutes} were given. Give one budget.")
    if steps is not None and steps < 1:
        raise InvalidRequest(f"A budget of {steps} steps was asked for; give at least 1.")
    if minutes is not None and not 0 < minutes < float("inf"):
        raise InvalidRequest(f"A budget of {minutes} minutes was asked for; give a positive number.")


def _planned_steps(make: _Maker, batch: _Batches, minutes: float, share: float, folder: Path | None) -> int:
    """The step count that a wall-time budget buys; decided once and kept beside the checkpoint."""
    plan = None if folder is None else folder / "plan.json"
    if plan is not None and plan.exists():
        return int(json.loads(plan.read_text())["steps"])
    seconds = 60 * minutes
    started = time.monotonic()
    each = make.seconds_per_step(batch, at_least=min(10.0, 0.05 * seconds))
    steps = max(1, round((seconds - (time.monotonic() - started)) * share / each))
    if plan is not None:
        fresh = plan.with_suffix(".new")
        fresh.write_text(json.dumps({"minutes": minutes, "seconds_per_step": each, "steps": steps}))
        os.replace(fresh, plan)
    return steps
