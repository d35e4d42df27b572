"""`frontier`: the best inputs at each budget, with intervals, the range of nearly as good ones, and exponents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scalinglens.errors import PlanError
from scalinglens.files import PICTURES, written_whole
from scalinglens.fit.estimate import Estimate, check_level
from scalinglens.numerics.processes import single_threaded_blas
from scalinglens.plan.cost import Cost
from scalinglens.plan.optimum.estimates import Estimates, estimate_of, value_interval, widened
from scalinglens.plan.optimum.near import near_optimal
from scalinglens.plan.optimum.optimum import ENDLESS, STATUSES, Optimum, slack_of
from scalinglens.plan.optimum.problem import Stated, numbers, state
from scalinglens.plan.optimum.solutions import GAMMA, Solver
from scalinglens.plan.optimum.spread import Part, Spread
from scalinglens.plan.optimum.traces import FEW, Trace, traced
from scalinglens.plan.source import Source, as_source
from scalinglens.quantities import format_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Estimates", "Frontier", "frontier", "frontier_of"]

_FAR = 1.0  # decades beyond the runs from which on it is said aloud
_SIDE = 0.25  # of ln budget, where one budget has to show a slope
_LOSS = "loss"  # of the draws at the estimate's optimum


@dataclass(frozen=True, eq=False)
class Frontier:
    """The result of `frontier`; arrays are by budget.

    Attributes:
        source: what predicts the loss. cost: what is paid.
        budgets: in the unit of the cost [n].
        optimum: input -> `Estimates`, fixed inputs included.
        loss: `Estimates` of the target at the optimum, of the law itself, without the scatter of single runs.
        near_optimal: free input -> least and largest value within the tolerance of the best [n, 2].
        tolerance: relative, of that range.
        exponents: free input -> d ln optimum / d ln budget, its mean over the budgets.
        gamma: d ln(loss - floor) / d ln budget, its sign turned; None where there is no floor.
        floor: the loss at an endless budget; None where it has no limit.
        status: "inside", "at_bound", "unbounded" or "infeasible" [n].
        free: inputs that were chosen. fixed: the others -> value.
        decades: quantity -> decades beyond the runs behind the source [n].
        how: "closed form", "equal elasticities" or "the budget alone".
        level: of the intervals.
        warnings: what a reader should know.
    """

    source: Source
    cost: Cost
    budgets: np.ndarray
    optimum: Mapping[str, Estimates]
    loss: Estimates
    near_optimal: Mapping[str, np.ndarray]
    tolerance: float
    exponents: Mapping[str, Estimate]
    gamma: Estimate | None
    floor: Estimate | None
    status: tuple[str, ...]
    free: tuple[str, ...]
    fixed: Mapping[str, float]
    decades: Mapping[str, np.ndarray]
    how: str
    level: float
    warnings: tuple[str, ...] = field(default=())

    def to_frame(self) -> pd.DataFrame:
        """Return one row per budget: value, _low, _high of every input and of the target; _near_low, _near_high; status."""
        columns: dict[str, Any] = {"budget": self.budgets}
        for name, e in (*self.optimum.items(), (self.source.target, self.loss)):
            columns[name] = e.value
            if name not in self.fixed:
                columns |= {f"{name}_low": e.low, f"{name}_high": e.high}
            if name in self.near_optimal:
                columns |= {
                    f"{name}_near_low": self.near_optimal[name][:, 0],
                    f"{name}_near_high": self.near_optimal[name][:, 1],
                }
        return pd.DataFrame({**columns, "status": self.status})

    def to_dict(self) -> dict[str, Any]:
        """Return the frontier as plain data, numbers unrounded."""
        from scalinglens.documents import plain

        one = lambda e: None if e is None else {"value": e.value, "low": e.low, "high": e.high}  # noqa: E731
        return plain(
            {
                "schema": 1,
                "source": self.source.name,
                "cost": {"formula": self.cost.formula, "unit": self.cost.unit},
                "how": self.how,
                "level": self.level,
                "tolerance": self.tolerance,
                "exponents": {name: one(e) for name, e in self.exponents.items()},
                "gamma": one(self.gamma),
                "floor": one(self.floor),
                "fixed": self.fixed,
                "rows": self.to_frame().to_dict("records"),
                "warnings": self.warnings,
            }
        )

    def citations(self) -> tuple[str, ...]:
        """Return the papers that the frontier rests on."""
        return self.source.citations()

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the optimum with interval and near-optimal range over the budgets; write the picture where a path is given."""
        from scalinglens.figures.matplotlib import draw
        from scalinglens.plan.figures import frontier_figure

        figure = draw(frontier_figure(self))
        if path is not None:
            with written_whole(path, PICTURES) as part:
                figure.savefig(part, format=Path(path).suffix[1:].lower())
        return figure

    def __len__(self) -> int:
        return len(self.budgets)

    def __repr__(self) -> str:
        from scalinglens.plan.text import frontier_text

        return frontier_text(self)


