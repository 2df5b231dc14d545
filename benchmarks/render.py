"""Writes the README's tables from the results, between its markers. Nothing in them is typed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def generators() -> str:
    found = json.loads((RESULTS / "generators.json").read_text())
    lines = [
        f"Samples after {found['minutes']:g} minutes on {found['threads']} CPU threads, 200 training rows a class of "
        "the bundled Fashion-MNIST. 1.00 is what real rows have; copies would have a distance near 0 "
        "([`generators.json`](benchmarks/results/generators.json)):",
        "",
        "| family | steps | label agreement | diversity | distance to nearest training row |",
        "|---|---:|---:|---:|---:|",
    ]
    for cell in found["cells"]:
        figures = " | ".join(f"{cell[name]:.2f}" for name in ("agreement", "diversity", "novelty"))
        lines.append(f"| {cell['family']} | {cell['steps']} | {figures} |")
    return "\n".join(lines)


def downstream() -> str:
    cells = [json.loads(path.read_text()) for path in sorted((RESULTS / "downstream").glob("*.json"))]
    cells.sort(key=lambda c: (c["cell"]["data"], c["cell"]["per_class"], c["cell"]["family"]), reverse=False)
    budget = cells[0]["budget"]
    lines = [
        f"What a quarter of synthetic rows does to the built-in classifier: accuracy on test rows, and the difference "
        f"in points to the arm without synthetic rows that was best on validation rows, with its 95 % interval over "
        f"{budget['seeds']} classifier seeds (one generator of about a "
        f"minute each, so generator variance is left out; {budget['classifier_steps']} steps in every arm; "
        "[results](benchmarks/results/downstream)). One draw of rows a cell, and no correction for the number of "
        'cells: a single "helps" is a hint.',
        "",
        "| data | rows a class | family | best without | real + synthetic | both | verdict |",
        "|---|---:|---|---|---|---|---|",
    ]
    for cell in cells:
        evaluation, about = cell["evaluation"], cell["cell"]
        arms = {arm["name"]: arm for arm in evaluation["arms"]}
        differences = {c["arm"]: c["difference"] for c in evaluation["comparisons"]}
        base = evaluation["baseline"]
        row = [
            about["data"].removeprefix("bundled:"),
            str(about["per_class"]),
            about["family"],
            f"{base} {_mean(arms[base], evaluation['metric']):.1f} %",
            *(_points(differences[name]) for name in ("real + synthetic", "both")),
            evaluation["verdict"],
        ]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def overhead() -> str:
    found = json.loads((RESULTS / "overhead.json").read_text())
    lines = [
        "What mixing costs: time of an epoch over that of the plain loader, no training step, medians of interleaved "
        "runs ([`overhead.json`](benchmarks/results/overhead.json)). In-memory tensors are the worst case: an item "
        "there costs a few microseconds, so planning and building one shows.",
        "",
        "| data | workers | mixed / plain | mixed by hand / plain | mixed / mixed by hand |",
        "|---|---:|---:|---:|---:|",
    ]
    for cell in found["cells"]:
        ratios = cell["epoch_time"]
        figures = (f"{ratios[name]['median']:.2f}" for name in ("mixed", "by hand", "mixed / by hand"))
        lines.append(f"| {cell['data']} | {cell['workers']} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def _mean(arm: dict[str, Any], metric: str) -> float:
    return 100 * sum(score[metric] for score in arm["test"]) / len(arm["test"])


def _points(of: dict[str, float]) -> str:
    return f"{100 * of['mean']:+.1f} ({100 * of['low']:+.1f} to {100 * of['high']:+.1f})".replace("-", "−")


def main() -> None:
    readme = ROOT / "README.md"
    text = f"<!-- results -->\n{generators()}\n\n{downstream()}\n\n{overhead()}\n<!-- end of results -->"
    pattern = r"<!-- results -->.*<!-- end of results -->"
    readme.write_text(re.sub(pattern, lambda _: text, readme.read_text(), flags=re.S))


if __name__ == "__main__":
    main()
