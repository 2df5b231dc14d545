"""One paired test: the same training in every arm, compared seed by seed, and what may be concluded."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import numpy as np

from synthaug.data.guards import require_no_copies, require_unseen
from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidRequest, SpecMismatch
from synthaug.judging.arms import ARMS, Arm
from synthaug.judging.learners import Learner
from synthaug.judging.loaders import Ingredients
from synthaug.judging.plan import Metric, Plan
from synthaug.judging.predict import Train, takes_steps
from synthaug.judging.protocol import Protocol, is_unequal, require_seeds, require_share
from synthaug.judging.results import ArmResult, Comparison, Evaluation, Replicate, Setup
from synthaug.judging.runner import Outcome, Runner, Task, can_train
from synthaug.mixing.schedule import USUAL_SHARE, Ratio, Schedule
from synthaug.outputs import environment
from synthaug.seeding import derive
from synthaug.wording import quoted

LONGEST_PAID = 5.0
"""Times the usual steps, beyond which longer training gains nothing that would be worth the wait."""


@dataclass(frozen=True)
class Proposal:
    """What is put to the test.

    Attributes:
        replicates: training rows, each with samples of a generator trained on them. Classifier seed i is paired with
            number i, going round. They are what is compared: the scores of several seeds with one are averaged first.
            With a single one the seeds are compared, and the intervals leave out what other training rows or another
            generator of the same kind would have done.
        arms: what to compare, `ARMS` or `LADDER` or a choice of them. Left out are arms whose augmentation or judge is
            not given, arms for unequal classes where classes are equal, arms for the generator's time where it is not
            known, and arms with a loss or a length of their own where the training takes none.
        ratio: share of synthetic rows in the arms that have them, above 0 and below 1, or a schedule over steps.
        picked: the names of the arms without and with synthetic rows that answer the question, where something else
            than validation rows has picked them. An arm that takes labels from a judge is shown and never picked: what
            it gains may be the judge's doing, not the samples'.
        metric: what to compare; balanced accuracy where any set of rows has unequal classes, else accuracy, when None.
        plan: what cross-validation chose, where it did.
    """

    replicates: Sequence[Replicate]
    arms: Sequence[Arm] = ARMS
    ratio: Ratio = USUAL_SHARE
    picked: tuple[str, str] | None = None
    metric: Metric | None = None
    plan: Plan | None = None


def compare(
    proposal: Proposal, tests: Mapping[str, LabeledData], protocol: Protocol, runner: Runner, seed: int = 0
) -> Evaluation:
    """Every arm trained with every seed for the same number of steps, and the arms compared in pairs.

    Arms are picked on the validation rows and compared on the test rows.

    Args:
        proposal: what is put to the test.
        tests: rows to compare arms on, "test"; and rows to pick arms by, "validation", unless they were picked.
        protocol: seeds, steps and rows per batch.
        runner: trains them; one of its own for each proposal.
        seed: decides the classifier seeds.

    Raises:
        InvalidRequest: a number out of its range, an empty set of rows, or a class a pool lacks.
        SpecMismatch: sets of rows whose classes or forms differ.
        Leakage: rows in two of the sets, a generator that saw rows outside its ``train``, or samples that are
            copies of validation or test rows.
    """
    _require_testable(proposal, tests, protocol)
    start = time.perf_counter()
    used = _applicable(proposal, runner.train)
    timed = [arm for arm in used if arm.steps is not None]
    tasks = _tasks(timed, proposal, tests, protocol, seed)
    classes = tests["test"].classes.names
    results = _collected(timed, _run(tasks, runner), protocol, classes)
    paid = [_paid(arm, proposal, results, runner.jobs) for arm in used if arm.steps is None]
    tasks = _tasks(paid, proposal, tests, protocol, seed)
    results += _collected(paid, _run(tasks, runner), protocol, classes)
    return _concluded(proposal, used, results, tests, protocol, runner, seed, time.perf_counter() - start)


def _tasks(
    arms: Sequence[Arm],
    proposal: Proposal,
    tests: Mapping[str, LabeledData],
    protocol: Protocol,
    seed: int,
) -> list[Task]:
    """A training of every arm with every seed, seed by seed."""
    parts = [
        Ingredients.of(r.train, r.pool, r.encode, ratio=proposal.ratio, batch_size=protocol.batch_size)
        for r in proposal.replicates
    ]
    rows = {name: (data.read(), data.labels) for name, data in tests.items()}
    return [
        Task(
            f"final, {arm.name}, {steps_of(arm, protocol.classifier_steps)}, {own}",
            arm,
            own,
            replace(each, judge=replicate.judge if arm.judged else None),
            replicate.augmentations,
            rows,
            steps_of(arm, protocol.classifier_steps),
        )
        for own, each, replicate in zip(
            _seeds(seed, protocol), cycle(parts), cycle(proposal.replicates), strict=False
        )
        for arm in arms
    ]


def _run(tasks: Sequence[Task], runner: Runner) -> list[Outcome]:
    return runner.run({task.name: task for task in tasks}, list) if tasks else []


def steps_of(arm: Arm, steps: int) -> int:
    """Optimizer steps of an arm where others have so many."""
    assert arm.steps is not None, "the generator's time is turned into steps first"
    return max(1, round(arm.steps * steps))


def _seeds(seed: int, protocol: Protocol) -> tuple[int, ...]:
    return tuple(derive(seed, "evaluation", i) % 2**31 for i in range(protocol.seeds))  # NumPy takes 32 bits


def _paid(arm: Arm, proposal: Proposal, found: Sequence[ArmResult], jobs: int) -> Arm:
    """The arm with the steps that one generator's training would have paid for, in time that the user waits."""
    alike = [r for r in found if not r.synthetic and r.augmentation == arm.augmentation]
    each = np.median([s for r in alike or found for s in r.seconds]) / jobs
    due = 1 + float(np.mean([replicate.seconds for replicate in proposal.replicates]) / each)
    factor = min(due, LONGEST_PAID)
    less = "" if due == factor else f", where that time would pay for {due:.0f}"
    return replace(arm, steps=factor, about=f"{arm.about} {factor:.1f} times the steps{less}.")


