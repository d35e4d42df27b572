"""The mean-field equations solved as they stand, in two times: the slow twin of `random_features.solve`, kept as its oracle.

Responses and correlations are functions of whole steps. With a constant step the responses depend on differences of times only:
they are power series in the shift q, multiplied by convolution, and the correlations are arrays [T, T], power series in two
shifts. Nothing here knows of Laplace transforms, of the variable z or of contours. With S the memory of the optimizer,

    v1 = u1 + (1/P) R02 v1,   v2_k = u2_k + lambda_k R1 v0_k,   v3 = u3 + (1/N) R24 v3,   v4_k = u4_k + R3 v2_k
    v0_k = 1 w*_k - S v4_k
    H_k = (1 + lambda_k S R3 R1)^-1,   R02 = -sum_k lambda_k H_k S R3,   R24 = -sum_k lambda_k R1 H_k S
    R1 = (1 - R02/P)^-1,   R3 = (1 - R24/N)^-1

and the sources u have covariances C_0 + sigma^2, lambda_k C_1/P, C_2, C_3/N.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

from scalinglens.errors import TheoryError
from scalinglens.theory.random_features.optimizers import GradientDescent, HeavyBall
from scalinglens.theory.random_features.problem import RandomFeatures

__all__ = ["TwoTimes", "two_times"]

_SETTLED = 1e-14
MOST_STEPS = 2000  # matrices of 32 MB, transforms of 134 MB


@dataclass(frozen=True, eq=False)
class TwoTimes:
    """The result of `two_times`; T is the number of steps plus one.

    Attributes:
        test, train: losses after 0, 1, ... steps [T].
        C0, C1: correlations of the residuals between two times [T, T]; their diagonals are the losses.
        R1, R3: responses by difference of times [T]. H: transfer functions <v0_k(t)>/w*_k [K, T].
        sweeps: how often the correlations were gone through.
    """

    test: np.ndarray
    train: np.ndarray
    C0: np.ndarray
    C1: np.ndarray
    R1: np.ndarray
    R3: np.ndarray
    H: np.ndarray
    sweeps: int


def two_times(problem: RandomFeatures, steps: int, optimizer: GradientDescent | HeavyBall) -> TwoTimes:
    """Solve the two-time equations for the first steps of a discrete optimizer.

    Args:
        problem: one problem. steps: how many, up to 2,000. optimizer: descent, with or without heavy-ball momentum.

    Returns:
        The `TwoTimes`.

    Raises:
        TheoryError: another optimizer, a batch of problems, or too many steps.

    Cost: O(modes T^2) for each sweep of the responses, O(T^2 log T) for each of the correlations; at most 2 T of each, some tens
        in practice. At 2,000 steps and 1,000 modes some minutes and 2 GB.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), section 3.

    >>> from scalinglens.worlds.spectra import power_law
    >>> found = two_times(RandomFeatures(power_law(1.5, 1.25, modes=60), 24, 32), 5, GradientDescent(0.3))
    >>> found.test[[1, 5]].round(8).tolist(), found.train[[1, 5]].round(8).tolist()
    ([1.72336815, 1.06944435], [1.60824755, 0.83560637])
    """
    if problem.shape != ():
        raise TheoryError(f"one problem at a time, got a batch of shape {problem.shape}")
    if not isinstance(optimizer, GradientDescent | HeavyBall):
        raise TheoryError(
            f"two-time equations are those of GradientDescent and HeavyBall, got {type(optimizer).__name__}"
        )
    if not (steps == int(steps) and 0 <= steps <= MOST_STEPS):
        raise TheoryError(f"steps is {steps!r}; give a whole number from 0 to {MOST_STEPS}, or take solve for more")
    T = int(steps) + 1
    eigenvalues, (trace, power) = problem.spectrum.eigenvalues, problem.spectrum.weights
    N, P, noise = float(problem.features), float(problem.samples), float(problem.noise)
    S = _memory(optimizer, T)
    R1, R3, H = _responses(S, eigenvalues, trace, N, P)

    def squared(weights: np.ndarray, left: np.ndarray) -> np.ndarray:
        """sum_k weight_k left_k(q) left_k(q') as the kernel of a convolution in two times."""
        return (left * weights[:, None]).T @ left

    def outer(a: np.ndarray) -> np.ndarray:
        return a[:, None] * a

    one = np.ones((T, T))
    HS = _series(H, S)
    HSR = _series(HS, R3)
    # 1 - lambda_k R1 H_k S R3, by which the noise of the samples passes on
    passed = -eigenvalues[:, None] * _series(HSR, R1)
    passed[:, 0] += 1.0
    R1H, R1HS = _series(H, R1), _series(HS, R1)
    signal = _plane(squared(power, H), one)
    deep = _plane(squared(power * eigenvalues, R1H), one)
    kernels = {
        "feature noise": squared(trace, HS) / N,
        "sample noise": squared(trace * eigenvalues, HSR) / P,
        "feature noise, passed": squared(trace * eigenvalues, R1HS) / N,
        "sample noise, passed": squared(trace, passed) / P,
    }
    C1, C3 = np.zeros((T, T)), np.zeros((T, T))
    C0, sweep = signal, 0
    while sweep < 2 * T + 2:  # causal: each sweep settles at least one more step
        sweep += 1
        before = C0, C1, C3
        C0 = signal + _plane(kernels["feature noise"], C3) + _plane(kernels["sample noise"], C1)
        C1 = _plane(outer(R1), C0 + noise)
        C2 = deep + _plane(kernels["feature noise, passed"], C3) + _plane(kernels["sample noise, passed"], C1)
        C3 = _plane(outer(R3), C2)
        size = [np.abs(new).max() + 1e-300 for new in (C0, C1, C3)]
        if all(np.abs(new - old).max() <= _SETTLED * s for new, old, s in zip((C0, C1, C3), before, size, strict=True)):
            break
    return TwoTimes(np.diag(C0).copy(), np.diag(C1).copy(), C0, C1, R1, R3, H.cumsum(axis=-1), sweep)


def _memory(optimizer: GradientDescent | HeavyBall, T: int) -> np.ndarray:
    """S by difference of times: how a push eta v4 moves the student n steps later, eta (1 + mu + ... + mu^(n-1))."""
    mu = optimizer.momentum if isinstance(optimizer, HeavyBall) else 0.0
    return np.concatenate(([0.0], optimizer.learning_rate * np.cumsum(mu ** np.arange(T - 1.0))))


def _responses(
    S: np.ndarray, eigenvalues: np.ndarray, trace: np.ndarray, N: float, P: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R1, R3 [T] and H [K, T], gone through until they no longer move."""
    T = len(S)
    R1, R3 = _unit(T), _unit(T)
    for _ in range(2 * T + 2):
        around = _series(_series(S, R3), R1)
        H = _inverse(eigenvalues[:, None] * around)
        weighted = trace @ H
        new1 = _inverse(_series(_series(weighted, S), R3) / P)
        new3 = _inverse(_series(_series(weighted, S), R1) / N)
        moved = max(np.abs(new1 - R1).max(), np.abs(new3 - R3).max())
        R1, R3 = new1, new3
        if moved <= _SETTLED:
            break
    return R1, R3, _inverse(eigenvalues[:, None] * _series(_series(S, R3), R1))


def _unit(T: int) -> np.ndarray:
    return np.eye(1, T)[0]


def _series(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of two power series, cut after T terms; a may be a batch."""
    T = len(b)
    matrix = np.zeros((T, T))
    for n in range(T):
        matrix[n, n:] = b[: T - n]
    return a @ matrix


def _inverse(a: np.ndarray) -> np.ndarray:
    """1/(1 + a) of power series without constant term [..., T], term by term."""
    found = np.zeros_like(a)
    found[..., 0] = 1.0
    for t in range(1, a.shape[-1]):
        found[..., t] = -(a[..., 1 : t + 1] * found[..., t - 1 :: -1][..., :t]).sum(axis=-1)
    return found


def _plane(kernel: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The product of two power series in two shifts, cut after T terms of each."""
    T = len(values)
    return fftconvolve(kernel, values)[:T, :T]
