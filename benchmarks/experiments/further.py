"""What do families gain in cells beyond the primary ones? As `gains`, on cells that take longer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cells import FURTHER
from experiments.gains import EXPERIMENT as GAINS, gain_table


def further(cells: list[dict[str, Any]]) -> str:
    """The same table, for the page of results."""
    lines = [
        "## Further cells",
        "",
        "As the table of gains on the [first page](../../README.md), beyond the primary cells; n counts replicates "
        "([results](further/gains)).",
    ]
    return "\n".join([*lines, "", *gain_table(cells)])


EXPERIMENT = replace(GAINS, cells=FURTHER, results="further/gains", table=further)
