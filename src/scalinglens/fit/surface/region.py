"""Where the runs are: the convex hull of their logarithms, and how far outside it a point lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull, QhullError

__all__ = ["Region"]

_FLAT = 1e-3  # smallest share of the widest direction that still counts as a direction the runs vary in
_PAIRS = 1000  # places looked at when something is to be checked all over the region


@dataclass(frozen=True, eq=False)
class Region:
    """The convex hull of the logarithms of the runs' inputs.

    Attributes:
        nodes: ln inputs of the runs [rows, inputs].
        planes: its sides, unit normals and offsets [sides, inputs + 1]; a point inside has normal.x + offset <= 0.
        flat: why the runs span no region, or an empty string.

    >>> region = Region.of(np.log([[1e6, 1e8], [1e6, 1e9], [1e7, 1e8], [1e7, 1e9]]))
    >>> region.factor(np.log([[3e6, 3e8], [3e7, 3e8]])).round(6).tolist()
    [1.0, 3.0]
    """

    nodes: np.ndarray
    planes: np.ndarray
    flat: str = ""

    @classmethod
    def of(cls, nodes: np.ndarray) -> Region:
        """Build the hull of points [rows, inputs].

        Cost: milliseconds for a few hundred points in up to four dimensions.
        """
        box = _box(nodes)
        if nodes.shape[1] == 1:
            return cls(nodes, box)
        centred = (nodes - nodes.mean(axis=0)) / np.maximum(nodes.std(axis=0), 1e-300)
        sizes = np.linalg.svd(centred, compute_uv=False)
        if sizes[-1] < _FLAT * sizes[0]:
            return cls(
                nodes, box, "the inputs of the runs move together, so only a line through the region was measured"
            )
        try:
            return cls(nodes, ConvexHull(nodes).equations)
        except QhullError:
            return cls(nodes, box, "the runs are too few to span a region")

    def factor(self, points: np.ndarray) -> np.ndarray:
        """Return how many times outside the hull points [n, inputs] lie; 1 for those inside.

        It is exp of the largest distance beyond a side, so a point beyond a corner may lie a little farther than told.
        """
        beyond = points @ self.planes[:, :-1].T + self.planes[:, -1]
        return np.exp(np.minimum(np.maximum(beyond.max(axis=1), 0.0), 700.0))

    def inside(self, points: np.ndarray) -> np.ndarray:
        """Return whether points [n, inputs] lie in the hull, its border with rounding included."""
        return self.factor(points) < 1 + 1e-9

    def places(self) -> np.ndarray:
        """Return places all over the hull [n, inputs]: the runs, and random points between pairs of them."""
        rng = np.random.default_rng(0)
        first, second = rng.integers(len(self.nodes), size=(2, _PAIRS))
        share = rng.uniform(size=(_PAIRS, 1))
        return np.concatenate([self.nodes, share * self.nodes[first] + (1 - share) * self.nodes[second]])


def _box(nodes: np.ndarray) -> np.ndarray:
    """The sides of the smallest box around points."""
    each = np.eye(nodes.shape[1])
    upper = np.column_stack([each, -nodes.max(axis=0)])
    lower = np.column_stack([-each, nodes.min(axis=0)])
    planes = np.concatenate([upper, lower])
    assert math.isfinite(planes.sum())
    return planes
