"""The optimum of many draws from starts close by: secant steps, and the bracketed solver where these do not settle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.plan.optimum.head import Head, Model
from scalinglens.plan.optimum.optimum import Problem, at_choice, ends_along, solve

__all__ = ["PRICE", "VALUE", "Nearby"]

VALUE, PRICE = "value of the draws", "price of the draws"  # beside the inputs, where draws are solved numerically
_APART = 1e-6  # of a logarithm, between the two points that give the first slope
_STEPS = 6  # secant steps before the bracketed solver takes over
_LONGEST = 1.0  # of a logarithm, a secant step
_BLOCK = 8_192  # pairs at once: their arrays stay in the cache of a core


@dataclass(frozen=True, eq=False)
class Nearby:
    """Solves a question under single draws of one law.

    Attributes:
        head: the law with its draws.
        problem: the question.
        signed: model -> what is minimised.
    """

    head: Head
    problem: Problem
    signed: Callable[[Model], Model]

    def solve(
        self, draws: np.ndarray, log_budgets: np.ndarray, start: Mapping[str, np.ndarray], tight: float
    ) -> dict[str, np.ndarray]:
        """Return the optimum of pairs of a draw and a budget.

        With one input beside the slack the slope along the budget, F(t) = dL/dt + price dln C/dt, is set to zero by secant
        steps. Two points 1e-6 apart make the first one Newton's, and hold a kink that lies just where the start is.

        Args:
            draws: number of the draw of each pair [k]. log_budgets: ln of its budget [k].
            start: outer input -> ln of a place nearby [k].
            tight: error of ln inputs.

        Returns:
            Outer input -> ln of it [k], and `VALUE` and `PRICE`.

        Cost: three evaluations of the law for each pair whose start is within 1e-3.
        """
        keys = (*self.problem.outer, VALUE, PRICE)
        found = {key: np.full(len(draws), np.nan) for key in keys}
        left = np.ones(len(draws), dtype=bool)
        blocks = [slice(first, first + _BLOCK) for first in range(0, len(draws), _BLOCK)]
        if len(self.problem.outer) == 1:
            name = self.problem.outer[0]
            for part in blocks:
                settled, left[part] = self._secant(name, draws[part], log_budgets[part], start[name][part], tight)
                for key in keys:
                    found[key][part] = settled[key]
        numbers = np.flatnonzero(left)
        for first in range(0, len(numbers), _BLOCK):
            part = numbers[first : first + _BLOCK]
            begin = {key: values[part] for key, values in start.items()}
            for key, values in self._bracketed(draws[part], log_budgets[part], begin, tight).items():
                found[key][part] = values
        return found

    def _model(self, draws: np.ndarray) -> Model:
        return self.signed(self.head.model(self.head.draws[draws]))

    def _bracketed(
        self, draws: np.ndarray, log_budgets: np.ndarray, start: Mapping[str, np.ndarray], tight: float
    ) -> dict[str, np.ndarray]:
        near = {key: start[key][:, None] for key in self.problem.outer}
        best = solve(self._model(draws), self.problem, log_budgets[:, None], near, tight=tight)
        found = {key: best.logs[key] for key in self.problem.outer} | {VALUE: best.value, PRICE: best.price}
        return {key: np.array(np.broadcast_to(values, (len(draws), 1))[:, 0]) for key, values in found.items()}

    def _secant(
        self, name: str, draws: np.ndarray, log_budgets: np.ndarray, start: np.ndarray, tight: float
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """The optima, and which pairs [k] have not settled."""
        answer = {key: np.full(len(draws), np.nan) for key in (name, VALUE, PRICE)}
        left = np.ones(len(draws), dtype=bool)
        first, last = (np.broadcast_to(end, start.shape) for end in ends_along(self.problem, log_budgets, name))

        def settle(pairs: np.ndarray, good: np.ndarray, t: np.ndarray, value: np.ndarray, price: np.ndarray) -> None:
            for key, values in ((name, t), (VALUE, value), (PRICE, price)):
                answer[key][pairs[good]] = values[good]
            left[pairs[good]] = False

        with np.errstate(all="ignore"):
            pairs = np.arange(len(draws))
            look = self._look(name, draws, log_budgets)
            start = np.clip(start, first, last)
            a, b = np.maximum(start - 0.5 * _APART, first), np.minimum(start + 0.5 * _APART, last)
            (value_a, slope_a, price_a), (value, slope, price) = look(a), look(b)
            room = b - a > 0.4 * _APART
            # the value falls all the way to an end
            settle(pairs, (low := room & (a <= first) & (slope_a >= 0)), a, value_a, price_a)
            settle(pairs, (high := room & ~low & (b >= last) & (slope <= 0)), b, value, price)
            going = room & ~low & ~high
            before, slope_before, price_before, t, moved = a, slope_a, price_a, b, None
            for number in range(_STEPS):
                bend = (slope - slope_before) / (t - before)
                step = -slope / bend
                size = np.abs(step)
                there = t + step
                going &= (bend > 0) & (size < _LONGEST) & (there >= first) & (there <= last)
                # the error after a secant step is of the order of it times the one before; after the first, of its square
                good = going & (size * (size if moved is None else np.minimum(moved, 1.0)) < 0.1 * tight)
                if good.any():  # value and price to second order at the end of the step, without an evaluation there
                    rise = (price - price_before) / (t - before)
                    settle(pairs, good, there, value + 0.5 * slope * step, price + rise * step)
                going &= ~good
                if not going.any() or number == _STEPS - 1:
                    break
                before, slope_before, price_before, moved, t = t, slope, price, size, there
                if going.sum() < 0.7 * len(going):
                    pairs, first, last, before, slope_before, price_before, moved, t = (
                        array[going] for array in (pairs, first, last, before, slope_before, price_before, moved, t)
                    )
                    look = self._look(name, draws[pairs], log_budgets[pairs])
                    going = np.ones(len(pairs), dtype=bool)
                else:
                    t = np.where(going, t, before + _APART)  # of no use any more
                value, slope, price = look(t)
        return answer, left

    def _look(self, name: str, draws: np.ndarray, log_budgets: np.ndarray) -> Callable[[np.ndarray], tuple[Any, ...]]:
        """Value, slope along the budget and price of pairs [k] at ln of the outer input [k]."""
        model, column = self._model(draws), log_budgets[:, None]

        def look(t: np.ndarray) -> tuple[Any, ...]:
            value, along, price = at_choice(model, self.problem, {name: t[:, None]}, column)[1:4]
            return value[:, 0], along[name][:, 0], price[:, 0]

        return look
