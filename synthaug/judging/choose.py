"""How much of which synthetic rows to train with, by cross-validation inside the training rows; 0 is a candidate."""

from __future__ import annotations

import math
import shutil
import time
import warnings
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.errors import SynthaugWarning
from synthaug.generators.generator import Generator, Selection
from synthaug.judging.arms import (
    LONGER,
    Arm,
    arms_for,
    find_arm,
    longer,
    starting_arms,
)
from synthaug.judging.folds import Fit, Folds, Unlabelled
from synthaug.judging.learners import Learner
from synthaug.judging.menu import Menu, Treatment, sources_of, unlabelled_sources
from synthaug.judging.plan import Plan
from synthaug.judging.pools import draw_pool, fit_judges, pool_size
from synthaug.judging.predict import takes_steps
from synthaug.judging.preparation import Preparation
from synthaug.judging.protocol import (
    JUDGED,
    ON_BOTH,
    Protocol,
    is_unequal,
    weights_of,
)
from synthaug.judging.question import Question, training_of
from synthaug.judging.runner import CLASSIFIERS, OUTCOMES, Runner, Task, Work, can_train
from synthaug.judging.search import search_options
from synthaug.judging.trials import Choice, Option, Scored, Trial
from synthaug.judging.unlabelled import judge_unlabelled, with_judged
from synthaug.mixing.schedule import Ratio
from synthaug.seeding import derive
from synthaug.training.loop import forget
from synthaug.training.train import train


@dataclass(frozen=True)
class Chosen:
    """A choice that was made, with what the final test needs of it."""

    question: Question
    work: Work
    plan: Plan
    candidate: Treatment
    baseline: Treatment
    base: Arm

    @property
    def ratio(self) -> Ratio:
        """The candidate's share, as arms take it."""
        return self.candidate.ratio(self.question.protocol.classifier_steps)

    @property
    def pool_size(self) -> int:
        """Rows of each class for the final test."""
        protocol = self.question.protocol
        n_classes = len(self.question.rows.classes)
        return pool_size(self.candidate.share, protocol.classifier_steps, n_classes, protocol.batch_size)

    def generator(self, number: int) -> Generator:
        """The candidate's generator, trained on all rows; another number is another one like it."""
        question, source, rows = self.question, self.candidate.source, self.question.rows
        assert source is not None, "a candidate has synthetic rows"
        maker = self._fitted(source.family, generator_name(number)).adjusted(source.settings)
        if not self.candidate.curated:
            return maker
        due = self.candidate.share / (1 - self.candidate.share)
        per_class = max(self.pool_size, math.ceil(max(rows.counts.values()) * due))
        own = pool_seed(question.seed, number)
        steps = question.protocol.judge_steps
        judges = fit_judges(rows, maker.form.encode, question.seed, steps, self.work.kept("rows"))
        pool = draw_pool(maker, judges, per_class, seed=own)
        names, numbers = pool.provenance["class"], pool.provenance["index"]
        kept = {name: np.sort(numbers[names == name]) for name in rows.classes}
        return maker.keeping(Selection(own, kept))

    def _fitted(self, family: str, name: str) -> Generator:
        """What a source stands for, fitted to all rows."""
        question, fit = self.question, _fitting(self.question, self.work)
        if family != JUDGED and not family.endswith(ON_BOTH):
            return fit(question.rows, family, name)
        unlabelled = _unlabelled(question, self.work)
        assert unlabelled is not None, "a source of judged rows is offered where there are some"
        judged = unlabelled.judge(question.rows, name)
        if family == JUDGED:
            return judged
        larger = with_judged(question.rows, unlabelled.rows, judged)
        return fit(larger, family.removesuffix(ON_BOTH), name)

    def with_generator(self) -> Plan:
        """The plan with its generator, where it is to use one."""
        if not self.plan.accepted:
            return self.plan
        maker = self.generator(0)
        kept = None
        if maker.kept is not None:
            kept = {name: tuple(numbers.tolist()) for name, numbers in maker.kept.rows.items()}
        return replace(self.plan, generator=maker, kept=kept)

    def final_arms(self, usual: Sequence[Arm]) -> list[Arm]:
        """The usual arms without synthetic rows, what the candidate is put on top of for longer, and the candidate."""
        more = [longer(self.base)] if takes_steps(self.question.train) else []
        return [*plain_arms(self.question, usual), *more, self.candidate.arm]


