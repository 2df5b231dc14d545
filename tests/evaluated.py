"""Evaluations and their pages, made without any training: of as many classes and seeds as are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from synthaug import open_data
from synthaug.generators import About, Achieved, Samples
from synthaug.judging import (
    ARMS,
    ArmResult,
    Choice,
    Comparison,
    Curation,
    Effect,
    Evaluation,
    Judged,
    JudgedGain,
    Plan,
    Preparation,
    Setup,
    Standing,
)
from synthaug.metrics import Fidelity, Interval, Scores
from synthaug.modalities.image import ImageForm
from synthaug.report import pick_judged, pick_pictures, write_report

CANDIDATE = "policy + 25% cvae"
_KNOWN = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Sneaker",
    "Ankle boot",
    "Schnauzer_german-giant",
    "Bag",
    "Coat",
)
_PARTS = ("Siberian", "long-haired", "spotted", "Mediterranean", "northern", "dwarf", "giant", "grey")
_ROWS = 40  # test rows of a class


def names(n: int) -> tuple[str, ...]:
    """Names of so many classes, as data sets have them."""
    more = (f"{_PARTS[i % 8]} {_KNOWN[(i // 8 + i) % 8]} {i}" for i in range(n))
    return (*_KNOWN, *more)[:n]


def evaluated(n_classes: int, seeds: int, *, spread: float = 0.01, gain: float = 0.0) -> Evaluation:
    """An evaluation after a choice, whose candidate gains so much, with so much luck of each seed."""
    rng, classes = np.random.default_rng(n_classes), names(n_classes)
    terms = [(arm.name, arm.about) for arm in ARMS if not arm.synthetic]
    terms += [
        ("policy, longer", "As “policy”, trained 1.5 times as long."),
        (CANDIDATE, "With samples of cvae."),
    ]
    arms = tuple(_arm(rng, term, about, classes, seeds, spread, gain) for term, about in terms)
    base = next(arm for arm in arms if arm.name == "policy")
    return Evaluation(
        metric="balanced_accuracy",
        classes=classes,
        seeds=tuple(range(seeds)),
        replicates=1,
        arms=arms,
        baseline="policy",
        candidate=CANDIDATE,
        comparisons=tuple(
            Comparison.of(arm, base, "balanced_accuracy", 1) for arm in arms if arm is not base
        ),
        rows={
            part: dict.fromkeys(classes, _ROWS) for part in ("training", "validation", "test", "synthetic")
        },
        setup=Setup(
            "folder photographs/of/some_collection",
            "built-in classifier",
            400,
            0.25,
            64,
            1234,
            1,
            ("mixup", "CutMix"),
            again="synthaug evaluate photographs/of/some_collection --family cvae --seeds 10 --seed 1234 --out again",
        ),
        generator=About("cvae", "f00d" * 16, classes, "16x16 RGB", 3000, 40.0, False, Achieved("Not much.")),
        environment={"torch": "2.13.0", "processor": "x86_64"},
        seconds={"classifiers": 12.0},
        fidelity=Fidelity(0.97, 0.93, (0.9,) * n_classes, 0.8, 0.88),
        plan=_plan(n_classes),
        judged=Judged(4 * n_classes, _effects(classes)),
    )


def _arm(
    rng: np.random.Generator,
    term: str,
    about: str,
    classes: tuple[str, ...],
    seeds: int,
    spread: float,
    gain: float,
) -> ArmResult:
    """An arm that recognises about four rows of five, by classes and seeds."""
    centre = 0.8 + gain * (term == CANDIDATE) - 0.2 * (term == "real")
    wide = rng.normal(centre, 0.05, len(classes)) + rng.normal(0, spread, (seeds, 1))
    recalls = (wide + rng.normal(0, spread, (seeds, len(classes)))).clip(0.02, 0.98)
    scores = tuple(
        Scores(float(own.mean()), float(own.mean()), tuple(own.tolist()), 0.06, 0.2) for own in recalls
    )
    mistaken = {
        name: {classes[(k + 1) % len(classes)]: int(_ROWS * seeds * (1 - recalls[:, k].mean()))}
        for k, name in enumerate(classes)
    }
    return ArmResult(
        term, "%" in term, about, None, 400, (), scores, tuple(np.full(seeds, 1.5).tolist()), mistaken
    )


def _plan(n_classes: int) -> Plan:
    """A plan that was accepted, after a dozen options."""
    shares = {f"policy + {share}% cvae": share / 100 for share in (10, 25, 50)}
    gains = {
        name: Interval(0.02 - share / 20, -0.01 - share / 20, 0.05, 30) for name, share in shares.items()
    }
    own = [Standing(name, True, 6, 0.8, 0.7, gain) for name, gain in gains.items()]
    more = [
        Standing(
            f"policy + {5 * i + 5}% curated warp, far", True, 1, 0.7, 0.6, Interval(-0.03, -0.08, 0.02, 30)
        )
        for i in range(9)
    ]
    base = Standing("policy", False, 6, 0.79, 0.69, None)
    told = Interval(0.02, 0.004, 0.036, 30)
    judged = JudgedGain(told, told, 0.008, 0.01, (CANDIDATE,) * 3, 4)
    return Plan(
        accepted=True,
        baseline="policy",
        candidate=CANDIDATE,
        augmentation="policy",
        family="cvae",
        settings={},
        candidate_share=0.25,
        curated=False,
        annealed=False,
        classifier_steps=400,
        metric="balanced_accuracy",
        choice=Choice("policy", CANDIDATE, True, judged, (base, *own, *more), 9),
        seconds={"generators": 30.0},
        cost=90.0,
        data="0" * 64,
        base="policy",
        shares=shares,
        preparation=Preparation(
            "policy", 400, ImageForm(16, 16, 3, "HWC", "uint8", 0.0, 255.0), (1,) * n_classes
        ),
    )


def _effects(classes: tuple[str, ...]) -> tuple[Effect, ...]:
    return (
        Effect("agreement", dict.fromkeys(classes, 1), 0.9, 0.8),
        Effect("copies", dict.fromkeys(classes, 0), 0.8, None),
    )


def write_page(found: Evaluation, folder: Path) -> Path:
    """The page of an evaluation, with pictures of noise, in an existing folder."""
    images = np.random.default_rng(0).integers(0, 256, (4 * len(found.classes), 16, 16, 3), dtype=np.uint8)
    rows = open_data((images, [*found.classes] * 4))
    named = np.array(rows.classes.names)[rows.labels]
    made = Samples(rows.read(), named, rows.classes, rows.form.fitted(rows.read()), {"class": named})
    failing = np.arange(len(images)) % 7 == 0
    why = np.where(failing, "agreement", "")
    soft = np.zeros((len(images), len(found.classes)), np.float32)
    curation = Curation(~failing, why, soft, _effects(rows.classes.names))
    history = [{"step": step, "loss": -1 / step, "kl_loss": step / 100} for step in range(1, 300)]
    write_report(
        found, pick_pictures(rows, made), folder, judged=pick_judged(made, curation), history=history
    )
    return folder / "report.html"
