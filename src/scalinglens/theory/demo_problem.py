"""The random-feature regression problem with power-law spectrum, and its two exactly solvable limits.

A teacher y = w* . psi + sigma eps on M modes with <psi_k psi_l> = delta_kl lambda_k is learned by a student that sees
only N random mixtures A psi / sqrt(N) of the modes. The spectrum lambda_k = k^-b says how fast the modes fade, the
target power lambda_k w*_k^2 = k^-a how the signal is spread over them. Two resources can be short:

    steps -> infinity   L(N) = kappa sum_k k^-a / (k^-b + kappa) + sigma^2,   sum_k k^-b / (k^-b + kappa) = N
    N -> infinity       L(t) = sum_k k^-a (1 - eta k^-b)^(2 t) + sigma^2

so that the test loss approaches sigma^2 as N^-min(a-1, b) and as t^-(a-1)/b. `theory.simulate` trains the same problem.
Source: Bordelon, Atanasov and Pehlevan 2024, A Dynamical Model of Neural Scaling Laws, arXiv 2402.01092.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from scalinglens.errors import ScalingLensError

__all__ = ["RandomFeatures"]


@dataclass(frozen=True)
class RandomFeatures:
    """A regression problem of known difficulty: M power-law modes seen through N random features.

    Args:
        modes: M, the number of modes the data have; widths beyond M/4 feel the cut-off.
        capacity: b > 1, decay of the spectrum lambda_k = k^-b.
        source: a > 1, decay of the target power lambda_k w*_k^2 = k^-a.
        noise: sigma^2 >= 0, variance of the label noise [loss units]; it is the irreducible loss.

    Source: arXiv 2402.01092 section 2; the symbols a and b are the paper's.

    >>> problem = RandomFeatures()
    >>> problem.width_exponent, problem.steps_exponent
    (1.25, 0.625)
    """

    modes: int = 3072
    capacity: float = 2.0
    source: float = 2.25
    noise: float = 0.2

    def __post_init__(self) -> None:
        for name, floor in (("capacity", 1.0), ("source", 1.0)):
            value = getattr(self, name)
            if not value > floor:
                raise ScalingLensError(
                    f"{name} is {value:g}, but the {'spectrum' if name == 'capacity' else 'target power'} must have a "
                    f"finite sum: choose {name} > 1"
                )
        if self.modes < 2:
            raise ScalingLensError(f"modes is {self.modes}, but a spectrum needs at least 2: choose several hundred")
        if not self.noise >= 0.0:
            raise ScalingLensError(f"noise is {self.noise:g}, but a variance cannot be negative: choose noise >= 0")

    @property
    def spectrum(self) -> np.ndarray:
        """Eigenvalues lambda_k = k^-b of the data covariance [modes]."""
        return np.arange(1, self.modes + 1, dtype=float) ** -self.capacity

    @property
    def target_power(self) -> np.ndarray:
        """Loss k^-a carried by each mode before training [modes]."""
        return np.arange(1, self.modes + 1, dtype=float) ** -self.source

    @property
    def width_exponent(self) -> float:
        """min(a-1, b): decay with params of the loss of one trained model, steps unlimited.

        The paper prints min(a-1, 2b), which is the exponent of the bias (an infinite ensemble); the feature variance
        of a single model decays no faster than N^-b.
        """
        return min(self.source - 1.0, self.capacity)

    @property
    def steps_exponent(self) -> float:
        """(a-1)/b: decay of the loss with training steps, params unlimited."""
        return (self.source - 1.0) / self.capacity

    def loss_of_steps(self, steps: np.ndarray | float, *, learning_rate: float) -> np.ndarray:
        """Test loss after gradient descent with unlimited params: sum_k k^-a (1 - eta k^-b)^(2t) + sigma^2.

        Args:
            steps: numbers of gradient steps t, any shape.
            learning_rate: eta, step size; below 2 for the descent to be stable.

        Returns:
            Losses of the shape of `steps` [squared error]. Cost: modes x steps.

        >>> float(RandomFeatures(modes=2, noise=0.0).loss_of_steps(0.0, learning_rate=0.4)) == 1 + 2**-2.25
        True
        """
        remaining = np.abs(1.0 - learning_rate * self.spectrum) ** (2.0 * np.asarray(steps, dtype=float)[..., None])
        return remaining @ self.target_power + self.noise

    def loss_of_params(self, params: np.ndarray | float) -> np.ndarray:
        """Test loss after unlimited steps: kappa sum_k k^-a / (k^-b + kappa) + sigma^2.

        kappa solves sum_k k^-b / (k^-b + kappa) = N. This is the large-N theory of the projection on N random
        directions; the mean over real draws of the features lies a relative 0.25/N to 0.45/N above it.

        Args:
            params: numbers of features N, any shape; for N >= modes only the noise is left.

        Returns:
            Losses of the shape of `params` [squared error]. Cost: about 50 sums over the modes for each width.

        >>> problem = RandomFeatures(modes=1000, capacity=1.25, source=1.5, noise=0.0)
        >>> problem.loss_of_params([64, 128, 1000]).round(6).tolist()
        [0.46289, 0.289162, 0.0]
        """
        widths = np.asarray(params, dtype=float)
        losses = [self._static_loss(width) for width in widths.ravel()]
        return np.reshape(losses, widths.shape) + self.noise

    def _static_loss(self, width: float) -> float:
        if width >= self.modes:
            return 0.0
        spectrum = self.spectrum

        # the resolved number of modes falls monotonically from `modes` to 0 as ln kappa grows, so one root exists
        def excess(log_kappa: float) -> float:
            return float(np.sum(spectrum / (spectrum + np.exp(log_kappa)))) - width

        low = np.log(spectrum[-1]) - np.log(self.modes) - 2.0
        high = np.log(np.sum(spectrum) / width) + 1.0
        kappa = math.exp(brentq(excess, low, high, xtol=1e-13))  # pyright: ignore[reportArgumentType, reportCallIssue]
        return float(np.sum(kappa * self.target_power / (spectrum + kappa)))
