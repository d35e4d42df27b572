"""Intervals of what is worked out from a law: the same working under every draw of a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scalinglens.errors import ScalingLensError
from scalinglens.fit.estimate import Estimate
from scalinglens.plan.optimum.estimates import quantiles
from scalinglens.plan.optimum.head import Head
from scalinglens.plan.source import Source

__all__ = ["Drawn", "together", "under_draws"]

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
    return {name: _estimate(float(value), drawn[name], source.level) for name, value in centre.items()}, _doubts(
        missing
    )


@dataclass(frozen=True, eq=False)
class Drawn:
    """A source under several draws of one of its laws at once, or, without draws, as it is.

    Attributes:
        source: a law with its inputs, or a pool.
        head: the law that is drawn; None for the source as it is.
        draws: of its parameters [draws, p].
    """

    source: Source
    head: Head | None = None
    draws: np.ndarray = field(default_factory=lambda: np.empty((1, 0)))

    @property
    def count(self) -> int:
        """How many draws, the last axis of all arrays."""
        return len(self.draws)

    @property
    def values(self) -> dict[str, Any]:
        """Parameter -> values [draws]."""
        if self.head is None:
            return dict(self.source.values)
        return {name: self.draws[:, i] for i, name in enumerate(self.head.law.parameters)}

    def value(self, columns: Mapping[str, Any]) -> np.ndarray:
        """The target at input -> number or array [..., draws]."""
        if self.head is None:
            return self.source.value(columns)
        return self.head.law.value(self.values, {name: columns[name] for name in self.head.law.inputs})

    def elasticities(self, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """d(target)/d(ln input) there."""
        if self.head is None:
            return self.source.elasticities(columns)
        return self.head.law.elasticities(self.values, {name: columns[name] for name in self.head.law.inputs})


def together(
    source: Source, working: Callable[[Drawn], Mapping[str, Any]]
) -> tuple[dict[str, Estimate], tuple[str, ...]]:
    """Return what is worked out from a source, as `under_draws`, from a working that takes all draws of a law at once.

    Args:
        source: a law with constants, a fit, or a pool.
        working: `Drawn` -> quantity -> values [draws], NaN where there is no answer.

    Cost: one working for each law, on arrays of up to 200 draws.

    >>> from scalinglens.plan.source import as_source
    >>> found, _ = together(as_source("besiroglu2024"), lambda s: {"loss": s.value({"params": 1e9, "tokens": 2e10})})
    >>> round(found["loss"].value, 4), found["loss"].low
    (2.5301, None)
    """
    centre = {name: float(np.ravel(value)[0]) for name, value in working(Drawn(source)).items()}
    total = sum(len(head.draws) for head in source.heads)
    drawn: dict[str, list[float]] = {name: [] for name in centre}
    asked = answered = 0
    for head in source.heads:
        draws = head.draws[: -(-_MOST * len(head.draws) // total)] if total else head.draws
        if not len(draws):
            continue
        found = working(Drawn(source, head, draws))
        arrays = {name: np.broadcast_to(np.asarray(found[name], dtype=float), (len(draws),)) for name in centre}
        good = np.all([np.isfinite(arrays[name]) for name in centre if np.isfinite(centre[name])], axis=0)
        asked, answered = asked + len(draws), answered + int(good.sum())
        for name, middle in centre.items():
            drawn[name] += [_spread(float(one), middle, head.widening) for one in arrays[name][good]]
    if not asked:
        return {name: Estimate(value) for name, value in centre.items()}, ()
    missing = 1 - answered / asked
    if missing > _LEAST:
        said = f"{missing:.0%} of the draws of the fit have no answer, so there are no intervals"
        return {name: Estimate(value) for name, value in centre.items()}, (said,)
    return {name: _estimate(value, drawn[name], source.level) for name, value in centre.items()}, _doubts(missing)


def _estimate(value: float, spread: list[float], level: float) -> Estimate:
    low, high = (float(end[0]) for end in quantiles(np.array([spread]), level))
    known = np.isfinite(low) and np.isfinite(high)
    return Estimate(value, low, high, level, "percentile") if known else Estimate(value)


def _doubts(missing: float) -> tuple[str, ...]:
    return (f"{missing:.0%} of the draws of the fit have no answer and are left out",) if missing else ()


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
