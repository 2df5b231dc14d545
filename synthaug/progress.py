"""Progress on stderr: a bar on a terminal or in a notebook, elsewhere a line a minute."""

from __future__ import annotations

import io
import sys
from typing import Any

_EVERY = 60.0  # seconds between lines, of which the first comes after as many


def bar(
    total: int,
    *,
    shown: bool,
    of: str | None = None,
    unit: str = "run",
    initial: int = 0,
    smoothing: float = 0.3,
) -> Any:
    """A bar of tqdm, or one that writes lines where nobody watches, such as in the log of a cluster.

    What ends within a minute writes no line.

    Args:
        total: how many units there are.
        shown: whether anything is to be shown.
        of: what of.
        unit: of what is counted.
        initial: how many are done already.
        smoothing: of the pace that the time left is told by: 0 for its mean, 1 for the last unit's.
    """
    how: dict[str, Any] = {
        "total": total, "desc": of, "unit": unit, "initial": initial, "smoothing": smoothing, "disable": not shown,
    }  # fmt: skip
    if sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel"):
        from tqdm.auto import tqdm

        return tqdm(**how, dynamic_ncols=True)
    from tqdm import tqdm as plain

    return plain(
        **how, file=_Lines(), delay=_EVERY, mininterval=_EVERY, maxinterval=_EVERY, miniters=1, ncols=100
    )


class _Lines(io.TextIOBase):
    """Writes to stderr what a bar would write over itself, line by line."""

    def write(self, text: str) -> int:
        line = text.strip("\r\n ")
        if line:
            print(line, file=sys.stderr, flush=True)
        return len(text)
