"""A data set in, a larger one out: the real rows as they were, then synthetic rows class by class."""

from __future__ import annotations

import io
import os
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset
from tqdm import tqdm

from synthaug.data.counts import Counts, Totals, resolve_counts, rows_to_add
from synthaug.data.items import ItemForm, Key
from synthaug.data.labeled import LabeledData, open_data
from synthaug.data.splits import part
from synthaug.errors import (
    InvalidData,
    InvalidRequest,
    Leakage,
    SpecMismatch,
    SynthaugWarning,
    UnsupportedKind,
)
from synthaug.files import formats
from synthaug.files.formats import Card, Rows, real_provenance
from synthaug.generators.samples import PROVENANCE_COLUMNS, Samples
from synthaug.modalities.image.spec import ImageSpec
from synthaug.outputs import atomic_write_bytes, open_output

if TYPE_CHECKING:
    from synthaug.generators.generator import Generator

_SHARD = 1024  # rows

_BALANCE = (
    'Filling up only the smaller classes teaches a classifier that "looks synthetic" means "minority": '
    "measured, it lost 6.2 points of accuracy against a balanced sampler. The remedy: leave the data set as "
    "it is, draw the classes evenly with a balanced sampler, and mix the same share of synthetic rows into "
    "every class (synthaug.mix)."
)


class ExpandedArrays(tuple[Any, Any]):
    """The pair ``(X, y)`` of a larger data set, real rows first.

    Attributes:
        provenance: the columns of `PROVENANCE_COLUMNS` by name, one entry a row; in real rows ``synthetic``
            is False and the others are empty or -1.
    """

    provenance: Mapping[str, np.ndarray]

    def __new__(cls, X: Any, y: Any, provenance: Mapping[str, np.ndarray]) -> ExpandedArrays:  # noqa: D102
        pair = super().__new__(cls, (X, y))
        pair.provenance = provenance
        return pair

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (*self, self.provenance)


class ExpandedDataset(Dataset[Any]):
    """A torch data set: the items of another one untouched, then synthetic items of the same structure.

    Attributes:
        real: the data set that was expanded.
        provenance: as in `ExpandedArrays`.
    """

    def __init__(
        self,
        real: Any,
        form: ItemForm,
        images: np.ndarray,
        labels: Sequence[Any],
        provenance: Mapping[str, np.ndarray],
    ) -> None:
        self.real = real
        self.provenance = provenance
        self._form, self._like = form, real[0]
        self._images, self._labels = images, labels
        self[len(real)]  # an item that cannot be built is refused here, not in the middle of training

    def __len__(self) -> int:
        return len(self.real) + len(self._images)

    def __getitem__(self, row: int) -> Any:
        row = range(len(self))[row]
        made = row - len(self.real)
        if made < 0:
            return self.real[row]
        return self._form.build(self._images[made], self._labels[made], like=self._like)


