"""A figure as data: panels, axes and marks, without a word about what is shown and without a drawing library.

Whoever has something to show builds a `Figure`; a back end (`figures.matplotlib.draw`) turns it into ink. Colours are
roles, not values: a mark belongs to a series, sits on a sequential scale, or is the accent, so that every back end and
theme can choose well. Texts may hold superscripts as `10^{9}`; everything else in them is shown as it is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = Sequence[float] | NDArray[Any]  # whatever is given is kept as a tuple of floats

__all__ = [
    "ACCENT",
    "INK",
    "MUTED",
    "Axis",
    "Band",
    "Colour",
    "ColourScale",
    "Figure",
    "Line",
    "Mark",
    "Panel",
    "Points",
    "Rule",
    "Text",
    "level",
    "series",
    "tick_text",
    "ticks",
]

Scale = Literal["linear", "log"]
Format = Literal["plain", "power", "engineering", "percent"]
Dash = Literal["solid", "dashed", "dotted"]
Symbol = Literal["dot", "ring", "cross", "up", "down"]


@dataclass(frozen=True)
class Colour:
    """A role of colour: member of a series, place on the panel's colour scale, accent, ink or muted."""

    role: Literal["series", "level", "accent", "ink", "muted"]
    value: float = 0.0  # index of the series, or value on the colour scale


ACCENT = Colour("accent")
INK = Colour("ink")
MUTED = Colour("muted")


def series(index: int) -> Colour:
    """Colour of the series of that index; equal indices look equal.

    >>> series(2)
    Colour(role='series', value=2)
    """
    return Colour("series", index)


def level(value: float) -> Colour:
    """Colour of a value on the panel's colour scale.

    >>> level(7e10).role
    'level'
    """
    return Colour("level", value)


@dataclass(frozen=True)
class Axis:
    """One axis: its label, its scale, how ticks are written, and limits where the data should not decide."""

    label: str
    scale: Scale = "linear"
    format: Format = "plain"
    limits: tuple[float, float] | None = None


@dataclass(frozen=True)
class ColourScale:
    """The sequential scale of a panel, shown as a colour bar; larger values are darker."""

    label: str
    low: float
    high: float
    scale: Scale = "log"
    format: Format = "plain"


@dataclass(frozen=True)
class Points:
    """Single points; with `levels` each point has its own place on the colour scale."""

    x: Floats
    y: Floats
    colour: Colour = INK
    levels: Floats | None = None
    symbol: Symbol = "dot"
    size: float = 4.5  # diameter, in points of 1/72 inch
    label: str = ""

    def __post_init__(self) -> None:
        _set_floats(self, "x", "y", *(() if self.levels is None else ("levels",)))


@dataclass(frozen=True)
class Line:
    """A polyline through points in the order given; its label stands at its right end."""

    x: Floats
    y: Floats
    colour: Colour = INK
    width: float = 1.6
    dash: Dash = "solid"
    label: str = ""

    def __post_init__(self) -> None:
        _set_floats(self, "x", "y")


@dataclass(frozen=True)
class Band:
    """The region between `low` and `high` along x; its label stands in the legend above the panel."""

    x: Floats
    low: Floats
    high: Floats
    colour: Colour = INK
    label: str = ""

    def __post_init__(self) -> None:
        _set_floats(self, "x", "low", "high")


@dataclass(frozen=True)
class Rule:
    """A straight line across the panel: at x = `at` (vertical, labelled at its top) or at y = `at` (at its right)."""

    at: float
    axis: Literal["x", "y"] = "y"
    colour: Colour = MUTED
    dash: Dash = "solid"
    label: str = ""


@dataclass(frozen=True)
class Text:
    """A short text in a corner of the panel."""

    text: str
    corner: Literal["top left", "top right", "bottom left", "bottom right"] = "top right"
    colour: Colour = MUTED


Mark = Points | Line | Band | Rule | Text


@dataclass(frozen=True)
class Panel:
    """One pair of axes and the marks on it, drawn in their order; `weight` is its share of the width."""

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...] = ()
    colours: ColourScale | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "marks", tuple(self.marks))


