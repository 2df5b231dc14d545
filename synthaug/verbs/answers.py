"""What to train with, and whether synthetic rows help."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthaug import data, generators, judging, report
from synthaug.judging.protocol import USUAL_PROTOCOL
from synthaug.options import command_of, python_of
from synthaug.outputs import require_apart
from synthaug.requests import ChooseRequest, EvaluateRequest, maker_of
from synthaug.verbs.place import opened, path_of, placed, work_of


def choose(
    dataset: Any,
    *,
    families: str | Sequence[str] = (),
    train: judging.Train | None = None,
    protocol: judging.Protocol = USUAL_PROTOCOL,
    seed: int = 0,
    device: str = "auto",
    jobs: int | None = None,
    augmentations: Mapping[str, Any] | None = None,
    arms: Sequence[judging.Arm] = (),
    unlabelled: Any = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> judging.Plan:
    """How much of which synthetic rows to train with, by cross-validation inside the training rows; 0 is a candidate.

    In each fold generators are fitted to the rows that are not held out, and classifiers are trained without and with
    their samples for equally many steps. What is expected to gain most is tried first, and where that is sure, the
    other families are not. No synthetic rows win ties, and are kept unless the gain, on folds that
    did not choose, is more than its error (`synthaug.judging.search_options`).

    Args:
        dataset: as in `fit`; of its splits the training one.
        families: families to try; those of the kind of rows where none is named (`synthaug.judging.FAMILIES`).
        train: ``fn(loader, steps, seed)`` as in `evaluate`; the built-in small classifier when None.
        protocol: folds, optimizer steps, and the budget of each generator, one for each fold and family that is tried.
        seed: the only source of randomness.
        device: for generators.
        jobs: processes that train classifiers; the number of cores when None.
        augmentations: your own to try beside the usual ones, by name: transforms of albumentations that give images
            like those they are given.
        arms: ways of your own to prepare the rows, to try beside the usual ones.
        unlabelled: rows without labels, or whose labels are not looked at: whatever ``dataset`` may be, a folder of
            pictures, or an array. Classifiers of the labelled rows label them in rounds; the surest are tried as rows
            to mix in, and families are trained on both. Copies of labelled rows among them are left out.
        out: a folder for the plan and its generator; the same call goes on where a killed one was, and reads a
            finished plan.
        overwrite: replace what another request left at ``out``.
        progress: show progress and the time left on stderr; where that is no terminal, a line a minute.

    Returns:
        The plan: ``plan.apply(loader)`` follows it; `mix` and `expand` take it in place of a generator.

    Raises:
        InvalidData: too few rows for the folds.
        Leakage: rows to test on are among the unlabelled ones.
        InvalidRequest: an unknown family, or an impossible budget.
    """
    rows = data.open_data(dataset)
    more = None if unlabelled is None else data.open_unlabelled(unlabelled, rows)
    own = dict(augmentations or {}), tuple(arms), more
    asked = ChooseRequest(rows, families, train, protocol, seed, device, *own)
    asked.question.check(device)
    with placed(out, asked, overwrite) as place:
        if place is not None and place.finished:
            judging.sweep(place.path)
            return judging.Plan.load(place.path, device)
        work = work_of(place, device, jobs, progress)
        plan = judging.choose(
            asked.question, work, judging.Runner(asked.question.train, work)
        ).with_generator()
        if place is not None:
            plan.write(place.work)
            place.commit()
            judging.sweep(place.path)
    return plan


def evaluate(
    dataset: Any,
    *,
    families: str | Sequence[str] = (),
    generator: generators.Generator | judging.Plan | str | Path | None = None,
    ratio: float | None = None,
    train: judging.Train | None = None,
    protocol: judging.Protocol = USUAL_PROTOCOL,
    seed: int = 0,
    device: str = "auto",
    jobs: int | None = None,
    augmentations: Mapping[str, Any] | None = None,
    arms: Sequence[judging.Arm] = (),
    unlabelled: Any = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> judging.Evaluation:
    """Does it help, and how much should be used? `choose`, then one paired test on rows that had no part in it.

    Classifiers are trained without synthetic rows, in every usual way, and as the choice prefers, for equally many
    steps. With ``generator`` or ``ratio`` nothing is chosen: that share is tried, with and without augmentation, and
    validation rows pick the arms that are compared.

    Args:
        dataset: as in `fit`. Its own splits are used; what is missing is drawn by class: a quarter of the rows for
            testing, a fifth of the rest for validation. The generator sees neither.
        families: families for the choice to try; the first is trained where ``ratio`` is given.
        generator: one that has seen neither validation nor test rows, or the folder of one; it is evaluated as it is,
            nothing is chosen. Or a plan or its folder, for its generator at its share.
        ratio: share of synthetic rows in the arms that have them; the choice's own when None.
        train: ``fn(loader, steps, seed)`` that returns ``predict(batch) -> labels or scores``; the built-in small
            classifier when None. Labels are positions in the classes. A function that takes ``loss`` as well can
            stand in for the built-in one in the arms that need a loss of their own, such as mixup.
        protocol: folds, seeds, generators, optimizer steps, and each generator's budget.
        seed: the only source of randomness.
        device: for the generator.
        jobs: processes that train classifiers; the number of cores when None.
        augmentations, arms, unlabelled: as in `choose`.
        out: a folder for report.json, report.md and report.html, and the new generator; the same call goes on where
            a killed one was, and reads a finished report.
        overwrite: replace what another request left at ``out``.
        progress: show progress and the time left on stderr; where that is no terminal, a line a minute.

    Returns:
        Every arm's scores, paired differences to the best baseline, the verdict, and the plan where one was chosen.

    Raises:
        Leakage: the generator has seen validation or test rows.
    """
    if out is not None:
        require_apart(out, {"generator": path_of(generator)})
    given = None if generator is None else opened(generator, device)
    if ratio is None and isinstance(given, judging.Plan):
        ratio = given.mean_share
    maker = None if given is None else maker_of(given)
    rows = data.open_data(dataset)
    more = None if unlabelled is None else data.open_unlabelled(unlabelled, rows)
    own = dict(augmentations or {}), tuple(arms), more
    asked = EvaluateRequest(rows, families, maker, ratio, train, protocol, seed, device, *own)
    asked.inquiry.check(device)
    with placed(out, asked, overwrite) as place:
        if place is not None and place.finished:
            judging.sweep(place.path)
            told = (place.path / "report.json").read_text(encoding="utf-8")
            return judging.Evaluation.from_dict(json.loads(told))
        work = work_of(place, device, jobs, progress)
        found = judging.evaluate(asked.inquiry, work, judging.Runner(asked.inquiry.train, work))
        found = found.asked_again(_again(asked, found))
        if place is None:
            return found.evaluation
        evaluation = report.report_on(found, asked.inquiry, work, place.work)
        if generator is None:
            for number, maker in enumerate(found.makers):
                folder = place.work / judging.generator_name(number)
                folder.mkdir(exist_ok=True)  # of one that was not trained there is none yet
                generators.write_generator(maker, folder)
        place.commit()
        judging.sweep(place.path)
    return evaluation


def _again(asked: EvaluateRequest, found: judging.Evaluated) -> str:
    """What asks for the same: steps in place of minutes where they are known, as these are others elsewhere."""
    if not asked.inquiry.chooses and asked.generator is None and len(found.makers) == 1:
        known = replace(asked.protocol, minutes=None, steps=found.makers[0].steps)
        asked = replace(asked, protocol=known)
    return command_of("evaluate", asked, "again") or python_of("evaluate", asked, "again")
