"""What an embedder is: what it is given, what it may give, and what it is called."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from synthaug.errors import InvalidRequest
from synthaug.modalities.arrays import as_array

Embed: TypeAlias = "Callable[[list[np.ndarray]], Any]"
"""``embed(images)``: n arrays ``(H, W)`` or ``(H, W, C)`` -> ``(n, D)`` numbers, an array or a tensor."""


def embedder_of(given: Embed | str | None) -> Embed | None:
    """An embedder, or the one that is named: ``package.module:name`` of a function, or of a class that needs nothing.

    Raises:
        InvalidRequest: a name of nothing that can be imported.
    """
    if not isinstance(given, str):
        return given
    module, _, name = given.partition(":")
    try:
        found = pkgutil.resolve_name(f"{module}:{name}") if name else None
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidRequest(
            f'embed="{given}" was given, and cannot be imported ({error}): it is "module:name" of an embedder; with '
            "PYTHONPATH=. modules of this folder are found as well."
        ) from error
    if found is None:
        raise InvalidRequest(f'embed="{given}" was given; it is "module:name" of an embedder.')
    made: Embed = found() if isinstance(found, type) else found
    return made


def embedder_name(embed: Any) -> str:
    """What to call an embedder: the name of a function or method, or of the class of what is called.

    Raises:
        InvalidRequest: what cannot be called.
    """
    if not callable(embed):
        raise InvalidRequest(
            f"embed={embed!r} was given; it is a function: embed(images) -> an array of one vector an image"
        )
    while hasattr(embed, "func"):  # a partial, or what keeps its vectors
        embed = embed.func
    return str(getattr(embed, "__qualname__", type(embed).__qualname__))


def checked_vectors(given: Any, n: int, name: str) -> np.ndarray:
    """``(n, D)`` float32 of what an embedder of this name gave for n pictures.

    Raises:
        InvalidRequest: no vectors of numbers, a row a picture.
    """
    array = as_array(given)
    if isinstance(array, list | tuple) and len({np.shape(as_array(row)) for row in array}) == 1:
        array = np.stack([as_array(row) for row in array])
    shape = getattr(array, "shape", None)
    told = type(given).__name__ if shape is None else f"{shape} {array.dtype}"
    if shape is None or len(shape) != 2 or len(array) != n or not shape[1] or array.dtype.kind not in "fiu":
        raise InvalidRequest(
            f"{name} gave {told} for {n} pictures; an embedder gives an array or tensor ({n}, D) of numbers, a row a "
            "picture in their order"
        )
    with np.errstate(over="ignore"):  # what is infinite then is refused
        return np.array(array, np.float32)
