"""Real random-feature ridge regression beside its planar limit, linear or with an activation that extends the spectrum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from scalinglens.errors import TheoryError, did_you_mean
from scalinglens.worlds.spectra import Spectrum

__all__ = ["ACTIVATIONS", "Simulated", "feature_spectrum", "rf_simulate"]

Array = np.ndarray
ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
}
_TESTED = 4000  # fresh samples of the test loss where it has no closed form
_RANK = 1e-10  # relative, below which an eigenvalue counts as zero


@dataclass(frozen=True, eq=False)
class Simulated:
    """What draws gave: mean and standard error of the losses, and each draw's [repeats].

    Attributes:
        test: without the noise of fresh labels. train: with the noise of its labels.
    """

    test: np.ndarray
    train: np.ndarray

    @property
    def mean(self) -> float:
        """Mean test loss."""
        return float(self.test.mean())

    @property
    def stderr(self) -> float:
        """Standard error of the mean test loss; unknown for one draw."""
        return float(self.test.std(ddof=1) / math.sqrt(len(self.test))) if len(self.test) > 1 else math.nan


def rf_simulate(
    spectrum: Spectrum,
    *,
    features: int,
    samples: int,
    ridge: float,
    noise: float = 0.0,
    feature_variance: float | None = None,
    activation: str = "linear",
    outputs: int = 10,
    repeats: int = 12,
    seed: int = 0,
) -> Simulated:
    """Draw latents, features and teachers, solve the ridge regression, and return its losses.

    theta = Y Phi' (ridge + Phi Phi')^-1, Phi = activation(u X), u with independent Gaussian entries

    Args:
        spectrum: of the latents, with one mode per entry; the teachers have Gaussian weights of variance v_I/lambda_I.
        features, samples, ridge, noise, feature_variance: as in `joint_losses`, finite.
        activation: linear, relu or tanh, of u x.
        outputs: teachers at a time; the losses are means over them.
        repeats: draws. seed: of them.

    Returns:
        The `Simulated` losses; the test loss is exact for linear features, over 4,000 fresh samples otherwise.

    Raises:
        TheoryError: an unknown activation, endless sizes, entries that stand for many modes.

    Cost: one product [N, M] x [M, T] and one factorisation of min(N, T) per draw.

    Source: Maloney, Roberts and Sully 2022 (arXiv 2210.16859).

    >>> flat = Spectrum([1.0, 1.0], [0.5, 0.5])
    >>> found = rf_simulate(flat, features=3, samples=8, ridge=0.0, repeats=2)
    >>> found.mean < 1e-20
    True
    """
    act, spread = _checked(spectrum, features, samples, activation, feature_variance)
    for name, value in (("repeats", repeats), ("outputs", outputs)):
        if not value >= 1:
            raise TheoryError(f"{name} is {value!r}; at least 1 is needed")
    features, samples = int(features), int(samples)
    root = np.sqrt(spectrum.eigenvalues)
    size = np.sqrt(spectrum.target_power / spectrum.eigenvalues)
    M = len(root)
    rng = np.random.default_rng(seed)
    test, train = np.empty(repeats), np.empty(repeats)
    for draw in range(repeats):
        u = math.sqrt(spread) * rng.standard_normal((features, M))
        w = size * rng.standard_normal((outputs, M))
        X = root[:, None] * rng.standard_normal((M, samples))
        Y = w @ X + math.sqrt(noise) * rng.standard_normal((outputs, samples))
        Phi = act(u @ X)
        theta = _ridge(Phi, Y, ridge)
        train[draw] = ((Y - theta @ Phi) ** 2).mean()
        if activation == "linear":
            test[draw] = (((theta @ u - w) * root) ** 2).sum() / outputs
        else:
            fresh = root[:, None] * rng.standard_normal((M, _TESTED))
            test[draw] = ((theta @ act(u @ fresh) - w @ fresh) ** 2).mean()
    return Simulated(test, train)


def feature_spectrum(
    spectrum: Spectrum,
    *,
    features: int,
    samples: int,
    activation: str = "relu",
    feature_variance: float | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Return the eigenvalues of the features' covariance over a sample, falling, those of rounding left out [rank].

    Linear features have the rank of the latents; an activation extends the spectrum to as many as there are features.

    Args: as in `rf_simulate`.

    Cost: one eigenvalue problem of size N.

    Source: Maloney, Roberts and Sully 2022 (arXiv 2210.16859).

    >>> known = Spectrum(np.arange(1.0, 5.0) ** -2, np.ones(4))
    >>> [len(feature_spectrum(known, features=32, samples=99, activation=name)) for name in ("linear", "relu")]
    [4, 32]
    """
    act, spread = _checked(spectrum, features, samples, activation, feature_variance)
    rng = np.random.default_rng(seed)
    M = len(spectrum.eigenvalues)
    u = math.sqrt(spread) * rng.standard_normal((features, M))
    X = np.sqrt(spectrum.eigenvalues)[:, None] * rng.standard_normal((M, samples))
    Phi = act(u @ X)
    Phi -= Phi.mean(axis=1, keepdims=True)
    covariance = Phi @ Phi.T / samples
    values = linalg.eigvalsh(covariance, overwrite_a=True, check_finite=False)[::-1]
    return values[values > _RANK * values[0]]


def _ridge(Phi: Array, Y: Array, ridge: float) -> Array:
    """Weights [outputs, N] of the ridge regression; without ridge those of least norm."""
    N, T = Phi.shape
    if ridge == 0:
        return linalg.lstsq(Phi.T, Y.T, lapack_driver="gelsd")[0].T  # type: ignore[index]
    if N <= T:
        return linalg.solve(Phi @ Phi.T + ridge * np.eye(N), Phi @ Y.T, assume_a="pos").T
    return Y @ linalg.solve(Phi.T @ Phi + ridge * np.eye(T), Phi.T, assume_a="pos")


def _checked(
    spectrum: Spectrum, features: int, samples: int, activation: str, feature_variance: float | None
) -> tuple[Callable[[Array], Array], float]:
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise TheoryError(
            f'there is no activation "{activation}"{did_you_mean(activation, ACTIVATIONS)}; there are {known}'
        )
    for name, value in (("features", features), ("samples", samples)):
        if not (1 <= value < math.inf and value == int(value)):
            raise TheoryError(f"{name} is {value!r}; a simulation needs a whole number")
    if not spectrum.exact:
        raise TheoryError("the spectrum's entries stand for many modes; a simulation needs at most 5,000 exact modes")
    return ACTIVATIONS[activation], 1.0 / features if feature_variance is None else feature_variance
