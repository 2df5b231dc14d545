"""Writes the README's results and the page of results from the JSON files. Nothing in them is typed by hand.

python benchmarks/render.py
"""

from __future__ import annotations

import re
from pathlib import Path

from costs import estimates, expansion, minutes, overhead, peers, speed
from experiments import choices, choices_unlabelled, small_tables, unlabelled
from experiments.applied import worth
from record import RESULTS
from run import find

README = Path(__file__).parents[1] / "README.md"
ON_PAGE = (
    *("gains", "choices", "limits", "length", "further", "planting", "shares", "warp", "cas", "curation"),
    *(
        "colour",
        "ablations",
        "shared_draws",
        "unlabelled",
        "unlabelled_amounts",
        "choices_unlabelled",
        "applied",
        "tabular",
        "thresholds",
        "small_tables",
        "tables_unlabelled",
        "table_costs",
        "photographs",
    ),
)
PICTURES = {
    "gain-by-rows.svg": "Gain over rows a class, Fashion-MNIST",
    "gain-by-unlabelled.svg": "Gain over the number of rows without labels, Fashion-MNIST at 5 a class",
    "gain-by-share.svg": "Gain over the share of synthetic rows, Fashion-MNIST at 10 a class",
}


def first_page() -> str:
    """The part of the README between its marks."""
    applied, more, chosen = (find(name).found() for name in ("applied", "unlabelled", "choices"))
    told = worth(applied, unlabelled.judged_as_today(more), choices.judged_as_today(chosen))
    parts = [told, choices.followed(), choices_unlabelled.followed(), small_tables.followed()]
    return "\n\n".join(filter(None, parts))


def pictures() -> str:
    """The charts that there are, for the page of results."""
    drawn = [
        f"{about}:\n\n![{about}]({name})" for name, about in PICTURES.items() if (RESULTS / name).exists()
    ]
    return "## In pictures\n\n" + "\n\n".join(drawn) if drawn else ""


def page() -> str:
    """The page of results."""
    title = (
        "# Results\n\nRendered from the JSON files beside this page, which name command, commit and machine."
    )
    tables = [find(name).render() for name in ON_PAGE]
    costs = [overhead(), minutes(), estimates(), expansion(), speed(), peers()]
    return "\n\n".join(filter(None, [title, *tables, pictures(), find("generators").render(), *costs])) + "\n"


def main() -> None:
    """Writes both."""
    (RESULTS / "README.md").write_text(page())
    text = f"<!-- results -->\n{first_page()}\n<!-- end of results -->"
    pattern = r"<!-- results -->.*<!-- end of results -->"
    README.write_text(re.sub(pattern, lambda _: text, README.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
