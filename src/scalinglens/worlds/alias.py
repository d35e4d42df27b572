"""Alias tables: one uniform number draws from any distribution in constant time, whole rows of a matrix at once.

Entry j of a row of d entries is taken with probability t_j, and its partner otherwise, where j = floor(u d) and t_j is compared
with what is left of u d. Light entries (d p < 1) are filled up by heavy ones in order: with D_i the cumulated lack of the light
entries and E_j the cumulated surplus of the heavy ones, the partner of light entry i is the first heavy one with E_j > D_(i-1);
heavy entry j itself is short by D_i - E_j at the first light one with D_i >= E_j and is filled up by the next heavy one. Both are
found by merging D and E, without the loop of the classical construction.

Sources: Walker 1977; Hübschle-Schneider and Sanders 2019 (arXiv 1903.00227), sweeping by prefix sums.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

__all__ = ["alias_tables"]

_AT_ONCE = 1 << 20  # entries merged in one sort


def alias_tables(rows: sparse.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """Return threshold and partner column of each stored entry.

    Args:
        rows: probabilities, each row with entries sums to one.

    Returns:
        t [nnz] in [0, 1], and columns [nnz].

    Cost: O(nnz log nnz), about 0.3 s per million entries.

    >>> table = sparse.csr_array([[0.25, 0.75]])
    >>> [part.tolist() for part in alias_tables(table)]
    [[0.5, 1.0], [1, 1]]
    """
    threshold = np.ones(rows.nnz)
    partner = rows.indices.astype(np.int32)
    ends = rows.indptr
    low = 0
    while low < len(ends) - 1:
        high = max(int(np.searchsorted(ends, ends[low] + _AT_ONCE, side="right")) - 1, low + 1)
        _fill(rows, slice(int(ends[low]), int(ends[high])), low, high, threshold, partner)
        low = high
    return threshold, partner


def _fill(rows: sparse.csr_array, here: slice, low: int, high: int, threshold: np.ndarray, partner: np.ndarray) -> None:
    degrees = np.diff(rows.indptr[low : high + 1])
    row = np.repeat(np.arange(high - low), degrees)
    scaled = rows.data[here] * degrees[row]
    light, heavy = np.flatnonzero(scaled < 1), np.flatnonzero(scaled >= 1)
    if not len(light):
        return
    lack = _cumulated(1 - scaled[light], row[light])
    surplus = _cumulated(scaled[heavy] - 1, row[heavy])
    # merged per row: a light entry begins at the lack before it, and a heavy one ends before light ones that begin at its surplus
    before = lack - (1 - scaled[light])
    owner = np.concatenate((row[heavy], row[light]))
    order = np.lexsort((np.repeat([0, 1], [len(heavy), len(light)]), np.concatenate((surplus, before)), owner))
    is_heavy = order < len(heavy)
    passed = np.cumsum(is_heavy)
    last_heavy = np.searchsorted(row[heavy], row, side="right") - 1  # of each entry's row, among the heavy
    at = np.empty(len(light), dtype=np.int64)
    at[order[~is_heavy] - len(heavy)] = passed[~is_heavy]
    columns = rows.indices[here]
    threshold[here.start + light] = scaled[light]
    partner[here.start + light] = columns[heavy[np.minimum(at, last_heavy[light])]]
    # the first light entry with D_i >= E_j is the last one that began before E_j
    begun = np.empty(len(heavy), dtype=np.int64)
    begun[order[is_heavy]] = np.cumsum(~is_heavy)[is_heavy]
    drained = begun > np.searchsorted(row[light], row[heavy])  # by light entries of the same row
    number = np.flatnonzero(drained)
    own = heavy[number]
    following = np.minimum(number + 1, last_heavy[own])
    left = 1 + surplus[number] - lack[begun[number] - 1]
    threshold[here.start + own] = np.where(
        following == number, 1.0, np.clip(left, 0.0, 1.0)
    )  # rounding leaves the last one
    partner[here.start + own] = columns[heavy[following]]


def _cumulated(values: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Sums within rows up to and with each value; rows are in order."""
    total = np.cumsum(values)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    before = np.concatenate(([0.0], total))[first]
    return total - np.repeat(before, np.diff(first, append=len(row)))
