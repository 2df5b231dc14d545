"""How much is right? The share of synthetic rows in a batch against what it gains, all else equal.

The policy is the augmentation, and the share 0 the baseline. Where half of the classes are rare, classes are drawn
equally often, and rare ones have more synthetic rows, or alone have them, than others, or as many.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

from cells import STEPS, Run, primary
from experiment import Experiment
from record import RESULTS
from tables import DRAWN_FROM, mean_gain, percent, points, table

from synthaug.judging import sources_of, with_synthetic
from synthaug.metrics import Interval
from synthaug.report import Series, line_chart

SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
# Of frequent classes and of rare ones.
CLASS_SHARES = {
    "same": (0.25, 0.25),
    "rare more": (0.1, 0.5),
    "rare only": (0.0, 0.5),
    "frequent only": (0.5, 0.0),
}
FAMILIES = ("warp", "cvae")


def replicate(run: Run) -> dict[str, Any]:
    """Accuracy on test rows without synthetic rows, and at every share of each family."""
    shares: dict[str, Any] = {str(share): share for share in SHARES}
    if run.cell.unequal:  # every other class is rare
        classes = range(len(run.train.classes))
        shares = {name: {k: of[k % 2] for k in classes} for name, of in CLASS_SHARES.items()}
    found: dict[str, Any] = {"none": run.score(run.policy)["test"].balanced_accuracy}
    for family in FAMILIES:
        maker = run.fit(family).adjusted(sources_of([family])[0].settings)
        pool, arm = run.pool(maker, max(SHARES)), with_synthetic(run.policy, "mixed", "")
        scores = {name: run.score(arm, pool, share)["test"] for name, share in shares.items()}
        found[family] = {name: got.balanced_accuracy for name, got in scores.items()}
    return found


def shares(cells: list[dict[str, Any]]) -> str:
    """A table for equal and one for unequal classes, and a chart."""
    equal, unequal = ([c for c in cells if c["cell"].endswith("unequal") is kind] for kind in (False, True))
    lines = [
        "## How much",
        "",
        "Balanced accuracy without synthetic rows, and what each share of them in a batch adds in points, with the "
        "standard error over replicates; the policy is the augmentation ([results](shares)).",
    ]
    if equal:
        lines += ["", *_share_table(equal, list(map(str, SHARES)))]
        _draw_shares(next(c for c in equal if c["cell"].startswith("fashion_mnist")))
    if unequal:
        lines += [
            "",
            "With five classes at 150 rows and five at 5, drawn equally often: a quarter of every class synthetic; a "
            "tenth of frequent classes and half of rare ones; half of rare classes only; half of frequent ones only.",
            "",
            *_share_table(unequal, list(CLASS_SHARES)),
        ]
    return "\n".join(lines)


def _share_table(cells: list[dict[str, Any]], wanted: list[str]) -> list[str]:
    titles = [f"{float(s):.0%}".replace("%", " %") if s[0].isdigit() else s for s in wanted]
    rows = []
    for cell in cells:
        for family in FAMILIES:
            found = cell["replicates"]
            gains = [points([100 * (r[family][s] - r["none"]) for r in found]) for s in wanted]
            plain = percent(fmean(r["none"] for r in found))
            rows.append([cell["cell"].replace("_", "-"), str(len(found)), family, plain, *gains])
    return table(["data", "n", "family", "none", *titles], rows, left=(0, 2))


def _draw_shares(cell: dict[str, Any]) -> None:
    found = cell["replicates"]
    if len(found) < DRAWN_FROM:
        return
    series = []
    for family in FAMILIES:
        gains = [(share, mean_gain([r[family][str(share)] - r["none"] for r in found])) for share in SHARES]
        series.append(Series(family, [(0.0, Interval(0.0, 0.0, 0.0, 0)), *gains]))
    ticks = [(share, f"{share:.0%}".replace("%", " %")) for share in (0.0, *SHARES)]
    chart = line_chart(series, ticks, x_label="share of synthetic rows in a batch", y_label="points gained")
    (RESULTS / "gain-by-share.svg").write_text(chart + "\n")


EXPERIMENT = Experiment(
    cells=primary("fashion_mnist-10", "fashion_mnist-unequal", "mnist-10", "mnist-unequal"),
    replicate=replicate,
    budget={"steps": STEPS, "shares": list(map(str, SHARES)), "class_shares": list(CLASS_SHARES)},
    replicates=5,
    results="shares",
    brief=str,
    table=shares,
)
