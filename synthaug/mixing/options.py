"""What can be asked of a mix, whatever it is mixed into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeAlias

from synthaug.data.items import Key
from synthaug.errors import InvalidRequest
from synthaug.mixing.plan import Mode
from synthaug.mixing.schedule import Ratio

Transform: TypeAlias = Callable[..., Any]
"""An image to what an item holds. An albumentations one is called by name, as it asks to be."""


@dataclass(frozen=True)
class Items:
    """How real items are read and synthetic ones made, where that cannot be guessed.

    Attributes:
        image, label: positions or keys in an item, or columns.
        labels: one label per real row, where reading the data set once for them is too slow.
        fill: values of the fields of an item beside image and label, by key or position.
    """

    image: Key | None = None
    label: Key | None = None
    labels: Any = None
    fill: Mapping[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class MixOptions:
    """What is asked of a mix; see `synthaug.mix`.

    Attributes:
        ratio: synthetic / (real + synthetic); what comes with the rows, or a quarter, when None.
        mode: whether synthetic rows take the place of real ones or are added.
        exact: whether the share holds in every batch.
        seed: decides which rows give way to which.
        weight: a loss weight for synthetic rows, put into the batch.
        flag: whether a flag that says which rows are synthetic is put into the batch.
        pool: rows of each class to draw from a generator.
        refresh: the part of that pool that is new in every epoch.
        transform: applied to each synthetic image instead of the data set's own.
        items: how items are read and made.
    """

    ratio: Ratio | None = None
    mode: Mode = "replace"
    exact: bool = True
    seed: int = 0
    weight: float | None = None
    flag: bool = False
    pool: int = 200
    refresh: float | None = None
    transform: Transform | None = None
    items: Items = field(default_factory=Items)

    def refuse_all_but(self, taken: frozenset[str], kind: str) -> None:
        """Refuse options that would be dropped silently.

        Args:
            taken: the options that have a meaning there.
            kind: what is to be mixed, for the message.

        Raises:
            InvalidRequest: another one is given.
        """
        usual = MixOptions()
        given = [name for name in _NAMES if getattr(self, name) != getattr(usual, name)]
        given += ["labels"] if self.items.labels is not None else []
        if refused := [f"{name}=" for name in given if name not in taken]:
            raise InvalidRequest(
                f"{', '.join(refused)} as given has no meaning for {kind}: leave it out, or mix a DataLoader."
            )


_NAMES = tuple(each.name for each in fields(MixOptions) if each.name != "items")

EVERY_OPTION = frozenset({*_NAMES, "labels"})
"""The names of all options, and of that part of `Items` that not every kind takes."""
