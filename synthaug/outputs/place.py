"""Outputs that appear whole: the work happens in ``OUT.partial/`` and one rename ends it."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from synthaug.errors import InvalidRequest, OutputError, OutputExists, SynthaugError
from synthaug.outputs.writes import atomic_write_text
from synthaug.wording import is_url, one_line, reason_of, shown

RECORD = "synthaug.json"
"""The file of an output folder that holds ``{"request": ...}``: what was asked for."""

# What no reading fails with.
_OF_WRITING = {
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EROFS", "EFBIG") if hasattr(errno, name)
}
_ELSEWHERE = re.compile(r"[A-Za-z][\w+.-]+:/")  # a url, of which a path has one slash
_PATIENCE = 600  # seconds that a process waits for what another does alone


@dataclass(frozen=True)
class Output:
    """An output under way, or one that is already there.

    Attributes:
        path: where the output will be.
        work: the folder to write into, ``OUT.partial/``; it may hold the work of an earlier, killed call.
        finished: the same request has been met before: there is nothing to do.
        shared: other processes may be writing it, too.
    """

    path: Path
    work: Path
    finished: bool
    shared: bool = False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps others out, for what only one may do; one of them may have done it before.

        Raises:
            OutputExists: another process took longer than ten minutes.
        """
        with _locked(self.work, _PATIENCE) if self.shared else nullcontext():
            yield

    def commit(self, file: str | None = None, beside: str | None = None) -> None:
        """Makes the output appear: the folder ``work``, or its one file named ``file``.

        Args:
            file: the name of the one file.
            beside: the suffix of a second file that belongs to it, which appears first and means nothing until then.
        """
        whole = self.work if file is None else self.work / file
        if file is not None and beside is not None:
            os.replace(self.work / (file + beside), _beside(self.path, beside))
        replaced = _beside(self.path, ".replaced")
        if self.path.is_dir() or (whole.is_dir() and os.path.lexists(self.path)):
            os.replace(self.path, replaced)
        os.replace(whole, self.path)
        _remove(replaced)
        _discard(self.work)


