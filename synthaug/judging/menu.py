"""What a choice tries: baselines, samples of families on top of the best one, and variants of the best of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from synthaug.families import find_family
from synthaug.judging.arms import Arm, longer, on_top
from synthaug.judging.protocol import JUDGED, ON_BOTH
from synthaug.judging.search import fewest_rungs, rungs_to_expect, trainings_to_expect
from synthaug.judging.trials import Option
from synthaug.mixing.schedule import USUAL_SHARE, Ratio, linear

OTHER_SHARES, SMALL_SHARES = (USUAL_SHARE, 0.5), (0.1,)
"""Shares that the best source is tried at beside its own, the latter only where everything is asked for. 0 is what
baselines have."""

FORETOLD = (f"warp{ON_BOTH}", JUDGED, "warp")
"""What gained most where it was measured (MNIST and Fashion-MNIST), the best first: the first of these that is on offer
is judged before anything has been chosen. Of others none is."""


@dataclass(frozen=True)
class Source:
    """A family under settings of sampling, which need no training of their own."""

    name: str
    family: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """The share that it is tried at first: of rows that are not made of the labelled ones more are worth having."""
        of_others = self.family == JUDGED or self.family.endswith(ON_BOTH)
        return max(OTHER_SHARES) if of_others else USUAL_SHARE


def sources_of(families: Sequence[str]) -> tuple[Source, ...]:
    """What these families say is worth a choice.

    Raises:
        InvalidRequest: there is no such family.
    """
    found = []
    for name in families:
        tried = find_family(name).tried or {name: {}}
        found += [Source(called, name, settings) for called, settings in tried.items()]
    return tuple(found)


def unlabelled_sources(families: Sequence[str]) -> tuple[Source, ...]:
    """Judged rows as they are, and families trained on both, at the first settings they try."""
    firsts = [sources_of([family])[0] for family in families]
    both = [
        Source(of.name.replace(of.family, f"{of.family}{ON_BOTH}", 1), of.family + ON_BOTH, of.settings)
        for of in firsts
    ]
    return Source(JUDGED, JUDGED), *both


@dataclass(frozen=True)
class Treatment:
    """What the name of an option stands for.

    Attributes:
        arm: how classifiers are trained.
        source: what makes the synthetic rows; None for a baseline.
        share: of synthetic rows in a batch.
        curated: whether judges have to let a sample pass.
        annealed: whether the share falls to 0 over the training.
        base: the baseline that it was put on top of.
    """

    arm: Arm
    source: Source | None = None
    share: float = 0.0
    curated: bool = False
    annealed: bool = False
    base: str = ""

    def ratio(self, steps: int) -> Ratio:
        """The share, fixed or falling over so many steps."""
        return linear(self.share, 0.0, steps=steps) if self.annealed else self.share

    def steps(self, steps: int) -> int:
        """Optimizer steps of its training, where others have so many."""
        return round((self.arm.steps or 1) * steps)


class Menu:
    """The options of a choice; `on_top`, `others` and `variants` are what a search asks for.

    Args:
        arms: what it begins with, the simplest first.
        sources: what is tried on top of the best of them.
        full: whether all variants of the best are to be tried: small shares, one that falls to 0, curated samples.
        longer: whether a baseline is to be trained longer as well.

    Attributes:
        baselines: the options that it begins with.
        treatments: what the name of each option stands for that was on offer so far.
    """

    def __init__(
        self, arms: Sequence[Arm], sources: Sequence[Source], *, full: bool = False, longer: bool = True
    ) -> None:
        self._sources, self._full, self._longer = sources, full, longer
        self._foretold = next((s for family in FORETOLD for s in sources if s.family == family), None)
        self.treatments = {arm.name: Treatment(arm) for arm in arms}
        self.baselines = [Option(arm.name) for arm in arms]

    def on_top(self, base: Option) -> list[Option]:
        """Longer training of a baseline, and on top of it the source that was foretold to be the best."""
        arm = self.treatments[base.name].arm
        more = [Treatment(longer(arm))] if self._longer else []
        first = [] if self._foretold is None else [_mixed(arm, self._foretold, self._foretold.share)]
        return [replace(option, foretold=option.synthetic) for option in self._offer([*more, *first])]

    def others(self, base: Option) -> list[Option]:
        """Every other source on top of a baseline."""
        arm = self.treatments[base.name].arm
        return self._offer([_mixed(arm, of, of.share) for of in self._sources if of is not self._foretold])

    def variants(self, best: Option) -> list[Option]:
        """The best option with other shares; where everything is asked for falling to 0 and curated as well."""
        of = self.treatments[best.name]
        assert of.source is not None, "a baseline has no variants"
        base = self.treatments[of.base].arm
        found = [_mixed(base, of.source, share) for share in OTHER_SHARES if share != of.share]
        if self._full:
            found += [_mixed(base, of.source, share) for share in SMALL_SHARES]
            found.append(_mixed(base, of.source, max(OTHER_SHARES), annealed=True))
            if of.source.family != JUDGED:  # judged rows have passed judges already
                found.append(_mixed(base, of.source, of.share, curated=True))
        return self._offer(found)

    @property
    def families(self) -> tuple[list[str], list[str]]:
        """What makes the synthetic rows: what is judged before anything was chosen, and all others."""
        first = [] if self._foretold is None else [self._foretold.family]
        every = dict.fromkeys(source.family for source in self._sources)
        return first, [family for family in every if family not in first]

    def expected(self, folds: int) -> int:
        """About how many trainings a search makes of it."""
        return trainings_to_expect(**self._numbers, variants=self._variants, folds=folds)

    def fewest(self, folds: int) -> list[int]:
        """About how many trainings a search makes of it rung by rung, where it ends early."""
        return fewest_rungs(**self._numbers, foretold=int(self._foretold is not None), folds=folds)

    def most(self, folds: int) -> list[int]:
        """The same where it goes all the way."""
        foretold = int(self._foretold is not None)
        return rungs_to_expect(**self._numbers, variants=self._variants, foretold=foretold, folds=folds)

    @property
    def _numbers(self) -> dict[str, int]:
        return {
            "baselines": len(self.baselines),
            "longer": int(self._longer),
            "options": len(self._sources),
        }

    @property
    def _variants(self) -> int:
        return len(OTHER_SHARES) - 1 + (len(SMALL_SHARES) + 2 if self._full else 0)

    def alike(self, of: Treatment) -> dict[str, float]:
        """The shares of all options that differ from this one in nothing else, by name."""
        return {
            each.arm.name: each.share
            for each in self.treatments.values()
            if each.source == of.source and each.base == of.base and not (each.curated or each.annealed)
        }

    def _offer(self, found: Sequence[Treatment]) -> list[Option]:
        self.treatments |= {each.arm.name: each for each in found}
        return [Option(each.arm.name, synthetic=each.source is not None) for each in found]


def _mixed(
    base: Arm, source: Source, share: float, *, curated: bool = False, annealed: bool = False
) -> Treatment:
    kind = f"{'curated ' if curated else ''}{source.name}"
    arm = on_top(base, share, kind, ", falling to 0" if annealed else "")
    return Treatment(arm, source, share, curated, annealed, base.name)
