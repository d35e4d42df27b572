"""The four regimes of Bahri et al. 2021, from the kernel of `joint_data_model` at the best ridge.

Of the two resources, the one that is short limits the resolution: the loss falls with it by the exponent of the spectrum. The one
that is plentiful limits the variance: what is above the loss of an endless amount of it falls by 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import TheoryError
from scalinglens.theory.joint_data_model import optimal_ridge
from scalinglens.theory.numbers import together
from scalinglens.worlds.spectra import Spectrum

__all__ = ["Regimes", "regimes"]

_H = 0.02  # of the difference quotients by ln N and ln T: their error is of its square, rounding over it
_PLENTY = 3.0  # ratio of the sizes from which on one of them is the short one


@dataclass(frozen=True, eq=False)
class Regimes:
    """Local exponents around (N, T) at the best ridge, positive where the quantity falls; arrays of one shape.

    Attributes:
        features, samples: N, T. test: L(N, T). ridge: the best.
        by_features, by_samples: of L(N, T) by N and by T.
        resolution_features: of L(N, inf) by N. resolution_samples: of L(inf, T) by T.
        variance_features: of L(N, T) - L(inf, T) by N. variance_samples: of L(N, T) - L(N, inf) by T.
    """

    features: np.ndarray
    samples: np.ndarray
    test: np.ndarray
    ridge: np.ndarray
    by_features: np.ndarray
    by_samples: np.ndarray
    resolution_features: np.ndarray
    resolution_samples: np.ndarray
    variance_features: np.ndarray
    variance_samples: np.ndarray

    @property
    def limit(self) -> np.ndarray:
        """Which resource limits the resolution: "features", "samples", or "both" within a factor of 3."""
        ratio = self.features / self.samples
        return np.where(ratio > _PLENTY, "samples", np.where(ratio < 1 / _PLENTY, "features", "both"))

    def to_frame(self) -> pd.DataFrame:
        """Return one row per problem."""
        return pd.DataFrame(
            {**{name: np.ravel(value) for name, value in vars(self).items()}, "limit": self.limit.ravel()}
        )


def regimes(spectrum: Spectrum, *, features: Any, samples: Any, noise: Any = 0.0) -> Regimes:
    """Return the local exponents of the four regimes around model sizes and numbers of samples.

    Without noise, for lambda_I = v_I = I^-(1 + alpha): alpha in both resolution-limited regimes, 1 in both variance-limited ones.

    Args:
        spectrum: eigenvalues and target power; best with endless modes, as a finite number ends the power law.
        features, samples: N and T, 2 or more, finite, as arrays that go together. noise: variance of the label noise.

    Returns:
        The `Regimes`.

    Raises:
        TheoryError: sizes below 2, or endless.

    Cost: eleven searches for the best ridge per problem.

    Source: Bahri, Dyer, Kaplan, Lee and Sharma 2021 (arXiv 2102.06701).

    >>> from scalinglens.worlds.spectra import power_law
    >>> found = regimes(power_law(1.5, 1.5), features=[1e5, 1e8], samples=[1e8, 1e5])
    >>> found.resolution_features.round(2).tolist(), found.variance_samples.round(2).tolist(), found.limit.tolist()
    ([0.5, 0.5], [1.0, 0.52], ['features', 'samples'])
    """
    given = together(features=(features, 2.0), samples=(samples, 2.0), noise=(noise, 0.0))
    N, T, s = given.values()
    if not np.all(np.isfinite(N) & np.isfinite(T)):
        raise TheoryError("features and samples are finite here; the limits of endless ones are among the answers")
    up, down, endless = math.exp(_H), math.exp(-_H), np.full(N.shape, math.inf)
    sizes = [
        (N, T),
        (N * up, T),
        (N * down, T),
        (N, T * up),
        (N, T * down),
        (N * up, endless),
        (N * down, endless),
        (endless, T * up),
        (endless, T * down),
        (endless, T),
        (N, endless),
    ]
    one = [np.stack(parts) for parts in zip(*sizes, strict=True)]
    found = optimal_ridge(spectrum, features=one[0], samples=one[1], noise=np.broadcast_to(s, one[0].shape))
    L = found.test

    def falls(high: np.ndarray, low: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return -np.log(high / low) / (2 * _H)

    return Regimes(
        N,
        T,
        L[0],
        found.traces.ridge[0],
        falls(L[1], L[2]),
        falls(L[3], L[4]),
        falls(L[5], L[6]),
        falls(L[7], L[8]),
        falls(L[1] - L[9], L[2] - L[9]),
        falls(L[3] - L[10], L[4] - L[10]),
    )
