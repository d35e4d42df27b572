"""`Spectrum`: eigenvalues of a kernel and how much of the target each mode carries; power laws with any number of modes.

A sum over infinitely many modes is a quadrature: exact modes first, Gauss-Legendre panels in ln k, one lumped mode for the tail.

    sum_k f(lambda_k) = sum_{k <= K0} f(lambda_k) + int_{K0 + 1/2}^{k_max} f(lambda(k)) dk + f'(K0 + 1/2)/24 + tail

The third term, of Euler and Maclaurin, is (f(K0 + 1) - f(K0))/24: a twenty-fourth of mode K0 moves to mode K0 + 1.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from scalinglens.errors import WorldError

__all__ = ["Spectrum", "power_law"]

EXACT = 5000  # modes up to which each is kept
HEAD = 64  # modes kept exactly where there are more
PER_DECADE = 10  # Gauss-Legendre nodes
FARTHEST = 1e11  # mode from which on the tail is one mode


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Modes of a regression problem, possibly each standing for many.

    Attributes:
        eigenvalues: lambda_k > 0 of the kernel [K], in any order.
        target_power: lambda_k w_k^2, the loss each mode carries before training [K].
        multiplicity: how many modes each stands for [K]; ones if not given.
        exponents: "source" a and "capacity" b where the spectrum is a power law.

    >>> known = Spectrum([1.0, 0.25], [1.0, 0.5])
    >>> known.modes, known.trace, known.signal
    (2.0, 1.25, 1.5)
    """

    eigenvalues: np.ndarray
    target_power: np.ndarray
    multiplicity: np.ndarray | None = None
    exponents: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = len(np.atleast_1d(np.asarray(self.eigenvalues, dtype=float)))
        many = np.ones(size) if self.multiplicity is None else self.multiplicity
        for name, values, floor in (
            ("eigenvalues", self.eigenvalues, "positive"),
            ("target_power", self.target_power, "zero or positive"),
            ("multiplicity", many, "positive"),
        ):
            object.__setattr__(self, name, _checked(name, values, size, floor))
        object.__setattr__(self, "exponents", MappingProxyType(dict(self.exponents)))

    @functools.cached_property
    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Multiplicity times eigenvalue, and multiplicity times target power [K] each."""
        assert self.multiplicity is not None
        return self.multiplicity * self.eigenvalues, self.multiplicity * self.target_power

    @functools.cached_property
    def modes(self) -> float:
        """How many modes there are, all counted."""
        if self.exponents.get("modes") == math.inf:
            return math.inf
        assert self.multiplicity is not None
        return float(self.multiplicity.sum())

    @functools.cached_property
    def trace(self) -> float:
        """Sum of the eigenvalues."""
        return float(self.weights[0].sum())

    @functools.cached_property
    def signal(self) -> float:
        """Sum of the target power: the loss before training."""
        return float(self.weights[1].sum())

    @property
    def exact(self) -> bool:
        """Whether each entry is one mode, so that the problem can be simulated."""
        return bool(np.all(self.multiplicity == 1))

    def degrees_of_freedom(self, ridge: Any) -> np.ndarray:
        """Return sum_k lambda_k/(lambda_k + ridge) for ridges of any shape.

        >>> Spectrum([1.0, 1.0], [0.5, 0.5]).degrees_of_freedom(1.0).item()
        1.0
        """
        return (self.weights[0] / (self.eigenvalues + np.asarray(ridge, dtype=float)[..., None])).sum(-1)

    def to_dict(self) -> dict[str, Any]:
        """Return what the spectrum is in plain numbers: its exponents, or its modes."""
        if self.exponents:
            return {name: (None if math.isinf(value) else value) for name, value in self.exponents.items()}
        return {"eigenvalues": self.eigenvalues.tolist(), "target_power": self.target_power.tolist()}


def power_law(source: float, capacity: float, modes: float = math.inf) -> Spectrum:
    """Return the power-law spectrum lambda_k = k^-b with target power lambda_k w_k^2 = k^-a.

    Args:
        source: a > 1, how the signal is spread over the modes.
        capacity: b > 1 (b > 0 for a finite number of modes), how fast the modes fade.
        modes: how many; inf for all.

    Returns:
        The `Spectrum`; with more than 5,000 modes a quadrature of about ten nodes per decade of k, whose sums are right to
        about nine digits.

    Raises:
        WorldError: exponents whose sums diverge, or a number of modes that is not a whole number of at least 1.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), section 4; the symbols a and b are the paper's.

    >>> endless = power_law(1.5, 1.25)
    >>> f"{endless.trace:.5f} {endless.signal:.5f}"    # zeta(1.25), zeta(1.5)
    '4.59511 2.61238'
    """
    a, b = _exponent("source", source), _exponent("capacity", capacity)
    if not (modes >= 1 and (math.isinf(modes) or modes == int(modes))):
        raise WorldError(f"modes is {modes!r}; it is a whole number of at least 1, or inf")
    if math.isinf(modes) and min(a, b) <= 1:
        name, value = ("source", a) if a <= 1 else ("capacity", b)
        raise WorldError(
            f"{name} is {value:g}, so the sum over endless modes diverges; take {name} > 1 or finite modes"
        )
    known = {"source": a, "capacity": b, "modes": float(modes)}
    if modes <= EXACT:
        k = np.arange(1.0, modes + 1.0)
        return Spectrum(k**-b, k**-a, exponents=known)
    k, many = _quadrature(math.log(HEAD + 0.5), math.log(min(modes + 0.5, FARTHEST)))
    head = np.ones(HEAD + 1)
    head[-2:] = 23 / 24, 1 / 24
    k, many = np.concatenate([np.arange(1.0, HEAD + 2.0), k]), np.concatenate([head, many])
    eigenvalues, power = k**-b, k**-a
    if modes > FARTHEST:
        # one mode with the trace and the signal of all that are left, at the largest eigenvalue among them
        end = float(modes) + 0.5
        trace, signal = (_tail(p, FARTHEST, end) for p in (b, a))
        count = trace / FARTHEST**-b
        eigenvalues, many = np.append(eigenvalues, FARTHEST**-b), np.append(many, count)
        power = np.append(power, signal / count)
    return Spectrum(eigenvalues, power, many, known)


def _tail(p: float, low: float, high: float) -> float:
    """The integral of k^-p."""
    if p == 1:
        return math.log(high / low)
    return (low ** (1 - p) - (0.0 if math.isinf(high) else high ** (1 - p))) / (p - 1)


def _quadrature(low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes k and weights of an integral over k between e^low and e^high, one Gauss-Legendre panel a decade."""
    panels = max(1, math.ceil((high - low) / math.log(10)))
    edges = np.linspace(low, high, panels + 1)
    x, w = np.polynomial.legendre.leggauss(PER_DECADE)
    half = np.diff(edges)[:, None] / 2
    k = np.exp(((edges[:-1, None] + half) + half * x).ravel())
    return k, (half * w).ravel() * k


def _exponent(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < math.inf:
        raise WorldError(f"{name} is {value!r}; it is an exponent, a positive number such as 1.5")
    return float(value)


def _checked(name: str, values: Any, size: int, floor: str) -> np.ndarray:
    array = np.atleast_1d(np.asarray(values, dtype=float))
    if array.ndim != 1 or len(array) != size or not size:
        raise WorldError(f"{name} has shape {array.shape}; it is one number for each of the {size} eigenvalues")
    wrong = ~(np.isfinite(array) & ((array >= 0) if floor.startswith("zero") else (array > 0)))
    if wrong.any():
        i = int(np.argmax(wrong))
        raise WorldError(f"{name} must be {floor}, got {array[i]:g} at position {i}; drop modes that are not")
    array = array.copy()
    array.setflags(write=False)
    return array
