"""Words beside lines: labels at the right ends of curves and captions of rules, placed where they hide nothing.

All of it works in pixels, so it runs after the layout is settled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from scalinglens.figures.figure import Band, Line, Panel, Rule
from scalinglens.figures.ink import DPI, PIXELS, darker, font, mathtext, paint, width, wrap

__all__ = ["label_lines", "label_rules", "room_for_labels"]

GAP = 5.0  # points between the end of a line and its label
HEIGHT = 10.5  # points of a label, with the air around it
HALO = (withStroke(linewidth=2.2, foreground="white", alpha=0.8),)
Box = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels


def room_for_labels(axes: Axes, panel: Panel) -> float | None:
    """Upper limit of x that leaves room for the labels of lines at the right; None where there is room already."""
    lines = _labelled(panel)
    if not lines or panel.x.limits is not None:
        return None
    forward, backward = (np.log, np.exp) if panel.x.scale == "log" else (np.asarray, np.asarray)
    box = axes.get_window_extent()
    ends = (_ends(axes, lines)[:, 0] - box.x0) / box.width
    wide = _widths(lines) / box.width
    if np.max(ends + wide) <= 1.0:
        return None
    # an end at share e of the old range stands at e/s of a range s times as long: e/s + w <= 1
    stretch = float(np.max(ends / np.maximum(1.0 - wide, 0.1)))
    low, high = axes.get_xlim()
    return float(backward(forward(low) + stretch * (forward(high) - forward(low))))


def label_rules(axes: Axes, panel: Panel) -> list[Box]:
    """Write the captions of rules, broken into lines that stay inside the panel; return the boxes they fill."""
    face, box = font(7.5), axes.get_window_extent()
    boxes: list[Box] = []
    for rule in panel.marks:
        if not isinstance(rule, Rule) or not rule.label:
            continue
        if rule.axis == "y":
            y = float(axes.transData.transform((axes.get_xlim()[0], rule.at))[1])
            long = width(rule.label, face)
            boxes.append(_caption(axes, panel, rule, [rule.label], box.x1 - 3 * PIXELS - long, y + 3 * PIXELS))
            continue
        x = float(axes.transData.transform((rule.at, axes.get_ylim()[0]))[0])
        gap = 4 * PIXELS
        right, left = box.x1 - x - gap, x - box.x0 - gap
        lines = _broken(rule.label, right / DPI)
        long = max(width(line, face) for line in lines)
        if long > right >= 0.0 and left > right:  # not even its longest word fits: the other side
            lines = _broken(rule.label, left / DPI)
            long = max(width(line, face) for line in lines)
            start = x - gap - long
        else:
            start = x + gap
        tall = HEIGHT * PIXELS * len(lines)
        top, bottom = box.y1 - tall, box.y0 + gap
        hidden = any(high > top for _, high in _obstacles(axes, panel, start, start + long))
        free = not any(low < bottom + tall for low, _ in _obstacles(axes, panel, start, start + long))
        boxes.append(_caption(axes, panel, rule, lines, start, bottom if hidden and free else top))
    return boxes


def label_lines(axes: Axes, panel: Panel, taken: Sequence[Box] = ()) -> None:
    """Write the labels of lines at their right ends: neighbours are pushed apart, and off lines, bands and captions."""
    lines = _labelled(panel)
    if not lines:
        return
    box, ends, widths = axes.get_window_extent(), _ends(axes, lines), _widths(lines)
    heights = ends[:, 1].copy()
    seen = (heights >= box.y0) & (heights <= box.y1)
    # labels that end in one column compete for its height with each other and with all that passes through it
    waiting = list(np.flatnonzero(seen))
    while waiting:
        column = [i for i in waiting if abs(ends[i, 0] - ends[waiting[0], 0]) <= widths.max()]
        waiting = [i for i in waiting if i not in column]
        left, right = ends[column, 0].min() + GAP * PIXELS, ends[column, 0].max() + widths[column].max()
        low, high = box.y0, box.y1
        for x0, y0, x1, y1 in taken:
            if x0 < right and left < x1:
                low, high = (low, min(high, y0)) if y0 + y1 > box.y0 + box.y1 else (max(low, y1), high)
        passing = _merged(_obstacles(axes, panel, left, right), HEIGHT * PIXELS)
        placed = _spread(
            np.concatenate([heights[column], [0.5 * (a + b) for a, b in passing]]),
            np.concatenate([np.full(len(column), 0.5 * HEIGHT * PIXELS), [0.5 * (b - a) for a, b in passing]]),
            low + 5 * PIXELS,
            high - 5 * PIXELS,
            np.arange(len(column) + len(passing)) >= len(column),
        )
        heights[column] = placed[: len(column)]
    for i in np.flatnonzero(seen):
        text = axes.annotate(
            mathtext(lines[i].label),
            xy=(lines[i].x[-1], lines[i].y[-1]),
            xytext=(GAP, (heights[i] - ends[i, 1]) / PIXELS),
            textcoords="offset points",
            va="center",
            fontproperties=font(7.5, "bold"),
            color=darker(paint(lines[i].colour, panel.colours)),
            path_effects=HALO,
            zorder=6,
        )
        text.set_in_layout(False)


def _broken(text: str, inches: float) -> list[str]:
    """A text on one line if it fits, else broken after its commas, and at blanks where that is not enough."""
    face = font(7.5)
    if width(text, face) <= inches * DPI:
        return [text]
    parts = text.replace(", ", ",\n").split("\n")
    return [line for part in parts for line in wrap(part, inches, face)]


def _caption(axes: Axes, panel: Panel, rule: Rule, lines: Sequence[str], x: float, y: float) -> Box:
    """Write lines with their lower left corner at a pixel."""
    face, step, box = font(7.5), HEIGHT * PIXELS, axes.get_window_extent()
    for i, line in enumerate(reversed(lines)):
        text = axes.annotate(
            mathtext(line),
            xy=((x - box.x0) / box.width, (y + i * step - box.y0) / box.height),
            xycoords="axes fraction",
            fontproperties=face,
            color=paint(rule.colour, panel.colours),
            path_effects=HALO,
            zorder=5,
        )
        text.set_in_layout(False)
    return x, y, x + max(width(line, face) for line in lines), y + step * len(lines)


def _labelled(panel: Panel) -> list[Line]:
    return [mark for mark in panel.marks if isinstance(mark, Line) and mark.label and mark.x]


def _widths(lines: Sequence[Line]) -> np.ndarray:
    """Pixels that labels take to the right of their lines' ends."""
    return np.array([width(line.label, font(7.5, "bold")) for line in lines]) + GAP * PIXELS


