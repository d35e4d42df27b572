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


def test_a_title_has_two_lines_at_most_and_says_that_it_goes_on():
    words = " + ".join(f"A{k} / params^{{0.{k} × 2}}" for k in range(30))
    face = font(11.5, "bold")
    lines = wrap(words, 5.0, face, 2)
    assert len(lines) == 2
    assert lines[-1].endswith(" …")
    assert all(width(line, face) <= 5.0 * DPI * 1.01 for line in lines)
    assert all(line.count("{") == line.count("}") for line in lines)  # no break within an exponent
    assert wrap("short", 5.0, face, 2) == ["short"]
    shown = [text.get_text() for text in draw(Figure(words, figure_of().panels)).texts]
    assert len(shown) == 2


def overlaps(a, b):
    return a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1


@pytest.mark.parametrize("end", [200.0, 800.0, 1000.0])
@pytest.mark.parametrize("falling", [True, False])
def test_captions_of_rules_stay_inside_the_panel_and_off_the_lines(end, falling):
    y = 1 / X if falling else X
    drawn = draw(figure_of(Line(X, y), Rule(end, "x", MUTED, "dotted", "beyond the data, 90% interval")))
    drawn.canvas.draw()
    axes = drawn.axes[0]
    texts = {text.get_text(): text.get_window_extent() for text in axes.texts}
    assert " ".join(texts) in ("beyond the data, 90% interval", "90% interval beyond the data,")  # lines from below
    track = axes.transData.transform(np.column_stack([X, y]))
    for box in texts.values():
        assert axes.bbox.x0 <= box.x0
        assert box.x1 <= axes.bbox.x1
        assert axes.bbox.y0 <= box.y0
        assert box.y1 <= axes.bbox.y1 + 2
        heights = np.interp(np.linspace(box.x0, box.x1, 20), *track.T)
        if end == 200.0:  # where there is room at all
            assert not ((heights > box.y0) & (heights < box.y1)).any()


def test_labels_of_lines_stand_off_a_band_and_off_a_caption():
    scale = ColourScale("size", 1.0, 4.0)
    lines = [Line(X, (1 + 0.04 * (4 - k)) * (1 + 1 / X), level(k), label=f"{k}.3B") for k in range(1, 4)]
    far = np.geomspace(1e3, 1e4, 10)
    band = Band(far, np.full(10, 0.93), np.full(10, 1.06), level(4))
    ahead = Line(far, np.ones(10), level(4), dash="dashed", label="16B")
    rule = Rule(1e3, "x", MUTED, "dotted", "beyond the data, 90% interval")
    drawn = draw(figure_of(band, rule, *lines, ahead, colours=scale))
    drawn.canvas.draw()
    axes = drawn.axes[0]
    boxes = {text.get_text(): text.get_window_extent() for text in axes.texts}
    top = axes.transData.transform((1e3, 1.06))[1]
    for name in ("1.3B", "2.3B", "3.3B"):
        assert boxes[name].y0 + 0.12 * boxes[name].height >= top, name  # the box carries the line spacing
    captions = [box for name, box in boxes.items() if not name.endswith("B")]
    assert captions
    assert not any(overlaps(boxes[name], box) for name in boxes if name.endswith("B") for box in captions)


def test_a_crowded_legend_gets_a_second_row_inside_its_panel():
    words = [f"{k} words of a legend that goes on and on" for k in range(3)]
    drawn = draw(figure_of(*(Points(X, X * (k + 1), series(k), label=text) for k, text in enumerate(words))))
    drawn.canvas.draw()
    axes = drawn.axes[0]
    box = axes.get_legend().get_window_extent()
    assert box.x0 >= axes.bbox.x0
    assert box.y1 <= drawn.bbox.y1


def test_dollars_and_missing_numbers_are_harmless():
    pixels(figure_of(Line([1, 10, 100], [1, np.nan, 2]), subtitle="costs $5 and $6, 10^{9}", flag="careful", note="n"))


def test_an_empty_panel_can_be_drawn():
    pixels(figure_of())
