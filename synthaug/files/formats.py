"""Labelled rows on disk: a folder of class folders, a parquet file, an npz file or a saved Hugging Face set.

Every row says where it came from, in the columns of `PROVENANCE_COLUMNS`; every output carries the request it
answers and a data card. Equal rows give equal bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

import numpy as np
from PIL import Image

from synthaug.errors import InvalidRequest, did_you_mean
from synthaug.generators.samples import PROVENANCE_COLUMNS
from synthaug.modalities.image.spec import ImageSpec
from synthaug.outputs import RECORD, atomic_write_bytes, atomic_write_text, encode_name, read_request

Format = Literal["folder", "parquet", "npz", "hf"]

_SUFFIXES: dict[str, Format] = {".parquet": "parquet", ".npz": "npz"}
_PROVENANCE = "provenance.csv"
_IMAGE_FILE = re.compile(r"\.(png|jpe?g|webp|bmp|gif|tiff?|p[gp]m)$", re.IGNORECASE)
# Class folders of these names would be taken for splits or would meet our own files.
_TAKEN = {"train", "training", "test", "testing", "eval", "evaluation", "val", "valid", "validation", "dev",
          _PROVENANCE, RECORD, "readme.md"}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """A run of rows on their way to disk.

    Attributes:
        images: ``(n, *spec.shape)`` of dtype ``spec.dtype``.
        labels: ``(n,)`` int64 positions in the classes.
        names: what each image file was called, a path or a bare name; anything else is given a number.
        provenance: the columns of `PROVENANCE_COLUMNS`, each of length n.
        splits: ``(n,)`` split names, or None where the data set has none.
        groups: ``(n,)`` group names, or None where the data set has none.
    """

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    provenance: Mapping[str, np.ndarray]
    splits: np.ndarray | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Card:
    """What a data set says about itself.

    Attributes:
        classes: the class names.
        values: the label of each class in the data set's own encoding, beside ``classes``.
        spec: the form of one row.
        origin: what the real rows were read from, empty where there are none.
        generator: SHA-256 of the generator's weights.
        family: the generator's family, e.g. ``cvae``.
        seed: the seed of the synthetic rows.
        real: real rows per class.
        synthetic: synthetic rows per class.
        copied: rows of each split that was copied as it was, by the name of the split.
    """

    classes: tuple[str, ...]
    values: tuple[Any, ...]
    spec: ImageSpec
    origin: str
    generator: str
    family: str
    seed: int
    real: Mapping[str, int]
    synthetic: Mapping[str, int]
    copied: Mapping[str, int]

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(chain(self.real.values(), self.synthetic.values(), self.copied.values()))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {**asdict(self), "values": np.array(self.values).tolist()}

    def markdown(self) -> str:
        """A data set card as the Hugging Face Hub shows it: a YAML header and a page for people."""
        counts = json.dumps(dict(self.synthetic), ensure_ascii=False)
        table = "".join(
            f"| {table_cell(name)} | {self.real.get(name, 0)} | {self.synthetic.get(name, 0)} |\n"
            for name in self.classes
        )
        copied = "".join(
            f"\nSplit `{name}`: {n} rows, copied as they were.\n" for name, n in self.copied.items()
        )
        source = f"The real rows are those of {self.origin}." if self.origin else "There are no real rows."
        return (
            card_header(self.rows, real=bool(self.origin)) + "# Labelled images with synthetic rows\n\n"
            f"{source} The synthetic rows come from a {self.family} generator; "
            "the columns beside each row say which rows they are.\n\n"
            f"| class | real | synthetic |\n|---|---:|---:|\n{table}{copied}\n"
            f"- Form of a row: {self.spec}\n"
            f"- Generator: weights with SHA-256 `{self.generator}`\n"
            f"- Seed: {self.seed}\n"
            "- Licence: not stated\n\n"
            "To make the synthetic rows again, byte for byte on one machine and thread count:\n\n"
            "```python\n"
            'generator = synthaug.load("gen/")  # its fingerprint is the SHA-256 above\n'
            f"samples = generator.sample({counts}, seed={self.seed})\n"
            "```\n\n"
            "Synthetic rows are for training. Do not test on them, and do not train a generator on them.\n"
        )


def card_header(rows: int, *, real: bool) -> str:
    """The YAML header of a data card.

    Args:
        rows: how many there are.
        real: whether some of them are real.
    """
    sizes = {1_000: "n<1K", 10_000: "1K<n<10K", 100_000: "10K<n<100K", 1_000_000: "100K<n<1M"}
    size = next((text for limit, text in sizes.items() if rows < limit), "n>1M")
    return (
        "---\n"
        "task_categories:\n- image-classification\n"
        "tags:\n- synthetic\n- synthaug\n"
        "annotations_creators:\n- machine-generated\n"
        f"source_datasets:\n- {'extended' if real else 'original'}\n"
        f"size_categories:\n- {size}\n"
        "---\n"
    )


def choose_format(out: str | Path, format: str | None, spec: ImageSpec) -> Format:
    """The format of the output ``out``: the one asked for, or what its suffix says, or a folder.

    Raises:
        InvalidRequest: the format or suffix is unknown, the two disagree, or the format cannot hold rows of
            this spec (PNG holds uint8, and uint16 in one channel).

    >>> choose_format("bigger.npz", None, ImageSpec(28, 28, 1, "HW", "uint8"))
    'npz'
    """
    known, suffix = get_args(Format), Path(out).suffix.lower()
    if format is not None and format not in known:
        raise InvalidRequest(f'There is no format "{format}".{did_you_mean(format, known)}')
    chosen: Format
    if format is not None:
        chosen = next(name for name in known if name == format)
        if _SUFFIXES.get(suffix, chosen) != chosen:
            raise InvalidRequest(
                f'"{out}" ends like {_SUFFIXES[suffix]}, but the format "{format}" was asked for.'
            )
    elif suffix and suffix not in _SUFFIXES:
        raise InvalidRequest(
            f'The suffix of "{out}" names no format. Use .parquet, .npz, or no suffix for a folder; or say '
            'which with format= (--format): "folder", "parquet", "npz" or "hf".'
        )
    else:
        chosen = _SUFFIXES.get(suffix, "folder")
    if chosen != "npz" and not (spec.dtype == "uint8" or (spec.dtype == "uint16" and spec.channels == 1)):
        raise InvalidRequest(
            f'Rows of {spec} cannot be written as "{chosen}": its images are PNG files: they hold uint8 and '
            "uint16 in one channel. Write an .npz file instead."
        )
    return chosen


def real_provenance(n: int) -> dict[str, np.ndarray]:
    """The provenance columns of ``n`` real rows: not synthetic, and empty or -1 otherwise.

    Never null, so that rows still collate into batches.
    """
    return {
        "synthetic": np.zeros(n, bool),
        "generator": np.full(n, "", "<U1"),
        "seed": np.full(n, -1, np.int64),
        "class": np.full(n, "", "<U1"),
        "index": np.full(n, -1, np.int64),
    }


def write_rows(
    work: Path,
    format: Format,
    blocks: Iterable[Rows],
    card: Card,
    request: Mapping[str, Any],
    held_out: np.ndarray | None = None,
) -> str | None:
    """Writes all rows into the folder ``work``, in bounded memory.

    Args:
        work: an existing folder, such as that of an `Output`; what an earlier, killed call wrote is replaced.
        format: one that `choose_format` gave.
        blocks: the rows, ``card.rows`` in all.
        card: the data card.
        request: plain JSON data to record.
        held_out: ``(M,)`` uint64 fingerprints of rows that the synthetic ones must not meet, to record as well.

    Returns:
        The name of the one file inside ``work`` that is the output, or None where the folder is.
    """
    write = {"folder": _write_folder, "parquet": _write_parquet, "npz": _write_npz, "hf": _write_hf}[format]
    record: dict[str, Any] = {"request": dict(request), "card": card.to_dict()}
    if held_out is not None and len(held_out):
        record["held_out"] = held_out.astype(">u8").tobytes().hex()
    return write(work, _named(blocks, card.classes), card, record)


def read_record(path: Path) -> dict[str, Any] | None:
    """The record ``{"request", "card", ...}`` in an output of `write_rows`, or None where there is none."""
    if path.is_dir():
        return (
            json.loads((path / RECORD).read_text(encoding="utf-8"))
            if read_request(path) is not None
            else None
        )
    text: str | None = None
    with open(path, "rb") as file:
        magic = file.read(4)
    if magic == b"PAR1":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with suppress(pa.ArrowInvalid):  # a file that was cut off
            text = (pq.read_schema(path).metadata or {}).get(b"synthaug")
    elif magic == b"PK\x03\x04" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "synthaug.npy" in archive.namelist():
                text = str(np.lib.format.read_array(io.BytesIO(archive.read("synthaug.npy"))))
    return json.loads(text) if text is not None else None


def recorded_held_out(record: Mapping[str, Any]) -> np.ndarray:
    """``(M,)`` uint64 fingerprints that `write_rows` recorded."""
    return np.frombuffer(bytes.fromhex(record.get("held_out", "")), ">u8").astype(np.uint64)


def recorded_request(path: Path) -> Mapping[str, Any] | None:
    """The request that the output at ``path`` answers, for `open_output`; None where there is none."""
    record = read_record(path)
    return None if record is None else record["request"]


def _named(blocks: Iterable[Rows], classes: tuple[str, ...]) -> Iterator[tuple[Rows, list[str]]]:
    """Each block with the file of each row, ``split/class/name.png``; no two rows have the same one."""
    folders = [encode_name(name, classes) for name in classes]
    folders = [f"%{ord(f[0]):02X}{f[1:]}" if f.lower() in _TAKEN else f for f in folders]
    used: set[str] = set()
    start = 0
    for rows in blocks:
        files = []
        for row in range(len(rows)):
            stem = Path(rows.names[row]).stem
            if not _IMAGE_FILE.search(rows.names[row]) or len(stem) > 100 or encode_name(stem) != stem:
                stem = f"real-{start + row:06d}"
            parts = [] if rows.splits is None else [encode_name(str(rows.splits[row]))]
            folder = "/".join([*parts, folders[rows.labels[row]]])
            file = f"{folder}/{stem}.png"
            while file.lower() in used:
                stem += f"-{start + row}"
                file = f"{folder}/{stem}.png"
            used.add(file.lower())
            files.append(file)
        yield rows, files
        start += len(rows)


def _write_folder(
    work: Path, blocks: Iterable[tuple[Rows, list[str]]], card: Card, record: Mapping[str, Any]
) -> None:
    with open(work / _PROVENANCE, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        for number, (rows, files) in enumerate(blocks):
            columns: dict[str, Any] = {
                "file": files,
                **{name: rows.provenance[name] for name in PROVENANCE_COLUMNS},
            }
            if rows.groups is not None:
                columns["group"] = rows.groups
            if number == 0:
                table.writerow(columns)
            table.writerows(zip(*columns.values(), strict=True))
            for folder in {str(Path(name).parent) for name in files}:
                (work / folder).mkdir(parents=True, exist_ok=True)
            for name, image in zip(files, rows.images, strict=True):
                (work / name).write_bytes(png_bytes(image, card.spec))
    _describe(work, card, record)


def _write_npz(
    work: Path, blocks: Iterable[tuple[Rows, list[str]]], card: Card, record: Mapping[str, Any]
) -> str:
    columns: dict[str, list[np.ndarray]] = {}
    with zipfile.ZipFile(work / "rows.npz", "w") as archive:
        with _member(archive, "X") as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(card.spec.dtype)),
                "fortran_order": False,
                "shape": (card.rows, *card.spec.shape),
            }
            np.lib.format.write_array_header_1_0(file, header)
            for rows, _ in blocks:
                file.write(np.ascontiguousarray(rows.images, card.spec.dtype).tobytes())
                parts = {"y": np.array(card.values)[rows.labels], **rows.provenance}
                parts |= {k: v for k, v in (("split", rows.splits), ("group", rows.groups)) if v is not None}
                for name, column in parts.items():
                    columns.setdefault(name, []).append(np.asarray(column))
        arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
        arrays |= {"classes": np.array(card.classes), "synthaug": np.array(_json(record))}
        for name, array in arrays.items():
            with _member(archive, name) as file:
                np.lib.format.write_array(file, array.astype(str) if array.dtype == object else array)
    return "rows.npz"


@contextmanager
def _member(archive: zipfile.ZipFile, name: str) -> Iterator[BinaryIO]:
    # A ZipInfo of its own keeps the date at 1980, so that equal arrays give equal files.
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
        yield file  # type: ignore[misc]


def _write_parquet(
    work: Path, blocks: Iterable[tuple[Rows, list[str]]], card: Card, record: Mapping[str, Any]
) -> str:
    import pyarrow.parquet as pq

    with ExitStack() as stack:
        writer = None
        for rows, files in blocks:
            table = _table(rows, files, card)
            if writer is None:
                schema = table.schema.with_metadata(
                    {**table.schema.metadata, b"synthaug": _json(record).encode()}
                )
                writer = stack.enter_context(pq.ParquetWriter(work / "rows.parquet", schema))
            writer.write_table(table, row_group_size=len(rows))
    return "rows.parquet"


def _write_hf(
    work: Path, blocks: Iterable[tuple[Rows, list[str]]], card: Card, record: Mapping[str, Any]
) -> None:
    import datasets
    import pyarrow as pa

    # Each split streams into one Arrow file first, which is then read memory-mapped.
    streams = work / ".streams"
    streams.mkdir(exist_ok=True)
    with ExitStack() as stack:
        writers: dict[str, Any] = {}
        for rows, files in blocks:
            table = _table(rows, files, card, with_split=False)
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
        name = hashlib.sha256(f"{split} {_json(record)}".encode()).hexdigest()[:16]
        sets[split] = datasets.Dataset(stored.data, info=stored.info, fingerprint=name)
    with _quiet(datasets):
        whole = (
            sets[""]
            if list(sets) == [""]
            else datasets.DatasetDict({encode_name(k): v for k, v in sets.items()})
        )
        whole.save_to_disk(str(work))
    shutil.rmtree(streams)
    _describe(work, card, record)


def _table(rows: Rows, files: list[str], card: Card, *, with_split: bool = True) -> Any:
    """The rows in the Hugging Face image layout, as a pyarrow table whose schema says so."""
    import datasets
    import pyarrow as pa

    columns: dict[str, Any] = {
        "image": [
            {"bytes": png_bytes(image, card.spec), "path": file}
            for image, file in zip(rows.images, files, strict=True)
        ],
        "label": rows.labels,
        **{name: rows.provenance[name].tolist() for name in PROVENANCE_COLUMNS},
    }
    types: dict[str, Any] = {
        "image": datasets.Image(),
        "label": datasets.ClassLabel(names=list(card.classes)),
        **provenance_features(),
    }
    named = {"split": rows.splits if with_split else None, "group": rows.groups}
    for name, column in named.items():
        if column is not None:
            columns[name], types[name] = [str(value) for value in column], datasets.Value("string")
    return pa.table(columns, schema=datasets.Features(types).arrow_schema)


def provenance_features() -> dict[str, Any]:
    """The Hugging Face feature of each provenance column."""
    import datasets

    kinds = ("bool", "string", "int64", "string", "int64")
    return {name: datasets.Value(kind) for name, kind in zip(PROVENANCE_COLUMNS, kinds, strict=True)}


def mark_real(dataset: Any, kinds: Mapping[str, Any]) -> Any:
    """The rows of a map-style Hugging Face set in their order, beside columns that say they are real.

    Args:
        dataset: its format or transform is taken off.
        kinds: the columns of `provenance_features` to add.

    Returns:
        A set over the same storage, in memory or mapped from disk. Nothing is copied or written.
    """
    import datasets

    # Columns can only be put beside a table as it is stored: were the set a selection of its rows, the library
    # would write the selected rows to its cache first. So the selection is made again, and last.
    stored = datasets.Dataset(dataset.data, info=dataset.info.copy(), split=dataset.split)
    columns = real_provenance(len(stored))
    beside = datasets.Dataset.from_dict(
        {name: columns[name].tolist() for name in kinds}, features=datasets.Features(dict(kinds))
    )
    marked = datasets.concatenate_datasets([stored, beside], axis=1)
    if dataset._indices is None:
        return marked
    return marked.select(dataset._indices.column("indices").to_pylist(), keep_in_memory=True)


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


def _describe(work: Path, card: Card, record: Mapping[str, Any]) -> None:
    atomic_write_bytes(work / "README.md", card.markdown().encode(errors="backslashreplace"))
    atomic_write_text(work / RECORD, _json(record, indent=1) + "\n")


def _json(record: Mapping[str, Any], indent: int | None = None) -> str:
    return json.dumps(record, ensure_ascii=True, indent=indent)


def table_cell(text: str) -> str:
    """Any text as one cell of a Markdown table."""
    return re.sub(r"([|\\`*_<>\[\]])", r"\\\1", text).replace("\n", " ") or "(empty name)"


def png_bytes(image: np.ndarray, spec: ImageSpec) -> bytes:
    """One row as a PNG file: ``image`` of shape ``spec.shape``, uint8, or uint16 in one channel."""
    pixels = np.moveaxis(image, 0, -1) if spec.layout == "CHW" else image
    if spec.channels == 1:
        pixels = pixels.reshape(spec.height, spec.width)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()
