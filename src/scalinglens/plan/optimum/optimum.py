"""The numeric optimum: where the loss is least among the inputs that cost the same, for many budgets and draws at once.

One input, the slack, follows from the budget and the others. Along the others the condition is that of equal ratios,

    (dL/dln x) / (dln C/dln x) the same for every free input x,

found by a scan of the whole range and a bracketed root, so that kinks and several minima are no danger; with more than
one input beside the slack, by turns and then Newton's method on the condition itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scalinglens.numerics.roots import TIGHT, bracketed_root, increasing_root
from scalinglens.plan.optimum.head import Model

__all__ = ["ENDLESS", "STATUSES", "Model", "Optimum", "Problem", "at_choice", "ends_along", "slack_of", "solve"]

ENDLESS = (0.0, np.log(1e30))  # ln of the range of an input without bounds
STATUSES = ("inside", "at_bound", "unbounded", "infeasible")
_SCAN = 97  # points of a scan
_SWEEPS = 40
_NEWTON = 30
_PROBE = 1e-5  # of a logarithm, for the second derivatives of the polish


@dataclass(frozen=True, eq=False)
class Problem:
    """What is chosen, what it costs, what is given.

    Attributes:
        free: inputs that are chosen.
        slack: the free input that the budget determines.
        cost: ln cost as a function of log inputs, with slopes.
        fixed: input -> ln of its value, a number or an array that broadcasts.
        bounds: input -> ln of its range, for those with one.
        powers: (ln k, input -> power) where the cost is k times powers of its inputs; then the slack needs no search.
    """

    free: tuple[str, ...]
    slack: str
    cost: Model
    fixed: Mapping[str, np.ndarray | float] = field(default_factory=dict)
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    powers: tuple[float, Mapping[str, float]] | None = None

    def range(self, name: str) -> tuple[float, float]:
        """ln of where an input may lie."""
        return self.bounds.get(name, ENDLESS)

    @property
    def outer(self) -> tuple[str, ...]:
        """Free inputs beside the slack."""
        return tuple(name for name in self.free if name != self.slack)


@dataclass(frozen=True, eq=False)
class Optimum:
    """Optima of the broadcast shape of draws and budgets.

    Attributes:
        logs: free input -> ln of its value, NaN where infeasible.
        value: what was minimised.
        price: -d value/d ln budget, the gain of a larger budget.
        status: index into `STATUSES`.
    """

    logs: Mapping[str, np.ndarray]
    value: np.ndarray
    price: np.ndarray
    status: np.ndarray


def slack_of(problem: Problem, others: Mapping[str, Any], log_budgets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ln of the slack at a budget, and whether it lies in its range.

    Args:
        others: every other input of the cost -> ln value, broadcasting with the budgets.
    """
    low, high = problem.range(problem.slack)
    if problem.powers is not None:
        left, power = _unpaid(problem, others, log_budgets, problem.slack), problem.powers[1][problem.slack]
        y = np.asarray(left / power)
        kept = np.clip(y, low, high)
        return kept, np.abs(power * (kept - y)) < 1e-9
    shape = np.broadcast_shapes(np.shape(log_budgets), *(np.shape(v) for v in others.values()))

    def excess(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cost, slopes = problem.cost({**others, problem.slack: y})
        return np.broadcast_to(cost - log_budgets, y.shape), np.broadcast_to(slopes[problem.slack], y.shape)

    top = np.full(shape, high)
    off, slope = excess(top)
    with np.errstate(all="ignore"):
        y = top - off / slope  # a cost that is a product of powers is done with one step
    if np.all((y >= low) & (y <= high)) and np.all(np.abs(excess(y)[0]) < 1e-13 * np.maximum(np.abs(log_budgets), 1.0)):
        return y, np.ones(shape, dtype=bool)
    y = increasing_root(excess, np.full(shape, low), top)
    miss = excess(y)[0]
    return y, np.abs(miss) < 1e-9


def _unpaid(problem: Problem, others: Mapping[str, Any], log_budgets: np.ndarray, name: str) -> np.ndarray:
    """ln of what a budget leaves for one input, where the cost is a product of powers."""
    assert problem.powers is not None
    log_k, powers = problem.powers
    left = np.asarray(log_budgets) - log_k
    for key, power in powers.items():
        if key != name:
            left = left - power * others[key]
    return left


def solve(
    model: Model,
    problem: Problem,
    log_budgets: np.ndarray,
    near: Mapping[str, np.ndarray] | None = None,
    tight: float = TIGHT,
) -> Optimum:
    """Minimise a model at fixed cost.

    Args:
        model: log inputs -> value and slopes; arrays broadcast, so that parameters may vary along the first axis.
        problem: what is free and what it costs.
        log_budgets: ln of the budgets, of the shape of the answer.
        near: free input -> ln of a place to start from, of that shape; without it the whole range is scanned.
        tight: relative error of ln inputs, with one input beside the slack.

    Returns:
        The `Optimum`.

    Cost: about 100 evaluations of the model with a scan and one input beside the slack, about 20 from a start.
    """
    log_budgets = np.asarray(log_budgets, dtype=float)
    if not problem.outer:
        return _finished(model, problem, {}, log_budgets)
    if len(problem.outer) == 1:
        return _along(model, problem, log_budgets, problem.outer[0], near, tight=tight)
    return _by_turns(model, problem, log_budgets, near)


def at_choice(
    model: Model, problem: Problem, chosen: Mapping[str, Any], log_budgets: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return everything at a choice of the outer inputs: logs, value, slopes along the budget, price, whether feasible."""
    others = {**problem.fixed, **chosen}
    y, able = slack_of(problem, others, log_budgets)
    logs = {**others, problem.slack: y}
    value, gradient = model(logs)
    paid = problem.powers[1] if problem.powers is not None else problem.cost(logs)[1]
    with np.errstate(all="ignore"):
        price = -gradient.get(problem.slack, 0.0) / paid[problem.slack]
        along = {name: gradient.get(name, 0.0) + price * paid.get(name, 0.0) for name in chosen}
    shape = y.shape
    full = lambda a: np.broadcast_to(np.asarray(a, dtype=float), shape)  # noqa: E731
    return logs, full(value), {name: full(a) for name, a in along.items()}, full(price), able


def _finished(model: Model, problem: Problem, chosen: Mapping[str, Any], log_budgets: np.ndarray) -> Optimum:
    logs, value, along, price, able = at_choice(model, problem, chosen, log_budgets)
    status = np.zeros(value.shape, dtype=int)
    for name in problem.free:
        low, high = problem.range(name)
        place = np.broadcast_to(logs[name], value.shape)
        edge = (place <= low + 1e-9) | (place >= high - 1e-9)
        if name in along:  # a bound is one only where the value pushes against it
            edge &= np.abs(along[name]) > 1e-12 * np.abs(value)
        status = np.where(edge, np.maximum(status, 1 if name in problem.bounds else 2), status)
    able = able & np.isfinite(value)
    status = np.where(able, status, 3)
    hide = lambda a: np.where(able, a, np.nan)  # noqa: E731
    return Optimum({name: hide(logs[name]) for name in problem.free}, hide(value), hide(price), status)


# ---- one input beside the slack ---------------------------------------------------------------------------------------


def _ends(
    problem: Problem, log_budgets: np.ndarray, name: str, others: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Where an outer input may lie so that the slack stays in its range; low > high where there is no place."""
    low, high = problem.range(name)
    if problem.powers is not None and problem.powers[1].get(name, 0.0) > 0:
        own, paid = problem.powers[1][name], problem.powers[1][problem.slack]
        left = _unpaid(problem, {**others, problem.slack: 0.0}, log_budgets, name)
        first, last = ((left - paid * problem.range(problem.slack)[end]) / own for end in (1, 0))
        off = 1e-9 / own  # the same room for rounding as below
        return (
            np.where(first > high + off, np.inf, np.clip(first, low, high)),
            np.where(last < low - off, -np.inf, np.clip(last, low, high)),
        )
    shape = np.broadcast_shapes(log_budgets.shape, *(np.shape(v) for v in others.values()))
    lows, highs = np.full(shape, low), np.full(shape, high)
    found = []
    for end in (1, 0):  # the input is least where the slack is largest

        def excess(t: np.ndarray, y: float = problem.range(problem.slack)[end]) -> tuple[np.ndarray, np.ndarray]:
            cost, slopes = problem.cost({**others, name: t, problem.slack: np.full(t.shape, y)})
            return np.broadcast_to(cost - log_budgets, t.shape), np.broadcast_to(slopes.get(name, 0.0), t.shape)

        root = increasing_root(excess, lows, highs)
        off = excess(root)[0]
        found.append((root, off))
    (first, off_first), (last, off_last) = found
    first = np.where(off_first < -1e-9, np.inf, first)  # even the largest of both does not use up the budget
    last = np.where(off_last > 1e-9, -np.inf, last)  # even the least of both costs more
    return first, last


def _along(
    model: Model,
    problem: Problem,
    log_budgets: np.ndarray,
    name: str,
    near: Mapping[str, np.ndarray] | None = None,
    others: Mapping[str, Any] | None = None,
    tight: float = TIGHT,
) -> Optimum:
    """The optimum along one outer input, the other outer ones held."""
    others = dict(others or {})
    first, last = _ends(problem, log_budgets, name, {**problem.fixed, **others})
    able = first <= last
    first, last = np.where(able, first, 0.0), np.where(able, last, 0.0)

    def slope(t: np.ndarray) -> np.ndarray:
        return at_choice(model, problem, {**others, name: t}, log_budgets)[2][name]

    if near is None:
        low, high = _scanned(model, problem, log_budgets, name, others, first, last)
    else:
        start = np.clip(np.broadcast_to(near[name], first.shape), first, last)
        low, high = _walked(slope, np.where(np.isfinite(start), start, 0.5 * (first + last)), first, last)
    at_low, at_high = slope(low), slope(high)
    # no change of sign: the value falls all the way to one end of the bracket
    t = np.where(at_low >= 0, low, np.where(at_high <= 0, high, np.nan))
    open_ = np.isnan(t)
    if open_.any():
        root = bracketed_root(slope, np.where(open_, low, first), np.where(open_, high, first), tight=tight)
        t = np.where(open_, root, t)
    best = _finished(model, problem, {**others, name: t}, log_budgets)
    infeasible = ~np.broadcast_to(able, best.status.shape)
    if not infeasible.any():
        return best
    hide = lambda a: np.where(infeasible, np.nan, a)  # noqa: E731
    return Optimum(
        {key: hide(a) for key, a in best.logs.items()},
        hide(best.value),
        hide(best.price),
        np.where(infeasible, 3, best.status),
    )


def ends_along(problem: Problem, log_budgets: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return ln of the least and the largest an outer input may be at budgets [n]; least > largest where infeasible."""
    return _ends(problem, np.asarray(log_budgets, dtype=float), name, problem.fixed)


def _scanned(
    model: Model,
    problem: Problem,
    log_budgets: np.ndarray,
    name: str,
    others: Mapping[str, Any],
    first: np.ndarray,
    last: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The cells left and right of the least value of a scan."""
    share = np.linspace(0.0, 1.0, _SCAN).reshape(-1, *(1,) * first.ndim)
    t = first + share * (last - first)
    _, value, _, _, able = at_choice(model, problem, {**others, name: t}, log_budgets)
    best = np.argmin(np.where(able & np.isfinite(value), value, np.inf), axis=0)
    pick = lambda i: np.take_along_axis(t, np.clip(i, 0, _SCAN - 1)[None], axis=0)[0]  # noqa: E731
    return pick(best - 1), pick(best + 1)


def _walked(
    slope: Callable[[np.ndarray], np.ndarray], start: np.ndarray, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A bracket of the zero of a slope, walking downhill from a start in growing steps."""
    down = np.sign(slope(start))  # positive slope: the optimum is on the left
    low, high, step = start.copy(), start.copy(), 0.05
    done = down == 0
    for _ in range(12):
        if done.all():
            break
        low = np.where(~done & (down > 0), np.maximum(low - step, first), low)
        high = np.where(~done & (down < 0), np.minimum(high + step, last), high)
        end = np.where(down > 0, low, high)
        turned = (np.sign(slope(end)) != down) | (end <= first) | (end >= last)
        # what was passed on the way is the other end
        high = np.where(~done & (down > 0) & ~turned, low, high)
        low = np.where(~done & (down < 0) & ~turned, high, low)
        done |= turned
        step *= 3.0
    return low, high


# ---- several inputs beside the slack ----------------------------------------------------------------------------------


def _by_turns(
    model: Model, problem: Problem, log_budgets: np.ndarray, near: Mapping[str, np.ndarray] | None
) -> Optimum:
    shape = np.broadcast_shapes(log_budgets.shape, *(np.shape(v) for v in (near or {}).values()))
    log_budgets = np.broadcast_to(log_budgets, shape)
    outer = problem.outer
    if near is not None:
        chosen = {name: np.broadcast_to(near[name], shape).astype(float) for name in outer}
        chosen = {name: np.where(np.isfinite(a), a, np.mean(problem.range(name))) for name, a in chosen.items()}
    else:
        chosen = _even(problem, log_budgets, shape)
        for sweep in range(_SWEEPS):
            before = {name: a.copy() for name, a in chosen.items()}
            for name in outer:
                others = {key: a for key, a in chosen.items() if key != name}
                found = _along(model, problem, log_budgets, name, None if sweep < 3 else chosen, others)
                place = found.logs[name]
                chosen[name] = np.where(np.isfinite(place), place, chosen[name])
            moved = max(float(np.max(np.abs(chosen[name] - before[name]))) for name in outer)
            if moved < 1e-4:
                break
    return _checked_slack(model, problem, log_budgets, _polished(model, problem, log_budgets, chosen), near)


def _even(problem: Problem, log_budgets: np.ndarray, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """A start inside the budget: every input the same share of the way from its least to its largest value."""
    ends = {name: problem.range(name) for name in problem.free}

    def excess(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logs = {name: low + share * (high - low) for name, (low, high) in ends.items()}
        cost, slopes = problem.cost({**problem.fixed, **logs})
        total = sum(slopes.get(name, 0.0) * (high - low) for name, (low, high) in ends.items())
        return np.broadcast_to(cost - log_budgets, shape), np.broadcast_to(np.asarray(total), shape)

    share = increasing_root(excess, np.zeros(shape), np.ones(shape))
    return {name: ends[name][0] + share * (ends[name][1] - ends[name][0]) for name in problem.outer}


def _polished(
    model: Model, problem: Problem, log_budgets: np.ndarray, chosen: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Newton's method on the slopes along the budget, its derivatives by differences, inside the bounds."""
    outer = problem.outer
    shape = log_budgets.shape
    low = np.stack([np.full(shape, problem.range(name)[0]) for name in outer])
    high = np.stack([np.full(shape, problem.range(name)[1]) for name in outer])

    def look(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = dict(zip(outer, x, strict=True))
        _, value, along, _, _ = at_choice(model, problem, at, log_budgets)
        return value, np.stack([along[name] for name in outer])

    x = np.clip(np.stack([chosen[name] for name in outer]), low, high)
    value, gradient = look(x)
    for _ in range(_NEWTON):
        columns = []
        for j in range(len(outer)):
            step = np.where(x[j] + _PROBE > high[j], -_PROBE, _PROBE)
            moved = x.copy()
            moved[j] += step
            columns.append((look(moved)[1] - gradient) / step)
        jacobian = np.moveaxis(np.stack(columns, axis=1), (0, 1), (-2, -1))  # [..., i, j]
        jacobian = 0.5 * (jacobian + np.swapaxes(jacobian, -1, -2))
        held = ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0))
        free = np.moveaxis(~held, 0, -1)
        both = free[..., :, None] & free[..., None, :]
        matrix = np.where(both, jacobian, np.eye(len(outer)))
        with np.errstate(all="ignore"):
            values, vectors = np.linalg.eigh(np.where(np.isfinite(matrix), matrix, np.eye(len(outer))))
            size = np.maximum(np.abs(values), 1e-12 * np.abs(values).max(axis=-1, keepdims=True) + 1e-300)
            right = np.where(free, -np.moveaxis(gradient, 0, -1), 0.0)
            step = np.einsum("...ij,...j->...i", vectors, np.einsum("...ji,...j->...i", vectors, right) / size)
        step = np.clip(np.moveaxis(np.nan_to_num(step), -1, 0), -1.0, 1.0)
        scale = np.ones(shape)
        for _ in range(20):  # never uphill, beyond the noise of the last digits
            trial = np.clip(x + scale * step, low, high)
            there = look(trial)[0]
            worse = ~(there <= value + 1e-13 * np.abs(value))
            if not worse.any():
                break
            scale = np.where(worse, 0.5 * scale, scale)
        trial = np.where(worse, x, trial)
        moved = float(np.max(np.abs(trial - x), initial=0.0))
        x = trial
        value, gradient = look(x)
        if moved < 1e-12:
            break
    return dict(zip(outer, x, strict=True))


def _checked_slack(
    model: Model,
    problem: Problem,
    log_budgets: np.ndarray,
    chosen: dict[str, np.ndarray],
    near: Mapping[str, np.ndarray] | None,
) -> Optimum:
    """Where the slack would leave its range, hold it there and let another input follow from the budget."""
    best = _finished(model, problem, chosen, log_budgets)
    out = best.status == 3
    if not out.any() or problem.slack not in problem.bounds:
        return best
    for end in problem.range(problem.slack):
        _, paid = problem.cost({**problem.fixed, **chosen, problem.slack: np.full(log_budgets.shape, end)})
        payers = [name for name in problem.outer if np.any(np.asarray(paid.get(name, 0.0)) > 0)]
        if not payers:
            continue
        held = replace(
            problem,
            free=problem.outer,
            slack=payers[-1],
            fixed={**problem.fixed, problem.slack: end},
        )
        other = solve(model, held, log_budgets, near)
        better = out & (other.status != 3) & ~(best.value <= other.value)
        pick = lambda new, old, better=better: np.where(better, new, old)  # noqa: E731
        merged = {name: pick(other.logs[name], best.logs[name]) for name in problem.outer}
        merged[problem.slack] = pick(np.full(better.shape, end), best.logs[problem.slack])
        best = Optimum(
            merged,
            pick(other.value, best.value),
            pick(other.price, best.price),
            pick(np.maximum(other.status, 1), best.status),
        )
    return best
