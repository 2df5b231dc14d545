"""The primary cells: what do families gain over the best baseline, and does following the choice do harm?

Cells, declared here: digits, MNIST and Fashion-MNIST at 5, 10 and 20 rows a class; MNIST and Fashion-MNIST with five
classes at 150 and five at 5; clothing and pneumonia in their natural proportions, a quarter of the training rows. A
replicate draws training rows, generator seed and classifier seed anew, and every arm of it shares them. Ten replicates
are wanted of each; each is kept as it ends, so that a run goes on where it was stopped.

`gains` trains a generator of each family on the training rows and puts its samples on top of the policy (drawn so that
classes are equally frequent where they are not), beside baselines without synthetic rows, one of which is that one
trained 1.5 times as long. Validation rows, as many as training rows, pick the baseline and each family's arm, in the
mean over replicates; test rows are read once, for the table.

`choices` calls `synthaug.choose` with its defaults on the training rows, generators' half minute given in steps, and
trains what it chose, and the baseline it chose, on all of them.

`--further` does the same for cells outside the budget: 50 rows a class, CIFAR-10 at 10, 50 and 200, and Omniglot's 242
characters at 5 a class, with drawers of their own in the test rows.

    python benchmarks/primary.py gains --folder DATA
    python benchmarks/primary.py choices --folder DATA
    python benchmarks/render.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from classifiers import ARMS, data_folder, open_set, score_arm
from recording import replicates_due

import synthaug
from synthaug.data.labeled import LabeledData
from synthaug.data.splits import part, with_three_splits
from synthaug.generators.generator import Generator
from synthaug.judging.arms import Arm, Ingredients, longer, with_synthetic
from synthaug.judging.evaluation import pool_size
from synthaug.judging.trials import FITTED_WITH, SOURCES
from synthaug.mixing.schedule import linear
from synthaug.modalities.image.augment import image_augmentations
from synthaug.modalities.image.codec import ImageCodec
from synthaug.seeding import numpy_rng
from synthaug.training.train import train_generator

RESULTS = Path(__file__).parent / "results"
STEPS = 400
GENERATOR_STEPS = 400
REPLICATES = 10
LONG_TAIL = (150, 5)
SHARES = {"warp": 0.5, "cvae": 0.25, "cgan": 0.25}
BASELINES = ("real + classical", "elastic, medium", "mixup", "policy")
UNEQUAL_BASELINES = (
    "policy", "oversampling + classical", "oversampling + policy", "class weights", "logit adjustment",
)  # fmt: skip

Counts = Callable[[LabeledData], list[int]]


JUDGED = "each fold by what the others chose, where that is worth it"
"""How a choice is judged: choices that were judged otherwise are made anew."""


@dataclass(frozen=True)
class Cell:
    """A data set, and how many training rows of each class."""

    name: str
    data: str
    counts: Counts
    unequal: bool = False


def _equal(n: int) -> Counts:
    return lambda rest: [n] * len(rest.classes)


def _long_tail(rest: LabeledData) -> list[int]:
    """Every other class is rare, so that classes which are taken for each other are on both sides."""
    return [LONG_TAIL[k % 2] for k in range(len(rest.classes))]


def _quarter(rest: LabeledData) -> list[int]:
    return [n // 4 for n in rest.counts.values()]


CELLS = [
    *(
        Cell(f"{data.removeprefix('bundled:')}-{n}", data, _equal(n))
        for n in (5, 10, 20)
        for data in ("bundled:digits", "mnist", "fashion_mnist")
    ),
    *(Cell(f"{data}-unequal", data, _long_tail, unequal=True) for data in ("mnist", "fashion_mnist")),
    *(Cell(data, data, _quarter, unequal=True) for data in ("pneumonia", "clothing64")),
]

FURTHER = [
    *(
        Cell(f"{data.removeprefix('bundled:')}-50", data, _equal(50))
        for data in ("bundled:digits", "mnist", "fashion_mnist")
    ),
    *(Cell(f"cifar10-{n}", "cifar10", _equal(n)) for n in (10, 50, 200)),
    Cell("omniglot-5", "omniglot", _equal(5)),
]


@dataclass(frozen=True)
class Rows:
    """The rows of one replicate of a cell."""

    train: LabeledData
    validation: LabeledData
    test: LabeledData

    @classmethod
    def of(cls, cell: Cell, folder: Path | None, seed: int) -> Rows:
        """Training and validation rows without overlap, as many of both where there are as many."""
        data = with_three_splits(open_set(cell.data, folder), 0)
        rest = part(data, "train")
        counts = cell.counts(rest)
        train = _drawn(rest, counts, seed)
        return cls(train, _drawn(rest, counts, seed, skip=True), part(data, "test"))


def _drawn(rest: LabeledData, counts: list[int], seed: int, skip: bool = False) -> LabeledData:
    rng = numpy_rng(seed, "benchmark", "draw")
    found = []
    for label, n in enumerate(counts):
        rows = rng.permutation(np.flatnonzero(rest.labels == label))
        found.append(rows[n : 2 * n] if skip else rows[:n])
    return rest.take(np.sort(np.concatenate(found)))


def gains(cell: Cell, rows: Rows, seed: int) -> dict[str, Any]:
    """Scores on validation and test rows of every baseline and of every family's arms."""
    codec = ImageCodec.fit(rows.train.read(), rows.train.spec)
    augmentations = image_augmentations(codec.encode(rows.train.read()), rows.train.labels)
    tests = {"validation": rows.validation, "test": rows.test}
    base = ARMS["oversampling + policy" if cell.unequal else "policy"]
    found: dict[str, Any] = {"arms": {}, "generator_seconds": {}}

    def trained(arm: Arm, maker: Generator | None = None, share: float = 0.25) -> None:
        started = time.process_time()
        per_class = pool_size(share, STEPS, len(rows.train.classes)) if maker else 0
        pool = (maker or stand_in).sample(max(1, per_class), seed=seed)
        parts = Ingredients.of(rows.train, pool, codec.encode, ratio=share, batch_size=64)
        scores = score_arm(arm, parts, augmentations, tests, steps=STEPS, seed=seed)
        found["arms"][arm.name] = {
            split: {
                "balanced_accuracy": got.balanced_accuracy,
                "worst_recall": got.worst_recall,
                "calibration_error": got.calibration_error,
                "brier": got.brier,
            }
            for split, got in scores.items()
        } | {"seconds": time.process_time() - started}

    makers = {}
    for family in SHARES:
        started = time.process_time()
        made = train_generator(
            rows.train, family, steps=GENERATOR_STEPS, seed=seed, options=FITTED_WITH.get(family)
        )
        makers[family] = Generator(made)
        found["generator_seconds"][family] = time.process_time() - started
    stand_in = makers["cvae"]
    for name in UNEQUAL_BASELINES if cell.unequal else BASELINES:
        trained(ARMS[name])
    trained(longer(base))
    for family, share in SHARES.items():
        for source in SOURCES[family]:
            arm = with_synthetic(base, f"{base.name} + {share:.0%} {source.name}", "")
            trained(arm, makers[family].adjusted(source.settings), share)
    return found


