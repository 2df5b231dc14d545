"""Rows so light that a second thread costs more than it brings are trained on one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from synthaug import LabeledData, open_data
from synthaug.training import Training, train


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("shape", "threads"), [((6,), 1), ((8, 8), 2)])
def test_tables_are_trained_on_one_thread_and_pictures_on_all(
    shape: tuple[int, ...], threads: int, two_threads: None
) -> None:
    seen = set()

    class Counting:
        def log(self, values: dict[str, float], step: int) -> None:
            seen.add(torch.get_num_threads())

        def log_images(self, values: dict[str, Any], step: int) -> None: ...

    rows = np.random.default_rng(0).normal(size=(20, *shape)).astype(np.float32)
    if len(shape) > 1:
        rows = (rows * 50 + 128).clip(0, 255).astype(np.uint8)
    data: LabeledData = open_data((rows, np.arange(20) % 2))
    train(data, Training("cvae", steps=3), tracker=Counting())
    assert seen == {threads}
    assert torch.get_num_threads() == 2
