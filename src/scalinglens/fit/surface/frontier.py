"""The compute-optimal frontier of a forecast, found twice: along sizes and along token counts at fixed compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import FitError
from scalinglens.fit.estimate import Estimate
from scalinglens.fit.fit import fit
from scalinglens.fit.forecast import Forecast
from scalinglens.fit.result import Fit
from scalinglens.numerics.bootstrap import percentile_interval
from scalinglens.quantities import format_number, format_quantity

__all__ = ["Frontier", "frontier"]

_LEAST = 4  # budgets from which on exponents are given
_TREND = 0.25  # share of a surface's region that may rise with size or data: of runs without a trend, half does


@dataclass(frozen=True, eq=False)
class Frontier:
    """Where the loss is least at fixed compute C = factor * params * tokens.

    Attributes:
        inputs: names of size and data, in this order.
        table: one row per budget: flops, the optimum found along sizes (params, tokens, loss) and along tokens
            (params_along_tokens, tokens_along_tokens, loss_along_tokens), and why it is clipped ("" where it is kept).
        a: exponent of the optimal size, params ~ C^a, from the search along sizes; None with too few budgets.
        b: exponent of the optimal tokens, tokens ~ C^b, from the search along tokens. a + b = 1 is a check, not imposed.
        gamma: exponent of the loss, loss = E + K C^-gamma.
        loss_fit: the certified fit of that curve, or None.
        lines: (mean ln compute of the budgets kept, ln size there, a, ln data there, b), or None with too few budgets.
        drawn: the same under each draw [draws, 4], without the first; NaN where a draw has too few budgets.
        disagreement: largest |ln params - ln params_along_tokens| of budgets that are kept.
        factor: of the compute, 6 for transformers.
        level: of the intervals.
        warnings: what a reader should know.
    """

    inputs: tuple[str, str]
    table: pd.DataFrame
    a: Estimate | None
    b: Estimate | None
    gamma: Estimate | None
    loss_fit: Fit | None
    lines: tuple[float, float, float, float, float] | None
    drawn: np.ndarray
    disagreement: float
    factor: float
    level: float
    warnings: tuple[str, ...]

    def to_frame(self) -> pd.DataFrame:
        """Return a copy of the table."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return the frontier as plain data."""
        each = lambda e: None if e is None else {"value": e.value, "low": e.low, "high": e.high}  # noqa: E731
        return {
            "schema": 1,
            "factor": self.factor,
            "exponents": {"a": each(self.a), "b": each(self.b), "gamma": each(self.gamma)},
            "disagreement": self.disagreement,
            "level": self.level,
            "rows": self.table.to_dict("records"),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        kept = self.table["flops"].to_numpy(dtype=float)[(self.table["clipped"] == "").to_numpy()]
        head = f"frontier over {len(kept)} of {len(self.table)} budgets"
        if len(kept):
            head += f" from {format_quantity(float(kept.min()))} to {format_quantity(float(kept.max()))}"
        lines = [head]
        size, data = self.inputs
        for name, says, estimate in (
            ("a", f"{size} ~ flops^a", self.a),
            ("b", f"{data} ~ flops^b", self.b),
            ("gamma", "loss - E ~ flops^-gamma", self.gamma),
        ):
            if estimate is not None:
                shown = format_number(estimate.value, estimate.low, estimate.high)
                ends = [
                    None if e is None else format_number(e, estimate.low, estimate.high)
                    for e in (estimate.low, estimate.high)
                ]
                interval = "" if None in ends else f"  {ends[0]} to {ends[1]} ({self.level:.0%})"
                lines.append(f"  {name:<5}  {shown}{interval}  {says}")
        return "\n".join(lines + [f"  ! {warning}" for warning in self.warnings])


def frontier(
    forecast: Forecast,
    *,
    budgets: np.ndarray | None = None,
    inputs: tuple[str, str] = ("params", "tokens"),
    count: int = 50,
    grid: int = 100,
    factor: float = 6.0,
    curve: bool = True,
) -> Frontier:
    """Find the compute-optimal size and data of a forecast, and the exponents they follow.

    loss_opt(C) = min over N of L(N, C/(factor N)), and again min over D of L(C/(factor D), D)

    Both searches run on grids in the logarithm between the smallest and largest run, the minimum is refined by the parabola
    through the best three points. A budget is clipped where an optimum is not at least one grid step inside the range of
    the runs on both axes, or, for a surface, outside their hull.

    Args:
        forecast: a `Surface` or `Fit` (or any `Forecast`) of loss over size and data.
        budgets: FLOPs [budgets]; by default `count` between those of the smallest and the largest runs.
        inputs: which inputs are size and data.
        count: of budgets, where they are not given.
        grid: points of each search.
        factor: FLOP per parameter and token.
        curve: whether the least losses get their own law E + K C^-gamma, which takes longer than the search.

    Returns:
        The `Frontier`. Exponents are log-linear regressions over the budgets that are kept; a and b come from different
        searches, so that a + b = 1 is a check. Intervals come from the draws of the forecast.

    Raises:
        FitError: the forecast is not one of these two inputs, or options are impossible.

    Cost: 2 count x grid predictions under every draw.

    Source: Barkeshli, Alfarano and Gromov 2026 (arXiv 2601.10684), method of their section on compute-optimal scaling;
        the clipping there is by hand.
    """
    if tuple(sorted(forecast.inputs)) != tuple(sorted(inputs)):
        raise FitError(
            f"a frontier needs a forecast over {' and '.join(inputs)}, this one is over {', '.join(forecast.inputs)}; name "
            "its size and data with inputs=(size, data)"
        )
    if count < _LEAST or grid < 10 or not factor > 0:
        raise FitError(f"count is {_LEAST} at least, grid 10, factor positive; got {count}, {grid}, {factor!r}")
    ends = {name: np.log([forecast.points[name].min(), forecast.points[name].max()]) for name in inputs}
    if budgets is None:
        low, high = (np.log(factor) + sum(ends[name][i] for name in inputs) for i in (0, 1))
        log_c = np.linspace(low, high, count)
    else:
        budgets = np.asarray(budgets, dtype=float)
        if budgets.ndim != 1 or not len(budgets) or not np.all(np.isfinite(budgets) & (budgets > 0)):
            raise FitError("budgets are positive finite FLOPs, one per row")
        log_c = np.log(budgets)

    searches = [_search(forecast, log_c, own, other, ends, grid, factor) for own, other in (inputs, inputs[::-1])]
    rises = {name: rise.share for name, rise in getattr(forecast, "rises", {}).items() if rise.share > _TREND}
    kept = searches[0].inside & searches[1].inside & (not rises)
    size, data = inputs
    (n1, d1, l1), (d2, n2, l2) = ((s.own[0], s.other[0], s.loss[0]) for s in searches)
    table = pd.DataFrame(
        {
            "flops": np.exp(log_c),
            size: np.exp(n1),
            data: np.exp(d1),
            forecast.target: l1,
            f"{size}_along_{data}": np.exp(n2),
            f"{data}_along_{data}": np.exp(d2),
            f"{forecast.target}_along_{data}": l2,
            "clipped": np.where(kept, "", "no trend" if rises else "the optimum is at the edge of the runs"),
        }
    )
    lines, drawn = _lines(searches, log_c, kept)
    a, b = (_exponent(lines, drawn, k, forecast.level) for k in (2, 4))
    loss_fit, gamma = None, None
    if curve:
        loss_fit, gamma = _loss_curve(np.exp(log_c[kept]), searches[0].loss[:, kept], forecast.level)
    disagreement = float(np.max(np.abs(n1 - n2)[kept])) if kept.any() else float("nan")
    return Frontier(
        inputs=inputs,
        table=table,
        a=a,
        b=b,
        gamma=gamma,
        loss_fit=loss_fit,
        lines=lines,
        drawn=drawn,
        disagreement=disagreement,
        factor=factor,
        level=forecast.level,
        warnings=_warnings(forecast, int(kept.sum()), len(kept), disagreement, loss_fit, rises),
    )


@dataclass(frozen=True)
class _Search:
    """Optima along one axis [1 + draws, budgets]: the forecast itself, then its draws; NaN where there is none."""

    own: np.ndarray
    other: np.ndarray
    loss: np.ndarray
    inside: np.ndarray  # [budgets] of the forecast itself


def _search(
    forecast: Forecast, log_c: np.ndarray, own: str, other: str, ends: dict[str, np.ndarray], grid: int, factor: float
) -> _Search:
    x = np.linspace(float(ends[own][0]), float(ends[own][1]), grid)
    step = x[1] - x[0]
    y = log_c[:, None] - np.log(factor) - x  # [budgets, grid]
    margin = (ends[other][1] - ends[other][0]) / (grid - 1)
    allowed = (y >= ends[other][0] - 1e-9) & (y <= ends[other][1] + 1e-9)
    rows, columns = np.nonzero(allowed)
    points = {own: np.exp(x[columns]), other: np.exp(y[rows, columns])}
    if not len(rows):
        nothing = np.full((1, len(log_c)), np.nan)
        return _Search(nothing, nothing, nothing, np.zeros(len(log_c), dtype=bool))
    drawn = forecast.sample(points)
    values = np.concatenate([forecast.predict(points, noise=False)[forecast.target].to_numpy()[None], drawn])
    region = getattr(forecast, "region", None)
    if region is not None:
        order = (own, other) if forecast.inputs[0] == own else (other, own)
        within = region.inside(np.log(np.stack([points[name] for name in order], axis=1)))
        values = np.where(within, values, np.nan)
    loss = np.full((len(values), *y.shape), np.inf)
    loss[:, rows, columns] = np.where(np.isfinite(values), values, np.inf)
    best = loss.argmin(axis=2)
    middle = np.clip(best, 1, grid - 2)
    three = np.take_along_axis(loss, middle[..., None] + np.arange(-1, 2), axis=2)
    interior = (best == middle) & np.isfinite(three).all(axis=2)
    left, centre, right = np.moveaxis(np.where(interior[..., None], three, 0.0), 2, 0)
    bend = left - 2 * centre + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1.0), 0.0)
    found = np.where(interior, x[middle] + shift * step, np.nan)
    least = np.where(interior, centre - 0.25 * (left - right) * shift, np.nan)
    partner = log_c - np.log(factor) - found
    with np.errstate(invalid="ignore"):
        clear = (partner >= ends[other][0] + margin) & (partner <= ends[other][1] - margin)
    return _Search(np.where(clear, found, np.nan), partner, least, (interior & clear)[0])


