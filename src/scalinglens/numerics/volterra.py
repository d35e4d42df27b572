"""Linear Volterra equations of discrete time, by power series."""

from __future__ import annotations

import numpy as np
from numpy.fft import irfft, rfft
from scipy.fft import next_fast_len

__all__ = ["solve_volterra"]

_DIRECT = 64


def solve_volterra(driving: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Solve x_t = g_t + sum_{j < t} k_{t-1-j} x_j for t = 0 ... T - 1.

    As power series X = G/(1 - q K); 1/(1 - q K) by Newton's method, which doubles the known terms with each step.

    Args:
        driving: g [..., T]. kernel: k [..., T] or longer.

    Returns:
        x [..., T].

    Cost: O(T log T).

    >>> solve_volterra(np.ones(4), np.full(4, 0.5)).tolist()
    [1.0, 1.5, 2.25, 3.375]
    """
    driving, kernel = np.asarray(driving, dtype=float), np.asarray(kernel, dtype=float)
    T = driving.shape[-1]
    one = np.zeros((*kernel.shape[:-1], T))
    one[..., 0] = 1.0
    one[..., 1:] = -kernel[..., : T - 1]
    inverse = np.ones((*kernel.shape[:-1], 1))
    while inverse.shape[-1] < T:
        n = min(2 * inverse.shape[-1], T)
        # B <- B (2 - A B) mod q^n
        correction = -_product(one[..., :n], inverse, n)
        correction[..., 0] += 2.0
        inverse = _product(inverse, correction, n)
    return _product(inverse, driving, T)


def _product(a: np.ndarray, b: np.ndarray, n: int) -> np.ndarray:
    """The first n terms of the product of two power series."""
    if n <= _DIRECT:
        found = np.zeros((*np.broadcast_shapes(a.shape[:-1], b.shape[:-1]), n))
        for i in range(min(n, a.shape[-1])):
            width = min(n - i, b.shape[-1])
            found[..., i : i + width] += a[..., i : i + 1] * b[..., :width]
        return found
    size = next_fast_len(a.shape[-1] + b.shape[-1] - 1, real=True)
    return irfft(rfft(a, size) * rfft(b, size), size)[..., :n]
