"""Whether the laws tried on a curve hold exactly, so that all its runs count alike, or only near its end.

A curve that follows a law but for noise is forecast best by that law fitted to all runs. Most do not, and what tells is the
order of the residuals: misfit changes slowly along the curve, noise does not. With r the correlation of neighbouring residuals of
the law with the least information criterion (AICc), n runs and p parameters,

    z = sqrt(n) (r + p/n),   ln odds of exact = ln(1/10) + z1^2/2 - z z1,   z1 = sqrt(n)/2,

which is a prior of one in ten times the likelihood ratio of r = 0 against r = 1/2; few runs decide nothing. Polynomials of
ln x that fit as well stand for the shapes that are not on the list and take their share of the probability. Residuals at the
level of rounding leave no doubt, and of the laws that reach it the one with fewest parameters is meant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Exactness", "exactness"]

PRIOR = 0.1  # that one of the laws holds exactly
STRUCTURE = 0.5  # correlation of neighbouring residuals where none does
ROUNDING = 1e-5  # of the range of ln y: residuals below this are zero
RIVALS = (2, 3)  # degrees of the polynomials
FEWEST = 6  # runs, unless residuals are zero


@dataclass(frozen=True, eq=False)
class Exactness:
    """The outcome of `exactness`.

    Attributes:
        probability: that one of the laws holds exactly.
        shares: of each law in that [laws], sum one, or all zero.
    """

    probability: float
    shares: np.ndarray


def exactness(residuals: np.ndarray, free: np.ndarray, t: np.ndarray, z: np.ndarray) -> Exactness:
    """Weigh whether laws hold exactly.

    Args:
        residuals: of ln y [laws, rows] of fits in which all rows count alike, in the order of x; NaN where one failed.
        free: parameters of each law [laws].
        t: ln x [rows].
        z: ln y [rows].

    Cost: two polynomial fits.

    >>> t = np.log(np.arange(1.0, 9.0))
    >>> found = exactness(np.stack([np.zeros(8), 1e-12 * np.cos(t)]), np.array([2, 3]), t, -0.5 * t)
    >>> found.probability, found.shares.round(1).tolist()
    (1.0, [1.0, 0.0])
    """
    rows = len(t)
    floor = (ROUNDING * max(float(np.ptp(z)), 1e-12)) ** 2
    nothing = Exactness(0.0, np.zeros(len(free)))
    squares = np.mean(residuals**2, axis=1)
    usable = np.isfinite(squares) & (rows - free - 2 > 0)
    if not usable.any():
        return nothing
    scores = np.where(usable, _criterion(squares + floor, free, rows), np.inf)
    best = int(np.argmin(scores))
    weights = np.exp(-0.5 * (scores - scores[best]))
    shares = weights / weights.sum()
    if squares[best] <= floor:
        return Exactness(1.0, shares)
    if rows < FEWEST:
        return nothing
    evidence = _log_odds(residuals[best], int(free[best]))
    rivals = np.array([_criterion(_polynomial(t, z, d) + floor, np.array(d + 1), rows) for d in RIVALS if rows > d + 3])
    others = float(np.sum(np.exp(np.clip(-0.5 * (rivals - scores[best]), -700.0, 700.0))))
    alone = float(weights.sum()) / (float(weights.sum()) + others)
    return Exactness(alone / (1.0 + np.exp(-np.clip(evidence, -700.0, 700.0))), shares)


def _criterion(squares: np.ndarray | float, free: np.ndarray, rows: int) -> np.ndarray:
    """AICc, with the scale of the noise among the parameters."""
    with np.errstate(all="ignore"):
        return rows * np.log(squares) + 2 * free + 2 * (free + 1) * (free + 2) / (rows - free - 2)


def _log_odds(residuals: np.ndarray, free: int) -> float:
    rows = len(residuals)
    centred = residuals - residuals.mean()
    r = float(np.sum(centred[1:] * centred[:-1]) / max(float(np.sum(centred**2)), 1e-300))
    found, expected = np.sqrt(rows) * (r + free / rows), np.sqrt(rows) * STRUCTURE
    return float(np.log(PRIOR) + 0.5 * expected**2 - found * expected)


def _polynomial(t: np.ndarray, z: np.ndarray, degree: int) -> float:
    """Mean square of what a polynomial of ln x leaves."""
    scaled = (t - t.mean()) / max(float(t.std()), 1e-300)
    basis = np.vander(scaled, degree + 1)
    return float(np.mean((z - basis @ np.linalg.lstsq(basis, z, rcond=None)[0]) ** 2))
