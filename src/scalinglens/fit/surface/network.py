"""A small network of two hidden layers, many members at once, with its exact Jacobian."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import erf

__all__ = ["Network"]


@dataclass(frozen=True)
class Network:
    """inputs - width - width - 1 with GELU between, plus a linear part, on standardised inputs.

    Every layer is divided by the root of its fan-in, so that one Gaussian prior suits all its numbers. The linear part lets
    the layers hold what is curved alone: with it, the exponents of frontiers scatter half as much between samples of runs.

    Attributes:
        inputs: number of inputs.
        width: neurons of each hidden layer.

    >>> Network(2, 8).parameters
    107
    """

    inputs: int
    width: int

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Matrix and bias of each layer and the linear part, in the order in which a row of parameters holds them."""
        d, n = self.inputs, self.width
        return (d, n), (1, n), (n, n), (1, n), (n, 1), (1, 1), (d, 1)

    @property
    def parameters(self) -> int:
        """Numbers in one member."""
        return sum(math.prod(shape) for shape in self.shapes)

    @property
    def groups(self) -> np.ndarray:
        """Group of each number: one per layer, matrix and bias together, and one for the linear part."""
        return np.repeat([0, 0, 1, 1, 2, 2, 3], [math.prod(shape) for shape in self.shapes])

    def start(self, lanes: int, rng: np.random.Generator) -> np.ndarray:
        """Draw members [lanes, parameters] from the prior."""
        return rng.normal(size=(lanes, self.parameters))

    def values(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the outputs [lanes, rows] of members [lanes, parameters] at x [rows, inputs]."""
        W1, b1, W2, b2, W3, b3, line = self._layers(theta)
        first, second = 1 / math.sqrt(self.inputs), 1 / math.sqrt(self.width)
        a = _gelu(x @ W1 * first + b1)
        c = _gelu(a @ W2 * second + b2)
        return (c @ W3 * second + b3 + x @ line)[..., 0]

    def jacobian(self, theta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return outputs [lanes, rows] and their derivatives [lanes, rows, parameters]."""
        W1, b1, W2, b2, W3, b3, line = self._layers(theta)
        lanes, rows, d, n = len(theta), len(x), self.inputs, self.width
        first, second = 1 / math.sqrt(d), 1 / math.sqrt(n)
        a, slope1 = _gelu_slope(x @ W1 * first + b1)
        c, slope2 = _gelu_slope(a @ W2 * second + b2)
        value = (c @ W3 * second + b3 + x @ line)[..., 0]
        back2 = W3.swapaxes(1, 2) * second * slope2  # derivative by the input of the second layer's GELU
        back1 = (back2 @ W2.swapaxes(1, 2)) * second * slope1
        J = np.empty((lanes, rows, self.parameters))
        parts = np.split(J, np.cumsum([math.prod(shape) for shape in self.shapes])[:-1], axis=2)
        parts[0][:] = ((x * first)[None, :, :, None] * back1[:, :, None, :]).reshape(lanes, rows, d * n)
        parts[1][:] = back1
        parts[2][:] = ((a * second)[:, :, :, None] * back2[:, :, None, :]).reshape(lanes, rows, n * n)
        parts[3][:] = back2
        parts[4][:] = c * second
        parts[5][:] = 1.0
        parts[6][:] = x
        return value, J

    def _layers(self, theta: np.ndarray) -> list[np.ndarray]:
        ends = np.cumsum([math.prod(shape) for shape in self.shapes])[:-1]
        return [
            part.reshape(-1, *shape) for part, shape in zip(np.split(theta, ends, axis=1), self.shapes, strict=True)
        ]


def _gelu(z: np.ndarray) -> np.ndarray:
    return 0.5 * z * (1.0 + erf(z * math.sqrt(0.5)))


def _gelu_slope(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    share = 0.5 * (1.0 + erf(z * math.sqrt(0.5)))
    return z * share, share + z * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
