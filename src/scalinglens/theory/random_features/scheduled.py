"""Gradient descent with a learning rate of its own at every step: p_t(x) = prod_{j < t} (1 - eta_j x).

The product is entire in x, so an ellipse around all eigenvalues carries it at any step; it has about
sqrt(2 digits edge sum eta_j) Chebyshev coefficients there. Once sum eta_j edge is large only small x are left, and the hyperbola
of constant descent with the largest rate holds all later steps: s = (e^sigma - 1)/max eta, weights prod_j (1 + eta_j s) ds.
Products are sums of logarithms.
Derivation: docs/theory/random_features.md, section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import TheoryError
from scalinglens.laws.schedule import Schedule
from scalinglens.numerics.contour import CROSSING, hyperbola
from scalinglens.theory.random_features.rules import Rule, entire_rule

__all__ = ["ScheduledDescent"]

_FACTORS = 16  # multiplied before a logarithm is taken: none of them is so small that the product underflows
_FEW = 8  # steps per rate from which on equal rates are taken together
_BLOCK = 1 << 18  # steps times nodes
_AGREED = 1.0  # of the logarithm, by which the ends of two contours may differ
_WALL = 100  # points of the path around the eigenvalues that no longer count
_MOST_GROWTH = 1e3  # of a mode's error: as many digits are lost


@dataclass(frozen=True, eq=False)
class ScheduledDescent:
    """Full-batch gradient descent v_(t+1) = v_t - eta_t K v_t with a schedule.

    Args:
        schedule: a `Schedule`, its text such as "cosine(peak=0.3, steps=1000, warmup=100)", or one rate per step [steps].

    Raises:
        TheoryError, ScheduleError: not a schedule.

    >>> method = ScheduledDescent([0.5, 0.25])
    >>> method.filter(np.array([1.0, 2.0]), np.array([0, 1, 2])).tolist()
    [[1.0, 1.0], [0.5, 0.0], [0.375, 0.0]]
    """

    schedule: Any

    discrete, needs_edge = True, True

    def __post_init__(self) -> None:
        given = self.schedule
        if isinstance(given, str):
            given = Schedule.from_text(given)
        object.__setattr__(self, "schedule", given if isinstance(given, Schedule) else Schedule(np.asarray(given)))

    @property
    def last(self) -> float:
        """Number of steps."""
        return float(self.schedule.steps)

    def filter(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """prod_{j < t} (1 - eta_j x), real or complex."""
        x = np.asarray(x)
        found = np.exp(self._logs(x.ravel(), times)).reshape(len(times), *x.shape)
        return found if np.iscomplexobj(x) else np.real(found)

    def rules(self, times: np.ndarray, edge: float, digits: float) -> list[Rule]:
        """An ellipse for the first steps, a hyperbola for the rest."""
        # single rates may be too large, if others make up for them
        growth = np.real(self._logs(np.linspace(0, edge, _WALL), times)).max(axis=1)
        if growth.max() > math.log(_MOST_GROWTH):
            step = int(times[growth > math.log(_MOST_GROWTH)].min())
            raise TheoryError(
                f"the learning rates make the descent diverge: by step {step} the error of some mode has grown "
                f"{math.exp(min(growth.max(), 700.0)):.2g}-fold; keep them below 2/(largest eigenvalue) = {2 / edge:.3g}"
            )
        top, order = float(self.schedule.rates[: int(times.max())].max()), np.argsort(times, kind="stable")
        # later times are easier: the first that the hyperbola serves
        first, beyond = 0, len(order)
        while first < beyond:
            middle = (first + beyond) // 2
            if self._is_late(times[order[middle:]], top, edge, digits):
                beyond = middle
            else:
                first = middle + 1
        rules = []
        if first:
            rules.append(entire_rule(self.filter, times, order[:first], edge, digits))
        if first < len(order):
            rules.append(Rule(*self._late(times[order[first:]], top, digits), order[first:]))
        return rules

    def _late(self, times: np.ndarray, top: float, digits: float) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights of the hyperbola; none where it would have to go too far round the origin of s + 1/top."""
        passed = self.schedule.mass[times.astype(int) - 1]
        if passed.min() <= CROSSING * top:  # also where all rates have been zero so far
            return np.empty(0), np.empty((0, len(times)))
        clock = passed / top
        # where rates are below the largest the product falls slower than e^(sigma clock) far out: go on until it has fallen
        sigma, ds = hyperbola(float(clock.min()) / 4, float(clock.max()), digits)
        s = np.expm1(sigma) / top
        logs = self._logs(-s, times)
        fallen = np.flatnonzero(np.real(logs[np.argmin(times)]) < -digits * math.log(10))
        if not len(fallen) or np.imag(sigma[fallen[0]]) > 0.75 * math.pi:
            return np.empty(0), np.empty((0, len(times)))
        n = fallen[0] + 1
        return s[:n], (np.exp(logs[:, :n]) * (np.exp(sigma[:n]) * ds[:n] / top)).T

    def _is_late(self, times: np.ndarray, top: float, edge: float, digits: float) -> bool:
        """Whether nothing is left of the products on a path from the end of the hyperbola round the largest eigenvalue."""
        s, _ = self._late(times, top, digits)
        if not len(s):
            return False
        path = s[-1] + np.linspace(0, 1, _WALL) * (-edge - s[-1])
        left = np.real(self._logs(-path, times.min(keepdims=True))).max()
        return s[-1].real < -edge or bool(left < _AGREED - digits * math.log(10))

    def _logs(self, x: np.ndarray, times: np.ndarray) -> np.ndarray:
        """ln p_t(x) [T, n], up to multiples of 2 pi i."""
        x = x.astype(complex)
        found, total = np.empty((len(times), len(x)), dtype=complex), np.zeros(len(x), dtype=complex)
        now = 0
        for i in np.argsort(times, kind="stable"):
            total = total + _log_product(self.schedule.rates[now : int(times[i])], x)
            now = int(times[i])
            found[i] = total
        return found


def _log_product(rates: np.ndarray, x: np.ndarray) -> np.ndarray:
    """sum_j ln(1 - eta_j x) [n]."""
    found = np.zeros(len(x), dtype=complex)
    if not len(rates):
        return found
    values, counts = np.unique(rates, return_counts=True)
    with np.errstate(divide="ignore"):
        if len(values) * _FEW <= len(rates):
            step = max(1, _BLOCK // len(x))
            for start in range(0, len(values), step):
                block = slice(start, start + step)
                found += counts[block] @ np.log(1 - values[block, None] * x)
            return found
        padded = np.concatenate((rates, np.zeros(-len(rates) % _FACTORS))).reshape(-1, _FACTORS)
        step = max(1, _BLOCK // (_FACTORS * len(x)))
        for start in range(0, len(padded), step):
            found += np.log(np.prod(1 - padded[start : start + step, :, None] * x, axis=1)).sum(axis=0)
    return found
