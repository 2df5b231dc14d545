"""The public functions: each fills in its request, and runs it.

Columns, splits and sizes are said where a data set is opened, with `open_data`; a verb takes what that returned, or
anything that opens by itself.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthaug import data, files, generators, judging, mixing, report, training
from synthaug.errors import InvalidArtifact, InvalidRequest, OutputExists
from synthaug.judging.protocol import USUAL_PROTOCOL
from synthaug.options import command_of, python_of
from synthaug.outputs import Output, atomic_write_text, open_output, require_apart
from synthaug.requests import (
    ChooseRequest,
    EvaluateRequest,
    ExpandRequest,
    FitRequest,
    InspectRequest,
    PushRequest,
    Request,
    SampleRequest,
    maker_of,
)

__all__ = ["choose", "evaluate", "expand", "fit", "inspect", "load", "mix", "push", "sample"]


def fit(
    dataset: Any,
    family: str = FitRequest.family,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    options: Mapping[str, Any] | None = None,
    validation: Any = None,
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
    overwrite: bool = False,
    tracker: str | training.Tracker | None = None,
    unlabelled: Any = None,
    patience: int = FitRequest.patience,
    callbacks: Sequence[training.Callback] = (),
    progress: bool = True,
) -> generators.Generator:
    """A class-conditional generator trained on a labelled data set.

    Args:
        dataset: what `open_data` returned or takes: arrays ``(X, y)``, a torch data set, a Hugging Face data set, a
            path or a name. Of its splits the training one.
        family: ``cvae``, ``cgan`` or ``warp``, or a family of another package.
        steps: budget in training steps; or
        minutes: in minutes of wall time (3 when neither is given), turned into steps once, early.
        options: settings of the family that differ from its defaults.
        validation: rows to choose the best checkpoint by, as ``dataset``; of its splits the validation one. The own
            validation split of ``dataset`` when None. Without either the last averaged weights are taken.
        seed: the only source of randomness.
        device: ``auto``, ``cpu``, ``cuda``, ...
        out: a folder for the generator. With it, training survives being killed: the same call goes on from a
            checkpoint at most 5 % of the budget and 30 s old, and a finished folder is loaded.
        overwrite: replace what another request left at ``out``.
        tracker: the name of a tracker of ``accelerate``, such as ``tensorboard`` or ``wandb``, or an object with the
            methods of `synthaug.training.Tracker`; ``history.jsonl`` is always kept in ``out``.
        unlabelled: rows without labels, as in `choose`: those that classifiers of the labelled rows are sure of are
            trained on as well. `choose` finds out whether that helps.
        patience: with validation rows, how many looks in a row may be worse than the best before the training ends;
            there are five, at 40, 60, 80, 90 and 100 % of the budget.
        callbacks: functions of a `synthaug.training.Look`, called about 200 times in a training; where one answers
            True, it ends there. With ``out`` a function, a partial or a dataclass is known again by another process;
            an object of another class is not, and the training would begin anew.
        progress: show a progress bar on stderr; where that is no terminal, a line a minute. The logger ``synthaug``
            is told of the run in either case (`synthaug.progress`).

    Returns:
        The generator; on one thread the same for the same arguments, whether it was interrupted or not.

    Raises:
        InvalidData: rows that cannot be used, by class, file or row.
        InvalidRequest: an unknown family or option, or an impossible budget.
        OutputExists: something else is at ``out``.

    Example:
        >>> import numpy as np, synthaug
        >>> X, y = np.random.default_rng(0).integers(0, 255, (40, 8, 8), np.uint8), ["cat", "dog"] * 20
        >>> generator = synthaug.fit((X, y), steps=3, progress=False)
        >>> generator.sample({"cat": 2, "dog": 1}).labels
        array(['cat', 'cat', 'dog'], dtype='<U3')
    """
    generators.resolve_device(device)
    training.require_tracker(tracker, out is not None)
    by, opened = None if validation is None else data.open_data(validation), data.open_data(dataset)
    more = None if unlabelled is None else data.open_unlabelled(unlabelled, opened)
    watched = training.as_callbacks(callbacks)
    how = family, steps, minutes, options or {}, by, patience, seed, device, more, watched
    asked = FitRequest(opened, *how)
    (rows, held_out), chosen_by = asked.rows, asked.chosen_by
    with _place(out, asked, overwrite) as place:
        if place is not None and place.finished:
            training.forget(place.path)
            return load(place.path, device=device)
        folder = None if place is None else place.work
        if asked.further is not None:
            asked.task.check(rows)
            judged = judging.judge_unlabelled(rows, "fit", unlabelled=asked.further, seed=asked.seed)
            rows = judging.with_judged(rows, asked.further, judged)
        told = {"family": family, "seed": asked.seed, **asked.options}
        with training.follow(tracker, folder, told) as following:
            made = training.train(
                rows,
                asked.task,
                held_out=held_out,
                validation=chosen_by,
                folder=folder,
                tracker=following,
                callbacks=watched,
                progress=progress,
            )
        if place is not None:
            generators.write_generator(made, place.work)
            place.commit()
            training.forget(place.path)
    return made.to(device)


def load(
    path: str | Path, *, device: str = "auto", revision: str | None = None, token: str | None = None
) -> generators.Generator:
    """The generator saved in a folder or on the Hugging Face Hub, every file checked against its manifest.

    Args:
        path: a folder, also of a plan that has a generator; where there is none of that name, ``owner/name`` on the
            hub.
        device: ``auto``, ``cpu``, ``cuda``, ...
        revision: branch, tag or commit on the hub.
        token: for the hub, instead of the one that is logged in.

    Raises:
        InvalidArtifact: it is not there, not whole, changed, or of a newer version.
        HubError: the hub could not be reached, or has no such repository.
    """
    place = generators.resolve_device(device)
    folder = files.find_generator(path, revision=revision, token=token)
    if not _is_plan(folder):
        return generators.read_generator(folder).to(place)
    plan = judging.Plan.load(folder)
    if plan.generator is None:
        raise InvalidArtifact(f"{folder} holds a plan that came without a generator. {plan.advice}")
    return plan.generator.to(place)


def sample(
    generator: generators.Generator | judging.Plan | str | Path,
    counts: data.Counts,
    *,
    out: str | Path,
    format: str | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Exactly these new rows on disk, in bounded memory: those of ``generator.sample(counts, seed=seed)``.

    Args:
        generator: a generator, or the folder or name of a saved one; or a plan, or its folder.
        counts: rows per class by name or by the data set's own label, or one number for every class.
        out: a folder, .parquet, .csv or .npz to write.
        format: ``folder``, ``parquet``, ``csv``, ``npz`` or ``hf``, where the suffix of ``out`` does not say.
        seed: another seed gives other rows.
        device: for a saved generator.
        overwrite: replace what another request left at ``out``.
        progress: show progress on stderr; where that is no terminal, a line a minute.

    Returns:
        The path.

    Raises:
        InvalidRequest: an unknown class, a negative count, nothing at all, or a format that cannot hold the rows.
        OutputExists: something else is at ``out``.
    """
    require_apart(out, {"generator": _path_of(generator)})
    asked = SampleRequest(maker_of(_opened(generator, device)), counts, Path(out), format, seed)
    place = files.Place(Path(out), asked.format, overwrite, progress)
    return files.write_samples(asked.generator, asked.counts, place, seed=asked.seed)


