"""Arrays and tensors alike, without importing torch for those who do not use it."""

from __future__ import annotations

import sys
from typing import Any

from synthaug.errors import UnsupportedKind


def as_array(value: Any) -> Any:
    """The NumPy array of a torch tensor; anything else as it is.

    Raises:
        UnsupportedKind: at a tensor of bfloat16, which NumPy does not have.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.dtype == torch.bfloat16:
            raise UnsupportedKind("a tensor of bfloat16 was found; convert it with .float()")
        return value.detach().cpu().numpy()
    return value
