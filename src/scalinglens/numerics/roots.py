"""Roots of many functions of one variable at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["TIGHT", "bracketed_root", "increasing_root"]

_ROUNDS = 200
_SMALL = 1e-10  # a Newton step of this relative size is the last: the next would be its square
TIGHT = 4e-15  # relative width of a bracket at which it cannot shrink any more


def increasing_root(
    function: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Find where increasing functions cross zero, by Newton's method from the right, kept inside brackets.

    Args:
        function: x [...] -> values and slopes [...].
        low, high: ends of the brackets [...].

    Returns:
        The roots; `low` where a function is positive there already, `high` where it is negative there still.

    Cost: five evaluations or so; from the right a convex function lets every step stay right of the root.

    >>> increasing_root(lambda x: (np.exp(x) - 5, np.exp(x)), np.array([0.0]), np.array([9.0])).round(6)
    array([1.609438])
    """
    low, high = (np.array(a, dtype=float) for a in np.broadcast_arrays(low, high))
    at_low, at_high = function(low)[0], function(high)
    done = (at_low >= 0) | (at_high[0] <= 0) | ~(low < high)
    x = np.where(at_low >= 0, low, high)
    (value, slope), a, b = at_high, low.copy(), high.copy()
    for _ in range(_ROUNDS):
        if done.all():
            break
        with np.errstate(all="ignore"):
            step = x - value / slope
        outside = ~((step >= a) & (step <= b))
        new = np.where(done, x, np.where(outside, 0.5 * (a + b), step))
        still = np.abs(new - x) <= _SMALL * np.maximum(np.abs(new), 1.0)
        x = new
        done |= still | (b - a <= TIGHT * np.maximum(np.abs(b), 1.0))
        value, slope = function(x)
        below = value < 0
        a, b = np.where(below, x, a), np.where(below, b, x)
    return x


def bracketed_root(
    function: Callable[[np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    at_low: np.ndarray | None = None,
    tight: float = TIGHT,
) -> np.ndarray:
    """Find sign changes by the method of Chandrupatla (1997); no slopes, jumps allowed.

    Args:
        function: x [...] -> values [...].
        low, high: ends of the brackets [...], values of different sign at the two.
        at_low: values at `low`, where they are known.
        tight: relative width of a bracket that is narrow enough.

    Returns:
        The roots, to the last digits of x; `low` where there is no change of sign.

    Cost: about ten evaluations.

    >>> bracketed_root(lambda x: x**3 - 2, np.array([0.0]), np.array([2.0])).round(9)
    array([1.25992105])
    """
    b, a = (np.array(x, dtype=float) for x in np.broadcast_arrays(low, high))
    fb = np.array(function(b) if at_low is None else at_low, dtype=float)
    fa = np.array(function(a), dtype=float)
    none = ~(np.sign(fa) * np.sign(fb) <= 0)
    start = b.copy()
    c, fc = a.copy(), fa.copy()
    t = np.full(b.shape, 0.5)
    done = none.copy()
    best = np.where(np.abs(fa) < np.abs(fb), a, b)
    for _ in range(_ROUNDS):
        x = a + t * (b - a)
        fx = np.asarray(function(np.where(done, best, x)), dtype=float)
        same = np.sign(fx) == np.sign(fa)
        with np.errstate(all="ignore"):
            c, fc = np.where(done, c, np.where(same, a, b)), np.where(done, fc, np.where(same, fa, fb))
            b, fb = np.where(done | same, b, a), np.where(done | same, fb, fa)
            a, fa = np.where(done, a, x), np.where(done, fa, fx)
            best = np.where(done, best, np.where(np.abs(fa) < np.abs(fb), a, b))
            room = tight * np.maximum(np.abs(best), 1.0) / np.abs(b - c)
            done |= (room > 0.5) | (fa == 0)
            best = np.where(fa == 0, np.where(none, best, a), best)
            if done.all():
                break
            xi, phi = (a - b) / (c - b), (fa - fb) / (fc - fb)
            inverse = (phi**2 < xi) & ((1 - phi) ** 2 < 1 - xi)  # where interpolation can be trusted
            quadratic = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
            t = np.where(inverse & np.isfinite(quadratic), quadratic, 0.5)
            t = np.clip(t, np.minimum(room, 0.5), np.maximum(1 - room, 0.5))
    return np.where(none, start, best)
