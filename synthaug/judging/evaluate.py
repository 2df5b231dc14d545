"""The protocol that answers "does it help?": a proposal, the same trainings in every arm, and a conclusion."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.guards import require_disjoint, require_unseen, without_copies
from synthaug.data.labeled import LabeledData
from synthaug.data.splits import THREE, three_parts, with_three_splits
from synthaug.errors import InvalidRequest, SynthaugWarning
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.judging.arms import Arm, arms_for
from synthaug.judging.choose import choose, generator_name, pool_seed
from synthaug.judging.compare import Proposal, compare
from synthaug.judging.folds import Augmentations
from synthaug.judging.loaders import Judge
from synthaug.judging.pools import pool_size
from synthaug.judging.predict import Train
from synthaug.judging.protocol import Protocol, require_share
from synthaug.judging.quality import judges_of
from synthaug.judging.question import Question
from synthaug.judging.results import Evaluation, Replicate
from synthaug.judging.runner import Runner, Work
from synthaug.mixing.schedule import USUAL_SHARE
from synthaug.seeding import derive
from synthaug.training.budget import Training
from synthaug.training.train import train
from synthaug.wording import did_you_mean, quoted


@dataclass(frozen=True)
class TestedRows:
    """A data set in the parts that an evaluation needs.

    Attributes:
        train, validation, test: rows to train on, to choose by and to test on; no copy in two of them.
        outside: all rows that are not to train on: no generator may see them.
        inside: all rows that are not to test on.
    """

    train: LabeledData
    validation: LabeledData
    test: LabeledData
    outside: LabeledData
    inside: LabeledData

    @classmethod
    def of(cls, data: LabeledData, seed: int) -> TestedRows:
        """The source's own splits, and what it lacks drawn by class."""
        named = with_three_splits(data, seed)
        outside, inside = (named.take(np.flatnonzero(named.splits != split)) for split in ("train", "test"))
        found = cls(*three_parts(named), outside, inside)
        if data.splits is not None:
            found.warn_of_classes()
        return found

    def warn_of_classes(self) -> None:
        """Warn of classes that are trained on and not judged, where the source's own splits lack them."""
        for part in (self.validation, self.test):
            lacking = [name for name, n in part.counts.items() if not n and self.train.counts[name]]
            if lacking:
                which = "validation" if part is self.validation else "test"
                warnings.warn(
                    f"the {which} rows of {part.origin} have no row of {quoted(lacking, 5)}: nothing is found out "
                    "about these classes. Leave out that split and one is drawn by class, or add rows to it",
                    SynthaugWarning,
                    stacklevel=4,
                )

    @property
    def named(self) -> dict[str, LabeledData]:
        """The three parts by their names."""
        return dict(zip(THREE, (self.train, self.validation, self.test), strict=True))


