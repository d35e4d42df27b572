"""How good a forecast was: errors of its values, honesty of its intervals, and what its fit would have said by itself.

| score | of values y, forecasts p, intervals [l, h] of probability q | best |
|---|---|---|
| error | mean abs(ln p - ln y); mean abs(p - y) where some y are not positive | 0 |
| are | mean abs(p/y - 1) | 0 |
| rmsle | sqrt(mean (ln p - ln y)^2) | 0 |
| r2 | 1 - sum (p - y)^2 / sum (y - mean y)^2 | 1 |
| coverage | share of l <= y <= h | q |
| width | mean (h - l), in units of y | small |
| interval_score | mean (h - l) + 2/(1-q) (max(l - y, 0) + max(y - h, 0)) | small |

A score that does not exist (one row has no R2, a forecast without intervals no coverage) is NaN.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scalinglens.fit.forecast import Forecast
from scalinglens.fit.result import Fit

__all__ = ["SCORES", "aicc", "errors", "score"]

SCORES: tuple[str, ...] = ("error", "are", "rmsle", "r2", "coverage", "width", "interval_score")


def errors(observed: np.ndarray, predicted: np.ndarray, logs: bool) -> np.ndarray:
    """Return the size of each forecast's error [n]: abs(ln p - ln y), or abs(p - y) without `logs`.

    A forecast of zero or less of a positive quantity is infinitely wrong in logarithms.

    >>> errors(np.array([1.0, 2.0]), np.array([np.e, -1.0]), logs=True)
    array([ 1., inf])
    """
    if not logs:
        return np.abs(predicted - observed)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(predicted > 0, np.abs(np.log(predicted) - np.log(observed)), np.inf)


def score(
    observed: np.ndarray, predicted: np.ndarray, low: np.ndarray, high: np.ndarray, *, level: float, logs: bool
) -> dict[str, float]:
    """Return the scores of the table above, by name.

    Args:
        observed, predicted: values and forecasts [n]; low, high: ends of the intervals [n], NaN without one.
        level: probability of the intervals.
        logs: whether every value that is forecast anywhere is positive, so that errors are those of logarithms.

    Cost: a few passes over the rows.

    Source: interval score of Gneiting and Raftery 2007 (J. Amer. Statist. Assoc. 102, eq. 43).

    >>> y = np.array([1.0, 2.0])
    >>> found = score(y, 1.1 * y, 0.9 * y, 1.2 * y, level=0.9, logs=True)
    >>> round(found["are"], 6), round(found["rmsle"], 6), found["coverage"], round(found["width"], 6)
    (0.1, 0.09531, 1.0, 0.45)
    """
    found: dict[str, float] = dict.fromkeys(SCORES, math.nan)
    if not len(observed):
        return found
    sizes = errors(observed, predicted, logs)
    found["error"] = float(np.mean(sizes))
    if np.all(observed != 0):
        found["are"] = float(np.mean(np.abs(predicted / observed - 1.0)))
    if logs:
        found["rmsle"] = float(np.sqrt(np.mean(sizes**2)))
    spread = float(np.sum((observed - observed.mean()) ** 2))
    if spread > 0:
        found["r2"] = 1.0 - float(np.sum((predicted - observed) ** 2)) / spread
    has = ~(np.isnan(low) | np.isnan(high))
    if has.any():
        y, l, h = observed[has], low[has], high[has]
        outside = np.maximum(l - y, 0.0) + np.maximum(y - h, 0.0)
        found["coverage"] = float(np.mean((l <= y) & (y <= h)))
        found["width"] = float(np.mean(h - l))
        found["interval_score"] = float(np.mean(h - l + 2.0 / (1.0 - level) * outside))
    return found


def aicc(forecast: Forecast | Any) -> float:
    """Return Akaike's criterion, corrected for few runs, of a fit on its own runs; NaN where it does not exist.

        AICc = -2 ln L + 2k + 2k(k+1)/(n-k-1)

    L is the Gaussian likelihood of the residuals of the fit (those of ln y wherever all is positive) with the scale at its
    optimum, as a density of y, so that fits in either space compare. k counts the free parameters and the scale. A fit that
    minimised another loss (Huber) has a larger AICc than squares would give. Pools and surfaces have no k and no AICc.

    Source: Hurvich and Tsai 1989, Biometrika 76.
    """
    if not isinstance(forecast, Fit):
        return math.nan
    residuals = np.asarray(forecast.residuals, dtype=float)
    n = len(residuals)
    k = len(set(forecast.law.parameters) - set(forecast.pinned)) + 1
    squares = float(np.mean(residuals**2))
    if n - k - 1 <= 0 or not (math.isfinite(squares) and squares > 0):
        return math.nan
    minus2 = n * (math.log(2 * math.pi * squares) + 1.0)
    if forecast.ratios:
        minus2 += 2.0 * float(np.sum(np.log(forecast.observed)))  # from ln y to y
    return minus2 + 2.0 * k + 2.0 * k * (k + 1) / (n - k - 1)