def choose(question: Question, work: Work, runner: Runner) -> Chosen:
    """The plan for some rows.

    In each fold generators are fitted to the rows that are not held out, once the search asks for their samples, and
    classifiers are trained without and with them for equally many steps. No synthetic rows win ties, and are kept
    unless the gain, on folds that did not choose, is more than its error (`search_options`).

    Args:
        question: what is asked; it has been checked.
        work: where and how; generators of the folds and scores of classifiers are kept in its folder, so that a choice
            that was killed does not train them again.
        runner: trains the classifiers.
    """
    started = time.perf_counter()
    rows, protocol = question.rows, question.protocol
    parts = question.folds()
    folds = Folds(
        rows,
        parts,
        _fitting(question, replace(work, progress=work.progress and work.jobs == 1)),
        question.augment,
        replace(work, jobs=work.fitting_jobs),
        batch_size=protocol.batch_size,
        judge_steps=protocol.judge_steps,
        unlabelled=_unlabelled(question, work),
    )
    menu = menu_of(question, set.intersection(*({*fold.augmentations} for fold in folds.folds)))
    search = search_options(_Counter(menu, folds), parts, weights_of(rows, parts))
    spent: list[float] = []
    trainings = 0.0
    with runner.showing("choice", menu.expected(len(parts))):
        due = next(search)
        while True:
            wanted = {_name(trial): trial for trial in due}
            outcomes = runner.run(wanted, partial(_tasks, menu=menu, folds=folds, question=question))
            spent += [outcome.seconds for outcome in outcomes]
            trainings += sum(menu.treatments[trial.option].arm.steps or 1 for trial in due)
            try:
                due = search.send([Scored(o.correct["held-out"], o.sure["held-out"]) for o in outcomes])
            except StopIteration as end:
                choice: Choice = end.value
                break
    seconds = {"generators": folds.seconds, "classifiers": time.perf_counter() - started - folds.seconds}
    cost = trainings + folds.spent / float(np.median(spent))
    return _chosen(question, work, menu, choice, seconds, cost)


class _Counter:
    """Hands out what a menu has, once its generators were fitted; not what classifiers do not recognise."""

    def __init__(self, menu: Menu, folds: Folds) -> None:
        self._menu, self._folds = menu, folds
        self.baselines = menu.baselines
        self._refused: list[Option] = []
        self._offered = False

    def on_top(self, base: Option) -> list[Option]:
        """What a search asks for first."""
        return self._recognised(self._menu.on_top(base))

    def others(self, base: Option) -> list[Option]:
        """What it asks for later; of options of which none is recognised, all."""
        found = self._recognised(self._menu.others(base))
        return found if self._offered else self._refused

    def variants(self, best: Option) -> list[Option]:
        """What it asks for last."""
        return self._menu.variants(best)

    def _recognised(self, options: Sequence[Option]) -> list[Option]:
        families = {o.name: of.source.family for o in options if (of := self._menu.treatments[o.name]).source}
        self._folds.fit(list(dict.fromkeys(families.values())))
        without = {k: v for k, v in self._folds.unrecognised().items() if k in families.values()}
        refused = [option for option in options if families.get(option.name) in without]
        self._refused += refused
        self._offered |= len(families) > len(refused)
        if refused:
            listed = ", ".join(f"{family} {ratio:.2f}" for family, ratio in without.items())
            warnings.warn(
                "Classifiers do not recognise the samples of some families (how often, over how often real rows: "
                f"{listed}): they are not tried where there are others. More steps or minutes, or more rows, may mend "
                "that.",
                SynthaugWarning,
                stacklevel=3,
            )
        return [option for option in options if option not in refused]


def menu_of(question: Question, augmentations: Set[str]) -> Menu:
    """What a choice tries of the augmentations that there are."""
    more = () if question.unlabelled is None else unlabelled_sources(question.on_both)
    return Menu(
        _offered(question, augmentations),
        (*sources_of(question.families), *more),
        full=question.protocol.full,
        longer=takes_steps(question.train),
    )


def plain_arms(question: Question, usual: Sequence[Arm]) -> list[Arm]:
    """What the final test compares of the usual arms and the user's own, beside what was chosen."""
    return [arm for arm in (*usual, *question.own_arms) if not arm.synthetic and arm != LONGER]


def _offered(question: Question, augmentations: Set[str]) -> list[Arm]:
    """The baselines that can be trained: with losses that the training takes, and augmentations that there are."""
    known, unequal = {None, *augmentations}, is_unequal(question.rows)
    own = [arm for arm in question.own_arms if unequal or not arm.unequal]
    known_arms = arms_for(question.rows.form)
    asked = [*starting_arms(unequal=unequal, full=question.protocol.full, arms=known_arms), *own]
    arms = [arm for arm in asked if can_train(question.train, arm) and arm.augmentation in known]
    return arms or [find_arm("real")]