@dataclass(frozen=True)
class Inquiry:
    """What is asked of an evaluation.

    Attributes:
        parts: the rows.
        families: families for the choice to try; the first is trained where ``ratio`` is given.
        generator: one to evaluate as it is; nothing is chosen then.
        ratio: share of synthetic rows; nothing is chosen where it is given.
        train: the user's training; the built-in classifier when None.
        protocol: how it is made.
        seed: the only source of randomness.
        augmentations, own_arms: of the user's own, as in `Question`.
        unlabelled: as in `Question`.
    """

    parts: TestedRows
    families: Sequence[str]
    generator: Generator | None
    ratio: float | None
    train: Train | None
    protocol: Protocol
    seed: int
    augmentations: Mapping[str, Any] = field(default_factory=dict)
    own_arms: Sequence[Arm] = ()
    unlabelled: LabeledData | None = None

    @property
    def chooses(self) -> bool:
        """Whether cross-validation says what is tested."""
        return self.generator is None and self.ratio is None

    @property
    def share(self) -> float:
        """The share where nothing is chosen."""
        return USUAL_SHARE if self.ratio is None else self.ratio

    @cached_property
    def rows(self) -> LabeledData:
        """What generators and classifiers are fitted to: all but the test rows where a choice has its own folds."""
        return without_copies(self.parts.inside, self.parts.test) if self.chooses else self.parts.train

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What is compared, as far as it applies."""
        known = arms_for(self.parts.train.form)
        usual = tuple(arm for arm in known if self.protocol.full or arm.compared == "usual")
        return usual if self.chooses else (*usual, *self.question.own_arms)

    @property
    def question(self) -> Question:
        """What the choice is asked."""
        return Question(
            self.rows,
            self.parts.test,
            self.families,
            self.train,
            self.protocol,
            self.seed,
            self.augmentations,
            self.own_arms,
            self.unlabelled,
        )

    def training(self, device: str, number: int = 0) -> Training:
        """How a generator is trained where nothing is chosen."""
        return Training(
            self.families[0],
            steps=self.protocol.steps,
            minutes=self.protocol.minutes,
            seed=self.seed if number == 0 else derive(self.seed, "evaluation", "generator", number) % 2**31,
            device=device,
        )

    def check(self, device: str) -> dict[str, Any]:
        """Refuse what cannot be evaluated, before anything is trained; what makes the synthetic rows, as JSON data."""
        protocol = self.protocol
        protocol.check()
        require_share(self.share)
        self.question.check_own()
        known = [arm.name for arm in (*self.arms, *self.question.own_arms)]
        if self.unlabelled is not None and not self.chooses:
            raise InvalidRequest(
                "Unlabelled rows were given, and a generator or a share to evaluate as it is: leave one of them out. "
                "Unlabelled rows are judged while it is chosen what to use."
            )
        if protocol.today is not None and protocol.today not in known:
            raise InvalidRequest(
                f'today="{protocol.today}" was given, which is no arm.{did_you_mean(protocol.today, known)}'
            )
        if self.generator is not None and protocol.generators > 1:
            raise InvalidRequest(
                f"evaluate was given a generator and asked for {protocol.generators}: leave the generator out, and as "
                "many are trained."
            )
        for each in (self.rows, self.parts.validation, self.parts.test):
            each.check_images()
        require_disjoint(self.rows, self.parts.test, "training and test rows")
        if not self.chooses:
            require_disjoint(self.rows, self.parts.validation, "training and validation rows")
            require_disjoint(self.parts.validation, self.parts.test, "validation and test rows")
        if self.generator is not None:
            per_class = pool_size(
                self.share, protocol.classifier_steps, len(self.rows.classes), protocol.batch_size
            )
            self.generator.require(dict.fromkeys(self.generator.classes, per_class), self.seed)
            others = {"validation": self.parts.validation, "test": self.parts.test}
            require_unseen(self.parts.train, others, self.generator.trained_on)
            return {"family": self.generator.family.name, "fingerprint": self.generator.fingerprint}
        return self.question.check(device) if self.chooses else self.training(device).describe(self.rows)


@dataclass(frozen=True)
class Evaluated:
    """An evaluation with what was tested.

    Attributes:
        evaluation: the result.
        rows: what generators and classifiers were fitted to.
        makers: the generators.
        pool: samples of the first of them.
    """

    evaluation: Evaluation
    rows: LabeledData
    makers: Sequence[Generator]
    pool: Samples

    def asked_again(self, text: str) -> Evaluated:
        """The same, with a text that asks for it again."""
        setup = replace(self.evaluation.setup, again=text)
        return replace(self, evaluation=replace(self.evaluation, setup=setup))


def evaluate(inquiry: Inquiry, work: Work, runner: Runner) -> Evaluated:
    """Choose, or take what is given; then one paired test on rows that had no part in it.

    Args:
        inquiry: what is asked; it has been checked.
        work: where and how; what was trained is kept in its folder.
        runner: trains the classifiers, of the choice as well.
    """
    rows, protocol, seed, tests = inquiry.rows, inquiry.protocol, inquiry.seed, {"test": inquiry.parts.test}
    if inquiry.chooses:
        chosen = choose(inquiry.question, work, runner)
        makers = [chosen.generator(number) for number in range(protocol.generators)]
        per_class = chosen.pool_size
        prints = None if inquiry.unlabelled is None else inquiry.unlabelled.fingerprints()
        tested = replicates_of(rows, makers, per_class, seed, augment=inquiry.question.augment)
        proposal = Proposal(
            [replace(each, unlabelled=prints) for each in tested],
            chosen.final_arms(inquiry.arms),
            chosen.ratio,
            (chosen.baseline.arm.name, chosen.candidate.arm.name),
            chosen.plan.metric,
            chosen.plan,
        )
    else:
        makers = _given(inquiry, rows, work)
        n_classes = len(rows.classes)
        per_class = pool_size(inquiry.share, protocol.classifier_steps, n_classes, protocol.batch_size)
        judge = None
        if protocol.full:
            encode, kept = makers[0].form.encode, work.kept("rows")
            judges = judges_of(rows, encode, seed, protocol.judge_steps, kept)
            judge = None if judges is None else judges.probabilities
        replicates = replicates_of(rows, makers, per_class, seed, judge, inquiry.question.augment)
        proposal, tests = (
            Proposal(replicates, inquiry.arms, inquiry.share),
            {"validation": inquiry.parts.validation, **tests},
        )
    evaluation = compare(proposal, tests, protocol, runner, seed)
    return Evaluated(evaluation, rows, makers, makers[0].sample(per_class, seed=seed))


def replicates_of(
    rows: LabeledData,
    makers: Sequence[Generator],
    per_class: int,
    seed: int,
    judge: Judge | None = None,
    augment: Augmentations | None = None,
) -> list[Replicate]:
    """The same training rows beside samples of each of some generators that were trained on them.

    Args:
        rows: the training rows.
        makers: the generators.
        per_class: rows of each class in a pool, see `pool_size`.
        seed: of the samples; generators of one evaluation share no noise.
        judge: fitted on the same rows; for arms that take labels from it.
        augment: makes the augmentations; those of the form when None.
    """
    form = makers[0].form
    encoded, labels = form.encode(rows.read()), rows.labels
    augmentations = (
        form.augmentations(encoded, labels, {}) if augment is None else augment(encoded, labels, form)
    )
    return [
        Replicate(
            rows,
            maker.sample(per_class, seed=pool_seed(seed, number)),
            form.encode,
            maker.trained_on,
            augmentations,
            maker.seconds,
            maker.about,
            judge,
        )
        for number, maker in enumerate(makers)
    ]


def _given(inquiry: Inquiry, rows: LabeledData, work: Work) -> list[Generator]:
    """The generator that was given, or as many as are asked for, trained."""
    if inquiry.generator is not None:
        return [inquiry.generator]
    made = []
    for number in range(inquiry.protocol.generators):
        place: Path | None = None
        if work.folder is not None:
            place = work.folder / generator_name(number)
            place.mkdir(exist_ok=True)
        made.append(
            train(
                rows,
                inquiry.training(work.device, number),
                held_out=inquiry.parts.outside,
                validation=inquiry.parts.validation,
                folder=place,
                progress=work.progress,
            ).to(work.device)
        )
    return made
