"""`regret`: what an allocation loses against the best one at the same cost, in loss, in compute and in money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import PlanError
from scalinglens.fit.estimate import check_level
from scalinglens.numerics.processes import single_threaded_blas
from scalinglens.plan.cost import Cost
from scalinglens.plan.excess import under_draws
from scalinglens.plan.inverse import least_costs
from scalinglens.plan.optimum.estimates import Estimates, value_interval
from scalinglens.plan.optimum.optimum import Problem, slack_of
from scalinglens.plan.optimum.problem import Stated, numbers, positive, state
from scalinglens.plan.optimum.solutions import Solver
from scalinglens.plan.source import Source, as_source

__all__ = ["Regret", "regret"]


@dataclass(frozen=True, eq=False)
class Regret:
    """The result of `regret`; arrays are by allocation.

    Attributes:
        allocation: input -> value [n].
        budget: cost of each allocation [n].
        loss: of the allocation. best: of the optimum at the same cost.
        excess: loss - best (best - value where more is better).
        equivalent: cost at which the optimum does as well as the allocation.
        waste: 1 - equivalent/budget, the share of the cost that bought nothing.
        dollars: (budget - equivalent) * price, or None without a price.
        optimum: input -> best value at the same cost [n].
    """

    allocation: Mapping[str, np.ndarray]
    budget: np.ndarray
    loss: Estimates
    best: Estimates
    excess: Estimates
    equivalent: Estimates
    waste: Estimates
    dollars: Estimates | None
    optimum: Mapping[str, np.ndarray]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per allocation."""
        columns: dict[str, Any] = {**self.allocation, "budget": self.budget}
        for name in ("loss", "best", "excess", "equivalent", "waste", "dollars"):
            e = getattr(self, name)
            if e is not None:
                columns |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
        return pd.DataFrame(columns)


def regret(
    source: Any,
    allocation: Mapping[str, Any],
    budget: Any = None,
    cost: str | Cost | None = None,
    *,
    price: float | None = None,
    fix: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
    level: float | None = None,
    constants: Mapping[str, float] | None = None,
) -> Regret:
    """Compare allocations with the best at the same cost.

    excess = loss(x) - min { loss(x') : cost(x') = cost(x) },  waste = 1 - C'/cost(x) with min loss at C' = loss(x)

    Args:
        source: as `frontier`.
        allocation: input -> number or array [n], {"params": 280e9, "tokens": 300e9}. One may be left to the budget.
        budget: in the unit of the cost, where an input is left to it.
        cost, fix, bounds, level, constants: as `frontier`.
        price: dollars per unit of the cost.

    Returns:
        The `Regret`. Its intervals compare within each draw, so they say how sure the loss is, not how sure the size is.

    Raises:
        PlanError: an allocation that is not complete, impossible, or does not cost the budget given.

    Cost: as `frontier` with as many budgets, twice.

    >>> gopher = regret("besiroglu2024", {"params": 280e9, "tokens": 300e9})
    >>> f"{gopher.excess.value[0]:.4f} {gopher.waste.value[0]:.1%}"
    '0.0214 50.3%'
    """
    source = as_source(source, constants=constants)
    stated = state(source, cost, fix, bounds)
    if stated.problem is None:
        raise PlanError("all inputs are fixed, so there is nothing to compare; leave them to the allocation")
    at = source.level if level is None else level
    check_level(at)
    given = _allocation(stated, allocation, budget)
    columns = {**{k: np.asarray(v, dtype=float) for k, v in stated.fixed.items()}, **given}
    paid = np.broadcast_to(stated.cost.value(columns), next(iter(given.values())).shape).astype(float)
    logs = np.log(paid)
    solver = Solver(stated)
    best = solver.estimate(logs)
    whole = {**columns, **{name: np.exp(a) for name, a in best.logs.items()}}
    n = len(paid)
    own = {k: np.broadcast_to(np.asarray(columns[k], dtype=float), (n,)) for k in source.inputs}
    there = {k: np.broadcast_to(whole[k], (n,)) for k in source.inputs}
    value = source.value(own)
    sign = 1.0 if source.falls else -1.0
    equal, _, _ = least_costs(stated, value, draws=False)
    equal = np.minimum(equal, logs)  # an allocation that is the best one costs itself, up to the last digits
    least = _at_the_best(source, there, logs, at)
    with single_threaded_blas():
        found = under_draws(solver, own, there, logs, equal, best, at)
    loss = found.loss
    excess = _interval(np.maximum(sign * (value - least.value), 0.0), found.excess, at)
    ends = None if found.costs is None else (np.exp(found.costs[0]), np.exp(found.costs[1]))
    equivalent = _interval(np.exp(equal), ends, at)
    share = Estimates(1 - np.exp(equal) / paid, 1 - equivalent.high / paid, 1 - equivalent.low / paid, at)
    dollars = None
    if price is not None:
        unit = positive("the price", price)
        value, low, high = (unit * paid * part for part in (share.value, share.low, share.high))
        dollars = Estimates(value, low, high, at)
    return Regret(
        allocation={**{k: np.broadcast_to(v, (n,)) for k, v in columns.items()}},
        budget=paid,
        loss=loss,
        best=least,
        excess=excess,
        equivalent=equivalent,
        waste=share,
        dollars=dollars,
        optimum={name: np.exp(a) for name, a in best.logs.items()},
    )


