"""Which rows of a batch are synthetic: a plan over the indices [real | synthetic], in integers only.

Real rows have the indices 0 .. R-1, pool rows R .. R+S-1. The plan never sees an image, a tensor or a loader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from synthaug.errors import InvalidRequest
from synthaug.seeding import numpy_rng

Mode = Literal["replace", "append"]
"""Whether synthetic rows take the place of real ones or are added to them."""

# A ratio is a fraction of integers with at most this denominator: 0.29 of 100 rows is 29, and nothing drifts.
_FINEST = 10**9


class MixingPlan:
    """The mixed batches of an epoch, as a function of (seed, epoch, rank) and the order of the real batches.

    With ``ratio`` = synthetic / (real + synthetic), n real rows are due ``ratio * n`` synthetic ones in mode
    "replace" and ``ratio / (1 - ratio) * n`` in mode "append".

    - A batch gets the floor or the ceiling of its due, and any prefix of the batches is within 1 row of its
      due. Which of the two it gets is decided by what its classes lack: a fixed rounding would meet the same
      class again and again when batches are small and their order is regular.
    - A synthetic row has the class of a real row of the same batch. In "replace" it takes the place of one;
      in "append" it follows the real rows, which all stay.
    - The share is the same in every class: a batch's synthetic rows go to the classes furthest behind their
      due. In an epoch a class of K stays within ``2 + log2(K)`` rows of its due in the orders tested (random,
      sorted, cyclic; batches of 1 and up), and within 1.5 rows in shuffled batches of 32.
    - Within an epoch, use counts of the pool rows of one class differ by at most 1.

    Args:
        real: ``(R,)`` ints in [0, K): the class of each real row.
        pool: ``(S,)`` ints in [0, K): the class of each synthetic row.
        ratio: share of synthetic rows, in [0, 1).
        mode: "replace" or "append".
        seed: plans of different seeds are unrelated.
        classes: K names for messages; the numbers of the classes when None.

    Raises:
        InvalidRequest: a ratio outside [0, 1), an unknown mode, or a class among the real rows that the pool
            lacks (with ratio 0 it may).

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
        ratio: float,
        mode: Mode = "replace",
        seed: int = 0,
        classes: Sequence[str] | None = None,
    ) -> None:
        if mode not in get_args(Mode):
            raise InvalidRequest(f'mode {mode!r} was asked for; mixing knows "replace" and "append".')
        share = _fraction(ratio)
        self._rate = share if mode == "replace" else share / (1 - share)
        self._append = mode == "append"
        self._seed = seed
        self._real = np.asarray(real, dtype=np.int64)
        pool = np.asarray(pool, dtype=np.int64)
        self._n_classes = 1 + max(self._real.max(initial=-1), pool.max(initial=-1))
        self._pools = [len(self._real) + np.flatnonzero(pool == k) for k in range(self._n_classes)]
        missing = [k for k in np.unique(self._real).tolist() if not len(self._pools[k])]
        if share and missing:
            raise InvalidRequest(_missing(missing, classes, ratio))

    def batches(self, real: Iterable[Sequence[int]], *, epoch: int, rank: int = 0) -> Iterator[list[int]]:
        """The mixed batches, one for each batch of real rows, in their order and read one at a time.

        Args:
            real: batches of indices in [0, R), of any length, in the order of the plain loader.
            epoch: number of the epoch; two epochs differ in which rows are replaced and which are used.
            rank: number of the process where each has batches of its own.

        Yields:
            Indices in [0, R+S). Real rows keep their position in the batch.
        """
        rng = numpy_rng(self._seed, "mixing", epoch, rank)
        step, unit = self._rate.numerator, self._rate.denominator
        # What each class is owed and what all are, in units of 1/unit row. Classes start at random phases:
        # else a loader that does not shuffle would see the same rows replaced in every epoch.
        owed = rng.integers(0, unit, self._n_classes)
        owed_in_all = 0
        decks: list[list[int]] = [[] for _ in self._pools]

        for batch in real:
            rows = self._checked(batch)
            mixed: list[int] = rows.tolist()
            if step and mixed:
                labels = self._real[rows]
                owed += step * np.bincount(labels, minlength=self._n_classes)
                owed_in_all += step * len(rows)
                places, urgency = _most_urgent_first(labels, owed, unit, copies=-(-step // unit), rng=rng)

                quota, rest = divmod(step * len(rows), unit)
                left = owed_in_all - quota * unit
                # One more, where the prefix demands it, or allows it and the next class is owed a whole row.
                if rest and (left > unit or (left >= 0 and urgency[quota] >= unit)):
                    quota += 1

                chosen = labels[places[:quota]]
                owed -= unit * np.bincount(chosen, minlength=self._n_classes)
                owed_in_all -= unit * quota
                for place, k in zip(places[:quota].tolist(), chosen.tolist(), strict=True):
                    if not decks[k]:
                        decks[k] = rng.permutation(self._pools[k]).tolist()
                    if self._append:
                        mixed.append(decks[k].pop())
                    else:
                        mixed[place] = decks[k].pop()
            yield mixed

    def _checked(self, batch: Sequence[int]) -> npt.NDArray[np.int64]:
        rows = np.asarray(batch, dtype=np.int64)
        if rows.ndim != 1 or (len(rows) and not 0 <= rows.min() <= rows.max() < len(self._real)):
            raise InvalidRequest(
                f"A batch of real rows must be a list of row numbers from 0 to {len(self._real) - 1}; "
                f"the batch sampler gave {batch!r}."
            )
        return rows


def _most_urgent_first(
    labels: npt.NDArray[np.int64],
    owed: npt.NDArray[np.int64],
    unit: int,
    *,
    copies: int,
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Places in ``labels``, each ``copies`` times, in the order in which they are due, with their urgency.

    A class's first synthetic row is as urgent as what the class is owed, each further one a whole row less:
    a prefix of the result is the fairest way to spend so many rows. Which row of a class comes first, and
    which of two classes equally owed, is random.
    """
    places = rng.permutation(len(labels)).repeat(copies)
    places = places[np.argsort(labels[places], kind="stable")]
    of = labels[places]
    nth = np.arange(len(places)) - np.searchsorted(of, of)
    urgency = owed[of] - unit * nth
    order = np.lexsort((rng.random(len(places)), -urgency))
    return places[order], urgency[order]


def _fraction(ratio: float) -> Fraction:
    if not 0 <= ratio < 1:
        raise InvalidRequest(
            f"ratio {ratio} was asked for. It is synthetic / (real + synthetic), at least 0 and below 1: "
            "0.25 makes every fourth row synthetic."
        )
    return Fraction(ratio).limit_denominator(_FINEST)


def _missing(classes: list[int], names: Sequence[str] | None, ratio: float) -> str:
    shown = ", ".join(f'"{names[k]}"' if names else str(k) for k in classes[:10])
    more = f" and {len(classes) - 10} more" if len(classes) > 10 else ""
    return (
        f"ratio {ratio:g} was asked for in every class, but the samples hold no row of {shown}{more}. "
        "Sample at least one row of each class, or take the rows of these classes out of the data set."
    )
