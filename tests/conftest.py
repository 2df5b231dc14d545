"""Shared fixtures: small real data, one thread, no network."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# As many processes as tests run side by side are enough: one a core, unless a test asks for more.
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "1")

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

# The same examples in every run: a run says something about the change it tests, not about its luck,
# nor about how busy the machine is.
settings.register_profile("same examples", derandomize=True, deadline=None)
settings.load_profile("same examples")

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shapes() -> tuple[np.ndarray, np.ndarray]:
    """120 grey 12x10 uint8 images of two named classes: a bar that lies or stands, at random places."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 40, (120, 12, 10), dtype=np.uint8)
    labels = np.array(["lying", "standing"] * 60)
    for image, label in zip(images, labels, strict=True):
        at = rng.integers(2, 8)
        if label == "lying":
            image[at : at + 2, 1:9] = rng.integers(180, 255)
        else:
            image[1:11, at - 1 : at + 1] = rng.integers(180, 255)
    return images, labels


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Counter[Any]:
    """How often Pillow has decoded the pixels of each picture; to open one for its size does not count."""
    counts: Counter[Any] = Counter()
    opened = Image.open

    def counting(file: Any, *args: Any, **options: Any) -> Any:
        image = opened(file, *args, **options)
        key = file.getvalue() if hasattr(file, "getvalue") else str(file)
        load = image.load

        def counted() -> Any:
            if image.tile:  # what is still to be decoded
                counts[key] += 1
            return load()

        image.load = counted
        return image

    monkeypatch.setattr("PIL.Image.open", counting)
    return counts
