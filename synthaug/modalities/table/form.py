"""What one row of a table is, as numbers, as a tensor and by its content."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import numpy as np

from synthaug.errors import InvalidArtifact, SpecMismatch
from synthaug.modalities.base import Backbone, Container, Form
from synthaug.modalities.table.codes import Block, RowCodec
from synthaug.modalities.table.columns import Column
from synthaug.modalities.table.fits import fitted_columns
from synthaug.modalities.table.inference import refuse_rows
from synthaug.modalities.table.kinds import FLOATS, INTEGERS, UNITS, Kind
from synthaug.modalities.table.relations import Relation
from synthaug.wording import quoted

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

_DTYPES = (*FLOATS.values(), *INTEGERS, "bool")
_WORDS: dict[Kind, tuple[str, str]] = {
    "number": ("number", "numbers"),
    "integer": ("integer", "integers"),
    "category": ("category", "categories"),
    "boolean": ("boolean", "booleans"),
    "date": ("date", "dates"),
}
# Of a training where nothing is said: at least, and at most.
_STEPS, _MOST_STEPS = 500, 4000
# A column in which so large a share of the values are different tells rows apart.
_DIFFERENT = 0.5
_COUNTED = 50  # rows from which on whole numbers that all differ are no chance
# Up to here float32 tells whole numbers apart.
_WHOLE = 2**24


@dataclass(frozen=True)
class TableForm(Form):
    """The form of one row of a table as a data set hands it out, and the way to a float32 tensor and back.

    A raw row is one number a column: numbers and integers as they are, booleans 0 or 1, a category's position in
    `Column.levels`, a date's count of `Column.unit` since the epoch, NaN where a cell is missing.

    Attributes:
        columns: of a row, without the label.
        dtype: of a raw row: float64, or that of an array of vectors.
        container: what the data set hands out.
        relations: what holds between columns, in samples too.
    """

    kind: ClassVar[str] = "table"
    noun: ClassVar[str] = "row"
    coincides: ClassVar[bool] = True
    light: ClassVar[bool] = True

    columns: tuple[Column, ...]
    dtype: str = "float64"
    container: Container = "array"
    relations: tuple[Relation, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """``(D,)``: the columns."""
        return (len(self.columns),)

    @property
    def encoded(self) -> tuple[int, ...]:
        """``(E,)``: the numbers of all `blocks`."""
        return (self._codec.size,)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """How an encoded row is laid out, in order: positions and one-hot blocks; see `blocks_of`."""
        return self._codec.blocks

    @property
    def ends(self) -> list[np.ndarray]:
        """A row of the lowest and one of the highest values, where these are known; the last level is the highest."""
        fits = [column.fit for column in self.columns]
        if None in fits:
            return []
        pairs = [
            (0, max(0, c.codes - 1)) if c.codes is not None else (f.low, f.high)
            for c, f in zip(self.columns, fits, strict=True)
            if f is not None
        ]
        return [np.array(end).astype(self.dtype) for end in zip(*pairs, strict=True)]

    def fitted(self, rows: np.ndarray) -> TableForm:
        """This form with the bounds, levels, outstanding values and quantiles of training rows.

        Args:
            rows: training rows ``(N, D)``.

        Raises:
            SpecMismatch: rows of another width or dtype.
            InvalidData: no rows, an infinite number, an integer beyond 2^53 or a code without a level.
        """
        self._require(rows)
        refuse_rows(rows, [column.name for column in self.columns])
        cells = np.ascontiguousarray(rows.T, np.float64)
        columns = fitted_columns(self.columns, cells, one_unit=self.container != "frame")
        relations = tuple(relation.fitted(rows, columns) for relation in self.relations)
        return replace(self, columns=columns, relations=relations)

    def encode(self, rows: np.ndarray) -> torch.Tensor:
        """``(N, D)`` raw rows -> ``(N, E)`` float32 in [-1, 1], laid out as `blocks` say.

        A number has the third of its normal quantile among training rows, by lines between their `Fit.knots`; 0 where
        it is a spike or missing. A level that no training row holds, or a missing cell where none was missing, is a
        block of -1; a number that is no spike, in a column of spikes alone, is the nearest of them.

        Raises:
            SpecMismatch: rows of another width or dtype.
        """
        self._require(rows)
        return self._codec.encode(rows)

    def decode(self, tensors: torch.Tensor) -> np.ndarray:
        """``(N, E)`` tensors -> ``(N, D)`` rows of ``dtype`` that the training rows' table could hold.

        The largest number of a one-hot block wins. Numbers are clipped to the bounds of the training rows, and rounded
        where they have to be whole; cells that break a relation of columns are changed so that it holds.
        """
        cells = self._decoded(tensors.detach().cpu()).numpy()
        return np.ascontiguousarray(cells.astype(self.dtype))

    def decode_on_device(self, tensors: torch.Tensor) -> torch.Tensor:
        """As `decode`, but a tensor where ``tensors`` are; float32 where a device has no float64."""
        import torch

        cells = self._decoded(tensors)
        dtype: torch.dtype = getattr(torch, self.dtype)
        return cells if dtype == torch.float64 else cells.to(dtype)

    def fingerprints(self, rows: np.ndarray, ends: np.ndarray | None = None) -> np.ndarray:
        """``(N,)`` uint64: 8 bytes of BLAKE2b over the cells of each row ``(N, D)``.

        A row keeps its fingerprint as float32, with its levels in another order, or with dates in another unit. Names
        and types of columns are not hashed.

        Args:
            rows: raw rows.
            ends: not looked at; other kinds of data need them.
        """
        self._require(rows)
        words = np.empty(rows.shape, "<u8")
        for at, column in enumerate(self.columns):
            words[:, at] = _words(rows[:, at], column)
        shape = repr(self.shape).encode()
        digests = b"".join(hashlib.blake2b(shape + row.tobytes(), digest_size=8).digest() for row in words)
        return np.frombuffer(digests, "<u8").astype(np.uint64)

    def telling(self, rows: np.ndarray) -> np.ndarray:
        """Rows with a number or date in a column where at least half of these are different.

        Of few columns of few values many rows are equal, and equal rows say nothing.
        """
        told = np.zeros(len(rows), bool)
        for column, cells in zip(self.columns, rows.T, strict=True):
            if column.codes is None:
                known = ~np.isnan(cells) if cells.dtype.kind == "f" else np.ones(len(cells), bool)
                if len(np.unique(cells[known])) >= _DIFFERENT * max(1, known.sum()):
                    told |= known
        return told

    def oddities(self, read: Callable[[], np.ndarray]) -> Iterator[str]:
        """Whole numbers that count the rows, which are learned as if they meant something."""
        whole = [column.name for column in self.columns if column.kind == "integer"]
        if not whole:
            return
        tied = {name for relation in self.relations for name in relation.names}
        cells = self.cells(read())
        for name in whole:
            found = cells[name].drop_null().to_numpy()
            n = len(cells[name])
            if name not in tied and len(np.unique(found)) == n >= _COUNTED and np.ptp(found) < 2 * n:
                yield (
                    f'column "{name}" differs in every row, as the number of a row does; if it is one, keep it beside: '
                    f'kinds={{"{name}": "beside"}}, or --kind {name}=beside'
                )

    def why_not(self, other: TableForm) -> str | None:
        """Why rows of the other form cannot stand among rows of this one; None where they can.

        Containers may differ, and so may columns of which one is not fitted yet.
        """
        if other.kind != self.kind:
            return f"{self} is not {other}"
        ours, theirs = ([column.name for column in form.columns] for form in (self, other))
        if ours != theirs:
            return _names_differ(ours, theirs)
        if self.dtype != other.dtype:
            return f"rows of {self.dtype} are not rows of {other.dtype}"
        reasons = (_why_not(a, b) for a, b in zip(self.columns, other.columns, strict=True))
        return next((reason for reason in reasons if reason), None)

    def unkept(self, made: TableForm) -> str | None:
        """What is said of these columns that rows of a form which was not told may break; None where nothing is."""
        told = {(relation.kind, relation.names) for relation in made.relations}
        for relation in self.relations:
            if (relation.kind, relation.names) not in told:
                return f"{quoted(relation.names)} are {relation.kind}"
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        columns = [column.to_dict() for column in self.columns]
        return {
            "kind": self.kind,
            "columns": columns,
            "dtype": self.dtype,
            "container": self.container,
            "relations": [relation.to_dict() for relation in self.relations],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TableForm:
        """The form that `to_dict` wrote.

        Raises:
            InvalidArtifact: anything that `to_dict` does not write.
        """
        fields = {"kind", "columns", "dtype", "container"}
        known = isinstance(data, Mapping) and set(data) - {"relations"} == fields
        known = known and isinstance(data.get("relations", []), list)
        if not (known and data["kind"] == cls.kind and isinstance(data["columns"], list) and data["columns"]):
            raise InvalidArtifact("This is not the form of a table as synthaug writes it. Save it again.")
        columns = tuple(Column.from_dict(column) for column in data["columns"])
        single = len({column.name for column in columns}) == len(columns)
        fitted = len({column.fit is None for column in columns}) == 1
        if not (single and fitted and data["dtype"] in _DTYPES and data["container"] in get_args(Container)):
            raise InvalidArtifact(
                "The form of a table has columns of one name, columns of which some are fitted, or an unknown dtype or "
                "container. Save it again."
            )
        relations = tuple(Relation.from_dict(each, columns) for each in data.get("relations", []))
        return cls(columns, data["dtype"], data["container"], relations)

    def backbone(self, width: int | None = None) -> Backbone:
        """Networks over encoded rows of this form; None chooses the width by the columns."""
        from synthaug.modalities.table.nets import TableBackbone

        return TableBackbone(self, width)

    def parts(self) -> dict[str, str]:
        """What each column is, and what training rows said of it."""
        from synthaug.modalities.table.view import in_words

        told = {column.name: in_words(column) for column in self.columns}
        for relation in self.relations:
            first, *others = relation.names
            what = "never above" if relation.kind == "ordered" else "only as training rows have it with"
            told[first] += f", {what} {', '.join(others)}"
        return told

    def drawn(self, rows: np.ndarray) -> np.ndarray:
        """Encoded rows as strips of cells."""
        from synthaug.modalities.table.view import row_strips

        return row_strips(self.encode(rows).numpy())

    def cells(self, rows: np.ndarray) -> dict[str, Any]:
        """The columns, with missing cells where they are."""
        from synthaug.modalities.table.cells import table_of_rows

        table = table_of_rows(rows, self.columns)
        return dict(zip(table.column_names, table.columns, strict=True))

    @property
    def in_lines(self) -> bool:
        """No: how each column goes is told by all rows."""
        return False

    def side_by_side(self, names: Sequence[str], blocks: Mapping[str, np.ndarray]) -> Image:
        """Bars for each column, and how they go together, whatever the lines are."""
        from synthaug.modalities.table.view import overview

        return overview(self, blocks)

    def usual_budget(self, rows: int) -> dict[str, Any]:
        """Steps, of which one takes some milliseconds: more where there is more to learn from."""
        return {"steps": min(_MOST_STEPS, _STEPS + rows // 5)}

    @property
    def complete(self) -> bool:
        """Whether the columns are fitted."""
        return all(column.fit is not None for column in self.columns)

    def __str__(self) -> str:
        counts = Counter(column.kind for column in self.columns)
        parts = [
            f"{counts[kind]} {words[counts[kind] > 1]}" for kind, words in _WORDS.items() if counts[kind]
        ]
        columns = "1 column" if len(self.columns) == 1 else f"{len(self.columns)} columns"
        return f"table of {columns} ({', '.join(parts)})"

    @cached_property
    def _codec(self) -> RowCodec:
        return RowCodec(self.columns)

    def _decoded(self, tensors: torch.Tensor) -> torch.Tensor:
        cells = self._codec.decode(tensors)
        for relation in self.relations:
            cells = relation.held(cells, self.columns)
        return cells

    def _require(self, rows: np.ndarray) -> None:
        if rows.ndim != 2 or rows.shape[1:] != self.shape or rows.dtype != self.dtype:
            found = f"{'x'.join(map(str, rows.shape[1:]))} {rows.dtype}"
            raise SpecMismatch(
                f"Rows of the form {self} were expected, {len(self.columns)} {self.dtype}; {found} were given."
            )


def _words(cells: np.ndarray, column: Column) -> np.ndarray:
    """``(N,)`` 8 bytes a cell that are the same for the same content."""
    if column.kind == "category":
        texts = [hashlib.blake2b(str(level).encode(), digest_size=8).digest() for level in column.levels]
        words = np.frombuffer(b"".join(texts) + b"\xff" * 8, "<u8")
        return words[np.where(np.isnan(cells), len(texts), cells).astype(np.int64)]
    values = cells.astype(np.float64) + 0.0  # -0.0 becomes 0.0
    if column.unit is not None:
        seconds = UNITS["s"] // UNITS[column.unit]
        values = values / seconds if seconds else values * (UNITS[column.unit] // UNITS["s"])
    short = values.astype("<f4") + np.float32(0)
    words = short.view("<u4").astype("<u8")
    if column.whole:
        exact = values.astype("<f8").view("<u8")
        words = np.where((np.abs(values) > _WHOLE) | (short != values), exact, words)
    words[np.isnan(values)] = 2**64 - 1
    return words


def _names_differ(ours: list[str], theirs: list[str]) -> str:
    if all(names == [str(at) for at in range(len(names))] for names in (ours, theirs)):
        return f"vectors of {len(theirs)} numbers are not vectors of {len(ours)}"
    without = [name for name in ours if name not in theirs]
    beyond = [name for name in theirs if name not in ours]
    if without or beyond:
        each = ((without, "only in the one"), (beyond, "only in the other"))
        told = ", ".join(f"{quoted(names)} {where}" for names, where in each if names)
        return f"the columns differ: {told}"
    return "the columns are in another order"


def _why_not(ours: Column, theirs: Column) -> str | None:
    name = f'column "{ours.name}"'
    if ours.kind != theirs.kind:
        return f"{name} is of kind {ours.kind}, not {theirs.kind}"
    if ours.arrow != theirs.arrow:
        return f"{name} is of type {ours.arrow}, not {theirs.arrow}"
    if ours.unit != theirs.unit:
        return f"{name} is counted in {ours.unit}, not {theirs.unit}"
    if ours.levels != theirs.levels:
        without = [str(level) for level in ours.levels if level not in theirs.levels]
        beyond = [str(level) for level in theirs.levels if level not in ours.levels]
        if without or beyond:
            return f"{name} has other levels: {quoted(without)} not in the other, {quoted(beyond)} only there"
        return f"{name} has its levels in another order"
    if None not in (ours.fit, theirs.fit) and ours.fit != theirs.fit:
        return f"{name} was fitted to other rows"
    return None
