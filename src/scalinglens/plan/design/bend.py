"""`Bend`: what a law gets wrong away from the target, as a Gaussian process in the logarithms of size and data.

A law that is right at the target need not be right three decades below it, and what it gets wrong there is the same for all
runs near each other: twenty cheap runs in one corner of a grid see one error, and do not average it away. So the logarithm of
the loss is that of the law plus

    f(z) = size * |z| * g(z),    z = decades from the target,    E g(z) g(z') = exp(-|z - z'|^2/(2 reach^2))

(the model discrepancy of Kennedy and O'Hagan 2001, J. R. Statist. Soc. B 63, with a size that grows with the distance and is
zero at the target, where it could not be told from the law). g is written in the values it has on a lattice of points one
reach apart, g(z) = k(z)' K^-1/2 q with q ~ N(0, I) (the subset of regressors of Quinonero-Candela and Rasmussen 2005, J.
Mach. Learn. Res. 6, scaled to variance one everywhere): q are further coordinates of a linear model, and everything that
holds for coordinates of the law holds for them.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Bend"]

BEYOND, BELOW = 1.0, -3.0  # decades from the target that the lattice covers; g stays as it is at its edge outside


@dataclass(frozen=True)
class Bend:
    """What a law gets wrong away from the target.

    Attributes:
        size: standard deviation of ln loss one decade away.
        centre: input -> value at the target.
        reach: decades over which the error is the same.

    >>> import numpy as np
    >>> bend = Bend(0.01, {"params": 1e10})
    >>> away = bend.features({"params": np.array([1e10, 1e9, 1e8])})
    >>> (away @ away.T).round(6).diagonal().tolist()
    [0.0, 0.0001, 0.0004]
    """

    size: float
    centre: Mapping[str, float]
    reach: float = 1.0

    @property
    def count(self) -> int:
        """How many coefficients there are."""
        return len(_lattice(len(self.centre), self.reach)[0])

    def features(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the derivatives of ln loss by the coefficients [n, count].

        Cost: n times the square of the number of lattice points.
        """
        z = np.stack(
            [np.log10(np.asarray(columns[name], dtype=float) / at) for name, at in self.centre.items()], axis=-1
        )
        nodes, root = _lattice(z.shape[-1], self.reach)
        inside = np.clip(z, BELOW, BEYOND)
        apart = inside[..., None, :] - nodes
        g = np.exp(-0.5 * np.sum(apart**2, axis=-1) / self.reach**2) @ root
        g /= np.sqrt(np.sum(g**2, axis=-1, keepdims=True))
        return self.size * np.sqrt(np.sum(z**2, axis=-1))[..., None] * g


@functools.lru_cache(maxsize=8)
def _lattice(dimensions: int, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of the lattice [nodes, dimensions], and K^-1/2 of the kernel between them."""
    axis = np.linspace(BELOW, BEYOND, 1 + max(round((BEYOND - BELOW) / reach), 1))
    nodes = np.stack(np.meshgrid(*[axis] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    kernel = np.exp(-0.5 * np.sum((nodes[:, None] - nodes) ** 2, axis=-1) / reach**2)
    values, vectors = np.linalg.eigh(kernel)
    return nodes, vectors / np.sqrt(np.maximum(values, 1e-8 * values[-1]))
