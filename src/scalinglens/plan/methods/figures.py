"""The picture of a comparison: sizes at the budget with their intervals, and what following them costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalinglens.figures.figure import MUTED, Axis, Figure, Line, Mark, Panel, Points, Rule, series
from scalinglens.figures.typeset import typeset
from scalinglens.quantities import format_quantity

if TYPE_CHECKING:
    from scalinglens.plan.methods.result import Methods

__all__ = ["methods_figure"]


def methods_figure(found: Methods) -> Figure:
    """Show every method that answers: its size against its exponent, and its waste against its size.

    Cost: none, nothing is computed.
    """
    good = [row for row in found.rows if row.status == "ok" and row.a is not None and row.params is not None]
    sizes: list[Mark] = []
    prices: list[Mark] = []
    for i, row in enumerate(good):
        assert row.a is not None
        assert row.params is not None
        a, n = row.a, row.params
        if n.low is not None and n.high is not None and a.low is not None and a.high is not None:
            sizes += [
                Line((a.value, a.value), (n.low, n.high), series(i), 1.2),
                Line((a.low, a.high), (n.value,) * 2, series(i), 1.2),
            ]
        sizes.append(Line((a.value, a.value + 1e-9), (n.value, n.value), series(i), label=row.method))
        sizes.append(Points((a.value,), (n.value,), series(i), size=6))
        if row.waste is not None:
            w = 100 * max(row.waste.value, 0.0)
            if row.waste.high is not None:
                prices.append(Line((n.value, n.value), (w, max(100 * row.waste.high, w)), series(i), 1.2))
            prices.append(Line((n.value, n.value * (1 + 1e-9)), (w, w), series(i), label=row.method))
            prices.append(Points((n.value,), (w,), series(i), size=6))
    budget = format_quantity(found.flops)
    panels = [
        Panel(
            "Best size and its exponent",
            Axis("a, params ~ C^{a}"),
            Axis(f"params at {budget} FLOP", "log", "engineering"),
            tuple(sizes),
        )
    ]
    if prices:
        prices.append(Rule(0.0, "y", MUTED, "dotted"))
        panels.append(
            Panel(
                "Share of the budget wasted by following it",
                Axis(f"params at {budget} FLOP", "log", "engineering"),
                Axis("waste (%)"),
                tuple(prices),
            )
        )
    silent = [f"{row.method} ({row.status.replace('_', ' ')})" for row in found.rows if row.status != "ok"]
    return Figure(
        title=f"Methods compared at {budget} FLOP",
        panels=tuple(panels),
        subtitle=f"{found.table['used']} runs of {found.table['origin']}; {found.level:.0%} intervals"
        + (f"; priced by {typeset(found.reference)}" if found.reference else ""),
        note=f"no answer: {', '.join(silent)}" if silent else "",
    )
