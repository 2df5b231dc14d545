"""The classes of a data set: their names, their labels in the user's own encoding, and which class a label is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np

from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind
from synthaug.modalities.arrays import as_array
from synthaug.wording import did_you_mean, quoted

Label = int | str | bool | float
"""A label in the data set's own encoding; a float is a whole number."""

# What missing labels have become where a table was turned into text.
_LIKE_MISSING = frozenset(("", "nan", "NaN", "None", "null", "NULL", "<NA>", "NaT"))
_SHOWN = 12  # names, where classes show themselves
_MISSING = ("NAType", "NaTType", "MaskedConstant")  # of pandas and NumPy, which need not be here


class MissingLabel(InvalidData):
    """A row has no label."""


@dataclass(frozen=True)
class Classes(Sequence[str]):
    """Class names in order, as a sequence, and each one's label in the data set's own encoding.

    Attributes:
        names: the names, each once.
        values: the label of each, beside ``names``.

    >>> classes = Classes(("cat", "dog"), (0, 1))
    >>> classes.position("dog"), classes.position(0), list(classes)
    (1, 0, ['cat', 'dog'])
    """

    names: tuple[str, ...]
    values: tuple[Label, ...]

    @classmethod
    def of_labels(cls, labels: Iterable[Label]) -> Classes:
        """The classes of labels that have no other names, sorted."""
        found = {_key(label): label for label in labels}
        values = tuple(found[key] for key in sorted(found))
        return cls(tuple(map(_title, values)), values)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        """Both fields where classes are few, else the first names alone."""
        if len(self) <= _SHOWN:
            return f"Classes(names={self.names!r}, values={self.values!r})"
        return f"Classes({len(self):,} classes: {', '.join(map(repr, self.names[:_SHOWN]))}, ...)"

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        return self.names[place]

    def find(self, label: Label) -> int | None:
        """The position of the class with this very label (1 is 1.0, not True); None where there is none."""
        return self._places.get(_key(label))

    def position(self, key: Any) -> int:
        """The position of the class of this name, or else of this label; text is taken for integer labels too.

        Raises:
            InvalidRequest: there is none.
        """
        if isinstance(key, str) and key in self.names:
            return self.names.index(key)
        for place, value in enumerate(self.values):
            # True == 1 in Python, but a bool is not the label 1.
            equal = key == value and _is_bool(key) == _is_bool(value)
            if equal or str(key) in (str(value), _title(value)):
                return place
        raise InvalidRequest(f"There is no class {key!r}.{did_you_mean(str(key), self.names)}")

    def name_of(self, key: Any) -> str:
        """The name of the class of this name or label; raises as `position`."""
        return self.names[self.position(key)]

    def match(self, other: Classes) -> tuple[int | None, ...]:
        """For each class of another data set the position of the same class here, None where it is not here.

        Where both sides have names, classes of one name are the same. Where one side has no names but its labels, equal
        labels are the same if both sides have labels of one kind: a loader that knows only 0 and 1 meets classes called
        "cat" and "dog" that have the labels 0 and 1. Otherwise what one side has as labels the other has as names: a
        generator that was trained on a folder meets a data set that has positions as labels, and names for them.

        >>> Classes(("cat", "dog"), ("cat", "dog")).match(Classes(("dog", "owl"), (0, 1)))
        (1, None)
        >>> Classes(("cat", "dog"), (0, 1)).match(Classes(("1", "2"), (1, 2)))
        (1, None)
        """
        kinds = {_key(value)[0] for classes in (self, other) for value in classes.values}
        if not (self.named and other.named) and len(kinds) == 1:
            return tuple(self.find(value) for value in other.values)
        places = {name: place for place, name in enumerate(self.names)}
        return tuple(places.get(name) for name in other.names)

    def require_same(self, other: Classes, who: str, whose: str) -> tuple[int, ...]:
        """As `match`, where every class has to be on both sides.

        Args:
            other: the other classes.
            who: what has ``other``, for the message, e.g. ``"the data set"``.
            whose: what has these, e.g. ``"the generator"``.

        Raises:
            InvalidRequest: naming the classes that one of the two lacks.
        """
        found = self.match(other)
        lacks = [name for name, place in zip(other.names, found, strict=True) if place is None]
        extra = [name for place, name in enumerate(self.names) if place not in found]
        if lacks or extra:
            raise InvalidRequest(
                f"The classes of {who} are not those of {whose}: {whose} lacks {quoted(lacks)}, {who} lacks "
                f"{quoted(extra)}. Use one trained for these classes."
            )
        return tuple(place for place in found if place is not None)

    @property
    def named(self) -> bool:
        """Whether the names say more than the labels."""
        return any(name != _title(value) for name, value in zip(self.names, self.values, strict=True))

    @property
    def doubt(self) -> str | None:
        """What speaks for it that a class is made of rows without a label, in words; None where nothing does."""
        if any(isinstance(value, str) for value in self.values):
            found = [
                name for name, value in zip(self.names, self.values, strict=True) if value in _LIKE_MISSING
            ]
            if found:
                return f"there is a class {quoted(found)}: are these rows without a label?"
        elif {-1, 0} <= set(self.values) and min(self.values) == -1 and not any(map(_is_bool, self.values)):
            return f"there is a class {quoted([self.name_of(-1)])} beside 0: are these rows without a label?"
        return None

    @cached_property
    def _places(self) -> dict[tuple[str, Label], int]:
        return {_key(value): place for place, value in enumerate(self.values)}


