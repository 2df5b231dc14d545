"""Charts as SVG text: for the page, whose colours they take, and for files, which bring their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from synthaug.metrics.statistics import Interval

COLOURS = ("var(--synthetic,#3f7fc7)", "var(--helps,#2f9160)", "var(--harms,#c2523c)")
"""Of series, in order: the page's where there is one, else of a middle brightness that any background bears."""

_SOFT, _LINE = "var(--soft,#7b828c)", "var(--line,#b9bdc4)"
_WIDTH, _HEIGHT = 640, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 30, 46


@dataclass(frozen=True)
class Scale:
    """A linear axis of differences that holds zero, as positions in percent of its length."""

    low: float
    high: float
    step: float

    @classmethod
    def over(cls, intervals: Sequence[Interval]) -> Scale:
        """The axis that holds these intervals, with four to five steps."""
        low = min(0.0, *(i.low for i in intervals))
        high = max(0.0, *(i.high for i in intervals))
        span = max(high - low, 0.002)
        magnitude = 10.0 ** math.floor(math.log10(span / 4))
        step = next(m * magnitude for m in (1, 2, 5, 10) if span / (m * magnitude) <= 5)
        # at least one step: all arms may have scored the same
        return cls(math.floor(low / step) * step, max(1, math.ceil(high / step)) * step, step)

    def at(self, value: float) -> float:
        """The position of a value."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def span(self, of: Interval) -> dict[str, float]:
        """Where an interval begins, its mean, and how long it is."""
        return {"low": self.at(of.low), "mean": self.at(of.mean), "width": self.at(of.high) - self.at(of.low)}

    def ticks(self) -> list[dict[str, Any]]:
        """Every step: where it is, what it is called in points, and whether it is zero."""
        count = round((self.high - self.low) / self.step)
        values = [self.low + i * self.step for i in range(count + 1)]
        digits = max(0, -math.floor(math.log10(self.step * 100)))
        return [
            {
                "at": self.at(value),
                "zero": abs(value) < self.step / 2,
                "label": f"{value * 100:+.{digits}f}".replace("-", "−")
                if abs(value) > self.step / 2
                else "0",
            }
            for value in values
        ]


@dataclass(frozen=True)
class Series:
    """A line of differences: ``points`` are ``(x, interval)``; an interval without width is a dot alone."""

    name: str
    points: Sequence[tuple[float, Interval]]


def line_chart(
    series: Sequence[Series], ticks: Sequence[tuple[float, str]], *, x_label: str, y_label: str
) -> str:
    """Differences over x, with their intervals, as one SVG element.

    Args:
        series: at most as many as there are `COLOURS`.
        ticks: where x is marked, and with what.
        x_label, y_label: what the axes show.
    """
    scale = Scale.over([interval for each in series for _, interval in each.points])
    xs = [x for each in series for x, _ in each.points] + [x for x, _ in ticks]
    first, reach = min(xs), (max(xs) - min(xs)) or 1.0
    inner = _WIDTH - _LEFT - _RIGHT

    def across(x: float) -> float:
        return round(_LEFT + inner * (0.03 + 0.94 * (x - first) / reach), 1)

    def down(value: float) -> float:
        return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - scale.at(value) / 100), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(f"{y_label} over {x_label}")}" font-family="system-ui, sans-serif" font-size="12">'
    ]
    for tick in scale.ticks():
        y = down(scale.low + (scale.high - scale.low) * tick["at"] / 100)
        colour = _SOFT if tick["zero"] else _LINE
        parts.append(f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}" style="stroke:{colour}" stroke-width=".8"/>')
        parts.append(_text(_LEFT - 8, y + 4, tick["label"], "end"))
    for x, label in ticks:
        parts.append(_text(across(x), _HEIGHT - _BOTTOM + 18, label))
    parts.append(_text(_LEFT + inner / 2, _HEIGHT - 8, x_label))
    parts.append(_text(_LEFT - 50, 14, y_label, "start"))
    for i, (each, colour) in enumerate(zip(series, COLOURS, strict=False)):
        # Series of one chart stand a little apart, so that no interval hides another.
        aside = 5 * (i - (len(series) - 1) / 2)
        found = [(across(x) + aside, of) for x, of in each.points]
        line = " ".join(f"{x:.1f},{down(of.mean)}" for x, of in found)
        parts.append(
            f'<polyline points="{line}" style="fill:none;stroke:{colour}" stroke-width="1.8" opacity=".75"/>'
        )
        for x, of in found:
            if of.high > of.low:
                parts.append(
                    f'<path d="M{x:.1f} {down(of.low)}V{down(of.high)}" style="stroke:{colour}" stroke-width="3" '
                    'stroke-linecap="round" opacity=".45"/>'
                )
            parts.append(f'<circle cx="{x:.1f}" cy="{down(of.mean)}" r="4" style="fill:{colour}"/>')
        if len(series) > 1:
            place = _WIDTH - _RIGHT - 110 * (len(series) - i) + 16
            parts.append(f'<circle cx="{place - 9}" cy="10" r="4" style="fill:{colour}"/>')
            parts.append(_text(place, 14, each.name, "start"))
    return "".join([*parts, "</svg>"])


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="fill:{_SOFT}">{escape(text)}</text>'
