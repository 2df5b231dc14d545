"""The choice among options by cross-validation, in which no fold judges what it has chosen.

Nothing here knows what an option is or how it is trained: options have names, and whoever drives the search scores
held-out rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Protocol, TypeAlias, TypeVar

import numpy as np

from synthaug.errors import InvalidRequest
from synthaug.judging.ledger import BEHIND, Ledger, View, gain_of
from synthaug.judging.trials import Choice, JudgedGain, Option, Scored, Scores, Trial

T = TypeVar("T")

_TRIALS, _SEEDS = 2, 4
# How many go on from the first seed to the others, the best one among them.
_KEPT = 2

# How far behind one has to be to end on one fold alone, where nothing tells how much of that is luck of one training.
_FAR_BEHIND = 0.03

# Standard errors that a candidate is better by on the rows that chose it, or it is refused without being judged: choice
# was kind to it, judges would not be.
_WORTH_JUDGING = 0.5

Score: TypeAlias = Callable[[Sequence[Trial]], Iterable[Scored]]
"""What gives the scores of some trials."""


class Offers(Protocol):
    """What can be tried."""

    @property
    def baselines(self) -> Sequence[Option]:
        """Options without synthetic rows, the simplest first: the first of equals is taken.

        The very first is trained on every fold whatever it does: what is gained over it will be asked.
        """

    def on_top(self, base: Option) -> Sequence[Option]:
        """What to try on top of the best baseline: longer training of it, and what was foretold to be the best.

        Those that are not synthetic are baselines as well.
        """

    def others(self, base: Option) -> Sequence[Option]:
        """More options with synthetic rows, to try where nothing that was foretold is sure."""

    def variants(self, best: Option) -> Sequence[Option]:
        """Variations of the best option with synthetic rows; none for no further rung."""


Search: TypeAlias = "Generator[list[Trial], Scores, Choice]"
"""A search under way: it asks for trials, is sent their `Scores`, and comes to a `Choice`."""


def follow(search: Search, score: Score) -> Choice:
    """What a search comes to, with a function that scores the trials it asks for."""
    due = next(search)
    while True:
        try:
            due = search.send(list(score(due)))
        except StopIteration as end:
            choice: Choice = end.value
            return choice


def search_options(
    menu: Offers,
    folds: Sequence[np.ndarray],
    weights: np.ndarray,
    *,
    trials: int = _TRIALS,
    seeds: int = _SEEDS,
    worth_judging: float = _WORTH_JUDGING,
) -> Search:
    """The best option, and whether its gain over the best baseline is more than chance.

    Baselines are trained with one seed, on the first fold and, but for those that are clearly behind there, on the
    others; the best, and who is not clearly behind it, with all seeds. The best is trained longer: the better of
    these is the baseline. One with synthetic rows that was foretold to be the best needs no choice: its gain over
    the baseline is judged by all rows, and where it is sure that is all. Then come all options with synthetic rows
    and the variants of the best of them, with one seed, and the best of all with the others; where this is the one
    that was foretold, it was judged. Else the best by all held-out rows is the candidate, which is refused here
    where it is hardly better than the baseline. Else the same search is made, with one seed, once for each fold by
    the rows of the others, and what they choose is judged by the fold that was left out: neither its rows nor what
    was fitted for it, such as a generator, has chosen. The mean over all rows is the gain of choosing in this way,
    where a fold whose others choose no synthetic rows counts as 0. The candidate is accepted if that gain is above
    0 by more than its standard error times the one-sided quantile of Student's t, and more rows are recognised.
    More seeds judge only where the first leave it open. Where the first baseline recognises every row with one seed,
    nothing can do better, and it ends there.

    Args:
        menu: what can be tried.
        folds: row numbers held out in each fold, at least two folds; every row in at most one, rows that belong
            together in one.
        weights: ``(N,)`` how much each row counts: equal for accuracy, one over its class's rows for balanced
            accuracy. Rows held out in no fold are ignored.
        trials: seeds that options are chosen by, and judged by at first.
        seeds: that a choice is judged by at most.
        worth_judging: standard errors that a candidate is better by on the rows that chose it, or it is refused.

    Raises:
        InvalidRequest: too few folds or seeds, or a fold without rows.
    """
    if len(folds) < 2 or trials < 1 or seeds < max(2, trials) or not menu.baselines:
        raise InvalidRequest(
            f"A choice takes at least 2 folds, 1 trial, 2 seeds and 1 baseline, and no more trials than seeds; it was "
            f"given {len(folds)}, {trials}, {seeds} and {len(menu.baselines)}."
        )
    ledger = Ledger(folds, weights)
    whole, plainest = ledger.view(None), menu.baselines[0]
    yield from ledger.train(ledger.runs([plainest], range(1)))
    if whole.recognised(plainest, range(1)) > 1 - 1e-9:
        return ledger.choice(plainest, None, None, 1)
    (first,) = yield from _in_step([_start(ledger, menu.baselines, trials)], ledger)
    offered = menu.on_top(first)
    longer = [option for option in offered if not option.synthetic]
    (base,) = yield from _in_step([_race(whole, [first, *longer], trials)], ledger)

    options = [o for o in offered if o.synthetic]
    foretold = yield from _foretold(options, base, ledger, trials, seeds)
    named = None if foretold is None else foretold.without[0]
    if foretold is not None and foretold.convincing:
        return ledger.choice(base, named, foretold, trials)
    options += menu.others(first)
    (best,) = yield from _in_step([_search(whole, base, options, menu, trials)], ledger)
    if foretold is not None and best is not None and best.name == named:
        return ledger.choice(base, named, foretold, trials)
    judged = None
    if best is not None and whole.lead(best, base, range(trials)) > worth_judging:
        views = [ledger.view(number) for number in range(len(folds))]
        without = yield from _in_step([_search(view, base, options, menu, 1) for view in views], ledger)
        if any(without):
            judged = yield from _judged_until_clear(without, base, ledger, trials, seeds)
    return ledger.choice(base, None if best is None else best.name, judged, trials)


def trainings_to_expect(*, baselines: int, longer: int, options: int, variants: int, folds: int) -> int:
    """About how many trainings `search_options` makes with its defaults.

    Args:
        baselines: what it starts from.
        longer: options of the menu without synthetic rows.
        options: options of the menu with synthetic rows.
        variants: of the best one.
        folds: parts that are held out in turn.
    """
    return sum(
        rungs_to_expect(
            baselines=baselines, longer=longer, options=options, variants=variants, foretold=0, folds=folds
        )
    )


def rungs_to_expect(
    *, baselines: int, longer: int, options: int, variants: int, foretold: int, folds: int
) -> list[int]:
    """About how many trainings are made side by side, rung by rung, where a search goes all the way.

    Args:
        baselines, longer, options, variants, folds: as in `trainings_to_expect`.
        foretold: 1 where one of the options is judged before anything was chosen, and that leaves it open.
    """

    def race(n: int) -> list[int]:
        return [n, min(n, _KEPT) * (_TRIALS - 1)]

    # Searches that leave a fold out go ways of their own now and then.
    found = [
        *race(baselines),
        longer,
        foretold * 2 * (_SEEDS - _TRIALS),
        *race(options),
        variants,
        options > 0,
    ]
    return [folds * n for n in found if n]


def fewest_rungs(*, baselines: int, longer: int, options: int, foretold: int, folds: int) -> list[int]:
    """The same where it ends early: what was foretold is sure at once, or every option is clearly behind.

    Args:
        baselines, longer, options, folds: as in `trainings_to_expect`.
        foretold: 1 where one of the options is judged before anything was chosen.
    """
    kept = min(baselines, _KEPT)
    others = [folds, folds * (_TRIALS - 1)] if foretold else [folds * options]
    found = [baselines, (folds - 1) * kept, folds * kept * (_TRIALS - 1), folds * longer, *others]
    return [n for n in found if n]


def _foretold(
    options: Sequence[Option], base: Option, ledger: Ledger, trials: int, seeds: int
) -> Generator[list[Trial], Scores, JudgedGain | None]:
    """What all folds say of the option that was foretold to be the best; None where none was, or it is clearly not."""
    for option in options:
        if not option.foretold:
            continue
        yield from ledger.train(ledger.runs([option], range(1)))
        if ledger.view(None).lead(option, base, range(1)) > -BEHIND:
            yield from ledger.train(ledger.runs([option], range(trials)))
            everywhere = [option] * len(ledger.folds)
            return (yield from _judged_until_clear(everywhere, base, ledger, trials, seeds, foretold=True))
    return None


def _judged_until_clear(
    without: Sequence[Option | None],
    base: Option,
    ledger: Ledger,
    trials: int,
    seeds: int,
    *,
    foretold: bool = False,
) -> Generator[list[Trial], Scores, JudgedGain]:
    """What the folds say with the first seeds, and where that leaves it open with all."""
    found = yield from _judged(without, base, ledger, range(trials), foretold)
    if found.sure.mean > 0 and not found.convincing:
        found = yield from _judged(without, base, ledger, range(seeds), foretold)
    return found


def _judged(
    without: Sequence[Option | None], base: Option, ledger: Ledger, seeds: Sequence[int], foretold: bool
) -> Generator[list[Trial], Scores, JudgedGain]:
    """What the folds say, each of what the others chose, or all of what was foretold."""
    due = [(number, option) for number, option in enumerate(without) if option is not None]
    yield from ledger.train(
        [Trial(o.name, number, seed) for number, of in due for o in (base, of) for seed in seeds]
    )
    gains = {}
    for of in ("correct", "sure"):
        differences = np.zeros((len(seeds), len(ledger.weights)))
        for number, option in due:
            ours, theirs = (ledger.fold(o, number, seeds, of) for o in (option, base))
            differences[:, ledger.folds[number]] = ours - theirs
        gains[of] = gain_of(differences, ledger.folds, ledger.weights)
    return JudgedGain(
        gain=gains["correct"].interval,
        sure=gains["sure"].interval,
        error=gains["correct"].error,
        bound=gains["sure"].moderated if foretold else gains["sure"].bound,
        without=tuple(None if option is None else option.name for option in without),
        seeds=len(seeds),
        foretold=foretold,
    )


_Search: TypeAlias = Generator[list[Trial], None, Option | None]


def _start(ledger: Ledger, baselines: Sequence[Option], trials: int) -> Generator[list[Trial], None, Option]:
    """The best of the baselines; those that are clearly behind on the first fold end there, but for the very first."""
    one, first = View(ledger, [0]), range(1)
    yield [trial for trial in ledger.runs(baselines, first) if trial.fold == 0]
    kept = one.kept(baselines, first, _FAR_BEHIND)
    yield ledger.runs([option for option in baselines if option in kept or option == baselines[0]], first)
    return (yield from _race(ledger.view(None), [o for o in baselines if o in kept], trials))


def _race(view: View, options: Sequence[Option], trials: int) -> Generator[list[Trial], None, Option]:
    """The best of the options: all with one seed, then those that are not clearly behind with the other seeds."""
    every, first = range(trials), range(1)
    yield view.ledger.runs(options, first)
    kept = view.kept(options, first)[:_KEPT]
    yield view.ledger.runs(kept, every)
    return view.ranked(kept, every)[0]


def _search(view: View, base: Option, options: Sequence[Option], menu: Offers, trials: int) -> _Search:
    """The best option with synthetic rows by the rows of a view, or None where it is not better than the baseline.

    Where all are clearly behind the baseline with one seed, it ends there.
    """
    if not options:
        return None
    first = range(1)
    yield view.ledger.runs(options, first)
    best = view.ranked(options, first)[0]
    if view.lead(best, base, first) < -BEHIND:
        return None
    best = yield from _race(view, [*options, *menu.variants(best)], trials)
    every = range(trials)
    return best if view.mean(best, every) > view.mean(base, every) + 1e-9 else None


def _in_step(
    searches: Sequence[Generator[list[Trial], None, T]], ledger: Ledger
) -> Generator[list[Trial], Scores, list[T]]:
    """The results of searches that advance rung by rung together, so that trainings of a rung run side by side."""
    found: dict[int, T] = {}
    while len(found) < len(searches):
        due: list[Trial] = []
        for i, search in enumerate(searches):
            if i not in found:
                try:
                    due += next(search)
                except StopIteration as end:
                    found[i] = end.value
        yield from ledger.train(due)
    return [found[i] for i in range(len(searches))]
