"""Laws of whole curves: which rows they see, the schedules behind them, forecasts of runs that still go on."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalinglens.fit.curves.breaks import Breaks, choose_breaks
    from scalinglens.fit.curves.curve import curve_laws
    from scalinglens.fit.curves.live import LiveForecast, forecast_run
    from scalinglens.fit.curves.rule import pool_curve
    from scalinglens.fit.curves.schedule import with_schedules

__all__ = [
    "Breaks",
    "LiveForecast",
    "choose_breaks",
    "curve_laws",
    "forecast_run",
    "pool_curve",
    "with_schedules",
]

_HOME = {
    "Breaks": "breaks",
    "LiveForecast": "live",
    "choose_breaks": "breaks",
    "curve_laws": "curve",
    "forecast_run": "live",
    "pool_curve": "rule",
    "with_schedules": "schedule",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'scalinglens.fit.curves' has no attribute {name!r}")
    return getattr(importlib.import_module(f"scalinglens.fit.curves.{_HOME[name]}"), name)
