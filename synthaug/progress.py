"""Progress on stderr: a bar on a terminal or in a notebook, elsewhere a line a minute.

Those lines go to the logger ``synthaug`` too, at INFO, whether they are shown or not; beside them what happens in a
training, such as a new plan or the choice of a checkpoint, and at DEBUG its losses. A bar that moves is not logged.
Warnings go through `warnings`; ``logging.captureWarnings(True)`` brings them to the logger ``py.warnings``.

    logging.basicConfig(filename="run.log", format="%(asctime)s %(message)s")
    logging.getLogger("synthaug").setLevel(logging.INFO)
"""

from __future__ import annotations

import io
import logging
import sys
from typing import Any

LOGGER = logging.getLogger("synthaug")
"""What happens during a run; nothing is printed of it unless its user says where to."""

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

    What ends within a minute writes no line. Lines are also logged.

    Args:
        total: how many units there are.
        shown: whether anything is to be shown.
        of: what of.
        unit: of what is counted.
        initial: how many are done already.
        smoothing: of the pace that the time left is told by: 0 for its mean, 1 for the last unit's.
    """
    how: dict[str, Any] = {
        "total": total, "desc": of, "unit": unit, "initial": initial, "smoothing": smoothing,
    }  # fmt: skip
    if shown and _is_watched():
        from tqdm.auto import tqdm

        return tqdm(**how, dynamic_ncols=True)
    from tqdm import tqdm as plain

    # where bars lie within bars, each writes lines of its own
    often: dict[str, Any] = {"delay": _EVERY, "mininterval": _EVERY, "maxinterval": _EVERY, "miniters": 1}
    unheard = not shown and not LOGGER.isEnabledFor(logging.INFO)
    return plain(**how, **often, file=_Lines(shown), position=0, ncols=100, disable=unheard)


def _is_watched() -> bool:
    """Whether somebody sees a bar move; not every stand-in for stderr can tell."""
    is_terminal = getattr(sys.stderr, "isatty", bool)()
    return is_terminal or type(sys.stderr).__module__.startswith("ipykernel")


class _Lines(io.TextIOBase):
    """Logs what a bar would write over itself, line by line, and writes it to stderr where it is to be shown."""

    def __init__(self, shown: bool) -> None:
        self.shown = shown

    def write(self, text: str) -> int:
        line = text.strip("\r\n ")
        if line:
            LOGGER.info(line)
        if line and self.shown:
            print(line, file=sys.stderr, flush=True)
        return len(text)
