"""The files of a folder or an archive: pictures, medical files, and what is neither, each of them counted."""

from __future__ import annotations

import os
import stat
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

from PIL import Image

from synthaug.data.readers.medical import is_scan
from synthaug.errors import InvalidData
from synthaug.modalities.image.opening import BROKEN, decoded_formats
from synthaug.modalities.image.pictures import Entries

_SYSTEM = {"__macosx", "thumbs.db", "desktop.ini", "ehthumbs.db", "lost+found", "$recycle.bin"}
_KINDS = {
    "audio": (".wav", ".mp3", ".flac", ".ogg", ".m4a", ".aac", ".aiff", ".opus"),
    "video": (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v"),
    "text": (".txt", ".md", ".rst", ".html", ".htm", ".pdf", ".docx", ".rtf", ".tex"),
    "tables": (".csv", ".tsv", ".xlsx", ".xls", ".arff", ".jsonl"),
    "point clouds": (".ply", ".pcd", ".las", ".laz", ".xyz", ".off", ".obj", ".stl"),
    "pickled objects": (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt"),
    "HDF5 or MATLAB files": (".h5", ".hdf5", ".hdf", ".mat"),
    "records of TensorFlow or LMDB": (".tfrecord", ".tfrecords", ".mdb", ".beton"),
    "drawings": (".svg", ".svgz", ".dxf", ".ai"),
    "icons": (".ico", ".icns"),
    "HEIC pictures": (".heic", ".heif", ".hif"),
    "raw pictures of cameras": (".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"),
    "slides": (".svs", ".ndpi", ".mrxs", ".scn", ".czi", ".lif", ".nd2"),
}

HIDDEN = "hidden or system files"
"""Why a file is left out that no user means."""


@dataclass(frozen=True)
class Listing:
    """What a folder or an archive holds, by paths below it, with slashes.

    Attributes:
        place: the folder or archive.
        pictures: files that Pillow reads, sorted.
        scans: medical files, sorted.
        others: all further files but hidden ones, sorted.
        folders: every folder of a folder, with a slash at the end; none of an archive.
        left_out: files that are none of these, by the reason.
        entries: what is to be read of pictures: paths, or their bytes one by one.
        content: the bytes of one file.
    """

    place: Path
    pictures: Sequence[str]
    scans: Sequence[str]
    others: Sequence[str]
    folders: Sequence[str]
    left_out: dict[str, int]
    entries: Callable[[Sequence[str]], Entries]
    content: Callable[[str], bytes]

    def left_out_beside(self, used: Iterable[str], why: str, tables: Sequence[str] = ()) -> dict[str, int]:
        """Why files are no rows and how many.

        Args:
            used: files that are rows.
            why: what other pictures are.
            tables: files that say what rows are.
        """
        taken = set(used)
        found = Counter(self.left_out)
        for path in self.others:
            kind = (
                "tables of the rows"
                if path in tables
                else f"{PurePosixPath(path).suffix.lower() or 'other'} files"
            )
            found[kind] += 1
        found[why] += sum(path not in taken for path in (*self.pictures, *self.scans))
        return {reason: n for reason, n in found.items() if n}


@dataclass
class _Found:
    pictures: list[str] = field(default_factory=list)
    scans: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def list_folder(root: Path) -> Listing:
    """All files below a folder; links are followed, and what is there already is not read again.

    Raises:
        InvalidData: a folder in it cannot be read.
    """
    found = _Found()
    seen: set[tuple[int, int]] = set()
    links: list[tuple[str, str]] = []
    _walk(root, "", seen, found, links)
    while links:
        linked, links = links, []
        for path, below in linked:
            if os.path.isdir(path):
                _walk(Path(path), below, seen, found, links)
            else:
                _add(path, below, seen, found)
    for paths in (found.pictures, found.scans, found.others):
        paths.sort()
    return Listing(
        root,
        found.pictures,
        found.scans,
        found.others,
        found.folders,
        dict(found.left_out),
        lambda chosen: [os.path.join(root, path) for path in chosen],
        lambda path: (root / path).read_bytes(),
    )


def is_hidden(name: str) -> bool:
    """Whether a file or folder is there for the system or a tool, and no user means it.

    >>> [is_hidden(name) for name in (".ipynb_checkpoints", "@eaDir", "__MACOSX", "Thumbs.db", "a.png")]
    [True, True, True, True, False]
    """
    return name.startswith((".", "@")) or name.casefold() in _SYSTEM


def is_picture(name: str, open_file: Callable[[], object]) -> bool:
    """Whether Pillow decodes a file, by its suffix; by how it begins where the suffix says nothing.

    Args:
        name: of the file.
        open_file: gives what `PIL.Image.open` takes.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in _suffixes():
        return True
    if suffix in _known_suffixes():
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is no picture
            with Image.open(open_file(), formats=decoded_formats()):  # type: ignore[arg-type]
                return True
    except (PermissionError, Image.DecompressionBombError):
        return True  # and broken, which is told by name
    except BROKEN:
        return False


def kind_of(paths: Iterable[str]) -> str | None:
    """What most of these files are, e.g. ``audio``, by their suffixes; None where no suffix is known."""
    found = Counter(map(_kind_of, paths))
    del found[None]
    return found.most_common(1)[0][0] if found else None


def suffixes_of(paths: Iterable[str], most: int = 3) -> str:
    """How many files there are of the most frequent suffixes.

    >>> suffixes_of(["a.h5", "b.h5", "README"])
    '2 .h5, 1 without a suffix'
    """
    found = Counter(PurePosixPath(path).suffix.lower() or "without a suffix" for path in paths)
    return ", ".join(f"{n} {suffix}" for suffix, n in found.most_common(most))


def _kind_of(path: str) -> str | None:
    name = path.lower()
    return next((kind for kind, suffixes in _KINDS.items() if name.endswith(suffixes)), None)


@cache
def _suffixes() -> frozenset[str]:
    decoded = decoded_formats()
    return frozenset(suffix for suffix, of in Image.registered_extensions().items() if of in decoded)


@cache
def _known_suffixes() -> frozenset[str]:
    others = (
        ".json",
        ".xml",
        ".yaml",
        ".yml",
        ".npz",
        ".npy",
        ".parquet",
        ".arrow",
        ".zip",
        ".tar",
        ".gz",
        ".py",
    )
    return frozenset({*others, *(suffix for suffixes in _KINDS.values() for suffix in suffixes)})


def _walk(
    folder: Path, below: str, seen: set[tuple[int, int]], found: _Found, links: list[tuple[str, str]]
) -> None:
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
        found.left_out["links to what is there already"] += 1
        return
    seen.add((status.st_dev, status.st_ino))
    found.folders.append(below)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidData(
            f"the folder {folder} cannot be read: {error.strerror}. Ask for the right to read it, or move it away"
        ) from error
    for entry in entries:
        path = below + entry.name
        if is_hidden(entry.name):
            found.left_out[HIDDEN] += _count(entry)
        elif entry.is_symlink():
            links.append((entry.path, f"{path}/" if os.path.isdir(entry.path) else path))
        elif entry.is_dir():
            _walk(Path(entry.path), f"{path}/", seen, found, links)
        else:
            _add(entry.path, path, seen, found)


def _count(entry: os.DirEntry[str]) -> int:
    """How many files there are at a place that is not looked into."""
    if not entry.is_dir(follow_symlinks=False):
        return 1
    return sum(len(files) for _, _, files in os.walk(entry.path))


def _add(path: str, below: str, seen: set[tuple[int, int]], found: _Found) -> None:
    suffix = PurePosixPath(below).suffix.lower()
    try:
        status = os.stat(path)
    except OSError:  # a link to nothing, or to itself: as broken as a file that is
        (found.pictures if suffix in _suffixes() else found.others).append(below)
        return
    if (status.st_dev, status.st_ino) in seen and os.path.islink(path):
        found.left_out["links to what is there already"] += 1
        return
    seen.add((status.st_dev, status.st_ino))
    if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for somebody to write
        found.left_out["pipes, sockets and devices"] += 1
    # a DICOM file may begin as a TIFF file does, so that programs for pictures find one in it, too
    elif suffix not in _suffixes() and is_scan(path):
        found.scans.append(below)
    elif is_picture(below, lambda: path):
        found.pictures.append(below)
    else:
        found.others.append(below)
