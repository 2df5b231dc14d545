"""The public functions: they compose the stages and hold no arithmetic."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.counts import Totals
from synthaug.data.items import Key
from synthaug.data.labeled import LabeledData, open_data
from synthaug.data.splits import (
    split_names,
    training_and_held_out,
    training_rows,
    validation_rows,
)
from synthaug.errors import InvalidRequest, OutputExists
from synthaug.files import expand as expansion
from synthaug.files.expand import expand_dataset, write_samples
from synthaug.files.formats import read_record
from synthaug.files.stored import read_samples
from synthaug.generators.artifact import MANIFEST, read_manifest, write_artifact
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.judging.answers import choose, describe, evaluate, plan_choice, plan_evaluation
from synthaug.judging.evaluation import (
    Evaluation,
)
from synthaug.judging.plan import Plan
from synthaug.mixing.huggingface.dataset import is_huggingface, mix_dataset
from synthaug.mixing.huggingface.stream import mix_stream
from synthaug.mixing.plan import Mode
from synthaug.mixing.pool import Refresh
from synthaug.mixing.schedule import Ratio
from synthaug.mixing.torch.loader import mix_dataloader
from synthaug.modalities.image.view import save_grid
from synthaug.outputs import open_output
from synthaug.report import inside as inspection
from synthaug.report.report import advice, picked
from synthaug.training.loop import forget
from synthaug.training.trackers import Tracker, follow
from synthaug.training.train import Trained, plan_training, resolve_device, train_generator

__all__ = [
    "choose", "describe", "draw", "evaluate", "expand", "fit", "inspect", "load", "mix", "plan_choice",
    "plan_evaluation", "plan_expansion", "plan_fit", "show", "summary", "write_samples",
]  # fmt: skip


def fit(
    dataset: Any,
    family: str = "cvae",
    *,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
    label: Key | None = None,
    image: Key | None = None,
    group: Any = None,
    split: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    validation: Any = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    tracker: str | Tracker | None = None,
    progress: bool = True,
) -> Generator:
    """A class-conditional generator trained on a labelled data set.

    Args:
        dataset: arrays ``(X, y)``, a torch data set, a Hugging Face data set, or a path or name; see README.
        family: ``cvae``, ``cgan`` or ``warp``.
        steps: budget in training steps; or
        minutes: in minutes of wall time (3 when neither is given), turned into steps once, early.
        seed: the only source of randomness.
        device: ``auto``, ``cpu``, ``cuda``, ...
        options: settings of the family that differ from its defaults.
        label, image, group: columns, keys or positions, where they cannot be guessed.
        split: the split to train on; ``train`` where the source has splits.
        image_size: pixels a side, or (height, width): every image is resized to it.
        out: a folder for the generator. With it, training survives being killed: the same call goes on from a
            checkpoint at most 5 % of the budget and 30 s old, and a finished folder is loaded.
        validation: rows to choose the best checkpoint by, as ``dataset``; the source's own validation split when
            None. Without either the last averaged weights are taken.
        overwrite: replace what another request left at ``out``.
        tracker: ``tensorboard`` or ``wandb``, which write into ``out``, or an object with their methods
            (`synthaug.training.trackers.Tracker`); ``history.jsonl`` is always kept there.
        progress: show a progress bar on stderr.

    Returns:
        The generator; on one thread the same for the same arguments, whether it was interrupted or not.

    Raises:
        InvalidData: rows that cannot be used, by class, file or row.
        InvalidRequest: an unknown family, option, split or column, or an impossible budget.
        OutputExists: something else is at ``out``.

    Example:
        >>> import numpy as np, synthaug
        >>> X, y = np.random.default_rng(0).integers(0, 255, (40, 8, 8), np.uint8), ["cat", "dog"] * 20
        >>> generator = synthaug.fit((X, y), steps=3, progress=False)
        >>> generator.sample({"cat": 2, "dog": 1}).labels
        array(['cat', 'cat', 'dog'], dtype='<U3')
    """
    columns: dict[str, Any] = {"label": label, "image": image, "group": group, "image_size": image_size}
    data = open_data(dataset, **columns)
    rows, held_out = training_and_held_out(data, split)
    chosen_by = validation_rows(data, split) if validation is None else open_data(validation, **columns)

    def train(folder: Path | None) -> Trained:
        with follow(tracker, folder, {"family": family, "seed": seed, **(options or {})}) as following:
            return train_generator(
                rows,
                family,
                options=options,
                steps=steps,
                minutes=minutes,
                seed=seed,
                device=device,
                held_out=held_out,
                validation=chosen_by,
                folder=folder,
                tracker=following,
                progress=progress,
            )

    if out is None:
        return Generator(train(None), device)
    request = {
        "fit": rows.fingerprint(),
        "form": rows.spec.to_dict(),
        "held_out": None if held_out is None else held_out.fingerprint(),
        "validation": None if chosen_by is None else chosen_by.fingerprint(),
        "family": family,
        "options": dict(options or {}),
        "steps": steps,
        "minutes": minutes,
        "seed": seed,
    }
    with open_output(out, request, overwrite=overwrite) as output:
        if not output.finished:
            write_artifact(train(output.work), output.work)
            output.commit()
        forget(output.path)
    return load(out, device=device)


def load(
    path: str | Path, *, device: str = "auto", revision: str | None = None, token: str | None = None
) -> Generator:
    """The generator saved in a folder or on the Hugging Face Hub, every file checked against its manifest.

    Args:
        path: a folder; where there is none of that name, ``owner/name`` on the hub.
        device: ``auto``, ``cpu``, ``cuda``, ...
        revision: branch, tag or commit on the hub.
        token: for the hub, instead of the one that is logged in.

    Raises:
        InvalidArtifact: it is not there, not whole, changed, or of a newer version.
        HubError: the hub could not be reached, or has no such repository.
    """
    return Generator.load(path, device=str(resolve_device(device)), revision=revision, token=token)


def mix(
    loader: Any,
    source: Samples | Generator | Plan | str | Path,
    *,
    ratio: Ratio | None = None,
    mode: Mode = "replace",
    exact: bool = True,
    seed: int = 0,
    weight: float | None = None,
    flag: bool = False,
    pool: int = 200,
    refresh: float | None = None,
    transform: Callable[[Any], Any] | None = None,
    fill: Mapping[Any, Any] | None = None,
    labels: Any = None,
    label: Key | None = None,
    image: Key | None = None,
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
        source: samples; a data set on disk that `expand` or `synthaug sample` wrote, for its synthetic rows; or a
            generator to draw ``pool`` rows of each class from; or the plan of `choose`, with its generator and share:
            one that says to use none gives the loader back as it is.
        ratio: the synthetic share, in [0, 1), 0.25 when None and no plan says more; or a mapping from class to shares
            (not for streaming data sets); for
            a loader any of them may be a schedule (`linear`, `cosine`, `off_after`).
        mode: ``replace`` or ``append``.
        exact: the share holds in every batch; else each row is drawn on its own, and it holds on average.
        seed: decides which rows give way to which.
        weight: adds a loss weight to each item of the batch, this one in synthetic rows and 1 in real ones.
        flag: adds whether a row is synthetic to each item of the batch.
        pool: rows of each class to draw from a generator.
        refresh: the part of a generator's pool that is new in every epoch, in (0, 1]; drawn in the main process.
        transform: applied to each synthetic image instead of the data set's own ``transform``.
        fill: values of fields other than image and label in synthetic items.
        labels: one label per real row, where reading the data set once for them is too slow.
        label, image: keys or positions in an item, or columns, where they cannot be guessed.

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
    if isinstance(source, Plan):
        own, maker = source, _maker_of(source)
        if maker is None:
            return loader
        if ratio is None:
            ratio = own.mean_share if is_huggingface(loader) else own.ratio
        seed = seed if own.kept is None else own.seed
        source = maker
    if isinstance(source, Generator) and source.kept is not None:
        if refresh is not None:
            raise InvalidRequest(
                "refresh= draws new rows; of a curated generator there are no more than were kept."
            )
        source = source.sample({name: min(pool, len(rows)) for name, rows in source.kept.items()}, seed=seed)
    ratio = 0.25 if ratio is None else ratio
    if is_huggingface(loader) and not hasattr(loader, "__len__"):
        given: dict[str, bool] = {
            "exact": not exact,
            "weight": weight is not None,
            "flag": flag,
            "refresh": refresh is not None,
        }
        given |= {"transform": transform is not None, "labels": labels is not None, "mode": mode != "replace"}
        _refuse_given("a DataLoader", **given, ratio=not isinstance(ratio, int | float))
        return mix_stream(loader, source, ratio=ratio, seed=seed, label=label, image=image, fill=fill)  # type: ignore[arg-type]
    renewed = None
    if isinstance(source, Generator):
        samples = source.sample(pool, seed=seed)
        renewed = None if refresh is None else Refresh(partial(source.sample_rows, seed=seed), refresh)
    else:
        if refresh is not None:
            raise InvalidRequest(
                "refresh= draws new rows, which takes a generator; fixed samples were given."
            )
        samples = source if isinstance(source, Samples) else read_samples(source)
    if is_huggingface(loader):
        given = {
            "exact": not exact,
            "weight": weight is not None,
            "flag": flag,
            "refresh": refresh is not None,
        }
        given |= {"transform": transform is not None, "labels": labels is not None}
        _refuse_given("a DataLoader", **given)
        columns = {"label": label, "image": image}
        return mix_dataset(loader, samples, ratio=ratio, mode=mode, seed=seed, fill=fill, **columns)  # type: ignore[arg-type]
    return mix_dataloader(
        loader,
        samples,
        ratio=ratio,
        mode=mode,
        exact=exact,
        seed=seed,
        weight=weight,
        flag=flag,
        refresh=renewed,
        transform=transform,
        fill=fill,
        labels=labels,
        label=label,
        image=image,
    )


def _maker_of(plan: Plan) -> Generator | None:
    """The generator that a plan is to use; None where it is to use none."""
    if plan.accepted and plan.generator is None:
        raise InvalidRequest(
            f"The plan is to use samples of {plan.family}, but came without its generator. Read it from the folder "
            "that choose wrote, with Plan.load, or give it one with plan.with_generator."
        )
    return plan.generator


def _refuse_given(kind: str, **given: bool) -> None:
    """Options that would be dropped silently."""
    if names := [f"{name}=" for name, is_given in given.items() if is_given]:
        raise InvalidRequest(
            f"{', '.join(names)} as given is for {kind}, and something else was to be mixed."
        )


def expand(
    dataset: Any,
    generator: Generator | Plan | None = None,
    *,
    to: Totals | None = None,
    out: str | Path | None = None,
    format: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = True,
    family: str = "cvae",
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "auto",
    label: Key | None = None,
    image: Key | None = None,
    group: Any = None,
    split: str | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> Any:
    """A larger data set of the same kind: the real rows first and unchanged, then synthetic rows class by class.

    Args:
        dataset: as in `fit`. Of its splits only the training one grows; the others are copied as they are.
        generator: one trained on these rows, or the plan of `choose`, with its generator and share; without it one is
            trained first, as in `fit`, and kept in ``OUT.generator`` beside ``out``.
        to: final totals: ``"2x"``, ``"balance"``, ``{class: total}`` or a function of the counts; None for
            those that give a plan's share.
        out: a folder, .parquet or .npz to write, needed where ``dataset`` is a path or name.
        format: ``folder``, ``parquet``, ``npz`` or ``hf``, where the suffix of ``out`` does not say.
        seed: another seed gives other synthetic rows.
        overwrite: replace what another request left at ``out``.
        progress: show progress on stderr.
        family, steps, minutes, device: for the generator that is trained where none is given.
        label, image, group, split, image_size: as in `fit`.

    Returns:
        The same kind of object with its provenance; the path where ``out`` is given.

    Raises:
        InvalidRequest: totals below what is there, or nothing to add.
        OutputExists: something else is at ``out``.
    """
    columns: dict[str, Any] = {"label": label, "image": image, "group": group, "image_size": image_size}
    if isinstance(generator, Plan):
        plan = generator
        generator = _maker_of(plan)
        if generator is None:
            raise InvalidRequest(f"The plan is to add nothing. {plan.advice}")
        to = plan.totals if to is None else to
        seed = seed if plan.kept is None else plan.seed
    if to is None:
        raise InvalidRequest('expand was given no totals: say to="2x", to="balance" or to={class: total}.')
    plan_expansion(dataset, to, out=out, format=format, split=split, **columns)
    if generator is None:
        place = None
        if out is not None:
            place = Path(f"{os.fspath(out).rstrip('/')}.generator")
            if Path(out).exists() and not place.exists() and not overwrite:
                raise OutputExists(
                    f"{out} is there from another request. Choose another name, or say --overwrite."
                )
        how: dict[str, Any] = {
            "steps": steps,
            "minutes": minutes,
            "seed": seed,
            "device": device,
            "split": split,
        }
        generator = fit(dataset, family, out=place, overwrite=overwrite, progress=progress, **how, **columns)
    return expand_dataset(
        dataset,
        generator,
        to,
        out=out,
        format=format,
        seed=seed,
        split=split or "train",
        overwrite=overwrite,
        progress=progress,
        **columns,
    )


def plan_fit(
    dataset: Any,
    family: str,
    *,
    split: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    options: Mapping[str, Any] | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    device: str = "auto",
    **columns: Any,
) -> dict[str, Any]:
    """What `fit` would do, as plain JSON data; raises what it would raise before training."""
    rows, held_out = training_and_held_out(open_data(dataset, image_size=image_size, **columns), split)
    plan = plan_training(rows, family, options=options, steps=steps, minutes=minutes, device=device)
    return plan | {"held_out": 0 if held_out is None else len(held_out)}


def plan_expansion(
    dataset: Any,
    to: Totals,
    *,
    out: str | Path | None = None,
    format: str | None = None,
    split: str | None = None,
    **columns: Any,
) -> dict[str, int]:
    """Synthetic rows per class that `expand` would add; raises what it would raise before training."""
    return expansion.plan_expansion(dataset, to, out=out, format=format, split=split or "train", **columns)[1]


def summary(evaluation: Evaluation) -> str:
    """The advice and a line per arm, for a terminal."""
    differences = {c.arm: c for c in evaluation.comparisons}
    lines = [advice(evaluation), ""]
    for arm in evaluation.arms:
        mean = 100 * np.mean([getattr(score, evaluation.metric) for score in arm.test])
        lines.append(f"  {arm.name:18} {mean:5.1f} %")
        if arm.name in differences:
            of = differences[arm.name].difference
            lines[-1] += f"  {100 * of.mean:+5.1f} points [{100 * of.low:+.1f}, {100 * of.high:+.1f}]"
        else:
            lines[-1] += f"  the baseline, picked {picked(evaluation)}"
    return "\n".join(lines)


def show(generator: Generator, data: LabeledData, path: Path, *, seed: int = 0, per_class: int = 8) -> None:
    """Writes a picture of real rows beside synthetic ones, class by class."""
    names = [name for name, n in data.counts.items() if n]
    few = [np.flatnonzero(data.labels == data.classes.index(name)) for name in names]
    real = data.read(np.concatenate([np.resize(rows, per_class) for rows in few]))
    made = generator.sample(dict.fromkeys(names, per_class), seed=seed).samples
    save_grid(path, names, {"real": real, "synthetic": made}, generator.spec)


def draw(
    generator: Generator | str | Path,
    out: str | Path,
    *,
    data: Any = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    split: str | None = None,
    **columns: Any,
) -> dict[str, str]:
    """Pictures of what is inside a generator, in a new folder, and what each shows; see `synthaug.report.inside`.

    Args:
        generator: a generator, or the folder or name of a saved one.
        out: the folder for the pictures.
        data: real rows to show samples beside, as in `fit`; of its splits the training one.
        seed: decides what is drawn.
        device: for a saved generator.
        overwrite: replace what another request left at ``out``.
        split: another split of the data.
        columns: of the data, as in `fit`.
    """
    maker = generator if isinstance(generator, Generator) else load(generator, device=device)
    real = None if data is None else training_rows(open_data(data, **columns), split)
    request = {
        "draw": maker.fingerprint,
        "data": None if real is None else real.fingerprint(),
        "seed": seed,
    }
    with open_output(out, request, overwrite=overwrite) as output:
        if output.finished:
            return dict(json.loads((output.path / "pictures.json").read_text(encoding="utf-8")))
        about = inspection.draw(maker, output.work, data=real, seed=seed)
        (output.work / "pictures.json").write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        output.commit()
    return about


def inspect(path: Any, **columns: Any) -> dict[str, Any]:
    """What is at a path, as plain JSON data: a saved generator, an output, or a data set."""
    if isinstance(path, str | os.PathLike) and (Path(path) / MANIFEST).is_file():
        manifest = read_manifest(Path(path))
        return {"kind": "generator"} | {name: value for name, value in manifest.items() if name != "files"}
    if isinstance(path, str | os.PathLike) and (Path(path) / "report.json").is_file():
        report = json.loads((Path(path) / "report.json").read_text(encoding="utf-8"))
        shown = ("advice", "verdict", "rows", "config", "generator")
        return {"kind": "report"} | {name: report[name] for name in shown}
    record = read_record(Path(path)) if isinstance(path, str | os.PathLike) and Path(path).exists() else None
    split = columns.pop("split", None)
    data = open_data(path, **columns)
    found = {
        "kind": "data set" if record is None else "expanded data set",
        "origin": data.origin,
        "rows": len(data),
        "form": str(data.spec),
        "splits": {name: len(training_rows(data, name)) for name in split_names(data)},
        "classes": (data if split is None else training_rows(data, split)).counts,
    }
    return found if record is None else found | {"card": record["card"]}
