"""Allocations under every draw of a law: their loss, what is above the best at the same cost, what the best would cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scalinglens.plan.inverse import costs_of_head
from scalinglens.plan.optimum.closed_form import ClosedForm
from scalinglens.plan.optimum.estimates import Estimates, quantiles, value_interval, widened
from scalinglens.plan.optimum.head import Head
from scalinglens.plan.optimum.numeric import Numeric
from scalinglens.plan.optimum.optimum import ENDLESS, Optimum
from scalinglens.plan.optimum.solutions import VALUE, Solver
from scalinglens.plan.optimum.spread import Part, ends_of
from scalinglens.plan.optimum.traces import Trace

__all__ = ["UnderDraws", "under_draws"]

_BLOCK = 250_000  # allocations x draws at once: they stay in the cache
_BELOW = 1.5  # ln of how far below the least cost of the estimate the optimum of draws is followed

Ends = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class UnderDraws:
    """The result of `under_draws`; arrays are by allocation [n].

    Attributes:
        loss: of the allocations.
        excess: ends of what they lose. costs: ends of ln of the cost at which the best does as well. None without draws.
    """

    loss: Estimates
    excess: Ends | None
    costs: Ends | None


def under_draws(
    solver: Solver,
    own: Mapping[str, np.ndarray],
    there: Mapping[str, np.ndarray],
    logs: np.ndarray,
    equal: np.ndarray,
    best: Optimum,
    level: float,
) -> UnderDraws:
    """Compare allocations with the best at the same cost, draw by draw.

    Args:
        own: input -> values [n] of the allocations. there: those of the best at the same cost.
        logs: ln of that cost [n]. equal: ln of the cost at which the estimate's best does as well [n].
        best: the estimate's optimum at `logs`.
        level: of the intervals.

    Returns:
        The `UnderDraws`. A pool has no draws of the best's cost.

    Cost: one evaluation of the law per draw and allocation, and without a closed form the optimum of every draw at some
        twenty budgets; of single draws where their order is open.
    """
    source, n = solver.stated.source, len(logs)
    if not source.draws:
        return UnderDraws(Estimates.plain(source.value(own)), None, None)
    sign = 1.0 if source.falls else -1.0
    if len(source.heads) != 1 or source.link:
        both = source.sampled({k: np.concatenate([own[k], there[k]]) for k in source.inputs}).T
        return UnderDraws(value_interval(source, own, level), quantiles(sign * (both[:n] - both[n:]), level), None)
    head, value = source.heads[0], source.value(own)
    drawn = {name: head.draws[:, i] for i, name in enumerate(head.law.parameters)}
    compared = _Compared(solver, head, logs, equal, best)
    found = np.empty((6, n))
    step = max(_BLOCK // len(head.draws), 1)
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        values = head.law.value(drawn, {name: array[rows, None] for name, array in own.items()})
        found[0:2, rows] = quantiles(values, level)
        values = sign * values
        found[2:4, rows] = compared.excess(values, rows, level)
        found[4:6, rows] = compared.costs(values, rows, level)
    lowest, highest = (widened(value, end, head.widening) for end in found[0:2])
    loss = Estimates(value, lowest, highest, level)
    top = np.maximum(sign * value - np.asarray(best.value), 0.0)
    low, high = (np.maximum(widened(top, end, head.widening), 0.0) for end in found[2:4])
    return UnderDraws(loss, (low, high), (found[4], found[5]))


@dataclass(frozen=True, eq=False)
class _Compared:
    """The optimum of every draw, asked for what it reaches and for what it costs."""

    solver: Solver
    head: Head
    logs: np.ndarray
    equal: np.ndarray
    best: Optimum

    @cached_property
    def form(self) -> ClosedForm | None:
        """The optimum in closed form, where nothing bounds it."""
        form = self.solver.form_of(self.head, self.head.draws)
        whole = form is not None and form.floor is not None and form.proper.all()
        return form if whole and not self.solver.problem.bounds else None

    @cached_property
    def numeric(self) -> Numeric:
        """The solver of the draws."""
        return self.solver.numeric(self.head)

    @cached_property
    def part(self) -> Part:
        """The optimum at the costs of the allocations."""
        return self.numeric.part(self.logs, self.best)

    @cached_property
    def trace(self) -> Trace:
        """The least value between the costs that can be asked for."""
        path = np.linspace(self.equal.min() - _BELOW, self.logs.max() + 1e-9, 257)
        able = path[self.numeric.estimate(path).status != 3]
        return self.numeric.least(able[0], able[-1])

    @cached_property
    def near(self) -> Mapping[str, np.ndarray]:
        """Where the estimate is best at the cost that does as well as each allocation."""
        return self.solver.estimate(self.equal).logs

    def excess(self, values: np.ndarray, rows: np.ndarray, level: float) -> Ends:
        """Ends of what values [k, draws] of some allocations are above the least at the same cost."""
        if not self.solver.problem.outer:
            return np.zeros(len(rows)), np.zeros(len(rows))
        if self.form is not None:
            unique, place = np.unique(self.logs[rows], return_inverse=True)
            least = self.form.value(unique[None])
            assert least is not None
            return quantiles(np.maximum(values - np.ascontiguousarray(least.T)[place], 0.0), level)
        part = self.part
        above = np.maximum(values - part.rows(VALUE, rows), 0.0)

        def exact(row: np.ndarray, draw: np.ndarray) -> np.ndarray:
            return np.maximum(values[row, draw] - part.pairs(VALUE, rows[row], draw), 0.0)

        return ends_of(above, part.errors(VALUE, self.logs[rows]), level, exact)

    def costs(self, values: np.ndarray, rows: np.ndarray, level: float) -> Ends:
        """Ends of ln of the cost at which the best does as well, at most that of the allocation."""
        most = self.logs[rows, None]
        if self.form is not None:
            logs = self.form.log_budget(values.T)
            assert logs is not None
            ends = np.stack([logs.min(axis=1), logs.max(axis=1)], axis=1)  # inputs are straight lines over ln budget
            places = [self.form.start[k] + self.form.exponents[k] * ends for k in self.solver.problem.free]
            if all(np.all((place > ENDLESS[0]) & (place < ENDLESS[1])) for place in places):
                return quantiles(np.minimum(logs.T, most), level)

        def solved(row: np.ndarray, draw: np.ndarray) -> np.ndarray:
            near = {name: array[rows[row], None] for name, array in self.near.items()}
            natural = self.head.draws[draw]
            return costs_of_head(self.solver, self.head, natural, values[row, draw][:, None], near)[:, 0]

        if not self.solver.problem.outer:
            every = np.indices(values.shape).reshape(2, -1)
            return quantiles(np.minimum(solved(*every).reshape(values.shape), most), level)
        logs, errors = self.trace.backwards(VALUE, values)

        def exact(row: np.ndarray, draw: np.ndarray) -> np.ndarray:
            start = np.where(np.isfinite(errors[row, draw]), logs[row, draw], np.nan)
            found = self.numeric.costs(self.trace, draw, values[row, draw], start)
            left = np.isnan(found)
            if left.any():
                found[left] = solved(row[left], draw[left])
            return np.minimum(found, most[row, 0])

        return ends_of(np.minimum(logs, most), errors, level, exact)
