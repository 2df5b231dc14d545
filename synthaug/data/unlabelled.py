"""Rows without labels, or whose labels are not looked at, beside labelled ones of the same form."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from synthaug.data.embedded import embedded
from synthaug.data.guards import require_original
from synthaug.data.labeled import LabeledData
from synthaug.data.opening import open_data
from synthaug.data.readers import Reading
from synthaug.data.readers.listing import list_folder
from synthaug.data.readers.remote import copied
from synthaug.data.readers.written import record_of_folder
from synthaug.data.rows import Rows
from synthaug.errors import InvalidData, Leakage, SpecMismatch, SynthaugWarning, UnsupportedKind
from synthaug.modalities.arrays import as_array
from synthaug.modalities.image.cells import is_image
from synthaug.modalities.image.pictures import Pictures
from synthaug.wording import is_url

_LABEL = "synthaug_no_label"


def open_unlabelled(source: Any, like: LabeledData) -> LabeledData:
    """The rows of a source whose labels, if it has some, are not looked at.

    Args:
        source: whatever `open_data` takes; a folder of pictures in any folders; an array or tensor ``(N, ...)`` or a
            list of images.
        like: the labelled rows, whose form these have to have; pictures in files are brought to it as those are.

    Returns:
        The rows; all of them have the first class of ``like``, which says nothing.

    Raises:
        InvalidData: nothing that can be read.
        InvalidRequest: some of the rows are synthetic.
        SpecMismatch: rows of another form.
    """
    found = _elsewhere(source, like) if is_url(source) else _opened(source, like)
    require_original(found, "set of unlabelled rows")
    opening = like.found.images.opening
    if "embed" in opening and found.form.kind != like.form.kind:
        found = embedded(found, opening["embed"])
    if why := like.form.why_not(found.form):
        raise SpecMismatch(
            f"The unlabelled rows of {found.origin} do not have the form of the labelled ones: {why}. Bring them "
            "to it, or say image_size= and mode= of both to open_data."
        )
    none, labels = np.empty(0, np.int64), np.zeros(len(found), np.int64)
    plain = replace(found, classes=like.classes, labels=labels, splits=None, unclassed=none)
    return replace(plain, train_split=None, test_split=None)


def apart_from(
    unlabelled: LabeledData, known: LabeledData, held_out: LabeledData | None, drawn: bool = False
) -> LabeledData:
    """The unlabelled rows that are not among the labelled ones; those that are kept for testing are refused.

    Args:
        unlabelled: the rows.
        known: the labelled ones.
        held_out: rows to validate or test on.
        drawn: whether these were drawn from the labelled ones, so that nobody can know them before: copies of them are
            left out then, as are rows of their groups, not refused.

    Raises:
        Leakage: a held-out row, or its group, is among them.
        InvalidData: none is left.
    """
    prints = unlabelled.fingerprints()
    if held_out is not None and len(held_out):
        theirs = held_out.telling_fingerprints()
        shared = np.flatnonzero(np.isin(prints, theirs))
        if drawn:
            spared = np.isin(prints, theirs)
            if unlabelled.groups is not None and held_out.groups is not None:
                spared |= np.isin(unlabelled.groups, held_out.groups)
            return apart_from(unlabelled.take(np.flatnonzero(~spared)), known, None)
        if len(shared):
            one = unlabelled.name(int(shared[0]))
            raise Leakage(
                f"{len(shared)} of the unlabelled rows are rows to validate or test on, {one} for one: leave them "
                "out, or what is found there means nothing"
            )
        if unlabelled.groups is not None and held_out.groups is not None:
            groups = sorted(set(unlabelled.groups.tolist()) & set(held_out.groups.tolist()))
            if groups:
                raise Leakage(
                    f'the group "{groups[0]}" is among the unlabelled rows and among those to test on; keep every '
                    "group on one side"
                )
    _, first = np.unique(prints, return_index=True)
    once = np.union1d(first, np.flatnonzero(~unlabelled.telling()))
    own = once[~np.isin(prints[once], known.telling_fingerprints())]
    if unlabelled.groups is not None and known.groups is not None:
        # a fold that holds a group out would not hold these out
        apart = ~np.isin(unlabelled.groups[own], known.groups)
        if not apart.all():
            warnings.warn(
                f"{int((~apart).sum())} of the unlabelled rows of {unlabelled.origin} belong to groups of labelled "
                "rows; they are left out, as what is chosen is judged on groups that nothing was learned from",
                SynthaugWarning,
                stacklevel=4,
            )
        own = own[apart]
    if not len(own):
        raise InvalidData(
            f"all of the unlabelled rows of {unlabelled.origin} are labelled ones: nothing is left"
        )
    return unlabelled.take(own)


def joined(known: LabeledData, images: np.ndarray, labels: np.ndarray) -> LabeledData:
    """Labelled rows and others that were given labels, in memory.

    Args:
        known: the labelled rows.
        images: ``(N, *form.shape)`` others of the same form.
        labels: ``(N,)`` int64 positions in their classes.
    """
    names = [
        *(known.name(row) for row in range(len(known))),
        *(f"unlabelled row {row}" for row in range(len(images))),
    ]
    rows = np.concatenate([known.read(), images])
    kept = known.found.images.replaced(rows, names.__getitem__, known.form)
    return known.of_images(kept, known.origin, np.concatenate([known.labels, labels]))


def _elsewhere(url: str, like: LabeledData) -> LabeledData:
    """The rows at a url."""
    with copied(url) as copy:
        rows = _opened(str(copy.path), like)
        found = copy.source(rows.found)
    of = rows._rows
    return replace(
        rows,
        found=found,
        origin=copy.told(rows.origin),
        source=copy.url,
        _rows=Rows(found.images, of.form, of.memory),
    )


def _opened(source: Any, like: LabeledData) -> LabeledData:
    opening = {name: value for name, value in like.found.images.opening.items() if name != "embed"}
    said = {name: value for name, value in opening.items() if name != "mode"}
    if isinstance(source, LabeledData):
        return source
    if (
        isinstance(source, str | os.PathLike)
        and Path(source).is_dir()
        and record_of_folder(Path(source)) is None
    ):
        listing = list_folder(Path(source))
        if listing.pictures and not listing.scans:
            names = [str(listing.place / path) for path in listing.pictures]
            entries = listing.entries(listing.pictures)
            pictures = Pictures(names=names.__getitem__, entries=entries).as_asked(opening, "the folder")
            found = like.of_images(pictures, f"folder {source}", np.zeros(len(pictures), np.int64))
            left_out = {
                **listing.left_out,
                **({"other files": len(listing.others)} if listing.others else {}),
            }
            reading = Reading("pictures in any folders", left_out)
            told = replace(found.found, path=listing.place, reading=reading)
            return replace(found, found=told, source=source, said={})
    array = as_array(source)
    if isinstance(array, np.ndarray) or (isinstance(source, list) and source and is_image(source[0])):
        return open_data((source, [like.classes.values[0]] * len(source)), **said)
    if isinstance(columns := _columns_of(source), Mapping):
        rows = {name: _with_a_label(part, like) for name, part in columns.items()}
        kind: Any = type(columns)
        return open_data(kind(rows), label=_LABEL, **opening)
    if columns is not None:
        return open_data(_with_a_label(columns, like), label=_LABEL, **opening)
    if (alone := _array_of(source)) is not None:
        return open_data((alone, [like.classes.values[0]] * len(alone)), **said)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SynthaugWarning)  # of labels, which are not looked at
        try:
            return open_data(source, **said)
        except UnsupportedKind as error:
            raise InvalidData(f"unlabelled rows cannot be read: {error}") from error


def _columns_of(source: Any) -> Any:
    """The Hugging Face data set, or the splits of one, that a source is or holds; None where it is none."""
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    if path is not None and path.suffix.lower() == ".parquet" and path.is_file():
        import datasets
        from pyarrow import parquet

        return datasets.Dataset(datasets.table.InMemoryTable(parquet.read_table(path)))
    if path is not None and ((path / "dataset_dict.json").exists() or (path / "state.json").exists()):
        import datasets

        return datasets.load_from_disk(str(path))
    library = sys.modules.get("datasets")
    known = library is not None and isinstance(source, library.Dataset | library.DatasetDict)
    return source if known else None


def _with_a_label(columns: Any, like: LabeledData) -> Any:
    """The columns and another one that says of every row that it is of the first class, which says nothing."""
    return columns.with_format(None).add_column(_LABEL, [like.classes.values[0]] * len(columns))


def _array_of(source: Any) -> np.ndarray | None:
    """The images of an npz file that holds nothing else."""
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    if path is None or path.suffix.lower() != ".npz" or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[arrays.files[0]] if len(arrays.files) == 1 else None
    except (OSError, ValueError, BadZipFile):
        return None  # which is told by who reads it
