"""Data sets elsewhere, through fsspec: copied once into the cache of this machine, and told of by their url."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from synthaug.data.readers.base import Source
from synthaug.data.readers.recorded import RECORD_BESIDE
from synthaug.errors import InvalidData, InvalidRequest, MissingLibrary, SynthaugError
from synthaug.outputs import encode_name, one_error
from synthaug.wording import one_line, shown

CACHE = "SYNTHAUG_CACHE"
"""The variable of the environment that says where copies are kept."""

PARTIAL = ".partial"
"""What lies beside an output under way ends in this."""

AT_ONCE = 64
"""Files that are asked for together."""

_STATE = (
    *("size", "etag", "ETag", "md5Hash", "crc32c", "blob_id", "sha256"),
    *("mtime", "LastModified", "last_modified", "updated", "created"),
)
"""What stores say of a file, by which it is known that it is another now."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def cache_folder() -> Path:
    """Where copies are kept: what ``SYNTHAUG_CACHE`` says, or ``synthaug`` in the user's folder of caches."""
    usual = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "synthaug")
    return Path(os.path.abspath(os.path.expanduser(os.environ.get(CACHE) or usual)))


@dataclass(frozen=True)
class Store:
    """A place in an object store. `Store.at` finds it.

    Attributes:
        system: the file system, as fsspec has it.
        path: of the place in it.
        url: what it is called in messages and records.
        secrets: parts of the url that nobody is told.
        key: what it is called in the cache.
    """

    system: Any
    path: str
    url: str
    secrets: tuple[str, ...]
    key: str

    @classmethod
    def at(cls, url: str) -> Store:
        """The place at a url.

        Raises:
            MissingLibrary: the library that knows such stores is not installed.
            InvalidRequest: no library does.
        """
        from fsspec.core import url_to_fs

        scheme, told = url.partition("://")[0], re.sub(r"(?<![:/])/+$", "", shown(url))
        try:
            system, path = url_to_fs(url)
        except ImportError as error:
            raise MissingLibrary(f"{told} cannot be reached: {_missing(scheme, error)}") from None
        except Exception as error:  # the library of each store has errors of its own
            raise InvalidRequest(f"{told} cannot be reached: {_reason(error, _secrets(url))}.") from None
        key = hashlib.sha256(re.sub(r"(?<=://)[^/]*@", "", url).rstrip("/").encode()).hexdigest()[:24]
        return cls(system, path.rstrip("/"), told, _secrets(url), key)

    @property
    def name(self) -> str:
        """What its file or folder is called, as this machine can have it."""
        return encode_name(PurePosixPath(self.url.partition("://")[2]).name) if self.path else "data"

    @contextmanager
    def asked(self, kind: type[SynthaugError], what: str) -> Iterator[None]:
        """Whatever the store answers becomes one error of ours, in one line, which tells no credentials.

        Args:
            kind: the error.
            what: what is done, e.g. ``read``.
        """
        try:
            yield
        except SynthaugError:
            raise
        except FileNotFoundError as error:
            cause = error.__cause__
            why = "" if cause is None else f" ({_reason(cause, self.secrets)})"
            raise kind(f"{self.url} cannot be {what}: nothing was found{why}. Check the url.") from None
        except PermissionError:
            raise kind(
                f"{self.url} cannot be {what}: access was denied. Check the credentials that the library of this "
                "store takes."
            ) from None
        except Exception as error:  # the library of each store has errors of its own
            if isinstance(error, OSError) and error.errno in _FULL:
                why = f"{os.strerror(error.errno)} in {cache_folder()}"
                raise kind(f"{self.url} cannot be {what} ({why}). Make room, or set {CACHE}.") from None
            why = _reason(error, self.secrets)
            raise kind(
                f"{self.url} cannot be {what} ({why}). Check the url, the network and the credentials."
            ) from None

    def files(self) -> dict[str, Mapping[str, Any]]:
        """What the store says of each file of a folder, by its path there."""
        found = self.system.find(self.path, detail=True).items()
        return {name: about for name, about in found if about["type"] == "file" and not name.endswith("/")}


def _missing(scheme: str, error: ImportError) -> str:
    """Which library is not installed, and how it is."""
    from fsspec.registry import known_implementations

    cause = error.__cause__ if isinstance(error.__cause__, ImportError) else error
    package = known_implementations.get(scheme, {}).get("class", "").split(".")[0]
    name = (cause.name or package).split(".")[0] if package in ("", "fsspec") else package
    return f"{name} is not installed. Install it: pip install {name}."


def _secrets(url: str) -> tuple[str, ...]:
    """What of a url nobody is told, the longest first."""
    users, query = re.findall(r"://([^/]*)@", url), url.partition("?")[2]
    words = [*users, query, *(word for user in users for word in user.split(":")[1:])]
    words += [pair.partition("=")[2] for pair in query.split("&")]
    return tuple(sorted(filter(None, words), key=len, reverse=True))


def _reason(error: BaseException, secrets: tuple[str, ...]) -> str:
    text = (str(error).splitlines() or [""])[0] or type(error).__name__
    text = re.sub(r"\w[\w+.-]*://\S+", lambda found: shown(found[0]), text)
    for secret in secrets:
        text = text.replace(secret, "***")
    return one_line(text).rstrip(".")


