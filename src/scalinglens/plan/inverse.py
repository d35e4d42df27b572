"""The inverse questions: what a target loss costs, and the loss that a deadline allows.

The cheapest inputs of a given loss are found as the best inputs of a given cost are, the two changing places:

    minimise ln cost(x) subject to ln(loss(x) - floor) = ln(target - floor)

The cost diverges as the target nears the floor, so that a small error of the floor is a large one of the cost: draws whose
floor lies above the target never get there, and where they are more than a tail of the interval holds, its end is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.fit.estimate import check_level
from scalinglens.numerics.roots import bracketed_root
from scalinglens.plan.cost import Cost
from scalinglens.plan.frontier import Frontier, frontier_of
from scalinglens.plan.optimum.estimates import Estimates, quantiles
from scalinglens.plan.optimum.head import Head, negative
from scalinglens.plan.optimum.optimum import ENDLESS, Model, Problem, solve
from scalinglens.plan.optimum.problem import Stated, numbers, positive, state
from scalinglens.plan.optimum.solutions import Solver
from scalinglens.plan.source import as_source

__all__ = ["Reach", "cost_of", "costs_of_head", "least_costs", "loss_at", "reach_of"]

_PATH = 161  # budgets of a path along which draws of a pool are followed
_REACH = (12.0, 25.0)  # ln of how far below and above the estimate that path goes
_BLOCK = 200_000


@dataclass(frozen=True, eq=False)
class Reach:
    """The result of `cost_of`; arrays are by target.

    Attributes:
        targets: of the loss [n].
        cost: `Estimates` in the unit of the cost; infinite where the target lies below the floor.
        unreachable: share of the draws that never get there [n]; NaN without draws.
        status: "reached", "below_floor", "above_start" (the least inputs do better already), or that of the optimum.
        frontier: the best inputs at these costs; of the reachable targets only, None where there is none.
    """

    targets: np.ndarray
    cost: Estimates
    unreachable: np.ndarray
    status: tuple[str, ...]
    frontier: Frontier | None


def cost_of(
    source: Any,
    target_loss: Any,
    *,
    cost: str | Cost | None = None,
    fix: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
    tolerance: float = 1e-3,
    level: float | None = None,
    constants: Mapping[str, float] | None = None,
) -> Reach:
    """Find the least cost of a target loss, and the inputs that it buys.

    cost = 6 ((target - E)/K)^(-1/gamma) for a law with a closed form

    Args:
        source: a fit, a saved fit, or a law with constants. target_loss: one or more, in the unit of the loss.
        cost, fix, bounds, tolerance, level, constants: as in `frontier`. With served tokens in the cost this is the question
            of Sardana et al. 2023.

    Returns:
        The `Reach`.

    Raises:
        PlanError: impossible targets, or a question that determines nothing.

    Cost: as `frontier`, about twice.

    >>> found = cost_of("besiroglu2024", [2.0, 1.8])
    >>> f"{found.cost.value[0]:.4g}", found.status
    ('2.475e+23', ('reached', 'below_floor'))
    """
    stated = state(as_source(source, constants=constants), cost, fix, bounds)
    asked = numbers("the target loss", target_loss, stated.source.target)
    return reach_of(stated, asked, tolerance=tolerance, level=level)


def reach_of(stated: Stated, targets: np.ndarray, *, tolerance: float = 1e-3, level: float | None = None) -> Reach:
    """Find the least costs of targets, for a question that has been read; see `cost_of`."""
    level = stated.source.level if level is None else level
    check_level(level)
    targets = np.asarray(targets, dtype=float)
    logs, drawn, centre = least_costs(stated, targets)
    found = Estimates.plain(np.exp(logs))
    unreachable = np.full(len(targets), np.nan)
    if drawn.shape[1]:
        low, high = quantiles(np.where(np.isnan(drawn), np.inf, drawn), level)
        found = Estimates(np.exp(logs), np.exp(low), np.exp(high), level)
        unreachable = np.isposinf(drawn).mean(axis=1)
    reached = np.isfinite(logs)
    front = frontier_of(stated, found.value[reached], tolerance=tolerance, level=level) if reached.any() else None
    status = np.where(np.isneginf(centre), "above_start", np.where(reached, "reached", "below_floor")).astype(object)
    if front is not None:
        own = np.array(front.status, dtype=object)
        status[reached] = np.where((own != "inside") & (status[reached] == "reached"), own, status[reached])
    return Reach(targets, found, unreachable, tuple(str(s) for s in status), front)


def loss_at(source: Any, *, hours: float, rate: float, **options: Any) -> Frontier:
    """Find the least loss that can be reached by a deadline.

    budget = 3600 hours rate

    Args:
        source: as `frontier`.
        hours: until the deadline. rate: FLOP per second really done: chips x peak x utilisation.
        options: as `frontier`; the cost must be in FLOP.

    Returns:
        The `Frontier` at that budget.

    >>> found = loss_at("besiroglu2024", hours=24 * 30, rate=1024 * 989e12 * 0.4)
    >>> f"{found.budgets[0]:.4g} {found.loss.value[0]:.4f}"
    '1.05e+24 1.9585'
    """
    from scalinglens.plan.frontier import frontier

    found = frontier(source, 3600.0 * positive("hours", hours) * positive("the rate", rate), **options)
    if found.cost.unit != "FLOP":
        raise PlanError(f"a deadline buys FLOP, and the cost is in {found.cost.unit}; write the cost in FLOP")
    return found


def least_costs(stated: Stated, targets: np.ndarray, draws: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ln of the least cost of targets [n], of its draws [n, draws], and [n] -inf where the start does better.

    A cost is infinite where the target cannot be reached. Draws are spread as everywhere.
    """
    source = stated.source
    if stated.problem is None:
        raise PlanError(f"all inputs of {source.name} are fixed, so the loss is what it is; free one of them")
    solver = Solver(stated)
    if len(source.heads) != 1 or source.link:
        return _by_path(solver, targets, draws)
    head = source.heads[0]
    values = targets if source.falls else -targets
    logs, mark = _of_head(solver, head, head.values[None], values, None)
    drawn = np.empty((len(targets), 0))
    if draws and len(head.draws):
        near = None
        with np.errstate(all="ignore"):
            known = np.isfinite(logs[0])
            if known.any():
                near = solver.estimate(np.where(known, logs[0], np.max(logs[0][known]))).logs
        drawn = _of_head(solver, head, head.draws, values, near)[0].T
        if head.widening != 1.0:
            middle = logs[0][:, None]
            with np.errstate(all="ignore"):
                spread = middle + head.widening * (drawn - middle)
            drawn = np.where(np.isfinite(drawn) & np.isfinite(middle), spread, drawn)
    return logs[0], drawn, mark[0]