def _lines(
    searches: list[_Search], log_c: np.ndarray, kept: np.ndarray
) -> tuple[tuple[float, float, float, float, float] | None, np.ndarray]:
    """Lines of ln size and of ln data over ln C, each from its own search, and the same under every draw [draws, 4]."""
    if kept.sum() < _LEAST:
        return None, np.empty((0, 4))
    middle = float(log_c[kept].mean())
    parts = []
    for search in searches:
        y = np.where(kept, search.own, np.nan)
        good = np.isfinite(y)
        count = good.sum(axis=1)
        c = np.where(good, log_c - middle, 0.0)
        with np.errstate(all="ignore"):
            centre = c.sum(axis=1) / count
            c = np.where(good, c - centre[:, None], 0.0)
            slope = np.sum(c * np.where(good, y, 0.0), axis=1) / np.sum(c**2, axis=1)
            value = np.where(good, y, 0.0).sum(axis=1) / count - slope * centre
        found = np.stack([value, slope], axis=1)
        found[count < _LEAST] = np.nan
        parts.append(found)
    whole = np.concatenate(parts, axis=1)
    n, a, d, b = (float(v) for v in whole[0])
    return (middle, n, a, d, b), whole[1:]


def _exponent(lines: tuple[float, ...] | None, drawn: np.ndarray, k: int, level: float) -> Estimate | None:
    """The exponent of the optimum in C, with the interval of the draws."""
    if lines is None:
        return None
    slopes = drawn[np.isfinite(drawn[:, k - 1]), k - 1]
    if len(slopes) + 1 < 2 / (1 - level):
        return Estimate(lines[k])
    low, high = percentile_interval(slopes, level)
    return Estimate(lines[k], float(low), float(high), level, "percentile")