def plain_label(target: Any) -> Label:
    """The label as a Python int, str, bool or whole float, from one of these, or the one in an array or a list.

    >>> plain_label(np.int64(3)), plain_label(np.array([True])), plain_label([2]), plain_label(np.float32(1))
    (3, True, 2, 1.0)

    Raises:
        UnsupportedKind: for soft, multi-hot and regression targets and for bounding boxes, by name.
        InvalidData: for a missing label.
    """
    target = as_array(target)
    if isinstance(target, np.ndarray):
        if target.size != 1:
            raise UnsupportedKind(
                f"a label of shape {target.shape} was found; soft and multi-hot labels are not supported: "
                "give one class per row, e.g. y.argmax(axis=1)"
            )
        target = target.reshape(())[()]
    if isinstance(target, np.generic):
        target = target.item()
    if isinstance(target, list | tuple) and len(target) == 1:
        return plain_label(target[0])
    if isinstance(target, bool | int | str):
        return target
    if target is None or type(target).__name__ in _MISSING or target != target:  # NaN
        raise MissingLabel("a missing label was found; give every row a class, or remove it")
    if isinstance(target, float):
        if target.is_integer():
            return target
        raise UnsupportedKind(
            f"a label of {target:g} was found; regression targets and soft labels are not supported: "
            "give one class per row"
        )
    if isinstance(target, Mapping):
        raise UnsupportedKind(
            f"a label with the fields {', '.join(map(str, target))} was found; bounding boxes and other "
            "structured targets are not supported: give one class per row"
        )
    if isinstance(target, Sequence) and not isinstance(target, bytes):
        raise UnsupportedKind(
            f"a label that is a list of {len(target)} was found; multi-label and soft targets are not "
            "supported: give one class per row"
        )
    raise UnsupportedKind(
        f"a label of type {type(target).__name__} was found; taken are ints, strings and bools, and whole floats"
    )


