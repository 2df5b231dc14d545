"""The lowest version that pyproject.toml allows of each dependency, as constraints for pip.

python .ci/lowest.py > lowest.txt
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest(project: Path = PROJECT) -> dict[str, str]:
    """The lower bound of each package that pyproject.toml names, by its name; tools of developers are left out."""
    told = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = [
        each
        for name, of in told["optional-dependencies"].items()
        if name not in ("dev", "docs")
        for each in of
    ]
    found = {}
    for requirement in map(Requirement, [*told["dependencies"], *extras]):
        for bound in requirement.specifier:
            if bound.operator == ">=":
                found[requirement.name] = bound.version
    return found


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}=={version}\n" for name, version in lowest().items())
