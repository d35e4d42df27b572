"""Numbers that a user gives: whole, positive, a share; what is wrong is said by name and value."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from scalinglens.errors import PlanError

__all__ = ["as_number", "check_mfu", "positive", "positive_arrays", "whole"]


def whole(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number of at least `least`, or say by name what is wrong.

    >>> whole("depth", 12.0)
    12
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        exact: Any = int(value) if isinstance(value, float) and value.is_integer() else value
        number = operator.index(exact)
    except TypeError:
        raise PlanError(f"{name} is {value!r}; it must be a whole number of at least {least}") from None
    if number < least:
        raise PlanError(f"{name} is {number}; it must be a whole number of at least {least}")
    return number


def positive(name: str, value: Any) -> float:
    """Return a positive finite number, or say by name what is wrong."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < math.inf:
        raise PlanError(f"{name} is {value!r}; it must be a positive number")
    return float(value)


def check_mfu(value: float, name: str = "mfu") -> float:
    """Return a share of the peak rate, or say what is wrong with it.

    >>> check_mfu(0.4)
    0.4
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or not math.isfinite(value)
        or value <= 0
    ):
        raise PlanError(f"{name} is {value!r}; it is the share of the peak rate that is used, such as 0.4")
    if value > 1:
        percent = f"; for {value:g}% write {value / 100:g}" if value <= 100 else ", such as 0.4"
        raise PlanError(f"{name} is {value:g}, but it is a share of the peak rate between 0 and 1{percent}")
    return float(value)


def positive_arrays(**amounts: Any) -> None:
    """Refuse amounts that are not positive and finite, naming the first."""
    for name, value in amounts.items():
        try:
            array = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            raise PlanError(f"{name} is {value!r}; it must be a positive number") from None
        wrong = ~(np.isfinite(array) & (array > 0))
        if np.any(wrong):
            where = f" at position {int(np.argmax(wrong))}" if array.ndim else ""
            raise PlanError(
                f"{name} is {np.ravel(array)[int(np.argmax(wrong))]:g}{where}; it must be positive and finite"
            )


def as_number(value: Any) -> Any:
    """Return a float for a single number, and the array otherwise."""
    return float(value) if np.ndim(value) == 0 else np.asarray(value)
