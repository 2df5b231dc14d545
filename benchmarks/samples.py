"""Tables of what samples are like, and of what making and mixing them costs."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

from worth import points

RESULTS = Path(__file__).parent / "results"


def generators() -> str:
    found = json.loads((RESULTS / "generators.json").read_text())
    lines = [
        f"Samples after about {found['minutes']:g} minutes on {found['threads']} CPU threads, 200 training rows a "
        "class of the bundled Fashion-MNIST (seconds are those of a shared machine). 1.00 is what real rows have; "
        "copies would have a distance near 0 ([`generators.json`](benchmarks/results/generators.json)):",
        "",
        "| family | steps | seconds | label agreement | diversity | distance to nearest training row |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for cell in found["cells"]:
        figures = " | ".join(f"{cell[name]:.2f}" for name in ("agreement", "diversity", "novelty"))
        lines.append(f"| {cell['family']} | {cell['steps']} | {cell['seconds']:.0f} | {figures} |")
    return "\n".join(lines)


def curation() -> str:
    found = json.loads((RESULTS / "curation.json").read_text())
    cells = found["cells"]
    lines = [
        "## What judges leave out",
        "",
        f"Judges fitted on {found['per_class']} real rows a class, means over seeds: the share of rows that pass all "
        "filters, the share that each filter drops by itself, diversity before and after, and how often the judges' "
        "mean has the label on top before and after ([`curation.json`](curation.json)):",
        "",
        "| data | rows | pass | agreement | outliers | copies | diversity | label on top |",
        "|---|---|---:|---:|---:|---:|---|---|",
    ]

    def change(own: list[dict[str, Any]], name: str) -> str:
        pairs = [c[name] for c in own if None not in c[name]]
        return " → ".join(f"{fmean(pair[i] for pair in pairs):.2f}" for i in (0, 1)) if pairs else ""

    keys = list(dict.fromkeys((c["data"], c["kind"]) for c in cells))
    for data, kind in keys:
        own = [c for c in cells if (c["data"], c["kind"]) == (data, kind)]
        alone = [
            f"{fmean(c['dropped_alone'][name] for c in own):.2f}"
            for name in ("agreement", "outliers", "copies")
        ]
        row = [data.replace("_", "-"), kind, f"{fmean(c['kept'] for c in own):.2f}", *alone]
        lines.append("| " + " | ".join([*row, change(own, "diversity"), change(own, "recognised")]) + " |")
    trained = [key for key in keys if any("accuracy" in c for c in cells if (c["data"], c["kind"]) == key)]
    if trained:
        scores = [c["accuracy"] for c in cells if "accuracy" in c]
        names = [n for n in ("agreement", "outliers", "copies", "all", "soft labels") if n in scores[0]]
        lines += [
            "",
            "What each filter does to a classifier: accuracy with a quarter of each batch as it comes, and points that "
            "are added by the first samples which a filter, or all of them, let pass"
            + (", or by labels that judges give in shares" if "soft labels" in names else "")
            + ", with the standard error over seeds:",
            "",
            f"| data | family | seeds | no filter | {' | '.join(names)} |",
            "|---|---|---:|---:|" + "---:|" * len(names),
        ]
        for data, kind in trained:
            own = [c["accuracy"] for c in cells if (c["data"], c["kind"]) == (data, kind)]
            gains = [points([100 * (c[name] - c["none"]) for c in own]) for name in names]
            plain = f"{100 * fmean(c['none'] for c in own):.1f} %"
            lines.append(
                "| " + " | ".join([data.replace("_", "-"), kind, str(len(own)), plain, *gains]) + " |"
            )
    return "\n".join(lines)


def colour() -> str:
    lines = [
        "## Colour",
        "",
        "After a few minutes on one thread, one seed: label agreement and diversity relative to real rows, the "
        "diversity of the class that varies least, and the distance to the nearest training row ([CIFAR-10, 500 rows a "
        "class](cifar10.json), [clothing at 64x64](clothing64.json); pictures: [CIFAR-10 cvae](cifar10-cvae.png), "
        "[cgan](cifar10-cgan.png), [clothing cvae](clothing64-cvae.png), [cgan](clothing64-cgan.png)):",
        "",
        "| data | family | minutes | label agreement | real accuracy | diversity | lowest class | distance |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in ("cifar10", "clothing64"):
        for cell in json.loads((RESULTS / f"{name}.json").read_text())["cells"]:
            figures = [
                f"{cell[k]:.2f}"
                for k in (
                    "agreement",
                    "classifier_accuracy",
                    "diversity",
                    "lowest_class_diversity",
                    "novelty",
                )
            ]
            lines.append(
                f"| {name} | {cell['family']} | {cell['seconds'] / 60:.0f} | " + " | ".join(figures) + " |"
            )
    return "\n".join(lines)


def cas() -> str:
    cells = json.loads((RESULTS / "cas.json").read_text())["cells"]
    lines = [
        "## Training on samples only",
        "",
        "Classification accuracy score: balanced accuracy on test rows of a classifier trained on samples only, over "
        "that of one trained on real rows, mean over generator seeds. Copies score 1 by this measure, so the distance "
        "to the nearest training row, over that of test rows, stands beside it ([`cas.json`](cas.json)):",
        "",
        "| data | rows a class | family | seeds | CAS ratio | range | label agreement | diversity | distance |",
        "|---|---:|---|---:|---:|---|---:|---:|---:|",
    ]
    for data, family in dict.fromkeys((c["data"], c["family"]) for c in cells):
        own = [c for c in cells if (c["data"], c["family"]) == (data, family)]
        arms = [
            "samples",
            *(("elastic, weak", "elastic, medium", "elastic, strong") if family == "copies" else ()),
        ]
        bent = max(arms[1:], key=lambda arm: fmean(c[arm]["validation"] for c in own), default=None)
        for arm in ["samples", *([bent] if bent else [])]:
            ratios = [c[arm]["test"] / c["real"]["test"] for c in own]
            plain = [f"{fmean(c[k] for c in own):.2f}" for k in ("agreement", "diversity", "novelty")]
            row = [
                data.replace("_", "-"),
                str(own[0]["per_class"] or "all"),
                family if arm == "samples" else f"{family}, {arm}",
                str(len(own)),
                f"{fmean(ratios):.3f}",
                f"{min(ratios):.3f} to {max(ratios):.3f}",
                *(plain if arm == "samples" else ["", "", ""]),
            ]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def ablations() -> str:
    cells = json.loads((RESULTS / "ablations.json").read_text())["cells"]
    lines = [
        "## Options of the families",
        "",
        "At equal steps, bundled Fashion-MNIST, 200 rows a class ([`ablations.json`](ablations.json)):",
        "",
        "| family | steps | trained with | sampled with | seeds | label agreement | diversity | distance | CAS ratio |",
        "|---|---:|---|---|---:|---:|---:|---:|---:|",
    ]

    def kind(cell: dict[str, Any]) -> tuple[str, int, str, str]:
        return cell["family"], cell["steps"], _options(cell["trained_with"]), _options(cell["sampled_with"])

    for key in sorted({kind(c) for c in cells}):
        own = [c for c in cells if kind(c) == key]
        names = ("agreement", "diversity", "novelty", "cas_ratio")
        figures = [f"{fmean(c[name] for c in own):.2f}" for name in names]
        lines.append("| " + " | ".join([key[0], str(key[1]), *key[2:], str(len(own)), *figures]) + " |")
    return "\n".join(lines)


def _options(options: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in options.items()) or "defaults"


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


def speed() -> str:
    cells = [json.loads(path.read_text()) for path in sorted((RESULTS / "speed").glob("*.json"))]
    found = cells[0]
    lines = [
        "## Training and sampling beside a bare loop",
        "",
        f"Bundled Fashion-MNIST, batches of {found['batch_size']}, threads: {found['threads']}. Our time over that of "
        "a bare loop (for samples: of the forward pass), median of interleaved rounds with quartiles; the aim is 1.10. "
        f"A round of training is {found['steps_per_round']} steps and holds a checkpoint, which a real run writes more "
        "rarely. Shares are of torch's matrix-multiply rate and of the rate of a large 3x3 convolution, which can be "
        "the higher. [Figures](speed).",
        "",
        "| family | a step | ours / bare | share of matrix rate | of convolution rate | rows a second | ours / bare |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for cell, samples in ((each["training"], each["sampling"]) for each in cells):
        figures = [
            f"{cell['ours_ms_per_step']['median']:.0f} ms",
            _quartiles(cell["ours_over_bare"]),
            f"{cell['share_of_matrix_rate']['median']:.2f}",
            f"{cell['share_of_convolution_rate']['median']:.2f}",
            f"{samples['ours_rows_per_second']['median']:.0f}",
            _quartiles(samples["ours_over_bare"]),
        ]
        lines.append(f"| {cell['family']} | " + " | ".join(figures) + " |")
    for cell in (each["training"] for each in cells):
        if "compiled" in cell:
            about = cell["compiled"]
            lines += [
                "",
                f"`torch.compile` on the networks of {cell['family']}: {about['seconds_to_compile']:.0f} s to compile, "
                f"then {about['bare_over_compiled']['median']:.2f} times the speed of the bare loop without it.",
            ]
    return "\n".join(lines)


def peers() -> str:
    found = json.loads((RESULTS / "peers.json").read_text())
    lines = [
        "## Beside Pythae's trainer",
        "",
        f"Bundled Fashion-MNIST, {found['rows']} rows, the same networks, batch size and learning rate, one thread, "
        f"{found['turns']} interleaved turns, processor time. The aim is the error on test rows that Pythae "
        f"{found['pythae']} reached at the end. [Figures](peers.json).",
        "",
        "| in our loop | images a second, ours | Pythae | ours / Pythae | seconds to the aim, ours | Pythae |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for cell in found["comparisons"]:
        rates, to = cell["images_per_second"], cell["seconds_to_the_aim"]
        figures = [
            *(f"{rates[side]['median']:.0f}" for side in ("ours", "pythae")),
            _quartiles(cell["ours_over_pythae"]),
            *("not reached" if to[side] is None else f"{to[side]:.1f}" for side in ("ours", "pythae")),
        ]
        lines.append(f"| {cell['in_our_loop']} | " + " | ".join(figures) + " |")
    spent = found["comparisons"][-1]["where_pythae_spends"]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in spent.items())
    return "\n".join([*lines, "", f"Where Pythae's time goes: {shares}."])


def _quartiles(of: dict[str, float]) -> str:
    return f"{of['median']:.2f} ({of['lower_quartile']:.2f} to {of['upper_quartile']:.2f})"
