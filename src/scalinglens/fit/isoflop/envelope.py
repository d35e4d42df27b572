"""Approach 1: the envelope of training curves, which size has the least loss at each amount of compute."""

from __future__ import annotations

import numpy as np

from scalinglens.errors import FitError
from scalinglens.fit.estimate import Estimate
from scalinglens.fit.isoflop.optima import Optimum
from scalinglens.numerics.bootstrap import percentile_interval
from scalinglens.runs import Runs

__all__ = ["envelope_optima"]


def envelope_optima(
    runs: Runs,
    *,
    column: str,
    given: np.ndarray | None,
    size: str,
    target: str,
    count: int,
    draws: int,
    near: float,
    level: float,
    seed: int,
) -> tuple[tuple[Optimum, ...], tuple[str, ...]]:
    """Compare the curves of loss over compute of all sizes, interpolated at common budgets.

    Args:
        runs: training curves, several rows per size.
        column: of compute.
        given: budgets to compare at, or None for `count` of them over the range in which three curves run.
        size, target: columns of size and loss.
        count: of budgets.
        draws: resamples of the sizes, for intervals.
        near: relative tolerance of the near-optimal sizes.
        level: of the intervals.
        seed: of the resamples.

    Returns:
        One `Optimum` per budget, and warnings. A budget whose best size is the smallest or largest of those that were
        trained so far has no interior minimum.

    Raises:
        FitError: fewer than three sizes have curves.

    Cost: draws x budgets x sizes.

    Source: Hoffmann et al. 2022 (arXiv 2203.15556), approach 1, with 1,500 budgets; neighbouring budgets share their best
        size, so more of them add nothing.
    """
    log_c, sizes = np.log(runs.column(column)), runs.column(size)
    log_loss, log_tokens = np.log(runs.column(target)), np.log(runs.column("tokens"))
    curves = []
    for value in np.unique(sizes):
        rows = np.flatnonzero(sizes == value)
        rows = rows[np.lexsort((log_loss[rows], log_c[rows]))]
        rows = rows[np.concatenate([[True], np.diff(log_c[rows]) > 0])]
        if len(rows) > 1:
            curves.append((float(value), log_c[rows], log_loss[rows], log_tokens[rows]))
    if len(curves) < 3:
        raise FitError(
            f"only {len(curves)} sizes of {runs.origin} have a curve of two points or more; an envelope needs three: give "
            'training curves, or use method="akima" on runs of equal compute'
        )
    if given is None:
        low = sorted(c[0] for _, c, _, _ in curves)[2]
        high = sorted(c[-1] for _, c, _, _ in curves)[-3]
        if low >= high:
            raise FitError("at no compute are three curves there to compare; train sizes over overlapping compute")
        grid = np.linspace(low, high, count)
    else:
        grid = np.sort(np.log(given))
    names = np.array([value for value, *_ in curves])
    loss = np.stack([np.interp(grid, c, y, left=np.inf, right=np.inf) for _, c, y, _ in curves], axis=1)
    tokens = np.stack([np.interp(grid, c, d) for _, c, _, d in curves], axis=1)
    best = _winner(loss)
    rng = np.random.default_rng([seed, 0])
    drawn = np.full((draws, len(grid)), -1)
    for k in range(draws):
        absent = np.bincount(rng.integers(len(curves), size=len(curves)), minlength=len(curves)) == 0
        drawn[k] = _winner(np.where(absent, np.inf, loss))

    found = []
    for i, flops in enumerate(np.exp(grid)):
        there = np.flatnonzero(np.isfinite(loss[i]))
        kind = {"flops": float(flops), "sizes": len(there), "smallest": float(names[there].min(initial=np.inf))}
        kind["largest"] = float(names[there].max(initial=-np.inf))
        if len(there) < 3 or best[i] < 0:
            found.append(Optimum(status="too_few_sizes" if len(there) < 3 else "no_interior_minimum", **kind))
            continue
        picked = drawn[:, i]
        ln_sizes = np.where(picked >= 0, np.log(names[picked]), np.nan)
        within = names[there][loss[i, there] <= loss[i, best[i]] + np.log1p(near)]
        ends = tuple(
            None if end in (kind["smallest"], kind["largest"]) else float(end) for end in (within[0], within[-1])
        )
        where = np.where(picked >= 0, tokens[i, picked], np.nan)
        found.append(
            Optimum(
                status="ok",
                size=_estimate(float(names[best[i]]), np.exp(ln_sizes), level),
                tokens=_estimate(float(np.exp(tokens[i, best[i]])), np.exp(where), level),
                loss=Estimate(float(np.exp(loss[i, best[i]]))),
                near=(ends[0], ends[1]),
                error=1.0,
                draws=ln_sizes,
                token_draws=where,
                **kind,
            )
        )
    few = len({optimum.size.value for optimum in found if optimum.size})
    coarse = (f"only {few} sizes are best anywhere; the exponents are no finer than their spacing",) if few < 5 else ()
    return tuple(found), coarse


def _winner(loss: np.ndarray) -> np.ndarray:
    """The curve with the least loss at each budget, or -1 where it is the smallest or largest size that is there."""
    there = np.isfinite(loss)
    best = loss.argmin(axis=1)
    first, last = there.argmax(axis=1), there.shape[1] - 1 - there[:, ::-1].argmax(axis=1)
    return np.where((best > first) & (best < last), best, -1)


def _estimate(value: float, draws: np.ndarray, level: float) -> Estimate:
    if np.isfinite(draws).sum() < 2 / (1 - level):
        return Estimate(float(value))
    low, high = percentile_interval(draws, level)
    return Estimate(float(value), float(low), float(high), level, "percentile")
