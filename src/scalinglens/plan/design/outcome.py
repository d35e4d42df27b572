"""From the set of runs that a search found to what is said about it: order, intervals, alternatives, warnings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.fit.compare.pool import extents_of
from scalinglens.fit.estimate import Estimate
from scalinglens.laws.law import Law
from scalinglens.plan.design.belief import Belief
from scalinglens.plan.design.criterion import State
from scalinglens.plan.design.ladder import spread_of
from scalinglens.plan.design.problem import Posed
from scalinglens.plan.design.search import alternatives

__all__ = [
    "assumptions_of",
    "intervals",
    "ladder_notes",
    "near_alternatives",
    "ordered",
    "run_table",
    "says",
    "warnings_of",
]

NEARLY = 0.02  # share by which the variance may be larger with another run in a place
FAR = 1.0  # decades beyond the largest run from which an extrapolation is warned of


def ordered(posed: Posed, chosen: Sequence[int]) -> list[int]:
    """The same runs, those first that say most per cost, given the ones before."""
    state, left, order = posed.problem.start(), list(chosen), []
    cost = np.maximum(posed.problem.cost, 1e-12 * posed.problem.cost.max())
    while left:
        gains = (state.score - state.scores()[left]) / cost[left]
        run = left.pop(int(np.argmax(gains)))
        state.add(run)
        order.append(run)
    return order


def run_table(
    frame: pd.DataFrame, posed: Posed, order: Sequence[int], batch: int | None, seed: int
) -> tuple[pd.DataFrame, list[float]]:
    """The table of runs, and the mean variance of the decision before, and after each of them."""
    state = posed.problem.start()
    totals, seeds = [state.total], []
    for place, run in enumerate(order):
        seeds.append(seed + list(order[:place]).count(run))
        state.add(run)
        totals.append(state.total)
    table = frame.iloc[list(order)].reset_index(drop=True)
    table = table.drop(columns=[name for name in ("seed",) if name in table.columns])
    cost = table.pop("cost")
    table = table.assign(
        seed=seeds,
        cost=cost,
        cumulative=cost.cumsum(),
        batch=[1 + place // (batch or max(len(order), 1)) for place in range(len(order))],
        left=np.sqrt(np.array(totals[1:]) / totals[0]),
    )
    return table, totals


def intervals(posed: Posed, totals: Sequence[float], level: float) -> tuple[Estimate, Estimate, tuple[float, float]]:
    """The decision before and after: quantiles of the draws, drawn together about the value by the ratio of deviations."""
    values = posed.draws[np.isfinite(posed.draws)]
    middle = posed.value
    # the draws know the shape; what the law itself may get wrong widens them as its variance says
    start = totals[0]
    widen = max(math.sqrt(start / posed.plain), 1.0) if posed.plain > 0 else 1.0
    ends = np.quantile(values, [(1 - level) / 2, (1 + level) / 2]) - np.median(values)
    sds = (math.sqrt(start), math.sqrt(totals[-1]))
    found = []
    for ratio in (widen, widen * math.sqrt(totals[-1] / start)):
        value, low, high = middle, middle + ratio * ends[0], middle + ratio * ends[1]
        if posed.in_logs:
            value, low, high = (float(np.exp(v)) for v in (value, low, high))
        found.append(Estimate(float(value), float(low), float(high), level, "design"))
    return found[0], found[1], sds


def near_alternatives(frame: pd.DataFrame, state: State, order: Sequence[int], inputs: Sequence[str]) -> pd.DataFrame:
    """Ranges of the candidates that could take the place of a run; none for a run that could as well be left out."""
    cost, values = frame["cost"].to_numpy(), {n: frame[n].to_numpy(dtype=float) for n in inputs}
    rows, known = [], {}
    for number, run in enumerate(order, 1):
        if run not in known:
            known[run] = alternatives(state, run, NEARLY)
        near = known[run][cost[known[run]] <= cost[run] * (1 + 1e-9)]
        if len(near):
            near = np.append(near, run)
            rows += [
                {"run": number, "input": n, "low": v[near].min(), "high": v[near].max()} for n, v in values.items()
            ]
    return pd.DataFrame(rows, columns=["run", "input", "low", "high"])


def says(goal: str, law: Law, posed: Posed) -> str:
    """Return what is decided, in a word."""
    if goal == "difference":
        return f"difference of ln {law.output}"
    return posed.decided[0].name


def assumptions_of(beliefs: Sequence[Belief], posed: Posed) -> tuple[str, ...]:
    """Return what the design takes for granted, in sentences."""
    laws = list(dict.fromkeys(b.law.name for b in beliefs))
    likely = max(beliefs, key=lambda b: b.weight)  # of several sizes of the bend; a pool of laws has the least noise
    noise = likely.noise.scale if len(laws) == 1 else min(b.noise.scale for b in beliefs)
    bent = [(b.weight, math.log(b.bend.size)) for b in beliefs if b.bend is not None]
    bend = math.exp(sum(w * s for w, s in bent) / sum(w for w, _ in bent)) if bent else 0.0
    far = (
        f", but for {bend:.2%} per decade from the target, alike for runs within a decade of each other" if bend else ""
    )
    return (
        (f"the law is {laws[0]}" if len(laws) == 1 else f"the laws are {', '.join(laws)}") + far,
        f"a run scatters by {noise:.2%}; runs near each other share {posed.problem.shared:.0%} of their variance",
    )


def warnings_of(
    beliefs: Sequence[Belief],
    posed: Posed,
    runs: pd.DataFrame,
    past: pd.DataFrame | None,
    spend: float,
    inputs: Sequence[str],
) -> list[str]:
    """Return what a reader should know, in sentences."""
    found = [note for belief in beliefs for note in belief.notes]
    edge = max(d.edge for d in posed.decided)
    if edge > 0:
        found.append(
            f"{edge:.0%} of the draws have no optimum inside the range: the law does not say what size is best"
        )
    extents = [n for n in extents_of(tuple(inputs)) if n in posed.decided[0].where]
    if extents and len(runs):
        tables: list[Any] = [runs, *([past] if past is not None else []), *(b.points for b in beliefs)]
        reach = max(
            np.sum([np.log10(np.asarray(t[n], dtype=float)) for n in extents], axis=0).max()
            for t in tables
            if all(n in t for n in extents)
        )
        far = float(np.sum([np.median(np.log10(posed.decided[0].where[n])) for n in extents])) - float(reach)
        if far > FAR:
            what = "x".join(extents)
            found.append(
                f"the target lies {far:.1f} decades of {what} beyond the largest run: the interval holds if the law does; "
                "a pool of laws (fit with law auto) says what that is worth"
            )
    if not len(runs):
        found.append("no candidate adds to what is known: the decision does not depend on them")
    elif runs["cost"].to_numpy().sum() < 0.5 * spend:
        found.append(
            f"half of the budget or more is left: {len(runs)} runs are as many as asked for, or no other helps"
        )
    free = max(int(np.sum(np.diag(b.covariance)[: len(b.law.parameters)] > 0)) for b in beliefs)
    known = max((len(next(iter(b.points.values()), ())) for b in beliefs), default=0) + (
        0 if past is None else len(past)
    )
    distinct = len(runs.drop_duplicates([n for n in inputs if n in runs.columns])) + known
    if distinct < free:
        found.append(f"{distinct} different runs cannot determine the {free} parameters of the law: the rest is prior")
    return found


def ladder_notes(runs: pd.DataFrame, size: str, data: str) -> list[str]:
    """Return a sentence where the first ladder is smaller than it should be."""
    sizes, ratios, _ = spread_of(runs, size, data)
    if sizes >= 5 and ratios >= 3:
        return []
    return [
        f"the ladder has {sizes} sizes and {ratios} ratios of {data} to {size}, fewer than 5 and 3: the budget or the "
        "candidates do not have more; a law fitted to it may not be identified"
    ]
