"""Pictures as the vectors that an embedder makes of them: rows of numbers, with the labels of the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.data.rows import Rows
from synthaug.data.vectors import Embed, checked_vectors, embedder_name
from synthaug.errors import InvalidData, InvalidRequest
from synthaug.modalities.source import RowSource
from synthaug.modalities.table.inference import columns_of_array
from synthaug.modalities.table.records import Records

if TYPE_CHECKING:
    from synthaug.data.labeled import LabeledData

_BLOCK = 32  # pictures that an embedder is given at once


@dataclass(frozen=True)
class Embedded(Records):
    """Vectors in memory that were made of pictures.

    Attributes:
        embed: what made them; None in another process, and of rows that did not come from it.
        asked: options of `open_data` that the pictures were read with.
        framed: how many of the pictures have further pages or frames, which were not read.
    """

    embed: Embed | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)
    framed: int = 0

    @property
    def opening(self) -> dict[str, Any]:
        """The embedder, where it is known, and how pictures were read for it."""
        return {} if self.embed is None else {**self.asked, "embed": self.embed}

    def several_frames(self) -> int:
        """Pictures of which only the first of several pages or frames was read."""
        return self.framed

    def replaced(self, rows: np.ndarray, names: Callable[[int], str], form: Any) -> Records:
        """Other vectors, of which no picture is known."""
        return Records(rows, self.columns, self.container, names)

    def __getstate__(self) -> dict[str, Any]:
        # vectors are made once; an embedder may be large, or nothing that can be sent
        return {**vars(self), "embed": None}


def embedded(data: LabeledData, embed: Embed) -> LabeledData:
    """The same rows as vectors, made block by block, in the order of rows, and kept in memory.

    Args:
        data: pictures, which may be of any sizes.
        embed: see `Embed`.

    Raises:
        InvalidRequest: what it gives is not one vector of numbers a picture, or not always of one width.
        InvalidData: a vector holds NaN or infinite values; a picture that cannot be decoded.
    """
    pictures, name = data.found.images, embedder_name(embed)
    vectors = _vectors(pictures, embed, name)
    columns, framed = columns_of_array(vectors), pictures.several_frames()
    made = Embedded(
        vectors, columns, "array", pictures.name, embed=embed, asked=pictures.opening, framed=framed
    )
    rows = Rows(made, made.form(), data._rows.memory)
    note = f"each {data.form.noun} is the {vectors.shape[1]} numbers that {name} made of it"
    reading = replace(data.reading, notes=(*data.reading.notes, note))
    found = replace(data.found, images=made, image_column=None, reading=reading)
    # with a source, what is expanded would be pictures
    return replace(
        data,
        form=rows.form,
        origin=f"{data.origin}, embedded by {name}",
        source=None,
        found=found,
        _rows=rows,
    )


def _vectors(pictures: RowSource, embed: Embed, name: str) -> np.ndarray:
    """``(N, D)`` float32."""
    blocks: list[np.ndarray] = []
    for start in range(0, len(pictures), _BLOCK):
        rows = range(start, min(start + _BLOCK, len(pictures)))
        made = checked_vectors(embed([pictures.alone(row) for row in rows]), len(rows), name)
        if blocks and made.shape[1] != blocks[0].shape[1]:
            raise InvalidRequest(
                f"{name} gave vectors of {blocks[0].shape[1]} numbers, and from {pictures.name(start)} on of "
                f"{made.shape[1]}; an embedder gives as many for a picture of any size: pool over places, or resize"
            )
        finite = np.isfinite(made).all(axis=1)
        if not finite.all():
            raise InvalidData(
                f"{name} gave NaN or infinite values for {pictures.name(start + int(np.argmin(finite)))}; remove or "
                "replace the picture, or correct the embedder"
            )
        blocks.append(made)
    return np.concatenate(blocks)