def frontier(
    source: Any,
    budgets: Any,
    *,
    cost: str | Cost | None = None,
    fix: Mapping[str, Any] | None = None,
    bounds: Mapping[str, Any] | None = None,
    tolerance: float = 1e-3,
    level: float | None = None,
    constants: Mapping[str, float] | None = None,
) -> Frontier:
    """Find the inputs that give the least loss at each budget.

    minimise loss(x) subject to cost(x) = budget:
    (d loss/d ln x) / (d ln cost/d ln x) is the same for every free input x

    Args:
        source: a fit, a saved fit, or a law with constants; see `as_source`.
        budgets: one or more, in the unit of the cost; text such as "3 PF-day" is read.
        cost: formula or name, see `cost`; by default 6 FLOP per parameter and token.
        fix: input -> value that is given. bounds: input -> (least, most), None for an open end.
        tolerance: of the near-optimal range, relative to the least loss.
        level: of the intervals, by default that of the source.
        constants: parameter -> value, for a law.

    Returns:
        The `Frontier`, with a status per budget; budgets that cannot be met are "infeasible" and NaN.

    Raises:
        PlanError: impossible budgets, unknown names, or a question that determines nothing.

    Cost: 4,000 draws x 1,000 budgets in a fraction of a second (`python -m benchmarks.frontier`). Without a closed form each
        draw is solved at 17 budgets or more, at about three evaluations of the law each; of many budgets those draws are
        solved at each on which an end can rest, so that the ends are those of every draw solved (see
        `plan/optimum/spread.py`). Exponents and gamma use the splines between the solved budgets, to about 1e-5.

    Source: Hoffmann et al. 2022, eq. 4 (closed form).

    >>> found = frontier("besiroglu2024", 5.76e23)
    >>> f"{found.optimum['params'].value[0]:.4g} {found.optimum['tokens'].value[0]:.5g} {found.exponents['params'].value:.4f}"
    '7.225e+10 1.3287e+12 0.5126'
    """
    source = as_source(source, constants=constants)
    stated = state(source, cost, fix, bounds)
    asked = numbers("the budget", budgets, "flops" if stated.cost.unit == "FLOP" else None)
    return frontier_of(stated, asked, tolerance=tolerance, level=level)


def frontier_of(
    stated: Stated, budgets: np.ndarray, *, tolerance: float = 1e-3, level: float | None = None
) -> Frontier:
    """Find the frontier of a question that has been read; see `frontier`."""
    source = stated.source
    level = source.level if level is None else level
    check_level(level)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance < 1:
        raise PlanError(
            f"the tolerance is a share of the loss, from 0 to below 1, got {tolerance!r}; write 0.001 for 0.1%"
        )
    if stated.problem is None:
        raise PlanError(
            f"all inputs of {source.name} are fixed ({', '.join(stated.fixed)}), so nothing is chosen; free one of them"
        )
    budgets = np.asarray(budgets, dtype=float)
    log_budgets = np.log(budgets)
    solver = Solver(stated)
    with single_threaded_blas():  # its products are thin
        best = solver.estimate(log_budgets)
        drawn = solver.spread(log_budgets, best)
        optimum = _optimum(solver, log_budgets, best, drawn, level)
        optimum |= {name: Estimates.plain(np.full(len(budgets), value)) for name, value in stated.fixed.items()}
        loss = _loss(solver, log_budgets, {name: optimum[name].value for name in source.inputs}, level)
        status = tuple(STATUSES[i] for i in best.status)
        exponents, gamma, floor = _exponents(solver, log_budgets, best, drawn, level)
    decades = _decades(source, {**{k: e.value for k, e in optimum.items()}, **_budget(stated, budgets)})
    return Frontier(
        source=source,
        cost=stated.cost,
        budgets=budgets,
        optimum=optimum,
        loss=loss,
        near_optimal=near_optimal(solver, log_budgets, best, float(tolerance)),
        tolerance=float(tolerance),
        exponents=exponents,
        gamma=gamma,
        floor=floor,
        status=status,
        free=stated.free,
        fixed=stated.fixed,
        decades=decades,
        how=solver.how,
        level=level,
        warnings=source.warnings + _warnings(solver, budgets, best, decades),
    )