@dataclass(frozen=True)
class Copy:
    """A copy on this machine of what is elsewhere.

    Attributes:
        path: where it is.
        url: what it is called.
    """

    path: Path
    url: str

    def told(self, text: str) -> str:
        """A message in which the original is named."""
        return text.replace(str(self.path), self.url)

    def source(self, found: Source) -> Source:
        """What was read from the copy, called as the original is."""
        return replace(
            found, images=_called(found.images, self), origin=self.told(found.origin), url=self.url
        )


def _called(images: Any, copy: Copy) -> Any:
    """Rows that are called by the place of the original, as far as they have names."""
    names: Callable[[int], str] | None = images.names
    return replace(images, names=_Names(names, copy)) if names is not None else images


@dataclass(frozen=True)
class _Names:
    """What rows are called, by the place of the original."""

    names: Callable[[int], str]
    copy: Copy

    def __call__(self, row: int) -> str:
        return self.copy.told(self.names(row))


@contextmanager
def copied(url: str) -> Iterator[Copy]:
    """A copy of the file or folder at a url, to be read; errors and warnings meanwhile name the original.

    Each state of the original is copied once: what is there is known by the sizes, dates and tags that the store says.

    Raises:
        InvalidData: nothing is there, access is denied, the store does not answer, or it cannot be copied.
        MissingLibrary: the library that knows such stores is not installed.
    """
    copy = _copied(Store.at(url))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield copy
        except SynthaugError as error:
            error.args = (copy.told(str(error)),)
            raise
    for each in caught:
        warnings.warn_explicit(copy.told(str(each.message)), each.category, each.filename, each.lineno)


def _copied(store: Store) -> Copy:
    with store.asked(InvalidData, "read"):
        files, state = _listed(store)
    place = cache_folder() / "read" / store.key
    whole = place / state
    copy = Copy(whole / store.name, store.url)
    if whole.is_dir():
        return copy
    begun = place / f"{whole.name}.begun"
    with one_error(InvalidData, f"{store.url} cannot be copied to {place}", f"Say where with {CACHE}."):
        os.makedirs(cache_folder(), mode=0o700, exist_ok=True)
        begun.mkdir(parents=True, exist_ok=True)
    with FileLock(place / f"{whole.name}.lock"), store.asked(InvalidData, "read"):
        if not whole.is_dir():
            if "" not in files:
                (begun / store.name).mkdir(parents=True, exist_ok=True)
            _fetch(store, files, begun)
            if _listed(store)[1] != state:
                shutil.rmtree(begun)
                raise InvalidData(
                    f"{store.url} changed while it was copied. Wait for who writes it, and try again."
                )
            os.replace(begun, whole)
    return copy


def _listed(store: Store) -> tuple[dict[str, tuple[str, Mapping[str, Any]]], str]:
    """Every file, by where it is in the copy: its path in the store, and what that says of it; and a digest of all.

    Raises:
        InvalidData: it is an output under way.
    """
    system = store.system
    system.invalidate_cache()
    about = system.info(store.path)
    if about["type"] != "directory":
        found = {"": (store.path, about)}
        beside = store.path + RECORD_BESIDE
        if PurePosixPath(store.name).suffix in ("", ".csv") and system.exists(beside):
            found[RECORD_BESIDE] = (beside, system.info(beside))
    else:
        if system.isfile(store.path + PARTIAL):
            raise InvalidData(
                f"{store.url} is an output under way: {store.url}{PARTIAL} lies beside it. Wait for who writes it, or "
                "make it again to its end."
            )
        found = {f"/{_within(store, name)}": (name, about) for name, about in store.files().items()}
    state = json.dumps([(name, _state(about)) for name, (_, about) in sorted(found.items())])
    return found, hashlib.sha256(state.encode()).hexdigest()[:24]


def _within(store: Store, name: str) -> str:
    """The path of a file below its folder.

    Raises:
        InvalidData: a name that leads elsewhere.
    """
    below = name.removeprefix(f"{store.path}/")
    if below.startswith("/") or "\0" in below or not {"..", "."}.isdisjoint(below.split("/")):
        raise InvalidData(
            f"{store.url} holds a file {one_line(below)!r}, which cannot be copied to a folder. Rename it."
        )
    return below


def _state(about: Mapping[str, Any]) -> list[str]:
    known = [f"{key}={about[key]}" for key in _STATE if about.get(key) is not None]
    return known if len(known) > 1 else [str(sorted(about.items(), key=str))]


def _fetch(store: Store, files: Mapping[str, tuple[str, Mapping[str, Any]]], begun: Path) -> None:
    """Copies what an earlier, killed call did not."""
    missing = []
    for place, (name, about) in files.items():
        here = begun / f"{store.name}{place}"
        if not here.is_file() or here.stat().st_size != about.get("size"):
            here.parent.mkdir(parents=True, exist_ok=True)
            missing.append((name, str(here)))
    for start in range(0, len(missing), AT_ONCE):
        there, here_too = zip(*missing[start : start + AT_ONCE], strict=True)
        store.system.get(list(there), list(here_too))
