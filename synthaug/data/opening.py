"""A data set, opened: what was said of it, and which rows and classes of the source are in it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.classes import Classes, Label, classes_of
from synthaug.data.embedded import embedded
from synthaug.data.items import Key
from synthaug.data.labeled import LabeledData
from synthaug.data.readers import Columns, ScanOptions, read_source
from synthaug.data.readers.broken import without_broken
from synthaug.data.readers.memory import rows_of
from synthaug.data.rows import Rows
from synthaug.data.usual_splits import usual_split
from synthaug.data.vectors import Embed, embedder_name, embedder_of
from synthaug.errors import InvalidData, InvalidRequest, SynthaugWarning
from synthaug.modalities.image.images import Resize
from synthaug.outputs import one_error
from synthaug.wording import did_you_mean

if TYPE_CHECKING:
    pass

_MEMORY = 2**29


def open_data(
    source: Any,
    *,
    label: Key | None = None,
    image: Key | None = None,
    group: Key | Sequence[Any] | np.ndarray | None = None,
    image_size: int | tuple[int, int] | None = None,
    train_split: str | None = None,
    test_split: str | None = None,
    leave_out: Sequence[Label] = (),
    mode: str | None = None,
    resize: Resize = "stretch",
    skip_broken: bool = False,
    scans: str | Mapping[str, Any] | None = None,
    kinds: Mapping[str, str] | None = None,
    embed: Embed | str | None = None,
    memory: int = _MEMORY,
) -> LabeledData:
    """The labelled rows of `source`, listed but not decoded.

    Verbs take whatever this function takes where nothing has to be said of it; columns, sizes and splits are said here.
    Training rows decide what classes there are: rows of other splits without a label, or of other classes, are left out
    with a warning.

    Args:
        source: ``(X, y)`` of NumPy arrays or torch tensors (``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)`` with 1,
            3 or 4 channels, or vectors ``(N, D)``); a data frame with a column of labels, or one of features and labels
            beside it; an Arrow table; the path of a table as csv or parquet; a map-style torch data set (read once,
            kept in memory); a Hugging Face ``Dataset`` or ``DatasetDict``; the path of a folder of class folders (also
            below ``train/``, ``validation/`` and ``test/``), of a parquet file in the Hugging Face image layout, of an
            npz file with ``X``, ``y`` and perhaps ``split``, or of a folder written by ``save_to_disk``; a hub name;
            the url of such a file or folder elsewhere, as ``s3://bucket/photos``;
            ``"bundled:fashion-mnist"`` or ``"bundled:digits"``; or what this function returned, with nothing said of it
            again.
        label: the label's column, key or position, where it cannot be guessed.
        image: the image's column, key or position, where it cannot be guessed.
        group: the column, key or position of a group that must stay on one side of a split, or one group name
            per row.
        image_size: pixels a side, or (height, width): every image is resized to it on reading.
        train_split: the split to train on, where it is not called "train".
        test_split: the split to test on, where it is not called "test".
        leave_out: names or labels of classes whose rows are left out.
        mode: "L", "RGB" or "RGBA": pictures in files are converted to it on reading, e.g. where grey and coloured
            ones are mixed.
        resize: how pictures are brought to ``image_size``: "stretch", "crop" (their middle) or "pad" (with black).
        skip_broken: leave out pictures that cannot be decoded, with a warning that says how many; each is decoded now.
        scans: how medical files are read, e.g. ``{"frames": "split"}``, ``"axis=1"`` or ``"window=40:400"``; see
            `ScanOptions`.
        kinds: what columns of a table are, where their types do not say it: "number", "integer", "category", "boolean",
            "date", or "beside" for one that stays with its row and is not learned, as ``{"patient": "beside"}``. And
            what holds between columns, in samples too: ``{"start, end": "ordered"}`` of numbers, integers or dates,
            ``{"country, city": "together"}`` for combinations that training rows have alone.
        embed: a function that makes vectors of images, ``embed(images) -> (n, D)`` numbers as an array or tensor, e.g.
            a pretrained network: rows are the vectors then. It is given up to 32 images at a time in the order of rows,
            each once, as arrays ``(H, W)`` or ``(H, W, C)`` of their own sizes unless ``image_size`` says another. Or
            where it can be imported, "module:name".
        memory: bytes that the decoded rows may take to be kept; a larger set is decoded whenever it is read.

    Raises:
        InvalidData: at a missing path, an empty or broken source, labels of another length.
        InvalidRequest: at a column, a split, a class or an image size that cannot be.
        UnsupportedKind: at a source, dtype or kind of target that is not taken.

    Example:
        >>> data = open_data((np.zeros((4, 8, 8), np.uint8), ["cat", "dog", "cat", "cat"]))
        >>> list(data.classes), data.counts, data.read([0, 1]).shape
        (['cat', 'dog'], {'cat': 3, 'dog': 1}, (2, 8, 8))
    """
    if not isinstance(memory, int) or memory < 0:
        raise InvalidRequest(f"memory={memory!r} was given; it is a number of bytes, 0 to keep nothing")
    given = {
        "label": label,
        "image": image,
        "group": group,
        "image_size": image_size,
        "train_split": train_split,
        "test_split": test_split,
        "leave_out": leave_out,
        "mode": mode,
        "resize": None if resize == "stretch" else resize,
        "skip_broken": skip_broken,
        "scans": scans,
        "kinds": kinds,
        "embed": embed,
    }
    said = {name: value for name, value in given.items() if _says(value)}
    if isinstance(source, LabeledData):
        if said or memory != _MEMORY:
            raise InvalidRequest(
                "What is said of a data set belongs where it is opened first, and this one is open already: give its "
                "source to open_data"
            )
        return source
    columns = Columns(image, label, group, ScanOptions.of(scans), kinds or {})
    embedder = embedder_of(embed)
    with one_error(InvalidData, "The data set cannot be read", "Check the path, and the right to read it."):
        found = read_source(source, columns)
    made = getattr(source, "provenance", None)  # as what expand gave has it
    if isinstance(made, Mapping) and "synthetic" in made:
        found = replace(found, synthetic=np.asarray(made["synthetic"], bool))
    if not len(found.images):
        raise InvalidData(f"{found.origin} holds no rows")
    train_split, test_split = (
        name or _called(split, found.splits) for split, name in (("train", train_split), ("test", test_split))
    )
    for split in (train_split, test_split):
        if split is not None:
            _require_split(split, found.splits, found.origin)
    asked: dict[str, Any] = {"image_size": image_size, "mode": mode}
    asked |= {"resize": None if resize == "stretch" else resize}
    asked |= {"kinds": kinds or None}
    asked |= {"embed": None if embedder is None else embedder_name(embedder)}
    images = found.images.as_asked({k: v for k, v in asked.items() if v is not None}, found.origin)
    if skip_broken:
        found, images = without_broken(found, images)
    held_out = None if found.splits is None else found.splits != (train_split or "train")
    if held_out is not None and held_out.all():
        held_out = None  # there is no split to train on
    classes, labels = classes_of(found.targets, found.names, images.name, held_out)
    form = images.form()
    if why := form.unfit():
        raise InvalidData(f"{images.name(0)} {why}")
    data = LabeledData(
        classes,
        labels,
        form,
        found.origin,
        found.groups,
        found.splits,
        source if found.url is None else found.url,
        columns,
        train_split,
        test_split,
        replace(found, images=images, targets=()),
        Rows(images, form, memory),
        np.arange(len(images)),
        said=said,
    )
    chosen = _chosen(data, leave_out)
    return chosen if embedder is None else embedded(chosen, embedder)


def _says(value: Any) -> bool:
    """Whether an argument was given, and is not empty."""
    if isinstance(value, Sequence | Mapping | np.ndarray):
        return len(value) > 0
    return value is not None and value is not False


def _chosen(data: LabeledData, leave_out: Sequence[Label]) -> LabeledData:
    """The rows of classes that training rows have and that are not to be left out; a warning names the others."""
    if isinstance(leave_out, str) or not isinstance(leave_out, Sequence):
        raise InvalidRequest(
            f"leave_out={leave_out!r} was given; it is a list of classes: leave_out=[{leave_out!r}]"
        )
    places = sorted({data.classes.position(name) for name in leave_out})
    strange, asked = data.labels < 0, np.isin(data.labels, places)
    if not (strange | asked).any():
        return data
    left_out = {f'class "{data.classes[k]}"': int((data.labels == k).sum()) for k in places}
    if strange.any():
        assert data.splits is not None
        counts = dict(zip(*np.unique(data.splits[strange], return_counts=True), strict=True))
        told = " and ".join(f"{n} of {split}" for split, n in counts.items())
        first = data.name(int(np.flatnonzero(strange)[0]))
        warnings.warn(
            f"held-out rows of {data.origin} ({told}) have no label, or one that no training row has; training never "
            f"sees them, and they are left out, of outputs as well (the first is {first})",
            SynthaugWarning,
            stacklevel=3,
        )
        left_out |= {
            f"rows of {split} without a class of the training rows": int(n) for split, n in counts.items()
        }
    kept = np.setdiff1d(np.arange(len(data.classes)), places)
    classes = Classes(tuple(data.classes.names[k] for k in kept), tuple(data.classes.values[k] for k in kept))
    rows = np.flatnonzero(~(strange | asked))
    if not len(rows):
        raise InvalidData(f"{data.origin} holds no rows of a class that is not left out")
    # the other splits of a dictionary of them are its owner's business
    view, of_source = data.take(rows), np.flatnonzero(~asked) if isinstance(data.source, Mapping) else rows
    reading = replace(data.reading, left_out={**data.reading.left_out, **left_out})
    return replace(
        view,
        classes=classes,
        labels=np.searchsorted(kept, view.labels),
        source=rows_of(data.source, of_source),
        found=replace(data.found, reading=reading),
        unclassed=np.flatnonzero(strange),
    )


def _called(split: str, splits: np.ndarray | None) -> str | None:
    """What the only split that stands for this one is called, where it is not called so itself."""
    names = (
        [] if splits is None else [name for name in np.unique(splits).tolist() if usual_split(name) == split]
    )
    return names[0] if len(names) == 1 and names != [split] else None


def _require_split(name: str, splits: np.ndarray | None, origin: str) -> None:
    known = [] if splits is None else list(dict.fromkeys(splits.tolist()))
    if name not in known and not (splits is None and name == "train"):
        hint = did_you_mean(name, known) or " It has no splits."
        raise InvalidRequest(f'{origin} has no split "{name}".{hint}')
