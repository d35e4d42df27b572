"""Numbers as they are written on the command line of a model: one amount, a list, a range."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scalinglens.errors import QuantityError, TheoryError
from scalinglens.quantities import parse_quantity

__all__ = ["amount", "amounts"]


def amount(name: str, value: Any) -> float:
    """Read a number, "inf" or text such as 1e4 or 10k.

    >>> amount("features", "10k"), amount("features", "inf")
    (10000.0, inf)
    """
    if isinstance(value, str) and value.strip().lower() in ("inf", "infinity"):
        return math.inf
    try:
        return parse_quantity(value) if isinstance(value, str) else float(value)
    except (QuantityError, TypeError, ValueError) as problem:
        raise TheoryError(f"{name} is {value!r}, which is no number: {problem}; inf is allowed") from None


def amounts(name: str, value: Any) -> np.ndarray:
    """Read numbers from A,B,C or LOW:HIGH:COUNT, equally spaced in logarithms.

    >>> amounts("samples", "1,10k").tolist(), amounts("samples", "1:100:3").round(9).tolist()
    ([1.0, 10000.0], [1.0, 10.0, 100.0])
    """
    if not isinstance(value, str):
        return np.atleast_1d(np.asarray(value, dtype=float))
    if ":" not in value:
        return np.array([amount(name, part) for part in value.split(",")])
    parts = value.split(":")
    if len(parts) != 3:
        raise TheoryError(f"{name} is {value!r}, which is no range; write LOW:HIGH:COUNT such as 1:1e6:13, or a list 1,10")
    low, high, count = (amount(name, part) for part in parts)
    if not (0 < low < high < math.inf and 2 <= count <= 1e5 and count == int(count)):
        raise TheoryError(
            f"{name} is {value!r}, which is no range; LOW and HIGH are positive and finite, COUNT is a whole number from 2"
        )
    return np.geomspace(low, high, int(count))
