"""What the files of a folder or an archive are: class folders, split folders, or pictures that a table lists."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from synthaug.data.readers.base import NO_TABLES, Columns, Reading, Source, group_array
from synthaug.data.readers.listing import Listing, kind_of
from synthaug.data.readers.lists import list_of_table, read_list, table_of
from synthaug.data.readers.medical import read_scans, with_scans
from synthaug.data.usual_splits import SPLITS, usual_split
from synthaug.errors import InvalidData, UnsupportedKind
from synthaug.modalities.image.pictures import Pictures
from synthaug.outputs import decode_name
from synthaug.wording import quoted

_MASKS = re.compile(
    r"(.*[ _-])?(masks?|labels?|annotations?|b(ounding[ _-]?)?box(es)?|ground[ _-]?truths?)", re.I
)
_IMAGES = re.compile(r"(.*[ _-])?(images?|imgs?|photos?|pictures?)", re.I)
_BESIDE = "pictures beside the class folders"


@dataclass(frozen=True)
class _Row:
    """A file, and what the folders around it say."""

    path: str
    target: str | None
    split: str | None = None


def read_listing(listing: Listing, columns: Columns, origin: str) -> Source:
    """The rows of a folder or an archive.

    Args:
        listing: its files.
        columns: where labels stand, where a table has them.
        origin: what to call it in a message.

    Raises:
        InvalidData: no pictures, or nothing that says which class they are of; several readings.
        UnsupportedKind: files of a kind that is not supported.
    """
    pictures = [*listing.pictures, *listing.scans]
    if not pictures:
        _refuse_without_pictures(listing)
    inside = _only_folder(pictures) if listing.place.is_file() else ""
    tree = _by_first(pictures, inside)
    _refuse_masks(listing)
    splits = {name: usual_split(name) for name in tree if name and usual_split(name)}
    if splits and ("train" in splits.values() or set(tree) <= {*splits, ""}):
        return _in_splits(listing, tree, splits, inside, columns, origin)
    if set(tree) == {""}:
        return _flat(listing, inside, columns, origin)
    table = table_of(listing, inside, ("metadata",))
    if table is not None:
        return _by_table(listing, table, columns, origin)
    _refuse_columns(columns, origin)
    _refuse_empty(listing, inside, list(tree))
    rows = [_Row(path, decode_name(name)) for name in tree if name for path in tree[name]]
    return _of_rows(listing, *_splits_below(listing, rows, inside), columns, origin)


def read_table(path: Path, columns: Columns) -> Source:
    """The pictures that a table names by their paths.

    Raises:
        InvalidData: it names none.
    """
    listing = list_of_table(path)
    if not listing.pictures:
        raise UnsupportedKind(
            f"{path} is a table; {NO_TABLES}. One that lists pictures is read where their paths start beside it; where "
            "they do not, give the folder that holds both"
        )
    found = _by_table(listing, path.name, columns, f"table {path}")
    return replace(found, path=path)


def _refuse_columns(columns: Columns, origin: str) -> None:
    """Refuse names of columns where folders say what a picture is; a field of medical files is no column."""
    kept = (
        replace(columns, group=None) if isinstance(columns.group, str) and columns.image is None else columns
    )
    (columns if columns.label is not None else kept).refuse(f"the {origin}")


def _refuse_without_pictures(listing: Listing) -> None:
    kind = kind_of(listing.others)
    if kind == "tables":
        raise UnsupportedKind(f"{listing.place} holds tables; {NO_TABLES}")
    if kind is not None:
        raise UnsupportedKind(f"{listing.place} holds {kind} files; {kind} is not supported yet, images are")
    told = f" ({len(listing.others)} other files)" if listing.others else ""
    raise InvalidData(
        f"{listing.place} holds no images{told}; put the images of each class into a folder of its name"
    )


def _only_folder(paths: Sequence[str]) -> str:
    """The folder around all files of an archive, with a slash; empty where there is none, or where it is a split."""
    first = {path.partition("/")[0] for path in paths if "/" in path}
    alone = len(first) == 1 and all("/" in path for path in paths)
    name = next(iter(first)) if alone else ""
    return f"{name}/" if alone and usual_split(name) is None else ""


def _by_first(paths: Sequence[str], inside: str) -> dict[str, list[str]]:
    """Files by the name of their first folder, "" of loose ones; names in the order of classes."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        below = path.removeprefix(inside)
        found[below.partition("/")[0] if "/" in below else ""].append(path)
    return {name: found[name] for name in sorted(found, key=decode_name)}


