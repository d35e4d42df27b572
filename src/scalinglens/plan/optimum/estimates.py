"""`Estimates`: arrays of values with intervals, and how draws become their ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.fit.estimate import Estimate
from scalinglens.plan.source import Source

__all__ = ["Estimates", "between", "estimate_of", "quantiles", "value_interval", "widened"]

_BLOCK = 4_000_000  # numbers of one array of draws x points


@dataclass(frozen=True, eq=False)
class Estimates:
    """Values with their intervals, all [n]; an end is NaN where there is none, infinite where it is open.

    >>> Estimates.plain([1.0, 2.0]).at(1)
    Estimate(value=2.0, low=None, high=None, level=None, method='')
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float = 0.9

    @classmethod
    def plain(cls, value: Any) -> Estimates:
        """Values without intervals."""
        value = np.atleast_1d(np.asarray(value, dtype=float))
        return cls(value, np.full(value.shape, np.nan), np.full(value.shape, np.nan))

    def at(self, i: int) -> Estimate:
        """The `Estimate` number i; an end that is missing or open is None."""
        low, high = (float(a[i]) if np.isfinite(a[i]) else None for a in (self.low, self.high))
        if low is None and high is None:
            return Estimate(float(self.value[i]))
        return Estimate(float(self.value[i]), low, high, self.level, "percentile")

    def __len__(self) -> int:
        return len(self.value)


def quantiles(draws: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the central interval of draws [n, draws] along their last axis; NaN draws are left aside.

    The same as `numpy.nanquantile`, several times faster without NaN.

    >>> quantiles(np.arange(101.0)[None], 0.9)
    (array([5.]), array([95.]))
    """
    n, k = draws.shape
    if not k:
        return np.full(n, np.nan), np.full(n, np.nan)
    tails = ((1 - level) / 2, (1 + level) / 2)
    known = k - np.count_nonzero(np.isnan(draws), axis=1)
    place = np.outer(tails, np.maximum(known - 1, 0))
    index = place.astype(int)
    next_ = np.minimum(index + 1, np.maximum(known - 1, 0))
    # NaN come last in a sorted row, and then the places differ by row
    sorted_ = np.partition(draws, np.unique([index, next_]), axis=1) if (known == k).all() else np.sort(draws, axis=1)
    a, b = (np.take_along_axis(sorted_, i.T, axis=1).T for i in (index, next_))
    low, high = between(a, b, place - index)
    return low, high


def between(a: np.ndarray, b: np.ndarray, share: Any) -> np.ndarray:
    """a + share (b - a), also where both are infinite."""
    with np.errstate(invalid="ignore"):
        return np.where((share == 0) | (a == b), a, a + share * (b - a))


def widened(value: np.ndarray, end: np.ndarray, factor: float) -> np.ndarray:
    """Move ends away from their values by a factor, on the scale of logarithms where both are positive.

    A quantile of spread draws is the spread quantile, so this needs no draws.

    >>> widened(np.array([1.0]), np.array([2.0]), 2.0)
    array([4.])
    """
    if factor == 1.0:
        return end
    positive = (value > 0) & (end > 0)
    with np.errstate(all="ignore"):
        ratio = np.where(positive, end / value, 1.0)
        return np.where(positive, value * ratio**factor, value + factor * (end - value))


def estimate_of(value: float, draws: np.ndarray, level: float, widening: float = 1.0) -> Estimate:
    """Return a value with the interval of its draws [draws], spread about it; draws that are not finite are left aside.

    >>> estimate_of(0.5, np.linspace(0.4, 0.6, 101), 0.9).low
    0.41000000000000003
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return Estimate(value)
    low, high = quantiles(draws[None], level)
    at = np.array([value])
    return Estimate(
        value, float(widened(at, low, widening)[0]), float(widened(at, high, widening)[0]), level, "percentile"
    )


def value_interval(source: Source, columns: Mapping[str, Any], level: float) -> Estimates:
    """Return the target at points [n] with the interval of the law itself, without the scatter of single runs.

    Where an input is NaN, so is everything.

    Cost: draws x points evaluations of the law.
    """
    arrays = np.broadcast_arrays(np.zeros(1), *(np.asarray(columns[name], dtype=float) for name in source.inputs))
    shape, columns = arrays[0].shape, dict(zip(source.inputs, arrays[1:], strict=True))
    known = np.all([np.isfinite(array) for array in arrays], axis=0)
    value = np.full(shape, np.nan)
    if known.any():
        value[known] = source.value({name: array[known] for name, array in columns.items()})
    if not source.draws:
        return Estimates.plain(value)
    good = np.flatnonzero(np.isfinite(value))
    low, high = np.full(shape, np.nan), np.full(shape, np.nan)
    step = max(_BLOCK // max(source.draws, 1), 1)
    for start in range(0, len(good), step):
        at = good[start : start + step]
        here = {name: array[at] for name, array in columns.items()}
        if len(source.heads) == 1 and not source.link:
            head = source.heads[0]
            drawn = head.law.value(
                {name: head.draws[:, i] for i, name in enumerate(head.law.parameters)},
                {name: array[:, None] for name, array in here.items()},
            )
            ends, factor = quantiles(drawn, level), head.widening
        else:
            ends, factor = quantiles(source.sampled(here).T, level), 1.0
        low[at], high[at] = (widened(value[at], end, factor) for end in ends)
    return Estimates(value, low, high, level)
