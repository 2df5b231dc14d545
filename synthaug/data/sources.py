"""One reader per kind of data set: what the user gives -> images, targets, groups and splits."""

from __future__ import annotations

import difflib
import json
import os
import re
import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from synthaug.data.classes import as_array, plain_label
from synthaug.data.items import IMAGE_NAMES, LABEL_NAMES, ItemForm, Key
from synthaug.errors import InvalidData, InvalidRequest, UnsupportedKind, did_you_mean
from synthaug.modalities.image.cells import Images, Pictures, Stack
from synthaug.modalities.image.spec import Container
from synthaug.outputs import decode_name

if TYPE_CHECKING:
    import pyarrow

_KINDS = (
    "a tuple (X, y) of arrays, a map-style torch data set, a Hugging Face data set, the path of a folder of "
    "class folders, of a .parquet or .npz file or of a saved Hugging Face data set, or a hub name"
)
_NO_TABLES = "tables are not images and are not supported yet"
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".ppm")
_TABLE_SUFFIXES = (".csv", ".tsv", ".xlsx", ".xls", ".arff")
_SPLIT_FOLDERS = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation"}
_SPLIT_FOLDERS["test"] = "test"
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_BUNDLED = Path(__file__).parent / "bundled"


@dataclass(frozen=True)
class Source:
    """What a reader found.

    Attributes:
        images: N images, read on demand.
        targets: N labels in the data set's own encoding, not checked yet.
        origin: what to call the source in a message.
        names: what label i is called, where the source says so.
        splits: ``(N,)`` split names, where the source has them.
        groups: ``(N,)`` group names, where the user named them.
    """

    images: Images
    targets: Any
    origin: str
    names: Sequence[str] | None = None
    splits: np.ndarray | None = None
    groups: np.ndarray | None = None


def read_source(source: Any, *, image: Key | None, label: Key | None, group: Any) -> Source:
    """Recognise the kind of `source` and read what can be known without decoding images.

    Args:
        source: any kind of data set; see `open_data`.
        image: column, key or position of the image, where it cannot be guessed.
        label: column, key or position of the label, where it cannot be guessed.
        group: column, key or position of the group, or N group names.

    Raises:
        UnsupportedKind: at an object that is no labelled image data set of a known kind.
        InvalidData: at a missing path, an empty or broken source, labels of another length.
        InvalidRequest: at a column that does not exist.
    """
    if isinstance(source, str | os.PathLike):
        return _named(os.fspath(source), image, label, group)
    if isinstance(source, tuple) and len(source) == 2:
        _refuse_columns("arrays", image, label, group)
        return _arrays(*source, group=group)
    datasets = sys.modules.get("datasets")
    if datasets is not None:
        if isinstance(source, datasets.Dataset | datasets.DatasetDict):
            return _huggingface(source, image, label, group)
        if isinstance(source, datasets.IterableDataset | datasets.IterableDatasetDict):
            raise UnsupportedKind(
                "a streaming Hugging Face data set was given; rows are needed by number: "
                "load it without streaming=True"
            )
    torch = sys.modules.get("torch")
    if torch is not None:
        if isinstance(source, torch.utils.data.IterableDataset):
            raise UnsupportedKind(
                "an IterableDataset was given; rows are needed by number: pass a map-style data set, or "
                "list(dataset) if it is finite"
            )
        if isinstance(source, torch.utils.data.DataLoader):
            raise UnsupportedKind("a DataLoader was given; pass its data set: loader.dataset")
    if hasattr(source, "iloc"):
        raise UnsupportedKind(f"a data frame was given; {_NO_TABLES}")
    if isinstance(as_array(source), np.ndarray):
        raise UnsupportedKind("an array without labels was given; pass a tuple (X, y)")
    if (
        hasattr(source, "__len__")
        and hasattr(source, "__getitem__")
        and not isinstance(source, Mapping | bytes)
    ):
        return _map_style(source, image, label, group)
    raise UnsupportedKind(f"an object of type {type(source).__name__} was given; taken are {_KINDS}")


# ---------------------------------------------------------------------------------------------- in memory


