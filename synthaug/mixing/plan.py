"""Which rows of a batch are synthetic: a plan over the indices [real | synthetic], in integers only.

Real rows have the indices 0 .. R-1, pool rows R .. R+S-1. The plan never sees an image, a tensor or a loader.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from synthaug.errors import InvalidRequest
from synthaug.mixing.schedule import Schedule, Share, plain_ratio
from synthaug.seeding import numpy_rng
from synthaug.wording import quoted

Mode = Literal["replace", "append"]
"""Whether synthetic rows take the place of real ones or are added to them."""

# A ratio is a fraction of integers with at most this denominator: 0.29 of 100 rows is 29, and nothing drifts.
_FINEST = 10**9
_FINEST_SCHEDULED = 10**6
_GOLDEN = (5**0.5 - 1) / 2

Rates = npt.NDArray[np.int64]


class MixingPlan:
    """The mixed batches of an epoch, as a function of (seed, epoch, rank) and the order of the real batches.

    With ``ratio`` = synthetic / (real + synthetic), n real rows are due ``ratio * n`` synthetic ones in mode
    "replace" and ``ratio / (1 - ratio) * n`` in mode "append". Where the ratio differs from class to class
    or from batch to batch, the due of a batch is the sum over its rows.

    - A batch gets the floor or the ceiling of its due, and any prefix of the batches is within 1 row of its
      due. Which of the two it gets is decided by what its classes lack: a fixed rounding would meet the same
      class again and again when batches are small and their order is regular.
    - A synthetic row has the class of a real row of the same batch. In "replace" it takes the place of one;
      in "append" it follows the real rows, which all stay.
    - A batch's synthetic rows go to the classes furthest behind their due, so that one ratio means the same
      share in every class. In an epoch a class of K stays within ``2 + log2(K)`` rows of its due in the
      orders tested (random, sorted, cyclic; batches of 1 and up), and within 1.5 rows in shuffled batches
      of 32.
    - Within an epoch, use counts of the pool rows of one class differ by at most 1 in each rank. Several
      ranks share the pool out among them, anew in each epoch: no two use the same row (unless a class has
      fewer rows than there are ranks).

    With ``exact=False`` each real row is drawn on its own with the probability of its due: the share holds
    in expectation only. The draw is keyed by (seed, epoch, number of the row), so that it is the same however
    the rows fall into batches and ranks: what several ranks replace is what one would.

    Args:
        real: ``(R,)`` ints in [0, K): the class of each real row.
        pool: ``(S,)`` ints in [0, K): the class of each synthetic row.
        ratio: share of synthetic rows, in [0, 1), or a schedule; or one for each class by its number, where
            classes left out have 0.
        mode: "replace" or "append".
        seed: plans of different seeds are unrelated.
        classes: K names for messages; the numbers of the classes when None.
        exact: whether the share holds in every batch, or in expectation.

    Raises:
        InvalidRequest: a ratio outside [0, 1), an unknown mode, or a class among the real rows that the pool
            lacks (where its ratio is 0 it may).

    >>> plan = MixingPlan([0, 1, 0, 1], [1, 0], ratio=0.5)
    >>> first, second = plan.batches([[0, 1], [2, 3]], epoch=0)
    >>> len(first), sum(row >= 4 for row in first + second)
    (2, 2)
    """

    def __init__(
        self,
        real: npt.ArrayLike,
        pool: npt.ArrayLike,
        *,
        ratio: Share | Mapping[int, Share],
        mode: Mode = "replace",
        seed: int = 0,
        classes: Sequence[str] | None = None,
        exact: bool = True,
    ) -> None:
        if mode not in get_args(Mode):
            raise InvalidRequest(f'mode {mode!r} was asked for; mixing knows "replace" and "append".')
        self.mode: Mode = mode
        self.exact = exact
        self.seed = seed
        self.real = np.asarray(real, dtype=np.int64)
        pool = np.asarray(pool, dtype=np.int64)
        self.n_classes = 1 + int(max(self.real.max(initial=-1), pool.max(initial=-1)))
        self.pools = [len(self.real) + np.flatnonzero(pool == k) for k in range(self.n_classes)]
        plain = plain_ratio(ratio)
        shares = plain if isinstance(plain, Mapping) else dict.fromkeys(range(self.n_classes), plain)
        self._shares = [shares.get(k, 0.0) for k in range(self.n_classes)]
        self.unit, self._constant = self._units()
        missing = [
            k for k in np.unique(self.real).tolist() if _most(self._shares[k]) and not len(self.pools[k])
        ]
        if missing:
            raise InvalidRequest(self._missing(missing, classes))

    @property
    def idle(self) -> bool:
        """Whether no row is ever synthetic."""
        return not any(map(_most, self._shares))

    @property
    def by_step(self) -> bool:
        """Whether the share depends on the number of the step."""
        return any(isinstance(share, Schedule) and share.unit == "steps" for share in self._shares)

    def reseeded(self, seed: int) -> MixingPlan:
        """The same plan with another seed."""
        plan = copy.copy(self)
        plan.seed = seed
        return plan

    def rates(self, epoch: int, step: int) -> Rates:
        """``(K,)`` synthetic rows due for each real one, in units of 1 / ``unit`` row."""
        if self._constant is not None:
            return self._constant
        shares = [s.at(epoch, step) if isinstance(s, Schedule) else s for s in self._shares]
        return np.array([round(self._rate(share) * self.unit) for share in shares], np.int64)

    def batches(
        self, real: Iterable[Sequence[int]], *, epoch: int, rank: int = 0, ranks: int = 1, step: int = 0
    ) -> Iterator[list[int]]:
        """The mixed batches, one for each batch of real rows, in their order and read one at a time.

        Args:
            real: batches of indices in [0, R), of any length, in the order of the plain loader.
            epoch: number of the epoch; two epochs differ in which rows are replaced and which are used.
            rank: number of the process where each has batches of its own.
            ranks: how many such processes there are.
            step: number of the first batch, for a schedule over steps.

        Yields:
            Indices in [0, R+S). Real rows keep their position in the batch.
        """
        run = MixingRun(self, epoch=epoch, rank=rank, ranks=ranks, step=step)
        for batch in real:
            yield run.mix(batch)

    def once(self) -> npt.NDArray[np.int64]:
        """All real rows mixed once, for a data set that is kept: indices in [0, R+S).

        Planned class by class, so that each class gets the floor or ceiling of its due. In "append" the
        synthetic rows stand behind all real ones.
        """
        classes = [np.flatnonzero(self.real == k) for k in np.unique(self.real)]
        order, added = np.arange(len(self.real)), []
        for rows, mixed in zip(
            classes, self.batches([rows.tolist() for rows in classes], epoch=0), strict=True
        ):
            order[rows] = mixed[: len(rows)]
            added += mixed[len(rows) :]
        return np.array([*order.tolist(), *added], dtype=np.int64)

    def _missing(self, lacking: list[int], names: Sequence[str] | None) -> str:
        share = _most(self._shares[lacking[0]])
        rest = [k for k in np.unique(self.real).tolist() if k not in lacking]
        titles: Sequence[Any] = range(self.n_classes) if names is None else names
        others = ", ".join(f"{titles[k]!r}: {_most(self._shares[k]):g}" for k in rest[:10])
        others += ", ..." if len(rest) > 10 else ""
        give = f", or give shares to the others only, ratio={{{others}}}" if rest else ""
        called = ", ".join(map(str, lacking[:10])) if names is None else quoted(names[k] for k in lacking)
        return (
            f"ratio {share:g} was asked for, but the samples hold no row of {called}. Sample at least one row of each "
            f"class, or take the rows of these classes out of the data set{give}."
        )

    def _rate(self, share: float) -> Fraction:
        part = Fraction(share).limit_denominator(_FINEST)
        return part if self.mode == "replace" else part / (1 - part)

    def _units(self) -> tuple[int, Rates | None]:
        """The unit in which dues are counted, and the rates in it where they never change."""
        if any(isinstance(share, Schedule) for share in self._shares):
            return _FINEST_SCHEDULED, None
        rates = [self._rate(share) for share in self._shares if not isinstance(share, Schedule)]
        unit = min(math.lcm(*{rate.denominator for rate in rates}), _FINEST)
        return unit, np.array([round(rate * unit) for rate in rates], np.int64)


class MixingRun:
    """One pass of a plan, batch by batch; its state can be saved between two batches.

    Args:
        plan: the plan.
        epoch, rank, ranks, step: as in `MixingPlan.batches`.
        stride: by how much the step grows from batch to batch.
    """

    def __init__(
        self, plan: MixingPlan, *, epoch: int, rank: int = 0, ranks: int = 1, step: int = 0, stride: int = 1
    ) -> None:
        self._plan = plan
        self._epoch, self._step, self._stride = epoch, step, stride
        self._rng = numpy_rng(plan.seed, "mixing", epoch, rank)
        # What each class is owed and what all are, in units. Classes start at random phases: else a loader
        # that does not shuffle would see the same rows replaced in every epoch.
        self._owed = self._rng.integers(0, plan.unit, plan.n_classes)
        self._owed_in_all = 0
        self._decks: list[list[int]] = [[] for _ in plan.pools]
        self._pools = plan.pools if ranks == 1 else _part(plan, epoch, rank, ranks)
        self._by_step = plan.by_step
        self._set_rates(plan.rates(epoch, step))
        if not plan.exact:
            # Without the rank: ranks are given different rows, and together replace what one would.
            self._chance = numpy_rng(plan.seed, "mixing rows", epoch).random(len(plan.real))
            self._seen = np.zeros(len(plan.real), np.int32)

    def mix(self, batch: Sequence[int]) -> list[int]:
        """The mixed batch for the next batch of real rows."""
        if self._by_step:
            self._set_rates(self._plan.rates(self._epoch, self._step))
        self._step += self._stride
        rows = self._checked(batch)
        mixed: list[int] = rows.tolist()
        if not mixed or not self._on:
            return mixed
        labels = self._plan.real[rows]
        places = self._due(labels) if self._plan.exact else self._drawn(rows, labels)
        decks, append = self._decks, self._plan.mode == "append"
        for place, k in zip(places.tolist(), labels[places].tolist(), strict=True):
            if not decks[k]:
                decks[k] = self._rng.permutation(self._pools[k]).tolist()
            if append:
                mixed.append(decks[k].pop())
            else:
                mixed[place] = decks[k].pop()
        return mixed

    def state_dict(self) -> dict[str, Any]:
        """What the rest of the pass depends on, as plain data."""
        state: dict[str, Any] = {
            "step": self._step,
            "owed": self._owed.tolist(),
            "owed_in_all": self._owed_in_all,
            "decks": [list(deck) for deck in self._decks],
            "rng": _plain(self._rng.bit_generator.state),
        }
        return state if self._plan.exact else state | {"seen": self._seen.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on where ``state`` was taken, of a run of the same plan, epoch and rank."""
        self._step = state["step"]
        self._owed = np.array(state["owed"], np.int64)
        self._owed_in_all = state["owed_in_all"]
        self._decks = [list(deck) for deck in state["decks"]]
        self._rng.bit_generator.state = state["rng"]
        if not self._plan.exact:
            self._seen = np.array(state["seen"], np.int32)

    def _set_rates(self, rates: Rates) -> None:
        self._rates, self._on = rates, bool(rates.any())
        self._copies = -(-rates // self._plan.unit)
        self._one_copy = bool((self._copies == 1).all())

    def _due(self, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Places that give way, or whose class gets a row: as many as are due, furthest behind first.

        A class's first synthetic row is as urgent as what the class is owed, each further one a whole row
        less: so many of the most urgent are the fairest way to spend so many rows. Which row of a class comes
        first, and which of two classes equally owed, is random.
        """
        unit, n_classes = self._plan.unit, self._plan.n_classes
        counts = np.bincount(labels, minlength=n_classes)
        due = int(self._rates.dot(counts))
        self._owed += self._rates * counts
        self._owed_in_all += due
        # This runs once a batch in the main process, beside data sets that take microseconds a row: every
        # array operation counts.
        within, between = self._rng.random((2, len(labels)))
        places = (labels + within).argsort()  # class by class, at random within each
        if not self._one_copy:
            places = places.repeat(self._copies[labels[places]])
            counts = counts * self._copies
            between = self._rng.random(len(places))
        of = labels[places]
        firsts = counts.cumsum() - counts
        urgency = (self._owed + unit * firsts)[of] - unit * np.arange(len(places))
        order = (between - urgency).argsort()  # urgencies are whole numbers

        quota, rest = divmod(due, unit)
        left = self._owed_in_all - quota * unit
        # One more, where the prefix demands it, or allows it and the next class is owed a whole row.
        if rest and (left > unit or (left >= 0 and urgency[order[quota]] >= unit)):
            quota += 1
        chosen: npt.NDArray[np.intp] = places[order[:quota]]
        self._owed -= unit * np.bincount(labels[chosen], minlength=n_classes)
        self._owed_in_all -= unit * quota
        return chosen

    def _drawn(self, rows: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
        """Places whose row is drawn; a row that comes again has its chance turned by the golden ratio."""
        before = self._seen[rows] + _nth(rows)
        np.add.at(self._seen, rows, 1)
        chance = (self._chance[rows] + before * _GOLDEN) % 1
        copies = np.floor(self._rates[labels] / self._plan.unit + chance).astype(np.int64)
        return np.arange(len(rows)).repeat(copies)

    def _checked(self, batch: Sequence[int]) -> npt.NDArray[np.int64]:
        rows = np.asarray(batch, dtype=np.int64)
        real = len(self._plan.real)
        # As unsigned numbers the negative ones are the largest.
        if rows.ndim != 1 or (len(rows) and max(rows.view(np.uint64).tolist()) >= real):
            raise InvalidRequest(
                f"A batch of real rows must be a list of row numbers from 0 to {real - 1}; "
                f"the batch sampler gave {batch!r}."
            )
        return rows


def _nth(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How often each row came before in this batch."""
    order = np.argsort(rows, kind="stable")
    sorted_rows = rows[order]
    nth = np.empty(len(rows), np.int64)
    nth[order] = np.arange(len(rows)) - np.searchsorted(sorted_rows, sorted_rows)
    return nth


def _part(plan: MixingPlan, epoch: int, rank: int, ranks: int) -> list[npt.NDArray[np.int64]]:
    """The pool rows of each class that belong to one rank in this epoch."""
    rng = numpy_rng(plan.seed, "mixing ranks", epoch)
    shuffled = [rng.permutation(rows) for rows in plan.pools]
    return [np.sort(rows[rank::ranks]) if len(rows) >= ranks else rows for rows in shuffled]


def _plain(state: Any) -> Any:
    if isinstance(state, Mapping):
        return {name: _plain(value) for name, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state


def _most(share: Share) -> float:
    return share.most if isinstance(share, Schedule) else share
