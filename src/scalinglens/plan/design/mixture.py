"""How large the error of a law is, from the runs: one belief for each of five sizes of its bend, weighed by what it foresaw.

Five sizes s from a tenth of that asked for to ten times it are equally likely before any run. Runs y weigh them by

    ln Z(s) = -sum_i (rho(r_i/sd_i) + ln sd_i) - (u - u0)' V^-1 (u - u0)/2 - ln det(I + V sum_i J_i J_i'/sd_i^2)/2
              - n0 (ln sd^2 + sd0^2/sd^2)/2

(Laplace; u the most likely coordinates, bend included; rho of Student's t; the last line is the chi-square density of the
noise that n0 earlier runs speak for). A law that holds is soon trusted, so that many cheap runs settle a far target; one that
does not is trusted near the runs only, and the design then buys those nearest to the target. A decision is the mean over the
five (Hoeting et al. 1999, Bayesian model averaging, Statist. Sci. 14).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from scalinglens.plan.design.belief import Belief, conditioned, evidence
from scalinglens.plan.design.bend import Bend
from scalinglens.plan.design.decision import Question, decide

__all__ = ["FACTORS", "decided", "doubted", "weighed"]

FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)
LEAST = 0.01  # probability below which a size is dropped


def doubted(belief: Belief, bend: Bend) -> tuple[Belief, ...]:
    """Return the belief with a bend of each of five sizes, equally likely; alone where the bend is nothing.

    >>> from scalinglens.laws.catalogue import law
    >>> from scalinglens.plan.design.prior import published_belief
    >>> prior = published_belief(law("hoffmann2022"), None)
    >>> [b.bend.size for b in doubted(prior, Bend(0.01, {"params": 1e10, "tokens": 2e11}))]
    [0.001, 0.003, 0.01, 0.03, 0.1]
    """
    if bend.size == 0.0 or belief.bend is not None:
        return (belief,)
    share = belief.weight / len(FACTORS)
    return tuple(replace(belief.bent(replace(bend, size=bend.size * f)), weight=share) for f in FACTORS)


def weighed(
    beliefs: Sequence[Belief], columns: Mapping[str, np.ndarray], observed: np.ndarray, *, seed: int = 0
) -> tuple[Belief, ...]:
    """Return the beliefs after runs were made, with the probability of each.

    Args:
        beliefs: of one law with bends of several sizes, their weights those before the runs.
        columns: input -> values [n] of the runs.
        observed: what they gave [n].
        seed: of the new draws.

    Returns:
        Those with a probability of a hundredth or more; their weights sum to one.

    Raises:
        PlanError: a value that has no logarithm.

    Cost: some thirty evaluations of the derivatives for each belief.
    """
    after: list[Belief] = []
    for before in beliefs:
        near = after[-1].best if after and len(after[-1].best) == len(before.best) else None
        after.append(conditioned(before, columns, observed, seed=seed, start=near))
    logs = np.array([evidence(b, a, columns, observed) + np.log(b.weight) for b, a in zip(beliefs, after, strict=True)])
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    kept = weights >= LEAST
    weights /= weights[kept].sum()
    return tuple(replace(a, weight=float(w)) for a, w, k in zip(after, weights, kept, strict=True) if k)


def decided(beliefs: Sequence[Belief], question: Question) -> float:
    """Return the decision: the mean over the beliefs, of one law, of that at the most likely coordinates of each.

    Cost: one decision, at a draw for each belief.
    """
    weights = np.array([b.weight for b in beliefs])
    count = len(beliefs[0].law.parameters)
    best = np.array([b.best[:count] for b in beliefs])  # a bend is nothing at the target
    flat = replace(beliefs[0], bend=None, best=best[0], covariance=beliefs[0].covariance[:count, :count])
    return float(weights @ decide(flat, best, question).values / weights.sum())