def expand_dataset(
    source: Any,
    generator: Generator,
    to: Totals,
    *,
    out: str | Path | None = None,
    format: str | None = None,
    seed: int = 0,
    split: str = "train",
    label: Key | None = None,
    image: Key | None = None,
    group: Any = None,
    image_size: int | tuple[int, int] | None = None,
    overwrite: bool = False,
    shard_size: int = _SHARD,
    progress: bool = False,
) -> Any:
    """A larger data set: in memory of the same kind as ``source``, or on disk.

    Real rows come first and unchanged, then the synthetic rows class by class in the order of the classes.
    Where the source has splits, one is expanded and the others are copied as they are.

    Args:
        source: any kind of data set that `open_data` takes, or what it returned.
        generator: a trained generator for rows of this form and these classes.
        to: final totals, see `rows_to_add`.
        out: where to write. Needed where ``source`` is a path or a name; otherwise the result may stay in
            memory.
        format: ``folder``, ``parquet``, ``npz`` or ``hf``; the suffix of ``out`` decides when None.
        seed: another seed gives other synthetic rows.
        split: the split that is expanded.
        label: as in `open_data`, and so are ``image``, ``group`` and ``image_size``.
        image: the image's column, key or position.
        group: the group of each row; on disk it becomes a column, in which synthetic rows are one group.
        image_size: the size every image is brought to, on disk only.
        overwrite: replace an output of another request.
        shard_size: rows made, kept and written at a time. A killed call goes on after its last shard.
        progress: show a bar on stderr.

    Returns:
        For arrays `ExpandedArrays` of the arrays' own type, dtype, layout and label encoding; also for a
        source that `open_data` returned, then without the splits that are not expanded. For a torch data set
        `ExpandedDataset`. For a Hugging Face set one with its own features (columns beside image and label
        are null in synthetic rows) and the provenance columns. With ``out`` its path.

    Warns:
        SynthaugWarning: at ``"balance"``, which has a measured cost.

    Raises:
        SpecMismatch: the rows of data set and generator differ in form.
        Leakage: rows to be expanded are held out for testing.
        InvalidRequest: totals, names, formats or classes that do not fit, or a source that already holds
            synthetic rows.
        OutputExists: ``out`` is there from another request.
    """
    columns: dict[str, Any] = {"label": label, "image": image, "group": group, "image_size": image_size}
    data, _ = plan_expansion(source, to, out=out, format=format, split=split, **columns)
    plan = _plan(data, generator, to, split, seed)
    if out is not None:
        return _expand_to_disk(plan, _Place.choose(out, format, data.spec, overwrite, shard_size, progress))
    if isinstance(source, LabeledData):
        return _expand_arrays(plan.train.read(), np.array(data.values)[plan.train.labels], plan)
    if isinstance(source, tuple):
        X, y = source
        return _expand_arrays(X, y, plan)
    datasets = sys.modules.get("datasets")
    if datasets is not None and isinstance(source, datasets.Dataset | datasets.DatasetDict):
        return _expand_huggingface(source, plan, image, label)
    form = ItemForm.of(source[0], image=image, label=label)
    samples = plan.samples()
    return ExpandedDataset(source, form, samples.samples, plan.labels(samples), plan.provenance(samples))


def plan_expansion(
    source: Any,
    to: Totals,
    *,
    out: str | Path | None = None,
    format: str | None = None,
    split: str = "train",
    label: Key | None = None,
    image: Key | None = None,
    group: Any = None,
    image_size: int | tuple[int, int] | None = None,
) -> tuple[LabeledData, dict[str, int]]:
    """All that can be refused before there is a generator; then the opened rows and the rows to add per class.

    The arguments are those of `expand_dataset`, and so are the errors.
    """
    _refuse_expanded(source)
    if out is None and isinstance(source, str | os.PathLike):
        raise InvalidRequest(f'"{source}" is a data set on disk: say where to write with out= (--out).')
    if out is None and image_size is not None:
        raise InvalidRequest("With image_size= the rows change their form: write them with out= (--out).")
    data = open_data(source, label=label, image=image, group=group, image_size=image_size)
    added = rows_to_add(to, part(data, split).counts, data.values)
    if out is not None:
        _refuse_inside(out, source)
        formats.choose_format(out, format, data.spec)
    return data, added


def write_samples(
    generator: Generator,
    counts: Counts,
    out: str | Path,
    *,
    format: str | None = None,
    seed: int = 0,
    overwrite: bool = False,
    shard_size: int = _SHARD,
    progress: bool = False,
) -> Path:
    """Synthetic rows alone on disk, in bounded memory: those of ``generator.sample(counts, seed=seed)``.

    The arguments are those of `expand_dataset`, except ``counts``: new rows, see `resolve_counts`.

    Raises:
        InvalidRequest: counts or formats that cannot be met.
        OutputExists: ``out`` is there from another request.
    """
    place = _Place.choose(out, format, generator.spec, overwrite, shard_size, progress)
    card = Card(
        generator.classes,
        generator.values,
        generator.spec,
        origin="",
        generator=generator.fingerprint,
        family=generator.family_name,
        seed=seed,
        real={},
        synthetic=resolve_counts(counts, generator.classes, generator.values),
        copied={},
    )
    return _write(place, {"kind": "sample"}, card, generator, None)


