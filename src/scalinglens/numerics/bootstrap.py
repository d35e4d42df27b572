"""Resampling weights, and intervals from draws."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

__all__ = ["bca_interval", "percentile_interval", "resampling_weights"]

CHUNK = 500  # draws that share one random stream; fixed, so that draws do not depend on how work is divided


def resampling_weights(groups: np.ndarray, draws: int, seed: int, first: int = 0) -> np.ndarray:
    """Return how often each row is drawn when whole groups are resampled with replacement.

    Args:
        groups: group number of each row, 0 ... g-1 [rows]; all different resamples rows.
        draws: how many resamples.
        seed: of the random stream.
        first: number of the first draw; draws first ... first+draws-1 are the same whatever came before. A multiple of 500.

    Returns:
        Counts [draws, rows] as floats.

    Cost: O(draws * rows).

    >>> resampling_weights(np.array([0, 0, 1]), 2, seed=0).shape
    (2, 3)
    """
    assert first % CHUNK == 0
    count = int(groups.max()) + 1 if len(groups) else 0
    pieces = []
    for start in range(first, first + draws, CHUNK):
        rng = np.random.default_rng([seed, start // CHUNK])
        picked = rng.integers(0, count, size=(CHUNK, count))
        flat = picked + count * np.arange(CHUNK)[:, None]
        pieces.append(np.bincount(flat.ravel(), minlength=CHUNK * count).reshape(CHUNK, count))
    counts = np.concatenate(pieces)[:draws]
    return counts[:, groups].astype(float)


def percentile_interval(draws: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the central interval of draws [draws, ...] along their first axis, non-finite draws left aside.

    >>> [round(float(v), 9) for v in percentile_interval(np.arange(101.0), 0.9)]
    [5.0, 95.0]
    """
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.nanquantile(np.where(np.isfinite(draws), draws, np.nan), tails, axis=0)
    return low, high


def bca_interval(
    draws: np.ndarray, value: np.ndarray, jackknife: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bias-corrected and accelerated interval (Efron 1987).

    Args:
        draws: [draws, k] of k quantities.
        value: [k] their estimates.
        jackknife: [groups, k] their estimates with one group left out.
        level: of the interval.

    Cost: one sort of the draws per quantity.
    """
    draws = np.where(np.isfinite(draws), draws, np.nan)
    below = np.nanmean(np.where(np.isnan(draws), np.nan, (draws < value) + 0.5 * (draws == value)), axis=0)
    half = 0.5 / len(draws)
    bias = ndtri(np.clip(below, half, 1 - half))
    deviation = np.nanmean(jackknife, axis=0) - jackknife
    spread = np.nansum(deviation**2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        acceleration = np.where(spread > 0, np.nansum(deviation**3, axis=0) / (6 * spread**1.5), 0.0)
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        shifted = bias + ndtri(tail)
        probability = ndtr(bias + shifted / (1 - acceleration * shifted))
        ends.append(np.array([np.nanquantile(draws[:, j], probability[j]) for j in range(draws.shape[1])]))
    return ends[0], ends[1]
