"""A chart shows its figures and is harmless: shapes and words only, whatever its names are; heights as the figures."""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kirimhook.pages.charts import Chart, bars, lines, series_class, steps

TAGS = {"svg", "g", "rect", "path", "circle", "text", "title"}
ATTRIBUTES = {"viewBox", "class", "role", "aria-label", "transform", "x", "y", "width", "height", "d", "cx", "cy", "r"}
NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.sampled_from(["</svg><script>", "<style>", 'a" style="x', "&", "]]>", "dead"]),
)
FIGURES = st.one_of(st.none(), st.integers(0, 10**9), st.floats(0, 1e9), st.sampled_from([math.inf, math.nan]))


@st.composite
def charts(draw: st.DrawFn) -> Chart:
    labels = draw(st.lists(NAMES, max_size=8))
    column = st.lists(FIGURES, min_size=len(labels), max_size=len(labels))
    series = draw(st.dictionaries(NAMES, column, max_size=3))
    kind = draw(st.sampled_from([bars, lines]))
    return kind(draw(NAMES), labels, series, unit=draw(NAMES))


@settings(max_examples=100, deadline=None)
@given(charts())
def test_nothing_but_shapes_and_words_comes_out(chart: Chart) -> None:
    root = ET.fromstring(chart.svg)
    assert {element.tag for element in root.iter()} <= TAGS
    assert {name for element in root.iter() for name in element.attrib} <= ATTRIBUTES
    assert root.get("role") == "img"
    assert root.get("aria-label")


def heights(chart: Chart, name: str) -> list[float]:
    found = ET.fromstring(chart.svg).findall(f".//*[@class='{series_class(name)}']//rect")
    return [float(rect.attrib["height"]) for rect in found]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_a_bar_is_as_high_as_its_figure(figures: list[int]) -> None:
    chart = bars("Some", [str(at) for at in range(len(figures))], {"dead": figures}, unit="each")
    full = steps(True, (("dead", tuple(map(float, figures))),))[-1]
    scale = 150 / full
    for height, value in zip(heights(chart, "dead"), [one for one in figures if one * scale >= 0.1], strict=False):
        assert height == pytest.approx(value * scale, abs=0.2)


def test_a_mark_says_what_it_stands_for_and_none_stands_for_nothing() -> None:
    series: dict[str, list[float | None]] = {"succeeded": [3, 0, 1], "dead": [0, 2, None]}
    told = [title.text for title in ET.fromstring(bars("Some", ["a", "b", "c"], series, unit="each").svg).iter("title")]
    assert told == ["a: succeeded 3", "c: succeeded 1", "b: dead 2"]
    dots = lines("Some", ["a", "b", "c"], {"p50": [3.5, None, 1]}, unit="ms")
    assert [title.text for title in ET.fromstring(dots.svg).iter("title")] == ["a: p50 3.5", "c: p50 1"]


def test_the_figures_are_there_as_rows() -> None:
    chart = bars("Some", ["a", "b"], {"one": [1, math.nan], "two": [3, 4]}, unit="each")
    assert chart.names == ("one", "two")
    assert chart.rows == (("a", (1, 3)), ("b", (None, 4)))


@given(st.booleans(), st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=10))
def test_the_guides_reach_above_the_figures_in_round_steps(stacked: bool, figures: list[float]) -> None:
    guides = steps(stacked, (("one", tuple(figures)),))
    width = guides[1]
    assert guides[0] == 0
    assert 2 <= len(guides) <= 6
    assert guides[-1] >= max(figures) * (1 - 1e-9)
    assert [one / width for one in guides] == pytest.approx(list(range(len(guides))))
    assert any(f"{width:.0e}".startswith(digit) for digit in "125")


def test_whole_figures_have_whole_guides() -> None:
    assert steps(True, (("one", (1.0, 2.0)), ("two", (1.0, None)))) == [0, 1, 2]
    assert steps(False, (("one", (None,)),)) == [0, 1]


def test_a_series_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="dead: 1 figures for 2 labels"):
        bars("Some", ["a", "b"], {"dead": [1]}, unit="each")
