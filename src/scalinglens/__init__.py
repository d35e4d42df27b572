"""Neural scaling laws you can trust: from a table of training runs to a certified law with honest intervals.

    >>> import scalinglens as sl
    >>> runs = sl.read_runs({"params": [1e6, 4e6, 2e7, 9e7, 4e8], "loss": [4.20, 3.63, 3.09, 2.69, 2.38]})
    >>> sl.fit(runs, "A/params^alpha + E").status
    'certified'

The names below are imported when first used, so that importing the package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalinglens.errors import ScalingLensError
    from scalinglens.fit import Estimate, Fit, Forecast, fit
    from scalinglens.fit.compare import Check, Comparison, PooledFit, advice, compare
    from scalinglens.fit.compare.pool import pool
    from scalinglens.fit.curves.checkpoints import checkpoints
    from scalinglens.fit.curves.live import forecast_run
    from scalinglens.fit.downstream import TwoStep, capabilities, two_step
    from scalinglens.fit.isoflop import IsoFlop, isoflop
    from scalinglens.fit.surface import Surface, surface
    from scalinglens.laws.catalogue import law, laws
    from scalinglens.laws.law import Law
    from scalinglens.laws.schedule import Schedule
    from scalinglens.plan.design import Design, design
    from scalinglens.plan.frontier import frontier
    from scalinglens.plan.plan import Plan, plan
    from scalinglens.quantities import format_quantity, parse_quantity
    from scalinglens.runs import Runs, read_runs
    from scalinglens.runs.published import published, read_published
    from scalinglens.theory.random_features.problem import RandomFeatures
    from scalinglens.theory.random_features.solve import solve
    from scalinglens.worlds.spectra import power_law

__version__ = "0.1.0"

_HOME = {
    "Check": "scalinglens.fit.compare",
    "Comparison": "scalinglens.fit.compare",
    "Design": "scalinglens.plan.design",
    "Estimate": "scalinglens.fit",
    "Fit": "scalinglens.fit",
    "Forecast": "scalinglens.fit",
    "IsoFlop": "scalinglens.fit.isoflop",
    "Law": "scalinglens.laws.law",
    "Plan": "scalinglens.plan.plan",
    "PooledFit": "scalinglens.fit.compare",
    "RandomFeatures": "scalinglens.theory.random_features.problem",
    "Runs": "scalinglens.runs",
    "ScalingLensError": "scalinglens.errors",
    "Schedule": "scalinglens.laws.schedule",
    "Surface": "scalinglens.fit.surface",
    "TwoStep": "scalinglens.fit.downstream",
    "advice": "scalinglens.fit.compare",
    "capabilities": "scalinglens.fit.downstream",
    "checkpoints": "scalinglens.fit.curves.checkpoints",
    "compare": "scalinglens.fit.compare",
    "design": "scalinglens.plan.design",
    "fit": "scalinglens.fit",
    "forecast_run": "scalinglens.fit.curves.live",
    "format_quantity": "scalinglens.quantities",
    "frontier": "scalinglens.plan.frontier",
    "isoflop": "scalinglens.fit.isoflop",
    "law": "scalinglens.laws.catalogue",
    "laws": "scalinglens.laws.catalogue",
    "parse_quantity": "scalinglens.quantities",
    "plan": "scalinglens.plan.plan",
    "pool": "scalinglens.fit.compare.pool",
    "power_law": "scalinglens.worlds.spectra",
    "published": "scalinglens.runs.published",
    "read_published": "scalinglens.runs.published",
    "read_runs": "scalinglens.runs",
    "solve": "scalinglens.theory.random_features.solve",
    "surface": "scalinglens.fit.surface",
    "two_step": "scalinglens.fit.downstream",
}

__all__ = [
    "Check",
    "Comparison",
    "Design",
    "Estimate",
    "Fit",
    "Forecast",
    "IsoFlop",
    "Law",
    "Plan",
    "PooledFit",
    "RandomFeatures",
    "Runs",
    "ScalingLensError",
    "Schedule",
    "Surface",
    "TwoStep",
    "advice",
    "capabilities",
    "checkpoints",
    "compare",
    "design",
    "fit",
    "forecast_run",
    "format_quantity",
    "frontier",
    "isoflop",
    "law",
    "laws",
    "parse_quantity",
    "plan",
    "pool",
    "power_law",
    "published",
    "read_published",
    "read_runs",
    "solve",
    "surface",
    "two_step",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'scalinglens' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
