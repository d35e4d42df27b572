"""Which law forecasts best: rolling-origin back-tests, laws pooled by the data, and what a table can and cannot say.

The package is callable: `scalinglens.compare(runs, laws)` is `scalinglens.fit.compare(runs, laws)`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# these two are bound here and now: importing a module binds its name in the package, which would hide the function in it
from scalinglens.fit.compare.advice import advice
from scalinglens.fit.compare.compare import compare
from scalinglens.verbs import make_callable

if TYPE_CHECKING:
    from scalinglens.fit.compare.check import Check
    from scalinglens.fit.compare.comparison import Comparison
    from scalinglens.fit.compare.pool import PooledFit

__all__ = ["Check", "Comparison", "PooledFit", "advice", "compare"]

_HOME = {"Check": "check", "Comparison": "comparison", "PooledFit": "pool"}

make_callable(__name__, lambda: compare)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'scalinglens.fit.compare' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"scalinglens.fit.compare.{_HOME[name]}"), name)
    globals()[name] = value
    return value
