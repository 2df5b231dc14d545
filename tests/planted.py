"""Rows and pools with known properties, for tests of arms and of the protocol."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch

from synthaug import LabeledData, Plan, Samples, open_data
from synthaug.generators import synthetic_provenance
from synthaug.judging import Choice, JudgedGain, Preparation, Standing, find_arm
from synthaug.metrics import Interval
from synthaug.modalities.image import image_augmentations


@cache
def distinct_digits() -> LabeledData:
    """The bundled digits without repeated rows."""
    data = open_data("bundled:digits")
    _, first = np.unique(data.fingerprints(), return_index=True)
    return data.take(np.sort(first))


def pool_of(data: LabeledData, samples: np.ndarray | None = None) -> Samples:
    """Rows of a data set, or other pictures in their place, as if a generator had made them."""
    rows = data.read() if samples is None else samples
    provenance = synthetic_provenance("0" * 64, 0, "", np.arange(len(rows)))
    provenance["class"] = np.array(data.classes.names)[data.labels]
    labels = np.array(data.classes.values)[data.labels]
    return Samples(rows, labels, data.classes, data.form.fitted(rows), provenance)


def encode(rows: np.ndarray) -> torch.Tensor:
    """Grey uint8 ``(N, H, W)`` -> ``(N, 1, H, W)`` in [-1, 1]."""
    return torch.from_numpy(rows[:, None].astype(np.float32) / 127.5 - 1)


def per_class(data: LabeledData, start: int, stop: int) -> LabeledData:
    rows = [np.flatnonzero(data.labels == label)[start:stop] for label in range(len(data.classes))]
    return data.take(np.sort(np.concatenate(rows)))


def plan_for(rows: Any, arm: str, generator: Any = None, share: float = 0.25) -> Plan:
    """A plan that an imagined choice came to: an arm, and a share of a generator's samples where there is one."""
    data = open_data(rows)
    form = data.form.fitted(data.read())
    augmentations = image_augmentations(form.encode(data.read()), data.labels)
    gain = Interval(0.1, 0.05, 0.15, 9)
    judged = JudgedGain(gain, gain, 0.01, 0.06, ("x", "x"), 2)
    accepted = generator is not None
    found = Plan(
        accepted=accepted, baseline=arm, candidate="x", augmentation=find_arm(arm).augmentation, family="planted",
        settings={}, candidate_share=share, curated=False, annealed=False, classifier_steps=40, metric="accuracy",
        choice=Choice(arm, "x", accepted, judged, (Standing("x", True, 1, 0.5, 0.5, gain),), 1), seconds={}, cost=1.0,
        data="", base=arm, preparation=Preparation.of(find_arm(arm), 40, data, augmentations),
    )  # fmt: skip
    return found.with_generator(generator)
