"""Density of a sample at zero, for the spread of estimates that rest on signs of residuals."""

from __future__ import annotations

import numpy as np

__all__ = ["robust_scale", "share_within"]


def robust_scale(values: np.ndarray) -> float:
    """Median absolute deviation from zero, scaled to the standard deviation of a normal sample.

    >>> robust_scale(np.array([-1.0, 1.0, -1.0, 1.0]))
    1.4826
    """
    return 1.4826 * float(np.median(np.abs(values))) if len(values) else 0.0


def share_within(values: np.ndarray, half_width: float, weights: np.ndarray | None = None) -> float:
    """Estimate P(|v| <= half_width), by a kernel where the window is too narrow to hold enough values to count.

    Args:
        values: sample [n].
        half_width: of the window around zero.
        weights: [n], default equal.

    Cost: O(n).
    """
    weights = np.ones(len(values)) if weights is None else weights
    total = float(weights.sum())
    bandwidth = 1.06 * robust_scale(values) * len(values) ** -0.2
    if half_width >= bandwidth or bandwidth == 0:
        return float(weights[np.abs(values) <= half_width].sum()) / total
    density = float(np.sum(weights * np.exp(-0.5 * (values / bandwidth) ** 2))) / (
        total * bandwidth * np.sqrt(2 * np.pi)
    )
    return min(1.0, 2.0 * half_width * density)