def _arrays(x: Any, y: Any, group: Any = None, origin: str = "arrays") -> Source:
    if isinstance(x, list | tuple):
        images = _stored(list(x))
    else:
        array = as_array(x)
        if not isinstance(array, np.ndarray):
            raise UnsupportedKind(
                f"X of type {type(x).__name__} was given; taken are NumPy arrays and torch tensors"
            )
        if array.dtype == object:
            images = _stored(list(array))
        elif array.ndim not in (3, 4):
            raise UnsupportedKind(
                f"X of shape {array.shape} was given; images are (N, H, W), (N, H, W, C) or (N, C, H, W), "
                f"and {_NO_TABLES}"
            )
        else:
            images = Stack("array" if array is x else "tensor", arrays=_native(array))
    n = len(y) if hasattr(y, "__len__") else None
    if n != len(images):
        raise InvalidData(f"{len(images)} images and {n} labels were given; every image needs one label")
    return Source(images, y, origin, groups=_group_array(group, len(images)))


def _stored(pictures: list[Any]) -> Images:
    """Images in a list: arrays, tensors or PIL images."""
    if pictures and all(isinstance(picture, Image.Image) for picture in pictures):
        return Pictures(container="pil", entries=pictures)
    arrays = [as_array(picture) for picture in pictures]
    for row, array in enumerate(arrays):
        if not isinstance(array, np.ndarray):
            raise InvalidData(
                f"row {row} holds an image of type {type(array).__name__}; all must be arrays, "
                "or all PIL images"
            )
    container: Container = "tensor" if arrays and arrays[0] is not pictures[0] else "array"
    if len({(array.shape, array.dtype) for array in arrays}) == 1:
        return Stack(container, arrays=_native(np.stack(arrays)))
    return Stack(container, arrays=[_native(array.copy()) for array in arrays])