# ----------------------------------------------------------------------------------------------- the plan


@dataclass(frozen=True)
class _Plan:
    """What will be added to what, after everything that can be refused has been."""

    data: LabeledData
    train: LabeledData
    generator: Generator
    added: Mapping[str, int]
    seed: int
    split: str

    def samples(self) -> Samples:
        return self.generator.sample(self.added, seed=self.seed)

    def labels(self, samples: Samples) -> list[Any]:
        """The labels in the data set's own encoding, which need not be the generator's."""
        value = dict(zip(self.data.classes, self.data.values, strict=True))
        return [value[str(name)] for name in samples.provenance["class"]]

    def provenance(self, samples: Samples, real: int | None = None) -> dict[str, np.ndarray]:
        before = real_provenance(len(self.data) if real is None else real)
        return {name: np.concatenate([before[name], samples.provenance[name]]) for name in PROVENANCE_COLUMNS}


def _plan(data: LabeledData, generator: Generator, to: Totals, split: str, seed: int) -> _Plan:
    train = part(data, split)
    _require_same_form(data, generator)
    added = rows_to_add(to, train.counts, data.values)
    leaking = np.isin(train.fingerprints(), generator.held_out)
    if data.splits is not None:
        copies = leaking & np.isin(train.fingerprints(), data.fingerprints()[data.splits != split])
        if copies.any():
            warnings.warn(
                f"{int(copies.sum())} training rows of {data.origin} are copies of rows in its other splits, "
                f"{train.name(int(np.flatnonzero(copies)[0]))} for one; they are written as they are.",
                SynthaugWarning,
                stacklevel=4,
            )
        leaking &= ~copies
    held_out = np.flatnonzero(leaking)
    if len(held_out):
        raise Leakage(
            f"{len(held_out)} of the rows of {data.origin} are held out for testing, "
            f"{train.name(int(held_out[0]))} for one. Leave them out of the rows to expand, so that what is "
            "trained on the result can still be tested."
        )
    if to == "balance":
        warnings.warn(_BALANCE, SynthaugWarning, stacklevel=4)
    return _Plan(data, train, generator, added, seed, split)


def _require_same_form(data: LabeledData, generator: Generator) -> None:
    real, made = data.spec, generator.spec
    if real.low is None:
        real = replace(real, low=made.low, high=made.high)
    if replace(real, container=made.container) != made:
        raise SpecMismatch(
            f"The rows of {data.origin} are {data.spec}; the generator makes {made}. Bring the data set "
            "to the form of the generator, or train a generator on it."
        )
    lacks = set(data.classes) - set(generator.classes)
    extra = set(generator.classes) - set(data.classes)
    if lacks or extra:
        raise InvalidRequest(
            f"The classes of {data.origin} are not those of the generator: the generator lacks "
            f"{_names(lacks)}, the data set lacks {_names(extra)}. Use one trained for these classes."
        )


def _names(names: set[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names)) or "none"


def _refuse_expanded(source: Any) -> None:
    expanded = isinstance(source, ExpandedArrays | ExpandedDataset)
    if isinstance(source, str | os.PathLike) and Path(source).exists():
        record = formats.read_record(Path(source))
        expanded = record is not None and record["request"].get("kind") in ("expand", "sample")
    if expanded:
        raise InvalidRequest(
            "The data set to expand already holds synthetic rows of synthaug, which would pass for real "
            "ones. Expand the original."
        )


def _refuse_inside(out: str | Path, source: Any) -> None:
    if isinstance(source, str | os.PathLike) and Path(out).resolve().is_relative_to(Path(source).resolve()):
        raise InvalidRequest(f'The output "{out}" lies in the data set "{source}" itself. Put it elsewhere.')


# ---------------------------------------------------------------------------------------------- in memory


