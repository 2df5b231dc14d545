"""Names on disk: any name becomes one path component and back."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

from synthaug.errors import InvalidRequest

_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def encode_name(name: str, among: Iterable[str] = ()) -> str:
    """Any name as one path component that is safe on every system; `decode_name` reads it back.

    Letters, digits and common marks stay, the rest is percent-encoded, and so is a first or last character
    that would hide, reserve or shorten the name, or make an option of it. The empty name is ``%``.

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
    if text.startswith((".", " ", "__", "-")) or text.split(".")[0].rstrip(" ").lower() in _DEVICES:
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
