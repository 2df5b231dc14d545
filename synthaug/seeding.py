"""The only source of randomness: a stream for every (seed, purpose, index).

A stream is a pure function of its path, so nothing depends on what was drawn before, on the batch size or on
the number of workers, and a resumed run continues as if it had never stopped.
"""

from __future__ import annotations

import hashlib
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from synthaug.errors import InvalidRequest

if TYPE_CHECKING:
    import torch


def derive(seed: int, *path: str | int) -> int:
    """A 63-bit integer that identifies the stream ``(seed, *path)``.

    >>> derive(0, "batch", 3) == derive(0, "batch", 3) != derive(0, "batch", 4)
    True
    """
    text = "\x1f".join([repr(whole_seed(seed)), *(repr(part) for part in path)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def whole_seed(seed: Any) -> int:
    """A seed as a Python int.

    Raises:
        InvalidRequest: no whole number, or one of more than 64 bits.
    """
    try:
        whole = operator.index(seed)
    except TypeError:
        whole = None
    if whole is None or not -(2**63) <= whole < 2**63:
        raise InvalidRequest(f"seed={seed!r} was given; a seed is a whole number of at most 64 bits.")
    return whole


def numpy_rng(seed: int, *path: str | int) -> np.random.Generator:
    """A NumPy generator for the stream ``(seed, *path)``."""
    return np.random.Generator(np.random.Philox(derive(seed, *path)))


def torch_rng(seed: int, *path: str | int) -> torch.Generator:
    """A CPU torch generator for the stream ``(seed, *path)``."""
    import torch

    return torch.Generator(device="cpu").manual_seed(derive(seed, *path))
