"""The optimum of a question at budgets: of the estimate and of every draw, in closed form where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from scalinglens.plan.optimum.closed_form import ClosedForm, closed_form
from scalinglens.plan.optimum.head import negative
from scalinglens.plan.optimum.nearby import PRICE, VALUE
from scalinglens.plan.optimum.numeric import GAMMA, Numeric, floor_of
from scalinglens.plan.optimum.optimum import Model, Optimum, Problem, ends_along, slack_of, solve
from scalinglens.plan.optimum.problem import Stated
from scalinglens.plan.optimum.spread import Part, Spread
from scalinglens.plan.optimum.traces import FEW, known
from scalinglens.plan.source import Head

__all__ = ["GAMMA", "PRICE", "VALUE", "Solver"]

_GRID = 65  # points along a budget for draws of a forecast without a law
_LINE = 33  # nodes of draws that are straight lines; the more, the fewer draws cross between two


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
                    centre = best if single else self.numeric(head, form).estimate(log_budgets)
                    own = self.form_of(head, head.draws)
                    if own is not None:
                        parts.append(self._of_form(head, own, log_budgets, centre))
                    elif np.any(centre.status != 3):
                        parts.append(self.numeric(head, form).part(log_budgets, centre))
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

    def numeric(self, head: Head, form: ClosedForm | None = None) -> Numeric:
        """The solver of one law's draws; its estimate starts from a closed form where there is one."""
        signed = self._signed(head.model())
        return Numeric(head, self.problem, self._signed, lambda at: self._flat(self._best(signed, form, at[None])))

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
        centre = float(floor_of(source.model(), self.problem, 1)[0])
        drawn = [
            floor_of(head.model(head.draws), self.problem, len(head.draws)) for head in source.heads if len(head.draws)
        ]
        return centre, np.concatenate(drawn) if drawn else np.empty(0)


def _as_they_are(log_budgets: np.ndarray, values: Mapping[str, np.ndarray]) -> Part:
    """Values [n, draws] that are known at every budget."""
    unique, first, place = np.unique(log_budgets, return_index=True, return_inverse=True)
    trace = known(unique, {name: array[first] for name, array in values.items()})
    return Part(trace, place, {name: np.zeros(len(log_budgets)) for name in values})
