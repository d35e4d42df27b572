"""Solve many small symmetric systems at once, and say which of them are positive definite.

`numpy.linalg` calls LAPACK once per matrix, and at 5 x 5 the call costs more than the arithmetic. For many systems the loop
runs over matrix entries instead and each step is one vector operation over all of them. For fewer, LAPACK is faster, by
Cholesky's factors where all systems are positive definite, else by eigenvalues or by that loop. Each way a system that is not
positive definite is reported in a mask and spoils no other.
"""

from __future__ import annotations

import numpy as np

__all__ = ["solve_positive_definite"]

SOME = 80  # systems up to which LAPACK's factors, tried in vain now and then, cost less than the loop
FEW = 16  # systems up to which one eigendecomposition each beats vector operations over all


def solve_positive_definite(
    matrices: np.ndarray, right: np.ndarray, floor: float = 1e-12
) -> tuple[np.ndarray, np.ndarray]:
    """Solve matrices @ x = right for symmetric matrices.

    Args:
        matrices: [lanes, p, p] symmetric, scaled to a diagonal near one.
        right: [lanes, p].
        floor: smallest pivot or eigenvalue of a matrix that counts as positive definite.

    Returns:
        x [lanes, p], and the mask [lanes] of systems that are positive definite (x of the others is meaningless).

    Cost: for many systems p^3/3 multiplications each (L D L'), in p^2 vector operations over the lanes.

    >>> x, good = solve_positive_definite(np.array([[[2.0, 1.0], [1.0, 2.0]]]), np.array([[3.0, 3.0]]))
    >>> x.round(12).tolist(), good.tolist()
    ([[1.0, 1.0]], [True])
    """
    lanes, size = right.shape
    finite = lanes <= SOME and bool(np.isfinite(matrices).all())
    if finite:
        try:
            pivots = np.linalg.cholesky(matrices).reshape(lanes, -1)[:, :: size + 1]
        except np.linalg.LinAlgError:
            pass  # one of them is not: find out which
        else:
            good = np.min(pivots, axis=1, initial=np.inf) ** 2 > floor
            if good.all():
                return np.linalg.solve(matrices, right[:, :, None])[:, :, 0], good
    if lanes <= FEW and finite:
        eigenvalues, vectors = np.linalg.eigh(matrices)
        good = eigenvalues[:, 0] > floor
        turned = np.matmul(right[:, None, :], vectors) / np.where(good[:, None], eigenvalues, 1.0)[:, None, :]
        return np.matmul(vectors, turned.transpose(0, 2, 1))[:, :, 0], good
    work = np.ascontiguousarray(np.moveaxis(matrices, 0, -1))  # lanes last: each entry is one contiguous vector
    x = np.ascontiguousarray(right.T)
    good = np.ones(lanes, dtype=bool)
    pivots = np.empty((size, lanes))
    for k in range(size):
        fine = work[k, k] > floor  # a NaN compares false
        good &= fine
        pivots[k] = np.where(fine, work[k, k], 1.0)
        if k + 1 < size:
            column = work[k + 1 :, k] / pivots[k]
            work[k + 1 :, k + 1 :] -= column[:, None] * work[k, None, k + 1 :]
            work[k + 1 :, k] = column
            x[k + 1 :] -= column * x[k]
    x /= pivots
    for k in range(size - 2, -1, -1):
        x[k] -= np.einsum("il,il->l", work[k + 1 :, k], x[k + 1 :])
    return x.T, good
