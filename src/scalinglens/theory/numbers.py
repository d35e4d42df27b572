"""Numbers given to a model: an amount, a list or a range in text, an array in a file, and arrays that go together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from scalinglens.errors import QuantityError, TheoryError
from scalinglens.quantities import parse_quantity

__all__ = ["amount", "amounts", "counts", "read_array", "together"]


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
        raise TheoryError(
            f"{name} is {value!r}, which is no range; write LOW:HIGH:COUNT such as 1:1e6:13, or a list 1,10"
        )
    low, high, count = (amount(name, part) for part in parts)
    if not (0 < low < high < math.inf and 2 <= count <= 1e5 and count == int(count)):
        raise TheoryError(
            f"{name} is {value!r}, which is no range; LOW and HIGH are positive and finite, COUNT is a whole number from 2"
        )
    return np.geomspace(low, high, int(count))


def counts(name: str, value: Any, *, least: int = 1, most: float = math.inf) -> list[int]:
    """Read whole numbers, as `amounts` reads numbers, within limits.

    >>> counts("sizes", "8,16", most=32)
    [8, 16]
    """
    found = amounts(name, value)
    for number in found:
        if not (least <= number <= most and number == math.floor(number) < math.inf):
            limit = f"from {least} to {most:g}" if most < math.inf else f"of at least {least}"
            raise TheoryError(f"{name} holds {number:g}; give whole numbers {limit}")
    return [int(number) for number in found]


def read_array(option: str, path: str) -> np.ndarray:
    """Read an array of numbers from a .npy file.

    Raises:
        TheoryError: no such file, or none of numbers; the option is named.

    >>> read_array("--targets", "absent.npy")
    Traceback (most recent call last):
    ...
    scalinglens.errors.TheoryError: --targets absent.npy: there is no such file
    """
    try:
        array: Any = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise TheoryError(f"{option} {path}: there is no such file") from None
    except (OSError, ValueError, EOFError):
        raise TheoryError(f"{option} {path} is no .npy file of numbers; write it with numpy.save") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise TheoryError(f"{option} {path} does not hold one array of real numbers; write it with numpy.save")
    return array.astype(float)


def together(**given: tuple[Any, float]) -> dict[str, np.ndarray]:
    """Return arrays of one shape, each checked against the least value it may have.

    Raises:
        TheoryError: what is no number, too small, or of a shape that does not go with the others.

    >>> together(features=([1, 2], 1.0), samples=(3, 1.0))["samples"].tolist()
    [3.0, 3.0]
    """
    arrays = {}
    for name, (value, least) in given.items():
        try:
            array = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            raise TheoryError(f"{name} is {value!r}; it is a number or an array of numbers") from None
        if not array.size or not np.all(array >= least):
            wrong = array[~(array >= least)]
            raise TheoryError(f"{name} must be {least:g} or more, got {wrong.flat[0] if wrong.size else 'none'}")
        arrays[name] = array
    try:
        return dict(zip(arrays, np.broadcast_arrays(*arrays.values()), strict=True))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise TheoryError(f"the shapes do not go together: {shapes}") from None
