"""Outputs that appear whole: the work happens in ``OUT.partial/`` and one rename ends it.

Also the one home of names on disk: any class name becomes one path component and back.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from filelock import FileLock, Timeout

from synthaug.errors import InvalidRequest, OutputExists

RECORD = "synthaug.json"
"""The file of an output folder that holds ``{"request": ...}``: what was asked for."""

_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class Output:
    """An output under way, or one that is already there.

    Attributes:
        path: where the output will be.
        work: the folder to write into, ``OUT.partial/``; it may hold the work of an earlier, killed call.
        finished: the same request has been met before: there is nothing to do.
    """

    path: Path
    work: Path
    finished: bool

    def commit(self, file: str | None = None) -> None:
        """Makes the output appear: the folder ``work``, or its one file named ``file``."""
        whole = self.work if file is None else self.work / file
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
    path = Path(path)
    if path.name in ("", ".."):
        raise InvalidRequest(f'An output needs a name of its own, "{path}" has none. Use e.g. "{path}/out".')
    work, wanted = _beside(path, ".partial"), json.loads(json.dumps(request))
    _recover(path, work)
    if _occupied(path):
        found = recorded(path)
        if found == wanted:
            if read_request(work) == wanted:
                _discard(work)
            yield Output(path, work, finished=True)
            return
        _refuse_unless(overwrite and (found is not None or path.is_file()), path, found, wanted)
    if _occupied(work) and os.listdir(work) != [RECORD + ".tmp"]:
        found = read_request(work)
        if found != wanted:
            _refuse_unless(overwrite and found is not None, work, found, wanted)
            with _locked(work):
                _discard(work)
    new_folders = [folder for folder in (work, *work.parents) if not folder.exists()]
    work.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(work):
            atomic_write_text(work / RECORD, json.dumps({"request": wanted}, indent=1) + "\n")
            yield Output(path, work, finished=False)
    finally:
        if work.exists() and set(os.listdir(work)) <= {RECORD, RECORD + ".tmp"}:
            _remove(work)
            for folder in new_folders[1:]:
                if not os.listdir(folder):
                    folder.rmdir()


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Writes ``path`` so that whoever looks sees the old content or the whole new one.

    The temporary name is always the same, so that a killed write leaves nothing the next one does not take.
    """
    temporary = _beside(path, ".tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def atomic_write_text(path: Path, text: str) -> None:
    """Writes ``path`` as UTF-8, whole or not at all."""
    atomic_write_bytes(path, text.encode())


def sha256_file(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def environment() -> dict[str, str]:
    """Library versions and hardware, for results to be read by."""
    packages = ("torch", "numpy", "scikit-learn", "albumentations")
    return {
        "hardware": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def encode_name(name: str, among: Iterable[str] = ()) -> str:
    """Any name as one path component that is safe on every system; `decode_name` reads it back.

    Letters, digits and common marks stay, the rest is percent-encoded, and so is a first or last character
    that would hide, reserve or shorten the name. The empty name is ``%``.

    Args:
        name: the name.
        among: all names of the folder. Where another differs by case only, capitals are encoded too, so that
            the two do not meet on a system that ignores case.

    Raises:
        InvalidRequest: the encoded name is longer than the 255 bytes a component may have.

    >>> encode_name("T-shirt/top"), encode_name("../x"), encode_name("été")
    ('T-shirt%2Ftop', '%2E.%2Fx', '%C3%A9t%C3%A9')
    >>> encode_name("Cat", among=["Cat", "cat"]), decode_name("%43at")
    ('%43at', 'Cat')
    """
    text = quote(name, safe=" ,+=()@", errors="surrogatepass")
    if any(other != name and other.lower() == name.lower() for other in among):
        # The hexadecimal capitals of an escape stay: they are the same in every spelling of it.
        text = re.sub(r"%..|[A-Z]", lambda m: m[0] if m[0][0] == "%" else f"%{ord(m[0]):02X}", text)
    if text.startswith((".", " ", "__")) or text.split(".")[0].rstrip(" ").lower() in _DEVICES:
        text = f"%{ord(text[0]):02X}{text[1:]}"
    if text.endswith((".", " ")):
        text = f"{text[:-1]}%{ord(text[-1]):02X}"
    if len(text) > 255:
        raise InvalidRequest(
            f'The name "{name[:40]}..." takes {len(text)} bytes as a folder name, file systems allow 255. '
            "Shorten it, or write .parquet or .npz."
        )
    return text or "%"


def decode_name(component: str) -> str:
    """The name that `encode_name` made ``component`` of; a component it cannot have made is its own name."""
    if component == "%":
        return ""
    try:
        return unquote(component, errors="surrogatepass")
    except UnicodeDecodeError:
        return component


def _processor() -> str:
    """The processor's name where the system tells it."""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


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


def _refuse_unless(
    allowed: bool, path: Path, found: Mapping[str, Any] | None, wanted: Mapping[str, Any]
) -> None:
    if allowed:
        return
    if found is None:
        remedy = "pass overwrite (--overwrite)" if path.is_file() else "remove it"
        raise OutputExists(f"{path} exists and synthaug did not write it. Choose another name, or {remedy}.")
    differing = [key for key in sorted({*found, *wanted}) if found.get(key) != wanted.get(key)]
    told = "; ".join(f"{k}: {_short(found.get(k))} there, {_short(wanted.get(k))} asked" for k in differing)
    raise OutputExists(
        f"{path} exists and came from another request ({told}). "
        "Choose another name, or pass overwrite (--overwrite) to replace it."
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds ``folder`` against other processes; the system lets go when this one dies."""
    lock = FileLock(_beside(folder, ".lock"))
    try:
        lock.acquire(timeout=0)
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
