"""Contours around the negative real axis: nodes s_i and weights with (1/2 pi i) oint f(s) g(s) ds ~ sum_i weight_i f(s_i).

For f real on the real axis and analytic off (-inf, 0], the nodes of the upper half plane suffice: the lower half adds the complex
conjugate, so that the integral is 2 Re of the sum over the upper half. A node on the real axis has half of its weight, and every
second node makes a rule of twice the spacing, whose error is about the square root: that is how the error is estimated.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.fft import dct

__all__ = ["CROSSING", "chebyshev_degree", "chebyshev_points", "ellipse", "hyperbola"]

_ANGLE = math.pi / 4  # of the branches with the imaginary axis: halfway between the cut and growth
_SPARED = 240  # nodes
CROSSING = 3.0  # scale of the hyperbola, times the latest time; it crosses the real axis at 0.29 of it


def hyperbola(earliest: float, latest: float, digits: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a contour for e^(s t) at all t between two times.

    s(u) = mu (1 - sin(phi - i u)), u = 0, h, 2h, ...; |s| grows like e^u, so the number of nodes grows with the logarithm of
    latest/earliest. The trapezoid rule errs by about e^(-2 pi (pi/2 - phi)/h).

    Args:
        earliest, latest: times, 0 < earliest <= latest. digits: wanted of the result.

    Returns:
        s [n] of the upper half plane, the real one first, and ds/(2 pi i) [n].

    Source: Lopez-Fernandez and Palencia 2004; Weideman and Trefethen 2007, section 4.

    >>> s, ds = hyperbola(1.0, 1e6, 10)
    >>> t = np.array([1.0, 1e3, 1e6])
    >>> found = 2 * np.real(np.exp(np.outer(t, s)) @ (ds / (s + 1e-3)))    # 1/(s + x) turns into e^(-x t)
    >>> bool(np.all(abs(found - np.exp(-1e-3 * t)) < 1e-10))
    True
    """
    depth = digits * math.log(10)
    step = 2 * math.pi * _ANGLE / (depth + CROSSING)
    mu = CROSSING / latest
    end = math.acosh((1 + depth / (mu * earliest)) / math.sin(_ANGLE))
    u = np.arange(math.ceil(end / step) + 1) * step
    s = mu * (1 + np.sin(1j * u - _ANGLE))
    ds = mu * np.cos(1j * u - _ANGLE) * step / (2 * math.pi)
    ds[0] /= 2
    return s, ds


def ellipse(edge: float, degree: int, digits: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a contour around [-edge, 0] for entire functions that polynomials of a degree approximate there.

    s = edge sinh^2((ln rho + i theta)/2), with foci at the ends of the interval. Let f(-x) = sum_k c_k T_k on it, with nothing
    left from k = K on, and g be analytic off it: n nodes miss what g has beyond rho^-n, and what f has beyond k = n. So n = 2 K
    and rho^n = 10^digits are right to all digits, every second node to half of them, and f grows to rho^K at most.

    Args:
        edge: length of the interval. degree: K. digits: wanted of the result.

    Returns:
        s [m + 1] of the upper half plane, from right to left, both ends real, and ds/(2 pi i) [m + 1].

    Source: Trefethen and Weideman 2014, The exponentially convergent trapezoidal rule; Trefethen 2013, chapter 8.

    >>> s, ds = ellipse(4.0, 12, 12)
    >>> x = np.array([0.0, 0.3, 4.0])
    >>> found = 2 * np.real((1 + s / 2) ** 12 * ds / (s + x[:, None])).sum(-1)    # f(s)/(s + x) turns into f(-x)
    >>> bool(np.all(abs(found - (1 - x / 2) ** 12) < 1e-12))
    True
    """
    depth = (digits + 1) * math.log(10)
    # rounding grows with the square of f: half as many nodes more keep it small, and where nodes are few they are not spared
    m = 2 * max(3 * degree // 4 + 1, 8)
    m = max(m, min(4 * m, _SPARED))
    z = depth / (2 * m) + 1j * math.pi / m * np.arange(m + 1)
    z[-1] = z[-1].real + 1j * math.pi
    s, ds = edge * np.sinh(z / 2) ** 2, edge * np.sinh(z) / (4 * m)
    s[-1], ds[[0, -1]] = s[-1].real, ds[[0, -1]].real / 2
    return s, ds


def chebyshev_degree(values: np.ndarray, digits: float) -> int:
    """Return the degree from which on a function's Chebyshev coefficients are below 10^-digits of its largest value.

    Args:
        values: at the points x_j = edge sin^2((j + 1/2) pi/(2 n)) of an interval [..., n]; of several functions the largest
            degree counts.
        digits: of the approximation, or as many as rounding leaves.

    >>> x = chebyshev_points(4.0, 40)
    >>> chebyshev_degree((1 - x / 2) ** 12, 13)
    12
    """
    n = values.shape[-1]
    size = np.abs(np.asarray(dct(values, axis=-1))) / n
    most = np.abs(values).max(axis=-1, keepdims=True)
    kept = np.flatnonzero((size > max(10.0**-digits, 1e-15 * n) * most).reshape(-1, n).any(axis=0))
    return int(kept[-1]) if len(kept) else 0


def chebyshev_points(edge: float, count: int) -> np.ndarray:
    """Return the points of `chebyshev_degree` on [0, edge], from 0 up."""
    return edge * np.sin((np.arange(count) + 0.5) * math.pi / (2 * count)) ** 2
