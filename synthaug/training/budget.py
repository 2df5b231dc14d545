"""What is trained, and for how long: a family with its settings, steps, or minutes that are planned as steps."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidRequest, SynthaugWarning
from synthaug.families import Family, build
from synthaug.generators.generator import resolve_device
from synthaug.modalities.base import Form
from synthaug.seeding import derive
from synthaug.training.appraise import LEAST_STEPS
from synthaug.training.batches import Batches
from synthaug.training.forecast import Forecast, any_batch, enough_for_a_batch, seconds_per_step
from synthaug.training.pace import PATIENCE, Steps, TimedSteps
from synthaug.training.threads import one_thread
from synthaug.wording import duration

BUDGET = "budget.json"
"""Beside a checkpoint: the minutes that were given, and the plans of steps that they came to."""

_USUAL_STEPS = 3000  # of images of any size, for what is said of large ones
_TRIED = 16 * 3 * 256 * 256  # numbers in a batch that a step is tried with, where rows are large


@dataclass(frozen=True)
class Training:
    """One training of a generator.

    Attributes:
        family: a family's name.
        options: settings of the family that differ from its defaults.
        steps: the budget in training steps; or
        minutes: in minutes of wall time; where neither is given, what is usual for the kind of rows, 3 minutes for
            images.
        seed: the only source of randomness.
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ...
        patience: how many times in a row the checkpoint may do worse on validation rows before the training ends; it
            is tried at 40, 60, 80, 90 and 100 % of the budget.
    """

    family: str = "cvae"
    options: Mapping[str, Any] = field(default_factory=dict)
    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    device: str = "auto"
    patience: int = PATIENCE

    def check(self, data: LabeledData) -> None:
        """Refuse what cannot be trained, before anything is; every image is decoded once.

        Raises:
            InvalidData: the rows cannot be used; the message names them.
            InvalidRequest: an unknown family or option, an impossible budget or device, an image that is too large.
        """
        self.untrained(data)
        self._check_budget()
        if not data.resized:
            self._check_size(data)
        data.check()

    def describe(self, data: LabeledData) -> dict[str, Any]:
        """What would be trained, as plain JSON data; raises as `check`."""
        self.check(data)
        family = self.untrained(data)
        steps, minutes = self._budget(data)
        return {
            "family": self.family,
            "config": asdict(family.config),
            "parameters": sum(p.numel() for p in family.parameters()),
            "rows": data.counts,
            "form": str(data.form),
            "device": str(resolve_device(self.device)),
            "budget": f"{minutes:g} minutes" if steps is None else f"{steps} steps",
        }

    def forecast(self, data: LabeledData, *, at_least: float = 2.0) -> Forecast:
        """What the training will take here, by steps that are tried; the budget and the rows are taken to be sound.

        Args:
            data: the training rows.
            at_least: seconds to try steps for.
        """
        each, (steps, minutes) = self._pace(data, at_least=at_least), self._budget(data)
        if steps is None:
            return Forecast(each, max(1, round(60 * minutes / each)), 60 * minutes)
        return Forecast(each, steps, steps * each)

    def untrained(self, data: LabeledData, form: Form | None = None) -> Family:
        """The family as training begins, the same each time, on the device.

        Initial weights come from the seed alone; the caller's global stream is left as it was.

        Args:
            data: the training rows.
            form: another than theirs.
        """
        if form is None:
            form = data.form if data.form.complete else data.form.fitted(data.read())
        with torch.random.fork_rng(devices=[]):
            # not CUDA's, which is the user's
            torch.default_generator.manual_seed(derive(self.seed, "weights"))
            counts = tuple(data.counts.values())
            family = build(self.family, form, counts, self.options)
        return family.to(resolve_device(self.device), memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def planned(self, data: LabeledData, batches: Batches, share: float, folder: Path | None) -> Steps:
        """The steps of the budget; those that minutes buy are planned as the pace becomes known.

        Args:
            data: the training rows.
            batches: of these rows.
            share: of the minutes, what is left for training.
            folder: where the plans are kept; None for nowhere.

        Warns:
            SynthaugWarning: minutes that are too few to learn anything in.
        """
        steps, minutes = self._budget(data)
        if steps is not None:
            return Steps([(0, steps)])
        whole, kept = 60 * minutes * share, None if folder is None else folder / BUDGET
        if kept is not None and kept.exists():
            known = json.loads(kept.read_text())
            plans = [(int(at), int(total)) for at, total in known["plans"]]
            if "steps" in known:  # it ended
                return Steps(plans)
            about = {name: known[name] for name in ("minutes", "seconds_per_step")}
            return TimedSteps(0, whole, kept, about=about, plans=plans, spent=float(known["spent"]))
        started = time.monotonic()
        least = min(10.0, 0.05 * whole)
        each = seconds_per_step(self.untrained(data), batches, seed=self.seed, at_least=least)
        spent = time.monotonic() - started
        steps = max(1, round((whole - spent) / each))
        if steps < LEAST_STEPS:
            needed = minutes * LEAST_STEPS / steps
            warnings.warn(
                f"{minutes:g} minutes are about {steps} steps of {self.family} here, too few to learn from: "
                f"{LEAST_STEPS} steps would take about {needed:.2g} minutes",
                SynthaugWarning,
                stacklevel=3,
            )
        about = {"minutes": minutes, "seconds_per_step": each}
        return TimedSteps(steps, whole, kept, about=about, spent=spent)

    def _budget(self, data: LabeledData) -> tuple[int | None, float]:
        """Steps, or None and minutes."""
        if self.steps is not None or self.minutes is not None:
            return self.steps, self.minutes or 0.0
        usual = data.form.usual_budget(len(data))
        return usual.get("steps"), usual.get("minutes", 0.0)

    def _check_budget(self) -> None:
        steps, minutes = self.steps, self.minutes
        if steps is not None and not isinstance(steps, int | np.integer):
            raise InvalidRequest(f"A budget of {steps!r} steps was asked for; give a whole number.")
        if steps is not None and minutes is not None:
            raise InvalidRequest(f"Both steps={steps} and minutes={minutes} were given. Give one budget.")
        if steps is not None and steps < 1:
            raise InvalidRequest(f"A budget of {steps} steps was asked for; give at least 1.")
        if minutes is not None and not 0 < minutes < float("inf"):
            raise InvalidRequest(f"A budget of {minutes} minutes was asked for; give a positive number.")

        if not isinstance(self.patience, int | np.integer) or self.patience < 1:
            raise InvalidRequest(f"patience={self.patience} was asked for; give a whole number of 1 or more.")

    def _check_size(self, data: LabeledData) -> None:
        """Asks for a size where rows are large, and says what each choice costs."""
        if (found := data.form.smaller()) is None:
            return
        small, remedy = found
        less = self.untrained(data, small)
        reduced = seconds_per_step(less, any_batch(less, len(data.classes)), seed=self.seed)
        size, numbers = less.config.batch_size, math.prod(data.form.encoded)
        rows = min(size, _TRIED // numbers)
        # what would take gigabytes is not tried: a step takes as long as there are numbers
        larger = numbers / math.prod(small.encoded)
        kept = self._pace(data, rows) * size / rows if rows > 1 else reduced * larger
        raise InvalidRequest(
            f"The {data.form.noun}s are large: {data.form}. {_USUAL_STEPS} training steps of {self.family} at that "
            f"size take about {duration(_USUAL_STEPS * kept)} here, about {duration(_USUAL_STEPS * reduced)} as "
            f"{small}. Choose with {remedy}."
        )

    def _pace(self, data: LabeledData, batch_size: int | None = None, at_least: float = 2.0) -> float:
        """Seconds of a step with batches of these rows, of which as few as that takes are read."""
        trial = self.untrained(data)
        with one_thread() if data.form.light else nullcontext():
            size = batch_size or trial.config.batch_size
            few = enough_for_a_batch(data, size)
            if data.form.complete:  # though not fitted, as to the range of the values
                trial = self.untrained(data, data.form.fitted(few.read()))
            batches = Batches(few, trial.form, size, self.seed)
            return seconds_per_step(trial, batches, seed=self.seed, at_least=at_least)
