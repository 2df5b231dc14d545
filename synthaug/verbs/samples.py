"""Generators and the rows that they make: trained, written, beside those of a data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthaug import data, files, generators, judging, mixing, training
from synthaug.errors import InvalidRequest, OutputExists
from synthaug.files.writing import USUAL_WRITING
from synthaug.outputs import require_apart
from synthaug.requests import ExpandRequest, FitRequest, SampleRequest, call_of, maker_of
from synthaug.verbs.place import load, opened, path_of, placed, where


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
    ranks = training.ranks()
    if ranks.world > 1 and steps is None:
        raise InvalidRequest(
            f"{ranks.world} processes were to train together for minutes, which each counts by its own clock. "
            "Give steps= (--steps)."
        )
    with placed(out if ranks.first else None, asked, overwrite) as place:
        if ranks.told(place is not None and place.finished):
            assert out is not None, "it is there"
            if ranks.first:
                training.forget(Path(out))
            return load(out, device=device)
        folder = None if place is None else place.work
        if asked.further is not None:
            asked.task.check(rows)
            judged = judging.judge_unlabelled(rows, "fit", unlabelled=asked.further, seed=asked.seed)
            rows = judging.with_judged(rows, asked.further, judged)
        told = {"family": family, "seed": asked.seed, **asked.options}
        with training.follow(tracker if ranks.first else None, folder, told) as following:
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


def sample(
    generator: generators.Generator | judging.Plan | str | Path,
    counts: data.Counts,
    *,
    out: str | Path,
    format: str | None = None,
    seed: int = 0,
    device: str = "auto",
    writing: files.Writing = USUAL_WRITING,
    overwrite: bool = False,
    progress: bool = True,
) -> Path | str:
    """Exactly these new rows on disk, in bounded memory: those of ``generator.sample(counts, seed=seed)``.

    Args:
        generator: a generator, or the folder or name of a saved one; or a plan, or its folder.
        counts: rows per class by name or by the data set's own label, or one number for every class.
        out: a folder, .parquet, .csv or .npz to write; or the url of one elsewhere, as text, such as
            ``s3://bucket/more.parquet``.
        format: ``folder``, ``parquet``, ``shards``, ``webdataset``, ``csv``, ``npz`` or ``hf``, where the suffix of
            ``out`` does not say.
        seed: another seed gives other rows.
        device: for a saved generator.
        writing: in which runs, and by whom; see `synthaug.Writing`.
        overwrite: replace what another request left at ``out``.
        progress: show progress on stderr; where that is no terminal, a line a minute.

    Returns:
        The path or the url.

    Raises:
        InvalidRequest: an unknown class, a negative count, nothing at all, or a format that cannot hold the rows.
        OutputExists: something else is at ``out``.
    """
    require_apart(out, {"generator": path_of(generator)})
    asked = SampleRequest(maker_of(opened(generator, device)), counts, where(out), format, seed, writing)
    call = call_of(asked, path_of(generator))
    place = files.Place(where(out), asked.format, overwrite, progress, asked.writing, call)
    return files.write_samples(asked.generator, asked.counts, place, seed=asked.seed)


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
    writing: files.Writing = USUAL_WRITING,
    overwrite: bool = False,
    progress: bool = True,
    curate: bool = False,
    attempts: int = ExpandRequest.attempts,
) -> Any:
    """A larger data set of the same kind: the real rows first and unchanged, then synthetic rows class by class.

    Labels and all further columns of real rows come out as they went in; further columns are null in synthetic rows.

    Args:
        dataset: as in `fit`. Of its splits only the training one grows; the others are copied as they are.
        generator: one trained on these rows, or the plan of `choose`, with its generator and share, or the folder of
            either; without it one is trained first, as in `fit`, and kept in ``OUT.generator`` beside ``out``.
        to: final totals: ``"2x"``, ``"balance"``, ``"log"``, a number that every class is to have, ``{class: total}``
            or a function of the counts; None for those that give a plan's share.
        out: as in `sample`; needed where ``dataset`` is a path or name. At a url it takes a generator.
        format: as in `sample`.
        family, steps, minutes, device: for the generator that is trained where none is given.
        seed: another seed gives other synthetic rows.
        writing: as in `sample`.
        overwrite: replace what another request left at ``out``.
        progress: show progress on stderr; where that is no terminal, a line a minute.
        curate: whether a sample has to pass judges, classifiers that are fitted to the training rows. Of each class the
            first that pass are taken, as many as are asked for, and none that does not.
        attempts: with ``curate`` at most so many samples are looked at for each that is wanted.

    Returns:
        The same kind of object with its provenance; the path where ``out`` is given.

    Raises:
        InvalidRequest: totals below what is there, or nothing to add; or too few samples pass the judges, with how
            many of each class.
        OutputExists: something else is at ``out``.
    """
    place = None if out is None else where(out)
    if place is None and isinstance(dataset, str | os.PathLike):
        raise InvalidRequest(
            f'"{os.fspath(dataset)}" was to be expanded; say where to write it with out= (--out).'
        )
    if place is not None:
        require_apart(place, {"generator": path_of(generator)})
    given, kept = None if generator is None else opened(generator, device), path_of(generator)
    how = format, family, steps, minutes, seed, device, writing, curate, attempts
    asked = ExpandRequest(data.open_data(dataset), given, to, place, *how)
    asked.describe()
    if given is None:
        beside = None if place is None else Path(f"{place}.generator")
        if place is not None and os.path.exists(place) and not (beside and beside.exists()) and not overwrite:
            raise OutputExists(
                f"{out} is there from another request. Choose another name, or pass overwrite=True (--overwrite)."
            )
        maker = fit(**asked.fit().arguments(), out=beside, overwrite=overwrite, progress=progress)
        asked = replace(asked, generator=maker, family=ExpandRequest.family, steps=None, minutes=None)
        kept = beside
    expansion = asked.curated(progress=progress)
    if place is None:
        return mixing.expand_in_memory(expansion)
    goes = files.Place(place, format, overwrite, progress, asked.writing, call_of(asked, kept))
    return files.write_expansion(expansion, goes)
