"""The profile of the objective: one parameter held, the others refitted; intervals, and parameters without an upper end."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import ndtri

from scalinglens.errors import FitError
from scalinglens.fit.objective import Design
from scalinglens.numerics.kernel import share_within
from scalinglens.numerics.newton import expand

__all__ = ["deviance_factor", "profile_intervals", "unbounded_above"]

MILLION = math.log(1e6)


def deviance_factor(design: Design, residuals: np.ndarray) -> float:
    """Factor that makes twice a rise of the objective chi-square with one degree of freedom: E psi' / E psi^2.

    (Squares and the likelihood have their own deviance and do not use it.)
    """
    half_width = design.loss.delta if design.loss.name == "huber" else 1e-9
    force = np.clip(residuals, -half_width, half_width)
    weights = design.weights
    inside = share_within(residuals, half_width, weights)
    unit = half_width if design.loss.name == "lad" else 1.0  # lad counts |r|, Huber's loss delta |r|
    return inside / (float(np.sum(weights * force**2)) / weights.sum()) * unit


def deviance_root(design: Design, value: float, residuals: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that turns objectives into standard normal deviates: the root of the deviance from `value`."""
    rows = float(design.weights.sum())
    factor = deviance_factor(design, residuals)

    def root(values: np.ndarray) -> np.ndarray:
        rise = np.maximum(values - value, 0.0)
        if design.loss.name == "likelihood":
            return np.sqrt(2 * rise)
        if design.loss.name == "squares":
            return np.sqrt(rows * np.log1p(rise / value))
        return np.sqrt(2 * factor * rise)

    return root


def unbounded_above(design: Design, u: np.ndarray, value: float, suspects: list[int]) -> list[int]:
    """Return which of the parameters estimated in logs could be a million times larger at no cost.

    Each is held there while the others are refitted; no cost means a deviance that one run in ten would exceed by chance.
    The asymptotic standard error misses this where the objective levels off.
    """
    if not suspects:
        return []
    root = deviance_root(design, value, design.residuals(u[None])[0])
    z = root(held_objective(design, u, [(i, MILLION) for i in suspects]))
    return [i for i, reached in zip(suspects, z, strict=True) if reached < ndtri(0.95)]


def profile_intervals(
    design: Design, u: np.ndarray, value: float, standard_errors: np.ndarray, level: float
) -> dict[str, tuple[float | None, float | None]]:
    """Intervals where the profile of the objective stays below the chi-square quantile.

    Each parameter is held at a ladder of values while the others are refitted, all in one batch; the ends are found by
    interpolating the signed root of the deviance and refined once. An end that the data do not bound is None.

    Args:
        design: the fit.
        u: its optimum [p].
        value: objective there.
        standard_errors: of the coordinates [p], to scale the ladder.
        level: of the intervals.

    Raises:
        FitError: the scatter of the residuals is zero, so no rise of the objective is large or small.

    Cost: about forty constrained refits per parameter.
    """
    critical = float(ndtri((1 + level) / 2))
    residuals = design.residuals(u[None])[0]
    if not np.any(np.abs(residuals) > 1e-12):
        raise FitError("the law passes through every run, so a profile has no scale; use boot instead")
    root = deviance_root(design, value, residuals)
    free = np.flatnonzero(design.free)
    guess: dict[tuple[int, int], float] = {}
    reach = 1.0
    pending = [(int(i), side) for i in free for side in (-1, 1)]
    ladder = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0])
    for _ in range(4):  # widen the ladder for ends that lie beyond it
        if not pending:
            break
        places = [(i, side * step * reach * _width(standard_errors[i], u[i])) for i, side in pending for step in ladder]
        roots = root(held_objective(design, u, places)).reshape(len(pending), len(ladder))
        beyond = []
        for (i, side), z in zip(pending, roots, strict=True):
            steps = np.concatenate([[0.0], ladder * reach * _width(standard_errors[i], u[i])])
            z = np.maximum.accumulate(np.concatenate([[0.0], z]))
            if z[-1] < critical:
                beyond.append((i, side))
            else:
                guess[i, side] = float(np.interp(critical, z, steps))
        pending, reach = beyond, reach * 4
    if guess:
        for _ in range(2):  # refine: the signed root is nearly linear in the parameter
            keys = list(guess)
            z = root(held_objective(design, u, [(i, side * guess[i, side]) for i, side in keys]))
            for key, reached in zip(keys, z, strict=True):
                guess[key] *= float(np.clip(critical / max(reached, 1e-6), 0.5, 2.0))
    natural = {}
    for i in free:
        pair = []
        for side in (-1, 1):
            step = guess.get((int(i), side))
            if step is None:
                pair.append(None)
                continue
            end = float(np.clip(u[i] + side * step, design.lower[i], design.upper[i]))
            pair.append(float(np.exp(end)) if design.in_logs[i] else end)
        natural[design.law.parameters[i]] = (pair[0], pair[1])
    return natural


def _width(error: float, u: float) -> float:
    return error if np.isfinite(error) and error > 0 else 0.1 * (1 + abs(u))


def held_objective(design: Design, u: np.ndarray, places: list[tuple[int, float]]) -> np.ndarray:
    """Objective with one coordinate i held at u_i + step, for each (i, step), the others refitted along the valley."""
    lanes = len(places)
    index = np.array([i for i, _ in places])
    offset = np.array([step for _, step in places])
    lower = np.broadcast_to(design.lower, (lanes, len(u))).copy()
    upper = np.broadcast_to(design.upper, (lanes, len(u))).copy()
    at = np.clip(u[index] + offset, design.lower[index], design.upper[index])
    lane = np.arange(lanes)
    lower[lane, index] = upper[lane, index] = at
    gram = expand(design.objective(np.inf), u[None]).majorant[0]
    free = design.free
    covariance = np.zeros_like(gram)
    covariance[np.ix_(free, free)] = np.linalg.pinv(gram[np.ix_(free, free)], rcond=1e-13, hermitian=True)
    along = covariance[index] / np.maximum(covariance[index, index], 1e-300)[:, None]
    start = u + along * (at - u[index])[:, None]
    found = design.minimise(start, lower=lower, upper=upper, damping=0.1)
    return found.value