def _native(array: np.ndarray) -> np.ndarray:
    """The array in this machine's byte order."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _map_style(source: Any, image: Key | None, label: Key | None, group: Any) -> Source:
    n = len(source)
    if n == 0:
        raise InvalidData("the data set holds no rows")
    first, again = source[0], source[0]
    form = ItemForm.of(first, image=image, label=label)
    if not np.array_equal(_pixels(form.image_of(first)), _pixels(form.image_of(again))) or (
        form.label_of(first) != form.label_of(again)
    ):
        raise InvalidData(
            "row 0 of the data set was read twice and differed: pass the set without its random transform"
        )
    pictures, targets, groups = [], [], []
    by_key = isinstance(group, str | int)
    for row in range(n):
        item = first if row == 0 else source[row]
        picture = form.image_of(item)
        if isinstance(picture, Image.Image):
            try:
                picture.load()
            except OSError as error:
                raise InvalidData(
                    f"row {row} cannot be read as an image: {error}. Remove or replace it"
                ) from error
        pictures.append(picture)
        try:
            targets.append(form.label_of(item))
        except (InvalidData, UnsupportedKind) as error:
            raise type(error)(f"row {row}: {error}") from None
        if by_key:
            groups.append(ItemForm.of(item, image=form.image, label=group).label_of(item))
    return Source(
        _stored(pictures),
        targets,
        f"data set {type(source).__name__}",
        names=_class_names(source, targets),
        groups=_group_array(groups if by_key else group, n),
    )


def _pixels(picture: Any) -> np.ndarray:
    return np.asarray(as_array(picture))


def _class_names(source: Any, targets: Sequence[Any]) -> Sequence[str] | None:
    """The names that a torchvision-like set keeps in `classes`, if its labels are positions in them."""
    while not hasattr(source, "classes") and hasattr(source, "dataset"):
        source = source.dataset
    names = getattr(source, "classes", None)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    fits = all(type(target) is int and 0 <= target < len(names) for target in targets)
    return names if fits else None


# -------------------------------------------------------------------------------------------------- names


def _named(source: str, image: Key | None, label: Key | None, group: Any) -> Source:
    if source.startswith("bundled:"):
        return _bundled(source.removeprefix("bundled:"), image, label, group)
    path = Path(source).expanduser()
    if path.is_dir():
        if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            import datasets

            found = _huggingface(datasets.load_from_disk(str(path)), image, label, group)
            return replace(found, origin=f"saved data set {path}")
        _refuse_columns(f"the folder {path}", image, label, group)
        return _folder(path, group)
    suffix = path.suffix.lower()
    if path.exists():
        if suffix == ".parquet":
            return _parquet(path, image, label, group)
        if suffix == ".npz":
            return _npz(path, image, label, group)
        if suffix in _TABLE_SUFFIXES:
            raise UnsupportedKind(f"{path} is a table; {_NO_TABLES}")
        raise UnsupportedKind(f"{path} is a file of an unknown kind; taken are {_KINDS}")
    siblings = _siblings(path)
    close = difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.75)
    like_hub = _HUB_NAME.fullmatch(source) and suffix not in (".parquet", ".npz", *_TABLE_SUFFIXES)
    if not like_hub or close or ("/" in source and path.parent.is_dir()):
        hint = did_you_mean(path.name, close or siblings)
        raise InvalidData(f"there is no file or folder {path}.{hint}")
    return _hub(source, image, label, group)


def _siblings(path: Path) -> list[str]:
    try:
        return sorted(os.listdir(path.parent))
    except OSError:
        return []


def _hub(name: str, image: Key | None, label: Key | None, group: Any) -> Source:
    import datasets

    try:
        found = datasets.load_dataset(name)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidData(
            f"{name} is neither a local file or folder nor a hub data set that can be loaded: {reason}"
        ) from error
    return replace(_huggingface(found, image, label, group), origin=f"hub data set {name}")


def _bundled(name: str, image: Key | None, label: Key | None, group: Any) -> Source:
    if name == "fashion-mnist":
        found = _parquet(_BUNDLED / "fashion_mnist.parquet", image, label, group)
        return replace(found, origin="bundled Fashion-MNIST")
    if name == "digits":
        from sklearn.datasets import load_digits

        _refuse_columns("the bundled digits", image, label, group)
        digits = load_digits()
        pixels = np.rint(digits.images / 16 * 255).astype(np.uint8)
        return _arrays(pixels, digits.target, group, origin="bundled digits")
    raise InvalidRequest(
        f'there is no bundled data set "{name}".{did_you_mean(name, ["fashion-mnist", "digits"])}'
    )


# -------------------------------------------------------------------------------------------------- files


def _folder(path: Path, group: Any) -> Source:
    folders = _subfolders(path)
    if not folders:
        loose = any(name.lower().endswith(_IMAGE_SUFFIXES) for name in os.listdir(path))
        found = "images without class folders" if loose else "no class folders"
        raise InvalidData(f"{path} holds {found}; put the images of each class into a folder of its name")
    nested = [name for name in folders if name in _SPLIT_FOLDERS and _subfolders(path / name)]
    if not ("train" in nested or (nested and set(folders) <= set(_SPLIT_FOLDERS))):
        files, targets = _class_folders(path)
        return Source(_files(files), targets, f"folder {path}", groups=_group_array(group, len(files)))
    others = [name for name in folders if name not in nested]
    if others:
        raise InvalidData(
            f"{path} holds the split folder {nested[0]} beside {', '.join(others)}, which has no class "
            "folders or is no split; move it, or point to one split"
        )
    files, targets, splits = [], [], []
    for name in sorted(nested, key=list(_SPLIT_FOLDERS).index):
        new_files, new_targets = _class_folders(path / name)
        files += new_files
        targets += new_targets
        splits += [_SPLIT_FOLDERS[name]] * len(new_files)
    return Source(
        _files(files),
        targets,
        f"folder {path}",
        splits=np.array(splits),
        groups=_group_array(group, len(files)),
    )


def _files(paths: list[str]) -> Images:
    return Pictures(names=paths.__getitem__, entries=paths)


def _subfolders(path: Path) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _class_folders(path: Path) -> tuple[list[str], list[str]]:
    """The image files below every class folder, at any depth, and the decoded name of each one's class."""
    files: list[str] = []
    targets: list[str] = []
    for name in sorted(_subfolders(path), key=decode_name):
        found = [
            os.path.join(where, file)
            for where, _, names in os.walk(path / name, followlinks=True)
            for file in names
            if file.lower().endswith(_IMAGE_SUFFIXES) and not file.startswith(".")
        ]
        if not found:
            raise InvalidData(f"the class folder {path / name} holds no image; fill it or remove it")
        files += sorted(found)
        targets += [decode_name(name)] * len(found)
    return files, targets


