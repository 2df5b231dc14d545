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

Label = int | str | bool
"""A label in the data set's own encoding."""


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
        found = {(type(label), label): label for label in labels}
        values = tuple(sorted(found.values(), key=lambda label: (str(type(label)), label)))
        return cls(tuple(map(str, values)), values)

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        return self.names[place]

    def find(self, label: Label) -> int | None:
        """The position of the class with this very label (1 is not True); None where there is none."""
        return self._places.get((type(label), label))

    def position(self, key: Any) -> int:
        """The position of the class of this name, or else of this label; text is taken for integer labels too.

        Raises:
            InvalidRequest: there is none.
        """
        if isinstance(key, str) and key in self.names:
            return self.names.index(key)
        for place, value in enumerate(self.values):
            # True == 1 in Python, but a bool is not the label 1.
            if (key == value and _is_bool(key) == _is_bool(value)) or str(key) == str(value):
                return place
        raise InvalidRequest(f"There is no class {key!r}.{did_you_mean(str(key), self.names)}")

    def name_of(self, key: Any) -> str:
        """The name of the class of this name or label; raises as `position`."""
        return self.names[self.position(key)]

    def match(self, other: Classes) -> tuple[int | None, ...]:
        """For each class of another data set the position of the same class here, None where it is not here.

        Where both sides have names, classes of one name are the same. Where one side has no names but its labels, equal
        labels are the same if both sides have labels of one type: a loader that knows only 0 and 1 meets classes called
        "cat" and "dog" that have the labels 0 and 1. Otherwise what one side has as labels the other has as names: a
        generator that was trained on a folder meets a data set that has positions as labels, and names for them.

        >>> Classes(("cat", "dog"), ("cat", "dog")).match(Classes(("dog", "owl"), (0, 1)))
        (1, None)
        >>> Classes(("cat", "dog"), (0, 1)).match(Classes(("1", "2"), (1, 2)))
        (1, None)
        """
        types = {type(value) for classes in (self, other) for value in classes.values}
        if not (self._named and other._named) and len(types) == 1:
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
    def _named(self) -> bool:
        """Whether the names say more than the labels."""
        return any(name != str(value) for name, value in zip(self.names, self.values, strict=True))

    @cached_property
    def _places(self) -> dict[tuple[type, Label], int]:
        return {(type(value), value): place for place, value in enumerate(self.values)}


def plain_label(target: Any) -> Label:
    """The label as a Python int, str or bool, from one of these or a scalar or array of one element.

    >>> plain_label(np.int64(3)), plain_label(np.array([True]))
    (3, True)

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
    if isinstance(target, bool | int | str):
        return target
    if target is None or target != target:  # NaN
        raise InvalidData("a missing label was found; give every row a class, or remove it")
    if isinstance(target, float):
        if target.is_integer():
            raise UnsupportedKind(
                f"a label of type float ({target:g}) was found; taken are ints, strings and bools: "
                "convert with y.astype(int) if these are classes"
            )
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
        f"a label of type {type(target).__name__} was found; taken are ints, strings and bools"
    )


def classes_of(
    targets: Any, names: Sequence[str] | None, row_name: Callable[[int], str]
) -> tuple[Classes, np.ndarray]:
    """The classes of `targets` (N labels), those of `names` in its order, others sorted; and ``(N,)`` int64 positions.

    Args:
        targets: one label per row: an array, tensor or sequence.
        names: what label i (an int) is called, where the source says so; unused names are dropped.
        row_name: what to call a row in a message.

    Raises:
        UnsupportedKind: if the targets are not one class per row.
        InvalidData: if a label is missing, outside `names`, or of another type than the rest.
    """
    targets = as_array(targets)
    if isinstance(targets, np.ndarray) and targets.ndim != 1:
        shape = targets.shape
        if targets.ndim == 2 and shape[1] == 1:
            raise InvalidData(
                f"labels of shape {shape} were found; one class per row is needed: pass y.ravel()"
            )
        raise UnsupportedKind(
            f"labels of shape {shape} were found; soft and multi-hot labels are not supported: "
            "give one class per row, e.g. y.argmax(axis=1)"
        )
    found: dict[tuple[type, Label], int] = {}
    codes = np.empty(len(targets), np.int64)
    for row, target in enumerate(targets.tolist() if isinstance(targets, np.ndarray) else targets):
        try:
            label = plain_label(target)
        except (InvalidData, UnsupportedKind) as error:
            raise type(error)(f"{row_name(row)}: {error}") from None
        codes[row] = found.setdefault((type(label), label), len(found))
    kinds = {kind for kind, _ in found}
    if len(kinds) > 1:
        shown = ", ".join(f"{label!r}" for _, label in list(found)[:4])
        raise InvalidData(f"labels of mixed types were found: {shown}; convert them all to int or to str")
    values = sorted(label for _, label in found)
    if names is not None:
        outside = [v for v in values if not isinstance(v, int) or not 0 <= v < len(names)]
        if outside:
            row = int(np.flatnonzero(codes == found[type(outside[0]), outside[0]])[0])
            raise InvalidData(
                f"{row_name(row)} has the label {outside[0]!r}, which is none of the {len(names)} named "
                "classes; give it a class, or remove the row"
            )
    position = np.empty(len(found), np.int64)
    for place, value in enumerate(values):
        position[found[type(value), value]] = place
    titles = tuple(str(v) if names is None else str(names[int(v)]) for v in values)
    if len(set(titles)) < len(titles):
        twice = next(t for t in titles if titles.count(t) > 1)
        raise InvalidData(f'two classes are called "{twice}"; give every class a name of its own')
    return Classes(titles, tuple(values)), position[codes]


def names_of(dataset: Any, label: Any = None) -> Sequence[str] | None:
    """What a data set calls its integer labels, as far as it tells; None where it does not.

    A set in the habit of torchvision keeps names in ``classes``, one of the ``datasets`` library in the feature of its
    label column. Sets that are wrapped in others, as by ``Subset``, are looked into.

    Args:
        dataset: any data set.
        label: the key of the label in its items, where that is known.
    """
    while dataset is not None:
        features = getattr(dataset, "features", None)
        feature = features.get(label) if isinstance(features, Mapping) else None
        names = getattr(feature, "names", None) or getattr(dataset, "classes", None)
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            return names
        dataset = getattr(dataset, "dataset", None)
    return None


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)
