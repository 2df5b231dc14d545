"""Outputs elsewhere, through fsspec: made in the cache of this machine, and uploaded so that none is seen in part.

Beside an output under way lies ``OUT.partial``, which says what was asked for. What made an earlier output whole (the
record of a folder, or the file) goes first, what makes the new one whole comes last.
"""

from __future__ import annotations

import json
import posixpath
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from synthaug.data.readers.npz import record_of_npz
from synthaug.data.readers.recorded import RECORD_BESIDE
from synthaug.data.readers.remote import AT_ONCE, CACHE, PARTIAL, Copy, Store, cache_folder
from synthaug.data.readers.written import record_in
from synthaug.errors import InvalidData, InvalidRequest, OutputError, OutputExists
from synthaug.files.formats import recorded_request
from synthaug.files.parquet import record_of_parquet
from synthaug.files.writing import LINKED, Writing
from synthaug.outputs import (
    RECORD,
    Output,
    atomic_write_text,
    one_error,
    open_output,
    refuse_unless,
    same_request,
)

_SENT = "sent.json"
_GROWS = ".part"
_HOLD_RECORDS = {b"PAR1": record_of_parquet, b"PK\x03\x04": record_of_npz}
"""Files that hold their record, by how they begin; of others it lies beside them."""

_FLAT = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "hf"}
"""Stores without folders, where a file is there whole or not at all."""


def require_remote(url: str, writing: Writing) -> None:
    """Refuse what cannot be written at a url, before anything is made.

    Raises:
        InvalidRequest: a share of an output, links, or a store that no library knows.
        MissingLibrary: the library that does is not installed.
    """
    store = Store.at(url)
    below = store.path.strip("/")
    if not below or ("/" not in below and _is_flat(store)):
        raise InvalidRequest(f"An output needs a name of its own, {store.url} has none. Add one.")
    if writing.real == LINKED:
        raise InvalidRequest(
            f"Files cannot be linked into {store.url}, which is elsewhere. Copy them: --real copied."
        )
    if writing.share is not None:
        raise InvalidRequest(
            f"A share of {store.url} was asked for, and shares are put together in a folder that all processes see. "
            "Write the shares to such a folder and upload it, or write all in one call."
        )


def remote_record(url: str) -> dict[str, Any] | None:
    """The record of an output at a url, without the rest of it; None where there is none.

    Raises:
        InvalidData: access is denied, or the store does not answer.
        MissingLibrary, InvalidRequest: as in `require_remote`.
    """
    store = Store.at(url)
    with store.asked(InvalidData, "looked at"):
        return _record(store)


@contextmanager
def open_remote(
    url: str,
    request: Mapping[str, Any],
    *,
    overwrite: bool = False,
    recorded: Callable[[Path], Mapping[str, Any] | None] = recorded_request,
) -> Iterator[Output]:
    """The output at a url, as `open_output` has one on this machine; it is uploaded where the block has committed it.

    It is made in the cache, from where a call that was killed goes on, also with the upload; nothing stays there.

    Args:
        url: of the folder or file to appear.
        request, overwrite, recorded: as in `open_output`.

    Raises:
        OutputExists, InvalidRequest: as `open_output` does.
        OutputError: it cannot be made in the cache or written to the store.
        MissingLibrary: the library that knows such stores is not installed.
    """
    store, wanted = Store.at(url), json.loads(json.dumps(request))
    place = cache_folder() / "write" / store.key
    local, upload = place / store.name, _Upload(store, wanted, place / _SENT)
    with _alone(store, place):
        if upload.is_finished(overwrite):
            shutil.rmtree(place, ignore_errors=True)
            yield Output(local, place, finished=True)
            return
        try:
            with open_output(local, wanted, overwrite=overwrite, recorded=recorded) as output:
                if not output.finished:
                    upload.sent.unlink(missing_ok=True)
                yield output
        except OutputExists as error:
            error.args = (Copy(local, store.url).told(str(error)),)
            raise
        if local.exists():
            upload.put(local)
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _alone(store: Store, place: Path) -> Iterator[None]:
    """Keeps other processes of this machine out."""
    with one_error(OutputError, f"{store.url} cannot be made in {place}", f"Say where with {CACHE}."):
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place.with_name(f"{place.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise OutputExists(
                f"{store.url} is being written by another process. Wait for it, or choose another output."
            ) from None
    try:
        yield
    finally:
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()


