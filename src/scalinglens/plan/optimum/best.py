"""`best_inputs`: where a law is best along inputs that cost nothing in themselves: a vocabulary, a precision, a divergence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.fit.estimate import check_level
from scalinglens.numerics.roots import bracketed_root
from scalinglens.plan.optimum.estimates import Estimates, quantiles, value_interval
from scalinglens.plan.optimum.optimum import STATUSES, Problem, solve
from scalinglens.plan.optimum.problem import limits, numbers
from scalinglens.plan.source import as_source

__all__ = ["Best", "best_inputs"]

_TOTAL = "total"  # an input that no law has; the engine's slack, which nothing here depends on


@dataclass(frozen=True, eq=False)
class Best:
    """The result of `best_inputs`; arrays are by point.

    Attributes:
        optimum: chosen input -> `Estimates`.
        value: `Estimates` of the target there.
        near_optimal: chosen input -> ends [n, 2] within the tolerance of the best, the others held at their best.
        tolerance: relative, of that range.
        status: "inside" or "at_bound" [n].
        at: the other inputs -> values [n].
    """

    optimum: Mapping[str, Estimates]
    value: Estimates
    near_optimal: Mapping[str, np.ndarray]
    tolerance: float
    status: tuple[str, ...]
    at: Mapping[str, np.ndarray]


def best_inputs(
    source: Any,
    over: Mapping[str, Any],
    at: Mapping[str, Any] | None = None,
    *,
    tolerance: float = 1e-3,
    level: float | None = None,
    constants: Mapping[str, float] | None = None,
) -> Best:
    """Find the best values of inputs between bounds, the others held.

    Args:
        source: as `frontier`.
        over: input -> (least, most) where it may lie.
        at: every other input -> number or array [n].
        tolerance, level, constants: as `frontier`.

    Returns:
        The `Best`.

    Raises:
        PlanError: an unknown input, or one that is neither chosen nor given.

    Cost: about 100 evaluations of the law for one input, 20 for each draw.

    >>> gain = best_inputs("gao2022.best_of_n", {"kl": (0.1, 1e4)}, constants={"a": 2.0, "b": 0.1})
    >>> f"{gain.optimum['kl'].value[0]:.6f}"
    '100.000000'
    """
    source = as_source(source, constants=constants)
    at = dict(at or {})
    at_level = source.level if level is None else level
    check_level(at_level)
    if not over:
        raise PlanError(
            f"nothing to choose; name one of {', '.join(source.inputs)} with its bounds: {{'vocab': (1e4, 1e6)}}"
        )
    for name in (*over, *at):
        if name not in source.inputs:
            known = ", ".join(source.inputs)
            raise PlanError(f'{source.name} has no input "{name}"{did_you_mean(name, source.inputs)}; it has {known}')
    both = [name for name in over if name in at]
    missing = [name for name in source.inputs if name not in over and name not in at]
    if both or missing:
        which = f"{both[0]} is both chosen and given" if both else f"{missing[0]} is neither chosen nor given"
        raise PlanError(f"{which}; choose {', '.join(over)}, and give every other input of {source.name} a value")
    arrays = np.broadcast_arrays(np.zeros(1), *(numbers(name, value) for name, value in at.items()))
    held = dict(zip(at, arrays[1:], strict=True))
    bounds = {name: limits(name, ends) for name, ends in over.items()}
    n = len(arrays[0])
    problem = Problem(
        (*over, _TOTAL),
        _TOTAL,
        lambda logs: (logs[_TOTAL], {_TOTAL: np.ones(np.shape(logs[_TOTAL]))}),
        {name: np.log(array) for name, array in held.items()},
        {**bounds, _TOTAL: (-1.0, 1.0)},
    )
    model = source.model()
    best = solve(model, problem, np.zeros((1, n)))
    centre = {name: np.broadcast_to(best.logs[name], (1, n))[0] for name in over}
    found = {name: Estimates.plain(np.exp(logs)) for name, logs in centre.items()}
    if source.heads and source.draws:
        drawn: dict[str, list[np.ndarray]] = {name: [] for name in over}
        for head in source.heads:
            if len(head.draws):
                one = solve(
                    head.model(head.draws),
                    problem,
                    np.zeros((len(head.draws), n)),
                    {k: v[None] for k, v in centre.items()},
                )
                for name in over:
                    middle = centre[name]
                    drawn[name].append((middle + head.widening * (one.logs[name] - middle)).T)
        for name in over:
            low, high = quantiles(np.concatenate(drawn[name], axis=1), at_level)
            low, high = (np.exp(np.clip(end, *bounds[name])) for end in (low, high))
            found[name] = Estimates(found[name].value, low, high, at_level)
    columns = {**held, **{name: e.value for name, e in found.items()}}
    status = np.broadcast_to(np.asarray(best.status), (1, n))[0]
    fixed = {name: np.log(array) for name, array in held.items()}

    def excess(name: str, t: np.ndarray) -> np.ndarray:
        value = model({k: np.atleast_2d(v) for k, v in {**fixed, **centre, name: t}.items()})[0]
        least = np.asarray(best.value).reshape(1, -1)
        return np.broadcast_to(value - least - tolerance * np.abs(least), (1, n))[0]

    near = {}
    for name in over:
        ends = []
        for end in bounds[name]:
            edge = np.full(n, end)
            outside = excess(name, edge) > 0
            root = bracketed_root(
                lambda t, name=name: excess(name, t), np.where(outside, edge, centre[name]), centre[name]
            )
            ends.append(np.exp(np.where(outside, root, edge)))
        near[name] = np.stack(ends, axis=1)
    value = value_interval(source, {name: np.broadcast_to(columns[name], (n,)) for name in source.inputs}, at_level)
    return Best(found, value, near, float(tolerance), tuple(STATUSES[i] for i in status), held)
