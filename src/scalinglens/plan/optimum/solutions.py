"""The optimum of a question at budgets: of the estimate and of every draw, in closed form where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from scalinglens.numerics.roots import TIGHT
from scalinglens.plan.optimum.closed_form import ClosedForm, closed_form
from scalinglens.plan.optimum.head import negative
from scalinglens.plan.optimum.nearby import PRICE, VALUE, Nearby
from scalinglens.plan.optimum.optimum import Model, Optimum, Problem, ends_along, slack_of, solve
from scalinglens.plan.optimum.problem import Stated
from scalinglens.plan.optimum.spread import Part, Spread
from scalinglens.plan.optimum.traces import FEW, Trace, known, read, traced
from scalinglens.plan.source import Head

__all__ = ["GAMMA", "PRICE", "VALUE", "Solver"]

_TIGHT = 1e-7  # of ln inputs of draws: of those that an end rests on no more is asked than where they about are
_GRID = 65  # points along a budget for draws of a forecast without a law
_LINE = 33  # nodes of draws that are straight lines; the more, the fewer draws cross between two
GAMMA = "price over the value above the floor"
_FAR = 690.0  # ln of an input that stands for an endless one


@dataclass(frozen=True, eq=False)
class Solver:
    """Solves one question at many budgets.

    Attributes:
        stated: the question; its problem is not None.
        closed: whether closed forms may be used.
    """

    stated: Stated
    closed: bool = True

    @property
    def problem(self) -> Problem:
        assert self.stated.problem is not None
        return self.stated.problem

    @cached_property
    def forms(self) -> tuple[ClosedForm | None, ...]:
        """The closed form of each head's estimate; empty for a forecast without a law."""
        return tuple(self.form_of(head, head.values[None]) for head in self.stated.source.heads)

    @property
    def how(self) -> str:
        """The method of the estimate."""
        if not self.problem.outer:
            return "the budget alone"
        return "closed form" if len(self.forms) == 1 and self.forms[0] is not None else "equal elasticities"

    def form_of(self, head: Head, natural: np.ndarray) -> ClosedForm | None:
        """The optimum under parameters [draws, p] in closed form, or None."""
        source = self.stated.source
        if not self.closed or not (source.falls or source.link) or len(self.problem.free) != 2:
            return None
        return closed_form(head.law, natural, self.stated.cost.law, self.problem.free, self.stated.fixed)

    # ---- the estimate -----------------------------------------------------------------------------------------------

    def estimate(self, log_budgets: np.ndarray) -> Optimum:
        """The optimum of the forecast itself at ln budgets [n]; arrays are [n]."""
        source = self.stated.source
        best = self._best(source.model(), self.forms[0] if len(self.forms) == 1 else None, log_budgets[None])
        flat = lambda a: np.broadcast_to(a, (1, len(log_budgets)))[0]  # noqa: E731
        return Optimum(
            {k: flat(v) for k, v in best.logs.items()}, flat(best.value), flat(best.price), flat(best.status)
        )

    def _best(self, model: Model, form: ClosedForm | None, log_budgets: np.ndarray) -> Optimum:
        near = None if form is None else form.logs(log_budgets)
        if near is not None and not np.all(np.isfinite(near[self.problem.free[0]])):
            near = None
        return solve(model, self.problem, log_budgets, near)

    # ---- the draws --------------------------------------------------------------------------------------------------

    def drawn(self, log_budgets: np.ndarray, best: Optimum) -> dict[str, np.ndarray]:
        """ln of the outer inputs [n, draws] under every draw, spread about the estimate; no columns without draws.

        Where draws are solved numerically, the least value and its price stand beside them, under `VALUE` and `PRICE`.
        """
        spread = self.spread(log_budgets, best)
        if not spread.parts:
            return {name: np.empty((len(log_budgets), 0)) for name in self.problem.outer}
        return {name: spread.whole(name) for name in spread.names}

    def spread(self, log_budgets: np.ndarray, best: Optimum) -> Spread:
        """The optimum under every draw, spread about the estimate: ln of the outer inputs; solved numerically, also of the
        slack, and the least value and its price under `VALUE` and `PRICE`."""
        source, parts = self.stated.source, []
        if self.problem.outer and source.draws:
            if not source.heads:
                parts = self._on_grid(log_budgets)
            for head, form in zip(source.heads, self.forms, strict=True):
                if len(head.draws):
                    single = len(source.heads) == 1
                    centre = best if single else self._flat(self._best(head.model(), form, log_budgets[None]))
                    own = self.form_of(head, head.draws)
                    if own is not None:
                        parts.append(self._of_form(head, own, log_budgets, centre))
                    elif np.any(centre.status != 3):
                        parts.append(self._traced(head, form, log_budgets, centre))
        return Spread(log_budgets, tuple(parts))

    @staticmethod
    def _flat(best: Optimum) -> Optimum:
        return Optimum({k: v[0] for k, v in best.logs.items()}, best.value[0], best.price[0], best.status[0])

    def _of_form(self, head: Head, form: ClosedForm, log_budgets: np.ndarray, centre: Optimum) -> Part:
        """Draws with a closed form: lines over ln budget, kept inside the bounds, the loss being convex along the budget."""
        name = self.problem.outer[0]
        start, slope = form.start[name][:, 0], form.exponents[name][:, 0]
        lost = ~form.proper[:, 0]
        many = len(np.unique(log_budgets)) > FEW
        nodes = np.linspace(log_budgets.min(), log_budgets.max(), _LINE) if many else np.unique(log_budgets)
        trace = known(nodes, {name: np.where(lost, np.nan, start + slope * nodes[:, None])})
        part = Part(trace, trace.weights(log_budgets), {name: np.zeros(len(log_budgets))})
        if self.problem.bounds:
            part = replace(part, inside={name: ends_along(self.problem, log_budgets, name)})
        if head.widening == 1.0:
            return part
        # what is spread is what lies inside the bounds
        middle = centre.logs[name][:, None]
        values = middle + head.widening * (part.rows(name, slice(None)) - middle)
        return _as_they_are(log_budgets, {name: values})

    def _traced(self, head: Head, estimated: ClosedForm | None, log_budgets: np.ndarray, centre: Optimum) -> Part:
        """Draws that are solved numerically."""
        problem, count = self.problem, len(head.draws)
        nearby = Nearby(head, problem, self._signed)
        able, every = centre.status != 3, np.arange(count)
        lost = np.zeros(count, dtype=bool)

        floor, floors = (
            self._floor(self._signed(head.model(some)), len(some)) for some in (head.values[None], head.draws)
        )
        with np.errstate(all="ignore"):
            local = centre.price / (centre.value - floor)

        def spread(
            found: Mapping[str, np.ndarray], best: Optimum, at: np.ndarray, draws: np.ndarray
        ) -> dict[str, np.ndarray]:
            """Deviations from the estimate of pairs [k] of a budget and a draw."""
            off = {name: head.widening * (found[name] - best.logs[name]) for name in problem.outer}
            chosen = {name: best.logs[name] + off[name] for name in problem.outer}
            slack, _ = slack_of(problem, {**problem.fixed, **chosen}, at)
            off[problem.slack] = slack - best.logs[problem.slack]
            with np.errstate(all="ignore"):
                gamma = found[PRICE] / (found[VALUE] - floors[draws]) - best.price / (best.value - floor)
            return off | {VALUE: found[VALUE] - best.value, PRICE: found[PRICE] - best.price, GAMMA: gamma}

        def start(off: Mapping[str, np.ndarray], best: Optimum) -> dict[str, np.ndarray]:
            return {name: best.logs[name] + off[name] / head.widening for name in problem.outer}

        def solve_nodes(at: np.ndarray, trace: Trace | None) -> dict[str, np.ndarray]:
            best = self._flat(self._best(self._signed(head.model()), estimated, at[None]))
            if trace is not None:
                weights = trace.weights(at)
                guess = {name: read(weights, trace.values[name]) for name in problem.outer}
                return self._nodes(nearby, at, best, guess, spread, start, lost)
            last = {name: np.zeros((1, count)) for name in problem.outer}
            rows = []
            for i in range(len(at)):  # each node starts where the one before ended
                one = _row(best, i)
                rows.append(self._nodes(nearby, at[i : i + 1], one, last, spread, start, lost))
                last = rows[-1]
            return {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}

        trace = traced(solve_nodes, log_budgets[able], problem.outer)
        weights = trace.weights(log_budgets)
        middle = {name: centre.logs[name] for name in problem.free} | {
            VALUE: centre.value,
            PRICE: centre.price,
            GAMMA: local,
        }

        def exact(name: str, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
            best = _row(centre, rows)
            own = weights[rows]
            guess = {key: trace.pairs(key, own, draws) for key in problem.outer}
            found = nearby.solve(draws, log_budgets[rows], start(guess, best), TIGHT)
            return middle[name][rows] + spread(found, best, log_budgets[rows], draws)[name]

        part = Part(trace, weights, middle, exact)
        if not lost.any():
            return part
        # draws without an optimum at some budgets are solved at each
        numbers = every[lost]
        rows, columns = np.repeat(np.arange(len(log_budgets)), len(numbers)), np.tile(numbers, len(log_budgets))
        apart = {name: np.full(len(rows), np.nan) for name in trace.values}
        here = able[rows]
        best = _row(centre, rows[here])
        found = nearby.solve(columns[here], log_budgets[rows[here]], {k: best.logs[k] for k in problem.outer}, _TIGHT)
        for name, off in spread(found, best, log_budgets[rows[here]], columns[here]).items():
            apart[name][here] = middle[name][rows[here]] + off
        return replace(part, lost=numbers, apart={k: v.reshape(-1, len(numbers)) for k, v in apart.items()})

    @staticmethod
    def _nodes(
        nearby: Nearby,
        at: np.ndarray,
        best: Optimum,
        guess: Mapping[str, np.ndarray],
        spread: Callable[..., dict[str, np.ndarray]],
        start: Callable[..., dict[str, np.ndarray]],
        lost: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Deviations [k, draws] at ln budgets [k] from guesses of them; draws without an optimum are marked as lost."""
        count = len(lost)
        rows, draws = np.repeat(np.arange(len(at)), count), np.tile(np.arange(count), len(at))
        flat, own = {name: array.ravel() for name, array in guess.items()}, _row(best, rows)
        found = spread(nearby.solve(draws, at[rows], start(flat, own), _TIGHT), own, at[rows], draws)
        made = {key: values.reshape(len(at), count) for key, values in found.items()}
        for key, values in made.items():
            if key != GAMMA:  # which needs a floor
                lost |= ~np.isfinite(values).all(axis=0)
        return {key: np.where(lost, 0.0, values) for key, values in made.items()}

    def _signed(self, model: Model) -> Model:
        """What is minimised of a law: its value, or its negative where more is better."""
        source = self.stated.source
        return negative(model) if not source.falls and source.link == "" else model

    def _on_grid(self, log_budgets: np.ndarray) -> list[Part]:
        """Draws of a forecast without a law: the least of a grid along each budget, refined by a parabola."""
        source, problem = self.stated.source, self.problem
        if len(problem.outer) != 1 or source.forecast is None:
            return []
        name = problem.outer[0]
        first, last = ends_along(problem, log_budgets, name)
        sign, found = 1.0 if source.falls else -1.0, []
        for low, high, budget in zip(first, last, log_budgets, strict=True):
            if not low < high:
                found.append(np.full(source.draws, np.nan))
                continue
            t = np.linspace(low, high, _GRID)
            y, _ = slack_of(problem, {**problem.fixed, name: t}, np.full(_GRID, budget))
            logs = {**problem.fixed, name: t, problem.slack: y}
            at = {key: np.broadcast_to(np.exp(logs[key]), t.shape) for key in source.inputs}
            values = sign * source.sampled(at)
            values = np.where(np.isfinite(values), values, np.inf)
            if not len(values):
                found.append(np.empty(0))
                continue
            i = values.argmin(axis=1)
            j = np.clip(i, 1, _GRID - 2)
            a, b, c = (values[np.arange(len(values)), j + k] for k in (-1, 0, 1))
            with np.errstate(all="ignore"):
                bend = a - 2 * b + c
                shift = np.where((i == j) & (bend > 0) & np.isfinite(bend), 0.5 * (a - c) / bend, 0.0)
            found.append(np.where(np.isfinite(values.min(axis=1)), t[i] + shift * (t[1] - t[0]), np.nan))
        return [_as_they_are(log_budgets, {name: np.stack(found)})] if len(found[0]) else []

    # ---- the floor --------------------------------------------------------------------------------------------------

    def floors(self) -> tuple[float, np.ndarray]:
        """The value at endless budgets: of the estimate, and of the draws [draws]; NaN where it has no limit."""
        source = self.stated.source
        if not source.heads or source.link or not source.falls:
            return float("nan"), np.empty(0)
        centre = float(self._floor(source.model(), 1)[0])
        drawn = [self._floor(head.model(head.draws), len(head.draws)) for head in source.heads if len(head.draws)]
        return centre, np.concatenate(drawn) if drawn else np.empty(0)

    def _floor(self, model: Model, count: int) -> np.ndarray:
        high = {name: min(self.problem.bounds.get(name, (0.0, _FAR))[1], _FAR) for name in self.problem.free}
        logs: Mapping[str, np.ndarray] = {k: np.array([[v]]) for k, v in {**self.problem.fixed, **high}.items()}
        with np.errstate(all="ignore"):
            value = np.asarray(model(logs)[0], dtype=float)
        return np.where(np.isfinite(value), value, np.nan).ravel() if value.size == count else np.full(count, np.nan)


def _row(best: Optimum, rows: Any) -> Optimum:
    """The optima at some of the budgets."""
    rows = slice(rows, rows + 1) if isinstance(rows, int) else rows
    return Optimum({k: v[rows] for k, v in best.logs.items()}, best.value[rows], best.price[rows], best.status[rows])


def _as_they_are(log_budgets: np.ndarray, values: Mapping[str, np.ndarray]) -> Part:
    """Values [n, draws] that are known at every budget."""
    unique, first, place = np.unique(log_budgets, return_index=True, return_inverse=True)
    trace = known(unique, {name: array[first] for name, array in values.items()})
    return Part(trace, place, {name: np.zeros(len(log_budgets)) for name in values})