def choices(rows: Rows, seed: int, jobs: int) -> dict[str, Any]:
    """The plan, and what it and its baseline score on test rows."""
    started = time.monotonic()
    plan = synthaug.choose(rows.train, steps=GENERATOR_STEPS, seed=seed, jobs=jobs, progress=False)
    found = {"plan": plan.to_dict(), "seconds": time.monotonic() - started}
    if not plan.accepted:
        # What is trained is the baseline itself.
        return found | {"gain": 0.0}
    assert plan.generator is not None
    base = ARMS[plan.base]
    codec = plan.generator.codec
    augmentations = image_augmentations(codec.encode(rows.train.read()), rows.train.labels)
    ratio = linear(plan.share, 0.0, steps=STEPS) if plan.annealed else plan.share
    pool = plan.generator.sample(pool_size(plan.share, STEPS, len(rows.train.classes)), seed=seed)
    parts = Ingredients.of(rows.train, pool, codec.encode, ratio=ratio, batch_size=64)
    best = base if plan.baseline == plan.base else longer(base)
    arms = {"baseline": best, "chosen": with_synthetic(base, plan.candidate, "")}
    scores = {
        kind: score_arm(arm, parts, augmentations, {"test": rows.test}, steps=STEPS, seed=seed)["test"]
        for kind, arm in arms.items()
    }
    points = {kind: got.balanced_accuracy for kind, got in scores.items()}
    return found | {"test": points, "gain": points["chosen"] - points["baseline"]}


@click.command()
@click.argument("what", type=click.Choice(["gains", "choices"]))
@click.option("--folder", default=data_folder, type=click.Path(path_type=Path))
@click.option("--replicates", default=REPLICATES, show_default=True, help="How many to come to in this run.")
@click.option("--cell", "names", multiple=True, help="Only cells of this name; may be given again.")
@click.option("--further", is_flag=True, help="The further cells, not the primary ones.")
@click.option("--jobs", default=1, show_default=True, help="Processes of a choice.")
def main(
    what: str, folder: Path | None, replicates: int, names: tuple[str, ...], further: bool, jobs: int
) -> None:
    torch.set_num_threads(1)
    cells = FURTHER if further else CELLS
    if unknown := set(names) - {cell.name for cell in cells}:
        raise click.UsageError(
            f"There is no cell {', '.join(unknown)}; there are {', '.join(c.name for c in cells)}."
        )
    budget: dict[str, Any] = {"steps": STEPS, "generator_steps": GENERATOR_STEPS, "replicates": REPLICATES}
    if what == "choices":
        budget["judged"] = JUDGED
    results = RESULTS / ("further" if further else "primary") / what
    wanted = [cell for cell in cells if not names or cell.name in names]
    for due in replicates_due(wanted, results, budget, replicates):
        rows = Rows.of(due.cell, folder, due.seed)
        found = gains(due.cell, rows, due.seed) if what == "gains" else choices(rows, due.seed, jobs)
        due.keep(found, _brief(found))


def _brief(replicate: dict[str, Any]) -> str:
    if "plan" in replicate:
        return f"{100 * replicate['gain']:+.1f} {replicate['plan']['advice']}"
    arms = replicate["arms"].items()
    return ", ".join(f"{name} {100 * of['test']['balanced_accuracy']:.1f}" for name, of in arms)


if __name__ == "__main__":
    main()
