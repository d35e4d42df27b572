"""Students trained exactly on one draw of features and data, for many draws at once.

With B = A/sqrt(N) (features) and E = Psi/sqrt(P) (data; sqrt(Lambda) where the samples are endless), a student sees the matrix
F = E B^T and the labels y = E w* + noise. Every full-batch linear optimizer that keeps the fraction p_t(x) of an eigenvector of
F^T F with eigenvalue x has the weights

    w_t = g_t(F^T F) F^T y = F^T g_t(F F^T) y,   g_t(x) = (1 - p_t(x))/x

so one eigendecomposition of the smaller of the two matrices gives all times. A step of one-pass SGD on Gaussian data depends on
the data only through as many numbers per sample as F^T F has eigenvalues, and the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import TheoryError
from scalinglens.theory.random_features.optimizers import GradientFlow, Optimizer, WeightDecay

__all__ = ["Arrays", "Trained", "arrays", "learned", "train_full_batch", "train_on_features", "train_one_pass"]

_FLOOR = 1e-14  # of the largest eigenvalue: below it only rounding is left
_DRAWN = 1 << 21  # normal numbers of one block of steps
Learned = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Arrays:
    """Where arrays live: NumPy, or torch on a device."""

    to: Callable[[np.ndarray], Any]
    back: Callable[[Any], np.ndarray]
    eigh: Callable[[Any], tuple[Any, Any]]


def arrays(device: str | None) -> Arrays:
    """Return the arrays of a device: None is NumPy, any other name one of torch's.

    Raises:
        TheoryError: torch is not installed, or has no such device.
    """
    if device is None:
        return Arrays(np.asarray, np.asarray, np.linalg.eigh)
    try:
        import torch
    except ImportError:
        raise TheoryError(
            f'device "{device}" needs PyTorch, which is not installed: pip install torch, or leave the device out for NumPy'
        ) from None
    try:
        there = torch.device(device)
        torch.zeros(1, device=there, dtype=torch.float64)
    except (RuntimeError, AssertionError, TypeError) as problem:
        first = str(problem).splitlines()[0]
        raise TheoryError(f'torch has no device "{device}" with double precision here: {first}') from None
    return Arrays(
        lambda array: torch.tensor(array, device=there),  # a copy: arrays may be read-only
        lambda array: array.cpu().numpy(),
        torch.linalg.eigh,
    )


@dataclass(frozen=True, eq=False)
class Trained:
    """Students after training, of S draws, R targets and T times.

    Attributes:
        error: w* - B^T w by mode [S, M, R, T]. residual: what is left on the training set [S, P, R, T].
    """

    error: Any
    residual: Any


def learned(optimizer: Optimizer, times: np.ndarray) -> Learned:
    """Return x [...] -> g_t(x) = (1 - p_t(x))/x [..., T]; at endless times the pseudo-inverse, or ridge regression."""
    late = np.isinf(times)

    def g(x: np.ndarray) -> np.ndarray:
        top = x.max(axis=-1, keepdims=True)
        floor = np.maximum(x, _FLOOR * top)
        found = np.empty((*x.shape, len(times)))
        if isinstance(optimizer, WeightDecay):
            rate = x.clip(0)[..., None] + optimizer.decay
            found[...] = -np.expm1(-rate * times) / rate
            return found
        if isinstance(optimizer, GradientFlow):
            found[..., ~late] = -np.expm1(-floor[..., None] * times[~late]) / floor[..., None]
        elif (~late).any():
            kept = np.moveaxis(optimizer.filter(floor, times[~late]), 0, -1)
            found[..., ~late] = (1 - kept) / floor[..., None]
        found[..., late] = np.where(x > 1e-12 * top, 1 / floor, 0.0)[..., None]
        return found

    return g


def train_full_batch(
    on: Arrays, features: Any, data: Any, root: Any, teachers: Any, noise: Any, learn: Learned, count: int
) -> Trained:
    """Train on all samples together.

    Args:
        on: where the arrays live.
        features: B [S, N, M], or None for N = inf. data: E [S, P, M], or None for P = inf.
        root: sqrt(lambda) [M]. teachers: w* [S, M, R]. noise: of the labels, over sqrt(P) [S, P, R], or None.
        learn: g of `learned`. count: T.

    Cost: N P M products, and an eigendecomposition of the smaller of N and P (M where both are endless or larger).
    """
    if data is None:
        labels = root[:, None] * teachers
        if features is None:  # each mode by itself
            scale = on.to(learn(on.back(root * root)))
            moved = teachers[..., None] * (root * root)[:, None, None] * scale[:, None, :]
            error = teachers[..., None] - moved
            return Trained(error, root[:, None, None] * error)
        seen = root[:, None] * features.swapaxes(-1, -2)
    else:
        labels = data @ teachers
        if noise is not None:
            labels = labels + noise
        seen = data if features is None else data @ features.swapaxes(-1, -2)
    weights = _weights(on, seen, labels, learn)
    known = weights if features is None else features.swapaxes(-1, -2) @ weights
    shape = (*teachers.shape, count)
    error = teachers[..., None] - known.reshape(shape)
    residual = labels[..., None] - (seen @ weights).reshape((*labels.shape, count))
    return Trained(error, residual)


def _weights(on: Arrays, seen: Any, labels: Any, learn: Learned) -> Any:
    """w_t for F [S, P, N] and y [S, P, R]: [S, N, R T]."""
    wide = seen.shape[-1] > seen.shape[-2]
    turned = seen.swapaxes(-1, -2)
    x, Q = on.eigh(seen @ turned if wide else turned @ seen)
    aim = labels if wide else turned @ labels
    parts = (Q.swapaxes(-1, -2) @ aim)[..., None] * on.to(learn(on.back(x)))[..., None, :]
    found = Q @ parts.reshape((*parts.shape[:2], -1))
    return turned @ found if wide else found


def train_on_features(
    on: Arrays,
    activation: str,
    features: Any,
    data: Any,
    fresh: Any,
    teachers: Any,
    noise: Any,
    learn: Learned,
    count: int,
) -> tuple[Any, Any]:
    """Train on phi(A psi) instead of A psi.

    Args:
        features: A [S, N, M], without a factor. data, fresh: psi of the training set and of a test set [S, P, M].
        noise: of the training labels [S, P, R], or None. Others as in `train_full_batch`.

    Returns:
        Squared errors on the test set, without noise, and on the training set, with it [S, T].
    """
    size, many = features.shape[-2], data.shape[-2]
    turned = features.swapaxes(-1, -2)
    seen, unseen = (_activated(activation, psi @ turned) / size**0.5 for psi in (data, fresh))
    labels = data @ teachers if noise is None else data @ teachers + noise
    weights = _weights(on, seen / many**0.5, labels / many**0.5, learn)
    found = []
    for matrix, truth in ((unseen, fresh @ teachers), (seen, labels)):
        left = truth[..., None] - (matrix @ weights).reshape((*truth.shape, count))
        found.append((left * left).mean(-3).mean(-2))
    return found[0], found[1]


def _activated(name: str, u: Any) -> Any:
    if name == "relu":
        return u.clip(min=0) if isinstance(u, np.ndarray) else u.clamp(min=0)
    return np.tanh(u) if isinstance(u, np.ndarray) else u.tanh()


def train_one_pass(
    features: np.ndarray | None,
    root: np.ndarray,
    teachers: np.ndarray,
    noise: float,
    steps: np.ndarray,
    rate: float,
    batch: int,
    generators: Sequence[np.random.Generator],
) -> np.ndarray:
    """Take steps of SGD on fresh batches of Gaussian data; return the test loss [S, T].

    In the eigenbasis of G = B Lambda B^T, with eigenvalues D, a batch is z [B, q] of independent normals, and the error that the
    features can represent moves by x <- x - (eta/B) D z^T (z x + rho zeta): what they cannot represent, and the label noise, is
    noise of variance rho^2. In distribution this is the step with batches of all modes.

    Args:
        features: B [S, N, M], or None for N = inf. root: sqrt(lambda) [M]. teachers: w* [S, M].
        noise: sigma^2. steps: whole numbers, any order [T]. rate: eta. batch: B. generators: one for each draw.

    Cost: B q normal numbers a step, q the smaller of N and M.
    """
    signal = root * teachers
    if features is None:
        D, x, beyond = np.broadcast_to(root**2, signal.shape), signal, np.zeros(len(signal))
    else:
        seen = root[:, None] * features.swapaxes(-1, -2)
        D, U = _range(seen)
        x = np.einsum("smq,sm->sq", U, signal)
        beyond = np.maximum((signal**2).sum(-1) - (x**2).sum(-1), 0.0)
    spread = np.sqrt(beyond + noise)[:, None]
    S, q = D.shape
    order = np.argsort(steps, kind="stable")
    found = np.empty((S, len(steps)))
    most = max(1, _DRAWN // (S * batch * (q + 1)))
    now = 0
    with np.errstate(over="ignore", invalid="ignore"):  # what diverges is told by the caller
        for i in order:
            while now < steps[i]:
                block = min(most, int(steps[i]) - now)
                z = np.stack([g.standard_normal((block, batch, q + 1)) for g in generators])
                for j in range(block):
                    one = z[:, j, :, :q]
                    left = np.matmul(one, x[..., None])[..., 0] + spread * z[:, j, :, q]
                    x = x - (rate / batch) * D * np.matmul(left[:, None, :], one)[:, 0]
                now += block
            found[:, i] = beyond + (x**2).sum(-1)
    return found


def _range(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues D [S, q] of F^T F and orthonormal U [S, M, q] with F = U sqrt(D) V^T."""
    turned = seen.swapaxes(-1, -2)
    if seen.shape[-1] > seen.shape[-2]:
        D, U = np.linalg.eigh(seen @ turned)
        return D.clip(0), U
    D, V = np.linalg.eigh(turned @ seen)
    D = np.maximum(D, _FLOOR * D.max(axis=-1, keepdims=True))
    return D, seen @ (V / np.sqrt(D)[:, None, :])
