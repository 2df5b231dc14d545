"""What holds between columns in every row: that one is never above another, or that they go together as was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from synthaug.errors import InvalidArtifact, InvalidData, InvalidRequest
from synthaug.modalities.table.columns import Column
from synthaug.modalities.table.kinds import UNITS
from synthaug.wording import did_you_mean, quoted

if TYPE_CHECKING:
    import torch

RelationKind = Literal["ordered", "together"]
"""``ordered``: the first column is never above the second, nor that above a third; ``together``: only combinations of
values that training rows have."""

RELATIONS: tuple[RelationKind, ...] = get_args(RelationKind)

# Comparisons of rows with combinations at once.
_AT_ONCE = 2**24
# Of so few rows combinations are mostly their own.
_FEW = 20


@dataclass(frozen=True)
class Relation:
    """What holds between columns of a table in every row, of which cells may be missing.

    Attributes:
        kind: see `RelationKind`.
        names: of the columns, at least two. Where samples break a relation of kind "together", the later ones give way.
        seen: the combinations of raw cells that training rows have, the most frequent first, None for missing ones; not
            known before it is fitted, nor needed where columns are ordered.
    """

    kind: RelationKind
    names: tuple[str, ...]
    seen: tuple[tuple[float | None, ...], ...] = ()

    def check(self, rows: np.ndarray, columns: Sequence[Column]) -> None:
        """Refuse rows in which it does not hold.

        Raises:
            InvalidData: naming the first.
        """
        if self.kind != "ordered":
            self._check_seen(rows, columns)
            return
        cells = rows[:, _places(self.names, columns)].astype(np.float64)
        highest = np.maximum.accumulate(np.where(np.isnan(cells), -np.inf, cells), axis=1)
        broken = (cells < highest).any(axis=1)
        if broken.any():
            raise InvalidData(
                f"The columns {quoted(self.names)} are said to be ordered, and in row {int(broken.argmax())} they are "
                "not. Correct the row, or leave the relation out."
            )

    def _check_seen(self, rows: np.ndarray, columns: Sequence[Column]) -> None:
        cells = rows[:, _places(self.names, columns)].astype(np.float64)
        _, counts = np.unique(cells, axis=0, return_counts=True)
        if len(rows) > _FEW and (counts == 1).sum() > len(rows) / 2:
            raise InvalidData(
                f"The columns {quoted(self.names)} are to go together, and most rows have a combination that no other "
                "one has: samples would repeat the rows. Leave the relation out, or a column out of it."
            )

    def fitted(self, rows: np.ndarray, columns: Sequence[Column]) -> Relation:
        """The relation with the combinations of training rows ``(N, D)``."""
        if self.kind == "ordered":
            return self
        cells = rows[:, _places(self.names, columns)].astype(np.float64) + 0.0
        seen, counts = np.unique(np.where(np.isnan(cells), np.inf, cells), axis=0, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return replace(
            self,
            seen=tuple(tuple(None if np.isinf(v) else v for v in row) for row in seen[order].tolist()),
        )

    def held(self, cells: torch.Tensor, columns: Sequence[Column]) -> torch.Tensor:
        """Raw cells ``(N, D)`` in which it holds: those that were in it stay as they are."""
        import torch

        at = torch.tensor(_places(self.names, columns), device=cells.device)
        values = cells[:, at]
        missing = values.isnan()
        if self.kind == "ordered":
            ordered = torch.where(missing, torch.inf, values).sort(dim=1).values
            rank = (~missing).cumsum(dim=1).sub(1).clamp(min=0)
            # Bounds are ordered as well, but for those of cells beside which others were missing.
            low, high = (_like(values, ends) for ends in _bounds(self.names, columns))
            within = ordered.gather(1, rank).clamp(low, high)
            mended = torch.where(
                missing, torch.nan, torch.where(missing, -torch.inf, within).cummax(dim=1).values
            )
        else:
            counted = [columns[place].codes is None for place in at.tolist()]
            mended = self._nearest(torch.where(missing, torch.inf, values), counted)
        out = cells.clone()
        out[:, at] = mended
        return out

    def _nearest(self, values: torch.Tensor, counted: Sequence[bool]) -> torch.Tensor:
        """For each row the combination that was seen and is nearest to it from the first column on.

        Args:
            values: ``(N, m)``, infinite where missing.
            counted: of which columns values have a distance; of the others they are the same or not.
        """
        import torch

        seen = _like(values, [[np.inf if v is None else v for v in row] for row in self.seen])
        chosen, far = [], torch.finfo(values.dtype).max / 4
        for block in torch.split(values, max(1, _AT_ONCE // seen.numel())):
            left = torch.ones(len(block), len(seen), dtype=torch.bool, device=values.device)
            for at, has_distance in enumerate(counted):
                ours, theirs = block[:, at, None], seen[None, :, at]
                apart = (
                    (ours - theirs).abs().clamp(max=far) if has_distance else torch.ones_like(ours - theirs)
                )
                apart = torch.where(ours == theirs, 0.0, apart)  # infinite less infinite is no number
                apart = torch.where(left, apart, 2 * far)
                left &= apart == apart.amin(dim=1, keepdim=True)
            chosen.append(left.to(torch.uint8).argmax(dim=1))
        found = seen[torch.cat(chosen)]
        return torch.where(found.isinf(), torch.nan, found)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        return {"kind": self.kind, "names": list(self.names), "seen": [list(row) for row in self.seen]}

    @classmethod
    def from_dict(cls, data: Any, columns: Sequence[Column]) -> Relation:
        """The relation between these columns that `to_dict` wrote.

        Raises:
            InvalidArtifact: anything that `to_dict` does not write.
        """
        try:
            kind, names, seen = data["kind"], tuple(data["names"]), tuple(map(tuple, data["seen"]))
            _require_columns(kind, names, columns)
            sound = set(data) == {"kind", "names", "seen"} and kind in RELATIONS
            sound &= isinstance(data["seen"], list) and all(len(row) == len(names) for row in seen)
            sound &= all(v is None or type(v) in (int, float) for row in seen for v in row)
        except (InvalidRequest, KeyError, TypeError):
            sound = False
        if not sound:
            raise InvalidArtifact(
                "What holds between columns of a table is not told as synthaug writes it. Save it again."
            )
        return cls(kind, names, seen)


def relations_among(kinds: Mapping[str, str]) -> tuple[dict[str, str], tuple[Relation, ...]]:
    """What is said of columns, and what of several of them: those of two names or more with a comma between.

    >>> relations_among({"zip": "category", "start, end": "ordered"})
    ({'zip': 'category'}, (Relation(kind='ordered', names=('start', 'end'), seen=()),))
    """
    alone = {name: kind for name, kind in kinds.items() if kind not in RELATIONS}
    found = tuple(
        Relation(kind, tuple(part.strip() for part in names.split(",")))
        for names, kind in kinds.items()
        if kind in RELATIONS
    )
    return alone, found


def require_relations(relations: Sequence[Relation], columns: Sequence[Column]) -> None:
    """Refuse relations that columns cannot have.

    Raises:
        InvalidRequest: one column alone, one that is not there, in two relations or of a kind that cannot be in one.
    """
    for relation in relations:
        _require_columns(relation.kind, relation.names, columns)
    named = [name for relation in relations for name in relation.names]
    if double := sorted({name for name in named if named.count(name) > 1}):
        raise InvalidRequest(
            f"{quoted(double)} is named twice among the relations of columns. Name each column in one of them, once."
        )


def _require_columns(kind: str, names: Sequence[str], columns: Sequence[Column]) -> None:
    by_name = {column.name: column for column in columns}
    for name in names:
        if name not in by_name:
            raise InvalidRequest(
                f'"{name}", which is to be {kind} with others, is no column that is learned.'
                f"{did_you_mean(name, by_name)} Names are separated by commas."
            )
    found = [by_name[name] for name in names]
    if len(found) < 2:
        raise InvalidRequest(f'"{kind}" is said of "{names[0]}" alone; name two columns or more: "a, b".')
    if kind == "ordered":
        kinds = {of.kind if of.whole else of.arrow for of in found}
        if len(kinds) > 1 or found[0].codes is not None:
            raise InvalidRequest(
                f"{quoted(names)} are {', '.join(f'{of.kind} of {of.arrow}' for of in found)}; columns that are "
                'ordered are numbers of one type, integers or dates. Give them one kind, as in kinds={"a": "integer"}, '
                "or convert them."
            )
    elif any(of.kind == "number" for of in found):
        raise InvalidRequest(
            f"{quoted(names)} hold numbers, of which combinations say little; columns that go together are categories, "
            'integers, booleans or dates. Name a number of few values a "category".'
        )


def in_one_unit(relations: Sequence[Relation], columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns, dates that are ordered counted in the finest unit of one of them."""
    units: dict[str, str] = {}
    for relation in relations:
        named = {column.name: column.unit for column in columns if column.name in relation.names}
        dated = [unit for unit in named.values() if unit is not None]
        if relation.kind == "ordered" and len(dated) == len(named) > 0:
            units |= dict.fromkeys(named, min(dated, key=UNITS.__getitem__))
    return tuple(replace(column, unit=units.get(column.name, column.unit)) for column in columns)


def _like(values: torch.Tensor, numbers: Any) -> torch.Tensor:
    """Numbers where other values are, of their precision."""
    import torch

    return torch.tensor(numbers, dtype=torch.float64).to(values)


def _bounds(names: Sequence[str], columns: Sequence[Column]) -> tuple[list[float], list[float]]:
    fits = [columns[at].fit for at in _places(names, columns)]
    return [fit.low for fit in fits if fit is not None], [fit.high for fit in fits if fit is not None]


def _places(names: Sequence[str], columns: Sequence[Column]) -> list[int]:
    places = {column.name: at for at, column in enumerate(columns)}
    return [places[name] for name in names]
