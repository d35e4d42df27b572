"""The least of a function of one positive input between bounds, by grids of logarithms that shrink around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["lowest", "lowest_of_two"]


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


_GRID = (49, 33)  # points of the first grid of two inputs, and of the ones around its best point
_AROUND = 4  # steps of a grid that the next one reaches to either side
_ZOOMS = 16


def lowest_of_two(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    first: tuple[float, float],
    second: tuple[float, float],
    count: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return where functions of two positive inputs are least between bounds.

    Grids of logarithms that shrink around the best point; each may move by four steps of the one before, so that a valley
    across both inputs is followed.

    Args:
        function: of arrays [points, 1, count] and [1, points, count]. first, second: (least, most) of the two.
        count: how many functions at once.

    Returns:
        Both inputs [count].

    Cost: about 10 evaluations of arrays of 1,000 points for each function.

    >>> x, y = lowest_of_two(lambda x, y: np.log(x * y) ** 2 + 0.1 * np.log(x / 4) ** 2, (1e-3, 1e6), (1e-3, 1e3), 1)
    >>> round(float(x[0]), 6), round(float(y[0]), 6)
    (4.0, 0.25)
    """
    whole = np.log(np.array([first, second]))
    low, high = (np.repeat(whole[:, i, None], count, axis=1) for i in (0, 1))
    where = low
    for zoom in range(_ZOOMS):
        points = _GRID[min(zoom, 1)]
        s, t = (np.linspace(low[i], high[i], points) for i in (0, 1))
        with np.errstate(all="ignore"):
            values = np.asarray(function(np.exp(s)[:, None], np.exp(t)[None]), dtype=float)
        values = np.broadcast_to(values, (points, points, count)).reshape(-1, count)
        best = np.argmin(np.where(np.isfinite(values), values, np.inf), axis=0)
        every = np.arange(count)
        where = np.stack([s[best // points, every], t[best % points, every]])
        step = np.stack([s[1] - s[0], t[1] - t[0]])
        if np.max(step) < 1e-8:
            break
        low, high = (np.clip(where + sign * _AROUND * step, whole[:, :1], whole[:, 1:]) for sign in (-1, 1))
    return np.exp(where[0]), np.exp(where[1])