def mix(
    loader: Any,
    source: Any,
    *,
    ratio: mixing.Ratio | None = None,
    mode: mixing.Mode = "replace",
    exact: bool = True,
    seed: int = 0,
    weight: float | None = None,
    flag: bool = False,
    pool: int = 200,
    refresh: float | None = None,
    transform: mixing.Transform | None = None,
    items: mixing.Items | None = None,
) -> Any:
    """A loader (or Hugging Face data set) like the given one, with synthetic rows in it.

    ``ratio`` is synthetic / (real + synthetic), the same in every class. *replace*: a real row gives way to a
    synthetic row of its own class, so labels, batch size and length stay as they were; a batch of n gets the floor
    or ceiling of ratio x n. *append*: every real row once, and batches grow. Two epochs get different plans, and
    the plan does not depend on the number of workers.

    The share is the same in every class on purpose: with synthetic rows in the rare classes only, a classifier
    learns that what looks synthetic is rare.

    Args:
        loader: a `torch.utils.data.DataLoader`, or a Hugging Face data set; a streaming one takes a generator as
            source, and its share holds on average.
        source: samples; a data set on disk that `expand` or `sample` wrote, for its synthetic rows; or a
            generator to draw ``pool`` rows of each class from; or the plan of `choose`, with its generator and share:
            one that says to use none gives the loader back as it is, but for marks that are asked for. Saved ones are
            given by their paths.
        ratio: the synthetic share, in [0, 1), 0.25 when None and no plan says more; or a mapping from class to shares
            (not for streaming data sets); for a loader any of them may be a schedule (`linear`, `cosine`, `off_after`).
        mode: ``replace`` or ``append``.
        exact: the share holds in every batch; else each row is drawn on its own, and it holds on average.
        seed: decides which rows give way to which.
        weight: adds a loss weight to each item of the batch, this one in synthetic rows and 1 in real ones.
        flag: adds whether a row is synthetic to each item of the batch.
        pool: rows of each class to draw from a generator.
        refresh: the part of a generator's pool that is new in every epoch, in (0, 1]; drawn in the main process.
        transform: applied to each synthetic image instead of the data set's own ``transform``.
        items: where image and label are in an item or a column, labels that are known, and what to fill other fields
            with, where these cannot be guessed.

    Returns:
        A loader of the same class with the same workers, collate function and order of real rows.

    Raises:
        InvalidRequest: a ratio outside [0, 1), a class the source lacks, an option of the other kind of loader.
        SpecMismatch: real and synthetic rows differ in shape, dtype or range; both are printed.
        Leakage: the loader holds rows that were held out from the generator.
        UnsupportedKind: a loader already prepared by another library, or a kind that is not taken.

    Example:
        >>> import numpy as np, synthaug
        >>> from torch.utils.data import DataLoader
        >>> X, y = np.random.default_rng(0).integers(0, 255, (40, 8, 8), np.uint8), [0, 1] * 20
        >>> samples = synthaug.fit((X, y), steps=3, progress=False).sample(10)
        >>> loader = synthaug.mix(DataLoader(list(zip(X, y)), batch_size=8), samples, ratio=0.5, flag=True)
        >>> [int(synthetic.sum()) for images, labels, synthetic in loader]
        [4, 4, 4, 4, 4]
    """
    path = _path_of(source)
    saved = path is not None and (_is_plan(path) or os.path.isfile(path / generators.MANIFEST))
    supply = mixing.Supply.of(_opened(source, "auto") if saved else source)
    how = mixing.MixOptions(
        ratio, mode, exact, seed, weight, flag, pool, refresh, transform, items or mixing.Items()
    )
    return mixing.adapter_for(loader).mix(loader, supply, how)


