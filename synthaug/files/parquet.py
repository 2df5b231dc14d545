"""A parquet file in the Hugging Face image layout, or of the columns of a table, with the record in its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO

from synthaug.data.readers.written import RECORD_KEY, Layout, record_in
from synthaug.files.arrow import as_table, fits_columns, from_table
from synthaug.files.base import Columns, Format, NamedBlocks, as_json, begins_with
from synthaug.files.cards import Card
from synthaug.files.parts import Part

_FILE = "rows.parquet"


def _write(folder: Path, stem: str, blocks: NamedBlocks, card: Card, layout: Layout) -> None:
    write_table(folder / _FILE, blocks, card, layout)


def write_table(path: Path, blocks: NamedBlocks, card: Card, layout: Layout) -> None:
    """Rows as a parquet file without a record, a group of rows for each block."""
    import pyarrow.parquet as pq

    with ExitStack() as stack:
        writer = None
        for rows, files in blocks:
            table = as_table(rows, files, card, layout)
            if writer is None:
                writer = stack.enter_context(pq.ParquetWriter(path, table.schema))
            writer.write_table(table, row_group_size=len(rows))


def _join(work: Path, parts: Sequence[Part], card: Card, record: Mapping[str, Any]) -> str:
    import pyarrow.parquet as pq

    with ExitStack() as stack:
        writer = None
        for part in parts:
            with pq.ParquetFile(part.path(_FILE)) as file:
                if writer is None:
                    schema = file.schema_arrow
                    metadata = {**(schema.metadata or {}), RECORD_KEY: as_json(record).encode()}
                    writer = pq.ParquetWriter(work / _FILE, schema.with_metadata(metadata))
                    stack.enter_context(writer)
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group)
                    writer.write_table(table, row_group_size=len(table))
    return _FILE


def record_of_parquet(path: Path | BinaryIO) -> dict[str, Any] | None:
    """The record in a parquet file, by its path or opened; None where synthaug did not write it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = None
    with suppress(pa.ArrowInvalid):  # a file that was cut off
        text = (pq.read_schema(path).metadata or {}).get(RECORD_KEY)
    return None if text is None else record_in(text)


def _open(path: Path) -> Columns:
    from pyarrow import parquet

    return from_table(parquet.read_table(path), record_of_parquet(path))


PARQUET = Format(
    "parquet",
    suffix=".parquet",
    holds=fits_columns,
    write=_write,
    join=_join,
    recognises=lambda path: begins_with(path, b"PAR1"),
    record=record_of_parquet,
    open=_open,
    in_columns=True,
    unicode_only=True,
)
