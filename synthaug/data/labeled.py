"""One indexed view over every kind of labelled data set."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.classes import Classes, classes_of
from synthaug.data.items import Key
from synthaug.data.readers import Columns, Reading, Source, read_source
from synthaug.data.rows import Rows
from synthaug.errors import InvalidData, InvalidRequest, SynthaugWarning
from synthaug.modalities.image.form import ImageForm
from synthaug.wording import did_you_mean

if TYPE_CHECKING:
    import pyarrow

_SMALLEST = 8  # pixels a side
_FEW = 5  # images of a class
_MEMORY = 2**29


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
    """

    classes: Classes
    labels: np.ndarray
    form: ImageForm
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
        return replace(self, source=None, found=found, _rows=rows, _index=np.arange(len(rows)))

    def name(self, row: int) -> str:
        """What to call a row in a message: its file, or ``row 17`` of the source."""
        return self._rows.images.name(int(self._index[row]))

    @property
    def counts(self) -> dict[str, int]:
        """Rows per class name."""
        found = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, found.tolist(), strict=True))

    def check(self) -> None:
        """Refuse what no generator can be trained on; every image is decoded once.

        Warns:
            SynthaugWarning: at classes of two to four images.

        Raises:
            InvalidData: at a single class, a class with no or one image, images of mixed sizes or kinds, and
                corrupt, truncated or non-finite images, by the name of the class, file or row.
        """
        counts = self.counts
        if len(counts) < 2:
            raise InvalidData(
                f'{self.origin} has a single class, "{next(iter(counts))}"; at least two are needed'
            )
        for name, count in counts.items():
            if count < 2:
                raise InvalidData(
                    f'class "{name}" of {self.origin} has {"one image" if count else "no images"}; at least '
                    "2 a class are needed: add images, or leave the class out"
                )
        few = [f'"{name}" ({count})' for name, count in counts.items() if count < _FEW]
        if few:
            warnings.warn(
                f"few images of {', '.join(few)}: below {_FEW} a class, samples are close to copies",
                SynthaugWarning,
                stacklevel=2,
            )
        self.check_images()

    def check_images(self) -> None:
        """Refuse mixed sizes or kinds, and corrupt, truncated or non-finite images; each is decoded once.

        Raises:
            InvalidData: by the name of the file or row.
        """
        self._rows.check(self._index)

    @property
    def resized(self) -> bool:
        """Whether the images are brought to a size that was asked for."""
        return self._rows.images.size is not None

    def fingerprints(self) -> np.ndarray:
        """``(N,)`` uint64 content hash of each row; equal pictures are equal in any layout or dtype."""
        return self._rows.fingerprints(self._index)

    def fingerprint(self) -> str:
        """A hex digest (64 characters) of rows, labels and class names."""
        digest = hashlib.sha256(repr((self.classes.names, self.classes.values)).encode())
        digest.update(self.fingerprints().astype("<u8").tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()


def open_data(
    source: Any,
    *,
    label: Key | None = None,
    image: Key | None = None,
    group: Key | Sequence[Any] | np.ndarray | None = None,
    image_size: int | tuple[int, int] | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
    memory: int = _MEMORY,
) -> LabeledData:
    """The labelled images of `source`, listed but not decoded.

    Verbs take whatever this function takes where nothing has to be said of it; columns, sizes and splits are said here.

    Args:
        source: ``(X, y)`` of NumPy arrays or torch tensors (``(N, H, W)``, ``(N, H, W, C)`` or
            ``(N, C, H, W)`` with 1, 3 or 4 channels); a map-style torch data set (read once, kept in
            memory); a Hugging Face ``Dataset`` or ``DatasetDict``; the path of a folder of class folders
            (also below ``train/``, ``validation/`` and ``test/``), of a parquet file in the Hugging Face
            image layout, of an npz file with ``X``, ``y`` and perhaps ``split``, or of a folder written by
            ``save_to_disk``; a hub name; ``"bundled:fashion-mnist"`` or ``"bundled:digits"``; or what this
            function returned, with nothing said of it again.
        label: the label's column, key or position, where it cannot be guessed.
        image: the image's column, key or position, where it cannot be guessed.
        group: the column, key or position of a group that must stay on one side of a split, or one group name
            per row.
        image_size: pixels a side, or (height, width): every image is resized to it on reading.
        train_split: the split to train on, where it is not called "train".
        test_split: the split to test on, where it is not called "test".
        memory: bytes that the decoded rows may take to be kept; a larger set is decoded whenever it is read.

    Raises:
        InvalidData: at a missing path, an empty or broken source, labels of another length.
        InvalidRequest: at a column, a split or an image size that cannot be.
        UnsupportedKind: at a source, dtype or kind of target that is not taken.

    Example:
        >>> data = open_data((np.zeros((4, 8, 8), np.uint8), ["cat", "dog", "cat", "cat"]))
        >>> list(data.classes), data.counts, data.read([0, 1]).shape
        (['cat', 'dog'], {'cat': 3, 'dog': 1}, (2, 8, 8))
    """
    size = _size(image_size)
    if not isinstance(memory, int) or memory < 0:
        raise InvalidRequest(f"memory={memory!r} was given; it is a number of bytes, 0 to keep nothing")
    if isinstance(source, LabeledData):
        said = (label, image, group, image_size, train_split, test_split)
        if any(option is not None for option in said) or memory != _MEMORY:
            raise InvalidRequest(
                "label=, image=, group=, image_size=, train_split=, test_split= and memory= belong where the data set "
                "is opened first"
            )
        return source
    columns = Columns(image, label, group)
    found = read_source(source, columns)
    if not len(found.images):
        raise InvalidData(f"{found.origin} holds no rows")
    for split in (train_split, test_split):
        if split is not None:
            _require_split(split, found.splits, found.origin)
    images = replace(found.images, size=size)
    classes, labels = classes_of(found.targets, found.names, images.name)
    form = images.form()
    if min(form.height, form.width) < _SMALLEST:
        raise InvalidData(
            f"{images.name(0)} is {form.height}x{form.width}; images need at least {_SMALLEST} pixels a "
            f"side: pass image_size={_SMALLEST} or more to enlarge them"
        )
    return LabeledData(
        classes,
        labels,
        form,
        found.origin,
        found.groups,
        found.splits,
        source,
        columns,
        train_split,
        test_split,
        replace(found, images=images, targets=()),
        Rows(images, form, memory),
        np.arange(len(images)),
    )


def _require_split(name: str, splits: np.ndarray | None, origin: str) -> None:
    known = [] if splits is None else list(dict.fromkeys(splits.tolist()))
    if name not in known and not (splits is None and name == "train"):
        hint = did_you_mean(name, known) or " It has no splits."
        raise InvalidRequest(f'{origin} has no split "{name}".{hint}')


def _size(image_size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if image_size is None:
        return None
    size = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(size) != 2 or not all(isinstance(side, int) and side >= _SMALLEST for side in size):
        raise InvalidRequest(
            f"image_size={image_size} was given; it is a number of pixels, {_SMALLEST} or more, or "
            "(height, width)"
        )
    return size
