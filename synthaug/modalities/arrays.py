"""Arrays and tensors alike, without importing torch for those who do not use it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def are_equal(first: Any, second: Any) -> bool:
    """Whether two rows hold the same, missing cells included."""
    ours, theirs = np.asarray(as_array(first)), np.asarray(as_array(second))
    return np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == theirs.dtype.kind == "f")


def as_array(value: Any) -> Any:
    """The NumPy array of a torch tensor, float32 of bfloat16, which NumPy does not have; anything else as it is."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.dtype == torch.bfloat16:
            value = value.float()
        return value.detach().cpu().numpy()
    return value
