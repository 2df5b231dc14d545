"""What is said of the package in several places is the same, and what is promised was tried."""

from __future__ import annotations

import re
import runpy
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import synthaug

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = [each for of in PROJECT["optional-dependencies"].values() for each in of]


def test_there_is_one_version() -> None:
    assert "version" not in PROJECT
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert metadata.version("synthaug") == synthaug.__version__ == cited["version"]
    assert [person["name"] for person in cited["authors"]] == [
        person["name"] for person in PROJECT["authors"]
    ]


def test_the_readme_is_read_anywhere_and_leads_to_what_is_there() -> None:
    text, home = (ROOT / "README.md").read_text(encoding="utf-8"), PROJECT["urls"]["Homepage"]
    raw = home.replace("github.com", "raw.githubusercontent.com")
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    known = dict(re.findall(r"^\[([\w-]+)\]: (\S+)$", prose, re.M))
    used = {label for label in re.findall(r"\]\[([\w-]+)\]", prose)}
    assert used == set(known)
    links = [*known.values(), *re.findall(r"\]\(([^)\s]+)\)", prose)]
    assert len(links) > 15
    for link in links:
        within = link.removeprefix(f"{home}/blob/main/").removeprefix(f"{raw}/main/")
        assert within != link, f"{link} is not of this project"
        assert (ROOT / within).exists(), link


def test_the_changelog_tells_of_this_version_and_when_it_came() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    told = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {synthaug.__version__} ({cited['date-released']})" in told
    assert cited["repository-code"] == PROJECT["urls"]["Homepage"]
    for url in PROJECT["urls"].values():
        assert url.startswith(PROJECT["urls"]["Homepage"])


def test_every_dependency_has_a_lower_bound_and_those_are_what_make_lowest_installs() -> None:
    lowest = runpy.run_path(str(ROOT / ".ci" / "lowest.py"))["lowest"]()
    for requirement in map(Requirement, PROJECT["dependencies"]):
        bounds = [bound.version for bound in requirement.specifier if bound.operator == ">="]
        assert [lowest[requirement.name]] == bounds, requirement
    assert lowest["torch"] == "2.10"
    assert "ruff" not in lowest


def test_what_the_project_is_tested_with_lies_in_the_ranges_that_it_promises() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {
        canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)
    }
    for requirement in map(Requirement, [*PROJECT["dependencies"], *EXTRAS]):
        if requirement.name != "synthaug":
            assert Version(pinned[canonicalize_name(requirement.name)]) in requirement.specifier, requirement


def test_conda_takes_its_packages_from_the_project() -> None:
    found = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, installed = found["dependencies"]
    assert (pip, installed) == ("pip", {"pip": ["."]})
    assert python.startswith(f"python{PROJECT['requires-python']},")


def test_the_image_holds_what_is_needed_to_build_it() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [
        line.split()[1:-1]
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY")
    ]
    for name in (each for line in copied for each in line):
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored, name
