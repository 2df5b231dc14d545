"""The labels of a loader's rows, in the encoding that its items have, and what classes these are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from synthaug.data.classes import Classes, Label
from synthaug.data.items import ItemFields, Key
from synthaug.errors import InvalidData, InvalidRequest
from synthaug.mixing.prepare import classes_among
from synthaug.modalities.arrays import as_array

_FEW = 64  # items that are read again where labels disagree, at least


def labels_of(
    dataset: Any, fields: ItemFields, probes: Mapping[int, Any], given: Any, ours: Classes
) -> tuple[list[Label], Classes]:
    """The label of every row as its item has it, and the classes of these labels.

    Args:
        dataset: a map-style data set.
        fields: where the label is in an item.
        probes: some items by row.
        given: one label per row, as the user says; when None, what the data set keeps is taken if it agrees with the
            items. Labels that are kept twice are compared in full, and the items say which of the two are right. Else
            every item is read.
        ours: the classes of the synthetic rows.

    Raises:
        InvalidData: given labels that disagree with the items.
        InvalidRequest: labels that change on reading, where the synthetic rows know both kinds.
    """
    read = {row: fields.label_of(item) for row, item in probes.items()}
    if given is not None:
        known = _agreeing(_plain(given), len(dataset), read)
        beside = _stored_labels(dataset, fields.label, first="targets")
        if beside is not None and len(rows := _differing(known, beside)) <= max(_FEW, len(dataset) // 20):
            known = _agreeing(known, len(dataset), {row: fields.label_of(dataset[row]) for row in rows})
        return known, classes_among(known, dataset, fields.label)
    kept = [_stored_labels(dataset, fields.label, first=first) for first in ("targets", "samples")]
    stored = _right_of(kept, read, lambda row: fields.label_of(dataset[row]))
    if stored is not None:
        return stored, classes_among(stored, dataset, fields.label)
    stored = kept[0] if kept[0] == kept[1] else None
    labels = [fields.label_of(dataset[row]) for row in range(len(dataset))]
    if stored is None:
        return labels, classes_among(labels, dataset, fields.label)
    return labels, _after_transform(stored, labels, classes_among(stored, dataset, fields.label), ours)


def _agreeing(known: list[Label] | None, rows: int, read: Mapping[int, Label]) -> list[Label]:
    if known is None or len(known) != rows:
        raise InvalidData(
            f"items=synthaug.Items(labels=...) must hold one int, str or bool for each of the {rows} rows of the "
            "loader's data set"
        )
    for row, label in read.items():
        if known[row] != label:
            raise InvalidData(
                f"items=synthaug.Items(labels=...) says {known[row]!r} for row {row} of the loader's data set, whose "
                f"item has the label {label!r}; pass labels in the order and encoding of the items, or leave them out"
            )
    return known


def _after_transform(
    stored: Sequence[Label], labels: Sequence[Label], kept: Classes, ours: Classes
) -> Classes:
    """The classes of labels that a ``target_transform`` gives another encoding on reading.

    The synthetic rows may know the classes as they are stored, or as they are read.
    """
    as_read = Classes.of_labels(labels)
    on_reading = dict(zip(stored, labels, strict=True))
    one_to_one = labels == [on_reading[label] for label in stored] and len(as_read) == len(on_reading)
    if not one_to_one or not _all_known(kept, set(stored), ours):
        return as_read
    if _all_known(as_read, set(labels), ours):
        of_stored = dict(zip(kept.values, ours.match(kept), strict=True))
        of_read = dict(zip(as_read.values, ours.match(as_read), strict=True))
        if all(of_stored[old] == of_read[new] for old, new in on_reading.items()):
            return as_read
        raise InvalidRequest(
            "the data set changes its labels on reading, and the samples know both kinds, so theirs may "
            "be either: if they are those that are read, pass these as "
            "items=synthaug.Items(labels=...); else mix a loader without the target_transform"
        )
    present = [
        (name, value) for name, value in zip(kept.names, kept.values, strict=True) if value in on_reading
    ]
    return Classes(tuple(name for name, _ in present), tuple(on_reading[value] for _, value in present))


def _all_known(classes: Classes, labels: set[Label], ours: Classes) -> bool:
    found = zip(classes.values, ours.match(classes), strict=True)
    return all(place is not None for value, place in found if value in labels)


def _differing(some: Sequence[Label], others: Sequence[Label]) -> list[int]:
    return [row for row, (one, other) in enumerate(zip(some, others, strict=True)) if one != other]


def _right_of(
    kept: Sequence[list[Label] | None], read: Mapping[int, Label], label_of: Callable[[int], Label]
) -> list[Label] | None:
    """What agrees with the items that were read, and where two such differ with those of these rows, too."""
    right = [labels for labels in kept if labels is not None and all(labels[k] == read[k] for k in read)]
    if len(right) == 2 and (rows := _differing(*right)):
        there = {row: label_of(row) for row in rows}
        right = [labels for labels in right if all(labels[row] == there[row] for row in rows)]
    return right[0] if right else None


def _stored_labels(dataset: Any, key: Key, first: str) -> list[Label] | None:
    """The labels that a data set keeps, where the usual kinds keep them and one for each row.

    Args:
        dataset: a map-style data set.
        key: where the label is in its items.
        first: which are taken where it keeps ``targets`` and pairs of ``samples``.
    """
    found: Any = None
    if isinstance(dataset, Subset):
        below = _stored_labels(dataset.dataset, key, first)
        found = None if below is None else [below[row] for row in dataset.indices]
    elif isinstance(dataset, ConcatDataset):
        parts = [_stored_labels(part, key, first) for part in dataset.datasets]
        found = None if None in parts else [label for part in parts for label in part or ()]
    elif isinstance(dataset, TensorDataset):
        found = dataset.tensors[int(key)]
    elif key in getattr(dataset, "column_names", ()):
        found = list(dataset.with_format(None)[key])
    else:
        found = getattr(dataset, "targets", getattr(dataset, "labels", None))
        beside = getattr(dataset, "samples", getattr(dataset, "imgs", None))
        if isinstance(beside, list) and all(
            isinstance(each, tuple | list) and len(each) == 2 for each in beside
        ):
            named = _plain([label for _, label in beside])
            found = named if named is not None and (found is None or first == "samples") else found
    plain = _plain(found)
    return plain if plain is not None and len(plain) == len(dataset) else None


def _plain(labels: Any) -> list[Label] | None:
    labels = as_array(labels)
    if isinstance(labels, np.ndarray):
        labels = labels.tolist()
    if not isinstance(labels, list | tuple):
        return None
    plain = [label.item() if isinstance(label, np.generic) else label for label in labels]
    whole = (
        label.is_integer() if isinstance(label, float) else isinstance(label, int | str) for label in plain
    )
    return plain if all(whole) else None