def _optimum(
    solver: Solver, log_budgets: np.ndarray, best: Optimum, drawn: Spread, level: float
) -> dict[str, Estimates]:
    """Free inputs with their intervals."""
    problem = solver.problem
    ends = {name: drawn.ends(name, level) for name in problem.outer if name in drawn.names}
    if len(problem.outer) == 1 and ends:
        # the slack falls as the other input rises, so its ends follow from the other's
        name = problem.outer[0]
        low, high = ends[name]

        def partner(end: np.ndarray) -> np.ndarray:
            known = np.isfinite(end)
            return np.where(
                known, slack_of(problem, {**problem.fixed, name: np.where(known, end, 0.0)}, log_budgets)[0], np.nan
            )

        ends[problem.slack] = partner(high), partner(low)
    elif problem.slack in drawn.names:
        ends[problem.slack] = drawn.ends(problem.slack, level)
    found = {}
    for name in problem.free:
        value = np.exp(best.logs[name])
        if name not in ends:
            found[name] = Estimates.plain(value)
            continue
        low, high = ends[name]
        least, most = problem.bounds.get(name, ENDLESS)
        # beyond what is searched an end is open
        low = np.where(low <= least + 1e-6, np.exp(least) if name in problem.bounds else 0.0, np.exp(low))
        high = np.where(high >= most - 1e-6, np.exp(most) if name in problem.bounds else np.inf, np.exp(high))
        low, high = (np.where(np.isfinite(value), end, np.nan) for end in (low, high))
        found[name] = Estimates(value, low, high, level)
    return found


def _loss(solver: Solver, log_budgets: np.ndarray, columns: Mapping[str, np.ndarray], level: float) -> Estimates:
    """The target at the optimum; for many budgets its draws are evaluated at some and interpolated at the others."""
    source = solver.stated.source
    head = source.heads[0] if len(source.heads) == 1 and not source.link else None
    known = np.all([np.isfinite(array) for array in columns.values()], axis=0)
    if head is None or not len(head.draws) or len(log_budgets) <= FEW or not known.any():
        return value_interval(source, columns, level)
    drawn = {name: head.draws[:, i] for i, name in enumerate(head.law.parameters)}

    def placed(at: np.ndarray) -> dict[str, np.ndarray]:
        logs = {**solver.problem.fixed, **solver.estimate(at).logs}
        return {name: np.exp(np.broadcast_to(logs[name], at.shape)) for name in source.inputs}

    def about(at: np.ndarray, _: Trace | None) -> dict[str, np.ndarray]:
        here = placed(at)
        there = head.law.value(drawn, {name: array[:, None] for name, array in here.items()})
        return {_LOSS: there - source.value(here)[:, None]}

    def exact(_: str, rows: np.ndarray, draws: np.ndarray) -> np.ndarray:
        here = {name: array[known][rows] for name, array in columns.items()}
        return head.law.value({name: array[draws] for name, array in drawn.items()}, here)

    value, low, high = (np.full(len(log_budgets), np.nan) for _ in range(3))
    value[known] = source.value({name: array[known] for name, array in columns.items()})
    trace = traced(about, log_budgets[known], (_LOSS,))
    part = Part(trace, trace.weights(log_budgets[known]), {_LOSS: value[known]}, exact)
    for end, found in zip((low, high), Spread(log_budgets[known], (part,)).ends(_LOSS, level), strict=True):
        end[known] = widened(value[known], found, head.widening)
    return Estimates(value, low, high, level)


