"""A labelled data set and a family in, a trained generator out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from synthaug.data.guards import require_disjoint
from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidData, SynthaugWarning
from synthaug.families import Family
from synthaug.generators.generator import Generator
from synthaug.seeding import numpy_rng
from synthaug.training.appraise import LEAST_STEPS, Appraiser
from synthaug.training.batches import Batches
from synthaug.training.budget import Training
from synthaug.training.loop import run_loop
from synthaug.training.threads import one_thread
from synthaug.training.watch import Callback, Preview, Tracker, figures_of
from synthaug.wording import quoted

_SAME = 0.1
# Of a budget in minutes: what is left for training beside looking at what it makes, and choosing a checkpoint.
_TRAINING_SHARE, _SCORING_SHARE = 0.95, 0.05


def train(
    data: LabeledData,
    training: Training,
    *,
    held_out: LabeledData | None = None,
    validation: LabeledData | None = None,
    folder: Path | None = None,
    tracker: Tracker | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
) -> Generator:
    """A generator trained on labelled rows, on the CPU.

    With validation rows the checkpoint is chosen by them: the averaged weights with which a small classifier,
    trained on samples alone, does best on them (`Appraiser`). Without, the last averaged weights are
    taken: to spare training rows for the choice costs a small data set more than the choice gains.

    Args:
        data: the training rows.
        training: what is trained, and for how long.
        held_out: rows that must never meet the generator's output; none of them may be in ``data``.
        validation: rows to choose the checkpoint by, of the same classes; none may be in ``data``, and the final
            test must be on others.
        folder: an existing folder for checkpoint, history and sample grids; a second call continues there.
        tracker: follows the history and the sample grids; the caller closes it.
        callbacks: follow the training, and may end it.
        progress: show a progress bar on stderr; where that is no terminal, a line a minute.

    Raises:
        InvalidData: the rows cannot be used; the message names them.
        InvalidRequest: an unknown family or option, an impossible budget, an image that is too large.
        Leakage: training and held-out rows overlap.
    """
    training.check(data)
    for others, name in ((held_out, "held-out"), (validation, "validation")):
        if others is not None:
            require_disjoint(data, others, f"training and {name} rows")
    chosen_by = None if validation is None else _alike(validation, data)
    with one_thread() if data.form.light else nullcontext():
        rows, seed = data.detached(), training.seed
        form = rows.form.fitted(rows.read())
        module = training.untrained(data, form)
        batches = Batches(rows, form, module.config.batch_size, seed)
        share = _TRAINING_SHARE if chosen_by is None else _TRAINING_SHARE - _SCORING_SHARE
        planned = training.planned(data, batches, share, folder)
        steps = planned.total(0)

        order = numpy_rng(seed, "remember").permutation(len(rows))
        if module.keeps_rows:
            device = next(module.parameters()).device
            remembered = (
                form.encode(rows.read(order)).to(device),
                torch.from_numpy(rows.labels[order]).to(device),
            )
            module.remember(*remembered)
        appraiser = Appraiser(rows, chosen_by, form, steps=steps, seed=seed)
        preview = Preview(
            None if folder is None else folder / "grids", tracker, data.classes.names, batches, seed
        )
        run = run_loop(
            module,
            module.phases(),
            batches,
            steps=planned,
            seed=seed,
            folder=folder,
            preview=None if folder is None and tracker is None else preview,
            score=appraiser.scoring(training.patience),
            spread=appraiser.spread if steps >= LEAST_STEPS else None,
            report=None if tracker is None else lambda line: tracker.log(figures_of(line), step=line["step"]),
            callbacks=callbacks,
            progress=progress,
        )
        assert isinstance(run.average, Family)
        if module.keeps_rows:
            run.average.finish(*remembered)
        if steps >= LEAST_STEPS:
            _warn_of_sameness(appraiser.spread(run.average))
        return Generator(
            family=run.average.cpu(),
            form=form,
            classes=data.classes,
            seed=seed,
            steps=run.steps,
            seconds=run.history[-1]["seconds"],
            history=run.history,
            data={"fingerprint": data.fingerprint(), "origin": data.origin, "counts": data.counts},
            trained_on=data.fingerprints(),
            held_out=_prints(held_out, validation),
            achieved=replace(appraiser.achieved(run.average), chosen_step=run.chosen_step),
        )


def _alike(validation: LabeledData, data: LabeledData) -> LabeledData:
    """Validation rows in memory, with the classes of the training rows; those of other classes are left out.

    Raises:
        InvalidData: rows of another form, or of no class that is trained on.
    """
    if why := data.form.why_not(validation.form):
        raise InvalidData(
            f"The validation rows do not have the form of the training rows: {why}. "
            "Give both the same image_size and dtype."
        )
    counts = data.counts
    found = [
        -1 if place is None or not counts[data.classes[place]] else place
        for place in data.classes.match(validation.classes)
    ]
    ours = np.array(found)[validation.labels]
    if not (ours >= 0).any():
        raise InvalidData(
            f"The validation rows have the classes {quoted(validation.classes, 5)}, none of which is trained on."
        )
    few = validation.take(np.flatnonzero(ours >= 0)).detached()
    return replace(few, classes=data.classes, labels=ours[ours >= 0])


def _prints(*kept: LabeledData | None) -> np.ndarray:
    """``(M,)`` uint64 fingerprints of rows that were not trained on, as far as they tell, each once."""
    found = [rows.telling_fingerprints() for rows in kept if rows is not None]
    return np.unique(np.concatenate(found)) if found else np.empty(0, np.uint64)


def _warn_of_sameness(spread: Mapping[str, float]) -> None:
    flat = [name for name, value in spread.items() if value < _SAME]
    if flat:
        more = f" and {len(flat) - 5} more" if len(flat) > 5 else ""
        warnings.warn(
            f"The samples hardly vary ({', '.join(flat[:5])}{more}: under {_SAME:.0%} of the spread of real rows). "
            "Train longer, choose another family, or leave them out.",
            SynthaugWarning,
            stacklevel=3,
        )
