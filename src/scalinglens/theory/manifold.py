"""Exponents from the dimension of the data: a smooth target on a d-dimensional manifold, fitted piece by piece."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from scalinglens.errors import TheoryError

__all__ = ["Dimension", "manifold_exponent", "two_nn"]

_PIECES = {"linear": 4, "constant": 2}
_FEWEST = 20


@dataclass(frozen=True)
class Dimension:
    """An estimated dimension, its standard error, and the number of points it rests on."""

    value: float
    stderr: float
    points: int


def two_nn(points: Any, *, discard: float = 0.1) -> Dimension:
    """Estimate the dimension of a cloud of points from the two nearest neighbours of each.

    mu = r_2/r_1 has the density d mu^-(d + 1) where the points are locally uniform; d is the maximum of the likelihood, with the
    largest `discard` of the mu known only to be beyond the others.

    Args:
        points: [n, coordinates], at least 20 different ones; repeated ones are left out.
        discard: share of the largest ratios, 0 to below 1.

    Returns:
        The `Dimension`; biased low from about 6 on, where the edge of the cloud is near to most points.

    Raises:
        TheoryError: too few points, a share outside 0 to 1, coordinates that are not numbers.

    Cost: one k-d tree.

    Source: Facco, d'Errico, Rodriguez and Laio 2017 (arXiv 1803.06992); the estimate here is the censored likelihood's.

    >>> plane = np.random.default_rng(0).uniform(size=(2000, 2)) @ np.ones((2, 5))
    >>> round(two_nn(plane).value, 1)    # all of them on a line
    1.0
    """
    try:
        cloud = np.unique(np.asarray(points, dtype=float), axis=0)
    except (TypeError, ValueError):
        raise TheoryError("the points are no table of numbers [points, coordinates]") from None
    if cloud.ndim != 2 or len(cloud) < _FEWEST:
        raise TheoryError(f"there are {len(cloud)} different points of shape {cloud.shape}; take {_FEWEST} or more")
    if not np.all(np.isfinite(cloud)):
        raise TheoryError("some coordinates are not finite; drop their points")
    if not 0 <= discard < 1:
        raise TheoryError(f"discard is {discard!r}; it is a share, 0 to below 1")
    distance = KDTree(cloud).query(cloud, k=3)[0]
    ratio = np.sort(np.log(distance[:, 2] / distance[:, 1]))
    kept = max(1, math.ceil(len(ratio) * (1 - discard)))
    total = ratio[:kept].sum() + (len(ratio) - kept) * ratio[kept - 1]
    if not total > 0:
        raise TheoryError("all points have two nearest neighbours at one distance, as on a grid; add a little scatter")
    d = kept / total
    return Dimension(float(d), float(d / math.sqrt(kept)), len(cloud))


def manifold_exponent(dimension: Any, *, pieces: str = "linear") -> np.ndarray:
    """Return the exponent alpha of loss ~ N^-alpha for a smooth target on a d-dimensional manifold.

    4/d for piecewise linear fits, 2/d for piecewise constant ones; a bound from below for models that adapt.

    Args:
        dimension: d, positive. pieces: linear or constant.

    Raises:
        TheoryError: a dimension that is not positive, unknown pieces.

    Source: Sharma and Kaplan 2020 (arXiv 2004.10802).

    >>> manifold_exponent([1, 2, 8]).tolist()
    [4.0, 2.0, 0.5]
    """
    d = np.asarray(dimension, dtype=float)
    if pieces not in _PIECES:
        raise TheoryError(f"pieces is {pieces!r}; they are linear or constant")
    if not np.all((d > 0) & np.isfinite(d)):
        raise TheoryError(f"dimension is {dimension!r}; it is positive")
    return _PIECES[pieces] / d