def _expand_arrays(X: Any, y: Any, plan: _Plan) -> ExpandedArrays:
    samples = plan.samples()
    X, y = _extended(X, samples.samples), _extended(y, plan.labels(samples))
    return ExpandedArrays(X, y, plan.provenance(samples, len(y) - len(samples)))


def _extended(real: Any, new: Any) -> Any:
    """``real`` with ``new`` rows behind, of the type and dtype of ``real``."""
    if isinstance(real, torch.Tensor):
        return torch.cat([real, torch.as_tensor(np.asarray(new)).to(real)])
    if isinstance(real, np.ndarray) and real.dtype == object and isinstance(new, np.ndarray):
        raise UnsupportedKind("X of dtype object was given. Give one array of all rows: np.stack(X).")
    if isinstance(real, np.ndarray):
        # The labels come from the data set itself, so that no string is cut.
        return np.concatenate([real, np.asarray(new).astype(real.dtype)])
    if isinstance(new, np.ndarray):
        form = ItemForm(image=0, label=1)
        new = [form.build(row, 0, like=(real[0], 0))[0] for row in new]
    return type(real)([*real, *new])


def _expand_huggingface(source: Any, plan: _Plan, image: Key | None, label: Key | None) -> Any:
    import datasets

    single = isinstance(source, datasets.Dataset)
    parts = {plan.split: source} if single else dict(source)
    real, data = parts[plan.split], plan.data if single else plan.train
    form = ItemForm.of(real.with_format("numpy")[0], data.values[data.labels[0]], image, label)
    if list(real.with_format(None)[form.label]) != [data.values[position] for position in data.labels]:
        raise InvalidData(
            f'The column "{form.label}" does not hold the labels. Name the one that does: label=.'
        )
    samples = plan.samples()
    images = list(samples.samples)
    if isinstance(real.features[form.image], datasets.Image):
        images = [Image.fromarray(row) for row in images]
    columns: dict[Key, Any] = {name: [None] * len(samples) for name in real.column_names}
    columns |= {form.image: images, form.label: plan.labels(samples)}
    if single and data.splits is not None:
        columns["split"] = [plan.split] * len(samples)
    made = datasets.Dataset.from_dict(columns, features=real.features)
    larger = {}
    for name, rows in parts.items():
        kinds = _provenance_kinds(rows, form.label)
        whole = formats.mark_real(rows, kinds)
        if name == plan.split:
            about = {column: samples.provenance[column].tolist() for column in kinds}
            beside = datasets.Dataset.from_dict(about, features=datasets.Features(kinds))
            whole = datasets.concatenate_datasets(
                [whole, datasets.concatenate_datasets([made, beside], axis=1)]
            )
        larger[name] = _formatted_like(rows, whole)
    return larger[plan.split] if single else datasets.DatasetDict(larger)


def _provenance_kinds(rows: Any, label: Key) -> dict[str, Any]:
    # A label column of the name "class" already says what ours would.
    kinds = {name: kind for name, kind in formats.provenance_features().items() if name != label}
    clash = sorted(set(kinds) & set(rows.column_names))
    if clash:
        raise InvalidRequest(
            f'The data set has a column "{clash[0]}", where the provenance of a row goes. If it comes from '
            f'synthaug, expand the original; if not, rename_column("{clash[0]}", ...) first.'
        )
    return kinds


def _formatted_like(rows: Any, whole: Any) -> Any:
    form = rows.format
    return whole.with_format(
        form["type"],
        columns=None if form["columns"] == rows.column_names else form["columns"],
        output_all_columns=form["output_all_columns"],
        **form["format_kwargs"],
    )


# ------------------------------------------------------------------------------------------------ on disk


@dataclass(frozen=True)
class _Place:
    """Where an output goes and how it gets there."""

    out: Path
    format: formats.Format
    overwrite: bool
    shard_size: int
    progress: bool

    @classmethod
    def choose(
        cls,
        out: str | Path,
        format: str | None,
        spec: ImageSpec,
        overwrite: bool,
        shard_size: int,
        progress: bool,
    ) -> _Place:
        if shard_size < 1:
            raise InvalidRequest(f"A shard size of {shard_size} was asked for. Give 1 or more rows.")
        return cls(Path(out), formats.choose_format(out, format, spec), overwrite, shard_size, progress)