def _npz(path: Path, image: Key | None, label: Key | None, group: Any) -> Source:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise InvalidData(f"{path} cannot be read as an .npz file of plain arrays: {error}") from error
    x = _column(arrays, image, ("X", "x", *IMAGE_NAMES), "image", str(path))
    y = _column(arrays, label, ("y", *LABEL_NAMES), "label", str(path))
    by_name = isinstance(group, str)
    if by_name:
        group = arrays[_column(arrays, group, (), "group", str(path))]
    found = _arrays(arrays[x], arrays[y], group, origin=f"file {path}")
    splits = arrays.get("split")
    if splits is not None and splits.shape != (len(found.images),):
        raise InvalidData(f"{path} holds {len(found.images)} images and {splits.shape} split names")
    names = arrays.get("classes")
    if names is not None and set(np.unique(arrays[y]).tolist()) != set(range(len(names))):
        names = None  # which label has which name would be a guess
    return replace(
        found,
        names=None if names is None else names.tolist(),
        splits=None if splits is None else splits.astype(str),
    )


# --------------------------------------------------------------------- columns: Hugging Face and parquet


@dataclass(frozen=True)
class _Columns:
    """Which columns of an Arrow schema hold what."""

    image: str
    label: str
    split: str | None
    group: str | None
    encoded: bool
    dtype: np.dtype | None
    names: Sequence[str] | None

    @property
    def all(self) -> list[str]:
        return [name for name in dict.fromkeys((self.image, self.label, self.split, self.group)) if name]


@dataclass(frozen=True)
class _RowNames:
    """``row 3 of train`` for a row of several splits that lie one after another."""

    starts: tuple[int, ...]
    splits: tuple[str, ...]

    def __call__(self, row: int) -> str:
        which = bisect_right(self.starts, row) - 1
        return f"row {row - self.starts[which]} of {self.splits[which]}"


@dataclass(frozen=True)
class _Entries:
    """The encoded images of a Hugging Face column or an Arrow column, fetched row by row."""

    column: Any

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: int) -> Any:
        entry = self.column[row]
        return entry.as_py() if hasattr(entry, "as_py") else entry


def _parquet(path: Path, image: Key | None, label: Key | None, group: Any) -> Source:
    import pyarrow
    from pyarrow import parquet

    try:
        columns = _find_columns(parquet.read_schema(path), image, label, group, str(path))
        table = parquet.read_table(path, columns=columns.all)
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise InvalidData(f"{path} cannot be read as a parquet file: {error}") from error
    if columns.encoded:
        images: Images = Pictures(names=_FileRows(path.name), entries=_Entries(table[columns.image]))
    else:
        rows = [np.array(value, columns.dtype) for value in table[columns.image].to_pylist()]
        images = _stored(rows)
    return _from_table(table, columns, images, f"file {path}", group)


@dataclass(frozen=True)
class _FileRows:
    file: str

    def __call__(self, row: int) -> str:
        return f"row {row} of {self.file}"


def _huggingface(source: Any, image: Key | None, label: Key | None, group: Any) -> Source:
    import datasets

    parts = source if isinstance(source, datasets.DatasetDict) else None
    if parts is None:
        rows = source
    else:
        schemas = {name: part.features for name, part in parts.items()}
        if not parts or any(features != next(iter(schemas.values())) for features in schemas.values()):
            raise InvalidData(
                "the splits of the data set have different columns; give them the same features"
            )
        rows = datasets.concatenate_datasets([part.with_format(None) for part in parts.values()])
    columns = _find_columns(rows.features.arrow_schema, image, label, group, "the data set")
    rows = rows.with_format(None).select_columns(columns.all)
    table = rows.select_columns([c for c in columns.all if c != columns.image]).with_format("arrow")[:]
    names = None
    if parts is not None:
        starts = np.cumsum([0, *(len(part) for part in parts.values())])[:-1]
        names = _RowNames(tuple(starts.tolist()), tuple(parts))
    if columns.encoded:
        undecoded = rows.cast_column(columns.image, datasets.Image(decode=False))
        images: Images = Pictures("pil", names, entries=_Entries(undecoded[columns.image]))
    else:
        arrays = rows.with_format("numpy", columns=[columns.image], dtype=columns.dtype)[:][columns.image]
        images = replace(_stored(list(arrays)), names=names)
    found = _from_table(table, columns, images, "Hugging Face data set", group)
    if parts is None:
        return found
    return replace(found, splits=np.repeat(list(parts), [len(part) for part in parts.values()]))


