"""A Hugging Face data set as ``save_to_disk`` writes it, or a dictionary of its splits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from synthaug.data.readers.written import Layout, layout_of, record_of_folder
from synthaug.files.arrow import as_table, fits_columns, from_table, with_splits
from synthaug.files.base import Columns, Format, NamedBlocks, as_json, describe
from synthaug.files.cards import Card
from synthaug.files.parts import Part
from synthaug.outputs import decode_name, encode_name


def is_saved_set(path: Path) -> bool:
    """Whether a path is what ``save_to_disk`` writes."""
    return path.is_dir() and ((path / "dataset_dict.json").exists() or (path / "state.json").exists())


_FILE = "rows.arrow"


def _write(folder: Path, stem: str, blocks: NamedBlocks, card: Card, layout: Layout) -> None:
    import datasets
    import pyarrow as pa

    with ExitStack() as stack:
        writer = None
        for rows, files in blocks:
            table = as_table(rows, files, card, layout)
            table = table.cast(datasets.Features.from_arrow_schema(table.schema).arrow_schema)
            if writer is None:
                writer = stack.enter_context(pa.ipc.new_stream(str(folder / _FILE), table.schema))
            writer.write_table(table)


def _join(work: Path, parts: Sequence[Part], card: Card, record: Mapping[str, Any]) -> None:
    import datasets

    sets: dict[str | None, tuple[Any, int]] = {}
    for split in dict.fromkeys(part.split for part in parts):
        paths = [str(part.path(_FILE)) for part in parts if part.split == split]
        stored = datasets.concatenate_datasets([datasets.Dataset.from_file(path) for path in paths])  # mapped
        # Without a fingerprint that follows from the content, save_to_disk records a random one.
        name = hashlib.sha256(f"{split or ''} {as_json(record)}".encode()).hexdigest()[:16]
        sets[split] = datasets.Dataset(stored.data, info=stored.info, fingerprint=name), len(paths)
    with _quiet(datasets):
        if list(sets) == [None]:
            whole, shards = sets[None]
            whole.save_to_disk(str(work), num_shards=shards)
        else:
            named = {encode_name(str(split)): each for split, each in sets.items()}
            splits = datasets.DatasetDict({name: each for name, (each, _) in named.items()})
            splits.save_to_disk(str(work), num_shards={name: shards for name, (_, shards) in named.items()})
    describe(work, card, record)


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    shown = not datasets.utils.are_progress_bars_disabled()
    if shown:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _open(path: Path) -> Columns:
    import datasets

    found = datasets.load_from_disk(str(path))
    parts = dict(found) if isinstance(found, datasets.DatasetDict) else {"": found}
    record = record_of_folder(path)
    layout = layout_of(record)
    whole = datasets.concatenate_datasets([part.with_format(None) for part in parts.values()])
    image = "image" if layout is None else layout.image
    if image is not None:
        whole = whole.cast_column(image, datasets.Image(decode=False))
    columns = from_table(whole.with_format("arrow")[:], record, splits=None)
    return with_splits(columns, {decode_name(name): len(part) for name, part in parts.items()})


HF = Format(
    "hf",
    suffix=None,
    holds=fits_columns,
    write=_write,
    join=_join,
    recognises=is_saved_set,
    record=record_of_folder,
    open=_open,
    unicode_only=True,
    in_columns=True,
    split_column=False,
    by_split=True,
)
