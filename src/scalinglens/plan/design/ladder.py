"""A first ladder: with no run made, no model of a law is to be trusted to say that a corner of the grid needs no run.

Five sizes, spread in decades, and three ratios of data to size are made whatever the criterion says; what it says decides how
the rest of the budget is spent.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

__all__ = ["first_ladder", "spread_of"]

SIZES, RATIOS = 5, 3
PATTERN = (1, 2, 0, 1, 0)  # middle, high, low ...: neighbours differ, and the largest, dearest run is short
PART = 0.6  # of the budget that the ladder may cost


def first_ladder(frame: pd.DataFrame, size: str, data: str, budget: float) -> list[int]:
    """Return the rows of a first ladder: five sizes and three ratios of data to size, as wide as the budget allows.

    Args:
        frame: candidates with their cost.
        size, data: its columns.
        budget: for all runs; the ladder takes up to three fifths of it.

    Returns:
        Rows, smallest size first; fewer than five where the candidates or the budget do not have them.

    >>> grid = pd.DataFrame([(n, r * n, 6 * r * n * n) for n in (1e6, 3e6, 1e7, 3e7, 1e8) for r in (5, 20, 80)],
    ...     columns=["params", "tokens", "cost"])
    >>> rows = grid.loc[first_ladder(grid, "params", "tokens", 1e18)]
    >>> rows["params"].nunique(), (rows["tokens"] / rows["params"]).nunique()
    (5, 3)
    """
    sizes = np.unique(frame[size])
    ratio = (frame[data] / frame[size]).to_numpy()
    levels = np.exp(np.quantile(np.log(ratio), [0.15, 0.5, 0.85]))
    for top in range(len(sizes), 0, -1):
        usable = sizes[:top]
        count = min(SIZES, top)
        picked = np.unique(usable[np.round(np.linspace(0, top - 1, count)).astype(int)])
        for shrink in (1.0, 0.5, 0.25):  # cheaper ladders of the same sizes before a smaller top
            rows = [_nearest(frame, size, ratio, n, levels[PATTERN[i]] * shrink) for i, n in enumerate(picked)]
            if frame["cost"].to_numpy()[rows].sum() <= PART * budget:
                return rows
    return []


def spread_of(frame: pd.DataFrame, size: str, data: str) -> tuple[int, int, float]:
    """Return how many sizes, how many ratios (a third apart or more), and how many decades of size some runs have."""
    ratio = np.sort(np.log((frame[data] / frame[size]).to_numpy()))
    kinds = 1 + sum(b - a > np.log(4 / 3) for a, b in pairwise(ratio)) if len(ratio) else 0
    decades = float(np.log10(frame[size].max() / frame[size].min())) if len(frame) else 0.0
    return len(np.unique(frame[size].to_numpy())), int(kinds), decades


def _nearest(frame: pd.DataFrame, size: str, ratio: np.ndarray, n: float, wanted: float) -> int:
    rows = np.flatnonzero(frame[size].to_numpy() == n)
    return int(rows[np.argmin(np.abs(np.log(ratio[rows] / wanted)))])