def classes_of(
    targets: Any,
    names: Sequence[str] | None,
    row_name: Callable[[int], str],
    held_out: np.ndarray | None = None,
) -> tuple[Classes, np.ndarray]:
    """The classes of `targets` (N labels), those of `names` in its order, others sorted; and ``(N,)`` int64 positions.

    Args:
        targets: one label per row: an array, tensor or sequence.
        names: what label i (a whole number) is called, where the source says so; unused names are dropped.
        row_name: what to call a row in a message.
        held_out: ``(N,)`` bool, rows that do not decide what classes there are. The position of one without a label,
            or of a class that the other rows lack, is -1.

    Raises:
        UnsupportedKind: if the targets are not one class per row.
        InvalidData: if a label is missing, outside `names`, or of another type than the rest.
    """
    labels = _labels_in(targets, row_name, held_out)
    found: dict[tuple[type, Label], int] = {}  # and a row that has it
    for row, label in enumerate(labels):
        if label is not None and not (held_out is not None and held_out[row]):
            found.setdefault((type(label), label), row)
    if len({kind for kind, _ in found}) > 1:
        shown = ", ".join(f"{label!r}" for _, label in list(found)[:4])
        raise InvalidData(f"labels of mixed types were found: {shown}; convert them all to int or to str")
    values = sorted(label for _, label in found)
    if names is not None:
        for value in values:
            if isinstance(value, str) or not 0 <= value < len(names):
                raise InvalidData(
                    f"{row_name(found[type(value), value])} has the label {value!r}, which is none of the "
                    f"{len(names)} named classes; give it a class, or remove the row"
                )
    titles = tuple(_title(v) if names is None else str(names[int(v)]) for v in values)
    if cut := [title for title in titles if title.endswith("\0")]:
        raise InvalidData(
            f"a class is called {cut[0]!r}; NumPy cuts such an end off, so that it would meet another name: strip it"
        )
    if len(set(titles)) < len(titles):
        twice = next(t for t in titles if titles.count(t) > 1)
        raise InvalidData(f'two classes are called "{twice}"; give every class a name of its own')
    classes = Classes(titles, tuple(values))
    places = [None if label is None else classes.find(label) for label in labels]
    return classes, np.array([-1 if place is None else place for place in places], np.int64)


def _labels_in(
    targets: Any, row_name: Callable[[int], str], held_out: np.ndarray | None
) -> list[Label | None]:
    """One plain label a row; None only for held-out rows without one."""
    targets = as_array(targets)
    if isinstance(targets, np.ndarray):
        shape = targets.shape
        if targets.size != shape[0]:
            raise UnsupportedKind(
                f"labels of shape {shape} were found; soft and multi-hot labels are not supported: "
                "give one class per row, e.g. y.argmax(axis=1)"
            )
        targets = targets.reshape(-1).tolist()  # masked ones are None
    labels: list[Label | None] = []
    for row, target in enumerate(targets):
        try:
            labels.append(plain_label(target))
        except (InvalidData, UnsupportedKind) as error:
            if not (isinstance(error, MissingLabel) and held_out is not None and held_out[row]):
                raise type(error)(f"{row_name(row)}: {error}") from None
            labels.append(None)
    return labels


def names_of(dataset: Any, label: Any = None) -> Sequence[str] | None:
    """What a data set calls its integer labels, as far as it tells; None where it does not.

    A set in the habit of torchvision keeps names in ``classes``, one of the ``datasets`` library in the feature of its
    label column. Sets that are wrapped in others, as by ``Subset``, are looked into; those that are joined, as by
    ``ConcatDataset``, have the names that all parts agree on.

    Args:
        dataset: any data set.
        label: the key of the label in its items, where that is known.
    """
    while dataset is not None:
        if isinstance(parts := getattr(dataset, "datasets", None), list | tuple) and parts:
            each = [names_of(part, label) for part in parts]
            return each[0] if all(names is not None and names == each[0] for names in each) else None
        features = getattr(dataset, "features", None)
        feature = features.get(label) if isinstance(features, Mapping) else None
        names = getattr(feature, "names", None) or getattr(dataset, "classes", None)
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            return names
        dataset = getattr(dataset, "dataset", None)
    return None


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _title(value: Label) -> str:
    """What a class is called that has no name but its label."""
    return str(int(value)) if isinstance(value, float) else str(value)


def _key(label: Label) -> tuple[str, Label]:
    """What equal labels have in common: a bool is not the label 1, which 1.0 is."""
    kind = "bool" if _is_bool(label) else "text" if isinstance(label, str) else "number"
    return kind, label
