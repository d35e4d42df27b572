"""`Regression`: a linear target of Gaussian modes with a power-law spectrum, of which a model sees random combinations.

    psi_k = sqrt(lambda_k) z_k,   y = sum_k w_k psi_k + sigma e,   x = A psi / sqrt(N),   A Gaussian [N, modes]

All is Gaussian, so that the best prediction of y from x is linear and what it leaves is exact:

    floor = sigma^2 + sum_k lambda_k w_k^2 - c^T S^-1 c,   S = A Lambda A^T/N,   c = A Lambda w/sqrt(N)

Source: the random-feature model of Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092), sampled.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from scalinglens.worlds.checks import number, whole
from scalinglens.worlds.spectra import Spectrum, power_law
from scalinglens.worlds.streams import BLOCK, drawn
from scalinglens.worlds.world import Description

__all__ = ["Regression", "regression"]


@dataclass(frozen=True, eq=False)
class Regression:
    """Regression on random features.

    Attributes:
        name: of it. spectrum: of the modes, each once. features: x = features psi [N, modes]. signs: of w [modes]. noise: sigma.

    >>> x, y = regression(features=8, modes=32).examples(5)
    >>> x.shape, y.shape
    ((5, 8), (5, 1))
    """

    name: str
    spectrum: Spectrum
    features: np.ndarray
    signs: np.ndarray
    noise: float
    outputs: int = 1
    kind: str = "regression"

    @property
    def inputs(self) -> int:
        """Features N."""
        return len(self.features)

    @functools.cached_property
    def floor(self) -> float:
        """Least mean squared error of any prediction from the features."""
        power = self.spectrum.target_power
        if self.inputs >= len(power):
            return self.noise**2
        seen = self.features * np.sqrt(self.spectrum.eigenvalues)
        c = seen @ (self.signs * np.sqrt(power))
        explained = float(c @ cho_solve(cho_factor(seen @ seen.T), c))
        return self.noise**2 + float(power.sum()) - explained

    def examples(
        self, count: int, *, seed: int = 0, first: int = 0, held_out: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the examples number first .. first+count-1: float32 [count, N] and [count, 1]."""
        x, y = drawn(self._draw, count, seed=seed, first=first, held_out=held_out)
        return x, y

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        z = rng.standard_normal((BLOCK, len(self.signs)))
        y = z @ (self.signs * np.sqrt(self.spectrum.target_power)) + self.noise * rng.standard_normal(BLOCK)
        x = (z * np.sqrt(self.spectrum.eigenvalues)) @ self.features.T
        return x.astype(np.float32), y[:, None].astype(np.float32)

    def describe(self) -> Description:
        """Return sizes, exponents and the floor."""
        values = {
            "inputs": self.inputs,
            "modes": len(self.signs),
            "source": self.spectrum.exponents["source"],
            "capacity": self.spectrum.exponents["capacity"],
            "floor": self.floor,
            "untrained": self.spectrum.signal + self.noise**2,
        }
        says = {
            "source": "a: target power ~ k^-a",
            "capacity": "b: eigenvalues ~ k^-b",
            "floor": "squared error of the best prediction from the features, exact",
            "untrained": "squared error of zero, exact",
        }
        return Description(self.name, values, says)


def regression(
    *,
    features: int = 64,
    modes: int = 1024,
    source: float = 1.5,
    capacity: float = 1.25,
    noise: float = 0.0,
    seed: int = 0,
) -> Regression:
    """Return regression on random features of a power-law spectrum.

    Args:
        features: N that are seen; as many as modes or more show all.
        modes: How many.
        source: a; the target's power falls as k^-a.
        capacity: b; eigenvalues fall as k^-b.
        noise: Standard deviation of what is added to the target.
        seed: Of features and target.

    Raises:
        WorldError: a number out of its range.
    """
    whole("features", features, 1, 16384, "what memory holds")
    whole("modes", modes, 1, 16384, "what memory holds")
    whole("seed", seed)
    number("noise", noise, 0)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5F]))
    signs = rng.choice([-1.0, 1.0], modes)
    A = rng.standard_normal((features, modes)) / math.sqrt(features)
    name = f"regression N {features} modes {modes} a {source:g} b {capacity:g} noise {noise:g} seed {seed}"
    spectrum = power_law(source, capacity, modes)
    if not spectrum.exact:  # a quadrature is for theories; samples need each mode
        k = np.arange(1.0, modes + 1)
        spectrum = Spectrum(k**-capacity, k**-source, exponents=spectrum.exponents)
    return Regression(name, spectrum, A, signs, float(noise))