def _ends(axes: Axes, lines: Sequence[Line]) -> np.ndarray:
    """Pixels of the right ends of lines [lines, 2]."""
    return axes.transData.transform([(line.x[-1], line.y[-1]) for line in lines])


def _obstacles(axes: Axes, panel: Panel, left: float, right: float) -> list[tuple[float, float]]:
    """Heights in pixels, from and to, that lines and bands fill in the column between two horizontal positions."""
    box = axes.get_window_extent()
    found = []
    for mark in panel.marks:
        if isinstance(mark, Line) and len(mark.x) > 1:
            edges, air = [mark.y], 2.5 * PIXELS
        elif isinstance(mark, Band) and len(mark.x) > 1:
            edges, air = [mark.low, mark.high], 1.0 * PIXELS
        else:
            continue
        tracks = [axes.transData.transform(np.column_stack([mark.x, edge])) for edge in edges]
        start, end = max(left, tracks[0][:, 0].min()), min(right, tracks[0][:, 0].max())
        if not start < 0.5 * (left + right) < end:
            continue
        inside = np.linspace(start, end, 9)
        heights = [np.interp(inside, *track[np.argsort(track[:, 0])].T) for track in tracks]
        low, high = max(np.min(heights) - air, box.y0), min(np.max(heights) + air, box.y1)
        # a band over much of the panel cannot be avoided: a label far from its curve would say nothing
        if low < high and not (isinstance(mark, Band) and high - low > 0.3 * box.height):
            found.append((float(low), float(high)))
    return found


def _merged(spans: Sequence[tuple[float, float]], least: float) -> list[tuple[float, float]]:
    """Unite spans with less than `least` between them: no label fits there.

    >>> _merged([(5.0, 9.0), (0.0, 2.0), (1.0, 4.0)], 2.0)
    [(0.0, 9.0)]
    """
    merged: list[tuple[float, float]] = []
    for low, high in sorted(spans):
        if merged and low < merged[-1][1] + least:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _spread(positions: np.ndarray, halves: np.ndarray, low: float, high: float, fixed: np.ndarray) -> np.ndarray:
    """Move intervals, given by centre and half height, until none overlap, each as little as possible; `fixed` ones stay.

    Weighted least squares under an order constraint (pool adjacent violators): a crowd stays centred on itself, unless
    something fixed is in it. Centres stay within [low, high].

    >>> free, half = np.array([False, False, False]), np.full(3, 5.0)
    >>> _spread(np.array([0.0, 1.0, 50.0]), half, -100.0, 100.0, free).tolist()
    [-4.5, 5.5, 50.0]
    >>> _spread(np.array([0.0, 1.0]), half[:2], -100.0, 100.0, np.array([True, False])).round(3).tolist()[1]
    10.0
    """
    order = np.argsort(positions, kind="stable")
    tall = halves[order]
    offsets = np.concatenate([[0.0], np.cumsum(tall[1:] + tall[:-1])])
    weights = np.where(fixed, 1e9, 1.0)[order]
    pools: list[tuple[float, float, int]] = []  # weighted mean, weight, members
    for place, weight in zip(positions[order] - offsets, weights, strict=True):
        pools.append((float(place), float(weight), 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (m1, w1, n1), (m2, w2, n2) = pools[-2:]
            pools[-2:] = [((m1 * w1 + m2 * w2) / (w1 + w2), w1 + w2, n1 + n2)]
    level = np.concatenate([np.full(count, mean) for mean, _, count in pools])
    level = np.clip(level, low, max(low, high - offsets[-1]))
    result = np.empty_like(level)
    result[order] = level + offsets
    return result
