"""How far the data leave the parameters open: bootstrap draws and leave-one-out refits."""

from __future__ import annotations

import numpy as np

from scalinglens.fit.objective import Design, Progress
from scalinglens.numerics.bootstrap import CHUNK, resampling_weights
from scalinglens.numerics.newton import minimise
from scalinglens.numerics.processes import parallel_map

__all__ = ["bootstrap", "jackknife"]

_DAMPING = 0.1  # refits start at the optimum, where a step that is a little too short costs less than one too long


def bootstrap(
    design: Design, u: np.ndarray, groups: np.ndarray, draws: int, seed: int, progress: Progress | None = None
) -> np.ndarray:
    """Refit on resamples of groups of rows.

    Args:
        design: the fit.
        u: its optimum [p].
        groups: group number of each row.
        draws: how many resamples.
        seed: of the resampling.
        progress: called with (draws done, draws).

    Returns:
        Natural parameters [draws, p]; NaN where a refit did not converge. Independent of the number of processors.

    Cost: about ten evaluations of the law per draw, on all processors.
    """

    def refit(first: int) -> np.ndarray:
        count = min(CHUNK, draws - first)
        weights = resampling_weights(groups, count, seed, first) * design.weights
        return _refitted(design, u, weights)

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


def _refitted(design: Design, u: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Natural parameters [lanes, p] that minimise under each row of weights; NaN where no optimum was found.

    Refits that do not settle from the optimum are the extreme ones. They get a second try, over the optimum of squares and
    with more steps, so that leaving them out does not trim the intervals.
    """
    start = np.broadcast_to(u, (len(weights), len(u))).copy()
    found = design.minimise(start, weights, damping=_DAMPING, rough=True)
    ends, settled = found.u, found.converged
    if not settled.all():
        again = ~settled
        squares = minimise(
            design.objective(np.inf, weights[again]), start[again], lower=design.lower, upper=design.upper
        )
        second = design.minimise(squares.u, weights[again], damping=1.0, iterations=1000, rough=True)
        ends[again], settled[again] = second.u, second.converged
    return np.where(settled[:, None], design.to_natural(ends), np.nan)
