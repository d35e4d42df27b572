"""The loss at late times in closed form: ridgeless regression on random features.

kappa solves sum lambda/(lambda + kappa) = min(N, P). With h = kappa/(lambda + kappa), df2 = sum (lambda/(lambda + kappa))^2,
t0 = sum lambda w^2 h^2, u2 = sum lambda^2 w^2 h^2:

    N < P:  L = (kappa sum lambda w^2/(lambda + kappa) + sigma^2 N/P)/(1 - N/P),   train = (1 - N/P)^2 (L + sigma^2)
    P < N:  L = (t0 + q u2/kappa + sigma^2 (g + q (1 - g)))/((1 - g)(1 - q)),     train = 0
            g = df2/P, q = (P - df2)/(N - df2)
"""

from __future__ import annotations

import numpy as np

from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.renormalised import resolution

__all__ = ["static_loss"]


def static_loss(problem: RandomFeatures) -> tuple[np.ndarray, np.ndarray]:
    """Return the test loss and the train loss as time goes to infinity, of the shape of the problem.

    The test loss is without the label noise, the train loss with it, as in `solve`. It is infinite at N = P, where the loss
    grows as a power of time; zero where the student can represent and see every mode.

    Source: dossier section 2.6; Atanasov, Zavatone-Veth and Pehlevan 2024 (arXiv 2405.00592).

    >>> from scalinglens.worlds.spectra import power_law
    >>> problem = RandomFeatures(power_law(1.5, 1.25, modes=1000), [64, 128, 256], [np.inf, 256, 64])
    >>> static_loss(problem)[0].round(6).tolist()
    [0.46289, 0.578323, 0.533691]
    """
    spectrum = problem.spectrum
    N, P, noise = (array.ravel() for array in (problem.features, problem.samples, problem.noise))
    few = np.minimum(N, P)
    kappa = resolution(spectrum, few)[:, None]
    eigenvalues, power = spectrum.eigenvalues, spectrum.weights[1]
    with np.errstate(all="ignore"):
        seen = eigenvalues / (eigenvalues + kappa)
        h = np.where(kappa > 0, kappa / (eigenvalues + kappa), 0.0)
        df2 = (spectrum.multiplicity * seen**2).sum(-1)  # type: ignore[operator]
        t0 = (power * h**2).sum(-1)
        u2 = (power * eigenvalues * h**2).sum(-1)
        single = (power * h).sum(-1)
        ratio = np.where(N < P, N / P, 0.0)
        narrow = (single + noise * ratio) / (1 - ratio)
        g = np.where(np.isinf(P), 0.0, df2 / P)
        q = np.where(np.isinf(N), 0.0, (P - df2) / (N - df2))
        beyond = np.where(kappa[:, 0] > 0, q * u2 / kappa[:, 0], 0.0)
        wide = (t0 + beyond + noise * (g + q * (1 - g))) / ((1 - g) * (1 - q))
    test = np.where(N < P, narrow, np.where(P < N, wide, np.inf))
    train = np.where(N < P, (1 - ratio) ** 2 * (test + noise), 0.0)
    complete = few >= spectrum.modes  # every mode is learned; what is left is fitted noise
    if complete.any():
        M = spectrum.modes
        excess = _overdetermined(N, P, M, noise)
        test, train = np.where(complete, excess, test), np.where(complete, _fitted(P, M, noise), train)
    endless = np.isinf(N) & np.isinf(P)
    test, train = np.where(endless, 0.0, test), np.where(endless, noise, train)
    return test.reshape(problem.shape), train.reshape(problem.shape)


def _overdetermined(N: np.ndarray, P: np.ndarray, M: float, noise: np.ndarray) -> np.ndarray:
    """Ordinary least squares on M modes from P samples: sigma^2 M/(P - M)."""
    with np.errstate(all="ignore"):
        return np.where(noise == 0, 0.0, np.where(np.isinf(P), 0.0, noise * M / (P - M)))


def _fitted(P: np.ndarray, M: float, noise: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(P), noise, noise * (1 - M / P))
