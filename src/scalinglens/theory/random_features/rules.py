"""`Rule`: nodes s_i and weights w_i of a contour with p_t(x) = sum_i w_i(t)/(s_i + x), and the contour for entire p_t."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from scalinglens.errors import TheoryError
from scalinglens.numerics.contour import chebyshev_degree, chebyshev_points, ellipse

__all__ = ["Rule", "entire_rule", "positive", "share"]

Filter = Callable[[np.ndarray, np.ndarray], np.ndarray]
_POINTS = 64


@dataclass(frozen=True, eq=False)
class Rule:
    """A contour for some times.

    Attributes:
        s: nodes in the upper half plane [n]. weights: [n, T]. which: numbers of the times [T].
        moving: derivatives of the weights by time [n, T], where time is continuous.
        lone: the last so many nodes are poles of the filter, no part of the trapezoid rule that the others make.
    """

    s: np.ndarray
    weights: np.ndarray
    which: np.ndarray
    moving: np.ndarray | None = None
    lone: int = 0


def entire_rule(
    filter: Filter, times: np.ndarray, which: np.ndarray, edge: float, digits: float, moving: Filter | None = None
) -> Rule:
    """Return the ellipse around [-edge, 0] for filters without poles: w_i = p_t(-s_i) ds_i/(2 pi i).

    Args:
        filter: (x [n], times [T]) -> p_t(x) [T, n], for complex x too.
        times: of all filters [T]. which: numbers of those that the rule is for.
        edge: largest eigenvalue. digits: wanted of the result. moving: derivative of the filter by time, if there is one.

    Cost: three nodes of both half planes for each Chebyshev coefficient that the filters have on [0, edge]; p_t of gradient
        descent has about sqrt(2 digits edge eta t) of them.
    """
    count = _POINTS
    while True:  # until the coefficients are seen to end
        degree = chebyshev_degree(filter(chebyshev_points(edge, count), times[which]), digits + 1)
        if 2 * degree < count:
            break
        count *= 2
    s, ds = ellipse(edge, degree, digits)
    at = times[which]
    moved = None if moving is None else moving(-s, at).T * ds[:, None]
    return Rule(s, filter(-s, at).T * ds[:, None], which, moved)


def positive(name: str, value: float) -> None:
    """Refuse what is not a positive finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < math.inf:
        raise TheoryError(f"{name} is {value!r}; it must be positive and finite, such as 0.1")


def share(name: str, value: float) -> None:
    """Refuse what is not a number from 0 to below 1."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < 1:
        raise TheoryError(f"{name} is {value!r}; it lies from 0 to below 1, such as 0.9")