def read_request(path: Path) -> Mapping[str, Any] | None:
    """The request recorded in the output folder ``path``, or None where nothing was recorded."""
    try:
        record = json.loads((path / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    request = record.get("request") if isinstance(record, dict) else None
    return request if isinstance(request, dict) else None


@contextmanager
def open_output(
    path: str | Path,
    request: Mapping[str, Any],
    *,
    overwrite: bool = False,
    recorded: Callable[[Path], Mapping[str, Any] | None] = read_request,
) -> Iterator[Output]:
    """The output ``path`` for ``request``: new, to be continued, or finished.

    An unfinished output of an equal request is continued, a finished one is left alone, with ``overwrite``
    too. Where the block ends without a commit, what it wrote stays in ``OUT.partial/`` for the same call
    to continue; where it wrote nothing, nothing stays.

    Args:
        path: the folder or file to appear.
        request: plain JSON data that determines the content. Mappings are compared without regard to order:
            where order matters, pass a list of pairs.
        overwrite: replace an output or an unfinished one of another request. A folder that holds no record of
            ours is never replaced.
        recorded: reads the request back from a finished output, None where there is none. The default reads
            the record of a folder; formats that end as a single file bring their own.

    Raises:
        OutputExists: ``path`` or its partial is there from another request, or another process writes it.
        OutputError: it cannot be written there, also while the block writes; what was made stays to be continued.
        InvalidRequest: ``path`` has no name of its own, such as ``.`` or ``/``.

    Example:
        >>> import tempfile
        >>> out = Path(tempfile.mkdtemp()) / "numbers"
        >>> with open_output(out, {"n": 3}) as output:
        ...     atomic_write_text(output.work / "n.txt", "3")
        ...     output.commit()
        >>> with open_output(out, {"n": 3}) as output:
        ...     output.finished
        True
    """
    path = _own_name(path)
    work, wanted = _beside(path, ".partial"), json.loads(json.dumps(request))
    with _one_error(path, work):
        if _is_done(path, work, wanted, overwrite, recorded):
            yield Output(path, work, finished=True)
            return
        missing = [folder for folder in (work, *work.parents) if not folder.exists()]
        try:
            work.mkdir(parents=True, exist_ok=True)
            with _locked(work):
                _record(work, wanted)
                yield Output(path, work, finished=False)
        finally:
            _leave_no_empty(work, missing)


@contextmanager
def open_together(
    path: str | Path,
    request: Mapping[str, Any],
    *,
    overwrite: bool = False,
    recorded: Callable[[Path], Mapping[str, Any] | None] = read_request,
) -> Iterator[Output]:
    """An output that several processes write at once, each its own files; what only one may do they do `alone`.

    Args:
        path, request, overwrite, recorded: as in `open_output`.

    Raises:
        OutputExists, OutputError, InvalidRequest: as `open_output` does.
    """
    path = _own_name(path)
    work, wanted = _beside(path, ".partial"), json.loads(json.dumps(request))
    with _one_error(path, work):
        if _is_done(path, work, wanted, overwrite, recorded, _PATIENCE):
            yield Output(path, work, finished=True)
            return
        work.mkdir(parents=True, exist_ok=True)
        with _locked(work, _PATIENCE):
            if work.is_dir() and not same_request(read_request(work), wanted):
                _record(work, wanted)
        yield Output(path, work, finished=False, shared=True)


def _is_done(
    path: Path,
    work: Path,
    wanted: Mapping[str, Any],
    overwrite: bool,
    recorded: Callable[[Path], Mapping[str, Any] | None],
    wait: float = 0,
) -> bool:
    """Whether the output is there; a partial that is not of it any more is removed.

    Where several write together, one may have made the partial that has not yet said what it is of: that is waited for.
    """
    if is_finished(path, wanted, overwrite=overwrite, recorded=recorded):
        if same_request(read_request(work), wanted):
            _discard(work)
        return True
    if _occupied(work) and not same_request(read_request(work), wanted):
        with _locked(work, wait):
            if not same_request(read_request(work), wanted):  # still, now that nobody else is there
                _discard(work)
    return False


def _record(work: Path, wanted: Mapping[str, Any]) -> None:
    atomic_write_text(work / RECORD, json.dumps({"request": wanted}, indent=1) + "\n")


def is_finished(
    path: str | Path,
    request: Mapping[str, Any],
    *,
    overwrite: bool = False,
    recorded: Callable[[Path], Mapping[str, Any] | None] = read_request,
) -> bool:
    """Whether the output is there already; refuses what `open_output` refuses, and writes nothing.

    Args:
        path, request, overwrite, recorded: as in `open_output`.

    Raises:
        OutputExists, OutputError, InvalidRequest: as `open_output` does.
    """
    path = _own_name(path)
    work, wanted = _beside(path, ".partial"), json.loads(json.dumps(request))
    with _one_error(path, work):
        _recover(path, work)
        if _occupied(path):
            found = recorded(path)
            if same_request(found, wanted):
                return True
            refuse_unless(overwrite and (found is not None or path.is_file()), path, found, wanted)
        if _occupied(work) and os.listdir(work) != [RECORD + ".tmp"]:
            found = read_request(work)
            if not same_request(found, wanted):
                refuse_unless(overwrite and found is not None, work, found, wanted)
        nearest = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
        if not nearest.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest))
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(nearest))
    return False


def require_apart(out: str | Path, sources: Mapping[str, str | Path | None]) -> None:
    """Refuse an output in what it is made of, or around it: writing one would change or remove the other.

    Args:
        out: the output.
        sources: where each source lies by what it is, e.g. ``{"data set": "photos"}``; None for what has no place.

    Raises:
        InvalidRequest: naming both.
    """
    place, told = _real(out), shown(out)
    for what, source in sources.items():
        if source is None:
            continue
        there = _real(source)
        if place.is_relative_to(there):
            raise InvalidRequest(
                f'The output "{told}" lies in the {what} "{shown(source)}" itself. Put it elsewhere.'
            )
        if there.is_relative_to(place):
            raise InvalidRequest(
                f'The {what} "{shown(source)}" lies in the output "{told}". Put the output elsewhere.'
            )


def _real(place: str | Path) -> Path:
    """Where something is, links followed; what is elsewhere is nowhere on this machine."""
    if not is_url(place):
        return Path(os.path.realpath(place))
    scheme, _, rest = shown(place).partition("://")
    return (
        Path(os.path.realpath(rest)) if scheme in ("file", "local") else Path(f"{scheme}:", rest.strip("/"))
    )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _own_name(path: str | Path) -> Path:
    path = Path(path)
    if _ELSEWHERE.match(str(path)):
        raise InvalidRequest(
            f'"{shown(str(path).replace(":/", "://", 1))}" is a url, and this output is made on this machine: name a '
            'folder here. Only sample and expand write elsewhere, with a url as text: out="s3://bucket/more".'
        )
    if path.name in ("", ".."):
        use = path / "out"
        raise InvalidRequest(f'An output needs a name of its own, "{path}" has none. Use e.g. "{use}".')
    try:
        possible = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise InvalidRequest(f'No file can be called "{one_line(str(path))}". Choose another name.')
    return path


