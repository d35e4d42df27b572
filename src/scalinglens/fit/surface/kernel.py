"""Kernel regression as a linear model: the kernel's leading eigenvectors on the data are the features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Kernel"]

_NODES = 500  # of them carry a kernel of length one; more runs share them (Nystroem's approximation)
_RANK = 1e-10  # eigenvalues below this share of the largest carry only rounding error


@dataclass(frozen=True, eq=False)
class Kernel:
    """A sum of Gaussian kernels: one along each input and one in all of them, all weights and lengths one.

    k(x, y) = sum_i exp(-(x_i - y_i)^2/2) + exp(-|x - y|^2/2), on standardised inputs. A ridge regression on
    features(x) = k(x, nodes) projection, with features features^T = k on the nodes, is the kernel ridge regression.

    Attributes:
        nodes: standardised inputs of the runs, at most 500 of them [rows, inputs].
        projection: [rows, features].

    Source: random-walk study, section 4.5, where the three weights and lengths are one.

    >>> nodes = np.array([[0.0, 0.0], [1.0, -1.0], [0.5, 2.0]])
    >>> features = Kernel.build(nodes).features(nodes)
    >>> bool(np.allclose(features @ features.T, gaussians(nodes, nodes)))
    True
    """

    nodes: np.ndarray
    projection: np.ndarray

    @classmethod
    def build(cls, nodes: np.ndarray) -> Kernel:
        """Take the eigenvectors of the kernel on the nodes [rows, inputs], on 500 of them where there are more.

        Cost: rows^3 for up to 500 rows.
        """
        if len(nodes) > _NODES:
            nodes = np.random.default_rng(0).permutation(nodes)[:_NODES]
        values, vectors = np.linalg.eigh(gaussians(nodes, nodes))
        kept = values > _RANK * values[-1]
        return cls(nodes, vectors[:, kept] / np.sqrt(values[kept]))

    @property
    def parameters(self) -> int:
        """Number of features."""
        return self.projection.shape[1]

    @property
    def groups(self) -> np.ndarray:
        """All features belong to one group, as the kernel's parts have fixed weights."""
        return np.zeros(self.parameters, dtype=int)

    def start(self, lanes: int, rng: np.random.Generator) -> np.ndarray:
        """Start at zero: the problem has one optimum, so nothing is drawn."""
        return np.zeros((lanes, self.parameters))

    def features(self, x: np.ndarray) -> np.ndarray:
        """Return the features [rows, parameters] of x [rows, inputs]."""
        return gaussians(x, self.nodes) @ self.projection

    def values(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the outputs [lanes, rows] of parameters [lanes, parameters] at x [rows, inputs]."""
        return theta @ self.features(x).T

    def jacobian(self, theta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return outputs [lanes, rows] and their derivatives [lanes, rows, parameters], the same in every lane."""
        features = self.features(x)
        return theta @ features.T, np.broadcast_to(features, (len(theta), *features.shape))


def gaussians(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return k(x, y) [rows of x, rows of y]; with one input its two parts are the same and one is left out."""
    squares = (x[:, None, :] - y[None, :, :]) ** 2
    together = np.exp(-0.5 * squares.sum(axis=-1))
    return together if x.shape[1] == 1 else np.exp(-0.5 * squares).sum(axis=-1) + together