def _loss_curve(flops: np.ndarray, loss: np.ndarray, level: float) -> tuple[Fit | None, Estimate | None]:
    """Fit E + K C^-gamma to the least losses, and again to those of each draw."""
    if len(flops) < _LEAST:
        return None, None

    def fitted(values: np.ndarray) -> Fit:
        good = np.isfinite(values)
        runs = {"flops": flops[good], "loss": values[good]}
        return fit(runs, "E + K/flops^gamma", loss="squares")

    found = fitted(loss[0])
    if found.status != "certified":
        return found, None
    drawn = [fitted(values) for values in loss[1:] if np.isfinite(values).sum() >= _LEAST]
    gammas = np.array([one.values["gamma"] for one in drawn if one.status == "certified"])
    value = found.values["gamma"]
    if len(gammas) < max(2 / (1 - level), 0.9 * len(drawn)):
        return found, Estimate(value)
    low, high = percentile_interval(gammas, level)
    return found, Estimate(value, float(low), float(high), level, "percentile")


def _warnings(
    forecast: Forecast,
    kept: int,
    count: int,
    disagreement: float,
    loss_fit: Fit | None,
    rises: dict[str, float],
) -> tuple[str, ...]:
    found = []
    if forecast.status != "certified":
        found.append(f"the forecast is {forecast.status}")
    if rises:
        shares = " and ".join(f"with {name} in {share:.0%}" for name, share in rises.items())
        found.append(
            f"{forecast.target} rises {shares} of the region: the runs show no trend, so no exponents are given"
        )
    elif kept < _LEAST:
        found.append(
            f"only {kept} of {count} budgets have their optimum inside the runs, so no exponents are given: add runs on both "
            "sides of the optimum"
        )
    elif disagreement > 0.1:
        found.append(f"the two searches disagree by up to {disagreement:.0%} in size")
    if loss_fit is not None and loss_fit.status != "certified":
        found.append(f"gamma is not given, because its curve is {loss_fit.status}: the budgets do not show the floor")
    return tuple(found)
