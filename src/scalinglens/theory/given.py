"""Numbers as they are given to a model: plain, as text such as 10k, or a range LOW:HIGH:COUNT."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scalinglens.errors import QuantityError, TheoryError
from scalinglens.quantities import parse_quantity

__all__ = ["amount", "points"]


def amount(name: str, value: Any) -> float:
    """Return a number from a number, "inf" or text such as 1e4 or 10k.

    >>> amount("samples", "10k"), amount("modes", "inf")
    (10000.0, inf)
    """
    if isinstance(value, str) and value.strip().lower() in ("inf", "infinity"):
        return math.inf
    try:
        return parse_quantity(value) if isinstance(value, str) else float(value)
    except (QuantityError, TypeError, ValueError) as problem:
        raise TheoryError(f"{name} is {value!r}, which is no number: {problem}; inf is allowed") from None


def points(name: str, text: Any) -> np.ndarray:
    """Return numbers from a list A,B,C, a range LOW:HIGH:COUNT with equal ratios, or numbers as they are.

    >>> points("samples", "1:100:3").tolist(), points("samples", "5,7").tolist()
    ([1.0, 10.0, 100.0], [5.0, 7.0])
    """
    if not isinstance(text, str):
        return np.atleast_1d(np.asarray(text, dtype=float))
    if ":" not in text:
        return np.array([amount(name, part) for part in text.split(",")])
    parts = text.split(":")
    if len(parts) != 3:
        raise TheoryError(f"{name} is {text!r}; write LOW:HIGH:COUNT such as 1:1e6:13, or a list 1,10,100")
    low, high, count = (amount(name, part) for part in parts)
    if not (0 < low < high < math.inf and 2 <= count <= 1e5 and count == int(count)):
        raise TheoryError(f"{name} is {text!r}; LOW and HIGH are positive and finite, COUNT is a whole number from 2")
    return np.geomspace(low, high, int(count))
