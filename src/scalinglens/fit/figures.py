"""The picture of a fit: what was measured, what the law says, how far it can be trusted, what it missed.

Built on the public face of a fit alone, so a law typed a minute ago gets the same picture as a published one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from scalinglens.figures.figure import (
    ACCENT,
    INK,
    MUTED,
    Axis,
    Band,
    ColourScale,
    Figure,
    Format,
    Line,
    Mark,
    Panel,
    Points,
    Rule,
    level,
    series,
    tick_text,
)
from scalinglens.figures.typeset import powers, typeset
from scalinglens.laws.law import Law
from scalinglens.laws.render import equation
from scalinglens.laws.ties import tie_names
from scalinglens.quantities import format_number

__all__ = ["fit_figure", "law_text"]

CURVES = 6  # representative curves when there are more than EXACT distinct values
EXACT = 8
REACH = 10.0  # how far beyond the data the law is shown
OUTLIER = 4.0  # robust standard deviations
FAR = 12.0  # robust standard deviations; farther residuals stand at the edge, unless they are more than
MANY = 0.25  # of all, and then they are no outliers
LONG = 160  # characters of a title that may be cut; the numbers then stand in the note
NODES = 80  # points of a curve

FLAGS = {
    "at_bound": "At a bound: a parameter stands at the edge of its domain",
    "not_identified": "Not identified: the data do not determine every parameter, do not extrapolate",
    "not_converged": "Not converged: no optimum was found, the curve is not a fit",
}


def fit_figure(fit: Any, *, level: float | None = None) -> Figure:
    """Show a fit: data with fitted curves and their extrapolation on the left, residuals on the right.

    One input: a curve with its band. Two inputs: loss against one of them (the other than `params`, else the one of
    wider range), one curve for each value of the other, which is the colour; the curve of its largest value goes on to
    ten times the data. Three and more: predicted against observed.

    Args:
        fit: a `Fit`; an empty `fit.draws` gives curves without a band.
        level: probability of the interval shown, by default that of the fit.

    Returns:
        A `Figure`; draw it with `figures.matplotlib.draw`.

    Cost: two calls of `fit.predict` with at most 720 points.
    """
    inputs = tuple(fit.law.inputs)
    probability = float(fit.level if level is None else level)
    if len(inputs) == 1:
        main = _one_input(fit, inputs[0], probability)
    elif len(inputs) == 2 and "schedule" not in inputs:
        main = _two_inputs(fit, *_horizontal_first(fit.points, inputs), probability)
    else:
        main = _predicted_observed(fit, tuple(name for name in inputs if name != "schedule"))
    title = law_text(fit)
    return Figure(
        title=title,
        panels=(main, _residuals(fit, main)),
        subtitle=_subtitle(fit, probability),
        note=_note(fit, probability, title),
        flag=FLAGS.get(fit.status, ""),
    )


def law_text(fit: Any) -> str:
    """Return the law with its numbers in it, superscripts marked as ^{...}: loss = 1.82 + 482 / params^{0.348}.

    A derived parameter is shown by its value; so are ties.
    """
    numbers = {name: _shown(fit, name) for name in fit.parameters}
    values = {name: estimate.value for name, estimate in fit.parameters.items()}
    for name, text in fit.law.derived.items():
        if tie_names(text):
            defined = Law(name, text)
            values[name] = float(defined.value({of: values[of] for of in defined.parameters}, {}))
        else:  # a constant, such as a coefficient that is one by definition
            values[name] = float(text)
        numbers[name] = numbers.get(text, f"{values[name]:.4g}")
    return f"{'0' if fit.law.between else fit.target} = {typeset(equation(fit.law.formula, numbers))}"


def _one_input(fit: Any, name: str, probability: float) -> Panel:
    x = fit.points[name]
    axis = _axis(fit, name)
    inside, beyond = _stretch(x, axis.scale)
    where = np.concatenate([inside, beyond[1:]])
    loss, low, high = _predict(fit, {name: where}, probability)
    marks: list[Mark] = []
    if low is not None and high is not None:
        marks.append(Band(where, low, high, ACCENT, f"{probability:.0%} interval"))
    marks += [
        Line(where[: len(inside)], loss[: len(inside)], ACCENT, 1.8),
        Line(where[len(inside) - 1 :], loss[len(inside) - 1 :], ACCENT, 1.6, "dashed"),
        Rule(float(x.max()), "x", MUTED, "dotted", "beyond the data"),
        Points(x, fit.observed, series(0), size=5),
    ]
    seen = np.concatenate([fit.observed, loss, *([] if low is None else [low])])
    return Panel("Data and law", axis, _loss_axis(fit, seen), tuple(marks), weight=1.12)


def _two_inputs(fit: Any, name: str, other: str, probability: float) -> Panel:
    x, colour_by = fit.points[name], fit.points[other]
    axis = _axis(fit, name)
    sizes = _representatives(colour_by)
    inside, beyond = _stretch(x, axis.scale)
    grid = np.tile(inside, len(sizes))
    loss, _, _ = _predict(fit, {name: grid, other: np.repeat(sizes, len(inside))}, None)
    curves = loss.reshape(len(sizes), -1)
    ahead, low, high = _predict(fit, {name: beyond, other: np.full(len(beyond), sizes[-1])}, probability)

    scale = _colour_scale(fit, other)
    tint = _tint(scale)
    marks: list[Mark] = []
    beyond_text = "beyond the data"
    if low is not None and high is not None:
        marks.append(Band(beyond, low, high, tint(sizes[-1])))
        beyond_text += f", {probability:.0%} interval"
    marks.append(Rule(float(x.max()), "x", MUTED, "dotted", beyond_text))
    points = Points(x, fit.observed, levels=colour_by if scale else None, size=4.6)
    for size, curve in zip(sizes, curves, strict=True):
        text = tick_text(float(f"{size:.2g}" if size >= 1e4 else f"{size:.4g}"), _format(colour_by))
        last = size == sizes[-1]
        marks.append(Line(inside, curve, tint(size), 1.4, label="" if last else text))
        if last:
            marks.append(Line(beyond, ahead, tint(size), 1.4, "dashed", text))
    marks.append(points)
    # curves may leave the panel at the left: the data and the extrapolation decide what is seen
    seen = np.concatenate([fit.observed, ahead, *([] if low is None else [low])])
    return Panel("Data and law", axis, _loss_axis(fit, seen), tuple(marks), scale, weight=1.12)


def _predicted_observed(fit: Any, inputs: tuple[str, ...]) -> Panel:
    predicted = _predicted(fit)
    by = "params" if "params" in inputs else max(inputs, key=lambda name: _log_range(fit.points[name]))
    scale = _colour_scale(fit, by)
    both = np.concatenate([predicted, fit.observed])
    ends = (float(both.min()), float(both.max()))
    axis = _loss_axis(fit, both)
    marks: tuple[Mark, ...] = (
        Line(ends, ends, MUTED, 1.0),
        Points(predicted, fit.observed, INK, fit.points[by] if scale else None, size=4.6),
    )
    return Panel(
        "Data and law",
        Axis(f"predicted {axis.label}", axis.scale, axis.format, axis.limits),
        Axis(f"observed {axis.label}", axis.scale, axis.format, axis.limits),
        marks,
        scale,
    )


def _residuals(fit: Any, main: Panel) -> Panel:
    predicted = _predicted(fit)
    missed = 100.0 * np.expm1(-fit.residuals) if fit.ratios else -fit.residuals
    unit = "%" if fit.ratios else ""
    axis_format: Format = "percent" if fit.ratios else "plain"
    spread = 1.4826 * float(np.median(np.abs(missed)))
    low, high, off = _residual_limits(missed, spread, -100.0 if fit.ratios else -np.inf)
    odd = ~off & (np.abs(missed) > OUTLIER * spread) & (spread > 0)
    levels = next((mark.levels for mark in main.marks if isinstance(mark, Points)), None)
    colour = next((mark.colour for mark in main.marks if isinstance(mark, Points)), INK)
    axis = _loss_axis(fit, predicted)
    marks: list[Mark] = [Rule(0.0, "y", MUTED)]
    if spread > 0:
        ends = axis.limits or (float(predicted.min()), float(predicted.max()))
        label = f"±1 robust sd, {spread:.2g}{unit}"
        marks.append(Band(ends, (-spread, -spread), (spread, spread), MUTED, label))
    inside = None if levels is None else np.asarray(levels)[~off]
    marks.append(Points(predicted[~off], missed[~off], colour, inside, size=4.6))
    if odd.any():
        label = f"{int(odd.sum())} beyond {OUTLIER:g} sd"
        marks.append(Points(predicted[odd], missed[odd], ACCENT, symbol="ring", size=7.5, label=label))
    for side in (1.0, -1.0):
        beyond = off & (side * missed > 0)
        if beyond.any():
            farthest = tick_text(float(f"{side * np.max(side * missed[beyond]):.2g}"), axis_format)
            place = np.full(int(beyond.sum()), (high if side > 0 else low) - 0.02 * side * (high - low))
            label = f"{int(beyond.sum())} off axis, to {farthest}"
            symbol = "up" if side > 0 else "down"
            marks.append(Points(predicted[beyond], place, ACCENT, symbol=symbol, size=6.0, label=label))
    return Panel(
        "Residuals",
        Axis(f"predicted {axis.label}", axis.scale, axis.format, axis.limits),
        Axis(
            f"observed {'relative to' if unit else 'minus'} predicted {fit.target}",
            "linear",
            axis_format,
            (low, high),
        ),
        tuple(marks),
        main.colours,
        weight=0.88,
    )


def _residual_limits(missed: np.ndarray, spread: float, floor: float) -> tuple[float, float, np.ndarray]:
    """Limits that show the bulk, never below `floor`, and which residuals are so far out that they stand at the edge."""
    off = (np.abs(missed) > FAR * spread) & (spread > 0)
    if off.mean() > MANY:
        off = np.zeros(missed.shape, dtype=bool)
    room = max(1.5 * spread, 1e-9)
    low, high = min(float(missed[~off].min()), -room), max(float(missed[~off].max()), room)
    air = 0.07 * (high - low)
    return max(low - air, floor), high + air, off


def _subtitle(fit: Any, probability: float) -> str:
    runs = f"{len(fit.observed)} runs"
    name = "" if fit.law.name == fit.law.formula or " " in fit.law.name else f"{fit.law.name}, "
    draws = int(np.isfinite(fit.draws).all(axis=1).sum()) if len(fit.draws) else 0  # a failed refit is a row of NaN
    profile = fit.interval_method == "profile"
    if fit.refusal and (draws or profile):
        band = "intervals refused"
    elif profile:
        band = f"{fit.level:.0%} profile likelihood intervals"
    elif draws:
        method = {"bca": "BCa"}.get(fit.interval_method, fit.interval_method)
        band = f"{probability:.0%} {method} intervals from {draws:,} draws"
    else:
        band = "no intervals: every refit failed" if len(fit.draws) else "no intervals were asked for"
    return f"{name}{fit.status.replace('_', ' ')}, {runs}, {band}"


def _note(fit: Any, probability: float, title: str) -> str:
    """Parameters with their intervals; where the title may be cut, those without one too."""
    # a profile interval has the level it was made with, and the subtitle says that level
    level = None if fit.interval_method == "profile" else probability
    pieces = []
    for name in fit.parameters:
        estimate = fit.interval(name, level)
        low, high = _finite(estimate.low), _finite(estimate.high)
        if (low is not None or high is not None) and not _vanished(fit, name):
            ends = ["open" if end is None else _end(end, low, high) for end in (low, high)]
            pieces.append(f"{name} {powers(_shown(fit, name))} ({ends[0]} to {ends[1]})")
        elif len(title) > LONG:
            pieces.append(f"{name} {powers(_shown(fit, name))}")
    return ",  ".join(pieces).replace("-", "−")


def _shown(fit: Any, name: str) -> str:
    """The value of a parameter at the digits its interval deserves; plain text, 1.5e9."""
    estimate = fit.parameters[name]
    if _vanished(fit, name):
        return "0"
    low, high = _finite(estimate.low), _finite(estimate.high)
    return f"{estimate.value:.4g}" if low is None or high is None else format_number(estimate.value, low, high)


def _end(end: float, low: float | None, high: float | None) -> str:
    # 1e-11 of an interval that goes up to 1 is where a search for zero stopped
    reach = max(abs(low or 0.0), abs(high or 0.0))
    return "0" if abs(end) < 1e-9 * reach else powers(format_number(end, low, high))


def _vanished(fit: Any, name: str) -> bool:
    """Whether a parameter went to zero: its last value, 1e-19 or so, is where the search stopped."""
    return fit.certificate.bounds.get(name) == 0.0


def _finite(end: float | None) -> float | None:
    return None if end is None or not np.isfinite(end) else float(end)


def _predict(
    fit: Any, points: Mapping[str, np.ndarray], probability: float | None
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    level = fit.level if probability is None else probability
    frame = fit.predict(points, level=level, noise=False)
    output = next(name for name in frame.columns if name not in (*points, "low", "high"))
    loss = np.asarray(frame[output], dtype=float)
    if probability is None or not len(fit.draws) or not {"low", "high"} <= set(frame.columns):
        return loss, None, None
    low, high = np.asarray(frame["low"], dtype=float), np.asarray(frame["high"], dtype=float)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        return loss, None, None
    return loss, low, high


def _predicted(fit: Any) -> np.ndarray:
    return np.exp(fit.residuals) * fit.observed if fit.ratios else fit.residuals + fit.observed


def _horizontal_first(points: Mapping[str, np.ndarray], inputs: tuple[str, ...]) -> tuple[str, str]:
    """The horizontal input and the colour input: model size is the colour wherever it is an input."""
    first, second = inputs
    for size, rest in ((first, second), (second, first)):
        if size.startswith("params") and not rest.startswith("params"):
            return rest, size
    return (first, second) if _log_range(points[first]) >= _log_range(points[second]) else (second, first)


def _log_range(values: np.ndarray) -> float:
    return float(np.log(values.max() / values.min())) if values.min() > 0 else 0.0


def _representatives(values: np.ndarray) -> np.ndarray:
    """All distinct values if they are few, else about six of them, evenly spread in logs, the ends included."""
    distinct = np.unique(values)
    if len(distinct) <= EXACT:
        return distinct
    place = np.log(distinct) if distinct[0] > 0 else distinct
    wanted = np.linspace(place[0], place[-1], CURVES)
    return distinct[np.unique([int(np.argmin(np.abs(place - want))) for want in wanted])]


def _stretch(x: np.ndarray, scale: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions of a curve over the data, and from their end to ten times as far (linear: half their range further)."""
    low, high = float(x.min()), float(x.max())
    if scale == "log":
        return np.geomspace(low, high, NODES), np.geomspace(high, REACH * high, NODES // 2)
    return np.linspace(low, high, NODES), np.linspace(high, high + 0.5 * ((high - low) or 1.0), NODES // 2)


def _axis(fit: Any, name: str) -> Axis:
    values = fit.points[name]
    return Axis(_label(fit, name), "log" if values.min() > 0 else "linear", _format(values))


def _loss_axis(fit: Any, values: np.ndarray) -> Axis:
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    if low > 0:
        air = max(0.05 * np.log(high / low), 0.002)
        return Axis(_label(fit, fit.target), "log", limits=(float(low * np.exp(-air)), float(high * np.exp(air))))
    air = 0.05 * (high - low) or 0.5
    return Axis(_label(fit, fit.target), limits=(low - air, high + air))


def _label(fit: Any, name: str) -> str:
    # a column says where it comes from and ends with its unit: "loss <- column 'Loss' [nats/token]"
    found = re.search(r"\[([^\[\]]+)\]$", fit.table.get("columns", {}).get(name, ""))
    unit = found.group(1) if found else ""
    said = unit.lower().startswith(name[:4])  # "tokens (tokens)" and "params (parameters)" say it twice
    return f"{name} ({unit})" if unit and not said else name


def _format(values: np.ndarray) -> Format:
    largest = float(np.max(np.abs(values)))
    return "power" if largest >= 1e15 else "engineering" if largest >= 1e3 else "plain"


def _colour_scale(fit: Any, name: str) -> ColourScale | None:
    values = fit.points[name]
    low, high = float(values.min()), float(values.max())
    if low == high:
        return None
    return ColourScale(name, low, high, "log" if low > 0 else "linear", _format(values))


def _tint(scale: ColourScale | None) -> Any:
    return level if scale else (lambda _: INK)
