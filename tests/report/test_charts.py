"""Charts: what stands where, as any reader of SVG would see it."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from synthaug.metrics import Interval
from synthaug.report import COLOURS, Scale, Series, line_chart

SVG = "{http://www.w3.org/2000/svg}"


def interval(low: float, mean: float, high: float) -> Interval:
    return Interval(mean, low, high, 5)


def drawn(*series: Series) -> ElementTree.Element:
    text = line_chart(
        series, [(0.0, "0 %"), (0.5, "50 %")], x_label="share <of> rows", y_label="points & more"
    )
    return ElementTree.fromstring(text)


def test_higher_gains_stand_higher_and_larger_shares_further_right() -> None:
    points = [
        (0.0, interval(0, 0, 0)),
        (0.25, interval(-0.01, 0.02, 0.05)),
        (0.5, interval(-0.06, -0.03, 0.0)),
    ]
    dots = drawn(Series("cvae", points)).findall(f"{SVG}circle")
    x, y = ([float(dot.attrib[name]) for dot in dots] for name in ("cx", "cy"))
    assert x[0] < x[1] < x[2]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)
    assert y[1] < y[0] < y[2]
    assert (y[0] - y[1]) / (y[2] - y[0]) == pytest.approx(2 / 3, abs=0.01)


def test_an_interval_is_as_long_as_it_is_wide_and_a_point_without_one_is_a_dot_alone() -> None:
    chart = drawn(Series("a", [(0.0, interval(0, 0, 0)), (0.5, interval(-0.02, 0.0, 0.02))]))
    bars = [path.attrib["d"] for path in chart.findall(f"{SVG}path") if "V" in path.attrib["d"]]
    assert len(bars) == 1
    low, high = (float(value) for value in bars[0].split(" ")[1].split("V"))
    dots = [float(dot.attrib["cy"]) for dot in chart.findall(f"{SVG}circle")]
    assert low - dots[1] == pytest.approx(dots[1] - high, abs=0.11)
    assert low > high


def test_axes_are_named_with_any_characters_and_zero_is_among_the_ticks() -> None:
    texts = [
        each.text for each in drawn(Series("a", [(0.1, interval(0.01, 0.02, 0.03))])).findall(f"{SVG}text")
    ]
    assert {"share <of> rows", "points & more", "0", "0 %", "50 %"} <= set(texts)


def test_several_series_are_told_apart_by_colour_name_and_place() -> None:
    points = [(0.0, interval(-0.01, 0.0, 0.01)), (0.5, interval(0.0, 0.01, 0.02))]
    chart = drawn(Series("cvae", points), Series("warp", points))
    assert {"cvae", "warp"} <= {each.text for each in chart.findall(f"{SVG}text")}
    lines = chart.findall(f"{SVG}polyline")
    assert [COLOURS[i] in line.attrib["style"] for i, line in enumerate(lines)] == [True, True]
    assert lines[0].attrib["points"] != lines[1].attrib["points"]


@pytest.mark.parametrize("reach", [0.0, 0.0004, 0.013, 0.4])
def test_a_scale_holds_its_intervals_in_few_round_steps(reach: float) -> None:
    scale = Scale.over([interval(-reach, reach / 2, 2 * reach)])
    ticks = scale.ticks()
    assert scale.low <= -reach
    assert scale.high >= 2 * reach
    assert 2 <= len(ticks) <= 8
    assert sum(tick["zero"] for tick in ticks) == 1
    assert ticks[0]["at"] == 0
    assert ticks[-1]["at"] == 100