def _allocation(stated: Stated, allocation: Mapping[str, Any], budget: Any) -> dict[str, np.ndarray]:
    problem = stated.problem
    assert problem is not None
    if not isinstance(allocation, Mapping) or not allocation:
        raise PlanError('an allocation names its inputs: {"params": 280e9, "tokens": 300e9}')
    for name in allocation:
        if name not in stated.free:
            raise PlanError(f'the allocation names "{name}"; it may name {", ".join(stated.free)}')
    given = {name: numbers(name, value) for name, value in allocation.items()}
    left = [name for name in stated.free if name not in given]
    sizes = {len(a) for a in given.values()} - {1}
    if len(sizes) > 1:
        raise PlanError(
            f"the allocation has inputs of lengths {', '.join(map(str, sorted(sizes)))}; give as many everywhere"
        )
    if not left:
        arrays = dict(zip(given, np.broadcast_arrays(*given.values()), strict=True))
        if budget is not None:
            paid = stated.cost.value({**stated.fixed, **arrays})
            asked = numbers("the budget", budget, "flops" if stated.cost.unit == "FLOP" else None)
            if not np.allclose(paid, asked, rtol=1e-3):
                raise PlanError(
                    f"the allocation costs {np.ravel(paid)[0]:.4g} {stated.cost.unit}, not the budget of {asked[0]:.4g}; "
                    "leave one input or the budget out"
                )
        return arrays
    if budget is None or len(left) > 1:
        raise PlanError(f"the allocation does not say {', '.join(left)}; give the value, or the budget for one of them")
    asked = numbers("the budget", budget, "flops" if stated.cost.unit == "FLOP" else None)
    arrays = np.broadcast_arrays(asked, *given.values())
    logs = {name: np.log(a) for name, a in zip(given, arrays[1:], strict=True)}
    missing = Problem((left[0],), left[0], problem.cost, problem.fixed, problem.bounds, problem.powers)
    slack, able = slack_of(missing, {**problem.fixed, **logs}, np.log(arrays[0]))
    if not able.all():
        raise PlanError(
            f"no {left[0]} makes the allocation cost {asked[0]:.4g} {stated.cost.unit}; the inputs given cost more already"
        )
    return {**dict(zip(given, arrays[1:], strict=True)), left[0]: np.exp(slack)}


def _at_the_best(source: Source, there: Mapping[str, np.ndarray], logs: np.ndarray, level: float) -> Estimates:
    """The target at the optimum of each budget; the same budget is asked once."""
    _, first, place = np.unique(logs, return_index=True, return_inverse=True)
    found = value_interval(source, {name: array[first] for name, array in there.items()}, level)
    return Estimates(found.value[place], found.low[place], found.high[place], level)


def _interval(value: np.ndarray, ends: tuple[np.ndarray, np.ndarray] | None, level: float) -> Estimates:
    return Estimates.plain(value) if ends is None else Estimates(value, *ends, level)
