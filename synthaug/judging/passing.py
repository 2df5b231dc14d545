"""The rows of a generator that judges let pass, by their numbers: as many as are asked for, or none at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidRequest
from synthaug.generators.generator import Generator, Selection
from synthaug.generators.samples import Samples
from synthaug.judging.curation import FILTERS, Measured, reasons
from synthaug.judging.pools import fit_judges, judged_blocks
from synthaug.judging.protocol import ATTEMPTS
from synthaug.progress import bar
from synthaug.training.threads import one_thread


def keep_passing(
    generator: Generator,
    train: LabeledData,
    counts: Mapping[str, int],
    called: Mapping[str, str],
    *,
    seed: int,
    attempts: int = ATTEMPTS,
    progress: bool = False,
) -> Generator:
    """The generator, which gives of each class only the first rows of its sequence that judges let pass.

    These are the same whatever else is asked for, and fewer are the first of more. Only their numbers are kept in
    memory.

    Args:
        generator: makes the rows; all of them so far.
        train: the rows that the judges are fitted to.
        counts: how many rows of each class of ``train`` have to pass.
        called: what the generator calls each of these classes.
        seed: of the sequences and of the judges.
        attempts: at most so many rows are looked at for each that is wanted.
        progress: show how many have passed.

    Raises:
        InvalidRequest: too few rows of some classes pass, naming each of these; or a class without training rows.
        InvalidData: no class has two different training rows, so that there are no judges.
    """
    wanted = {name: n for name, n in counts.items() if n}
    judges = fit_judges(train, generator.form.encode, seed)
    found = {}
    # On one thread, so that a call that was killed finds the same rows wherever it is made again.
    with one_thread(), bar(sum(wanted.values()), shown=progress, of="judging", unit=" rows") as shown:
        for name, n in wanted.items():
            blocks = judged_blocks(generator, judges, name, train.classes, seed=seed, called=called[name])
            found[name] = _first_passing(blocks, n, n * attempts, shown)
    if short := [f'"{name}": {of}' for name, of in found.items() if len(of.passed) < of.wanted]:
        raise InvalidRequest(
            f"Too few samples pass the judges: {'; '.join(short)}. None that they drop is taken instead. Ask for "
            f"fewer, train the generator longer, or let more than {attempts} be looked at for each that is wanted: "
            f"attempts={2 * attempts} (--attempts)."
        )
    return generator.keeping(Selection(seed, {called[name]: of.passed for name, of in found.items()}))


@dataclass(frozen=True)
class _Found:
    """The numbers of the first rows of a class that passed, and what became of the others that were looked at."""

    passed: np.ndarray
    wanted: int
    looked_at: int
    dropped: Mapping[str, int]

    def __str__(self) -> str:
        why = ", ".join(f"{filter} dropped {n}" for filter, n in self.dropped.items() if n)
        return f"{len(self.passed)} of {self.wanted} wanted passed among {self.looked_at} looked at ({why})"


def _first_passing(blocks: Iterable[tuple[Samples, Measured]], wanted: int, most: int, shown: Any) -> _Found:
    """The first rows that pass, so many, among at most so many that are looked at."""
    passed: list[np.ndarray] = []
    dropped = dict.fromkeys(FILTERS, 0)
    there = seen = 0
    for _, measured in blocks:
        reason = reasons(measured, FILTERS)[: most - seen]
        own = np.flatnonzero(reason == "")[: wanted - there]
        passed.append(seen + own)
        for filter in FILTERS:
            dropped[filter] += int((reason == filter).sum())
        there, seen = there + len(own), seen + len(reason)
        shown.update(len(own))
        if there == wanted or seen == most:
            break
    return _Found(np.concatenate(passed), wanted, seen, dropped)
