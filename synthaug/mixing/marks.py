"""Which rows of a batch are synthetic and how much they weigh, delivered in the batch itself."""

from __future__ import annotations

import copy
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch

from synthaug.errors import InvalidRequest, UnsupportedKind


@dataclass(frozen=True)
class Marks:
    """What is put into a batch: first ``weight``, then ``synthetic``, each only when asked for.

    Attributes:
        weight: a loss weight for synthetic rows: float32 ``(B,)``, 1 for real ones. None asks for none.
        flag: whether bool ``(B,)`` is put in, True for synthetic rows.

    Raises:
        InvalidRequest: a weight below 0 or not finite.
    """

    weight: float | None = None
    flag: bool = False

    def __post_init__(self) -> None:
        if self.weight is not None and not 0 <= self.weight < float("inf"):
            raise InvalidRequest(
                f"weight={self.weight} was asked for; it is the loss weight of a synthetic row beside 1 for "
                "a real one, at least 0"
            )

    def __bool__(self) -> bool:
        return self.weight is not None or self.flag

    def put(self, batch: Any, synthetic: torch.Tensor) -> Any:
        """The batch with the marks: dicts get the keys "weight" and "synthetic", tuples two more elements.

        Args:
            batch: a dict, tuple, list or named tuple; it is not changed.
            synthetic: ``(B,)`` bool.

        Raises:
            UnsupportedKind: a batch of another kind.
            InvalidRequest: a dict or named tuple that has such a name already.
        """
        marks: dict[str, torch.Tensor] = {}
        if self.weight is not None:
            ones = torch.ones(len(synthetic), device=synthetic.device)
            marks["weight"] = torch.where(synthetic, ones * self.weight, ones)
        if self.flag:
            marks["synthetic"] = synthetic
        taken = set(marks) & set(batch if isinstance(batch, Mapping) else getattr(batch, "_fields", ()))
        if taken:
            raise InvalidRequest(
                f'the batches have a field "{min(taken)}", where that of synthetic rows goes: rename it in '
                "the items or in collate_fn"
            )
        if isinstance(batch, Mapping):
            marked: Any = copy.copy(batch)
            marked.update(marks)
            return marked
        if isinstance(batch, tuple) and hasattr(batch, "_fields"):
            longer = _longer(type(batch).__name__, batch._fields, tuple(marks))
            return longer(*batch, *marks.values())
        if isinstance(batch, tuple | list):
            return type(batch)([*batch, *marks.values()])
        raise UnsupportedKind(
            f"weight= and flag= go into batches that are dicts or tuples; the loader's are of type "
            f"{type(batch).__name__}: let collate_fn return a tuple or a dict"
        )


class MarkedItem(NamedTuple):
    """An item on its way to `MarkingCollate`."""

    item: Any
    synthetic: bool


class MarkingCollate:
    """A collate function that hands the items to another one and puts the marks into its batch."""

    def __init__(self, collate: Callable[[list[Any]], Any], marks: Marks) -> None:
        self.collate = collate
        self.marks = marks

    def __call__(self, items: Sequence[MarkedItem]) -> Any:
        """The other function's batch with the marks."""
        synthetic = torch.tensor([item.synthetic for item in items], dtype=torch.bool)
        return self.marks.put(self.collate([item.item for item in items]), synthetic)


@cache
def _longer(name: str, fields: tuple[str, ...], more: tuple[str, ...]) -> Any:
    """A named tuple type with more fields, whose values can be sent between processes."""
    kind = namedtuple(name, fields + more)  # type: ignore[misc]

    class Longer(kind):
        __slots__ = ()

        def __reduce__(self) -> Any:
            return _rebuilt, (name, fields, more, tuple(self))

    Longer.__name__ = Longer.__qualname__ = name
    return Longer


def _rebuilt(name: str, fields: tuple[str, ...], more: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return _longer(name, fields, more)(*values)
