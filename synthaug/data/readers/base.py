"""What every reader gives, and what is said to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.classes import plain_label
from synthaug.data.items import Key
from synthaug.errors import InvalidData, InvalidRequest
from synthaug.modalities.arrays import as_array
from synthaug.modalities.image.medical import AS_STORED, ScanOptions
from synthaug.modalities.source import RowSource
from synthaug.wording import did_you_mean, quoted

if TYPE_CHECKING:
    import pyarrow

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm")
TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx", ".xls", ".arff")


@dataclass(frozen=True)
class Columns:
    """Where things are, as far as the user has said.

    Attributes:
        image: column, key or position of the image.
        label: column, key or position of the label.
        group: column, key or position of the group, or N group names.
        scans: how medical files are read.
        kinds: of columns of a table, by their names, where their types do not say it.
    """

    image: Key | None = None
    label: Key | None = None
    group: Any = None
    scans: ScanOptions = AS_STORED
    kinds: Mapping[str, str] = field(default_factory=dict)

    def refuse(self, what: str, names: Sequence[str] = ("image", "label", "group")) -> None:
        """Refuse what names a column of a source that has none."""
        for name in names:
            value = getattr(self, name)
            if isinstance(value, str | int):
                raise InvalidRequest(
                    f"{name}={value!r} was given, but {what} have no columns; leave it out"
                    + (", or pass one group name per row" if name == "group" else "")
                )


@dataclass(frozen=True)
class Reading:
    """How a source was read, to be told.

    Attributes:
        layout: what it was taken for, e.g. ``class folders in split folders``.
        left_out: how many files or rows were left out, by the reason.
        notes: what else a reader of it should know, a sentence each.
    """

    layout: str = ""
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """What a reader found.

    Attributes:
        images: N images, read on demand.
        targets: N labels in the data set's own encoding, not checked yet.
        origin: what to call the source in a message.
        names: what label i is called, where the source says so.
        splits: ``(N,)`` split names, where the source has them.
        groups: ``(N,)`` group names, where the user named them.
        path: where it lies on this machine; None for what does not.
        url: what it is called, where that is a copy of something elsewhere; None where it is not.
        reading: how it was read.
        beside: all further columns of the N rows, under their own names; None where there are none.
        image_column, label_column: what the columns of image and label are called; None where they have no names.
        label_feature: the feature of ``datasets`` that the label column has; None where it has none.
        synthetic: ``(N,)`` bool, the rows that synthaug made, in what it wrote; None elsewhere.
    """

    images: RowSource
    targets: Any
    origin: str
    names: Sequence[str] | None = None
    splits: np.ndarray | None = None
    groups: np.ndarray | None = None
    path: Path | None = None
    url: str | None = None
    reading: Reading = Reading()
    beside: pyarrow.Table | None = None
    image_column: str | None = None
    label_column: str | None = None
    label_feature: Any = None
    synthetic: np.ndarray | None = None


def column_of(
    known: Mapping[str, Any], asked: Key | None, usual: Sequence[str], what: str, origin: str
) -> str:
    """The column that is asked for, the only one, that of the most usual name, or the only one of a usual name."""
    if asked is not None:
        if asked not in known:
            raise InvalidRequest(f'{origin} has no column "{asked}".{did_you_mean(str(asked), known)}')
        return str(asked)
    if len(known) == 1:
        return next(iter(known))
    found = [name for name in usual if name in known]
    if len(found) > 1 and found[0] != usual[0]:
        raise InvalidData(
            f"{quoted(found)} may each be the {what} column of {origin}; name it with {what}= of open_data, or --{what}"
        )
    if not found:
        raise InvalidData(
            f"no {what} column stands out in {origin} (columns: {', '.join(known)}); name it with {what}= of "
            f"open_data, or --{what}"
        )
    return found[0]


def group_array(groups: Any, n: int) -> np.ndarray | None:
    """``(n,)`` group names as text; None where there are no groups."""
    if groups is None:
        return None
    groups = as_array(groups)
    if len(groups) != n:
        raise InvalidData(f"{n} images and {len(groups)} group names were given; every image needs one")
    return np.array([str(plain_label(group)) for group in groups], dtype=str)
