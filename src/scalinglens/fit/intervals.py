"""Intervals of anything that is computed from the parameters of a fit, by each of the methods.

| method | ends |
|---|---|
| percentile | quantiles of the draws |
| bca | the same, corrected for bias and skewness (Efron 1987) |
| delta | estimate -+ t sqrt(g' V g), g the derivatives of the quantity, V the robust covariance; on the log of what is positive |
| profile | that of the parameters is in `fit/profile.py`; other quantities get delta |

The scale of the noise is itself an estimate: draws are spread about the estimate by the quantile of Student's t over that of
the normal, which matters below ten or twenty degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from scalinglens.fit.noise import Noise
from scalinglens.numerics.bootstrap import bca_interval, percentile_interval

__all__ = ["Method", "student_quantile"]

Quantity = Callable[[np.ndarray], np.ndarray]  # natural parameters [k, p] -> values [k, m]
Scatter = tuple[Noise, np.random.Generator, bool]  # of single runs; whether it multiplies


def student_quantile(level: float, freedom: float) -> float:
    """Return the half-width of a central interval of Student's t.

    >>> round(student_quantile(0.9, 10), 3), round(student_quantile(0.9, 1e9), 3)
    (1.812, 1.645)
    """
    return float(stdtrit(freedom, (1 + level) / 2))


@dataclass(frozen=True, eq=False)
class Method:
    """How a fit makes intervals.

    Attributes:
        name: "percentile", "bca", "delta" or "profile".
        draws: natural parameters [draws, p], NaN rows where a refit failed.
        left_out: leave-one-out parameters [groups, p], or None.
        covariance: of the coordinates [p, p], or None.
        in_logs: which coordinates are logarithms [p].
        rows, groups, free: numbers of runs, of independent groups of runs, of free parameters.
        absorbed: how many of the parameters the means of the groups determine.
    """

    name: str
    draws: np.ndarray
    left_out: np.ndarray | None
    covariance: np.ndarray | None
    in_logs: np.ndarray
    rows: int
    groups: int
    free: int
    absorbed: float

    @property
    def able(self) -> bool:
        """Whether there is anything to make an interval from."""
        return self.covariance is not None or len(self.draws) > 0

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the scale: runs, or groups, beyond the parameters that they determine."""
        return max(self.rows - self.free if self.groups == self.rows else self.groups - self.absorbed, 1.0)

    def widening(self, level: float) -> float:
        """Factor that spreads draws about the estimate."""
        return student_quantile(level, self.freedom) / float(ndtri((1 + level) / 2))

    def drawn(self, quantity: Quantity, best: np.ndarray, level: float) -> np.ndarray:
        """Return draws [draws, m] of a quantity, spread for few groups."""
        return _spread(quantity(self.draws), quantity(best[None])[0], self.widening(level))

    def interval(
        self, quantity: Quantity, best: np.ndarray, level: float, scatter: Scatter | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends [m], [m] of a quantity; NaN where there is nothing to make them from.

        Args:
            quantity: natural parameters [k, p] -> values [k, m].
            best: the estimated parameters [p].
            level: probability.
            scatter: of single runs, for the interval of a new run.
        """
        value = quantity(best[None])[0]
        if self.name in ("delta", "profile") and self.covariance is not None:
            return self._delta(quantity, best, value, level, scatter)
        drawn = _spread(quantity(self.draws), value, self.widening(level)) if len(self.draws) else np.empty((0, 1))
        if not np.any(np.isfinite(drawn)):
            return np.full(len(value), np.nan), np.full(len(value), np.nan)
        if scatter is not None:
            noise, rng, multiplies = scatter
            good = np.isfinite(drawn).all(axis=1)
            each = noise.sample(drawn[good], rng)
            drawn = drawn[good] * np.exp(each) if multiplies else drawn[good] + each
        elif self.name == "bca" and self.left_out is not None:
            return bca_interval(drawn, value, quantity(self.left_out), level)
        return percentile_interval(drawn, level)

    def _delta(
        self, quantity: Quantity, best: np.ndarray, value: np.ndarray, level: float, scatter: Scatter | None
    ) -> tuple[np.ndarray, np.ndarray]:
        assert self.covariance is not None
        step = 1e-3 * np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        moved = np.concatenate([_moved(best, self.in_logs, np.diag(step)), _moved(best, self.in_logs, -np.diag(step))])
        with np.errstate(all="ignore"):
            around = quantity(moved).reshape(2, len(best), -1)
            logs = (value > 0) & (around > 0).all(axis=(0, 1))
            around = np.where(logs, np.log(np.where(around > 0, around, 1.0)), around)
            slope = np.where(step[:, None] > 0, (around[0] - around[1]) / (2 * step[:, None]), 0.0)
        error = np.sqrt(np.maximum(np.einsum("im,ij,jm->m", slope, self.covariance, slope), 0.0))
        if scatter is not None:
            noise, _, multiplies = scatter
            sd = noise.at(value)
            # to relative or absolute units, whichever the error has
            sd = np.where(logs, sd if multiplies else sd / np.where(logs, value, 1.0), sd * value if multiplies else sd)
            error = np.hypot(error, sd)
        reach = student_quantile(level, self.freedom) * error
        with np.errstate(over="ignore"):
            low = np.where(logs, value * np.exp(-reach), value - reach)
            high = np.where(logs, value * np.exp(reach), value + reach)
        known = error > 0
        return np.where(known, low, np.nan), np.where(known, high, np.nan)


def _moved(best: np.ndarray, in_logs: np.ndarray, steps: np.ndarray) -> np.ndarray:
    return np.where(in_logs, best * np.exp(np.where(in_logs, steps, 0.0)), best + steps)


def _spread(drawn: np.ndarray, value: np.ndarray, factor: float) -> np.ndarray:
    """Move draws [draws, m] away from the estimate [m] by a factor, on the scale of logarithms for what is positive."""
    positive = (value > 0) & np.all((drawn > 0) | np.isnan(drawn), axis=0)
    with np.errstate(all="ignore"):
        ratio = np.where(positive, drawn / value, 1.0)
        return np.where(positive, value * ratio**factor, value + factor * (drawn - value))
