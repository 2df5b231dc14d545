"""Tables and charts of what synthetic rows do to a classifier."""

from __future__ import annotations

import json
from math import log2
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from draws import BATCH
from planting import REPLICATES as PLANTINGS
from primary import JUDGED

from synthaug.metrics.statistics import (
    SIGN_FLIPS_FROM,
    Interval,
    holm,
    paired_interval,
    sign_flip_p,
    wilson_interval,
)
from synthaug.report.charts import Series, line_chart

RESULTS = Path(__file__).parent / "results"
# With fewer replicates an interval is longer than the chart.
_DRAWN_FROM = 4


def primary() -> str:
    cells = _primary()
    if not cells:
        return ""
    budget = cells[0]["budget"]
    fewest, most = (pick(len(c["replicates"]) for c in cells) for pick in (min, max))
    done = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    lines = [
        "What families gain over the best baseline, in points of balanced accuracy on test rows with the 95 % interval "
        f"over replicates ({done} of the {budget['replicates']} that are wanted; each draws rows, generator and "
        f"classifier anew). {budget['steps']} optimizer steps in every arm, {budget['generator_steps']} of each "
        "generator, about half a minute; samples stand on top of the policy, and baseline and arms are picked on "
        "validation rows from [all that was trained](benchmarks/results/primary/gains). ✱ marks what survives Holm's "
        "correction of the test of signs over all cells of a family. All replicates of a cell have the same test rows.",
    ]
    found = _gains_by_family(cells)
    lines += ["", *_gain_table(cells, found)]
    _draw_rows(found)
    lines += [text for text in ("", followed()) if followed()]
    pictures = [path for path in ("gain-by-rows.svg", "gain-by-share.svg") if (RESULTS / path).exists()]
    about = {
        "gain-by-rows.svg": "Gain over rows a class, Fashion-MNIST",
        "gain-by-share.svg": "Gain over the share of synthetic rows, Fashion-MNIST at 10 a class",
    }
    for path in pictures:
        lines += ["", f"{about[path]}:", "", f"![{about[path]}](benchmarks/results/{path})"]
    return "\n".join(lines)


def further() -> str:
    lines = [
        "## Further cells",
        "",
        "As the table of gains on the [first page](../../README.md), beyond the primary cells; n counts replicates "
        "([results](further/gains)).",
    ]
    cells = _cells("gains", "further")
    return "\n".join([*lines, "", *_gain_table(cells, _gains_by_family(cells))])


def _gains_by_family(cells: list[dict[str, Any]]) -> dict[tuple[str, str], list[float]]:
    return {
        (cell["cell"], family): _family_gain(cell, family)
        for cell in cells
        for family in ("cvae", "cgan", "warp")
    }


def _gain_table(cells: list[dict[str, Any]], found: dict[tuple[str, str], list[float]]) -> list[str]:
    lines = [
        "| data | rows a class | n | best baseline | cvae | cgan | warp |",
        "|---|---|---:|---|---:|---:|---:|",
    ]
    sure = {}
    for family in ("cvae", "cgan", "warp"):
        own = {key: gains for key, gains in found.items() if key[1] == family}
        p_values = [1.0 if len(gains) < SIGN_FLIPS_FROM else sign_flip_p(gains) for gains in own.values()]
        sure |= dict(zip(own, holm(p_values) < 0.05, strict=True))
    for cell in cells:
        name = cell["cell"]
        base = _best(cell, [arm for arm in cell["replicates"][0]["arms"] if "%" not in arm])
        score = fmean(r["arms"][base]["test"]["balanced_accuracy"] for r in cell["replicates"])
        gains = [
            _interval(found[name, family]) + ("✱" if sure[name, family] else "")
            for family in ("cvae", "cgan", "warp")
        ]
        row = [
            *_data_and_rows(cell),
            str(len(cell["replicates"])),
            f"{base} {100 * score:.1f} %",
            *gains,
        ]
        lines.append("| " + " | ".join(row) + " |")
    return lines


def _primary() -> list[dict[str, Any]]:
    return _cells("gains")


def _cells(what: str, kind: str = "primary") -> list[dict[str, Any]]:
    cells = [json.loads(path.read_text()) for path in (RESULTS / kind / what).glob("*.json")]
    return sorted(cells, key=lambda cell: _place(cell["cell"]))


