"""A Hugging Face data set as ``save_to_disk`` writes it, or a dictionary of its splits."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.data.readers.written import layout_of, record_of_folder
from synthaug.files.arrow import as_table, fits_columns, from_table
from synthaug.files.base import Columns, Format, NamedBlocks, as_json, describe
from synthaug.files.cards import Card
from synthaug.outputs import decode_name, encode_name


def is_saved_set(path: Path) -> bool:
    """Whether a path is what ``save_to_disk`` writes."""
    return path.is_dir() and ((path / "dataset_dict.json").exists() or (path / "state.json").exists())


def _write(work: Path, blocks: NamedBlocks, card: Card, record: Mapping[str, Any]) -> None:
    import datasets
    import pyarrow as pa

    layout = layout_of(record)
    assert layout is not None, "it is recorded before it is written"
    # Each split streams into one Arrow file first, which is then read memory-mapped.
    streams = work / ".streams"
    streams.mkdir(exist_ok=True)
    with ExitStack() as stack:
        writers: dict[str, Any] = {}
        for rows, files in blocks:
            table = as_table(rows, files, card, layout)
            table = table.cast(datasets.Features.from_arrow_schema(table.schema).arrow_schema)
            splits = np.full(len(rows), "") if rows.splits is None else rows.splits
            for split in dict.fromkeys(splits.tolist()):
                if split not in writers:
                    sink = str(streams / f"{len(writers)}.arrow")
                    writers[split] = stack.enter_context(pa.ipc.new_stream(sink, table.schema))
                writers[split].write_table(table.filter(pa.array(splits == split)))
    sets = {}
    for number, split in enumerate(writers):
        stored = datasets.Dataset.from_file(str(streams / f"{number}.arrow"))
        # Without a fingerprint that follows from the content, save_to_disk records a random one.
        name = hashlib.sha256(f"{split} {as_json(record)}".encode()).hexdigest()[:16]
        sets[split] = datasets.Dataset(stored.data, info=stored.info, fingerprint=name)
    with _quiet(datasets):
        whole = (
            sets[""]
            if list(sets) == [""]
            else datasets.DatasetDict({encode_name(k): v for k, v in sets.items()})
        )
        whole.save_to_disk(str(work))
    shutil.rmtree(streams)
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
    if list(parts) == [""]:
        return columns
    split = np.repeat([decode_name(name) for name in parts], [len(part) for part in parts.values()])
    return Columns({**columns.table, "split": split}, columns.read)


HF = Format(
    "hf",
    suffix=None,
    holds=fits_columns,
    write=_write,
    recognises=is_saved_set,
    record=record_of_folder,
    open=_open,
    unicode_only=True,
    in_columns=True,
    split_column=False,
)
