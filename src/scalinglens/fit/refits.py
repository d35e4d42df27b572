"""Refit a law under many weightings of the same rows: earlier origins, recency weights, resamples, all in one batch.

A row of weight zero is a row left out, so a back-test over origins, a family of recency weights and a bootstrap are the same
thing: lanes of the minimiser that differ in their weights. Unlike a bootstrap around one optimum, each weighting here is
searched from starts of its own, because the optimum of the first half of a curve may lie far from that of all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalinglens.fit.objective import Design
from scalinglens.fit.starts import candidates, spread

__all__ = ["Refits", "refits"]

AGREE = 1e-6  # two ends are one when their objectives differ by less, relatively
_DAMPING = 1.0


@dataclass(frozen=True)
class Refits:
    """The best end under each weighting.

    Attributes:
        u: coordinates [weightings, p].
        value: objective [weightings].
        converged: whether that end is stationary [weightings].
        starts: how many starts were followed for each.
        agree: how many of them ended at the best objective [weightings].
    """

    u: np.ndarray
    value: np.ndarray
    converged: np.ndarray
    starts: int
    agree: np.ndarray


def refits(
    design: Design,
    weights: np.ndarray,
    *,
    starts: int = 3,
    pool: int = 200,
    seed: int = 0,
    also: np.ndarray | None = None,
    lower: np.ndarray | None = None,
    upper: np.ndarray | None = None,
    iterations: int = 60,
) -> Refits:
    """Minimise the loss of a design under each weighting.

    Args:
        design: law, data and loss.
        weights: row weights [weightings, rows]; a row of weight zero is left out.
        starts: how many starts to follow for each weighting.
        pool: candidates they are chosen from, by the loss under that weighting.
        seed: shifts the set of candidates.
        also: further starts [n, p] for every weighting, such as the optimum of a simpler law.
        lower, upper: bounds [weightings, p] in place of those of the design.
        iterations: most Newton steps per start; a flat valley is left where it is, its predictions no longer change.

    Returns:
        The best end under each weighting; value inf where no start gave a finite objective.

    Cost: `pool` evaluations of the law, and some twenty per start and weighting.
    """
    count, size = len(weights), len(design.law.parameters)
    natural = candidates(
        design.law, design.inputs, design.observed, design.weights, held=design.held, count=pool, seed=seed
    )
    u = design.to_coordinates(natural)
    with np.errstate(all="ignore"):
        penalty = design.loss.penalty(design.residuals(u))
    usable = np.all(np.isfinite(u), axis=1)
    begin = np.empty((count, starts + (0 if also is None else len(also)), size))
    for k in range(count):
        kept = weights[k] > 0
        scores = penalty[:, kept] @ weights[k][kept]
        chosen = spread(u, np.where(usable, scores, np.inf), starts)
        first = u[np.resize(chosen, starts)] if len(chosen) else design.to_coordinates(np.ones((starts, size)))
        begin[k, :starts] = first
        if also is not None:
            begin[k, starts:] = also
    each = begin.shape[1]
    repeat = lambda bounds: None if bounds is None else np.repeat(bounds, each, axis=0)  # noqa: E731
    found = design.minimise(
        begin.reshape(-1, size),
        np.repeat(weights, each, axis=0),
        lower=repeat(lower),
        upper=repeat(upper),
        damping=_DAMPING,
        iterations=iterations,
    )
    value = np.where(np.isfinite(found.value), found.value, np.inf).reshape(count, each)
    best = np.arange(count) * each + np.argmin(value, axis=1)
    least = value.min(axis=1)
    with np.errstate(invalid="ignore"):
        agree = np.sum(value - least[:, None] <= AGREE * least[:, None], axis=1)
    return Refits(found.u[best], least, found.converged[best], each, agree)
