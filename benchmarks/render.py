"""Writes the README's results and the page of results from the JSON files. Nothing in them is typed by hand.

python benchmarks/render.py
"""

from __future__ import annotations

import re
from pathlib import Path

from samples import RESULTS, ablations, cas, colour, curation, generators, overhead, peers, speed
from worth import choices, draws, further, length, limits, planting, primary, shares, warp

README = Path(__file__).parents[1] / "README.md"
PAGE = {
    choices: "primary/choices",
    limits: "limits",
    length: "length",
    further: "further/gains",
    planting: "planting.json",
    shares: "shares",
    warp: "warp",
    cas: "cas.json",
    curation: "curation.json",
    colour: "cifar10.json",
    ablations: "ablations.json",
    draws: "draws",
    speed: "speed",
    peers: "peers.json",
}


def main() -> None:
    title = (
        "# Results\n\nRendered from the JSON files beside this page, which name command, commit and machine."
    )
    tables = [table() for table, file in PAGE.items() if (RESULTS / file).exists()]
    (RESULTS / "README.md").write_text("\n\n".join([title, *filter(None, tables)]) + "\n")
    parts = "\n\n".join(filter(None, (primary(), generators(), overhead())))
    text = f"<!-- results -->\n{parts}\n<!-- end of results -->"
    pattern = r"<!-- results -->.*<!-- end of results -->"
    README.write_text(re.sub(pattern, lambda _: text, README.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
