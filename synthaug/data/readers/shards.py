"""Folders of shards that synthaug wrote: parquet files, or tar files as WebDataset has them."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthaug.data.readers.recorded import as_recorded
from synthaug.data.readers.written import Layout, layout_of, own_name
from synthaug.errors import InvalidData
from synthaug.outputs import decode_name

if TYPE_CHECKING:
    import pyarrow

SHARDS = "data"
"""The folder of the shards."""

_SHARD = re.compile(r"(.*)-\d{5,}-of-\d{5,}\.(parquet|tar)")


def told_beside(layout: Layout) -> tuple[str, str]:
    """The keys in a tar file of what is told of a row beside its columns: its file, and, as JSON, which are null."""
    taken = [*(layout.beside.names if layout.beside is not None else ()), layout.label, *layout.own]
    return own_name("file", taken), own_name("nulls", taken)


def shards_in(folder: Path, suffix: str = "") -> list[Path]:
    """The shards in a folder, in order, of one kind or of any."""
    within = folder / SHARDS
    paths = within.iterdir() if within.is_dir() else iter(())
    return sorted(path for path in paths if _SHARD.fullmatch(path.name) and path.name.endswith(suffix))


def read_shards(folder: Path, record: Mapping[str, Any]) -> dict[str, pyarrow.Table]:
    """All rows of a folder of shards by their splits, in which images are as they are stored.

    Raises:
        InvalidData: a shard is missing, or cannot be read.
    """
    import pyarrow as pa

    layout = layout_of(record)
    assert layout is not None, "every output with shards has one"
    found: dict[str, list[pa.Table]] = {}
    paths = shards_in(folder)
    told = len(record.get("parts", paths))
    if len(paths) != told:
        raise InvalidData(
            f"{folder} holds {len(paths)} shards of {told}: it was changed. Copy it anew, or make it anew"
        )
    for path in paths:
        named = _SHARD.fullmatch(path.name)
        split = decode_name(named[1]) if named is not None and layout.apart else ""
        try:
            table = _parquet(path) if path.suffix == ".parquet" else _untarred(path, record)
        except (OSError, EOFError, ValueError, KeyError, tarfile.TarError, pa.ArrowException) as error:
            raise InvalidData(f"{path} cannot be read: {error}") from error
        found.setdefault(split, []).append(table)
    return {split: pa.concat_tables(tables) for split, tables in found.items()}


def _parquet(path: Path) -> pyarrow.Table:
    from pyarrow import parquet

    return parquet.ParquetFile(path).read()


def _untarred(path: Path, record: Mapping[str, Any]) -> pyarrow.Table:
    """The rows of a tar file as those of a table."""
    import pyarrow as pa

    layout = layout_of(record)
    assert layout is not None, "the shard belongs to an output"
    images: list[dict[str, Any]] = []
    columns: dict[str, list[str | None]] = {}
    named, missing = told_beside(layout)
    for picture, told in _samples(path):
        nulls = set(json.loads(told[missing])) if missing in told else set()
        images.append({"bytes": picture, "path": told[named]})
        for name in (*(layout.beside.names if layout.beside is not None else ()), layout.label, *layout.own):
            columns.setdefault(name, []).append(None if name in nulls else str(told[name]))
    texts = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    table = as_recorded(texts, layout, None)
    stored = pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    table = table.add_column(0, layout.image or "image", stored)
    known = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
    features = (known.get("info") or {}).get("features") or {}
    told_of = {"info": {"features": features | {layout.label: dict(layout.feature)}}}
    return table.replace_schema_metadata({"huggingface": json.dumps(told_of)})


def _samples(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The picture of each row, and what is told of it."""
    with tarfile.open(path) as archive:
        for picture, _, told in _threes(archive):
            yield _content(archive, picture), json.loads(_content(archive, told))


def _threes(members: Iterable[tarfile.TarInfo]) -> Iterator[tuple[tarfile.TarInfo, ...]]:
    """Picture, number of the class and JSON of each row, which follow each other."""
    row: list[tarfile.TarInfo] = []
    for member in members:
        row.append(member)
        if len(row) == 3:
            if [each.name.rpartition(".")[2] for each in row] != ["png", "cls", "json"]:
                raise ValueError(f"{row[0].name} is not followed by its .cls and .json")
            yield tuple(row)
            row = []
    if row:
        raise ValueError(f"{row[0].name} is cut off")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member) if member.isfile() else None
    if file is None:
        raise ValueError(f"{member.name} is no file")
    return file.read()
