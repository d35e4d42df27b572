"""Robust regression with Gaussian priors whose strengths the data choose: many lanes as one array program.

    minimise over theta, lane by lane:   beta sum_rows w rho_delta(f(theta, x) - y) + sum_k alpha_k |theta_k|^2 / 2

for groups k of parameters (the layers of a network). alpha and beta maximise the evidence: with gamma_k the number of
parameters of a group that the data determine, alpha_k = gamma_k/|theta_k|^2 and beta = (rows - gamma)/(sum of weighted
squares). So neither a learning rate, nor a strength of regularisation is left to choose. Huber's loss is reweighted squares,
the steps are Levenberg and Marquardt's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["Model", "Posterior", "estimate"]

_BURN = 10  # steps before the first look at the evidence: a network straight from the prior has none to show
_EVERY = 3  # steps from one update of the evidence to the next
_QUIET = 4  # steps in a row without progress that end a lane
_TOLERANCE = (
    1e-3  # progress of the log posterior, relative, that counts: less adds detail, but no accuracy on runs held out
)
_LEAST_NOISE = 1e-4  # of the spread of y: data without noise would make beta infinite
_FIRST_NOISE = 0.1  # of the spread of y, before the evidence is looked at


class Model(Protocol):
    """What is regressed on: a network, or the features of a kernel."""

    @property
    def parameters(self) -> int: ...

    @property
    def groups(self) -> np.ndarray: ...  # number of the group of each parameter [parameters]

    def start(self, lanes: int, rng: np.random.Generator) -> np.ndarray: ...

    def values(self, theta: np.ndarray, x: np.ndarray) -> np.ndarray: ...

    def jacobian(self, theta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class Posterior:
    """Where the search ended, lane by lane.

    Attributes:
        theta: parameters [lanes, parameters].
        determined: gamma, the number of parameters that the data determine [lanes].
        converged: whether the objective stopped falling [lanes].
        iterations: steps taken by the slowest lane.
    """

    theta: np.ndarray
    determined: np.ndarray
    converged: np.ndarray
    iterations: int


def estimate(
    model: Model,
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray,
    *,
    delta: float,
    ridge: float | None = None,
    iterations: int = 300,
) -> Posterior:
    """Find the most probable parameters of each lane.

    Args:
        model: with `values` and `jacobian`.
        x: standardised inputs [rows, inputs].
        y: standardised observations [rows].
        weights: how often each row counts [lanes, rows].
        start: parameters to start from [lanes, parameters].
        delta: where Huber's loss turns linear, in units of y.
        ridge: hold alpha/beta at this for all parameters and leave the evidence aside.
        iterations: steps at most.

    Returns:
        The `Posterior`.

    Cost: iterations x lanes x (rows p^2 + p^3) for p parameters.

    Source: MacKay 1992, Bayesian interpolation, section 4; Foresee and Hagan 1997, with the Gauss-Newton Hessian.
    """
    lanes, diagonal = len(start), np.arange(model.parameters)
    membership = model.groups[:, None] == np.arange(model.groups.max() + 1)  # [parameters, groups]
    theta, determined = start.copy(), np.zeros(lanes)
    converged = np.zeros(lanes, dtype=bool)
    beta = np.full(lanes, 1 / (_FIRST_NOISE * delta))
    alpha = (
        np.ones((lanes, membership.shape[1])) if ridge is None else np.outer(beta * ridge, np.ones(len(membership.T)))
    )
    damping, quiet = np.ones(lanes), np.zeros(lanes, dtype=int)
    value, J = model.jacobian(theta, x)
    r, step = value - y, 0
    while step < iterations and not converged.all():
        step += 1
        live = np.flatnonzero(~converged)  # lanes that have ended are no longer paid for
        t, w = theta[live], weights[live]
        pull = w * np.minimum(1.0, delta / np.maximum(np.abs(r), 1e-300))  # makes squares touch Huber's loss at r
        transposed = (pull[..., None] * J).swapaxes(1, 2)
        H, g = transposed @ J, (transposed @ r[..., None])[..., 0]
        if step > _BURN and step % _EVERY == 0:
            alpha[live], beta[live], determined[live] = _evidence(
                H, t, np.sum(pull * r**2, axis=1), w.sum(axis=1), alpha[live], beta[live], membership, delta, ridge
            )
        a, b = alpha[live] @ membership.T, beta[live]
        A = b[:, None, None] * H
        A[:, diagonal, diagonal] += a + damping[live, None]
        trial = t - np.linalg.solve(A, (b[:, None] * g + a * t)[..., None])[..., 0]
        value, J_trial = model.jacobian(trial, x)
        r_trial = value - y
        before, after = _objective(r, w, t, a, b, delta), _objective(r_trial, w, trial, a, b, delta)
        better = after < before
        theta[live] = np.where(better[:, None], trial, t)
        r = np.where(better[:, None], r_trial, r)
        J = J_trial if better.all() else np.where(better[:, None, None], J_trial, J)
        damping[live] = np.where(better, np.maximum(damping[live] / 5, 1e-8), damping[live] * 4)
        exact = beta[live] * _LEAST_NOISE * delta > 1 - 1e-9  # no noise is left to explain
        still = (better & (before - after < _TOLERANCE * np.abs(after))) | (damping[live] > 1e8) | exact
        quiet[live] = np.where(still, quiet[live] + 1, np.where(better, 0, quiet[live]))
        if step > 2 * _BURN and (quiet[live] >= _QUIET).any():
            ended = quiet[live] >= _QUIET
            converged[live[ended]] = True
            r, J = r[~ended], J[~ended]
    return Posterior(theta, determined, converged, step)


def _evidence(
    H: np.ndarray,
    theta: np.ndarray,
    squares: np.ndarray,
    count: np.ndarray,
    alpha: np.ndarray,
    beta: np.ndarray,
    membership: np.ndarray,
    delta: float,
    ridge: float | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return alpha [lanes, groups], beta [lanes] and gamma [lanes] of greatest evidence."""
    A = beta[:, None, None] * H
    diagonal = np.arange(A.shape[1])
    each = alpha @ membership.T
    A[:, diagonal, diagonal] += each
    undetermined = each * np.diagonal(np.linalg.inv(A), axis1=1, axis2=2)
    gamma = np.maximum((1.0 - undetermined) @ membership, 0.1)
    determined = np.clip(gamma.sum(axis=1), 1.0, 0.9 * count)
    if ridge is not None:
        return alpha, beta, determined
    alpha = gamma / np.maximum(theta**2 @ membership, 1e-12)
    noise = np.maximum(squares, 1e-300) / (count - determined)
    return alpha, 1 / np.maximum(noise, _LEAST_NOISE * delta), determined


def _objective(
    r: np.ndarray, w: np.ndarray, theta: np.ndarray, alpha: np.ndarray, beta: np.ndarray, delta: float
) -> np.ndarray:
    size = np.abs(r)
    linear = np.minimum(size, delta)
    return beta * np.sum(w * linear * (size - 0.5 * linear), axis=1) + 0.5 * np.sum(alpha * theta**2, axis=1)