@dataclass(frozen=True)
class Figure:
    """A titled row of panels; below the title a flag (a warning nobody may miss) and a subtitle, at the foot a note.

    >>> line = Line([1, 10], [2, 1], label="fit")
    >>> figure = Figure("Loss", (Panel("", Axis("x", "log"), Axis("y"), (line,)),))
    >>> figure.to_dict()["panels"][0]["marks"][0]["mark"]
    'Line'
    """

    title: str
    panels: tuple[Panel, ...]
    subtitle: str = ""
    note: str = ""
    flag: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "panels", tuple(self.panels))
        if not self.panels:
            raise ValueError(f'figure "{self.title}" has no panels; give at least one')

    def to_dict(self) -> dict[str, Any]:
        """The whole figure as JSON values: each mark names its kind, numbers without a value are None."""
        return _plain(self)


def ticks(low: float, high: float, scale: Scale = "linear", count: int = 7) -> list[float]:
    """Round positions inside [low, high]: about `count` of them, and three at least where `count` allows.

    On a log axis they follow 1-2-3-5, 1-2-5, 1-3 or decades, the densest that fits; a short log axis takes linear steps.

    >>> ticks(1e8, 2e12, "log")
    [100000000.0, 1000000000.0, 10000000000.0, 100000000000.0, 1000000000000.0]
    >>> ticks(2.1, 3.4, "log")
    [2.2, 2.4, 2.6, 2.8, 3.0, 3.2, 3.4]
    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    >>> ticks(0.3, 0.98, "log")
    [0.3, 0.4, 0.5, 0.6, 0.8]
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"an axis from {low:g} to {high:g} has no ticks; give finite limits, low below high")
    if scale == "log":
        if low <= 0:
            raise ValueError(f"a log axis cannot start at {low:g}; give positive limits")
        if high > 3 * low:  # a shorter log axis is nearly linear and reads best with even steps
            return _log_ticks(low, high, count)
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    steps = [factor * power for factor in (0.5, 1, 2, 5, 10)]
    best = min(range(1, 5), key=lambda i: abs(math.log(steps[i] / raw)))
    found = _multiples(steps[best], low, high)
    # a step a little too large for a few ticks may leave two of them, from which nobody reads a scale
    return found if len(found) >= min(3, count) else _multiples(steps[best - 1], low, high)


def tick_text(value: float, format: Format = "plain") -> str:
    """Write one tick: plain 0.25, power 10^{9}, engineering 70B (K, M, B, T), percent +5%.

    >>> [tick_text(7e10, "engineering"), tick_text(1e21, "power"), tick_text(2e9, "power"), tick_text(-5, "percent")]
    ['70B', '10^{21}', '2×10^{9}', '−5%']
    """
    if format == "percent":
        return f"{'+' if value > 0 else ''}{_decimal(value)}%"
    if format == "engineering" and 1e3 <= abs(value) < 1e15:
        for size, suffix in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
            if abs(value) >= size * (1 - 1e-9):
                return f"{_decimal(value / size)}{suffix}"
    if value and (format == "power" or not 1e-4 <= abs(value) < 1e6):
        exponent = math.floor(math.log10(abs(value)) + 1e-9)
        mantissa = _decimal(value / 10.0**exponent)
        factor = {"1": "", "−1": "−"}.get(mantissa, f"{mantissa}×")
        return f"{factor}10^{{{str(exponent).replace('-', '−')}}}"
    return _decimal(value)


def _multiples(step: float, low: float, high: float) -> list[float]:
    return [_tidy(i * step) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))

    def inside(digits: tuple[float, ...]) -> list[float]:
        found = [_tidy(d * 10.0**e) for e in range(first, last + 1) for d in digits]
        return [value for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]

    denser = inside((1, 1.5, 2, 3, 4, 5, 6, 8))  # at least three of them within any factor of three
    for digits in ((1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        found = inside(digits)
        if len(found) < min(3, count):
            return denser[:: math.ceil(len(denser) / count)]
        if len(found) <= count:
            return found
        denser = found
    return denser[:: math.ceil(len(denser) / count)]  # so many decades that some must go without a tick


def _decimal(value: float) -> str:
    return f"{value:.6g}".replace("-", "−")


def _tidy(value: float) -> float:
    """The double nearest to the decimal that was meant: 0.6 and not 0.6000000000000001."""
    return float(f"{value:.12g}")


def _set_floats(mark: object, *names: str) -> None:
    lengths = {}
    for name in names:
        values = tuple(float(value) for value in getattr(mark, name))
        object.__setattr__(mark, name, values)
        lengths[name] = len(values)
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{type(mark).__name__} has unequal lengths {lengths}; give one value of each for every point")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = {"mark": type(value).__name__} if isinstance(value, Mark) else {}
        return kind | {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value
