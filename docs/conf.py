"""The site: the pages of this folder, an API reference made of docstrings, and a gallery that is run when it is built.

make docs
"""

from __future__ import annotations

import logging
import os
import re
from html import escape
from pathlib import Path
from typing import Any

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

import matplotlib
import torch

import synthaug
from synthaug.families import settings_of
from synthaug.recipes import shipped, text_of

matplotlib.use("agg")
torch.set_num_threads(
    1
)  # a second one makes these small trainings no faster, and waits where cores are taken
# A package of the theme asks for the log of everything when it is imported.
logging.getLogger("synthaug").setLevel(logging.WARNING)

project = "synthaug"
copyright = "the synthaug maintainers, Apache-2.0"
author = "The synthaug maintainers"
release = version = synthaug.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_built", "gallery/*"]
default_role = "py:obj"  # what docstrings have in single backticks
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the signatures of the source, and in words in the docstrings
napoleon_use_ivar = True

linkcheck_retries = 3
linkcheck_timeout = 30  # seconds

html_theme = "furo"
html_title = f"synthaug {release}"
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_search_scorer = str(Path(__file__).parent / "scorer.js")

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "gallery_built",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "download_all_examples": False,
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib",),
}

_RESULTS = Path(__file__).parent.parent / "benchmarks" / "results" / "README.md"


def _settings(family: str) -> str:
    """All settings of a family as a table."""
    rows = ["| setting | default | what it is for |", "|---|---|---|"]
    for name, of in settings_of(family).items():
        usual = [f"{value} of {kind}s" for kind, value in of["usual"].items()]
        default = ", ".join([str(of["default"]), *usual])
        rows.append(f"| `{name}` | {escape(default)} | {escape(of['about'])} |")
    return "\n".join(rows)


def _results(text: str) -> str:
    """The page of results, as it reads from here: pictures by their paths, files of results by their names alone."""
    pictured = re.sub(r"!\[([^\]]*)\]\(([^)]+)\)", r"![\1](../benchmarks/results/\2)", text)
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?!http)([^)]+)\)", r"\1 (`benchmarks/results/\2`)", pictured)


def _recipes() -> str:
    """The recipes that come with synthaug: what each says of itself, and its steps."""
    told = []
    for name, said in shipped().items():
        needs = [f"- `{key}`: {what}" for key, what in said.needs.items()]
        steps = re.search(r"^(?:data|out):.*", text_of(name), re.M | re.S)
        assert steps is not None, name
        told += [f"### {name}", said.about, "It needs", "\n".join(needs), f"It gives {said.gives}"]
        told += [f"```yaml\n{steps[0].rstrip()}\n```"]
    return "\n\n".join(told)


def _filled(app: Any, page: str, source: list[str]) -> None:
    """What a page takes from elsewhere, so that each fact has one owner."""
    text = source[0]
    if page == "results":
        text = _results(_RESULTS.read_text(encoding="utf-8"))
    text = re.sub(r"<!-- settings of (\w+) -->", lambda found: _settings(found[1]), text)
    text = text.replace("<!-- recipes -->", _recipes()) if page == "recipes" else text
    source[0] = re.sub(r"\]\((?:\.\./)+benchmarks/results/README\.md", "](/results.md", text)


def setup(app: Any) -> None:  # noqa: D103
    app.connect("source-read", _filled)