def _refuse_masks(listing: Listing) -> None:
    """Refuse pictures and files that say where something is in other pictures; they are no rows."""
    beside: dict[str, list[str]] = defaultdict(list)
    for path in (*listing.pictures, *listing.others):
        for folder in PurePosixPath(path).parents:
            if folder.name and folder.name not in beside[str(folder.parent)]:
                beside[str(folder.parent)].append(folder.name)
    for parent, names in beside.items():
        told = [name for name in names if _MASKS.fullmatch(name)]
        if told and any(_IMAGES.fullmatch(name) for name in names):
            raise UnsupportedKind(
                f'{listing.place / parent} holds a folder "{told[0]}" beside one of images; masks, boxes and other '
                "labels of parts of images are not supported: put the images of each class into a folder of its name"
            )


def _refuse_empty(listing: Listing, above: str, names: Sequence[str]) -> None:
    """Refuse a folder beside class folders that holds no picture."""
    for folder in listing.folders:
        name = folder.removeprefix(above).rstrip("/")
        if folder.startswith(above) and name and "/" not in name and name not in names:
            raise InvalidData(
                f"the class folder {listing.place}/{folder[:-1]} holds no image; fill it or remove it"
            )


def _in_splits(
    listing: Listing,
    tree: Mapping[str, list[str]],
    splits: Mapping[str, str | None],
    inside: str,
    columns: Columns,
    origin: str,
) -> Source:
    """Rows below split folders, which hold class folders, or pictures that a table lists."""
    if others := [name for name in tree if name and name not in splits]:
        raise InvalidData(
            f"{listing.place} holds the split folder {next(iter(splits))} beside {', '.join(others[:5])}, which is no "
            "split; move it, or point to one split"
        )
    _refuse_twice(listing, list(splits.values()), list(splits))
    ordered = sorted(splits, key=lambda name: SPLITS.index(str(splits[name])))
    loose = {
        name: [path for path in tree[name] if "/" not in path[len(f"{inside}{name}/") :]] for name in ordered
    }
    if all(len(loose[name]) == len(tree[name]) for name in ordered):
        return _flat_splits(listing, {name: str(splits[name]) for name in ordered}, inside, columns, origin)
    _refuse_columns(columns, origin)
    rows = []
    for name in ordered:
        below = _by_first(tree[name], f"{inside}{name}/")
        classes = [each for each in below if each]
        if classes == ["images"] or not classes:  # held-out rows without labels
            rows += [_Row(path, None, splits[name]) for path in tree[name] if splits[name] != "train"]
            continue
        _refuse_empty(listing, f"{inside}{name}/", classes)
        rows += [_Row(path, decode_name(each), splits[name]) for each in classes for path in below[each]]
    layout = "class folders in split folders"
    return _of_rows(listing, layout, rows, columns, origin)


def _refuse_twice(listing: Listing, splits: Sequence[str | None], names: Sequence[str]) -> None:
    twice = [name for name, split in zip(names, splits, strict=True) if splits.count(split) > 1]
    if twice:
        raise InvalidData(
            f"{listing.place} holds the split folders {quoted(twice)}, which mean the same split; join them, or move "
            "one away"
        )


def _flat(listing: Listing, inside: str, columns: Columns, origin: str) -> Source:
    table = table_of(listing, inside)
    if table is not None:
        return _by_table(listing, table, columns, origin)
    told = _labels_beside(listing)
    if told is not None:
        _refuse_columns(columns, origin)
        return _of_rows(listing, "pictures beside files of their labels", told, columns, origin)
    raise InvalidData(
        f"{listing.place} holds images without class folders; put the images of each class into a folder of its name, "
        "or list them in metadata.csv with the columns file_name and label"
    )


def _flat_splits(
    listing: Listing, splits: Mapping[str, str], inside: str, columns: Columns, origin: str
) -> Source:
    """Pictures in split folders that hold no class folders: tables say what they are."""
    above = table_of(listing, inside)
    found = []
    for name, split in splits.items():
        below = f"{inside}{name}/"
        names = ("metadata", "labels", "annotations", name.casefold(), f"{name.casefold()}_labels")
        table = table_of(listing, below, names) or table_of(listing, inside, names[3:])
        if table is not None:
            found.append((split, read_list(listing, table, columns, below), table))
    if found and len(found) == len(splits):
        return _joined(listing, found, columns, origin)
    if above is not None and not found:
        return _by_table(listing, above, columns, origin)
    raise InvalidData(
        f"{listing.place} holds images in the split folders {quoted(splits)}, without class folders or a table for "
        "each that lists them; put the images of each class into a folder of its name, or list them in metadata.csv "
        "with the columns file_name and label"
    )


def _by_table(listing: Listing, table: str, columns: Columns, origin: str) -> Source:
    listed = read_list(listing, table, columns)
    splits = listed.splits
    if splits is None:  # the folders around the pictures may say it
        above = [usual_split(path.rpartition("/")[0].rpartition("/")[2]) for path in listed.paths]
        splits = [str(split) for split in above] if all(above) else None
    return _joined(listing, [(None, replace(listed, splits=splits), table)], columns, origin)


