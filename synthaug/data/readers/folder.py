"""What the files of a folder or an archive are: class folders, split folders, or pictures that a table lists."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from synthaug.data.readers.base import Columns, Reading, Source, group_array
from synthaug.data.readers.listing import Listing, list_folder
from synthaug.data.readers.lists import (
    SUFFIXES,
    Listed,
    list_of_table,
    other_table,
    read_list,
    says_as_folders,
    table_of,
)
from synthaug.data.readers.medical import read_scans, with_scans
from synthaug.data.readers.refused import refuse_boxes, refuse_covers, refuse_parts, refuse_without_pictures
from synthaug.data.readers.tables import read_text_table
from synthaug.data.usual_splits import SPLITS, usual_split
from synthaug.errors import InvalidData, UnsupportedKind
from synthaug.modalities.image.pictures import Pictures
from synthaug.outputs import decode_name
from synthaug.wording import quoted

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
        refuse_without_pictures(listing)
    inside = _only_folders(listing, pictures) if listing.place.is_file() else ""
    tree = _by_first(pictures, inside)
    refuse_parts(listing)
    refuse_covers(listing)
    names = [name for name in tree if name]
    if splits := _split_folders(names):
        return _in_splits(listing, tree, splits, inside, columns, origin)
    if not names:
        return _flat(listing, inside, columns, origin)
    table = _table_beside(listing, tree, inside, columns)
    if table is not None:
        return _by_table(listing, table, columns, origin)
    _refuse_columns(columns, origin)
    _refuse_empty(listing, inside, names)
    if len(names) == 1:
        _refuse_around(listing, inside + names[0], tree[names[0]])
    rows = [_Row(path, decode_name(name)) for name in names for path in tree[name]]
    return _of_rows(listing, *_splits_below(listing, rows, inside), columns, origin)


def read_table(path: Path, columns: Columns) -> Source:
    """The pictures that a table names, by paths that start beside it or by names below its folder; else its own rows.

    Raises:
        UnsupportedKind: a file of lines that names no pictures.
    """
    listing = list_of_table(path)
    if not listing.pictures and not listing.scans:
        listing = list_folder(path.parent)
        if columns.image is None and other_table(replace(listing, others=[path.name]), "", columns) is None:
            if path.suffix.lower() == ".jsonl":
                raise UnsupportedKind(
                    f"{path} lists no pictures below its folder, and tables are read as .csv or .parquet"
                )
            return read_text_table(path, columns)
    found = _by_table(listing, path.name, columns, f"table {path}")
    return replace(found, path=path)


def lists_pictures(path: Path, columns: Columns) -> bool:
    """Whether a parquet file holds texts, some of which are paths of pictures beside it, in place of pictures."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
    except (OSError, pa.ArrowInvalid):
        return False
    asked = columns.image
    texts = [
        field.name
        for field in schema
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    plain = all(not pa.types.is_nested(field.type) and not pa.types.is_binary(field.type) for field in schema)
    may = asked in texts if asked is not None else plain and bool(texts)
    return may and bool(list_of_table(path, texts).pictures)


def _split_folders(names: Sequence[str]) -> dict[str, str]:
    """The split that folders stand for by their names; empty where they are not split folders.

    They are where one is for training, or nothing else is there; also of names with something around, as in
    ``seg_train`` and ``seg_test``, where that is the same.
    """
    found = {name: split for name in names if (split := usual_split(name)) is not None}
    if "train" in found.values() or (found and len(found) == len(names)):
        return found
    around: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        words = [word for word in re.split(r"[\W\d_]+", name) if usual_split(word)]
        if len(words) == 1:
            around[name.replace(words[0], "/", 1).casefold()][name] = str(usual_split(words[0]))
    alike = [named for named in around.values() if len(named) > 1 and "train" in named.values()]
    return alike[0] if len(alike) == 1 else {}


def _table_beside(
    listing: Listing, tree: Mapping[str, list[str]], inside: str, columns: Columns
) -> str | None:
    """The table beside folders that says what the pictures in them are; None where the folders do.

    Raises:
        InvalidData: both may.
    """
    table = table_of(listing, inside, ("metadata",))
    if table is not None:
        return table
    names = [name for name in tree if name]
    table = other_table(listing, inside, columns, called=len(names) > 1)
    if table is None or len(names) == 1 or columns.label is not None:
        return table
    classes = {path: decode_name(name) for name in names for path in tree[name]}
    if says_as_folders(listing, table, classes, columns):
        return None
    told = f" of {listing.place / table}" if not listing.place.is_file() else ""
    raise InvalidData(
        f"{listing.place} holds the folders {quoted(names, 3)} and the table {table}, which says something else of the "
        f"pictures in them: name the column of their classes{told} with label= of open_data, or --label; or move the "
        "table away, if the folders are the classes"
    )


def _refuse_columns(columns: Columns, origin: str) -> None:
    """Refuse names of columns where folders say what a picture is; a field of medical files is no column."""
    kept = (
        replace(columns, group=None) if isinstance(columns.group, str) and columns.image is None else columns
    )
    (columns if columns.label is not None else kept).refuse(f"the {origin}")


def _only_folders(listing: Listing, pictures: Sequence[str]) -> str:
    """The folders around all that counts in an archive, with a slash; empty where there are none.

    A split is none, nor is a folder that holds nothing but pictures: that is a class.
    """
    tables = [path for path in listing.others if path.lower().endswith((*SUFFIXES, ".cls"))]
    found = ""
    while True:
        below = [path[len(found) :] for path in (*pictures, *tables)]
        first = {path.partition("/")[0] for path in below}
        name = next(iter(first))
        inner = [path.partition("/")[2] for path in below]
        alone = len(first) == 1 and all(inner) and usual_split(name) is None
        if not alone or (not tables and not any("/" in path for path in inner)):
            return found
        found += f"{name}/"


def _by_first(paths: Sequence[str], inside: str) -> dict[str, list[str]]:
    """Files by the name of their first folder, "" of loose ones; names in the order of classes."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(paths):
        below = path.removeprefix(inside)
        found[below.partition("/")[0] if "/" in below else ""].append(path)
    return {name: found[name] for name in sorted(found, key=decode_name)}


def _refuse_empty(listing: Listing, above: str, names: Sequence[str]) -> None:
    """Refuse a folder beside class folders that holds no picture."""
    below = [folder[len(above) : -1] for folder in listing.folders if folder.startswith(above)]
    empty = [name for name in below if name and "/" not in name and name not in names]
    if empty:
        refuse_boxes(listing, empty)
        raise InvalidData(
            f"the class folder {listing.place}/{above}{empty[0]} holds no image; fill it or remove it"
        )


def _refuse_around(listing: Listing, folder: str, paths: Sequence[str]) -> None:
    """Refuse a lone folder that holds class folders or split folders; it is no class."""
    below = _by_first(paths, f"{folder}/")
    names = [name for name in below if name]
    if len(names) > 1 and "" not in below:
        raise InvalidData(
            f"{listing.place} holds nothing but the folder {folder}, and that the folders {quoted(names, 3)}: give "
            f"{listing.place}/{folder} if these are the classes or splits"
        )


def _in_splits(
    listing: Listing,
    tree: Mapping[str, list[str]],
    splits: Mapping[str, str],
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
    ordered = sorted(splits, key=lambda name: SPLITS.index(splits[name]))
    loose = {
        name: [path for path in tree[name] if "/" not in path[len(f"{inside}{name}/") :]] for name in ordered
    }
    if all(len(loose[name]) == len(tree[name]) for name in ordered):
        return _flat_splits(listing, {name: splits[name] for name in ordered}, inside, columns, origin)
    _refuse_columns(columns, origin)
    rows = []
    for name in ordered:
        around = f"{inside}{name}/"
        below = _by_first(tree[name], around)
        if len(below) == 1 and (twice := next(iter(below))) and twice in (name, splits[name]):
            around += f"{twice}/"
            below = _by_first(tree[name], around)
        classes = [each for each in below if each]
        if classes == ["images"] or not classes:  # held-out rows without labels
            rows += [_Row(path, None, splits[name]) for path in tree[name] if splits[name] != "train"]
            continue
        _refuse_empty(listing, around, classes)
        rows += [_Row(path, decode_name(each), splits[name]) for each in classes for path in below[each]]
    layout = "class folders in split folders"
    return _of_rows(listing, layout, rows, columns, origin)


def _refuse_twice(listing: Listing, splits: Sequence[str], names: Sequence[str]) -> None:
    twice = [name for name, split in zip(names, splits, strict=True) if splits.count(split) > 1]
    if twice:
        raise InvalidData(
            f"{listing.place} holds the split folders {quoted(twice)}, which mean the same split; join them, or move "
            "one away"
        )


def _flat(listing: Listing, inside: str, columns: Columns, origin: str) -> Source:
    table = table_of(listing, inside) or other_table(listing, inside, columns)
    if table is not None:
        return _by_table(listing, table, columns, origin)
    told = _labels_beside(listing)
    if told is not None:
        _refuse_columns(columns, origin)
        return _of_rows(listing, "pictures beside files of their labels", told, columns, origin)
    refuse_boxes(listing)
    raise InvalidData(
        f"{listing.place} holds images without class folders; put the images of each class into a folder of its name, "
        "or list them in metadata.csv with the columns file_name and label"
    )


def _flat_splits(
    listing: Listing, splits: Mapping[str, str], inside: str, columns: Columns, origin: str
) -> Source:
    """Pictures in split folders that hold no class folders: tables say what they are."""
    above = table_of(listing, inside)
    tables = {}
    for name in splits:
        names = ("metadata", "labels", "annotations", name.casefold(), f"{name.casefold()}_labels")
        tables[name] = table_of(listing, f"{inside}{name}/", names) or table_of(listing, inside, names[3:])
    trained = next((name for name, split in splits.items() if split == "train" and tables[name]), None)
    if trained is not None or (all(tables.values()) and above is None):
        return _joined(listing, _of_splits(listing, splits, tables, inside, columns), columns, origin)
    if above is not None and not any(tables.values()):
        return _by_table(listing, above, columns, origin)
    refuse_boxes(listing)
    raise InvalidData(
        f"{listing.place} holds images in the split folders {quoted(splits)}, without class folders or a table for "
        "each that lists them; put the images of each class into a folder of its name, or list them in metadata.csv "
        "with the columns file_name and label"
    )


def _of_splits(
    listing: Listing,
    splits: Mapping[str, str],
    tables: Mapping[str, str | None],
    inside: str,
    columns: Columns,
) -> list[tuple[str | None, Listed, str]]:
    """What a table says of the pictures of each split; pictures to be held out may lack one, or the labels in it."""
    import pyarrow as pa

    found: list[tuple[str | None, Listed, str]] = []
    for name, split in splits.items():
        below, table = f"{inside}{name}/", tables[name]
        if table is not None:
            listed = read_list(listing, table, columns, below, labelled=not found)
            found.append((split, listed, table))
            columns = replace(columns, label=listed.label_column)
            continue
        like = found[0][1]
        paths = [path for path in (*listing.pictures, *listing.scans) if path.startswith(below)]
        nothing = (
            None
            if like.beside is None
            else pa.table({field.name: pa.nulls(len(paths), field.type) for field in like.beside.schema})
        )
        groups = [""] * len(paths) if isinstance(columns.group, str) else like.groups
        found.append(
            (
                split,
                replace(like, paths=paths, targets=[None] * len(paths), groups=groups, beside=nothing),
                "",
            )
        )
    return found


def _by_table(listing: Listing, table: str, columns: Columns, origin: str) -> Source:
    listed = read_list(listing, table, columns)
    splits = listed.splits
    if splits is None:  # the folders around the pictures may say it
        above = [usual_split(path.rpartition("/")[0].rpartition("/")[2]) for path in listed.paths]
        splits = [str(split) for split in above] if all(above) else None
    return _joined(listing, [(None, replace(listed, splits=splits), table)], columns, origin)


def _joined(
    listing: Listing, found: Sequence[tuple[str | None, Listed, str]], columns: Columns, origin: str
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
        deep = {usual_split(folder) for folders in below for folder in folders}
        if "train" in deep and len(deep - {None}) > 1:
            raise InvalidData(
                f"{listing.place} has split folders deep below its class folders, as in {rows[0].path}; have them "
                "above the class folders, or right below"
            )
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
    names = [str(listing.place / path) for path in paths]
    return Source(Pictures(names=names.__getitem__, entries=entries), targets, origin, path=listing.place)