def expand(
    dataset: Any,
    generator: generators.Generator | judging.Plan | str | Path | None = None,
    *,
    to: data.Totals | None = None,
    out: str | Path | None = None,
    format: str | None = None,
    family: str = ExpandRequest.family,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    progress: bool = True,
) -> Any:
    """A larger data set of the same kind: the real rows first and unchanged, then synthetic rows class by class.

    Labels and all further columns of real rows come out as they went in; further columns are null in synthetic rows.

    Args:
        dataset: as in `fit`. Of its splits only the training one grows; the others are copied as they are.
        generator: one trained on these rows, or the plan of `choose`, with its generator and share, or the folder of
            either; without it one is trained first, as in `fit`, and kept in ``OUT.generator`` beside ``out``.
        to: final totals: ``"2x"``, ``"balance"``, ``{class: total}`` or a function of the counts; None for
            those that give a plan's share.
        out: a folder, .parquet, .csv or .npz to write, needed where ``dataset`` is a path or name.
        format: ``folder``, ``parquet``, ``csv``, ``npz`` or ``hf``, where the suffix of ``out`` does not say.
        family, steps, minutes, device: for the generator that is trained where none is given.
        seed: another seed gives other synthetic rows.
        overwrite: replace what another request left at ``out``.
        progress: show progress on stderr; where that is no terminal, a line a minute.

    Returns:
        The same kind of object with its provenance; the path where ``out`` is given.

    Raises:
        InvalidRequest: totals below what is there, or nothing to add.
        OutputExists: something else is at ``out``.
    """
    place = None if out is None else Path(out)
    if place is None and isinstance(dataset, str | os.PathLike):
        raise InvalidRequest(
            f'"{os.fspath(dataset)}" was to be expanded; say where to write it with out= (--out).'
        )
    if place is not None:
        require_apart(place, {"generator": _path_of(generator)})
    given = None if generator is None else _opened(generator, device)
    asked = ExpandRequest(
        data.open_data(dataset), given, to, place, format, family, steps, minutes, seed, device
    )
    asked.describe()
    if given is None:
        beside = None if place is None else Path(f"{place}.generator")
        if place is not None and place.exists() and not (beside and beside.exists()) and not overwrite:
            raise OutputExists(
                f"{out} is there from another request. Choose another name, or pass overwrite=True (--overwrite)."
            )
        maker = fit(**asked.fit().arguments(), out=beside, overwrite=overwrite, progress=progress)
        asked = replace(asked, generator=maker, family=ExpandRequest.family, steps=None, minutes=None)
    if place is None:
        return mixing.expand_in_memory(asked.expansion)
    return files.write_expansion(asked.expansion, files.Place(place, format, overwrite, progress))


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
    with _place(out, asked, overwrite) as place:
        if place is not None and place.finished:
            judging.sweep(place.path)
            return judging.Plan.load(place.path, device)
        work = _work(place, device, jobs, progress)
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
        require_apart(out, {"generator": _path_of(generator)})
    given = None if generator is None else _opened(generator, device)
    if ratio is None and isinstance(given, judging.Plan):
        ratio = given.mean_share
    maker = None if given is None else maker_of(given)
    rows = data.open_data(dataset)
    more = None if unlabelled is None else data.open_unlabelled(unlabelled, rows)
    own = dict(augmentations or {}), tuple(arms), more
    asked = EvaluateRequest(rows, families, maker, ratio, train, protocol, seed, device, *own)
    asked.inquiry.check(device)
    with _place(out, asked, overwrite) as place:
        if place is not None and place.finished:
            judging.sweep(place.path)
            told = (place.path / "report.json").read_text(encoding="utf-8")
            return judging.Evaluation.from_dict(json.loads(told))
        work = _work(place, device, jobs, progress)
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


