"""What samples are like beside real rows, by classifiers that were trained on real rows alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from synthaug.data.labeled import LabeledData
from synthaug.errors import InvalidData
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.judging.compare import require_alike
from synthaug.judging.curation import Curation, Judges
from synthaug.judging.loaders import Encode, Ingredients, shuffled
from synthaug.judging.pools import fit_judges
from synthaug.judging.protocol import JUDGE_STEPS
from synthaug.judging.results import Replicate
from synthaug.judging.runner import EncodedBatches
from synthaug.metrics.fidelity import Fidelity, measure_fidelity
from synthaug.seeding import numpy_rng
from synthaug.training.classifier import train_classifier
from synthaug.training.threads import one_thread

_FIDELITY_ROWS = 2000
# Samples of each class that judges look at.
_JUDGED = 50


def judges_of(
    rows: LabeledData, encode: Encode, seed: int, steps: int = JUDGE_STEPS, kept: Path | None = None
) -> Judges | None:
    """Judges of samples, or None where no class has two different rows; see `fit_judges`."""
    try:
        return fit_judges(rows, encode, seed, steps, kept)
    except InvalidData:
        return None


def compare_with_real(
    train: LabeledData,
    held_out: LabeledData,
    pool: Samples,
    encode: Encode,
    *,
    steps: int,
    seed: int = 0,
    kept: Path | None = None,
) -> Fidelity:
    """How the pool's rows compare with real ones, seen by the built-in classifier trained on ``train``.

    At most 2000 of the samples and of the held-out rows, drawn at random, are looked at.

    Args:
        train: the rows the generator was trained on.
        held_out: rows it never saw.
        pool: its samples.
        encode: images to ``(N, C, H, W)`` float32 in [-1, 1].
        steps: optimizer steps of the classifier.
        seed: decides the classifier and the rows looked at.
        kept: a file that keeps the classifier, for a call that was stopped later.
    """
    require_alike([Replicate(train, pool, encode, np.empty(0, np.uint64))], {"held-out": held_out})
    parts = Ingredients.of(train, pool, encode, ratio=0.5)
    with one_thread():
        n_classes = len(train.classes)
        classifier = train_classifier(shuffled(parts, seed), steps, seed, n_classes=n_classes, kept=kept)

        def some(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            few = np.sort(numpy_rng(seed, "evaluation", "fidelity").permutation(len(rows))[:_FIDELITY_ROWS])
            return encode(rows[few]).numpy(), labels[few]

        return measure_fidelity(
            classifier,
            synthetic=some(pool.samples, pool.class_indices),
            training=(block.numpy() for block, _ in EncodedBatches(parts.rows, parts.labels, encode)),
            held_out=some(held_out.read(), held_out.labels),
        )


def judge_samples(
    rows: LabeledData, maker: Generator, seed: int, steps: int = JUDGE_STEPS, kept: Path | None = None
) -> tuple[Samples, Curation] | None:
    """Some samples of each class, and what judges say of them; None where there are no judges.

    Args:
        rows: real rows of the classes.
        maker: makes the samples.
        seed: decides samples and judges.
        steps: optimizer steps of each judge.
        kept: a folder that keeps the judges, for a call that was stopped later.
    """
    judges = judges_of(rows, maker.form.encode, seed, steps, kept)
    if judges is None:
        return None
    known = [name for name, n in rows.counts.items() if n]
    samples = maker.keeping(None).sample(dict.fromkeys(known, _JUDGED), seed=seed)
    encoded = maker.form.encode(samples.samples).numpy()
    return samples, judges.curate(encoded, samples.class_indices, samples.classes)