def costs_of_head(
    solver: Solver, head: Head, natural: np.ndarray, values: np.ndarray, near: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Return ln least costs [draws, n] of values [draws, n] that differ by draw; infinite where out of reach."""
    return _of_head(solver, head, natural, values, near)[0]


def _of_head(
    solver: Solver, head: Head, natural: np.ndarray, values: np.ndarray, near: Mapping[str, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """ln least costs [draws, n] under parameters [draws, p], and -inf where the least inputs do better than asked."""
    problem = solver.problem
    form = solver.form_of(head, natural)
    if form is not None and not problem.bounds:
        logs = form.log_budget(values)
        if logs is not None and form.proper.all():
            places = [
                form.start[name] + form.exponents[name] * np.where(np.isfinite(logs), logs, 50.0)
                for name in problem.free
            ]
            if all(np.all((place > ENDLESS[0]) & (place < ENDLESS[1])) for place in places):
                return logs, np.zeros(logs.shape)
    pieces = []
    step = max(_BLOCK // max(values.shape[-1], 1), 1)
    for start in range(0, len(natural), step):
        part = natural[start : start + step]
        model = head.model(part)
        signed = model if solver.stated.source.falls else negative(model)
        aims = values[start : start + step] if values.ndim == 2 else np.broadcast_to(values, (len(part), len(values)))
        pieces.append(_dual(problem, signed, aims, near))
    return np.concatenate([a for a, _ in pieces]), np.concatenate([b for _, b in pieces])


def _dual(
    problem: Problem, model: Model, values: np.ndarray, near: Mapping[str, np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    ends = [{**problem.fixed, **{name: np.array([[problem.range(name)[i]]]) for name in problem.free}} for i in (0, 1)]
    far = {**problem.fixed, **{name: np.array([[problem.bounds.get(name, (0.0, 690.0))[1]]]) for name in problem.free}}
    with np.errstate(all="ignore"):
        start, best, floor = (np.asarray(model(logs)[0], dtype=float) for logs in (*ends, far))
    best = np.minimum(best, np.where(np.isfinite(floor), floor, best))
    base = np.minimum(np.where(np.isfinite(floor), floor, best), best) - 1e-12 * np.abs(best)
    low, able = np.broadcast_to(values >= start, values.shape), np.broadcast_to(values > best, values.shape)

    def gain(logs: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        value, slopes = model(logs)
        with np.errstate(all="ignore"):
            above = np.maximum(value - base, 1e-300)
            return -np.log(above), {name: -slope / above for name, slope in slopes.items()}

    held = replace(problem, slack=_most_paid(problem, model), cost=gain, powers=None)
    with np.errstate(all="ignore"):
        wanted = -np.log(np.where(able, values - base, 1.0))
        found = solve(problem.cost, held, wanted, near)
        logs = np.where(able & np.isfinite(found.value), found.value, np.inf)
    least = np.asarray(problem.cost(ends[0])[0], dtype=float)
    return np.where(low, np.broadcast_to(least, logs.shape), logs), np.where(low, -np.inf, 0.0)


def _most_paid(problem: Problem, model: Model) -> str:
    """The slack of the primal question serves the dual one where the loss falls with it."""
    middle = {
        **problem.fixed,
        **{name: np.array([[np.mean(np.clip(problem.range(name), -50.0, 50.0))]]) for name in problem.free},
    }
    _, slopes = model(middle)
    falling = [name for name in problem.free if np.all(np.asarray(slopes.get(name, 0.0)) < 0)]
    return problem.slack if problem.slack in falling or not falling else falling[0]


def _by_path(solver: Solver, targets: np.ndarray, draws: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Costs by following the optimum over budgets: for pools, accuracies by way of a loss, and surfaces."""
    source, problem = solver.stated.source, solver.problem
    sign = 1.0 if source.falls else -1.0

    def reached(log_budgets: np.ndarray) -> np.ndarray:
        best = solver.estimate(log_budgets)
        logs = {**{k: np.broadcast_to(v, log_budgets.shape) for k, v in problem.fixed.items()}, **best.logs}
        known = np.isfinite(best.value)
        at = {k: np.exp(np.where(known, logs[k], 0.0 if k not in problem.fixed else logs[k])) for k in source.inputs}
        at = {
            k: np.where(known, v, np.exp(np.mean(problem.range(k))) if k in problem.free else v) for k, v in at.items()
        }
        return np.where(known, sign * source.value(at), np.nan)

    low, high = (
        float(np.asarray(problem.cost({**problem.fixed, **{n: problem.range(n)[i] for n in problem.free}})[0]))
        for i in (0, 1)
    )
    low, high = low + 1e-6, high - 1e-6
    aims = sign * targets
    path = np.linspace(low, high, _PATH)
    along = reached(path)
    known = np.isfinite(along)
    path, along = path[known], along[known]
    if not len(path):
        nothing = np.full(len(aims), np.inf)
        return nothing, np.empty((len(aims), 0)), np.zeros(len(aims))
    there = along[:, None] <= aims
    able = there.any(axis=0)
    marks = np.where(there[0], -np.inf, 0.0)
    cell = np.clip(there.argmax(axis=0), 1, len(path) - 1)
    inside = able & ~there[0]
    left, right = np.where(inside, path[cell - 1], path[0]), np.where(inside, path[cell], path[0])
    logs = bracketed_root(lambda c: np.where(inside, reached(c) - aims, 0.0), left, right)
    logs = np.where(able, logs, np.inf)
    if not (draws and source.draws):
        return logs, np.empty((len(aims), 0)), marks
    drawn = []
    for aim, centre in zip(aims, logs, strict=True):
        middle = centre if np.isfinite(centre) else high
        path = np.linspace(max(low, middle - _REACH[0]), min(high, middle + _REACH[1]), _PATH)
        best = solver.estimate(path)
        known = np.isfinite(best.value)
        path = path[known]
        at = {
            k: np.exp(np.broadcast_to(v, known.shape)[known])
            for k, v in {**problem.fixed, **best.logs}.items()
            if k in source.inputs
        }
        values = sign * source.sampled(at)
        drawn.append(_crossings(path, values, float(aim)))
    return logs, np.stack(drawn), marks


def _crossings(path: np.ndarray, values: np.ndarray, aim: float) -> np.ndarray:
    """Where each draw [draws, path] first gets down to the aim; inf where it never does."""
    with np.errstate(invalid="ignore"):
        there = values <= aim
    first = there.argmax(axis=1)
    rows = np.arange(len(values))
    i = np.clip(first, 1, len(path) - 1)
    a, b = values[rows, i - 1], values[rows, i]
    with np.errstate(all="ignore"):
        share = np.clip(np.where(a > b, (a - aim) / (a - b), 0.0), 0.0, 1.0)
    at = path[i - 1] + share * (path[i] - path[i - 1])
    return np.where(there.any(axis=1), np.where(first == 0, path[0], at), np.inf)
