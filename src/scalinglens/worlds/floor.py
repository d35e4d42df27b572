"""The lowest loss that logits of rank d can reach on a walk: what no model of that width can go below, whatever its depth.

    floor(d) = min over h, U in R^(n x d) of sum_v pi_v KL(W_v || softmax(U h_v)),    |h_v|^2 = d

A model sees more than the present node, but its answer at a node is one vector of logits U h, and the best answer there is the
same in every context. What is found is a local minimum, an upper bound of the floor; several starts tell how far from the best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import entr, logsumexp

from scalinglens.errors import WorldError
from scalinglens.worlds.walks import Walk

__all__ = ["Floor", "logit_floor"]

LARGEST = 4096  # nodes; the table of logits is dense


@dataclass(frozen=True)
class Floor:
    """The floor at one width.

    Attributes:
        width: d. excess: lowest one found over the entropy rate [nats/token], an upper bound of the floor.
        scatter: how far the worst start ended above the best [nats/token].
        iterations: of the best start. converged: whether its gradient became small.
    """

    width: int
    excess: float
    scatter: float
    iterations: int
    converged: bool


def logit_floor(
    world: Walk, widths: Sequence[int], *, starts: int = 2, iterations: int = 1500, seed: int = 0
) -> tuple[Floor, ...]:
    """Return the floor of a walk at some widths.

    Args:
        world: it, of up to 4,096 nodes. widths: d, each from 1 on.
        starts: per width. iterations: of L-BFGS at most, per start. seed: of the starts.

    Returns:
        One floor per width, in order. From d = n on, and where rank does not matter, it is zero up to what the search leaves.

    Raises:
        WorldError: too many nodes, or a width that is none.

    Cost: O(n^2 d) per iteration: a second for 64 nodes, ten for 256 at width 64.

    Source: study-random-walks 8.2.

    >>> from scalinglens.worlds.walks import walk
    >>> low, high = logit_floor(walk(nodes=16, edges=30), [1, 8], starts=1, iterations=200)
    >>> low.excess > 0.1 > 0.01 > high.excess > 0
    True
    """
    if world.vocab > LARGEST:
        raise WorldError(f"the floor is a dense calculation for up to {LARGEST:,} nodes; this walk has {world.vocab:,}")
    visited = np.flatnonzero(world.stationary > 0)
    W = world.transitions.toarray()[visited]
    pi = world.stationary[visited]
    entropy = float(pi @ entr(W).sum(1))
    found = []
    for width in widths:
        if not isinstance(width, int | np.integer) or width < 1:
            raise WorldError(f"width {width!r} is a whole number from 1 on")
        ends = [_descend(W, pi, int(width), iterations, np.random.default_rng([seed, k])) for k in range(starts)]
        best = min(ends, key=lambda end: end.fun)
        worst = max(end.fun for end in ends)
        found.append(
            Floor(
                int(width),
                max(float(best.fun - entropy), 0.0),
                float(worst - best.fun),
                int(best.nit),
                bool(best.success),
            )
        )
    return tuple(found)


def _descend(W: np.ndarray, pi: np.ndarray, d: int, iterations: int, rng: np.random.Generator):
    rows, n = W.shape
    free = rng.standard_normal((rows, d)) * 0.3 if d < rows else rng.standard_normal((rows, d))
    begin = np.concatenate((free.ravel(), 0.1 * rng.standard_normal(n * d)))

    def cross_entropy(x: np.ndarray) -> tuple[float, np.ndarray]:
        raw, U = x[: rows * d].reshape(rows, d), x[rows * d :].reshape(n, d)
        size = np.sqrt(np.mean(raw**2, axis=1, keepdims=True)) + 1e-12
        h = raw / size  # as the last layer of a model is normalised
        logits = h @ U.T
        norm = np.asarray(logsumexp(logits, axis=1, keepdims=True))
        residual = pi[:, None] * (np.exp(logits - norm) - W)
        value = float(pi @ (norm[:, 0] - np.sum(W * logits, axis=1)))
        to_h = residual @ U
        to_raw = (to_h - h * np.mean(to_h * h, axis=1, keepdims=True)) / size
        return value, np.concatenate((to_raw.ravel(), (residual.T @ h).ravel()))

    options = {"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-12, "gtol": 1e-8, "maxcor": 20}
    return minimize(cross_entropy, begin, jac=True, method="L-BFGS-B", options=options)
