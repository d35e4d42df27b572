"""What to do next: from a law to sizes, budgets and schedules, and to the runs that would settle the question.

The package is callable: `scalinglens.plan(fit, flops=1e24)`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scalinglens.verbs import make_callable

if TYPE_CHECKING:
    from scalinglens.plan.frontier import Frontier
    from scalinglens.plan.inverse import cost_of, loss_at
    from scalinglens.plan.plan import Plan
    from scalinglens.plan.source import Source, as_source

__all__ = ["Frontier", "Plan", "Source", "as_source", "cost_of", "loss_at"]

# the functions `frontier`, `cost` and `regret` live in modules of their own names
_HOME = {
    "Frontier": "frontier",
    "Plan": "plan",
    "Source": "source",
    "as_source": "source",
    "cost_of": "inverse",
    "loss_at": "inverse",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'scalinglens.plan' has no attribute {name!r}")
    return getattr(importlib.import_module(f"scalinglens.plan.{_HOME[name]}"), name)


def _load() -> Callable[..., Any]:
    return importlib.import_module("scalinglens.plan.plan").plan


make_callable(__name__, _load)
