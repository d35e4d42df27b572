"""The least of a function of one positive input between bounds, by grids of logarithms that shrink around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["lowest"]


def lowest(
    function: Callable[[np.ndarray], Any], low: float, high: float, *, points: int = 101, zooms: int = 8
) -> tuple[float, float]:
    """Return where a function is least between bounds, and its value there.

    A grid over the whole range finds the valley, however many there are; each further one is `points`/4 times finer, down to
    what doubles tell.

    Args:
        function: of an array [n] of positive inputs. low, high: bounds. points: of a grid. zooms: grids at most.

    Cost: `zooms` evaluations of arrays.

    >>> where, least = lowest(lambda x: np.log(x / 3) ** 2, 1e-3, 1e6)
    >>> round(where, 6), round(least, 6)
    (3.0, 0.0)
    """
    first, last = np.log(low), np.log(high)
    where = value = 0.0
    a, b = first, last
    for _ in range(zooms):
        t = np.linspace(a, b, points)
        with np.errstate(all="ignore"):
            values = np.asarray(function(np.exp(t)), dtype=float)
        i = int(np.argmin(np.where(np.isfinite(values), values, np.inf)))
        where, value = float(t[i]), float(values[i])
        step = t[1] - t[0]
        if step < 1e-9:
            break
        a, b = max(first, where - 2 * step), min(last, where + 2 * step)
    return float(np.clip(np.exp(where), low, high)), value
