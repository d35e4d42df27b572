"""A figure as data: what it refuses, what it writes, where ticks stand and how they read."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalinglens.figures.figure import (
    ACCENT,
    Axis,
    Band,
    ColourScale,
    Figure,
    Line,
    Panel,
    Points,
    Rule,
    Text,
    level,
    tick_text,
    ticks,
)


def test_a_figure_survives_json_with_its_marks_named():
    marks = (
        Points(np.array([1.0, 2.0]), [3, math.nan], levels=[1e6, 1e7]),
        Line([1, 2], [3, 4], level(1e6), label="1M"),
        Band([1, 2], [2, 3], [4, 5], ACCENT),
        Rule(2.0),
        Text("corner"),
    )
    panel = Panel("p", Axis("x", "log"), Axis("y"), marks, ColourScale("size", 1e6, 1e7))
    figure = Figure("title", [panel])
    read = json.loads(json.dumps(figure.to_dict(), allow_nan=False))
    assert [mark["mark"] for mark in read["panels"][0]["marks"]] == ["Points", "Line", "Band", "Rule", "Text"]
    assert read["panels"][0]["marks"][0]["y"] == [3.0, None]
    assert read["panels"][0]["colours"]["label"] == "size"


def test_marks_are_values_equal_when_their_numbers_are():
    assert Line(np.array([1, 2]), [3, 4]) == Line([1.0, 2.0], (3.0, 4.0))
    assert hash(Line([1, 2], [3, 4])) == hash(Line([1, 2], [3, 4]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Line([1, 2], [3]), r"Line has unequal lengths \{'x': 2, 'y': 1\}"),
        (lambda: Points([1], [2], levels=[1, 2]), "Points has unequal lengths"),
        (lambda: Figure("nothing", ()), 'figure "nothing" has no panels'),
        (lambda: ticks(0.0, 1.0, "log"), "a log axis cannot start at 0"),
        (lambda: ticks(1.0, math.inf), "has no ticks"),
    ],
)
def test_errors_say_what_is_wrong(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("value", "format", "text"),
    [
        (0.25, "plain", "0.25"),
        (0.0, "power", "0"),
        (70e9, "engineering", "70B"),
        (1.4e12, "engineering", "1.4T"),
        (999.0, "engineering", "999"),
        (1000.0, "engineering", "1K"),
        (1e18, "engineering", "10^{18}"),
        (1e9, "power", "10^{9}"),
        (3e-7, "plain", "3×10^{−7}"),
        (-1e9, "power", "−10^{9}"),
        (5.0, "percent", "+5%"),
        (0.0, "percent", "0%"),
    ],
)
def test_tick_text(value, format, text):
    assert tick_text(value, format) == text


@pytest.mark.parametrize(("low", "high"), [(0.297, 0.98), (2.02, 6.5), (3.01, 19.9), (5.01, 15.1), (2.9, 310)])
@pytest.mark.parametrize("count", [4, 5, 7, 8])
def test_a_log_axis_between_the_usual_ticks_still_has_three(low, high, count):
    places = np.array(ticks(low, high, "log", count))
    assert 3 <= len(places) <= count
    gaps = np.diff(np.log(places))
    assert gaps.max() < 4 * gaps.min()  # no crowd at one end


@given(st.floats(-12, 20), st.floats(0.01, 18), st.sampled_from(["linear", "log"]), st.integers(4, 8))
def test_ticks_lie_inside_in_order_and_never_crowd(start, decades, scale, count):
    low, high = 10.0**start, 10.0 ** (start + decades)
    found = ticks(low, high, scale, count)
    slack = 1e-6 * (high - low if scale == "linear" else high)  # far below a pixel
    assert all(low * (1 - 1e-6) - slack * (scale == "linear") <= tick <= high + slack for tick in found)
    assert found == sorted(set(found))
    assert 3 <= len(found) <= 2 * count  # fewer than three do not show a scale
    assert len({tick_text(tick, "engineering") for tick in found}) == len(found)
