"""Files that are refused by the name of their kind: of no pictures, or of what stands in parts of pictures."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NoReturn

from synthaug.data.readers.listing import Listing, kind_of, suffixes_of
from synthaug.data.usual_splits import usual_split
from synthaug.errors import InvalidData, UnsupportedKind

_PARTS = re.compile(
    r"(.*[ _-])?(masks?|labels?|annotations?|b(ounding[ _-]?)?box(es)?|ground[ _-]?truths?)", re.I
)
_MASKS = re.compile(r"(.*[ _-])?(masks?|ground[ _-]?truths?|segmentations?)", re.I)
_IMAGES = re.compile(r".*(images?|imgs?|photos?|pictures?)", re.I)
_MASK_OF = re.compile(r"(.+?)[ _-](mask|segmentation)([ _-]?\d+)?", re.I)
_OUTNUMBER = ("audio", "video", "point clouds")  # what pictures may only be covers of
_SAY = (
    "masks, boxes and other labels of parts of images are not supported: put the images of each class into a folder "
    "of its name"
)


def refuse_without_pictures(listing: Listing) -> NoReturn:
    """Refuse a place without pictures by what it holds in their place.

    Raises:
        UnsupportedKind: files of a known kind.
        InvalidData: others, or none.
    """
    kind, place = kind_of(listing.others), listing.place
    if kind == "tables":
        raise UnsupportedKind(f"{place} holds tables; give the path of one of them, or a data frame")
    if kind in ("audio", "video", "text"):
        raise UnsupportedKind(f"{place} holds {kind} files; {kind} is not supported yet, images are")
    if kind is not None:
        raise UnsupportedKind(
            f"{place} holds {kind} ({suffixes_of(listing.others)}); they are not supported yet, images that Pillow "
            "reads are: convert them to PNG, or give arrays"
        )
    remedy = "put the images of each class into a folder of its name"
    archives = [path for path in listing.others if path.lower().endswith((".zip", ".tar", ".gz", ".tgz"))]
    if archives:
        remedy = f"give the path of one archive, such as {place}/{archives[0]}, or unpack them"
    elif place.is_file() and listing.others:
        remedy = "medical files, tables and arrays are not read in archives: unpack it"
    told = f" ({len(listing.others)} other files: {suffixes_of(listing.others)})" if listing.others else ""
    raise InvalidData(f"{place} holds no images{told}; {remedy}")


def refuse_covers(listing: Listing) -> None:
    """Refuse pictures among many more files of another kind, such as covers of music.

    Raises:
        UnsupportedKind: naming the kind.
    """
    kinds = Counter(kind_of([path]) for path in listing.others)
    for kind in _OUTNUMBER:
        if kinds[kind] > len(listing.pictures) + len(listing.scans):
            raise UnsupportedKind(
                f"{listing.place} holds {kinds[kind]} files of {kind} and {len(listing.pictures)} images; {kind} not "
                "being supported yet, put the images into a folder of their own if they are what is meant"
            )


def refuse_parts(listing: Listing) -> None:
    """Refuse pictures and files that say where something is in other pictures; they are no rows.

    Raises:
        UnsupportedKind: naming a folder or file of them.
    """
    beside: dict[str, dict[str, None]] = defaultdict(dict)
    for path in (*listing.pictures, *listing.others):
        for folder in PurePosixPath(path).parents:
            if folder.name:
                beside[str(folder.parent)].setdefault(folder.name)
    for parent, names in beside.items():
        told = [name for name in names if _PARTS.fullmatch(name)]
        if told and any(_IMAGES.fullmatch(name) for name in names):
            raise UnsupportedKind(
                f'{listing.place / parent} holds a folder "{told[0]}" beside one of images; {_SAY}'
            )
    loose = {str(PurePosixPath(path).parent) for path in listing.pictures}
    for parent in sorted(loose - {"."}):
        masks = [name for name in beside.get(parent, ()) if _MASKS.fullmatch(name)]
        if masks and usual_split(PurePosixPath(parent).name) is None:
            raise UnsupportedKind(
                f'{listing.place / parent} holds a folder "{masks[0]}" beside its images; {_SAY}'
            )
    stems = {str(PurePosixPath(path).with_suffix("")) for path in listing.pictures}
    for stem in sorted(stems):
        above, _, name = stem.rpartition("/")
        match = _MASK_OF.fullmatch(name)
        if match is not None and (f"{above}/{match[1]}" if above else match[1]) in stems:
            raise UnsupportedKind(f"{listing.place}/{stem} is beside the picture {match[1]}; {_SAY}")


def refuse_boxes(listing: Listing, folders: Sequence[str] = ()) -> None:
    """Refuse what is no layout of classes by the boxes it holds, if it holds some.

    Args:
        listing: all files.
        folders: names of folders without pictures.

    Raises:
        UnsupportedKind: naming one of them.
    """
    stems = {str(PurePosixPath(path).with_suffix("")) for path in listing.pictures}
    boxes = [
        path
        for path in listing.others
        if (path.lower().endswith((".txt", ".xml")) and str(PurePosixPath(path).with_suffix("")) in stems)
        or path.lower().endswith(".coco.json")
        or PurePosixPath(path).name.startswith("instances_")
    ]
    named = [f"{name}/" for name in folders if _PARTS.fullmatch(name)]
    if boxes or named:
        raise UnsupportedKind(f"{listing.place} holds {(boxes or named)[0]} beside its images; {_SAY}")
