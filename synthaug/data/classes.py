"""Labels in the data set's own encoding -> classes; what is not one class per row is refused by name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from synthaug.errors import InvalidData, UnsupportedKind

Label = int | str | bool


class Classes(NamedTuple):
    """Class names, each class's label in the data set's own encoding, and ``(N,)`` int64 positions."""

    names: tuple[str, ...]
    values: tuple[Label, ...]
    labels: np.ndarray


def as_array(value: Any) -> Any:
    """The NumPy array of a torch tensor (without importing torch); anything else as it is.

    Raises:
        UnsupportedKind: at a tensor of bfloat16, which NumPy does not have.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.dtype == torch.bfloat16:
            raise UnsupportedKind("a tensor of bfloat16 was found; convert it with .float()")
        return value.detach().cpu().numpy()
    return value


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


def classes_of(targets: Any, names: Sequence[str] | None, row_name: Callable[[int], str]) -> Classes:
    """The classes of `targets` (N labels), those of `names` in its order, others sorted.

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
    return Classes(titles, tuple(values), position[codes])
