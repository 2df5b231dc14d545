"""The choice, by simulation: planted gains are found, nothing is not, and no fold both chooses and judges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from synthaug.errors import InvalidRequest
from synthaug.judging import (
    Choice,
    Gain,
    Option,
    Scored,
    Trial,
    fewest_rungs,
    follow,
    rungs_to_expect,
    search_options,
    trainings_to_expect,
)
from synthaug.metrics import Interval

Menu = Callable[[Option], Sequence[Option]]
Score = Callable[[Sequence[Trial]], Iterator[Scored]]

BASELINES = [Option("plain"), Option("classical"), Option("elastic")]


def recognised(rows: np.ndarray) -> Scored:
    """Where nothing else is known of a classifier."""
    return Scored(rows, rows)


def offering(menu: Menu, variants: Menu, others: Menu = lambda base: []) -> Any:
    """A menu whose parts are functions, and which begins with the three baselines."""
    return SimpleNamespace(baselines=BASELINES, on_top=menu, others=others, variants=variants)


def choose(
    menu: Menu,
    variants: Menu,
    score: Score,
    folds: Sequence[np.ndarray],
    weights: np.ndarray,
    **numbers: float,
) -> Choice:
    """The choice between the three baselines and what is tried on top of them."""
    return follow(search_options(offering(menu, variants), folds, weights, **numbers), score)


class World:
    """Rows of unequal difficulty, and classifiers that recognise each with a probability their option moves.

    Where there is luck, what an option brings differs from fold to fold, as generators that were trained apart do: with
    this standard deviation, in all trainings of the fold alike.
    """

    def __init__(
        self, gains: dict[str, float], n: int = 200, seed: int = 0, folds: int = 3, luck: float = 0.0
    ) -> None:
        rng = np.random.default_rng(seed)
        self.gains, self.seed, self.luck = gains, seed, luck
        self.ease = rng.beta(2, 0.7, n)
        self.folds = np.array_split(rng.permutation(n), folds)
        self.weights = np.full(n, 1 / n)
        self.made: list[Trial] = []

    def score(self, trials: Sequence[Trial]) -> Iterator[Scored]:
        for trial in trials:
            self.made.append(trial)
            rng = np.random.default_rng([self.seed, trial.fold, trial.seed, *trial.option.encode()])
            ease = self.ease[self.folds[trial.fold]]
            # A training has luck of its own, which moves all rows, the uncertain ones most.
            uncertain = ease * (1 - ease)
            moved = self.gains.get(trial.option, 0.0) + rng.normal(0, 0.01)
            chance = ease + (4 * moved + self._fold_luck(trial) / uncertain.mean()) * uncertain
            # how sure it is of a row differs by training, but less than whether the row is recognised
            sure = (chance + rng.normal(0, 0.15, len(ease))).clip(0, 1)
            yield Scored((rng.random(len(ease)) < chance).astype(float), sure)

    def _fold_luck(self, trial: Trial) -> float:
        if trial.option in [option.name for option in BASELINES]:
            return 0.0
        own = np.random.default_rng([1 + self.seed, trial.fold, *trial.option.encode()])
        return float(own.normal(0, self.luck))

    def choose(
        self, options: Sequence[str], foretold: str = "", score: Score | None = None, **numbers: float
    ) -> Choice:
        return choose(
            lambda base: [Option(name, synthetic=True, foretold=name == foretold) for name in options],
            lambda best: [],
            score or self.score,
            self.folds,
            self.weights,
            **numbers,
        )


NINE = [f"option {i}" for i in range(9)]


def test_options_that_change_nothing_are_accepted_no_more_often_than_stated() -> None:
    accepted = [World({}, seed=seed).choose(NINE).accepted for seed in range(300)]
    assert np.mean(accepted) <= 0.05


@pytest.mark.parametrize(
    ("luck", "n", "at_most"), [(0.011, 200, 0.06), (0.011, 500, 0.08), (0.023, 200, 0.15)]
)
def test_generators_that_are_good_in_one_fold_by_luck_do_not_make_a_gain(
    luck: float, n: int, at_most: float
) -> None:
    # Of 500 choices 18, 27 and 56 were accepted.
    accepted = [World({}, n=n, seed=seed, luck=luck).choose(NINE).accepted for seed in range(200)]
    assert np.mean(accepted) <= at_most


def test_what_was_fitted_for_a_fold_does_not_choose_what_the_fold_judges() -> None:
    # In one fold an option recognises every row, elsewhere as many as any: what that fold judges must not hear of it.
    world = World({}, n=300)

    def score(trials: Sequence[Trial]) -> Iterator[Scored]:
        for trial in trials:
            lucky = trial.option == "lucky" and trial.fold == 0
            yield recognised(np.ones(100) if lucky else np.arange(100) % 2.0)

    choice = choose(
        lambda base: [Option("lucky", synthetic=True)],
        lambda best: [],
        score,
        world.folds,
        world.weights,
    )
    assert choice.judged is not None
    assert choice.judged.without == (None, "lucky", "lucky")
    assert not choice.accepted


def test_folds_that_disagree_widen_the_interval() -> None:
    def gain(luck: float) -> Interval:
        world = World({"good": 0.3}, n=3000, seed=4, luck=luck)
        return next(of.gain for of in world.choose(["good"]).standings if of.name == "good")

    steady, shaky = gain(0.0), gain(0.1)
    assert shaky.high - shaky.low > 2 * (steady.high - steady.low)


def test_a_large_planted_gain_is_found_among_many_options() -> None:
    found = [World({"option 4": 0.25}, seed=seed).choose(NINE) for seed in range(60)]
    assert np.mean([choice.accepted for choice in found]) > 0.8
    assert np.mean([choice.candidate == "option 4" for choice in found]) > 0.9


def test_as_many_trainings_are_made_as_were_to_be_expected() -> None:
    """A gain that is taken costs what is foretold; where all is worse the choice ends earlier."""
    expected = trainings_to_expect(baselines=len(BASELINES), longer=1, options=4, variants=4, folds=3)
    made: dict[float, list[int]] = {}
    for gain in (-0.25, 0.25):
        for seed in range(30):
            world = World(
                {
                    f"option {i}{end}": gain if i == 1 else min(gain, 0.0)
                    for i in range(4)
                    for end in ("", " less", " more", " falling", " curated")
                },
                seed=seed,
            )
            choice = choose(
                lambda base: [Option("longer"), *(Option(f"option {i}", synthetic=True) for i in range(4))],
                lambda best: [
                    Option(f"{best.name} {end}", synthetic=True)
                    for end in ("less", "more", "falling", "curated")
                ],
                world.score,
                world.folds,
                world.weights,
            )
            assert choice.trainings == len(world.made)
            made.setdefault(gain, []).append(choice.trainings)
    assert 0.8 * expected < np.median(made[0.25]) < 1.2 * expected
    assert np.median(made[-0.25]) < 0.8 * expected


@pytest.mark.parametrize("foretold", ["option 0", ""])
@pytest.mark.parametrize("gain", [-0.25, 0.0, 0.05, 0.3])
def test_as_many_trainings_are_made_as_between_the_fewest_and_all(gain: float, foretold: str) -> None:
    """To which of them a choice is nearer depends on what it finds."""
    numbers = {"baselines": len(BASELINES), "longer": 0, "options": 4, "folds": 3}
    fewest = fewest_rungs(**numbers, foretold=bool(foretold))
    most = rungs_to_expect(**numbers, variants=0, foretold=bool(foretold))
    made = []
    for seed in range(30):
        world = World({f"option {i}": gain for i in range(4)}, seed=seed)
        made.append(world.choose([f"option {i}" for i in range(4)], foretold).trainings)
    assert 0.8 * sum(fewest) <= np.median(made) <= 1.3 * sum(most)
    if foretold and gain == 0.3:  # sure at once
        assert np.median(made) < 1.2 * sum(fewest)
    if gain == 0.0:
        assert np.median(made) > (sum(fewest) + sum(most)) / 2


def test_what_was_foretold_to_be_the_best_is_found_with_fewer_rows_and_trainings() -> None:
    def found(foretold: str) -> list[Choice]:
        gains = {"option 4": 0.06}
        return [World(gains, n=60, seed=seed).choose(NINE, foretold=foretold) for seed in range(80)]

    told, chosen = found("option 4"), found("")
    assert np.mean([of.accepted for of in told]) > np.mean([of.accepted for of in chosen]) + 0.05
    first = [of for of in told if of.judged is not None and of.judged.foretold]
    assert {of.candidate for of in first} == {"option 4"}
    at_once = [of.trainings for of in first if of.judged and of.judged.seeds == 2]
    assert at_once
    assert np.median(at_once) <= np.median([of.trainings for of in chosen]) / 2
    assert {of.judged.without for of in first if of.judged} == {("option 4",) * 3}


def test_others_are_asked_for_only_where_what_was_foretold_is_not_sure() -> None:
    asked: list[Option] = []

    def others(base: Option) -> list[Option]:
        asked.append(base)
        return [Option(name, synthetic=True) for name in NINE if name != "option 4"]

    def found(gains: dict[str, float]) -> Choice:
        asked.clear()
        world = World(gains)
        first = [Option("longer"), Option("option 4", synthetic=True, foretold=True)]
        menu = offering(lambda base: first, lambda best: [], others)
        search = search_options(menu, world.folds, world.weights)
        return follow(search, world.score)

    sure = found({"option 4": 0.2})
    assert sure.accepted
    assert not asked
    assert {of.name for of in sure.standings if of.synthetic} == {"option 4"}
    # a baseline that is best when trained longer is still what options are put on top of
    other = found({"option 7": 0.2, "longer": 0.05})
    assert other.candidate == "option 7"
    assert other.baseline == "longer"
    assert len(asked) == 1
    assert asked[0].name in {of.name for of in BASELINES}


@pytest.mark.parametrize(("luck", "n", "at_most"), [(0.0, 200, 0.03), (0.011, 200, 0.06), (0.011, 3000, 0.2)])
def test_a_wrong_foretelling_is_no_gain(luck: float, n: int, at_most: float) -> None:
    taken = [World({}, n=n, seed=seed, luck=luck).choose(NINE, foretold="option 4") for seed in range(150)]
    assert np.mean([of.accepted for of in taken]) <= at_most
    harm = dict.fromkeys(NINE, -0.1)
    assert not any(World(harm, seed=seed).choose(NINE, foretold="option 4").accepted for seed in range(60))


def test_harmful_options_are_never_taken() -> None:
    harm = dict.fromkeys(NINE, -0.1)
    assert not any(World(harm, seed=seed).choose(NINE).accepted for seed in range(60))


def test_the_interval_of_the_gain_covers_what_choosing_gains() -> None:
    # One option and one baseline that is surely best: what is gained is known, from many rows.
    gains = {"classical": 0.3, "good": 0.45}
    ease = World(gains, n=200_000, seed=9).ease
    chances = [np.clip(ease + gain * 4 * ease * (1 - ease), 0, 1).mean() for gain in (0.45, 0.3)]
    true = chances[0] - chances[1]
    found = [World(gains, n=300, seed=seed).choose(["good"]) for seed in range(150)]
    sure = [
        choice.judged.gain
        for choice in found
        if choice.baseline == "classical" and choice.judged and choice.judged.without == ("good",) * 3
    ]
    assert len(sure) > 60
    assert np.mean([of.low <= true <= of.high for of in sure]) >= 0.9


def test_no_gain_is_made_of_trainings_that_chose() -> None:
    # An option that recognises every row of two folds in every seed, and none of the third: what chose it must not be
    # believed, and what judges it is the fold that had no say.
    world = World({})

    def score(trials: Sequence[Trial]) -> Iterator[Scored]:
        for trial, honest in zip(trials, world.score(trials), strict=True):
            n = len(world.folds[trial.fold])
            yield honest if trial.option != "lucky" else recognised(np.full(n, float(trial.fold != 2)))

    choice = choose(
        lambda base: [Option("lucky", synthetic=True)],
        lambda best: [],
        score,
        world.folds,
        world.weights,
    )
    assert not choice.accepted


def test_what_is_only_surer_is_not_taken() -> None:
    # Surer of every row, with as many of them recognised: no gain in what is asked for.
    def score(trials: Sequence[Trial]) -> Iterator[Scored]:
        for trial in trials:
            right = np.arange(80) % 2.0
            yield Scored(right, (right + 1 + (trial.option == "new")) / 4)

    folds = np.split(np.arange(240), 3)
    choice = choose(
        lambda base: [Option("new", synthetic=True)], lambda best: [], score, folds, np.full(240, 1 / 240)
    )
    assert choice.candidate == "new"
    assert choice.judged is not None
    assert choice.judged.bound > 0
    assert not choice.accepted


@pytest.mark.parametrize(("gain", "at_most"), [(0.0, 0.45), (-0.02, 0.25)])
def test_a_training_that_is_surer_and_recognises_no_more_is_taken_by_chance_at_most(
    gain: float, at_most: float
) -> None:
    """It costs nothing then; where it recognises fewer, it is taken more rarely, and the more rows, the more so."""

    def score(world: World, trials: Sequence[Trial]) -> Iterator[Scored]:
        for trial, each in zip(trials, world.score(trials), strict=True):
            yield Scored(each.correct, (each.sure + 0.05 * (trial.option == "new")).clip(0, 1))

    worlds = [World({"new": gain}, n=1000, seed=seed) for seed in range(60)]
    taken = [world.choose(["new"], score=partial(score, world)).accepted for world in worlds]
    assert np.mean(taken) <= at_most


def test_a_baseline_that_ties_on_the_first_fold_goes_on() -> None:
    def score(trials: Sequence[Trial]) -> Iterator[Scored]:
        for trial in trials:
            better = trial.option == "elastic" and trial.fold > 0
            right = (np.arange(80) % 2 == 0) | (np.arange(80) < 60 * better)
            yield recognised(right * 1.0)

    folds = np.split(np.arange(240), 3)
    choice = choose(
        lambda base: [Option("new", synthetic=True)], lambda best: [], score, folds, np.full(240, 1 / 240)
    )
    assert choice.baseline == "elastic"


def test_a_baseline_that_is_clearly_behind_ends_on_the_first_fold_and_the_first_never_does() -> None:
    world = World({"elastic": 0.3}, n=3000)
    choice = world.choose(["new"])
    trainings = {of.name: of.trainings for of in choice.standings}
    assert trainings["classical"] == 1
    assert trainings["plain"] == 3
    close = World({"elastic": 0.02}, n=3000).choose(["new"])
    assert {of.name: of.trainings for of in close.standings}["classical"] >= 3


def test_how_sure_classifiers_are_finds_what_right_or_wrong_leaves_open() -> None:
    def taken(sure: bool) -> float:
        def score(world: World, trials: Sequence[Trial]) -> Iterator[Scored]:
            return (each if sure else recognised(each.correct) for each in world.score(trials))

        worlds = [World({"good": 0.12}, seed=seed) for seed in range(60)]
        found = [world.choose(["good"], score=partial(score, world)).accepted for world in worlds]
        return float(np.mean(found))

    assert taken(sure=True) > taken(sure=False) + 0.3


def test_where_the_first_baseline_recognises_every_row_nothing_else_is_tried() -> None:
    folds = [np.arange(10), np.arange(10, 20)]

    def score(trials: Sequence[Trial]) -> Iterator[Scored]:
        return (Scored(np.ones(10), np.full(10, 0.6)) for _ in trials)

    found = choose(lambda base: [Option("more", True)], lambda best: [], score, folds, np.full(20, 0.05))
    assert (found.option, found.trainings, found.easy) == ("plain", 2, True)
    assert found.judged is None

    def but_one(trials: Sequence[Trial]) -> Iterator[Scored]:
        return (recognised(np.arange(10) != 9 * (trial.option == "plain")) for trial in trials)

    assert choose(lambda base: [], lambda best: [], but_one, folds, np.full(20, 0.05)).trainings > 2


def test_no_synthetic_rows_win_ties() -> None:
    def score(trials: Sequence[Trial]) -> Iterator[Scored]:
        return (recognised(np.ones(len(world.folds[trial.fold]))) for trial in trials)

    world = World({})
    choice = choose(
        lambda base: [Option("same", synthetic=True)],
        lambda best: [],
        score,
        world.folds,
        world.weights,
    )
    assert (choice.candidate, choice.option, choice.accepted) == (None, "plain", False)
    assert choice.judged is None


def test_longer_training_of_the_best_baseline_is_a_baseline() -> None:
    choice = choose(
        lambda base: [Option(f"{base.name}, longer"), Option("new", synthetic=True)],
        lambda best: [],
        (world := World({"elastic": 0.3, "elastic, longer": 0.6, "new": 0.45}, n=2000)).score,
        world.folds,
        world.weights,
    )
    assert choice.baseline == "elastic, longer"
    assert not choice.accepted


def test_variants_of_the_best_option_are_tried_last() -> None:
    world = World({"new": 0.2, "new, filtered": 0.6}, n=1000)
    choice = choose(
        lambda base: [Option("new", synthetic=True), Option("other", synthetic=True)],
        lambda best: [Option(f"{best.name}, filtered", synthetic=True)],
        world.score,
        world.folds,
        world.weights,
    )
    assert choice.option == "new, filtered"


def test_a_candidate_that_is_hardly_better_than_the_baseline_is_refused_unjudged() -> None:
    # Of 240 rows the option recognises so many more than the baseline, in every seed.
    def gaining(more: int) -> Choice:
        def score(trials: Sequence[Trial]) -> Iterator[Scored]:
            for trial in trials:
                found = np.arange(80) < 40
                more_found = found | (np.arange(80) >= 80 - more // 3)
                yield recognised((more_found if trial.option == "new" else found).astype(float))

        return choose(
            lambda base: [Option("new", synthetic=True)],
            lambda best: [],
            score,
            np.split(np.arange(240), 3),
            np.full(240, 1 / 240),
        )

    none, many = gaining(0), gaining(9)
    assert (none.candidate, none.judged, none.accepted) == (None, None, False)
    assert (many.candidate, many.accepted) == ("new", True)
    assert many.judged is not None
    assert many.judged.gain.mean == pytest.approx(9 / 240)
    # What was chosen by judges as well.
    assert many.trainings == none.trainings


@pytest.mark.parametrize(("won", "lost", "judged"), [(9, 8, False), (4, 3, True)])
def test_hardly_better_is_within_half_a_standard_error(won: int, lost: int, judged: bool) -> None:
    """A row more of eighty is .4 errors where seventeen differ, and .65 where seven do."""
    plain = np.arange(80) < 40
    other = plain.copy()
    other[:lost], other[-won:] = False, True

    def score(trials: Sequence[Trial]) -> Iterator[Scored]:
        return (recognised((other if trial.option == "new" else plain) * 1.0) for trial in trials)

    choice = choose(
        lambda base: [Option("new", synthetic=True)],
        lambda best: [],
        score,
        np.split(np.arange(240), 3),
        np.full(240, 1 / 240),
    )
    assert choice.candidate == "new"
    assert (choice.judged is not None) is judged


def test_more_seeds_judge_only_where_the_first_leave_it_open() -> None:
    found = [World({"good": gain}, seed=seed).choose(["good"]) for gain in (0.03, 0.3) for seed in range(40)]
    judged = [choice.judged for choice in found if choice.judged is not None]
    assert {of.seeds for of in judged} == {2, 4}
    assert all(of.sure.mean <= 0 or of.convincing for of in judged if of.seeds == 2)


def test_what_is_saved_costs_few_of_the_gains() -> None:
    def kept(**numbers: float) -> float:
        found = [World({"option 4": 0.1}, n=300, seed=seed).choose(NINE, **numbers) for seed in range(60)]
        return float(np.mean([of.accepted for of in found]))

    accepted, without_saving = kept(), kept(worth_judging=0.0)
    assert without_saving - 0.1 <= accepted <= without_saving


def test_no_training_is_made_twice_and_few_options_get_more_than_one_seed() -> None:
    world = World({}, n=90)
    choice = world.choose(NINE, trials=2, seeds=2)
    assert len(world.made) == len(set(world.made)) == choice.trainings
    assert sum(trial.option in NINE and trial.seed == 0 for trial in world.made) == 27
    # A third of the nine for each of three views of the rows.
    assert len({trial.option for trial in world.made if trial.option in NINE and trial.seed == 1}) <= 9
    assert [of.trainings for of in choice.standings] == sorted(
        (of.trainings for of in choice.standings), reverse=True
    )


def test_standings_tell_what_each_option_gains_with_the_seeds_it_was_given() -> None:
    choice = World({"good": 0.4}, n=600).choose(["good", "same"])
    found = {of.name: of for of in choice.standings}
    base, good, same = found[choice.baseline], found["good"], found["same"]
    assert base.gain is None
    assert good.gain.mean == pytest.approx(good.score - base.score)
    assert 0 < good.gain.low < good.gain.mean
    assert same.gain.low < 0.05 < good.gain.mean


def test_rows_that_are_never_held_out_do_not_count() -> None:
    world = World({"good": 0.3}, n=120)
    world.folds = [fold[: len(fold) // 2] for fold in world.folds]
    choice = world.choose(["good"])
    assert choice.judged is not None
    assert choice.judged.gain.n == sum(map(len, world.folds))


@pytest.mark.parametrize("numbers", [{"trials": 0}, {"seeds": 1}, {"trials": 3, "seeds": 2}])
def test_too_few_seeds_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(InvalidRequest, match="at least"):
        World({}).choose(["any"], **numbers)


def test_one_fold_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="2 folds"):
        World({}, folds=1).choose(["any"])


def test_a_gain_on_few_rows_of_a_rare_class_is_less_sure_than_by_as_many_rows_in_all() -> None:
    folds = np.array_split(np.arange(60), 3)
    rare = np.array([0, 1, 20, 21, 40, 41])

    def interval(weights: np.ndarray) -> Interval:
        def score(trials: Sequence[Trial]) -> Iterator[Scored]:
            for trial in trials:
                won = (folds[trial.fold] % 20 < 2) & (folds[trial.fold] % 4 != 1)
                yield recognised(0.25 + 0.5 * (won & (trial.option == "good")))

        def menu(base: Option) -> Sequence[Option]:
            return [Option("good", synthetic=True)]

        found = choose(menu, lambda best: [], score, folds, weights)
        return next(of.gain for of in found.standings if of.name == "good")

    even, unequal = np.full(60, 1 / 60), np.full(60, 0.5 / 54)
    unequal[rare] = 0.5 / 6
    for weights, reaches in (
        (even, (1.9, 2.1)),
        (unequal, (2.4, 2.7)),
    ):  # of Student's t with 59 and about 5.5
        found = interval(weights)
        won = np.isin(np.arange(60), rare) & (np.arange(60) % 4 != 1)
        gain = 0.5 * won - found.mean
        error = np.sqrt(np.sum((weights * gain) ** 2) * 60 / 59)
        assert reaches[0] < (found.high - found.mean) / error < reaches[1]


def test_few_folds_that_differ_by_chance_do_not_hide_what_their_rows_show() -> None:
    def gain(within: float, between: float, folds: int = 3) -> Gain:
        return Gain(0.1, within, between, 50, folds, 49.0)

    # as far apart as three folds of 17 rows come to be one time in seven
    assert gain(0.05, 0.07).bound < 0 < gain(0.05, 0.07).moderated
    # rows and trainings alone are asked for in any case
    assert gain(0.05, 0.0).moderated == pytest.approx(gain(0.05, 0.0).bound)
    # generators that differ much more than expected are no chance
    assert gain(0.002, 0.12).moderated < 0
    # more folds know better than what was expected
    assert gain(0.05, 0.07, 20).moderated == pytest.approx(gain(0.05, 0.07, 20).bound, abs=0.005)
