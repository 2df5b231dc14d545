"""A parquet file in the Hugging Face image layout, or of the columns of a table, with the record in its schema."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from synthaug.data.readers.written import RECORD_KEY, layout_of, record_in
from synthaug.files.arrow import as_table, fits_columns, from_table
from synthaug.files.base import Columns, Format, NamedBlocks, as_json, begins_with
from synthaug.files.cards import Card

_FILE = "rows.parquet"


def _write(work: Path, blocks: NamedBlocks, card: Card, record: Mapping[str, Any]) -> str:
    import pyarrow.parquet as pq

    layout = layout_of(record)
    assert layout is not None, "it is recorded before it is written"
    with ExitStack() as stack:
        writer = None
        for rows, files in blocks:
            table = as_table(rows, files, card, layout)
            if writer is None:
                metadata = {**table.schema.metadata, RECORD_KEY: as_json(record).encode()}
                schema = table.schema.with_metadata(metadata)
                writer = stack.enter_context(pq.ParquetWriter(work / _FILE, schema))
            writer.write_table(table, row_group_size=len(rows))
    return _FILE


def _record(path: Path) -> dict[str, Any] | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = None
    with suppress(pa.ArrowInvalid):  # a file that was cut off
        text = (pq.read_schema(path).metadata or {}).get(RECORD_KEY)
    return None if text is None else record_in(text)


def _open(path: Path) -> Columns:
    from pyarrow import parquet

    return from_table(parquet.read_table(path), _record(path))


PARQUET = Format(
    "parquet",
    suffix=".parquet",
    holds=fits_columns,
    write=_write,
    recognises=lambda path: begins_with(path, b"PAR1"),
    record=_record,
    open=_open,
    in_columns=True,
    unicode_only=True,
)
