"""What is said beforehand of the time that a training takes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
import torch

from synthaug import open_data
from synthaug.errors import InvalidRequest
from synthaug.families import Batch, BatchKind, Family, build
from synthaug.training import Training, seconds_per_step, train

Arrays = tuple[np.ndarray, np.ndarray]


def family(shapes: Arrays) -> Family:
    data = open_data(shapes)
    return build("cvae", data.form, tuple(data.counts.values()), {"width": 4})


def test_the_first_steps_which_are_slower_do_not_count(shapes: Arrays) -> None:
    trained, calls = family(shapes), count()

    def slow_at_first(kind: BatchKind, step: int) -> Batch:
        time.sleep(1.0 if next(calls) == 0 else 0.1)
        return torch.zeros(4, *trained.shape), torch.arange(4) % 2

    each = seconds_per_step(trained, slow_at_first, seed=0, at_least=0.5)
    assert 0.1 <= each < 0.5


def test_a_step_is_tried_with_as_many_rows_as_a_batch_has(shapes: Arrays) -> None:
    images, labels = shapes
    for n in (len(images), 5):
        data = open_data((images[:n], labels[:n]))
        for size in (8, 200):
            found = Training("cvae", {"batch_size": size, "width": 4}, steps=7).forecast(data)
            assert found.steps == 7
            assert found.seconds == pytest.approx(7 * found.seconds_per_step)


def test_minutes_take_what_they_are(shapes: Arrays) -> None:
    found = Training("cvae", minutes=2).forecast(open_data(shapes))
    assert found.seconds == 120
    assert found.steps == pytest.approx(120 / found.seconds_per_step, rel=0.01, abs=1)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_rows_whose_range_is_known_from_them_alone_are_foretold(shapes: Arrays, dtype: str) -> None:
    images = shapes[0].astype(dtype) * (16 if dtype == "uint16" else 1)
    data = open_data((images, shapes[1]))
    assert "range unknown" in str(data.form)
    assert Training("cvae", {"width": 4}, steps=7).forecast(data).seconds > 0


def share(began: tuple[float, float]) -> float:
    """Of a processor, what this process had since then: seconds times it are what an idle machine would take."""
    return (time.process_time() - began[1]) / (time.monotonic() - began[0])


@pytest.fixture
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("name", ["cvae", "cgan", "warp"])
def test_a_training_takes_what_was_said(shapes: Arrays, name: str) -> None:
    data, training, found = open_data(shapes), Training(name, steps=100), []
    for _ in range(4):  # the machine may be busy with something else now and not then
        began = time.monotonic(), time.process_time()
        said = training.forecast(data).seconds * share(began)
        begun = time.process_time()
        train(data, training)
        found.append((time.process_time() - begun) / said)
        if 1 / 1.5 <= found[-1] <= 1.5:
            return
    raise AssertionError(found)


def test_what_large_images_take_is_said_for_both_sizes() -> None:
    rng = np.random.default_rng(0)
    large = rng.integers(0, 255, (4, 136, 130), dtype=np.uint8), [0, 1] * 2
    training = Training("cvae", {"batch_size": 4, "width": 4})
    with pytest.raises(InvalidRequest) as refused:
        training.check(open_data(large))
    told = re.search(r"about ([\d.]+) (\w+) here, about ([\d.]+) (\w+) as HW 64x64", str(refused.value))
    assert told is not None
    units = {"seconds": 1, "minutes": 60, "hours": 3600}
    kept, less = (float(told[at]) * units[told[at + 1]] for at in (1, 3))
    assert kept > less
    own = training.forecast(open_data(large, image_size=(136, 130))).seconds_per_step
    assert 1 / 5 <= kept / (3000 * own) <= 5  # a fault of the kind was one of 16 to 37