def _collected(
    arms: Sequence[Arm], outcomes: Sequence[Outcome], protocol: Protocol, classes: Sequence[str]
) -> list[ArmResult]:
    """The result of every arm, of outcomes in the order of `_tasks`."""
    found = []
    for i, arm in enumerate(arms):
        own = outcomes[i :: len(arms)]
        found.append(
            ArmResult(
                name=arm.name,
                synthetic=arm.synthetic,
                about=arm.about,
                augmentation=arm.augmentation,
                steps=steps_of(arm, protocol.classifier_steps),
                validation=tuple(o.scores["validation"] for o in own if "validation" in o.scores),
                test=tuple(o.scores["test"] for o in own),
                seconds=tuple(o.seconds for o in own),
                mistaken=_mistaken(own, classes),
            )
        )
    return found


def _mistaken(outcomes: Sequence[Outcome], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    """How many test rows of a class were taken for which other one, over all trainings."""
    found: dict[str, dict[str, int]] = {}
    for outcome in outcomes:
        for label, predicted, n in outcome.mistakes["test"].tolist():
            taken = found.setdefault(classes[label], {})
            taken[classes[predicted]] = taken.get(classes[predicted], 0) + n
    return found


def _concluded(
    proposal: Proposal,
    used: Sequence[Arm],
    results: Sequence[ArmResult],
    tests: Mapping[str, LabeledData],
    protocol: Protocol,
    runner: Runner,
    seed: int,
    seconds: float,
) -> Evaluation:
    """What the results of all arms come to."""
    place = {arm.name: number for number, arm in enumerate(used)}
    results = sorted(results, key=lambda result: place[result.name])
    sets = [*(replicate.train for replicate in proposal.replicates), *tests.values()]
    usual: Metric = "balanced_accuracy" if any(map(is_unequal, sets)) else "accuracy"
    metric = proposal.metric or usual
    baseline, candidate = _picked(proposal, used, results, metric)
    first, n = proposal.replicates[0], len(proposal.replicates)
    return Evaluation(
        metric=metric,
        classes=first.train.classes.names,
        seeds=_seeds(seed, protocol),
        replicates=n,
        arms=tuple(results),
        baseline=baseline.name,
        candidate=candidate.name,
        comparisons=tuple(
            Comparison.of(arm, baseline, metric, n) for arm in results if arm.name != baseline.name
        ),
        rows={
            "training": first.train.counts,
            **{name: data.counts for name, data in tests.items()},
            "synthetic": first.pool.counts,
        },
        setup=Setup(
            data=first.train.origin,
            training="built-in classifier" if runner.train is None else _title(runner.train),
            steps=protocol.classifier_steps if takes_steps(runner.train) else 0,
            ratio=_most(proposal.ratio),
            batch_size=min(protocol.batch_size, len(first.train)),
            seed=seed,
            generators=n,
            today=protocol.today,
            arms_left_out=tuple(arm.name for arm in proposal.arms if arm not in used),
        ),
        generator=first.about,
        environment=environment() | {"processes": str(runner.jobs)},
        seconds=_seconds(proposal, seconds),
        plan=None if proposal.plan is None else replace(proposal.plan, generator=None),
    )


def _picked(
    proposal: Proposal, used: Sequence[Arm], results: Sequence[ArmResult], metric: Metric
) -> tuple[ArmResult, ArmResult]:
    """The arms without and with synthetic rows that answer the question; of equals the first, simplest one."""
    if proposal.picked is not None:
        baseline, candidate = (next(arm for arm in results if arm.name == name) for name in proposal.picked)
        return baseline, candidate
    shown_only = {arm.name for arm in used if arm.judged}

    def best(synthetic: bool) -> ArmResult:
        own = [arm for arm in results if arm.synthetic == synthetic and arm.name not in shown_only]
        return max(own, key=lambda arm: float(np.mean(arm.values(metric, "validation"))))

    return best(False), best(True)


def _seconds(proposal: Proposal, classifiers: float) -> dict[str, float]:
    spent = {} if proposal.plan is None else proposal.plan.seconds
    return {
        **{f"choice, {name}": value for name, value in spent.items()},
        "generators": sum(replicate.seconds for replicate in proposal.replicates),
        "classifiers": classifiers,
    }


def _require_testable(proposal: Proposal, tests: Mapping[str, LabeledData], protocol: Protocol) -> None:
    protocol.check()
    require_share(_most(proposal.ratio))
    if "validation" not in tests and proposal.picked is None:
        raise InvalidRequest("Validation rows are needed to pick arms by, or the names of those to compare.")
    require_alike(proposal.replicates, tests)
    require_seeds(protocol.seeds, len(proposal.replicates))
    for replicate in proposal.replicates:
        require_unseen(replicate.train, tests, replicate.trained_on, replicate.unlabelled)
        require_no_copies(replicate.pool.fingerprints(), tests)


def require_alike(replicates: Sequence[Replicate], others: Mapping[str, LabeledData]) -> None:
    """Refuse sets of rows whose classes or forms differ, and a pool that lacks a class of the real rows."""
    if not replicates:
        raise InvalidRequest("An evaluation needs training rows and a generator; it was given none.")
    first = replicates[0].train
    for name, data in [*(("training", replicate.train) for replicate in replicates), *others.items()]:
        if not len(data):
            raise InvalidRequest(f"evaluate needs {name} rows, but {data.origin} gave none.")
        if data.classes != first.classes:
            raise SpecMismatch(
                f"The {name} rows have the classes {quoted(data.classes)}; the training rows have "
                f"{quoted(first.classes)}. Open them as one data set and split it."
            )
        if why := first.form.why_not(data.form):
            raise SpecMismatch(f"The {name} rows do not have the form of the training rows: {why}.")
    for replicate in replicates:
        own, pool = replicate.train, replicate.pool
        if pool.classes.names != own.classes.names or own.form.why_not(pool.form):
            raise SpecMismatch(
                f"The samples are {pool.form} of the classes {quoted(pool.classes)}; the training rows are "
                f"{own.form} of the classes {quoted(own.classes)}. Use a generator trained on these rows."
            )
        missing = [name for name, n in own.counts.items() if n and not pool.counts[name]]
        if missing:
            raise InvalidRequest(
                f"The samples have no row of {quoted(missing)}, which the training rows have. Sample it too."
            )


def _applicable(proposal: Proposal, training: Train | None) -> list[Arm]:
    replicates = proposal.replicates
    given = Given(
        set.intersection(*({*r.augmentations} for r in replicates)),
        unequal=any(is_unequal(r.train) for r in replicates),
        timed=all(r.seconds > 0 for r in replicates),
        judge=all(r.judge is not None for r in replicates),
    )
    chosen = applicable(proposal.arms, given, training)
    if {arm.synthetic for arm in chosen if arm.steps is not None and not arm.judged} != {True, False}:
        raise InvalidRequest(
            f"Of the arms {quoted(arm.name for arm in proposal.arms)} there are left "
            f"{quoted(arm.name for arm in chosen)}; a comparison needs one with synthetic rows and one without."
        )
    return chosen


@dataclass(frozen=True)
class Given:
    """What there is for arms.

    Attributes:
        augmentations: their names.
        unequal: whether classes are unequally frequent.
        timed: whether it is known how long the generators took.
        judge: whether there is one.
    """

    augmentations: Set[str]
    unequal: bool
    timed: bool
    judge: bool


def applicable(arms: Sequence[Arm], given: Given, training: Train | None) -> list[Arm]:
    """Those of the arms that can be compared by what there is, with this training."""
    return [
        arm
        for arm in arms
        if (arm.augmentation is None or arm.augmentation in given.augmentations)
        and (given.unequal or not arm.unequal)
        and (given.timed or arm.steps is not None)
        and can_train(training, arm)
        and (given.judge or not arm.judged)
    ]


def _most(ratio: Ratio) -> float:
    if isinstance(ratio, Mapping):
        return max(map(_most, ratio.values()))
    return ratio.most if isinstance(ratio, Schedule) else ratio


def _title(function: Any) -> str:
    if isinstance(function, Learner):
        return function.title
    return str(getattr(function, "__qualname__", type(function).__name__))
