"""The published procedures for curves, written plainly with SciPy; timed by `python -m benchmarks.curves --reference`.

M2, M3 and M4: L-BFGS-B on the squares of ln y from 16, 16 and 24 starts, M4 inverted by bisection. Broken law: the script of
Caballero et al. 2022, a grid of 163,840 points by `scipy.optimize.brute` and `curve_fit` from the best. `auto` has no published
procedure and is left out. No intervals anywhere.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import brute, curve_fit, minimize

from scalinglens.numerics.processes import single_threaded_blas

GRID = (8, 8, 8, 8, 8, 5)  # 163,840 points


def reference(curves: list[dict[str, Any]], total: int) -> dict[str, Any]:
    """Time all procedures on some curves, and scale to `total`."""
    spent: dict[str, float] = {}
    with warnings.catch_warnings(), single_threaded_blas():  # threads that wait count as processor time
        warnings.simplefilter("ignore")
        for curve in curves:
            for name, method in METHODS.items():
                began = time.process_time()
                method(curve["x"] / curve["x"].max(), curve["y"])
                spent[name] = spent.get(name, 0.0) + time.process_time() - began
    scale = total / len(curves)
    return {
        "curves_timed": len(curves),
        "extrapolated_to": total,
        "seconds_by_law": {name: value * scale for name, value in spent.items()},
        "seconds": sum(spent.values()) * scale,
    }


def _least(law: Callable[[np.ndarray, np.ndarray], np.ndarray], starts: Any, x: np.ndarray, y: np.ndarray) -> float:
    def cost(theta: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            value = float(np.sum((np.log(law(theta, x)) - np.log(y)) ** 2))
        return value if np.isfinite(value) else 1e6

    return min(float(minimize(cost, start, method="L-BFGS-B").fun) for start in starts)


def m1(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def m2(x: np.ndarray, y: np.ndarray) -> float:
    starts = []
    for share in np.geomspace(1e-4, 0.995, 16):
        slope, offset = np.polyfit(np.log(x), np.log(y - share * y.min()), 1)
        starts.append([offset, slope, np.log(share * y.min())])
    return _least(lambda t, x: np.exp(t[0]) * x ** t[1] + np.exp(t[2]), starts, x, y)


def m3(x: np.ndarray, y: np.ndarray) -> float:
    starts = []
    for g in np.linspace(-8, 6, 16):
        slope, offset = np.polyfit(np.log(1 / x + np.exp(g)), np.log(y), 1)
        starts.append([offset, slope, g])
    return _least(lambda t, x: np.exp(t[0]) * (1 / x + np.exp(t[2])) ** t[1], starts, x, y)


def m4(x: np.ndarray, y: np.ndarray) -> float:
    def law(t: np.ndarray, x: np.ndarray) -> np.ndarray:
        floor = y.min() / (1 + np.exp(-t[0]))
        top = y.max() * (1 + 19 / (1 + np.exp(-t[1])))
        low, high = np.full(len(x), floor), np.full(len(x), top)
        for _ in range(50):
            middle = 0.5 * (low + high)
            over = np.log(middle - floor) - np.exp(t[2]) * np.log(top - middle) > t[3] + t[4] * np.log(x)
            low, high = np.where(over, low, middle), np.where(over, middle, high)
        return 0.5 * (low + high)

    starts = []
    for share, ceiling in itertools.product((0.01, 0.3, 0.6, 0.8, 0.9, 0.99), (1.01, 1.1, 1.5, 3.0)):
        basis = np.stack([np.log(ceiling * y.max() - y), np.ones(len(x)), np.log(x)], axis=1)
        a, b, c = np.linalg.lstsq(basis, np.log(y - share * y.min()), rcond=None)[0]
        starts.append([np.log(share / (1 - share)), -np.log(19 / (ceiling - 1) - 1), np.log(max(a, 1e-3)), b, c])
    return _least(law, starts, x, y)


def bnsl(x: np.ndarray, y: np.ndarray) -> float:
    def law(x: np.ndarray, a: float, b: float, c0: float, c1: float, d: float, f: float) -> np.ndarray:
        return np.log(np.abs(a + b * x ** (-c0) * (1 + (x / np.exp(d)) ** (1 / np.abs(f))) ** (-c1 * np.abs(f))))

    def cost(theta: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            value = float(np.mean((law(x, *theta) - np.log(y)) ** 2))
        return value if np.isfinite(value) else 1e6

    ends = ((0.0, y.min()), (0.1, 2.0), (0.0, 1.0), (0.0, 1.0), (np.log(x.min()), 0.0), (0.05, 2.0))
    slices = tuple(slice(low, high, (high - low) / n) for (low, high), n in zip(ends, GRID, strict=True))
    best = brute(cost, slices, finish=None)
    with np.errstate(all="ignore"), contextlib.suppress(RuntimeError):  # it gives up: the grid point stands
        best = curve_fit(law, x, np.log(y), p0=best, maxfev=100000)[0]
    return cost(best)


METHODS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "M1": m1,
    "M2": m2,
    "M3": m3,
    "M4": m4,
    "BNSL": bnsl,
}