def _place(name: str) -> tuple[int, int]:
    data, _, rows = name.partition("-")
    order = ("digits", "mnist", "fashion_mnist", "pneumonia", "clothing64", "cifar10", "omniglot")
    return order.index(data), int(rows) if rows.isdigit() else 1000


def _data_and_rows(cell: dict[str, Any]) -> list[str]:
    """A cell's data set and its rows a class, as tables show them."""
    data, _, rows = cell["cell"].partition("-")
    told = {"": "a quarter of all", "unequal": "150 and 5"}
    return [data.replace("_", "-"), told.get(rows, rows)]


def _best(cell: dict[str, Any], arms: list[str]) -> str:
    """The arm with the highest mean on validation rows, the first of equals."""

    def mean(arm: str) -> float:
        return fmean(r["arms"][arm]["validation"]["balanced_accuracy"] for r in cell["replicates"])

    return max(arms, key=mean)


def _family_gain(cell: dict[str, Any], family: str) -> list[float]:
    """Paired differences on test rows between the family's best arm and the best baseline."""
    arms = list(cell["replicates"][0]["arms"])
    base = _best(cell, [arm for arm in arms if "%" not in arm])
    own = _best(cell, [arm for arm in arms if f"% {family}" in arm])
    return [
        r["arms"][own]["test"]["balanced_accuracy"] - r["arms"][base]["test"]["balanced_accuracy"]
        for r in cell["replicates"]
    ]


def _draw_rows(found: dict[tuple[str, str], list[float]]) -> None:
    """Gain over rows a class on Fashion-MNIST, a line for each family."""
    sizes = (5, 10, 20)
    if any(len(found.get((f"fashion_mnist-{n}", "warp"), [])) < _DRAWN_FROM for n in sizes):
        return
    series = [
        Series(family, [(log2(n), _mean(found[f"fashion_mnist-{n}", family])) for n in sizes])
        for family in ("cvae", "cgan", "warp")
    ]
    ticks = [(log2(n), str(n)) for n in sizes]
    chart = line_chart(series, ticks, x_label="rows a class", y_label="points gained")
    (RESULTS / "gain-by-rows.svg").write_text(chart + "\n")


def followed() -> str:
    """One paragraph: what came of doing as `choose` says."""
    made = [of for cell in _choices() for of in cell["replicates"]]
    if len(made) < 2:
        return ""
    cost = median(of["plan"]["cost"] for of in made)
    asked, cells = len(_choices()), len(_primary())
    where = f"these {cells} cells" if asked == cells else f"{asked} of these {cells} cells"
    return (
        f"`choose` with its defaults was asked {len(made)} times in {where}. {_taken(made)} An answer costs as much as "
        f"{cost:.0f} trainings of one classifier ([cell by cell](benchmarks/results/README.md))."
    )


def _taken(made: list[dict[str, Any]]) -> str:
    """How many plans use synthetic rows, and what each of these gains."""
    gains = sorted(of["gain"] for of in made if of["plan"]["accepted"])
    if not gains:
        most = wilson_interval(0, len(made)).high
        return (
            f"No plan uses synthetic rows (of as many more, up to {most:.0%} might); each names the baseline itself, "
            "so that to follow it gains nothing and harms nothing."
        )
    listed = ", ".join(map(_signed, gains))
    return (
        f"{len(gains)} of the plans use synthetic rows; over the baseline that was chosen they gain {listed}. The "
        "others gain 0, as what they name is the baseline itself: in the mean of all "
        f"{_interval([of['gain'] for of in made])} points."
    )


