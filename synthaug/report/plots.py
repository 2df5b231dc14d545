"""Figures of matplotlib, for notebooks and papers: a training, samples, what a choice tried, what a test found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from synthaug.errors import InvalidRequest, MissingLibrary, UnsupportedKind
from synthaug.generators.generator import Generator
from synthaug.generators.samples import Samples
from synthaug.judging.plan import Plan
from synthaug.judging.results import Evaluation
from synthaug.judging.words import metric_name
from synthaug.metrics.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BESIDE = ("step", "seconds")  # what a line of a history says beside its figures
_INCHES = 8.0


def plot(of: Generator | Samples | Plan | Evaluation) -> Figure:
    """A figure of matplotlib of what is given; a notebook shows it.

    Args:
        of: a generator, for the figures of its training over steps; samples, for their picture; a plan, for what each
            option gained over the baseline in cross-validation, with 95 % intervals (what was the best of many is
            flattered there); or an evaluation, for what each arm gained over the baseline on test rows.

    Raises:
        InvalidRequest: there is nothing to draw.
        MissingLibrary: matplotlib is not installed.
        UnsupportedKind: something else.

    Example:
        >>> import numpy as np, synthaug
        >>> X, y = np.random.default_rng(0).integers(0, 255, (40, 8, 8), np.uint8), [0, 1] * 20
        >>> figure = synthaug.plot(synthaug.fit((X, y), steps=3, progress=False))
        >>> [axes.get_ylabel() for axes in figure.axes][:1]
        ['loss']
    """
    if isinstance(of, Generator):
        return _training(of)
    if isinstance(of, Samples):
        return _picture(of)
    if isinstance(of, Plan):
        return _options(of)
    if isinstance(of, Evaluation):
        return _arms(of)
    raise UnsupportedKind(
        f"plot draws generators, samples, plans and evaluations, and was given {type(of).__name__}."
    )


def _training(generator: Generator) -> Figure:
    lines = [line for line in generator.history if "event" not in line]
    figures = list(dict.fromkeys(name for line in lines for name in line if name not in _BESIDE))
    drawn = [name for name in figures if any(_is_number(line.get(name)) for line in lines)]
    if not drawn:
        raise InvalidRequest("There is nothing to plot: the history of this generator has no figures.")
    figure = _new((_INCHES, 1.6 * len(drawn)))
    panels = np.atleast_1d(figure.subplots(len(drawn), sharex=True))
    for axes, name in zip(panels, drawn, strict=True):
        found = [(line["step"], line[name]) for line in lines if _is_number(line.get(name))]
        axes.plot(*zip(*found, strict=True), marker="." if len(found) < 2 else "")
        axes.set_ylabel(name)
    panels[-1].set_xlabel("step")
    figure.suptitle(f"{generator.family.name}, {generator.steps} steps")
    return figure


def _picture(samples: Samples) -> Figure:
    picture = samples.show()
    figure = _new((_INCHES, _INCHES * picture.height / picture.width), layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture)
    axes.axis("off")
    return figure


def _options(plan: Plan) -> Figure:
    found = [(of.name, of.gain, of.synthetic) for of in plan.choice.standings if of.gain is not None]
    if not found:
        raise InvalidRequest("There is nothing to plot: nothing but the baseline was tried.")
    return _gains(found, f"gain over “{plan.choice.baseline}” in cross-validation, points")


def _arms(evaluation: Evaluation) -> Figure:
    found = [(of.arm, of.difference, evaluation.arm(of.arm).synthetic) for of in evaluation.comparisons]
    return _gains(
        found, f"gain over “{evaluation.baseline}” on test rows, points of {metric_name(evaluation)}"
    )


def _gains(found: Sequence[tuple[str, Interval, bool]], title: str) -> Figure:
    """A dot and an interval for each name, the best above; those with synthetic rows in another colour."""
    ordered = sorted(found, key=lambda each: each[1].mean)
    figure = _new((_INCHES, 1.2 + 0.32 * len(ordered)))
    axes = figure.subplots()
    for at, (_, gain, synthetic) in enumerate(ordered):
        colour = "tab:blue" if synthetic else "tab:gray"
        axes.plot([100 * gain.low, 100 * gain.high], [at, at], color=colour, alpha=0.5, linewidth=3)
        axes.plot(100 * gain.mean, at, "o", color=colour)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(ordered)), [name for name, *_ in ordered])
    axes.set_xlabel(title)
    return figure


def _new(inches: tuple[float, float], layout: Literal["constrained"] | None = "constrained") -> Figure:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingLibrary(
            'plot takes matplotlib, which is not installed: pip install "synthaug[plots]".'
        ) from error
    made: Figure = pyplot.figure(figsize=inches, layout=layout)
    return made


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