def _exponents(
    solver: Solver, log_budgets: np.ndarray, best: Optimum, drawn: Spread, level: float
) -> tuple[dict[str, Estimate], Estimate | None, Estimate | None]:
    """Exponents of the optimum, gamma, floor."""
    problem, source = solver.problem, solver.stated.source
    head = source.heads[0] if len(source.heads) == 1 else None
    inside = best.status == 0
    form = solver.forms[0] if head is not None and solver.forms else None
    if form is not None and head is not None and inside.all():
        draws = solver.form_of(head, head.draws) if len(head.draws) else None

        def each(what: Any) -> Estimate | None:
            value = what(form)
            if value is None:
                return None
            ends = what(draws) if draws is not None else np.empty((0, 1))
            return estimate_of(float(value[0, 0]), ends[:, 0], level, head.widening)

        found = {name: each(lambda f, name=name: f.exponents[name]) for name in problem.free}
        return {k: e for k, e in found.items() if e is not None}, each(lambda f: f.gamma), each(lambda f: f.floor)
    floor, floors = solver.floors()
    usable = inside | (best.status == 1)
    if usable.sum() == 0:
        return {}, None, None
    x, logs, lines, at = log_budgets, best.logs, drawn, usable
    if usable.sum() < 2 or np.ptp(x[usable]) == 0:
        x = x[usable][:1] + np.array([-_SIDE, _SIDE])
        near = solver.estimate(x)
        logs, lines, at = near.logs, solver.spread(x, near), np.ones(2, dtype=bool)
    centred = np.where(at, x - x[at].mean(), 0.0)  # the slope of a straight line is this sum
    centred /= np.sum(centred**2)
    slopes = {name: lines.weighted(name, centred) for name in problem.free if name in lines.names}
    if slopes and problem.powers is not None and problem.slack not in slopes:
        powers = problem.powers[1]
        others = np.sum([powers.get(name, 0.0) * slopes[name] for name in problem.outer], axis=0)
        slopes[problem.slack] = (1.0 - others) / powers[problem.slack]
    exponents = {}
    for name in problem.free:
        value = float(np.sum(centred[at] * logs[name][at]))
        if np.isfinite(value):
            exponents[name] = estimate_of(value, slopes.get(name, np.empty(0)), level)
    gamma = None
    with np.errstate(all="ignore"):
        local = (best.price / (best.value - floor))[usable]
        if np.isfinite(local).any():
            spread = drawn.weighted(GAMMA, usable / usable.sum()) if GAMMA in drawn.names else np.empty(0)
            gamma = estimate_of(float(np.nanmean(local)), spread, level)
    limit = None if not np.isfinite(floor) else estimate_of(floor, floors, level)
    return exponents, gamma, limit


def _budget(stated: Stated, budgets: np.ndarray) -> dict[str, np.ndarray]:
    return {"flops": budgets} if stated.cost.unit == "FLOP" and "tokens_inference" not in stated.fixed else {}


def _decades(source: Source, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Decades beyond the runs, by budget."""
    found = {}
    for name, array in values.items():
        if name in source.range:
            low, high = source.range[name]
            with np.errstate(all="ignore"):
                found[name] = np.maximum(np.maximum(np.log10(array / high), np.log10(low / array)), 0.0)
    return found


def _warnings(solver: Solver, budgets: np.ndarray, best: Optimum, decades: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    problem, source = solver.problem, solver.stated.source
    found = []
    n = len(budgets)
    for code, says in (
        (1, "the best {names} is at its bound"),
        (
            2,
            "the loss has no least value: it still falls where {names} is beyond all measure; fix an input or give bounds",
        ),
        (3, "no choice costs just that: fixed inputs or bounds are beyond the budget, or cannot use it up"),
    ):
        at = best.status == code
        if at.any():
            names = " and ".join(_edges(solver, best, at, code)) or "an input"
            which = (
                "" if n == 1 else f" for {int(at.sum())} of {n} budgets, first {format_quantity(float(budgets[at][0]))}"
            )
            found.append(says.format(names=names) + which)
    far = {name: float(np.nanmax(a)) for name, a in decades.items() if np.isfinite(a).any()}
    far = {name: d for name, d in far.items() if d > _FAR}
    if far:
        words = ", ".join(f"{name} by {d:.1f}" for name, d in far.items())
        found.append(f"beyond the runs of {source.name} by decades: {words}; the law is trusted there, not tested")
    if not source.heads and len(problem.outer) > 1:
        found.append("a forecast without a law has no intervals of the optimum with more than one input to choose")
    return tuple(found)


def _edges(solver: Solver, best: Optimum, at: np.ndarray, code: int) -> list[str]:
    names = []
    for name in solver.problem.free:
        low, high = solver.problem.range(name)
        place = best.logs[name][at]
        edge = np.any((place <= low + 1e-9) | (place >= high - 1e-9))
        if edge and (name in solver.problem.bounds) == (code == 1):
            names.append(name)
    return names
