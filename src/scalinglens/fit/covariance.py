"""The asymptotic covariance of an estimate, robust to noise that differs between runs or is shared within groups.

    V = B^-1 (sum_g s_g s_g') B^-1 c,   s_g = sum_{i in g} w_i psi(r_i) J_i,   B = E psi' sum_i w_i J_i J_i'

with c = g/(g-1) (n-1)/(n-p), the usual correction for few groups (Huber 1967; Liang and Zeger 1986, eq. 2).
"""

from __future__ import annotations

import numpy as np

from scalinglens.fit.certificate import quadratic_half_width
from scalinglens.fit.objective import Design
from scalinglens.numerics.kernel import share_within
from scalinglens.numerics.newton import expand

__all__ = ["absorbed_by_groups", "coordinate_covariance"]


def absorbed_by_groups(design: Design, u: np.ndarray, groups: np.ndarray) -> float:
    """Return how many free parameters the means of the groups determine: tr(P H).

    H is the hat matrix of the residuals, P the projection on the means of groups. It is the number of free parameters
    where every run is its own group, and one less for each parameter that only differences within groups determine.

    Cost: two evaluations of the law per parameter.
    """
    free = np.flatnonzero(design.free & (u > design.lower) & (u < design.upper))
    if not len(free):
        return 0.0
    slopes = _slopes(design, u, free) * np.sqrt(design.weights)[:, None]
    slopes = np.where(np.isfinite(slopes), slopes, 0.0)
    basis, sizes, _ = np.linalg.svd(slopes / np.maximum(np.linalg.norm(slopes, axis=0), 1e-300), full_matrices=False)
    basis = basis[:, sizes > 1e-10 * sizes[0]]
    count = np.bincount(groups)
    sums = np.zeros((len(count), basis.shape[1]))
    np.add.at(sums, groups, basis)
    return float(np.sum(sums**2 / np.maximum(count, 1)[:, None]))


def coordinate_covariance(design: Design, u: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the covariance of the coordinates [p, p], zero for those that are held or at a bound.

    Args:
        design: the fit.
        u: its optimum [p].
        groups: group number of each row, all different where rows are independent.

    Returns:
        NaN where there are no more groups than one, or no more rows than free parameters.

    Cost: two evaluations of the law per parameter.
    """
    free = np.flatnonzero(design.free & (u > design.lower) & (u < design.upper))
    used = design.weights > 0
    rows, count = int(used.sum()), len(np.unique(groups[used]))
    covariance = np.zeros((len(u), len(u)))
    if not len(free):
        return covariance
    if rows <= len(free) or count < 2:
        return np.full_like(covariance, np.nan)
    residuals = design.residuals(u[None])[0]
    slopes = _slopes(design, u, free)
    weights = design.weights * np.where(residuals > 0, design.loss.asymmetry, 1.0)
    width = quadratic_half_width(design, u)
    force = np.clip(residuals, -width, width)
    inside = 1.0 if np.isinf(width) else max(share_within(residuals, width, weights), 1e-12)
    scores = np.zeros((int(groups.max()) + 1, len(free)))
    np.add.at(scores, groups, (weights * force)[:, None] * slopes)
    gram = inside * (slopes.T * weights) @ slopes
    scale = 1.0 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
    inverse = np.linalg.pinv(gram * np.outer(scale, scale), rcond=1e-13, hermitian=True) * np.outer(scale, scale)
    few = count / (count - 1) * (rows - 1) / (rows - len(free))
    covariance[np.ix_(free, free)] = few * inverse @ (scores.T @ scores) @ inverse
    return covariance


def _slopes(design: Design, u: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Derivatives of the residuals [rows, free], by central differences over a small part of the standard errors."""
    gram = np.diag(expand(design.objective(np.inf), u[None]).majorant[0])[free]
    step = np.minimum(1e-4 * np.sqrt(design.weights.sum() / np.maximum(gram, 1e-300)), 1e-3 * (1 + np.abs(u[free])))
    ahead = np.repeat(u[None], len(free), axis=0)
    behind = ahead.copy()
    lane = np.arange(len(free))
    ahead[lane, free] += step
    behind[lane, free] -= step
    return ((design.residuals(ahead) - design.residuals(behind)) / (2 * step[:, None])).T
