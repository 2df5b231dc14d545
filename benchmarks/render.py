"""Writes the README's tables from the results, between its markers. Nothing in them is typed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


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
        'cells: a single "helps" is a hint. Measured before cgan and warp took their present defaults, and before '
        "elastic deformation and longer training joined the baselines.",
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
            *map(_gain, gains),
            chosen["warp"].removeprefix("warp, "),
        ]
        lines.append("| " + " | ".join(row) + " |")
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


def _gain(points: list[float]) -> str:
    error = f" ± {stdev(points) / len(points) ** 0.5:.1f}" if len(points) > 1 else ""
    return f"{fmean(points):+.1f}{error}".replace("-", "−")


def _mean(arm: dict[str, Any], metric: str) -> float:
    return 100 * sum(score[metric] for score in arm["test"]) / len(arm["test"])


def _points(of: dict[str, float]) -> str:
    return f"{100 * of['mean']:+.1f} ({100 * of['low']:+.1f} to {100 * of['high']:+.1f})".replace("-", "−")


def main() -> None:
    readme = ROOT / "README.md"
    text = f"<!-- results -->\n{generators()}\n\n{downstream()}\n\n{overhead()}\n<!-- end of results -->"
    pattern = r"<!-- results -->.*<!-- end of results -->"
    readme.write_text(re.sub(pattern, lambda _: text, readme.read_text(), flags=re.S))
    title = (
        "# Results\n\nRendered from the JSON files beside this page, which name command, commit and machine."
    )
    tables = [table() for table, file in FURTHER.items() if (RESULTS / file).exists()]
    (RESULTS / "README.md").write_text("\n\n".join([title, *tables]) + "\n")


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


FURTHER = {
    speed: "speed",
    peers: "peers.json",
    warp: "warp",
    cas: "cas.json",
    ablations: "ablations.json",
}


if __name__ == "__main__":
    main()
