"""Pages made of templates: each is one text that needs nothing beside it, and escapes whatever names hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from synthaug.wording import one_line, printable

_FITS = 20  # letters, in a column on a phone


def rendered(template: str, **values: Any) -> str:
    """A page as one text.

    Args:
        template: the name of a file beside this one.
        values: what it shows; one that is missing is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,  # class names are anybody's
        finalize=lambda value: printable(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["joints"] = _joints
    return _with_whole_percents(environment.get_template(template).render(values))


def _joints(name: str) -> list[tuple[str, bool]]:
    """The parts of a class name, between which a line may end, and whether each fits into any line as a whole."""
    return [(part, len(part) <= _FITS) for part in re.split(r"(?<=[\s_/.,:;])", one_line(name)) if part]


def _with_whole_percents(page: str) -> str:
    """The page with no line that ends between a number and its percent sign, but in what is to be pasted."""
    parts = re.split("(<pre>.*?</pre>)", page, flags=re.S)
    return "".join(
        part if part.startswith("<pre>") else re.sub(r"(?<=\d) %", "\u00a0%", part) for part in parts
    )
