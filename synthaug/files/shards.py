"""How the rows of an output are divided: planned up front, from the request alone, so that any process can make any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from synthaug.errors import InvalidRequest
from synthaug.outputs import encode_name

_MOST = 1_000_000  # shards
_ALONE = "train"  # what the rows are called where there are no splits, as `datasets` calls them


@dataclass(frozen=True)
class Piece:
    """A run of rows of one kind.

    Attributes:
        name: the class of synthetic rows; None of real ones.
        first: the number of the first, in the sequence of its class, or among the real rows of its split.
        count: how many.
    """

    name: str | None
    first: int
    count: int


@dataclass(frozen=True)
class Shard:
    """Rows that are made and kept together.

    Attributes:
        number: its place among all, from 0.
        split: of its rows; None where rows of several splits lie together, or there are none.
        stem: what a file of its own is called, such as ``train-00000-of-00012``.
        pieces: what it holds, in order; all real, or all synthetic.
    """

    number: int
    split: str | None
    stem: str
    pieces: tuple[Piece, ...]

    @property
    def rows(self) -> int:
        """Rows in it."""
        return sum(piece.count for piece in self.pieces)

    @property
    def real(self) -> bool:
        """Whether its rows are real ones."""
        return self.pieces[0].name is None


def plan_shards(
    real: Mapping[str | None, int], synthetic: Mapping[str, int], grown: str | None, size: int
) -> list[Shard]:
    """All rows of an output in shards of at most ``size`` rows: the real ones first, then class by class.

    Args:
        real: real rows of each split, in the order in which splits come; of one that is called None where all lie
            together.
        synthetic: synthetic rows of each class, in their order.
        grown: the split that these are in.
        size: rows of a shard.

    Raises:
        InvalidRequest: there would be more than a million shards.

    >>> [(s.stem, s.pieces[0].first, s.rows) for s in plan_shards({None: 3}, {"cat": 1, "dog": 2}, None, 2)]
    [('train-00000-of-00004', 0, 2), ('train-00001-of-00004', 2, 1), ('train-00002-of-00004', 0, 2), \
('train-00003-of-00004', 1, 1)]
    """
    rows = sum(real.values()) + sum(synthetic.values())
    if rows > _MOST * size:
        raise InvalidRequest(
            f"{rows:,} rows were asked for, in shards of {size:,}: more than {_MOST:,} shards. Ask for fewer rows, or "
            f"for larger shards: --shard-size {-(-rows // _MOST)}."
        )
    found: list[Shard] = []
    for split in dict.fromkeys([*real, grown]):
        runs = list(_cut([Piece(None, 0, real.get(split, 0))], size))
        if split == grown:
            runs += _cut([Piece(name, 0, n) for name, n in synthetic.items()], size)
        for place, run in enumerate(runs):
            found.append(Shard(len(found), split, stem_of(split, place, len(runs)), tuple(run)))
    return found


def stem_of(split: str | None, place: int, of: int) -> str:
    """What the file of a shard is called, by its place among those of its split.

    >>> stem_of(None, 0, 12)
    'train-00000-of-00012'
    """
    return f"{_ALONE if split is None else encode_name(split)}-{place:05d}-of-{of:05d}"


def _cut(pieces: list[Piece], size: int) -> Iterator[list[Piece]]:
    """Runs of pieces of at most so many rows, none of them empty."""
    run: list[Piece] = []
    room = size
    for piece in pieces:
        first, left = piece.first, piece.count
        while left:
            taken = min(left, room)
            run.append(Piece(piece.name, first, taken))
            first, left, room = first + taken, left - taken, room - taken
            if not room:
                yield run
                run, room = [], size
    if run:
        yield run
