"""Intervals of what is worked out from a law: the same working under every draw of a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from scalinglens.errors import ScalingLensError
from scalinglens.fit.estimate import Estimate
from scalinglens.plan.optimum.estimates import quantiles
from scalinglens.plan.optimum.head import Head
from scalinglens.plan.source import Source

__all__ = ["under_draws"]

_MOST = 200  # draws worked through; a percentile of 5% then rests on ten
_LEAST = 0.5  # share of the draws that must have an answer for an interval to mean something


def under_draws(
    source: Source, working: Callable[[Source], Mapping[str, float]]
) -> tuple[dict[str, Estimate], tuple[str, ...]]:
    """Return what is worked out from a source, with intervals where it has draws.

    Args:
        source: a law with constants, a fit, or a pool.
        working: source -> quantity -> value; it may raise for a draw under which there is no answer.

    Returns:
        quantity -> `Estimate`, at the level of the source, and warnings.

    Cost: up to 200 times the working.

    >>> from scalinglens.plan.source import as_source
    >>> found, _ = under_draws(as_source("besiroglu2024"), lambda s: {"loss": float(s.value({"params": 1e9, "tokens": 2e10}))})
    >>> round(found["loss"].value, 4), found["loss"].low
    (2.5301, None)
    """
    centre = dict(working(source))
    total = sum(len(head.draws) for head in source.heads)
    if not total:
        return {name: Estimate(float(value)) for name, value in centre.items()}, ()
    drawn: dict[str, list[float]] = {name: [] for name in centre}
    asked = answered = 0
    for head in source.heads:
        for values in head.draws[: -(-_MOST * len(head.draws) // total)]:
            asked += 1
            try:
                found = working(_one(source, head, values))
            except ScalingLensError:
                continue
            answered += 1
            for name, middle in centre.items():
                drawn[name].append(_spread(float(found.get(name, np.nan)), float(middle), head.widening))
    missing = 1 - answered / max(asked, 1)
    if missing > _LEAST:
        said = f"{missing:.0%} of the draws of the fit have no answer, so there are no intervals"
        return {name: Estimate(float(value)) for name, value in centre.items()}, (said,)
    estimates = {}
    for name, value in centre.items():
        low, high = (float(end[0]) for end in quantiles(np.array([drawn[name]]), source.level))
        known = np.isfinite(low) and np.isfinite(high)
        estimates[name] = (
            Estimate(float(value), low, high, source.level, "percentile") if known else Estimate(float(value))
        )
    return estimates, ((f"{missing:.0%} of the draws of the fit have no answer and are left out",) if missing else ())


def _one(source: Source, head: Head, values: np.ndarray) -> Source:
    """The source under one draw."""
    single = replace(head, values=values, draws=np.empty((0, len(values))), weight=1.0, widening=1.0)
    return replace(source, heads=(single,), how="mean", link="")


def _spread(drawn: float, centre: float, factor: float) -> float:
    if factor == 1.0 or not np.isfinite(drawn):
        return drawn
    if drawn > 0 and centre > 0:
        return centre * (drawn / centre) ** factor
    return centre + factor * (drawn - centre)
