"""The matplotlib back end: one function, `draw`, from a figure as data to a figure on paper.

Only matplotlib's object interface is used and every property is set on its artist: no pyplot, no global state, the same
picture in a notebook, in a server thread and in a test, whatever the user's own style is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from scalinglens.figures.figure import (
    Axis,
    Band,
    Colour,
    ColourScale,
    Figure,
    Line,
    Panel,
    Points,
    Rule,
    Scale,
    Text,
    tick_text,
    ticks,
)
from scalinglens.figures.ink import (
    ACCENT,
    DPI,
    FRAME,
    GRID,
    INK,
    MUTED,
    PIXELS,
    SEQUENTIAL,
    font,
    mathtext,
    paint,
    width,
    wrap,
)
from scalinglens.figures.labels import label_lines, label_rules, room_for_labels

__all__ = ["draw"]

DASHES = {"solid": "-", "dashed": (0, (4, 2.2)), "dotted": (0, (1, 2))}
SYMBOLS = {"dot": "o", "ring": "o", "cross": "x", "up": "^", "down": "v"}
PANEL_INCHES = (5.6, 4.0)  # one panel of weight 1, with its axis labels
TITLE_LINES = 2  # a longer title ends with an ellipsis


def draw(figure: Figure) -> MatplotlibFigure:
    """Draw a figure; save the result with its own `savefig`.

    Args:
        figure: what to show.

    Returns:
        A matplotlib figure of 160 dots per inch on an Agg canvas, unknown to pyplot.

    Cost: about 0.3 s for two panels.

    >>> drawn = draw(Figure("Empty", (Panel("", Axis("x"), Axis("y")),)))
    >>> drawn.dpi
    160
    """
    across = PANEL_INCHES[0] * sum(panel.weight for panel in figure.panels)
    title = wrap(figure.title, across - 0.3, font(11.5, "bold"), TITLE_LINES)
    flag = wrap(figure.flag, across - 0.3, font(8.5, "bold"))
    subtitle = wrap(figure.subtitle, across - 0.3, font(8.5))
    note = wrap(figure.note, across - 0.3, font(7.5))
    header = 0.16 + 0.21 * len(title) + 0.17 * (len(subtitle) + len(flag)) + 0.10 + 0.03 * bool(flag)
    footer = 0.10 + 0.15 * len(note)
    height = PANEL_INCHES[1] + header + footer

    paper = MatplotlibFigure(figsize=(across, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(paper)
    paper.set_layout_engine(
        ConstrainedLayoutEngine(
            rect=(0.0, footer / height, 1.0, 1.0 - (header + footer) / height), w_pad=0.08, h_pad=0.04, wspace=0.03
        )
    )
    left, y = 0.15 / across, 1.0 - 0.14 / height
    for lines, face, colour, step in (
        (title, font(11.5, "bold"), INK, 0.21),
        (flag, font(8.5, "bold"), ACCENT, 0.17),
        (subtitle, font(8.5), MUTED, 0.17),
    ):
        for text in lines:
            paper.text(left, y, mathtext(text), fontproperties=face, color=colour, va="top").set_in_layout(False)
            y -= step / height
        y -= 0.03 * bool(lines) / height
    for i, text in enumerate(reversed(note)):
        foot = paper.text(left, (0.09 + 0.15 * i) / height, mathtext(text), fontproperties=font(7.5), color=MUTED)
        foot.set_in_layout(False)

    grid = paper.add_gridspec(1, len(figure.panels), width_ratios=[panel.weight for panel in figure.panels])
    shown: set[ColourScale] = set()
    drawn: list[tuple[Panel, Axes]] = []
    for column, panel in enumerate(figure.panels):
        axes = paper.add_subplot(grid[0, column])
        _draw_panel(axes, panel, with_bar=panel.colours is not None and panel.colours not in shown)
        if panel.colours is not None:
            shown.add(panel.colours)  # the same scale is explained once
        drawn.append((panel, axes))
    paper.draw_without_rendering()  # settles the layout, without which no label knows its place
    for panel, axes in drawn:
        if (reach := room_for_labels(axes, panel)) is not None:
            _set_limits(axes, "x", panel.x, (axes.get_xlim()[0], reach))
        label_lines(axes, panel, label_rules(axes, panel))
    return paper


def _draw_panel(axes: Axes, panel: Panel, *, with_bar: bool) -> None:
    _frame(axes)
    for name, axis in (("x", panel.x), ("y", panel.y)):
        getattr(axes, f"set_{name}scale")(axis.scale)
        getattr(axes, f"set_{name}label")(mathtext(axis.label), fontproperties=font(8.5), color=INK, labelpad=5)
        _set_limits(axes, name, axis, axis.limits or _extent(panel, name, axis.scale))
    axes.set_title(mathtext(panel.title), loc="left", fontproperties=font(9.5, "bold"), color=INK, pad=9, y=1.0)
    for order, mark in enumerate(panel.marks):
        _draw_mark(axes, mark, panel.colours, 3 + 0.01 * order)
    if with_bar and panel.colours is not None:
        _colour_bar(axes, panel.colours)
    _legend(axes, panel, with_bar=with_bar)


def _draw_mark(axes: Axes, mark: object, scale: ColourScale | None, order: float) -> None:
    if isinstance(mark, Points):
        colours = [paint(Colour("level", v), scale) for v in mark.levels] if mark.levels else paint(mark.colour, scale)
        hollow = mark.symbol in ("ring", "cross")
        axes.scatter(
            mark.x,
            mark.y,
            s=mark.size**2,
            marker=SYMBOLS[mark.symbol],
            zorder=order,
            linewidths=1.1 if hollow else 0.45,
            **({"facecolors": colours} if mark.symbol == "cross" else {}),
            **({"facecolors": "none", "edgecolors": colours} if mark.symbol == "ring" else {}),
            **({} if hollow else {"facecolors": colours, "edgecolors": "white", "alpha": 0.9}),
        )
    elif isinstance(mark, Line):
        axes.plot(
            mark.x,
            mark.y,
            color=paint(mark.colour, scale),
            linewidth=mark.width,
            linestyle=DASHES[mark.dash],
            solid_capstyle="round",
            zorder=order,
        )
    elif isinstance(mark, Band):
        colour = paint(mark.colour, scale)
        axes.fill_between(mark.x, mark.low, mark.high, color=colour, alpha=0.16, linewidth=0, zorder=order - 1)
    elif isinstance(mark, Rule):
        colour = paint(mark.colour, scale)
        line = axes.axhline if mark.axis == "y" else axes.axvline
        line(mark.at, color=colour, linewidth=0.9, linestyle=DASHES[mark.dash], zorder=order - 1)
    elif isinstance(mark, Text):
        vertical, horizontal = mark.corner.split()
        axes.annotate(
            mathtext(mark.text),
            xy=(float(horizontal == "right"), float(vertical == "top")),
            xycoords="axes fraction",
            xytext=(-5 if horizontal == "right" else 5, -4 if vertical == "top" else 4),
            textcoords="offset points",
            ha=horizontal,
            va=vertical,
            fontproperties=font(7.5),
            color=paint(mark.colour, scale),
            zorder=5,
        )


def _colour_bar(axes: Axes, scale: ColourScale) -> None:
    """A thin horizontal bar above the right end of the panel, its label at its left."""
    bar = axes.inset_axes((0.58, 1.035, 0.42, 0.02))
    forward, backward = (np.log, np.exp) if scale.scale == "log" else (np.asarray, np.asarray)
    edges = backward(np.linspace(forward(scale.low), forward(scale.high), 129))
    bar.pcolormesh(edges, [0.0, 1.0], np.linspace(0, 1, 128)[None, :], cmap=SEQUENTIAL, shading="flat")
    bar.set_xscale(scale.scale)
    bar.set_xlim(scale.low, scale.high)
    bar.xaxis.set_ticks_position("top")
    bar.tick_params(axis="x", length=2.5, width=0.6, pad=1.5, color=FRAME)
    room = 0.42 * axes.get_window_extent().width
    for count in (5, 4, 3, 2):
        places = ticks(scale.low, scale.high, scale.scale, count)
        labels = [tick_text(place, scale.format) for place in places]
        if sum(width(label, font(7.5)) + 5 * PIXELS for label in labels) < room:
            break
    _set_ticks(bar, "x", places, labels, 7.5)
    bar.yaxis.set_major_locator(NullLocator())
    for spine in bar.spines.values():
        spine.set_visible(False)
    bar.annotate(
        mathtext(scale.label),
        xy=(0.0, 0.5),
        xycoords="axes fraction",
        xytext=(-5, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontproperties=font(8),
        color=INK,
    )


def _legend(axes: Axes, panel: Panel, *, with_bar: bool) -> None:
    handles: list[Line2D | Patch] = []
    for mark in panel.marks:
        if isinstance(mark, Points) and mark.label:
            colour = paint(mark.colour, panel.colours)
            handles.append(
                Line2D(
                    [],
                    [],
                    linestyle="none",
                    marker=SYMBOLS[mark.symbol],
                    markersize=mark.size,
                    markerfacecolor="none" if mark.symbol == "ring" else colour,
                    markeredgecolor=colour if mark.symbol in ("ring", "cross") else "white",
                    label=mathtext(mark.label),
                )
            )
        elif isinstance(mark, Band) and mark.label:
            handles.append(Patch(facecolor=paint(mark.colour, panel.colours), alpha=0.22, label=mathtext(mark.label)))
    if not handles:
        return
    # above the panel, where it hides nothing; a colour bar has that place already, and then a corner must do
    # the layout comes later: about an inch of the panel's share goes to its axis labels
    room = (PANEL_INCHES[0] * panel.weight - 0.9) * DPI - width(panel.title, font(9.5, "bold"))
    wide = [width(str(handle.get_label()), font(7.5)) + 23 * PIXELS for handle in handles]
    rows = next(
        (n for n in range(1, len(wide)) if sum(max(wide[i : i + n]) for i in range(0, len(wide), n)) <= room), 0
    )
    columns = -(-len(wide) // rows) if rows else 1
    above = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.005), "ncols": columns, "borderaxespad": 0.0}
    inside = {"loc": "upper right", "ncols": 1}
    legend = axes.legend(
        handles=handles,
        **(inside if with_bar else above),
        prop=font(7.5),
        labelcolor=INK,
        framealpha=0.85,
        facecolor="white",
        edgecolor="none",
        borderpad=0.3,
        handlelength=1.3,
        handletextpad=0.5,
        columnspacing=1.2,
        labelspacing=0.35,
    )
    legend.set_zorder(7)


def _frame(axes: Axes) -> None:
    axes.set_facecolor("white")
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(FRAME)
        spine.set_linewidth(0.8)
    axes.tick_params(length=3, width=0.8, color=FRAME, pad=3)
    axes.grid(True, color=GRID, linewidth=0.8)


def _set_limits(axes: Axes, name: str, axis: Axis, limits: tuple[float, float]) -> None:
    getattr(axes, f"set_{name}lim")(*limits)
    box = axes.get_window_extent()
    inches = (box.width if name == "x" else box.height) / DPI
    places = ticks(*limits, axis.scale, int(np.clip(inches * 1.7, 4, 8)))
    _set_ticks(axes, name, places, [tick_text(place, axis.format) for place in places])


def _set_ticks(axes: Axes, name: str, places: Sequence[float], labels: Sequence[str], size: float = 8) -> None:
    axis = getattr(axes, f"{name}axis")
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_major_formatter(FixedFormatter([mathtext(label) for label in labels]))
    axis.set_minor_locator(NullLocator())
    for tick in axis.get_major_ticks():
        for label in (tick.label1, tick.label2):  # label2 stands on the other side, as on a colour bar
            label.set_fontproperties(font(size))
            label.set_color(MUTED)


def _extent(panel: Panel, name: str, scale: Scale) -> tuple[float, float]:
    """Limits that hold all marks, with some air."""
    pieces: list[Any] = [[]]
    for mark in panel.marks:
        if isinstance(mark, Points | Line):
            pieces.append(mark.x if name == "x" else mark.y)
        elif isinstance(mark, Band):
            pieces.extend([mark.x] if name == "x" else [mark.low, mark.high])
        elif isinstance(mark, Rule) and mark.axis == name:
            pieces.append([mark.at])
    values = np.concatenate([np.asarray(piece, dtype=float) for piece in pieces])
    values = values[np.isfinite(values) & ((values > 0) | (scale == "linear"))]
    if not values.size:
        return (1.0, 10.0) if scale == "log" else (0.0, 1.0)
    if scale == "log":
        low, high = np.log(values.min()), np.log(values.max())
        air = 0.04 * (high - low) or 0.1
        return float(np.exp(low - air)), float(np.exp(high + air))
    low, high = values.min(), values.max()
    air = 0.06 * (high - low) or 0.1 * abs(low) or 0.5
    return float(low - air), float(high + air)