@dataclass(frozen=True)
class _Upload:
    """An output on its way to a store.

    Attributes:
        store: where it goes.
        wanted: the request that it answers.
        sent: the file that says what is there already.
    """

    store: Store
    wanted: Mapping[str, Any]
    sent: Path

    @property
    def marker(self) -> str:
        """What lies beside an output under way."""
        return self.store.path + PARTIAL

    def is_finished(self, overwrite: bool) -> bool:
        """Whether the output is there already; refuses what is there from another request."""
        store = self.store
        with store.asked(OutputError, "looked at"):
            store.system.invalidate_cache()
            begun, record = _request_in(store, self.marker), _record(store)
            found = None if record is None else record["request"]
            if begun is None and same_request(found, self.wanted):
                return True
            there = self.there()
        if begun is not None and not same_request(begun, self.wanted):
            refuse_unless(overwrite, f"{store.url}{PARTIAL}", begun, self.wanted)
            return False
        if not there or (begun is not None and found is None):
            return False
        if same_request(found, self.wanted):
            return False  # but for the last steps
        refuse_unless(overwrite and (found is not None or store.path in there), store.url, found, self.wanted)
        return False

    def there(self) -> dict[str, int | None]:
        """The sizes of the files that are there, by their paths."""
        system, path = self.store.system, self.store.path
        found = {name: about.get("size") for name, about in self.store.files().items()}
        if path in found and system.exists(beside := path + RECORD_BESIDE):
            found[beside] = system.size(beside)
        return found

    def put(self, local: Path) -> None:
        """Uploads a whole output, in an order in which no part of it, nor a mixture, is ever taken for whole."""
        store, system = self.store, self.store.system
        files = _files(store, local)
        *_, last = files
        with store.asked(OutputError, "written"):
            system.invalidate_cache()
            if not same_request(_request_in(store, self.marker), self.wanted):
                self.sent.unlink(missing_ok=True)
                self._make_room(self.marker)
                system.pipe_file(self.marker, json.dumps({"request": self.wanted}).encode())
            old = self.there()
            if set(old) != {store.path} or set(files) != {store.path}:
                for whole in {store.path, f"{store.path}/{RECORD}"} & set(old):
                    system.rm_file(whole)
                    old.pop(whole)
            self._send({name: path for name, path in files.items() if name != last}, old)
            self._remove([name for name in old if name not in files])
            self._make_room(last)
            if _is_flat(store):
                system.put_file(str(files[last]), last)
            else:  # where a file grows under its name
                system.put_file(str(files[last]), last + _GROWS)
                system.mv(last + _GROWS, last)
            system.rm_file(self.marker)

    def _send(self, files: Mapping[str, Path], there: Mapping[str, int | None]) -> None:
        """Uploads what is not there yet, as far as this call, or a killed one, knows."""
        sent = set(json.loads(self.sent.read_text()) if self.sent.exists() else ())
        sent = {name for name in sent & set(files) if there.get(name) == files[name].stat().st_size}
        missing = [name for name in files if name not in sent]
        for start in range(0, len(missing), AT_ONCE):
            names = missing[start : start + AT_ONCE]
            for name in names:
                self._make_room(name)
                if name in there and not _is_flat(
                    self.store
                ):  # it may be another name of a file of somebody's
                    self.store.system.rm_file(name)
            self.store.system.put([str(files[name]) for name in names], names)
            sent.update(names)
            atomic_write_text(self.sent, json.dumps(sorted(sent)))

    def _remove(self, names: list[str]) -> None:
        """Removes files of an earlier output, and folders that are empty then."""
        system, root = self.store.system, self.store.path
        for name in names:
            with suppress(FileNotFoundError):
                system.rm_file(name)
        if not _is_flat(self.store):
            folders = {root, *(posixpath.dirname(name) for name in names if name.startswith(f"{root}/"))}
            for folder in sorted(folders, key=len, reverse=True):
                with suppress(OSError):  # it is not empty
                    while len(folder) >= len(root):
                        system.rmdir(folder)
                        folder = posixpath.dirname(folder)

    def _make_room(self, name: str) -> None:
        if not _is_flat(self.store):  # elsewhere this would make buckets
            self.store.system.makedirs(posixpath.dirname(name), exist_ok=True)


def _is_flat(store: Store) -> bool:
    protocol = store.system.protocol
    return not _FLAT.isdisjoint((protocol,) if isinstance(protocol, str) else protocol)


def _files(store: Store, local: Path) -> dict[str, Path]:
    """Where each file of an output goes, what makes it whole last."""
    if local.is_file():
        beside = local.with_name(local.name + RECORD_BESIDE)
        found = {store.path + RECORD_BESIDE: beside} if beside.exists() else {}
        return found | {store.path: local}
    paths = [path for path in sorted(local.rglob("*")) if path.is_file()]
    found = {f"{store.path}/{path.relative_to(local).as_posix()}": path for path in paths}
    record = f"{store.path}/{RECORD}"
    return {name: path for name, path in found.items() if name != record} | {record: found[record]}


def _record(store: Store) -> dict[str, Any] | None:
    """The record in a folder, in a file, or beside it; None where there is none."""
    system = store.system
    with suppress(FileNotFoundError):
        if not system.isfile(store.path):
            return record_in(system.cat_file(f"{store.path}/{RECORD}"))
        with system.open(store.path, "rb") as file:
            begins = file.read(4)
            file.seek(0)
            if begins in _HOLD_RECORDS:
                return _HOLD_RECORDS[begins](file)
        return record_in(system.cat_file(store.path + RECORD_BESIDE))
    return None


def _request_in(store: Store, path: str) -> Mapping[str, Any] | None:
    """The request in a file that marks an output under way; None where there is none."""
    with suppress(FileNotFoundError):
        record = record_in(store.system.cat_file(path))
        return None if record is None else record["request"]
    return None
