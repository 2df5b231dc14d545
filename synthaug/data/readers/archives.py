"""Archives: the files in them are read one by one, and never put on disk."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from synthaug.data.readers.listing import HIDDEN, Listing, is_hidden, is_picture
from synthaug.errors import InvalidData
from synthaug.modalities.claims import BROKEN_PACKING, bomb_of, likely_bytes, require_likely
from synthaug.modalities.image.pictures import Entries
from synthaug.wording import one_line

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
"""Of the archives that are read."""

_MOST = 2**31  # bytes


def is_archive(path: Path) -> bool:
    """Whether a path is called like an archive.

    >>> is_archive(Path("photos.tar.gz"))
    True
    """
    return path.name.lower().endswith(SUFFIXES)


def is_sharded(folder: Path, files: Sequence[str]) -> bool:
    """Whether tar files in a folder hold pictures with their labels beside them, as shards of WebDataset do."""
    first = min((folder / name for name in files if name.lower().endswith(".tar")), default=None)
    if first is None:
        return False
    try:
        with tarfile.open(first) as archive:
            names = [member.name for _, member in zip(range(20), archive, strict=False)]
    except BROKEN_PACKING:
        return False
    keys = {name.rpartition(".")[0] for name in names if name.endswith((".cls", ".json"))}
    return any(name.rpartition(".")[0] in keys and not name.endswith((".cls", ".json")) for name in names)


@dataclass(frozen=True)
class _Zipped:
    """The files of a zip archive, each read when it is asked for, in any process."""

    archive: Path
    members: Sequence[str]

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, row: int) -> bytes:
        return read_member(self.archive, self.members[row])


def read_member(archive: Path, member: str) -> bytes:
    """The bytes of one file of a zip archive.

    Raises:
        InvalidData: it cannot be unpacked.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.read(member)
    except BROKEN_PACKING as error:
        reason = one_line(str(error) or type(error).__name__).rstrip(".")
        raise InvalidData(
            f"{member} in {archive} cannot be unpacked: {reason}. Unpack it yourself"
        ) from error


def list_archive(path: Path) -> Listing:
    """All files of a zip or tar archive.

    Raises:
        InvalidData: it cannot be read, or names files outside of itself.
    """
    if path.name.lower().endswith(".zip"):
        try:
            with zipfile.ZipFile(path) as archive:
                members = list({each.filename: None for each in archive.infolist() if not each.is_dir()})
                unpacked = sum(each.file_size for each in archive.infolist())
        except BROKEN_PACKING as error:
            raise _unreadable(path, "zip", error) from error
        if not likely_bytes(unpacked, size := path.stat().st_size):
            raise _unreadable(path, "zip", ValueError(bomb_of(unpacked, size)))
        content: Callable[[str], bytes] = lambda name: read_member(path, name)  # noqa: E731
        return _listed(path, members, content, lambda chosen: _Zipped(path, list(chosen)))
    contents = _untarred(path)
    return _listed(
        path, list(contents), contents.__getitem__, lambda chosen: [contents[name] for name in chosen]
    )


def _untarred(path: Path) -> dict[str, bytes]:
    """The files of a tar archive, which can only be read from its beginning."""
    found: dict[str, bytes] = {}
    left = _MOST
    try:
        require_likely(path)  # before, as a header may be as large as a file
        with tarfile.open(path) as archive:
            for member in archive:
                left -= member.size
                if left < 0:
                    raise InvalidData(
                        f"{path} holds more than {_MOST >> 30} GiB. Unpack it, and give the folder"
                    )
                file = archive.extractfile(member) if member.isfile() else None  # links are not followed
                if file is not None:
                    found[member.name] = file.read()
    except InvalidData:
        raise
    except BROKEN_PACKING as error:
        raise _unreadable(path, "tar", error) from error
    return found


def _unreadable(path: Path, kind: str, error: Exception) -> InvalidData:
    reason = one_line(str(error) or type(error).__name__).rstrip(".")
    return InvalidData(f"{path} cannot be read as a {kind} archive: {reason}. Pack the pictures anew")


def _listed(
    path: Path,
    members: Sequence[str],
    content: Callable[[str], bytes],
    entries: Callable[[Sequence[str]], Entries],
) -> Listing:
    """The files by their kinds."""
    for member in members:
        if member.startswith(("/", "\\")) or ".." in PurePosixPath(member.replace("\\", "/")).parts:
            raise InvalidData(f'{path} names a file outside of itself, "{member}". Pack the pictures anew')
    left_out: Counter[str] = Counter()
    pictures, others = [], []
    for member in sorted(members):
        if any(map(is_hidden, PurePosixPath(member).parts)):
            left_out[HIDDEN] += 1
        elif is_picture(member, lambda member=member: io.BytesIO(content(member))):  # type: ignore[misc]
            pictures.append(member)
        else:
            others.append(member)
    return Listing(path, pictures, (), others, (), dict(left_out), entries, content)
