"""`RandomFeatures`: a teacher on a spectrum, learned by a student of N random features from P samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import TheoryError
from scalinglens.worlds.spectra import Spectrum

__all__ = ["RandomFeatures"]


@dataclass(frozen=True, eq=False)
class RandomFeatures:
    """A problem, or a batch of problems on one spectrum.

    A teacher y = w* . psi + sigma eps on modes with <psi_k psi_l> = delta_kl lambda_k is learned by f = w . A psi/sqrt(N),
    A with independent entries of mean 0 and variance 1, from w = 0.

    Args:
        spectrum: eigenvalues lambda_k and target power lambda_k w*_k^2.
        features: N, the number of trainable parameters; a number or an array, inf for the kernel limit.
        samples: P, the number of training points; inf for the population loss.
        noise: sigma^2, variance of the label noise; the losses below are without it on the test side.

    Raises:
        TheoryError: sizes that are not positive.

    Source: Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), section 2; sums over modes without the paper's 1/M.

    >>> from scalinglens.worlds.spectra import power_law
    >>> problem = RandomFeatures(power_law(1.5, 1.25), features=[64, 128], samples=256)
    >>> problem.shape, problem.width_exponent, problem.time_exponent
    ((2,), 0.5, 0.4)
    """

    spectrum: Spectrum
    features: Any = math.inf
    samples: Any = math.inf
    noise: Any = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.spectrum, Spectrum):
            raise TheoryError(
                f"the spectrum is {type(self.spectrum).__name__}; pass power_law(a, b) or Spectrum(eigenvalues, target_power)"
            )
        sizes = [_sizes(name, getattr(self, name)) for name in ("features", "samples")]
        noise = np.asarray(self.noise, dtype=float)
        if not np.all(np.isfinite(noise) & (noise >= 0)):
            raise TheoryError(f"noise is {self.noise!r}; it is a variance, zero or positive and finite")
        try:
            arrays = np.broadcast_arrays(*sizes, noise)
        except ValueError:
            shapes = ", ".join(str(a.shape) for a in (*sizes, noise))
            raise TheoryError(f"features, samples and noise have shapes {shapes}, which do not go together") from None
        for name, array in zip(("features", "samples", "noise"), arrays, strict=True):
            object.__setattr__(self, name, array)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the batch; () for one problem."""
        return self.features.shape

    @property
    def width_exponent(self) -> float:
        """min(a-1, b): decay with N of the loss of one trained model.

        The paper prints min(a-1, 2b), which is the exponent of the bias, the loss of an infinite ensemble.
        """
        a, b = self._exponents()
        return min(a - 1, b)

    @property
    def samples_exponent(self) -> float:
        """min(a-1, 2b): decay with P."""
        a, b = self._exponents()
        return min(a - 1, 2 * b)

    @property
    def time_exponent(self) -> float:
        """(a-1)/b: decay with time."""
        a, b = self._exponents()
        return (a - 1) / b

    def _exponents(self) -> tuple[float, float]:
        known = self.spectrum.exponents
        if "source" not in known:
            raise TheoryError("the spectrum is no power law, so it has no exponents; make one with power_law(a, b)")
        return known["source"], known["capacity"]


def _sizes(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise TheoryError(f"{name} is {value!r}; it is a number of at least 1, or inf") from None
    if not array.size or not np.all(array >= 1):
        wrong = array[~(array >= 1)]
        raise TheoryError(f"{name} must be at least 1, got {wrong.flat[0] if wrong.size else 'none'}; inf is allowed")
    return array
