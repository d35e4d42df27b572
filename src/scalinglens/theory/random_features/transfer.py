"""How one mode is learned: the transfer function H_k(t), and the density of its time scales.

H_k(t) = <v_k(t)>/w*_k = (2 pi i)^-1 oint e^(s t) (z/s)/(z + lambda_k) ds
H_k(t) = a_k + int rho_k(u) e^(-u t) du,   rho_k(u) = -(1/pi) Im H_k(-u + i 0),   a_k = kappa/(kappa + lambda_k)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import TheoryError
from scalinglens.theory.random_features.optimizers import GradientFlow, Optimizer, settled
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.renormalised import above_the_cut, edge_of, renormalise, resolution
from scalinglens.theory.random_features.solve import DIGITS, checked_times

__all__ = ["TimeScales", "time_scales", "transfer"]


def transfer(
    problem: RandomFeatures,
    modes: Sequence[int] | int,
    times: Any,
    optimizer: Optimizer | None = None,
    *,
    digits: float = DIGITS,
) -> np.ndarray:
    """Return the share of mode k that is not learned yet, H_k(t), in the mean over draws.

    Args:
        problem: one or a batch.
        modes: numbers k, from 1 [K]; of a power law any, of another spectrum one of its modes.
        times: zero or later, inf for the limit; whole numbers of steps for a discrete optimizer [T].
        optimizer: by default `GradientFlow()`. digits: of the contour integral.

    Returns:
        H [..., K, T], with the shape of the problem in front: 1 at time zero, kappa/(kappa + lambda_k) at late times.

    Raises:
        TheoryError: no such mode, or times as in `solve`.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), eqs. 10 and 11.

    >>> from scalinglens.worlds.spectra import power_law
    >>> transfer(RandomFeatures(power_law(1.5, 1.25, modes=1000), 64, 128), [1, 10], [3, 30]).round(5).tolist()
    [[0.09858, 0.02918], [0.85965, 0.43796]]
    """
    optimizer = GradientFlow() if optimizer is None else optimizer
    times = settled(optimizer, checked_times(times, optimizer))
    eigenvalues = _eigenvalues(problem, modes)
    size = int(np.prod(problem.shape, dtype=int))
    N, P = problem.features.reshape(size), problem.samples.reshape(size)
    found = np.ones((size, len(eigenvalues), len(times)))
    late = np.isinf(times)
    if late.any():
        kappa = resolution(problem.spectrum, np.minimum(N, P))[:, None]
        found[..., late] = (kappa / (kappa + eigenvalues))[..., None]
    inner = np.flatnonzero((times > 0) & ~late)
    endless = np.isinf(N) & np.isinf(P)
    if len(inner) and endless.any():
        found[np.ix_(endless, np.arange(len(eigenvalues)), inner)] = optimizer.filter(eigenvalues, times[inner]).T
    finite = np.flatnonzero(~endless)
    if len(inner) and len(finite):
        edge = float(edge_of(problem.spectrum, N[finite], P[finite]).max()) if optimizer.needs_edge else math.inf
        for rule in optimizer.rules(times[inner], edge, digits):
            at = renormalise(problem.spectrum, N[finite], P[finite], rule.s)
            H = (at.z / at.s)[:, None, :] / (at.z[:, None, :] + eigenvalues[:, None])
            found[np.ix_(finite, np.arange(len(eigenvalues)), inner[rule.which])] = 2 * np.real(H @ rule.weights)
    return found.reshape(*problem.shape, *found.shape[1:])


@dataclass(frozen=True, eq=False)
class TimeScales:
    """The result of `time_scales`.

    Attributes:
        rates: u, inverse time scales [U].
        density: rho_k(u) [..., K, U], zero between and beyond its bands.
        never: weight of what is never learned [..., K].
    """

    rates: np.ndarray
    density: np.ndarray
    never: np.ndarray


def time_scales(problem: RandomFeatures, modes: Sequence[int] | int, rates: Any) -> TimeScales:
    """Return the density of the rates with which a mode is learned.

    H_k(t) = never_k + int rho_k(u) e^(-u t) du under gradient flow; the same rho_k gives 1 - eta u in place of e^-u for descent.

    Args:
        problem: one or a batch, with finite N or P; without a bottleneck mode k has the one rate lambda_k.
        modes: numbers k, from 1 [K]. rates: u, positive [U].

    Returns:
        The `TimeScales`.

    Raises:
        TheoryError: no such mode, rates that are not positive, no bottleneck.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), appendix on time scales; white data and N = inf give the
        law of Marchenko and Pastur.

    >>> from scalinglens.worlds.spectra import Spectrum
    >>> white = RandomFeatures(Spectrum(np.ones(200), np.ones(200)), samples=400)
    >>> time_scales(white, [1], [0.01, 1.0]).density.round(6).tolist()
    [[0.0, 0.421084]]
    """
    u = np.atleast_1d(np.asarray(rates, dtype=float))
    if u.ndim != 1 or not u.size or not np.all(np.isfinite(u) & (u > 0)):
        raise TheoryError(f"rates are {rates!r}; give positive numbers")
    if np.any(np.isinf(problem.features) & np.isinf(problem.samples)):
        raise TheoryError("with endless features and samples mode k has the one rate lambda_k; give one of them")
    eigenvalues = _eigenvalues(problem, modes)
    size = int(np.prod(problem.shape, dtype=int))
    N, P = problem.features.reshape(size), problem.samples.reshape(size)
    z = above_the_cut(problem.spectrum, N, P, u)
    H = (z / -u)[:, None, :] / (z[:, None, :] + eigenvalues[:, None])
    density = np.maximum(-np.imag(H) / np.pi, 0.0)
    kappa = resolution(problem.spectrum, np.minimum(N, P))[:, None]
    shape = (*problem.shape, len(eigenvalues))
    return TimeScales(u, density.reshape(*shape, len(u)), (kappa / (kappa + eigenvalues)).reshape(shape))


def _eigenvalues(problem: RandomFeatures, modes: Sequence[int] | int) -> np.ndarray:
    spectrum = problem.spectrum
    wanted = np.atleast_1d(np.asarray(modes))
    known = spectrum.exponents.get("capacity")
    count = spectrum.modes if known is not None else len(spectrum.eigenvalues)
    wrong = [k for k in wanted.tolist() if k != int(k) or not 1 <= k <= count]
    if wrong:
        raise TheoryError(f"mode {wrong[0]!r} is not a whole number from 1 to {count:g}")
    if known is not None:
        return wanted.astype(float) ** -known
    return spectrum.eigenvalues[wanted.astype(int) - 1]
