"""How far the data leave the parameters open: refits on resampled or made-up data, leave-one-out refits.

| resample | each draw is a refit to |
|---|---|
| rows | groups of rows drawn with replacement (single rows, runs, model sizes) |
| wild | the predictions plus the residuals, those of each group with one random sign (Wu 1986; Rademacher weights) |
| parametric | the predictions plus noise with the scale, growth and group share of `fit/noise.py` |

The first asks nothing of the noise but needs many groups. The other two keep every design point, which matters where few
runs, or few large ones, hold the law in place; the wild one takes the noise to be symmetric, the last one to be as modelled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scalinglens.fit.covariance import absorbed_by_groups
from scalinglens.fit.noise import Noise, estimate_noise
from scalinglens.fit.objective import Design, Progress
from scalinglens.numerics.bootstrap import CHUNK, resampling_weights
from scalinglens.numerics.newton import minimise
from scalinglens.numerics.processes import parallel_map

__all__ = ["RESAMPLES", "bootstrap", "design_noise", "jackknife", "normal_draws"]

RESAMPLES = ("rows", "wild", "parametric")
_STILL = 1e-5  # relative fall of the objective, over a thousand steps, below which a refit has ended
_DAMPING = 0.1  # refits start at the optimum, where a step that is a little too short costs less than one too long


def bootstrap(
    design: Design,
    u: np.ndarray,
    groups: np.ndarray,
    draws: int,
    seed: int,
    progress: Progress | None = None,
    resample: str = "rows",
) -> np.ndarray:
    """Refit on resampled or made-up data.

    Args:
        design: the fit.
        u: its optimum [p].
        groups: group number of each row.
        draws: how many refits.
        seed: of the resampling.
        progress: called with (draws done, draws).
        resample: one of `RESAMPLES`.

    Returns:
        Natural parameters [draws, p]; NaN where a refit did not converge. Independent of the number of processors.

    Cost: about ten evaluations of the law per draw, on all processors.
    """
    make = None if resample == "rows" else _maker(design, u, groups, resample)

    def refit(first: int) -> np.ndarray:
        count = min(CHUNK, draws - first)
        if make is None:
            weights = resampling_weights(groups, count, seed, first) * design.weights
            return _refitted(design, u, weights)
        return _refitted(design, u, design.weights, make(np.random.default_rng([seed, first // CHUNK]))[:count])

    pieces = []
    for piece in parallel_map(refit, range(0, draws, CHUNK)):
        pieces.append(piece)
        if progress:
            progress(sum(map(len, pieces)), draws)
    return np.concatenate(pieces)


def jackknife(design: Design, u: np.ndarray, groups: np.ndarray, most: int = 400) -> np.ndarray:
    """Refit with one group left out at a time (with several together where there are more than `most`) [groups, p]."""
    count = int(groups.max()) + 1
    blocks = groups if count <= most else groups * most // count
    number = int(blocks.max()) + 1
    weights = np.where(np.arange(number)[:, None] == blocks, 0.0, design.weights)
    return _refitted(design, u, weights)


def normal_draws(design: Design, u: np.ndarray, covariance: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Draw natural parameters [draws, p] from the normal distribution of the coordinates."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    rng = np.random.default_rng([seed, 2])
    drawn = u + rng.normal(size=(draws, len(u))) @ root.T
    return design.to_natural(np.clip(drawn, design.lower, design.upper))


def design_noise(design: Design, u: np.ndarray, groups: np.ndarray) -> Noise:
    """The scatter of the residuals in the space of the loss."""
    residuals = design.residuals(u[None])[0]
    fitted = residuals + design.target
    prediction = np.exp(fitted) if design.loss.space == "log" else fitted
    return estimate_noise(-residuals, prediction, groups, int(design.free.sum()), absorbed_by_groups(design, u, groups))


def _maker(
    design: Design, u: np.ndarray, groups: np.ndarray, resample: str
) -> Callable[[np.random.Generator], np.ndarray]:
    """Return the function that makes up CHUNK targets [CHUNK, rows] from a stream of random numbers."""
    residuals = design.residuals(u[None])[0]
    fitted = residuals + design.target
    rows, count = len(fitted), int(groups.max()) + 1
    if resample == "wild":
        spare = max(rows - int(design.free.sum()), 1)
        deviations = -residuals * np.sqrt(rows / spare)  # residuals are smaller than the noise they show

        def wild(rng: np.random.Generator) -> np.ndarray:
            return fitted + deviations * rng.choice([-1.0, 1.0], size=(CHUNK, count))[:, groups]

        return wild
    noise = design_noise(design, u, groups)
    prediction = np.exp(fitted) if design.loss.space == "log" else fitted
    sd = noise.at(prediction)
    common, own = np.sqrt(noise.shared), np.sqrt(1.0 - noise.shared)

    def parametric(rng: np.random.Generator) -> np.ndarray:
        shape = noise.shapes((CHUNK, rows), rng) * own
        if common:
            shape = shape + common * rng.normal(size=(CHUNK, count))[:, groups]
        return fitted + sd * shape

    return parametric


def _refitted(design: Design, u: np.ndarray, weights: np.ndarray, target: np.ndarray | None = None) -> np.ndarray:
    """Natural parameters [lanes, p] that minimise under each row of weights or of targets; NaN where no optimum was found.

    Refits that do not settle from the optimum are the extreme ones. They get a second try, over the optimum of squares and
    with more steps, so that leaving them out does not trim the intervals.
    """
    lanes = len(weights) if target is None else len(target)
    start = np.broadcast_to(u, (lanes, len(u))).copy()
    found = design.minimise(start, weights, target=target, damping=_DAMPING, rough=True)
    ends, settled = found.u, found.converged
    if not settled.all():
        again = ~settled
        some = weights if weights.ndim == 1 else weights[again]
        goal = None if target is None else target[again]
        squares = minimise(design.objective(np.inf, some, goal), start[again], lower=design.lower, upper=design.upper)
        second = design.minimise(squares.u, some, target=goal, damping=1.0, iterations=1000, rough=True)
        third = design.minimise(second.u, some, target=goal, damping=1e-3, iterations=1000, rough=True)
        # a term that a resample does without runs to zero for ever, and moves nothing on its way
        still = np.abs(second.value - third.value) <= _STILL * np.abs(third.value)
        ends[again], settled[again] = third.u, third.converged | still
    return np.where(settled[:, None], design.to_natural(ends), np.nan)
