"""What is a plan's advice worth to a person who follows it, and does it do outside what it did where it was judged?

Nearly always the advice is the policy, with classes drawn evenly where they are unequal. It is judged as an arm, and
followed as `plan.apply` does it: on a plain data set of single images with a transform of its own, one image at a time
and with other random streams; beside both stand the rows as they are. Equal steps.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

import numpy as np
import torch
from cells import ARMS, PRIMARY, STEPS, Run
from experiment import Experiment
from tables import data_and_rows, interval, percent, points, table
from torch.utils.data import DataLoader, Dataset

from synthaug.judging import BATCH_SIZE, Preparation
from synthaug.metrics import score
from synthaug.mixing import MixOptions, Supply, adapter_for
from synthaug.training import train_classifier


class Rows(Dataset[Any]):
    """A data set as people have them: images as they are stored, and a transform that makes tensors of them."""

    def __init__(self, run: Run) -> None:
        self.images, self.targets, self._form = run.train.read(), run.train.labels.tolist(), run.form
        self.transform: Any = lambda image: self._form.encode(np.asarray(image)[None])[0]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[row]), self.targets[row]


def replicate(run: Run) -> dict[str, float]:
    """Balanced accuracy on the test rows: of the rows as they are, of the arm as it is judged, and of it as applied."""
    arm = run.policy
    plan = Preparation.of(arm, STEPS, run.train, run.augmentations)
    size = min(BATCH_SIZE, len(run.train))
    torch.manual_seed(run.seed)
    plain: Any = DataLoader(Rows(run), batch_size=size, shuffle=True, drop_last=True)
    loader = adapter_for(plain).apply(plain, plan.regimen(run.seed), Supply(None), MixOptions(seed=run.seed))
    n_classes = len(run.train.classes)
    classifier = train_classifier(loader, plan.steps, run.seed, n_classes=n_classes)
    encoded = run.form.encode(run.test.read())
    shares = np.concatenate([classifier(part) for part in torch.split(encoded, 512)])  # type: ignore[no-untyped-call]
    return {
        "as they are": run.score(ARMS["real"])["test"].balanced_accuracy,
        "judged": run.score(arm)["test"].balanced_accuracy,
        "applied": score(run.test.labels, shares.argmax(axis=1), n_classes, shares).balanced_accuracy,
    }


def brief(found: dict[str, float]) -> str:
    """All of it, in percent."""
    return ", ".join(f"{name} {100 * value:.1f}" for name, value in found.items())


def applied(cells: list[dict[str, Any]]) -> str:
    """The gain of following the advice over the rows as they are, and how far it is from what was judged."""
    rows = []
    for cell in cells:
        found = cell["replicates"]
        plain, judged, own = ([r[name] for r in found] for name in ("as they are", "judged", "applied"))
        means = percent(fmean(plain)), percent(fmean(own))
        rows.append([*data_and_rows(cell), str(len(found)), *means, _gain(own, plain), _gain(own, judged)])
    titles = ["data", "rows a class", "n", "as they are", "applied", "gain", "applied less judged"]
    return "\n".join(
        [
            "## What following the advice is worth",
            "",
            "The policy, with classes drawn evenly where they are unequal, applied to a plain loader as `plan.apply`"
            " does it: balanced accuracy on test rows, the gain over training on the rows as they are for equally"
            " many steps, and the difference from the same arm as it is judged; points with 95 % intervals over"
            " replicates ([results](applied)).",
            "",
            *table(titles, rows),
        ]
    )


def worth(
    cells: list[dict[str, Any]], unlabelled: list[dict[str, Any]], choices: list[dict[str, Any]]
) -> str:
    """For the first page: what the advice is worth, and what of it comes from where; losses and zeros too.

    Args:
        cells: what was found here.
        unlabelled: what was found with rows without labels.
        choices: what came of doing as `choose` says.
    """
    gains = {cell["cell"]: cell["replicates"] for cell in choices}
    more = {cell["cell"]: [r["scores"] for r in cell["replicates"]] for cell in unlabelled}
    rows = []
    for cell in cells:
        plain, own = ([r[name] for r in cell["replicates"]] for name in ("as they are", "applied"))
        generator = points([100 * r["gain"] for r in gains[cell["cell"]]]) if cell["cell"] in gains else ""
        both = more.get(cell["cell"], [])
        brings = [_part(both, *pair) for pair in (("judged", "policy"), ("warp on both", "judged"))]
        asked = [generator] if gains else []
        rows.append([*data_and_rows(cell), percent(fmean(plain)), _gain(own, plain), *asked, *brings])
    told = (
        "; “generator” is what the choice of synthetic rows added to it, where it was asked" if gains else ""
    )
    titles = [
        "data",
        "rows a class",
        "as they are",
        "advice",
        *(["generator"] if gains else []),
        "unlabelled rows",
        "and a generator",
    ]
    return "\n".join(
        [
            "What the usual advice of `choose` is worth, in points of balanced accuracy on test rows over training on "
            "the rows as they are, through `plan.apply`, with the 95 % interval over "
            f"{min(len(cell['replicates']) for cell in cells)} replicates. That advice is the policy, an augmentation, "
            f"with classes drawn evenly where they are unequal{told}. Then, where 1,000 "
            "unlabelled rows are given: what they add to the policy as half of each batch, with the labels that "
            "classifiers give them, and what `warp` trained on both adds to that (standard errors; [losses, ceilings "
            "and controls][results]).",
            "",
            *table(titles, rows),
        ]
    )


def _part(found: list[dict[str, float]], ours: str, theirs: str) -> str:
    gains = [100 * (r[ours] - r[theirs]) for r in found if ours in r and theirs in r]
    return f"{points(gains)}, n = {len(gains)}" if gains else ""


def _gain(ours: list[float], theirs: list[float]) -> str:
    return interval([a - b for a, b in zip(ours, theirs, strict=True)])


EXPERIMENT = Experiment(
    cells=PRIMARY,
    replicate=replicate,
    budget={"steps": STEPS, "replicates": 10},
    replicates=10,
    results="applied",
    brief=brief,
    table=applied,
)