def choices() -> str:
    if not _choices():
        return ""
    lines = [
        "## Following the choice",
        "",
        "`choose` with its defaults on the primary cells, and what its plan gained on test rows over the baseline that "
        "it chose, in points of balanced accuracy with the 95 % interval; a refusal gains 0, as the baseline is what "
        "is trained ([results](primary/choices)). The cost is in trainings of one classifier.",
        "",
        "| data | rows a class | choices | taken | gain of the plan | worst | cost |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for cell in _choices():
        made = cell["replicates"]
        gains = [of["gain"] for of in made]
        row = [
            *_data_and_rows(cell),
            str(len(made)),
            str(sum(of["plan"]["accepted"] for of in made)),
            _interval(gains),
            _signed(min(gains)),
            f"{median(of['plan']['cost'] for of in made):.0f}",
        ]
        lines.append("| " + " | ".join(row) + " |")
    every = [of["gain"] for cell in _choices() for of in cell["replicates"]]
    wanted = _choices()[0]["budget"]["replicates"]
    if any(every):
        lines += ["", f"Over all {len(every)}: {_interval(every)} points; {wanted} a cell are wanted."]
    else:
        lines += [
            "",
            f"Over all {len(every)}: none is taken, and so nothing gained or lost; {wanted} a cell are wanted.",
        ]
    return "\n".join(lines)


def _choices() -> list[dict[str, Any]]:
    """The cells whose choices were judged as they are today."""
    return [cell for cell in _cells("choices") if cell["budget"].get("judged") == JUDGED]


def limits() -> str:
    found = [json.loads(path.read_text()) for path in (RESULTS / "limits").glob("*.json")]
    found.sort(key=lambda cell: _place(cell["cell"]))
    budget, kinds = found[0]["budget"], [kind for kind in found[0]["replicates"][0] if kind != "none"]
    lines = [
        "## What limits the gain",
        "",
        "Balanced accuracy with the policy alone, and what is added to it, in points with the standard error over "
        f"replicates, where {budget['share']:.0%} of each batch is replaced: by unseen real rows, which is as much as "
        "any generator can hope for; by copies of training rows, which bring nothing new; by samples of each family, "
        f"and by such with parts of their change left out ([results](limits), {budget['replicates']} replicates "
        "wanted).".replace("%", " %"),
        "",
        "| in place of half | " + " | ".join(" ".join(_data_and_rows(cell)) for cell in found) + " |",
        "|---|" + "---:|" * len(found),
    ]

    def mean(recalls: dict[str, list[float]], kind: str) -> float:
        return 100 * fmean(recalls[kind])

    plain = [f"{fmean(mean(r, 'none') for r in cell['replicates']):.1f} %" for cell in found]
    lines += [
        "| replicates | " + " | ".join(str(len(cell["replicates"])) for cell in found) + " |",
        "| nothing (accuracy) | " + " | ".join(plain) + " |",
    ]
    for kind in kinds:
        gains = [points([mean(r, kind) - mean(r, "none") for r in cell["replicates"]]) for cell in found]
        lines.append(f"| {kind} | " + " | ".join(gains) + " |")
    lines += [
        "",
        "Which classes gain and lose most by it, in points of recall:",
        "",
        "| data | rows a class | in place of half | gain most | lose most |",
        "|---|---|---|---|---|",
    ]
    for cell in found:
        for kind in ("unseen real rows", "warp", "cvae, prior"):
            of_class = [
                (fmean(r[kind][k] - r["none"][k] for r in cell["replicates"]), name)
                for k, name in enumerate(cell["classes"])
            ]
            ranked = sorted(of_class, reverse=True)
            told = [
                ", ".join(f"{name} {_signed(gain)}" for gain, name in few)
                for few in (ranked[:2], ranked[:-3:-1])
            ]
            row = " | ".join([*_data_and_rows(cell), kind, *told])
            lines.append(f"| {row} |")
    return "\n".join(lines)


def length() -> str:
    found = [json.loads(path.read_text()) for path in (RESULTS / "length").glob("*.json")]
    found.sort(key=lambda cell: _place(cell["cell"]))
    budget = found[0]["budget"]
    lengths = [str(length) for length in budget["lengths"]]
    gains = [r for cell in _primary() for r in cell["replicates"]]
    of_warp = median(r["generator_seconds"]["warp"] / r["arms"]["policy"]["seconds"] for r in gains)
    worth = round(of_warp * _primary()[0]["budget"]["steps"], -2)
    lines = [
        "## Does the gain outlast longer training?",
        "",
        "Balanced accuracy with the policy alone, trained for so many steps, and what half of each batch as samples of "
        "warp adds to it at the same number, in points with the standard error over replicates ([results](length), "
        f"{budget['replicates']} wanted). The generator's {budget['generator_steps']} steps took as long as "
        f"about {worth:.0f} of the classifier in the [runs](primary/gains) whose time was taken, and would now take "
        "as long as more of them, as augmentation has become quicker.",
        "",
        "| data | rows a class | n | trained with | " + " | ".join(f"{n} steps" for n in lengths) + " |",
        "|---|---|---:|---|" + "---:|" * len(lengths),
    ]
    for cell in found:
        replicates = cell["replicates"]
        plain = [f"{100 * fmean(r['policy'][n] for r in replicates):.1f} %" for n in lengths]
        gains = [points([100 * (r["warp"][n] - r["policy"][n]) for r in replicates]) for n in lengths]
        about = [*_data_and_rows(cell), str(len(replicates))]
        lines.append("| " + " | ".join([*about, "policy", *plain]) + " |")
        lines.append("| " + " | ".join(["", "", "", "warp adds", *gains]) + " |")
    return "\n".join(lines)


def shares() -> str:
    cells = [json.loads(path.read_text()) for path in sorted((RESULTS / "shares").glob("*.json"))]
    equal, unequal = ([c for c in cells if c["cell"].endswith("unequal") is kind] for kind in (False, True))
    lines = [
        "## How much",
        "",
        "Balanced accuracy without synthetic rows, and what each share of them in a batch adds in points, with the "
        "standard error over replicates; the policy is the augmentation ([results](shares)).",
    ]
    if equal:
        lines += ["", *_share_table(equal)]
        _draw_shares(next(c for c in equal if c["cell"].startswith("fashion_mnist")))
    if unequal:
        lines += [
            "",
            "With five classes at 150 rows and five at 5, drawn equally often: a quarter of every class synthetic; a "
            "tenth of frequent classes and half of rare ones; half of rare classes only; half of frequent ones only.",
            "",
            *_share_table(unequal),
        ]
    return "\n".join(lines)


def _share_table(cells: list[dict[str, Any]]) -> list[str]:
    wanted = cells[0]["budget"]["shares"]
    titles = [f"{float(s):.0%}".replace("%", " %") if s[0].isdigit() else s for s in wanted]
    lines = ["| data | n | family | none | " + " | ".join(titles) + " |"]
    lines += ["|---|---:|---|---:|" + "---:|" * len(wanted)]
    for cell in cells:
        for family in ("warp", "cvae"):
            found = cell["replicates"]
            gains = [points([100 * (r[family][s] - r["none"]) for r in found]) for s in wanted]
            plain = f"{100 * fmean(r['none'] for r in found):.1f} %"
            row = [cell["cell"].replace("_", "-"), str(len(found)), family, plain, *gains]
            lines.append("| " + " | ".join(row) + " |")
    return lines


def _draw_shares(cell: dict[str, Any]) -> None:
    found, wanted = cell["replicates"], cell["budget"]["shares"]
    if len(found) < _DRAWN_FROM:
        return
    series = []
    for family in ("warp", "cvae"):
        gains = [(float(s), _mean([r[family][s] - r["none"] for r in found])) for s in wanted]
        series.append(Series(family, [(0.0, Interval(0.0, 0.0, 0.0, 0)), *gains]))
    ticks = [(float(s), f"{float(s):.0%}".replace("%", " %")) for s in ("0", *wanted)]
    chart = line_chart(series, ticks, x_label="share of synthetic rows in a batch", y_label="points gained")
    (RESULTS / "gain-by-share.svg").write_text(chart + "\n")


def planting() -> str:
    found = json.loads((RESULTS / "planting.json").read_text())
    cells, budget = found["cells"], found["budget"]
    if budget.get("judged") != JUDGED:
        return ""
    lines = [
        "## The choice, offered generators of known worth",
        "",
        "How often `choose` took what it was offered, with Wilson's 95 % interval, and what that was worth on test "
        f"rows in points; clothes of {budget['side']}x{budget['side']}, {budget['steps']} steps, {budget['folds']} "
        f"folds; {PLANTINGS} choices of each are wanted. “Found” is the mean gain of the best it found, taken or not; "
        "“kept” what is left of that where only what it took counts ([`planting.json`](planting.json), "
        "[how](../planting.py)):",
        "",
        "| generator | rows a class | choices | taken | found | kept |",
        "|---|---:|---:|---|---:|---:|",
    ]
    kinds = list(dict.fromkeys(c["kind"] for c in cells))
    groups = [
        (kind, n, [c for c in cells if (c["kind"], c["per_class"]) == (kind, n)])
        for kind in kinds
        for n in sorted({c["per_class"] for c in cells})
    ]
    broken = [c for c in cells if c["kind"] not in ("good", "weak")]
    for kind, n, own in [*groups, ("all broken", "", broken)]:
        if not own:
            continue
        taken = sum(c["accepted"] for c in own)
        rate = wilson_interval(taken / len(own), len(own))
        best = [c["test_gain"] or 0.0 for c in own]
        kept = [gain if c["accepted"] else 0.0 for gain, c in zip(best, own, strict=True)]
        row = [
            kind,
            str(n),
            str(len(own)),
            f"{taken} ({rate.low * 100:.0f} to {rate.high * 100:.0f} %)",
            _signed(fmean(best)),
            _signed(fmean(kept)),
        ]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def warp() -> str:
    found = [json.loads(path.read_text()) for path in sorted((RESULTS / "warp").glob("*.json"))]
    found.sort(key=lambda c: (c["cell"]["per_class"], c["cell"]["data"]))
    budget = found[0]["budget"]
    controls = ("longer", "mixup", "policy")
    lines = [
        "## Learned against hand-made variation",
        "",
        "Accuracy of the built-in classifier with affine augmentation, and what "
        "each of these adds to it in points, with the standard error over replicates (own draw of rows, generator and "
        f"classifier seed, paired; {budget['steps']} steps, half of each batch warped; strengths of elastic and warp "
        f"chosen on validation rows; [results](warp), {budget['seeds']} replicates wanted). The policy stands in place "
        "of affine augmentation, the others on top of it.",
        "",
        "| data | rows a class | n | affine | 1.5x longer | mixup | policy | elastic | warp | strength of warp |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for result in found:
        replicates, chosen = result["replicates"], result["chosen"]
        base = [r["real + classical"]["test"] for r in replicates]
        gains = [
            [100 * (r[arm]["test"] - b) for r, b in zip(replicates, base, strict=True) if arm in r]
            for arm in (*controls, chosen["elastic"], chosen["warp"])
        ]
        row = [
            result["cell"]["data"].removeprefix("bundled:").replace("_", "-"),
            str(result["cell"]["per_class"]),
            str(len(replicates)),
            f"{100 * fmean(base):.1f} %",
            *map(points, gains),
            chosen["warp"].removeprefix("warp, "),
        ]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def draws() -> str:
    found = [json.loads(path.read_text()) for path in sorted((RESULTS / "draws").glob("*.json"))]
    first, last = (str(n) for n in found[0]["budget"]["together"])
    lines = [
        "## One draw for several images",
        "",
        f"What augmentation takes of a step on one thread, in ms for a batch of {BATCH}, and the "
        f"accuracy that it gives, where each image of a batch has a draw of its own and where up to {last} share one, "
        f"with the standard error over replicates, of which {found[0]['budget']['replicates']} are wanted "
        "([results](draws)). Gains, limits, shares, learned against hand-made variation, and part of the choices and "
        "of the lengths were made with own draws:",
        "",
        f"| data | rows a class | n | arm | ms, own draws | ms, {last} share | own draws | {last} share, in points |",
        "|---|---|---:|---|---:|---:|---:|---:|",
    ]
    for cell in found:
        replicates = cell["replicates"]
        for arm in replicates[0]:
            of = [(r[arm][first], r[arm][last]) for r in replicates]
            spent = [f"{median(pair[i]['batch_ms'] for pair in of):.1f}" for i in (0, 1)]
            own = f"{100 * fmean(a['balanced_accuracy'] for a, _ in of):.1f} %"
            change = points([100 * (b["balanced_accuracy"] - a["balanced_accuracy"]) for a, b in of])
            about = [*_data_and_rows(cell), str(len(replicates)), arm]
            lines.append("| " + " | ".join([*about, *spent, own, change]) + " |")
    return "\n".join(lines)


def _interval(gains: list[float]) -> str:
    if len(gains) < 2:
        return _signed(gains[0])
    of = _mean(gains)
    return f"{_signed(of.mean)} ({_signed(of.low)} to {_signed(of.high)})"


def _mean(gains: list[float]) -> Interval:
    return paired_interval(gains, [0.0] * len(gains))


def _signed(share: float) -> str:
    """Points with a sign."""
    return f"{100 * share:+.1f}".replace("-", "−")


def points(points: list[float]) -> str:
    error = f" ± {stdev(points) / len(points) ** 0.5:.1f}" if len(points) > 1 else ""
    return f"{fmean(points):+.1f}{error}".replace("-", "−")