def _expand_to_disk(plan: _Plan, place: _Place) -> Path:
    data = plan.data
    splits = np.full(len(data), plan.split) if data.splits is None else data.splits
    others = data.take(np.flatnonzero(splits != plan.split))
    names, rows = np.unique(splits[splits != plan.split], return_counts=True)
    card = Card(
        data.classes,
        data.values,
        plan.generator.spec,
        origin=data.origin,
        generator=plan.generator.fingerprint,
        family=plan.generator.family_name,
        seed=plan.seed,
        real=plan.train.counts,
        synthetic=plan.added,
        copied=dict(zip(names.tolist(), rows.tolist(), strict=True)),
    )
    request = {
        "kind": "expand",
        "data": plan.train.fingerprint(),
        "copied": [card.copied, others.fingerprint()],
        "split": None if data.splits is None else plan.split,
    }
    return _write(place, request, card, plan.generator, data)


def _write(
    place: _Place, request: Mapping[str, Any], card: Card, generator: Generator, real: LabeledData | None
) -> Path:
    """The real rows, then those that the card lists as synthetic, as an output that appears whole."""
    request = {
        **request,
        "generator": card.generator,
        "add": [list(item) for item in card.synthetic.items()],
        "seed": card.seed,
        "format": place.format,
        "shard_size": place.shard_size,
    }
    with open_output(
        place.out, request, overwrite=place.overwrite, recorded=formats.recorded_request
    ) as output:
        if output.finished:
            return place.out
        shards = output.work / ".shards"
        shards.mkdir(exist_ok=True)
        split = request.get("split")
        group = None if real is None or real.groups is None else "synthetic"
        blocks = _synthetic_rows(generator, card, shards, place.shard_size, split, group)
        if real is not None:
            blocks = chain(_real_rows(real, place.shard_size), blocks)
        with tqdm(total=card.rows, unit=" rows", disable=not place.progress) as bar:
            file = formats.write_rows(
                output.work, place.format, _counted(blocks, bar), card, request, generator.held_out
            )
        shutil.rmtree(shards)
        output.commit(file)
    return place.out


def _counted(blocks: Iterable[Rows], bar: Any) -> Iterator[Rows]:
    for rows in blocks:
        yield rows
        bar.update(len(rows))


def _real_rows(data: LabeledData, shard_size: int) -> Iterator[Rows]:
    for start in range(0, len(data), shard_size):
        block = data.take(slice(start, start + shard_size))
        names = [block.name(row) for row in range(len(block))]
        yield Rows(block.read(), block.labels, names, real_provenance(len(block)), block.splits, block.groups)


def _synthetic_rows(
    generator: Generator, card: Card, shards: Path, shard_size: int, split: str | None, group: str | None
) -> Iterator[Rows]:
    """The rows to add, shard by shard; each is kept in the folder ``shards`` so that it is made only once."""
    for name, n in card.synthetic.items():
        label = card.classes.index(name)
        for start in range(0, n, shard_size):
            index = np.arange(start, min(n, start + shard_size), dtype=np.int64)
            kept, count = shards / f"{label}-{start}.npy", len(index)
            if not kept.exists():
                images = generator.sample_rows(name, start, start + count, seed=card.seed).samples
                buffer = io.BytesIO()
                np.save(buffer, images)
                atomic_write_bytes(kept, buffer.getvalue())
            yield Rows(
                np.load(kept),
                np.full(count, label, np.int64),
                [f"synthetic-{card.seed}-{row}.png" for row in index.tolist()],
                {
                    "synthetic": np.ones(count, bool),
                    "generator": np.full(count, card.generator),
                    "seed": np.full(count, card.seed, np.int64),
                    "class": np.full(count, name),
                    "index": index,
                },
                None if split is None else np.full(count, split),
                None if group is None else np.full(count, group),
            )
