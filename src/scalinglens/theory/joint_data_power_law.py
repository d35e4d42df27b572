"""Power laws of the joint data model: the paper's spectrum, and closed forms for endless modes with the best ridge and none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import TheoryError
from scalinglens.theory.numbers import together
from scalinglens.worlds.spectra import Spectrum

__all__ = ["PowerLawOptimum", "isotropic_teacher", "power_law_optimum", "power_law_ridgeless"]


def isotropic_teacher(
    alpha: float, modes: int, *, outputs: int = 1, teacher_variance: float = 1.0, scale: float = 1.0
) -> Spectrum:
    """Return the spectrum of Maloney, Roberts and Sully: lambda_I = scale I^-(1 + alpha), I up to `modes`, isotropic teacher.

    v_I = outputs teacher_variance lambda_I/(2 modes); the 1/2 is that of their loss, half a sum of squares over outputs. Their
    label noise is outputs var/2 in the units of `joint_losses`, their feature variance var_u/modes.

    Args:
        alpha: positive. modes: the latent dimension M, whole.
        outputs: C. teacher_variance: sigma_w^2. scale: lambda_+, the largest eigenvalue.

    Raises:
        TheoryError: what is not positive.

    Source: Maloney, Roberts and Sully 2022 (arXiv 2210.16859).

    >>> isotropic_teacher(1.0, 4, outputs=2).target_power.round(4).tolist()
    [0.25, 0.0625, 0.0278, 0.0156]
    """
    given = {"alpha": alpha, "outputs": outputs, "teacher_variance": teacher_variance, "scale": scale}
    for name, value in given.items():
        if not 0 < value < math.inf:
            raise TheoryError(f"{name} is {value!r}; it is positive and finite")
    if not (1 <= modes < math.inf and modes == int(modes)):
        raise TheoryError(f"modes is {modes!r}; the latent dimension is a whole number from 1 on")
    eigenvalues = scale * np.arange(1.0, modes + 1.0) ** -(1.0 + alpha)
    return Spectrum(eigenvalues, outputs * teacher_variance / (2 * modes) * eigenvalues)


@dataclass(frozen=True, eq=False)
class PowerLawOptimum:
    """Best ridge for lambda_I = scale I^-(1 + alpha) with endless modes; arrays with the shape of the sizes.

    Attributes:
        kappa, df1: the renormalised ridge and z at the best ridge.
        ridge: over the feature variance. test: loss for a target power of v_I = lambda_I.
    """

    kappa: np.ndarray
    df1: np.ndarray
    ridge: np.ndarray
    test: np.ndarray


def power_law_optimum(alpha: Any, *, features: Any, samples: Any, scale: float = 1.0) -> PowerLawOptimum:
    """Return the best ridge of a noiseless power law in closed form, sums over modes taken as integrals.

    alpha - alpha z (1/N + 1/T) + ((alpha - 1)(alpha + 2)/(alpha + 1)) z^2/(N T) = 0, kappa = scale (rho/z)^(1 + alpha),
    rho = (pi/(1 + alpha))/sin(pi/(1 + alpha))

    Args:
        alpha: positive. features, samples: N and T, finite. scale: the largest eigenvalue.

    Returns:
        The `PowerLawOptimum`; at alpha = 1 its loss is scale rho^2 (1/N + 1/T). A finite number of modes M cuts the tail: the
        loss at N = T = M/500 is 0.5% off at alpha = 1, 3% at 0.5 and 10% at 0.3.

    Raises:
        TheoryError: what is not positive and finite.

    Source: derived in docs/theory/joint_data_model.md from Maloney, Roberts and Sully 2022 (arXiv 2210.16859).

    >>> found = power_law_optimum(1.0, features=400, samples=400)
    >>> round(float(found.ridge), 6), round(float(found.test), 6)    # pi^2/4, (pi/2)^2/200
    (2.467401, 0.012337)
    """
    alpha, N, T = _power_law(alpha, features, samples, scale)
    square = (alpha - 1) * (alpha + 2) / (alpha + 1) / (N * T)
    middle = alpha * (1 / N + 1 / T)
    z = 2 * alpha / (middle + np.sqrt(middle**2 - 4 * alpha * square))
    kappa = scale * (_rho(alpha) / z) ** (1 + alpha)
    a = alpha / (1 + alpha)
    test = kappa * z / (1 + alpha) / (1 - a * z * (1 / N + 1 / T) + (2 * a - 1) * z**2 / (N * T))
    return PowerLawOptimum(kappa, z, kappa * (N - z) * (T - z), test)


def power_law_ridgeless(alpha: Any, *, features: Any, samples: Any, scale: float = 1.0) -> np.ndarray:
    """Return the loss without ridge of a noiseless power law with endless modes and v_I = lambda_I.

    scale rho^(1 + alpha) m^-alpha/(1 - m/max(N, T)), m = min(N, T); at fixed N T least at m/max = alpha/(alpha + 2)

    Args: as in `power_law_optimum`.

    >>> power_law_ridgeless(1.0, features=[100, 100], samples=[300, 100]).round(6).tolist()
    [0.037011, inf]
    """
    alpha, N, T = _power_law(alpha, features, samples, scale)
    m, most = np.minimum(N, T), np.maximum(N, T)
    with np.errstate(divide="ignore"):
        return scale * _rho(alpha) ** (1 + alpha) * m**-alpha / (1 - m / most)


def _rho(alpha: np.ndarray) -> np.ndarray:
    angle = np.pi / (1 + alpha)
    return angle / np.sin(angle)


def _power_law(alpha: Any, features: Any, samples: Any, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = together(alpha=(alpha, 0.0), features=(features, 1.0), samples=(samples, 1.0), scale=(scale, 0.0))
    for name, values in parts.items():
        if not np.all((values > 0) & np.isfinite(values)):
            raise TheoryError(f"{name} must be positive and finite in the closed form, got {values.flat[0]:g}")
    return parts["alpha"], parts["features"], parts["samples"]