def inspect(
    source: Any,
    *,
    real: Any = None,
    out: str | Path | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> dict[str, Any]:
    """What something is, as plain JSON data: a data set, an output, a report, or a generator, which may be drawn too.

    Args:
        source: a data set as in `fit`, a generator, or the path of an output, a report or a saved generator.
        real: rows to draw a generator's samples beside, as ``dataset`` in `fit`; of its splits the training one.
        out: a new folder for pictures of what is inside a generator.
        seed: decides what is drawn.
        device: for a saved generator.
        overwrite: replace what another request left at ``out``.

    Raises:
        InvalidRequest: pictures of something that is no generator, or real rows without pictures.
    """
    rows = None if real is None else data.training_rows(data.open_data(real))
    asked = InspectRequest(source, rows, None if out is None else Path(out), seed, device)
    found = asked.describe()
    if out is None:
        return found
    maker = maker_of(_opened(source, device))
    with open_output(out, replace(asked, source=maker).to_dict(), overwrite=overwrite) as place:
        if not place.finished:
            about = report.draw(maker, place.work, data=rows, seed=asked.seed)
            atomic_write_text(place.work / "pictures.json", json.dumps(about, ensure_ascii=False))
            place.commit()
    pictures = json.loads((Path(out) / "pictures.json").read_text(encoding="utf-8"))
    return found | {"out": str(out), "pictures": pictures}


def push(
    source: Any,
    name: str,
    *,
    license: str | None = None,
    private: bool | None = None,
    include_rows: bool = False,
    token: str | None = None,
) -> str:
    """Uploads a generator, a saved one or an output to the Hugging Face Hub; returns its address.

    Args:
        source: a generator, or the path of a saved one, of a plan for its generator, or of a data set that `expand` or
            `sample` wrote.
        name: ``owner/name``.
        license: as the hub spells it, e.g. ``cc-by-4.0``; the card says that it is not stated when None.
        private: whether only its owner sees it; as the owner has set it when None.
        include_rows: let real rows leave with it.
        token: instead of the one that is logged in.

    Raises:
        InvalidRequest: real rows would leave without being asked for.
        HubError: the hub could not be reached, or refused.
    """
    path = _path_of(source)
    if path is not None and _is_plan(path):
        source = path / judging.PLAN_GENERATOR
    asked = PushRequest(source, name, license, private, include_rows)
    return files.push(**asked.arguments(), token=token)


@contextmanager
def _place(out: str | Path | None, asked: Request, overwrite: bool) -> Iterator[Output | None]:
    """Where the output of a request is made; None where none is asked for."""
    if out is None:
        yield None
        return
    asked.require_apart(out)
    with open_output(out, asked.to_dict(), overwrite=overwrite) as output:
        yield output


def _work(place: Output | None, device: str, jobs: int | None, progress: bool) -> judging.Work:
    from joblib import cpu_count

    folder = None if place is None else place.work
    return judging.Work(device, cpu_count() if jobs is None else jobs, folder, progress)


def _opened(source: Any, device: str) -> Any:
    """What is saved in a folder, a generator or a plan; anything else as it is."""
    path = _path_of(source)
    if path is None:
        return source
    return judging.Plan.load(path, device) if _is_plan(path) else load(path, device=device)


def _again(asked: EvaluateRequest, found: judging.Evaluated) -> str:
    """What asks for the same: steps in place of minutes where they are known, as these are others elsewhere."""
    if not asked.inquiry.chooses and asked.generator is None and len(found.makers) == 1:
        known = replace(asked.protocol, minutes=None, steps=found.makers[0].steps)
        asked = replace(asked, protocol=known)
    return command_of("evaluate", asked, "again") or python_of("evaluate", asked, "again")


def _path_of(source: Any) -> Path | None:
    return Path(source) if isinstance(source, str | os.PathLike) else None


def _is_plan(path: Path) -> bool:
    return os.path.isfile(path / judging.PLAN_FILE)
