"""Contours around the negative real axis: nodes s_i and weights with (1/2 pi i) oint f(s) g(s) ds ~ sum_i weight_i f(s_i).

For f real on the real axis and analytic off (-inf, 0], the nodes of the upper half plane suffice: the lower half adds the complex
conjugate, so that the integral is 2 Re of the sum over the upper half. A node on the real axis has half of its weight, and every
second node makes a rule of twice the spacing, whose error is about the square root: that is how the error is estimated.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = ["CROSSING", "circle", "hyperbola"]

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


def circle(latest: int, digits: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a circle around the unit disc for r^t at all whole t from 0 to `latest`.

    p_t = (1/2 pi i) oint p(r) r^(t-1) dr, p(r) = sum_t p_t r^-t: the rule errs by p_(t+n) rho^-n.

    Args:
        latest: largest power. digits: wanted of the result.

    Returns:
        r [n] of the upper half plane, and dr/(2 pi i r) [n].

    >>> r, dr = circle(8, 12)
    >>> t = np.arange(9)
    >>> found = 2 * np.real(r ** t[:, None] @ (dr * r / (r - 0.5)))    # r/(r - q) turns into q^t
    >>> bool(np.all(abs(found - 0.5**t) < 1e-12))
    True
    """
    depth = (digits + 1) * math.log(10)
    # every second node must tell all powers apart, and r^t must not grow so far that rounding shows
    half = 2 * max(3 * latest // 4 + 1, 8)
    half = max(
        half, min(4 * half, _SPARED)
    )  # rounding grows with the square of r^t: where nodes are few they are not spared
    angle = np.arange(half + 1) * math.pi / half
    r = np.exp(depth / (2 * half)) * np.exp(1j * angle)
    r[-1] = r[-1].real
    dr = np.full(half + 1, 1 / (2 * half), dtype=complex)
    dr[[0, -1]] /= 2
    return r, dr
