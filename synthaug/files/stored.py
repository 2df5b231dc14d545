"""Synthetic rows read back from what was written to disk."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from synthaug.errors import InvalidData
from synthaug.files.formats import read_record, recorded_held_out
from synthaug.generators.samples import PROVENANCE_COLUMNS, Samples
from synthaug.modalities.image.fingerprint import fingerprints
from synthaug.modalities.image.spec import ImageSpec

_TEXT = ("generator", "class", "split")


def read_samples(path: str | os.PathLike[str]) -> Samples:
    """The synthetic rows of a data set that `expand` or `sample` wrote, in the form they were made in.

    Real rows stay on disk. Rows that were held out from the generator are known by the fingerprints beside the
    output; where it has splits, the rows of those without synthetic rows count as held out, too. Mixing refuses
    loaders that contain them.

    Args:
        path: a folder, parquet file, npz file or saved Hugging Face data set.

    Raises:
        InvalidData: nothing is there, it was not written by synthaug, or it holds no synthetic rows.
    """
    path = Path(path)
    if not path.exists():
        raise InvalidData(f"there is no file or folder {path}")
    record = read_record(path)
    if record is None or "card" not in record:
        raise InvalidData(
            f"{path} was not written by synthaug expand or sample, so it does not say which rows are "
            "synthetic: pass samples, or a generator"
        )
    card = record["card"]
    spec = ImageSpec.from_dict(card["spec"])
    try:
        table, read = _open(path)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise InvalidData(f"{path} cannot be read as the data set it was written as: {error}") from error
    made = np.flatnonzero(table["synthetic"])
    if not len(made):
        raise InvalidData(f"{path} holds no synthetic rows")
    provenance = {name: table[name][made] for name in PROVENANCE_COLUMNS}
    # Text files hold names that no encoding knows in an escaped form.
    places = {name.encode(errors="backslashreplace").decode(): k for k, name in enumerate(card["classes"])}
    places |= {name: k for k, name in enumerate(card["classes"])}
    classes = [places[name] for name in provenance["class"].tolist()]
    provenance["class"] = np.array([card["classes"][k] for k in classes])
    return Samples(
        samples=_images(read(made), spec),
        labels=np.array([card["values"][k] for k in classes]),
        classes=tuple(card["classes"]),
        values=tuple(card["values"]),
        spec=spec,
        provenance=provenance,
        held_out=np.union1d(recorded_held_out(record), _held_out(table, made, read, spec)),
    )


_Read = Callable[[np.ndarray], Sequence[np.ndarray]]


def _held_out(table: Mapping[str, np.ndarray], made: np.ndarray, read: _Read, spec: ImageSpec) -> np.ndarray:
    if "split" not in table:
        return np.empty(0, np.uint64)
    other = np.flatnonzero(~np.isin(table["split"], table["split"][made]))
    found = [np.empty(0, np.uint64)]
    for start in range(0, len(other), 1024):
        images = _images(read(other[start : start + 1024]), spec)
        ends = None if spec.low is None else np.array([spec.low, spec.high], images.dtype)
        found.append(fingerprints(images, spec.layout, ends))
    return np.concatenate(found)


def _images(images: Sequence[np.ndarray], spec: ImageSpec) -> np.ndarray:
    """``(n, *spec.shape)`` of arrays as PNG files hold them, channels last or none, or of rows as they are."""
    stacked = np.stack(images)
    if spec.layout == "CHW" and stacked.ndim == 4 and stacked.shape[1:] != spec.shape:
        stacked = np.moveaxis(stacked, 3, 1)
    return np.ascontiguousarray(stacked.reshape(len(stacked), *spec.shape), spec.dtype)


def _open(path: Path) -> tuple[dict[str, np.ndarray], _Read]:
    """The columns of provenance, and what reads the images of some rows."""
    if path.is_dir() and ((path / "dataset_dict.json").exists() or (path / "state.json").exists()):
        return _saved(path)
    if path.is_dir():
        return _folder(path)
    with open(path, "rb") as file:
        magic = file.read(4)
    return _parquet(path) if magic == b"PAR1" else _npz(path)


def _folder(path: Path) -> tuple[dict[str, np.ndarray], _Read]:
    with open(path / "provenance.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = {name: np.array([row[name] for row in rows]) for name in PROVENANCE_COLUMNS}
    table["synthetic"] = table["synthetic"] == "True"
    table |= {name: table[name].astype(np.int64) for name in ("seed", "index")}
    files = [row["file"] for row in rows]
    # A split is a folder above the class's: split/class/name.png
    if files and all(file.count("/") == 2 for file in files):
        table["split"] = np.array([file.partition("/")[0] for file in files])
    return table, lambda chosen: [np.asarray(Image.open(path / files[row])) for row in chosen.tolist()]


def _npz(path: Path) -> tuple[dict[str, np.ndarray], _Read]:
    with np.load(path, allow_pickle=False) as archive:
        names = [*PROVENANCE_COLUMNS, *({"split"} & set(archive.files))]
        table, images = {name: archive[name] for name in names}, archive["X"]
    return table, lambda chosen: images[chosen]


def _parquet(path: Path) -> tuple[dict[str, np.ndarray], _Read]:
    from pyarrow import parquet

    rows = parquet.read_table(path)
    return _columns(rows), _encoded(rows["image"].combine_chunks())


def _saved(path: Path) -> tuple[dict[str, np.ndarray], _Read]:
    import datasets

    found = datasets.load_from_disk(str(path))
    parts = dict(found) if isinstance(found, datasets.DatasetDict) else {"": found}
    whole = datasets.concatenate_datasets([part.with_format(None) for part in parts.values()])
    rows = whole.with_format("arrow").cast_column("image", datasets.Image(decode=False))[:]
    table = _columns(rows)
    if list(parts) != [""]:
        table["split"] = np.repeat(list(parts), [len(part) for part in parts.values()])
    return table, _encoded(rows["image"].combine_chunks())


def _columns(rows: Any) -> dict[str, np.ndarray]:
    names = [*PROVENANCE_COLUMNS, *({"split"} & set(rows.column_names))]
    columns = {name: rows[name].to_numpy(zero_copy_only=False) for name in names}
    return {name: column.astype(str) if name in _TEXT else column for name, column in columns.items()}


def _encoded(images: Any) -> _Read:
    def read(chosen: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(Image.open(io.BytesIO(images[row]["bytes"].as_py()))) for row in chosen.tolist()]

    return read
