"""Ink for the matplotlib back end: what colour a role has, and how a text is set and measured."""

from __future__ import annotations

import re
from functools import cache

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize, to_rgb
from matplotlib.font_manager import FontProperties

from scalinglens.figures.figure import Colour, ColourScale

__all__ = ["darker", "font", "mathtext", "paint", "width", "wrap"]

DPI = 160
PIXELS = DPI / 72  # of one point
INK, MUTED, FRAME, GRID, ACCENT = "#1f2630", "#68727f", "#b4bbc4", "#e9ecef", "#d1495b"
SERIES = ("#2a6f97", "#d98032", "#3f8f5b", "#8a5a9e", "#a3873b", "#4a5560")
# light teal to deep violet: lightness falls monotonically, so order survives grey print and colour blindness
SEQUENTIAL = LinearSegmentedColormap.from_list(
    "sequential", ["#8fd8b4", "#45b8a9", "#3793a5", "#3b6b98", "#423f7a", "#2a1a45"]
)


def paint(colour: Colour, scale: ColourScale | None) -> str | tuple[float, float, float, float]:
    """The colour of a role in matplotlib's terms; a level needs the scale it is measured on."""
    if colour.role == "series":
        return SERIES[int(colour.value) % len(SERIES)]
    if colour.role == "level":
        if scale is None:
            raise ValueError("a mark is coloured by level, but its panel has no colour scale; give Panel(colours=...)")
        norm = (LogNorm if scale.scale == "log" else Normalize)(scale.low, scale.high, clip=True)
        return SEQUENTIAL(float(norm(colour.value)))
    return {"accent": ACCENT, "ink": INK, "muted": MUTED}[colour.role]


def darker(colour: str | tuple[float, ...]) -> tuple[float, float, float]:
    """The colour mixed with ink, for text: a tint that shows well as a line is too faint as a letter."""
    return tuple(0.7 * a + 0.3 * b for a, b in zip(to_rgb(colour), to_rgb(INK), strict=True))  # pyright: ignore[reportReturnType, reportArgumentType]


def font(size: float, weight: str = "normal") -> FontProperties:
    """The one typeface, at a size in points: it comes with matplotlib, so the layout is the same on every machine."""
    return FontProperties(family="DejaVu Sans", size=size, weight=weight, math_fontfamily="dejavusans")


def mathtext(text: str) -> str:
    """Our superscripts `^{...}` in matplotlib's notation, everything else literal.

    >>> mathtext("10^{9} costs $5")
    '10$^{\\\\mathdefault{9}}$ costs \\\\$5'
    """
    return re.sub(r"\^\{([^{}]*)\}", r"$^{\\mathdefault{\1}}$", text.replace("$", r"\$"))


def width(text: str, face: FontProperties) -> float:
    """Width of a text in pixels."""
    shown = mathtext(text)
    return _ruler().get_text_width_height_descent(shown, face, "$^{" in shown)[0]


@cache
def _ruler() -> RendererAgg:
    return RendererAgg(1, 1, DPI)  # measures without paper: a renderer of one pixel knows all widths


def wrap(text: str, inches: float, face: FontProperties, most: int | None = None) -> list[str]:
    """Break a text at blanks into lines no wider than `inches`; with `most` lines at most, the last ends in an ellipsis."""
    lines: list[list[str]] = []
    blank, reach = width(". .", face) - width("..", face), 0.0
    # word by word: setting every growing line anew costs seconds in mathematics; blanks in an exponent do not count
    for word in re.split(r" (?![^{}]*\})", text) if text else []:
        step = blank + width(word, face)
        if lines and reach + step <= inches * DPI:
            lines[-1].append(word)
            reach += step
        else:
            lines.append([word])
            reach = step - blank
    if most is not None and len(lines) > most:
        last = lines[most - 1]
        while len(last) > 1 and width(" ".join([*last, "…"]), face) > inches * DPI:
            last.pop()
        lines[most - 1 :] = [[*last, "…"]]
    return [" ".join(words) for words in lines]
