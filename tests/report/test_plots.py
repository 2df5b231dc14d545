"""Figures of matplotlib: one of each thing that can be drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import synthaug
from synthaug.errors import InvalidRequest, MissingLibrary, UnsupportedKind
from synthaug.judging import Choice, Plan

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture(scope="module")
def maker() -> synthaug.Generator:
    return synthaug.fit("bundled:digits", "cgan", steps=3, progress=False)


@pytest.fixture(scope="module")
def plan(shapes: tuple[np.ndarray, np.ndarray]) -> Plan:
    quick = synthaug.Protocol(steps=2, classifier_steps=2, judge_steps=2, folds=2)
    return synthaug.choose(shapes, protocol=quick, jobs=1, progress=False)


def test_a_training_is_drawn_with_a_panel_a_figure(maker: synthaug.Generator) -> None:
    figure = synthaug.plot(maker)
    told = {name for line in maker.history for name, value in line.items() if isinstance(value, float)}
    assert {axes.get_ylabel() for axes in figure.axes} == told - {"seconds"}
    assert figure.axes[-1].get_xlabel() == "step"


def test_samples_are_drawn_as_they_are_shown(maker: synthaug.Generator) -> None:
    samples = maker.sample(2)
    (image,) = synthaug.plot(samples).axes[0].get_images()
    np.testing.assert_array_equal(image.get_array(), np.asarray(samples.show()))


def test_a_plan_and_a_test_are_drawn_with_every_option_and_its_interval(
    plan: Plan, shapes: tuple[np.ndarray, np.ndarray]
) -> None:
    (axes,) = synthaug.plot(plan).axes
    tried = [of for of in plan.choice.standings if of.gain is not None]
    assert {label.get_text() for label in axes.get_yticklabels()} == {of.name for of in tried}
    quick = synthaug.Protocol(steps=2, classifier_steps=2, judge_steps=2, folds=2, seeds=2)
    found = synthaug.evaluate(shapes, ratio=0.25, protocol=quick, jobs=1, progress=False)
    (axes,) = synthaug.plot(found).axes
    assert {label.get_text() for label in axes.get_yticklabels()} == {of.arm for of in found.comparisons}
    means = sorted(100 * of.difference.mean for of in found.comparisons)
    dots = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots, means)


def test_what_cannot_be_drawn_is_refused(maker: synthaug.Generator, plan: Plan) -> None:
    other: Any = {}
    with pytest.raises(UnsupportedKind, match="was given dict"):
        synthaug.plot(other)
    with pytest.raises(InvalidRequest, match="has no figures"):
        synthaug.plot(replace(maker, history=[]))
    first = Choice(plan.choice.baseline, None, False, None, plan.choice.standings[:0], 1)
    with pytest.raises(InvalidRequest, match="nothing but the baseline"):
        synthaug.plot(replace(plan, choice=first))


def test_without_matplotlib_it_is_said_what_is_missing(
    maker: synthaug.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    with pytest.raises(MissingLibrary, match=r"synthaug\[plots\]"):
        synthaug.plot(maker)
