"""The picture of a comparison: what the best law forecast, and how the error of every law grows with the reach."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from scalinglens.figures.figure import ACCENT, INK, MUTED, Axis, Band, Figure, Line, Mark, Panel, Points, Rule, series
from scalinglens.fit.compare.text import percent

if TYPE_CHECKING:
    from scalinglens.fit.compare.comparison import Comparison

__all__ = ["compare_figure"]

CURVES = 6  # forecasters in the right panel, the best first
BINS = 5  # of equal count along the reach, at most
PER_BIN = 4  # runs that make a bin worth a point
MOST_BARS = 400  # intervals drawn one by one; beyond that they would be a blot
FLOOR = 1e-4  # smallest mean error shown on the logarithmic axis, as a share of the largest


def compare_figure(found: Comparison) -> Figure:
    """Show a comparison: observed relative to forecast of the best law on the left, mean errors of all on the right.

    Left: each held-out run stands at its reach (how many times larger than the largest run of the fit) with the interval of
    its forecast as a bar around zero error; runs outside their bar are rings. Right: mean error against reach, one curve per
    forecaster.

    Cost: a sort of the forecasts.
    """
    best = found.scores[found.best]
    origins = f"{len(found.folds)} origins" if len(found.folds) > 1 else "one origin"
    held = (
        "" if math.isnan(best["coverage"]) else f", {best['coverage']:.0%} of runs in their {found.level:.0%} interval"
    )
    return Figure(
        title=f"{found.best} forecasts {found.target} best" if len(found.laws) > 1 else f"{found.best}: {found.target}",
        panels=(_best_panel(found), _all_panel(found)),
        subtitle=f"hold-out {found.holdout}, {origins}, {best['runs']} runs, average error {percent(best['are'])}{held}",
        note=" ".join(found.verdict[1:3]),
    )


def _best_panel(found: Comparison) -> Panel:
    part = found.forecasts(found.best)
    ratio = bool(np.all(part["observed"] > 0) and np.all(part["predicted"] > 0))
    x, label = _reach(found, part)

    def relative(column: str) -> np.ndarray:
        if ratio:
            return 100.0 * (part[column] / part["predicted"] - 1.0)
        return part[column] - part["predicted"]

    missed, low, high = relative("observed"), relative("low"), relative("high")
    has = np.isfinite(low) & np.isfinite(high)
    outside = has & ((missed < low) | (missed > high))
    marks: list[Mark] = [Rule(0.0, "y", MUTED)]
    if has.any() and has.sum() <= MOST_BARS:
        for k in np.flatnonzero(has):
            marks.append(Line((x[k], x[k]), (low[k], high[k]), MUTED, 0.7))
    elif has.any():
        order = np.flatnonzero(has)[np.argsort(x[has], kind="stable")]
        marks.append(Band(x[order], low[order], high[order], MUTED, f"{found.level:.0%} interval"))
    marks.append(Points(x[~outside], missed[~outside], series(0), size=4.6))
    if outside.any():
        label_ = f"{int(outside.sum())} outside their {found.level:.0%} interval"
        marks.append(Points(x[outside], missed[outside], ACCENT, symbol="ring", size=6.5, label=label_))
    seen = np.concatenate([missed, low[has], high[has]])
    seen = seen[np.isfinite(seen)]
    air = 0.05 * float(np.ptp(seen)) or 1.0
    return Panel(
        "Best law, run by run",
        Axis(label, "log" if x.min() > 0 else "linear"),
        Axis(
            f"observed {'relative to' if ratio else 'minus'} forecast {found.target}",
            "linear",
            "percent" if ratio else "plain",
            (float(seen.min()) - air, float(seen.max()) + air),
        ),
        tuple(marks),
        weight=1.1,
    )


def _all_panel(found: Comparison) -> Panel:
    names = [name for name in list(found.scores)[: CURVES - 1] if found.scores[name]["runs"]]
    best_free = next((name for name, row in found.scores.items() if row["kind"] == "baseline" and row["runs"]), None)
    if best_free is not None and best_free not in names:
        names.append(best_free)
    relative = bool(np.all(found.predictions["observed"].to_numpy() != 0))
    curves: list[tuple[str, np.ndarray, np.ndarray]] = []
    label = ""
    for name in names:
        part = found.forecasts(name)
        x, label = _reach(found, part)
        size = np.abs(part["predicted"] - part["observed"])
        if relative:
            size = 100.0 * size / np.abs(part["observed"])
        curves.append((name, *_binned(x, size)))
    largest = max(float(y.max()) for _, _, y in curves)
    marks: list[Mark] = []
    for k, (name, x, y) in enumerate(curves):
        free = found.scores[name]["kind"] == "baseline"
        colour = ACCENT if name == found.best else INK if free else series(k)
        y = np.maximum(y, FLOOR * largest if largest > 0 else FLOOR)
        text = name if len(name) <= 28 else name[:25].rstrip() + "..."
        if len(x) > 1:
            marks.append(Line(x, y, colour, 1.8 if name == found.best else 1.4, "dashed" if free else "solid", text))
            marks.append(Points(x, y, colour, size=3.6))
        else:
            marks.append(Points(x, y, colour, size=6.0, label=text))
    positive = all(float(x.min()) > 0 for _, x, _ in curves)
    return Panel(
        "Mean error of every forecaster",
        Axis(label, "log" if positive else "linear"),
        Axis(f"mean error of forecast {found.target}{' (%)' if relative else ''}", "log"),
        tuple(marks),
    )


def _reach(found: Comparison, part: Mapping[str, np.ndarray]) -> tuple[np.ndarray, str]:
    """Horizontal places of forecasts and what they are: the reach, or the observed value where no size is known."""
    extent = found.folds[-1].extent
    if extent:
        return part["ahead"], f"{extent} relative to the largest run of the fit"
    return part["observed"], f"observed {found.target}"


def _binned(x: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of groups of neighbours along x: centre and mean error of each."""
    order = np.argsort(x, kind="stable")
    count = max(1, min(BINS, len(x) // PER_BIN))
    groups = np.array_split(order, count)
    centre = [float(np.exp(np.mean(np.log(x[g]))) if x[g].min() > 0 else np.mean(x[g])) for g in groups]
    return np.array(centre), np.array([float(np.mean(size[g])) for g in groups])
