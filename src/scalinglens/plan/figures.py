"""The picture of a plan: the optimum over budgets with interval and near-optimal range, and the loss around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalinglens.figures.figure import ACCENT, INK, MUTED, Axis, Band, Figure, Format, Line, Mark, Panel, Points, Rule
from scalinglens.figures.typeset import typeset
from scalinglens.plan.frontier import Frontier, frontier_of
from scalinglens.plan.optimum.estimates import value_interval
from scalinglens.plan.optimum.optimum import ends_along, slack_of
from scalinglens.plan.optimum.problem import state
from scalinglens.quantities import QUANTITIES, format_quantity

if TYPE_CHECKING:
    from scalinglens.plan.plan import Plan

__all__ = ["frontier_figure", "plan_figure"]

_AROUND = 1.5  # decades of budget shown on both sides of a single one
_POINTS = 61
_BEYOND = 4.0  # how many near-optimal half-widths of the valley are shown


def plan_figure(plan: Plan) -> Figure:
    """Show a plan: the valley of the loss at its cost on the left, the optimum over budgets around it on the right.

    Cost: some sixty more budgets, and as many evaluations under every draw.
    """
    if plan.figure is not None:
        return plan.figure
    front = plan.frontier
    if front is None:
        raise ValueError("this plan has no picture; it has numbers only")
    return frontier_figure(front)


def frontier_figure(front: Frontier) -> Figure:
    """Show a frontier: one panel for each free input over the budgets, or the valley and the inputs around one budget."""
    wide = front
    panels: list[Panel] = []
    if len(front.budgets) == 1:
        budgets = front.budgets[0] * np.logspace(-_AROUND, _AROUND, _POINTS)
        wide = frontier_of(
            state(front.source, front.cost, front.fixed), budgets, tolerance=front.tolerance, level=front.level
        )
        valley = _valley(front)
        if valley is not None:
            panels.append(valley)
    panels += [_panel(wide, front, name) for name in front.free[:3]]
    decades = {name: float(np.nanmax(d)) for name, d in front.decades.items() if np.isfinite(d).any()}
    far = max(decades.values(), default=0.0)
    return Figure(
        title=f"Best inputs by budget: {typeset(front.source.name)}",
        panels=tuple(panels),
        subtitle=f"cost {typeset(front.cost.formula)} in {front.cost.unit}, {front.how}",
        note=f"up to {far:.1f} decades beyond the runs" if far > 0 else "",
        flag="" if set(front.status) <= {"inside"} else "Some budgets have no optimum inside the bounds",
    )


def _panel(wide: Frontier, front: Frontier, name: str) -> Panel:
    e, near = wide.optimum[name], wide.near_optimal[name]
    known = np.isfinite(e.value)
    x = wide.budgets[known]
    marks: list[Mark] = [
        Band(x, near[known, 0], near[known, 1], MUTED, f"within {wide.tolerance:.2%} of the best"),
    ]
    sure = known & np.isfinite(e.low) & np.isfinite(e.high) & (e.low > 0)
    if sure.any():
        marks.append(Band(wide.budgets[sure], e.low[sure], e.high[sure], ACCENT, f"{wide.level:.0%} interval"))
    marks.append(Line(x, e.value[known], ACCENT, 1.8))
    if len(front.budgets) == 1 and np.isfinite(front.optimum[name].value[0]):
        marks.append(Points(front.budgets, front.optimum[name].value, INK, size=6))
    if name in wide.source.range and len(x):
        largest = wide.source.range[name][1]
        if near[known].min() < largest < near[known].max():
            marks.append(Rule(largest, "y", MUTED, "dotted", f"largest run {format_quantity(largest)}"))
    if (
        "flops" in wide.source.range
        and wide.cost.unit == "FLOP"
        and len(x)
        and x[0] < wide.source.range["flops"][1] < x[-1]
    ):
        marks.append(Rule(wide.source.range["flops"][1], "x", MUTED, "dotted", "beyond the runs"))
    return Panel(
        f"Best {name}",
        Axis(f"budget ({wide.cost.unit})", "log", "power"),
        Axis(_label(name), "log", _format(name)),
        tuple(marks),
    )


def _valley(front: Frontier) -> Panel | None:
    """The loss against one input at the cost of a single budget; none with more than one input to vary."""
    problem = state(front.source, front.cost, front.fixed).problem
    if problem is None or len(problem.outer) != 1 or front.status[0] not in ("inside", "at_bound"):
        return None
    name = problem.outer[0]
    near, best = front.near_optimal[name][0], float(front.optimum[name].value[0])
    budget = np.log(front.budgets)
    first, last = (float(end[0]) for end in ends_along(problem, budget, name))
    reach = _BEYOND * max(np.log(near[1] / near[0]) / 2, 0.1)
    t = np.linspace(max(np.log(best) - reach, first), min(np.log(best) + reach, last), _POINTS)
    y, able = slack_of(problem, {**problem.fixed, name: t}, np.full(_POINTS, budget[0]))
    t, y = t[able], y[able]
    logs = {**problem.fixed, name: t, problem.slack: y}
    at = {key: np.broadcast_to(np.exp(logs[key]), t.shape) for key in front.source.inputs}
    loss = value_interval(front.source, at, front.level)
    x = np.exp(t)
    marks: list[Mark] = []
    if np.isfinite(loss.low).all():
        marks.append(Band(x, loss.low, loss.high, ACCENT, f"{front.level:.0%} interval"))
    inside = (x >= near[0]) & (x <= near[1])
    marks += [
        Line(x, loss.value, ACCENT, 1.8),
        Line(x[inside], loss.value[inside], INK, 3.0, label=f"within {front.tolerance:.2%}"),
        Rule(best, "x", MUTED, "dotted", format_quantity(best)),
    ]
    title = f"{front.source.target} at {format_quantity(float(front.budgets[0]))} {front.cost.unit}"
    return Panel(title, Axis(_label(name), "log", _format(name)), Axis(front.source.target), tuple(marks))


def _label(name: str) -> str:
    unit = QUANTITIES[name].unit if name in QUANTITIES else ""
    return f"{name} ({unit})" if unit and unit not in (name, "parameters") else name


def _format(name: str) -> Format:
    return "engineering" if name.startswith(("params", "tokens", "examples")) else "power"
