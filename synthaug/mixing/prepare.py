"""What must hold before real and synthetic rows are mixed, and what a mix then needs, asked once for all adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthaug.data.classes import Classes, Label, names_of
from synthaug.data.guards import refuse_held_out
from synthaug.errors import InvalidRequest
from synthaug.mixing.options import MixOptions
from synthaug.mixing.plan import MixingPlan
from synthaug.mixing.probes import spread
from synthaug.mixing.schedule import Ratio, Schedule, Share, plain_ratio
from synthaug.mixing.supply import Supply
from synthaug.wording import did_you_mean, quoted

_READ_WHOLE = 20_000  # rows that are all compared with the held-out ones
_SPREAD = 512  # of more rows than that


@dataclass(frozen=True)
class RealRows:
    """The real rows that synthetic ones are to come among.

    Attributes:
        labels: ``(N,)`` the label of each, as its item has it.
        classes: what is known of their classes.
        name: what to call them in a message, e.g. ``"the loader's data set"``.
        fingerprints: gives the uint64 fingerprints of rows by their numbers.
        drawn: ``(n,)`` numbers of the rows that can be drawn at all.
    """

    labels: Sequence[Label]
    classes: Classes
    name: str
    fingerprints: Callable[[np.ndarray], np.ndarray]
    drawn: np.ndarray


@dataclass(frozen=True)
class Aligned:
    """Classes of real rows beside those of synthetic ones.

    Attributes:
        positions: ``(N,)`` int64 class of each real row by its position among the synthetic ones; classes that have no
            synthetic rows come behind these.
        names: the names of all of them.
        labels: the label of each as real items have it; None where that cannot be known.
    """

    positions: np.ndarray
    names: tuple[str, ...]
    labels: tuple[Label | None, ...]

    def shares(self, ratio: Ratio) -> Share | dict[int, Share]:
        """Shares by the numbers of classes, where they are given by name or by label.

        Raises:
            InvalidRequest: a class that is none.
        """
        if not isinstance(ratio, Mapping):
            return ratio
        shares: dict[int, Share] = {}
        for key, share in ratio.items():
            label = key.item() if isinstance(key, np.generic) else key
            # a whole float is the label of its int; a bool is not
            truth = isinstance(label, bool)
            known = [
                k for k, own in enumerate(self.labels) if own == label and isinstance(own, bool) == truth
            ]
            known = [k for k, name in enumerate(self.names) if name == label] or known
            if not known:
                raise InvalidRequest(f"ratio= names the class {key!r}.{did_you_mean(str(key), self.names)}")
            shares[known[0]] = share
        return shares


def align(labels: Sequence[Label], there: Classes, ours: Classes) -> Aligned:
    """Real labels, of the classes ``there``, beside the classes of synthetic rows.

    >>> found = align(["dog", "cow"], Classes.of_labels(["cow", "dog"]), Classes(("cat", "dog"), (0, 1)))
    >>> found.positions, found.names, found.labels
    (array([1, 2]), ('cat', 'dog', 'cow'), (None, 'dog', 'cow'))
    """
    names, found = list(ours), list[Label | None]([None] * len(ours))
    places: dict[tuple[type, Label], int] = {}
    for place, name, value in zip(ours.match(there), there.names, there.values, strict=True):
        if place is None:
            place = len(names)
            names.append(name)
            found.append(None)
        found[place], places[type(value), value] = value, place
    positions = np.array([places[type(label), label] for label in labels], np.int64)
    return Aligned(positions, tuple(names), tuple(found))


def classes_among(labels: Sequence[Label], dataset: Any = None, label: Any = None) -> Classes:
    """The classes of labels, by the names that a data set has for them where it has.

    Args:
        labels: all labels of the data set.
        dataset: keeps names, perhaps; see `names_of`.
        label: key of the label in its items.
    """
    names = names_of(dataset, label)
    kind = float if any(isinstance(own, float) for own in labels) else int
    if names is not None and all(type(own) is kind and 0 <= own < len(names) for own in labels):
        return Classes(tuple(names), tuple(map(kind, range(len(names)))))
    return Classes.of_labels(labels)


def prepare(real: RealRows, pool: np.ndarray, supply: Supply, ratio: Ratio, options: MixOptions) -> Prepared:
    """The plan of a mix, after everything that does not depend on the adapter has been checked.

    Args:
        real: the real rows.
        pool: ``(S,)`` int64 positions of the classes of the synthetic rows to choose from.
        supply: where they come from.
        ratio: the share.
        options: what is asked of the mix.

    Raises:
        InvalidRequest: a share outside [0, 1), or a class that there are no synthetic rows of.
        Leakage: real rows that were held out from the generator.
    """
    aligned = align(real.labels, real.classes, supply.classes)
    ratio = plain_ratio(ratio)
    shares = ratio.values() if isinstance(ratio, Mapping) else [ratio]
    if any(getattr(share, "most", share) for share in shares):
        _require_common(aligned, real, supply.classes)
    plan = MixingPlan(
        aligned.positions,
        pool,
        ratio=aligned.shares(ratio),
        mode=options.mode,
        seed=options.seed,
        classes=aligned.names,
        exact=options.exact,
    )
    if not plan.idle and len(supply.held_out):
        seen = real.drawn if len(real.drawn) <= _READ_WHOLE else spread(real.drawn, _SPREAD)
        refuse_held_out(real.fingerprints(seen), supply.held_out, real.name, lambda row: f"row {seen[row]}")
    return Prepared(plan, aligned)


def _require_common(aligned: Aligned, real: RealRows, ours: Classes) -> None:
    """Refuse real rows of which none has a class of the synthetic ones, naming both sides."""
    if not len(aligned.positions) or aligned.positions.min() < len(ours):
        return
    numbers = not real.classes.named and not any(isinstance(value, str) for value in real.classes.values)
    names = ", or set dataset.classes to the list of names that its labels stand for" if numbers else ""
    raise InvalidRequest(
        f"{real.name} and the synthetic rows have no class in common: {real.name} has {quoted(real.classes)}, and "
        f"there are synthetic rows of {quoted(ours)}. Give rows of these classes{names}."
    )


@dataclass(frozen=True)
class Prepared:
    """What a mix needs.

    Attributes:
        plan: which rows are synthetic.
        aligned: the classes of both sides.
    """

    plan: MixingPlan
    aligned: Aligned


def refuse_schedule(ratio: Ratio, why: str) -> None:
    """Refuse shares that change while training goes on.

    Raises:
        InvalidRequest: one does; ``why`` says what stands against it and what to do.
    """
    for share in ratio.values() if isinstance(ratio, Mapping) else [ratio]:
        if isinstance(share, Schedule) and share.start != share.end:
            raise InvalidRequest(
                f"a share that goes from {share.start:g} to {share.end:g} was asked for, but {why}"
            )
