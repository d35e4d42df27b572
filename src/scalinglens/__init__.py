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
    from scalinglens.fit import Estimate, Fit, fit
    from scalinglens.laws.catalogue import law, laws
    from scalinglens.laws.law import Law
    from scalinglens.quantities import format_quantity, parse_quantity
    from scalinglens.runs import Runs, read_runs

__version__ = "0.1.0"

_HOME = {
    "Estimate": "scalinglens.fit",
    "Fit": "scalinglens.fit",
    "Law": "scalinglens.laws.law",
    "Runs": "scalinglens.runs",
    "ScalingLensError": "scalinglens.errors",
    "fit": "scalinglens.fit",
    "format_quantity": "scalinglens.quantities",
    "law": "scalinglens.laws.catalogue",
    "laws": "scalinglens.laws.catalogue",
    "parse_quantity": "scalinglens.quantities",
    "read_runs": "scalinglens.runs",
}

__all__ = [
    "Estimate",
    "Fit",
    "Law",
    "Runs",
    "ScalingLensError",
    "fit",
    "format_quantity",
    "law",
    "laws",
    "parse_quantity",
    "read_runs",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'scalinglens' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