def _tasks(trials: Sequence[Trial], menu: Menu, folds: Folds, question: Question) -> list[Task]:
    """The trainings of some trials, after the pools that they need have been drawn."""
    folds.fill_pools([(trial.fold, menu.treatments[trial.option]) for trial in trials], question.seed)
    steps, tasks = question.protocol.classifier_steps, []
    for trial in trials:
        fold, of = folds.folds[trial.fold], menu.treatments[trial.option]
        used = {k: v for k, v in fold.augmentations.items() if k == of.arm.augmentation}
        tasks.append(
            Task(
                _name(trial),
                of.arm,
                derive(question.seed, "choice", "classifier", trial.fold, trial.seed) % 2**31,
                fold.parts(of, steps),
                used,
                {"held-out": fold.held_out},
                of.steps(steps),
            )
        )
    return tasks


def _name(trial: Trial) -> str:
    return f"{trial.option}, {trial.fold}, {trial.seed}"


def _chosen(
    question: Question, work: Work, menu: Menu, choice: Choice, seconds: dict[str, float], cost: float
) -> Chosen:
    tried = choice.candidate or next((of.name for of in choice.standings if of.synthetic), None)
    if tried is None:  # as nothing but the rows as they are was; a test tells of what would have been
        base = Option(choice.baseline)
        tried = next(of.name for of in (*menu.on_top(base), *menu.others(base)) if of.synthetic)
    candidate, baseline = menu.treatments[tried], menu.treatments[choice.baseline]
    source = candidate.source
    assert source is not None, "a candidate has synthetic rows"
    used, rows = candidate if choice.accepted else baseline, question.rows
    arm = menu.treatments[candidate.base].arm if choice.accepted else baseline.arm
    encode = rows.form.fitted(rows.read())
    augmentations = question.augment(encode.encode(rows.read()), rows.labels, encode)
    plan = Plan(
        accepted=choice.accepted,
        baseline=choice.baseline,
        candidate=tried,
        augmentation=(candidate if choice.accepted else baseline).arm.augmentation,
        family=source.family,
        settings=source.settings,
        candidate_share=candidate.share,
        curated=candidate.curated,
        annealed=candidate.annealed,
        classifier_steps=question.protocol.classifier_steps,
        metric="balanced_accuracy" if is_unequal(question.rows) else "accuracy",
        choice=choice,
        seconds=seconds,
        cost=cost,
        data=question.rows.fingerprint(),
        seed=question.seed,
        base=candidate.base,
        shares=menu.alike(candidate),
        learner=question.train.name if isinstance(question.train, Learner) else None,
        instead=rows.form.instead if question.train is None else None,
        preparation=Preparation.of(arm, used.steps(question.protocol.classifier_steps), rows, augmentations),
    )
    return Chosen(question, work, plan, candidate, baseline, menu.treatments[candidate.base].arm)


def _unlabelled(question: Question, work: Work) -> Unlabelled | None:
    """The rows without labels as folds use them; what judges them can be sent to another process."""
    if question.unlabelled is None:
        return None
    held_out = np.empty(0, np.uint64) if question.held_out is None else question.held_out.fingerprints()
    rows = question.unlabelled.detached()
    judge = partial(
        judge_unlabelled,
        unlabelled=rows,
        protocol=question.protocol,
        seed=question.seed,
        held_out=held_out,
        work=work,
    )
    return Unlabelled(judge, rows)


def _fitting(question: Question, work: Work) -> Fit:
    """What trains the generators of a choice; it can be sent to another process."""
    held_out = None if question.held_out is None else question.held_out.detached()
    return partial(_fit, held_out=held_out, protocol=question.protocol, seed=question.seed, work=work)


def _fit(
    rows: LabeledData,
    family: str,
    name: str,
    *,
    held_out: LabeledData | None,
    protocol: Protocol,
    seed: int,
    work: Work,
) -> Generator:
    """A generator of a choice; a task that shares nothing with others."""
    place = None if work.folder is None else work.folder / name
    if place is not None:
        place.mkdir(exist_ok=True)
    training = training_of(rows, family, name, protocol, seed, work.device)
    made = train(rows, training, held_out=held_out, folder=place, progress=work.progress)
    return made.to(work.device)


def generator_name(number: int) -> str:
    """The folder of a generator of an output."""
    return "generator" if number == 0 else f"generator-{number + 1}"


def pool_seed(seed: int, number: int) -> int:
    """The seed of a generator's samples: generators of one evaluation share no noise."""
    return seed if number == 0 else derive(seed, "evaluation", "pool", number) % 2**31


def sweep(folder: Path) -> None:
    """Removes what only a choice that is killed would need: the folds' generators, scores, and checkpoints."""
    for part in (*folder.glob("fold-*"), folder / OUTCOMES, folder / CLASSIFIERS):
        shutil.rmtree(part, ignore_errors=True)
    for kept in folder.glob("generator*"):
        forget(kept)
