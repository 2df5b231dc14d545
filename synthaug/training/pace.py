"""How many steps a training takes: said once, or planned from minutes, and planned again as the pace becomes known."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from synthaug.outputs import atomic_write_text

Plan = tuple[int, int]
"""From which step on a plan holds, and how many steps there are to be in all."""

PATIENCE = 3
"""How many scores in a row may be worse than the best before a training ends, unless another number is asked for."""

_LOOK_EVERY, _OFF = 0.02, 0.04  # of the time
_SMOOTH = 0.5
_TINY = 1e-9


class Steps:
    """How many steps there are, from the first to the last.

    Learning rates and all else that depends on progress follow the plans alone, so that equal plans give equal weights.

    Args:
        plans: the first from step 0 on.

    >>> steps = Steps([(0, 100), (50, 60)])
    >>> steps.total(10), steps.progress(50), steps.total(50), steps.progress(55), steps.progress(60)
    (100, 0.5, 60, 0.75, 1.0)
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        self.plans = list(plans)

    def total(self, step: int) -> int:
        """How many steps there are in all, as it is planned at a step."""
        return next(total for at, total in reversed(self.plans) if at <= step)

    def progress(self, step: int) -> float:
        """The part of the training that is done before a step, from 0 to 1; it never falls."""
        begun, start, end = 0.0, 0, self.plans[0][1]
        for at, total in self.plans[1:]:
            if at > step:
                break
            begun += (1.0 - begun) * (at - start) / (end - start)
            start, end = at, total
        return begun + (1.0 - begun) * (step - start) / (end - start)

    def reaches(self, share: float, step: int) -> bool:
        """Whether a step is the first after which this part of the training is done."""
        if len(self.plans) == 1:
            return step == math.ceil(share * self.plans[0][1])
        return self.progress(step - 1) < share - _TINY <= self.progress(step)

    def review(self, step: int) -> dict[str, Any] | None:
        """What is told of a new plan, where one is made at this step; None where the old one holds."""
        return None

    def finish(self, steps: int) -> None:
        """The training has ended after so many steps: its plans are final."""


class TimedSteps(Steps):
    """Steps until a time is spent, whatever else the machine does meanwhile.

    Every fiftieth of the time the pace is measured; where the end of the present plan is further from the end of the
    time than a twenty-fifth of it, there is a new plan. Plans are kept in a file. A call that goes on with a training
    that was stopped takes those of the file as they are, and plans anew after the last of them.

    Args:
        steps: the first plan.
        seconds: what is left for training.
        kept: the file of plans; None for nowhere.
        about: what else the file says.
        plans: plans of an earlier call, in place of the first plan.
        spent: seconds that earlier calls spent.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        steps: int,
        seconds: float,
        kept: Path | None = None,
        *,
        about: dict[str, Any] | None = None,
        plans: Sequence[Plan] = (),
        spent: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(plans or [(0, steps)])
        self._whole, self._kept, self._about, self._clock = seconds, kept, about or {}, clock
        self._end = clock() + seconds - spent
        self._looked: tuple[float, int] | None = None
        self._pace: float | None = None
        self._keep()

    def review(self, step: int) -> dict[str, Any] | None:  # noqa: D102
        now = self._clock()
        if self._looked is None or step < self._looked[1]:  # the first step, or one that is taken again
            self._looked = now, step
            return None
        since, before = now - self._looked[0], step - self._looked[1]
        if since < _LOOK_EVERY * self._whole or not before or step < self.plans[-1][0]:
            return None
        self._looked = now, step
        recent = since / before
        self._pace = recent if self._pace is None else (1 - _SMOOTH) * self._pace + _SMOOTH * recent
        left, total = self._end - now, self.total(step)
        wanted = max(step + 1, step + round(left / self._pace))
        holds = total <= step or abs(wanted - total) * self._pace <= _OFF * self._whole
        if not holds:
            self.plans.append((step, wanted))
        self._keep()
        return None if holds else {"event": "planned", "steps": wanted, "seconds_per_step": self._pace}

    def finish(self, steps: int) -> None:  # noqa: D102
        self._about["steps"] = steps
        self._keep()

    def _keep(self) -> None:
        if self._kept is not None:
            spent = self._whole - (self._end - self._clock())
            atomic_write_text(
                self._kept, json.dumps({**self._about, "plans": self.plans, "spent": spent}) + "\n"
            )
