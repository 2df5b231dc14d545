"""Which synthetic rows come to which real ones: by a share, or by the totals of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthaug.data.classes import Label
from synthaug.data.guards import refuse_held_out
from synthaug.errors import InvalidRequest
from synthaug.generators.samples import PROVENANCE_COLUMNS, Samples, real_provenance
from synthaug.mixing.options import MixOptions
from synthaug.mixing.plan import MixingPlan
from synthaug.mixing.prepare import Aligned, RealRows, align, prepare
from synthaug.mixing.schedule import Ratio
from synthaug.mixing.supply import Supply
from synthaug.seeding import numpy_rng
from synthaug.wording import quoted


@dataclass(frozen=True)
class Drawn:
    """Synthetic rows and where they come.

    Attributes:
        samples: the rows.
        labels: the label of each, as real rows have it.
        order: ``(m,)`` int64 of the result: numbers of real rows, and behind these those of the samples.
    """

    samples: Samples
    labels: list[Label]
    order: np.ndarray

    def provenance(self, real: int) -> dict[str, np.ndarray]:
        """The columns of provenance of the result, of so many real rows."""
        known = {**real_provenance(len(self.samples)), "synthetic": np.ones(len(self.samples), bool)}
        before, known = real_provenance(real), {**known, **self.samples.provenance}
        return {name: np.concatenate([before[name], known[name]])[self.order] for name in PROVENANCE_COLUMNS}


def pool_for(real: RealRows, supply: Supply, ratio: Ratio, options: MixOptions) -> Samples:
    """Rows enough for a share, so that of a generator none is used twice; or all rows that there are."""
    if supply.generator is None:
        return supply.pool(options)
    aligned, classes = align(real.labels, real.classes, supply.classes), supply.classes
    known = aligned.positions[aligned.positions < len(classes)]
    # As many as a plan can ask of a class in either mode.
    rates = MixingPlan(
        known, np.arange(len(classes)), ratio=aligned.shares(ratio), mode=options.mode, classes=aligned.names
    )
    due = np.bincount(known, minlength=len(classes)) * rates.rates(0, 0)[: len(classes)]
    counts = {classes[k]: int(-(-n // rates.unit)) for k, n in enumerate(due.tolist()) if n}
    return supply.generator.sample(counts or {classes[0]: 1}, seed=supply.row_seed(options))


def drawn_by_share(
    real: RealRows, samples: Samples, supply: Supply, ratio: Ratio, options: MixOptions
) -> Drawn:
    """The same share in every class, or one for each; raises as `prepare`."""
    found = prepare(real, samples.class_indices, supply, ratio, options)
    order = np.arange(len(real.labels)) if found.plan.idle else np.array(found.plan.once(), np.int64)
    return Drawn(samples, _labels(samples, found.aligned, supply), order)


def drawn_by_totals(real: RealRows, supply: Supply, added: Mapping[Label, int], options: MixOptions) -> Drawn:
    """So many rows of each class behind the real ones.

    Of fixed samples, each is used as often as any other of its class, or once more.

    Raises:
        InvalidRequest: a class that there are no synthetic rows of, or too few of a curated generator.
        Leakage: real rows that were held out from the generator.
    """
    aligned, classes = align(real.labels, real.classes, supply.classes), supply.classes
    places = dict(zip(real.labels, aligned.positions.tolist(), strict=True))
    due = {places[label]: n for label, n in added.items() if n}
    fixed = supply.pool(options) if supply.generator is None else None
    there = set(range(len(classes)) if fixed is None else fixed.class_indices.tolist())
    if lacks := [aligned.names[place] for place in due if place not in there]:
        raise InvalidRequest(
            f"rows were asked for of {quoted(lacks)}, of which there are no synthetic ones; there are some of "
            f"{quoted([classes[place] for place in sorted(there)])}"
        )
    if len(supply.held_out):
        refuse_held_out(real.fingerprints(real.drawn), supply.held_out, real.name, lambda row: f"row {row}")
    if fixed is None:
        assert supply.generator is not None
        wanted = {classes[place]: n for place, n in due.items()}
        samples = supply.generator.sample(wanted, seed=supply.row_seed(options))
        chosen = np.arange(len(samples))
    else:
        samples = fixed
        decks = [
            _deck(np.flatnonzero(samples.class_indices == k), n, options.seed, k) for k, n in due.items()
        ]
        chosen = np.concatenate(decks)
    n = len(real.labels)
    order = np.concatenate([np.arange(n), n + chosen])
    return Drawn(samples, _labels(samples, aligned, supply), order)


def _deck(rows: np.ndarray, n: int, seed: int, place: int) -> np.ndarray:
    rng = numpy_rng(seed, "totals", place)
    return np.concatenate([rng.permutation(rows) for _ in range(-(-n // len(rows)))])[:n]


def _labels(samples: Samples, aligned: Aligned, supply: Supply) -> list[Label]:
    own = zip(aligned.labels, supply.classes.values, strict=False)
    values = [value if label is None else label for label, value in own]
    return [values[k] for k in samples.class_indices.tolist()]
