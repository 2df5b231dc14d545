"""The history of a training run: mean figures and events, one JSON line each, in memory, on disk and to a tracker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HISTORY = "history.jsonl"
Line = dict[str, Any]


class History:
    """Mean figures between lines, kept in memory and as JSON lines on disk.

    Args:
        folder: where the file goes; None keeps the lines in memory only.
        every: steps between two lines of figures.
        report: called with each line as it is written, e.g. a tracker.
    """

    def __init__(self, folder: Path | None, every: int, report: Callable[[Line], None] | None = None) -> None:
        self.path = None if folder is None else folder / HISTORY
        self.every = every
        self.report = report
        self.lines: list[Line] = []
        self.sums: dict[str, float] = {}
        self.seen: dict[str, int] = {}
        self.started = time.monotonic()

    def resume(self, step: int, length: int) -> None:
        """Drops what was written after the checkpoint, made when the file had this length, and says so."""
        assert self.path is not None
        raw = self.path.read_bytes() if self.path.exists() else b""
        known = [json.loads(line) for line in raw[:length].decode().splitlines()]
        youngest = [json.loads(line) for line in raw.decode().splitlines() if line.endswith("}")][
            -1:
        ] or known[-1:]
        last = youngest[0] if youngest else {"step": step, "seconds": 0.0}
        seconds = known[-1]["seconds"] if known else 0.0
        self.path.write_bytes(raw[:length])
        self.lines, self.started = known, time.monotonic() - seconds
        lost = {
            "lost_steps": max(0, last["step"] - step),
            "lost_seconds": round(last["seconds"] - seconds, 2),
        }
        self.event({"event": "resumed", **lost}, step)

    def event(self, what: Line, step: int) -> None:
        """Writes one line that is not a mean of figures."""
        self._write({"step": step, "seconds": round(time.monotonic() - self.started, 2), **what})

    def add(self, step: int, figures: dict[str, float], bar: Any, *, last: bool) -> None:
        """Collects a step's figures; every so often their means become a line."""
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.seen[name] = self.seen.get(name, 0) + 1
        if step % self.every == 0 or last:
            means = {name: float(f"{total / self.seen[name]:.6g}") for name, total in self.sums.items()}
            self.event(means, step)
            self.drop_pending()
            shown = {k: v for k, v in self.lines[-1].items() if k not in ("step", "seconds")}
            bar.set_postfix({k: f"{v:.3g}" for k, v in shown.items()}, refresh=False)

    def drop_pending(self) -> None:
        """Forgets the figures since the last line."""
        self.sums, self.seen = {}, {}

    def length(self) -> int:
        """The length of the file in bytes."""
        return self.path.stat().st_size if self.path is not None and self.path.exists() else 0

    def _write(self, line: Line) -> None:
        self.lines.append(line)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        if self.report is not None:
            self.report(line)
