"""`Numeric`: a question under the draws of one law that has no closed form, along budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from scalinglens.numerics.roots import TIGHT
from scalinglens.plan.optimum.head import Head, Model
from scalinglens.plan.optimum.nearby import PRICE, VALUE, Nearby
from scalinglens.plan.optimum.optimum import Optimum, Problem, slack_of
from scalinglens.plan.optimum.spread import Part
from scalinglens.plan.optimum.traces import Trace, read, traced

__all__ = ["GAMMA", "Numeric", "floor_of"]

_TIGHT = 1e-7  # of ln inputs at the nodes of a trace; what an interval ends on is solved to the last digits
_ROUNDS = 6  # of Newton's method for a cost
_SETTLED = 1e-6  # a step after which the error is of the order of its square
_FAR = 690.0  # ln of an input that stands for an endless one
GAMMA = "price over the value above the floor"


@dataclass(frozen=True, eq=False)
class Numeric:
    """Solves a question under every draw of a law.

    Attributes:
        head: the law with its draws.
        problem: the question.
        signed: model -> what is minimised.
        estimate: ln budgets [k] -> the optimum of the law's own estimate there.
    """

    head: Head
    problem: Problem
    signed: Callable[[Model], Model]
    estimate: Callable[[np.ndarray], Optimum]

    @cached_property
    def nearby(self) -> Nearby:
        """The solver of single draws."""
        return Nearby(self.head, self.problem, self.signed)

    @cached_property
    def _floors(self) -> tuple[np.ndarray, np.ndarray]:
        """The value at endless budgets, of the estimate [1] and of the draws [draws]."""
        both = self.head.values[None], self.head.draws
        estimate, draws = (floor_of(self.signed(self.head.model(some)), self.problem, len(some)) for some in both)
        return estimate, draws

    def part(self, log_budgets: np.ndarray, centre: Optimum) -> Part:
        """The optimum under every draw, spread about the estimate.

        Args:
            log_budgets: [n], some of them feasible. centre: the estimate at them.

        Returns:
            ln of the inputs, `VALUE`, `PRICE` and `GAMMA`.
        """
        able = centre.status != 3
        lost = np.zeros(len(self.head.draws), dtype=bool)
        trace = traced(lambda at, so_far: self._nodes(at, so_far, lost), log_budgets[able], self.problem.outer)
        weights = trace.weights(log_budgets)
        middle = {name: centre.logs[name] for name in self.problem.free}
        middle |= {VALUE: centre.value, PRICE: centre.price, GAMMA: self._gamma(centre)}

        def exact(name: str, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
            best = rows_of(centre, rows)
            guess = {key: trace.pairs(key, weights[rows], draws) for key in self.problem.outer}
            found = self.nearby.solve(draws, log_budgets[rows], self._start(guess, best), TIGHT)
            return middle[name][rows] + self._off(found, best, log_budgets[rows], draws)[name]

        part = Part(trace, weights, middle, exact)
        if not lost.any():
            return part
        # draws without an optimum at some budgets are solved at each
        numbers = np.flatnonzero(lost)
        rows, draws = np.repeat(np.flatnonzero(able), len(numbers)), np.tile(numbers, able.sum())
        best = rows_of(centre, rows)
        found = self.nearby.solve(draws, log_budgets[rows], {k: best.logs[k] for k in self.problem.outer}, _TIGHT)
        apart = {}
        for name, off in self._off(found, best, log_budgets[rows], draws).items():
            apart[name] = np.full((len(able), len(numbers)), np.nan)
            apart[name][able] = (middle[name][rows] + off).reshape(-1, len(numbers))
        return replace(part, lost=numbers, apart=apart)

    def least(self, low: float, high: float) -> Trace:
        """The optimum of every draw between two ln budgets: ln of the outer inputs, and the least value under `VALUE`.

        They are whole, not distances from the estimate; the value is NaN for draws without an optimum.
        """
        lost = np.zeros(len(self.head.draws), dtype=bool)

        def whole(at: np.ndarray, so_far: Trace | None) -> dict[str, np.ndarray]:
            found = self._nodes(at, so_far, lost)
            values = found[VALUE] + self.estimate(at).value[:, None]
            return {name: found[name] for name in self.problem.outer} | {VALUE: values}

        trace = traced(whole, np.linspace(low, high, 1000), (VALUE,))
        best = self.estimate(trace.nodes)
        values = {name: trace.values[name] + best.logs[name][:, None] for name in self.problem.outer}
        return replace(trace, values={VALUE: np.where(lost, np.nan, trace.values[VALUE]), **values})

    def costs(self, trace: Trace, draws: np.ndarray, values: np.ndarray, start: np.ndarray) -> np.ndarray:
        """Return ln of the budgets [k] at which draws [k] are as good as values [k].

        Newton's method: the price is the slope of the least value by ln budget.

        Args:
            trace: of `least`. start: ln budgets nearby [k].

        Returns:
            NaN where it does not settle.

        Cost: some five evaluations of the law for each.
        """
        at = start.copy()
        low, high = trace.nodes[0], trace.nodes[-1]
        weights = trace.weights(np.clip(at, low, high))
        place = {name: trace.pairs(name, weights, draws) for name in self.problem.outer}
        left = np.arange(len(draws))
        for _ in range(_ROUNDS):
            found = self.nearby.solve(draws[left], at[left], {k: v[left] for k, v in place.items()}, TIGHT)
            with np.errstate(all="ignore"):
                step = (found[VALUE] - values[left]) / found[PRICE]
            at[left] += np.where(np.abs(step) < 1.0, step, np.nan)
            for name in place:
                place[name][left] = found[name]
            left = left[np.abs(step) > _SETTLED]  # what is NaN is given up
            if not len(left):
                return at
        at[left] = np.nan
        return at

    # ---- pieces -----------------------------------------------------------------------------------------------------

    def _gamma(self, best: Optimum) -> np.ndarray:
        with np.errstate(all="ignore"):
            return best.price / (best.value - self._floors[0])

    def _off(
        self, found: Mapping[str, np.ndarray], best: Optimum, at: np.ndarray, draws: np.ndarray
    ) -> dict[str, np.ndarray]:
        """How far pairs [k] of a budget and a draw lie from the estimate; inputs spread for few runs."""
        problem = self.problem
        off = {name: self.head.widening * (found[name] - best.logs[name]) for name in problem.outer}
        chosen = {name: best.logs[name] + off[name] for name in problem.outer}
        off[problem.slack] = slack_of(problem, {**problem.fixed, **chosen}, at)[0] - best.logs[problem.slack]
        with np.errstate(all="ignore"):
            gamma = found[PRICE] / (found[VALUE] - self._floors[1][draws]) - self._gamma(best)
        return off | {VALUE: found[VALUE] - best.value, PRICE: found[PRICE] - best.price, GAMMA: gamma}

    def _start(self, off: Mapping[str, np.ndarray], best: Optimum) -> dict[str, np.ndarray]:
        return {name: best.logs[name] + off[name] / self.head.widening for name in self.problem.outer}

    def _nodes(self, at: np.ndarray, so_far: Trace | None, lost: np.ndarray) -> dict[str, np.ndarray]:
        """Distances [k, draws] from the estimate at ln budgets [k]; draws without an optimum are marked as lost."""
        best, count = self.estimate(at), len(lost)
        if so_far is not None:
            weights = so_far.weights(at)
            return self._from(at, best, {k: read(weights, so_far.values[k]) for k in self.problem.outer}, lost)
        last, rows = {name: np.zeros((1, count)) for name in self.problem.outer}, []
        for i in range(len(at)):  # each node starts where the one before ended
            last = self._from(at[i : i + 1], rows_of(best, slice(i, i + 1)), last, lost)
            rows.append(last)
        return {key: np.concatenate([row[key] for row in rows]) for key in last}

    def _from(
        self, at: np.ndarray, best: Optimum, guess: Mapping[str, np.ndarray], lost: np.ndarray
    ) -> dict[str, np.ndarray]:
        count = len(lost)
        rows, draws = np.repeat(np.arange(len(at)), count), np.tile(np.arange(count), len(at))
        own = rows_of(best, rows)
        start = self._start({name: array.ravel() for name, array in guess.items()}, own)
        found = self._off(self.nearby.solve(draws, at[rows], start, _TIGHT), own, at[rows], draws)
        made = {key: values.reshape(len(at), count) for key, values in found.items()}
        for key, values in made.items():
            if key != GAMMA:  # which needs a floor
                lost |= ~np.isfinite(values).all(axis=0)
        return {key: np.where(lost, 0.0, values) for key, values in made.items()}


def rows_of(best: Optimum, rows: Any) -> Optimum:
    """The optima at some of the budgets."""
    return Optimum({k: v[rows] for k, v in best.logs.items()}, best.value[rows], best.price[rows], best.status[rows])


def floor_of(model: Model, problem: Problem, count: int) -> np.ndarray:
    """What a model of so many draws is at endless budgets [count]; NaN where it has no limit."""
    high = {name: min(problem.bounds.get(name, (0.0, _FAR))[1], _FAR) for name in problem.free}
    logs: Mapping[str, np.ndarray] = {k: np.array([[v]]) for k, v in {**problem.fixed, **high}.items()}
    with np.errstate(all="ignore"):
        value = np.asarray(model(logs)[0], dtype=float)
    return np.where(np.isfinite(value), value, np.nan).ravel() if value.size == count else np.full(count, np.nan)
