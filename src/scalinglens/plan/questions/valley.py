"""The least of a function of one positive input between bounds, by grids of logarithms that shrink around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["lowest"]


def lowest(
    function: Callable[[np.ndarray], Any], low: Any, high: Any, *, points: int = 101, zooms: int = 8
) -> tuple[Any, Any]:
    """Return where a function is least between bounds, and its value there.

    A grid over the whole range finds the valley, however many there are; each further one is `points`/4 times finer, down to
    what doubles tell.

    Args:
        function: of an array [points] of positive inputs, or [points, m] for m functions at once.
        low, high: bounds, numbers or arrays [m]. points: of a grid. zooms: grids at most.

    Returns:
        Two numbers, or two arrays [m].

    Cost: `zooms` evaluations of arrays.

    >>> where, least = lowest(lambda x: np.log(x / 3) ** 2, 1e-3, 1e6)
    >>> round(where, 6), round(least, 6)
    (3.0, 0.0)
    """
    first, last = (np.log(np.asarray(end, dtype=float)) for end in np.broadcast_arrays(low, high))
    where, value, a, b = first, first, first, last
    for _ in range(zooms):
        t = np.linspace(a, b, points)
        with np.errstate(all="ignore"):
            values = np.broadcast_to(np.asarray(function(np.exp(t)), dtype=float), t.shape)
        i = np.argmin(np.where(np.isfinite(values), values, np.inf), axis=0)[None]
        where, value = (np.take_along_axis(array, i, axis=0)[0] for array in (t, values))
        step = t[1] - t[0]
        if np.max(step) < 1e-9:
            break
        a, b = np.maximum(first, where - 2 * step), np.minimum(last, where + 2 * step)
    place = np.clip(np.exp(where), low, high)
    return (float(place), float(value)) if np.ndim(place) == 0 else (place, value)
