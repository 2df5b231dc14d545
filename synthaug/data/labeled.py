"""One indexed view over every kind of labelled data set."""

from __future__ import annotations

import hashlib
import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.classes import Classes
from synthaug.data.readers import Columns, Reading, Source
from synthaug.data.remarks import of_classes, of_rows
from synthaug.data.rows import Rows
from synthaug.errors import InvalidData, SynthaugWarning
from synthaug.modalities.base import Form
from synthaug.modalities.source import RowSource

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, eq=False)
class LabeledData:
    """Labelled rows, read on demand. `open_data` makes it.

    Attributes:
        classes: the classes, in the data set's order.
        labels: ``(N,)`` int64 positions in ``classes``.
        form: the form of a row; its range is None where only training rows may tell it.
        origin: what to call the source in a message, e.g. ``folder flowers`` or ``arrays``.
        groups: ``(N,)`` group names, rows of one group never lie on both sides of a split; or None.
        splits: ``(N,)`` split names ("train", "test", ...), or None where the source has none.
        source: what was opened; None for a part of it.
        columns: where its images and labels are, as far as that was said.
        train_split, test_split: the splits to train and to test on, where others than the usual ones were named.
        found: what the reader found, of the whole source.
        unclassed: numbers of rows of the source that are held out and have no class that training rows have.
        said: what was said of the source where it was opened, by the arguments of `open_data`.
    """

    classes: Classes
    labels: np.ndarray
    form: Form
    origin: str
    groups: np.ndarray | None
    splits: np.ndarray | None
    source: Any
    columns: Columns
    train_split: str | None
    test_split: str | None
    found: Source
    _rows: Rows
    _index: np.ndarray
    unclassed: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    said: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        return f"LabeledData({self.origin}: {len(self)} rows of {len(self.classes)} classes, {self.form})"

    def read(self, rows: np.ndarray | slice | Sequence[int] | None = None) -> np.ndarray:
        """The images of `rows` (all when None): ``(n, *form.shape)`` of dtype ``form.dtype``.

        Raises:
            InvalidData: if an image cannot be decoded or has another form than the first of the set.
        """
        return self._rows.read(self._index if rows is None else self._index[rows])

    def take(self, rows: np.ndarray | slice | Sequence[int]) -> LabeledData:
        """A view of these rows."""
        return replace(
            self,
            source=None,
            labels=self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
            splits=None if self.splits is None else self.splits[rows],
            _index=self._index[rows],
        )

    def others(self, split: str) -> LabeledData:
        """The rows of all other splits, also those without a class, whose label is -1: what training must not see."""
        rows = np.flatnonzero(self.splits != split) if self.splits is not None else np.empty(0, np.int64)
        known, further, found = self.take(rows), self.unclassed, self.found
        if not len(further):
            return known

        def both(own: np.ndarray | None, all_rows: np.ndarray | None) -> np.ndarray | None:
            return None if own is None or all_rows is None else np.concatenate([own, all_rows[further]])

        return replace(
            known,
            labels=np.concatenate([known.labels, np.full(len(further), -1)]),
            groups=both(known.groups, found.groups),
            splits=both(known.splits, found.splits),
            _index=np.concatenate([known._index, further]),
        )

    @property
    def path(self) -> Path | None:
        """Where the source lies on this machine, also of a part of it; None for what is in memory or on a hub."""
        return self.found.path

    @property
    def reading(self) -> Reading:
        """How the source was read."""
        return self.found.reading

    @property
    def beside(self) -> pyarrow.Table | None:
        """The further columns of these rows, under their own names; None where there are none."""
        return None if self.found.beside is None else self.found.beside.take(self._index)

    @property
    def synthetic(self) -> np.ndarray | None:
        """``(N,)`` bool, the rows that synthaug made, in what it wrote; None elsewhere."""
        return None if self.found.synthetic is None else self.found.synthetic[self._index]

    def detached(self) -> LabeledData:
        """The same rows in memory of their own, without the source: what can be sent to another process."""
        rows = self._rows.detached(self._index)
        found = replace(self.found, images=rows.images, targets=(), beside=None, synthetic=None)
        own = np.arange(len(rows))
        return replace(self, source=None, said={}, found=found, _rows=rows, _index=own, unclassed=own[:0])

    def of_images(self, images: RowSource, origin: str, labels: np.ndarray) -> LabeledData:
        """Other images, with ``(N,)`` positions in the classes of this data set."""
        rows = Rows(images, images.form(), self._rows.memory)
        found = replace(self.found, images=images, targets=(), beside=None, synthetic=None)
        plain = replace(
            self.take([]), origin=origin, form=rows.form, groups=None, splits=None, labels=labels, found=found
        )
        own = np.arange(len(images))
        return replace(plain, train_split=None, test_split=None, _rows=rows, _index=own, unclassed=own[:0])

    def name(self, row: int) -> str:
        """What to call a row in a message: its file, or ``row 17`` of the source."""
        return self._rows.images.name(int(self._index[row]))

    def file(self, row: int) -> Path | bytes | None:
        """The file that a row is, by its path or its bytes; None where it is none, or is changed on reading."""
        return self._rows.images.file(int(self._index[row]))

    @property
    def counts(self) -> dict[str, int]:
        """Rows per class name."""
        found = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, found.tolist(), strict=True))

    @property
    def present(self) -> list[str]:
        """The names of the classes that have rows."""
        return [name for name, count in self.counts.items() if count]

    def check(self) -> None:
        """Refuse what no generator can be trained on; every image is decoded once.

        Warns:
            SynthaugWarning: at classes of two to four images, at one that seems to be of rows without a label, at 8-bit
                images that use little of their range, and at a picture under two labels.

        Raises:
            InvalidData: at a single class, a class with no or one image, images of mixed sizes or kinds, all of one
                value, and corrupt, truncated or non-finite images, by the name of the class, file or row.
        """
        counts, noun = self.counts, self.form.noun
        if len(counts) < 2:
            raise InvalidData(
                f'{self.origin} has a single class, "{next(iter(counts))}"; at least two are needed'
            )
        for name, count in counts.items():
            if count < 2:
                raise InvalidData(
                    f'class "{name}" of {self.origin} has {f"one {noun}" if count else f"no {noun}s"}; at '
                    f"least 2 a class are needed: add {noun}s, or leave the class out: "
                    f"open_data(source, leave_out=[{name!r}]), or --leave-out {shlex.quote(name)}"
                )
        for remark in of_classes(self):
            warnings.warn(remark, SynthaugWarning, stacklevel=2)
        self.check_images()
        low, high = self.span()
        if low == high:
            raise InvalidData(
                f"every {self.form.grain} of every {noun} of {self.origin} is {low:g}: there is nothing to learn"
            )
        for remark in of_rows(self):
            warnings.warn(remark, SynthaugWarning, stacklevel=2)

    def remarks(self) -> list[str]:
        """What should be known before rows are trained on, a sentence each; every image has to be decodable."""
        return [*of_classes(self), *of_rows(self), *filter(None, [self.form.instead])]

    def broken(self) -> dict[int, str]:
        """Rows that cannot be decoded, and why; each row is decoded."""
        wrong = self._rows.images.broken()
        return {row: wrong[of] for row, of in enumerate(self._index.tolist()) if of in wrong}

    def check_images(self) -> None:
        """Refuse mixed sizes or kinds, and corrupt, truncated or non-finite images; each is decoded once.

        Raises:
            InvalidData: by the name of the file or row.
        """
        self._rows.check(self._index)

    def span(self) -> tuple[float, float]:
        """The lowest and the highest value of all rows, which have been checked."""
        return self._rows.span(self._index)

    def several_frames(self) -> int:
        """How many files of the source have further pages or frames, which are not read."""
        return self._rows.images.several_frames()

    @property
    def resized(self) -> bool:
        """Whether the images are brought to a size that was asked for."""
        return self._rows.images.resized

    def fingerprints(self) -> np.ndarray:
        """``(N,)`` uint64 content hash of each row; equal pictures are equal in any layout or dtype."""
        return self._rows.fingerprints(self._index)

    def telling(self) -> np.ndarray:
        """``(N,)`` bool: the rows that are known by their content; equal ones of others may be so by chance."""
        return self._rows.telling(self._index)

    def telling_fingerprints(self) -> np.ndarray:
        """``(n,)`` uint64 those of `telling` rows: what can be found among other rows."""
        told: np.ndarray = self.fingerprints()[self.telling()]
        return told

    def fingerprint(self) -> str:
        """A hex digest (64 characters) of rows, labels and class names."""
        digest = hashlib.sha256(repr((self.classes.names, self.classes.values)).encode())
        digest.update(self.fingerprints().astype("<u8").tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()
