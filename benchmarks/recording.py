"""A number without commit, hardware and versions is not a result: this writes them beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from synthaug.evaluation import environment


def write_results(path: Path, results: dict[str, Any]) -> None:
    """Writes results as JSON with the command, the commit and the machine that made them."""
    about = {
        "command": " ".join(["python", *sys.argv]),
        "commit": _commit(),
        "cores": os.cpu_count(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about, "environment": environment(), **results}, indent=1) + "\n")


def _commit() -> str:
    """The commit, marked where code differs from it; results may, as they are written while benchmarks run."""
    commit = subprocess.run(["git", "describe", "--always"], capture_output=True, text=True, check=True)
    code = [
        "git",
        "diff",
        "--quiet",
        "HEAD",
        "--",
        ":/",
        ":(top,exclude)benchmarks/results",
        ":(top,exclude)README.md",
    ]
    changed = subprocess.run(code, check=False).returncode != 0
    return commit.stdout.strip() + ("-dirty" if changed else "")