def _joined(
    listing: Listing, found: Sequence[tuple[str | None, Any, str]], columns: Columns, origin: str
) -> Source:
    """The rows of one table, or of one for each split."""
    import pyarrow as pa

    paths = [path for _, listed, _ in found for path in listed.paths]
    splits = [split or "" for split, listed, _ in found for _ in listed.paths]
    if found[0][0] is None:
        splits = list(found[0][1].splits or ())
    tables = [listed.beside for _, listed, _ in found]
    groups = [listed.groups for _, listed, _ in found]
    label_columns = {listed.label_column for _, listed, _ in found}
    if len(label_columns) > 1:
        raise InvalidData(
            f"the tables of {origin} call their labels {quoted(sorted(label_columns))}; give them one name"
        )
    source = _source(listing, paths, [target for _, listed, _ in found for target in listed.targets], origin)
    read = replace(
        source,
        splits=np.array(splits) if splits else None,
        groups=_groups(groups, len(paths)),
        reading=Reading(
            f"pictures that {found[0][2] if len(found) == 1 else 'a table for each split'} lists",
            listing.left_out_beside(paths, "pictures that no table lists", [table for *_, table in found]),
        ),
        beside=None if None in tables else pa.concat_tables(tables, promote_options="default"),
        label_column=found[0][1].label_column,
    )
    if listing.place.is_file():  # medical files are not read out of archives
        return read
    return with_scans(read, [str(listing.place / path) for path in paths], columns)


def _groups(groups: Sequence[Any], n: int) -> np.ndarray | None:
    if groups[0] is None:
        return None
    if len(groups) > 1 and all(each is groups[0] for each in groups):
        return group_array(groups[0], n)
    return group_array([name for each in groups for name in each], n)


def _labels_beside(listing: Listing) -> list[_Row] | None:
    """Rows of which each has a file of its class beside it, ``0001.jpg`` and ``0001.cls``, as in WebDataset."""
    labels = {path[: -len(".cls")]: path for path in listing.others if path.lower().endswith(".cls")}
    stems = [str(PurePosixPath(path).with_suffix("")) for path in listing.pictures]
    if not labels or not set(stems) <= set(labels):
        return None
    names = [listing.content(labels[stem]).decode("utf-8", "replace").strip() for stem in stems]
    return [_Row(path, name) for path, name in zip(listing.pictures, names, strict=True)]


def _splits_below(listing: Listing, rows: list[_Row], inside: str) -> tuple[str, list[_Row]]:
    """The rows with their splits, where class folders hold nothing but split folders."""
    below = [row.path.removeprefix(inside).split("/")[1:-1] for row in rows]
    splits = [usual_split(folders[0]) if folders else None for folders in below]
    if "train" not in splits or len({split for split in splits if split}) < 2:
        return "class folders", rows
    if None in splits:
        row = rows[splits.index(None)]
        raise InvalidData(
            f"{listing.place} has split folders below its class folders, but {row.path} is in none of them; move it "
            "into one"
        )
    told = [replace(row, split=split) for row, split in zip(rows, splits, strict=True)]
    return "split folders in class folders", sorted(told, key=lambda row: SPLITS.index(str(row.split)))


def _of_rows(listing: Listing, layout: str, rows: Sequence[_Row], columns: Columns, origin: str) -> Source:
    splits = [str(row.split) for row in rows] if rows and rows[0].split is not None else None
    used = [row.path for row in rows]
    reading = Reading(layout, listing.left_out_beside(used, _BESIDE))
    scans = set(listing.scans)
    if scans and (chosen := [row.path in scans for row in rows]) and any(chosen):
        if not all(chosen):
            raise InvalidData(
                f"{listing.place} holds medical files beside other pictures, {used[chosen.index(True)]} and "
                f"{used[chosen.index(False)]} for two; move one kind away"
            )
        paths = [str(listing.place / path) for path in used]
        found = read_scans(paths, [row.target for row in rows], columns, origin, splits)
        return replace(found, path=listing.place, reading=replace(reading, notes=found.reading.notes))
    columns.refuse(f"the {origin}")
    return replace(
        _source(listing, used, [row.target for row in rows], origin),
        splits=None if splits is None else np.array(splits),
        groups=group_array(columns.group, len(rows)),
        reading=reading,
    )


def _source(listing: Listing, paths: Sequence[str], targets: Sequence[Any], origin: str) -> Source:
    entries = listing.entries(paths)
    names = [f"{listing.place}/{path}" for path in paths]
    return Source(Pictures(names=names.__getitem__, entries=entries), targets, origin, path=listing.place)