def same_request(found: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Whether two requests are equal; what an older version did not record it did not have."""
    return found is not None and not _differing(found, wanted)


def _differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*found, *wanted}) if found.get(key) != wanted.get(key)]


@contextmanager
def _one_error(path: Path, work: Path) -> Iterator[None]:
    """Makes one error of ours of what goes wrong where the output is to be; what goes wrong elsewhere passes."""
    try:
        yield
    except SynthaugError:
        raise
    except OSError as error:
        where = error.filename if isinstance(error.filename, str | os.PathLike) else ""
        at = Path(os.path.abspath(where)) if where else None
        ours = at is not None and (
            path.absolute().is_relative_to(at)
            or (at.is_relative_to(path.absolute().parent) and str(at).startswith(os.path.abspath(path)))
        )
        if not ours and error.errno not in _OF_WRITING:
            raise
        kept = f"; the same call goes on from {work}" if _occupied(work) else ""
        raise OutputError(
            f"{one_line(str(path))} cannot be written ({reason_of(error)}). {_remedy(error)}{kept}."
        ) from error


def _remedy(error: OSError) -> str:
    if error.errno in _OF_WRITING:
        return "Make room there, or choose another place"
    if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        return "A file is in the way: move it, or choose another place"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "Choose another place, or ask for the right to write there"
    return "Choose another name or place"


def _leave_no_empty(work: Path, made: list[Path]) -> None:
    """Removes the partial in which nothing was written, and the folders that were made for it."""
    if work.is_dir() and set(os.listdir(work)) <= {RECORD, RECORD + ".tmp"}:
        _remove(work)
    for folder in made if not os.path.lexists(work) else ():
        if folder.is_dir() and not os.listdir(folder):
            folder.rmdir()


def _occupied(path: Path) -> bool:
    return os.path.lexists(path) and not (path.is_dir() and not os.listdir(path))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def _discard(work: Path) -> None:
    """Removes a partial; one that is killed while it goes never looks like one to continue."""
    if work.exists():
        os.replace(work, _beside(work, ".trash"))
        _remove(_beside(work, ".trash"))


def _recover(path: Path, work: Path) -> None:
    """Ends or undoes the replacement and the clearing that a killed call had begun."""
    _remove(_beside(work, ".trash"))
    replaced = _beside(path, ".replaced")
    if os.path.lexists(replaced):
        if os.path.lexists(path):
            _remove(replaced)
        else:
            os.replace(replaced, path)


def refuse_unless(
    allowed: bool, path: str | Path, found: Mapping[str, Any] | None, wanted: Mapping[str, Any]
) -> None:
    """Refuse an output that is there, unless it may be replaced.

    Args:
        allowed: whether it may.
        path: where it is.
        found: the request that it came from; None where there is no record of one.
        wanted: the request that is to be met.

    Raises:
        OutputExists: saying in what the two requests differ.
    """
    if allowed:
        return
    if found is None:
        single = isinstance(path, Path) and path.is_file()
        remedy = "pass overwrite=True (--overwrite)" if single else "remove it"
        raise OutputExists(f"{path} exists and synthaug did not write it. Choose another name, or {remedy}.")
    told = "; ".join(
        f"{k}: {_short(found.get(k))} there, {_short(wanted.get(k))} asked" for k in _differing(found, wanted)
    )
    raise OutputExists(
        f"{path} exists and came from another request ({told}). "
        "Choose another name, or pass overwrite=True (--overwrite) to replace it."
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


@contextmanager
def _locked(folder: Path, wait: float = 0) -> Iterator[None]:
    """Holds ``folder`` against others, after at most so many seconds; the system lets go when this process dies."""
    lock = FileLock(_beside(folder, ".lock"))
    try:
        lock.acquire(timeout=wait)
    except Timeout:
        raise OutputExists(
            f"{folder} is being written by another process. Wait for it, or choose another output."
        ) from None
    try:
        yield
    finally:
        # Where a file that is held can be removed, whoever waits for it sees that it is gone; elsewhere it stays.
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()
