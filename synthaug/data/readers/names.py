"""Data sets by path or name: which reader a path is for, data sets of the hub, and those that come with synthaug."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from synthaug.data.readers.archives import is_archive, is_sharded, list_archive
from synthaug.data.readers.base import TABLE_SUFFIXES, Columns, Reading, Source
from synthaug.data.readers.columns import read_huggingface, read_parquet, read_saved, read_written_shards
from synthaug.data.readers.folder import lists_pictures, read_listing, read_table
from synthaug.data.readers.listing import is_picture, list_folder
from synthaug.data.readers.lists import SUFFIXES as LISTS, leads_out
from synthaug.data.readers.memory import read_arrays
from synthaug.data.readers.npz import read_npz, require_whole
from synthaug.data.readers.plain import read_recorded_text
from synthaug.data.readers.recorded import record_beside
from synthaug.data.readers.shards import shards_in
from synthaug.data.readers.written import read_written_folder, record_of_folder
from synthaug.errors import InvalidData, InvalidRequest, SynthaugError, UnsupportedKind
from synthaug.modalities.claims import BROKEN_PACKING
from synthaug.wording import did_you_mean, one_line, without_tokens

KINDS = (
    "a tuple (X, y) of arrays, a data frame, a map-style torch data set, a Hugging Face data set, the path of a folder "
    "or archive of class folders, of a .csv, .parquet, .npz or .npy file, of a table that lists pictures or of a saved "
    "Hugging Face data set, or a hub name"
)
_PAIRS = {
    "X": "y",
    "x": "y",
    "images": "labels",
    "data": "labels",
    "X_train": "y_train",
    "x_train": "y_train",
}
_ARRAYS = (".npz", ".npy", ".parquet")
_HUB_SECONDS = 2.0  # within which it has to answer
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_BUNDLED = Path(__file__).parents[1] / "bundled"


def read_named(source: str, columns: Columns) -> Source:
    """The data set at a path, on the hub, or bundled.

    Raises:
        InvalidData: as `read_source` does, and at files that are not what they seem, such as an output of synthaug
            whose record was changed.
    """
    if source.startswith("bundled:"):
        return _bundled(source.removeprefix("bundled:"), columns)
    try:
        return _read_named(source, columns)
    except SynthaugError:
        raise
    except OSError:  # whoever opens says it
        raise
    except (*BROKEN_PACKING, AttributeError, TokenError) as error:
        reason = one_line(str(error).rstrip(".")[:200])
        raise InvalidData(
            f"{one_line(source)} does not hold what it seems to hold ({type(error).__name__}: {reason}). Bring it back "
            "as it was, or write it again"
        ) from error


def _read_named(source: str, columns: Columns) -> Source:
    path = Path(source).expanduser()
    if path.is_dir():
        if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            return read_saved(path, columns)
        if (written := read_written_folder(path, columns.group)) is not None:
            return written
        if (record := record_of_folder(path)) is not None and shards_in(path):
            return read_written_shards(path, columns, record)
        return _folder(path, columns)
    suffix = path.suffix.lower()
    if path.exists():
        if not path.is_file():  # to open a pipe would wait for somebody to write
            raise InvalidData(f"{path} is a pipe, a socket or a device; give a folder or a file")
        if is_archive(path):
            return read_listing(list_archive(path), columns, f"archive {path}")
        if suffix in LISTS:
            record = record_beside(path)
            return read_table(path, columns) if record is None else read_recorded_text(path, columns, record)
        if suffix == ".npy":
            return _pair(path, columns)
        if suffix == ".parquet":
            return _parquet(path, columns)
        if suffix == ".npz":
            return read_npz(path, columns)
        if suffix in TABLE_SUFFIXES:
            raise UnsupportedKind(
                f"{path} is a table in a format that is not read; write it as .csv or .parquet, or give a data frame"
            )
        raise UnsupportedKind(f"{path} is a file of an unknown kind; taken are {KINDS}")
    siblings = _siblings(path)
    close = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.75)
    like_hub = _HUB_NAME.fullmatch(source) and suffix not in (".parquet", ".npz", *TABLE_SUFFIXES)
    if not like_hub or close or ("/" in source and path.parent.is_dir()):
        hint = did_you_mean(path.name, close or siblings)
        raise InvalidData(f"there is no file or folder {path}.{hint}")
    return _loaded(source, columns, f"hub data set {source}")


def _parquet(path: Path, columns: Columns) -> Source:
    """A file that holds its pictures, or one that lists them."""
    if lists_pictures(path, columns):
        return read_table(path, columns)
    return read_parquet(path, columns)


def _folder(path: Path, columns: Columns) -> Source:
    """A folder of pictures in class folders, or that tables list; of parquet files, or of arrays."""
    listing = list_folder(path)
    if not listing.pictures and not listing.scans:
        kinds = {Path(name).suffix.lower() for name in listing.others}
        if ".parquet" in kinds:
            found = replace(_loaded(str(path), columns, f"folder {path}"), path=path)
            return replace(found, reading=Reading("parquet files"))
        if ".tar" in kinds and is_sharded(path, listing.others):
            found = replace(_loaded(str(path), columns, f"folder {path}"), path=path)
            return replace(found, reading=Reading("shards as WebDataset has them"))
        arrays = [name for name in listing.others if name.lower().endswith(".npy")]
        images = [name for name in arrays if Path(name).stem in _PAIRS]
        if images:
            return _pair(path / images[0], columns)
    return read_listing(listing, columns, f"folder {path}")


def _pair(path: Path, columns: Columns) -> Source:
    """The arrays of images and labels in two ``.npy`` files."""
    other = _PAIRS.get(path.stem)
    labels = path.with_name(f"{other}.npy")
    if other is None or not labels.is_file():
        known = ", ".join(f"{x}.npy with {y}.npy" for x, y in _PAIRS.items())
        raise InvalidData(f"{path} has no labels beside it; pairs of these names are read: {known}")
    columns.refuse(f"the arrays of {path}")
    try:
        for each in (path, labels):
            with open(each, "rb") as file:
                require_whole(file, each.stat().st_size)
        x, y = (np.load(each, allow_pickle=False) for each in (path, labels))
    except (*BROKEN_PACKING, TokenError) as error:
        raise InvalidData(f"{path} and {labels} cannot be read as plain arrays: {error}") from error
    found = read_arrays(x, y, columns.group, origin=f"files {path} and {labels}")
    return replace(found, path=path, reading=Reading("a pair of .npy files"))


def _siblings(path: Path) -> list[str]:
    """What lies beside a path and could be data, by its name."""
    try:
        with os.scandir(path.parent) as beside:
            return sorted(each.name for each in beside if _could_be_data(each))
    except OSError:
        return []


def _could_be_data(entry: os.DirEntry[str]) -> bool:
    """A file of a kind that is read, or a folder with folders or such files in it."""
    if entry.name.startswith((".", "__")):
        return False
    try:
        if not entry.is_dir():
            return _is_read(entry.name)
        with os.scandir(entry.path) as inside:
            shown = (each for each in inside if not each.name.startswith((".", "__")))
            return any(each.is_dir() or _is_read(each.name) or _is_picture(each) for each in shown)
    except OSError:
        return False


def _is_picture(entry: os.DirEntry[str]) -> bool:
    return is_picture(entry.name, lambda: entry.path)


def _is_read(name: str) -> bool:
    return is_archive(Path(name)) or Path(name).suffix.lower() in (*LISTS, *_ARRAYS)


def _loaded(name: str, columns: Columns, origin: str) -> Source:
    """What the ``datasets`` library makes of a name or a folder."""
    import datasets

    if os.path.isdir(name):
        _require_inside(Path(name))
    answers = os.path.isdir(name) or _hub_answers(name)
    try:
        with nullcontext() if answers else _kept_only():
            found = datasets.load_dataset(name)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        told = without_tokens(str(error))
        reason = one_line(told.splitlines()[0]) if told else type(error).__name__
        if not answers:
            reason = "the hub cannot be reached, and nothing of that name is kept here"
        raise InvalidData(
            f"{name} is neither a local file or folder of a kind that is taken nor a hub data set that can be loaded: "
            f"{reason}"
        ) from (error if told == str(error) else None)
    return replace(read_huggingface(found, columns), origin=origin)


def _require_inside(folder: Path) -> None:
    """Refuse a folder whose card has the ``datasets`` library read files elsewhere, or fetch them."""
    import yaml

    card = folder / "README.md"
    if not card.is_file():
        return
    _, begun, rest = card.read_text(encoding="utf-8", errors="replace").partition("---\n")
    try:
        told = yaml.safe_load(rest.partition("\n---")[0]) if begun else None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidData(
            f"{card} cannot be read as the card of a data set; repair it, or move it away"
        ) from error
    paths = list(_texts(told.get("configs"))) if isinstance(told, Mapping) else []
    if outside := next((path for path in paths if "://" in path or leads_out(path)), None):
        raise InvalidData(f"{card} names a file outside of its folder, {outside!r}; move the card away")


def _texts(value: Any) -> Iterator[str]:
    """All texts in plain data."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _hub_answers(name: str) -> bool:
    """Whether the hub says anything of a data set, be it that there is none; loading would ask six times, for long."""
    import huggingface_hub
    import huggingface_hub.errors as hub

    try:
        huggingface_hub.HfApi().dataset_info(name, timeout=_HUB_SECONDS)
    except hub.HfHubHTTPError as error:
        return error.response is not None
    except hub.HFValidationError:  # loading says what is wrong with the name
        return True
    except (OSError, vars(hub)["HTTPError"]):
        return False
    return True


@contextmanager
def _kept_only() -> Iterator[None]:
    """Takes from the hub what is kept of it on this machine, without asking it."""
    import datasets
    from huggingface_hub import constants

    places = (constants, datasets.config)
    before = [place.HF_HUB_OFFLINE for place in places]
    for place in places:
        vars(place)["HF_HUB_OFFLINE"] = True
    try:
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            vars(place)["HF_HUB_OFFLINE"] = value


def _bundled(name: str, columns: Columns) -> Source:
    if name == "fashion-mnist":
        found = read_parquet(_BUNDLED / "fashion_mnist.parquet", columns)
        return replace(found, origin="bundled Fashion-MNIST")
    if name == "digits":
        from sklearn.datasets import load_digits

        columns.refuse("the bundled digits")
        digits = load_digits()
        pixels = np.rint(digits.images / 16 * 255).astype(np.uint8)
        return read_arrays(pixels, digits.target, columns.group, origin="bundled digits")
    raise InvalidRequest(
        f'there is no bundled data set "{name}".{did_you_mean(name, ["fashion-mnist", "digits"])}'
    )