def _from_table(table: pyarrow.Table, columns: _Columns, images: Images, origin: str, group: Any) -> Source:
    return Source(
        images,
        table[columns.label].to_pylist(),
        origin,
        names=columns.names,
        splits=None if columns.split is None else np.array(table[columns.split].to_pylist(), dtype=str),
        groups=_group_array(table[columns.group].to_pylist() if columns.group else group, len(images)),
    )


def _find_columns(
    schema: pyarrow.Schema, image: Key | None, label: Key | None, group: Any, origin: str
) -> _Columns:
    info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    features = {name: info.get(name, {}) for name in schema.names}
    dtypes = {name: _array_dtype(schema.field(name).type) for name in schema.names}
    encoded = {
        name: features[name].get("_type") == "Image" or _is_encoded(schema.field(name).type)
        for name in schema.names
    }
    pictures = {name: None for name in schema.names if encoded[name] or dtypes[name] is not None}
    if image is None and not pictures:
        raise UnsupportedKind(
            f"{origin} has no image column (columns: {', '.join(schema.names)}); {_NO_TABLES}"
        )
    image_column = _column(
        dict.fromkeys(schema.names) if image else pictures, image, IMAGE_NAMES, "image", origin
    )
    if image_column not in pictures:
        raise InvalidData(f"the column {image_column!r} of {origin} holds no images")
    others = dict.fromkeys(name for name in schema.names if name != image_column)
    named = {name: None for name in others if features[name].get("_type") == "ClassLabel"}
    usual = named if len(named) == 1 else {name: None for name in (named or others) if name in LABEL_NAMES}
    label_column = _column(others if label or not usual else usual, label, LABEL_NAMES, "label", origin)
    return _Columns(
        image_column,
        label_column,
        split="split" if "split" in others and label_column != "split" else None,
        group=_column(others, group, (), "group", origin) if isinstance(group, str) else None,
        encoded=encoded[image_column],
        dtype=dtypes[image_column],
        names=features[label_column].get("names"),
    )


def _is_encoded(kind: pyarrow.DataType) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return {field.name for field in kind} == {"bytes", "path"}
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _array_dtype(kind: pyarrow.DataType) -> np.dtype | None:
    """The element dtype of a column of numbers nested two or three deep; None for any other column."""
    import pyarrow.types as types

    depth = 0
    kind = getattr(kind, "storage_type", kind)
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    if depth not in (2, 3) or not (types.is_integer(kind) or types.is_floating(kind)):
        return None
    dtype: np.dtype = np.dtype(kind.to_pandas_dtype())
    return dtype


# ------------------------------------------------------------------------------------------------ columns


def _column(known: Mapping[str, Any], asked: Key | None, usual: Sequence[str], what: str, origin: str) -> str:
    """The column that is asked for, or the only one, or the one with a usual name."""
    if asked is not None:
        if asked not in known:
            raise InvalidRequest(f'{origin} has no column "{asked}".{did_you_mean(str(asked), known)}')
        return str(asked)
    if len(known) == 1:
        return next(iter(known))
    found = next((name for name in usual if name in known), None)
    if found is None:
        raise InvalidData(
            f"no {what} column stands out in {origin} (columns: {', '.join(known)}); name it with {what}="
        )
    return found


def _refuse_columns(what: str, image: Key | None, label: Key | None, group: Any) -> None:
    for name, value in (("image", image), ("label", label), ("group", group)):
        if isinstance(value, str | int):
            raise InvalidRequest(
                f"{name}={value!r} was given, but {what} have no columns; leave it out"
                + (", or pass one group name per row" if name == "group" else "")
            )


def _group_array(groups: Any, n: int) -> np.ndarray | None:
    if groups is None:
        return None
    groups = as_array(groups)
    if len(groups) != n:
        raise InvalidData(f"{n} images and {len(groups)} group names were given; every image needs one")
    return np.array([str(plain_label(group)) for group in groups], dtype=str)
