"""One indexed view over every kind of labelled data set."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from synthaug.data.classes import Label, classes_of
from synthaug.data.items import Key
from synthaug.data.sources import read_source
from synthaug.errors import InvalidData, InvalidRequest, SynthaugWarning
from synthaug.modalities.image.cells import Images
from synthaug.modalities.image.fingerprint import fingerprints
from synthaug.modalities.image.spec import ImageSpec

_SMALLEST = 8  # pixels a side
_FEW = 5  # images of a class
_BLOCK = 1024


@dataclass(frozen=True, eq=False)
class LabeledData:
    """Labelled rows, read on demand.

    Attributes:
        classes: class names (str), in the data set's order.
        values: each class's label in the data set's own encoding (int, str or bool), beside ``classes``.
        labels: ``(N,)`` int64 positions in ``classes``.
        spec: the form of a row; its range is None where only training rows may tell it.
        origin: what to call the source in a message, e.g. ``folder flowers`` or ``arrays``.
        groups: ``(N,)`` group names, rows of one group never lie on both sides of a split; or None.
        splits: ``(N,)`` split names ("train", "test", ...), or None where the source has none.
    """

    classes: tuple[str, ...]
    values: tuple[Label, ...]
    labels: np.ndarray
    spec: ImageSpec
    origin: str
    groups: np.ndarray | None
    splits: np.ndarray | None
    _images: Images
    _index: np.ndarray

    def __len__(self) -> int:
        return len(self._index)

    def __repr__(self) -> str:
        return f"LabeledData({self.origin}: {len(self)} rows of {len(self.classes)} classes, {self.spec})"

    def read(self, rows: np.ndarray | slice | Sequence[int] | None = None) -> np.ndarray:
        """The images of `rows` (all when None): ``(n, *spec.shape)`` of dtype ``spec.dtype``.

        Raises:
            InvalidData: if an image cannot be decoded or has another form than the first of the set.
        """
        index = self._index if rows is None else self._index[rows]
        return self._images.read(index, self.spec)

    def take(self, rows: np.ndarray | slice | Sequence[int]) -> LabeledData:
        """A view of these rows; classes, values and spec stay."""
        view = replace(
            self,
            labels=self.labels[rows],
            groups=None if self.groups is None else self.groups[rows],
            splits=None if self.splits is None else self.splits[rows],
            _index=self._index[rows],
        )
        if "_fingerprints" in vars(self):  # decoding once is enough
            vars(view)["_fingerprints"] = self._fingerprints[rows]
        return view

    def name(self, row: int) -> str:
        """What to call a row in a message: its file, or ``row 17`` of the source."""
        return self._images.name(int(self._index[row]))

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
        self._images.check(self._index, self.spec)

    @property
    def resized(self) -> bool:
        """Whether the images are brought to a size that was asked for."""
        return self._images.size is not None

    def fingerprints(self) -> np.ndarray:
        """``(N,)`` uint64 content hash of each row; equal pictures are equal in any layout or dtype."""
        return self._fingerprints

    def fingerprint(self) -> str:
        """A hex digest (64 characters) of rows, labels and class names."""
        digest = hashlib.sha256(repr((self.classes, self.values)).encode())
        digest.update(self.fingerprints().astype("<u8").tobytes())
        digest.update(self.labels.astype("<i8").tobytes())
        return digest.hexdigest()

    @cached_property
    def _fingerprints(self) -> np.ndarray:
        found = [np.empty(0, np.uint64)]
        found += [fingerprints(block, self.spec.layout, self._ends) for block in self._blocks(self._index)]
        return np.concatenate(found)

    @cached_property
    def _ends(self) -> np.ndarray | None:
        """Lowest and highest float of the whole source, so that a row has one fingerprint in every view."""
        if np.dtype(self.spec.dtype).kind != "f":
            return None
        blocks = self._blocks(np.arange(len(self._images)))
        return np.array([end for block in blocks for end in (block.min(), block.max())])

    def _blocks(self, index: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(index), _BLOCK):
            yield self._images.read(index[start : start + _BLOCK], self.spec)


def open_data(
    source: Any,
    *,
    label: Key | None = None,
    image: Key | None = None,
    group: Key | Sequence[Any] | np.ndarray | None = None,
    image_size: int | tuple[int, int] | None = None,
) -> LabeledData:
    """The labelled images of `source`, listed but not decoded.

    Args:
        source: ``(X, y)`` of NumPy arrays or torch tensors (``(N, H, W)``, ``(N, H, W, C)`` or
            ``(N, C, H, W)`` with 1, 3 or 4 channels); a map-style torch data set (read once, kept in
            memory); a Hugging Face ``Dataset`` or ``DatasetDict``; the path of a folder of class folders
            (also below ``train/``, ``validation/`` and ``test/``), of a parquet file in the Hugging Face
            image layout, of an npz file with ``X``, ``y`` and perhaps ``split``, or of a folder written by
            ``save_to_disk``; a hub name; ``"bundled:fashion-mnist"`` or ``"bundled:digits"``.
        label: the label's column, key or position, where it cannot be guessed.
        image: the image's column, key or position, where it cannot be guessed.
        group: the column, key or position of a group that must stay on one side of a split, or one group name
            per row.
        image_size: pixels a side, or (height, width): every image is resized to it on reading.

    Raises:
        InvalidData: at a missing path, an empty or broken source, labels of another length.
        InvalidRequest: at a column or an image size that cannot be.
        UnsupportedKind: at a source, dtype or kind of target that is not taken.

    Example:
        >>> data = open_data((np.zeros((4, 8, 8), np.uint8), ["cat", "dog", "cat", "cat"]))
        >>> data.classes, data.counts, data.read([0, 1]).shape
        (('cat', 'dog'), {'cat': 3, 'dog': 1}, (2, 8, 8))
    """
    size = _size(image_size)
    if isinstance(source, LabeledData):
        if any(option is not None for option in (label, image, group, image_size)):
            raise InvalidRequest(
                "label=, image=, group= and image_size= belong where the data set is opened first"
            )
        return source
    found = read_source(source, image=image, label=label, group=group)
    if not len(found.images):
        raise InvalidData(f"{found.origin} holds no rows")
    images = replace(found.images, size=size)
    classes = classes_of(found.targets, found.names, images.name)
    spec = images.spec()
    if min(spec.height, spec.width) < _SMALLEST:
        raise InvalidData(
            f"{images.name(0)} is {spec.height}x{spec.width}; images need at least {_SMALLEST} pixels a "
            f"side: pass image_size={_SMALLEST} or more to enlarge them"
        )
    return LabeledData(
        classes.names,
        classes.values,
        classes.labels,
        spec,
        found.origin,
        found.groups,
        found.splits,
        images,
        np.arange(len(images)),
    )


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
