"""The two functions that answer: `choose`, how much of what to use, and `evaluate`, whether it helps."""

from __future__ import annotations

import hashlib
import inspect as source_code
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from joblib import cpu_count

from synthaug.data.items import Key
from synthaug.data.labeled import LabeledData, open_data
from synthaug.data.splits import (
    THREE,
    cross_folds,
    three_parts,
    training_and_held_out,
    with_three_splits,
    without_copies,
)
from synthaug.errors import InvalidData, InvalidRequest, did_you_mean
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.judging.arms import ARMS, LADDER, LONGER, Arm, Judge, longer
from synthaug.judging.curation import Judges
from synthaug.judging.draws import Draw, require_unseen
from synthaug.judging.evaluation import (
    Evaluation,
    compare_with_real,
    evaluate_arms,
    is_unequal,
    pool_size,
    require_sense,
)
from synthaug.judging.plan import FORMAT, Plan
from synthaug.judging.search import choose_option
from synthaug.judging.trials import FITTED_WITH, SOURCES, Trials, draw_pool, fit_judges, ratio_of
from synthaug.modalities.image.augment import image_augmentations
from synthaug.outputs import open_output
from synthaug.report.report import JudgedClass, pick_judged, pick_pictures, write_report
from synthaug.seeding import derive
from synthaug.training.classifier import Train
from synthaug.training.loop import forget
from synthaug.training.train import plan_training, resolve_device, train_generator

FAMILIES = ("cvae", "warp")
"""What a choice tries unless asked for others."""

# Minutes of each generator of a choice, of which there are one a fold and family.
_MINUTES = 0.5
# The share of a generator that is given, unless another is asked for.
_RATIO = 0.25
# Samples of each class that judges look at for the page.
_JUDGED = 50


