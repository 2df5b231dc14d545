"""Fixtures of recipes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cooked import WORLDS, Arrays

from synthaug.families import FAMILIES


@pytest.fixture
def asked(
    request: pytest.FixtureRequest, shapes: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[object]:
    """The command that runs a recipe on what its text says that it needs."""
    make, small = WORLDS[request.param]
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_network", raising=False)
    data = make(tmp_path, shapes)
    settings = [part for key, value in small.items() for part in ("--set", f"{key}={value}")]
    return ["run", request.param, "--data", data, "--out", "out", *settings]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The families of the generators that were trained, in order."""
    found: list[str] = []
    for name, family in FAMILIES.items():

        def counted(self: Any, *, _name: str = name, _phases: Any = family.phases) -> Any:
            found.append(_name)
            return _phases(self)

        monkeypatch.setattr(family, "phases", counted)
    return found
