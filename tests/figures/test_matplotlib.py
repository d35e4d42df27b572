"""The matplotlib back end: every mark leaves ink, labels do not collide, nothing global is touched."""

import sys
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest

from scalinglens.figures.figure import (
    ACCENT,
    INK,
    MUTED,
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
    series,
)
from scalinglens.figures.ink import DPI, SEQUENTIAL, font, width, wrap
from scalinglens.figures.matplotlib import draw

X = np.geomspace(1.0, 1000.0, 20)


def figure_of(*marks, colours=None, x=None, y=None, **words):
    return Figure("Title", (Panel("panel", x or Axis("x", "log"), y or Axis("y", "log"), marks, colours),), **words)


def pixels(figure):
    drawn = draw(figure)
    drawn.canvas.draw()
    return np.asarray(drawn.canvas.buffer_rgba())[..., :3].astype(int)


@pytest.mark.parametrize(
    "mark",
    [
        Line(X, 1 / X, ACCENT),
        Line(X, 1 / X, series(1), dash="dashed"),
        Points(X, 1 / X, INK),
        Points(X, 1 / X, ACCENT, symbol="ring"),
        Points(X, 1 / X, ACCENT, symbol="cross"),
        Points(X, 1 / X, symbol="up", label="labelled"),
        Band(X, 0.5 / X, 2 / X, ACCENT, "band"),
        Rule(0.1, label="here"),
        Rule(10.0, "x", MUTED, "dotted", "there"),
        Text("words", "bottom left"),
    ],
    ids=lambda mark: f"{type(mark).__name__}",
)
def test_every_mark_leaves_ink(mark):
    base = (Points([1.0, 1000.0], [0.001, 1.0]),)  # the same limits with and without the mark
    assert np.abs(pixels(figure_of(*base, mark)) - pixels(figure_of(*base))).sum() > 1000


def test_pyplot_and_the_users_style_stay_untouched():
    before = dict(mpl.rcParams)
    known = "matplotlib.pyplot" in sys.modules
    plain = pixels(figure_of(Line(X, 1 / X)))
    assert dict(mpl.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == known
    with mpl.rc_context({"font.size": 30, "axes.grid": False, "lines.linewidth": 9, "axes.titlesize": 40}):
        assert np.array_equal(pixels(figure_of(Line(X, 1 / X))), plain)


def test_labels_of_converging_lines_do_not_overlap_and_stay_inside():
    scale = ColourScale("size", 1.0, 6.0)
    lines = [Line(X, 1 + 0.001 * k + 1 / X, level(k), label=f"{k}M") for k in range(1, 7)]
    onward = Line([1000.0, 1e5], [1.0005, 1.0], ACCENT, dash="dashed", label="beyond")
    drawn = draw(figure_of(*lines, onward, colours=scale))
    drawn.canvas.draw()
    axes = drawn.axes[0]
    boxes = {text.get_text(): text.get_window_extent() for text in axes.texts}
    assert set(boxes) == {*(f"{k}M" for k in range(1, 7)), "beyond"}
    for name, box in boxes.items():
        assert axes.bbox.x0 <= box.x0, name
        assert box.x1 <= axes.bbox.x1 + 2, name
        # matplotlib's boxes carry the line spacing; three quarters of them is what the letters fill
        assert not any(
            other.x0 < box.x1 and box.x0 < other.x1 and abs(other.y0 - box.y0) < 0.75 * box.height
            for rival, other in boxes.items()
            if rival != name
        ), name
    order = sorted(range(1, 7), key=lambda k: boxes[f"{k}M"].y0)
    assert order == list(range(1, 7))


def test_tick_labels_and_colour_bar_labels_do_not_overlap():
    wide = Points(np.geomspace(1e6, 3e12, 9), np.geomspace(1e18, 1e25, 9), levels=np.geomspace(2e6, 7e11, 9))
    drawn = draw(
        figure_of(
            wide,
            colours=ColourScale("params", 2e6, 7e11, "log", "engineering"),
            x=Axis("tokens", "log", "engineering"),
            y=Axis("flops", "log", "power"),
        )
    )
    drawn.canvas.draw()
    axes = drawn.axes[0]
    for labels in (axes.get_xticklabels(), axes.child_axes[0].get_xticklabels()):
        boxes = [label.get_window_extent() for label in labels if label.get_text()]
        assert len(boxes) >= 3
        assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_one_scale_is_explained_once():
    scale = ColourScale("size", 1.0, 10.0)
    panel = Panel("", Axis("x", "log"), Axis("y"), (Points([1, 10], [1, 2], levels=[1, 10]),), scale)
    drawn = draw(Figure("two", (panel, panel)))
    assert [len(axes.child_axes) for axes in drawn.axes] == [1, 0]


def test_a_level_without_a_scale_is_refused():
    with pytest.raises(ValueError, match="its panel has no colour scale"):
        draw(figure_of(Line(X, X, level(3.0))))


def test_the_sequential_scale_darkens_steadily():
    # CIE lightness from linear-light luminance, coefficients of Rec. 709
    rgb = SEQUENTIAL(np.linspace(0, 1, 64))[:, :3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    assert (np.diff(lightness) < 0).all()
    assert lightness[0] - lightness[-1] > 60


def test_long_titles_are_wrapped_within_the_page():
    words = " + ".join(f"A{k} / params^{{0.{k}}}" for k in range(30))
    face = font(11.5, "bold")
    lines = wrap(words, 5.0, face)
    assert len(lines) > 2
    assert " ".join(lines) == words
    assert all(width(line, face) <= 5.0 * DPI * 1.01 for line in lines)  # word by word against at once: rounding
    tall, short = draw(Figure(words, figure_of().panels)), draw(figure_of())
    assert tall.get_figheight() > short.get_figheight()


def test_dollars_and_missing_numbers_are_harmless():
    pixels(figure_of(Line([1, 10, 100], [1, np.nan, 2]), subtitle="costs $5 and $6, 10^{9}", flag="careful", note="n"))


def test_an_empty_panel_can_be_drawn():
    pixels(figure_of())