def choose(
    dataset: Any,
    *,
    families: str | Sequence[str] = FAMILIES,
    train: Train | None = None,
    full: bool = False,
    folds: int = 3,
    classifier_steps: int = 400,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    jobs: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
    label: Key | None = None,
    image: Key | None = None,
    group: Any = None,
    split: str | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> Plan:
    """How much of which synthetic rows to train with, by cross-validation inside the training rows; 0 is a candidate.

    In each fold generators are fitted to the rows that are not held out, and classifiers are trained without and with
    their samples for equally many steps. No synthetic rows win ties, and are kept unless the gain of choosing, on
    folds and seeds that did not choose, is more than its error (`synthaug.judging.search.choose_option`).

    Args:
        dataset: as in `fit`; of its splits the training one.
        families: families to try.
        train: ``fn(loader, steps, seed)`` as in `evaluate`; the built-in small classifier when None.
        full: try every baseline there is, not the usual four.
        folds: parts that are held out in turn, at least 2.
        classifier_steps: optimizer steps of each training.
        steps, minutes: budget of each generator, one for each fold and family; half a minute when neither is given.
        seed: the only source of randomness.
        device: for generators.
        jobs: processes that train classifiers; the number of cores when None.
        out: a folder for the plan and its generator; the same call goes on where a killed one was, and reads a
            finished plan.
        overwrite: replace what another request left at ``out``.
        progress: show progress and the time left on stderr.
        label, image, group, split, image_size: as in `fit`.

    Returns:
        The plan, which `mix` and `expand` take in place of a generator.

    Raises:
        InvalidData: too few rows for the folds.
        InvalidRequest: an unknown family, or an impossible budget.
    """
    columns: dict[str, Any] = {"label": label, "image": image, "group": group, "image_size": image_size}
    rows, held_out = training_and_held_out(open_data(dataset, **columns), split)
    tried = _families(families)
    how: dict[str, Any] = {"folds": folds, "classifier_steps": classifier_steps, "full": full}
    budget = _budget(steps, minutes)
    _require_choosable(rows, tried, folds, classifier_steps, seed, budget | {"device": device})
    work: dict[str, Any] = {"device": device, "jobs": jobs or cpu_count(), "progress": progress}

    def made(folder: Path | None) -> Plan:
        chosen = _Chooser(rows, held_out, tried, train, seed, budget, folder, **how, **work)
        if not chosen.plan.accepted:
            return chosen.plan
        maker = chosen.generator(0)
        kept = None if maker.kept is None else {name: tuple(of.tolist()) for name, of in maker.kept.items()}
        return replace(chosen.plan, generator=maker, kept=kept)

    if out is None:
        return made(None)
    request = {
        "choose": rows.fingerprint(),
        "groups": _partition(rows),
        "form": rows.spec.to_dict(),
        "held_out": None if held_out is None else held_out.fingerprint(),
        "families": list(tried),
        "train": _identity(train),
        "seed": seed,
        "plan_format": FORMAT,
        **how,
        **budget,
    }
    with open_output(out, request, overwrite=overwrite) as output:
        if not output.finished:
            made(output.work).write(output.work)
            _sweep(output.work)
            output.commit()
    return Plan.load(out, device)


def _families(families: str | Sequence[str]) -> tuple[str, ...]:
    found = (families,) if isinstance(families, str) else tuple(families)
    if unknown := [name for name in found if name not in SOURCES]:
        hint = did_you_mean(unknown[0], SOURCES)
        raise InvalidRequest(f'There is no family "{unknown[0]}"; there are {", ".join(SOURCES)}.{hint}')
    if not found:
        raise InvalidRequest(f"No family was to be tried; there are {', '.join(SOURCES)}.")
    return found


def _budget(steps: int | None, minutes: float | None) -> dict[str, Any]:
    return {"steps": steps, "minutes": _MINUTES if steps is None and minutes is None else minutes}


def _require_choosable(
    rows: LabeledData,
    families: Sequence[str],
    folds: int,
    classifier_steps: int,
    seed: int,
    budget: Mapping[str, Any],
) -> dict[str, Any]:
    """Refuses what cannot be chosen by, before anything is trained; returns what would be."""
    if folds < 2:
        raise InvalidRequest(f"choose was asked for folds={folds}; it needs at least 2.")
    if classifier_steps < 1:
        raise InvalidRequest(
            f"choose was asked for classifier_steps={classifier_steps}; it needs at least 1."
        )
    rows.check_images()
    return {
        "folds": [len(fold) for fold in _folds(rows, folds, seed)],
        "generators": {family: plan_training(rows, family, **budget) for family in families},
    }


def _folds(rows: LabeledData, n: int, seed: int) -> list[np.ndarray]:
    """Row numbers that a choice with this seed holds out in each fold."""
    return cross_folds(rows, n, derive(seed, "choice", "folds") % 2**31)


class _Chooser:
    """A choice made, and what the final test needs of it.

    Generators of the folds and scores of classifiers are kept in ``folder``: a killed choice does not train them again.
    """

    def __init__(
        self,
        rows: LabeledData,
        held_out: LabeledData | None,
        families: Sequence[str],
        train: Train | None,
        seed: int,
        budget: Mapping[str, Any],
        folder: Path | None,
        *,
        folds: int,
        classifier_steps: int,
        full: bool,
        device: str,
        jobs: int,
        progress: bool,
    ) -> None:
        self._rows, self._seed, self._steps = rows, seed, classifier_steps
        self._fit = partial(
            _fit, held_out=held_out, budget=budget, seed=seed, device=device, folder=folder, progress=progress
        )
        parts = _folds(rows, folds, seed)
        unequal = is_unequal(rows)
        self.trials = Trials(
            rows,
            parts,
            partial(self._fit, progress=progress and jobs == 1),
            image_augmentations,
            families=families,
            unequal=unequal,
            full=full,
            training=train,
            steps=classifier_steps,
            jobs=jobs,
            fitting_jobs=jobs if resolve_device(device).type == "cpu" else 1,
            seed=seed,
            folder=None if folder is None else folder / "trials",
            progress=progress,
        )
        counts = np.bincount(rows.labels[np.concatenate(parts)], minlength=len(rows.classes))
        weights = 1 / counts[rows.labels].clip(1) if unequal else np.ones(len(rows))
        trials = self.trials
        choice = choose_option(
            trials.baselines,
            trials.menu,
            trials.variants,
            trials.score,
            parts,
            weights,
        )
        trials.end()
        tried = choice.candidate or next(of.name for of in choice.standings if of.synthetic)
        self.candidate, self.baseline = trials.treatments[tried], trials.treatments[choice.baseline]
        source = self.candidate.source
        assert source is not None, "a candidate has synthetic rows"
        self.plan = Plan(
            accepted=choice.accepted,
            baseline=choice.baseline,
            candidate=tried,
            augmentation=(self.candidate if choice.accepted else self.baseline).arm.augmentation,
            family=source.family,
            settings=source.settings,
            candidate_share=self.candidate.share,
            curated=self.candidate.curated,
            annealed=self.candidate.annealed,
            classifier_steps=classifier_steps,
            metric="balanced_accuracy" if unequal else "accuracy",
            choice=choice,
            seconds=trials.seconds,
            cost=trials.trainings + trials.other_seconds / float(np.median(trials.training_seconds)),
            data=rows.fingerprint(),
            seed=seed,
            base=self.candidate.base,
            shares={
                of.arm.name: of.share
                for of in trials.treatments.values()
                if of.source == source and of.base == self.candidate.base and not (of.curated or of.annealed)
            },
        )

    def generator(self, number: int) -> Generator:
        """The candidate's generator, trained on all rows; another number is another one like it."""
        source, rows = self.candidate.source, self._rows
        assert source is not None, "a candidate has synthetic rows"
        whole = self._fit(rows, source.family, _generator_name(number))
        maker = whole.adjusted(source.settings)
        if not self.candidate.curated:
            return maker
        per_class = max(self.pool_size, math.ceil(max(rows.counts.values()) * self._due))
        judges = fit_judges(rows, maker.codec.encode, self._seed)
        own = _pool_seed(self._seed, number)
        pool = draw_pool(maker, judges, maker.codec.encode, per_class, seed=own)
        names, numbers = pool.provenance["class"], pool.provenance["index"]
        return maker.keeping({name: np.sort(numbers[names == name]) for name in rows.classes}, own)

    @property
    def pool_size(self) -> int:
        """Rows of each class for the final test."""
        return pool_size(self.candidate.share, self._steps, len(self._rows.classes))

    @property
    def ratio(self) -> Any:
        """The candidate's share, as arms take it."""
        return ratio_of(self.candidate, self._steps)

    def final_arms(self, usual: Sequence[Arm]) -> list[Arm]:
        """The usual arms without synthetic rows, what the candidate is put on top of for longer, and the candidate."""
        plain = [arm for arm in usual if not arm.synthetic and arm != LONGER]
        base = self.trials.treatments[self.candidate.base].arm
        return [*plain, longer(base), self.candidate.arm]

    @property
    def _due(self) -> float:
        return self.candidate.share / (1 - self.candidate.share)


def _fit(
    rows: LabeledData,
    family: str,
    name: str,
    *,
    held_out: LabeledData | None,
    budget: Mapping[str, Any],
    seed: int,
    device: str,
    folder: Path | None,
    progress: bool,
) -> Generator:
    """A generator of a choice; a task that shares nothing with others."""
    place = None if folder is None else folder / name
    if place is not None:
        place.mkdir(exist_ok=True)
    trained = train_generator(
        rows,
        family,
        options=FITTED_WITH.get(family),
        **budget,
        seed=derive(seed, "choice", "generator", name) % 2**31,
        device=device,
        held_out=held_out,
        folder=place,
        progress=progress,
    )
    return Generator(trained, device)


def _sweep(folder: Path) -> None:
    """Removes what only a choice that is killed would need: the folds' generators, scores, and checkpoints."""
    for part in (*folder.glob("fold-*"), *folder.glob("trials")):
        shutil.rmtree(part)
    for kept in folder.glob("generator*"):
        forget(kept)


def evaluate(
    dataset: Any,
    *,
    family: str | Sequence[str] = FAMILIES,
    generator: Generator | None = None,
    train: Train | None = None,
    full: bool = False,
    generators: int = 1,
    ratio: float | None = None,
    folds: int = 3,
    seeds: int = 5,
    classifier_steps: int = 400,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    jobs: int | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
    label: Key | None = None,
    image: Key | None = None,
    group: Any = None,
    split: str | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> Evaluation:
    """Does it help, and how much should be used? `choose`, then one paired test on rows that had no part in it.

    Classifiers are trained without synthetic rows, in every usual way, and as the choice prefers, for equally many
    steps. With ``generator`` or ``ratio`` nothing is chosen: that share is tried, with and without augmentation, and
    validation rows pick the arms that are compared.

    Args:
        dataset: as in `fit`. Its own splits are used; what is missing is drawn by class: a quarter of the rows for
            testing, a fifth of the rest for validation. The generator sees neither.
        family: families for the choice to try; the first is trained where ``ratio`` is given.
        generator: one that has seen neither validation nor test rows; it is evaluated as it is, nothing is chosen.
        train: ``fn(loader, steps, seed)`` that returns ``predict(batch) -> labels or scores``; the built-in small
            classifier when None. Labels are positions in the classes. A function that takes ``loss`` as well can
            stand in for the built-in one in the arms that need a loss of their own, such as mixup.
        full: compare with every baseline there is, not with the usual few.
        generators: how many to train, with seeds of their own; each takes the whole budget. With one the verdict is
            on that one; with several, better 6 or more, on any that is trained like them.
        ratio: share of synthetic rows in the arms that have them; the choice's own when None.
        folds: of the choice, see `choose`.
        seeds: classifier seeds, paired across arms; a multiple of the number of generators.
        classifier_steps: optimizer steps in every arm.
        steps, minutes: each generator's budget; for a choice half a minute when neither is given.
        seed: the only source of randomness.
        device: for the generator.
        jobs: processes that train classifiers; the number of cores when None.
        out: a folder for report.json, report.md and report.html, and the new generator; the same call goes on where
            a killed one was, and reads a finished report.
        overwrite: replace what another request left at ``out``.
        progress: show progress and the time left on stderr.
        label, image, group, image_size: as in `fit`.
        split: the split to test on; ``test`` where the source has one.

    Returns:
        Every arm's scores, paired differences to the best baseline, the verdict, and the plan where one was chosen.

    Raises:
        Leakage: the generator has seen validation or test rows.
    """
    columns: dict[str, Any] = {"label": label, "image": image, "group": group, "image_size": image_size}
    numbers: dict[str, Any] = {
        "ratio": _RATIO if ratio is None else ratio,
        "seeds": seeds,
        "steps": classifier_steps,
    }
    budget: dict[str, Any] = {"steps": steps, "minutes": minutes}
    parts, held_out = _evaluation_rows(dataset, seed, split, columns)
    chosen = generator is None and ratio is None
    tried = _families(family)
    rows = _fitted_rows(parts, held_out, chosen)
    _require_evaluable(
        rows,
        parts,
        generator,
        numbers | {"generators": generators},
        tried,
        budget | {"device": device},
        folds,
        seed,
        chosen,
    )
    work: dict[str, Any] = {"device": device, "jobs": jobs or cpu_count(), "progress": progress}
    shared: dict[str, Any] = {"training": train, "jobs": work["jobs"], "seed": seed, "progress": progress}

    def with_choice(folder: Path | None) -> tuple[Evaluation, list[Generator], Samples]:
        how: dict[str, Any] = {"folds": folds, "classifier_steps": classifier_steps, "full": full}
        chooser = _Chooser(rows, parts[2], tried, train, seed, _budget(steps, minutes), folder, **how, **work)
        makers = [chooser.generator(i) for i in range(generators)]
        evaluation = evaluate_arms(
            _draws(rows, makers, chooser.pool_size, seed),
            None,
            parts[2],
            arms=chooser.final_arms(LADDER if full else ARMS),
            compare=(chooser.baseline.arm.name, chooser.candidate.arm.name),
            metric=chooser.plan.metric,
            **(numbers | {"ratio": chooser.ratio}),
            **shared,
        )
        spent = {f"choice, {name}": value for name, value in chooser.plan.seconds.items()}
        evaluation = replace(evaluation, plan=chooser.plan.to_dict(), seconds={**spent, **evaluation.seconds})
        return evaluation, makers, makers[0].sample(chooser.pool_size, seed=seed)

    def with_ratio(folder: Path | None) -> tuple[Evaluation, list[Generator], Samples]:
        makers = [generator] if generator is not None else [fitted(i, folder) for i in range(generators)]
        per_class = pool_size(numbers["ratio"], classifier_steps, len(rows.classes))
        judges = _judges(rows, makers[0], seed) if full else None
        draws = _draws(rows, makers, per_class, seed, None if judges is None else judges.probabilities)
        arms = LADDER if full else ARMS
        evaluation = evaluate_arms(draws, parts[1], parts[2], arms=arms, **numbers, **shared)
        return evaluation, makers, draws[0].pool

    def fitted(number: int, folder: Path | None) -> Generator:
        own = seed if number == 0 else derive(seed, "evaluation", "generator", number) % 2**31
        place = None if folder is None else folder / _generator_name(number)
        if place is not None:
            place.mkdir(exist_ok=True)
        how: dict[str, Any] = {"seed": own, "held_out": held_out.rows, "folder": place, "progress": progress}
        trained = train_generator(rows, tried[0], validation=parts[1], device=device, **budget, **how)
        return Generator(trained, device)

    measure = with_choice if chosen else with_ratio
    if out is None:
        return measure(None)[0]
    request = {
        "evaluate": {name: part.fingerprint() for name, part in zip(THREE, parts, strict=True)},
        "groups": [_partition(part) for part in parts],
        "form": parts[0].spec.to_dict(),
        "generator": None if generator is None else generator.fingerprint,
        "fit": None if generator is not None else {"family": list(tried), "steps": steps, "minutes": minutes},
        "train": _identity(train),
        "full": full,
        "generators": generators,
        "folds": folds if chosen else None,
        "plan_format": FORMAT if chosen else None,
        "seed": seed,
        **numbers,
    }
    with open_output(out, request, overwrite=overwrite) as output:
        if output.finished:
            return Evaluation.from_dict(json.loads((output.path / "report.json").read_text(encoding="utf-8")))
        evaluation, makers, pool = measure(output.work)
        fidelity = compare_with_real(rows, parts[2], pool, makers[0].codec.encode, seed=seed)
        curation, judged = _judged(rows, makers[0], seed)
        evaluation = replace(evaluation, fidelity=fidelity, curation=curation)
        pictures = pick_pictures(rows, pool, seed=seed)
        write_report(evaluation, pictures, output.work, judged=judged, history=makers[0].history)
        if generator is None:
            for number, maker in enumerate(makers):
                maker.write(output.work / _generator_name(number))
        _sweep(output.work)
        output.commit()
    return evaluation


def _judged(
    rows: LabeledData, maker: Generator, seed: int
) -> tuple[dict[str, Any] | None, tuple[JudgedClass, ...]]:
    """What judges say of samples of each class, whether or not it is followed; nothing where there are none."""
    judges = _judges(rows, maker, seed)
    if judges is None:
        return None, ()
    known = [name for name, n in rows.counts.items() if n]
    samples = maker.unselected.sample(dict.fromkeys(known, _JUDGED), seed=seed)
    encoded = maker.codec.encode(samples.samples).numpy()
    found = judges.curate(encoded, samples.class_indices, samples.classes)
    told = {"judged": len(samples), "filters": [asdict(effect) for effect in found.effects]}
    return told, pick_judged(samples, found)


def _judges(rows: LabeledData, maker: Generator, seed: int) -> Judges | None:
    """Judges of samples, or None where no class has two different rows."""
    try:
        return fit_judges(rows, maker.codec.encode, seed)
    except InvalidData:
        return None


def _draws(
    rows: LabeledData, makers: Sequence[Generator], per_class: int, seed: int, judge: Judge | None = None
) -> list[Draw]:
    augmentations = image_augmentations(makers[0].codec.encode(rows.read()), rows.labels)
    return [
        Draw.of(
            rows,
            maker,
            per_class,
            seed=_pool_seed(seed, number),
            augmentations=augmentations,
            about=describe(maker),
            judge=judge,
        )
        for number, maker in enumerate(makers)
    ]


def _pool_seed(seed: int, number: int) -> int:
    """The seed of a generator's samples: generators of one evaluation share no noise."""
    return seed if number == 0 else derive(seed, "evaluation", "pool", number) % 2**31


def _generator_name(number: int) -> str:
    return "generator" if number == 0 else f"generator-{number + 1}"


def plan_choice(
    dataset: Any,
    *,
    families: str | Sequence[str] = FAMILIES,
    full: bool = False,
    folds: int = 3,
    classifier_steps: int = 400,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    split: str | None = None,
    **columns: Any,
) -> dict[str, Any]:
    """What `choose` would do, as plain JSON data; raises what it would raise before training."""
    rows, _ = training_and_held_out(open_data(dataset, **columns), split)
    budget = _budget(steps, minutes) | {"device": device}
    return {"rows": rows.counts} | _require_choosable(
        rows, _families(families), folds, classifier_steps, seed, budget
    )


def plan_evaluation(
    dataset: Any,
    *,
    family: str | Sequence[str] = FAMILIES,
    generator: Generator | None = None,
    full: bool = False,
    generators: int = 1,
    ratio: float | None = None,
    folds: int = 3,
    seeds: int = 5,
    classifier_steps: int = 400,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    split: str | None = None,
    **columns: Any,
) -> dict[str, Any]:
    """What `evaluate` would do, as plain JSON data; raises what it would raise before training."""
    numbers: dict[str, Any] = {
        "ratio": _RATIO if ratio is None else ratio,
        "seeds": seeds,
        "steps": classifier_steps,
    }
    budget: dict[str, Any] = {"steps": steps, "minutes": minutes, "device": device}
    parts, held_out = _evaluation_rows(dataset, seed, split, columns)
    chosen = generator is None and ratio is None
    rows = _fitted_rows(parts, held_out, chosen)
    fitted = _require_evaluable(
        rows,
        parts,
        generator,
        numbers | {"generators": generators},
        _families(family),
        budget,
        folds,
        seed,
        chosen,
    )
    return {
        "rows": {name: part.counts for name, part in zip(THREE, parts, strict=True)},
        "arms": ", ".join(arm.name for arm in (LADDER if full else ARMS) if not (chosen and arm.synthetic)),
        "classifiers": numbers | ({"ratio": "chosen by cross-validation"} if chosen else {}),
        "generators": generators,
        "generator": fitted,
    }


Parts = tuple[LabeledData, LabeledData, LabeledData]


@dataclass(frozen=True)
class _HeldOut:
    """Rows by what they may be used for: ``rows`` by no generator, ``others`` all but the test rows."""

    rows: LabeledData
    others: LabeledData


def _evaluation_rows(
    dataset: Any, seed: int, test: str | None, columns: Mapping[str, Any]
) -> tuple[Parts, _HeldOut]:
    """Rows to train on, choose by and test on; and what generators may see."""
    named = with_three_splits(open_data(dataset, **columns), seed, test)
    held_out = _HeldOut(
        named.take(np.flatnonzero(named.splits != "train")),
        named.take(np.flatnonzero(named.splits != "test")),
    )
    return three_parts(named, seed), held_out


def _fitted_rows(parts: Parts, held_out: _HeldOut, chosen: bool) -> LabeledData:
    """What generators and classifiers are fitted to: with a choice, which has its own folds, all but the test rows."""
    return without_copies(held_out.others, parts[2]) if chosen else parts[0]


def _require_evaluable(
    rows: LabeledData,
    parts: Parts,
    generator: Generator | None,
    numbers: Mapping[str, Any],
    families: Sequence[str],
    budget: Mapping[str, Any],
    folds: int,
    seed: int,
    chosen: bool,
) -> dict[str, Any]:
    """Refuses what cannot be evaluated, before anything is trained; returns what makes the synthetic rows."""
    require_sense(**numbers)
    if generator is not None and numbers["generators"] > 1:
        raise InvalidRequest(
            f"evaluate was given a generator and asked for {numbers['generators']}: leave the generator out, and as "
            "many are trained."
        )
    for each in (rows, *parts[1:]):
        each.check_images()
    if generator is not None:
        require_unseen(parts[0], {"validation": parts[1], "test": parts[2]}, generator.trained_on)
        return describe(generator)
    if not chosen:
        return plan_training(rows, families[0], **budget)
    spent = _budget(budget["steps"], budget["minutes"]) | {"device": budget["device"]}
    return _require_choosable(rows, families, folds, numbers["steps"], seed, spent)


def _partition(rows: LabeledData) -> str | None:
    """A digest of which rows belong together, as folds depend on it; None without groups."""
    if rows.groups is None:
        return None
    _, number = np.unique(rows.groups, return_inverse=True)
    return hashlib.sha256(number.astype("<i8").tobytes()).hexdigest()


def _identity(function: Any) -> list[str] | None:
    """What tells one training function from another, as far as its own source does."""
    if function is None:
        return None
    name = [str(getattr(function, part, "")) for part in ("__module__", "__qualname__")]
    try:
        source = source_code.getsource(function)
    except (OSError, TypeError):  # it cannot be told from any other
        source = f"{os.getpid()} {id(function)}"
    return [*name, hashlib.sha256(source.encode()).hexdigest()]


def describe(generator: Generator) -> dict[str, Any]:
    """What a generator is, as plain JSON data."""
    return {
        "family": generator.family_name,
        "fingerprint": generator.fingerprint,
        "classes": list(generator.classes),
        "rows": str(generator.spec),
        "steps": generator.steps,
        "seconds": generator.seconds,
        "contains_training_rows": generator.contains_training_rows,
        "achieved": generator.achieved,
    }
