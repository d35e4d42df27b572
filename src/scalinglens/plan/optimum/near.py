"""The near-optimal range: every choice whose value is within a tolerance of the best at the same cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from scalinglens.numerics.roots import bracketed_root
from scalinglens.plan.optimum.optimum import Optimum, Problem, ends_along, slack_of, solve
from scalinglens.plan.optimum.solutions import Solver

__all__ = ["near_optimal"]


def near_optimal(solver: Solver, log_budgets: np.ndarray, best: Optimum, tolerance: float) -> dict[str, np.ndarray]:
    """Return for each free input the least and the largest value within the tolerance of the best.

    { x : min over the others of L(x, others at the same cost) <= L* (1 + tolerance) }

    The range is that around the optimum; at the ends of what is allowed it ends there.

    Args:
        log_budgets: ln of the budgets [n]. best: the optimum at them. tolerance: relative.

    Returns:
        input -> [n, 2].

    Cost: about 25 evaluations of the loss with one input beside the slack, as many optima with more.
    """
    problem, value = solver.problem, _value(solver)
    if not problem.outer:
        alone = np.exp(best.logs[problem.slack])
        return {problem.slack: np.stack([alone, alone], axis=1)}
    middle = {**problem.fixed, **best.logs}
    least = value(middle)
    limit = least + tolerance * np.abs(least)
    if len(problem.outer) == 1:
        name = problem.outer[0]

        def excess(t: np.ndarray) -> np.ndarray:
            others = {**problem.fixed, name: t}
            y, _ = slack_of(problem, others, log_budgets)
            return value({**others, problem.slack: y}) - limit

        ends = _ends(problem, log_budgets, name, best, excess)
        others = [{**problem.fixed, name: end} for end in ends]
        slack = [slack_of(problem, other, log_budgets)[0] for other in others]
        found = {name: np.stack(ends, axis=1), problem.slack: np.sort(np.stack(slack, axis=1), axis=1)}
        return {key: np.exp(found[key]) for key in problem.free}
    return {name: np.exp(np.stack(_profiled(solver, log_budgets, best, name, limit), axis=1)) for name in problem.free}


def _value(solver: Solver) -> Callable[[Mapping[str, Any]], np.ndarray]:
    """What the user sees, smaller is better, as a function of log inputs [n]."""
    source = solver.stated.source
    if source.heads and not source.link:
        model = source.model()
        return lambda logs: np.asarray(model({k: np.atleast_2d(v) for k, v in logs.items()})[0])[0]
    sign = 1.0 if source.falls else -1.0
    return lambda logs: sign * source.value({k: np.exp(v) for k, v in logs.items() if k in source.inputs})


def _ends(
    problem: Problem,
    log_budgets: np.ndarray,
    name: str,
    best: Optimum,
    excess: Callable[[np.ndarray], np.ndarray],
) -> list[np.ndarray]:
    """Where the excess turns positive left and right of the optimum; the ends of what is allowed where it does not."""
    middle = best.logs[name]
    known = np.isfinite(middle)
    safe = np.where(known, middle, 0.0)
    found = []
    for end in ends_along(problem, log_budgets, name):
        end = np.where(known & np.isfinite(end), end, safe)
        at_end = excess(end)
        outside = at_end > 0
        root = bracketed_root(excess, np.where(outside, end, safe), safe)
        found.append(np.where(known, np.where(outside, root, end), np.nan))
    return found


def _profiled(solver: Solver, log_budgets: np.ndarray, best: Optimum, name: str, limit: np.ndarray) -> list[np.ndarray]:
    """The ends for one of several inputs, the others at their best for each of its values."""
    problem, model, value = solver.problem, solver.stated.source.model(), _value(solver)
    others = tuple(key for key in problem.free if key != name)
    slack = problem.slack
    if name == slack:
        middle = {**problem.fixed, **best.logs}
        payers = [key for key in others if np.max(np.asarray(problem.cost(middle)[1].get(key, 0.0))) > 0]
        if not payers:
            same = best.logs[name]
            return [same, same]
        slack = payers[-1]
    inner = replace(problem, free=others, slack=slack)
    near = {key: np.atleast_2d(best.logs[key]) for key in others}

    def excess(t: np.ndarray) -> np.ndarray:
        held = replace(inner, fixed={**problem.fixed, name: np.atleast_2d(t)})
        found = solve(model, held, np.atleast_2d(log_budgets), near)
        logs = {**held.fixed, **found.logs}
        there = value({key: np.asarray(v)[0] if np.ndim(v) == 2 else v for key, v in logs.items()})
        return np.where(np.isfinite(there), there - limit, np.inf)

    whole = replace(problem, slack=slack) if name != slack else problem
    return _ends_alone(whole, name, best, excess)


def _ends_alone(
    problem: Problem, name: str, best: Optimum, excess: Callable[[np.ndarray], np.ndarray]
) -> list[np.ndarray]:
    middle = best.logs[name]
    known = np.isfinite(middle)
    safe = np.where(known, middle, 0.0)
    found = []
    for end in problem.range(name):
        edge = np.where(known, np.full(middle.shape, end), safe)
        outside = excess(edge) > 0
        root = bracketed_root(excess, np.where(outside, edge, safe), safe)
        found.append(np.where(known, np.where(outside, root, edge), np.nan))
    return found
