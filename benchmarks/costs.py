"""Tables of what making and mixing samples costs: what overhead.py, speed.py and peers.py measured."""

from __future__ import annotations

import json
from statistics import median
from typing import Any

from record import RESULTS
from tables import table


def overhead() -> str:
    """What mixing costs an epoch."""
    rows = []
    for cell in _read("overhead.json")["cells"]:
        ratios = cell["epoch_time"]
        told = [f"{ratios[name]['median']:.2f}" for name in ("mixed", "by hand", "mixed / by hand")]
        rows.append([cell["data"], str(cell["workers"]), *told])
    titles = ["data", "workers", "mixed / plain", "mixed by hand / plain", "mixed / mixed by hand"]
    return "\n".join(
        [
            "## What mixing costs",
            "",
            "Time of an epoch over that of the plain loader, no training step, medians of "
            "interleaved runs ([`overhead.json`](overhead.json)). In-memory tensors are the worst "
            "case: an item there costs a few microseconds, so planning and building one shows.",
            "",
            *table(titles, rows),
        ]
    )


def minutes() -> str:
    """How far minutes are a promise."""
    if not (RESULTS / "minutes.json").exists():
        return ""
    rows = [
        [
            cell["family"],
            f"{cell['asked']:g}",
            str(cell["loops"]),
            f"{cell['took'] / cell['asked']:.2f}",
            str(cell["steps"]),
        ]
        for cell in _read("minutes.json")["cells"]
    ]
    titles = ["family", "minutes asked", "busy loops", "taken / asked", "steps"]
    return "\n".join(
        [
            "## Minutes",
            "",
            "All that a call of `fit` takes over the minutes that were asked for, one thread, with none, one or two "
            "busy loops beside that begin and end at random ([`minutes.json`](minutes.json), [how](../minutes.py)):",
            "",
            *table(titles, rows),
        ]
    )


def estimates() -> str:
    """How right the time is that is said before a training."""
    if not (RESULTS / "estimates.json").exists():
        return ""
    rows = [
        [
            cell["rows"],
            cell["family"],
            str(cell["steps"]),
            f"{cell['said']:.1f}",
            f"{cell['took']:.1f}",
            f"{cell['took'] / cell['said']:.2f}",
            f"{cell['took'] * cell['share_when_taken'] / (cell['said'] * cell['share_when_said']):.2f}",
        ]
        for cell in _read("estimates.json")["cells"]
    ]
    titles = [
        *("rows", "family", "steps", "seconds said", "seconds taken"),
        *("taken / said", "the same in processor time"),
    ]
    return "\n".join(
        [
            "## Time said beforehand",
            "",
            "What is said of a training before it begins, by a few warm steps of its own batches, and all that the "
            "call of `fit` then takes, one thread ([`estimates.json`](estimates.json), [how](../estimates.py)). Where "
            "others use the machine, more at one time than at another, processor time leaves them out.",
            "",
            *table(titles, rows),
        ]
    )


def expansion() -> str:
    """What expanding on disk takes, and that it survives being killed."""
    if not (RESULTS / "expansion.json").exists():
        return ""
    rows = []
    for cell in _read("expansion.json")["cells"]:
        made, one = cell["made"], cell["one"]
        times = [
            (more["processor"] - few["processor"]) / (made["more"] - made["few"]) / alone
            for few, alone, more in zip(one["few"], one["alone"], one["more"], strict=True)
        ]
        clock = {size: median(run["seconds"] for run in runs) for size, runs in cell["two"].items()}
        few, many = (median(run["megabytes"] for run in cell["two"][size]) for size in ("few", "many"))
        rows.append(
            [
                cell["rows"],
                cell["format"],
                f"{cell['total']:,}",
                f"{1 / median(one['alone']):,.0f}",
                f"{median(times):.2f} ({min(times):.2f} to {max(times):.2f})",
                f"{(made['many'] - made['few']) / (clock['many'] - clock['few']):,.0f}",
                f"{few:,.0f}",
                f"{many:,.0f} ({many / few - 1:+.0%})",
            ]
        )
    titles = [
        *("rows", "format", "rows of the larger", "rows a second alone", "time of a row, to that alone"),
        *("rows a second, two processes", "MB, few rows", "MB, many"),
    ]
    return "\n".join(
        [
            "## Expanding on disk",
            "",
            "The command `expand`, with few rows to add and with many ([`expansion.json`](expansion.json), [how]"
            "(../expansion.py)). Alone is a loop by hand that samples and encodes such rows in memory, on one core. "
            "The time of a row is that of the processor with one process: median and range of "
            f"{len(_read('expansion.json')['cells'][0]['one']['alone'])} pairs of runs. With two processes the rate is "
            "that of the clock, and memory the most that all of them had together.",
            "",
            *table(titles, rows),
            *_killed(),
        ]
    )


