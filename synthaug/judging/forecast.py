"""What a choice and an evaluation will take: how much is to be expected, and what a little of it takes here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from synthaug.data.labeled import LabeledData
from synthaug.judging.arms import Arm, longer
from synthaug.judging.choose import menu_of, plain_arms
from synthaug.judging.compare import LONGEST_PAID, Given, applicable
from synthaug.judging.evaluate import Inquiry
from synthaug.judging.learners import Learner
from synthaug.judging.loaders import Ingredients
from synthaug.judging.menu import Menu
from synthaug.judging.pace import Pace, pace_of, some_of
from synthaug.judging.pools import no_pool
from synthaug.judging.predict import takes_steps
from synthaug.judging.protocol import JUDGED, ON_BOTH, is_unequal
from synthaug.judging.question import Question, training_of
from synthaug.judging.runner import Task, Work, travels
from synthaug.judging.unlabelled import JUDGINGS
from synthaug.training.budget import Training
from synthaug.training.threads import one_thread

_FEW, _MANY = 256, 2000  # rows that steps and learners are tried with, at most
_SECONDS = 1.0  # that steps of a generator are tried for


@dataclass(frozen=True)
class Forecast:
    """What is expected to be made, and how long that takes if the machine stays as busy as it is.

    Each as two numbers: where a choice ends early, as what was foretold is sure to help or as nothing does; and where
    it goes all the way.

    Attributes:
        trainings: of classifiers, also of those that judge rows without labels.
        generators: that are trained.
        seconds: of wall time.
        seconds_per_training: of a classifier, measured.
        jobs: processes that train classifiers.
    """

    trainings: tuple[int, int]
    generators: tuple[int, int]
    seconds: tuple[float, float]
    seconds_per_training: float
    jobs: int


def foretell(question: Question, work: Work) -> Forecast:
    """What `choose` will take, with the generator of its plan.

    Args:
        question: what is asked; it has been checked.
        work: processes, and the device of generators.
    """
    here = _measured(question, work)
    (foretold, _), ends = here.menu.families, []
    for early in (True, False):
        used = 0 if early and not foretold else 1  # where nothing helps there is none
        ends.append(here.choice(early) + here.makers(used, early))
    return _told(here, ends)


def foretell_evaluation(inquiry: Inquiry, work: Work) -> Forecast:
    """What `evaluate` will take, but for what it measures and draws for a report.

    Args:
        inquiry: what is asked; it has been checked.
        work: processes, and the device of generators.
    """
    here, n = _measured(inquiry.question, work, chooses=inquiry.chooses), inquiry.protocol.generators
    if not inquiry.chooses:
        scored = len(inquiry.parts.test) + len(inquiry.parts.validation)
        made = _Due(0, 0, 0.0)
        if inquiry.generator is None:
            made = _Due(0, n, n * _seconds_of(inquiry.training(work.device), inquiry.rows))
        return _told(here, [made + here.test(inquiry.arms, scored, made.seconds, inquiry.protocol.full)] * 2)
    more = [longer(here.usual)] if takes_steps(inquiry.train) else []
    arms = [*plain_arms(inquiry.question, inquiry.arms), *more, here.usual]  # the last for the candidate
    ends = []
    for early in (True, False):
        made = here.makers(n, early)
        test = here.test(arms, len(inquiry.parts.test), made.seconds, False)
        ends.append(here.choice(early) + made + test)
    return _told(here, ends)


@dataclass(frozen=True)
class _Due:
    """Classifiers and generators to be trained, and the seconds that all of it takes."""

    trainings: int
    generators: int
    seconds: float

    def __add__(self, other: _Due) -> _Due:
        both = self.trainings + other.trainings, self.generators + other.generators
        return _Due(*both, self.seconds + other.seconds)


@dataclass(frozen=True)
class _Here:
    """What a question asks for, and what that takes on this machine.

    Attributes:
        question: what is asked.
        menu: what is tried.
        augmentations: that there are, by name.
        jobs, fitting: processes that train classifiers, and generators.
        pace: of a classifier.
        judge: of one that judges rows without labels.
        generators: seconds of each that a choice trains, by family.
    """

    question: Question
    menu: Menu
    augmentations: frozenset[str]
    jobs: int
    fitting: int
    pace: Pace
    judge: Pace
    generators: Mapping[str, float]

    @property
    def usual(self) -> Arm:
        """The arm that stands for all: they differ little in what they take."""
        return _usual(self.menu)

    @property
    def seconds(self) -> float:
        """Of a training in a fold."""
        protocol, n = self.question.protocol, len(self.question.rows)
        held_out = n // protocol.folds
        return self.pace.seconds(protocol.classifier_steps, n - held_out, held_out)

    def choice(self, early: bool) -> _Due:
        """The search in all folds."""
        folds = self.question.protocol.folds
        rungs = self.menu.fewest(folds) if early else self.menu.most(folds)
        found = _Due(sum(rungs), 0, sum(_rounds(n, self.jobs) for n in rungs) * self.seconds)
        first, others = self.menu.families
        for families in (first, [] if early and first else others):
            each = [self.generators[family] for family in families if family != JUDGED]
            if each:
                n = folds * len(each)
                found += _Due(0, n, _rounds(n, self.fitting) * sum(each) / len(each))
        return found + self._judges(folds, self.fitting)

    def makers(self, number: int, early: bool) -> _Due:
        """So many generators for the end, one after another: of what was foretold, or of what takes longest."""
        first, others = self.menu.families
        families = first if early and first else [*first, *others]
        each = max(self.generators.get(family, 0.0) for family in families)
        made = number if any(family != JUDGED for family in families) else 0
        return _Due(0, made, made * each) + self._judges(number, 1)

    def test(self, arms: Sequence[Arm], scored: int, generators: float, judged: bool) -> _Due:
        """The final test: arms that apply with every seed, judged on so many rows.

        Args:
            arms: that are compared.
            scored: rows to judge on.
            generators: seconds that they take, for an arm that is trained for that time.
            judged: whether there is a judge that labels samples.
        """
        rows, protocol = self.question.rows, self.question.protocol
        given = Given(self.augmentations, is_unequal(rows), generators > 0, judged)
        used = applicable(arms, given, self.question.train)
        once = self.pace.seconds(protocol.classifier_steps, len(rows), scored)
        paid = min(LONGEST_PAID, 1 + generators * self.jobs / once)
        steps = [protocol.classifier_steps * (paid if arm.steps is None else arm.steps) for arm in used]
        mean = sum(self.pace.seconds(each, len(rows), scored) for each in steps) / max(1, len(steps))
        n = len(used) * protocol.seeds
        return _Due(n, 0, _rounds(n, self.jobs) * mean)

    def _judges(self, times: int, jobs: int) -> _Due:
        """Classifiers that judge all rows without labels, so many times."""
        others, rows = self.question.unlabelled, self.question.rows
        if others is None:
            return _Due(0, 0, 0.0)
        each = JUDGINGS * self.judge.seconds(self.question.protocol.classifier_steps, len(rows), len(others))
        return _Due(times * JUDGINGS, 0, _rounds(times, jobs) * each)


def _measured(question: Question, work: Work, *, chooses: bool = True) -> _Here:
    rows, protocol, train = question.rows, question.protocol, question.train
    jobs, fitting = work.jobs if travels(train) else 1, work.fitting_jobs
    most = _MANY if isinstance(train, Learner) else max(_FEW, protocol.batch_size)
    few = rows.take(some_of(rows.labels, most)).detached()
    form = few.form.fitted(few.read())
    parts = Ingredients.of(few, no_pool(few), form.encode, ratio=0.0, batch_size=protocol.batch_size)
    augmentations = question.augment(form.encode(parts.rows), few.labels, form)
    menu = menu_of(question, augmentations.keys())
    task = Task("trial", _usual(menu), question.seed, parts, augmentations, {}, protocol.classifier_steps)
    pace = judge = pace_of(task, train, jobs)
    if train is not None and question.unlabelled is not None:
        judge = pace_of(task, None, fitting)
    first, others = menu.families
    made = [family for family in (*first, *others) if chooses and family != JUDGED]
    seconds: dict[str, float] = {}
    for name in dict.fromkeys(family.removesuffix(ON_BOTH) for family in made):
        training = training_of(rows, name, "", protocol, question.seed, work.device)
        with one_thread() if fitting > 1 else nullcontext():
            seconds[name] = _seconds_of(training, rows)
    generators = {family: seconds[family.removesuffix(ON_BOTH)] for family in made}
    return _Here(question, menu, frozenset(augmentations), jobs, fitting, pace, judge, generators)


def _seconds_of(training: Training, rows: LabeledData) -> float:
    """What a generator takes: its minutes, or steps of which some are tried."""
    if training.minutes is not None:
        return 60 * training.minutes
    return training.forecast(rows, at_least=_SECONDS).seconds


def _usual(menu: Menu) -> Arm:
    """With the policy, which a choice takes most often, where there is one."""
    arms = [menu.treatments[option.name].arm for option in menu.baselines]
    return next((arm for arm in arms if arm.augmentation == "policy"), arms[0])


def _rounds(n: int, jobs: int) -> int:
    """How many are made one after another."""
    return math.ceil(n / jobs)


def _told(here: _Here, ends: Sequence[_Due]) -> Forecast:
    early, late = ends
    return Forecast(
        (early.trainings, late.trainings),
        (early.generators, late.generators),
        (early.seconds, late.seconds),
        here.seconds,
        here.jobs,
    )
