"""Turns of phrase that messages, cards and reports share."""

from __future__ import annotations

import base64
import difflib
import html
import inspect
import io
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from PIL.Image import Image

# Also what turns the direction of all that follows it.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_TOKEN = re.compile(r"\bhf_\w{6,}")

_URL = re.compile(r"[A-Za-z][\w+.:-]*://")
_SECRET = re.compile(r"(?<=://)(?:[^/]*@|[^/@:]*:(?!\d+/)[^@]*@)|\?.*")


def is_url(place: Any) -> TypeGuard[str]:
    """Whether this is the url of something elsewhere, as text; a `Path` of one has lost a slash.

    >>> is_url("s3://bucket/photos"), is_url("photos/cat")
    (True, False)
    """
    return isinstance(place, str) and _URL.match(place) is not None


def shown(place: str | os.PathLike[str]) -> str:
    """What a place is called in messages and records: a url without credentials and query.

    >>> shown("s3://me:secret@bucket/photos?token=1"), shown("photos")
    ('s3://bucket/photos', 'photos')
    """
    text = os.fspath(place)
    return _SECRET.sub("", text) if is_url(text) else text


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence naming the closest known names, or all of them when few, or nothing.

    >>> did_you_mean("sneeker", ["Sneaker", "Bag"])
    ' Did you mean "Sneaker"?'
    """
    names = [str(n) for n in known]
    lowered = {n.lower(): n for n in names}
    close = difflib.get_close_matches(str(name).lower(), lowered, n=1, cutoff=0.6)
    if close:
        return f' Did you mean "{lowered[close[0]]}"?'
    if 0 < len(names) <= 20:
        return " Known: " + ", ".join(f'"{n}"' for n in names) + "."
    return ""


def quoted(names: Iterable[str], most: int = 10) -> str:
    """Names in quotes, and how many more there are.

    >>> quoted(["cat", "dog", "owl"], most=2), quoted([])
    ('"cat", "dog" and 1 more', 'none')
    """
    known = [f'"{name}"' for name in names]
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more if known else "none"


def as_pairs(given: Mapping[Any, Any]) -> str:
    """A mapping as it is written on the command line.

    >>> as_pairs({"cat": 100, "dog": 20})
    'cat=100, dog=20'
    """
    return ", ".join(f"{name}={value}" for name, value in given.items())


def one_line(text: str) -> str:
    """Text as one line that any terminal, picture or file can take: what cannot be printed is escaped.

    >>> one_line("cat\\n"), one_line("été")
    ('cat\\\\n', 'été')
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable(text: str) -> str:
    """Text of lines, of which each is one.

    >>> printable("a\\tb\\nc")
    'a\\\\tb\\nc'
    """
    return "\n".join(map(one_line, text.split("\n")))


def reason_of(error: OSError) -> str:
    """What the system says of a file, in one line.

    >>> reason_of(FileNotFoundError(2, "No such file or directory", "gen"))
    'No such file or directory: gen'
    """
    if not error.strerror:
        return one_line(str(error) or type(error).__name__)
    return one_line(error.strerror if error.filename is None else f"{error.strerror}: {error.filename}")


def without_tokens(text: str, *tokens: object) -> str:
    """Text without tokens of the hub: those that are given, the one of this machine, and what looks like one.

    >>> without_tokens("Illegal header value b'Bearer hf_abcdefgh'")
    "Illegal header value b'Bearer ***'"
    """
    from huggingface_hub import get_token

    known = {str(token).strip() for token in (*tokens, get_token()) if isinstance(token, str)}
    for token in sorted(known - {""}, key=len, reverse=True):
        text = text.replace(token, "***")
    return _TOKEN.sub("***", text)


def percent(share: float) -> str:
    """A share in whole percent.

    >>> percent(0.25)
    '25 %'
    """
    return f"{share:.0%}".replace("%", " %")


def percents(term: str) -> str:
    """A term that may hold shares, as sentences write these.

    >>> percents("real + 25% cvae")
    'real + 25 % cvae'
    """
    return term.replace("%", " %")


def points(difference: float) -> str:
    """A difference of shares in points, with its sign and a true minus.

    >>> points(0.012), points(-0.003), points(-0.0001)
    ('+1.2', '−0.3', '0.0')
    """
    text = f"{difference * 100:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def sized(amount: float) -> str:
    """So many bytes in words.

    >>> sized(950), sized(2_400_000), sized(12_345_678_901)
    ('950 bytes', '2.4 MB', '12 GB')
    """
    units = iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while amount >= 999.5 and unit != "TB":
        amount, unit = amount / 1000, next(units)
    return f"{amount:.2g} {unit}" if amount < 9.95 and unit != "bytes" else f"{amount:.0f} {unit}"


def duration(seconds: float) -> str:
    """A time in the unit that reads best.

    >>> duration(0.25), duration(42), duration(700), duration(18_000)
    ('0.25 seconds', '42 seconds', '12 minutes', '5 hours')
    """
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 1.5 * length:
            return (
                f"{seconds / length:.{0 if seconds >= 9.95 * length else 1}f}".removesuffix(".0") + f" {unit}"
            )
    return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.2g} seconds"


def table_cell(text: str) -> str:
    """Any text as one cell of a Markdown table.

    >>> table_cell("a|b")
    'a\\\\|b'
    """
    line = one_line(re.sub(r"\r\n|\r|\n", " ", text))
    return re.sub(r"([|\\`*_<>\[\]])", r"\\\1", line) or "(empty name)"


def fenced(text: str) -> str:
    """Any text as it stands, as a block of Markdown.

    >>> fenced("a").split(), fenced("a ``` b").split()[0]
    (['```', 'a', '```'], '````')
    """
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def attributes_of(kind: type) -> dict[str, str]:
    """What each attribute of a class means, as its docstring says."""
    _, _, attributes = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in attributes.splitlines():
        if begun := re.match(r"    (\w[\w, ]*): (.*)", line):
            names = begun[1].split(", ")
            found |= dict.fromkeys(names, begun[2])
        elif line.startswith("        "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def in_html(text: str, picture: Image | None = None) -> str:
    """Text as it stands, and a picture below it, for a page that holds all it shows, such as a notebook.

    >>> in_html("a < b")
    '<pre>a &lt; b</pre>'
    """
    told = f"<pre>{html.escape(text)}</pre>"
    if picture is None:
        return told
    address = html.escape(data_address(picture))
    return f'{told}<img src="{address}" width="{picture.width}" height="{picture.height}" alt="{html.escape(text)}">'


def data_address(picture: Image) -> str:
    """A picture as the address of itself, a PNG."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