def _killed() -> list[str]:
    """What came of expansions that were killed."""
    if not (RESULTS / "kills.json").exists():
        return []
    found = _read("kills.json")
    told = []
    for kind in ("processes", "workers of Ray", "a full disk"):
        if (cell := found.get(kind)) is not None:
            same = sum(each == found["uninterrupted"] for each in cell["digests"])
            kills = f"{cell['kills']} kills" if "kills" in cell else "once"
            told.append([kind, kills, f"{same} of {len(cell['digests'])}"])
    return [
        "",
        "Killed at random moments and called again, until the output was there ([`kills.json`](kills.json), [how]"
        "(../kills.py)):",
        "",
        *table(
            ["what was killed, or happened", "how often", "outputs with the bytes of one that was not"], told
        ),
    ]


def speed() -> str:
    """Training and sampling of each family beside a bare loop."""
    cells = [json.loads(path.read_text()) for path in sorted((RESULTS / "speed").glob("*.json"))]
    found = cells[0]
    rows, compiled = [], []
    for cell, samples in ((each["training"], each["sampling"]) for each in cells):
        rows.append(
            [
                cell["family"],
                f"{cell['ours_ms_per_step']['median']:.0f} ms",
                _quartiles(cell["ours_over_bare"]),
                f"{cell['share_of_matrix_rate']['median']:.2f}",
                f"{cell['share_of_convolution_rate']['median']:.2f}",
                f"{samples['ours_rows_per_second']['median']:.0f}",
                _quartiles(samples["ours_over_bare"]),
            ]
        )
        if "compiled" in cell:
            about = cell["compiled"]
            compiled += [
                "",
                f"`torch.compile` on the networks of {cell['family']}: {about['seconds_to_compile']:.0f} s to compile, "
                f"then {about['bare_over_compiled']['median']:.2f} times the speed of the bare loop without it.",
            ]
    titles = [
        "family",
        "a step",
        "ours / bare",
        "share of matrix rate",
        "of convolution rate",
        "rows a second",
    ]
    return "\n".join(
        [
            "## Training and sampling beside a bare loop",
            "",
            f"Bundled Fashion-MNIST, batches of {found['batch_size']}, threads: {found['threads']}. Our time over that "
            "of a bare loop (for samples: of the forward pass), median of interleaved rounds with quartiles; the aim "
            f"is 1.10. A round of training is {found['steps_per_round']} steps and holds a checkpoint, which a real "
            "run writes more rarely. Shares are of torch's matrix-multiply rate and of the rate of a large 3x3 "
            "convolution, which can be the higher. [Figures](speed).",
            "",
            *table([*titles, "ours / bare"], rows),
            *compiled,
        ]
    )


def peers() -> str:
    """Our trainer beside Pythae's."""
    found = _read("peers.json")
    rows = []
    for cell in found["comparisons"]:
        rates, to = cell["images_per_second"], cell["seconds_to_the_aim"]
        rows.append(
            [
                cell["in_our_loop"],
                *(f"{rates[side]['median']:.0f}" for side in ("ours", "pythae")),
                _quartiles(cell["ours_over_pythae"]),
                *("not reached" if to[side] is None else f"{to[side]:.1f}" for side in ("ours", "pythae")),
            ]
        )
    spent = found["comparisons"][-1]["where_pythae_spends"]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in spent.items())
    titles = ["in our loop", "images a second, ours", "Pythae", "ours / Pythae"]
    return "\n".join(
        [
            "## Beside Pythae's trainer",
            "",
            f"Bundled Fashion-MNIST, {found['rows']} rows, the same networks, batch size and learning rate, one "
            f"thread, {found['turns']} interleaved turns, processor time. The aim is the error on test rows that "
            f"Pythae {found['pythae']} reached at the end. [Figures](peers.json).",
            "",
            *table([*titles, "seconds to the aim, ours", "Pythae"], rows),
            "",
            f"Where Pythae's time goes: {shares}.",
        ]
    )


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / name).read_text())
    return found


def _quartiles(of: dict[str, float]) -> str:
    return f"{of['median']:.2f} ({of['lower_quartile']:.2f} to {of['upper_quartile']:.2f})"
