"""The Chinchilla law by variable projection: a search over the two exponents, the rest by linear least squares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares, nnls

from scalinglens.numerics.bootstrap import resampling_weights
from scalinglens.plan.methods.task import Refused

__all__ = ["PARAMETERS", "Projection", "project"]

PARAMETERS = ("E", "A", "B", "alpha", "beta")
_LOW, _HIGH, _STEP = 0.02, 1.52, 0.05  # the grid of both exponents
_EDGE = 1e-6
_NOTHING = 1e-8  # of the loss: a term that small is rounding


@dataclass(frozen=True, eq=False)
class Projection:
    """The result of `project`.

    Attributes:
        values: E, A, B, alpha, beta [5].
        draws: the same of every resample whose fit has all terms [draws, 5].
        squares: sum of squared residuals of the loss.
        lost: share of resamples that are left out because a term vanished or an exponent ended at the edge of the grid.
    """

    values: np.ndarray
    draws: np.ndarray
    squares: float
    lost: float


def project(
    params: np.ndarray, tokens: np.ndarray, loss: np.ndarray, *, groups: np.ndarray, boot: int = 0, seed: int = 0
) -> Projection:
    """Fit E + A/params^alpha + B/tokens^beta by least squares of the loss itself.

    minimise over (alpha, beta): min over E, A, B >= 0 of sum_rows (E + A N^-alpha + B D^-beta - L)^2

    The inner problem is linear. The outer one is looked at on a grid of exponents from 0.02 to 1.52 and then polished by
    Gauss-Newton steps. Nothing here is shared with the solver behind `fit`.

    Args:
        params, tokens, loss: of the runs [n].
        groups: number of the group of each run, resampled whole [n].
        boot: resamples of the groups; each is searched anew, from the whole grid.
        seed: of the resamples.

    Returns:
        The `Projection`.

    Raises:
        Refused: a term vanishes or an exponent ends at the edge of the grid: the law has no optimum there.

    Cost: 10 ms per fit of some hundred runs.

    Source: Czech et al. 2026 (arXiv 2603.22339), "VPNLS"; Golub and Pereyra 1973.

    >>> n, d = 10 ** np.random.default_rng(0).uniform((7, 9), (9, 11), (50, 2)).T
    >>> found = project(n, d, 1.7 + 400 / n**0.34 + 400 / d**0.28, groups=np.arange(50))
    >>> found.values[3:].round(6)
    array([0.34, 0.28])
    """
    logs = np.log(np.stack([params, tokens]))
    centre = logs.mean(axis=1)
    x, y = logs - centre[:, None]
    grid = np.arange(_LOW, _HIGH + 0.5 * _STEP, _STEP)
    terms = np.exp(-grid * x[:, None]), np.exp(-grid * y[:, None])  # [n, grid] each
    best = _one(x, y, loss, np.ones(len(loss)), grid, terms)
    if best is None:
        raise Refused(
            "clamped",
            "the best fit lacks a term or has an exponent at the edge of 0.02 to 1.52, so it has no optimum; add runs that "
            "vary params and tokens apart from each other",
        )
    drawn = []
    for weights in resampling_weights(groups, boot, seed) if boot else ():
        kept = weights > 0
        rows = tuple(term[kept] for term in terms)
        drawn.append(_one(x[kept], y[kept], loss[kept], weights[kept], grid, rows))
    good = [one for one in drawn if one is not None]
    natural = _natural(np.array([best, *good]), centre)
    e, a, b, alpha, beta = best
    residuals = e + a * np.exp(-alpha * x) + b * np.exp(-beta * y) - loss
    lost = 1 - len(good) / len(drawn) if drawn else 0.0
    return Projection(natural[0], natural[1:], float(residuals @ residuals), lost)


def _one(
    x: np.ndarray,
    y: np.ndarray,
    loss: np.ndarray,
    weights: np.ndarray,
    grid: np.ndarray,
    terms: tuple[np.ndarray, np.ndarray],
) -> np.ndarray | None:
    """E, A, B, alpha, beta about the centre [5], or None where a term vanishes or an exponent is at an edge."""
    start = _cell(loss, weights, grid, terms)
    root = np.sqrt(weights)
    goal = root * loss

    def inner(exponents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns = np.stack([root, root * np.exp(-exponents[0] * x), root * np.exp(-exponents[1] * y)], axis=1)
        values = np.linalg.lstsq(columns, goal, rcond=None)[0]
        if values.min() < 0:
            values = nnls(columns, goal)[0]
        return values, columns @ values - goal

    found = least_squares(
        lambda e: inner(e)[1], start, bounds=(_LOW, _HIGH), xtol=1e-14, ftol=1e-14, gtol=1e-14, x_scale=0.1
    )
    values = inner(found.x)[0]
    shares = values[1:] * np.exp(-found.x * [x.min(), y.min()]) / loss.mean()  # of each term where it is largest
    if shares.min() <= _NOTHING or found.x.min() < _LOW + _EDGE or found.x.max() > _HIGH - _EDGE:
        return None
    return np.concatenate([values, found.x])


def _cell(loss: np.ndarray, weights: np.ndarray, grid: np.ndarray, terms: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The cell of the grid with the least sum of squares among those whose E, A and B are all positive.

    All inner problems are solved at once through their normal equations, whose few digits are enough to choose a cell.
    """
    u, v = terms
    k = len(grid)
    wu, wv, w = weights @ u, weights @ v, weights.sum()
    gram = np.empty((k, k, 3, 3))
    gram[..., 0, 0] = w
    gram[..., 0, 1] = gram[..., 1, 0] = wu[:, None]
    gram[..., 0, 2] = gram[..., 2, 0] = wv
    gram[..., 1, 1] = (weights @ u**2)[:, None]
    gram[..., 2, 2] = weights @ v**2
    gram[..., 1, 2] = gram[..., 2, 1] = (u * weights[:, None]).T @ v
    right = np.empty((k, k, 3))
    right[..., 0] = weights @ loss
    right[..., 1] = ((weights * loss) @ u)[:, None]
    right[..., 2] = (weights * loss) @ v
    scale = np.sqrt(np.diagonal(gram, axis1=2, axis2=3))
    gram /= scale[..., :, None] * scale[..., None, :]
    gram += 1e-13 * np.eye(3)
    scaled = right / scale
    values = np.linalg.solve(gram, scaled[..., None])[..., 0]
    squares = np.where(values.min(axis=-1) > 0, -np.sum(values * scaled, axis=-1), np.inf)
    if not np.isfinite(squares).any():
        return np.array([0.3, 0.3])
    i, j = np.unravel_index(int(squares.argmin()), squares.shape)
    return np.clip(np.array([grid[i], grid[j]]), _LOW + 1e-3, _HIGH - 1e-3)


def _natural(found: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Coefficients of N^-alpha and D^-beta themselves [k, 5]."""
    found = found.copy()
    found[:, 1:3] *= np.exp(found[:, 3:5] * centre)
    return found
